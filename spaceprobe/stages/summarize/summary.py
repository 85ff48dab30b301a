"""What the fold and summarize stages print: architectures, and the correlations over seeds."""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from spaceprobe.stages.summarize.tables import AGGREGATES
from spaceprobe.stages.summary_text import Notes, heading, key_columns, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED, name_of_last
from spaceprobe.tables.telling_apart import telling_apart
from spaceprobe.tables.text import NOTHING, TextColumn, count, fill, in_short, is_fitting, text_table

if TYPE_CHECKING:
    import pandas as pd

LEGEND = (
    "folded: share of paths with χ > 0; max: largest χ; row maxima: median over source images of the largest "
    "χ over their targets; each a median over class pairs (folded: mean). Accuracy: of test points. All in "
    "[0, 1]"
)

READING = ("method", "num_points")
"""The settings that say how paths were walked: they are named wherever they vary."""

MAX_EMPTY = 4
"""Values of what else is swept that are named though none has a correlation. Chosen."""

SPREAD = "mean ± standard deviation over"


def architecture_lines(frames: Frames) -> list[str]:
    """Return tables for the terminal: mean ± standard deviation over seeds for each architecture.

    Args:
        frames: runs, training and folding.
    """
    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table, pairs_without_folding

    lines: list[str] = []
    frames = frames.with_table(AGGREGATES, aggregate_runs(frames))
    settings = ["activation", "dataset", *frames.readings("aggregates")]
    for state in (TRAINED, UNTRAINED):
        table = architecture_table(frames, state)
        if table.empty:
            continue
        varying = [name for name in settings if table[name].nunique(dropna=False) > 1]
        names = ["architecture", *varying]
        key = key_columns(
            table, telling_apart(table[names].to_dict("records"), names, always=("architecture", *READING))
        )
        values = [
            TextColumn("test accuracy", _with_deviation(table, "test_accuracy", 3)),
            TextColumn("folded", _with_deviation(table, "chi_folded_mean", 3)),
            TextColumn("max", _with_deviation(table, "chi_max", 3)),
            TextColumn("row maxima", _with_deviation(table, "chi_row_max_median", 3)),
        ]
        seeds = set(table["num_seeds"])
        if len(seeds) > 1:
            key.append(TextColumn("seeds", [*map(str, table["num_seeds"])]))
        name = name_of_last(frames["folding"]) if state == TRAINED else state
        lines.append(f"{name}, {_over(seeds)}")
        lines += text_table(key, values)
    legend = LEGEND
    if any("(equal)" in line for line in lines):
        legend += ". (equal): no seed differs, which does not say how far the next would"
    legend += _on_markers(lines)
    num_without, num_pairs = pairs_without_folding(frames["folding"])
    if num_without:
        legend += (
            f". {num_without} of {num_pairs} class pairs, those of all networks, "
            + ("has no folded path: it counts" if num_without == 1 else "have no folded path: they count")
            + f" as 0 in max and drop{'s' * (num_without == 1)} out of row maxima, which may be the larger "
            "for that"
        )
    return [*lines, *fill(legend), *_why_flat(frames["runs"], frames["folding"])]


def _on_markers(lines: Sequence[str]) -> str:
    """Return what the first marker of seeds without a value means, such as ``(2 of 3)``, if there is one."""
    markers = [match for line in lines for match in re.finditer(r"\((\d+) of (\d+)\)", line)]
    if not markers:
        return ""
    first, number, num_seeds = markers[0][0], int(markers[0][1]), markers[0][2]
    seeds = "one has" if number == 1 else f"{number} have"
    single = "; a single one has no deviation" if any(int(match[1]) == 1 for match in markers) else ""
    return f". {first}: of {num_seeds} seeds {seeds} a value, over which the mean is{single}"


def _over(seeds: set[int]) -> str:
    """Return what the cells of a table are over."""
    if seeds == {1}:
        return count(1, "seed")
    return f"{SPREAD} {count(seeds.pop(), 'seed') if len(seeds) == 1 else 'seeds'}"


def _with_deviation(table: "pd.DataFrame", column: str, digits: int) -> "list[str]":
    """Return ``mean ± standard deviation``; ``(equal)`` if all seeds are, the mean alone for one seed.

    Where seeds lack a value, ``(1 of 2)`` says how many have one.
    """
    columns = (table[name] for name in (f"{column}_mean", f"{column}_sd", "note"))
    return [
        NOTHING
        if mean != mean
        else f"{mean:.{digits}f}"
        + (" (equal)" if sd == 0 else f" ± {sd:.{digits}f}" if sd == sd else "")
        + _seeds_with_value(note, column)
        for mean, sd, note in zip(*columns, strict=True)
    ]


