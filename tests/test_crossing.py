"""Up to where values stay on the good side of a threshold: by hand, by a search, and what has no answer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.analysis.crossing import AT_LEAST, AT_MOST, BETWEEN, UNKNOWN, crossing

ROUNDING = 1e-9


def test_halfway_between_is_the_geometric_mean():
    found = crossing([16, 64], [1.0, 0.98], 0.99, falls=True)
    assert found == (pytest.approx(32, rel=ROUNDING), BETWEEN)
    assert crossing([1, 4], [0.25, 0.75], 0.5, falls=False) == (pytest.approx(2, rel=ROUNDING), BETWEEN)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 1.0, 1.0], (2, AT_MOST)),
        ([1.0, 1.0, 0.99], (8, AT_LEAST)),
        ([0.99, 0.98, 1.0], (2, BETWEEN)),  # the last one is good again and does not count
        ([1.0, -math.inf, 1.0], (2, BETWEEN)),
        ([math.nan, 1.0, 0.0], (math.nan, UNKNOWN)),
        ([1.0, 1.0, math.nan], (math.nan, UNKNOWN)),
    ],
)
def test_where_values_say_no_more(values, expected):
    place, bound = crossing([2, 4, 8], values, 0.99, falls=True)
    assert (place, bound) == (pytest.approx(expected[0], rel=ROUNDING, nan_ok=True), expected[1])


def test_what_comes_after_the_first_bad_value_may_be_missing():
    assert crossing([2, 8, 32], [1.0, 0.98, math.nan], 0.99, falls=True).place == pytest.approx(4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 0.99))
def test_it_is_the_last_point_of_a_fine_grid_before_which_all_is_good(values, threshold):
    places = [3.0 * 2**k for k in range(len(values))]
    fine = np.exp(np.linspace(math.log(places[0]), math.log(places[-1]), 20_001))
    line = np.interp(np.log(fine), np.log(places), values)
    bad = np.flatnonzero(line < threshold)
    place, bound = crossing(places, values, threshold, falls=True)
    if len(bad) == 0:
        assert (place, bound) == (places[-1], AT_LEAST)
    elif bad[0] == 0:
        assert (place, bound) == (places[0], AT_MOST)
    else:
        assert fine[bad[0] - 1] * 0.9999 <= place <= fine[bad[0]] * 1.0001


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_a_share_that_falls_is_an_error_that_grows(values, threshold):
    places = [1.0 + k for k in range(len(values))]
    errors = [-value for value in values]
    assert crossing(places, values, threshold, falls=True) == crossing(
        places, errors, -threshold, falls=False
    )


@pytest.mark.parametrize(
    ("places", "values", "words"),
    [
        ([], [], "0 places and 0 values: expected as many"),
        ([1, 2], [1.0], "2 places and 1 values: expected as many"),
        ([0, 2], [1.0, 1.0], "expected positive numbers that ascend"),
        ([2, 2], [1.0, 1.0], "expected positive numbers that ascend"),
    ],
)
def test_what_is_no_list_of_places(places, values, words):
    with pytest.raises(ValueError, match=words):
        crossing(places, values, 0.5, falls=True)
