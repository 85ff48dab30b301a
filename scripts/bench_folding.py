"""Paths per second of every engine, measured side by side: `make bench` writes bench.csv and bench.png.

A walk counts once although it is read from both ends. Ends are MNIST test images of different classes.
`naive` is the folding paper's way: 100 points, the full forward pass, one path at a time.
"""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_images, load_split
from spaceprobe.folding import fold_grid
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train

NETWORKS = ("2x30", "6x10", "2x300", "10x60")
NUM_POINTS = 100
NUM_ROUNDS = 5
SECONDS_A_MEASUREMENT = 0.5  # chosen: long against the noise of a clock, short against that of a machine
DEPTHS = ("1x60", "2x30", "3x20", "4x15", "5x12", "6x10", "10x6")
WIDTHS = ("2x15", "2x30", "2x60", "2x120", "2x300")


@dataclass(frozen=True)
class Engine:
    """One side of the comparison.

    Attributes:
        name: as in bench.csv.
        threads: how many it uses.
        precision: of its arithmetic.
        walk: walks the paths between two groups of images.
        probe: how many images a group to begin with, when looking how many fit a measurement.
    """

    name: str
    threads: int
    precision: str
    walk: Callable[[nn.Module, Tensor, Tensor], object]
    probe: int


def naive(network: nn.Module, sources: Tensor, targets: Tensor, threads: int) -> None:
    """Sample paths as the paper does, in float32 as it was trained."""
    torch.set_num_threads(threads)
    t = torch.linspace(0, 1, NUM_POINTS)[:, None]
    with torch.no_grad():
        for a in sources:
            for b in targets:
                x, patterns = (1 - t) * a + t * b, []
                for layer in network:
                    x = layer(x)
                    if isinstance(layer, nn.ReLU):
                        patterns.append(x > 0)
                pattern = torch.cat(patterns, 1)
                length = int((pattern[1:] != pattern[:-1]).sum())
                reach = int((pattern != pattern[:1]).sum(1).max())
                _ = 1 - reach / length if length else 0.0
    torch.set_num_threads(1)


def grid(
    network: nn.Module, sources: Tensor, targets: Tensor, *, method: str, threads: int, precision: str
) -> object:
    """Walk with one of our engines."""
    torch.set_num_threads(threads)
    result = fold_grid(
        network,
        sources,
        targets,
        method=method,
        num_points=NUM_POINTS,
        threads=threads,
        precision=precision,
    )
    torch.set_num_threads(1)
    return result


def engines() -> list[Engine]:
    """Return all sides of the comparison."""
    listed = [
        Engine("naive", threads, "float32", functools.partial(naive, threads=threads), 8)
        for threads in (1, 2)
    ]
    for name, precision, probe in (
        ("sampled", "float64", 30),
        ("jvp", "float64", 30),
        ("kernel", "float64", 100),
    ):
        for threads in (1, 2):
            walk = functools.partial(grid, method=name, threads=threads, precision=precision)
            listed.append(Engine(name, threads, precision, walk, probe))
    return listed


@functools.cache
def images_by_class() -> list[Tensor]:
    """Return the test images of each class."""
    test = load_split(MNIST, train=False)
    return [test.inputs[test.targets == label] for label in range(10)]


def ends(num_images: int) -> tuple[Tensor, Tensor]:
    """Return sources of the classes 0 to 4 and targets of the classes 5 to 9, evenly mixed."""
    groups = []
    for labels in (range(5), range(5, 10)):
        columns = [images_by_class()[label] for label in labels]
        shortest = min(map(len, columns))
        groups.append(torch.stack([column[:shortest] for column in columns], 1).flatten(0, 1)[:num_images])
    return groups[0], groups[1]


def make_network(architecture: str, state: str) -> nn.Sequential:
    """Return a network, untrained or after two epochs."""
    depth, width = map(int, architecture.split("x"))
    generator = torch.Generator().manual_seed(0)
    network = mlp([784, *[width] * depth, 10], generator)
    if state == "trained":
        mnist = load_images(MNIST)
        images, test = mnist.train, mnist.test
        train(
            network,
            *(images.inputs, images.targets, test.inputs, test.targets),
            recipe=Recipe(epochs=2, learning_rate=1e-3, batch_size=128),
            generator=generator,
            on_epoch=lambda epoch: None,
        )
    return network


