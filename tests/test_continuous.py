"""Distances of pre-activations and activations: by hand, in rational arithmetic, at many points."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.folding import continuous, points_on_paths
from spaceprobe.folding.continuous import (
    NORMS,
    QUANTITIES,
    SCALINGS,
    PathDistances,
    continuous_distances,
    continuous_folding,
)
from spaceprobe.folding.spread import UnitSpread, unit_spread
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train
from tests.degenerate_networks import DegenerateCase, cases_of, tent_map
from tests.rational_oracle import between, breakpoints, pre_activations

AGREEMENT = 1e-12
"""What is asked of sum and maximum, relative: of 100,000 terms, each rounded to some 1e-16 of the values."""

ROUNDING = 1e-13
"""Relative: numbers of a few layers and a few terms, in another order."""


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    layer.load_state_dict({"weight": torch.tensor(weight).double(), "bias": torch.tensor(bias).double()})
    return layer


def of_path(network: nn.Module, a: list[float], b: list[float], **options) -> PathDistances:
    return continuous_distances(network, [a], [b], **options)


def random_network(seed: int, widths: tuple[int, ...] = (3, 6, 5, 4)) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential()
    for before, after in pairwise(widths):
        network.extend([nn.Linear(before, after, dtype=torch.float64), nn.ReLU()])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network


def random_ends(seed: int, num_paths: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = 2 * torch.randn(2, num_paths, 3, generator=generator, dtype=torch.float64)
    return a, b


# --- by hand -----------------------------------------------------------------------------------


def test_one_unit():
    """relu(x) from -1 to 3: z goes 4 ahead, h stays at 0 and goes to 3."""
    seen = of_path(nn.ReLU(), [-1.0], [3.0])
    assert seen.length.shape == seen.reach.shape == (1, 2, 2, 2, 1)
    assert seen.length[0, :, :, :, 0].tolist() == [[[4, 4], [3, 3]]] * 2
    assert (seen.reach == seen.length).all()
    assert (seen.chi == 0).all()
    assert seen.num_units.tolist() == [[[1], [1]]] * 2


def test_two_units_that_bend_one_after_the_other():
    """(-1, 3) to (3, -1): h is (0, 3), at 1/4 (0, 2), at 3/4 (2, 0), at the end (3, 0)."""
    seen = of_path(nn.Sequential(linear([[1, 0], [0, 1]], [0, 0]), nn.ReLU()), [-1.0, 3.0], [3.0, -1.0])
    length, reach = seen.length[0, 1, :, :, 0], seen.reach[0, 1, :, :, 0]
    assert length[0] == pytest.approx([8, math.sqrt(32)], rel=ROUNDING)
    assert length[1] == pytest.approx([6, 2 + math.sqrt(8)], rel=ROUNDING)
    assert reach[1] == pytest.approx([6, math.sqrt(18)], rel=ROUNDING)
    assert seen.chi[0, 1, 1, 1, 0] == pytest.approx(1 - math.sqrt(18) / (2 + math.sqrt(8)), rel=ROUNDING)
    # the L2 norm over all layers is not a sum; over one layer it is the layer's own
    assert (seen.length[:, 0] == seen.length[:, 1]).all()


def test_a_tent_turns_back_as_often_as_it_has_pieces():
    """z of layer l is an affine function of a tent with 2^(l-1) pieces, each as long as the reach."""
    case = DegenerateCase("tent", tent_map(5), False, [Fraction(0)], [Fraction(1)])
    seen = of_path(case.module(), [0.0], [1.0])
    for layer in range(1, 6):
        assert seen.length[0, layer, 0, 0, 0] == 6 * 2 ** (layer - 1)  # 2x and 4x - 2
        assert (seen.reach[0, layer, 0, :, 0] == [6, math.sqrt(20)]).all()
        assert seen.chi[0, layer, 0, :, 0] == pytest.approx(1 - 0.5 ** (layer - 1), rel=ROUNDING)


def test_the_largest_distance_may_be_in_the_middle():
    """|x| from -1 to 2 by way of 0, as relu(x) + relu(-x): 1 down, 2 up; farthest from 1 at both."""
    network = nn.Sequential(
        linear([[1], [-1]], [0, 0]), nn.ReLU(), linear([[1, 1]], [0]), nn.ReLU(), linear([[1]], [0])
    )
    seen = of_path(network, [-1.0], [1.5])
    assert seen.length[0, 2, 0, 0, 0] == 2.5
    assert seen.reach[0, 2, 0, 0, 0] == 1.0
    assert seen.chi[0, 2, 0, 0, 0] == 0.6


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_a_path_without_length_and_no_path(method):
    network = random_network(0)
    a, _ = random_ends(0)
    seen = continuous_distances(network, a, a, method=method)
    assert (seen.length == 0).all()
    assert (seen.chi == 0).all()
    none = continuous_distances(network, a[:0], a[:0], method=method)
    assert none.length.shape == none.chi.shape == (0, 4, 2, 2, 1)


def test_folding_of_rounding_is_none():
    length = np.array([1.0, 1.0, 1.0, 0.0])
    reach = np.array([1.0 - 1e-15, 1.0 + 1e-15, 0.75, 0.0])
    assert continuous_folding(length, reach).tolist() == [0, 0, 0.25, 0]


# --- against rational arithmetic ---------------------------------------------------------------


def exact_sums(case: DegenerateCase) -> tuple[np.ndarray, np.ndarray]:
    """Return Σ and maximum by layer, quantity and norm, from fractions; the square roots alone are floats."""
    times = breakpoints(case.layers, case.relu_at_end, case.a, case.b)
    values = []
    for t in times:
        z = pre_activations(case.layers, case.relu_at_end, between(case.a, case.b, t))
        by_layer = [*z]
        pairs = [(layer, [max(value, Fraction(0)) for value in layer]) for layer in by_layer]
        values.append([([v for z, _ in pairs for v in z], [v for _, h in pairs for v in h]), *pairs])

    def norms(first, second) -> list:
        return [
            [
                [
                    float(sum(abs(x - y) for x, y in zip(one, other, strict=True))),
                    math.hypot(*(float(x - y) for x, y in zip(one, other, strict=True))),
                ]
                for one, other in zip(*layers, strict=True)
            ]
            for layers in zip(first, second, strict=True)
        ]

    steps = np.array([norms(one, other) for one, other in pairwise(values)])
    distances = np.array([norms(values[0], other) for other in values])
    return steps.sum(0), distances.max(0)


def test_equals_rational_arithmetic_on_degenerate_networks():
    cases = [case for kind in ("known", "tie", "end-on-boundary", "dead") for case in cases_of(kind)[:15]]
    num_folded = 0
    for case in cases:
        _, a, b = case.arrays()
        seen = of_path(case.module(), a, b)
        length, reach = exact_sums(case)
        size = max(length.max(), 1.0)
        np.testing.assert_allclose(
            seen.length[0, ..., 0], length, rtol=AGREEMENT, atol=AGREEMENT * size, err_msg=case.name
        )
        np.testing.assert_allclose(
            seen.reach[0, ..., 0], reach, rtol=AGREEMENT, atol=AGREEMENT * size, err_msg=case.name
        )
        num_folded += bool((seen.chi > 0.01).any())
    assert len(cases) >= 50
    assert num_folded >= 20


# --- against many points -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor]:
    """A small network that was trained on MNIST for an epoch, and test images."""
    training, test = load_split(MNIST, train=True), load_split(MNIST, train=False)
    generator = torch.Generator().manual_seed(4)
    network = mlp([784, 6, 6, 6, 10], generator)
    train(
        network, training.inputs[:5000], training.targets[:5000], test.inputs[:100], test.targets[:100],
        recipe=Recipe(1, 3e-2, 64), generator=generator, on_epoch=lambda _: None,
    )  # fmt: skip
    return network, test.inputs.double()


def values_at(network: nn.Module, a: Tensor, b: Tensor, t: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return z and h of each layer at points of a path, in numpy; the first z is affine in t."""
    layers = [
        (step.weight.detach().double().numpy(), step.bias.detach().double().numpy())
        for step in network
        if isinstance(step, nn.Linear)
    ]
    weight, bias = layers[0]
    start, end = weight @ a.numpy() + bias, weight @ b.numpy() + bias
    z = (1 - t)[:, None] * start + t[:, None] * end
    seen = []
    for weight, bias in layers[1:]:
        h = np.maximum(z, 0)
        seen.append((z, h))
        z = h @ weight.T + bias
    return seen


