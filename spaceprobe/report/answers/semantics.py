"""Whether leading latent axes carry class, against the untrained network and against shuffled labels."""

from markupsafe import Markup

from spaceprobe.report.answers.convergence import converged_by_the_end
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.semantics import STATE, leading_axes
from spaceprobe.tables.states import TRAINED, UNTRAINED


def _range(numbers: Numbers, table: str, column: str, state: str, spec: str = ".2f") -> Markup:
    ends = (numbers.statistic(end, table, column, {STATE: state}, spec) for end in ("min", "max"))
    return joined([*ends], " to ")


def _says(numbers: Numbers, table: str) -> Markup:
    states = {*numbers.frames[table][STATE]}
    state = TRAINED if TRAINED in states else UNTRAINED
    text = sentence(
        "Along the {} leading axes of each layer classes explain {} of the variance in {} networks, and {} "
        "with shuffled labels.",
        numbers.statistic("max", table, "num_axes"),
        _range(numbers, table, "mean", state),
        state,
        _range(numbers, table, "shuffled", state, ".4f"),
    )
    if len(states) > 1:
        text += sentence(
            " Untrained it is {}: every direction of images carries some class, and training adds {}.",
            _range(numbers, table, "mean", UNTRAINED),
            _range(numbers, table, "difference", state, "+z.2f"),
        )
    text += sentence(
        " These axes hold {} of all variance between classes.", _range(numbers, table, "held", state)
    )
    return text + converged_by_the_end(numbers)


ENTRY = AnswerEntry(
    question="Do the leading latent axes carry class meaning?",
    needs=("lmd_semantics", "lmd_convergence"),
    function=leading_axes,
    lines=(SETTINGS, "layer", STATE),
    shown=(
        Shown("mean", "explained by class"),
        Shown("difference", "more than untrained", "+z.3f", ("difference_low", "difference_high")),
        Shown("shuffled", "with shuffled labels", ".4f"),
        Shown("held", "of all variance between classes"),
    ),
    says=_says,
    figures=("semantics",),
)
