"""Findings about seeds: where their spread comes from, and exact against sampled paths."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.analysis.comparisons import UNTESTED
from spaceprobe.analysis.variance_components import variance_components
from spaceprobe.findings.questions import FINDINGS, seed_sources, seeds
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from tests.commands import call

SOURCES = FINDINGS["seed-sources"]
DEPTHS = {"2x30": 2, "3x20": 3, "4x15": 4, "5x12": 5, "6x10": 6}
SIZES = (3, 4, 5)
"""Other numbers of each seed, so that swapped axes cannot hide."""

SAME = 1e-12
"""Of sums in another order."""


def networks(sizes=SIZES):
    """Row maxima of which the order changes the trained ones only."""
    draw = np.random.default_rng(0)
    weights, images = draw.normal(size=(5, sizes[0])), draw.normal(size=(5, sizes[2]))
    orders = draw.normal(size=(5, *sizes))
    rows = []
    for (number, (name, depth)), (i, j, k) in itertools.product(
        enumerate(DEPTHS.items()), itertools.product(*map(range, sizes))
    ):
        plain = 0.1 * depth + 0.03 * weights[number, i] + 0.01 * images[number, k]
        values = {"untrained": plain, "trained": plain + 0.02 * orders[number, i, j, k]}
        rows += [(name, depth, i, j, k, state, value) for state, value in values.items()]
    table = pd.DataFrame(rows, columns=[*seed_sources.KEPT])
    return table.sample(frac=1, random_state=0, ignore_index=True)  # in no order


def test_values_lie_where_their_seeds_say():
    table = networks()
    rows = table[(table["state"] == "trained") & (table["architecture"] == "4x15")]
    crossed = seed_sources._crossed(rows, "chi_row_max_median")
    assert crossed.shape == SIZES
    for i, j, k in itertools.product(*map(range, SIZES)):
        (value,) = rows.query(f"seed == {i} and order_seed == {j} and images_seed == {k}")[
            "chi_row_max_median"
        ]
        assert crossed[i, j, k] == value
    few = rows.drop(rows.index[(rows["seed"] == 1) & (rows["order_seed"] == 2) & (rows["images_seed"] == 3)])
    crossed = seed_sources._crossed(few, "chi_row_max_median")
    assert np.argwhere(np.isnan(crossed)).tolist() == [[1, 2, 3]]


def test_r_is_that_of_the_architectures_of_the_same_seeds():
    table = networks()
    found = seed_sources._correlations(table)
    assert len(found) == 2 * math.prod(SIZES)
    for row in found.sample(10, random_state=1).itertuples():
        same = table[
            (table["state"] == row.state)
            & (table["seed"] == row.seed)
            & (table["order_seed"] == row.order_seed)
            & (table["images_seed"] == row.images_seed)
        ]
        r = np.corrcoef(same["depth"], same["chi_row_max_median"])[0, 1]
        assert (row.r, row.atanh_r) == pytest.approx((r, math.atanh(r)), abs=SAME)


def test_the_order_has_no_share_in_untrained_networks_and_is_seen_to_change_nothing():
    table = networks()
    derived = SOURCES.derive({"networks": table})
    spreads = derived["spreads"].set_index(["state", "response", "architecture"])["between_orders"]
    assert (spreads["untrained"] == 0).all()
    assert (spreads["trained"] > 0.01).all()
    components = derived["components"].groupby("state")["source"].unique()
    assert [*components["untrained"]] == ["initial weights", "images", "residual"]
    assert [*components["trained"]] == [
        *("initial weights", "order", "images", "initial weights × order", "residual")
    ]
    rows = table[(table["state"] == "untrained") & (table["architecture"] == "2x30")]
    once = seed_sources._crossed(rows, "chi_row_max_median")[:, 2]
    expected = variance_components(once, ["initial weights", "images"])
    of_2x30 = derived["components"].query("state == 'untrained' and architecture == '2x30'")
    assert [*of_2x30["share"]] == [part.share for part in expected]


def test_the_spread_over_orders_is_compared_with_that_over_images_for_each_initialisation():
    values = np.random.default_rng(2).normal(size=SIZES)
    literal = [np.std(v.mean(1), ddof=1) - np.std(v.mean(0), ddof=1) for v in values]
    assert seed_sources._by_weights(values) == pytest.approx(literal, abs=SAME)
    compared = SOURCES.derive({"networks": networks()})["comparisons"]
    assert len(compared) == 1 + len(DEPTHS)
    assert (compared["num_seeds"] == SIZES[0]).all()


@pytest.mark.parametrize("sizes", [(3, 1, 3), (1, 3, 3), (3, 3, 2)])
def test_too_few_seeds_of_one_kind_have_no_shares(sizes):
    tables = {"networks": networks(sizes)}
    derived = SOURCES.derive(tables)
    trained = derived["components"].query("state == 'trained'")
    assert trained["share"].isna().all()
    assert {*trained["note"]} == {"fewer than 3 seeds of a source"}
    assert all("nan" not in part.striptags() for part in SOURCES.says(Numbers(None, tables | derived)))
    if sizes != (3, 3, 2):
        assert {*derived["comparisons"]["verdict"]} == {UNTESTED}


def correlations():
    """Of two readings exact and one sampled; r differs by 0.01 times the place of the reading."""
    readings = [("exact", 150, math.nan), ("exact", 20, math.nan), ("sampled", 20, 100)]
    places = {"untrained": 0.1, "trained": 0.2, "difference": 0.3}
    rows = [
        {
            **{"response": response, "state": state, "given": given, "min_accuracy": accuracy},
            **dict(zip(("method", "per_class", "num_points"), reading, strict=True)),
            **{"seed": seed, "num_runs": 5, "spearman": 1.0},
            "pearson": math.tanh(place + 0.1 * number + 0.01 * (number + 1) * seed**2),
        }
        for response in seeds.RESPONSES
        for state, place in places.items()
        for given, accuracy in (("none", 0.0), ("none", 0.9), ("test_accuracy", 0.0))
        for number, reading in enumerate(readings)
        for seed in range(4)
    ]
    return pd.DataFrame(rows)


def test_the_main_reading_is_the_exact_one_of_the_most_images():
    table = correlations()
    assert seeds.main_reading(table) == {"method": "exact", "per_class": 150}
    assert seeds.main_reading(table[table["per_class"] == 20]) == {"method": "exact", "per_class": 20}


@pytest.mark.parametrize("per_class", [150, 20])
def test_exact_and_sampled_paths_between_the_same_images_are_compared(per_class):
    entry, tables = FINDINGS["seeds"], {"correlations": correlations()}
    if per_class == 20:  # as in the form for CI
        tables = {"correlations": tables["correlations"].query("per_class == 20").reset_index(drop=True)}
    derived = entry.derive(tables)
    methods = derived["comparisons"].query("against == 'sampled'").set_index("state")
    assert [*methods.index] == ["untrained", "trained"]
    # exact minus sampled, both of 20 images: -0.1 - 0.01 * seed² for the seeds 0 to 3
    assert [*methods["difference"]] == pytest.approx([-0.135, -0.135], abs=SAME)
    states = derived["comparisons"].query("against == 'untrained'")
    assert [*states["difference"]] == pytest.approx([0.1], abs=SAME)
    text = entry.says(Numbers(None, tables | derived))[2].striptags()
    assert "between 20 images a class r of row maxima is" in text
    assert "sampled at 100 points a path, in atanh a difference of −0.135 [" in text


def test_what_is_kept_of_a_study_of_exact_and_sampled_paths(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(
        "data: {dataset: digits, train_images: 100}\ntraining: {epochs: 1}\n"
        "folding: {pairs: [3-8], num_points: 30, threads: 1}\n"
        "study: {stages: [train, fold, summarize]}\n"
        "sweep:\n  network.architecture: [1x12, 2x6, 3x4]\n  training.seed: [0, 1]\n"
        "  zip: {folding.method: [exact, sampled], folding.per_class: [2, 2]}\n"
    )
    assert call("run", study, "--results", tmp_path).exit_code == 0
    results = load_results(*find_started(str(study), tmp_path))
    assert results.warnings == []
    table = FINDINGS["seeds"].keep(results)["correlations"]
    points = table.groupby("method")["num_points"].agg(lambda column: {*column.dropna()})
    assert points.to_dict() == {"exact": set(), "sampled": {30}}
    assert {*table["per_class"]} == {2}
    assert {*table["seed"]} == {0, 1}
