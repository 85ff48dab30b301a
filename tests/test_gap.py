"""What goes with the gap: Kendall's τ within groups of alike networks, and the whole stage."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from spaceprobe.analysis.gap import IMAGE_MEASURES, gap_ranks
from spaceprobe.analysis.kendall import grouped_tau, pairs_within
from spaceprobe.findings.questions.generalization import ranks_by_seed
from spaceprobe.report.figures.gap import ENTRY, drawn_ranks, gap_by_measure
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import load_results
from spaceprobe.stages import TABLES, stage_named
from spaceprobe.stages.gap.tables import GAP_RANKS
from spaceprobe.study.config import load_study
from spaceprobe.tables.frames import Frames
from tests.commands import call

ROUNDING = 1e-12
"""Means of a few numbers of order 1, added in another order."""

AXES = {"learning_rate": (0.001, 0.01, 0.1), "random_labels": (0.0, 0.5), "optimizer": ("adam", "sgd")}
SEEDS = (0, 1, 2)


def make_frames(seed=1, failed=(), epochs=(0, 2, 5), axes=AXES):
    """Return made-up tables of networks over all settings, three epochs each."""
    rng = np.random.default_rng(seed)
    runs, training, complexity = [], [], []
    for number, values in enumerate(itertools.product(SEEDS, *axes.values())):
        name, settings = f"r{number:03}", dict(zip(axes, values[1:], strict=True))
        is_done = number not in failed
        trained, tested = rng.uniform(0.5, 1, 2)
        runs.append(
            {
                "run": name, "architecture": "2x5", "depth": 2, "width": 5, "activation": "relu",
                "dataset": "mnist", "seed": values[0], **settings, "num_parameters": 9,
                "initial_digest": "ab",
                "train_loss": 1 - trained, "train_accuracy": trained, "test_loss": 1.2 - tested,
                "test_accuracy": tested, "status": "done" if is_done else "failed",
                "error": None if is_done else "training diverged",
            }
        )  # fmt: skip
        if not is_done:
            continue
        for epoch in epochs:
            training.append({"run": name, "epoch": epoch, "train_loss": rng.uniform()})
            measured = {name: rng.uniform() for name in TABLE_MEASURES}
            complexity.append({"run": name, "epoch": epoch, **measured, "note": ""})
    frames = {
        "runs": pd.DataFrame(runs),
        "training": pd.DataFrame(training),
        "complexity": pd.DataFrame(complexity),
    }
    frames["folding"] = pd.DataFrame(columns=["run", *DECLARED["folding"].names])
    return Frames(frames, TABLES)


DECLARED = {table.name: table for table in TABLES}
TABLE_MEASURES = [name for name in DECLARED["complexity"].names if name not in ("epoch", "note")]


def at_end(table, **where):
    rows = table[table["is_last"] & (table["min_train_accuracy"] == 0)]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows


def test_tau_of_groups_is_that_of_scipy():
    rng = np.random.default_rng(4)
    groups = rng.integers(0, 12, 90).tolist()
    x, y = rng.integers(0, 6, (2, 90)).astype(float)  # many ties
    x[3] = y[17] = np.nan
    pairs = pairs_within(groups)
    found = grouped_tau(pairs, x, y)
    for group, tau, num_pairs in zip(pairs.groups, found.tau, found.num_pairs, strict=True):
        members = [n for n, own in enumerate(groups) if own == group and n not in (3, 17)]
        assert num_pairs == math.comb(len(members), 2)
        expected = kendalltau(x[members], y[members]).statistic
        assert tau == pytest.approx(expected, rel=ROUNDING, nan_ok=True)


def test_tau_by_hand():
    pairs = pairs_within(["a", "a", "a", "b", "b", "c", "d", "d"])
    x = np.array([1.0, 2, 3, 1, 2, 9, 5, 5])
    y = np.array([1.0, 3, 2, 8, 7, 9, 1, 2])
    found = grouped_tau(pairs, x, y)
    assert pairs.groups == ["a", "b", "d"]  # c has nobody to be compared with
    # a: (1,2) and (1,3) agree, (2,3) does not; b: its only pair does not; d: x does not tell them apart
    assert found.tau[:2].tolist() == [pytest.approx(1 / 3), -1]
    assert np.isnan(found.tau[2])
    assert found.num_pairs.tolist() == [3, 1, 1]


def test_orders_are_all_that_counts():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(1, 2, (2, 40))
    pairs = pairs_within(rng.integers(0, 5, 40).tolist())
    tau = grouped_tau(pairs, x, y).tau
    assert np.array_equal(grouped_tau(pairs, x**7, np.log(y)).tau, tau)
    assert np.array_equal(grouped_tau(pairs, x, -y).tau, -tau)
    assert np.array_equal(grouped_tau(pairs, x, x).tau, np.ones(len(tau)))


def granulated_literally(frames, measure):
    """Return the mean over settings of the mean over groups of scipy's τ, seed by seed, in a few lines."""
    last = frames["complexity"].groupby("run").tail(1).set_index("run")[measure]
    runs = frames["runs"].query("status == 'done'").set_index("run")
    runs = runs.assign(measure=last, gap=runs["train_accuracy"] - runs["test_accuracy"])
    by_axis = {}
    for axis in AXES:
        others = ["seed", *(name for name in AXES if name != axis)]
        groups = (
            runs.groupby(others)[["measure", "gap"]].filter(lambda group: len(group) > 1).join(runs[others])
        )
        tau = groups.groupby(others).apply(lambda group: kendalltau(group["measure"], group["gap"]).statistic)
        by_axis[axis] = tau.dropna().groupby("seed").mean()
    return by_axis, pd.DataFrame(by_axis).mean(axis=1)


