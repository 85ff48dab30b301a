"""Integrated gradients: complete, those of literal sums over regions, and what samples converge to."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import spaceprobe
from spaceprobe.api import load_data
from spaceprobe.folding import points_on_paths
from spaceprobe.folding.integrated_gradients import integrated_gradients
from spaceprobe.report.figures.attribution import attribution_figure
from tests.test_path_images import random_ends, random_network, tent

COMPLETE = 1e-10
"""Of the sum of absolute attributions."""


def sizes(found):
    return np.abs(found.attributions).reshape(len(found.change), -1).sum(1)


def small_cnn():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(150, 20), nn.ReLU(), nn.Linear(20, 10),
    )  # fmt: skip


def images_of_mnist(num_images):
    return load_data("mnist").test.images[:num_images].double()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_tent_map_goes_up_and_down(depth):
    """On [0, s] the slopes cancel but for the height reached."""
    ends = torch.tensor([[0.3], [0.5], [0.8], [1.0]], dtype=torch.float64)
    found = integrated_gradients(tent(depth), torch.zeros_like(ends), ends, 0)
    with torch.no_grad():
        expected = tent(depth).double()(ends)
    np.testing.assert_allclose(found.attributions, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_they_are_the_sum_over_regions(seed):
    """Literally: the Jacobian of each region by its masks, breakpoints by bisecting a fine grid."""
    network, (a, b) = random_network(seed), random_ends(seed, 3)
    weights = [layer.weight.detach() for layer in network if isinstance(layer, nn.Linear)]
    biases = [layer.bias.detach() for layer in network if isinstance(layer, nn.Linear)]

    def masks(x):
        found = []
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            z = weight @ x + bias
            found.append(z > 0)
            x = z.clamp_min(0)
        return found

    def row(x):
        product = weights[0]
        for weight, mask in zip(weights[1:], masks(x), strict=True):
            product = weight @ (mask[:, None] * product)
        return product[1]

    def key(x):
        return tuple(bool(bit) for mask in masks(x) for bit in mask)

    found = integrated_gradients(network, a, b, 1)
    for number in range(len(a)):

        def at(t, number=number):
            return torch.lerp(a[number], b[number], t)

        times = [0.0]
        for low, high in pairwise(np.linspace(0, 1, 2001)):
            while key(at(low + 1e-13)) != key(at(high - 1e-13)):
                start, end = low, high
                while end - start > 1e-14:
                    middle = (start + end) / 2
                    start, end = (middle, end) if key(at(middle)) == key(at(low + 1e-13)) else (start, middle)
                times.append(end)
                low = end
        times.append(1.0)
        total = sum((end - start) * row(at((start + end) / 2)) for start, end in pairwise(times))
        expected = (b[number] - a[number]) * total
        np.testing.assert_allclose(found.attributions[number], expected, rtol=1e-9, atol=1e-9)


def test_they_are_complete_on_1000_paths_of_mnist():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 10))
    images = images_of_mnist(2000).flatten(1)
    found = integrated_gradients(network, images[:1000], images[1000:], 7)
    assert (found.num_violations == 0).all()
    assert (np.abs(found.remainder) <= COMPLETE * sizes(found)).all()
    with torch.no_grad():
        double = network.double()
        change = double(images[1000:])[:, 7] - double(images[:1000])[:, 7]
    np.testing.assert_array_equal(found.change, change.numpy())


def test_they_are_complete_on_a_cnn_and_samples_converge_to_them():
    network, images = small_cnn(), images_of_mnist(8).view(-1, 1, 28, 28)
    found = integrated_gradients(network, images[:4], images[4:], 3)
    assert found.attributions.shape == (4, 1, 28, 28)
    assert (np.abs(found.remainder) <= COMPLETE * sizes(found)).all()
    errors = []
    for num_points in (11, 101, 1001):
        sampled = integrated_gradients(
            network, images[:4], images[4:], 3, method="sampled", num_points=num_points
        )
        errors.append(np.abs(sampled.attributions - found.attributions).max())
        assert np.abs(sampled.remainder).max() > np.abs(found.remainder).max()
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_blocks_do_not_matter(monkeypatch):
    network, (a, b) = random_network(4), random_ends(4)
    whole = integrated_gradients(network, a, b, -1)
    monkeypatch.setattr("spaceprobe.folding.integrated_gradients.MAX_NUMBERS", 40)
    monkeypatch.setattr(points_on_paths.layerwise, "paths_per_batch", lambda *_: 3)
    parts = integrated_gradients(network, a, b, 2)
    np.testing.assert_allclose(parts.attributions, whole.attributions, rtol=1e-12, atol=1e-12)


def test_a_path_of_one_point_and_none():
    network, (a, b) = random_network(5), random_ends(5)
    assert (integrated_gradients(network, a, a, 0).attributions == 0).all()
    assert integrated_gradients(network, a[:0], b[:0], 0).attributions.shape == (0, 5)


class Through(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, x):
        z = torch.relu(self.first(x))
        return self.last(z + (z - z.detach()))


def test_a_gradient_that_is_not_the_functions_is_refused():
    torch.manual_seed(1)
    a, b = random_ends(1)
    with pytest.raises(ValueError, match="the network's gradient is not that of its function"):
        integrated_gradients(Through(), a, b, 0)


@pytest.mark.parametrize(
    ("network", "output", "error", "message"),
    [
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU()), 4, ValueError, "output is 4: the network has 4 outputs"),
        (
            nn.Sequential(nn.Linear(5, 4), nn.ReLU()),
            -5,
            ValueError,
            "output is -5: the network has 4 outputs",
        ),
        (nn.Sequential(nn.Linear(5, 4), nn.GELU()), 0, TypeError, "gelu"),
    ],
)
def test_what_cannot_be_is_said(network, output, error, message):
    a, b = random_ends(2)
    with pytest.raises(error, match=message):
        integrated_gradients(network, a, b, output)


def test_a_jump_is_refused():
    from spaceprobe.networks.sign import Sign

    a, b = random_ends(2)
    with pytest.raises(ValueError, match="jumps"):
        integrated_gradients(nn.Sequential(nn.Linear(5, 4), Sign(), nn.Linear(4, 1)), a, b, 0)


def test_a_fold_has_those_of_its_paths():
    network, (a, b) = random_network(6), random_ends(6)
    folding = spaceprobe.fold(network, a, b)
    expected = integrated_gradients(network, a, b, 2)
    found = folding.integrated_gradients(2)
    np.testing.assert_array_equal(np.asarray(found), expected.attributions)
    np.testing.assert_array_equal(found.change, expected.change)
    assert "Integrated gradients of output 2 along 8 paths (inputs of 5)" in repr(found)
    single = spaceprobe.fold(network, a[0], b[0]).integrated_gradients(2)
    np.testing.assert_allclose(single.values, expected.attributions[0], rtol=1e-12, atol=1e-12)
    assert isinstance(single.change, float)


def test_a_trace_adds_up_its_segments():
    network, (a, b) = random_network(7), random_ends(7)
    corners = torch.stack([a[0], b[0], a[1]])
    found = spaceprobe.trace(network, corners).integrated_gradients(0)
    segments = integrated_gradients(network, corners[:-1], corners[1:], 0)
    np.testing.assert_allclose(found.values, segments.attributions.sum(0), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        ends = network(corners[[0, -1]])
    assert found.change == pytest.approx(float(ends[1, 0] - ends[0, 0]), rel=1e-9)


def test_a_model_that_was_trained_on_is_walked_again():
    network, (a, b) = random_network(8), random_ends(8)
    folding = spaceprobe.fold(network, a, b)
    with torch.no_grad():
        network[0].weight[0, 0] += 1
    with pytest.raises(ValueError, match="weights have changed since the paths were walked: walk them again"):
        folding.integrated_gradients(0)


def test_ends_are_those_of_the_walk():
    network, (a, b) = random_network(8), random_ends(8)
    folding = spaceprobe.fold(network, a, b)
    expected = folding.integrated_gradients(0).values
    a += 1
    np.testing.assert_array_equal(folding.integrated_gradients(0).values, expected)


def test_too_many_ends_are_not_kept(monkeypatch):
    monkeypatch.setattr("spaceprobe.api.attributions.MAX_KEPT", 79)
    network, (a, b) = random_network(8), random_ends(8)
    with pytest.raises(ValueError, match="hold more than 79 numbers, which are not kept: walk fewer at once"):
        spaceprobe.fold(network, a, b).integrated_gradients(0)


@pytest.mark.parametrize(
    ("shape", "num_images", "label"),
    [((784,), 1, ""), ((28, 28), 1, ""), ((3, 9, 8), 1, ""), ((5,), 0, "input"), ((2, 3), 0, "input")],
)
def test_the_picture_is_a_map_or_bars(shape, num_images, label):
    values = np.random.default_rng(0).normal(size=shape)
    axes = attribution_figure(values).axes[0]
    assert len(axes.images) == num_images
    assert axes.get_xlabel() == label
    if num_images:
        shown = axes.images[0].get_array()
        assert float(shown.sum()) == pytest.approx(values.sum())
        low, high = axes.images[0].get_clim()
        assert low == -high
