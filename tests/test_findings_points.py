"""What findings about shapes, clusters and points keep of a study's tables, and the rules that they state."""

import itertools
import math
from statistics import fmean, stdev
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.questions import FINDINGS, clusters, depth_shapes
from spaceprobe.results.answers.clusters import STATISTICS
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs

ROUNDING = 1e-12
"""Of means of a few numbers, summed in another order."""


# shapes


def test_shapes_have_as_many_units_as_their_panel_says_and_three_layers():
    swept = load_study(shipped_configs()["depth-shapes"]).axes["network.architecture"]
    assert {*swept} == {*depth_shapes.OF_ARCHITECTURE}
    for architecture, (_, size) in depth_shapes.OF_ARCHITECTURE.items():
        depth, _, width = architecture.partition("x")
        widths = [int(width)] * int(depth) if width else [*map(int, architecture.split("-"))]
        assert (len(widths), sum(widths)) == (3, size)


def test_a_network_of_no_shape_is_an_error():
    networks = pd.DataFrame({"architecture": ["3x20", "2x3", "5x5"]})
    with pytest.raises(ValueError, match=r"architectures of no shape: \['2x3', '5x5'\]"):
        depth_shapes.with_shapes(networks)


def test_shapes_are_compared_with_equal_widths_of_their_size():
    rows = [
        {"run": f"{name}-{seed}", "architecture": name, "seed": seed, "state": state}
        | {"chi_row_max_median": 0.01 * seed + value(shape, size), "chi_folded_mean": 0.5}
        for name, (shape, size) in depth_shapes.OF_ARCHITECTURE.items()
        for seed in range(3)
        for state in ("trained", "untrained")
    ]
    table = FINDINGS["depth-shapes"].derive({"networks": pd.DataFrame(rows)})["comparisons"]
    for shape in ("narrowing", "widening", "bottleneck", "bulge"):
        expected = fmean(value(shape, size) - value("equal", size) for size in depth_shapes.SIZES)
        found = table[(table["shape"] == shape) & (table["measure"] == "chi_row_max_median")]
        assert found["difference"].to_numpy() == pytest.approx([expected] * 2, rel=ROUNDING)


def value(shape, size):
    """Return something else for each shape, and for each size."""
    return 0.01 * [*depth_shapes.SHAPES].index(shape) ** 2 * (1 if size == 60 else 3)


# clusters


@pytest.mark.parametrize(
    ("highs", "lacking", "from_k"),
    [
        ([0.3, 0.3, 0.1, 0.1], [0, 0, 0, 0], 5),
        ([0.1, 0.3, 0.1, 0.1], [0, 0, 0, 0], 5),  # for it and all larger ones
        ([0.1, 0.1, 0.1, 0.3], [0, 0, 0, 0], None),
        ([0.1, 0.1, 0.1, 0.25], [0, 0, 0, 0], None),  # as large as the spread
        ([0.1, 0.1, 0.1, math.nan], [0, 0, 0, 0], None),  # without an interval
        ([0.1, 0.1, 0.1, 0.1], [0.5, 0.06, 0.06, 0.04], 10),
        ([0.1, 0.1, 0.1, 0.1], [0, 0, 0, 0], 1),
    ],
)
def test_from_which_k_a_statistic_is_trusted(highs, lacking, from_k, monkeypatch):
    errors = pd.DataFrame(
        [
            {"seed": seed, "state": "trained", "level": level, "statistic": statistic, "kind": kind, "k": k}
            | {"error": 0.05 + 0.01 * seed, "spread": 0.25, "lacking": share, "cost": k / 100}
            for level, statistic, kind in itertools.product(
                (clusters.PAIR, clusters.NETWORK), clusters.NAMES, clusters.LOOKS
            )
            for k, share in zip((1, 2, 5, 10), lacking, strict=True)
            for seed in range(3)
        ]
    )
    of_k = dict(zip((1, 2, 5, 10), highs, strict=True))
    means_by = clusters.means_by

    def with_highs(*arguments):
        means = means_by(*arguments)
        return means.assign(high=means["k"].map(of_k))

    monkeypatch.setattr(clusters, "means_by", with_highs)
    trusted = FINDINGS["clusters"].derive({"errors": errors})["trusted"]
    assert len(trusted) == 2 * 3 * 3
    if from_k is None:
        assert trusted["from_k"].isna().all()
    else:
        assert (trusted["from_k"] == from_k).all()
    assert {*trusted["by_at_k"]} == {"yes" if from_k is not None and from_k <= 5 else "no"}
    assert {*trusted["by_largest_k"]} == {"no" if from_k is None else "yes"}