@pytest.mark.parametrize("failed", [(), (0, 5, 20)])
def test_the_granulated_coefficient_is_that_of_a_few_lines(failed):
    frames = make_frames(failed=failed)
    table = gap_ranks(frames, GAP_RANKS)
    for measure in ("path_norm", "margin"):
        by_axis, means = granulated_literally(frames, measure)
        rows = at_end(table, measure=measure, response="accuracy_gap").set_index("axis")
        for axis, tau in by_axis.items():
            assert rows.loc[axis, "tau"] == pytest.approx(tau.mean(), rel=ROUNDING, abs=ROUNDING)
        assert rows.loc["mean", "tau"] == pytest.approx(means.mean(), rel=ROUNDING)
        assert rows.loc["mean", "tau_low"] < rows.loc["mean", "tau"] < rows.loc["mean", "tau_high"]
        assert rows.loc["mean", "note"] == ("3 of 36 runs failed" if failed else "")
        per_seed = (
            frames["runs"].assign(done=frames["runs"]["status"] == "done").groupby("seed")["done"].sum()
        )
        assert rows.loc["all", "num_pairs"] == sum(math.comb(int(n), 2) for n in per_seed)


def test_counts_of_a_whole_grid():
    rows = at_end(gap_ranks(make_frames(), GAP_RANKS), measure="sharpness", response="loss_gap").set_index(
        "axis"
    )
    # three rates: 3 pairs in each of 2 · 2 groups a seed; two labels and two optimizers: 1 pair in each of 6
    assert rows["num_groups"].to_dict() == {
        "learning_rate": 12, "random_labels": 18, "optimizer": 18, "all": 3, "mean": 48,
    }  # fmt: skip
    assert rows["num_pairs"].to_dict() == {
        "learning_rate": 36, "random_labels": 18, "optimizer": 18, "all": 3 * 66, "mean": 72,
    }  # fmt: skip
    assert set(rows["num_seeds"]) == {3}


def test_a_measure_of_the_setting_alone_is_seen_through():
    """It tells the rates apart, and so the gaps of all networks, but no two networks of one rate."""
    frames = make_frames()
    by_rate = frames["runs"].set_index("run")["learning_rate"].rank()
    runs = frames["runs"].assign(
        train_accuracy=1.0, test_accuracy=lambda r: 0.9 - r["learning_rate"].rank() / 99
    )
    noisy = runs["test_accuracy"] - np.random.default_rng(0).uniform(0, 0.02, len(runs))
    frames = Frames({**frames, "runs": runs.assign(test_accuracy=noisy)}, TABLES)
    of_rate = frames["complexity"]["run"].map(by_rate)
    frames = frames.with_table(DECLARED["complexity"], frames["complexity"].assign(path_norm=of_rate))
    rows = at_end(gap_ranks(frames, GAP_RANKS), measure="path_norm", response="accuracy_gap").set_index(
        "axis"
    )
    assert rows.loc["learning_rate", "tau"] > 0.9
    assert rows.loc["all", "tau"] > 0.6
    assert math.isnan(rows.loc["optimizer", "tau"])
    assert rows.loc["optimizer", "note"].startswith("18 of 18 groups are all ties and left out")
    assert "2 of 3 settings have no group" in rows.loc["mean", "note"]


