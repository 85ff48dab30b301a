"""correlations.csv from small aggregate tables."""

import math
import re
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spaceprobe.analysis.correlations import PRIMARY_RESPONSE, correlation_table
from spaceprobe.analysis.predictors import main_predictor, predictors
from spaceprobe.analysis.samples import FOLDING_RESPONSES
from spaceprobe.stages.summarize.summary import present
from spaceprobe.stages.summarize.tables import CORRELATIONS
from spaceprobe.stages.train.tables import RUNS
from tests.test_analysis_aggregates import aggregates_of, frames_of, make_folding, make_runs

ARCHITECTURES = ("2x30", "3x20", "4x15", "5x12", "6x10")
TOLERANCE = 1e-12
# CPU time: the table of 25 runs takes 0.4 s, with every shape checked 0.9 s; the rest is for slower
# machines.
MAX_DURATION_S = 4.0
NUMBERS = ["pearson", "pearson_low", "pearson_high", "spearman", "slope", "slope_low", "slope_high"]


def make_study(num_seeds=3, architectures=ARCHITECTURES, **columns):
    """Return runs.csv and folding.csv: folding grows with depth by .1 a layer, plus noise."""
    rng = np.random.default_rng(11)
    rows, cells = [], {}
    for seed in range(num_seeds):
        for architecture in architectures:
            depth = int(architecture.split("x")[0])
            run = f"{architecture}-s{seed}"
            accuracy = 0.99 - 0.01 * depth + 0.012 * rng.random()
            rows.append((run, architecture, seed, accuracy, "done"))
            for epoch in (0, 30):
                for measure in ("chi", "peak"):
                    for pair in ("3-8", "8-3", "1-7"):
                        growth = 0.1 * depth * (epoch > 0)
                        cells[run, epoch, pair, measure] = {
                            "row_max_median": growth + 0.1 * rng.random(),
                            "max": growth + 0.1 * rng.random(),
                            "folded": rng.random(),
                        }
    return make_runs(*rows, **columns), make_folding(cells)


def correlate(runs, folding, **options):
    return correlation_table(frames_of(runs, folding), CORRELATIONS, **options)


def select(table, **wanted):
    """Return the rows of a table with the wanted values; the primary question by default."""
    question = {
        "predictor": "depth",
        "response": PRIMARY_RESPONSE,
        "state": "trained",
        "given": "none",
        "min_accuracy": 0.0,
    }
    for column, value in (question | wanted).items():
        table = table[table[column] == value]
    return table


@pytest.fixture(scope="module")
def table():
    """correlations.csv of the default study."""
    return correlate(*make_study())


def test_one_row_a_seed_then_three_over_all_seeds(table):
    rows = select(table)
    assert rows["seed"].tolist() == ["0", "1", "2", "all", "all", "all"]
    kinds = ["t over seeds", "bootstrap", "Fisher z"]
    assert rows["interval"].tolist() == ["Fisher z"] * 3 + kinds
    assert rows["num_runs"].tolist() == [5, 5, 5, 15, 15, 15]
    assert rows["num_seeds"].tolist() == [1, 1, 1, 3, 3, 3]
    few = "1 seed: an interval needs 3"
    assert rows["note"].tolist() == [few] * 3 + [""] * 2 + ["runs of all seeds pooled"]
    ends = ["pearson_low", "pearson_high", "slope_low", "slope_high"]
    assert rows[ends].isna().all(axis="columns").tolist() == [True] * 3 + [False] * 3


