"""Two studies side by side: by hand, by scipy, by simulation, and on small tables that lack something."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

import spaceprobe.analysis.correlation_differences
import spaceprobe.analysis.differences
from spaceprobe.analysis.association import ROUNDING
from spaceprobe.analysis.correlation_differences import CORRELATION_DIFFERENCE_COLUMNS
from spaceprobe.analysis.differences import DIFFERENCE_COLUMNS
from spaceprobe.analysis.mean_difference import PAIRED, WELCH, mean_difference
from spaceprobe.stages import TABLES
from spaceprobe.stages.summarize.tables import CORRELATIONS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.table import Bounds

# Two correct ways to add up a dozen numbers near 1 agree to this.
TOLERANCE = 1e-9
# The quantiles in the hand-computed cases are from a table of t with five figures.
TABLE_TOLERANCE = 5e-4
NUM_STUDIES = 2_000
# 4 standard errors of a binomial of 2,000 with p = 0.95.
COVERAGE_BOUND = 4 * math.sqrt(0.95 * 0.05 / NUM_STUDIES)


def seeds(*values, first=0):
    return {first + number: [value] for number, value in enumerate(values)}


def decimals(min_size):
    return st.lists(st.integers(-999, 999).map(lambda i: i / 1000), min_size=min_size, max_size=8)


def test_paired_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, error 1/√3; t(2) = 4.30265.
    means = mean_difference(seeds(10.0, 20.0, 30.0), seeds(11.0, 22.0, 33.0))
    assert (means.interval, means.num_pairs, means.difference) == (PAIRED, 3, 2.0)
    assert (means.mean_a, means.sd_a, means.mean_b, means.sd_b) == (20.0, 10.0, 22.0, 11.0)
    assert means.low == pytest.approx(2 - 2.48414, abs=TABLE_TOLERANCE)
    assert means.high == pytest.approx(2 + 2.48414, abs=TABLE_TOLERANCE)
    assert means.notes == []


def test_welch_by_hand():
    # a: 1, 2, 3 with s²/n = 1/3; b: 1, 4, 7 with s²/n = 3. Freedom (10/3)²/((1/9)/2 + 9/2) = 2.43902.
    means = mean_difference(seeds(1.0, 2.0, 3.0), seeds(1.0, 4.0, 7.0, first=10))
    assert (means.interval, means.num_pairs, means.difference) == (WELCH, 0, 2.0)
    num_free = (10 / 3) ** 2 / (1 / 18 + 9 / 2)
    assert num_free == pytest.approx(2.43902, abs=1e-4)
    margin = stats.t.ppf(0.975, num_free) * math.sqrt(10 / 3)
    assert (means.low, means.high) == pytest.approx((2 - margin, 2 + margin), abs=TOLERANCE)
    assert means.notes == []


def test_only_shared_seeds_are_paired():
    a = {0: [1.0], 1: [3.0], 2: [5.0], 3: [51.0]}
    means = mean_difference(a, {0: [2.0], 1: [4.5], 2: [6.5], 7: [-9.0], 8: [0.0]})
    assert (means.num_seeds_a, means.num_seeds_b, means.num_pairs) == (4, 5, 3)
    # Seeds 0 to 2: (1 + 3 + 5) / 3, (2 + 4.5 + 6.5) / 3; over all it would be 15 and 0.8.
    assert (means.mean_a, means.mean_b) == pytest.approx((3.0, 13 / 3), abs=TOLERANCE)
    assert (means.sd_a, means.sd_b) == pytest.approx((2.0, math.sqrt(61 / 12)), abs=TOLERANCE)
    assert means.difference == pytest.approx(4 / 3, abs=TOLERANCE)
    assert means.interval == PAIRED
    assert means.notes == ["difference over the 3 shared seeds; left out: 1 of a and 2 of b"]


def test_two_shared_seeds_give_a_difference_without_interval():
    means = mean_difference({0: [1.0], 1: [3.0]}, {0: [2.0], 1: [4.5], 7: [-9.0]})
    assert (means.num_pairs, means.difference, means.interval) == (2, 1.25, "")
    assert (means.mean_a, means.mean_b) == (2.0, 3.25)
    assert math.isnan(means.low)
    assert math.isnan(means.high)
    assert means.notes == [
        "difference over the 2 shared seeds; left out: 1 of b",
        "2 shared seeds: an interval needs 3",
    ]


def test_the_difference_of_shares_has_its_interval_on_their_scale():
    # Differences 0.5, 0.9, 0.7: mean 0.7, error 0.2/√3; on [-1, 1] p = 0.85, by t(2) error / 2 / (p(1 - p)).
    means = mean_difference(seeds(0.3, 0.1, 0.2), seeds(0.8, 1.0, 0.9), Bounds(0, 1))
    margin = 4.302653 * 0.2 / math.sqrt(3) / 2 / (0.85 * 0.15)
    ends = [2 / (1 + math.exp(-math.log(0.85 / 0.15) - sign * margin)) - 1 for sign in (-1, 1)]
    assert (means.low, means.high) == pytest.approx(ends, abs=1e-6)
    assert means.high < 1 < 0.7 + 4.302653 * 0.2 / math.sqrt(3)


@given(decimals(1), decimals(1), st.integers(0, 8))
def test_the_difference_is_that_of_the_means_beside_it(x, y, first):
    means = mean_difference(seeds(*x), seeds(*y, first=first))
    assert means.difference == pytest.approx(means.mean_b - means.mean_a, abs=TOLERANCE)


def test_several_runs_of_a_seed_are_one_value_and_not_paired():
    means = mean_difference({0: [1.0, 3.0], 1: [4.0, 4.0], 2: [6.0]}, {0: [5.0], 1: [6.0], 2: [8.5]})
    same = mean_difference({0: [2.0], 1: [4.0], 2: [6.0]}, {5: [5.0], 6: [6.0], 7: [8.5]})
    assert means.interval == WELCH
    assert (means.num_seeds_a, means.difference) == (3, 2.5)
    assert (means.low, means.high) == (same.low, same.high)
    assert means.notes == ["several runs of a seed in a: their mean counts"]


def test_one_seed_gives_no_interval():
    means = mean_difference({0: [1.0]}, {0: [2.0], 1: [4.0]})
    assert (means.interval, means.difference) == ("", 2.0)
    assert math.isnan(means.low)
    assert math.isnan(means.high)
    assert math.isnan(means.sd_a)
    assert means.notes == ["1 seed in a: an interval needs 3", "2 seeds in b: an interval needs 3"]


@pytest.mark.parametrize("first", [0, 10])
def test_constants_give_no_interval(first):
    means = mean_difference(seeds(0.1, 0.1, 0.1), seeds(0.3, 0.3, 0.3, first=first))
    assert means.difference == 0.3 - 0.1
    assert np.isnan([means.low, means.high]).all()
    assert (means.sd_a, means.sd_b, means.interval) == (0.0, 0.0, "")
    assert means.notes[-1].endswith(": no interval")


def test_equal_differences_up_to_rounding_have_no_interval():
    means = mean_difference(seeds(0.1, 0.2, 0.7), seeds(0.4, 0.5, 1.0))
    assert (means.interval, means.num_pairs) == ("", 3)
    assert np.isnan([means.low, means.high]).all()
    assert means.notes == ["all differences are equal: no interval"]
    assert means.difference == pytest.approx(0.3, abs=ROUNDING)


@given(decimals(3), decimals(3), st.booleans())
def test_intervals_are_scipys(x, y, is_paired):
    y = (y * 4)[: len(x)] if is_paired else y
    samples = [np.subtract(y, x)] if is_paired else [x, y]
    assume(min(np.std(sample) for sample in samples) > 1e-3)  # of constants scipy warns, as of lost precision
    means = mean_difference(seeds(*x), seeds(*y, first=0 if is_paired else 50))
    result = stats.ttest_rel(y, x) if is_paired else stats.ttest_ind(y, x, equal_var=False)
    assert means.interval == (PAIRED if is_paired else WELCH)
    assert (means.low, means.high) == pytest.approx(tuple(result.confidence_interval(0.95)), abs=TOLERANCE)


@given(decimals(1), decimals(1), st.integers(0, 8))
def test_swapped_studies_change_the_sign(x, y, first):
    there = mean_difference(seeds(*x), seeds(*y, first=first))
    back = mean_difference(seeds(*y, first=first), seeds(*x))
    assert there.interval == back.interval
    assert there.difference == -back.difference
    assert (there.mean_a, there.num_seeds_a, there.num_pairs) == (
        back.mean_b,
        back.num_seeds_b,
        back.num_pairs,
    )
    if there.interval:
        assert (there.low, there.high) == (-back.high, -back.low)


@given(decimals(2))
def test_a_study_and_itself_do_not_differ(x):
    means = mean_difference(seeds(*x), seeds(*x))
    assert (means.interval, means.difference, means.num_pairs) == ("", 0.0, len(x))
    assert np.isnan([means.low, means.high]).all()


@given(decimals(2), decimals(2), st.randoms())
def test_the_order_of_runs_does_not_matter(x, y, random):
    a, b = list(seeds(*x).items()), list(seeds(*y, first=1).items())
    there = mean_difference(dict(a), dict(b))
    random.shuffle(a)
    random.shuffle(b)
    # By repr, since NaN is not itself.
    assert repr(mean_difference(dict(a), dict(b))) == repr(there)


@pytest.mark.parametrize(("kind", "first"), [(PAIRED, 0), (WELCH, 100)])
def test_intervals_cover(kind, first):
    rng = np.random.default_rng(20250209)
    num_covered = 0
    for _ in range(NUM_STUDIES):
        of_seed = rng.normal(scale=2.0, size=5)  # what a seed does to both sides
        a = of_seed + rng.normal(scale=0.5, size=5)
        b = (of_seed if kind == PAIRED else 0) + 1.5 + rng.normal(scale=1.0, size=5)
        means = mean_difference(seeds(*a.tolist()), seeds(*b.tolist(), first=first))
        assert means.interval == kind
        num_covered += means.low <= 1.5 <= means.high
    assert abs(num_covered / NUM_STUDIES - 0.95) < COVERAGE_BOUND


def difference_table(a, b):
    return spaceprobe.analysis.differences.difference_table(Frames(a, TABLES), Frames(b, TABLES))


def unmatched(a, b):
    return spaceprobe.analysis.differences.unmatched(Frames(a, TABLES), Frames(b, TABLES))


def correlation_differences(a, b):
    compare = spaceprobe.analysis.correlation_differences.correlation_differences
    return compare(Frames(a, TABLES), Frames(b, TABLES))


def make_study(*seed_shifts, architectures=("2x30",), num_targets=20, epochs=5, methods=("exact",), **swept):
    """A study's tables: test accuracy 0.9 + shift, χ twice and ranks ten times as far, for each seed."""
    runs, aggregates, ranks, layers, training = [], [], [], [], []
    for architecture in architectures:
        for seed, shift in seed_shifts:
            run = f"{architecture}-s{seed}"
            depth, width = map(int, architecture.split("x"))
            fixed = {"architecture": architecture, "depth": depth, "width": width, "activation": "relu"}
            fixed |= {
                "dataset": "mnist",
                "seed": seed,
                **swept,
                "num_parameters": 10,
                "test_accuracy": 0.9 + shift,
            }
            losses = {"train_loss": 0.1, "train_accuracy": 0.9, "test_loss": 0.2}
            digest = {"initial_digest": f"{architecture} {seed}"}
            runs.append({"run": run, **fixed, **digest, **losses, "status": "done", "error": None})
            for epoch in (0, epochs):
                key = {"run": run, "epoch": epoch, "layer": 0}
                value = 20 + (10 * shift if epoch else 0)
                for rule in ("participation", "data99", "functional", "elbow"):
                    ranks.append({**key, "rule": rule, "value": value, "valid": rule != "functional"})
                layers += [{**key, "metric": m, "spectral_norm": 1 + shift} for m in ("data", "identity")]
                training.append({"run": run, "epoch": epoch, "learning_rate": 0.1})
            for method in methods:
                for state, value in (
                    ("untrained", 0.3),
                    ("trained", 0.3 + 2 * shift),
                    ("difference", 2 * shift),
                ):
                    sizes = {"num_pairs": 100, "num_sources": 20.0, "num_targets": float(num_targets)}
                    names = ("chi_folded_mean", "chi_max", "chi_row_max_median", "peak_max")
                    of_paths = {"state": state, "method": method, "num_points": None, **sizes}
                    aggregates.append(
                        {"run": run, **fixed, **of_paths, **dict.fromkeys(names, value), "note": None}
                    )
    frames = {
        "runs": runs,
        "aggregates": aggregates,
        "lmd_ranks": ranks,
        "lmd_layers": layers,
        "training": training,
    }
    return {name: pd.DataFrame(rows) for name, rows in frames.items()}