def test_only_fitted_networks_where_asked():
    frames = make_frames()
    runs = frames["runs"]
    frames = Frames(
        {**frames, "runs": runs.assign(train_accuracy=np.where(runs["seed"] == 2, 0.5, 0.995))}, TABLES
    )
    table = gap_ranks(frames, GAP_RANKS)
    fitted = table[table["min_train_accuracy"] == 0.99]
    assert set(fitted["num_runs"]) == {24}
    assert set(fitted["num_seeds"]) == {2}
    assert fitted["note"].str.contains("2 seeds: an interval needs 3").all()
    assert fitted["tau_low"].isna().all()


def test_early_measures_are_against_the_gap_at_the_end():
    frames = make_frames()
    table = gap_ranks(frames, GAP_RANKS)
    assert table[["epoch", "is_last"]].drop_duplicates().to_numpy().tolist() == [
        [0, False],
        [2, False],
        [5, True],
    ]
    early = frames["complexity"].query("epoch == 2").set_index("run")["margin"]
    runs = frames["runs"].set_index("run")
    rows = table[(table["epoch"] == 2) & (table["measure"] == "margin") & (table["axis"] == "all")]
    rows = rows[(rows["response"] == "loss_gap") & (rows["min_train_accuracy"] == 0)]
    gap = runs["test_loss"] - runs["train_loss"]
    taus = [kendalltau(early[gap[runs["seed"] == s].index], gap[runs["seed"] == s]).statistic for s in SEEDS]
    assert rows["tau"].item() == pytest.approx(np.mean(taus), rel=ROUNDING)


def test_every_seed_of_a_run_holds_its_groups_apart():
    frames = make_frames(axes={"points_seed": (0, 1), "learning_rate": (0.1, 0.2)})
    rows = at_end(gap_ranks(frames, GAP_RANKS), measure="margin", response="accuracy_gap").set_index("axis")
    assert [*rows.index] == ["learning_rate", "all", "mean"]
    assert rows["num_seeds"].tolist() == [6, 6, 6]


def test_ways_of_measuring_have_rows_of_their_own():
    frames = make_frames()
    twice = pd.concat([frames["complexity"].assign(noise=noise) for noise in (0.1, 0.2)])
    table = gap_ranks(frames.with_table(DECLARED["complexity"], twice), GAP_RANKS)
    assert {*table.loc[table["measure"] == "margin", "reading"]} == {"noise 0.1", "noise 0.2"}
    assert {*table.loc[table["measure"] == "train_loss", "reading"]} == {""}


def test_images_of_paths_count_by_their_means_over_paths():
    frames = make_frames()
    rng = np.random.default_rng(3)
    last = frames["complexity"].query("epoch == 5")[["run", "epoch"]]
    images = pd.concat([last] * 4).assign(region_density=lambda rows: rng.uniform(size=len(rows)))
    images = images.assign(image_length=1.0, method="exact", num_points=None)
    table = gap_ranks(frames.with_table(DECLARED["path_images"], images), GAP_RANKS)
    means = images.groupby("run")["region_density"].mean()
    runs = frames["runs"].set_index("run")
    gap = runs["train_accuracy"] - runs["test_accuracy"]
    taus = [kendalltau(means[gap[runs["seed"] == s].index], gap[runs["seed"] == s]).statistic for s in SEEDS]
    row = at_end(table, measure="region_density", response="accuracy_gap", axis="all")
    assert row["tau"].item() == pytest.approx(np.mean(taus), rel=ROUNDING)
    assert at_end(table, measure="image_length")["tau"].isna().all()  # the same in all networks