def test_the_numbers_of_every_row(table):
    aggregates = aggregates_of(*make_study())
    trained = aggregates[aggregates["state"] == "trained"]
    rows = select(table).reset_index(drop=True)
    by_seed = [group for _, group in trained.groupby("seed")]
    lines = [stats.linregress(group["depth"], group[PRIMARY_RESPONSE]) for group in by_seed]
    for row, line, group in zip(rows.itertuples(), lines, by_seed, strict=False):
        assert row.pearson == pytest.approx(line.rvalue, rel=TOLERANCE)
        assert row.slope == pytest.approx(line.slope, rel=TOLERANCE)
        rho = stats.spearmanr(group["depth"], group[PRIMARY_RESPONSE]).statistic
        assert row.spearman == pytest.approx(rho, rel=TOLERANCE)

    headline, bootstrap, pooled = (row for row in rows.iloc[3:].itertuples())
    z = np.arctanh([line.rvalue for line in lines])
    slopes = np.array([line.slope for line in lines])
    assert headline.pearson == pytest.approx(np.tanh(z.mean()), rel=TOLERANCE)
    low, high = stats.t.interval(0.95, 2, z.mean(), stats.sem(z))
    expected = pytest.approx((math.tanh(low), math.tanh(high)), rel=1e-9)
    assert (headline.pearson_low, headline.pearson_high) == expected
    assert headline.slope == pytest.approx(slopes.mean(), rel=TOLERANCE)
    expected = stats.t.interval(0.95, 2, slopes.mean(), stats.sem(slopes))
    assert (headline.slope_low, headline.slope_high) == pytest.approx(expected, rel=1e-9)
    assert headline.spearman == pytest.approx(rows["spearman"][:3].mean(), rel=TOLERANCE)

    assert (bootstrap.pearson, bootstrap.slope) == (headline.pearson, headline.slope)
    assert headline.pearson_low < bootstrap.pearson_low < bootstrap.pearson
    assert bootstrap.pearson < bootstrap.pearson_high < headline.pearson_high
    everything = stats.pearsonr(trained["depth"], trained[PRIMARY_RESPONSE])
    assert pooled.pearson == pytest.approx(everything.statistic, rel=TOLERANCE)
    expected = pytest.approx(tuple(everything.confidence_interval(0.95)), rel=1e-9)
    assert (pooled.pearson_low, pooled.pearson_high) == expected


def test_questions_that_are_asked(table):
    assert [*table.columns] == [*CORRELATIONS.names]
    asked = table.drop_duplicates(["predictor", "response", "state", "given", "min_accuracy"])
    # 10 foldings × (2 states × 2 given × 2 filters + untrained), and accuracy itself: trained, 2 filters.
    assert asked.groupby("predictor", sort=False).size().to_dict() == {"depth": 92, "width": 92}
    untrained = asked[asked["state"] == "untrained"]
    assert set(untrained["given"]) == {"none"}
    assert set(untrained["min_accuracy"]) == {0.0}
    used = asked.groupby(["state", "given", "min_accuracy"])["accuracy_of"].agg(set)
    expected = {
        (state, given, least): {"trained" if least or given != "none" else ""}
        for state in ("difference", "trained")
        for given in ("none", "test_accuracy")
        for least in (0.0, 0.9)
    }
    assert used.to_dict() == expected | {("untrained", "none", 0.0): {""}}
    assert set(table["at"]) == {"none"}
    assert set(asked["response"]) == {*FOLDING_RESPONSES, "test_accuracy"}
    key = ["predictor", "response", "state", "given", "min_accuracy", "seed", "interval"]
    assert not table.duplicated(key).any()
    # Folding grows with depth because the trained state was made so; noise alone does not.
    assert select(table, interval="t over seeds")["pearson"].item() > 0.9
    assert select(table, interval="t over seeds")["slope"].item() == pytest.approx(0.1, abs=0.03)
    assert abs(select(table, interval="t over seeds", state="untrained")["slope"].item()) < 0.03


def test_given_accuracy_is_the_trained_networks_for_the_difference_too(table):
    aggregates = aggregates_of(*make_study())
    for state in ("trained", "difference"):
        group = aggregates[(aggregates["state"] == state) & (aggregates["seed"] == 1)]
        x, y, z = (group[c] for c in ("depth", PRIMARY_RESPONSE, "test_accuracy"))
        left = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
        row = select(table, state=state, given="test_accuracy", seed="1")
        assert row["pearson"].item() == pytest.approx(np.corrcoef(*left)[0, 1], rel=1e-9)


