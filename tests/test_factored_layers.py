"""Layers made of the five factors, or of two: their function, gradients, ranks, and how they are stored."""

import hashlib
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import linear

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.folding import walk_paths
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.metrics import data_metric
from spaceprobe.networks import checkpoints
from spaceprobe.networks.initialization import entry_variance
from spaceprobe.networks.layers import is_sequence, pass_through
from spaceprobe.networks.matrices import weight_matrices
from spaceprobe.networks.mlp import count_parameters, mlp
from spaceprobe.networks.product_layers import (
    FactoredLinear,
    LowRankLinear,
    leading_svd,
    state_with_products,
    with_products,
)
from spaceprobe.networks.training import Recipe, train
from spaceprobe.stages.train.data_ranks import SAMPLE, ranks_by_dimension
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.networks import build_network, load_data, rank_drop_of
from spaceprobe.stages.train.parts import check, plan, sources
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings

EXACT = 1e-12
"""Of float64: the product of five factors of a matrix with entries of size 1."""

FACTORS = ("U", "O_dist", "S_prime", "I_dist", "Vh")
KINDS = {"factored-mlp": FactoredLinear, "low-rank-mlp": LowRankLinear}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def factored(num_outputs=7, num_inputs=11, rank=4, seed=0):
    """Return a layer of five factors without any structure, as after some training."""
    shapes = (num_outputs, rank), (rank, rank), (rank,), (rank, rank), (rank, num_inputs), (num_outputs,)
    return FactoredLinear(*(normal(*shape, seed=seed + n) for n, shape in enumerate(shapes)))


def sections(data=None, training=None, **network):
    return {
        "data": DataSettings(dataset="digits", **data or {}),
        "network": NetworkSettings(**{"model": "factored-mlp", "architecture": "9-6", **network}),
        "training": TrainingSettings(**training or {}),
    }


# --- the function ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7, 11), (11, 7), (1, 6), (6, 1)])
def test_a_layer_given_the_factors_of_a_plain_one_is_that_layer(shape):
    plain, inputs = nn.Linear(shape[1], shape[0], dtype=torch.float64), normal(40, shape[1], seed=2)
    factors = decompose(plain.weight.detach())
    layer = FactoredLinear(*(getattr(factors, name) for name in FACTORS), plain.bias.detach())
    assert layer.rank == min(shape)
    torch.testing.assert_close(layer.weight, plain.weight, atol=EXACT, rtol=0)
    torch.testing.assert_close(layer(inputs), plain(inputs), atol=EXACT, rtol=0)


def test_it_takes_the_factors_in_any_metric():
    W, inputs = normal(7, 11), normal(40, 11, seed=2)
    factors = decompose(W, rank=5, metric=data_metric(inputs, 1e-3))
    layer = FactoredLinear(*(getattr(factors, name) for name in FACTORS))
    assert (factors.I_dist - torch.eye(5)).abs().max() > 0.1
    torch.testing.assert_close(layer.weight, decompose(W, rank=5).product(), atol=EXACT, rtol=0)
    torch.testing.assert_close(layer(inputs), inputs @ factors.product().T, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("shape", [(7, 11), (11, 7)])
def test_a_layer_of_a_weight_is_its_best_approximation(shape, kind):
    W, bias = normal(*shape), normal(shape[0], seed=1)
    torch.testing.assert_close(kind.of_weight(W, bias, 99).weight, W, atol=EXACT, rtol=0)
    values = np.linalg.svd(W.numpy(), compute_uv=False)
    layer = kind.of_weight(W, bias, 3)
    assert layer.rank == 3
    error = float((W - layer.weight.detach()).norm())
    assert error == pytest.approx(math.sqrt((values[3:] ** 2).sum()), rel=EXACT)
    assert torch.equal(layer.bias, bias)


def test_leading_directions_are_those_of_the_decomposition():
    W, factors = normal(8, 5), decompose(normal(8, 5))
    U, values, Vh = leading_svd(W, 3)
    for ours, theirs in ((U, factors.U[:, :3]), (values, factors.singular_values[:3]), (Vh, factors.Vh[:3])):
        torch.testing.assert_close(ours, theirs, atol=EXACT, rtol=0)


@pytest.mark.parametrize("layer", [factored(), LowRankLinear(normal(7, 4), normal(4, 11, seed=1), normal(7))])
def test_the_forward_pass_is_that_of_the_product(layer):
    inputs = normal(5, 11, seed=9)
    expected = inputs @ layer.weight.T + layer.bias
    torch.testing.assert_close(layer(inputs), expected, atol=EXACT, rtol=EXACT)
    assert isinstance(layer, nn.Linear)
    assert "rank=4" in repr(layer)


# --- gradients ---------------------------------------------------------------------------------


def test_the_gradients_of_all_factors_are_those_of_finite_differences():
    layer, inputs = factored(), normal(3, 11, seed=9)

    def function(*parameters):
        names = [name for name, _ in layer.named_parameters()]
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (inputs,)).tanh()

    parameters = tuple(value.detach().requires_grad_() for value in layer.parameters())
    assert len(parameters) == 6
    assert torch.autograd.gradcheck(function, parameters)


