"""Check the layerwise engine against the other engines, and against sampled patterns of networks of others.

- mlp: 20,000 paths between MNIST images through a 2x30 that is trained here, beside the compiled kernel.
- cnn: 200 paths through the CNN of bench_layerwise.py, beside the jvp walk: two seconds a path.
- modules: for each of `MODULES`, as torchvision or pytorchcv make it with random weights, the pattern at
  50,001 evenly spaced points of a path between two noise images of 3 × 32 × 32. It has to be that of the
  linear region that the engine found there; within `CLOSE` of a region's end it may be that of the neighbour.
  What the networks compute is watched by `WatchedActivations`, which shares no code with spaceprobe.

Run: python scripts/check_layerwise.py [mlp] [cnn] [modules] [--only NAME …] [--points N] [--paths N]
It takes an hour on a core; each line is printed when it is known. Where pytorchcv is not installed, lines
say that its modules are left out. The exit code is 1 if anything differs.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.resnet import BasicBlock, ResNet

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.folding import DEFAULT_TOLERANCE, walk_paths
from spaceprobe.folding.layerwise import count_bits
from spaceprobe.folding.layerwise.crew import Crew
from spaceprobe.folding.layerwise.segments import flips_of
from spaceprobe.folding.layerwise.walk import see_paths
from spaceprobe.folding.prepared_module import prepare

CLOSE = 1e-9
"""Within so much of t a point lies at a region's end: t of a flip is known to about 1e-12."""

MAX_NUMBERS = 2**22
"""Bits that are compared at a time."""


def pytorchcv(name: str) -> Callable[[], nn.Module]:
    """Return what makes a network of pytorchcv, whose last pool is made to fit a small image."""

    def make() -> nn.Module:
        from pytorchcv.model_provider import get_model

        network: nn.Module = get_model(name, num_classes=10)
        last = network.output if name.startswith("darknet") else network.features
        last.final_pool = nn.AdaptiveAvgPool2d(1)
        return network

    return make


MODULES: dict[str, Callable[[], nn.Module]] = {
    "torchvision squeezenet1_1": torchvision.models.squeezenet1_1,
    "torchvision shufflenet_v2_x0_5": torchvision.models.shufflenet_v2_x0_5,
    "torchvision mnasnet0_5": torchvision.models.mnasnet0_5,
    "torchvision mobilenet_v2, width 0.25": lambda: torchvision.models.mobilenet_v2(width_mult=0.25),
    "torchvision DenseNet, growth 8": lambda: torchvision.models.DenseNet(8, (2, 2, 2, 2), 16),
    "torchvision RegNet, X block": lambda: RegNet(BlockParams.from_init_params(4, 16, 16.0, 2.0, 8)),
    "torchvision ResNet-10": lambda: ResNet(BasicBlock, [1, 1, 1, 1]),
    "pytorchcv fdmobilenet_wd4": pytorchcv("fdmobilenet_wd4"),
    "pytorchcv shufflenet_g1_wd4": pytorchcv("shufflenet_g1_wd4"),
    "pytorchcv sqnxt23_w1": pytorchcv("sqnxt23_w1"),
    "pytorchcv igcv3_wd4": pytorchcv("igcv3_wd4"),
    "pytorchcv darknet_tiny": pytorchcv("darknet_tiny"),
}
"""Makes networks of others: with ReLU, ReLU6 and LeakyReLU, max-pooling, sums and concatenation."""


class WatchedActivations(TorchFunctionMode):
    """Notes of every activation that runs whether z is above each of its kinks."""

    def __init__(self) -> None:
        """Begin with nothing noted."""
        super().__init__()
        self.bits: list[Tensor] = []
        self._is_inside = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note the bits of an activation's input, then run it."""
        kinks = {
            **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), (0.0,)),
            **dict.fromkeys((F.leaky_relu,), (0.0,)),
            **dict.fromkeys((F.relu6,), (0.0, 6.0)),
        }.get(func, ())
        if func is F.hardtanh:
            kinks = tuple(args[1:3]) if len(args) > 2 else tuple((kwargs or {}).values())[:2]
        if kinks and not self._is_inside:
            self.bits += [(args[0] > kink).flatten(1) for kink in kinks]
        was_inside, self._is_inside = self._is_inside, self._is_inside or bool(kinks)
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._is_inside = was_inside


@torch.no_grad()
def sampled_bits(network: nn.Module, points: Tensor) -> np.ndarray:
    """Return the bits of a network at points; of shape ``(points, bits)``."""
    with WatchedActivations() as watched:
        network(points)
    return torch.cat(watched.bits, dim=1).numpy()


@dataclass(frozen=True)
class ExactRegions:
    """The linear regions of a path.

    Attributes:
        start: the bits of the first.
        t: where bits flip, ascending.
        bit: which bit flips there.
        num_violations: of the engine's own region check.
    """

    start: np.ndarray
    t: np.ndarray
    bit: np.ndarray
    num_violations: int


def exact_regions(network: nn.Module, a: Tensor, b: Tensor) -> ExactRegions:
    """Return the linear regions of a path as the layerwise engine sees them."""
    prepared = prepare(network, a, torch.device("cpu"), count_bits)
    with torch.no_grad():
        groups = see_paths(Crew(prepared), prepared.ends(a), prepared.ends(b), DEFAULT_TOLERANCE)
    seen = [part for group in groups for part in group]
    flips = flips_of(seen)
    t, bit = flips.t.numpy(), flips.unit.numpy()
    order = np.argsort(t, kind="stable")
    num_violations = sum(int(part.is_wrong.sum()) for part in seen)
    return ExactRegions(seen[0].start[0].numpy(), t[order], bit[order], num_violations)


