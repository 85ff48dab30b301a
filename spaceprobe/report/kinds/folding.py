"""Figures of space folding: against depth, width and other settings, over class pairs, and over paths."""

from collections.abc import Callable

import pandas as pd
from markupsafe import Markup

from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
from spaceprobe.report import figures as draw
from spaceprobe.report.kinds.kind import AT_THE_END, Kind, joined, needs, said, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.groups import LABEL, with_groups
from spaceprobe.results.missing import why_missing
from spaceprobe.results.questions import (
    STATES,
    architecture_rows,
    correlation_row,
    largest_folding,
    varying_predictors,
    way_shown,
)
from spaceprobe.results.results import Results

Predictor = Callable[[pd.DataFrame], str | None]
"""Given runs.csv, returns what folding is set against; None where that does not vary."""


def _against(name: str, title: str, predictor: Predictor) -> Kind:
    """Return folding against depth, width or another setting."""

    def lacks(results: Results) -> str | None:
        missing = why_missing(results, "folding", "aggregates")
        if missing is None and predictor(results.frames["runs"]) is None:
            return "no other number is swept" if name == "setting" else f"all networks have the same {name}"
        return missing

    def named(runs: pd.DataFrame) -> str:
        return predictor(runs) or name

    return Kind(
        name=name,
        title=title,
        section="folding",
        tables=("aggregates", "architectures", "correlations"),
        lacks=lacks,
        draw=lambda r: draw.folding_against(
            r.frames["runs"], r.frames["folding"], r.frames.get("correlations"), named(r.frames["runs"])
        ),
        caption=lambda numbers: _against_words(numbers, named(numbers.frames["runs"])),
    )


def _varying(name: str) -> Predictor:
    return lambda runs: name if name in varying_predictors(runs) else None


def _setting(runs: pd.DataFrame) -> str | None:
    return next((name for name in varying_predictors(runs) if name not in ("depth", "width")), None)


def _against_words(numbers: Numbers, predictor: str) -> Markup:
    """Describe what becomes of folding with depth, width or another setting."""
    groups = with_groups(numbers.frames["runs"])
    is_mixed = groups.groupby(predictor)[LABEL].nunique().gt(1).any()
    read = said(
        "Every point is a network, the line joins means {}; filled and solid is trained, open and dashed "
        "untrained.",
        "over networks that differ in more than their seed, so that there is no interval"
        if is_mixed
        else Markup("over seeds with their 95 % t intervals"),
    )
    seen = [*_ends(numbers, predictor), *_correlations(numbers, predictor)]
    return read + Markup(" {}.").format(joined(seen, "; ")) if seen else read


def _ends(numbers: Numbers, predictor: str) -> list[Markup]:
    """Describe the row maxima at the least and the largest value of a predictor."""
    rows = architecture_rows(numbers.frames, "trained")
    if not rows:
        return []
    table = numbers.frames["architectures"].loc[[*rows.values()]]
    column, low, high = (f"{PRIMARY_RESPONSE}_{end}" for end in ("mean", "low", "high"))
    table = table.dropna(subset=column)
    if predictor not in table or len(table) < 2 or not table[predictor].is_unique:
        return []  # of several groups at one value, each end would be of other settings
    order = table[predictor].to_numpy(float).argsort(kind="stable")
    parts = [
        said(
            "{} {} at {} {}",
            numbers.cell("architectures", row, column),
            numbers.interval("architectures", row, low, high),
            predictor.replace("_", " "),
            numbers.cell("architectures", row, predictor, "g"),
        )
        for row in (table.index.tolist()[place] for place in (order[0], order[-1]))
    ]
    return [said("The row maxima of χ of trained networks are {} and {}", *parts)]


def _correlations(numbers: Numbers, predictor: str) -> list[Markup]:
    """Describe the correlation of a predictor with row maxima, trained and untrained, where there is one."""
    rows = {state: correlation_row(numbers.frames, predictor, state) for state in STATES}
    parts = [
        said(
            "{} {} {}",
            numbers.cell("correlations", row, "pearson"),
            numbers.interval("correlations", row, "pearson_low", "pearson_high"),
            STATES[state],
        )
        for state, row in rows.items()
        if row is not None
    ]
    return [said("their correlation is {}", joined(parts))] if parts else []


def _class_pairs_words(numbers: Numbers) -> Markup:
    """Describe which class pair folds most."""
    read = Markup(
        "Rows are the classes that paths start from, columns those where they end: χ has a direction. Cells "
        "are means over seeds, on one scale for each row of maps; a pointer on a cell shows its number."
    )
    row = largest_folding(numbers.frames)
    if row is None:
        return read
    return read + said(
        " The largest χ of any trained network is {}, on a path from class {} to class {}.",
        numbers.cell("folding", row, "max"),
        numbers.cell("folding", row, "source_class", "d"),
        numbers.cell("folding", row, "target_class", "d"),
    )


def _distribution_words(numbers: Numbers) -> Markup:
    """Describe how many paths were counted."""
    where = {"measure": "chi", **way_shown(numbers.frames), **AT_THE_END}
    return said(
        "Which share of the folded paths has which χ; the legend gives the share that folds at all. Counted "
        "are all {} paths between the images chosen, {}.",
        numbers.reading("sum", "folding_histogram", "num_paths", where),
        when(numbers, "folding_histogram"),
    )


FOLDING = (
    _against("depth", "Folding against depth", _varying("depth")),
    _against("width", "Folding against width", _varying("width")),
    _against("setting", "Folding against another setting", _setting),
    Kind(
        name="class-pairs",
        title="Which classes fold",
        section="folding",
        tables=("folding",),
        lacks=needs("folding"),
        draw=lambda r: draw.class_pair_heat_maps(r.frames["runs"], r.frames["folding"]),
        caption=_class_pairs_words,
    ),
    Kind(
        name="distribution",
        title="How far paths fold",
        section="folding",
        tables=("folding_histogram",),
        lacks=needs("folding", "folding_histogram"),
        draw=lambda r: draw.chi_distribution(r.frames["runs"], r.frames["folding_histogram"]),
        caption=_distribution_words,
    ),
)