def _seeds_with_value(note: str, column: str) -> str:
    """Return how many seeds a mean is over, given the note of its row; nothing where it is over all."""
    for part in note.split("; "):
        match = re.fullmatch(r"(?:(.*): )?(\d+) of (\d+) seeds without a value left out", part)
        if match and (match[1] is None or column in match[1].split(", ")):
            return f" ({int(match[3]) - int(match[2])} of {match[3]})"
    return ""


def _why_flat(runs: "pd.DataFrame", folding: "pd.DataFrame") -> Iterator[str]:
    """Yield why no path folds, where none does."""
    chi = folding[folding["measure"] == "chi"]
    if chi.empty or (chi["folded"] > 0).any():
        return
    if runs["depth"].eq(1).fillna(value=False).all():  # empty where only the network itself tells
        why = "every χ is 0: with one hidden layer each unit flips at most once on a straight line"
    elif (chi["zero_length"] == 1).all():
        why = "every χ is 0: no path crosses the boundary of a linear region"
    else:
        why = "every χ is 0: no path turns back; try deeper or wider networks, or longer training"
    yield from fill(why, "  ")


def present(frames: Frames) -> str:
    """Return what the command prints."""
    from spaceprobe.analysis.predictors import main_predictor

    if frames["folding"].empty:
        return "\n".join(["there is no folding to summarize", *why_failed(frames["runs"])])
    lines = architecture_lines(frames)
    predictor = main_predictor(frames["runs"], frames.settings("runs"))
    if predictor is not None:
        lines += _correlation_lines(frames, predictor)
    return "\n".join(lines)


class _Line(NamedTuple):
    """One correlation: what it is of, and its cells."""

    filtered: str
    reading: str
    at: str
    state: str
    given: str
    r: str
    interval: str
    of: str
    notes: tuple[str, ...]

    @property
    def what(self) -> str:
        """The networks that it is of."""
        return " at ".join(filter(None, [self.state, self.at]))


def _correlation_lines(frames: Frames, predictor: str) -> list[str]:
    """Return a table for each filter: a line for each state, plain and given the accuracy.

    Where something else is swept there is a line for each of its values, and one that says "pooled". Small
    numbers refer to the lines below, which say what was left out, and why a cell is empty.
    """
    from spaceprobe.analysis.correlations import PRIMARY_RESPONSE

    correlations, readings = frames["correlations"], frames.settings("correlations")
    is_asked = (correlations["response"] == PRIMARY_RESPONSE) & (correlations["seed"] == "all")
    rows = correlations[is_asked & (correlations["predictor"] == predictor)]
    notes = Notes()
    found = _without_empty(_lines_of(rows, readings))
    lines: list[str] = []
    for filtered, reading in dict.fromkeys((line.filtered, line.reading) for line in found):
        title = ", ".join(filter(None, [f"r of {heading(predictor)} and row maxima of χ", reading, filtered]))
        here = [line for line in found if (line.filtered, line.reading) == (filtered, reading)]
        if all(line.r == NOTHING for line in here):  # the notes say why
            lines += fill(f"{title}: none{_reasons(here, notes)}", "  ")
            continue
        lines += fill(title, "  ")
        lines += _correlation_table(here, notes)
    legend = []
    found = [line for line in found if line.r != NOTHING]
    if any(line.given for line in found):
        legend.append("given accuracy: at a fixed test accuracy (partial)")
    if any(line.of.endswith("pooled") for line in found):
        legend.append("runs pooled: those of all seeds, as if independent")
    if any(line.state == DIFFERENCE for line in found):
        legend.append(f"{DIFFERENCE}: trained minus untrained")
    return [*lines, *notes.lines(), *fill("; ".join(legend))]


def _without_empty(lines: Iterable[_Line]) -> list[_Line]:
    """Return lines without those of single values of what else is swept, where they are many without an r."""
    from spaceprobe.analysis.samples import POOLED

    lines = [*lines]
    single = [line for line in lines if line.at not in ("", POOLED)]
    is_left_out = len({line.at for line in single}) > MAX_EMPTY and all(line.r == NOTHING for line in single)
    return [line for line in lines if line not in single] if is_left_out else lines