def test_each_seed_by_itself_has_the_values_whose_mean_is_reported():
    frames = make_frames(failed=(0, 5, 20))
    own, table = ranks_by_seed(frames), gap_ranks(frames, GAP_RANKS)
    assert {*own["seed"]} == {*SEEDS}
    means = own.groupby(["epoch", "measure", "axis"])["tau"].mean()
    rows = table[(table["response"] == "accuracy_gap") & (table["min_train_accuracy"] == 0)]
    rows = rows[rows["tau"].notna()].set_index(["epoch", "measure", "axis"])["tau"]
    assert len(rows) == len(means) > 100
    np.testing.assert_allclose(means.loc[rows.index], rows, rtol=ROUNDING, atol=ROUNDING)


def test_what_the_terminal_says_without_anything_to_compare():
    present = stage_named("gap").present
    for frames in (make_frames(axes={"learning_rate": (0.1,)}), make_frames(failed=range(36))):
        if frames["training"].empty:
            empty = {
                name: pd.DataFrame(columns=["run", *DECLARED[name].names])
                for name in ("training", "complexity")
            }
            frames = Frames({**frames, **empty}, TABLES)
        text = present(frames.with_table(GAP_RANKS, gap_ranks(frames, GAP_RANKS)))
        assert text.startswith("no measure goes with the gap: ")


def test_the_figure_orders_measures_and_draws_each_epoch():
    table = gap_ranks(make_frames(), GAP_RANKS)
    rows = at_end(drawn_ranks(table), axis="mean").set_index("measure")["tau"]
    left, right = gap_by_measure(make_frames()["runs"], table).axes
    assert len(left.get_yticklabels()) == len(rows) == len(TABLE_MEASURES) + 1
    marks = [line for line in left.lines if line.get_marker() in "os^" and line.get_linestyle() == "None"]
    assert [line.get_xdata()[0] for line in marks] == sorted(rows, reverse=True)
    drawn = [line for line in right.lines if line.get_marker() in "os^"]
    assert len(drawn) == len(rows)
    assert all(line.get_xdata().tolist() == [0, 2, 5] for line in drawn)


def test_the_figure_of_a_study_without_groups_says_so():
    frames = make_frames(axes={"learning_rate": (0.1,)})
    figure = gap_by_measure(frames["runs"], gap_ranks(frames, GAP_RANKS))
    assert "no gap was measured" in figure.axes[0].texts[0].get_text()


def test_the_figure_says_which_of_several_readings_it_draws():
    frames = make_frames()
    twice = pd.concat([frames["complexity"].assign(noise=noise) for noise in (0.1, 0.2)])
    table = gap_ranks(frames.with_table(DECLARED["complexity"], twice), GAP_RANKS)
    figure = gap_by_measure(frames["runs"], table)
    assert len(figure.axes[0].get_yticklabels()) == len(TABLE_MEASURES) + 1
    assert figure.get_supxlabel() == "of 2 ways of measuring: noise 0.1"


STUDY = """\
study: {stages: [train, fold, complexity, gap]}
data: {train_images: 100}
network: {architecture: 3x5}
training: {epochs: 2, snapshots: [1], learning_rate: 0.02}
folding: {per_class: 2, epoch: all, pairs: [3-8, 8-3], detail: 4, images: true}
complexity: {draws: 1}
sweep:
  data.random_labels: [0, 0.5]
  training.seed: [0, 1, 2]
"""


def test_a_whole_study(tmp_path):
    file = tmp_path / "gaps.yaml"
    file.write_text(STUDY)
    outcome = call("run", file, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    assert all(len(line) <= 80 for line in outcome.stdout.splitlines()[1:-1])
    assert "accuracy gap of 6 networks" in outcome.stdout
    folder = tmp_path / "gaps"
    table = pd.read_csv(folder / "gap_ranks.csv")
    assert [*table.columns] == [*GAP_RANKS.names]
    assert {*table["axis"]} == {"random_labels", "all", "mean"}
    assert {"chi_max", "chi_mean", "chi_folded_mean", "path_norm", *IMAGE_MEASURES} <= {*table["measure"]}
    assert {*table["epoch"]} == {0, 1, 2}
    results = load_results(load_study(file), folder)
    caption = ENTRY.caption_of(Numbers(results.study, results.frames))
    assert "training minus test accuracy" in caption
    assert ">6</data> networks" in caption
    before = (folder / "gap_ranks.csv").read_bytes()
    (folder / "gap_ranks.csv").unlink()
    assert call("gap", file, "--results", tmp_path).exit_code == 0
    assert (folder / "gap_ranks.csv").read_bytes() == before
