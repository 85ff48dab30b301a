"""What two studies have measured, in one long table: a row for each run, state, quantity and layer."""

from collections.abc import Sequence

import pandas as pd

from spaceprobe.analysis.aggregate_columns import MAIN_AGGREGATES
from spaceprobe.analysis.aggregates import probe_readings
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED, by_state, last_epochs
from spaceprobe.tables.table import UNBOUNDED, Bounds

RUN_QUANTITIES = ("test_accuracy", "test_loss")
RULES = ("participation", "data99", "functional")
LAYER_QUANTITIES = (*(f"rank_{rule}" for rule in RULES), "spectral_norm")
QUANTITIES = (*RUN_QUANTITIES, *MAIN_AGGREGATES, *LAYER_QUANTITIES)
"""What is compared: of trained networks, of folding in every state, and of every layer in every state."""

SIZES = ("num_class_pairs", "num_sources", "num_targets")
"""Of the sample of paths: class pairs, and medians over them (between studies, a pair is of seeds)."""

SETTINGS = ("epochs", "learning_rate")
"""Of training, as training.csv shows them: the last epoch, and the rate at epoch 0."""


def grouped_runs(a: Frames, b: Frames) -> tuple[list[str], pd.DataFrame]:
    """Return the columns of a group, and the runs of both studies with the number of their group.

    A group is an architecture, an activation, a data set, and a value of every swept setting that is a column
    of both runs.csv, but not the seed. Groups are numbered in the order of the first study's runs, then of
    the second's.

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
    shared = [setting for setting in a.settings("runs") if setting in b["runs"].columns]
    columns = ["architecture", "activation", "dataset", *shared]
    names = ["run", *columns, "depth", "width", "seed", "status"]
    runs = _stack([a["runs"][names].assign(study="a"), b["runs"][names].assign(study="b")])
    return columns, runs.assign(group=runs.groupby(columns, dropna=False, sort=False).ngroup())


def bounds_of(quantity: str, tables: Frames) -> Bounds:
    """Return the range of a quantity in one state, as its column declares it."""
    for name in ("runs", "aggregates"):
        table = tables.tables.get(name)
        if table is not None and quantity in table.names:
            return table.column(quantity).bounds
    return UNBOUNDED


def varying_settings(tables: Frames, columns: Sequence[str]) -> list[str]:
    """Return the swept settings beyond the columns of a group that a study varies."""
    others = [setting for setting in tables.settings("runs") if setting not in columns]
    return [setting for setting in others if tables["runs"][setting].nunique(dropna=False) > 1]


def measured_values(tables: Frames) -> tuple[list[str], pd.DataFrame]:
    """Return what the finished runs of a study have measured, and the columns that tell readings apart.

    The trained state is a run's last epoch. Values that are missing or not valid are left out.

    Args:
        tables: those of one study: runs, and where they are there aggregates, lmd_ranks, lmd_layers and
            training.

    Returns:
        The columns that tell ways of measuring one network apart, and a table with the columns run, state,
        those, quantity, layer (empty where a quantity has none), value, and where they are known `SIZES` and
        `SETTINGS`.
    """
    frames = [_of_runs(tables["runs"])]
    keys: dict[str, None] = {}
    for name, values_of in (("aggregates", _of_aggregates), ("lmd_ranks", _ranks), ("lmd_layers", _norms)):
        if name in tables and not tables[name].empty:
            readings = probe_readings(tables) if name == "aggregates" else tables.settings(name)
            frames.append(values_of(tables[name], readings))
            keys |= dict.fromkeys(readings)
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
    return rows.assign(state=TRAINED, value=rows["value"].astype(float))


def _of_aggregates(aggregates: pd.DataFrame, readings: Sequence[str]) -> pd.DataFrame:
    """Return the aggregates of folding in every state."""
    aggregates = aggregates.rename(columns={"num_pairs": "num_class_pairs"})
    return aggregates.melt(["run", "state", *readings, *SIZES], [*MAIN_AGGREGATES], var_name="quantity")


def _ranks(ranks: pd.DataFrame, readings: Sequence[str]) -> pd.DataFrame:
    """Return valid ranks by the rules `RULES`, unrounded, in every state."""
    rows = ranks[ranks["rule"].isin(RULES) & ranks["valid"].astype(bool)]
    return _in_states(rows.assign(quantity="rank_" + rows["rule"].astype(str)), readings)


def _norms(layers: pd.DataFrame, readings: Sequence[str]) -> pd.DataFrame:
    """Return the spectral norms in every state; they are the same under every metric."""
    rows = layers[layers["metric"] == "identity"]
    return _in_states(rows.assign(quantity="spectral_norm", value=rows["spectral_norm"]), readings)


def _in_states(rows: pd.DataFrame, readings: Sequence[str]) -> pd.DataFrame:
    """Return the values of layers untrained and trained, and their difference where both are."""
    index = ["run", *readings, "quantity", "layer"]
    states = by_state(rows[[*index, "epoch", "value"]])
    values = {state: each.drop(columns="epoch").assign(state=state) for state, each in states.items()}
    both = values[TRAINED].merge(values[UNTRAINED], on=index, suffixes=("", "_untrained"))
    difference = both.assign(state=DIFFERENCE, value=both["value"] - both["value_untrained"])
    return _stack([values[UNTRAINED], values[TRAINED], difference[values[TRAINED].columns]])


def _with_settings(values: pd.DataFrame, tables: Frames) -> pd.DataFrame:
    """Add `SETTINGS` of each run; untrained networks have none."""
    if "training" not in tables or tables["training"].empty:
        return values.assign(**dict.fromkeys(SETTINGS))
    training = tables["training"]
    settings = {
        "epochs": last_epochs(training).set_index("run")["epoch"],
        "learning_rate": by_state(training)[UNTRAINED].set_index("run")["learning_rate"],
    }
    is_untrained = values["state"] == UNTRAINED
    return values.assign(**{name: values["run"].map(settings[name]).mask(is_untrained) for name in SETTINGS})


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames that have any."""
    return pd.concat([frame for frame in frames if not frame.empty] or [*frames], ignore_index=True)
