"""Linear regions on a plane, against a slow loop that asks every point for its pattern."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spaceprobe.folding import sampled, trace_path
from spaceprobe.folding.plane import see_plane
from spaceprobe.networks.cantornet import cantornet


class Branches(nn.Module):
    """No sequence: its second layer sees the input again."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(9, 3)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, x):
        return self.relus[1](self.second(torch.cat([x, self.relus[0](self.first(x))], dim=1)))


def random_network(seed, kind="mlp"):
    torch.manual_seed(seed)
    if kind == "branches":
        return Branches().double()
    layers = [nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)]
    return nn.Sequential(*layers).double()


def pattern_at(network, point):
    """Return the pattern at one point, by hooks on every ReLU of a forward pass."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda _, inputs, __: seen.append((inputs[0] > 0).flatten()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    with torch.no_grad():
        network(point[None])
    for hook in hooks:
        hook.remove()
    return torch.cat(seen).tolist()


def slow_plane(network, corner, right, up, horizontal, vertical):
    """Return distances and patterns, point by point."""
    start = pattern_at(network, corner)
    patterns = [
        [pattern_at(network, corner + h * (right - corner) + v * (up - corner)) for h in horizontal]
        for v in vertical
    ]
    distance = [[sum(a != b for a, b in zip(one, start, strict=True)) for one in row] for row in patterns]
    return np.array(distance), patterns


def same_partition(numbers, patterns):
    """Return whether two points share a number exactly where they share a pattern."""
    pairs = {
        (int(number), tuple(pattern))
        for row, found in zip(numbers, patterns, strict=True)
        for number, pattern in zip(row, found, strict=True)
    }
    return len(pairs) == len({n for n, _ in pairs}) == len({p for _, p in pairs})


@pytest.mark.parametrize("kind", ["mlp", "branches"])
@given(seed=st.integers(0, 10_000))
def test_against_a_slow_loop(kind, seed):
    network = random_network(seed, kind)
    corner, right, up = torch.randn(3, 4, dtype=torch.float64) * 2
    horizontal, vertical = np.linspace(-0.31, 1.27, 9), np.linspace(-0.5, 1.1, 6)
    found = see_plane(network, corner, right, up, horizontal=horizontal, vertical=vertical)
    distance, patterns = slow_plane(network, corner, right, up, horizontal, vertical)
    np.testing.assert_array_equal(found.distance, distance)
    assert same_partition(found.pattern, patterns)
    assert found.num_patterns == len({tuple(one) for row in patterns for one in row})


def test_memory_does_not_change_what_is_seen(monkeypatch):
    network = random_network(3)
    points = torch.randn(3, 4, dtype=torch.float64)
    grid = {"horizontal": np.linspace(0, 1, 13), "vertical": np.linspace(0, 1, 7)}
    whole = see_plane(network, *points, **grid)
    monkeypatch.setitem(sampled.MAX_NUMBERS, "cpu", 50)  # 7 points of 7 units at a time
    pieces = see_plane(network, *points, **grid)
    np.testing.assert_array_equal(pieces.distance, whole.distance)
    np.testing.assert_array_equal(pieces.pattern, whole.pattern)


def test_the_line_of_a_plane_is_the_path():
    """Along the bottom of the unit square, distances are those of the walk from corner to corner."""
    network = random_network(11)
    corner, right, up = torch.randn(3, 4, dtype=torch.float64) * 3
    t = np.linspace(0, 1, 101)
    seen = see_plane(network, corner, right, up, horizontal=t, vertical=np.zeros(1))
    path = trace_path(network, corner, right, method="sampled", num_points=101)
    np.testing.assert_array_equal(seen.distance[0], path.distance)
    assert path.distance.max() > 0


def test_cantornet_in_the_unit_square():
    """By hand: one fold maps x to max(3x - 2, 0) + max(1 - 3x, 0), so x = 1/3 and 2/3 bound regions.

    The readout, y - (folded x)/2 - 1/2, cuts each of the three stripes: where the folded x is 0, at y = 1/2.
    """
    middles = (np.arange(60) + 0.5) / 60
    zero, right, up = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    seen = see_plane(cantornet(1, True), zero, right, up, horizontal=middles, vertical=middles)
    x, y = np.meshgrid(middles, middles)
    stripe = np.digitize(x, [1 / 3, 2 / 3])
    folded = np.maximum(3 * x - 2, 0) + np.maximum(1 - 3 * x, 0)
    by_hand = stripe * 2 + (y - folded / 2 - 1 / 2 > 0)
    assert same_partition(seen.pattern, [[(n,) for n in row] for row in by_hand.tolist()])
    assert seen.num_patterns == 6


def test_one_region():
    network = random_network(0)
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.weight.mul_(1e-6)
            layer.bias.fill_(1.0)
    points = torch.randn(3, 4, dtype=torch.float64)
    seen = see_plane(network, *points, horizontal=np.linspace(0, 1, 4), vertical=np.linspace(0, 1, 3))
    np.testing.assert_array_equal(seen.distance, np.zeros((3, 4)))
    assert seen.num_patterns == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"up": torch.zeros(3)}, r"corner and up must have one shape"),
        ({"right": torch.zeros(2)}, r"corner and right must have one shape"),
        ({"right": torch.full((4,), torch.nan)}, "corner, right, up has entries that are not finite"),
        ({"horizontal": np.zeros(0)}, "the grid has 0 columns and 2 rows"),
        ({"network": nn.Sequential(nn.Linear(4, 2))}, "the network ran no ReLU"),
        ({"device": "meta"}, "choose cpu or cuda"),
    ],
)
def test_errors(change, words):
    arguments = {
        "network": random_network(1),
        **dict.fromkeys(("corner", "right", "up"), torch.zeros(4)),
        **dict.fromkeys(("horizontal", "vertical"), np.linspace(0, 1, 2)),
    }
    with pytest.raises(ValueError, match=words):
        see_plane(**arguments | change)
