"""What the decomposition of a matrix costs against rows, columns and points, and how large matrices pay."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import DIFFERS, UNTESTED, comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.wording import mean_of, row_where, with_interval
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above, log_scale
from spaceprobe.report.drawing.style import BLUE, INK, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.frames import Frames

SQUARE, ROWS, COLUMNS, SAMPLE = "side", "rows", "columns", "sample"
AXES = {
    SQUARE: "side of a square matrix",
    ROWS: "rows at fixed columns",
    COLUMNS: "columns at fixed rows",
    SAMPLE: "points of the sample",
}
"""What a time is fitted against, and what readers call it."""

SIZES = {SAMPLE: "num_points", ROWS: "num_outputs", SQUARE: "num_outputs", COLUMNS: "num_inputs"}
"""What the first four matrices of a network F-N-N-F tell, in their order, and the column with the size: N, or
the points, since the first matrix is the same in all networks."""

SVD, LEADING, CERTIFICATE, DATA, LAPLACIAN = "svd", "leading", "certificate", "data", "laplacian"

STEPS = {
    SVD: "singular value decomposition",
    LEADING: "leading values of a large matrix",
    CERTIFICATE: "certificate",
    DATA: "metric data",
    LAPLACIAN: "metric laplacian",
}

EXPECTED = {
    (SVD, SQUARE): 3, (SVD, ROWS): 1, (SVD, COLUMNS): 1,
    (CERTIFICATE, SQUARE): 3, (CERTIFICATE, ROWS): 1, (CERTIFICATE, COLUMNS): 1,
    (LAPLACIAN, SQUARE): 3, (LAPLACIAN, ROWS): 1, (LAPLACIAN, COLUMNS): 1, (LAPLACIAN, SAMPLE): 2,
    (DATA, SQUARE): 3, (DATA, COLUMNS): 1, (DATA, SAMPLE): 1,
    (LEADING, SQUARE): 2,
}  # fmt: skip
"""The powers of sizes that outgrow all else, from counts of operations.

