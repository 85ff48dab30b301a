"""What two studies have measured, in one long table: a row for each run, state, quantity and layer."""

from collections.abc import Mapping, Sequence

import pandas as pd

from spaceprobe.analysis.aggregates import TABLE_COLUMNS, swept_settings

Frames = Mapping[str, pd.DataFrame]
"""The tables of a study by name, such as ``folding``."""

RUN_QUANTITIES = ("test_accuracy", "test_loss")
RULES = ("participation", "data99", "functional")
LAYER_QUANTITIES = (*(f"rank_{rule}" for rule in RULES), "spectral_norm")
QUANTITIES = (*RUN_QUANTITIES, *TABLE_COLUMNS, *LAYER_QUANTITIES)
"""What is compared: of trained networks, of folding in every state, and of every layer in every state."""

SIZES = ("num_class_pairs", "num_sources", "num_targets")
"""Of the sample of paths: class pairs, and medians over them (between studies, a pair is of seeds)."""

SETTINGS = ("epochs", "learning_rate")
"""Of training, as training.csv shows them: the last epoch, and the rate at epoch 0."""


def grouped_runs(a: Frames, b: Frames) -> tuple[list[str], pd.DataFrame]:
    """Return the columns of a group, and the runs of both studies with the number of their group.

    A group is an architecture, an activation, a data set, and a value of every swept setting that is a column
    of both runs.csv, but not the seed. Numbers go from shallow to deep, then from wide to narrow, else in the
    order of the sweeps.

    Args:
        a: the tables of the first study.
        b: the tables of the second study.

    Returns:
        The columns, and a table with those of runs.csv that both have, ``study`` (a or b) and ``group``.

    Raises:
        ValueError: a study has no table of runs.
    """
    for name, tables in (("a", a), ("b", b)):
        if "runs" not in tables:
            there = ", ".join(tables) or "none"
            raise ValueError(f"{name}: no table runs among its tables ({there}); train the study first")
    shared = [setting for setting in swept_settings(a["runs"]) if setting in b["runs"].columns]
    columns = ["architecture", "activation", "dataset", *shared]
    names = ["run", *columns, "depth", "width", "seed", "status"]
    runs = _stack([a["runs"][names].assign(study="a"), b["runs"][names].assign(study="b")])
    runs = runs.sort_values(["depth", "width"], ascending=[True, False], kind="stable", ignore_index=True)
    return columns, runs.assign(group=runs.groupby(columns, dropna=False, sort=False).ngroup())


def varying_settings(tables: Frames, columns: Sequence[str]) -> list[str]:
    """Return the swept settings beyond the columns of a group that a study varies."""
    runs = tables["runs"]
    others = [setting for setting in swept_settings(runs) if setting not in columns]
    return [setting for setting in others if runs[setting].nunique(dropna=False) > 1]


def measured_values(tables: Frames) -> tuple[list[str], pd.DataFrame]:
    """Return the probe keys of a study's tables and what its finished runs have measured.

    The trained state is a run's last epoch. Values that are missing or not valid are left out.

    Args:
        tables: those of one study: runs, and where they are there aggregates, lmd_ranks, lmd_layers and
            training.

    Returns:
        The probe keys, and a table with the columns run, state, the probe keys, quantity, layer (empty where
        a quantity has none), value, and where they are known `SIZES` and `SETTINGS`.
    """
    frames = [_of_runs(tables["runs"])]
    keys: dict[str, None] = {}
    for keys_of_one, frame in (
        _of_aggregates(tables.get("aggregates", pd.DataFrame())),
        _of_layers(*_ranks(tables.get("lmd_ranks", pd.DataFrame()))),
        _of_layers(*_norms(tables.get("lmd_layers", pd.DataFrame()))),
    ):
        frames.append(frame)
        keys |= dict.fromkeys(keys_of_one)
    values = _stack(frames)
    for column in (*keys, "layer", *SIZES):
        if column not in values.columns:
            values[column] = None
    runs = tables["runs"]
    values = values[values["value"].notna() & values["run"].isin(runs.loc[runs["status"] == "done", "run"])]
    return [*keys], _with_settings(values, tables)


def _of_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and loss of the trained networks."""
    rows = runs.melt("run", [*RUN_QUANTITIES], var_name="quantity")
    return rows.assign(state="trained", value=rows["value"].astype(float))


def _of_aggregates(aggregates: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Return the probe keys of folding, and its aggregates in every state."""
    if aggregates.empty:
        return [], aggregates
    columns = [*aggregates.columns]
    keys = columns[columns.index("state") + 1 : columns.index("num_pairs")]
    aggregates = aggregates.rename(columns={"num_pairs": "num_class_pairs"})
    return keys, aggregates.melt(["run", "state", *keys, *SIZES], [*TABLE_COLUMNS], var_name="quantity")


def _ranks(ranks: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Return the probe keys and valid ranks by the rules `RULES`, unrounded."""
    if ranks.empty:
        return [], ranks
    rows = ranks[ranks["rule"].isin(RULES) & ranks["valid"].astype(bool)]
    return _keys_before_epoch(ranks), rows.assign(quantity="rank_" + rows["rule"].astype(str))


def _norms(layers: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Return the probe keys and the spectral norms; they are the same under every metric."""
    if layers.empty:
        return [], layers
    rows = layers[layers["metric"] == "identity"]
    return _keys_before_epoch(layers), rows.assign(quantity="spectral_norm", value=rows["spectral_norm"])


def _keys_before_epoch(table: pd.DataFrame) -> list[str]:
    """Return the probe keys of a table of layers: they stand between run and epoch."""
    columns = [*table.columns]
    return columns[columns.index("run") + 1 : columns.index("epoch")]


def _of_layers(keys: list[str], rows: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Return the values at epoch 0 and at each run's last epoch, and their difference where both are."""
    if rows.empty:
        return keys, rows
    index = ["run", *keys, "quantity", "layer"]
    rows = rows[[*index, "epoch", "value"]]
    last = rows.groupby("run")["epoch"].transform("max")
    initial = rows[rows["epoch"] == 0].drop(columns="epoch").assign(state="initial")
    trained = rows[(rows["epoch"] == last) & (last > 0)].drop(columns="epoch").assign(state="trained")
    both = trained.merge(initial, on=index, suffixes=("", "_initial"))
    both = both.assign(state="difference", value=both["value"] - both["value_initial"])
    return keys, _stack([initial, trained, both[initial.columns]])


def _with_settings(values: pd.DataFrame, tables: Frames) -> pd.DataFrame:
    """Add `SETTINGS` of each run; untrained networks have none."""
    training = tables.get("training", pd.DataFrame())
    if training.empty:
        return values.assign(**dict.fromkeys(SETTINGS))
    runs = training.sort_values("epoch", kind="stable").groupby("run")
    settings = runs.agg(epochs=("epoch", "max"), learning_rate=("learning_rate", "first"))
    is_initial = values["state"] == "initial"
    return values.assign(**{name: values["run"].map(settings[name]).mask(is_initial) for name in SETTINGS})


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames that have any."""
    return pd.concat([frame for frame in frames if not frame.empty] or [*frames], ignore_index=True)
