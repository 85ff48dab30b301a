"""How many more components a layer needs for random labels than for the least random ones."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.answers.memory import ENTRY as MEMORY
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.memory import LABELS, ranks_of_labels
from spaceprobe.results.questions import has_valid_rank, scored_points
from spaceprobe.results.results import Results


def _no_functional_rank(results: Results) -> str | None:
    if not has_valid_rank(results.frames["lmd_ranks"], "functional"):
        return "no layer has a valid functional rank"
    return MEMORY.unless(results)


def _says(numbers: Numbers, table: str) -> Markup:
    share = float(numbers.frames[table][LABELS].max())
    if not numbers.frames[table]["difference"].notna().any():
        return Markup("No layer of the same network was measured at another share of random labels.")
    differences = [
        numbers.statistic(end, table, "difference", {LABELS: share}, "+z.1f") for end in ("min", "max")
    ]
    return sentence(
        "With random labels (a share of {}) the functional rank of a layer, the least that keeps the "
        "accuracy{} within one point, is {} to {} components larger than with the least random ones, as "
        "means over seeds.",
        numbers.statistic("max", table, LABELS, None, "g"),
        scored_points(numbers.frames),
        *differences,
    )


ENTRY = AnswerEntry(
    question="What do random labels cost in rank?",
    needs=("lmd_ranks",),
    unless=_no_functional_rank,
    function=ranks_of_labels,
    lines=(SETTINGS, "layer"),
    across=LABELS,
    shown=(
        Shown("mean", "functional rank", ".1f"),
        Shown(
            "difference", "more than with the least random", "+z.1f", ("difference_low", "difference_high")
        ),
    ),
    says=_says,
    figures=("ranks",),
)