def fitting_size(engine: Engine, network: nn.Module) -> int:
    """Return how many images a group make about one measurement."""
    sources, targets = ends(engine.probe)
    engine.walk(network, sources[:2], targets[:2])  # compiles
    duration = min(timed(engine, network, engine.probe) for _ in range(2))
    return max(4, min(4_000, int(engine.probe * (SECONDS_A_MEASUREMENT / duration) ** 0.5)))


def timed(engine: Engine, network: nn.Module, num_images: int) -> float:
    """Return the seconds that an engine takes."""
    sources, targets = ends(num_images)
    start = time.perf_counter()
    engine.walk(network, sources, targets)
    return time.perf_counter() - start


def measure(architecture: str, state: str, sides: list[Engine]) -> Iterator[dict[str, object]]:
    """Yield a row for each engine: best of some rounds in turn."""
    network = make_network(architecture, state)
    sizes = [fitting_size(engine, network) for engine in sides]
    durations = [
        [timed(engine, network, size) for engine, size in zip(sides, sizes, strict=True)]
        for _ in range(NUM_ROUNDS)
    ]
    best = np.min(durations, axis=0)
    for engine, size, duration in zip(sides, sizes, best, strict=True):
        yield {
            "network": architecture,
            "state": state,
            "engine": engine.name,
            "threads": engine.threads,
            "precision": engine.precision,
            "paths_per_s": size * size / duration,
        }


def with_ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the ratios to the better thread count of naive and of sampled."""
    for name in ("naive", "sampled"):
        best = rows[rows["engine"] == name].groupby(["network", "state"])["paths_per_s"].max()
        keys = pd.MultiIndex.from_frame(rows[["network", "state"]])
        rows[f"ratio_to_{name}"] = rows["paths_per_s"].to_numpy() / best.reindex(keys).to_numpy()
    return rows


def scaling(kernel: Engine) -> pd.DataFrame:
    """Return microseconds a path against depth at 60 units, and against width at two layers."""
    rows = []
    for axis, architectures in (("depth", DEPTHS), ("width", WIDTHS)):
        for architecture in architectures:
            depth, width = map(int, architecture.split("x"))
            for state in ("untrained", "trained"):
                (row,) = measure(architecture, state, [kernel])
                size = depth if axis == "depth" else width
                rows.append(
                    {"axis": axis, "size": size, "state": state, "us_a_path": 1e6 / row["paths_per_s"]}
                )
    return pd.DataFrame(rows)


def draw(times: pd.DataFrame, path: Path) -> None:
    """Draw time a path on logarithmic axes, with fitted exponents."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    titles = {"depth": "hidden layers, 60 units", "width": "units a layer, 2 layers"}
    for panel, (axis, title) in zip(panels, titles.items(), strict=True):
        for (state, some), marker in zip(times[times["axis"] == axis].groupby("state"), "os", strict=True):
            x, y = some["size"].to_numpy(float), some["us_a_path"].to_numpy()
            exponent, constant = np.polyfit(np.log(x), np.log(y), 1)
            panel.loglog(x, y, marker, label=f"{state}: exponent {exponent:.2f}")
            panel.loglog(x, np.exp(constant) * x**exponent, "-", color="0.6", zorder=0)
        sizes = sorted(set(times.loc[times["axis"] == axis, "size"]))
        panel.set_xticks(sizes, labels=[str(size) for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel(title)
        panel.legend()
    panels[0].set_ylabel("time a path, both directions (µs)")
    figure.savefig(path, dpi=150)


def main(out: Path) -> None:
    """Measure everything, print the table and write it."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows = []
    for architecture in NETWORKS:
        for state in ("untrained", "trained"):
            rows += measure(architecture, state, engines())
            print(f"  {architecture} {state} measured", flush=True)
    table = with_ratios(pd.DataFrame(rows))
    table.to_csv(out / "bench.csv", index=False, lineterminator="\n")
    print(table.round({"paths_per_s": 0, "ratio_to_naive": 1, "ratio_to_sampled": 1}).to_string(index=False))
    kernel = next(e for e in engines() if (e.name, e.threads, e.precision) == ("kernel", 2, "float64"))
    times = scaling(kernel)
    times.to_csv(out / "bench-scaling.csv", index=False, lineterminator="\n")
    draw(times, out / "bench.png")
    print(f"figure   {out / 'bench.png'}")