def test_errors_of_class_pairs_and_of_networks():
    """Three seeds of two architectures, two class pairs; all statistics alike."""
    source = np.random.default_rng(0)
    runs = pd.DataFrame(
        [
            {"run": f"{name}-{seed}", "architecture": name, "seed": seed, "status": "done"}
            for name in ("2x3", "3x2")
            for seed in range(3)
        ]
    )
    every, few = [], []
    for run, source_class in itertools.product(runs["run"], (0, 1)):
        key = {"run": run, "epoch": 7, "source_class": source_class, "target_class": 2, "method": "exact"}
        key |= {"measure": "chi"}
        every.append(key | {"num_paths": 100} | dict.fromkeys(STATISTICS, source.random()))
        for k in (1, 5):
            values = {"kind": "random", "k": k, "num_paths": k * k}
            few.append(key | values | dict.fromkeys(STATISTICS, source.random()))
    frames = {"folding": pd.DataFrame(every), "folding_clusters": pd.DataFrame(few), "runs": runs}
    (errors,) = FINDINGS["clusters"].keep(SimpleNamespace(frames=frames, runs=runs)).values()
    assert {*errors["state"]} == {"trained"}
    assert len(errors) == 2 * len(STATISTICS) * 2 * 3
    all_of = {(row["run"], row["source_class"]): row["max"] for row in every}
    few_of = {(row["run"], row["source_class"], row["k"]): row["max"] for row in few}
    of_network = {run: fmean(all_of[run, label] for label in (0, 1)) for run in runs["run"]}
    names = ("2x3", "3x2")
    for k, seed in itertools.product((1, 5), range(3)):
        pairs = [(f"{name}-{seed}", label) for name in names for label in (0, 1)]
        rows = errors[(errors["statistic"] == "max") & (errors["k"] == k) & (errors["seed"] == seed)]
        (pair,) = rows[rows["level"] == "class pair"].to_dict("records")
        assert pair["error"] == pytest.approx(
            fmean(abs(few_of[*key, k] - all_of[key]) for key in pairs), rel=ROUNDING
        )
        spreads = [stdev(all_of[f"{name}-{seed}", label] for label in (0, 1)) for name in names]
        assert pair["spread"] == pytest.approx(fmean(spreads), rel=ROUNDING)
        assert (pair["cost"], pair["lacking"]) == (k * k / 100, 0)
        (network,) = rows[rows["level"] == "network"].to_dict("records")
        distances = [
            abs(fmean(few_of[f"{name}-{seed}", label, k] for label in (0, 1)) - of_network[f"{name}-{seed}"])
            for name in names
        ]
        assert network["error"] == pytest.approx(fmean(distances), rel=ROUNDING)
        spreads = [stdev(of_network[f"{name}-{each}"] for each in range(3)) for name in names]
        assert network["spread"] == pytest.approx(fmean(spreads), rel=ROUNDING)


# points


def path(run, source, method, num_points, chi, num_regions, num_evaluated):
    key = {"run": run, "epoch": 3, "source_class": 0, "target_class": 1, "source": source, "target": 9}
    return key | {
        "method": method, "num_points": num_points, "chi": chi, "num_regions": num_regions,
        "num_evaluated": num_evaluated,
    }  # fmt: skip


def test_ways_against_the_exact_walk_of_the_same_paths():
    paths = pd.DataFrame(
        [
            path("a", 5, "exact", math.nan, 0.5, 4, 4),
            path("a", 6, "exact", math.nan, 0.25, 9, 9),
            path("a", 6, "sampled", 3, 0.5, 3, 3),  # in another order
            path("a", 5, "sampled", 3, 0.5, 2, 3),
            path("a", 5, "adaptive", 2, 0.25, 2, 8),
            path("a", 6, "adaptive", 2, 0.0, 9, 10),
            path("a", 5, "adaptive", 10, 0.5, 4, 12),
            path("a", 6, "adaptive", 10, 0.25, 9, 12),
        ]
    )
    runs = pd.DataFrame([{"run": "a", "architecture": "2x4", "depth": 2, "width": 4, "seed": 0}])
    kept = FINDINGS["points"].keep(SimpleNamespace(frames={"paths": paths}, runs=runs))
    (regions,) = kept["regions"].to_dict("records")
    assert (regions["num_units"], regions["state"]) == (8, "trained")
    assert (regions["mean_regions"], regions["max_regions"], regions["above_units"]) == (6.5, 9, 0.5)
    ways = kept["ways"].set_index("way")
    measures = ["num_points", "error", "bias", "wrong", "num_evaluated", "regions_seen"]
    assert ways.loc["even", measures].tolist() == [3, 0.125, 0.125, 0.5, 3, (2 / 4 + 3 / 9) / 2]
    assert ways.loc["bisecting", measures].tolist() == [2, 0.25, -0.25, 1, 9, 0.75]
    assert ways.loc["bisecting further", measures].tolist() == [10, 0, 0, 0, 12, 1]


def test_the_tent_map_of_the_page_is_that_of_the_known_answers():
    """docs/definitions.md, "Known answers": 12 units, 64 regions, length 63, reach 6."""
    from spaceprobe.findings.questions.points import _tent_map

    expected = {"num_layers": 6, "num_units": 12, "length": 63, "reach": 6, "num_regions": 64}
    assert _tent_map().to_dict("records") == [expected]