def test_the_accuracy_filter_and_its_reasons():
    runs, folding = make_study()
    runs.loc[runs["run"] == "6x10-s1", "test_accuracy"] = 0.42
    rows = select(correlate(runs, folding), min_accuracy=0.9).set_index(["seed", "interval"])
    assert rows["num_runs"].tolist() == [5, 4, 5, 10, 10, 14]
    assert rows["num_seeds"].tolist() == [1, 1, 1, 2, 2, 3]
    below = "1 run with a test accuracy below 0.9 left out (depth 6)"
    assert rows.loc[("1", "Fisher z"), "note"] == f"fewer than 5 runs; {below}"
    assert rows.loc[("1", "Fisher z"), NUMBERS].isna().all()
    expected = f"1 of 3 seeds left out: fewer than 5 runs; 2 seeds: an interval needs 3; {below}"
    assert rows.loc[("all", "t over seeds"), "note"] == expected
    assert rows.loc[("all", "t over seeds"), ["pearson", "slope"]].notna().all()
    assert rows.loc[("all", "Fisher z"), NUMBERS].notna().all()


def test_no_accuracy_at_all_filters_nothing_at_zero():
    runs, folding = make_study()
    table = correlate(runs.assign(test_accuracy=np.nan), folding)
    assert select(table, seed="0")["num_runs"].item() == 5
    assert select(table, seed="0", min_accuracy=0.9)["num_runs"].item() == 0
    row = select(table, seed="0", given="test_accuracy")
    assert row["note"].item() == "fewer than 5 runs; 5 runs without a value left out (depth 2 to 6)"


def test_failed_runs_and_runs_without_a_value_are_counted():
    runs, folding = make_study(architectures=(*ARCHITECTURES, "8x8", "9x7"))
    runs.loc[runs["run"] == "9x7-s2", "status"] = "failed"
    is_gap = (folding["run"] == "8x8-s2") & (folding["epoch"] == 30)
    folding.loc[is_gap, "row_max_median"] = None
    rows = select(correlate(runs, folding)).set_index(["seed", "interval"])
    expected = "1 failed run left out (depth 9); 1 run without a value left out (depth 8)"
    few = "1 seed: an interval needs 3"
    assert rows.loc[("2", "Fisher z"), "note"] == f"{few}; {expected}"
    assert rows.loc[("0", "Fisher z"), "note"] == few
    assert rows["num_runs"].tolist() == [7, 7, 5, 19, 19, 19]
    assert rows.loc[("all", "bootstrap"), "note"] == expected


def test_one_seed_has_no_interval_over_seeds():
    rows = select(correlate(*make_study(num_seeds=1))).set_index(["seed", "interval"])
    row = rows.loc[("all", "t over seeds")]
    assert row["note"] == "1 seed: an interval needs 3"
    assert row[["pearson", "slope"]].notna().all()
    assert row[["pearson_low", "pearson_high", "slope_low", "slope_high"]].isna().all()


def test_few_architectures_leave_only_the_pooled_row():
    rows = select(correlate(*make_study(num_seeds=2, architectures=("2x30", "4x15", "6x10"))))
    assert rows["pearson"].notna().tolist() == [False] * 4 + [True]
    assert rows["num_runs"].tolist() == [3, 3, 0, 0, 6]
    assert rows["note"].iloc[2] == "2 of 2 seeds left out: fewer than 5 runs"


def test_constant_columns_are_empty_with_the_reason():
    runs, folding = make_study(architectures=("2x30", "3x30", "4x30", "5x30", "6x30"))
    table = correlate(runs, folding)
    assert select(table, predictor="width", seed="0")["note"].item() == "constant predictor"
    row = select(table, response="chi_mean", seed="0")
    assert row["note"].item() == "constant response"
    assert row[NUMBERS].isna().all(axis=None)


