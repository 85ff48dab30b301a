"""Whether paths fold more than the number of their flips explains, and whether depth makes them."""

from markupsafe import Markup

from spaceprobe.analysis.predictors import main_predictor
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.drawing.number_axis import AXES
from spaceprobe.report.entry import joined, sample_of, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.null_model import ABOVE, BELOW, STATE, null_means
from spaceprobe.results.answers.verdicts import NO_INTERVAL, SPANS_ZERO, VERDICT
from spaceprobe.results.null_rows import CORRELATIONS, null_correlation_rows
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.states import TRAINED, UNTRAINED

_RESPONSES = {
    "chi": "χ",
    "matched_chi": "χ at matched lengths",
    "excess": "the excess",
    "matched_excess": "the excess at matched lengths",
}
"""The columns whose correlations are told."""


def _says(numbers: Numbers, table: str) -> Markup:
    states = [state for state in (TRAINED, UNTRAINED) if (numbers.frames[table][STATE] == state).any()]
    parts = [_excess(numbers, table, state) for state in states]
    runs = numbers.frames["runs"]
    predictor = main_predictor(runs, RUNS.settings(runs))
    if predictor is not None:
        parts += [_correlations(numbers, predictor, state) for state in states]
    return joined([part for part in parts if part], " ")


def _excess(numbers: Numbers, table: str, state: str) -> Markup:
    """Describe χ, its null value and the excess of the networks in a state."""
    of_state = {STATE: state}
    ends = [
        numbers.statistic(end, table, column, of_state, ".3f" if column != "excess" else "+.4f")
        for column in ("chi", "null_chi", "excess")
        for end in ("min", "max")
    ]
    return sentence(
        "The paths of {} networks have a mean χ of {} to {}, and of {} to {} in random order of their flips: "
        "an excess of {} to {}. Of {} means over seeds of the excess {} have an interval above zero, {} "
        "below it, {} one that spans it, {} none.",
        state,
        *ends,
        numbers.statistic("count", table, None, of_state),
        *(
            numbers.statistic("count", table, None, {**of_state, VERDICT: verdict})
            for verdict in (ABOVE, BELOW, SPANS_ZERO, NO_INTERVAL)
        ),
    )


def _correlations(numbers: Numbers, predictor: str, state: str) -> Markup:
    """Describe how χ, its null value and the excess of networks in a state go with what is swept."""
    rows = null_correlation_rows(numbers.frames, predictor, state)
    parts = [
        sentence(
            "{} with {} {}",
            numbers.cell(CORRELATIONS, rows[column], "pearson", "+.2f"),
            name,
            numbers.interval(CORRELATIONS, rows[column], "pearson_low", "pearson_high", "+.2f")
            or "(no interval)",
        )
        for column, name in _RESPONSES.items()
        if column in rows
    ]
    if not parts:
        return Markup()
    return sentence(
        "The correlation of {} of {} networks is {} ({}).",
        AXES.get(predictor, predictor.replace("_", " ")).partition(" (")[0],
        state,
        joined(parts),
        sample_of(numbers, next(iter(rows.values())), CORRELATIONS),
    )


ENTRY = AnswerEntry(
    question="Do paths fold more than the number of their flips explains?",
    needs=("folding_null",),
    function=null_means,
    lines=(SETTINGS, "depth"),
    across=STATE,
    shown=(
        Shown("chi", "χ"),
        Shown("null_chi", "null value"),
        Shown("excess", "excess", "+.4f", ("excess_low", "excess_high")),
        Shown("matched_chi", "χ at matched lengths"),
        Shown(
            "matched_excess",
            "excess at matched lengths",
            "+.4f",
            ("matched_excess_low", "matched_excess_high"),
        ),
        Shown("overlap", "overlap", ".2f"),
    ),
    says=_says,
    reading="Means over seeds of the mean over single paths. The null value is the χ of a path averaged over "
    "random orders of its flips; the overlap is the share of paths that matched lengths are of",
    figures=("null-model",),
)
