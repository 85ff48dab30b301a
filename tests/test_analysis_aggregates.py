"""Aggregates of networks and architectures from small folding tables with known answers."""

import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table, probe_readings
from spaceprobe.stages.fold.tables import FOLDING
from spaceprobe.stages.summarize.tables import AGGREGATES
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.frames import Frames

# Means and differences of two or three numbers near 1: one rounding each.
TOLERANCE = 4 * np.finfo(float).eps


def make_runs(*rows, **columns):
    """Return runs.csv with a row for each (run, architecture, seed, test accuracy, status)."""
    table = pd.DataFrame(rows, columns=["run", "architecture", "seed", "test_accuracy", "status"])
    shape = table["architecture"].str.split("x", expand=True).astype(int)
    table["depth"], table["width"] = shape[0], shape[1]
    table["activation"], table["dataset"] = "relu", "mnist"
    table["num_parameters"] = 784 * table["width"]
    for column in ("train_loss", "train_accuracy", "test_loss"):
        table[column] = 0.5
    table["error"] = ""
    table["initial_digest"] = table["architecture"] + "-" + table["seed"].astype(str)
    names = ["run", *RUNS.names]
    place = names.index("seed") + 1
    return table.assign(**columns)[[*names[:place], *columns, *names[place:]]]


def make_folding(cells, method="exact", num_points=None):
    """Return folding.csv from {(run, epoch, pair, measure): statistics}; the rest is constant."""
    rows = []
    for (run, epoch, pair, measure), statistics in cells.items():
        source, target = map(int, pair.split("-"))
        rows.append(
            {
                "run": run,
                "epoch": epoch,
                "source_class": source,
                "target_class": target,
                "measure": measure,
                "method": method,
                "num_points": num_points,
                **{name: 0.25 for name in FOLDING.names if name not in FOLDING.key},
                "num_paths": 20,
                "num_sources": 4,
                "num_targets": 5,
                **statistics,
            }
        )
    return pd.DataFrame(rows)


CHANCE = 0.125
"""The test accuracy of untrained networks."""


def make_training(runs):
    """Return training.csv: at epoch 0 by chance, then as in runs.csv."""
    after = runs[["run", "test_accuracy"]].assign(epoch=30)
    return pd.concat([after.assign(epoch=0, test_accuracy=CHANCE), after], ignore_index=True)


def make_frames(runs, folding):
    frames = {"runs": runs, "folding": folding, "training": make_training(runs)}
    return Frames(frames, (RUNS, FOLDING))


def frames_of(runs, folding):
    """Return the tables of a study with their aggregates."""
    frames = make_frames(runs, folding)
    return frames.with_table(AGGREGATES, aggregate_runs(frames))


def aggregates_of(runs, folding):
    return frames_of(runs, folding)["aggregates"]


PAIRS = ("3-8", "8-3", "1-7")


@pytest.fixture
def runs():
    return make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "3x20", 1, 0.8, "done"))


@pytest.fixture
def folding():
    cells = {}
    for run, shift in (("b", 0.1), ("a", 0.0)):
        for epoch, growth in ((30, 0.2), (7, 0.9), (0, 0.0)):
            for measure, factor in (("chi", 1), ("peak", 2)):
                for pair, value in zip(PAIRS, (0.1, 0.2, 0.6), strict=True):
                    folded = factor * value / 2 + shift
                    cells[run, epoch, pair, measure] = {"max": value + growth, "folded": folded}
    return make_folding(cells)


def test_medians_over_pairs_in_every_state(runs, folding):
    table = aggregates_of(runs, folding)
    assert table["run"].tolist() == ["a"] * 3 + ["b"] * 3
    assert table["state"].tolist() == ["untrained", "trained", "difference"] * 2
    assert table["chi_max"].tolist() == pytest.approx([0.2, 0.4, 0.2] * 2, abs=TOLERANCE)
    trained = table[table["state"] == "trained"]
    assert trained["chi_folded"].tolist() == pytest.approx([0.1, 0.2], abs=TOLERANCE)
    assert trained["chi_folded_mean"].tolist() == pytest.approx([0.15, 0.25], abs=TOLERANCE)
    assert trained["peak_folded_mean"].tolist() == pytest.approx([0.3, 0.4], abs=TOLERANCE)
    assert table["num_pairs"].tolist() == [3] * 6
    assert table["num_targets"].tolist() == [5] * 6
    assert table["test_accuracy"].tolist() == [CHANCE, 0.9, 0.9, CHANCE, 0.8, 0.8]
    assert table["accuracy_of"].tolist() == ["untrained", "trained", "trained"] * 2
    assert table["note"].tolist() == [""] * 6


