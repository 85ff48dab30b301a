"""One epoch of training: ours against a plain torchvision DataLoader loop, one thread on both sides."""

import time

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

from spaceprobe.data.idx_files import MNIST, embedded_root
from spaceprobe.data.idx_images import load_split
from spaceprobe.networks.mlp import mlp
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


def our_epoch() -> float:
    """Return the seconds of an epoch of ours, evaluation on all images included."""
    images, test = load_split(MNIST, train=True), load_split(MNIST, train=False)
    generator = torch.Generator().manual_seed(0)
    times = []
    train(
        mlp(WIDTHS, generator),
        images.inputs,
        images.targets,
        test.inputs,
        test.targets,
        recipe=Recipe(epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE),
        generator=generator,
        on_epoch=lambda epoch: times.append(time.perf_counter()),
    )
    return times[1] - times[0]


def main(num_rounds: int = 3) -> None:
    """Print both, best of some rounds in turn, and their ratio."""
    torch.set_num_threads(1)
    our_epoch()  # reads the data
    rounds = [(plain_epoch(), our_epoch()) for _ in range(num_rounds)]
    plain, ours = (min(times) for times in zip(*rounds, strict=True))
    print(f"training, one epoch of 2x30, one thread, best of {num_rounds}, in turn")
    print(f"  DataLoader loop, nothing evaluated      {plain:6.2f} s")
    print(f"  spaceprobe, evaluated on all 70,000     {ours:6.2f} s")
    print(f"  ratio                                   {plain / ours:6.1f}")


if __name__ == "__main__":
    main()
