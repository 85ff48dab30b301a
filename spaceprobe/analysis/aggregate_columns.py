"""What aggregates.csv and architectures.csv are made of. Without pandas, for the declarations of tables."""

from spaceprobe.tables.table import Table

FOLDINGS = ("chi", "peak")
"""The values of the column ``measure`` of folding.csv."""

ACCURACY = "test_accuracy"

NOT_OF_AGGREGATES = (
    *("initial_digest", "train_loss", "train_accuracy", "test_loss", ACCURACY, "status", "error"),
)
"""The columns of runs.csv that aggregates.csv does not repeat; its test accuracy is that of each state."""

OF_ARCHITECTURE = ("architecture", "depth", "width", "activation", "dataset")
"""The columns of runs.csv that tell architectures apart, beside the swept settings."""

OF_NETWORK = ("activation", "dataset")
"""The columns of runs.csv that a measurement depends on beside the weights."""

MAIN_AGGREGATES = ("chi_folded_mean", "chi_max", "chi_row_max_median")
"""The aggregates that are given for each architecture and compared between studies."""

OVER_SEEDS = (ACCURACY, *MAIN_AGGREGATES)
"""The columns of aggregates.csv that architectures.csv has mean, deviation and interval of."""

_SIZES = ("num_paths", "num_sources", "num_targets")


def aggregations(folding: Table) -> dict[str, tuple[str, str]]:
    """Return the aggregates of a measure: a column of folding.csv, and what is taken over class pairs.

    All are medians; of ``folded`` there is the mean as well (docs/definitions.md, "Aggregate of a
    network"; arXiv 2502.09954 reports such medians).

    Args:
        folding: the declaration of folding.csv.
    """
    made: dict[str, tuple[str, str]] = {}
    for name in folding.names:
        if name not in (*folding.key, *_SIZES):
            made[name] = name, "median"
        if name == "folded":
            made["folded_mean"] = name, "mean"
    return made
