"""How many directions S' holds under the metric of the data, beside the dimension of the data."""

import itertools

import pandas as pd
from markupsafe import Markup

from spaceprobe.report.answers.dimension import ENTRY as DIMENSION
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.manifold import NUM_ENERGIES, STATE, separation_energies
from spaceprobe.results.groups import value_label
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED


def _no_data_metric(results: Results) -> str | None:
    if not (results.frames["lmd_spectrum"]["basis"] == "data").any():
        return "the study does not ask for the metric (lmd.metrics: data)"
    return DIMENSION.unless(results)


def _says(numbers: Numbers, table: str) -> Markup:
    """Describe the layer that could keep most, that with most values before training, and its networks."""
    frame = numbers.frames[table]
    by_state = {state: frame[frame[STATE] == state] for state in (UNTRAINED, TRAINED)}
    there = [rows for rows in by_state.values() if len(rows)]
    before, after = there[0], there[-1]
    first = int(str(before["num_values"].idxmax()))
    row = _same_networks(frame, after, first)
    text = sentence(
        "The data have {} dimensions. In layer {} of {} networks{}",
        numbers.cell(table, row, "num_leading", "d"),
        numbers.cell(table, row, "layer", "d"),
        str(frame.at[row, STATE]),
        _named(numbers, table, row),
    )
    if numbers.value_at(table, row, "num_values") <= numbers.value_at(table, row, "num_leading"):
        return text + sentence(
            " S′ has {} values in the mean, not more than that, so that they hold all of its energy in any "
            "case{}.",
            numbers.cell(table, row, "num_values", ".3g"),
            Markup() if row == first else sentence("; untrained, {}", _share(numbers, table, first)),
        )
    text += sentence(" {} of its energy", _share(numbers, table, row))
    return text + (
        Markup(".") if row == first else sentence("; untrained, {}.", _share(numbers, table, first))
    )


def _share(numbers: Numbers, table: str, row: int) -> Markup:
    """Describe the energy of the leading values in a row."""
    return sentence(
        "the {} largest of {} values of S′ hold {} ({} to {})",
        numbers.cell(table, row, "num_leading", "d"),
        numbers.cell(table, row, "num_values", ".3g"),
        *(numbers.cell(table, row, f"leading{end}", ".3f") for end in ("", "_least", "_largest")),
    )


def _settings(frame: pd.DataFrame) -> list[str]:
    """Return the columns of the settings in which the networks of a table differ: those before the layer."""
    return [*itertools.takewhile(lambda name: name != "layer", map(str, frame.columns))]


def _same_networks(frame: pd.DataFrame, rows: pd.DataFrame, first: int) -> int:
    """Return the row of the same layer and settings as another; the first where training adds settings."""
    same = rows[rows["layer"] == frame.at[first, "layer"]]
    for name in _settings(frame):
        is_same = same[name] == frame.at[first, name]
        same = same[is_same] if is_same.any() else same
    return int(same.index[0])


def _named(numbers: Numbers, table: str, row: int) -> Markup:
    """Return the settings of the networks of a row, where a table has several."""
    values = {name: numbers.value_at(table, row, name) for name in _settings(numbers.frames[table])}
    labels = " · ".join(value_label(name, value) for name, value in values.items() if not pd.isna(value))
    if not labels:
        return Markup()
    return Markup(" <code>{}</code>").format(labels)


ENTRY = AnswerEntry(
    question="How many directions does a layer keep apart, with the metric of its data?",
    needs=("lmd_spectrum", "lmd_dimension"),
    unless=_no_data_metric,
    function=separation_energies,
    lines=(SETTINGS, "layer", STATE),
    shown=(
        Shown("num_values", "values of S′", ".1f"),
        *(
            Shown(f"energy_{number}", f"energy of the {name}")
            for number, name in zip(range(1, NUM_ENERGIES + 1), ("first", "second", "third"), strict=True)
        ),
        Shown("leading", "of the leading ones", extremes=("leading_least", "leading_largest")),
        Shown("weights", "of as many in the weights alone"),
    ),
    says=_says,
    figures=("metrics",),
)
