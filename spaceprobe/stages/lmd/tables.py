"""The tables of the Layer Matrix Decomposition."""

from collections.abc import Sequence
from typing import Any

from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.tables.table import Table

KEY = ("epoch", "layer")

SPECTRUM_COLUMNS = (
    *("basis", "index", "value", "energy", "cumulative_energy", "initial_value", "shuffled_value"),
    *("participation_u", "participation_v", "error", "kept"),
)
RANK_COLUMNS = ("rule", "rank", "value", "valid", "reason", "default")
LAYER_COLUMNS = (
    *("num_outputs", "num_inputs", "metric", "rank", "rule", "frobenius_norm", "spectral_norm"),
    *("stable_rank", "truncation_error", "reconstruction_error", "isometry_error_u"),
    *("isometry_error_v", "condition_in", "condition_out", "num_components", "num_components_out"),
    *("num_dead_inputs", "num_ignored_inputs", "valid", "reason"),
)
TAIL_COLUMNS = (
    *("num_values", "exponent", "standard_error", "ks_distance", "xmin", "num_tail"),
    *("num_left_out", "valid", "reason"),
    *("log_norm", "log_spectral_norm", "weighted_alpha", "log_alpha_norm", "stable_rank"),
    *("numerical_rank", "noise_edge"),
)
DIMENSION_COLUMNS = (
    *("space", "estimator", "num_neighbours", "dimension", "spread", "num_points", "num_duplicates"),
    *("num_subsamples", "reason"),
)
RETRIEVAL_COLUMNS = ("space", "rank", "num_stored", "noise", "num_queries", "accuracy")
SEMANTICS_COLUMNS = (
    *("axis", "share", "shuffled_mean", "shuffled_sd", "shuffled_q95", "shuffled_max", "p_value"),
    *("class_variance", "variance"),
)


def _table(name: str, key: tuple[str, ...], columns: tuple[str, ...]) -> Table:
    return Table(name, key=(*KEY, *key), columns=(*KEY, *columns))


OF_A_MATRIX = (
    _table("lmd_spectrum", ("basis", "index"), SPECTRUM_COLUMNS),
    _table("lmd_ranks", ("rule",), RANK_COLUMNS),
    _table("lmd_layers", ("metric",), LAYER_COLUMNS),
    _table("lmd_tails", (), TAIL_COLUMNS),
)
"""Those that any weight matrix fills, with or without data."""

OF_A_FILE = tuple(
    Table(table.name, key=("layer", *table.key[2:]), columns=("layer", "name", "kind", *table.columns[2:]))
    for table in OF_A_MATRIX
)
"""The same of a file of weights: no epochs, but a name and what kind of matrix it is."""

TABLES = (
    *OF_A_MATRIX,
    _table("lmd_functional", ("rank",), ("rank", "score", "scored_on")),
    _table("lmd_dimension", ("space", "estimator"), DIMENSION_COLUMNS),
    _table("lmd_retrieval", ("space",), RETRIEVAL_COLUMNS),
    _table("lmd_semantics", ("axis",), SEMANTICS_COLUMNS),
)
"""Those of a study."""


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    del sections
    rows: dict[str, list[dict[str, Any]]] = {}
    for _, content in parts:
        for table, some in content.record.items():
            rows.setdefault(table, []).extend(some)
    return rows
