"""`make bench`: both sides of every speed claim, measured in one run."""

import argparse
from pathlib import Path

import bench_folding
import bench_training


def main() -> None:
    """Run all benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), help="where bench.csv and bench.png go")
    out = parser.parse_args().out
    bench_training.main()
    bench_folding.main(out)


if __name__ == "__main__":
    main()