def sums_at(network: nn.Module, a: Tensor, b: Tensor, t: np.ndarray, spread: UnitSpread) -> np.ndarray:
    """Return Σ and maximum at points, by layer (all first), quantity, norm and scaling."""
    layers = values_at(network, a, b, t)
    found = np.zeros((2, len(layers) + 1, 2, 2, 2))
    for quantity, spreads in enumerate((spread.z, spread.h)):
        raw = [layer[quantity] for layer in layers]
        standardised = [
            v[:, std.numpy() > 0] / std.numpy()[std.numpy() > 0] for v, std in zip(raw, spreads, strict=True)
        ]
        for scaling, values in enumerate((raw, standardised)):
            for which, changes in enumerate(
                ([np.diff(v, axis=0) for v in values], [v - v[0] for v in values])
            ):
                total = (np.sum, np.max)[which]
                l1 = np.stack([np.abs(change).sum(1) for change in changes])
                squares = np.stack([(change**2).sum(1) for change in changes])
                found[which, 1:, quantity, 0, scaling] = total(l1, axis=1)
                found[which, 1:, quantity, 1, scaling] = total(np.sqrt(squares), axis=1)
                found[which, 0, quantity, 0, scaling] = total(l1.sum(0))
                found[which, 0, quantity, 1, scaling] = total(np.sqrt(squares.sum(0)))
    return found