def test_a_perfect_seed_is_said_to_have_no_interval():
    runs, folding = make_study()
    depth = folding["run"].str.extract(r"^(\d+)x", expand=False).astype(float)
    is_perfect = folding["run"].str.endswith("s0") & (folding["epoch"] == 30)
    folding.loc[is_perfect, "row_max_median"] = depth / 16
    rows = select(correlate(runs, folding)).set_index(["seed", "interval"])
    assert rows.loc[("0", "Fisher z"), "note"] == "1 seed: an interval needs 3; |r| = 1: no interval of r"
    headline = rows.loc[("all", "t over seeds")]
    assert headline["note"] == "|r| = 1 in 1 seed: no interval of r"
    assert headline["pearson"] == 1
    assert np.isnan(headline["pearson_low"])
    assert headline["slope_low"] < headline["slope"] < headline["slope_high"]


def test_swept_settings_that_vary_are_predictors_or_noted():
    settings = {"rate": [1e-3, 1e-2] * 5, "epochs": 3, "order": ["sorted", "random"] * 5}
    runs, folding = make_study(num_seeds=2, **settings)
    assert predictors(runs, [*settings]) == ["depth", "width", "rate"]
    table = correlate(runs, folding)
    rows = select(table, predictor="rate", seed="all", interval="Fisher z").set_index("at")
    assert [*rows.index][:2] == ["2x30, order sorted", "2x30, order random"]
    note = "runs of all seeds pooled; 2 seeds: an interval needs 3; pooled over architecture, order"
    assert rows.loc["pooled", "note"] == note
    assert rows["pearson"].notna().tolist() == [False] * 10 + [True]


def make_two_axes(rates=(1e-3, 1e-2), num_seeds=3, architectures=ARCHITECTURES):
    """Return a study of depth × learning rate: the fast rate folds less and falls with depth."""
    rng = np.random.default_rng(5)
    rows, columns, cells = [], [], {}
    for seed in range(num_seeds):
        for architecture in architectures:
            depth = int(architecture.split("x")[0])
            before = 0.5 + 0.02 * depth + 0.05 * rng.random()
            for number, rate in enumerate(rates):
                run = f"{architecture}-s{seed}-{number}"
                rows.append((run, architecture, seed, 0.95, "done"))
                columns.append(rate)
                after = (0.2 + 0.1 * depth if number == 0 else 0.9 - 0.1 * depth) + 0.05 * rng.random()
                for measure in ("chi", "peak"):
                    cells[run, 0, "3-8", measure] = {"row_max_median": before, "max": before}
                    cells[run, 30, "3-8", measure] = {"row_max_median": after, "max": after}
    return make_runs(*rows, learning_rate=columns), make_folding(cells)


def test_beside_a_second_setting_correlations_come_per_value_of_it():
    runs, folding = make_two_axes()
    aggregates = aggregates_of(runs, folding)
    table = correlate(runs, folding)
    rows = select(table, interval="t over seeds").set_index("at")
    assert [*rows.index] == ["learning_rate 0.001", "learning_rate 0.01", "pooled"]
    trained = aggregates[aggregates["state"] == "trained"]
    for rate in (1e-3, 1e-2):
        of_rate = trained[trained["learning_rate"] == rate]
        lines = [stats.linregress(g["depth"], g[PRIMARY_RESPONSE]) for _, g in of_rate.groupby("seed")]
        row = rows.loc[f"learning_rate {rate:g}"]
        expected = np.tanh(np.mean(np.arctanh([line.rvalue for line in lines])))
        assert row["pearson"] == pytest.approx(expected, rel=1e-9)
        assert row["slope"] == pytest.approx(np.mean([line.slope for line in lines]), rel=1e-9)
        assert (row["num_runs"], row["num_seeds"], row["note"]) == (15, 3, "")
    assert rows.loc["learning_rate 0.001", "slope"] > 0.08
    assert rows.loc["learning_rate 0.01", "slope"] < -0.08
    assert abs(rows.loc["pooled", "slope"]) < 0.03
    assert (rows.loc["pooled", "num_runs"], rows.loc["pooled", "note"]) == (30, "pooled over learning_rate")