A = ((0, 0.0), (1, 0.01), (2, 0.02))
B = ((0, 0.01), (1, 0.02), (2, 0.06))


def row_of(table, quantity, state="trained", **keys):
    chosen = (table["quantity"] == quantity) & (table["state"] == state)
    for name, value in keys.items():
        chosen &= table[name] == value
    assert chosen.sum() == 1
    return table[chosen].iloc[0]


def test_a_row_for_every_quantity_and_state():
    table = difference_table(make_study(*A), make_study(*B))
    assert [*table.columns] == ["architecture", "activation", "dataset", "state", *DIFFERENCE_COLUMNS]
    states = ["untrained", "trained", "difference"]
    folding = ["chi_folded_mean", "chi_max", "chi_row_max_median"]
    of_layers = ["rank_participation", "rank_data99", "spectral_norm"]  # no functional rank is valid
    expected = [("test_accuracy", "trained"), ("test_loss", "trained")]
    expected += [(quantity, state) for quantity in (*folding, *of_layers) for state in states]
    assert [*zip(table["quantity"], table["state"], strict=True)] == expected
    assert table["layer"].notna().tolist() == [False] * 11 + [True] * 9
    is_equal = table["note"] == "all differences are equal: no interval"
    assert table[["low", "high"]].isna().all(axis="columns").tolist() == is_equal.tolist()
    assert not table.drop(columns=["layer", "low", "high"]).isna().any(axis=None)
    # Seeds differ by 0.01, 0.01 and 0.04: mean 0.02, error 0.01.
    margin = stats.t.ppf(0.975, 2) * 0.01
    for quantity, factor in (("test_accuracy", 1), ("chi_max", 2), ("rank_data99", 10), ("spectral_norm", 1)):
        row = row_of(table, quantity)
        ends = [(0.02 + sign * margin) * factor for sign in (-1, 1)]
        if quantity in (
            "test_accuracy",
            "chi_max",
        ):  # in [-1, 1], where the logit of (1 + d) / 2 is 2 atanh d
            center = 0.02 * factor
            ends = [math.tanh(math.atanh(center) + s * margin * factor / (1 - center**2)) for s in (-1, 1)]
        expected = (0.02 * factor, *ends)
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected, abs=TOLERANCE)
        assert (row["num_seeds_a"], row["num_seeds_b"], row["num_pairs"]) == (3, 3, 3)
        assert (row["interval"], row["note"]) == (PAIRED, "")
    assert row_of(table, "chi_max", "untrained")["note"] == "all differences are equal: no interval"
    assert row_of(table, "rank_data99", "difference")["difference"] == pytest.approx(0.2, abs=TOLERANCE)


