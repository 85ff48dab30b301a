"""The tables of the summarize stage."""

from spaceprobe.analysis.aggregate_columns import (
    FOLDINGS,
    NOT_OF_AGGREGATES,
    OF_ARCHITECTURE,
    OVER_SEEDS,
    aggregations,
)
from spaceprobe.stages.fold.tables import FOLDING
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.states import STATES, TITLES
from spaceprobe.tables.table import Column, Table

_STATE = Column("state", "text", f"{', '.join(STATES)}: epoch 0, the last epoch, and {TITLES['difference']}")
_READING = (FOLDING.column("method"), FOLDING.column("num_points"))

AGGREGATES = Table(
    "aggregates",
    key=("state", "method", "num_points"),
    columns=(
        *(RUNS.column(name) for name in RUNS.names if name not in NOT_OF_AGGREGATES),
        _STATE,
        *_READING,
        Column("num_pairs", "integer", "number of class pairs that were measured"),
        Column("num_sources", "number", "median over class pairs of num_sources of folding.csv"),
        Column("num_targets", "number", "median over class pairs of num_targets of folding.csv"),
        *(
            Column(
                f"{measure}_{name}",
                "number",
                f"{taken} over class pairs of {column} of {measure} in folding.csv; empty where none has it",
            )
            for measure in FOLDINGS
            for name, (column, taken) in aggregations(FOLDING).items()
        ),
        Column("note", "text", "how many of the class pairs that other networks have, where it lacks some"),
    ),
    settings_after="seed",
    meaning="the folding of one network in one state: medians over class pairs",
)


def _over_seeds(name: str) -> tuple[Column, ...]:
    """Return the columns of what is averaged over seeds."""
    return (
        Column(f"{name}_mean", "number", f"mean over seeds of {name} of aggregates.csv"),
        Column(
            f"{name}_sd", "number", f"standard deviation (n - 1) of {name} over seeds; empty for one seed"
        ),
        Column(
            f"{name}_low", "number", f"lower limit of the 95 % t interval of {name}_mean; empty for one seed"
        ),
        Column(
            f"{name}_high", "number", f"upper limit of the 95 % t interval of {name}_mean; empty for one seed"
        ),
    )


ARCHITECTURES = Table(
    "architectures",
    key=("state", *OF_ARCHITECTURE, "method", "num_points"),
    columns=(
        _STATE,
        *(RUNS.column(name) for name in OF_ARCHITECTURE),
        *_READING,
        Column("num_seeds", "integer", "number of seeds"),
        *(column for name in OVER_SEEDS for column in _over_seeds(name)),
    ),
    settings_after="dataset",
    meaning="one architecture with one value of every setting but the seed, in one state: means over seeds",
)

CORRELATIONS = Table(
    "correlations",
    key=(),
    columns=(
        Column("predictor", "text", "depth, width, or a swept number: a column of runs.csv"),
        Column("response", "text", "a column of aggregates.csv"),
        _STATE,
        Column("given", "text", "what is held fixed: none, or test_accuracy of the trained network"),
        Column("min_accuracy", "number", "least test accuracy of the networks; 0 for all"),
        Column("seed", "text", "the seed of the networks, or all"),
        Column("num_runs", "integer", "number of networks"),
        Column("num_seeds", "integer", "number of seeds"),
        Column(
            "pearson",
            "number",
            "correlation, in [-1, 1], partial where something is given; over seeds tanh of the mean of "
            "atanh(r); empty where note says why",
        ),
        Column("pearson_low", "number", "lower limit of its 95 % interval; empty where there is none"),
        Column("pearson_high", "number", "upper limit of its 95 % interval; empty where there is none"),
        Column("spearman", "number", "correlation of the ranks, in [-1, 1]; over seeds their mean"),
        Column("slope", "number", "least-squares change of the response per unit of the predictor"),
        Column("slope_low", "number", "lower limit of its 95 % interval; empty where there is none"),
        Column("slope_high", "number", "upper limit of its 95 % interval; empty where there is none"),
        Column(
            "interval",
            "text",
            "t over seeds (a mean over seeds), bootstrap (the same, resampled), or Fisher z (of one sample; "
            "over all seeds the runs are pooled)",
        ),
        Column(
            "note", "text", "why a cell is empty, what was left out, and how the networks differ otherwise"
        ),
    ),
    meaning="how one response goes with one predictor, in one state, over one seed or all",
)

TABLES = (AGGREGATES, ARCHITECTURES, CORRELATIONS)
