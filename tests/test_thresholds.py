"""A bit that flips where z passes a threshold: by hand, in rational arithmetic, and in samples."""

import random
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaceprobe.folding import (
    engine_for,
    fold_grid,
    fold_matched,
    trace_path,
    unit_quantiles,
    walk_batch,
    walk_paths,
)
from spaceprobe.folding import thresholds as thresholds_module
from tests.degenerate_networks import KINDS, DegenerateCase, cases_of
from tests.rational_oracle import Vector, between, breakpoints, fold_exactly, pre_activations

RESOLUTION = Fraction(1, 10**9)
"""Nothing that is not exactly degenerate is closer than this."""


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    layer.load_state_dict({"weight": torch.tensor(weight).double(), "bias": torch.tensor(bias).double()})
    return layer


def traced(network: nn.Module, a: list[float], b: list[float], threshold) -> list[tuple[float, int, int]]:
    """Return t, distance and length of each step."""
    trace = trace_path(network, torch.tensor(a), torch.tensor(b), threshold=threshold)
    return [*zip(trace.t.tolist(), trace.distance.tolist(), trace.length.tolist(), strict=True)]


def test_a_bit_flips_at_its_threshold_and_not_where_the_network_bends():
    assert traced(nn.ReLU(), [-1.0], [3.0], 0.0) == [(0, 0, 0), (0.25, 1, 1)]
    assert traced(nn.ReLU(), [-1.0], [3.0], 1.0) == [(0, 0, 0), (0.5, 1, 1)]
    assert traced(nn.ReLU(), [-1.0], [3.0], -0.5) == [(0, 0, 0), (0.125, 1, 1)]
    assert traced(nn.ReLU(), [-1.0], [3.0], 4.0) == [(0, 0, 0)]
    two = [torch.tensor([1.0, -0.5])]
    assert traced(nn.ReLU(), [-1.0, -1.0], [3.0, 3.0], two) == [(0, 0, 0), (0.125, 1, 1), (0.5, 2, 2)]


def test_what_is_behind_a_relu_still_bends_at_0():
    """relu(x) - 1 from x = -1 to 3: flat at -1 up to 1/4, then it rises to 2 with slope 4."""
    network = nn.Sequential(nn.ReLU(), linear([[1]], [-1]), nn.ReLU())
    # first z > 1 at x = 1, t = 1/2; second z > 1 at x = 2, t = 3/4
    assert traced(network, [-1.0], [3.0], 1.0) == [(0, 0, 0), (0.5, 1, 1), (0.75, 2, 2)]
    # second z > -1 from the bend on: a flip at a knot that is there, without one of the first unit
    assert traced(network, [-1.0], [3.0], [3.0, -1.0]) == [(0, 0, 0), (0.25, 1, 1)]
    # z is at -1 on an interval: off there; and it touches -1 at its lowest point and does not flip
    assert traced(network, [3.0], [-1.0], [3.0, -1.0]) == [(0, 0, 0), (0.75, 1, 1)]
    valley = nn.Sequential(linear([[1], [-1]], [0, 0]), nn.ReLU(), linear([[1, 1]], [0]), nn.ReLU())
    assert traced(valley, [-1.0], [1.0], [2.0, 0.0]) == [(0, 0, 0)]
    assert traced(valley, [-1.0], [1.0], [2.0, 0.5]) == [(0, 0, 0), (0.25, 1, 1), (0.75, 0, 2)]


def thresholds_for(case: DegenerateCase, rng: random.Random) -> list[Vector]:
    """Return a threshold for each unit, many of which z reaches just at an end, a bend or in the middle."""
    times = breakpoints(case.layers, case.relu_at_end, case.a, case.b)
    drawn = []
    for depth, z in enumerate(pre_activations(case.layers, case.relu_at_end, case.a)):
        at = [
            pre_activations(case.layers, case.relu_at_end, between(case.a, case.b, t))[depth]
            for t in (rng.choice(times), Fraction(1, 2), Fraction(rng.randint(0, 1)))
        ]
        own = [
            rng.choice([Fraction(0), Fraction(1, 2), *(seen[unit] for seen in at)]) for unit in range(len(z))
        ]
        drawn.append([c if Fraction(float(c)) == c else Fraction(1, 4) for c in own])
    return drawn


def is_resolvable(case: DegenerateCase, thresholds: list[Vector]) -> bool:
    """Return whether nothing is close to a threshold, or to another flip, and not just there."""
    times = breakpoints(case.layers, case.relu_at_end, case.a, case.b, thresholds)
    if any(end - start < RESOLUTION for start, end in pairwise(times)):
        return False
    gaps = (
        value - c
        for t in times
        for z, own in zip(
            pre_activations(case.layers, case.relu_at_end, between(case.a, case.b, t)),
            thresholds,
            strict=True,
        )
        for value, c in zip(z, own, strict=True)
    )
    return not any(gap and abs(gap) < RESOLUTION for gap in gaps)


def test_equals_rational_arithmetic_on_degenerate_networks():
    rng = random.Random(0)
    cases = [case for kind in KINDS for case in cases_of(kind)[:6]]
    num_tried = num_flips = 0
    for case in cases:
        thresholds = thresholds_for(case, rng)
        if not is_resolvable(case, thresholds):
            continue
        num_tried += 1
        given = [torch.tensor([float(c) for c in own], dtype=torch.float64) for own in thresholds]
        _, a, b = case.arrays()
        folding = walk_batch(
            case.module(), torch.from_numpy(a)[None], torch.from_numpy(b)[None], threshold=given
        )
        expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b, thresholds)
        found = {name: int(column[0]) for name, column in asdict(folding).items()}
        assert found == asdict(expected) | {"num_violations": 0}, case.name
        num_flips += expected.length
    assert num_tried >= 50
    assert num_flips >= 100


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))


