"""All 10^8 directed paths of one 2x30: every pair of images of the MNIST test set; time and peak memory."""

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import torch
from bench_folding import images_by_class, make_network

from spaceprobe.folding import fold_grid


def main() -> None:
    """Fold all class pairs of a trained 2x30 and print what it took."""
    # Trained elsewhere: what counts here is the memory of folding.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        network = pool.submit(make_network, "2x30", "trained").result()
    classes = images_by_class()
    fold_grid(network, classes[0][:2], classes[1][:2])  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    num_paths = num_violations = 0
    start = time.perf_counter()
    for source in range(10):
        for target in range(source, 10):
            same = source == target
            found = fold_grid(network, classes[source], None if same else classes[target])
            num_paths += found.num_paths * (1 if same else 2)
            num_violations += found.num_violations
    duration = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"2x30, all {num_paths:,} directed paths of the MNIST test set, exact")
    print(f"  {duration:.1f} s, {num_paths / duration / 1e6:.2f} M directed paths/s")
    print(f"  peak memory {peak / 1024:.0f} MB, of which {before / 1024:.0f} MB before the first path")
    print(f"  {num_violations} violations of the region check")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
