"""The tables of the summarize stage."""

from dataclasses import replace

from spaceprobe.analysis.aggregate_columns import (
    ACCURACY,
    FOLDINGS,
    NOT_OF_AGGREGATES,
    OF_ARCHITECTURE,
    OVER_SEEDS,
    aggregations,
)
from spaceprobe.analysis.null_columns import EXCESS, MATCHED, PLAIN
from spaceprobe.stages.fold.tables import FOLDING
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.states import STATES
from spaceprobe.tables.table import Column, Table

_STATE = Column(
    "state",
    "text",
    f"{', '.join(STATES)}: epoch 0, the last epoch or given weights, and trained minus untrained",
)
_ACCURACY_OF = Column(
    "accuracy_of",
    "text",
    "the state whose test accuracy the row has: its own, but trained for the difference",
)
_READING = (FOLDING.column("method"), FOLDING.column("num_points"))

AGGREGATES = Table(
    "aggregates",
    key=("state", "method", "num_points"),
    columns=(
        *(RUNS.column(name) for name in RUNS.names if name not in NOT_OF_AGGREGATES),
        _STATE,
        Column(
            ACCURACY,
            "number",
            "share, in [0, 1], of the test points that is classified correctly: after the last epoch, or at "
            "epoch 0 for the untrained network; empty for a regression",
            low=0,
            high=1,
        ),
        _ACCURACY_OF,
        *_READING,
        Column("num_pairs", "integer", "number of class pairs that were measured"),
        Column("num_sources", "number", "median over class pairs of num_sources of folding.csv"),
        Column("num_targets", "number", "median over class pairs of num_targets of folding.csv"),
        *(
            Column(
                f"{measure}_{name}",
                "number",
                f"{taken} over class pairs of {column} of {measure} in folding.csv; empty where none has it",
                low=FOLDING.column(column).low,
                high=FOLDING.column(column).high,
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
        *(
            Column(
                f"{name}_{end}",
                "number",
                f"{which} limit of the 95 % t interval of {name}_mean on the scale of its logit; empty where "
                "note says why",
            )
            for end, which in (("low", "lower"), ("high", "upper"))
        ),
    )


ARCHITECTURES = Table(
    "architectures",
    key=("state", *OF_ARCHITECTURE, "method", "num_points"),
    columns=(
        _STATE,
        *(RUNS.column(name) for name in OF_ARCHITECTURE),
        *_READING,
        Column("num_seeds", "integer", "number of seeds; untrained networks with the same weights are one"),
        _ACCURACY_OF,
        *(column for name in OVER_SEEDS for column in _over_seeds(name)),
        Column("note", "text", "why an interval is empty, and what was left out"),
    ),
    settings_after="dataset",
    meaning="one architecture with one value of every setting but the seed, in one state: means over seeds; "
    "the settings that only training has are empty where untrained",
)

_MEANINGS = {
    "length": "mean length of these paths",
    "chi": "mean chi of these paths, in [0, 1)",
    "null_chi": "mean null_chi of these paths: chi of the same flips in random order",
    EXCESS: "mean of chi minus null_chi",
    **{
        name: f"{name.removeprefix('matched_')} at matched lengths; empty where overlap is 0"
        for name in MATCHED
    },
}

FOLDING_NULL = Table(
    "folding_null",
    key=("state", "method", "num_points"),
    columns=(
        *(RUNS.column(name) for name in RUNS.names if name not in NOT_OF_AGGREGATES),
        *(AGGREGATES.column(name) for name in ("state", ACCURACY, "accuracy_of", "method", "num_points")),
        Column("num_paths", "integer", "number of single paths, those of paths.csv"),
        *(
            Column(
                name,
                "number",
                _MEANINGS[name],
                low=None if name == "length" else -1 if EXCESS in name else 0,
                high=None if name == "length" else 1,
            )
            for name in (*PLAIN, EXCESS, *MATCHED)
        ),
        Column(
            "overlap",
            "number",
            "share of these paths that matched lengths are of, in [0, 1]: the sum over lengths of the least "
            "share of paths of that length in any network of the seed; empty for the difference",
            low=0,
            high=1,
        ),
    ),
    settings_after="seed",
    meaning="χ of the single paths of one network in one state beside their null model; only where "
    "folding.detail asks for single paths",
)

CORRELATIONS = Table(
    "correlations",
    key=(),
    columns=(
        Column("predictor", "text", "depth, width, or a swept number: a column of runs.csv"),
        Column("response", "text", "a column of aggregates.csv"),
        _STATE,
        Column(
            "at",
            "text",
            "the values of the other swept settings, such as learning_rate 0.001; pooled for networks with "
            "all of them; none where nothing else is swept that the state depends on",
        ),
        Column("given", "text", "what is held fixed: none, or test_accuracy"),
        Column("min_accuracy", "number", "least test accuracy of the networks; 0 for all", low=0, high=1),
        Column(
            "accuracy_of",
            "text",
            "the state whose test accuracy is held fixed or filtered by: trained; empty where neither is",
        ),
        Column("seed", "text", "the seed of the networks, or all"),
        Column("num_runs", "integer", "number of networks; untrained ones with the same weights are one"),
        Column("num_seeds", "integer", "number of seeds"),
        Column(
            "pearson",
            "number",
            "correlation, in [-1, 1], partial where something is given; over seeds tanh of the mean of "
            "atanh(r); empty where note says why",
            low=-1,
            high=1,
        ),
        Column("pearson_low", "number", "lower limit of its 95 % interval; empty where note says why"),
        Column("pearson_high", "number", "upper limit of its 95 % interval; empty where note says why"),
        Column(
            "spearman",
            "number",
            "correlation of the ranks, in [-1, 1]; over seeds their mean",
            low=-1,
            high=1,
        ),
        Column("slope", "number", "least-squares change of the response per unit of the predictor"),
        Column("slope_low", "number", "lower limit of its 95 % interval; empty where note says why"),
        Column("slope_high", "number", "upper limit of its 95 % interval; empty where note says why"),
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

NULL_CORRELATIONS = Table(
    "folding_null_correlations",
    key=(),
    columns=tuple(
        replace(column, meaning="a column of folding_null.csv, or test_accuracy")
        if column.name == "response"
        else column
        for column in CORRELATIONS.columns
    ),
    meaning="how χ, its null value and the excess go with one predictor, as correlations.csv has it",
)

TABLES = (AGGREGATES, ARCHITECTURES, CORRELATIONS, FOLDING_NULL, NULL_CORRELATIONS)