def ends() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    a, b = 3 * torch.randn(2, 5, 4)
    return a, b


def test_dense_samples_see_the_same_bits_and_every_entry_point_takes_a_threshold():
    network, (a, b) = mlp(), ends()
    given = [0.25, torch.linspace(-0.5, 0.5, 6)]
    exact = walk_paths(network, a, b, threshold=given)
    sampled = walk_paths(network, a, b, threshold=given, method="sampled", num_points=50_001)
    for name, column in asdict(exact).items():
        np.testing.assert_array_equal(column, asdict(sampled)[name], err_msg=name)
    assert (exact.length != walk_paths(network, a, b).length).any()
    matched = fold_matched(network, a, b, threshold=given).chi.cells
    assert (matched[:, 0] * matched[:, 2]).sum() == exact.length.sum()
    grid = fold_grid(network, a[:1], b[:1], threshold=given).chi.cells
    assert grid[0, 0] == exact.length[0] == trace_path(network, a[0], b[0], threshold=given).length[-1]


def test_thresholds_of_0_are_the_bits_of_the_kernel():
    network, (a, b) = mlp(), ends()
    kernel = walk_paths(network, a, b, threshold=0)
    layerwise = walk_paths(network, a, b, threshold=[0.0, torch.zeros(6)])
    for name, column in asdict(kernel).items():
        np.testing.assert_array_equal(column, asdict(layerwise)[name], err_msg=name)


def test_the_layerwise_walk_takes_a_threshold():
    network, (a, _) = mlp(), ends()
    assert engine_for(network, a) == engine_for(network, a, threshold=0.0) == "kernel"
    assert engine_for(network, a, threshold=0.1) == "layerwise"
    assert engine_for(network, a, threshold=0.1, method="sampled") == "sampled"


def test_a_threshold_beside_windows_is_of_the_relus_alone():
    """Of x and 1 - x from x = 0 to 1 the second is above 3/4 until 1/4, and the larger one until 1/2."""
    network = nn.Sequential(nn.ReLU(), nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2))
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    trace = trace_path(network, a, b, units="all", threshold=0.75)
    assert trace.t.tolist() == [0, 0.25, 0.5, 0.75]
    assert trace.distance.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            nn.LeakyReLU(),
            {"threshold": 1.0},
            "activation 0 of the network is not a ReLU, and a threshold is for",
        ),
        (nn.Sequential(nn.ReLU(), nn.Hardtanh()), {"threshold": 1.0}, "activation 1 of the network is not"),
        (
            nn.ReLU(),
            {"threshold": [1.0, 1.0]},
            "threshold has 2 entries: expected one for each of the 1 ReLUs",
        ),
        (
            nn.ReLU(),
            {"threshold": [torch.zeros(3)]},
            r"threshold 0 has shape \(3,\): expected a number, or \(4,\)",
        ),
        (nn.ReLU(), {"threshold": float("nan")}, "threshold is nan: expected finite numbers"),
        (mlp(), {"threshold": 1.0, "method": "kernel"}, "the kernel counts z > 0 alone"),
        (mlp(), {"threshold": 1.0, "precision": "float32"}, "the kernel counts z > 0 alone"),
        (mlp(), {"threshold": 1.0, "method": "jvp"}, 'method is "jvp": it counts z > 0 alone'),
    ],
)
@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_what_does_not_fit_is_refused(network, options, message, method):
    with pytest.raises((ValueError, TypeError), match=message):
        walk_paths(network, *ends(), **{"method": method} | options)


def test_an_array_is_not_a_list_of_thresholds():
    with pytest.raises(TypeError, match="threshold is a ndarray: expected a number, or a list with a number"):
        walk_paths(nn.ReLU(), *ends(), threshold=np.zeros(4))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_quantiles_of_units_are_those_of_what_each_relu_is_given(share, monkeypatch):
    network = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2, padding=1), nn.ReLU(inplace=True))
    network = nn.Sequential(network, nn.Flatten(), nn.Linear(27, 5), nn.ReLU(inplace=True), nn.Linear(5, 2))
    images = torch.randn(101, 4, generator=torch.Generator().manual_seed(2))
    first = network[0][1].double()(images.double().view(-1, 1, 2, 2))
    second = network[2].double()(first.relu().flatten(1))
    found = unit_quantiles(network, images, share)
    assert [tuple(part.shape) for part in found] == [(3, 3, 3), (5,)]
    for part, z in zip(found, (first, second), strict=True):
        ordered = z.detach().sort(0).values
        expected = ordered[50] if share == 0.5 else ordered[90]  # of 101 images, so none in between
        torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(thresholds_module, "MAX_NUMBERS", 4 * 101)  # units in several passes
    again = unit_quantiles(network, images, share)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def test_quantiles_refuse_what_has_none():
    with pytest.raises(ValueError, match="is not a ReLU"):
        unit_quantiles(nn.Sequential(nn.Linear(4, 2), nn.Tanh()), torch.zeros(3, 4), 0.5)
    with pytest.raises(ValueError, match=r"share is 1.5: expected a number in \[0, 1\]"):
        unit_quantiles(mlp(), torch.zeros(3, 4), 1.5)
    with pytest.raises(ValueError, match="images is empty"):
        unit_quantiles(mlp(), torch.zeros(0, 4), 0.5)
