"""A small study's tables for the tests of figures, as pandas reads them from CSVs."""

import io

import numpy as np
import pandas as pd

import spaceprobe.report.figures as figures
from spaceprobe.analysis.null_columns import NULL_RESPONSES
from spaceprobe.report.figures.depth import RESPONSES
from spaceprobe.report.figures.training import CURVES
from spaceprobe.results.readings import DECLARED
from spaceprobe.tables.states import STATES

CRITERIA = ("gradient_ratio", "drift", "subspace_sine", "log_loss_change")
EPOCHS = (0, 3)


def make_tables(architectures=("2x6", "3x4"), seeds=(0, 1, 2), **swept):
    """Return the tables by name of runs over architectures, seeds and at most one further setting."""
    rng = np.random.default_rng(7)
    name, values = next(iter(swept.items()), ("", (None,)))
    runs, rows = [], {table: [] for table in (*TABLES, "aggregates", "folding_null")}
    for architecture in architectures:
        depth, width = map(int, architecture.split("x"))
        for value in values:
            for seed in seeds:
                run = f"{architecture}-s{seed}-{len(runs):06x}"
                setting = {name: value} if name else {}
                runs.append(_run(run, architecture, depth, width, seed) | setting)
                for epoch in EPOCHS:
                    for table, make in TABLES.items():
                        rows[table] += [{"run": run, "epoch": epoch, **row} for row in make(rng, depth)]
                of_run = {name: value for name, value in runs[-1].items() if name != "initial_digest"}
                rows["aggregates"] += [{**of_run, **row} for row in _aggregates(rng)]
                rows["folding_null"] += [{**of_run, **row} for row in _null(np.random.default_rng(seed))]
    rows["gap_ranks"] = [*_gap_ranks(rng)]
    return {"runs": as_read(pd.DataFrame(runs))} | {
        table: as_read(pd.DataFrame(of_table)) for table, of_table in rows.items()
    }


