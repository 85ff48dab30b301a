"""What `spaceprobe lmd` prints: means over seeds, layer by layer, and warnings; or the matrices of a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.lmd.noise_sentences import noise_sentences
from spaceprobe.stages.lmd.tables import LAYERS, RULE_NAMES
from spaceprobe.stages.lmd.weight_file import WeightFile
from spaceprobe.stages.summary_text import Notes, heading, key_columns, units_of, varying_settings, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import last_epochs
from spaceprobe.tables.text import TextColumn, count, fill, is_fitting, text_table
from spaceprobe.weights.quoting import path_text, quote_if_needed

if TYPE_CHECKING:
    import pandas as pd

WHERE = ("epoch", "layer")
REACHED = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")

MAX_IN_FULL = 1e5
"""Chosen: what is larger, such as the loss of a network on its way to divergence, is abbreviated."""

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

NUM_AXES = 5
"""Chosen: the leading axes whose class meaning is shown; the table has all."""


def _lines(tables: Frames) -> Iterator[str]:
    """Yield the summary of a study's tables, which hold at least one layer."""
    runs = tables["runs"]
    runs = runs[runs["run"].isin(tables["lmd_layers"]["run"])]
    settings = varying_settings(runs)
    probed = LAYERS.settings(tables["lmd_layers"])
    reached = [name for name in REACHED if runs[name].notna().any()]
    sizes = {*runs.groupby([*settings], dropna=False).size()}
    if sizes == {1}:
        yield f"trained networks, {count(1, 'run')} each"
    else:
        each = f"{sizes.pop()} runs each" if len(sizes) == 1 else "runs"
        yield f"trained networks, mean ± standard deviation over {each}"
    yield from _means(runs[[*settings, *reached]], settings, digits=3)
    yield from units_of(reached)
    for title, values in _blocks(tables, ["run", *probed, *WHERE]):
        if values.columns.difference(["run", *probed, *WHERE]).empty:
            continue  # nothing could be measured: the notes say why
        by_run = runs[["run", *settings]].merge(_ends(values), on="run").drop(columns="run")
        yield from fill(title)
        yield from _means(by_run, [*settings, *probed, *WHERE], digits=2)
    yield from _notes(tables)


def _means(frame: "pd.DataFrame", key: Sequence[str], digits: int) -> Iterator[str]:
    """Yield mean ± standard deviation for each value of the key, with their number where cells are empty."""
    groups = frame.groupby([*key], dropna=False, sort=False)
    sizes = groups.size()
    columns = []
    for name in frame.columns.difference([*key], sort=False):
        values = groups[name]
        rows = zip(
            *(column.tolist() for column in (values.mean(), values.std(), values.count(), sizes)), strict=True
        )
        cells = [_cell(mean, spread, number, size, digits) for mean, spread, number, size in rows]
        columns.append(TextColumn(heading(str(name)), cells))
    yield from text_table(key_columns(sizes.index.to_frame(index=False), key), columns)


def _cell(mean: float, deviation: float, count: int, size: int, digits: int) -> str:
    if not count:
        return "-"
    spread = f" ± {_number(deviation, digits)}" if count > 1 else ""
    return f"{_number(mean, digits)}{spread}" + (f" ({count} of {size})" if count < size else "")


def _number(value: float, digits: int) -> str:
    """Return a number with so many digits behind the point, abbreviated where that would be long."""
    text = f"{value:.{digits}f}" if abs(value) < MAX_IN_FULL else f"{value:.3g}"
    return text.removeprefix("-") if float(text) == 0 else text


def _ends(values: "pd.DataFrame") -> "pd.DataFrame":
    """Return the first and the last epoch of each run: the tables have all."""
    epochs = values.groupby("run")["epoch"]
    return values[(values["epoch"] == epochs.transform("min")) | (values["epoch"] == epochs.transform("max"))]


