"""Networks, training and checkpoints."""

import hashlib

import pytest
import torch

from spaceprobe.networks import checkpoints
from spaceprobe.networks.mlp import count_parameters, mlp
from spaceprobe.networks.training import DivergenceError, evaluate, train


def make_data(num_images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(num_images, 12, generator=generator)
    return images, (images[:, 0] * 3).long()


def train_small(seed=0, learning_rate=1e-2, epochs=3):
    generator = torch.Generator().manual_seed(seed)
    network, curve = mlp([12, 7, 5, 3], generator), []
    train(
        network,
        *make_data(100),
        *make_data(40, seed=1),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=32,
        generator=generator,
        on_epoch=curve.append,
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
