"""What the train stage prints."""

from collections.abc import Iterator

from spaceprobe.stages.summary_text import heading, key_columns, units_of, varying_settings, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.text import NOTHING, TextColumn, count, text_table


def present(frames: Frames) -> str:
    """Return what the command prints: a line for each run, or why there is none."""
    runs = frames["runs"]
    is_done = runs["status"] == "done"
    if not is_done.any():
        return "\n".join(["no network was trained", *why_failed(runs)])
    names = ["train_accuracy", "test_accuracy"]
    if runs.loc[is_done, "test_accuracy"].isna().any():  # a regression
        names += ["train_loss", "test_loss"]
    values = [
        TextColumn(
            heading(name),
            [NOTHING if value != value else f"{value:.4f}" for value in runs[name].astype(float)],
        )
        for name in names
    ]
    if not is_done.all():
        values.insert(0, TextColumn("status", [*runs["status"]], is_number=False))
    key = key_columns(runs, varying_settings(runs, with_seeds=True))
    shown = [name for name in names if runs[name].notna().any()]
    return "\n".join([*text_table(key, values), *units_of(shown), *why_failed(runs)])


def warn(frames: Frames) -> Iterator[str]:
    """Yield that weights were given, where some were."""
    runs = frames["runs"]
    num_given = int(((runs["status"] == "done") & runs["initial_digest"].isna()).sum())
    if num_given:
        yield (
            f"the weights of {num_given} of {count(len(runs), 'run')} were given (network.weights) and not "
            'trained here: their epoch is -1, and where it says "trained" they are as given'
        )
