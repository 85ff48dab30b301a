"""Engines 1 and 2 on a CUDA device: paths per second, and how often a path differs from the CPU's."""

import time
from dataclasses import astuple

import numpy as np
import torch
from bench_folding import NETWORKS, ends, make_network

from spaceprobe.folding import PathFolding, fold_grid, walk_paths

NUM_ROUNDS = 3
NUM_IMAGES = {"2x30": 2_000, "6x10": 2_000, "2x300": 500, "10x60": 500}  # chosen: seconds a grid
NUM_COMPARED = 20_000


def timed(network: torch.nn.Module, method: str, num_images: int) -> float:
    """Return the seconds of a grid of paths on the device."""
    sources, targets = ends(num_images)
    torch.cuda.synchronize()
    start = time.perf_counter()
    fold_grid(network, sources, targets, method=method, device="cuda")
    torch.cuda.synchronize()
    return time.perf_counter() - start


def paths_per_second(network: torch.nn.Module, architecture: str, method: str) -> float:
    """Return the best of some rounds on a grid that fills the device."""
    num_images = NUM_IMAGES[architecture]
    timed(network, method, num_images)
    return num_images**2 / min(timed(network, method, num_images) for _ in range(NUM_ROUNDS))


def num_different(found: PathFolding, expected: PathFolding) -> int:
    """Return how many paths differ in length, a reach, or a peak."""
    pairs = zip(astuple(found), astuple(expected), strict=True)
    return int(np.any([a != b for a, b in pairs], axis=0).sum())


def main() -> None:
    """Print a table."""
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}")
    print(
        f"{'network':8}{'state':11}{'sampled /s':>12}{'jvp /s':>12}{'jvp differs':>13}{'sampled differs':>17}"
    )
    generator = np.random.default_rng(0)
    sources, targets = ends(2_000)
    for architecture in NETWORKS:
        for state in ("untrained", "trained"):
            network = make_network(architecture, state)
            speeds = [paths_per_second(network, architecture, method) for method in ("sampled", "jvp")]
            chosen = generator.integers(0, 2_000, (2, NUM_COMPARED if "60" not in architecture else 2_000))
            a, b = sources[chosen[0]], targets[chosen[1]]
            cpu = walk_paths(network, a, b)
            jvp = walk_paths(network, a, b, device="cuda")
            few = slice(None, 2_000)
            sampled = [
                walk_paths(network, a[few], b[few], method="sampled", device=device)
                for device in ("cpu", "cuda")
            ]
            print(
                f"{architecture:8}{state:11}{speeds[0]:12,.0f}{speeds[1]:12,.0f}"
                f"{f'{num_different(jvp, cpu)} of {len(a)}':>13}{f'{num_different(*sampled)} of 2000':>17}",
                flush=True,
            )


if __name__ == "__main__":
    main()
