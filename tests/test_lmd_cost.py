"""The probe cost: what is timed, what the large-matrix path misses, and the tables that it adds."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from spaceprobe.lmd.large import BLOCK, DIMENSIONS_PER_VALUE, NUM_STEPS, PAYS_FROM, leading_triplets
from spaceprobe.networks.layers import pass_through
from spaceprobe.stages.lmd import cost
from spaceprobe.stages.lmd.cost import ENOUGH_S, MAX_ROUNDS, NUM_LEADING, cost_rows, fewest_seconds
from spaceprobe.stages.lmd.settings import LmdSettings
from tests.commands import call

ROUNDING = 1e-13
"""Of singular values, relative to the largest."""

STUDY = """\
data: {train_images: 100}
network: {architecture: 3x6}
training: {epochs: 1}
lmd: {probes: [cost], sample: 96}
study: {stages: [train, lmd]}
"""


def clock_of(*durations):
    """Return a clock by which the rounds take so long."""
    ticks = itertools.chain.from_iterable((0.0, duration) for duration in durations)
    return lambda: next(ticks)


def test_the_fastest_of_the_rounds_until_they_are_long_enough():
    assert fewest_seconds(lambda: "made", clock_of(0.02, 0.01, 0.025, 0.001)) == (0.01, 3, "made")
    assert fewest_seconds(lambda: 1, clock_of(ENOUGH_S, 0.1)) == (ENOUGH_S, 1, 1)
    assert fewest_seconds(lambda: 1, clock_of(*[1e-3] * 100)) == (1e-3, MAX_ROUNDS, 1)


def rows_of(weight, num_points=40, number=0, **settings):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.weight.data = weight
    points = torch.randn(num_points, weight.shape[1], generator=torch.Generator().manual_seed(1)).double()
    (passed,) = pass_through(nn.Sequential(layer), points)
    return cost_rows(number, passed, LmdSettings(**settings))


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_steps_and_samples_of_the_first_and_of_another_matrix(monkeypatch):
    monkeypatch.setattr(cost, "ENOUGH_S", 0.0)
    for number, samples in ((0, [20, 40, 80, 160]), (1, [160])):
        rows = rows_of(drawn(5, 7), 160, number)["lmd_times"]
        of_points = [(step, n) for n in samples for step in ("data", "laplacian")]
        assert [(row["step"], row["num_points"]) for row in rows] == [
            ("svd", 0), ("leading", 0), ("certificate", 0), *of_points,
        ]  # fmt: skip
        assert all(row["duration_s"] >= 0 and row["num_rounds"] == 1 for row in rows)
        assert {(row["num_outputs"], row["num_inputs"]) for row in rows} == {(5, 7)}


def test_samples_without_neighbours_and_a_constant_layer_have_no_metric(monkeypatch):
    monkeypatch.setattr(cost, "ENOUGH_S", 0.0)
    rows = rows_of(drawn(5, 7), 80, neighbours=25)["lmd_times"]
    assert {row["num_points"] for row in rows} == {0, 40, 80}
    constant = rows_of(torch.zeros(5, 7, dtype=torch.float64), 80)["lmd_times"]
    assert {row["step"] for row in constant} == {"svd", "leading", "certificate", "data"}


def test_a_small_matrix_is_decomposed_in_full_and_a_zero_one_has_no_error(monkeypatch):
    monkeypatch.setattr(cost, "ENOUGH_S", 0.0)
    for weight in (drawn(5, 70), torch.zeros(5, 70, dtype=torch.float64)):
        (row,) = rows_of(weight)["lmd_leading"]
        assert row["is_full"]
        assert (row["num_values"], row["krylov_dim"]) == (5, 5)
        assert row["true_error"] == 0
        assert row["stated_error"] < ROUNDING


def test_a_large_matrix_goes_the_other_way_and_its_errors_are_those_of_its_values(monkeypatch):
    """The true error is measured against numpy's values."""
    monkeypatch.setattr(cost, "ENOUGH_S", 0.0)
    monkeypatch.setattr(cost, "OF_METRICS", ())
    krylov_dim = max(DIMENSIONS_PER_VALUE * NUM_LEADING, NUM_STEPS * BLOCK)
    weight = drawn(PAYS_FROM * krylov_dim, PAYS_FROM * krylov_dim)
    (row,) = rows_of(weight)["lmd_leading"]
    assert (row["is_full"], row["num_values"], row["krylov_dim"]) == (False, NUM_LEADING, krylov_dim)
    true = np.linalg.svd(weight.numpy(), compute_uv=False)
    found = leading_triplets(weight, NUM_LEADING).singular_values.numpy()
    errors = np.abs(found - true[:NUM_LEADING]) / true[0]
    assert row["true_error"] == pytest.approx(errors.max(), abs=ROUNDING)
    assert row["true_error_median"] <= row["true_error"]
    assert 0 < row["true_error"] <= row["stated_error"] < 0.1  # noise is the hard case
    (small,) = rows_of(weight[:-1])["lmd_leading"]
    assert small["is_full"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    (folder / "timed.yaml").write_text(STUDY)
    outcome = call("run", folder / "timed.yaml", "--results", folder)
    assert outcome.exit_code == 0, outcome.output
    return folder / "timed"


def test_a_study_has_both_tables_where_it_asks_for_them(finished, tmp_path):
    times, leading = (pd.read_csv(finished / f"{name}.csv") for name in ("lmd_times", "lmd_leading"))
    assert len(leading) == 2 * 4  # epochs, matrices
    assert leading["is_full"].all()
    of_first, of_others = 3 + 2 * 4, 3 + 2
    assert len(times) == 2 * (of_first + 3 * of_others)
    assert (times["duration_s"] > 0).all()
    (tmp_path / "plain.yaml").write_text(STUDY.replace("probes: [cost]", "probes: []"))
    assert call("run", tmp_path / "plain.yaml", "--results", tmp_path).exit_code == 0
    assert not [*(tmp_path / "plain").glob("lmd_times.csv"), *(tmp_path / "plain").glob("lmd_leading.csv")]


def test_times_are_outside_of_what_a_rerun_is_held_to(finished, tmp_path):
    (tmp_path / "timed.yaml").write_text(STUDY)
    assert call("run", tmp_path / "timed.yaml", "--results", tmp_path).exit_code == 0
    again = tmp_path / "timed"
    times = pd.read_csv(again / "lmd_times.csv")
    assert (times["duration_s"] != pd.read_csv(finished / "lmd_times.csv")["duration_s"]).any()
    compared = call("compare", finished, again, "--same")
    assert compared.exit_code == 0, compared.output
    for name in ("lmd_leading", "lmd_layers", "lmd_spectrum"):
        assert (finished / f"{name}.csv").read_bytes() == (again / f"{name}.csv").read_bytes()
    said = re.sub(r"\s+", " ", (again / "provenance.json").read_text())
    assert "every table but timings.csv and lmd_times.csv" in said