def test_the_columns_in_their_order(folding):
    swept = make_runs(("a", "2x30", 0, 0.9, "done"), learning_rate=1e-3)
    table = aggregates_of(swept, folding)
    assert [*table.columns[:16]] == [
        *("run", "architecture", "depth", "width", "activation", "dataset", "seed"),
        *("learning_rate", "num_parameters", "state", "test_accuracy", "accuracy_of", "method", "num_points"),
        *("num_pairs", "num_sources"),
    ]
    chi = [c for c in table.columns if c.startswith("chi_")]
    assert chi[:5] == ["chi_zero_length", "chi_folded", "chi_folded_mean", "chi_mean", "chi_max"]
    assert chi[-1] == "chi_row_max_median"
    assert [c.replace("chi", "peak") for c in chi] == [c for c in table if c.startswith("peak_")]
    assert table.columns[-1] == "note"


def test_one_epoch_gives_one_state(runs, folding):
    untrained = aggregates_of(runs, folding[folding["epoch"] == 0])
    assert untrained["state"].tolist() == ["untrained", "untrained"]
    trained = aggregates_of(runs, folding[folding["epoch"] == 30])
    assert trained["state"].tolist() == ["trained", "trained"]


def test_pairs_without_a_value_are_left_out_and_none_at_all_is_empty(runs, folding):
    folding = folding.assign(row_max_median=None)
    folding.loc[(folding["run"] == "a") & (folding["source_class"] == 3), "row_max_median"] = 0.5
    table = aggregates_of(runs, folding)
    trained = table[table["state"] == "trained"].set_index("run")["chi_row_max_median"]
    assert trained["a"] == 0.5
    assert np.isnan(trained["b"])


def test_other_pairs_in_another_run_are_noted(runs, folding):
    is_gap = (folding["run"] == "b") & (folding["epoch"] == 0) & (folding["source_class"] == 8)
    table = aggregates_of(runs, folding[~is_gap]).set_index(["run", "state"])
    assert table.loc[("b", "untrained"), "num_pairs"] == 2
    assert table["note"].to_dict() == {
        ("a", "untrained"): "",
        ("a", "trained"): "",
        ("a", "difference"): "",
        ("b", "untrained"): "2 of 3 class pairs",
        ("b", "trained"): "",
        ("b", "difference"): "2 of 3 class pairs",
    }


def test_ways_of_reading_paths_stay_apart(runs, folding):
    coarse = folding.assign(method="sampled", num_points=11)
    fine = folding.assign(method="sampled", num_points=100, max=0.75)
    few_pairs = fine[fine["source_class"] != 8]
    both = pd.concat([folding, coarse, few_pairs], ignore_index=True)
    frames = frames_of(runs, both)
    assert probe_readings(frames) == ["method", "num_points"]
    table = frames["aggregates"]
    rows = table[(table["run"] == "a") & (table["state"] == "trained")]
    assert rows["method"].tolist() == ["exact", "sampled", "sampled"]
    assert rows["num_points"].isna().tolist() == [True, False, False]
    assert rows["num_points"].tolist()[1:] == [11, 100]
    assert rows["chi_max"].tolist() == pytest.approx([0.4, 0.4, 0.75], abs=TOLERANCE)
    assert rows["note"].tolist() == ["", "", ""]


def test_failed_and_unfolded_runs_are_left_out(folding):
    runs = make_runs(
        ("b", "3x20", 1, np.nan, "failed"),
        ("c", "2x30", 1, 0.9, "done"),
        ("a", "2x30", 0, 0.9, "done"),
    )
    assert set(aggregates_of(runs, folding)["run"]) == {"a"}


def test_no_run_gives_an_empty_table_with_all_columns(runs, folding):
    frames = frames_of(runs.assign(status="failed"), folding)
    nothing = frames["aggregates"]
    assert nothing.empty
    assert [*nothing.columns] == [*aggregates_of(runs, folding).columns]
    assert architecture_table(frames).empty
    no_rows = pd.DataFrame({column: pd.Series([], dtype=object) for column in folding.columns})
    assert [*aggregates_of(runs, no_rows).columns] == [*nothing.columns]


def test_architectures_in_the_order_of_runs_with_mean_and_standard_deviation(folding):
    """Also where the first run of an architecture failed: the table of runs has the order of the sweep."""
    runs = make_runs(
        ("d", "2x30", 2, 0.1, "failed"),
        ("b", "10x6", 0, 0.8, "done"),
        ("a", "2x30", 0, 0.90, "done"),
        ("c", "2x30", 1, 0.94, "done"),
    )
    third = folding[folding["run"] == "a"].assign(run="c", max=0.9)
    frames = frames_of(runs, pd.concat([folding, third], ignore_index=True))
    table = architecture_table(frames)
    assert table["architecture"].tolist() == ["2x30", "10x6"]
    assert table["num_seeds"].tolist() == [2, 1]
    assert table["test_accuracy_mean"].tolist() == pytest.approx([0.92, 0.8], abs=TOLERANCE)
    assert table["test_accuracy_sd"][0] == pytest.approx(np.std([0.9, 0.94], ddof=1), abs=TOLERANCE)
    assert table["chi_max_mean"].tolist() == pytest.approx([0.65, 0.4], abs=TOLERANCE)
    assert table.filter(regex="_low|_high").isna().all(axis=None)
    assert table["note"].tolist() == ["2 seeds: an interval needs 3", "1 seed: an interval needs 3"]
    assert table.filter(regex="_sd").iloc[1].isna().all()
    assert architecture_table(frames, "untrained")["chi_max_mean"][1] == pytest.approx(0.2)


