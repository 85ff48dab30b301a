"""What `spaceprobe lmd` prints: means over seeds, layer by layer, and warnings."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from spaceprobe.stages.lmd.tables import LAYERS
from spaceprobe.stages.summary_text import heading, key_columns, units_of, varying_settings, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import last_epochs, name_of_last
from spaceprobe.tables.text import TextColumn, count, fill, text_table

if TYPE_CHECKING:
    import pandas as pd

WHERE = ("epoch", "layer")
REACHED = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")

MAX_IN_FULL = 1e5
"""Chosen: what is larger, such as the loss of a network on its way to divergence, is abbreviated."""

CONTINUITY_SHOWN = ("margin_max", "slope_bound", "largest_slope", "largest_jump", "delta_bound", "delta")
"""Columns of lmd_continuity.csv that are shown; the table has all."""

NUM_AXES = 5
"""Chosen: the leading axes whose class meaning is shown; the table has all."""


def _lines(tables: Frames) -> Iterator[str]:
    """Yield the summary of a study's tables, which hold at least one layer."""
    runs = tables["runs"]
    runs = runs[runs["run"].isin(tables["lmd_layers"]["run"])]
    settings = varying_settings(runs)
    probed = LAYERS.settings(tables["lmd_layers"])
    reached = [name for name in REACHED if runs[name].notna().any()]
    state = name_of_last(tables["lmd_layers"])
    sizes = {*runs.groupby([*settings], dropna=False).size()}
    if sizes == {1}:
        yield f"{state} networks, {count(1, 'run')} each"
    else:
        each = f"{sizes.pop()} runs each" if len(sizes) == 1 else "runs"
        yield f"{state} networks, mean ± standard deviation over {each}"
    yield from _means(runs[[*settings, *reached]], settings, digits=3)
    yield from units_of(reached)
    for title, values in _blocks(tables, ["run", *probed, *WHERE]):
        if values.columns.difference(["run", *probed, *WHERE]).empty:
            continue  # nothing could be measured: the notes say why
        by_run = runs[["run", *settings]].merge(_ends(values), on="run").drop(columns="run")
        yield from fill(title)
        yield from _means(by_run, [*settings, *probed, *WHERE], digits=2)
    if not tables["lmd_continuity"].empty:
        rows = _ends(tables["lmd_continuity"])[["run", *probed, "epoch", *CONTINUITY_SHOWN]]
        yield from fill("encoding margin, slopes and jumps of the networks, and how close inputs have to be")
        yield from _means(
            runs[["run", *settings]].merge(rows, on="run").drop(columns="run"),
            [*settings, *probed, "epoch"],
            digits=4,
        )
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
