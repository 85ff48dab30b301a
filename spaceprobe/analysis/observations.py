"""Which rows of the untrained state are of one and the same network.

The initial weights depend on the seed and the architecture, not on how training goes on. So a study that
sweeps the learning rate has each untrained network once for every rate: the same weights, measured on the
same ends of paths. They are one observation, not one for each run.
"""

from collections.abc import Sequence

import pandas as pd

from spaceprobe.analysis.aggregate_columns import OF_NETWORK
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import UNTRAINED

NETWORK = "network"
"""The column that numbers the networks of one state: those of `networks_of`, or the runs."""


def networks_of(frames: Frames, state: str) -> "pd.Series[int]":
    """Return the number of the network that each run has in a state, by the run's name.

    Trained networks are as many as runs. Untrained ones are the same where the digest of the initial weights
    is, and everything else that their paths depend on: activation, dataset, and the swept settings that not
    only training has. A run without a digest is a network of its own.

    Args:
        frames: runs.
        state: untrained, trained or difference.

    Raises:
        ValueError: runs.csv is of a version that recorded no digest, and the untrained state is asked for.
    """
    runs = frames["runs"]
    if state != UNTRAINED:
        return pd.Series(range(len(runs)), index=runs["run"])
    if "initial_digest" not in runs:
        raise ValueError(
            "runs.csv lacks the column initial_digest, which tells untrained networks apart: it is of an "
            "earlier version; `spaceprobe run` writes it again"
        )
    kept = settings_in(frames, state)
    key = runs[[*(name for name in OF_NETWORK if name not in kept), *kept]].copy()
    digests = runs["initial_digest"].astype(object)  # of another type where training started nowhere
    key["initial_digest"] = digests.where(digests.notna(), runs["run"])
    return pd.Series(
        key.groupby([*key.columns], dropna=False, sort=False).ngroup().to_numpy(), index=runs["run"]
    )


def settings_in(frames: Frames, state: str) -> list[str]:
    """Return the swept settings of runs.csv that networks in a state depend on."""
    training_only = frames.tables["runs"].training_only if state == UNTRAINED else ()
    return [name for name in frames.settings("runs") if name not in training_only]


def one_per_network(rows: pd.DataFrame, frames: Frames, state: str, readings: Sequence[str]) -> pd.DataFrame:
    """Return the rows of one state, one for each network and reading of it, with the column ``network``.

    Of several runs with one untrained network the one with the most class pairs stays, and of those the
    first. What a run was swept over but its untrained network does not depend on is emptied.

    Args:
        rows: of one state: aggregates.csv.
        frames: runs.
        state: their state.
        readings: the columns that tell readings of one network apart, the swept settings of runs left out.
    """
    rows = rows.assign(**{NETWORK: rows["run"].map(networks_of(frames, state))})
    if state != UNTRAINED:
        return rows
    fullest = rows.sort_values("num_pairs", ascending=False, kind="stable")
    rows = rows.loc[fullest.drop_duplicates([NETWORK, *readings]).index.sort_values()]
    return without_settings_of_training(rows, frames, state)


def without_settings_of_training(rows: pd.DataFrame, frames: Frames, state: str) -> pd.DataFrame:
    """Return rows with the settings emptied that networks in their state do not depend on."""
    kept = settings_in(frames, state)
    emptied = {
        name: rows[name]
        .astype("Int64" if pd.api.types.is_integer_dtype(rows[name]) else object)
        .mask(pd.Series(data=True, index=rows.index))
        for name in frames.settings("runs")
        if name in rows and name not in kept
    }
    return rows.assign(**emptied)