def _blocks(tables: Frames, key: Sequence[str]) -> "Iterator[tuple[str, pd.DataFrame]]":
    """Yield titles, and tables with a row for each run, variant of the probe, epoch and layer."""
    ranks = tables["lmd_ranks"]
    rules = [*ranks.loc[ranks["default"], "rule"].unique(), "participation", "energy95", "functional"]
    layers = tables["lmd_layers"].drop_duplicates([*key])
    chosen = ranks[ranks["rule"].isin(rules) & ranks["valid"]]
    by_rule = _spread(chosen, key, ["rule"], "value", dict.fromkeys(rules))
    yield (
        "ranks of the weight matrices, by rule",
        layers[[*key, "spectral_norm"]].merge(by_rule, on=[*key], how="left"),
    )
    if not tables["lmd_dimension"].empty:
        yield (
            "dimension of the activations that enter a layer (input) and leave it (output)",
            _spread(tables["lmd_dimension"], key, ["space", "estimator"], "dimension"),
        )
    if not tables["lmd_retrieval"].empty:
        yield (
            "share of noisy points that lead back to the stored one",
            _spread(tables["lmd_retrieval"], key, ["space"], "accuracy"),
        )
    if not tables["lmd_semantics"].empty:
        first = tables["lmd_semantics"].query("axis <= @NUM_AXES")
        groups = first.groupby([*key])
        yield (
            f"latent axes 1 to {NUM_AXES}: share of their variance that classes explain, the same with "
            "shuffled labels, and their part of all variance between classes and of all variance",
            groups[["share", "shuffled_mean"]]
            .mean()
            .join(groups[["class_variance", "variance"]].sum())
            .reset_index(),
        )


def _spread(
    rows: "pd.DataFrame",
    key: Sequence[str],
    across: Sequence[str],
    value: str,
    order: Iterable[str] | None = None,
) -> "pd.DataFrame":
    """Return the values with a column for each group, in the given order or that of the rows."""
    names = rows[[*across]].astype(str).agg(" ".join, axis=1)
    wide = rows.assign(column=names).pivot_table(values=value, index=[*key], columns="column", sort=False)
    wide = wide[[name for name in order or names.unique() if name in wide]]
    return wide.rename_axis(None, axis="columns").reset_index()


def _notes(tables: Frames) -> Iterator[str]:
    layers = tables["lmd_layers"]
    worst = layers["reconstruction_error"].max()
    if worst == worst:  # not NaN
        yield f"largest reconstruction error {worst:.1e}"
    invalid = layers[~layers["valid"].astype(bool)]
    for reason, without in invalid.groupby(invalid["metric"] + ": " + invalid["reason"]):
        yield from fill(f"{count(len(without), 'layer')} without the metric {reason!s}", "  ")
    dimension = tables["lmd_dimension"]
    for reason, rows in dimension[dimension["dimension"].isna()].groupby("reason"):
        number = len(rows.drop_duplicates(["run", *WHERE]))
        yield from fill(f"{count(number, 'layer')} without a dimension: {reason!s}", "  ")
    if not dimension.empty:
        yield "the rank of a weight matrix is not the dimension of the data: compare with care"


def present(tables: Frames) -> str:
    """Return what the command prints."""
    if tables["lmd_layers"].empty:
        return "\n".join(["no weight matrix was decomposed", *why_failed(tables["runs"])])
    return "\n".join(_lines(tables))


def warn(tables: Frames) -> Iterator[str]:
    """Yield what casts doubt on the decomposition of a study's networks."""
    if tables["lmd_layers"].empty:
        return
    convergence = tables["lmd_convergence"]
    last = last_epochs(convergence)
    num_runs = last["run"].nunique()
    num_moving = last.loc[~last["converged"].astype(bool), "run"].nunique()
    if num_moving:
        yield (
            f"{num_moving} of {num_runs} networks had not stably converged when training ended, "
            "which the theorem behind the decomposition assumes: train longer (training.epochs); "
            "lmd_convergence.csv says what moved"
        )


def present_file(file: WeightFile, records: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Return what the command prints for a file of weights.

    Args:
        file: the file.
        records: of its parts, in order.
        folder: of its results.
    """
    import pandas as pd

    layers = pd.DataFrame([row for record in records for row in record["lmd_layers"]])
    layers = layers.reindex(columns=[*dict.fromkeys([*layers.columns, *FILE_VALUES])])
    tails = [row for record in records for row in record.get("lmd_tails", [])]
    exponents = {row["layer"]: row["exponent"] for row in tails if row["valid"]}
    layers["tail_exponent"] = layers["layer"].map(exponents).astype(float)
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
    if exponents:
        legend += "; tail exponent: of a power law that fits"
    if names.str.len().max() > MAX_NAME:
        legend += "; names in full in lmd_layers.csv"
    lines = [
        *fill(f"{path_text(file.path)}: {len(records)} matri{'ces' if len(records) != 1 else 'x'}"),
        *text_table(*_numbered([*names], columns)),
        *fill(legend, "  "),
        *notes.lines(),
        *fill(file.origin, "  "),
        *fill(file.skipped, "  "),
        *(line for sentence in noise_sentences(tails) for line in fill(sentence, "  ")),
        f"tables   {folder}/*.csv",
        f"factors  {folder}/factors/*.npz",
    ]
    return "\n".join(filter(None, lines))


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
