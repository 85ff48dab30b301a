"""Judge every rank rule by the functional rank: how many components a layer turned out to need.

Read the tables of finished studies and print one in Markdown, best rule first: the root mean square of
log(rank / functional rank) with its bias, for all layers, by their size and by study; and how much worse a
rule is than the best, with a 95 % interval by the bootstrap over runs. Only trained layers count (the last
epoch of each run) with a valid functional rank, where every rule is valid; a run of two studies counts once.

Run: python scripts/rank_rules.py results/lmd-ranks results/lmd-activations results/depth-sweep
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from spaceprobe import read_tables
from spaceprobe.tables.states import last_epochs

LAYER = ["run", "epoch", "layer"]
SIZES = {"up to 24 components": (1, 24), "25 to 50": (25, 50), "more": (51, 10**9)}
NUM_RESAMPLES = 2000


def log_errors(folders: list[Path]) -> pd.DataFrame:
    """Return log(rank / functional rank), a row a layer and a column a rule; a rank of 0 counts as 1.

    The index holds study, run, layer and the layer's number of components.
    """
    frames = []
    for folder in folders:
        tables = read_tables(folder)
        layers = tables["lmd_layers"].drop_duplicates(LAYER)
        sizes = layers[LAYER].assign(size=layers[["num_outputs", "num_inputs"]].min(axis=1))
        ranks = tables["lmd_ranks"].merge(sizes, on=LAYER).assign(study=folder.name)
        frames.append(last_epochs(ranks).query("epoch > 0 and valid"))
    ranks = pd.concat(frames).drop_duplicates([*LAYER, "rule"])
    wide = ranks.pivot_table(values="rank", index=["study", "size", *LAYER], columns="rule").dropna()
    logs = np.log(wide.clip(lower=1))
    return logs.drop(columns="functional").sub(logs["functional"], axis=0)


def rms(errors: pd.DataFrame) -> pd.Series:
    """Return the root mean square of each rule's errors."""
    return np.sqrt((errors**2).mean())


def excess(errors: pd.DataFrame) -> pd.DataFrame:
    """Return how much larger each rule's RMS is than the best rule's, with a 95 % interval over runs."""
    best = rms(errors).idxmin()
    runs = errors.index.get_level_values("run")
    sums = (errors**2).groupby(runs).sum().to_numpy()
    counts = errors.groupby(runs).size().to_numpy()
    draws = np.random.default_rng(0).integers(len(counts), size=(NUM_RESAMPLES, len(counts)))
    drawn = np.sqrt(sums[draws].sum(axis=1) / counts[draws].sum(axis=1)[:, None])
    differences = drawn - drawn[:, [errors.columns.get_loc(best)]]
    low, high = np.quantile(differences, [0.025, 0.975], axis=0)
    return pd.DataFrame({"low": low, "high": high}, index=errors.columns)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", type=Path, help="folders of results with lmd_ranks.csv")
    errors = log_errors(parser.parse_args().studies)
    size, study = (errors.index.get_level_values(name) for name in ("size", "study"))
    groups = {"all": errors}
    groups |= {title: errors[(size >= low) & (size <= high)] for title, (low, high) in SIZES.items()}
    groups |= {name: errors[study == name] for name in dict.fromkeys(study)}
    titles = [f"{title} ({len(group)} layers)" for title, group in groups.items()]
    titles.insert(1, "worse than the best by")
    print("| rule | " + " | ".join(titles) + " |")
    print("| --- |" + " --- |" * len(titles))
    intervals = excess(errors)
    for rule in rms(errors).sort_values().index:
        cells = [f"{rms(group)[rule]:.2f} (×{np.exp(group[rule].mean()):.2f})" for group in groups.values()]
        cells.insert(1, f"{intervals.loc[rule, 'low']:.2f} to {intervals.loc[rule, 'high']:.2f}")
        print(f"| {rule} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