def test_a_study_with_itself():
    study = make_study(*A, architectures=("4x15", "2x30"))
    table = difference_table(study, study)
    assert table["architecture"].unique().tolist() == ["4x15", "2x30"]  # as the study has them
    assert (table["difference"] == 0).all()
    assert table[["low", "high"]].isna().all(axis=None)
    assert unmatched(study, study).empty


def test_groups_of_one_study_only():
    a, b = make_study(*A, architectures=("2x30", "3x20")), make_study(*B, architectures=("3x20", "4x15"))
    assert difference_table(a, b)["architecture"].unique().tolist() == ["3x20"]
    assert unmatched(a, b).to_dict("list") == {
        "architecture": ["2x30", "4x15"],
        "activation": ["relu"] * 2,
        "dataset": ["mnist"] * 2,
        "only_in": ["a", "b"],
        "num_runs": [3, 3],
        "quantities": ["all", "all"],
    }


def test_no_group_in_common_is_an_empty_table():
    a, b = make_study(*A), make_study(*A, architectures=("3x20",))
    table, full = difference_table(a, b), difference_table(a, a)
    assert table.empty
    assert table.columns.tolist() == full.columns.tolist()
    assert table["difference"].dtype == float


def test_a_study_without_folding():
    a, b = make_study(*A), make_study(*B)
    del b["aggregates"]
    b["lmd_layers"] = b["lmd_layers"].iloc[:0]
    table = difference_table(a, b)
    assert set(table["quantity"]) == {"test_accuracy", "test_loss", "rank_participation", "rank_data99"}
    quantities = ("chi_folded_mean", "chi_max", "chi_row_max_median", "spectral_norm")
    in_every_state = ", ".join(f"{name} (untrained, trained, difference)" for name in quantities)
    assert unmatched(a, b)[["only_in", "quantities"]].to_numpy().tolist() == [["a", in_every_state]]


