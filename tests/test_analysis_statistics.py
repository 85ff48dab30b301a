"""Statistics from counts and row maxima against the same statistics from the list of all paths."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.analysis.measures import QUANTILE_PERCENTS, measure_counts, measures_of
from spaceprobe.analysis.path_counts import (
    HISTOGRAM_BINS,
    PathCounts,
    count_zero_length,
    folding_histogram,
)

# The sum over paths is correct to one rounding a length, the division adds one.
MEAN_TOLERANCE = 4 * np.finfo(float).eps


def folding_statistics(cells, row_max, num_sources, num_targets, num_zero_length=None):
    """Return the measures of the paths of a grid."""
    return measure_counts(PathCounts(cells, num_zero_length, row_max, num_sources, num_targets))


def count_cells(pairs):
    """Return sorted rows (length, reach, count) of a list of (length, reach)."""
    if not len(pairs):
        return np.zeros((0, 3), dtype=np.int64)
    rows, counts = np.unique(np.array(pairs, dtype=np.int64), axis=0, return_counts=True)
    return np.column_stack([rows, counts])


def chi(length, reach):
    return (length - reach) / length if length else 0.0


@st.composite
def path_grids(draw):
    """A list of sources, each with the (length, reach) of the paths to its targets."""
    path = st.integers(0, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(min(n, 1), n)))
    num_targets = draw(st.integers(1, 9))
    row = st.lists(path, min_size=num_targets, max_size=num_targets)
    return draw(st.lists(row, min_size=1, max_size=12))


@given(path_grids())
def test_statistics_from_counts_equal_those_from_the_raw_list(grid):
    paths = [path for row in grid for path in row]
    values = [chi(*path) for path in paths]
    folded = [value for value in values if value > 0]
    row_max = np.array([max(chi(*path) for path in row) for row in grid])

    statistics = folding_statistics(count_cells(paths), row_max, len(grid), len(grid[0]))

    assert [*statistics] == [measure.column.name for measure in measures_of(is_grid=True)]
    assert statistics["num_paths"] == len(paths)
    assert (statistics["num_sources"], statistics["num_targets"]) == (len(grid), len(grid[0]))
    assert statistics["zero_length"] == sum(length == 0 for length, _ in paths) / len(paths)
    assert statistics["folded"] == len(folded) / len(paths)
    assert statistics["max"] == max(values) == row_max.max()
    mean = sum(Fraction(n - r, n) for n, r in paths if n) / len(paths)
    assert statistics["mean"] == pytest.approx(float(mean), rel=MEAN_TOLERANCE, abs=0)
    for percent in QUANTILE_PERCENTS:
        quantile = np.quantile(folded, percent / 100, method="inverted_cdf") if folded else None
        assert statistics[f"q{percent:02d}"] == quantile
    row_maxima = row_max[row_max > 0]
    assert statistics["row_max_median"] == (np.median(row_maxima) if len(row_maxima) else None)


@given(path_grids(), st.randoms(use_true_random=False))
def test_the_order_of_the_cells_changes_no_bit(grid, random):
    cells = count_cells([path for row in grid for path in row])
    row_max = np.zeros(len(grid))
    rows = cells.tolist()
    random.shuffle(rows)
    shuffled = np.array(rows, dtype=np.int64)
    assert folding_statistics(cells, row_max, 3, 5) == folding_statistics(shuffled, row_max, 3, 5)


@pytest.mark.parametrize("num_paths", [1, 19, 20, 21, 140, 980, 1_000_000])
def test_quantile_ranks_are_numpys_also_where_percent_times_n_is_whole(num_paths):
    rng = np.random.default_rng(num_paths)
    length = rng.integers(2, 60, num_paths)
    reach = rng.integers(1, length)
    cells = count_cells(np.column_stack([length, reach]))
    statistics = folding_statistics(cells, np.zeros(1), 1, num_paths)
    values = (length - reach) / length
    for percent in QUANTILE_PERCENTS:
        expected = np.quantile(values, percent / 100, method="inverted_cdf")
        assert statistics[f"q{percent:02d}"] == expected


def test_known_answer():
    # Eight paths: two of length 0, one that does not fold, χ = 1/2 three times, 2/3 and 11/14 once.
    cells = np.array([[0, 0, 2], [4, 4, 1], [2, 1, 1], [4, 2, 2], [3, 1, 1], [14, 3, 1]])
    statistics = folding_statistics(cells, np.array([0.0, 0.5, 11 / 14]), 3, 5)
    assert statistics == {
        "num_paths": 8,
        "num_sources": 3,
        "num_targets": 5,
        "zero_length": 0.25,
        "folded": 0.625,
        "mean": pytest.approx((1.5 + 2 / 3 + 11 / 14) / 8, rel=MEAN_TOLERANCE, abs=0),
        "max": 11 / 14,
        "q05": 0.5,
        "q25": 0.5,
        "q50": 0.5,
        "q75": 2 / 3,
        "q95": 11 / 14,
        "row_max_median": (0.5 + 11 / 14) / 2,
    }


def test_peak_takes_its_paths_of_length_zero_from_chi():
    chi_cells = np.array([[0, 0, 3], [5, 5, 4], [6, 3, 1]])
    peak_cells = np.array([[0, 0, 7], [4, 1, 1]])  # paths that never fold are (0, 0) too
    num_zero_length = count_zero_length(chi_cells)
    statistics = folding_statistics(peak_cells, np.array([0.75, 0.0]), 2, 4, num_zero_length)
    assert num_zero_length == 3
    assert statistics["zero_length"] == 3 / 8
    assert (statistics["folded"], statistics["max"], statistics["row_max_median"]) == (1 / 8, 0.75, 0.75)


def test_without_paths_everything_but_the_counts_is_empty():
    statistics = folding_statistics(count_cells([]), np.zeros(0), 0, 7)
    assert {key for key, value in statistics.items() if value is not None} == {
        "num_paths",
        "num_sources",
        "num_targets",
    }
    assert (statistics["num_paths"], statistics["num_sources"], statistics["num_targets"]) == (0, 0, 7)


def test_without_folded_paths_the_maximum_is_zero_and_quantiles_are_empty():
    statistics = folding_statistics(np.array([[3, 3, 6]]), np.zeros(2), 2, 3)
    assert (statistics["folded"], statistics["mean"], statistics["max"]) == (0.0, 0.0, 0.0)
    assert [statistics[key] for key in ("q05", "q95", "row_max_median")] == [None] * 3


@pytest.mark.parametrize("row", [[3, 4, 1], [3, -1, 1], [3, 2, -1]])
def test_impossible_cells_are_refused(row):
    with pytest.raises(ValueError, match=r"cells: \[3, .*\] is not a \(length, reach, count\)"):
        folding_statistics(np.array([[2, 1, 1], row]), np.zeros(1), 1, 1)


@given(path_grids())
def test_histogram_counts_every_path_once_in_the_bin_of_its_folding(grid):
    paths = [path for row in grid for path in row]
    expected = [0] * (HISTOGRAM_BINS + 1)
    for length, reach in paths:
        folding = Fraction(length - reach, length) if length else Fraction(0)
        fits = [b for b in range(1, HISTOGRAM_BINS + 1) if b - 1 < folding * HISTOGRAM_BINS <= b]
        expected[fits[0] if fits else 0] += 1
    assert folding_histogram(count_cells(paths)).tolist() == expected


def test_histogram_decides_the_edge_of_a_bin_exactly():
    cells = np.array([[100, 71, 5], [50, 35, 7], [10, 10, 2], [0, 0, 1]])
    # 29/100 is the middle of a bin; 15/50 = 0.3 its upper edge, which floats would miss.
    histogram = folding_histogram(cells)
    assert {number: count for number, count in enumerate(histogram.tolist()) if count} == {0: 3, 15: 12}


def test_matched_paths_have_no_measures_of_a_grid():
    counts = PathCounts(np.array([[0, 0, 2], [4, 4, 1], [2, 1, 1]]))
    statistics = measure_counts(counts, is_grid=False)
    assert set(measure_counts(counts)) - set(statistics) == {"num_sources", "num_targets", "row_max_median"}
    assert [statistics[name] for name in ("num_paths", "zero_length", "folded")] == [4, 0.5, 0.25]