def test_untrained_networks_are_counted_once_whatever_they_are_trained_with():
    """Three architectures × three rates × one seed: nine trained networks, three untrained ones."""
    runs, folding = make_two_axes((1e-3, 3e-3, 1e-2), 1, ("2x30", "3x20", "4x15"))
    table = correlate(runs, folding)
    rows = select(table, state="untrained", seed="all")
    assert rows["num_runs"].tolist() == [0, 0, 3]  # a mean over no seed with five, and what is pooled
    assert set(rows["at"]) == {"none"}
    assert set(select(table, state="untrained", seed="0")["num_runs"]) == {3}
    assert select(table, seed="0", at="pooled")["num_runs"].tolist() == [9]
    # Nothing untrained along an axis that only training has.
    assert set(table.loc[table["predictor"] == "learning_rate", "state"]) == {"trained", "difference"}


def test_untrained_correlations_are_those_of_the_distinct_networks():
    runs, folding = make_two_axes()
    twice = select(correlate(runs, folding), state="untrained").reset_index(drop=True)
    first = runs["learning_rate"] == 1e-3
    alone = runs[first].drop(columns="learning_rate")
    once = select(correlate(alone, folding), state="untrained").reset_index(drop=True)
    pd.testing.assert_frame_equal(twice, once)
    assert once["num_runs"].tolist() == [5, 5, 5, 15, 15, 15]


def test_the_untrained_network_of_a_failed_run_is_measured_with_another():
    runs, folding = make_two_axes()
    runs.loc[runs["run"] == "6x10-s1-1", "status"] = "failed"
    table = correlate(runs, folding)
    row = select(table, state="untrained", interval="t over seeds").iloc[0]
    assert (row["num_runs"], row["note"]) == (15, "")
    fast = select(table, interval="Fisher z", seed="all", at="learning_rate 0.01").iloc[0]
    assert fast["note"] == "runs of all seeds pooled; 1 failed run left out (depth 6)"
    slow = select(table, interval="Fisher z", seed="all", at="learning_rate 0.001").iloc[0]
    assert slow["note"] == "runs of all seeds pooled"


def test_what_is_left_out_is_said_in_the_terminal():
    """χ has no value at depth 1."""
    runs, folding = make_two_axes(architectures=("1x60", *ARCHITECTURES))
    folding.loc[folding["run"].str.startswith("1x60"), "row_max_median"] = None
    frames = frames_of(runs, folding)
    text = present(frames.with_table(CORRELATIONS, correlation_table(frames, CORRELATIONS)))
    lines = text.partition("r of depth and row maxima of χ, all runs\n")[2].splitlines()
    head, *lines = lines[: lines.index("r of depth and row maxima of χ, test accuracy ≥ 0.90")]
    assert re.split(r"\s{2,}", head) == ["state", "at", "given", "r", "95 % interval", "of"]
    cells = [re.split(r"\s{2,}", line) for line in lines if "accuracy" not in line]
    places = ["lr 0.001", "lr 0.01", "pooled"]
    assert [line[:2] for line in cells[1:4]] == [["trained", place] for place in places]
    assert cells[0][0] == "untrained"
    notes = {line.partition(" ")[2]: line.partition(" ")[0] for line in text.splitlines()}
    # Of three networks untrained and for each rate, of six where these are pooled.
    for line in cells[:4]:
        num_runs = 6 if "pooled" in line else 3
        mark = notes[f"{num_runs} runs without a value left out (depth 1)"]
        assert mark in line[-1].split(" ")


@pytest.mark.parametrize(
    ("architectures", "rates", "expected"),
    [
        (("2x30", "3x20"), (1, 2), "depth"),
        (("2x30", "2x20"), (1, 2), "width"),
        (("2x30", "2x30"), (1, 2), "rate"),
        (("2x30", "2x30"), ("fast", "slow"), None),
    ],
)
def test_the_main_predictor(architectures, rates, expected):
    rows = [(f"r{number}", name, 0, 0.9, "done") for number, name in enumerate(architectures)]
    runs = make_runs(*rows, rate=rates)
    assert main_predictor(runs, RUNS.settings(runs)) == expected


