"""The tables of the summarize stage."""

from spaceprobe.tables.table import Table

_OF_ARCHITECTURE = ("architecture", "depth", "width", "activation", "dataset")
_OF_RUN = (*_OF_ARCHITECTURE, "seed", "num_parameters", "test_accuracy")
_PROBE = ("method", "num_points")
_AGGREGATES = (
    *("num_pairs", "num_sources", "num_targets"),
    *(
        f"{measure}_{column}"
        for measure in ("chi", "peak")
        for column in (
            *("zero_length", "folded", "folded_mean", "mean", "max"),
            *("q05", "q25", "q50", "q75", "q95", "row_max_median"),
        )
    ),
    "note",
)
_SPREADS = tuple(
    f"{column}_{number}"
    for column in ("test_accuracy", "chi_folded_mean", "chi_max", "chi_row_max_median")
    for number in ("mean", "sd", "low", "high")
)

TABLES = (
    Table("aggregates", key=("state", *_PROBE), columns=(*_OF_RUN, "state", *_PROBE, *_AGGREGATES)),
    Table(
        "architectures",
        key=("state", *_OF_ARCHITECTURE, *_PROBE),
        columns=("state", *_OF_ARCHITECTURE, *_PROBE, "num_seeds", *_SPREADS),
    ),
    Table(
        "correlations",
        key=(),
        columns=(
            *("predictor", "response", "state", "given", "min_accuracy", "seed"),
            *("num_runs", "num_seeds", "pearson", "pearson_low", "pearson_high", "spearman"),
            *("slope", "slope_low", "slope_high", "interval", "note"),
        ),
    ),
)