def _reasons(lines: Sequence[_Line], notes: Notes) -> str:
    """Return the marks of correlations that are not there, by the networks that they would be of."""
    by_networks: dict[str, dict[str, None]] = {}
    for line in lines:
        by_networks.setdefault(line.what, {}).update(dict.fromkeys(line.notes))
    by_marks: dict[str, list[str]] = {}
    for what, reasons in by_networks.items():
        by_marks.setdefault(notes.marks([*reasons]), []).append(what)
    if len(by_marks) == 1:
        return "".join(f" {marks}" for marks in by_marks if marks)
    texts = (" ".join(filter(None, [" and ".join(networks), marks])) for marks, networks in by_marks.items())
    return f" ({'; '.join(texts)})"


def _lines_of(rows: "pd.DataFrame", readings: Sequence[str]) -> Iterator[_Line]:
    """Yield each correlation with its notes."""
    from spaceprobe.analysis.samples import NOTHING_ELSE

    groups = rows.groupby([*readings, "state", "at", "given", "min_accuracy"], sort=False, dropna=False)
    for key, intervals in groups:
        *reading, state, at, given, min_accuracy = cast("tuple[Any, ...]", key)
        r, interval, of, line_notes = _describe(intervals.set_index("interval").astype(object))
        yield _Line(
            f"test accuracy ≥ {min_accuracy:.2f}" if min_accuracy else "all runs",
            " ".join(
                f"{value:g}" if isinstance(value, float) else str(value)
                for value in reading
                if value == value
            ),
            "" if at == NOTHING_ELSE else in_short(at),
            state,
            "" if given == "none" else "accuracy",
            r,
            interval,
            of,
            tuple(line_notes),
        )


def _correlation_table(lines: Sequence[_Line], notes: Notes) -> Iterator[str]:
    """Yield the lines of a table of correlations; where it is wide, a table for each value of ``at``."""
    places = [*dict.fromkeys(line.at for line in lines)]
    # Numbers of notes are in the order of what is printed, so the layout is chosen with a copy.
    if places == [""] or not is_fitting(*_columns(lines, copy.deepcopy(notes), with_at=True)):
        for at in places:
            yield from fill(at, "  ")
            yield from text_table(*_columns([line for line in lines if line.at == at], notes))
    else:
        yield from text_table(*_columns(lines, notes, with_at=True))


def _columns(
    lines: Sequence[_Line], notes: Notes, *, with_at: bool = False
) -> tuple[list[TextColumn], list[TextColumn]]:
    """Return the columns that say what a correlation is of, and those of its numbers."""
    names = ["state", *(["at"] if with_at else []), *(["given"] if any(line.given for line in lines) else [])]
    key = [TextColumn(name, [getattr(line, name) for line in lines], is_number=False) for name in names]
    of = [" ".join(filter(None, [line.of, notes.marks(line.notes)])) for line in lines]
    values = [
        TextColumn("r", [line.r for line in lines]),
        TextColumn("95 % interval", [line.interval for line in lines]),
        TextColumn("of", of, is_number=False),
    ]
    return key, values


def _describe(by_interval: "pd.DataFrame") -> tuple[str, str, str, list[str]]:
    """Return r over seeds, else over all runs, its interval, what it is of, and what its row notes."""
    import pandas as pd

    over_seeds, pooled = by_interval.loc["t over seeds"], by_interval.loc["Fisher z"]
    for row, what in (
        (over_seeds, count(int(str(over_seeds["num_seeds"])), "seed")),
        (pooled, f"{count(int(str(pooled['num_runs'])), 'run')} pooled"),
    ):
        r, low, high = (row[name] for name in ("pearson", "pearson_low", "pearson_high"))
        if not pd.isna(r):
            interval = "" if pd.isna(low) else f"[{low:.3f}, {high:.3f}]"
            return f"{r:.3f}", interval, what, _notes_of(str(row["note"]))
    return NOTHING, "", "", _notes_of(str(over_seeds["note"]))


def _notes_of(text: str) -> list[str]:
    """Return the notes of a row that its line does not show, nor are of what it does not show."""
    shown = "runs of all seeds pooled"
    return [note for note in text.split("; ") if note not in ("", shown) and not note.startswith("Spearman")]
