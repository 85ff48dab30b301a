"""The region check on many paths between images, for any network; and a network in rational numbers."""

import time
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from spaceprobe.folding import Method, walk_paths
from tests.rational_oracle import Layer, Vector


@dataclass(frozen=True)
class RegionCheck:
    """What was found: paths with a violation, and how long the walk took."""

    num_paths: int
    num_violations: int
    duration_s: float


def check_regions(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    num_paths: int,
    *,
    method: Method = "jvp",
    seed: int = 0,
) -> RegionCheck:
    """Walks paths between images of different classes, drawn at random, and counts violations."""
    generator = torch.Generator().manual_seed(seed)
    # nine in ten pairs of MNIST have two classes; twice as many is enough
    i, j = torch.randint(len(images), (2, 2 * num_paths), generator=generator)
    differs = labels[i] != labels[j]
    i, j = i[differs][:num_paths], j[differs][:num_paths]
    start = time.perf_counter()
    folding = walk_paths(network, images[i], images[j], method=method)
    return RegionCheck(len(i), int((folding.num_violations > 0).sum()), time.perf_counter() - start)


def as_rational(network: nn.Sequential, a: Tensor, b: Tensor) -> tuple[list[Layer], Vector, Vector]:
    """Return an MLP and two points in the numbers of the rational oracle, exactly."""
    layers = [
        ([vector(row) for row in step.weight.detach()], vector(step.bias.detach()))
        for step in network
        if isinstance(step, nn.Linear)
    ]
    return layers, vector(a), vector(b)


def vector(numbers: Tensor) -> Vector:
    return [Fraction(x) for x in numbers.double().tolist()]
