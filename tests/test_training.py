"""Networks, training and checkpoints."""

import hashlib
import math

import pytest
import torch

from spaceprobe.networks import checkpoints
from spaceprobe.networks.activations import ACTIVATIONS, ExponentialPolynomial
from spaceprobe.networks.differentiation import differentiator
from spaceprobe.networks.layers import pass_through
from spaceprobe.networks.mlp import count_parameters, mlp
from spaceprobe.networks.objective import evaluate, full_batch
from spaceprobe.networks.training import DivergenceError, Recipe, train


def make_data(num_images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(num_images, 12, generator=generator)
    return images, (images[:, 0] * 3).long()


def train_small(seed=0, activation="relu", **recipe):
    generator = torch.Generator().manual_seed(seed)
    network, curve = mlp([12, 7, 5, 3], generator, activation), []
    train(
        network,
        *make_data(100),
        *make_data(40, seed=1),
        recipe=Recipe(**{"epochs": 3, "learning_rate": 1e-2, "batch_size": 32, **recipe}),
        generator=generator,
        on_epoch=lambda epoch: curve.append(epoch.metrics),
    )
    return network, curve


def test_mlp_is_initialised_as_torch_does():
    network = mlp([12, 7, 5, 3], torch.Generator().manual_seed(3))
    assert [type(layer).__name__ for layer in network] == [
        "Linear",
        "ReLU",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert count_parameters(network) == 12 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3
    wide = mlp([400, 500, 2], torch.Generator().manual_seed(3))[0]
    for values in (wide.weight, wide.bias):
        assert 0.95 / 20 < values.abs().max() <= 1 / 20  # uniform in ±1/√400


def test_mlp_leaves_global_random_numbers_alone():
    state = torch.get_rng_state()
    mlp([12, 7, 3], torch.Generator().manual_seed(3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("widths", [[12], [12, 0, 3]])
def test_mlp_refuses_widths(widths):
    with pytest.raises(ValueError, match="all positive"):
        mlp(widths, torch.Generator())


def test_same_seed_same_bytes_and_another_seed_others():
    first, second, other = (checkpoints.to_bytes(train_small(seed)[0]) for seed in (0, 0, 1))
    assert first == second != other


def test_curve_is_measured_on_all_images():
    network, curve = train_small()
    assert [metrics.epoch for metrics in curve] == [0, 1, 2, 3]
    assert (curve[-1].train_loss, curve[-1].train_accuracy) == evaluate(network, *make_data(100))
    assert curve[-1].train_loss < curve[0].train_loss
    images, labels = make_data(100)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(network(images), labels)
    torch.testing.assert_close(torch.tensor(curve[-1].train_loss), expected, rtol=1e-6, atol=0)


def test_training_is_adam_on_minibatches():
    """A literal loop, indexing and unfused, gives the same weights up to float32 rounding."""
    generator = torch.Generator().manual_seed(0)
    network = mlp([12, 7, 5, 3], generator)
    images, labels = make_data(100)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, foreach=False, fused=False)
    for _ in range(3):
        order = torch.randperm(100, generator=generator)
        for start in range(0, 100, 32):
            batch = order[start : start + 32]
            loss = torch.nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for fast, slow in zip(train_small()[0].parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-6)  # 12 steps of float32


def test_divergence_is_told():
    with pytest.raises(DivergenceError, match=r"not finite after epoch \d; try a smaller learning rate"):
        train_small(learning_rate=1e30)


@pytest.fixture
def saved(tmp_path):
    network = mlp([12, 7, 3], torch.Generator().manual_seed(0))
    path = tmp_path / "model.safetensors"
    data = checkpoints.to_bytes(network)
    path.write_bytes(data)
    return network, path, hashlib.sha256(data).hexdigest()


def test_checkpoint_round_trip(saved):
    network, path, digest = saved
    other = mlp([12, 7, 3], torch.Generator().manual_seed(1))
    checkpoints.load_into(other, path, digest)
    for expected, found in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_any_flipped_bit_is_found(saved):
    network, path, digest = saved
    data = bytearray(path.read_bytes())
    before = checkpoints.to_bytes(network)
    for position in range(0, len(data), 37):
        data[position] ^= 1 << (position % 8)
        path.write_bytes(data)
        with pytest.raises(checkpoints.CheckpointError, match="is damaged"):
            checkpoints.load_into(network, path, digest)
        data[position] ^= 1 << (position % 8)
    assert checkpoints.to_bytes(network) == before  # nothing was loaded from any of them


def test_other_shapes_are_refused(saved):
    _, path, digest = saved
    with pytest.raises(
        checkpoints.CheckpointError, match=r"holds .*0.weight 7x12.*, expected .*0.weight 9x12"
    ):
        checkpoints.load_into(mlp([12, 9, 3], torch.Generator()), path, digest)


def test_missing_and_huge_checkpoints(saved):
    network, path, digest = saved
    with path.open("ab") as file:
        file.truncate(10**9)  # sparse: it must not be read
    with pytest.raises(checkpoints.CheckpointError, match="at most"):
        checkpoints.load_into(network, path, digest)
    path.unlink()
    with pytest.raises(checkpoints.CheckpointError, match="cannot be read"):
        checkpoints.load_into(network, path, digest)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_training_on_cuda_learns_what_the_cpu_learns(activation):
    expected, curve = train_small(activation=activation)
    generator, found = torch.Generator().manual_seed(0), []
    network = mlp([12, 7, 5, 3], generator, activation).cuda()
    train(
        network,
        *(points.cuda() for points in make_data(100)),
        *(points.cuda() for points in make_data(40, seed=1)),
        recipe=Recipe(epochs=3, learning_rate=1e-2, batch_size=32),
        generator=generator,
        on_epoch=lambda epoch: found.append(epoch),
    )
    assert not found[-1].training.outputs.is_cuda
    for epoch, metrics in zip(found, curve, strict=True):
        assert epoch.metrics.train_loss == pytest.approx(metrics.train_loss, rel=1e-3)
    for one, other in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-2, atol=1e-3)


def test_full_batch_is_the_evaluation_with_the_gradient():
    network, _ = train_small()
    inputs, labels = torch.rand(4321, 12, generator=torch.Generator().manual_seed(5)), make_data(4321)[1]
    found = full_batch(network, inputs, labels)
    assert (found.loss, found.accuracy) == evaluate(network, inputs, labels)
    network.zero_grad()
    torch.nn.functional.cross_entropy(network(inputs), labels).backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    assert found.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-4)  # float32 sums
    with torch.no_grad():
        torch.testing.assert_close(found.outputs, network(inputs))


def test_full_batch_leaves_gradients_alone():
    network, _ = train_small()
    for parameter in network.parameters():
        parameter.grad = torch.rand_like(parameter)
    before = [parameter.grad.clone() for parameter in network.parameters()]
    full_batch(network, *make_data(50))
    for old, parameter in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, parameter.grad)


