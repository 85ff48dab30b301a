"""How many directions S' holds under the metric of the data, beside the dimension of the data."""

from markupsafe import Markup

from spaceprobe.report.answers.dimension import ENTRY as DIMENSION
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.manifold import NUM_ENERGIES, STATE, separation_energies
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED


def _no_data_metric(results: Results) -> str | None:
    if not (results.frames["lmd_spectrum"]["basis"] == "data").any():
        return "the study does not ask for the metric (lmd.metrics: data)"
    return DIMENSION.unless(results)


def _says(numbers: Numbers, table: str) -> Markup:
    """Describe the layer that could keep most: that with most values before training."""
    frame = numbers.frames[table]
    by_state = {state: frame[frame[STATE] == state] for state in (UNTRAINED, TRAINED)}
    there = [rows for rows in by_state.values() if len(rows)]
    before, after = there[0], there[-1]
    first = int(str(before["num_values"].idxmax()))
    same = after[after["layer"] == before.at[first, "layer"]]
    row = int(same.index[0])
    text = sentence(
        "The data have {} dimensions, and in layer {} of {} networks the {} largest of {} values of S′ hold "
        "{} ({} to {}) of its energy",
        numbers.cell(table, row, "num_leading", "d"),
        numbers.cell(table, row, "layer", "d"),
        str(frame.at[row, STATE]),
        numbers.cell(table, row, "num_leading", "d"),
        numbers.cell(table, row, "num_values", ".3g"),
        *(numbers.cell(table, row, f"leading{end}", ".3f") for end in ("", "_least", "_largest")),
    )
    if row == first:
        return text + Markup(".")
    return text + sentence(
        "; untrained, the {} largest of {} hold {} ({} to {}).",
        numbers.cell(table, first, "num_leading", "d"),
        numbers.cell(table, first, "num_values", ".3g"),
        *(numbers.cell(table, first, f"leading{end}", ".3f") for end in ("", "_least", "_largest")),
    )


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
