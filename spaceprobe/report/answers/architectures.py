"""Which kinds of networks fold, and how far, exact and sampled ones apart."""

import pandas as pd
from markupsafe import Markup

from spaceprobe.report.answers.entry import AnswerEntry, Shown
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.architectures import (
    EXACTLY,
    NETWORK,
    SAMPLED,
    STATE,
    WALKED,
    architecture_folding,
    no_kinds,
)
from spaceprobe.tables.states import TRAINED, UNTRAINED


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    state = TRAINED if (frame[STATE] == TRAINED).any() else UNTRAINED
    parts = [_extremes(numbers, table, state, walked) for walked in (EXACTLY, SAMPLED)]
    parts += [_counted(numbers, table), _single_layers(numbers, table, state)]
    return joined([part for part in parts if part], " ")


def _counted(numbers: Numbers, table: str) -> Markup:
    """Describe how many units are counted, of the networks of which that is known."""
    units = numbers.frames[table]["units"]
    if units.isna().all():
        return Markup()
    ends = [numbers.statistic(of, table, "units") for of in ("min", "max")]
    return sentence(
        "They have {} counted units{}.",
        ends[0] if units.nunique() == 1 else sentence("{} to {}", *ends),
        ", those of your own left out" if units.isna().any() else "",
    )


def _extremes(numbers: Numbers, table: str, state: str, walked: str) -> Markup:
    """Describe the networks whose paths fold least and most often, of those that were walked in one way."""
    rows = _rows(numbers, table, state, walked).sort_values("folded", kind="stable")
    if rows.empty:
        return Markup()
    lead = "Walked exactly" if walked == EXACTLY else "Sampled, so that numbers are lower bounds"
    shares = [
        (numbers.cell(table, row, "folded"), _network(numbers, table, row))
        for row in (int(rows.index[0]), int(rows.index[-1]))
    ]
    if len(rows) == 1:
        return sentence(
            "{}: {} of the paths of {} networks fold ({}).", lead, shares[0][0], state, shares[0][1]
        )
    return sentence(
        "{}: the share of paths of {} networks that fold goes from {} ({}) to {} ({}).",
        lead, state, *shares[0], *shares[1],
    )  # fmt: skip


def _network(numbers: Numbers, table: str, row: int) -> Markup:
    """Return the name of a network, and the median χ of its folded paths where it has some."""
    name = numbers.text(table, row, NETWORK)
    if pd.isna(numbers.value_at(table, row, "median")):
        return name
    return sentence("{}, median χ of those paths {}", name, numbers.cell(table, row, "median", ".2f"))


def _single_layers(numbers: Numbers, table: str, state: str) -> Markup:
    """Describe what networks with one hidden layer do, where there are some that were walked exactly."""
    where = {"depth": 1, STATE: state, WALKED: EXACTLY}
    rows = _rows(numbers, table, state, EXACTLY)
    rows = rows[rows["depth"] == 1]
    if rows.empty:
        return Markup()
    names = joined([numbers.text(table, int(row), NETWORK) for row in rows.index])
    return sentence(
        "With one hidden layer ({}), {} of {} networks have a path that folds; the largest share is {}.",
        names,
        numbers.statistic("count", table, None, {**where, "folds": True}),
        numbers.statistic("count", table, None, where),
        numbers.statistic("max", table, "folded", where, ".3f"),
    )


def _rows(numbers: Numbers, table: str, state: str, walked: str) -> pd.DataFrame:
    frame = numbers.frames[table]
    return frame[(frame[STATE] == state) & (frame[WALKED] == walked)]


ENTRY = AnswerEntry(
    question="Which kinds of networks fold, and how far?",
    needs=("folding_histogram",),
    unless=no_kinds,
    function=architecture_folding,
    lines=(NETWORK, WALKED),
    across=STATE,
    shown=(
        Shown("units", "counted units", ",d", once=True),
        Shown("folded", "paths that fold", ".3f", ("folded_low", "folded_high")),
        Shown("median", "median χ", ".2f"),
        Shown("q90", Markup("<code>90</code> % below χ"), ".2f"),
        Shown("largest", "largest χ", ".2f"),
        Shown(
            "test_accuracy", "test accuracy", ".3f", ("test_accuracy_low", "test_accuracy_high"), once=True
        ),
    ),
    says=_says,
    reading="Means over seeds, of paths between the images chosen; quantiles of χ are of the paths that "
    "fold, and upper ends of bins. Exact numbers count every linear region; a sampled path may fold more "
    "often than was seen",
    figures=("architectures",),
)