def test_the_gradient_of_the_separation_is_that_on_paper():
    """∂L/∂S'_j = (U O_dist)_jᵀ G (I_dist Vᵀ)_j, with G the gradient of the product."""
    layer, inputs, pull = factored(), normal(6, 11, seed=9), normal(6, 7, seed=10)
    (layer(inputs) * pull).sum().backward()
    G = pull.T @ inputs
    left, right = layer.U @ layer.O_dist, layer.I_dist @ layer.Vh
    expected = torch.stack([left[:, j] @ G @ right[j] for j in range(4)])
    torch.testing.assert_close(layer.S_prime.grad, expected, atol=EXACT, rtol=EXACT)


# --- directions that are dropped ---------------------------------------------------------------


def test_small_directions_are_dropped_and_the_rest_is_the_best_approximation():
    layer = factored(rank=5)
    W = layer.weight.detach().clone()
    values = np.linalg.svd(W.numpy(), compute_uv=False)[:5]
    share = float(np.mean((values**2 / (values**2).sum())[2:4]))  # between the third and the fourth
    assert layer.keep_largest(share)
    assert layer.rank == 3
    factors = decompose(W, rank=3)
    torch.testing.assert_close(layer.weight, factors.product(), atol=EXACT, rtol=0)
    torch.testing.assert_close(layer.S_prime[:3], factors.S_prime, atol=EXACT, rtol=0)
    torch.testing.assert_close(layer.U[:, :3], factors.U, atol=EXACT, rtol=0)
    assert torch.equal(layer.O_dist[:3, :3], torch.eye(3, dtype=torch.float64))
    before = [value.detach().clone() for value in layer.parameters()]
    assert not layer.keep_largest(0)
    assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


def test_the_largest_direction_is_always_kept():
    layer = factored()
    assert layer.keep_largest(0.999)
    assert layer.rank == 1


def test_dropped_directions_have_no_gradient_and_stay_dropped():
    layer, inputs, pull = factored(rank=5), normal(6, 11, seed=9), normal(6, 7, seed=10)
    layer.keep_largest(0.05)
    kept = layer.rank
    assert 1 <= kept < 5
    for _ in range(3):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        optimizer.zero_grad()
        (layer(inputs) * pull).sum().backward()
        optimizer.step()
    assert layer.rank == kept
    assert int(torch.linalg.matrix_rank(layer.weight)) == kept
    assert not layer.U[:, kept:].any()
    assert not layer.O_dist[kept:].any()
    assert not layer.O_dist[:, kept:].any()
    assert not layer.I_dist[kept:].any()
    assert not layer.Vh[kept:].any()


@pytest.mark.parametrize(("rank", "kept"), [(5, 5), (5, 2), (3, 1)])
def test_parameters_of_dropped_directions_do_not_count(rank, kept):
    layer = factored(rank=rank)
    with torch.no_grad():
        for factor, rows in ((layer.U, slice(kept)), (layer.S_prime, slice(kept))):
            factor[..., rows.stop :] = 0
    assert count_parameters(layer) == kept * (7 + 11 + 1) + 2 * kept**2 + 7
    plain = mlp([4, 3, 2], seeded())
    assert count_parameters(plain) == 4 * 3 + 3 + 3 * 2 + 2


def trained(share, epochs, optimizer="adam"):
    network = with_products(mlp([6, 8, 3], seeded()), FactoredLinear, [5, 3])
    inputs = torch.rand(64, 6, generator=seeded(1))
    targets = (inputs.sum(1) > 3).long()
    ranks = []

    def adapt(epoch):
        has_dropped = [layer.keep_largest(share) for layer in network[::2]] if epoch == 2 else []
        ranks.append([network[0].rank, network[2].rank])
        return any(has_dropped)

    train(
        network, inputs, targets, inputs, targets,
        recipe=Recipe(epochs, 0.01, 16, optimizer), generator=seeded(2), on_epoch=lambda _: None, adapt=adapt,
    )  # fmt: skip
    return ranks, network


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_goes_on_with_fewer_directions(optimizer):
    """Means of earlier gradients would move what was dropped away from 0: the optimizer forgets them."""
    ranks, network = trained(0.15, 6, optimizer)
    assert ranks[0] == [5, 3]
    assert ranks[1] != [5, 3]
    assert ranks[1:] == [ranks[1]] * 5
    network.double()  # the product of float32 factors has no rank in float32
    assert [int(torch.linalg.matrix_rank(network[n].weight)) for n in (0, 2)] == ranks[-1]
    unchanged, other = trained(0.0, 6, optimizer)
    assert unchanged == [[5, 3]] * 6
    assert other[0].rank == 5


