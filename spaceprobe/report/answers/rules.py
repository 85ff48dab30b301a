"""Which rank rule keeps as much as a network needs."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.networks import Networks
from spaceprobe.results.answers.ranks import rules_beside_functional
from spaceprobe.results.questions import has_valid_rank
from spaceprobe.results.results import Results

_OTHER_QUESTIONS = ("folding", "lmd_dimension", "lmd_semantics")
"""Tables of studies that ask something else, and measure the functional rank beside it."""


def _asks_otherwise(results: Results) -> str | None:
    if not has_valid_rank(results.frames["lmd_ranks"], "functional"):
        return "no layer has a valid functional rank"
    if any(results.has(table) for table in _OTHER_QUESTIONS) or {*Networks(results).settings} - {
        "architecture"
    }:
        return "the study asks something else"
    return None


def _says(numbers: Numbers, table: str) -> Markup:
    return sentence(
        "Closest to the functional rank over {} layers is <code>{}</code>: it keeps {} {} times what the "
        "network needs (geometric mean), with a root mean square of the logarithm of {}; farthest is "
        "<code>{}</code> with {} times.",
        numbers.cell(table, 0, "num_layers", "d"),
        numbers.text(table, 0, "rule"),
        numbers.cell(table, 0, "ratio", ".2f"),
        numbers.interval(table, 0, "ratio_low", "ratio_high", ".2f"),
        numbers.cell(table, 0, "error", ".2f"),
        *_farthest(numbers, table),
    )


def _farthest(numbers: Numbers, table: str) -> tuple[Markup, Markup]:
    frame = numbers.frames[table]
    rule = frame["rule"].iloc[-1]
    row = int(frame.index[frame["rule"] == rule][0])
    return numbers.text(table, row, "rule"), numbers.cell(table, row, "ratio", ".2f")


ENTRY = AnswerEntry(
    question="Which rank rule keeps as much as the network needs?",
    needs=("lmd_ranks", "lmd_layers"),
    unless=_asks_otherwise,
    function=rules_beside_functional,
    lines=("rule",),
    across="size",
    shown=(
        Shown("ratio", "rank / functional rank", ".2f", ("ratio_low", "ratio_high")),
        Shown("error", "error", ".2f"),
    ),
    says=_says,
    reading="Geometric means over layers and seeds; error: the root mean square of the logarithm; layers by "
    "their number of components",
    figures=("ranks",),
)