def test_studies_that_only_trained():
    a, b = ({"runs": make_study(*shifts)["runs"]} for shifts in (A, B))
    assert difference_table(a, b)["quantity"].tolist() == ["test_accuracy", "test_loss"]


def test_a_study_without_runs_is_refused():
    with pytest.raises(
        ValueError, match=r"^b: no table runs among its tables \(training\); train the study first$"
    ):
        difference_table(make_study(*A), {"training": pd.DataFrame()})


def test_failed_runs_and_missing_values_are_noted():
    a, b = make_study(*A), make_study(*B)
    b["runs"].loc[0, ["status", "test_accuracy", "test_loss"]] = ["failed", np.nan, np.nan]
    a["lmd_ranks"].loc[a["lmd_ranks"]["run"] == "2x30-s2", "valid"] = False
    table = difference_table(a, b)
    accuracy, rank = row_of(table, "test_accuracy"), row_of(table, "rank_data99")
    left_out = "difference over the 2 shared seeds; left out: 1 of a; 2 shared seeds: an interval needs 3"
    assert accuracy["note"] == f"1 failed run of b left out; {left_out}"
    assert (accuracy["num_seeds_a"], accuracy["num_seeds_b"], accuracy["num_pairs"]) == (3, 2, 2)
    notes = ["1 run of a without a value left out", "1 failed run of b left out"]
    notes += [f"2 seeds in {name}: an interval needs 3" for name in "ab"]
    assert rank["note"] == "; ".join(notes)
    assert rank["interval"] == ""


