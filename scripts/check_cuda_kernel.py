"""What can be known of the CUDA kernel without a device.

    python scripts/check_cuda_kernel.py --paths 5000 --resources --predict

Its counts, compiled for the CPU (`tests.compiled_warps`): against rational arithmetic on every degenerate
case, and against the CPU's walk on paths between MNIST test images through trained networks. With
``--resources`` also registers, spills, shared memory and warps at a time. With ``--predict`` how many
instructions a walk takes, and so how many walks a second an H100 can do at most: what happens on a walk is
counted, in numpy, and multiplied by the instructions of each event in the machine code.
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_folding import ends, make_network
from torch import nn

from spaceprobe.folding.cuda import launching, toolchain
from spaceprobe.folding.cuda.binding import KERNELS, bind
from spaceprobe.folding.cuda.lanes import LANES
from spaceprobe.folding.cuda.layout import TILE, num_floats, num_integers, shared_bytes
from spaceprobe.folding.kernel_walk import walk_mlp_paths
from spaceprobe.folding.layers import mlp_layers

sys.path.append(str(Path(__file__).parents[1]))
from tests import warp_memory  # the tests are not installed
from tests.compiled_warps import CompiledWarps
from tests.degenerate_networks import degenerate_cases
from tests.rational_oracle import fold_exactly

CAPABILITIES = {(7, 5): (64 * 1024, 16), (8, 0): (164 * 1024, 32), (9, 0): (228 * 1024, 32)}
"""Shared memory of a multiprocessor, and how many blocks it takes (CUDA C++ Programming Guide, "Technical
Specifications per Compute Capability")."""

INSTRUCTIONS = {
    "paths": 1_700,
    "layers": 520,
    "groups of a layer": 188,
    "knots": 56,
    "knots with flips": 160,
    "knots from the third layer on": 10,
    "knots whose jumps are kept": 31,
    "tiles of the second layer": 146,
    "tiles of the layers behind it": 164,
    "masks of a tile": 183,
    "sources of a tile": 36,
    "new jumps": 24,
    "weights of first slopes": 24,
    "weights of four first slopes": 36,
    "chunks of flips": 149,
    "chunks of knots": 129,
    "comparisons of times": 23,
    "comparisons of places": 22,
    "steps read": 40,
}
"""Of a warp for each event. Read from the loops of walk_grid for sm_90 with 96 registers (ptxas 13.0);
unrolled loops divided by their factor. Those of paths and layers are what stands outside of loops."""

GOALS = {"2x30": 50e6, "2x300": 2e6, "10x60": 1e6}
"""Walks a second on an H100."""

SWEEP = ("2x30", "3x20", "4x15", "5x12", "6x10")
"""Networks of the depth sweep, each with `SWEEP_SEEDS`, untrained and trained."""

SWEEP_SEEDS = 5

SWEEP_IMAGES = 1_000
"""Of a class: the whole test set has about as many of each."""

SWEEP_CLASSES = 10

COMPILING_S = 10.0
"""Once a process. Assumed: what it takes on a CPU without a device, numba's part and NVVM's."""

SWEEP_GOAL_S = 60.0

PREDICTED = tuple(dict.fromkeys((*SWEEP, *GOALS)))
"""Networks whose walks are predicted: small ones first."""

PROCESSORS = 132
"""Multiprocessors of an H100 SXM."""

READS_A_SECOND = PROCESSORS * 1.755e9
"""Of shared memory by a warp: one a cycle of the boost clock."""

ISSUED_A_SECOND = 4 * READS_A_SECOND
"""Instructions, by four schedulers a multiprocessor."""

CYCLES = 10
"""From one instruction of a warp to the next, on average. Assumed: a dependent one takes 4 at the least, from
shared memory or in float64 several times that, from global memory up to some hundreds."""

MEMORY_RATE = 3.35e12
"""Bytes a second of an H100 SXM's memory."""

FEW_PATHS = 10  # whose events are counted; chosen: numpy takes half a second for one of a 10x60


def use(device: Any) -> None:
    """Let the launching run on a stand-in for a device."""
    launching.Gpu.of = lambda _: device


def left_by(walk: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a walk returns, and how many paths were left to the CPU."""
    left = []
    run = launching._Walks._run
    launching._Walks._run = lambda *given: left.append(found := run(*given)) or found
    try:
        return walk(), sum(map(len, left))
    finally:
        launching._Walks._run = run


def compare_with_rationals() -> int:
    """Print and return how many degenerate cases differ from rational arithmetic."""
    different = num_left = num_cases = 0
    for case in degenerate_cases():
        layers, a, b = case.arrays()
        given = (layers, case.relu_at_end, a[None], b[None])
        found, left = left_by(lambda given=given: launching.walk_mlp_paths(*given, device="cuda:0"))
        values = tuple(int(column[0]) for column in astuple(found))[:-1]
        different += values != astuple(fold_exactly(case.layers, case.relu_at_end, case.a, case.b))
        num_left += left
        num_cases += 1
    print(f"degenerate cases: {different} of {num_cases} differ, {num_left} were left to the CPU", flush=True)
    return different


def compare(architecture: str, num_paths: int) -> int:
    """Print and return how many paths differ from the CPU's."""
    layers, relu_at_end = mlp_layers(make_network(architecture, "trained"), 2)
    a, b = paths_between(num_paths)
    given = (layers, relu_at_end, a, b)
    found, left = left_by(lambda: launching.walk_mlp_paths(*given, device="cuda:0"))
    expected = np.stack(astuple(walk_mlp_paths(*given)))
    different = int((np.stack(astuple(found)) != expected).any(axis=0).sum())
    print(f"{architecture}: {different} of {len(a)} paths differ, {left} were left to the CPU", flush=True)
    return different


def paths_between(num_paths: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ends of paths: each image of one side with one of the other, round by round another."""
    sides = [side.flatten(1).double().numpy() for side in ends(min(num_paths, 4_000))]
    number = np.arange(num_paths)
    sizes = [len(side) for side in sides]
    return sides[0][number % sizes[0]], sides[1][(number + number // sizes[0]) % sizes[1]]


def resources() -> None:
    """Print registers, spills and shared memory of the kernels, and warps at a time."""
    warnings.simplefilter("ignore")  # numba-cuda's own
    for kernel in KERNELS:
        for major, minor in CAPABILITIES:
            text = toolchain.ptx(kernel, (major, minor))
            for limit in (toolchain.FEW_REGISTERS, toolchain.MANY_REGISTERS, 255):
                taken = toolchain.resources(text, (major, minor), limit)
                facts = f"{taken.registers} registers of at most {limit}, {taken.spilled} bytes spilled"
                print(f"{kernel} sm_{major}{minor}: {facts}", flush=True)
    for capacity in launching.CAPACITIES:
        shared = shared_bytes(capacity)
        print(f"{capacity} flips: {shared} bytes of shared memory a warp")
        for (major, minor), (of_processor, most_blocks) in CAPABILITIES.items():
            registers, warps = toolchain.occupancy(shared, of_processor, most_blocks)
            print(f"  sm_{major}{minor}: {warps} warps a multiprocessor, of {registers} registers at most")


def count_events(network: nn.Module, num_paths: int) -> tuple[Counter[str], int]:
    """Return how often each event of `INSTRUCTIONS` happens on some paths together, and the longest of 64."""
    events: Counter[str] = Counter()
    inside = [""]
    own_bind = bind

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            before, inside[0] = inside[0], name
            result = function(*given)
            inside[0] = before
            if not (name == "new_jump" and before == "first_jumps"):
                _note(events, name, given, result)
            return result

        return noted

    def bound(kernel: str, primitives: dict[str, Any]) -> Any:
        def lowest(bits: int) -> int:  # once for each unit that is read
            if inside[0] == "sum_jumps":
                events["sources of a tile"] += 1
            return primitives["lowest"](bits)

        return own_bind(kernel, {**primitives, "lowest": lowest}, noting)

    warp_memory.bind = bound
    try:
        use(warp_memory.Warps())
        layers, relu_at_end = mlp_layers(network, 2)
        launching.walk_mlp_paths(layers, relu_at_end, *paths_between(num_paths), device="cuda:0")
    finally:
        warp_memory.bind = own_bind
    compared = launching.NUM_COMPARED**2  # by which the launching chooses the memory
    return events, int(walk_mlp_paths(layers, relu_at_end, *paths_between(compared)).length.max())


def _note(events: Counter[str], name: str, given: tuple[Any, ...], result: Any) -> None:
    if name == "walk_path":
        events["paths"] += 1
        events["layers"] += given[0].depth - 1
    elif name == "start_slopes":
        net, _, layer, a, image = given
        first = image * net.num_groups
        states = a.states[first + net.group_start[layer - 1] : first + net.group_start[layer]]
        num_active = sum(int(bits).bit_count() for bits in states)
        fours, ones = divmod(int(net.groups[layer]), 4)
        events["weights of four first slopes"] += num_active * fours
        events["weights of first slopes"] += num_active * ones
    elif name == "sweep":
        net, work, layer, num_knots = given[:4]
        num_new, groups = result[0], int(net.groups[layer])
        # flips between the same two knots, in one group, are found at once
        marks = work.integers[work.raw_mark :][: max(num_new, 0)].tolist()
        events["groups of a layer"] += groups
        events["knots"] += groups * (num_knots + 1)
        events["knots with flips"] += len({(mark >> 16, (mark & 0xFFFF) >> 2 >> 5) for mark in marks})
        events["knots from the third layer on"] += groups * num_knots if layer > 1 else 0
        events["knots whose jumps are kept"] += groups * num_knots if layer + 1 < net.depth else 0
    elif name == "merge_flips":
        _, num_knots, num_new, _ = given
        of_knots, of_flips = -(-num_knots // LANES), -(-num_new // LANES)
        events["chunks of knots"] += of_knots
        events["chunks of flips"] += of_flips
        events["comparisons of places"] += num_new * of_knots
        events["comparisons of times"] += num_new * of_flips
    elif name == "sum_jumps":
        events["tiles of the layers behind it"] += 1
        events["masks of a tile"] += int(given[0].groups[given[2] - 1])
    elif name == "read_walk":
        events["steps read"] += given[1]
    elif name in ("first_jumps", "new_jump"):
        events[{"first_jumps": "tiles of the second layer", "new_jump": "new jumps"}[name]] += 1


def predict(architecture: str) -> list[float]:
    """Print what a walk takes and return the walks a second that are expected, untrained and trained."""
    rates = []
    for state in ("untrained", "trained"):
        events, longest = count_events(make_network(architecture, state), FEW_PATHS)
        parts = {name: number * INSTRUCTIONS[name] / events["paths"] for name, number in events.items()}
        total = sum(parts.values())
        depth, width = map(int, architecture.split("x"))
        row = -(-width // LANES) * LANES
        capacity = min((c for c in launching.CAPACITIES if c >= longest), default=launching.CAPACITIES[-1])
        registers, warps = toolchain.occupancy(shared_bytes(capacity), *CAPABILITIES[9, 0])
        of_warp = 8 * (num_floats(capacity, row, depth) + num_integers(capacity, row, depth))
        warps = min(warps, launching.SCRATCH_LIMIT // of_warp // PROCESSORS)
        most = ISSUED_A_SECOND / total
        print(f"{architecture} {state}: {total:,.0f} instructions a walk, so at most", end=" ")
        print(f"{most / 1e6:,.1f} M walks a second on an H100; the longest of", end=" ")
        print(f"{launching.NUM_COMPARED**2} paths has {longest} flips")
        expected = most * min(1.0, warps / (4 * CYCLES))
        rates.append(expected)
        print(f"  memory for {capacity} flips: {warps} warps of {registers} registers, so", end=" ")
        print(f"{expected / 1e6:,.2f} M at {CYCLES} cycles an instruction", end="")
        if (goal := GOALS.get(architecture)) is not None:
            print(f"; the goal {goal / 1e6:g} M allows {warps * most / (4 * goal):.1f}", end="")
        print()
        # each kept jump is written, and read by all groups of the layer below
        rows = events["knots whose jumps are kept"] + TILE * events["masks of a tile"]
        num_bytes = 8 * LANES * rows / events["paths"]
        reads = TILE * events["sources of a tile"] / events["paths"]
        if num_bytes:
            print(f"  {num_bytes / 1e3:,.0f} KB of jumps, so at most", end=" ")
            print(f"{MEMORY_RATE / num_bytes / 1e6:,.1f} M from memory; {reads:,.0f} reads of", end=" ")
            print(f"shared memory for sums, so at most {READS_A_SECOND / reads / 1e6:,.1f} M")
        for name in sorted(parts, key=lambda name: -parts[name])[:4]:
            each = events[name] / events["paths"]
            print(f"  {parts[name] / total:4.0%}  {name}: {each:,.0f} x {INSTRUCTIONS[name]}", flush=True)
    return rates


def predict_sweep(rates: Iterable[list[float]]) -> None:
    """Print how long the depth sweep folds the whole test set.

    Args:
        rates: walks a second through each of `SWEEP`, untrained and trained.
    """
    of_seed = [rate for states in rates for rate in states]
    num_networks = len(of_seed) * SWEEP_SEEDS
    num_images = SWEEP_CLASSES * SWEEP_IMAGES
    num_walks = num_images * (num_images - 1) // 2
    num_calls = num_networks * SWEEP_CLASSES * (SWEEP_CLASSES + 1) // 2  # a call for two classes, or for one
    walking = SWEEP_SEEDS * sum(num_walks / rate for rate in of_seed)
    rest = SWEEP_GOAL_S - walking - COMPILING_S
    print(f"depth sweep, whole test set: {num_networks} networks of {num_walks:,} walks,", end=" ")
    print(f"{num_networks * num_walks:.2g} in all: {walking:.0f} s of walks,", end=" ")
    print(f"{COMPILING_S:g} s of compiling; of {SWEEP_GOAL_S:g} s there remain {rest:.0f}, which is", end=" ")
    print(f"{1e3 * rest / num_calls:.0f} ms for each of {num_calls:,} calls")


def main() -> None:
    """Assemble, predict and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=["2x30", "6x10", "2x64", "10x60"])
    parser.add_argument("--paths", type=int, default=5_000)
    parser.add_argument("--resources", action="store_true", help="registers, spills and shared memory")
    parser.add_argument("--predict", nargs="*", choices=PREDICTED, help="networks whose events are counted")
    given = parser.parse_args()
    torch.set_num_threads(1)  # two wait for each other in small networks' training where the machine is busy
    if given.resources:
        resources()
    chosen = PREDICTED if given.predict == [] else given.predict or ()
    rates = {architecture: predict(architecture) for architecture in chosen}
    if rates.keys() >= {*SWEEP}:
        predict_sweep(rates[architecture] for architecture in SWEEP)
    use(CompiledWarps())
    different = compare_with_rationals() if given.networks else 0
    sys.exit(1 if different + sum(compare(name, given.paths) for name in given.networks) else 0)


if __name__ == "__main__":
    main()