# --- networks of the registry ------------------------------------------------------------------


@pytest.mark.parametrize("model", KINDS)
def test_a_network_of_full_rank_starts_as_the_plain_one(model):
    def built(**network):
        return build_network(sections(**network), load_data(DataSettings(dataset="digits")))[0].double()

    plain, ours = built(model="mlp"), built(model=model, ranks="full")
    assert {type(layer) for layer in ours[::2]} == {KINDS[model]}
    assert is_sequence(ours)
    for one, other in zip(weight_matrices(plain), weight_matrices(ours), strict=True):
        torch.testing.assert_close(one.weight, other.weight, atol=1e-6, rtol=0)  # float32
        assert torch.equal(one.bias, other.bias)


@pytest.mark.parametrize("model", KINDS)
def test_ranks_are_those_asked_for(model):
    entry = NetworkSettings(model=model, architecture="9-6", ranks="4-99-2").entry
    options = NetworkSettings(model=model, architecture="9-6", ranks="4-99-2")
    network = entry.build(options, (8, 8), 10, seeded())
    assert [layer.rank for layer in network[::2]] == [4, 6, 2]
    assert all(entry_variance(layer, "torch", 1.0) is None for layer in network[::2])


@pytest.mark.parametrize("model", KINDS)
def test_a_network_saves_and_loads_as_any_other(model, tmp_path):
    dataset = load_data(DataSettings(dataset="digits"))
    network, _ = build_network(sections(model=model), dataset)
    if model == "factored-mlp":
        assert network[0].keep_largest(0.1)
    data = checkpoints.to_bytes(network)
    (tmp_path / "model.safetensors").write_bytes(data)
    again, _ = build_network(sections(model=model, training={"seed": 0}), dataset)
    checkpoints.load_into(again, tmp_path / "model.safetensors", hashlib.sha256(data).hexdigest())
    assert checkpoints.to_bytes(again) == data
    inputs = dataset.test.inputs[:9]
    assert torch.equal(network(inputs), again(inputs))
    assert [layer.rank for layer in network[::2]] == [layer.rank for layer in again[::2]]


