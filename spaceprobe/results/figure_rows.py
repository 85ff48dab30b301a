"""The rows of a study's tables that each figure draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from spaceprobe.analysis.observations import one_per_network
from spaceprobe.analysis.samples import NOTHING_ELSE, POOLED
from spaceprobe.results.groups import (
    LABEL,
    MAX_GROUPS,
    GroupedRows,
    as_floats,
    rows_by_group,
    untrained_networks,
    with_groups,
)
from spaceprobe.results.questions import OVER_SEEDS, overall_correlations
from spaceprobe.results.readings import matching, one_reading, reading_columns
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import STATES, TRAINED, UNTRAINED, by_state, last_epochs

FUNCTIONAL = "functional"
"""The rule whose rank was measured: the least that keeps the network's accuracy."""

_LAYER = ["run", "epoch", "layer"]


@dataclass(frozen=True)
class AlongAxis:
    """Aggregates of networks along depth, width or a swept number.

    Attributes:
        aggregates: rows of aggregates.csv of one reading, with the column ``group``.
        correlations: rows of correlations.csv over seeds, of the axis and of all networks of a state: those
            whose column ``at`` is "none", or "pooled" where something else is swept.
        is_over_seeds: by state, whether networks at one place differ in nothing but their seed.
        notes: what was left out, for the figure to say.
    """

    aggregates: pd.DataFrame
    correlations: pd.DataFrame
    is_over_seeds: Mapping[str, bool]
    notes: list[str]


def aggregates_along(
    axis: str, runs: pd.DataFrame, aggregates: pd.DataFrame, correlations: pd.DataFrame | None
) -> AlongAxis:
    """Return the aggregates of one reading that have a value on an axis, and their correlations with it.

    Untrained networks with the same weights are one; of an axis that only training has there are none.

    Args:
        axis: ``depth``, ``width`` or the column of a swept number.
        runs: runs.csv.
        aggregates: aggregates.csv.
        correlations: correlations.csv; None where there is none.
    """
    columns = reading_columns("aggregates", aggregates, runs)
    done = aggregates[aggregates["run"].isin(runs["run"][runs["status"] == "done"])]
    rows, notes = one_reading(done, columns)
    if correlations is None or rows.empty:
        correlations = pd.DataFrame(
            columns=["response", "state", "at", "pearson", "pearson_low", "pearson_high", "num_seeds"]
        )
    else:
        correlations = overall_correlations(matching(correlations, rows[columns].iloc[:1]), axis)
        is_of_all = correlations["at"].isin([NOTHING_ELSE, POOLED])
        correlations = correlations[(correlations["interval"] == OVER_SEEDS) & is_of_all]
        correlations = correlations.drop_duplicates(["response", "state"])
    rows = rows.merge(with_groups(runs)[["run", LABEL]], on="run")
    frames = Frames({"runs": runs}, [RUNS])
    of_states = [one_per_network(rows[rows["state"] == state], frames, state, columns) for state in STATES]
    # An untrained network has no value on an axis that only training has.
    rows = pd.concat([of_state for of_state in of_states if len(of_state)] or of_states).dropna(subset=axis)
    is_over_seeds = {
        str(state): not of_state.duplicated([axis, "seed"]).any() for state, of_state in rows.groupby("state")
    }
    return AlongAxis(rows, correlations, is_over_seeds, notes)


def why_no_axis(axis: str, runs: pd.DataFrame) -> str:
    """Return why nothing can be drawn against a column of runs.csv; nothing where it can."""
    if axis not in ("depth", "width", *RUNS.settings(runs)):
        return f"this study sweeps no {axis}"
    values = runs.loc[runs["status"] == "done", axis].dropna()
    if len(values) and (not is_numeric_dtype(values) or is_bool_dtype(values)):
        return f"{axis} is not a number"
    if values.nunique() < 2:
        return f"{axis} is the same in all runs that are done"
    return ""


def class_pair_rows(
    runs: pd.DataFrame, folding: pd.DataFrame, columns: Sequence[str], state: str, max_groups: int
) -> GroupedRows:
    """Return χ of class pairs in one state: rows of folding.csv, some of its columns as floats."""
    chi = folding[folding["measure"] == "chi"]
    of_state = as_floats(by_state(chi)[state], columns)
    if state == UNTRAINED:
        return _untrained_by_group(runs, of_state, "folding", max_groups)
    return rows_by_group(runs, of_state, "folding", max_groups)


def _untrained_by_group(
    runs: pd.DataFrame, rows: pd.DataFrame, name: str, max_groups: int = MAX_GROUPS
) -> GroupedRows:
    """Return rows of untrained networks, each once: an axis that only training has makes no groups."""
    return rows_by_group(untrained_networks(runs, rows["run"]), rows, name, max_groups)


def histogram_rows(runs: pd.DataFrame, histogram: pd.DataFrame) -> dict[str, GroupedRows]:
    """Return the bins of χ by state, where there are some: rows of folding_histogram.csv.

    Each untrained network is there once; an axis that only training has makes no groups of them.
    """
    bins = as_floats(histogram, ["low", "high", "num_paths"])
    states = by_state(bins[bins["measure"] == "chi"])
    trained = rows_by_group(runs, states[TRAINED], "folding_histogram")
    untrained = _untrained_by_group(runs, states[UNTRAINED], "folding_histogram")
    return {UNTRAINED: untrained, TRAINED: trained}


