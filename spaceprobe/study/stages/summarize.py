"""Summarize: aggregates of every network, and their correlation with depth, width and swept settings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.study.stage import Frames, Sections, StudyStage, Table

if TYPE_CHECKING:
    import pandas as pd

SHAPE = ("architecture", "depth", "width")  # the architecture says them all
STATES = {"trained": "trained", "initial": "untrained", "difference": "trained minus untrained"}


def architecture_lines(runs: "pd.DataFrame", folding: "pd.DataFrame") -> str:
    """Returns a table for the terminal: mean ± standard deviation over seeds for each architecture."""
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table

    blocks = []
    aggregates = aggregate_runs(runs, folding)
    for state, title in STATES.items():
        table = architecture_table(aggregates, state)
        if table.empty or state == "difference":
            continue
        shown = pd.DataFrame({"": table["architecture"]})
        for column in table.columns[: table.columns.get_loc("num_seeds")]:
            if column not in SHAPE and table[column].nunique(dropna=False) > 1:
                shown[str(column)] = ["-" if pd.isna(value) else str(value) for value in table[column]]
        shown["seeds"] = table["num_seeds"]
        if state == "trained":
            shown["test accuracy"] = _with_deviation(table, "test_accuracy", 3)
        shown["folded"] = _with_deviation(table, "chi_folded_mean", 2)
        shown["max"] = _with_deviation(table, "chi_max", 3)
        shown["row maxima"] = _with_deviation(table, "chi_row_max_median", 3)
        blocks.append(f"{title}\n{shown.to_string(index=False, justify='left')}")
    legend = "medians over class pairs (folded: means), then mean ± standard deviation over seeds"
    return "\n".join([*blocks, legend, *_why_flat(runs, folding)])


def _with_deviation(table: "pd.DataFrame", column: str, digits: int) -> "list[str]":
    """Returns ``mean ± standard deviation``; the deviation is left out for a single seed."""
    pairs = zip(table[f"{column}_mean"], table[f"{column}_sd"], strict=True)
    return [
        "-" if mean != mean else f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd == sd else "")
        for mean, sd in pairs
    ]


def _why_flat(runs: "pd.DataFrame", folding: "pd.DataFrame") -> Iterator[str]:
    """Yields why no path folds, where none does."""
    chi = folding[folding["measure"] == "chi"]
    if chi.empty or (chi["folded"] > 0).any():
        return
    if (runs["depth"] == 1).all():
        yield "every χ is 0: with one hidden layer each unit flips at most once on a straight line"
    elif (chi["zero_length"] == 1).all():
        yield "every χ is 0: no path crosses the boundary of a linear region"
    else:
        yield "every χ is 0: no path turns back; try deeper or wider networks, or longer training"


def _reduce(sections: Sections, frames: Frames) -> Frames:
    del sections
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table
    from spaceprobe.analysis.correlations import correlation_table

    runs = frames["runs"]
    aggregates = aggregate_runs(runs, frames["folding"])
    architectures = {state: architecture_table(aggregates, state) for state in STATES}
    return {
        "aggregates": aggregates,
        "architectures": pd.concat(architectures, names=["state", None]).reset_index(level="state"),
        "correlations": correlation_table(aggregates, runs),
    }


def _present(frames: Frames) -> str:
    runs, folding, correlations = frames["runs"], frames["folding"], frames["correlations"]
    if folding.empty:
        return "there is no folding to summarize"
    lines = [architecture_lines(runs, folding)]
    # The one that the study varies more: at a fixed number of units width says the same as depth.
    num_depths, num_widths = runs["depth"].nunique(), runs["width"].nunique()
    predictor = "width" if num_widths > num_depths else "depth"
    if max(num_depths, num_widths) > 1:
        lines += _correlation_lines(correlations, predictor)
    return "\n".join(lines)


def _correlation_lines(correlations: "pd.DataFrame", predictor: str) -> list[str]:
    """Returns a table: a line for each state, plain and given the accuracy; a column for each filter."""
    import pandas as pd

    from spaceprobe.analysis.correlations import PRIMARY_RESPONSE

    asked = (correlations["response"] == PRIMARY_RESPONSE) & (correlations["seed"] == "all")
    rows = correlations[asked & (correlations["predictor"] == predictor)]
    probes = [*rows.columns[: rows.columns.get_loc("predictor")]]
    table: dict[str, dict[Any, str]] = {}
    notes: dict[str, None] = {}
    for key, some in rows.groupby([*probes, "state", "given", "min_accuracy"], sort=False, dropna=False):
        *probe, state, given, min_accuracy = cast("tuple[Any, ...]", key)
        label = " ".join([*(str(value) for value in probe), STATES[state]])
        label += " given test accuracy" if given != "none" else ""
        column = f"test accuracy ≥ {min_accuracy:.2f}" if min_accuracy else "all runs"
        shown, note = _describe(some.set_index("interval").astype(object))
        table.setdefault(label, {})[column] = shown
        notes |= {f"- ({column}): {note}": None} if note else {}
    title = f"r of {predictor} and row maxima of χ"
    frame = pd.DataFrame.from_dict(table, orient="index").rename_axis(title, axis="columns")
    return [frame.to_string(justify="left"), *notes]


def _describe(by_interval: "pd.DataFrame") -> tuple[str, str]:
    """Returns the correlation over seeds, else the pooled one, with its interval; or why there is none."""
    import pandas as pd

    over_seeds, pooled = by_interval.loc["t over seeds"], by_interval.loc["Fisher z"]
    for row, what in (
        (over_seeds, f"{over_seeds['num_seeds']} seeds"),
        (pooled, f"{pooled['num_runs']} runs pooled"),
    ):
        r, low, high = (row[name] for name in ("pearson", "pearson_low", "pearson_high"))
        if not pd.isna(r):
            interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
            return f"{r:.3f}{interval} ({what})", ""
    return "-", str(over_seeds["note"])


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

STAGE = StudyStage(
    name="summarize",
    summary="Aggregate the folding of every network and correlate it with depth and width.",
    example="spaceprobe summarize depth-sweep",
    sections={},
    tables=(
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
    ),
    needs=("train", "fold"),
    present=_present,
    reduce=_reduce,
)