@pytest.mark.parametrize("model", KINDS)
def test_paths_fold_as_in_the_plain_network_of_the_products(model):
    options = NetworkSettings(model=model, architecture="3x8", ranks="5-4-6-3")
    ours = options.entry.build(options, (8, 8), 10, seeded(3)).double()
    plain = mlp([64, 8, 8, 8, 10], seeded()).double()
    with torch.no_grad():
        for matrix, layer in zip(weight_matrices(ours), plain[::2], strict=True):
            layer.weight.copy_(matrix.weight)
            layer.bias.copy_(matrix.bias)
    a, b = 3 * normal(20, 64, seed=1), 3 * normal(20, 64, seed=2)
    expected, found = walk_paths(plain, a, b), walk_paths(ours, a, b)
    for name in ("length", "reach_from_a", "reach_from_b"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert not found.num_violations.any()
    assert found.length.sum() > 100


@pytest.mark.parametrize("model", KINDS)
def test_the_state_with_products_is_that_of_a_plain_network(model):
    options = NetworkSettings(model=model, architecture="9-6", ranks="4-3-2", batch_norm=True)
    ours = options.entry.build(options, (8, 8), 10, seeded(3)).double().eval()
    plain = mlp([64, 9, 6, 10], seeded(), batch_norm=True).double().eval()
    plain.load_state_dict(state_with_products(ours))
    inputs = normal(7, 64)
    torch.testing.assert_close(plain(inputs), ours(inputs), atol=EXACT, rtol=EXACT)
    assert {*state_with_products(ours[0])} == {"weight", "bias"}
    assert "0.weight" not in ours.state_dict()  # which is left as it is


def test_layers_pass_a_sample_through():
    network = build_network(sections(ranks="4-3-5"), load_data(DataSettings(dataset="digits")))[0].double()
    inputs = load_data(DataSettings(dataset="digits")).test.inputs[:30].double()
    passes = pass_through(network, inputs)
    for layer in passes:
        expected = linear(layer.inputs, layer.matrix.weight, layer.matrix.bias)
        torch.testing.assert_close(layer.outputs, expected, atol=EXACT, rtol=EXACT)
    torch.testing.assert_close(passes[-1].outputs, network(inputs), atol=0, rtol=0)


# --- ranks from the data -----------------------------------------------------------------------


def plane(num_points, dimension, num_features=12):
    """Return points in a random subspace; float32, as training points are."""
    return (normal(num_points, dimension) @ normal(dimension, num_features, seed=1)).float()


@pytest.mark.parametrize(("dimension", "factor", "expected"), [(2, 1, 2), (3, 1, 3), (2, 2, 4), (2, 0.1, 1)])
def test_a_rank_is_the_dimension_of_what_enters(dimension, factor, expected):
    network = mlp([12, 9, 4], seeded())
    ranks = ranks_by_dimension(network, plane(SAMPLE, dimension), factor)
    assert ranks[0] == expected
    assert len(ranks) == 2
    assert ranks[1] <= 4


def test_a_rank_is_at_most_what_the_matrix_has_and_at_least_one():
    network = mlp([12, 9, 4], seeded())
    assert ranks_by_dimension(network, plane(100, 3), 50) == [9, 4]
    dead = mlp([12, 9, 4], seeded())
    with torch.no_grad():
        dead[0].weight.zero_()
    assert ranks_by_dimension(dead, plane(100, 3))[1] == 1


def test_too_few_points_have_no_dimension():
    with pytest.raises(
        SpaceprobeError, match=r"network\.ranks: what enters weight matrix 0 has no dimension"
    ):
        ranks_by_dimension(mlp([12, 9, 4], seeded()), plane(5, 3))


def test_the_code_that_estimates_ranks_counts_where_they_are_estimated():
    module = "spaceprobe.stages.train.data_ranks"
    assert module in sources(sections())
    assert module not in sources(sections(ranks="4-3-2"))
    assert module not in sources(sections(model="mlp"))


def test_the_ranks_of_a_run_do_not_depend_on_its_training():
    dataset = load_data(DataSettings(dataset="digits"))
    built = [
        build_network(sections(training={"order_seed": order, "epochs": 3}), dataset)[0] for order in (1, 2)
    ]
    assert checkpoints.to_bytes(built[0]) == checkpoints.to_bytes(built[1])


# --- settings ----------------------------------------------------------------------------------


def test_settings_from_before_keep_their_keys():
    assert "ranks" not in NetworkSettings().measurement()
    names = {"rank_drop", "rank_drop_epochs"}
    for training in ({}, {"rank_drop": 0.0, "rank_drop_epochs": (1, 2)}):
        settings = sections(training=training)
        assert not names & {*settings["training"].key()}
        assert settings["training"].identity() == {}
        assert not names & {*plan(settings, {})[0].key["training"]}
    dropped = sections(training={"rank_drop": 0.1, "rank_drop_epochs": (1,)})["training"]
    assert names <= {*dropped.key()}
    assert dropped.identity() == {"rank_drop": 0.1, "rank_drop_epochs": [1]}
    chosen = NetworkSettings(model="factored-mlp", ranks="4-3-2").measurement()
    assert chosen["ranks"] == "4-3-2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks": "4-0-2"}, "expected dimension, full, or a number from 1 to 10000 for each weight matrix"),
        ({"ranks": "many"}, "such as 13-9-8; got 'many'"),
        ({"model": "mlp", "ranks": "4-4-4"}, "ranks does nothing with model: mlp"),
        ({"model": "mlp", "rank_factor": 2.0}, "rank_factor does nothing with model: mlp"),
    ],
)
def test_ranks_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        NetworkSettings(**{"model": "factored-mlp", **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks": "4-4"}, r"network\.ranks: expected 3 numbers for network\.architecture 9-6"),
        ({"ranks": "full", "rank_factor": 2.0}, r"network\.rank_factor: does nothing with ranks: full"),
        (
            {"model": "low-rank-mlp", "training": {"rank_drop": 0.1, "rank_drop_epochs": (1,)}},
            r"rank_drop is for a factored-mlp that is trained here; got network\.model: low-rank-mlp",
        ),
        (
            {"training": {"rank_drop": 0.1, "rank_drop_epochs": (1, 31)}},
            r"training\.rank_drop_epochs: there is no epoch 31 in a training of 30 epochs; name earlier ones",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        check(sections(**settings))


def test_a_drop_without_an_epoch_is_refused():
    with pytest.raises(ValidationError, match="rank_drop: name at least one epoch in rank_drop_epochs"):
        TrainingSettings(rank_drop=0.1)


def test_a_run_drops_directions_after_its_epochs_only():
    settings = sections(ranks="5-5-5", training={"rank_drop": 0.15, "rank_drop_epochs": (2,)})
    network, _ = build_network(settings, load_data(DataSettings(dataset="digits")))
    drop = rank_drop_of(settings, network)
    assert not drop(1)
    assert [layer.rank for layer in network[::2]] == [5, 5, 5]
    assert drop(2)
    assert min(layer.rank for layer in network[::2]) < 5
    assert rank_drop_of(sections(), network) is None
