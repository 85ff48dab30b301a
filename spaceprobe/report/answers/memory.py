"""Which share of random labels a network fits, and whether that has come to an end."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.memory import LABELS, fitted_labels
from spaceprobe.results.answers.networks import has_swept
from spaceprobe.results.results import Results


def _no_random_labels(results: Results) -> str | None:
    return None if has_swept(results, LABELS) else "data.random_labels is not swept"


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    last, share = int(frame["epoch"].max()), float(frame[LABELS].max())
    where = {"epoch": last, LABELS: share}
    rows = frame[(frame["epoch"] == last) & (frame[LABELS] == share)]
    row = int(rows.index[0])
    return sentence(
        "With the largest share of random labels, {}, networks fit {} to {} of their labels after {} epochs, "
        "when {} of {} of them are at rest. Over the second half of the training the share rose by up "
        "to {}: where it still rises, it says how fast labels are fitted, not how many can be.",
        numbers.cell(table, row, LABELS, "g"),
        *(numbers.statistic(end, table, "mean", where, ".3f") for end in ("min", "max")),
        numbers.cell(table, row, "epoch", "d"),
        numbers.statistic("sum", table, "num_at_rest", where),
        numbers.statistic("sum", table, "num_values", where),
        numbers.statistic("max", table, "rise", where, ".3f"),
    )


ENTRY = AnswerEntry(
    question="Which share of its labels does a network fit?",
    needs=("training", "lmd_convergence"),
    unless=_no_random_labels,
    function=fitted_labels,
    lines=(LABELS, SETTINGS),
    across="epoch",
    shown=(
        Shown("num_values", "networks", "d", once=True),
        Shown("num_at_rest_at_end", "at rest at the end", "d", once=True),
        Shown(
            "difference_at_end",
            "from the first activation at the end",
            "+z.3f",
            ("difference_low_at_end", "difference_high_at_end"),
            once=True,
        ),
        Shown("mean", "fitted", interval=("low", "high")),
    ),
    says=_says,
    figures=("memory", "training"),
)