def singular_values(runs: pd.DataFrame, spectrum: pd.DataFrame) -> GroupedRows:
    """Return the singular values at the last epoch, trained and untrained: rows of lmd_spectrum.csv.

    Raises:
        ValueError: the table is of a version that called the column otherwise.
    """
    if "untrained_value" not in spectrum:
        raise ValueError(
            "lmd_spectrum.csv lacks the column untrained_value: an earlier version wrote it; `spaceprobe "
            "lmd` writes it again"
        )
    values = last_epochs(spectrum[spectrum["basis"] == "svd"])
    return rows_by_group(runs, as_floats(values, ["value", "untrained_value"]), "lmd_spectrum")


def default_ranks(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks that the default rule chose at the last epoch: rows of lmd_ranks.csv."""
    return as_floats(last_epochs(ranks[ranks["default"].eq(other=True)]), ["rank"])


def noise_edges(tails: pd.DataFrame) -> pd.DataFrame:
    """Return the Marchenko-Pastur edges of the initialisations: rows of lmd_tails.csv."""
    return as_floats(last_epochs(tails), ["noise_edge"])


def latent_values(runs: pd.DataFrame, spectrum: pd.DataFrame, bases: Sequence[str]) -> GroupedRows:
    """Return the values above 0 in some bases at the last epoch: rows of lmd_spectrum.csv."""
    values = as_floats(spectrum[spectrum["basis"].isin([*bases])], ["value"])
    return rows_by_group(runs, last_epochs(values[values["value"] > 0]), "lmd_spectrum")


def ranks_beside_functional(ranks: pd.DataFrame, runs: pd.DataFrame | None) -> tuple[pd.DataFrame, list[str]]:
    """Return valid ranks of the last epoch with the functional rank of their layer, and what was left out.

    Layers whose functional rank is 0, which the network's accuracy does not need, are left out; a rule's rank
    may be 0.

    Args:
        ranks: lmd_ranks.csv.
        runs: runs.csv, for leaving out runs that failed; None for all runs.

    Returns:
        Rows of lmd_ranks.csv with the column ``functional_rank``, and notes for the figure.
    """
    notes: list[str] = []
    if runs is not None:
        grouped = rows_by_group(runs, ranks, "lmd_ranks", max_groups=len(runs))
        ranks, notes = grouped.rows, grouped.notes
    ranks = as_floats(last_epochs(ranks), ["rank"])
    functional = ranks.loc[ranks["rule"] == FUNCTIONAL, [*_LAYER, "rank"]]
    functional = functional.rename(columns={"rank": "functional_rank"})
    needed = functional[functional["functional_rank"] > 0]
    valid = ranks[ranks["valid"].eq(other=True) & (ranks["rule"] != FUNCTIONAL)]
    return valid.merge(needed, on=_LAYER), [*_unneeded(functional, needed), *notes]


def _unneeded(functional: pd.DataFrame, needed: pd.DataFrame) -> list[str]:
    """Return the note on layers whose functional rank is 0, where there are some."""
    num_layers, num_networks = len(functional) - len(needed), functional["run"].nunique()
    if not num_layers:
        return []
    note = (
        f"left out: {num_layers} of {len(functional)} layers with functional rank 0, without whose weights "
        "the network keeps its accuracy"
    )
    num_without = num_networks - needed["run"].nunique()
    return [note + (f"; {num_without} of {num_networks} networks have no other" if num_without else "")]


def ranks_over_epochs(runs: pd.DataFrame, ranks: pd.DataFrame, rule: str) -> GroupedRows:
    """Return the unrounded ranks by a rule, where it gives one: rows of lmd_ranks.csv."""
    of_rule = as_floats(ranks[ranks["rule"] == rule], ["value"]).dropna(subset="value")
    return rows_by_group(runs, of_rule, "lmd_ranks")


def worst_layers(runs: pd.DataFrame, convergence: pd.DataFrame, criteria: Sequence[str]) -> GroupedRows:
    """Return the largest value of each criterion over the layers, by run and epoch of lmd_convergence.csv."""
    grouped = rows_by_group(runs, as_floats(convergence, criteria), "lmd_convergence")
    worst = grouped.rows.groupby(["run", LABEL, "epoch"], as_index=False)[[*criteria]].max()
    return replace(grouped, rows=worst)


def training_rows(runs: pd.DataFrame, training: pd.DataFrame, columns: Sequence[str]) -> GroupedRows:
    """Return the epochs of training.csv, some of its columns as floats."""
    return rows_by_group(runs, as_floats(training, columns), "training")


def dimensions(runs: pd.DataFrame, dimension: pd.DataFrame, spaces: Sequence[str]) -> GroupedRows:
    """Return the estimates of some spaces, where there is one: rows of lmd_dimension.csv."""
    rows = as_floats(dimension, ["dimension"]).dropna(subset="dimension")
    return rows_by_group(runs, rows[rows["space"].isin([*spaces])], "lmd_dimension")


def retrievals(runs: pd.DataFrame, retrieval: pd.DataFrame) -> GroupedRows:
    """Return the accuracies at the last epoch under the most noise: rows of lmd_retrieval.csv."""
    rows = last_epochs(as_floats(retrieval, ["accuracy"]).dropna(subset="accuracy"))
    return rows_by_group(runs, rows[rows["noise"] == rows["noise"].max()], "lmd_retrieval")


def axis_shares(runs: pd.DataFrame, semantics: pd.DataFrame) -> GroupedRows:
    """Return the shares of variance that classes explain, where there is one: rows of lmd_semantics.csv."""
    rows = as_floats(semantics, ["share", "shuffled_q95"]).dropna(subset="share")
    return rows_by_group(runs, rows, "lmd_semantics")
