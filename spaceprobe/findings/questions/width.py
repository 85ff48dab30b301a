"""Whether folding grows with width: the share of paths that fold, and how far they do.

The folding paper reports the share (arXiv 2502.09954, section 5).
"""

from markupsafe import Markup

from spaceprobe.findings.along import Compared, along_finding
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

SHARE, LARGEST = "chi_folded_mean", "chi_max"

NARROW, WIDE, DEEPER = "2x30", "2x300", "3x200"
"""The narrowest and the widest network of two layers, and one of as many units in three."""


COMPARED = (
    *(
        Compared(measure, state, NARROW, WIDE)
        for measure in (SHARE, LARGEST)
        for state in (UNTRAINED, TRAINED, DIFFERENCE)
    ),
    Compared(LARGEST, DIFFERENCE, NARROW, NARROW),
    Compared(LARGEST, DIFFERENCE, WIDE, WIDE),
    Compared(LARGEST, TRAINED, WIDE, DEEPER),
)


def _says(numbers: Numbers) -> list[Markup]:
    def change(*compared: str) -> Markup:
        return change_of(numbers, Compared(*compared)._asdict())

    def with_width(name: str, measure: str) -> Markup:
        parts = []
        for state in (TRAINED, UNTRAINED):
            for architecture in (NARROW, WIDE):
                where = {"measure": measure, "state": state, "architecture": architecture}
                parts.append(mean_of(numbers, "means", where))
            parts.append(change(measure, state, NARROW, WIDE))
        return sentence(
            "{} is {} in a trained `2x30` and {} in a trained `2x300`, a change of {}; untrained, it is {} "
            "and {}, a change of {}.",
            name,
            *parts,
        )

    added = sentence(
        "Training changes the largest χ of a `2x30` by {} and that of a `2x300` by {}, the latter minus the "
        "former being {}, and for the share of paths that fold {}; a third layer at as many units, `3x200`, "
        "changes the largest χ of trained networks by {}.",
        change(LARGEST, DIFFERENCE, NARROW, NARROW),
        change(LARGEST, DIFFERENCE, WIDE, WIDE),
        change(LARGEST, DIFFERENCE, NARROW, WIDE),
        change(SHARE, DIFFERENCE, NARROW, WIDE),
        change(LARGEST, TRAINED, WIDE, DEEPER),
    )
    shares = with_width("The share of paths that fold", SHARE)
    return [shares, with_width("The largest χ, the median over class pairs,", LARGEST), added]


ENTRY = along_finding(
    _says,
    "width",
    COMPARED,
    title="Width",
    question="Do more paths fold in wider networks, and do they fold further? Also before training?",
    study="width",
    beside=(DEEPER,),
    caption="Against the units of a hidden layer: a dot is a network, a marker the mean over seeds with its "
    "interval; lines join networks of two hidden layers, diamonds have three",
)
