"""Whether folding grows with width: the share of paths that fold, and how far they do.

The folding paper reports the share (arXiv 2502.09954, section 5).
"""

from markupsafe import Markup

from spaceprobe.findings.along import along_finding
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

SHARE, LARGEST, ROW_MAXIMA = "chi_folded_mean", "chi_max", "chi_row_max_median"

NARROW, WIDE, DEEPER = "2x30", "2x300", "3x200"
"""The narrowest and the widest network of two layers, and one of as many units in three."""


def _says(numbers: Numbers) -> list[Markup]:
    def change(measure: str, state: str, first: str = NARROW, second: str = WIDE) -> Markup:
        return change_of(numbers, {"measure": measure, "state": state, "first": first, "second": second})

    def with_width(name: str, measure: str) -> Markup:
        ends = (
            mean_of(numbers, "means", {"measure": measure, "state": state, "architecture": architecture})
            for state in (TRAINED, UNTRAINED)
            for architecture in (NARROW, WIDE)
        )
        return sentence(
            "{} is {} in trained networks with `2x30` units and {} with `2x300`, a change of {}; "
            "untrained, it is {} and {}, a change of {}.",
            name,
            next(ends),
            next(ends),
            change(measure, TRAINED),
            next(ends),
            next(ends),
            change(measure, UNTRAINED),
        )

    added = sentence(
        "Training changes the largest χ by {} at `2x30` and by {} at `2x300`, the second minus the first "
        "being {} (for row maxima {}); a third layer at as many units, `3x200`, changes that of trained "
        "networks by {}.",
        change(LARGEST, DIFFERENCE, NARROW, NARROW),
        change(LARGEST, DIFFERENCE, WIDE, WIDE),
        change(LARGEST, DIFFERENCE),
        change(ROW_MAXIMA, DIFFERENCE),
        change(LARGEST, TRAINED, WIDE, DEEPER),
    )
    shares = with_width("The share of paths that fold", SHARE)
    return [shares, with_width("The largest χ, the median over class pairs,", LARGEST), added]


ENTRY = along_finding(
    _says,
    "width",
    ((NARROW, WIDE), (WIDE, DEEPER)),
    title="Width",
    question="Do more paths fold in wider networks, and do they fold further? Also before training?",
    study="width",
    beside=(DEEPER,),
    caption="Against the units of a hidden layer: a dot is a network, a marker the mean over seeds with its "
    "interval; lines join networks of two hidden layers, diamonds have three",
)
