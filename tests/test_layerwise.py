"""The layerwise engine against rational arithmetic, the other engines, and sampled patterns of other code."""

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import (
    PathFolding,
    UncountedUnits,
    engine_for,
    passed_over,
    trace_path,
    walk_paths,
)
from spaceprobe.folding.layerwise import walk
from tests.degenerate_networks import KINDS, cases_of
from tests.piecewise_networks import BENDS, drawn_networks
from tests.rational_oracle import fold_exactly


def numbers(folding: PathFolding) -> dict[str, int]:
    return {name: int(column[0]) for name, column in asdict(folding).items()}


def assert_same(first: PathFolding, second: PathFolding) -> None:
    for name, column in asdict(first).items():
        np.testing.assert_array_equal(column, asdict(second)[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_rational_arithmetic_on_degenerate_relu_networks(kind):
    """Every third of the networks on which the other engines are tried."""
    for case in cases_of(kind)[::3]:
        _, a, b = case.arrays()
        ends = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
        expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
        found = numbers(walk_paths(case.module(), *ends, method="layerwise"))
        assert found == asdict(expected) | {"num_violations": 0}, case.name


@pytest.mark.parametrize("name", ["mixed-174", "mixed-399", "mixed-408"])
def test_a_scale_of_the_whole_path_is_not_enough_for_what_is_close_to_a_tie(name):
    (case,) = [case for case in cases_of("mixed") if case.name == name]
    _, a, b = case.arrays()
    ends = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
    expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
    found = numbers(walk_paths(case.module(), *ends, method="layerwise"))
    assert found == asdict(expected) | {"num_violations": 0}


def test_equals_rational_arithmetic_on_networks_of_every_step():
    networks = drawn_networks(300)
    steps = {what if kind == "bend" else kind for network in networks for kind, what in network.steps}
    assert steps == {*BENDS, "affine", "max", "sum"}
    assert sum(network.fold()[0] for network in networks) > 1000  # flips
    for network in networks:
        a, b = (torch.tensor([[float(x) for x in x]], dtype=torch.float64) for x in (network.a, network.b))
        folding = walk_paths(network.module(), a, b, method="layerwise")
        found = (
            folding.length, folding.reach_from_a, folding.peak_length_from_a, folding.peak_reach_from_a,
            folding.reach_from_b, folding.peak_length_from_b, folding.peak_reach_from_b,
        )  # fmt: skip
        assert (*(int(column[0]) for column in found),) == network.fold(), network.name
        assert folding.num_violations[0] == 0, network.name


def test_hardtanh_flips_at_both_of_its_kinks():
    a, b = torch.tensor([-2.0, 0.5]), torch.tensor([2.0, -0.5])
    trace = trace_path(nn.Hardtanh(), a, b)
    assert trace.t.tolist() == [0, 0.25, 0.75]
    assert trace.distance.tolist() == [0, 1, 2]


def linear_layers(*widths: int, seed: int = 0) -> list[nn.Linear]:
    torch.manual_seed(seed)
    return [nn.Linear(m, n) for m, n in pairwise(widths)]


def test_equals_the_kernel_on_an_mlp_and_the_jvp_walk_on_a_cnn():
    first, second, last = linear_layers(20, 30, 30, 10)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
    a, b = torch.randn(2, 200, 20)
    assert_same(walk_paths(network, a, b, method="layerwise"), walk_paths(network, a, b, method="kernel"))
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()
    )
    a, b = torch.randn(2, 4, 1, 6, 6)
    folding = walk_paths(network, a, b, method="layerwise")
    assert_same(folding, walk_paths(network, a, b, method="jvp"))
    assert folding.length.min() > 100


pytestmark = pytest.mark.filterwarnings("ignore::spaceprobe.folding.UncountedUnits")


def test_what_is_not_counted_is_named():
    network = nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Softmax(1))
    )
    ends = torch.zeros(2, 1, 1, 6, 6)
    with pytest.warns(UncountedUnits, match=r"not what these choose: max_pool2d in '2'$"):
        walk_paths(network, *ends)
    assert passed_over(network, ends[0]) == ("max_pool2d in '2'",)
    assert passed_over(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.GELU()), torch.zeros(1, 3)) == (
        "layer_norm in '1'",
    )
    assert passed_over(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.zeros(1, 3)) == ()