SVD and certificate of an m × n matrix with m > n take O(m n²) (Golub and Van Loan, Matrix Computations,
section 8.6). A metric takes O(p n r) for p points of n features on r components and O(r³) for roots, and
laplacian O(p² (m + n)) for the neighbours. The product of a matrix with a block of vectors takes O(m n).
"""

EXPONENT, CONSTANT = "exponent", "log10_c"
FITS, SPEEDUPS, TAKEOVERS = "fits", "speedups", "takeovers"
STATED, TRUE = "stated_error", "true_error"
WHEN = ("epoch", "is_last")


def _keep(results: Results) -> Tables:
    frames = results.frames
    return {"times": times_table(frames), "errors": errors_table(frames)}


def times_table(frames: Frames) -> pd.DataFrame:
    """Return the seconds of steps by what is varied: a row for each matrix, step and size of `EXPECTED`.

    Times of the leading values are left out where the matrix was so small that it was decomposed in full.

    Args:
        frames: runs, lmd_times and lmd_leading.

    Raises:
        ValueError: the hidden layers of a network are not F, N, N and F units, with one F for all.
    """
    is_full = frames["lmd_leading"][["run", "epoch", "layer", "is_full"]]
    times = _by_axis(frames, "lmd_times").merge(is_full, on=["run", "epoch", "layer"])
    is_fitted = np.array([pair in EXPECTED for pair in zip(times["step"], times["axis"], strict=True)])
    times = times[is_fitted & ~(times["is_full"].astype(bool) & (times["step"] == LEADING))]
    columns = ["architecture", "seed", *WHEN, "axis", "step", "size", "duration_s"]
    return times[columns].reset_index(drop=True)


def errors_table(frames: Frames) -> pd.DataFrame:
    """Return the errors of the leading values of square matrices, a row each; see `times_table`.

    Args:
        frames: runs and lmd_leading.
    """
    errors = _by_axis(frames, "lmd_leading")
    columns = ["architecture", "seed", *WHEN, "size", "num_values", "krylov_dim", "is_full", STATED, TRUE]
    return errors.loc[errors["axis"] == SQUARE, columns].reset_index(drop=True)


def _by_axis(frames: Frames, table: str) -> pd.DataFrame:
    """Return the rows of the first four matrices with ``axis``, ``size`` and settings of their networks."""
    runs = frames["runs"][["run", "architecture", "seed"]]
    rows = runs.merge(frames[table], on="run")
    fixed = {*rows.loc[rows["layer"] == 1, "num_inputs"], *rows.loc[rows["layer"] == 3, "num_outputs"]}
    if len(fixed) != 1:
        raise ValueError(f"expected first and last hidden layers of one size, got {sorted(fixed)}")
    is_last = rows["epoch"] == rows.groupby("run")["epoch"].transform("max")
    parts = []
    for layer, (axis, column) in enumerate(SIZES.items()):
        part = rows[rows["layer"] == layer]
        parts.append(part.assign(axis=axis, size=part.get(column, 0), is_last=is_last))
    return pd.concat(parts, ignore_index=True)


def _derive(tables: Tables) -> Tables:
    fits, speedups = fits_table(tables["times"]), speedups_table(tables["times"])
    takeovers = takeovers_table(fits)
    by = [*WHEN, "axis", "step"]
    means = [means_by(fits, by, name).assign(of=name) for name in (EXPONENT, CONSTANT)]
    return {
        FITS: fits,
        "means": pd.concat(means, ignore_index=True),
        SPEEDUPS: means_by(speedups, [*WHEN, "size"], "ratio"),
        TAKEOVERS: means_by(takeovers, [*WHEN], "size"),
        COMPARISONS: with_holm([*_comparisons(fits, speedups)]),
    }


def fits_table(times: pd.DataFrame) -> pd.DataFrame:
    """Return the least-squares fits of log time against log size, one a seed: seconds = c · size^exponent.

    Args:
        times: as of `times_table`.

    Returns:
        A row for each epoch, axis, step and seed: `EXPONENT`, `CONSTANT` (the logarithm of the seconds at
        size 1) and ``num_sizes``; NaN where times are of fewer than two sizes.
    """
    rows = []
    by = [*WHEN, "axis", "step", "seed"]
    for key, group in times.groupby(by, sort=False):
        known = group[group["duration_s"] > 0]
        num_sizes = known["size"].nunique()
        exponent = constant = math.nan
        if num_sizes > 1:
            x, y = (np.log10(known[name].to_numpy(np.float64)) for name in ("size", "duration_s"))
            exponent = float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))
            constant = float(y.mean() - exponent * x.mean())
        cells = {EXPONENT: exponent, CONSTANT: constant, "num_sizes": num_sizes}
        rows.append({**dict(zip(by, key, strict=True)), **cells})
    return pd.DataFrame(rows)


def speedups_table(times: pd.DataFrame) -> pd.DataFrame:
    """Return how many times as long as the leading values all of them take: one a seed and square matrix.

    Args:
        times: as of `times_table`.
    """
    key = ["seed", *WHEN, "size"]
    square = times[times["axis"] == SQUARE]
    sides = [square.loc[square["step"] == step, [*key, "duration_s"]] for step in (SVD, LEADING)]
    both = sides[0].merge(sides[1], on=key, suffixes=("_all", "_leading"))
    return both.assign(ratio=both["duration_s_all"] / both["duration_s_leading"])[[*key, "ratio"]]


def takeovers_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Return the side at which the fits of all values and of the leading ones cross: one a seed.

    NaN where they do not, the exponent of all values not being the larger one.

    Args:
        fits: as of `fits_table`.
    """
    key = ["seed", *WHEN]
    square = fits[fits["axis"] == SQUARE]
    sides = [square.loc[square["step"] == step, [*key, EXPONENT, CONSTANT]] for step in (SVD, LEADING)]
    both = sides[0].merge(sides[1], on=key, suffixes=("_all", "_leading"))
    steeper = both[f"{EXPONENT}_all"] - both[f"{EXPONENT}_leading"]
    power = (both[f"{CONSTANT}_leading"] - both[f"{CONSTANT}_all"]) / steeper
    return both[key].assign(size=np.where(steeper > 0, 10.0 ** power.clip(0, 9), np.nan))