def test_ten_paths_at_breakpoints_and_100_000_even_points(trained):
    network, images = trained
    a, b = images[:10], images[10:20]
    spread = unit_spread(network, images[:500])
    seen = continuous_distances(network, a, b, spread=spread)
    exact = np.stack([seen.length, seen.reach])
    even = np.linspace(0, 1, 100_000)
    num_bends = 0
    for number in range(10):
        events = breakpoints_of(network, a[number], b[number])
        num_bends += len(events) - 2
        both = sums_at(network, a[number], b[number], np.unique(np.concatenate([events, even])), spread)
        np.testing.assert_allclose(both, exact[:, number], rtol=AGREEMENT, atol=0)
        alone = sums_at(network, a[number], b[number], even, spread)
        assert (alone <= exact[:, number] * (1 + AGREEMENT)).all()
        assert (alone[0, 1:, 1] < exact[0, number, 1:, 1]).any()
    assert num_bends > 30
    assert (seen.chi > 0).mean() > 0.5
    assert (seen.chi < 1).all()
    assert (seen.num_violations == 0).all()
    assert (seen.chi[:, 1, 0] == 0).all()  # affine
    assert (seen.chi[:, 1, :, 0] == 0).all()  # in L1 units that do not turn back do not fold, as in Lemma 1
    assert (seen.chi[:, 1, 1, 1] > 0).any()  # in L2 they do


def breakpoints_of(network: nn.Module, a: Tensor, b: Tensor) -> np.ndarray:
    """Return the ends and every t at which a unit crosses 0, layer by layer, between those found before."""
    times = np.array([0.0, 1.0])
    num_layers = len(values_at(network, a, b, times))
    for layer in range(num_layers):
        z = values_at(network, a, b, times)[layer][0]
        row, unit = (z[:-1] * z[1:] < 0).nonzero()
        share = z[row, unit] / (z[row, unit] - z[row + 1, unit])
        times = np.unique(np.concatenate([times, times[row] + share * np.diff(times)[row]]))
    return times


