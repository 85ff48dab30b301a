"""The questions about the cost of a decomposition and about folding beside it: tables with known answers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spaceprobe.findings.questions import lmd_folding
from spaceprobe.findings.questions.lmd_cost import (
    CONSTANT,
    EXPECTED,
    EXPONENT,
    LEADING,
    SQUARE,
    SVD,
    errors_table,
    fits_table,
    speedups_table,
    takeovers_table,
    times_table,
)
from spaceprobe.findings.questions.lmd_folding import (
    ACCURACY,
    ARCHITECTURES,
    FOLDS,
    NOTHING,
    PREDICTORS,
    SEEDS,
    SHARE,
    WIDTH,
    correlations,
    networks_by_epoch,
)
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand
from spaceprobe.tables.frames import Frames

ROUNDING = 1e-12
"""Sums of a few dozen numbers."""

# folding


def networks(num_architectures, num_seeds, epochs=(0, 2, 5)):
    """Return networks with random numbers, another width for each architecture."""
    rng = np.random.default_rng(4)
    rows = [
        {
            "run": f"a{architecture}-s{seed}",
            "architecture": f"a{architecture}",
            "depth": 2,
            "width": 10 + architecture,
            "seed": seed,
            "epoch": epoch,
            "is_last": epoch == epochs[-1],
            **{name: rng.normal() for name in (ACCURACY, FOLDS, SHARE, *PREDICTORS)},
        }
        for architecture in range(num_architectures)
        for seed in range(num_seeds)
        for epoch in epochs
    ]
    return pd.DataFrame(rows)


def partial_spearman(x, y, z):
    """Return the partial correlation of ranks by its textbook formula."""
    xy, xz, yz = (float(stats.spearmanr(*pair).statistic) for pair in ((x, y), (x, z), (y, z)))
    return (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))


def test_correlations_are_over_the_networks_of_a_unit_and_partial_on_what_is_given():
    table = networks(7, 6)
    found = correlations(table).set_index(["over", "unit", "predictor", "response", "given", "epoch"])
    last = table[table["is_last"]]
    of_seed, of_architecture = last[last["seed"] == 3], last[last["architecture"] == "a2"]
    for over, unit, group in ((ARCHITECTURES, "3", of_seed), (SEEDS, "a2", of_architecture)):
        for response in (FOLDS, SHARE):
            x, y = group["stretch"], group[response]
            row = found.loc[over, unit, "stretch", response, NOTHING, 5]
            assert row["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=ROUNDING)
            assert row["num_networks"] == len(group)
            row = found.loc[over, unit, "stretch", response, ACCURACY, 5]
            assert row["spearman"] == pytest.approx(partial_spearman(x, y, group[ACCURACY]), abs=ROUNDING)
    row = found.loc[ARCHITECTURES, "3", "rank", FOLDS, WIDTH, 5]
    expected = partial_spearman(of_seed["rank"], of_seed[FOLDS], of_seed["width"])
    assert row["spearman"] == pytest.approx(expected, abs=ROUNDING)


def test_what_has_no_meaning_is_not_asked():
    table = correlations(networks(5, 5))
    assert not ((table["given"] == WIDTH) & (table["over"] == SEEDS)).any()
    assert not ((table["given"] == ACCURACY) & (table["epoch"] == 0)).any()
    assert not ((table["predictor"] == "rank_share") & (table["over"] == SEEDS)).any()
    over_architectures, over_seeds = 6 * (2 + 3 + 3), 5 * (1 + 2 + 2)  # predictors, what is given by epoch
    assert len(table) == 5 * 2 * (over_architectures + over_seeds)  # units, responses


def test_a_number_that_is_missing_leaves_its_network_out():
    table = networks(6, 3)
    is_one = (table["architecture"] == "a1") & (table["seed"] == 0)
    table.loc[is_one, "dimension"] = np.nan
    found = correlations(table).set_index(["over", "unit", "predictor", "response", "given", "epoch"])
    assert found.loc[ARCHITECTURES, "0", "dimension", FOLDS, NOTHING, 5]["num_networks"] == 5
    assert math.isfinite(found.loc[ARCHITECTURES, "0", "dimension", FOLDS, NOTHING, 5]["spearman"])
    of_seeds = found.xs(SEEDS)["spearman"]  # three seeds are fewer than a correlation takes
    assert of_seeds.isna().all()


def frames_of_one_network():
    """Return the tables of a network of two hidden layers at one epoch, its readout full of huge numbers."""
    at = [{"run": "r", "epoch": 3, "layer": layer} for layer in range(3)]
    energies = ([0.5, 0.5], [1.0, 0.0], [0.9, 0.1])
    return {
        "runs": pd.DataFrame([{"run": "r", "architecture": "2x8", "depth": 2, "width": 8, "seed": 0}]),
        "training": pd.DataFrame([{"run": "r", "epoch": 3, ACCURACY: 0.75}]),
        "lmd_ranks": pd.DataFrame(
            [
                {**where, "rule": rule, "rank": rank}
                for where, rank in zip(at, (4, 2, 900), strict=True)
                for rule in ("data99", "energy95")
            ]
        ),
        "lmd_layers": pd.DataFrame(
            [
                {**where, "metric": metric, "num_outputs": 8, "num_inputs": inputs}
                for where, inputs in zip(at, (20, 5, 900), strict=True)
                for metric in ("identity", "data")
            ]
        ),
        "lmd_spectrum": pd.DataFrame(
            [
                {
                    **where,
                    "basis": basis,
                    "index": index + 1,
                    "energy": energy,
                    "value": 10 * where["layer"] + 3,
                }
                for where, values in zip(at, energies, strict=True)
                for basis in ("svd", "data", "laplacian")
                for index, energy in enumerate(values)
            ]
        ),
        "lmd_dimension": pd.DataFrame(
            [
                {**where, "space": space, "estimator": estimator, "dimension": value + shift}
                for where, value in zip(at, (6.0, 3.0, 900.0), strict=True)
                for space, shift in (("output", 0), ("input", 100))
                for estimator, shift in (("mle", shift), ("twonn", shift + 1000))
            ]
        ),
    }


def test_numbers_of_a_network_are_means_over_hidden_layers(monkeypatch):
    folds = pd.DataFrame([{"run": "r", "epoch": 3, FOLDS: 0.4, SHARE: 0.5}])
    monkeypatch.setattr(lmd_folding, "aggregate_epochs", lambda frames: folds)  # noqa: ARG005
    (row,) = networks_by_epoch(frames_of_one_network()).to_dict("records")
    assert row["is_last"]
    assert (row[ACCURACY], row[FOLDS], row["rank"], row["dimension"]) == (0.75, 0.4, 3, 4.5)
    assert row["rank_share"] == pytest.approx((4 / 8 + 2 / 5) / 2, rel=ROUNDING)
    assert row["participation"] == row["spread"] == pytest.approx((2 + 1) / 2, rel=ROUNDING)
    assert row["stretch"] == (3 + 13) / 2


# cost


def times_of(step, seconds, sizes=(100, 200, 400, 800), seeds=(0, 1, 2), axis=SQUARE):
    return pd.DataFrame(
        [
            {
                "architecture": f"4x{size}",
                "seed": seed,
                "epoch": 5,
                "is_last": True,
                "axis": axis,
                "step": step,
                "size": size,
                "duration_s": seconds(size, seed),
            }
            for seed in seeds
            for size in sizes
        ]
    )


def test_a_power_law_is_found_again():
    times = times_of(SVD, lambda n, seed: (1 + seed) * 1e-9 * n ** (2.5 + seed / 10))
    fits = fits_table(times).set_index("seed")
    assert fits[EXPONENT].to_numpy() == pytest.approx([2.5, 2.6, 2.7], rel=ROUNDING)
    assert fits[CONSTANT].to_numpy() == pytest.approx(np.log10([1e-9, 2e-9, 3e-9]), rel=ROUNDING)
    assert (fits["num_sizes"] == 4).all()


def test_times_of_one_size_or_without_a_number_have_no_exponent():
    assert fits_table(times_of(SVD, lambda n, _: float(n), sizes=(100,)))[EXPONENT].isna().all()
    without = times_of(SVD, lambda n, seed: math.nan if seed == 1 else float(n))
    assert fits_table(without).set_index("seed")[EXPONENT].isna().tolist() == [False, True, False]


def test_where_the_lines_cross_and_what_is_gained():
    """n³ and 500 n² cross at 500; at 800 the first takes 1.6 times as long."""
    times = pd.concat(
        [times_of(SVD, lambda n, _: 1e-9 * n**3), times_of(LEADING, lambda n, _: 5e-7 * n**2, (400, 800))]
    )
    assert takeovers_table(fits_table(times))["size"].to_numpy() == pytest.approx([500] * 3, rel=1e-9)
    ratios = speedups_table(times).set_index(["seed", "size"])["ratio"]
    assert ratios[0, 800] == pytest.approx(1.6, rel=ROUNDING)
    assert ratios[2, 400] == pytest.approx(0.8, rel=ROUNDING)
    assert len(ratios) == 6
    slower = pd.concat([times_of(SVD, lambda n, _: n**2.0), times_of(LEADING, lambda n, _: n**2.5)])
    assert takeovers_table(fits_table(slower))["size"].isna().all()


def frames_of_costs(middle=(50, 700), last=9):
    """Return the tables of networks 9-N-N-9 with the times of all steps on every matrix."""
    runs, times, leading = [], [], []
    for number, size in enumerate(middle):
        run = f"r{number}"
        runs.append({"run": run, "architecture": f"9-{size}-{size}-9", "seed": 0})
        for layer, (rows, columns) in enumerate(((9, 784), (size, 9), (size, size), (last, size), (10, 9))):
            where = {"run": run, "epoch": 1, "layer": layer, "num_outputs": rows, "num_inputs": columns}
            is_full = min(rows, columns) < 640
            leading.append(
                {**where, "num_values": 9, "krylov_dim": 9, "is_full": is_full, "stated_error": 0.5,
                 "true_error": 0.25}
            )  # fmt: skip
            samples = (20, 40) if layer == 0 else (40,)
            steps = [("svd", 0), ("leading", 0), ("certificate", 0)]
            steps += [(step, n) for step in ("data", "laplacian") for n in samples]
            times += [{**where, "step": step, "num_points": n, "duration_s": 1.0} for step, n in steps]
    named = {"runs": runs, "lmd_times": times, "lmd_leading": leading}
    return Frames({name: pd.DataFrame(rows) for name, rows in named.items()}, ())


def test_each_matrix_tells_the_axis_that_it_varies():
    frames = frames_of_costs()
    times = times_table(frames)
    found = {pair: [*rows["size"]] for pair, rows in times.groupby(["step", "axis"])}
    assert {*found} == {*EXPECTED}
    for (step, axis), sizes in found.items():
        expected = [20, 40, 20, 40] if axis == "sample" else [700] if step == "leading" else [50, 700]
        assert sizes == expected, (step, axis)
    errors = errors_table(frames)
    assert errors[["size", "is_full"]].to_numpy().tolist() == [[50, True], [700, False]]


def test_networks_of_another_form_are_an_error():
    with pytest.raises(ValueError, match=r"hidden layers of one size, got \[8, 9\]"):
        times_table(frames_of_costs(last=8))


@pytest.mark.parametrize("name", ["lmd-cost", "lmd-cost-ci"])
def test_the_study_has_the_networks_that_the_fits_take(name):
    runs = expand(load_study(shipped_configs()[name]))
    widths = [run.sections["network"].hidden_widths for run in runs]
    assert {(first, last) for first, _, _, last in widths} == {(256, 256)}
    sides = {second for _, second, third, _ in widths if second == third}
    assert len({*map(tuple, widths)}) == len(sides) >= 4
    assert sum(side >= 640 for side in sides) >= 2  # a line takes two


@pytest.mark.parametrize("name", ["lmd-folding", "lmd-folding-ci"])
def test_the_study_of_folding_has_enough_architectures_and_seeds_for_correlations(name):
    runs = expand(load_study(shipped_configs()[name]))
    architectures = {run.sections["network"].architecture for run in runs}
    assert {"2x30", "3x20", "4x15", "5x12", "6x10"} < architectures
    seeds = {run.sections["training"].seed for run in runs}
    assert min(len(architectures), len(seeds)) >= 5
    assert len(runs) == len(architectures) * len(seeds)
