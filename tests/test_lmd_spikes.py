"""What in a spectrum is more than noise of the entries, against numbers by hand and known matrices."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from spaceprobe.lmd.entries import entries_of
from spaceprobe.lmd.noise import marchenko_pastur_edge
from spaceprobe.lmd.spectrum import shuffled_singular_values, singular_values
from spaceprobe.lmd.spikes import num_entry_spikes, shuffled_distance, spike_threshold, spikes

# Sums over some ten thousand entries.
TOLERANCE = 1e-12


def normal(shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def verdict(W):
    """Return the number of spikes, and of those that large entries make."""
    entries = entries_of(W)
    found = spikes(singular_values(W), tuple(W.shape), entries.deviation)
    return found.num_spikes, num_entry_spikes(W, entries, found.num_spikes)


def test_known_answer():
    # Deviation 2 of 4 × 9 entries: the edge is 2 (2 + 3) = 10, and (10 / 40)² = 1/16.
    found = spikes(np.array([40.0, 11.0, 3.0, 0.5]), (4, 9), 2.0)
    assert found.entries_edge == pytest.approx(10)
    assert found.soft_rank == pytest.approx(1 / 16)
    # Johnstone: centre (√8 + √4)², scale (√8 + √4)(1/√8 + 1/√4)^⅓; 11 is within the fluctuation of 1 %.
    root = math.sqrt(8) + 2
    threshold = 2 * math.sqrt(root**2 + 2.0234 * root * (1 / math.sqrt(8) + 1 / 2) ** (1 / 3))
    assert spike_threshold((4, 9), 2.0) == spike_threshold((9, 4), 2.0) == pytest.approx(threshold)
    assert 11 < threshold < 40
    assert found.num_spikes == 1


@pytest.mark.parametrize("shape", [(40, 40), (30, 120)])
def test_noise_has_a_spike_as_seldom_as_it_is_said(shape):
    above = [verdict(normal(shape, seed))[0] > 0 for seed in range(300)]
    edge = [
        singular_values(normal(shape, seed))[0] > marchenko_pastur_edge(shape, 1.0) for seed in range(100)
    ]
    assert sum(above) <= 10  # 3 are expected, 11 or more once in 4000
    assert sum(edge) >= 5  # the bare edge is exceeded far more often


def test_planted_components_are_spikes():
    noise = normal((60, 90), 1)
    rng = np.random.default_rng(2)
    left, _ = np.linalg.qr(rng.normal(size=(60, 3)))
    right, _ = np.linalg.qr(rng.normal(size=(90, 3)))
    # Noise hides what is below (60 · 90)^¼ = 8.6 (Benaych-Georges and Nadakuditi 2012).
    planted = noise + torch.from_numpy(left * [60.0, 45.0, 4.0] @ right.T)
    assert verdict(noise) == (0, 0)
    assert verdict(planted) == (2, 0)


@pytest.mark.parametrize(
    ("shape", "where"), [((300, 784), (17, 22)), ((30, 30), (29, 0)), ((12, 50), (0, 49))]
)
def test_a_planted_entry_of_40_deviations_is_named(shape, where):
    W = normal(shape, 3)
    W[where] = -40.0
    entries = entries_of(W)
    assert (entries.row, entries.column) == where
    assert entries.num_large == 1
    rest = np.delete(W.numpy().ravel(), where[0] * shape[1] + where[1])
    assert entries.mean == pytest.approx(rest.mean(), rel=TOLERANCE, abs=TOLERANCE)
    assert entries.largest == pytest.approx((rest.mean() + 40) / rest.std(), rel=TOLERANCE)
    assert entries.deviation == pytest.approx(W.numpy().std(), rel=TOLERANCE)
    assert verdict(W) == (1, 1)
    expected = W.clone()
    expected[where] = entries.mean
    assert torch.equal(entries.without_large(W), expected)


def test_an_entry_and_a_component_are_told_apart():
    W = normal((60, 90), 4) + 0.5 * torch.ones(60, 1) * normal((1, 90), 5)
    W[3, 4] = 60.0
    assert verdict(W) == (2, 1)


def test_many_large_entries_are_not_a_few():
    W = torch.from_numpy(np.random.default_rng(6).standard_t(3, size=(200, 300)))
    entries = entries_of(W)
    assert entries.num_large > 100
    assert verdict(W)[1] is None


def test_the_entries_of_equal_ones():
    assert verdict(torch.zeros(5, 7, dtype=torch.float64)) == (0, 0)
    assert spikes(np.zeros(5), (5, 7), 0.0).soft_rank is None
    constant = torch.full((50, 70), 0.3, dtype=torch.float64)  # whose mean is a component
    assert entries_of(constant).deviation == entries_of(constant).largest == 0
    assert verdict(constant) == (1, 0)
    alone = torch.zeros(20, 30, dtype=torch.float64)
    alone[4, 5] = 2.0
    entries = entries_of(alone)
    assert (entries.num_large, entries.row, entries.column, entries.largest) == (1, 4, 5, math.inf)
    assert verdict(alone) == (1, 1)


@pytest.mark.parametrize("power", [-400, 660])
def test_verdicts_know_no_scale(power):
    W = normal((20, 30), 7)
    W[2, 3] = 30.0
    plain, scaled = entries_of(W), entries_of(W * 2.0**power)
    assert scaled.largest == pytest.approx(plain.largest, rel=TOLERANCE)
    assert scaled.deviation == pytest.approx(plain.deviation * 2.0**power, rel=TOLERANCE)
    assert dataclasses.replace(scaled, **{
        name: getattr(plain, name) for name in ("deviation", "low", "high", "mean", "largest")
    }) == plain  # fmt: skip
    assert verdict(W * 2.0**power) == verdict(W) == (1, 1)


def test_the_distance_from_shuffled_values_is_that_of_two_vectors():
    assert shuffled_distance(np.array([3.0, 0.0]), np.array([2.0, math.sqrt(5)])) == pytest.approx(
        math.sqrt((1 + 5) / 9)
    )
    assert shuffled_distance(np.zeros(2), np.zeros(2)) == 0
    noise = normal((60, 90), 8)
    low_rank = normal((60, 2), 9) @ normal((2, 90), 10)
    distances = [
        shuffled_distance(singular_values(W), shuffled_singular_values(W, 0)) for W in (noise, low_rank)
    ]
    assert distances[0] < 0.03
    assert 0.8 < distances[1] < math.sqrt(2)