@pytest.mark.parametrize("activation", [*ACTIVATIONS])
def test_every_activation_learns(activation):
    network, curve = train_small(1, activation, epochs=100)  # from seed 0 threshold starts with dead units
    assert curve[-1].train_loss < 0.8 * curve[0].train_loss
    with torch.no_grad():
        assert torch.isfinite(network(make_data(30)[0])).all()


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomials_are_taylors_of_the_exponential(degree):
    x = torch.linspace(-3, 2, 7, dtype=torch.float64, requires_grad=True)
    expected = sum(x**power / math.factorial(power) for power in range(1, degree + 1))
    found = ExponentialPolynomial(degree)(x)
    torch.testing.assert_close(found, expected)
    for _ in range(degree):  # a polynomial of this degree: the last derivative is constant
        (found,) = torch.autograd.grad(found.sum(), x, create_graph=True)
    torch.testing.assert_close(found, torch.ones_like(x))


def test_polynomial_of_degree_0_and_unknown_activation_are_refused():
    with pytest.raises(ValueError, match=r"degree is 0.*at least 1"):
        ExponentialPolynomial(0)
    with pytest.raises(ValueError, match=r"activation 'swish' is unknown, known are relu, .*polynomial-3"):
        mlp([3, 2], torch.Generator(), "swish")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [0.02] * 5),
        ({"schedule": "linear"}, [0.02, 0.02, 0.015, 0.01, 0.005]),
        ({"schedule": "cosine"}, [0.02, *(0.01 * (1 + math.cos(math.pi * k / 4)) for k in range(4))]),
        ({"schedule": "step", "milestones": (1, 3), "decay": 0.5}, [0.02, 0.02, 0.01, 0.01, 0.005]),
    ],
)
def test_schedules(schedule, expected):
    """Epoch 0 shows the first epoch's rate; epoch e then trains with the rate of the e-th."""
    _, curve = train_small(epochs=4, learning_rate=0.02, **schedule)
    assert [metrics.learning_rate for metrics in curve] == pytest.approx(expected)


REFERENCES = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.8}),
}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("optimizer", [*REFERENCES])
def test_training_is_a_literal_loop_bit_for_bit(optimizer, weight_decay, schedule):
    """No bit differs from autograd and the fused optimizers of torch."""
    generator = torch.Generator().manual_seed(0)
    network = mlp([12, 7, 5, 3], generator)
    images, labels = make_data(100)
    kind, options = REFERENCES[optimizer]
    slow = kind(network.parameters(), lr=0.05, weight_decay=weight_decay, fused=True, **options)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(slow, T_max=3) if schedule == "cosine" else None
    for _ in range(3):
        for batch in torch.randperm(100, generator=generator).split(32):
            slow.zero_grad()
            torch.nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            slow.step()
        if rates is not None:
            rates.step()
    recipe = {"optimizer": optimizer, "weight_decay": weight_decay, "schedule": schedule}
    fast, _ = train_small(epochs=3, learning_rate=0.05, momentum=0.8, **recipe)
    for found, expected in zip(fast.parameters(), network.parameters(), strict=True):
        assert torch.equal(found, expected)


