"""What `spaceprobe lmd` prints: means over seeds, layer by layer, and what to beware of."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from spaceprobe.study.stage import Frames

WHERE = ("epoch", "layer")
REACHED = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")

NUM_AXES = 5
"""Chosen: the leading axes whose class meaning is shown; the table has all."""


def lines(tables: Frames) -> Iterator[str]:
    """Yields the summary of a study's tables of the Layer Matrix Decomposition; layers there must be."""
    runs = tables["runs"]
    settings = _varying(runs)
    yield "means over runs" if len(runs) > 1 else "one run"
    reached = [name for name in REACHED if runs[name].notna().any()]
    yield _shown(runs.groupby(settings, dropna=False)[reached].mean().reset_index(), settings, digits=3)
    for title, values in _blocks(tables):
        shown = runs[["run", *settings]].merge(_ends(values), on="run")
        key = [*settings, *WHERE]
        means = shown.groupby(key, dropna=False).mean(numeric_only=True).reset_index()
        yield title
        yield _shown(means, settings, digits=2)
    yield from _notes(tables)


def _shown(frame: pd.DataFrame, settings: Sequence[str], digits: int) -> str:
    """Returns a frame as text, the settings as they are written in a study."""
    written = {
        name: frame[name].map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
        for name in settings
    }
    return frame.assign(**written).to_string(
        index=False, na_rep="-", float_format=lambda number: f"{number:.{digits}f}"
    )


def _ends(values: pd.DataFrame) -> pd.DataFrame:
    """Returns the first and the last epoch of each run: the tables have all."""
    epochs = values.groupby("run")["epoch"]
    return values[(values["epoch"] == epochs.transform("min")) | (values["epoch"] == epochs.transform("max"))]


def _blocks(tables: Frames) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields titles, and tables with a row a run, epoch and layer."""
    ranks = tables["lmd_ranks"]
    rules = [*ranks.loc[ranks["default"], "rule"].unique(), "participation", "energy95", "functional"]
    layers = tables["lmd_layers"].drop_duplicates(["run", *WHERE])
    chosen = ranks[ranks["rule"].isin(rules) & ranks["valid"]]
    yield (
        "ranks of the weight matrices, by rule",
        layers[["run", *WHERE, "spectral_norm"]].merge(
            _spread(chosen, ["rule"], "value", dict.fromkeys(rules)), on=["run", *WHERE], how="left"
        ),
    )
    if not tables["lmd_dimension"].empty:
        dimension = tables["lmd_dimension"]
        yield (
            "dimension of the activations that enter a layer (input) and leave it (output)",
            _spread(dimension, ["space", "estimator"], "dimension"),
        )
    if not tables["lmd_retrieval"].empty:
        yield (
            "share of noisy images that lead back to the stored one",
            _spread(tables["lmd_retrieval"], ["space"], "accuracy"),
        )
    if not tables["lmd_semantics"].empty:
        first = tables["lmd_semantics"].query("axis <= @NUM_AXES")
        measured = ["share", "shuffled_mean", "shuffled_max"]
        yield (
            f"share of the variance along the latent axes 1 to {NUM_AXES} that classes explain",
            first.groupby(["run", *WHERE], as_index=False)[measured].mean(),
        )


def _spread(
    rows: pd.DataFrame, across: Sequence[str], value: str, order: Iterable[str] | None = None
) -> pd.DataFrame:
    """Returns the values with a column for each group, in the given order or that of the rows."""
    names = rows[[*across]].astype(str).agg(" ".join, axis=1)
    wide = rows.assign(column=names).pivot_table(values=value, index=["run", *WHERE], columns="column")
    wide = wide[[name for name in order or names.unique() if name in wide]]
    return wide.rename_axis(None, axis="columns").reset_index()


def _varying(runs: pd.DataFrame) -> list[str]:
    """Returns the columns of settings that tell the runs apart, but for the seed."""
    columns = list(runs.columns)
    settings = columns[columns.index("architecture") : columns.index("num_parameters")]
    left_out = {"seed", "depth", "width"}  # the architecture says depth and width
    return [name for name in settings if name not in left_out and runs[name].nunique(dropna=False) > 1] or [
        "architecture"
    ]


def _notes(tables: Frames) -> Iterator[str]:
    layers = tables["lmd_layers"]
    worst = layers["reconstruction_error"].max()
    if worst == worst:
        yield f"largest reconstruction error {worst:.1e}"
    invalid = layers[~layers["valid"].astype(bool)]
    for (metric, reason), some in invalid.groupby(["metric", "reason"]):
        yield f"{len(some)} layers without the metric {metric}: {reason}"
    convergence = tables["lmd_convergence"]
    last = convergence[convergence["epoch"] == convergence.groupby("run")["epoch"].transform("max")]
    num_runs = last["run"].nunique()
    num_moving = last.loc[~last["converged"].astype(bool), "run"].nunique()
    if num_moving:
        yield (
            f"warning: {num_moving} of {num_runs} networks had not stably converged when training ended, "
            "which the theorem behind the decomposition assumes (lmd_convergence.csv says what moved)"
        )
    if not tables["lmd_dimension"].empty:
        yield "dim is that of the activations; the rank of a weight matrix is another quantity"