def test_other_samples_of_paths_and_other_training_are_noted():
    a, b = make_study(*A), make_study(*B, num_targets=150, epochs=30, methods=("sampled",))
    table = difference_table(a, b)
    paths = "method exact in a but sampled in b; num_targets 20 in a but 150 in b"
    assert row_of(table, "chi_max")["note"] == f"{paths}; epochs 5 in a but 30 in b"
    assert row_of(table, "chi_max", "untrained")["note"].startswith(f"{paths}; all differences")
    assert row_of(table, "test_accuracy")["note"] == "epochs 5 in a but 30 in b"


def test_ways_of_reading_paths_are_compared_each_with_its_own():
    a = make_study(*A, methods=("exact", "sampled"))
    table = difference_table(a, make_study(*B))
    assert [*table.columns[3:6]] == ["state", "method", "quantity"]
    folding = table[table["quantity"].str.startswith("chi")]
    assert folding["method"].tolist() == ["exact"] * 9
    assert table.loc[table["quantity"] == "test_accuracy", "method"].isna().all()
    lone = unmatched(a, make_study(*B))
    assert lone["only_in"].tolist() == ["a"]
    assert lone["quantities"][0].startswith("chi_folded_mean (untrained, trained, difference), chi_max")
    assert len(difference_table(a, a)) == len(difference_table(make_study(*A), make_study(*B))) + 9


