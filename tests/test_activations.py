"""The activations of studies: their names, what each computes, and that each learns."""

from typing import get_args

import pytest
import torch
from torch import nn

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.networks.activations import ACTIVATIONS, SHRINKAGE, RandomizedLeakyReLU
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train
from spaceprobe.networks.walkable import PIECEWISE_LINEAR, RISING, TURNING
from spaceprobe.stages.train.network_settings import ActivationName
from tests.test_function_table import ROWS

NOT_OF_ONE_NUMBER = {"GLU", "MultiheadAttention", "Softmax", "Softmax2d", "LogSoftmax", "Softmin"}
POLYNOMIALS = {f"polynomial-{degree}" for degree in range(1, 5)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    return load_split(MNIST, train=True).first(1500)


def trained(name, digits, seed=0):
    """Return an MLP after two epochs, and its accuracy on what it was trained on."""
    generator = seeded(seed)
    network = mlp([784, 20, 20, 10], generator, name)
    accuracies = []
    train(
        network,
        *(digits.inputs, digits.targets, digits.inputs[:10], digits.targets[:10]),
        recipe=Recipe(epochs=2, learning_rate=0.01, batch_size=50),
        generator=generator,
        on_epoch=lambda epoch: accuracies.append(epoch.metrics.train_accuracy),
    )
    return network, accuracies[-1]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_learns(name, digits):
    assert trained(name, digits)[1] > 0.3  # ten classes: .1 by chance


def test_a_large_threshold_does_not(digits, monkeypatch):
    """Why softshrink, hardshrink and threshold have 0.1: with torch's 0.5 no gradient passes."""
    for name, module in (("softshrink", nn.Softshrink), ("threshold", lambda: nn.Threshold(0.5, 0.0))):
        monkeypatch.setitem(ACTIVATIONS, name, module)
        assert trained(name, digits)[1] < 0.2


def test_names_are_those_of_settings_and_of_the_ways_to_walk_them():
    assert set(ACTIVATIONS) == set(get_args(ActivationName))
    walkable = (*PIECEWISE_LINEAR, *TURNING, *RISING)
    assert len(set(walkable)) == len(walkable)
    assert set(ACTIVATIONS) - set(walkable) == POLYNOMIALS


def test_every_activation_of_torch_that_is_a_function_of_one_number_is_one_of_studies():
    kinds = {type(make()) for make in ACTIVATIONS.values()} | {nn.RReLU}
    listed = {getattr(nn, name) for name in nn.modules.activation.__all__ if name not in NOT_OF_ONE_NUMBER}
    assert listed <= kinds


def test_walks_of_a_name_are_those_of_its_row_in_the_table():
    walked = {name: (row.walked, row.bits) for row in ROWS for name in row.modules if row.functions}
    for name, make in ACTIVATIONS.items():
        kind = "RReLU" if name == "rrelu" else type(make()).__name__
        if kind not in walked:
            assert name in ("abs", *POLYNOMIALS)
            continue
        expected = {"exact": PIECEWISE_LINEAR, "sampled": (*TURNING, *RISING)}[walked[kind][0]]
        assert name in expected
        assert (name in TURNING) == ("(" in walked[kind][1])


def test_parameters_are_the_documented_ones():
    assert SHRINKAGE == 0.1
    z = torch.tensor([-1.0, 0.05, 0.1, 0.125, 1.0])
    values = {name: ACTIVATIONS[name]()(z).tolist() for name in ("threshold", "softshrink", "hardshrink")}
    assert values["threshold"] == [0, 0, 0, 0.125, 1]
    assert values["softshrink"] == pytest.approx([-0.9, 0, 0, 0.025, 0.9])
    assert values["hardshrink"] == [-1, 0, 0, 0.125, 1]


def test_random_slopes_follow_from_the_seed_and_touch_no_global_numbers(digits):
    state = torch.get_rng_state()
    (first, _), (again, _), (other, _) = (trained("rrelu", digits, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert first[1].seed != first[3].seed
    # the weights before training are those of any other activation
    assert torch.equal(
        mlp([4, 3, 2], seeded(), "rrelu")[2].weight, mlp([4, 3, 2], seeded(), "relu")[2].weight
    )


def test_slopes_are_drawn_in_training_and_fixed_in_evaluation():
    module, z = RandomizedLeakyReLU(), torch.cat([-torch.ones(10_000), torch.arange(5.0)])
    first, second = module(z), module(z)
    assert torch.equal(first[10_000:], z[10_000:])
    slopes = -first[:10_000]
    assert 1 / 8 <= slopes.min() < 0.126 < 0.332 < slopes.max() <= 1 / 3
    assert slopes.mean().item() == pytest.approx((1 / 8 + 1 / 3) / 2, abs=0.003)
    assert not torch.equal(first, second)
    assert module.eval()(torch.tensor([-1.0])).item() == pytest.approx(-(1 / 8 + 1 / 3) / 2)
