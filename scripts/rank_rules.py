"""Judges every rank rule by the functional rank: how many components a layer turned out to need.

Reads the lmd_ranks.csv of finished studies and prints a Markdown table, best rule first. Only trained
layers count (the last epoch of each run), and only those whose functional rank is valid.

Run: python scripts/rank_rules.py results/depth-sweep results/lmd-activations
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from spaceprobe import read_tables

KEY = ["study", "run", "epoch", "layer"]


def trained_ranks(folders: list[Path]) -> pd.DataFrame:
    """Returns the ranks of every layer at the last epoch of its run, by rule."""
    frames = []
    for folder in folders:
        ranks = read_tables(folder)["lmd_ranks"].assign(study=folder.name)
        last = ranks.groupby("run")["epoch"].transform("max")
        frames.append(ranks[(ranks["epoch"] == last) & (ranks["epoch"] > 0)])
    return pd.concat(frames, ignore_index=True)


def judged(ranks: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Returns one row a rule, best first, and the number of layers.

    The error of a layer is log(rank / functional rank), with a rank of 0 counted as 1. ``bias`` is e to its
    mean, ``rms`` its root mean square, both over the layers where the rule is valid.
    """
    measured = ranks[(ranks["rule"] == "functional") & ranks["valid"]]
    needed = measured.set_index(KEY)["rank"].clip(lower=1)
    rules = ranks[(ranks["rule"] != "functional") & ranks["valid"]].set_index(KEY)
    rules = rules[rules.index.isin(needed.index)]
    error = np.log(rules["rank"].clip(lower=1)) - np.log(needed.reindex(rules.index))
    table = error.groupby(rules["rule"]).agg(
        bias=lambda errors: math.exp(errors.mean()),
        rms=lambda errors: math.sqrt((errors**2).mean()),
        layers="count",
    )
    return table.sort_values("rms").reset_index(), len(needed)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", type=Path, help="folders of results with lmd_ranks.csv")
    table, num_layers = judged(trained_ranks(parser.parse_args().studies))
    print(f"{num_layers} trained layers with a functional rank\n")
    print("| rule | bias | RMS log error | layers where valid |")
    print("| --- | --- | --- | --- |")
    for row in table.itertuples():
        print(f"| {row.rule} | ×{row.bias:.2f} | {row.rms:.2f} | {row.layers} |")


if __name__ == "__main__":
    main()