def test_settings_that_both_sweep_tell_groups_apart():
    a = make_study(*A, learning_rate=0.1)
    a["runs"] = pd.concat([a["runs"], a["runs"].assign(run=a["runs"]["run"] + "f", learning_rate=1)])
    table = difference_table(a, make_study(*B, learning_rate=1))
    assert table.loc[table["state"] != "untrained", "learning_rate"].unique().tolist() == [1]
    assert table.loc[table["state"] == "untrained", "learning_rate"].isna().all()
    assert row_of(table, "test_accuracy")["num_pairs"] == 3


def test_untrained_networks_that_a_study_trains_twice_are_one():
    """Both studies sweep the rate: the trained ones are compared rate by rate, the untrained ones once."""
    sides = []
    for shifts in (A, B):
        slow = make_study(*shifts, learning_rate=0.1)
        fast = {name: table.assign(run=table["run"] + "f") for name, table in slow.items()}
        fast["runs"]["learning_rate"] = fast["aggregates"]["learning_rate"] = 1.0
        sides.append({name: pd.concat([slow[name], fast[name]], ignore_index=True) for name in slow})
    table = difference_table(*sides)
    trained = table[(table["quantity"] == "chi_max") & (table["state"] == "trained")]
    assert trained["learning_rate"].tolist() == [0.1, 1.0]
    untrained = row_of(table, "chi_max", "untrained")
    assert pd.isna(untrained["learning_rate"])
    assert (untrained["num_seeds_a"], untrained["num_pairs"]) == (3, 3)
    assert untrained["note"] == "all differences are equal: no interval"
    assert unmatched(*sides).empty


def test_an_untrained_network_is_paired_with_one_of_a_study_that_trains_it_twice():
    slow = make_study(*A, learning_rate=0.1)
    fast = {name: table.assign(run=table["run"] + "f") for name, table in slow.items()}
    fast["runs"]["learning_rate"] = fast["aggregates"]["learning_rate"] = 1.0
    both = {name: pd.concat([slow[name], fast[name]], ignore_index=True) for name in slow}
    table = difference_table(both, make_study(*B))
    assert row_of(table, "chi_max", "untrained")["note"] == "all differences are equal: no interval"
    assert row_of(table, "chi_max")["note"].startswith("a varies learning_rate; several runs of a seed in a")


def test_a_setting_that_one_study_sweeps_is_averaged_over_and_noted():
    a = {"runs": make_study(*A, learning_rate=0.1)["runs"]}
    other = a["runs"].assign(run=a["runs"]["run"] + "f", learning_rate=1.0, test_accuracy=0.5)
    a["runs"] = pd.concat([a["runs"], other], ignore_index=True)
    table = difference_table(a, {"runs": make_study(*B)["runs"]})
    row = row_of(table, "test_accuracy")
    assert row["note"] == "a varies learning_rate; several runs of a seed in a: their mean counts"
    assert (row["num_seeds_a"], row["interval"]) == (3, WELCH)
    assert row["mean_a"] == pytest.approx((0.91 + 0.5) / 2, abs=TOLERANCE)


def make_correlations(*by_seed, **over_seeds):
    """Return correlations.csv of one question: trained, depth and the primary response."""
    question = {"predictor": "depth", "response": "chi_row_max_median", "state": "trained", "given": "none"}
    question |= {"at": "none", "min_accuracy": 0.0, "note": None}
    rows = [
        {**question, "seed": str(seed), "num_seeds": 1, "pearson": r, "interval": "Fisher z"}
        for seed, r in enumerate(by_seed)
    ]
    for interval in ("t over seeds", "bootstrap", "Fisher z"):
        rows.append(
            {**question, "seed": "all", "num_seeds": len(by_seed), "interval": interval, **over_seeds}
        )
    rows.append({**rows[-2], "response": "chi_max", "pearson": -1.0})
    return {"correlations": pd.DataFrame(rows, columns=CORRELATIONS.names)}


