"""Soft folding: what it becomes where bits are hard, its invariants, its gradients, and training with it."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from spaceprobe.errors import SettingsError
from spaceprobe.folding import walk_paths
from spaceprobe.networks import checkpoints
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.soft_folding import (
    NUM_INTERVALS,
    check_layers,
    folding_gradients,
    soft_bits,
    soft_chi,
    soft_folding,
)
from spaceprobe.networks.training import Recipe, train
from spaceprobe.stages import train as train_package
from spaceprobe.stages.train.parts import plan
from spaceprobe.stages.train.settings import DataSettings, NetworkSettings, TrainingSettings

ROUNDING = 1e-12
"""Sums of some hundred values of size 1 in float64 agree to 1e-14 or so."""

FLOAT32 = 1e-5
"""Twelve steps of Adam in float32, in another order of operations."""

HARD = 1e-9
"""Softness at which every bit of these networks is 0 or 1 to the last place."""


def network(*widths, seed=0, activation="relu", scale=2.0):
    return mlp(widths, torch.Generator().manual_seed(seed), activation, scale=scale).double()


def points(num, features, seed=0):
    return torch.randn(num, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chi_by_hand(bits):
    """Return χ of one path, a loop over its points and units: bits[point][unit]."""
    distance = [sum(abs(x - y) for x, y in zip(bits[0], row, strict=True)) for row in bits]
    steps = [sum(abs(x - y) for x, y in zip(*two, strict=True)) for two in itertools.pairwise(bits)]
    return 1 - max(distance) / sum(steps) if sum(steps) else 0.0


# --- what it is --------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "tanh"])
def test_with_hard_bits_it_is_the_sampled_chi_of_each_path(activation):
    layers = network(6, 9, 8, 7, 3, activation=activation)
    inputs = points(60, 6)
    walked = walk_paths(layers, inputs[:30], inputs[30:], method="sampled", num_points=NUM_INTERVALS + 1)
    chi = (walked.length - walked.reach_from_a) / np.maximum(walked.length, 1)
    assert len({*chi}) > 5  # they fold, in several ways
    soft = [
        soft_folding(layers, inputs[[k, k + 30]], softness=HARD, num_intervals=NUM_INTERVALS).item()
        for k in range(30)
    ]
    assert soft == chi.tolist()
    together = soft_folding(layers, inputs, softness=HARD, num_intervals=NUM_INTERVALS).item()
    assert together == pytest.approx(chi.mean(), rel=ROUNDING)


def test_a_softer_bit_is_a_sigmoid_of_the_unit_in_its_own_root_mean_square():
    z = points(5, 4, seed=1).view(5, 2, 2)
    for unit in range(2):
        size = np.sqrt((z[:, :, unit].numpy() ** 2).mean())
        expected = 1 / (1 + np.exp(-z[:, :, unit].numpy() / (0.1 * size)))
        assert np.allclose(soft_bits(z)[:, :, unit].numpy(), expected, rtol=ROUNDING, atol=0)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=8))
def test_chi_is_the_loop_over_points_and_units(bits):
    value = soft_chi(torch.tensor(bits, dtype=torch.float64)[:, None]).item()
    assert -ROUNDING <= value < 1
    moves = sum(abs(x - y) for two in itertools.pairwise(bits) for x, y in zip(*two, strict=True))
    if moves == 0 or moves > ROUNDING:  # the quotient of two numbers that are rounding
        assert value == pytest.approx(chi_by_hand(bits), abs=ROUNDING / max(moves, ROUNDING) + ROUNDING)


def test_a_path_without_a_change_has_no_folding_and_no_gradient():
    bits = torch.full((4, 2, 3), 0.3, dtype=torch.float64, requires_grad=True)
    chi = soft_chi(bits)
    chi.sum().backward()
    assert chi.tolist() == [0, 0]
    assert bits.grad is not None
    assert bits.grad.isfinite().all()


# --- invariants --------------------------------------------------------------------------------


def test_a_single_hidden_layer_does_not_fold():
    """Lemma 1 of the folding paper: z is affine on a path, so a soft bit only rises or only falls."""
    assert abs(soft_folding(network(6, 40, 3), points(50, 6)).item()) < ROUNDING


def test_scaling_and_permuting_units_changes_nothing():
    plain, changed = network(6, 9, 8, 3), network(6, 9, 8, 3)
    inputs = points(40, 6)
    scale = torch.rand(9, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 9 + 0.1
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        changed[0].weight.copy_((scale[:, None] * plain[0].weight)[order])
        changed[0].bias.copy_((scale * plain[0].bias)[order])
        changed[2].weight.copy_((plain[2].weight / scale)[:, order])
    folding = soft_folding(plain, inputs).item()
    assert folding > 0.01
    assert soft_folding(changed, inputs).item() == pytest.approx(folding, rel=1e-10)


def test_dead_units_change_nothing():
    plain, wider = network(6, 9, 8, 3), network(6, 9, 10, 3)
    with torch.no_grad():
        for name, parameter in wider[2].named_parameters():
            parameter.zero_()[:8] = getattr(plain[2], name)
        wider[0].load_state_dict(plain[0].state_dict())
        wider[4].weight[:, :8] = plain[4].weight
    inputs = points(40, 6)
    assert soft_folding(wider, inputs).item() == pytest.approx(
        soft_folding(plain, inputs).item(), rel=ROUNDING
    )
    assert all(gradient is None or gradient.isfinite().all() for gradient in folding_gradients(wider, inputs))


# --- gradients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_gradients_are_those_of_finite_differences(activation):
    layers, inputs = network(3, 4, 4, 3, 2, activation=activation), points(6, 3)
    names, values = zip(*layers.named_parameters(), strict=True)
    used = [value.detach().clone().requires_grad_() for value in values[:-2]]  # all but the readout's

    class Folding(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            return soft_folding(self.layers, x)

    def folding(*changed):
        state = {f"layers.{name}": value for name, value in zip(names, changed, strict=False)}
        return functional_call(Folding(), state, (inputs,))

    assert folding(*used).item() > 0.01
    assert torch.autograd.gradcheck(folding, used)


def test_gradients_of_a_batch():
    layers, inputs = network(6, 9, 8, 3), points(21, 6)
    gradients = folding_gradients(layers, inputs)
    assert [gradient is None for gradient in gradients] == [False] * 4 + [True] * 2  # not of the readout
    even = folding_gradients(layers, inputs[:20])  # the odd one out has no path
    assert all(torch.equal(*two) for two in zip(gradients[:4], even[:4], strict=True))
    assert folding_gradients(layers, inputs[:1]) == [None] * 6


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.Linear(3, 4), nn.ReLU()),
    ],
)
def test_what_has_no_soft_folding(module):
    with pytest.raises(ValueError, match="expected an MLP without BatchNorm"):
        check_layers(module)
    with pytest.raises(ValueError, match="expected an MLP without BatchNorm"):
        trained(module, fold_reward=1.0)


# --- training ----------------------------------------------------------------------------------


def data(num, seed=0):
    images = torch.rand(num, 12, generator=torch.Generator().manual_seed(seed))
    return images, (images[:, 0] * 3).long()


def trained(module=None, epochs=3, **recipe):
    module = mlp([12, 9, 8, 7, 3], torch.Generator().manual_seed(0)) if module is None else module
    train(
        module,
        *data(100),
        *data(40, seed=1),
        recipe=Recipe(epochs=epochs, learning_rate=1e-2, batch_size=32, **recipe),
        generator=torch.Generator().manual_seed(1),
        on_epoch=lambda _: None,
    )
    return module


def test_a_step_descends_the_loss_minus_the_reward():
    """A literal loop, by autograd and an optimizer of torch's, gives the same weights up to rounding."""
    layers, generator = (
        mlp([12, 9, 8, 7, 3], torch.Generator().manual_seed(0)),
        torch.Generator().manual_seed(1),
    )
    images, labels = data(100)
    optimizer = torch.optim.SGD(layers.parameters(), lr=1e-2, momentum=0.9)
    for epoch in range(1, 4):
        order = torch.randperm(100, generator=generator)
        for start in range(0, 100, 32):
            batch = order[start : start + 32]
            objective = nn.functional.cross_entropy(layers(images[batch]), labels[batch])
            if epoch <= 2:
                objective = objective - 0.7 * soft_folding(layers, images[batch])
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
    ours = trained(fold_reward=0.7, fold_reward_epochs=2, optimizer="sgd")
    for one, other in zip(ours.parameters(), layers.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=FLOAT32)