def test_the_terminal_shows_what_the_study_sweeps_and_every_state():
    rates = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    runs, folding = make_study(num_seeds=2, architectures=("2x30",) * 5)
    runs = runs.assign(run=[f"r{number}" for number in range(10)])
    runs.insert([*runs.columns].index("seed") + 1, "rate", rates * 2)
    folding = pd.concat(
        [
            folding[folding["run"] == f"2x30-s{seed}"].assign(run=run)
            for run, seed in zip(runs["run"], runs["seed"], strict=True)
        ]
    )
    rng = np.random.default_rng(3)
    folding["row_max_median"] = rng.uniform(0.1, 0.9, len(folding))
    frames = frames_of(runs, folding)
    text = present(frames.with_table(CORRELATIONS, correlation_table(frames, CORRELATIONS)))
    lines = text.splitlines()
    assert lines[0] == "trained, mean ± standard deviation over 2 seeds"
    assert lines[1].split()[:2] == ["architecture", "rate"]
    assert [line.split()[1] for line in lines[2:7]] == [str(rate) for rate in rates]
    assert lines[7] == "untrained, mean ± standard deviation over 2 seeds"
    table = text.partition("r of rate and row maxima of χ, all runs\n")[2].splitlines()[1:6]
    states = ["untrained", "trained", "difference"]
    expected = [(state, given) for state in states for given in (False, True)]
    expected.remove(("untrained", True))
    assert [(line.split()[0], line.split()[1] == "accuracy") for line in table] == expected


def test_unequal_pairs_and_targets_are_noted():
    runs, folding = make_study()
    is_gap = (folding["run"] == "2x30-s0") & (folding["source_class"] == 8)
    table = correlate(runs, folding[~is_gap])
    row = select(table, interval="t over seeds")
    assert row["note"].item() == "class pairs differ between runs"
    folding.loc[folding["run"] == "2x30-s0", "num_targets"] = 6
    table = correlate(runs, folding)
    row = select(table, interval="t over seeds")
    assert row["note"].item() == "num_targets differs between runs"
    assert select(table, interval="t over seeds", response="chi_max")["note"].item() == ""


def test_runs_without_folding_are_counted():
    runs, folding = make_study(num_seeds=1, architectures=(*ARCHITECTURES, "8x8"))
    rows = select(correlate(runs, folding[folding["run"] != "8x8-s0"]), seed="0")
    assert rows["note"].item() == "1 seed: an interval needs 3; 1 run without folding left out (depth 8)"
    assert rows["num_runs"].item() == 5


def test_several_ways_of_reading_paths_are_key_columns(table):
    runs, folding = make_study()
    sampled = folding.assign(method="sampled", num_points=100)
    folding = pd.concat([folding, sampled], ignore_index=True)
    # Nullable integers, as a study's tables hold them.
    both = correlate(runs, folding.astype({"num_points": "Int64", "num_targets": "Int64"}))
    assert [*both.columns] == ["method", "num_points", *CORRELATIONS.names]
    for method in ("exact", "sampled"):
        assert set(both.loc[both["method"] == "sampled", "num_points"]) == {100}
        part = both[both["method"] == method].drop(columns=["method", "num_points"])
        pd.testing.assert_frame_equal(part.reset_index(drop=True), table)


def test_the_same_bytes_whatever_the_order_of_the_folding_table(table):
    runs, folding = make_study()
    again = correlate(runs, folding.sample(frac=1, random_state=3))
    assert again.to_csv(index=False) == table.to_csv(index=False)


def test_nothing_done_gives_rows_with_reasons_only():
    runs, folding = make_study()
    table = correlate(runs.assign(status="failed"), folding)
    assert set(table["seed"]) == {"all"}
    assert table[NUMBERS].isna().all(axis=None)
    assert {dtype.kind for dtype in table[NUMBERS].dtypes} == {"f"}
    assert "15 failed runs left out" in table["note"].iloc[0]


def test_the_depth_sweep_is_quick():
    runs, folding = make_study(num_seeds=5)
    frames = frames_of(runs, folding)
    correlation_table(frames, CORRELATIONS)
    start = time.process_time()
    correlation_table(frames, CORRELATIONS)
    assert time.process_time() - start < MAX_DURATION_S