def _comparisons(fits: pd.DataFrame, speedups: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield exponents against `EXPECTED`, and the logarithms of speed-ups against 0, after the last epoch."""
    last = fits[fits["is_last"]]
    for (step, axis), expected in EXPECTED.items():
        rows = last[(last["step"] == step) & (last["axis"] == axis)]
        about = {"measure": EXPONENT, "step": step, "axis": axis, "size": 0, "expected": expected}
        yield about | comparison([*(rows[EXPONENT] - expected)])
    for size, rows in speedups[speedups["is_last"]].groupby("size"):
        about = {"measure": "log10_ratio", "step": LEADING, "axis": SQUARE, "size": size, "expected": 0}
        yield about | comparison([*np.log10(rows["ratio"])])


def _says(numbers: Numbers) -> list[Markup]:
    def power(step: str, axis: str) -> Markup:
        row = row_where(numbers.frames[COMPARISONS], {"measure": EXPONENT, "step": step, "axis": axis})
        where = {"is_last": True, "axis": axis, "step": step, "of": EXPONENT}
        expected = numbers.cell(COMPARISONS, row, "expected", "d")
        return sentence(
            "{}{} in the {}", _shown(numbers, where), _against(numbers, row, expected), AXES[axis]
        )

    def powers(step: str, *axes: str) -> Markup:
        return joined([power(step, axis) for axis in axes])

    untrained = {"epoch": 0, "axis": SQUARE, "step": SVD, "of": EXPONENT}
    return [
        sentence(
            "The exponent of the time of a singular value decomposition is {}, and that of the certificate "
            "{} (in brackets what counts of operations give for large sizes); of untrained weights, that "
            "of a square matrix would have come out as {}.",
            powers(SVD, SQUARE, ROWS, COLUMNS),
            powers(CERTIFICATE, SQUARE, ROWS, COLUMNS),
            _shown(numbers, untrained),
        ),
        sentence(
            "That of the metric laplacian with its factors is {}, and that of the metric data {}.",
            powers(LAPLACIAN, SQUARE, ROWS, COLUMNS, SAMPLE),
            powers(DATA, SQUARE, COLUMNS, SAMPLE),
        ),
        _large(numbers),
    ]


def _shown(numbers: Numbers, where: dict[str, object]) -> Markup:
    """Return a mean exponent with its interval; a dash where no seed has one."""
    means = numbers.frames["means"]
    is_there = np.all([means[name] == value for name, value in where.items()], axis=0).any()
    return mean_of(numbers, "means", where, ".2f") if is_there else Markup("–")


def _against(numbers: Numbers, row: int, expected: Markup) -> Markup:
    """Return what is expected of an exponent, and whether it differs from that."""
    verdict = numbers.value_at(COMPARISONS, row, "verdict")
    if verdict == UNTESTED:
        return sentence(" ({}, not tested)", expected)
    p = numbers.cell(COMPARISONS, row, "p_holm", ".2g")
    return sentence(" ({}, {}, p = {})", expected, "differs" if verdict == DIFFERS else "inconclusive", p)


def _large(numbers: Numbers) -> Markup:
    """Return where the large-matrix path begins, what it gains there, and its errors at both epochs."""
    frames = numbers.frames
    speedups = frames[SPEEDUPS][frames[SPEEDUPS]["is_last"]].sort_values("size")
    compared = frames[COMPARISONS]

    def gain(row: int) -> Markup:
        where = {"measure": "log10_ratio", "size": speedups.at[row, "size"]}
        verdict = str(compared.at[row_where(compared, where), "verdict"])
        ratio = with_interval(numbers, SPEEDUPS, row, "mean", ".2f")
        side = numbers.cell(SPEEDUPS, row, "size", "d")
        return sentence("{} at a side of {}{}", ratio, side, "" if verdict == DIFFERS else f" ({verdict})")

    def largest(column: str, *, is_last: bool) -> Markup:
        where = {"is_full": False, "is_last": is_last}
        return numbers.statistic("max", "errors", column, where, ".1e")

    takeovers = frames[TAKEOVERS]
    rows = takeovers.index[takeovers["is_last"]]
    cross = Markup("do not cross")
    if len(rows):
        cross = sentence("cross at {}", with_interval(numbers, TAKEOVERS, int(rows[0]), "mean", ".0f"))
    gains = joined([gain(int(row)) for row in speedups.index]) if len(speedups) else Markup("–")
    last = frames["errors"].index[frames["errors"]["is_last"]][0]
    return sentence(
        "Up to a side of {} the {} leading values come from the full decomposition; beyond, that takes so "
        "many times as long as the large-matrix path: {}, and the fitted lines {}; the largest error that "
        "the path states is {} of the largest singular value, and the true one of a value {}, after {} "
        "epochs, {} and {} before training.",
        numbers.statistic("max", "errors", "size", {"is_full": True}),
        numbers.cell("errors", int(last), "num_values", "d"),
        gains,
        cross,
        largest(STATED, is_last=True),
        largest(TRUE, is_last=True),
        numbers.cell("errors", int(last), "epoch", "d"),
        largest(STATED, is_last=False),
        largest(TRUE, is_last=False),
    )


LOOKS = {
    SVD: Look(STEPS[SVD], BLUE, "-", "o", BLUE),
    LEADING: Look(STEPS[LEADING], BLUE, "--", "s", PAPER),
    CERTIFICATE: Look(STEPS[CERTIFICATE], MUTED, "-.", "^", MUTED),
    DATA: Look(STEPS[DATA], ORANGE, ":", "D", PAPER),
    LAPLACIAN: Look(STEPS[LAPLACIAN], ORANGE, "-", "v", ORANGE),
}

MOST_TICKS = 4
"""Chosen: sizes that a panel names."""

ERROR_LOOKS = {STATED: Look("stated", INK, "-", "o", INK), TRUE: Look("true", INK, "--", "s", PAPER)}


def _draw(tables: Tables) -> Figure:
    times, errors = (tables[name][tables[name]["is_last"]] for name in ("times", "errors"))
    figure = grid_figure(len(AXES) + 1, 3, height=2.5)
    for axes, (axis, name) in zip(figure.axes, AXES.items(), strict=False):
        of_axis = times[(times["axis"] == axis) & (times["duration_s"] > 0)]
        _log_axes(axes, of_axis["size"])
        for step, look in LOOKS.items():
            _curve(axes, of_axis[of_axis["step"] == step], "duration_s", look)
        axes.set_xlabel(name)
        axes.set_ylabel("seconds")
    axes = figure.axes[-1]
    _log_axes(axes, errors["size"])
    for column, look in ERROR_LOOKS.items():
        _curve(axes, errors[errors[column] > 0], column, look)
        axes.plot(
            [],
            [],
            look.line,
            color=look.color,
            marker=look.marker,
            markerfacecolor=look.fill,
            label=look.name,
        )
    axes.legend(loc="best", fontsize=7, title="error", title_fontsize=7)
    axes.set_xlabel(AXES[SQUARE])
    axes.set_ylabel("largest error / σ₁")
    legend_above(figure, [*LOOKS.values()], has_markers=True)
    return figure


def _log_axes(axes: Axes, sizes: "pd.Series[int]") -> None:
    """Make both axes logarithmic, with ticks at the sizes, every other one where they are many."""
    log_scale(axes, "x", "y")
    ticks = sorted({*sizes})
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: 1 if len(ticks) <= MOST_TICKS else 2]))


def _curve(axes: Axes, rows: pd.DataFrame, column: str, look: Look) -> None:
    """Draw a dot for each matrix, and a line through the geometric means of each size."""
    if rows.empty:
        return
    axes.plot(
        rows["size"], rows[column], linestyle="none", marker=".", markersize=3, color=look.color, alpha=0.4
    )
    means = np.exp(np.log(rows[column]).groupby(rows["size"]).mean())
    axes.plot(
        means.index, means, look.line, color=look.color, linewidth=1, marker=look.marker, markersize=3.5,
        markerfacecolor=look.fill,
    )  # fmt: skip


ENTRY = FindingEntry(
    title="What the decomposition costs",
    question="How does the time of a decomposition grow with rows, columns and points, and from where on and "
    "how exactly does the path for large matrices pay?",
    study="lmd-cost",
    kept=("times", "errors"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="CPU time of one thread of the machine that provenance.json names, after the last epoch: a dot "
    "is a matrix of one seed, seeds being repetitions; lines join geometric means over seeds; the last panel "
    "has the largest error of the leading values over the largest singular value, stated and against the "
    "full decomposition",
)