def test_bytes_repeat_and_without_a_reward_are_those_of_before():
    plain, rewarded, early = (
        trained(),
        trained(fold_reward=0.5),
        trained(fold_reward=0.5, fold_reward_epochs=1),
    )
    bytes_of = [checkpoints.to_bytes(layers) for layers in (plain, rewarded, early)]
    assert len({*bytes_of}) == 3
    again = [trained(), trained(fold_reward=0.5), trained(fold_reward=0.5, fold_reward_epochs=1)]
    assert bytes_of == [checkpoints.to_bytes(layers) for layers in again]
    assert bytes_of[0] == checkpoints.to_bytes(trained(fold_reward=0.0, fold_reward_epochs=2))
    assert bytes_of[1] == checkpoints.to_bytes(trained(fold_reward=0.5, fold_reward_epochs=3))


def test_what_is_rewarded_grows_and_what_is_penalised_falls():
    held_out = data(60, seed=2)[0]
    penalised, plain, rewarded = (
        soft_folding(trained(epochs=15, fold_reward=strength), held_out).item()
        for strength in (-1.0, 0.0, 1.0)
    )
    assert penalised < plain < rewarded
    assert rewarded > plain + 0.02


# --- settings ----------------------------------------------------------------------------------


def sections(training=None, **network_settings):
    return {
        "data": DataSettings(train_images=100),
        "network": NetworkSettings(**network_settings),
        "training": TrainingSettings(**(training or {})),
    }


