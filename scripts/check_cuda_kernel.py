"""What can be known of the CUDA kernel without a device: its counts, run in numpy, and what ptxas says of it.

    python scripts/check_cuda_kernel.py --paths 5000 --ptxas /usr/local/cuda/bin/ptxas

The counts are compared with the CPU's, on paths between MNIST test images through trained networks. Numpy
takes 2 ms for a path of a 2x30, and some 0.2 s for one of a 10x60.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

import numpy as np
from bench_folding import ends, make_network

from spaceprobe.folding.cuda import launching, toolchain
from spaceprobe.folding.cuda.binding import KERNELS
from spaceprobe.folding.cuda.layout import shared_bytes
from spaceprobe.folding.kernel_walk import walk_mlp_paths
from spaceprobe.folding.layers import mlp_layers

sys.path.append(str(Path(__file__).parents[1]))
from tests.warp_memory import Warps  # the tests are not installed

CAPABILITIES = ((7, 5), (8, 0), (9, 0))


def compare(architecture: str, num_paths: int) -> int:
    """Print and return how many paths differ from the CPU's."""
    network = make_network(architecture, "trained")
    layers, relu_at_end = mlp_layers(network, 2)
    sides = ends(num_paths)
    num_paths = min(map(len, sides))  # the classes of one side have fewer images
    a, b = (side[:num_paths].flatten(1).double().numpy() for side in sides)
    device = Warps()
    launching.Gpu.of = lambda _: device
    left = []
    run = launching._Walks._run
    launching._Walks._run = lambda *given: left.append(found := run(*given)) or found
    found = np.stack(astuple(launching.walk_mlp_paths(layers, relu_at_end, a, b, device="cuda:0")))
    launching._Walks._run = run
    different = int((found != np.stack(astuple(walk_mlp_paths(layers, relu_at_end, a, b)))).any(axis=0).sum())
    print(
        f"{architecture}: {different} of {len(a)} paths differ, {sum(map(len, left))} were left to the CPU",
        flush=True,
    )
    return different


def resources(ptxas: str) -> None:
    """Print registers, spills and shared memory of the kernels."""
    for kernel in KERNELS:
        for major, minor in CAPABILITIES:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "kernel.ptx"
                path.write_text(toolchain.ptx(kernel, (major, minor)))
                arch = [f"-arch=sm_{major}{minor}", f"-maxrregcount={toolchain.MAX_REGISTERS}"]
                command = [ptxas, "-v", *arch, path, "-o", path.with_suffix(".cubin")]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            facts = re.findall(r"\d+ bytes spill stores|Used \d+ registers", told)
            print(f"{kernel} sm_{major}{minor}: {', '.join(facts)}", flush=True)
    for capacity in launching.CAPACITIES:
        print(
            f"{capacity} flips, layers of up to 32 units: {shared_bytes(capacity, 32)} bytes of shared memory"
        )


def main() -> None:
    """Compare, and ask ptxas."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=["2x30", "6x10", "2x64", "10x60"])
    parser.add_argument("--paths", type=int, default=5_000)
    parser.add_argument("--ptxas", help="of CUDA 13 or newer; without it, only counts are compared")
    given = parser.parse_args()
    if given.ptxas:
        resources(given.ptxas)
    sys.exit(1 if sum(compare(architecture, given.paths) for architecture in given.networks) else 0)


if __name__ == "__main__":
    main()
