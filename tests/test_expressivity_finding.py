"""Capacity against expressivity: what the finding makes of small tables, and what its study asks for."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.questions import FINDINGS
from spaceprobe.findings.questions.expressivity import best_table, narrow_and_wide, trades_table
from spaceprobe.findings.wording import row_where
from spaceprobe.report.numbers import Numbers
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand

FINDING = FINDINGS["expressivity"]
EPOCHS = (100, 300)
POINTS, FREQUENCIES = (16, 32, 64), (1.0, 2.0, 4.0)


def measured(capacity, reach, seeds=(0, 1, 2), datasets=("torus", "sphere")):
    """Return tables of networks that fit and meet exactly as much as functions of degree, width, seed say."""
    fits, errors, regions = [], [], []
    for dataset, degree, width, seed, epoch in (
        (dataset, degree, width, seed, epoch)
        for dataset in datasets
        for degree in (1, 2, 3)
        for width in (8, 32)
        for seed in seeds
        for epoch in EPOCHS
    ):
        about = {"dataset": dataset, "degree": degree, "architecture": f"2x{width}", "seed": seed}
        about |= {"epoch": epoch}
        most, highest = (measure(degree, width, seed) for measure in (capacity, reach))
        for points in POINTS:  # 0.99 at the capacity, and linear in the logarithm
            fitted = 0.99 - 0.1 * math.log2(points / most)
            fits.append({**about, "num_points": points, "fitted": fitted, "converged": epoch == 300})
        for frequency in FREQUENCIES:
            error = 0.5 + 0.2 * math.log2(frequency / highest)
            errors.append({**about, "target_frequency": frequency, "error": error, "converged": False})
        if degree == 1:
            regions.append({**about, "region_density": width / 8 + 0.1 * seed})
    tables = {"fits": fits, "errors": errors, "regions": regions}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def finished(**options):
    tables = measured(**options)
    return {**tables, **FINDING.derive(tables)}


def row(table, **where):
    return table.iloc[row_where(table, where)]


OF_WIDTH = {
    "capacity": lambda degree, width, seed: (16 + width + seed) / degree,
    "reach": lambda degree, width, seed: (1.5 + width / 16 + 0.1 * seed) * (degree + 1) / 4,
}


def test_capacity_and_reach_are_those_that_the_networks_were_made_with():
    networks = finished(**OF_WIDTH)["networks"]
    assert len(networks) == 2 * 3 * 2 * 3 * 2
    own = row(networks, dataset="torus", degree=1, architecture="2x32", seed=2, epoch=100)
    assert own["capacity"] == pytest.approx(50)
    assert own["capacity_bound"] == "between"
    assert own["reach"] == pytest.approx((1.5 + 2 + 0.2) / 2)
    low = row(networks, dataset="torus", degree=2, architecture="2x8", seed=0, epoch=300)
    assert (low["capacity"], low["capacity_bound"]) == (16, "at most")  # it would be 12
    assert (low["reach"], low["reach_bound"]) == (pytest.approx(1.5), "between")


def test_changes_are_in_doublings_and_means_over_all_else():
    compared = finished(
        capacity=lambda _, width, seed: 16.5 * 2 ** (0.1 * seed) * (1.5 if width == 32 else 1),
        reach=lambda degree, _, seed: 1.2 * 2 ** (0.5 * (degree - 1) * (0.8 + 0.1 * seed)),
    )["comparisons"]
    wide = row(compared, measure="capacity", of="2x32", epoch=300)
    assert wide["difference"] == pytest.approx(math.log2(1.5))
    assert wide["against"] == "2x8"
    third = row(compared, measure="reach", of="degree 3", epoch=100)
    assert third["difference"] == pytest.approx(0.9)  # the mean of 0.8, 0.9 and 1
    assert third["num_seeds"] == 3
    regions = row(compared, measure="region_density", of="2x32", epoch=300)
    assert regions["difference"] == pytest.approx(
        np.mean([math.log2((4 + 0.1 * seed) / (1 + 0.1 * seed)) for seed in range(3)])
    )


def test_a_trade_is_between_degrees_at_one_width():
    # Width raises both, degree raises the one and lowers the other: no pair of one width agrees.
    networks = finished(
        capacity=lambda degree, width, seed: 60 - 10 * degree + width / 8 + seed,
        reach=lambda degree, width, seed: 0.5 + degree + width / 64 + 0.01 * seed,
    )["networks"]
    assert (trades_table(networks)["trade"] == -1).all()
    assert {*trades_table(networks)["dataset"]} == {"torus", "sphere", "all"}


def test_one_that_is_constant_has_no_trade():
    tables = finished(capacity=lambda *_: 1_000, reach=OF_WIDTH["reach"])
    assert (tables["networks"]["capacity_bound"] == "at least").all()
    assert tables["trades"]["trade"].isna().all()
    assert "which says nothing of a trade" in FINDING.says(Numbers(None, tables))[2].striptags()


@pytest.mark.parametrize(
    ("verdict", "difference", "words"),
    [
        ("differs", -0.5, "so there is a trade"),
        ("differs", 0.5, "so they rise together"),
        ("inconclusive", 0.5, "so whether there is a trade is open"),
        ("not tested", math.nan, "which says nothing of a trade"),
    ],
)
def test_what_is_said_of_a_trade(verdict, difference, words):
    tables = finished(**OF_WIDTH)
    own = row_where(tables["comparisons"], {"measure": "trade", "of": "all", "epoch": 300})
    tables["comparisons"].loc[own, ["verdict", "difference"]] = [verdict, difference]
    assert words in FINDING.says(Numbers(None, tables))[2].striptags()


def test_the_best_keeps_most_of_both():
    about = {"dataset": "torus", "seed": 0, "architecture": "2x8"}
    rows = [
        {**about, "epoch": epoch, "degree": degree, "capacity": capacity, "reach": reach}
        for epoch, degree, capacity, reach in [
            (100, 1, 100.0, 1.0), (100, 2, 70.0, 3.0), (100, 3, 10.0, 4.0),
            (300, 1, 100.0, 3.2), (300, 2, 70.0, 3.0), (300, 3, 10.0, 4.0),
        ]
    ]  # fmt: skip
    best = best_table(pd.DataFrame(rows))
    assert best[["epoch", "degree", "capacity", "reach", "is_as_last"]].values.tolist() == [
        [100, 2, 0.7, 0.75, False],
        [300, 1, 1.0, 0.8, True],
    ]


def test_widths_are_ordered_as_numbers():
    assert narrow_and_wide(pd.DataFrame({"architecture": ["2x8", "2x100", "2x32"]})) == ("2x8", "2x100")


def test_epochs_and_rest_are_said():
    capacity, _, best = (part.striptags() for part in FINDING.says(Numbers(None, finished(**OF_WIDTH))))
    assert capacity.startswith("After 300 epochs a ReLU network")
    assert "after 100 epochs these were" in capacity
    assert "108 of 108 networks of random labels had stably converged" in capacity
    assert "after 100 epochs it was the same on 2 of 2" in best


def test_rows_are_kept_of_the_epochs_that_were_read():
    runs = pd.DataFrame(
        {
            "run": ["a", "b"], "dataset": "torus", "activation": ["relu", "relu"], "architecture": "2x8",
            "seed": 0, "task": ["classification", "regression"], "points": [16, 256],
            "target_frequency": [0.0, 2.0],
        }
    )  # fmt: skip
    epochs = [0, 1, 2, 3]
    training = pd.DataFrame(
        [{"run": run, "epoch": epoch, "train_accuracy": 0.1 * epoch, "test_loss": 10.0 - epoch}
         for run in "ab" for epoch in epochs]
    )  # fmt: skip
    convergence = pd.DataFrame(
        [{"run": run, "epoch": epoch, "layer": layer, "converged": epoch == 3 and (run, layer) != ("b", 1)}
         for run in "ab" for epoch in epochs for layer in (0, 1)]
    )  # fmt: skip
    regions = pd.DataFrame({"run": [*"aabb"], "epoch": [0, 3, 0, 3], "region_density": [1.0, 2.0, 3.0, 4.0]})
    frames = {"runs": runs, "training": training, "lmd_convergence": convergence}
    frames |= {"complexity_regions": regions, "complexity": pd.DataFrame({"epoch": [0, 2, 3]})}
    kept = FINDING.keep(SimpleNamespace(frames=frames))
    assert {*kept} == {*FINDING.kept}
    assert kept["fits"][["epoch", "num_points", "fitted", "converged"]].values.tolist() == [
        [2, 16, 0.2, False],
        [3, 16, pytest.approx(0.3), True],
    ]
    assert kept["errors"][["epoch", "target_frequency", "error", "converged"]].values.tolist() == [
        [2, 2.0, 8.0, False],
        [3, 2.0, 7.0, False],
    ]
    assert kept["regions"][["degree", "epoch", "region_density"]].values.tolist() == [
        [1, 0, 3.0],
        [1, 3, 4.0],
    ]


@pytest.mark.parametrize("form", ["full", "ci"])
def test_every_network_takes_as_many_steps(form):
    for run in expand(load_study(shipped_configs()[FINDING.study_of(form)])):
        data, training = run.sections["data"], run.sections["training"]
        assert data.points == 16 * training.batch_size
        is_regression = data.task == "regression"
        assert (data.random_labels == 0, data.target_frequency > 0) == (is_regression, is_regression)
        assert not is_regression or data.points == 256