def test_intervals_stay_in_the_range_of_their_quantity():
    """The two seeds 0.144 and 0.238 once gave a share of [-0.404, 0.786]."""
    shares = (0.05, 0.10, 0.60)
    runs = make_runs(*((f"r{seed}", "2x30", seed, 0.5, "done") for seed in range(3)))
    cells = {
        (f"r{seed}", epoch, "3-8", measure): {"folded": share if epoch else 1 - share, "max": 0.4}
        for seed, share in enumerate(shares)
        for epoch in (0, 30)
        for measure in ("chi", "peak")
    }
    frames = frames_of(runs, make_folding(cells))
    table = architecture_table(frames)
    # Mean 0.25, deviation 0.304138, error 0.175594, t(2) = 4.302653: a margin of 0.755522, which would give
    # [-0.506, 1.006]. Of the logit it is 0.755522 / (0.25 × 0.75) = 4.029451 around log(1/3) = -1.098612.
    assert table["chi_folded_mean_mean"][0] == pytest.approx(0.25, abs=1e-12)
    ends = [1 / (1 + math.exp(1.098612 + sign * 4.029451)) for sign in (1, -1)]
    assert table["chi_folded_mean_low"][0] == pytest.approx(ends[0], abs=1e-6)
    assert table["chi_folded_mean_high"][0] == pytest.approx(ends[1], abs=1e-6)
    # The difference of two shares is in [-1, 1]: mean -0.5, so p = 0.25 of a span of 2, and twice the margin.
    table = architecture_table(frames, "difference")
    assert table["chi_folded_mean_mean"][0] == pytest.approx(-0.5, abs=1e-12)
    assert table["chi_folded_mean_low"][0] == pytest.approx(2 * ends[0] - 1, abs=1e-6)
    assert table["chi_folded_mean_high"][0] == pytest.approx(2 * ends[1] - 1, abs=1e-6)


def test_equal_seeds_are_said_to_be_and_have_no_interval(folding):
    runs = make_runs(*((name, "2x30", seed, 0.9, "done") for seed, name in enumerate("abc")))
    third = folding[folding["run"] == "a"].assign(run="c")
    table = architecture_table(frames_of(runs, pd.concat([folding, third], ignore_index=True)))
    assert (table["test_accuracy_mean"][0], table["test_accuracy_sd"][0]) == (0.9, 0.0)
    assert table[["test_accuracy_low", "test_accuracy_high"]].isna().all(axis=None)
    assert table["note"][0] == (
        "test_accuracy, chi_max, chi_row_max_median: all 3 seeds are equal: no interval"
    )
    assert table["chi_folded_mean_low"][0] < table["chi_folded_mean_mean"][0]


def test_untrained_networks_with_the_same_weights_are_one(folding):
    """Two rates train the same network of each seed."""
    names = [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
    runs = make_runs(*((run, "2x30", seed, 0.9, "done") for run, seed in names), epochs=[5, 5, 9, 9])
    parts = [folding[folding["run"] == "ab"[seed]].assign(run=run) for run, seed in names]
    frames = frames_of(runs, pd.concat(parts, ignore_index=True))
    table = architecture_table(frames, "untrained")
    assert table[["num_seeds", "accuracy_of"]].to_numpy().tolist() == [[2, "untrained"]]
    assert table["epochs"].isna().tolist() == [True]
    assert table["test_accuracy_mean"].tolist() == [CHANCE]
    # Shares of 0.15 and 0.25: the deviation of two of them, not of four.
    assert table["chi_folded_mean_sd"][0] == pytest.approx(0.1 / math.sqrt(2), abs=TOLERANCE)
    assert architecture_table(frames)["epochs"].tolist() == [5, 9]
    assert architecture_table(frames, "difference")["accuracy_of"].tolist() == ["trained"] * 2


def test_the_same_weights_on_other_data_are_another_observation(folding):
    runs = make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "2x30", 0, 0.8, "done"))
    runs["dataset"] = ["mnist", "kmnist"]
    table = architecture_table(frames_of(runs, folding), "untrained")
    assert table["dataset"].tolist() == ["mnist", "kmnist"]


def test_tables_without_digests_are_refused(runs, folding):
    frames = frames_of(runs.drop(columns="initial_digest"), folding)
    with pytest.raises(ValueError, match=r"lacks the column initial_digest.*`spaceprobe run`"):
        architecture_table(frames, "untrained")


def test_architectures_are_kept_apart_by_swept_settings(folding):
    runs = make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "2x30", 0, 0.8, "done"), learning_rate=[0.1, 1])
    table = architecture_table(frames_of(runs, folding))
    assert table["learning_rate"].tolist() == [0.1, 1.0]
    assert table["test_accuracy_mean"].tolist() == [0.9, 0.8]
