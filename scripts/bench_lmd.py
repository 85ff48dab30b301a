"""Layer Matrix Decomposition: large matrices against torch, one layer with the Laplacian metric.

Everything on one thread, as in the stages, and in float64. About four minutes on an idle core, most of
them torch's.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.graph import neighbour_graph
from spaceprobe.lmd.large import leading_triplets
from spaceprobe.lmd.metrics import laplacian_metric
from spaceprobe.lmd.spectrum import singular_values
from spaceprobe.networks.mlp import mlp

SIZE = 4096
NUM_LEADING = 64
NUM_IMAGES = 5000


Result = TypeVar("Result")


def timed(compute: Callable[[], Result], num_rounds: int = 1) -> tuple[float, Result]:
    """Return the fewest seconds of some rounds, and the result."""
    times = []
    for _ in range(num_rounds):
        start = time.perf_counter()
        result = compute()
        times.append(time.perf_counter() - start)
    return min(times), result


def noise(generator: torch.Generator) -> Tensor:
    """Return independent normal entries: a flat spectrum, the hard case."""
    return torch.randn(SIZE, SIZE, dtype=torch.float64, generator=generator)


def decaying(power: float, generator: torch.Generator) -> Tensor:
    """Return a matrix with the singular values i^-power, in directions that a few reflections mix.

    For eigenvalues σ² with the density λ^-α that is power 1 / (2(α - 1)): 1/4 for α = 3, 1/2 for α = 2.
    """
    W = torch.diag(torch.arange(1, SIZE + 1, dtype=torch.float64) ** -power)
    for _ in range(3):
        left, right = torch.randn(2, SIZE, dtype=torch.float64, generator=generator)
        W -= torch.outer(2 * left / (left @ left), left @ W)
        W -= torch.outer(2 * (W @ right) / (right @ right), right)
    return W


def bench_all_values(W: Tensor, num_rounds: int = 2) -> None:
    """Print all singular values of ours against torch's, best of some rounds in turn."""
    rounds = [
        (timed(lambda: torch.linalg.svdvals(W)), timed(lambda: singular_values(W))) for _ in range(num_rounds)
    ]
    torch_s, ours_s = (min(side[0] for side in sides) for sides in zip(*rounds, strict=True))
    (_, true), (_, ours) = rounds[0]
    difference = float((torch.from_numpy(ours) - true).abs().max() / true[0])
    print(f"all singular values, {SIZE} x {SIZE}, best of {num_rounds} in turn")
    print(f"  torch.linalg.svdvals                      {torch_s:7.2f} s")
    print(
        f"  spaceprobe                                {ours_s:7.2f} s   ratio {ours_s / torch_s:.2f}", end=""
    )
    print(f"   largest difference / sigma_1 {difference:.1e}")


def bench_leading(name: str, W: Tensor) -> None:
    """Print the leading values and vectors against all values, with stated and true errors."""
    torch_s, true = timed(lambda: torch.linalg.svdvals(W))
    print(f"leading {NUM_LEADING} values and vectors, {SIZE} x {SIZE}, {name}")
    print(f"  torch.linalg.svdvals, all, no vectors     {torch_s:7.2f} s")
    for krylov_dim in (None, 15 * NUM_LEADING):
        lead_s, triplets = timed(lambda dim=krylov_dim: leading_triplets(W, NUM_LEADING, krylov_dim=dim), 3)
        error = (triplets.singular_values - true[:NUM_LEADING]).abs() / true[0]
        print(f"  spaceprobe, {triplets.krylov_dim} dimensions                {lead_s:7.2f} s", end="")
        print(f"   {torch_s / lead_s:.1f} times as fast")
        print(f"    stated error / sigma_1: largest         {float(triplets.residuals.max()):9.1e}", end="")
        print(f"   median {float(triplets.residuals.median()):.1e}")
        print(f"    true error of values / sigma_1: largest {float(error.max()):9.1e}", end="")
        print(f"   median {float(error.median()):.1e}")


def bench_vectors(W: Tensor) -> None:
    """Print the full decomposition with vectors, once: it takes long."""
    seconds, _ = timed(lambda: torch.linalg.svd(W, full_matrices=False))
    print(f"  torch.linalg.svd, all, with vectors       {seconds:7.2f} s")


def bench_laplacian() -> None:
    """Print the seconds of a layer's factors with the Laplacian metric, graphs included."""
    layer = mlp([784, 300], torch.Generator().manual_seed(0))[0]
    inputs = load_split(MNIST, train=False).inputs[:NUM_IMAGES].double()
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()

    def factors() -> None:
        outputs = inputs @ weight.T + bias
        graphs = neighbour_graph(inputs), neighbour_graph(outputs)
        decompose(weight, metric=laplacian_metric(inputs, outputs, *graphs))

    seconds, _ = timed(factors, 3)
    print(f"784 x 300 with the Laplacian metric on {NUM_IMAGES} images {seconds:6.2f} s   (goal: under 5)")


def main() -> None:
    """Print all of it."""
    torch.set_num_threads(1)
    bench_laplacian()
    generator = torch.Generator().manual_seed(0)
    trained = decaying(0.25, generator)
    bench_all_values(trained)
    bench_leading("decaying spectrum, sigma_i = i^-1/4", trained)
    bench_vectors(trained)
    bench_leading("normal noise", noise(generator))


if __name__ == "__main__":
    main()