class Block(nn.Module):
    """What residual networks of other people do: in place, shared, with a side branch that asks for sizes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.pool, self.relu = nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, 1), nn.ReLU(inplace=True)
        self.squeeze = nn.Linear(4, 4)
        self.norm.running_mean.normal_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.first(x))))
        y = self.relu(self.second(x))
        y += x
        y = self.relu(y)
        count, channels, height, width = y.size()
        scores = F.leaky_relu(self.squeeze(y.mean((2, 3)))).view(count, channels, 1, 1)
        y = torch.cat([y, scores.expand(count, channels, height, width) - 0.5], dim=1)
        return torch.maximum(y.flatten(1).relu(), 0.1 * y.reshape(count, -1))


def sampled_patterns(network: nn.Module, x: Tensor) -> Tensor:
    """Return the bits at points, by hooks of torch's own on the functions that Block calls."""
    bits = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (F.relu, Tensor.relu, F.leaky_relu):
                bits.append((args[0] > 0).flatten(1))
            return func(*args, **(kwargs or {}))

    with Watch(), torch.no_grad():
        network.double().eval()(x.double())
    return torch.cat(bits, dim=1)


def test_every_sampled_pattern_is_that_of_the_exact_region():
    network = Block().eval()
    a, b = torch.randn(2, 2, 8, 8)
    trace = trace_path(network, a, b, method="layerwise")
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    patterns = sampled_patterns(network, torch.lerp(a.double(), b.double(), t.view(-1, 1, 1, 1)))
    distance = (patterns != patterns[0]).sum(1).numpy()
    region = np.searchsorted(trace.t, t.numpy(), side="right") - 1
    np.testing.assert_array_equal(distance, trace.distance[region])
    assert trace.length[-1] == (patterns[1:] != patterns[:-1]).sum() > 50


@pytest.mark.parametrize("largest", [2**12, 2**9])
def test_parts_of_a_path_give_the_whole(monkeypatch, largest):
    network, (a, b) = Block().eval(), torch.randn(2, 3, 2, 8, 8)
    whole = walk_paths(network, a, b, method="layerwise")
    monkeypatch.setattr(walk, "most_numbers", lambda _: largest)
    assert_same(walk_paths(network, a, b, method="layerwise"), whole)


class Apply(nn.Module):
    """A function between two ReLUs."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.forward = function

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(torch.relu(x)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (F.gelu, "torch.nn.functional.gelu is not known to be piecewise affine"),
        (lambda x: x * x, "multiplies two quantities"),
        (lambda x: 1 / (x + 2), "(reciprocal|__rtruediv__|__rdiv__)"),
        (lambda x: F.softmax(x, 1), "softmax is not known"),
        (lambda x: x.T, "mixes the inputs of a batch"),
        (lambda x: x - x.mean(0), "mixes the inputs of a batch"),
        (lambda x: x.flip(0), "mixes the inputs of a batch"),
        (lambda x: x[:3], "mixes the inputs of a batch"),
        (lambda x: torch.cat([x, x]), "mixes the inputs of a batch"),
        (lambda x: x.view(-1), "mixes the inputs of a batch"),
        (lambda x: x.amax(0), "mixes the inputs of a batch"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), "rounds"),
        (lambda x: x.long(), "rounds to whole numbers"),
        (lambda x: F.max_pool1d(x, 2), "batches of images only"),
    ],
)
def test_what_is_not_piecewise_linear_is_refused_with_its_module(function, message):
    ends = torch.zeros(5, 6), torch.ones(5, 6)
    with pytest.raises(TypeError, match=f"module 'inner': .*{message}"):
        walk_paths(Apply(function), *ends, method="layerwise")


def test_the_engine_follows_from_the_network():
    first, second = linear_layers(3, 4, 2)
    x = torch.zeros(1, 3)
    assert engine_for(nn.Sequential(first, nn.ReLU(), second), x) == "kernel"
    assert engine_for(nn.Sequential(first, nn.LeakyReLU(), second), x) == "layerwise"
    assert engine_for(nn.Sequential(first, nn.ReLU(), second), x, method="jvp") == "jvp"
    assert engine_for(nn.Sequential(first, nn.GELU(), second), x, method="sampled") == "sampled"


def test_reversal_and_scaling_change_what_they_should():
    torch.manual_seed(5)
    network = nn.Sequential(
        nn.Linear(4, 12), nn.PReLU(12), nn.Linear(12, 12), nn.Hardtanh(), nn.Linear(12, 8), nn.ReLU()
    )
    a, b = torch.randn(2, 50, 4, dtype=torch.float64)
    there, back = walk_paths(network, a, b), walk_paths(network, b, a)
    np.testing.assert_array_equal(there.length, back.length)
    np.testing.assert_array_equal(there.reach_from_a, back.reach_from_b)
    middle = torch.lerp(a, b, 0.375)
    halves = walk_paths(network, a, middle).length + walk_paths(network, middle, b).length
    np.testing.assert_array_equal(there.length, halves)
    order = torch.randperm(12)
    with torch.no_grad():
        network[0].weight[:], network[0].bias[:] = network[0].weight[order], network[0].bias[order]
        network[2].weight[:] = network[2].weight[:, order]
        network[0].weight *= 4
        network[0].bias *= 4
        network[2].weight /= 4
    assert_same(walk_paths(network, a, b), there)
