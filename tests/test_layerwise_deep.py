"""Networks of dozens of layers: the scale that tells zero from rounding must not outgrow the values."""

from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import DEFAULT_TOLERANCE, trace_path, walk_paths
from spaceprobe.folding.layerwise import anchors
from spaceprobe.folding.layerwise.knots import Knots
from spaceprobe.folding.layerwise.probe import Probe
from spaceprobe.folding.layerwise.visit import Visit
from spaceprobe.folding.rounding import INHERITED, MOST, ROUNDINGS, inherited_scale, rounding_share
from tests.degenerate_networks import DegenerateCase
from tests.rational_oracle import Layer, fold_exactly

EPSILON = torch.finfo(torch.float64).eps

LARGEST_RATIO = 30
"""Of a unit's scale to the size of z in its layer: a sum of n terms that cancel has about sqrt(n)."""


def he(num_inputs: int, num_outputs: int) -> nn.Linear:
    layer = nn.Linear(num_inputs, num_outputs, dtype=torch.float64)
    nn.init.normal_(layer.weight, std=(2 / num_inputs) ** 0.5)
    nn.init.normal_(layer.bias, std=0.1)
    return layer


def deep_mlp(depth: int, width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    sizes = [width] * (depth + 1)
    return nn.Sequential(*(layer for m, n in pairwise(sizes) for layer in (he(m, n), nn.ReLU())))


class Bottlenecks(nn.Module):
    """Inverted residual blocks: up, an activation, down to a linear bottleneck, and a sum."""

    def __init__(self, num_blocks: int, activation: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.activation = activation
        self.up = nn.ModuleList(he(6, 24) for _ in range(num_blocks))
        self.down = nn.ModuleList(he(24, 6) for _ in range(num_blocks))
        self.norm = nn.ModuleList(nn.BatchNorm1d(6, dtype=torch.float64) for _ in range(num_blocks))

    def forward(self, x: Tensor) -> Tensor:
        for number, (up, down, norm) in enumerate(zip(self.up, self.down, self.norm, strict=True)):
            y = norm(down(self.activation(up(x))))
            x = (x + y) / 2 if number % 3 else y
        return self.activation(x)


class Watch(torch.overrides.TorchFunctionMode):
    """The bits of the activations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.bits: list[Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.relu:
            self.bits.append(args[0] > 0)
        if func is F.hardtanh:  # a ReLU6
            self.bits += [args[0] > 0, args[0] > 6]
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def assert_every_region_has_the_pattern_of_its_middle(network: nn.Module, a: Tensor, b: Tensor) -> None:
    trace = trace_path(network.eval(), a, b, method="layerwise")
    t = torch.tensor([*trace.t, 1.0], dtype=torch.float64)
    middles = (t[1:] + t[:-1]) / 2
    with Watch() as watch:
        network(torch.lerp(a, b, middles[:, None]))
    patterns = torch.cat(watch.bits, dim=1)
    np.testing.assert_array_equal((patterns != patterns[0]).sum(1), trace.distance)
    assert trace.length[-1] == (patterns[1:] != patterns[:-1]).sum() > 30
    folding = walk_paths(network, a[None], b[None], method="layerwise")
    assert (folding.length[0], folding.num_violations[0]) == (trace.length[-1], 0)


@pytest.mark.parametrize(
    "network",
    [deep_mlp(60, 16, 0), Bottlenecks(40, nn.ReLU()), Bottlenecks(40, nn.ReLU6())],
    ids=["60x16", "bottlenecks", "bottlenecks of ReLU6"],
)
def test_every_region_of_a_deep_network_has_the_pattern_of_its_middle(network):
    a, b = torch.randn(2, next(network.parameters()).shape[1], dtype=torch.float64)
    assert_every_region_has_the_pattern_of_its_middle(network, a, b)


def test_the_three_engines_agree_on_a_deep_mlp():
    network, (a, b) = deep_mlp(60, 8, 2), torch.randn(2, 1, 8, dtype=torch.float64)
    one, *others = (asdict(walk_paths(network, a, b, method=each)) for each in ("layerwise", "kernel", "jvp"))
    assert one["length"][0] > 20
    assert one["num_violations"] == [0]
    assert others == [one, one]


@pytest.mark.parametrize("network", [deep_mlp(60, 16, 0), Bottlenecks(40, nn.ReLU6()).eval()])
def test_scales_stay_with_the_values(network, monkeypatch):
    ratios = []

    def keep(line, activation, bend):
        size = line.rows.abs().amax(0).square().mean().sqrt()
        ratios.append(float(line.sizes.max() / size))
        return bend(line, activation)

    for run in (Visit, Probe):
        monkeypatch.setattr(run, "bend", lambda self, *z, bend=run.bend: keep(*z, bend.__get__(self)))
    walk_paths(network, *torch.randn(2, 1, next(network.parameters()).shape[1]), method="layerwise")
    assert len(ratios) > 80
    assert max(ratios) < LARGEST_RATIO


def fractions(rows: list[list[float]], bias: list[float]) -> Layer:
    return [[Fraction(w) for w in row] for row in rows], [Fraction(c) for c in bias]


def tie_from_top_to_bottom(num_layers: int) -> DegenerateCase:
    """Units that are 0 at t = 1/3 together, and one that is 0 everywhere but for rounding, layers deep.

    The third is 3(x+y) - (3x+y) - 2y of sums that float64 rounds. From then on each layer hands every unit
    on, times 3/2 or 5/8, so that its rounding is never compared with anything but itself.
    """
    layers = [
        fractions([[3], [6], [0.7001953125]], [-1, -2, 1.1]),
        fractions([[1, 0, 1], [3, 0, 1], [0, 0, 1], [1, 0, 0], [0, 1, 0]], [0.3, 0.9, 0, 0, 0]),
        fractions([[3, -1, -2, 0, 0], [-3, 1, 2, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 2, 0.5]], [0, 0, 0, 0]),
    ]
    for number in range(num_layers):
        factor = (1.5, 0.625)[number % 2]
        rows = [[factor * (i == j) for j in range(4)] for i in range(4)]
        layers.append(fractions(rows, [0] * 4))
    layers.append(
        fractions([[1, 0, 0, 0], [1, -1, 0, 0], [0, 0, 3, 0], [0, 0, 3, -1], [0, 0, -3, 1]], [0] * 5)
    )
    layers = [(rows, [Fraction(float(c)) for c in bias]) for rows, bias in layers]
    layers[1][1][1] = 3 * layers[1][1][0]
    return DegenerateCase("from top to bottom", layers, True, [Fraction(0)], [Fraction(1)])


@pytest.mark.parametrize("method", ["layerwise", "jvp"])
@pytest.mark.parametrize("num_layers", [1, 40])
def test_a_tie_at_the_top_is_one_at_the_bottom(method, num_layers):
    case = tie_from_top_to_bottom(num_layers)
    expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
    _, a, b = case.arrays()
    for start, end in ((a, b), (b, a)):
        folding = walk_paths(case.module(), *torch.from_numpy(np.stack([start, end]))[:, None], method=method)
        assert folding.length[0] == expected.length
        assert folding.reach_from_a[0] == expected.reach_from_a
        assert folding.num_violations[0] == 0


class Body(nn.Module):
    """Layers one after the other, which are no sequence: the walk begins before the first of them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def weights(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(rows, dtype=torch.float64)
    return layer


ENDS = torch.tensor([[-1.0], [-3.0]]), torch.tensor([[1.0], [-1.0]])
UNITS = weights(*([1.0 + unit / 8] for unit in range(16)))


@pytest.mark.parametrize("num_pairs", [1, 4, 20])
def test_sums_that_cancel_leave_a_scale_that_fits_what_is_left(num_pairs):
    """x, by pairs of layers each of which has 1,999 times its scale, and leaves the value."""
    pairs = [layer for _ in range(num_pairs) for layer in (weights([1000], [999]), weights([1, -1]))]
    folding = walk_paths(Body(*pairs, UNITS, nn.ReLU()), *ENDS, method="layerwise")
    assert folding.length.tolist() == [16, 0]
    assert folding.num_violations.tolist() == [0, 0]


def cancelling(large):
    """Sixteen units, each the difference of numbers that are as many times as large."""
    units = weights(*([(1 + unit / 8) * (large + 1), -(1 + unit / 8) * large] for unit in range(16)))
    return Body(weights([1], [1]), units, nn.ReLU())


@pytest.mark.parametrize(("large", "is_resolved"), [(2.0**30, True), (2.0**43, False)])
def test_units_that_no_tolerance_resolves_fail_the_region_check(large, is_resolved):
    """Of 2^43·x float64 leaves 1/1000 of x: nearer to 0 than its tolerance, and still not at it."""
    folding = walk_paths(cancelling(large), *ENDS, method="layerwise")
    assert (folding.num_violations == 0).tolist() == [is_resolved] * 2
    assert not is_resolved or folding.length.tolist() == [16, 0]


def test_what_a_scale_keeps_is_what_rounding_does():
    assert rounding_share(DEFAULT_TOLERANCE, EPSILON) == ROUNDINGS * EPSILON / DEFAULT_TOLERANCE < 0.01
    assert rounding_share(1e-15, EPSILON) == 1
    largest, before = torch.tensor([[3, 1e-9, 0], [8, 4, 1]], dtype=torch.float64)
    assert inherited_scale(largest, before, DEFAULT_TOLERANCE).tolist() == [5, 1e-9 + MOST * 1e-9, 0]
    assert inherited_scale(largest, before, 1e-15).tolist() == [11, 1e-9 + MOST * 1e-9, 0]
    # Six layers on, what is inherited is what rounding may do.
    assert EPSILON <= INHERITED**6 * DEFAULT_TOLERANCE < 2 * EPSILON


def test_the_largest_values_are_those_of_a_path_and_live_units_those_of_its_neighbouring_knots():
    path, is_joined = [0, 0, 0, 0, 1, 1], [True, False, True, False, True, False]
    knots = Knots(
        torch.tensor(path), torch.tensor([0, 0.5, 0.5, 1, 0, 1]), torch.tensor(is_joined), num_paths=2
    )
    rows = torch.tensor([[1.0, 0], [-2, 0], [3, 0], [4, 0], [-9, 1], [0, -2]], dtype=torch.float64)
    assert anchors.largest_on_paths(rows, knots).tolist() == [[4, 0], [9, 2]]
    assert anchors.is_live(rows, knots).tolist() == [[True, False]] * 4 + [[True, True]] * 2
    late = torch.tensor([[0.0], [0], [0], [4], [0], [-2]], dtype=torch.float64)
    assert anchors.is_live(late, knots).tolist() == [[False], [False], [True], [True], [True], [True]]