def test_blocks_do_not_matter(trained, monkeypatch):
    network, images = trained
    spread = unit_spread(network, images[:300])
    whole = continuous_distances(network, images[:5], images[5:10], spread=spread)
    monkeypatch.setattr(continuous, "MAX_NUMBERS", 18)  # three points of six units
    monkeypatch.setattr(points_on_paths.layerwise, "paths_per_batch", lambda *_: 2)
    parts = continuous_distances(network, images[:5], images[5:10], spread=spread)
    np.testing.assert_allclose(parts.length, whole.length, rtol=ROUNDING)
    np.testing.assert_allclose(parts.reach, whole.reach, rtol=ROUNDING)


def test_samples_come_from_below():
    network = random_network(3)
    a, b = random_ends(3)
    exact = continuous_distances(network, a, b)
    before = None
    for num_points in (2, 11, 101, 1001):  # each has the points of the one before
        sampled = continuous_distances(network, a, b, method="sampled", num_points=num_points)
        for name in ("length", "reach"):
            found = getattr(sampled, name)
            assert (found <= getattr(exact, name) * (1 + AGREEMENT)).all()
            if before is not None:
                assert (found >= getattr(before, name) * (1 - AGREEMENT)).all()
        before = sampled
    np.testing.assert_allclose(before.length, exact.length, rtol=1e-2)  # a thousand points


# --- what must not change it -------------------------------------------------------------------


def test_standardised_distances_do_not_know_of_the_scale_of_units():
    network, (a, b) = random_network(1), random_ends(1)
    images = random_ends(7, 200)[0]
    rescaled = random_network(1)
    factors = torch.tensor([0.1, 3.0, 7.0, 0.3, 11.0, 2.0], dtype=torch.float64)
    with torch.no_grad():
        rescaled[0].weight *= factors[:, None]
        rescaled[0].bias *= factors
        rescaled[2].weight /= factors
    one, other = (
        continuous_distances(net, a, b, spread=unit_spread(net, images)) for net in (network, rescaled)
    )
    for name in ("length", "reach"):
        first, second = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(second[..., 1], first[..., 1], rtol=ROUNDING)
        np.testing.assert_allclose(second[:, 2:, ..., 0], first[:, 2:, ..., 0], rtol=ROUNDING)
        assert (abs(second[:, 1, ..., 0] / first[:, 1, ..., 0] - 1) > 0.01).all()


def test_a_way_back_is_as_long():
    network, (a, b) = random_network(2), random_ends(2)
    there, back = continuous_distances(network, a, b), continuous_distances(network, b, a)
    np.testing.assert_allclose(back.length, there.length, rtol=ROUNDING)
    assert (abs(back.reach - there.reach) > 1e-3 * there.reach).any()


def test_lengths_of_the_halves_add_up():
    network, (a, b) = random_network(4), random_ends(4)
    middle = (a + b) / 2
    whole, first, second = (
        continuous_distances(network, *ends) for ends in ((a, b), (a, middle), (middle, b))
    )
    np.testing.assert_allclose(first.length + second.length, whole.length, rtol=ROUNDING)
    assert (whole.reach >= first.reach * (1 - ROUNDING)).all()


def test_l1_of_all_layers_is_their_sum_and_reach_is_at_most_length():
    seen = continuous_distances(random_network(5), *random_ends(5))
    np.testing.assert_allclose(seen.length[:, 0, :, 0], seen.length[:, 1:, :, 0].sum(1), rtol=ROUNDING)
    assert (seen.reach <= seen.length * (1 + ROUNDING)).all()
    assert (seen.length[:, :, :, 1] <= seen.length[:, :, :, 0] * (1 + ROUNDING)).all()
    assert (len(QUANTITIES), len(NORMS), len(SCALINGS)) == (2, 2, 2)


# --- other networks ----------------------------------------------------------------------------


