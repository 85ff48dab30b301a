"""What the train stage prints."""

from spaceprobe.tables.frames import Frames


def present(frames: Frames) -> str:
    """Return what the command prints."""
    runs = frames["runs"]
    columns = ["run", "status", "train_accuracy", "test_accuracy"]
    if runs["test_accuracy"].isna().all():
        columns = ["run", "status", "train_loss", "test_loss"]
    return runs[columns].to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4f}")
