"""Which rows and columns of a study's CSVs a page shows as tables, and their titles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from spaceprobe.analysis.correlation_differences import CORRELATION_DIFFERENCE_COLUMNS
from spaceprobe.analysis.differences import DIFFERENCE_COLUMNS
from spaceprobe.report.folding_caption import ON_LOGIT, without_folding
from spaceprobe.report.numbers import LAST, Numbers


@dataclass(frozen=True)
class TableSpec:
    """Which rows and columns of a CSV a page shows.

    Attributes:
        table: the name of the CSV.
        title: its heading.
        columns: those shown, and their heads; columns that the CSV lacks are left out.
        where: the values of other columns in the rows shown.
        formats: how Python formats the numbers of a column; by default ``.3f``, and ``d`` for integers.
        around: columns with an interval beside their value, and the columns of its two ends.
        spread: columns with a standard deviation beside their value, and its column.
        computed: further columns that are not swept settings, where no stage declares the table.
        numbers_only: columns of which a row has at least one, else it is left out.
        empty: what to say where no row is left.
        remark: what a reader of the table has to know, or nothing.
    """

    table: str
    title: str
    columns: Mapping[str, str]
    where: Mapping[str, Any]
    formats: Mapping[str, str]
    around: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    spread: Mapping[str, str] = field(default_factory=dict)
    computed: Sequence[str] = ()
    numbers_only: Sequence[str] = ()
    empty: str = "no row to show"
    remark: Callable[[Numbers], Markup] = lambda numbers: Markup()  # noqa: ARG005  # as a method


def _on_architectures(numbers: Numbers) -> Markup:
    """Return what intervals are, where there are some, and what row maxima leave out."""
    has_interval = numbers.frames["architectures"]["test_accuracy_low"].notna().any()
    text = Markup("Intervals: t over seeds, {}.").format(ON_LOGIT) if has_interval else Markup()
    return Markup(" ").join(filter(None, [text, without_folding(numbers)]))


ARCHITECTURES = TableSpec(
    table="architectures",
    title="Architectures",
    columns={
        "state": "state",
        "architecture": "architecture",
        "activation": "activation",
        "dataset": "dataset",
        "*": "",
        "method": "method",
        "num_points": "points",
        "num_seeds": "seeds",
        "test_accuracy": "test accuracy",
        "accuracy_of": "accuracy of",
        "chi_folded_mean": "paths that fold, mean over class pairs",
        "chi_max": "largest χ",
        "chi_row_max_median": "row maxima of χ",
        "note": "note",
    },
    where={},
    formats={},
    around={
        name: (f"{name}_low", f"{name}_high")
        for name in ("test_accuracy", "chi_folded_mean", "chi_max", "chi_row_max_median")
    },
    remark=_on_architectures,
)

CORRELATIONS = TableSpec(
    table="correlations",
    title="Correlations",
    columns={
        "*": "",
        "predictor": "predictor",
        "response": "response",
        "state": "state",
        "at": "at",
        "given": "given",
        "min_accuracy": "accuracy ≥",
        "accuracy_of": "accuracy of",
        "num_runs": "runs",
        "num_seeds": "seeds",
        "pearson": "r",
        "spearman": "Spearman",
        "slope": "slope",
        "interval": "interval",
        "note": "note",
    },
    where={"seed": "all"},
    formats={"min_accuracy": ".2f", "slope": ".3g"},
    around={"pearson": ("pearson_low", "pearson_high")},
    numbers_only=("pearson",),
    empty="none could be computed; in correlations.csv the column note says why",
)

RUNS = TableSpec(
    table="runs",
    title="Runs",
    columns={
        "run": "run",
        "num_parameters": "parameters",
        "train_loss": "training loss",
        "train_accuracy": "training accuracy",
        "test_loss": "test loss",
        "test_accuracy": "test accuracy",
        "status": "status",
        "error": "error",
    },
    where={},
    formats={"num_parameters": ",d", "train_loss": ".3g", "test_loss": ".3g"},
)

LAYERS = TableSpec(
    table="lmd_layers",
    title="Layers after training",
    columns={
        "run": "run",
        "*": "",
        "layer": "layer",
        "metric": "metric",
        "rank": "rank",
        "rule": "rule",
        "spectral_norm": "σ₁",
        "stable_rank": "stable rank",
        "truncation_error": "truncation error",
        "reconstruction_error": "reconstruction error",
        "valid": "valid",
        "reason": "reason",
    },
    where={"epoch": LAST},
    formats={"reconstruction_error": ".1e", "stable_rank": ".2f"},
)

DIFFERENCES = TableSpec(
    table="differences",
    title="Differences, B minus A",
    columns={
        "architecture": "architecture",
        "activation": "activation",
        "dataset": "dataset",
        "*": "",
        "state": "state",
        "method": "method",
        "num_points": "points",
        "quantity": "quantity",
        "layer": "layer",
        "mean_a": "mean, A",
        "mean_b": "mean, B",
        "difference": "difference",
        "interval": "interval",
        "num_seeds_a": "seeds, A",
        "num_seeds_b": "seeds, B",
        "num_pairs": "seeds, shared and paired",
        "note": "note",
    },
    where={},
    formats={"mean_a": ".4g", "mean_b": ".4g", "difference": "+.3g"},
    around={"difference": ("low", "high")},
    computed=DIFFERENCE_COLUMNS,
)

CORRELATION_DIFFERENCES = TableSpec(
    table="correlation_differences",
    title="Correlations of folding, side by side",
    columns={
        "predictor": "predictor",
        "state": "state",
        "at": "at",
        "given": "given",
        "min_accuracy": "accuracy ≥",
        "pearson_a": "r, A",
        "pearson_b": "r, B",
        "atanh_difference": "difference of atanh r",
        "interval": "interval",
        "note": "note",
    },
    where={},
    formats={"min_accuracy": ".2f", "atanh_difference": "+.3f"},
    around={
        "pearson_a": ("pearson_low_a", "pearson_high_a"),
        "pearson_b": ("pearson_low_b", "pearson_high_b"),
        "atanh_difference": ("atanh_low", "atanh_high"),
    },
    computed=CORRELATION_DIFFERENCE_COLUMNS,
    numbers_only=("pearson_a", "pearson_b"),
)

UNMATCHED = TableSpec(
    table="unmatched",
    title="In one study only",
    columns={
        "architecture": "architecture",
        "activation": "activation",
        "dataset": "dataset",
        "*": "",
        "only_in": "only in",
        "num_runs": "runs",
        "quantities": "quantities",
    },
    where={},
    formats={},
)

FILE_LAYERS = TableSpec(
    table="lmd_layers",
    title="Matrices",
    columns={
        "layer": "number",
        "name": "name",
        "kind": "kind",
        "num_outputs": "outputs",
        "num_inputs": "inputs",
        "rank": "rank",
        "rule": "rule",
        "spectral_norm": "σ₁",
        "stable_rank": "stable rank",
        "truncation_error": "truncation error",
        "reconstruction_error": "reconstruction error",
        "valid": "valid",
        "reason": "reason",
    },
    where={},
    formats={"reconstruction_error": ".1e", "stable_rank": ".2f"},
)
"""This table and the next two are of a file of weights."""

FILE_RANKS = TableSpec(
    table="lmd_ranks",
    title="Ranks by rule",
    columns={
        "layer": "number",
        "name": "name",
        "rule": "rule",
        "rank": "rank",
        "value": "unrounded",
        "default": "default",
    },
    where={"valid": True},
    formats={},
    empty="no rule is valid; in lmd_ranks.csv the column reason says why",
)

FILE_TAILS = TableSpec(
    table="lmd_tails",
    title="Power-law tails, norms and noise",
    columns={
        "layer": "number",
        "name": "name",
        "exponent": "exponent",
        "standard_error": "standard error",
        "ks_distance": "KS distance",
        "num_tail": "in the tail",
        "goodness_p": "p of the law",
        "preferred": "preferred",
        "valid": "valid",
        "reason": "reason",
        "log_norm": "log₁₀ of the squared norm",
        "log_spectral_norm": "log₁₀ of λ₁",
        "num_spikes": "above the noise edge",
        "num_entry_spikes": "of these by large entries",
        "soft_rank": "soft rank",
        "shuffled_distance": "distance from shuffled",
    },
    where={},
    formats={},
)

MATRICES = TableSpec(
    table="matrices",
    title="Matrices by name, B minus A",
    columns={
        "name": "name",
        "rank_a": "rank, A",
        "rank_b": "rank, B",
        "rank_difference": "difference of rank",
        "spectral_norm_a": "σ₁, A",
        "spectral_norm_b": "σ₁, B",
        "spectral_norm_difference": "difference of σ₁",
        "stable_rank_a": "stable rank, A",
        "stable_rank_b": "stable rank, B",
        "stable_rank_difference": "difference of stable rank",
        "note": "note",
    },
    where={},
    formats={
        "rank_difference": "+.0f",
        "spectral_norm_difference": "+.3f",
        "stable_rank_difference": "+.3f",
    },
)

RECORDED_STEPS = TableSpec(
    table="recording",
    title="Steps",
    columns={
        "step": "step",
        "num_paths": "paths",
        "chi": "χ",
        "null_chi": "null χ",
        "peak": "peak folding",
        "folded": "share that folds",
        "length": "length",
        "reach": "reach",
        "num_matrices": "matrices",
        "fold_s": "seconds of paths",
        "lmd_s": "seconds of matrices",
        "reason": "reason",
    },
    where={},
    formats={"length": ".1f", "reach": ".1f", "fold_s": ".2f", "lmd_s": ".2f", "num_matrices": "d"},
)
"""Of a recording; means over its paths."""

RECORDED_DIFFERENCES = TableSpec(
    table="recorded_differences",
    title="Steps, B minus A",
    columns={
        "step": "step",
        "chi_a": "χ, A",
        "chi_b": "χ, B",
        "chi_difference": "difference of χ",
        "null_chi_a": "null χ, A",
        "null_chi_b": "null χ, B",
        "length_a": "length, A",
        "length_b": "length, B",
        "length_difference": "difference of length",
        "note": "note",
    },
    where={},
    formats={
        "chi_difference": "+.3f",
        "length_a": ".1f",
        "length_b": ".1f",
        "length_difference": "+.1f",
    },
)
