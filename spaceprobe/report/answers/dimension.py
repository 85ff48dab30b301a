"""The dimension of data and activations beside the ranks of the weights."""

from markupsafe import Markup

from spaceprobe.report.answers.convergence import converged_by_the_end
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.manifold import RULES, STATE, dimension_beside_rank
from spaceprobe.results.answers.networks import has_swept
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED


def _many_activations(results: Results) -> str | None:
    return "the study compares activations" if has_swept(results, "activation") else None


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    state = TRAINED if (frame[STATE] == TRAINED).any() else str(frame[STATE].iloc[0])
    rows = frame[frame[STATE] == state]
    row = int(str(rows["layer"].idxmin()))
    text = sentence(
        "The data have dimension {} ({} to {}), and the activations that leave a layer of {} networks "
        "{} to {}.",
        *(numbers.cell(table, row, f"input{end}", ".2f") for end in ("", "_least", "_largest")),
        state,
        *(numbers.statistic(end, table, "output", {STATE: state}, ".2f") for end in ("min", "max")),
    )
    if rows["functional"].notna().any():
        text += sentence(
            " The functional rank of their weights goes from {} to {} by layer: a rank is not a dimension.",
            *(numbers.statistic(end, table, "functional", {STATE: state}, ".1f") for end in ("min", "max")),
        )
    return text + converged_by_the_end(numbers)


def _with_extremes(column: str, head: str | Markup, spec: str) -> Shown:
    return Shown(column, head, spec, extremes=(f"{column}_least", f"{column}_largest"))


ENTRY = AnswerEntry(
    question="What is the dimension of data and activations, and what the rank of the weights?",
    needs=("lmd_dimension", "lmd_ranks", "lmd_convergence"),
    unless=_many_activations,
    function=dimension_beside_rank,
    lines=(SETTINGS, "layer", STATE),
    shown=(
        _with_extremes("input", "dimension of what enters", ".2f"),
        _with_extremes("output", "dimension of what leaves", ".2f"),
        *(_with_extremes(rule, sentence("rank by <code>{}</code>", rule), ".1f") for rule in RULES),
    ),
    says=_says,
    figures=("dimension",),
)
