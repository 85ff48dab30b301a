"""Every engine on a CUDA device: whether its counts are the CPU's, how fast it is, and the arithmetic floor.

`make bench-cuda` runs it, in less than four minutes on one device. It exits with 1 if a count differs. The
floor is the time that the multiply-adds of the kernel's walks alone would take at the device's rate.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from bench_folding import ends, make_network

from spaceprobe.folding import CountedFolding, fold_grid
from spaceprobe.folding.cuda.capability import FULL_RATE
from spaceprobe.folding.cuda.toolchain import check_compiles_for
from spaceprobe.machine.cuda_errors import CudaError

NETWORKS = ("2x30", "3x20", "6x10", "2x300", "10x60")
IMAGES = {"2x30": 1_000, "3x20": 1_000, "6x10": 1_000, "2x300": 142, "10x60": 142}  # 10^6 or 20,000 paths
FAST_IMAGES = {"2x30": 4_000, "3x20": 3_000, "6x10": 3_000, "2x300": 1_000, "10x60": 600}  # chosen: a second
FEW_IMAGES = 40  # of the engines for any module; chosen: seconds
NUM_ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """A grid's folding and the best time of some rounds, in seconds; the first round compiles."""

    folding: CountedFolding
    duration_s: float


def timed(fold: Callable[[], CountedFolding], num_rounds: int) -> Timed:
    """Return the folding and the best of the rounds after the first."""
    folding = fold()
    durations = []
    for _ in range(num_rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        fold()
        torch.cuda.synchronize()
        durations.append(time.perf_counter() - start)
    return Timed(folding, min(durations))


def num_different(found: CountedFolding, expected: CountedFolding) -> int:
    """Return how many paths, and maxima of rows, are counted differently."""
    total = 0
    for name in ("chi", "peak", "chi_back", "peak_back"):
        one, other = getattr(found, name), getattr(expected, name)
        counts = [{(a, b): n for a, b, n in side.cells.tolist()} for side in (one, other)]
        total += sum(abs(counts[0].get(key, 0) - counts[1].get(key, 0)) for key in {*counts[0], *counts[1]})
        total += int((one.row_max != other.row_max).sum())
    return total


def multiply_adds(architecture: str, mean_length: float) -> float:
    """Return the multiply-adds of a walk by the kernel, with flips spread evenly over the layers.

    Each layer takes two for every unit at every knot above it, and one for every active weight (half of
    them) of its first slopes; from the third layer on, one for every active weight at every knot, too.
    """
    depth, width = map(int, architecture.split("x"))
    padded = -(-width // 32) * 32
    total = 0.0
    for layer in range(1, depth):
        knots = mean_length * layer / depth
        products = 1 + (knots if layer > 1 else 0)
        total += 2 * knots * padded + products * padded * width / 2
    return total


def rate(properties: object, clock_hz: float) -> float:
    """Return the float64 multiply-adds a second: 64 a cycle and multiprocessor at full rate, else 2."""
    capability = (properties.major, properties.minor)
    per_cycle = {(6, 0): 32, (7, 0): 32, (8, 0): 32}.get(capability, 64 if capability in FULL_RATE else 2)
    return properties.multi_processor_count * per_cycle * clock_hz


def max_clock_hz() -> float:
    """Return the clock that nvidia-smi names as the highest of the multiprocessors."""
    query = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits", "--id=0"]
    return float(subprocess.run(query, capture_output=True, text=True, check=True).stdout) * 1e6


def main() -> None:
    """Print a line for each network and engine."""
    if not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device, and this measures one; `make bench` measures the CPU")
    properties = torch.cuda.get_device_properties(0)
    try:
        check_compiles_for(properties.name, (properties.major, properties.minor))
    except CudaError as error:
        sys.exit(str(error))
    speed = rate(properties, max_clock_hz())
    print(f"{properties.name}, sm_{properties.major}{properties.minor}, torch {torch.__version__}")
    print(f"{'network':8}{'state':11}{'engine':11}{'paths':>10}{'different':>11}{'walks/s':>15}{'floor':>15}")
    total = 0
    for architecture in NETWORKS:
        for state in ("untrained", "trained"):
            network = make_network(architecture, state)
            for engine in ("kernel", "jvp", "layerwise", "sampled"):
                is_kernel = engine == "kernel"
                a, b = ends(IMAGES[architecture] if is_kernel else FEW_IMAGES)
                expected = fold_grid(network, a, b, method="sampled" if engine == "sampled" else "exact")
                found = fold_grid(network, a, b, method=engine, device="cuda")
                different = num_different(found, expected)
                total += different
                more = ends(FAST_IMAGES[architecture]) if is_kernel else (a, b)
                walk = partial(fold_grid, network, *more, method=engine, device="cuda")
                best = timed(walk, NUM_ROUNDS if is_kernel else 1)
                floor = ""
                if is_kernel:
                    lengths, numbers = best.folding.chi.cells[:, 0], best.folding.chi.cells[:, 2]
                    mean_length = float(np.average(lengths, weights=numbers))
                    floor = f"{speed / multiply_adds(architecture, mean_length):,.0f}"
                walks = len(more[0]) * len(more[1]) / best.duration_s
                line = f"{architecture:8}{state:11}{engine:11}{len(a) * len(b):10,}{different:11,}"
                print(f"{line}{walks:15,.0f}{floor:>15}", flush=True)
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
