"""What the fold and summarize stages print: architectures, and the correlations over seeds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.stages.stage import Frames

if TYPE_CHECKING:
    import pandas as pd

SHAPE = ("architecture", "depth", "width")  # the architecture says them all
STATES = {"trained": "trained", "initial": "untrained", "difference": "trained minus untrained"}


def architecture_lines(runs: "pd.DataFrame", folding: "pd.DataFrame") -> str:
    """Return a table for the terminal: mean ± standard deviation over seeds for each architecture."""
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
    """Return ``mean ± standard deviation``; the deviation is left out for a single seed."""
    pairs = zip(table[f"{column}_mean"], table[f"{column}_sd"], strict=True)
    return [
        "-" if mean != mean else f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd == sd else "")
        for mean, sd in pairs
    ]


def _why_flat(runs: "pd.DataFrame", folding: "pd.DataFrame") -> Iterator[str]:
    """Yield why no path folds, where none does."""
    chi = folding[folding["measure"] == "chi"]
    if chi.empty or (chi["folded"] > 0).any():
        return
    if (runs["depth"] == 1).all():
        yield "every χ is 0: with one hidden layer each unit flips at most once on a straight line"
    elif (chi["zero_length"] == 1).all():
        yield "every χ is 0: no path crosses the boundary of a linear region"
    else:
        yield "every χ is 0: no path turns back; try deeper or wider networks, or longer training"


def present(frames: Frames) -> str:
    """Return what the command prints."""
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
    """Return a table: a line for each state, plain and given the accuracy; a column for each filter."""
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
    """Return the correlation over seeds, else the pooled one, with its interval; or why there is none."""
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
