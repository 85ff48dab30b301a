"""What the fold and summarize stages print: architectures, and the correlations over seeds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.stages.summarize.tables import AGGREGATES
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

if TYPE_CHECKING:
    import pandas as pd

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits to refer to a note by."""


def architecture_lines(frames: Frames) -> str:
    """Return a table for the terminal: mean ± standard deviation over seeds for each architecture.

    Args:
        frames: runs, training and folding.
    """
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table

    blocks = []
    frames = frames.with_table(AGGREGATES, aggregate_runs(frames))
    settings = ["activation", "dataset", *frames.readings("aggregates")]
    for state in (TRAINED, UNTRAINED):
        table = architecture_table(frames, state)
        if table.empty:
            continue
        lines = pd.DataFrame({"": table["architecture"]})
        for column in settings:
            if table[column].nunique(dropna=False) > 1:
                lines[column] = ["-" if pd.isna(value) else str(value) for value in table[column]]
        lines["seeds"] = table["num_seeds"]
        if table["test_accuracy_mean"].notna().any():
            lines["test accuracy"] = _with_deviation(table, "test_accuracy", 3)
        lines["folded"] = _with_deviation(table, "chi_folded_mean", 2)
        lines["max"] = _with_deviation(table, "chi_max", 3)
        lines["row maxima"] = _with_deviation(table, "chi_row_max_median", 3)
        blocks.append(f"{state}\n{lines.to_string(index=False, justify='left')}")
    legend = "medians over class pairs (folded: means), then mean ± standard deviation over seeds"
    if any("(equal)" in block for block in blocks):
        legend += "; (equal): no seed differs, which does not say how far the next would"
    return "\n".join([*blocks, legend, *_why_flat(frames["runs"], frames["folding"])])


def _with_deviation(table: "pd.DataFrame", column: str, digits: int) -> "list[str]":
    """Return ``mean ± standard deviation``; ``(equal)`` if all seeds are, the mean alone for one seed."""
    pairs = zip(table[f"{column}_mean"], table[f"{column}_sd"], strict=True)
    return [
        "-"
        if mean != mean
        else f"{mean:.{digits}f}" + (" (equal)" if sd == 0 else f" ± {sd:.{digits}f}" if sd == sd else "")
        for mean, sd in pairs
    ]


def _why_flat(runs: "pd.DataFrame", folding: "pd.DataFrame") -> Iterator[str]:
    """Yield why no path folds, where none does."""
    chi = folding[folding["measure"] == "chi"]
    if chi.empty or (chi["folded"] > 0).any():
        return
    if (runs["depth"] == 1).all():
        yield "every χ is 0: with one hidden layer each unit flips at most once on a straight line"
    elif (chi["zero_length"] == 1).all():
        yield "every χ is 0: no path crosses the boundary of a linear region"
    else:
        yield "every χ is 0: no path turns back; try deeper or wider networks, or longer training"


def present(frames: Frames) -> str:
    """Return what the command prints."""
    from spaceprobe.analysis.predictors import main_predictor

    if frames["folding"].empty:
        return "there is no folding to summarize"
    lines = [architecture_lines(frames)]
    predictor = main_predictor(frames["runs"], frames.settings("runs"))
    if predictor is not None:
        lines += _correlation_lines(frames, predictor)
    return "\n".join(lines)


def _correlation_lines(frames: Frames, predictor: str) -> list[str]:
    """Return a table: a line for each state, plain and given the accuracy; a column for each filter.

    Where something else is swept there is a line for each of its values, and one that says "pooled". Small
    numbers refer to the lines below, which say what was left out, and why a cell is empty.
    """
    import pandas as pd

    from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
    from spaceprobe.analysis.samples import NOTHING_ELSE

    correlations, readings = frames["correlations"], frames.settings("correlations")
    is_asked = (correlations["response"] == PRIMARY_RESPONSE) & (correlations["seed"] == "all")
    rows = correlations[is_asked & (correlations["predictor"] == predictor)]
    table: dict[str, dict[str, str]] = {}
    notes: dict[str, int] = {}
    groups = rows.groupby([*readings, "state", "at", "given", "min_accuracy"], sort=False, dropna=False)
    for key, intervals in groups:
        *reading, state, at, given, min_accuracy = cast("tuple[Any, ...]", key)
        label = " ".join([*(str(value) for value in reading), state])
        label += f", {at}" if at != NOTHING_ELSE else ""
        label += " given test accuracy" if given != "none" else ""
        column = f"test accuracy ≥ {min_accuracy:.2f}" if min_accuracy else "all runs"
        cell, cell_notes = _describe(intervals.set_index("interval").astype(object))
        marks = [str(notes.setdefault(note, len(notes) + 1)).translate(RAISED) for note in cell_notes]
        table.setdefault(label, {})[column] = " ".join([cell, *marks])
    title = f"r of {predictor} and row maxima of χ"
    frame = pd.DataFrame.from_dict(table, orient="index").rename_axis(title, axis="columns").fillna("")
    lines = [f"{str(number).translate(RAISED)} {note}" for note, number in notes.items()]
    if any(state == DIFFERENCE for state in rows["state"]):
        lines.append(f"{DIFFERENCE}: trained minus untrained")
    return [frame.to_string(justify="left"), *lines]


def _describe(by_interval: "pd.DataFrame") -> tuple[str, list[str]]:
    """Return the correlation over seeds, else over all runs, with its interval, and what its row notes."""
    import pandas as pd

    over_seeds, pooled = by_interval.loc["t over seeds"], by_interval.loc["Fisher z"]
    is_one = bool(over_seeds["num_seeds"] == 1)
    for row, what in (
        (over_seeds, "1 seed" if is_one else f"{over_seeds['num_seeds']} seeds"),
        (pooled, f"{pooled['num_runs']} runs pooled"),
    ):
        r, low, high = (row[name] for name in ("pearson", "pearson_low", "pearson_high"))
        if not pd.isna(r):
            interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
            return f"{r:.3f}{interval} ({what})", _notes_of(str(row["note"]))
    return "-", _notes_of(str(over_seeds["note"]))


def _notes_of(text: str) -> list[str]:
    """Return the notes of a row that its cell does not show."""
    return [note for note in text.split("; ") if note and note != "runs of all seeds pooled"]
