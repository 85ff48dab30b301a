"""Images of paths: their lengths and linear regions, against known answers and the other walks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from spaceprobe.folding import path_images as module
from spaceprobe.folding import points_on_paths
from spaceprobe.folding.by_layer import fold_by_layer
from spaceprobe.folding.continuous import continuous_distances
from spaceprobe.folding.path_images import path_images

AGREEMENT = 1e-12
"""Relative: sums of some hundred lengths, each rounded to 1e-16 of the values."""


def random_network(seed, widths=(5, 7, 6, 3)):
    torch.manual_seed(seed)
    layers = []
    for ins, outs in pairwise(widths):
        layers += [nn.Linear(ins, outs), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def random_ends(seed, num_paths=8):
    torch.manual_seed(100 + seed)
    return torch.randn(2, num_paths, 5, dtype=torch.float64) * 3


def tent(num_teeth):
    """Return the network of one input whose output goes up and down that many times on [0, 1]."""
    layers = []
    for _ in range(num_teeth):
        first, second = nn.Linear(1, 2), nn.Linear(2, 1)
        first.weight.data, first.bias.data = torch.tensor([[2.0], [4.0]]), torch.tensor([0.0, -2.0])
        second.weight.data, second.bias.data = torch.tensor([[1.0, -1.0]]), torch.zeros(1)
        layers += [first, nn.ReLU(), second]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_tent_map_is_as_long_as_its_slopes(depth):
    """The tent map, depth times: 2^depth pieces, each from 0 to 1 or back."""
    seen = path_images(tent(depth), [[0.0]], [[1.0]])
    assert seen.num_regions.tolist() == [2**depth]
    assert seen.image_length.tolist() == [2.0**depth]
    assert seen.region_density.tolist() == [2.0**depth]


@pytest.mark.parametrize("seed", range(3))
def test_images_are_those_of_even_points_and_never_shorter(seed):
    network, (a, b) = random_network(seed), random_ends(seed)
    seen = path_images(network, a, b)
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    with torch.no_grad():
        for number in range(len(a)):
            values = network(torch.lerp(a[number], b[number], t[:, None]))
            even = float(values.diff(dim=0).norm(dim=1).sum())
            assert even <= seen.image_length[number] * (1 + AGREEMENT)
            assert even == pytest.approx(seen.image_length[number], rel=1e-4)  # twenty thousand points
    assert (seen.num_violations == 0).all()
    assert seen.num_regions.max() > 3


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_regions_are_the_boundaries_of_all_layers_and_one(method):
    network, (a, b) = random_network(4), random_ends(4)
    seen = path_images(network, a, b, method=method, num_points=50)
    layers = fold_by_layer(network, a, b, method=method, num_points=50)
    assert seen.num_regions.tolist() == (layers.num_boundaries[:, 0] + 1).tolist()
    np.testing.assert_allclose(seen.distance, layers.distance, rtol=AGREEMENT)
    np.testing.assert_allclose(seen.region_density, seen.num_regions / layers.distance, rtol=AGREEMENT)


def test_samples_come_from_below():
    network, (a, b) = random_network(5), random_ends(5)
    exact = path_images(network, a, b)
    for num_points in (2, 11, 101):
        sampled = path_images(network, a, b, method="sampled", num_points=num_points)
        assert (sampled.image_length <= exact.image_length * (1 + AGREEMENT)).all()
        assert (sampled.num_regions <= exact.num_regions).all()


def test_the_image_in_a_last_layer_of_relus_is_its_distance():
    """Of a network that ends in a ReLU, the image is the L2 length of the last activations."""
    network = nn.Sequential(*random_network(6), nn.ReLU()).double()
    a, b = random_ends(6)
    last = continuous_distances(network, a, b).length[:, -1, 1, 1, 0]
    np.testing.assert_allclose(path_images(network, a, b).image_length, last, rtol=AGREEMENT)


def test_a_path_there_and_back_and_in_parts():
    network, (a, b) = random_network(7), random_ends(7)
    there, back = path_images(network, a, b), path_images(network, b, a)
    np.testing.assert_allclose(there.image_length, back.image_length, rtol=AGREEMENT)
    assert (there.num_regions == back.num_regions).all()
    middle = torch.lerp(a, b, 0.3)
    first, second = path_images(network, a, middle), path_images(network, middle, b)
    np.testing.assert_allclose(there.image_length, first.image_length + second.image_length, rtol=AGREEMENT)
    assert (there.num_regions == first.num_regions + second.num_regions - 1).all()


def test_points_and_no_paths():
    network, (a, _) = random_network(8), random_ends(8)
    seen = path_images(network, a, a)
    assert (seen.image_length == 0).all()
    assert (seen.num_regions == 1).all()
    assert np.isnan(seen.region_density).all()
    assert path_images(network, a[:0], a[:0]).image_length.shape == (0,)


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_blocks_do_not_matter(method, monkeypatch):
    network, (a, b) = random_network(9), random_ends(9)
    whole = path_images(network, a, b, method=method)
    for home in (module, points_on_paths):
        monkeypatch.setattr(home, "MAX_NUMBERS", 60)
    monkeypatch.setattr(points_on_paths.layerwise, "paths_per_batch", lambda *_: 2)
    parts = path_images(network, a, b, method=method)
    np.testing.assert_allclose(parts.image_length, whole.image_length, rtol=AGREEMENT)
    assert (parts.num_regions == whole.num_regions).all()


class TwoOutputs(nn.Module):
    def forward(self, x):
        return torch.relu(x), x


@pytest.mark.parametrize(
    ("network", "options", "error", "message"),
    [
        (nn.ReLU(), {"method": "adaptive"}, ValueError, "method is 'adaptive'"),
        (nn.Threshold(0.5, 0.0), {}, ValueError, "jumps"),
        (TwoOutputs(), {}, TypeError, "returns tuple: an image needs one tensor"),
    ],
)
def test_what_has_no_image(network, options, error, message):
    with pytest.raises(error, match=message):
        path_images(network, [[-1.0]], [[1.0]], **options)
