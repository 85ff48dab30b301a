"""How the sampled χ approaches the exact one with the number of points: scripts/figures/sampling.png.

Trained 2x30 and 10x60 (two epochs), the same paths between MNIST test images of different classes for every
number of points. It shows the share of the linear regions that the points meet, and the mean of χ over its
exact value.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from bench_folding import ends, make_network

from spaceprobe.folding import Method, PathFolding, space_folding, trace_path, walk_paths

mpl.use("Agg")
import matplotlib.pyplot as plt

OUT = Path(__file__).parent / "figures" / "sampling.png"
NUM_POINTS = (10, 20, 50, 100, 200, 500, 1_000, 2_000)
NUM_PATHS = 1_000
NUM_TRACED = 40  # regions are counted path by path, which takes longer
NETWORKS = {"2x30": "o", "10x60": "s"}


def mean_chi(folding: PathFolding) -> float:
    """Return the mean of χ over paths, read from their starts."""
    return float(space_folding(folding.length, folding.reach_from_a).mean())


def num_regions(
    network: torch.nn.Module, a: torch.Tensor, b: torch.Tensor, method: Method, num: int
) -> float:
    """Return the mean number of linear regions seen along the first paths."""
    traces = (
        trace_path(network, start, end, method=method, num_points=num)
        for start, end in zip(a[:NUM_TRACED], b[:NUM_TRACED], strict=True)
    )
    return float(np.mean([1 + np.count_nonzero(np.diff(trace.length)) for trace in traces]))


def main() -> None:
    """Measure, print a table and draw it."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    sources, targets = ends(2_000)
    chosen = generator.integers(0, 2_000, (2, NUM_PATHS))
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharex=True)
    for architecture, marker in NETWORKS.items():
        network = make_network(architecture, "trained")
        a, b = sources[chosen[0]], targets[chosen[1]]
        exact, all_regions = walk_paths(network, a, b), num_regions(network, a, b, "jvp", 2)
        seen, chi = [], []
        for num_points in NUM_POINTS:
            sampled = walk_paths(network, a, b, method="sampled", num_points=num_points)
            seen.append(num_regions(network, a, b, "sampled", num_points) / all_regions)
            chi.append(mean_chi(sampled) / mean_chi(exact))
            print(f"{architecture} {num_points:6d} points: {seen[-1]:.3f} of regions, {chi[-1]:.3f} of χ")
        print(f"{architecture}  exact: {all_regions:.1f} regions, χ {mean_chi(exact):.4f}", flush=True)
        for panel, values in zip(panels, (seen, chi), strict=True):
            panel.semilogx(NUM_POINTS, values, marker=marker, label=architecture)
    for panel, label in zip(panels, ("share of linear regions seen", "mean χ, sampled / exact"), strict=True):
        panel.axhline(1, color="0.5", linewidth=0.8)
        panel.set(xlabel="points a path", ylabel=label, ylim=(0, 1.05))
        panel.legend()
    figure.savefig(OUT, dpi=150, metadata={"Software": None})
    print(f"figure   {OUT}")


if __name__ == "__main__":
    main()