def as_read(table):
    """Return a table as `pandas.read_csv` gives it, with the types that it guesses."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def _run(run, architecture, depth, width, seed):
    return {
        "run": run, "architecture": architecture, "depth": depth, "width": width, "activation": "relu",
        "dataset": "mnist", "seed": seed, "num_parameters": 99,
        "initial_digest": f"{architecture} {seed}", "train_loss": 0.1, "train_accuracy": 0.9,
        "test_loss": 0.2, "test_accuracy": 0.8, "status": "done", "error": None,
    }  # fmt: skip


def _folding(rng, _):
    for source, target in ((0, 1), (1, 0), (1, 1)):
        for measure in ("chi", "peak"):
            names = [name for name in DECLARED["folding"].names if name not in DECLARED["folding"].key]
            values = dict(zip(names, rng.uniform(0.1, 0.9, len(names)), strict=True))
            pair = {"source_class": source, "target_class": target, "measure": measure}
            yield {**pair, "method": "exact", "num_points": None, **values}


def _aggregates(rng):
    for state in STATES:
        reading = {"state": state, "method": "exact", "num_points": None, "num_pairs": 3}
        yield reading | {name: rng.uniform(0.1, 0.9) for name in RESPONSES}


def _null(rng):
    for state in STATES:
        reading = {"state": state, "method": "exact", "num_points": None, "num_paths": 40}
        yield reading | {name: rng.uniform(0.1, 0.9) for name in (*NULL_RESPONSES, "overlap")}


def _histogram(rng, _):
    for number in range(6):
        low = max(0, number - 1) / 5
        bins = {"low": low, "high": number / 5, "num_paths": int(rng.integers(1, 100))}
        yield {"measure": "chi", "method": "exact", "num_points": None, **bins}


def _training(rng, _):
    yield {name: rng.uniform(0.1, 0.9) for name in CURVES} | {"learning_rate": 0.1}


def _convergence(rng, depth):
    for layer in range(depth + 1):
        yield {"layer": layer, **{name: rng.uniform(0.01, 1) for name in CRITERIA}}


def _ranks(rng, depth):
    for layer in range(depth + 1):
        for rule in ("data99", "participation", "functional"):
            value = rng.uniform(1, 6)
            facts = {"valid": True, "reason": None, "default": rule == "data99"}
            yield {"layer": layer, "rule": rule, "rank": int(np.ceil(value)), "value": value, **facts}


def _spectrum(rng, depth):
    for layer in range(depth + 1):
        for basis in ("svd", "data", "laplacian"):
            for index, value in enumerate(sorted(rng.uniform(0.1, 2, 4), reverse=True), 1):
                before = {"untrained_value": value / 2 if basis == "svd" else None}
                yield {"layer": layer, "basis": basis, "index": index, "value": value, **before}


def _tails(rng, depth):
    for layer in range(depth + 1):
        yield {"layer": layer, "noise_edge": rng.uniform(0.5, 1)}


def _dimension(rng, depth):
    for layer in range(depth + 1):
        for space in ("input", "output"):
            for estimator in ("mle", "twonn"):
                estimate = {"dimension": rng.uniform(2, 9)}
                yield {"layer": layer, "space": space, "estimator": estimator, **estimate}


def _retrieval(rng, depth):
    for layer in range(depth + 1):
        for space in ("V", "V untrained", "pixels"):
            yield {"layer": layer, "space": space, "noise": 0.6, "accuracy": rng.uniform(0, 1)}


def _semantics(rng, depth):
    for layer in range(depth + 1):
        for axis in range(1, 5):
            yield {"layer": layer, "axis": axis, "share": rng.uniform(0, 1), "shuffled_q95": 0.02}


def _gap_ranks(rng):
    for epoch in EPOCHS:
        for measure in ("train_loss", "path_norm", "chi_max"):
            for axis in ("learning_rate", "all", "mean"):
                tau = rng.uniform(-0.5, 0.5)
                yield {
                    "epoch": epoch, "is_last": epoch == EPOCHS[-1], "reading": None, "measure": measure,
                    "response": "accuracy_gap", "min_train_accuracy": 0.0, "axis": axis, "num_runs": 6,
                    "num_groups": 3, "num_pairs": 9, "num_seeds": 3, "tau": tau, "tau_low": tau - 0.3,
                    "tau_high": tau + 0.3, "note": None,
                }  # fmt: skip


TABLES = {
    "folding": _folding,
    "folding_histogram": _histogram,
    "training": _training,
    "lmd_convergence": _convergence,
    "lmd_ranks": _ranks,
    "lmd_spectrum": _spectrum,
    "lmd_tails": _tails,
    "lmd_dimension": _dimension,
    "lmd_retrieval": _retrieval,
    "lmd_semantics": _semantics,
}

FIGURES = {
    "folding_against": lambda t: figures.folding_against(t["runs"], t["aggregates"], t.get("correlations")),
    "folding_beside_null": lambda t: figures.folding_beside_null(
        t["runs"], t["aggregates"], t["folding_null"], t.get("folding_null_correlations")
    ),
    "class_pair_heat_maps": lambda t: figures.class_pair_heat_maps(t["runs"], t["folding"]),
    "chi_distribution": lambda t: figures.chi_distribution(t["runs"], t["folding_histogram"]),
    "folding_by_kind": lambda t: figures.folding_by_kind(t["runs"], t["folding_histogram"]),
    "layer_spectra": lambda t: figures.layer_spectra(
        t["runs"], t["lmd_spectrum"], t["lmd_ranks"], t["lmd_tails"]
    ),
    "latent_spectra": lambda t: figures.latent_spectra(t["runs"], t["lmd_spectrum"]),
    "ranks_against_functional": lambda t: figures.ranks_against_functional(t["lmd_ranks"], t["runs"]),
    "rank_evolution": lambda t: figures.rank_evolution(t["runs"], t["lmd_ranks"]),
    "activation_dimension": lambda t: figures.activation_dimension(t["runs"], t["lmd_dimension"]),
    "retrieval_accuracy": lambda t: figures.retrieval_accuracy(t["runs"], t["lmd_retrieval"]),
    "axis_semantics": lambda t: figures.axis_semantics(t["runs"], t["lmd_semantics"]),
    "labels_fitted": lambda t: figures.labels_fitted(t["runs"], t["training"]),
    "gap_by_measure": lambda t: figures.gap_by_measure(t["runs"], t["gap_ranks"]),
    "training_curves": lambda t: figures.training_curves(t["runs"], t["training"]),
    "convergence_curves": lambda t: figures.convergence_curves(t["runs"], t["lmd_convergence"]),
}
"""Every figure of a study's tables, by name."""


def words_of(figure):
    """Return all texts of a figure, one a line."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_text())