@dataclass(frozen=True)
class Comparison:
    """What a comparison of sampled patterns with regions found.

    Attributes:
        num_wrong: points whose pattern is not that of their region.
        num_close: points within `CLOSE` of a region's end where it is that of the neighbour.
        num_bits: of a pattern.
        num_regions: different t of flips, and one.
        num_flips_seen: bits that differ between neighbouring points, a lower bound of the flips.
    """

    num_wrong: int
    num_close: int
    num_bits: int
    num_regions: int
    num_flips_seen: int


def compare_patterns(network: nn.Module, a: Tensor, b: Tensor, num_points: int) -> Comparison:
    """Compare the patterns at evenly spaced points of a path with those of its linear regions."""
    regions = exact_regions(network, a[None], b[None])
    now, place = regions.start.copy(), 0
    num_wrong = num_close = num_flips_seen = 0
    before: np.ndarray | None = None
    for t, bits in _samples(network, a, b, num_points, len(now)):
        if before is not None:
            num_flips_seen += int((bits[0] != before).sum())
        num_flips_seen += int((bits[1:] != bits[:-1]).sum())
        before = bits[-1]
        for at, pattern in zip(t, bits, strict=True):
            end = int(np.searchsorted(regions.t, at))
            np.logical_xor.at(now, regions.bit[place:end], True)
            place = end
            differing = np.flatnonzero(pattern != now)
            if not len(differing):
                continue
            near = slice(*np.searchsorted(regions.t, [at - CLOSE, at + CLOSE]))
            is_explained = bool(np.isin(differing, regions.bit[near]).all())
            num_close += is_explained
            num_wrong += not is_explained
    return Comparison(num_wrong, num_close, len(now), len(np.unique(regions.t)) + 1, num_flips_seen)


def _samples(
    network: nn.Module, a: Tensor, b: Tensor, num_points: int, num_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield evenly spaced t inside (0, 1), some at a time, and the patterns there."""
    size = max(1, MAX_NUMBERS // num_bits)
    every = (torch.arange(num_points, dtype=torch.float64) + 0.5) / num_points
    for t in every.split(size):
        yield t.numpy(), sampled_bits(network, torch.lerp(a, b, t.view(-1, *([1] * a.ndim))))


def check_module(name: str, num_points: int) -> bool:
    """Print a line on a module; return whether all of it agrees."""
    if name.startswith("pytorchcv") and importlib.util.find_spec("pytorchcv") is None:
        print(f"{name}: left out, since pytorchcv is not installed", flush=True)
        return True
    torch.manual_seed(0)
    network = MODULES[name]().double().eval()
    a, b = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    start = time.perf_counter()
    found = compare_patterns(network, a, b, num_points)
    print(
        f"{name}: {num_points:,} points, {found.num_bits:,} bits, {found.num_regions:,} regions, "
        f"{found.num_flips_seen:,} flips seen between points; {found.num_wrong} patterns differ, "
        f"{found.num_close} are the neighbour's at a region's end; {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return found.num_wrong == 0


def trained_mlp() -> tuple[nn.Module, Tensor]:
    """Return a 2x30 after an epoch of Adam on MNIST, and test images."""
    train = load_split(MNIST, train=True)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for batch in torch.randperm(len(train.inputs)).split(128):
        optimizer.zero_grad()
        F.cross_entropy(network(train.inputs[batch]), train.targets[batch]).backward()
        optimizer.step()
    return network, load_split(MNIST, train=False).inputs


def compare_engines(name: str, network: nn.Module, images: Tensor, other: Any, num_paths: int) -> bool:
    """Print in how many paths the layerwise walk differs from another engine; return whether in none."""
    generator = torch.Generator().manual_seed(0)
    i, j = torch.randint(len(images), (2, num_paths), generator=generator)
    num_differing = num_flips = 0
    for part in torch.arange(num_paths).split(20 if other == "jvp" else 2000):
        a, b = images[i[part]], images[j[part]]
        one, two = (walk_paths(network, a, b, method=method) for method in ("layerwise", other))
        is_same = (one.length == two.length) & (one.reach_from_a == two.reach_from_a)
        is_same &= (one.reach_from_b == two.reach_from_b) & (one.num_violations == two.num_violations)
        num_differing += int((~is_same).sum())
        num_flips += int(one.length.sum())
    print(
        f"{name}: {num_paths:,} paths, {num_flips:,} flips: length, reach from both ends and violations "
        f"differ from those of {other} in {num_differing}",
        flush=True,
    )
    return num_differing == 0


def main() -> None:
    """Print a line for each comparison, and exit with 1 if something differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["mlp", "cnn", "modules"], metavar="mlp|cnn|modules")
    parser.add_argument("--only", nargs="+", default=[*MODULES], metavar="NAME", help="some of the modules")
    parser.add_argument("--points", type=int, default=50_001, help="of the path through a module")
    parser.add_argument("--paths", type=int, help="by default 20,000 for mlp and 200 for cnn")
    options = parser.parse_args()
    results = []
    if "mlp" in options.what:
        results.append(compare_engines("2x30", *trained_mlp(), "kernel", options.paths or 20_000))
    if "cnn" in options.what:
        from bench_layerwise import cnn

        images = load_split(MNIST, train=False).inputs
        results.append(compare_engines("CNN", cnn(nn.AvgPool2d), images, "jvp", options.paths or 200))
    if "modules" in options.what:
        results += [check_module(name, options.points) for name in options.only]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
