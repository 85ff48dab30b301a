"""One epoch of training: ours, the same by autograd, and a plain DataLoader loop; one thread on all sides."""

import time

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

from spaceprobe.data.dataset import Split
from spaceprobe.data.idx_files import MNIST, embedded_root
from spaceprobe.data.idx_images import load_split
from spaceprobe.networks.checkpoints import to_bytes
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.objective import EVALUATION_BATCH, evaluate
from spaceprobe.networks.training import Recipe, train

WIDTHS = [784, 30, 30, 10]
BATCH_SIZE = 128
LEARNING_RATE = 1e-3


def plain_epoch() -> float:
    """Return the seconds of an epoch as tutorials write it; nothing is evaluated."""
    dataset = datasets.MNIST(embedded_root(), train=True, download=False, transform=ToTensor())
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
    network = mlp(WIDTHS, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    start = time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad()
        cross_entropy(network(images.flatten(1)), labels).backward()
        optimizer.step()
    return time.perf_counter() - start


def by_autograd_epoch(split: Split, test: Split) -> tuple[float, bytes]:
    """Return the seconds of an epoch as `train` does it, but by autograd and torch.optim; and the weights."""
    generator = torch.Generator().manual_seed(0)
    network = mlp(WIDTHS, generator)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    parameters = list(network.parameters())
    start = time.perf_counter()
    batch = split.inputs.new_empty(BATCH_SIZE, split.inputs.shape[1])
    for indices in torch.randperm(len(split.inputs), generator=generator).split(BATCH_SIZE):
        inputs = torch.index_select(split.inputs, 0, indices, out=batch[: len(indices)])
        optimizer.zero_grad()
        cross_entropy(network(inputs), split.targets[indices]).backward()
        optimizer.step()
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for inputs, targets in zip(
        split.inputs.split(EVALUATION_BATCH), split.targets.split(EVALUATION_BATCH), strict=True
    ):
        loss = cross_entropy(network(inputs), targets, reduction="sum")
        for summed, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
            summed += gradient
    evaluate(network, test.inputs, test.targets)
    return time.perf_counter() - start, to_bytes(network)


def our_epoch(split: Split, test: Split) -> tuple[float, bytes]:
    """Return the seconds of an epoch of ours, evaluation on all images included; and the weights."""
    generator = torch.Generator().manual_seed(0)
    network = mlp(WIDTHS, generator)
    times = []
    train(
        network,
        *(split.inputs, split.targets),
        *(test.inputs, test.targets),
        recipe=Recipe(epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE),
        generator=generator,
        on_epoch=lambda epoch: times.append(time.perf_counter()),
    )
    return times[1] - times[0], to_bytes(network)


def main(num_rounds: int = 5) -> None:
    """Print each, best of some rounds in turn, and the ratios; the last two end with the same weights."""
    torch.set_num_threads(1)
    splits = load_split(MNIST, train=True), load_split(MNIST, train=False)
    rounds = [(plain_epoch(), by_autograd_epoch(*splits), our_epoch(*splits)) for _ in range(num_rounds)]
    assert all(autograd[1] == ours[1] for _, autograd, ours in rounds), "other weights than by autograd"
    plain = min(seconds for seconds, _, _ in rounds)
    autograd = min(seconds for _, (seconds, _), _ in rounds)
    ours = min(seconds for _, _, (seconds, _) in rounds)
    print(f"training, one epoch of 2x30, one thread, best of {num_rounds}, in turn")
    print(f"  DataLoader loop, nothing evaluated      {plain:6.2f} s  {plain / ours:5.1f} times ours")
    print(f"  autograd, torch.optim, evaluated        {autograd:6.2f} s  {autograd / ours:5.1f} times ours")
    print(f"  spaceprobe, evaluated on all 70,000     {ours:6.2f} s  the same weights")


if __name__ == "__main__":
    main()