class WithSpare(torch.nn.Module):
    """A network with a parameter that it does not use."""

    def __init__(self, generator):
        super().__init__()
        self.layers = mlp([12, 7, 3], generator, "leaky-relu")
        self.spare = torch.nn.Parameter(torch.ones(2))

    def forward(self, inputs):
        return self.layers(inputs)


@pytest.mark.parametrize("optimizer", [*REFERENCES])
def test_parameters_without_a_gradient_stay(optimizer):
    """Not even weight decay moves them, as in torch."""
    generator = torch.Generator().manual_seed(0)
    network, norms = WithSpare(generator), []
    train(
        network,
        *make_data(100),
        *make_data(40, seed=1),
        recipe=Recipe(epochs=2, learning_rate=0.05, batch_size=32, optimizer=optimizer, weight_decay=0.1),
        generator=generator,
        on_epoch=lambda epoch: norms.append(epoch.training.gradient_norm),
    )
    assert torch.equal(network.spare, torch.ones(2))
    assert all(math.isfinite(norm) for norm in norms)


def _hooked():
    network = mlp([12, 7, 3], torch.Generator())
    network[0].register_forward_hook(lambda *passed: 2 * passed[-1])
    return network


def _shared():
    layer = torch.nn.Linear(12, 12)
    return torch.nn.Sequential(layer, torch.nn.ReLU(), layer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp([12, 7, 5, 3], torch.Generator()),
        lambda: mlp([12, 3], torch.Generator()),
        lambda: mlp([12, 7, 3], torch.Generator(), batch_norm=True),
        lambda: mlp([12, 7, 3], torch.Generator(), "tanh"),
        lambda: torch.nn.Sequential(
            torch.nn.Linear(12, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 3)
        ),
        _hooked,
        _shared,
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("values", [False, True])
def test_gradients_are_those_of_autograd_bit_for_bit(make, reduction, values):
    network = make().double() if values else make()
    images, labels = make_data(300)
    if values:
        images = images.double()
        labels = torch.rand(300, network(images).shape[1], dtype=torch.float64)
    outputs = network(images)
    if values:
        expected = ((outputs - labels) ** 2).mean() * (1 if reduction == "mean" else len(images))
    else:
        expected = torch.nn.functional.cross_entropy(outputs, labels, reduction=reduction)
    found = differentiator(network)(images, labels, reduction)
    assert not found.outputs.requires_grad
    assert torch.equal(found.outputs, outputs)
    torch.testing.assert_close(found.loss, expected, rtol=0 if not values else 1e-12, atol=0)
    for gradient, reference in zip(
        found.gradients, torch.autograd.grad(expected, [*network.parameters()]), strict=True
    ):
        if values:
            torch.testing.assert_close(gradient, reference)
        else:
            assert torch.equal(gradient, reference)


@pytest.mark.parametrize("recipe", [{"optimizer": "lion"}, {"schedule": "warm"}])
def test_unknown_recipes_are_refused(recipe):
    with pytest.raises(ValueError, match="is unknown, known are"):
        train_small(**recipe)


def test_regression_has_a_loss_and_no_accuracy():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(200, 3, generator=generator)
    values = torch.stack([inputs.sum(1), inputs[:, 0] * inputs[:, 1]], 1)
    network, curve = mlp([3, 16, 2], generator), []
    train(
        network, inputs[:150], values[:150], inputs[150:], values[150:],
        recipe=Recipe(40, 1e-2, 25), generator=generator, on_epoch=lambda epoch: curve.append(epoch.metrics),
    )  # fmt: skip
    assert curve[-1].test_accuracy is None
    assert curve[-1].test_loss < 0.1 * curve[0].test_loss
    with torch.no_grad():
        expected = ((network(inputs[150:]) - values[150:]) ** 2).mean()
    assert curve[-1].test_loss == pytest.approx(float(expected), rel=1e-5)


def test_layers_of_a_pass_finish_as_the_network_does():
    network = mlp([12, 7, 5, 3], torch.Generator().manual_seed(2), "tanh").double()
    inputs = make_data(20)[0].double()
    passes = pass_through(network, inputs)
    assert [tuple(layer.matrix.weight.shape) for layer in passes] == [(7, 12), (5, 7), (3, 5)]
    assert torch.equal(passes[0].inputs, inputs)
    torch.testing.assert_close(passes[1].inputs, torch.tanh(passes[0].outputs))
    for layer in passes:
        torch.testing.assert_close(layer.matrix.layer(layer.inputs), layer.outputs)
        torch.testing.assert_close(layer.finish(layer.outputs), network(inputs))
        assert not layer.finish(layer.outputs).requires_grad
