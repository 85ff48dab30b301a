"""Judges every rank rule by the functional rank: how many components a layer turned out to need.

Reads the tables of finished studies and prints one in Markdown, best rule first: the root mean square of
log(rank / functional rank) with the bias, for all layers and by their size. Only trained layers count (the
last epoch of each run), and only those whose functional rank is valid.

Run: python scripts/rank_rules.py results/lmd-ranks results/lmd-activations results/depth-sweep
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from spaceprobe import read_tables

KEY = ["study", "run", "epoch", "layer"]
SIZES = {(1, 24): "up to 24 components", (25, 50): "25 to 50", (51, 10**9): "more"}


def trained_ranks(folders: list[Path]) -> pd.DataFrame:
    """Returns the ranks of every layer at the last epoch of its run, by rule."""
    frames = []
    for folder in folders:
        tables = read_tables(folder)
        layers = tables["lmd_layers"].drop_duplicates(["run", "epoch", "layer"])
        sizes = layers[["num_outputs", "num_inputs"]].min(axis=1)
        ranks = tables["lmd_ranks"].assign(study=folder.name)
        ranks = ranks.merge(layers[["run", "epoch", "layer"]].assign(size=sizes))
        last = ranks.groupby("run")["epoch"].transform("max")
        frames.append(ranks[(ranks["epoch"] == last) & (ranks["epoch"] > 0)])
    return pd.concat(frames, ignore_index=True)


def judged(ranks: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a rule, best first: num_layers where it is valid, bias and RMS of its error.

    The error of a layer is log(rank / functional rank), with a rank of 0 counted as 1; ``bias`` is e to
    its mean.
    """
    measured = ranks[(ranks["rule"] == "functional") & ranks["valid"]]
    needed = measured.set_index(KEY)["rank"].clip(lower=1)
    rules = ranks[(ranks["rule"] != "functional") & ranks["valid"]].set_index(KEY)
    rules = rules[rules.index.isin(needed.index)]
    error = np.log(rules["rank"].clip(lower=1)) - np.log(needed.reindex(rules.index))
    table = error.groupby(rules["rule"]).agg(
        num_layers="count",
        bias=lambda errors: math.exp(errors.mean()),
        rms=lambda errors: math.sqrt((errors**2).mean()),
    )
    return table.sort_values("rms")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", type=Path, help="folders of results with lmd_ranks.csv")
    ranks = trained_ranks(parser.parse_args().studies)
    groups = {"all": ranks}
    for (low, high), title in SIZES.items():
        groups[title] = ranks[ranks["size"].between(low, high)]
    tables = {title: judged(some) for title, some in groups.items()}
    counts = {title: table["num_layers"].max() for title, table in tables.items()}
    print("| rule | " + " | ".join(f"{title} ({count} layers)" for title, count in counts.items()) + " |")
    print("| --- |" + " --- |" * len(tables))
    for rule in tables["all"].index:
        cells = [f"{t.loc[rule, 'rms']:.2f} (×{t.loc[rule, 'bias']:.2f})" for t in tables.values()]
        print(f"| {rule} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
