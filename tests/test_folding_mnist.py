"""The region check on real images, in networks trained on them."""

import pytest
import torch

from spaceprobe.data.datasets import load_mnist
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train
from tests.region_check import check_regions


@pytest.mark.parametrize("widths", [[30] * 2, [10] * 6])
def test_no_violation_on_20_000_mnist_paths(widths):
    training, test = load_mnist(None, train=True), load_mnist(None, train=False)
    generator = torch.Generator().manual_seed(4)
    network = mlp([784, *widths, 10], generator)
    train(
        network, training.images, training.labels, test.images, test.labels,
        recipe=Recipe(2, 1e-3, 128), generator=generator, on_epoch=lambda _: None,
    )  # fmt: skip
    checked = check_regions(network, test.images, test.labels, 20_000)
    assert (checked.num_paths, checked.num_violations) == (20_000, 0)
