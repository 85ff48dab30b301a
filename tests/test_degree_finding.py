"""The tables of the finding on degree and dimension, against answers by hand; the plan of its study."""

import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.degrees import (
    ALL_MONOMIALS,
    BEST,
    DEGREES,
    INTRINSIC,
    POWER,
    POWER99,
    SIZE,
    TOPOLOGY,
    choices_table,
    with_powers,
)
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import find_config
from spaceprobe.study.grid import expand

LAYERS = pd.DataFrame(
    [
        # activation, width, rank before and after, the same of rank99, dimension before and after
        ("polynomial-2", 48, 3, 9, 3, 6, 2.0, 2.1),  # 9 = C(5, 2) - 1 = 3²
        ("polynomial-2", 48, 3, 8, 2, 8, 2.0, 1.9),  # on a sphere
        ("polynomial-3", 20, 4, 20, 4, 16, 4.0, 4.0),  # C(7, 3) - 1 = 34 above the width: no power
        ("polynomial-4", 48, 1, 4, 1, 2, 1.0, np.nan),  # one direction has no power
        ("relu", 48, 3, 40, 3, 9, 2.0, 2.0),
    ],
    columns=[
        *("activation", "width", "rank_before", "rank_after", "rank99_before", "rank99_after"),
        *("dimension_before", "dimension_after"),
    ],
)


def test_powers_are_those_of_the_ranks():
    found = with_powers(LAYERS)
    expected = [2, math.log(8) / math.log(3), np.nan, np.nan, math.log(40) / math.log(3)]
    np.testing.assert_allclose(found[POWER], expected)
    np.testing.assert_allclose(found[POWER99], [math.log(6) / math.log(3), 3, 2, np.nan, 2])
    np.testing.assert_allclose(found[INTRINSIC], [0.1, -0.1, 0, np.nan, 0], atol=1e-12)
    np.testing.assert_array_equal(found[ALL_MONOMIALS], [1, 0, 1, 1, np.nan])


def tables(errors, points=1000, dimension=2.0, num_components=1, num_outputs=2, num_layers=2):
    """Return the errors of one seed by degree, at one epoch, and its data."""
    about = {"set": "roll", "points": points, "seed": 0}
    rows = [
        {**about, "activation": name, "epoch": 5, "log_error": error}
        for name, error in zip([*DEGREES, "relu"], [*errors, -9.0], strict=True)
    ]
    data = about | {
        "num_layers": num_layers,
        "num_components": num_components,
        "num_outputs": num_outputs,
        "dimension": dimension,
    }
    return {"errors": pd.DataFrame(rows), "data": pd.DataFrame([data])}


def test_the_best_degree_is_that_of_the_smallest_error_and_no_relu():
    (row,) = choices_table(tables([-0.5, -2.0, -3.0, -1.0])).to_dict("records")
    assert row[BEST] == 3
    # 1,000 points in 2 dimensions: degree 44, 7 for each of two layers, cut to 4; 1 + 2 pieces: 1.
    assert (row[SIZE], row[TOPOLOGY]) == (4, 1)
    assert (row[f"{BEST}_minus_{SIZE}"], row[f"{BEST}_minus_{TOPOLOGY}"]) == (-1, 2)
    assert (row[f"log_error_at_{SIZE}"], row[f"log_error_at_{TOPOLOGY}"]) == (2.0, 2.5)
    assert [row[f"log_error_at_degree_{degree}"] for degree in (1, 2, 3, 4)] == [2.5, 1.0, 0.0, 2.0]


def test_of_equal_errors_the_lower_degree_is_best():
    assert choices_table(tables([-0.5, -2.0, -2.0, -2.0]))[BEST].tolist() == [2]


def test_estimates_go_with_size_dimension_and_topology():
    def estimates(**data):
        (row,) = choices_table(tables([0.0, 1.0, 2.0, 3.0], **data)).to_dict("records")
        return row[SIZE], row[TOPOLOGY]

    assert estimates(points=100, dimension=8.0) == (2, 1)  # C(8 + 3, 3) = 165, and 3 ≤ 2²
    assert estimates(points=1000, dimension=8.0) == (3, 1)  # C(8 + 5, 5) = 1287
    assert estimates(points=100, dimension=8.0, num_layers=1) == (3, 1)
    assert estimates(num_components=10, num_outputs=4, num_layers=1) == (4, 4)  # C(2 + 4, 4) = 15 ≥ 14


@pytest.mark.parametrize("change", ["dimension", "error"])
def test_what_was_not_measured_is_left_out(change):
    of = tables([-0.5, -2.0, -3.0, np.nan if change == "error" else 0.0])
    if change == "dimension":
        of["data"]["dimension"] = np.nan
    found = choices_table(of)
    assert found.empty
    assert BEST in found


def test_the_form_for_ci_is_a_part_of_the_full_one():
    whole, part = (load_study(find_config(name)) for name in ("lmd-degree", "lmd-degree-ci"))
    names = ("dataset", "cube_dimension", "points", "points_seed")

    def networks(study):
        return {
            (
                run.sections["network"].activation,
                *(getattr(run.sections["data"], n) for n in names),
                run.sections["training"].seed,
            )
            for run in expand(study)
        }

    assert networks(part) < networks(whole)
    assert (len(networks(part)), len(networks(whole))) == (45, 300)
    for *_, points_seed, seed in networks(whole):
        assert points_seed == seed  # the points of each seed are its own
