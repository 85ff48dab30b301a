"""What `spaceprobe lmd --weights` prints: the matrices of a file, or medians over them at each step."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.lmd.noise_sentences import noise_sentences
from spaceprobe.stages.lmd.tables import RULE_NAMES
from spaceprobe.stages.lmd.weight_file import WeightFile
from spaceprobe.stages.lmd.weight_steps import WeightSteps
from spaceprobe.stages.summary_text import Notes
from spaceprobe.tables.text import TextColumn, count, fill, is_fitting, text_table
from spaceprobe.weights.quoting import path_text, quote_if_needed

if TYPE_CHECKING:
    import pandas as pd

FILE_VALUES = {
    "rank": "rank",
    "spectral_norm": "spectral norm",
    "stable_rank": "stable rank",
    "reconstruction_error": "error",
    "tail_exponent": "tail exponent",
}
"""Columns that are shown of each matrix of a file, and what they are called."""

MAX_NAME = 48
"""Chosen: a longer name of a matrix loses its middle in the terminal; the tables have all of it."""


def present_file(file: WeightFile | WeightSteps, records: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Return what the command prints for a file of weights, or for a folder of steps.

    Args:
        file: the file or folder.
        records: of its parts, in order.
        folder: of its results.
    """
    layers = _layers(records)
    lines = [
        *(_step_lines(file, layers) if isinstance(file, WeightSteps) else _lines(file, records, layers)),
        f"tables   {folder}/*.csv",
        f"factors  {folder}/{file.factors_shown}",
    ]
    return "\n".join(filter(None, lines))


def _layers(records: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return the rows of lmd_layers.csv, with the exponents of the power laws that fit."""
    import pandas as pd

    layers = pd.DataFrame([row for record in records for row in record["lmd_layers"]])
    layers = layers.reindex(columns=[*dict.fromkeys([*layers.columns, *FILE_VALUES])])
    # Each record is of one matrix, without a row of tails where it could not be decomposed.
    layers["tail_exponent"] = [
        next((row["exponent"] for row in record.get("lmd_tails", []) if row["valid"]), float("nan"))
        for record in records
        for _ in record["lmd_layers"]
    ]
    return layers


def _step_lines(steps: WeightSteps, layers: "pd.DataFrame") -> Iterator[str]:
    """Yield the medians over the matrices at each step."""
    by_step = layers.groupby("step")
    key = [TextColumn("step", [str(step) for step, _ in by_step])]
    columns = [TextColumn("decomposed", [str(int(rows["valid"].astype(bool).sum())) for _, rows in by_step])]
    for name, head in FILE_VALUES.items():
        medians = by_step[name].agg(lambda values: values.astype(float).median())
        columns.append(TextColumn(head, ["-" if value != value else f"{value:.3g}" for value in medians]))
    num_matrices = len(steps.parts) // len(key[0].cells)
    yield from fill(
        f"{path_text(steps.path)}: {count(len(key[0].cells), 'step')} of {_matrices(num_matrices)}; medians "
        "over the matrices"
    )
    yield from text_table(key, columns)
    yield from fill(steps.origin, "  ")
    yield from fill(steps.skipped, "  ")


def _matrices(number: int) -> str:
    return f"{number} matri{'ces' if number != 1 else 'x'}"


def _lines(file: WeightFile, records: Sequence[Mapping[str, Any]], layers: "pd.DataFrame") -> Iterator[str]:
    """Yield the matrices of a file, and what a reader has to know of them."""
    tails = [row for record in records for row in record.get("lmd_tails", [])]
    names = layers["name"].map(quote_if_needed)
    shapes = zip(layers["num_outputs"], layers["num_inputs"], strict=True)
    notes = Notes()
    marks = [notes.mark(record["note"]) if record["note"] else "" for record in records]
    columns = [
        TextColumn("kind", [*layers["kind"]], is_number=False),
        TextColumn("shape", [f"{num_outputs}×{num_inputs}" for num_outputs, num_inputs in shapes]),
        *(
            TextColumn(
                head, ["-" if value != value else f"{value:.3g}" for value in layers[name].astype(float)]
            )
            for name, head in FILE_VALUES.items()
        ),
        TextColumn("note", marks, is_number=False),
    ]
    legend = "shape: outputs×inputs; error: of the product of the factors, relative to the matrix"
    rules = [*dict.fromkeys(layers["rule"].dropna())] if "rule" in layers else []
    if rules:
        by_rule = " or ".join(RULE_NAMES.get(rule, rule) for rule in rules)
        legend += f"; rank: by {by_rule} (others in lmd_ranks.csv)"
    if layers["tail_exponent"].notna().any():
        legend += "; tail exponent: of a power law that fits"
    if names.str.len().max() > MAX_NAME:
        legend += "; names in full in lmd_layers.csv"
    yield from fill(f"{path_text(file.path)}: {_matrices(len(records))}")
    yield from text_table(*_numbered([*names], columns))
    yield from fill(legend, "  ")
    yield from notes.lines()
    yield from fill(file.origin, "  ")
    yield from fill(file.skipped, "  ")
    for sentence in noise_sentences(tails):
        yield from fill(sentence, "  ")


def _numbered(
    names: Sequence[str], columns: Sequence[TextColumn]
) -> tuple[list[TextColumn], list[TextColumn]]:
    """Return the key of a table of matrices, and its columns: by number, where names leave no place."""
    key = TextColumn("name", names, is_number=False)
    if is_fitting([key], columns):
        return [key], [*columns]
    numbers = TextColumn("layer", [str(number) for number in range(len(names))])
    return [numbers], [TextColumn("name", [*map(_shorten, names)], is_number=False), *columns]


def _shorten(name: str) -> str:
    """Return a name that leaves room beside it, without its middle where it is long."""
    if len(name) <= MAX_NAME:
        return name
    num_kept = MAX_NAME - 1
    return name[: num_kept // 2] + "…" + name[len(name) - (num_kept - num_kept // 2) :]
