"""The region check on real images, in networks trained on them."""

import pytest
import torch

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train
from tests.region_check import check_regions


@pytest.mark.parametrize("widths", [[30] * 2, [10] * 6])
def test_no_violation_on_20_000_mnist_paths(widths):
    training, test = load_split(MNIST, train=True), load_split(MNIST, train=False)
    generator = torch.Generator().manual_seed(4)
    network = mlp([784, *widths, 10], generator)
    train(
        network, training.inputs, training.targets, test.inputs, test.targets,
        recipe=Recipe(2, 1e-3, 128), generator=generator, on_epoch=lambda _: None,
    )  # fmt: skip
    checked = check_regions(network, test.inputs, test.targets, 20_000)
    assert (checked.num_paths, checked.num_violations) == (20_000, 0)
