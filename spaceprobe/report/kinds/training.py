"""Figures of training."""

from markupsafe import Markup

from spaceprobe.report import figures as draw
from spaceprobe.report.kinds.kind import Kind, needs, said
from spaceprobe.report.numbers import Numbers


def _training_words(numbers: Numbers) -> Markup:
    """Describe what accuracy was reached."""
    read = Markup("Loss and accuracy after every epoch, each run thin and the mean over seeds thick.")
    if numbers.frames["runs"]["test_accuracy"].isna().all():
        return read
    ends = (numbers.reading(end, "runs", "test_accuracy", None, ".3f") for end in ("min", "max"))
    return read + said(" Test accuracies at the end go from {} to {}.", *ends)


TRAINING = (
    Kind(
        name="training",
        title="Training curves",
        section="training",
        tables=("training",),
        lacks=needs("training"),
        draw=lambda r: draw.training_curves(r.frames["runs"], r.frames["training"]),
        caption=_training_words,
    ),
)
