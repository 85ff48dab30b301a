"""What the summaries of stages share: columns for the settings of runs, and why runs have no result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.seeds import SEEDS
from spaceprobe.tables.text import NOTHING, SHORT_NAMES, TextColumn, count, fill, in_short

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "accuracy": "accuracy: share of points that are classified correctly, in [0, 1]",
    "loss": "loss: mean cross-entropy in nats, or mean squared error of a regression",
}
"""What the columns of a trained network are, by the end of their names."""


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Notes:
    """Notes below a table, which small numbers in its cells refer to; equal notes have one number."""

    def __init__(self) -> None:
        """Start without a note."""
        self._numbers: dict[str, int] = {}

    def mark(self, note: str) -> str:
        """Return the small number of a note."""
        return self.marks([note])

    def marks(self, notes: Sequence[str]) -> str:
        """Return the small numbers of several notes, smallest first; new notes have the next numbers."""
        numbers = {self._numbers.setdefault(note, len(self._numbers) + 1) for note in notes}
        return " ".join(str(number).translate(_RAISED) for number in sorted(numbers))

    def lines(self) -> list[str]:
        """Return the notes with their numbers, as lines that fit a terminal."""
        return [line for note in self._numbers for line in fill(f"{self.mark(note)} {in_short(note)}", "  ")]


def heading(name: str) -> str:
    """Return what a column of a CSV is called in the terminal.

    >>> heading("test_accuracy"), heading("learning_rate")
    ('test accuracy', 'lr')
    """
    return SHORT_NAMES.get(name, name.replace("_", " "))


def key_columns(frame: "pd.DataFrame", names: Sequence[str]) -> list[TextColumn]:
    """Return columns of settings as text, numbers aligned on the right."""
    return [
        TextColumn(
            heading(name),
            [_cell(value) for value in frame[name].astype(object).where(frame[name].notna(), None)],
            is_number=frame[name].dtype.kind in "iuf",
        )
        for name in names
    ]


def varying_settings(runs: "pd.DataFrame", *, with_seeds: bool = False) -> list[str]:
    """Return the columns of settings that tell runs apart; the architecture where none does.

    Args:
        runs: runs.csv.
        with_seeds: whether those of the seeds are among them.
    """
    settings = ["architecture", "activation", "dataset", *RUNS.settings(runs)]
    names = [*(name for name in settings if name not in SEEDS), *(SEEDS if with_seeds else ())]
    return [name for name in names if name in runs and runs[name].nunique(dropna=False) > 1] or [
        "architecture"
    ]


def units_of(names: Sequence[str]) -> list[str]:
    """Return a line for each unit of some columns of trained networks, such as ``test_accuracy``."""
    return [meaning for end, meaning in UNITS.items() if any(name.endswith(end) for name in names)]


def why_failed(runs: "pd.DataFrame") -> list[str]:
    """Return why runs have no result, each reason once with the number of its runs."""
    reasons = runs["error"].dropna()
    counts = reasons[reasons != ""].value_counts(sort=False)
    return [
        line
        for reason, number in counts.items()
        for line in fill(f"{number} of {count(len(runs), 'run')} failed: {reason}", "  ")
    ]


def _cell(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)