def test_trainings_without_a_reward_keep_their_names_and_keys():
    names = {"fold_reward", "fold_reward_epochs"}
    for training in ({}, {"fold_reward": 0.0, "fold_reward_epochs": 5}):
        settings = sections(training)
        assert settings["training"].identity() == {}
        assert not names & {*plan(settings, {})[0].key["training"]}
    rewarded = sections({"fold_reward": 0.5, "fold_reward_epochs": 5})
    assert rewarded["training"].identity() == {"fold_reward": 0.5, "fold_reward_epochs": 5}
    assert names < {*plan(rewarded, {})[0].key["training"]}


@pytest.mark.parametrize(
    ("network_settings", "got"),
    [
        ({"model": "cnn", "architecture": "4-4"}, "network.model: cnn"),
        ({"batch_norm": True}, "network.batch_norm: true"),
        ({"activation": "hardtanh"}, "network.activation: hardtanh"),
        ({"activation": "rrelu"}, "network.activation: rrelu"),
    ],
)
def test_networks_that_cannot_be_rewarded(network_settings, got):
    train_package.STAGE.check(sections(**network_settings))
    with pytest.raises(
        SettingsError, match=f"training.fold_reward is for an mlp .*; got {got}; leave it out"
    ):
        train_package.STAGE.check(sections({"fold_reward": -1.0}, **network_settings))


@pytest.mark.parametrize("activation", ["relu", "abs", "gelu", "tanh"])
def test_networks_that_can_be_rewarded(activation):
    train_package.STAGE.check(sections({"fold_reward": 1.0}, activation=activation))
    trained(mlp([12, 6, 5, 3], torch.Generator().manual_seed(0), activation), fold_reward=1.0)