def test_correlations_side_by_side():
    a = make_correlations(0.5, 0.6, 0.7, pearson=0.61, pearson_low=0.4, pearson_high=0.8)
    b = make_correlations(0.9, 0.7, 0.8, pearson=0.82, pearson_low=0.5, pearson_high=0.9)
    table = correlation_differences(a, b)
    assert [*table.columns] == [*CORRELATION_DIFFERENCE_COLUMNS]
    assert len(table) == 1
    row = table.iloc[0]
    assert [row[f"pearson{end}_a"] for end in ("", "_low", "_high")] == [0.61, 0.4, 0.8]
    assert [row[f"pearson{end}_b"] for end in ("", "_low", "_high")] == [0.82, 0.5, 0.9]
    test = stats.ttest_rel(np.arctanh([0.9, 0.7, 0.8]), np.arctanh([0.5, 0.6, 0.7]))
    expected = (
        np.mean(np.arctanh([0.9, 0.7, 0.8]) - np.arctanh([0.5, 0.6, 0.7])),
        *test.confidence_interval(0.95),
    )
    interval = (row["atanh_difference"], row["atanh_low"], row["atanh_high"])
    assert interval == pytest.approx(expected, abs=TOLERANCE)
    assert (row["interval"], row["num_pairs"], row["note"]) == (PAIRED, 3, "")


def test_perfect_and_missing_correlations_are_left_out():
    a, b = make_correlations(0.5, 1.0, 0.7, np.nan), make_correlations(0.5, 0.6, 0.7, 0.8)
    row = correlation_differences(a, b).iloc[0]
    assert (row["num_pairs"], row["atanh_difference"]) == (2, 0.0)
    assert row["note"] == (
        "2 seeds of a without atanh(r) left out; difference over the 2 shared seeds; left out: 2 of b; 2 "
        "shared seeds: an interval needs 3; r of each study over all its seeds"
    )


def test_no_correlation_on_one_side():
    row = correlation_differences(make_correlations(np.nan), make_correlations(0.5, 0.6)).iloc[0]
    assert math.isnan(row["atanh_difference"])
    assert (row["interval"], row["note"]) == ("", "1 seed of a without atanh(r) left out")
    assert correlation_differences({}, make_correlations(0.5)).empty


def test_other_depths_are_noted():
    a, b = make_correlations(0.5, 0.6), make_correlations(0.6, 0.8)
    a |= {"runs": make_study(*A, architectures=("2x30", "3x20"))["runs"]}
    b |= {"runs": make_study(*A, architectures=("2x30", "6x10"))["runs"]}
    assert correlation_differences(a, b)["note"].tolist() == [
        "depth 2, 3 in a but 2, 6 in b; 2 shared seeds: an interval needs 3"
    ]


def test_pooled_correlations_stand_beside_those_of_a_study_that_sweeps_nothing_else():
    a = make_correlations(0.5, 0.6, 0.7)
    b = make_correlations(0.6, 0.8, 0.9)["correlations"]
    b = {"correlations": pd.concat([b.assign(at=at) for at in ("learning_rate 0.1", "pooled")])}
    table = correlation_differences(a, b)
    assert table["at"].tolist() == ["pooled"]
    assert table["num_pairs"].tolist() == [3]
    assert correlation_differences(b, a)["at"].tolist() == ["pooled"]
    assert correlation_differences(b, b)["at"].tolist() == ["learning_rate 0.1", "pooled"]


def test_a_reading_that_one_study_varies_is_compared_with_the_others_only_one():
    a, b = make_correlations(0.5, 0.6), make_correlations(0.6, 0.8)
    tables = [a["correlations"].assign(method=method) for method in ("exact", "sampled")]
    a["correlations"] = pd.concat([table[["method", *CORRELATIONS.names]] for table in tables])
    b["aggregates"] = pd.DataFrame({"method": ["exact", "exact"]})
    assert correlation_differences(a, b)["method"].tolist() == ["exact"]