class WithMaximum(nn.Module):
    """A ReLU, a maximum of two, a clamp in place: it bends where no activation does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = linear([[1], [-1], [2], [-3]], [0.5, 1, -1, 2]), linear([[3, 2]], [-4])

    def forward(self, x: Tensor) -> Tensor:
        first, second = torch.relu(self.first(x)).chunk(2, dim=1)
        return nn.functional.hardtanh(self.second(torch.maximum(first, second)), inplace=True)


def test_maxima_and_other_activations_bend_as_well():
    network = WithMaximum()
    exact = of_path(network, [-2.0], [2.0])
    sampled = of_path(network, [-2.0], [2.0], method="sampled", num_points=40_001)
    # 40,001 points are at most 1e-4 from a bend of slope 6
    np.testing.assert_allclose(sampled.length, exact.length, rtol=1e-3)
    np.testing.assert_allclose(sampled.reach, exact.reach, rtol=1e-3)
    assert exact.num_units[:, 0, 0].tolist() == [5, 4, 1]
    assert (sampled.length < exact.length).any()
    assert (exact.chi[0, 2, :, 0, 0] > 0.1).all()
    assert exact.reach[0, 2, 1, 0, 0] <= 2  # between -1 and 1


def test_smooth_activations_are_sampled():
    network = nn.Sequential(
        linear([[1.0], [-2.0]], [0, 0.5]), nn.GELU(), linear([[1.0, 1.0]], [0]), nn.Tanh()
    )
    seen = of_path(network, [-2.0], [2.0], method="sampled", num_points=1001)
    values = network(torch.linspace(-2, 2, 1001, dtype=torch.float64)[:, None])[:, 0].detach().numpy()
    assert seen.length[0, 2, 1, 0, 0] == pytest.approx(np.abs(np.diff(values)).sum(), rel=ROUNDING)
    with pytest.raises(TypeError, match="gelu"):
        of_path(network, [-2.0], [2.0])


def test_what_jumps_is_refused_and_can_be_sampled():
    network = nn.Sequential(linear([[1.0]], [0]), nn.Hardshrink(), linear([[1.0]], [0]), nn.ReLU())
    with pytest.raises(ValueError, match=r"hardshrink jumps.*sampled"):
        of_path(network, [-1.0], [1.0])
    assert of_path(network, [-1.0], [1.0], method="sampled").length[0, 1, 1, 0, 0] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "adaptive"}, "method is 'adaptive'.*exact, layerwise, sampled"),
        ({"method": "sampled", "num_points": 1}, "num_points is 1"),
        ({"tolerance": 0.0}, "tolerance is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"spread": UnitSpread((torch.ones(3),), (torch.ones(3),))}, "spread has layers of 3 units"),
    ],
)
def test_wrong_calls(options, message):
    with pytest.raises(ValueError, match=message):
        of_path(nn.ReLU(), [-1.0], [1.0], **options)


def test_points_that_are_not_numbers():
    with pytest.raises(ValueError, match="a has entries that are not finite"):
        of_path(nn.ReLU(), [math.nan], [1.0])
    with pytest.raises(ValueError, match="must have one shape"):
        continuous_distances(nn.ReLU(), [[1.0]], [[1.0], [2.0]])


# --- spread ------------------------------------------------------------------------------------


def test_spread_is_the_standard_deviation():
    network, images = random_network(6), random_ends(6, 300)[0]
    spread = unit_spread(network, images)
    h = images
    for layer in range(3):
        z = network[2 * layer](h)
        h = torch.relu(z)
        for found, values in ((spread.z[layer], z), (spread.h[layer], h)):
            np.testing.assert_allclose(found, values.detach().numpy().std(0), rtol=ROUNDING)


def test_a_unit_that_is_constant_is_left_out():
    """One unit is dead on the images (h is 0), one has the same z on all."""
    network = nn.Sequential(linear([[1], [1], [0]], [0, -9, 0.1]), nn.ReLU())
    images = torch.linspace(-1, 2, 7, dtype=torch.float64)[:, None]
    spread = unit_spread(network, images)
    assert (spread.z[0] > 0).tolist() == [True, True, False]
    assert (spread.h[0] > 0).tolist() == [True, False, False]
    seen = of_path(network, [0.0], [10.0], spread=spread)
    assert seen.num_units[1].tolist() == [[3, 2], [3, 1]]
    assert seen.length[0, 1, 1, 0].tolist() == pytest.approx([11, 10 / float(spread.h[0][0])], rel=ROUNDING)


def test_a_spread_needs_images():
    with pytest.raises(ValueError, match="images is empty"):
        unit_spread(nn.ReLU(), torch.zeros(0, 1))
