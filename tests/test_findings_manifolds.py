"""Findings about data sets with a manifold and without one: their studies, and what they derive."""

import numpy as np
import pandas as pd
import pytest

from spaceprobe.data.sets import DATASETS
from spaceprobe.findings.questions import FINDINGS, manifolds, metric_sensitivity
from spaceprobe.lmd.graph import neighbour_graph
from spaceprobe.lmd.topology import topology
from spaceprobe.stages.train.settings import DataSettings
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand

ROUNDING = 1e-12
"""Of means of a few numbers, summed in another order."""

FORMS = ("", "-ci")
NAMES = [*manifolds.LOOKS]


def study(name):
    return load_study(shipped_configs()[name])


# the studies


@pytest.mark.parametrize("form", FORMS)
def test_the_full_graph_joins_all_sampled_points(form):
    loaded = study(f"lmd-manifolds{form}")
    nearest, others = loaded.axes["lmd.neighbours"]
    assert (nearest, others) == (10, loaded.sections["lmd"].sample - 1)
    assert {*loaded.axes["data.dataset"]} == {*NAMES}
    for run in expand(loaded):
        data = run.sections["data"]
        assert DATASETS[data.dataset].num_training_points(data) >= loaded.sections["lmd"].sample


@pytest.mark.parametrize("form", FORMS)
def test_the_base_is_among_what_is_swept(form):
    loaded = study(f"lmd-sensitivity{form}")
    for name, base in metric_sensitivity.BASE.items():
        assert base in loaded.axes[f"lmd.{name}"]
        assert type(loaded.sections["lmd"]).model_fields[name].default == base
    assert {*loaded.axes["data.dataset"]} == {*metric_sensitivity.KNOWN_HOLES}
    assert metric_sensitivity.SPOKEN_SAMPLE in loaded.axes["lmd.sample"]
    assert all(run.sections["data"].points_seed == run.sections["training"].seed for run in expand(loaded))


# what is derived


def manifold_tables(rank_of_place, num_seeds=3):
    """Return tables in which the rank of the hidden layer is a function of the data's place."""
    rows, separations = [], []
    for place, name in enumerate(NAMES):
        for seed in range(num_seeds):
            for epoch in (0, 3, 10):
                for layer in range(3):
                    at = {"dataset": name, "seed": seed, "epoch": epoch, "layer": layer}
                    rank = rank_of_place(place) if layer == manifolds.HIDDEN else 1.0
                    rows.append(
                        at
                        | {
                            "dimension_in": 2.0 + place + 0.01 * seed,
                            "dimension_out": 3.0 + place * (seed + 1),
                        }
                        | {"functional": rank, "decay": 0.5 + 0.1 * place + 0.01 * seed, "beyond": 0.1}
                    )
                    for metric in (manifolds.DATA, manifolds.NEAREST, manifolds.FULL):
                        directions = (
                            5.0 + place * (1 + seed) + (metric == manifolds.FULL) * (0.5 + 0.1 * seed)
                        )
                        separations.append(
                            at | {"directions": directions, "metric": metric, "num_components": 1.0}
                        )
    return {"layers": pd.DataFrame(rows), "separations": pd.DataFrame(separations)}


@pytest.mark.parametrize(("rank", "expected"), [(lambda place: place, 1), (lambda place: 9.0 - place, -1)])
def test_correlations_are_over_data_sets(rank, expected):
    derived = FINDINGS["manifolds"].derive(manifold_tables(rank))
    found = derived["correlations"].query("measure == 'functional'")
    assert len(found) == 3 * 3
    assert found["spearman"].to_numpy() == pytest.approx([expected] * 9, rel=ROUNDING)


def test_data_sets_are_compared_with_noise_and_graphs_with_each_other():
    table = FINDINGS["manifolds"].derive(manifold_tables(lambda place: 4.0 + place))["comparisons"]
    last = len(NAMES) - 1
    for place, name in enumerate(NAMES):
        of_name = table[table["dataset"] == name].set_index("about")["difference"]
        assert of_name["full minus nearest"] == pytest.approx(0.6, rel=ROUNDING)
        assert ("minus noise" in of_name) == ("rank minus dimension" in of_name) == (name != manifolds.NOISE)
        if name != manifolds.NOISE:
            assert of_name["rank minus dimension"] == pytest.approx(2.0 - 0.01, rel=ROUNDING)
            assert of_name["minus noise"] == pytest.approx(0.1 * (place - last), rel=1e-9)


def sensitivity_tables():
    rows = [
        {"dataset": name, "seed": seed, "epoch": epoch, "neighbours": k, "laplacian_ridge": ridge}
        | {"sample": sample, "largest": 2.0 * k * (1 + seed), "directions": 1000.0 * ridge + sample}
        for name in metric_sensitivity.KNOWN_HOLES
        for seed in range(3)
        for epoch in (0, 3, 10)
        for k in (5, 10, 20)
        for ridge in (0.01, 0.1)
        for sample in (250, 500)
    ]
    frame = pd.DataFrame(rows)
    return frame[metric_sensitivity._one_at_a_time(frame)]


def test_one_setting_is_changed_at_a_time_and_relative_to_the_base():
    kept = sensitivity_tables()
    assert len(kept) == 3 * 3 * 3 * (1 + 2 + 1 + 1)
    changes = metric_sensitivity._changes(kept)
    found = changes.groupby(["factor", "value", "measure"])["change"].agg(["min", "max"])
    for at, change in {
        ("neighbours", 5.0, "largest"): -0.5,
        ("neighbours", 20.0, "largest"): 1.0,
        ("neighbours", 20.0, "directions"): 0.0,
        ("laplacian_ridge", 0.1, "directions"): 600 / 510 - 1,
        ("sample", 250.0, "directions"): 260 / 510 - 1,
        ("sample", 250.0, "largest"): 0.0,
    }.items():
        assert found.loc[at].to_numpy() == pytest.approx([change] * 2, abs=ROUNDING)


def test_holes_are_those_of_the_points_that_were_sampled():
    data = DATASETS["torus"].load(DataSettings(dataset="torus", points=300, points_seed=4))
    graph = neighbour_graph(data.train.inputs[:120].double(), 6)
    assert metric_sensitivity._num_holes("torus", 4, 300, 120, 6) == topology(graph).num_holes
    assert np.isnan(metric_sensitivity._num_holes("sphere", 0, 300, 120, 119))
