"""Captions of the figures of folding against depth, width or another setting."""

from markupsafe import Markup

from spaceprobe.analysis.aggregates import pairs_without_folding
from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
from spaceprobe.analysis.over_seeds import MIN_SEEDS
from spaceprobe.analysis.samples import POOLED
from spaceprobe.report.drawing.marks import STATE_LOOKS
from spaceprobe.report.drawing.number_axis import AXES
from spaceprobe.report.entry import joined, sample_of, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import AlongAxis, aggregates_along
from spaceprobe.results.questions import architecture_rows, correlation_row
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.states import TRAINED, UNTRAINED


def caption_along(numbers: Numbers, predictor: str) -> Markup:
    """Describe how folding depends on depth, width or another setting."""
    along = aggregates_along(predictor, numbers.frames["runs"], numbers.frames["aggregates"], None)
    drawn = [state for state in reversed(STATE_LOOKS) if (along.aggregates["state"] == state).any()]
    how_to_read = sentence(
        "Every point is a network, the line joins means {}; {}.",
        _over(along, predictor),
        joined([_READING[state] for state in drawn]),
    )
    if drawn == [TRAINED] and predictor in RUNS.training_only:
        how_to_read += sentence(" Untrained networks do not depend on it, and are not drawn.")
    results = [*_ends(numbers, predictor), *_correlations(numbers, predictor)]
    text = how_to_read + Markup("").join(Markup(" {}.").format(result) for result in results)
    remark = without_folding(numbers)
    return text + Markup(" {}").format(remark) if remark else text


ON_LOGIT = "computed on the scale of the logit and turned back"
"""How the intervals of quantities with two bounds come about (docs/definitions.md, "Intervals")."""


def without_folding(numbers: Numbers) -> Markup:
    """Describe which class pairs the largest χ counts and row maxima do not; nothing where there are none."""
    folding = numbers.frames.get("folding")
    if folding is None or not pairs_without_folding(folding)[0]:
        return Markup()
    every = {"measure": "chi"}
    without = numbers.statistic("count", "folding", None, {**every, "folded": 0.0})
    is_one = without.striptags() == "1"
    return sentence(
        "{} of {} class pairs, those of all networks, {} as zero in the largest χ and {} out of row maxima, "
        "which may be the larger for that.",
        without,
        numbers.statistic("count", "folding", None, every),
        "has no folded path: it counts" if is_one else "have no folded path: they count",
        "drops" if is_one else "drop",
    )


_READING = {
    TRAINED: Markup("filled and solid is trained"),
    UNTRAINED: Markup("open and dashed is untrained"),
}


def _over(along: AlongAxis, predictor: str) -> str:
    """Describe what the means that are drawn are over, and where they have intervals."""
    apart = [state for state in STATE_LOOKS if along.is_over_seeds.get(state)]
    mixed = [state for state in STATE_LOOKS if along.is_over_seeds.get(state) is False]
    if not apart:
        return "over networks that differ in more than their seed, and therefore without an interval"
    rows = along.aggregates[along.aggregates["state"].isin(apart)]
    if rows.groupby(["state", predictor]).size().max() < MIN_SEEDS:
        text = "over seeds, without intervals, which take three seeds"
    else:
        text = f"over seeds with their 95 % t intervals ({ON_LOGIT}), where there are three seeds that differ"
    others = f"; {mixed[0]} networks differ in more than their seed, and have no interval" if mixed else ""
    return text + others


def _ends(numbers: Numbers, predictor: str) -> list[Markup]:
    """Describe the row maxima at the smallest and the largest value of a predictor."""
    rows = architecture_rows(numbers.frames, TRAINED)
    if not rows:
        return []
    table = numbers.frames["architectures"].loc[[*rows.values()]]
    column, low, high = (f"{PRIMARY_RESPONSE}_{end}" for end in ("mean", "low", "high"))
    table = table.dropna(subset=column)
    if predictor not in table or len(table) < 2 or not table[predictor].is_unique:
        return []  # of several groups at one value, each end would be of other settings
    order = table[predictor].to_numpy(float).argsort(kind="stable")
    parts = [
        sentence(
            "{} {} at {} {}",
            numbers.cell("architectures", row, column),
            numbers.interval("architectures", row, low, high),
            AXES.get(predictor, predictor.replace("_", " ")).partition(" (")[0],
            numbers.cell("architectures", row, predictor, "g"),
        )
        for row in (table.index.tolist()[place] for place in (order[0], order[-1]))
    ]
    return [sentence("The row maxima of χ of trained networks are {} and {}", *parts)]


def _correlations(numbers: Numbers, predictor: str) -> list[Markup]:
    """Describe the correlation of a predictor with row maxima, trained and untrained, where there is one."""
    rows = {state: correlation_row(numbers.frames, predictor, state) for state in reversed(STATE_LOOKS)}
    parts = [
        sentence(
            "{} {} {}{} ({})",
            numbers.cell("correlations", row, "pearson"),
            numbers.interval("correlations", row, "pearson_low", "pearson_high") or "without an interval",
            STATE_LOOKS[state].name,
            " pooled" if numbers.frames["correlations"].at[row, "at"] == POOLED else "",
            sample_of(numbers, row),
        )
        for state, row in rows.items()
        if row is not None
    ]
    return [sentence("The correlation with the row maxima of χ is {}", joined(parts))] if parts else []
