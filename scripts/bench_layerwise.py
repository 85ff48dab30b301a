"""Seconds a path of the layerwise engine beside the jvp walk, in one run; a ResNet-18 and its peak memory.

The CNN has two convolutions of 8 and 16 channels. Ends of paths are MNIST test images, for the ResNet
uniform noise of 3 × 32 × 32; its weights are torchvision's initialisation.

Run: python scripts/bench_layerwise.py [--quick]
--quick leaves out the jvp walk of 32 paths through the CNN, which takes minutes, and the ResNet.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.folding import Engine, PathFolding, UncountedUnits, trace_path, walk_paths

NUM_ROUNDS = 3


def cnn(pool: type[nn.Module]) -> nn.Module:
    """Return the CNN with a kind of pooling."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), pool(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), pool(2), nn.Flatten(), nn.Linear(784, 10)),
    ).eval()


def wide_mlp() -> nn.Module:
    """Return a 2x300 as torch initialises it."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 10))


def seconds(walk: Callable[[], PathFolding], rounds: int) -> tuple[float, PathFolding]:
    """Return the shortest time of several, and what was walked."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        folding = walk()
        times.append(time.perf_counter() - start)
    return min(times), folding


def compare(name: str, network: nn.Module, a: Tensor, b: Tensor, rounds: int) -> None:
    """Print the times of both engines, their ratio, and whether they agree."""
    found: dict[Engine, tuple[float, PathFolding]] = {}
    for engine in ("layerwise", "jvp"):
        times = NUM_ROUNDS if engine == "layerwise" else rounds
        found[engine] = seconds(lambda engine=engine: walk_paths(network, a, b, method=engine), times)
    (fast, layerwise), (slow, jvp) = found["layerwise"], found["jvp"]
    differ = int((layerwise.length != jvp.length).sum() + (layerwise.reach_from_a != jvp.reach_from_a).sum())
    print(
        f"{name}, {len(a)} paths, {layerwise.length.mean():.0f} flips a path: layerwise {fast:.3f} s "
        f"({len(a) / fast:.1f} paths/s), jvp {slow:.3f} s, ratio {slow / fast:.1f}, {differ} differ"
    )


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    is_quick = parser.parse_args().quick
    warnings.simplefilter("ignore", UncountedUnits)  # max-pooling is passed through, not counted
    images = load_split(MNIST, train=False).inputs
    a, b = images[:512], images[512:1024]
    compare("2x300", wide_mlp(), a, b, rounds=1)
    compare("CNN", cnn(nn.AvgPool2d), a[:1], b[:1], rounds=1)
    time_max, folding = seconds(
        lambda: walk_paths(cnn(nn.MaxPool2d), a[:1], b[:1], method="layerwise"), NUM_ROUNDS
    )
    print(
        f"CNN with max-pooling, 1 path, {folding.length[0]} flips: layerwise {time_max:.3f} s, jvp refuses it"
    )
    if is_quick:
        return
    compare("CNN", cnn(nn.AvgPool2d), a[:32], b[:32], rounds=1)
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    ends = torch.rand(2, 3, 32, 32)
    start = time.perf_counter()
    trace = trace_path(network, *ends, method="layerwise")
    time_resnet = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"ResNet-18 at 32 × 32, 1 path, {len(trace.t):,} regions, {trace.length[-1]:,} flips: "
        f"{time_resnet:.0f} s, peak memory {peak:.1f} GiB"
    )


if __name__ == "__main__":
    main()
