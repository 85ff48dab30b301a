"""folding_null.csv and its correlations, against a few literal lines on small tables."""

import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.analysis.aggregates import aggregate_runs
from spaceprobe.analysis.null_columns import NULL_RESPONSES
from spaceprobe.analysis.null_folding import length_bins, null_correlations, null_table
from spaceprobe.stages import TABLES
from spaceprobe.stages.summarize.computation import reduce
from spaceprobe.stages.summarize.tables import FOLDING_NULL, NULL_CORRELATIONS
from spaceprobe.tables.frames import Frames
from tests.commands import call
from tests.test_analysis_aggregates import make_folding, make_runs, make_training

SUMMED = 1e-12
"""Relative: of means and weighted means of some tens of numbers."""

ARCHITECTURES = ("2x30", "3x20", "4x15", "5x12", "6x10")


def drawn_paths(run, epoch, lengths, rng, **reading):
    """Return rows of paths.csv of one run and epoch."""
    num_paths = len(lengths)
    chi = rng.random(num_paths)
    return pd.DataFrame({
        "run": run, "epoch": epoch, "source_class": 1, "target_class": 2, "source": range(num_paths),
        "target": range(num_paths), "method": "exact", "num_points": math.nan, "distance": 1.0,
        "length": lengths, "reach": 1, "chi": chi, "peak": chi, "null_chi": rng.random(num_paths),
        "null_chi_sd": 0.1, **reading,
    })  # fmt: skip


def frames_of(runs, paths):
    cells = {
        (run, epoch, "1-2", measure): {}
        for run in runs["run"]
        for epoch in sorted(paths["epoch"].unique())
        for measure in ("chi", "peak")
    }
    frames = {"runs": runs, "folding": make_folding(cells), "training": make_training(runs), "paths": paths}
    made = Frames(frames, TABLES)
    return Frames({**made, "aggregates": aggregate_runs(made)}, TABLES)


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    names = [(f"{name}-s{seed}", name, seed) for seed in range(3) for name in ARCHITECTURES]
    runs = make_runs(*((*name, 0.9 + 0.01 * rng.random(), "done") for name in names))
    paths = pd.concat([
        drawn_paths(run, epoch, rng.integers(5 + epoch // 10, 12 + number, 60), rng)
        for number, run in enumerate(runs["run"])
        for epoch in (0, 30)
    ])  # fmt: skip
    return frames_of(runs, paths)


def literal_row(paths, others):
    """Return the numbers of one network, given its own paths and those of each network of its seed."""
    shares = [{n: (own["length"] == n).mean() for n in own["length"].unique()} for own in others]
    weights = {n: min(share.get(n, 0.0) for share in shares) for n in paths["length"].unique()}
    overlap = sum(weights.values())
    row = {name: paths[name].mean() for name in ("length", "chi", "null_chi")}
    row |= {"excess": (paths["chi"] - paths["null_chi"]).mean(), "overlap": overlap}
    for name in ("chi", "null_chi"):
        at_length = paths.groupby("length")[name].mean()
        row[f"matched_{name}"] = sum(weights[n] * at_length[n] for n in weights) / overlap
    row["matched_excess"] = row["matched_chi"] - row["matched_null_chi"]
    return row


def test_every_number_is_what_a_few_lines_make_of_the_paths(frames):
    table = null_table(frames, FOLDING_NULL)
    assert [*table.columns] == ["run", *FOLDING_NULL.names]
    runs, paths = frames["runs"].set_index("run"), frames["paths"]
    assert len(table) == 15 * 3
    by_state = {}
    for state, epoch in (("untrained", 0), ("trained", 30)):
        for run, row in table[table["state"] == state].set_index("run").iterrows():
            of_epoch = paths[paths["epoch"] == epoch]
            seed = runs.index[runs["seed"] == runs.at[run, "seed"]]
            others = [of_epoch[of_epoch["run"] == other] for other in seed]
            expected = literal_row(of_epoch[of_epoch["run"] == run], others)
            assert 0 < expected["overlap"] < 1
            assert row["num_paths"] == 60
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=SUMMED, abs=SUMMED), name
            by_state[run, state] = row
    for run, row in table[table["state"] == "difference"].set_index("run").iterrows():
        for name in NULL_RESPONSES:
            assert row[name] == by_state[run, "trained"][name] - by_state[run, "untrained"][name]
        assert math.isnan(row["overlap"])
        assert row["accuracy_of"] == "trained"


def test_lengths_that_no_other_network_has_cannot_be_matched():
    rng = np.random.default_rng(1)
    runs = make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "3x20", 0, 0.9, "done"))
    paths = pd.concat([drawn_paths("a", 30, [5, 6], rng), drawn_paths("b", 30, [7, 8], rng)])
    table = null_table(frames_of(runs, paths), FOLDING_NULL)
    assert table["overlap"].tolist() == [0, 0]
    assert table[["matched_chi", "matched_null_chi", "matched_excess"]].isna().all().all()
    assert table["chi"].notna().all()


def test_networks_with_the_same_lengths_are_matched_as_they_are():
    rng = np.random.default_rng(2)
    runs = make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "3x20", 0, 0.9, "done"))
    paths = pd.concat([drawn_paths(run, 30, [5, 6, 6, 9], rng) for run in ("a", "b")])
    table = null_table(frames_of(runs, paths), FOLDING_NULL)
    assert table["overlap"].tolist() == pytest.approx([1, 1], rel=SUMMED)
    for name in ("chi", "null_chi", "excess"):
        assert table[f"matched_{name}"].tolist() == pytest.approx(table[name].tolist(), rel=SUMMED)


def test_readings_of_one_network_stay_apart():
    rng = np.random.default_rng(3)
    runs = make_runs(("a", "2x30", 0, 0.9, "done"))
    paths = pd.concat([
        drawn_paths("a", 30, [5, 6], rng, method="sampled", num_points=n) for n in (10, 20)
    ])  # fmt: skip
    folding = pd.concat([
        make_folding({("a", 30, "1-2", m): {} for m in ("chi", "peak")}, "sampled", n) for n in (10, 20)
    ])  # fmt: skip
    made = Frames({"runs": runs, "folding": folding, "training": make_training(runs), "paths": paths}, TABLES)
    table = null_table(Frames({**made, "aggregates": aggregate_runs(made)}, TABLES), FOLDING_NULL)
    assert table["num_points"].tolist() == [10, 20]
    for row, n in enumerate((10, 20)):
        assert table["chi"][row] == pytest.approx(paths.query(f"num_points == {n}")["chi"].mean(), rel=SUMMED)


def test_the_correlations_of_depth_are_those_of_the_rows(frames):
    null = null_table(frames, FOLDING_NULL)
    table = null_correlations(frames.with_table(FOLDING_NULL, null), NULL_CORRELATIONS)
    assert [*table.columns] == [*NULL_CORRELATIONS.names]
    assert {*table["response"]} == {*NULL_RESPONSES, "test_accuracy"}
    rows = table[(table["predictor"] == "depth") & (table["given"] == "none") & (table["min_accuracy"] == 0)]
    for response in NULL_RESPONSES:
        for state in ("untrained", "trained", "difference"):
            of_state = null[null["state"] == state]
            z = [
                math.atanh(np.corrcoef(own["depth"], own[response].to_numpy(float))[0, 1])
                for _, own in of_state.groupby("seed")
            ]
            (row,) = rows[
                (rows["response"] == response)
                & (rows["state"] == state)
                & (rows["interval"] == "t over seeds")
            ].to_dict("records")
            assert row["pearson"] == pytest.approx(math.tanh(np.mean(z)), rel=1e-9)
            assert row["num_seeds"] == 3


def test_studies_without_single_paths_have_neither_table():
    runs = make_runs(("a", "2x30", 0, 0.9, "done"), ("b", "3x20", 0, 0.9, "done"))
    paths = pd.concat([drawn_paths(run, 30, [5, 6], np.random.default_rng(0)) for run in ("a", "b")])
    frames = frames_of(runs, paths)
    without = Frames({**frames, "paths": frames["paths"].iloc[:0]}, TABLES)
    assert {*reduce({}, frames)} - {*reduce({}, without)} == {"folding_null", "folding_null_correlations"}
    earlier = Frames({**frames, "paths": frames["paths"].assign(null_chi=None)}, TABLES)
    assert "folding_null" not in reduce({}, earlier)


def test_long_lengths_share_bins_that_are_narrow():
    lengths = np.arange(1, 100_000)
    bins = length_bins(lengths)
    assert (bins[:63] == lengths[:63]).all()
    assert (np.diff(bins) >= 0).all()
    assert ((lengths - bins) * 32 < lengths).all()
    assert (length_bins(bins) == bins).all()


STUDY = """\
study: {stages: [train, fold, summarize]}
data: {train_images: 300}
training: {epochs: 1}
folding: {per_class: 2, pairs: [3-8, 8-3], detail: 6}
sweep:
  network.architecture: [2x12, 4x6]
  training.seed: [0, 1]
"""


def test_a_study_with_single_paths_answers_the_question(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "small"
    paths, null = (pd.read_csv(folder / f"{name}.csv") for name in ("paths", "folding_null"))
    assert len(paths) == 4 * 2 * 6
    assert paths["null_chi"].between(0, 1, inclusive="left").all()
    means = paths[paths["epoch"] == 1].groupby("run")["null_chi"].mean()
    rows = null[null["state"] == "trained"].set_index("run")["null_chi"]
    assert np.allclose(rows, means[rows.index], rtol=SUMMED)
    assert (folder / "folding_null_correlations.csv").exists()
    assert call("report", study, "--results", tmp_path).exit_code == 0
    page = (folder / "report.html").read_text()
    assert "Do paths fold more than the number of their flips explains?" in page
    assert "Folding beside its null model" in page
    answer = pd.read_csv(folder / "figures" / "answer_more_than_flips.csv")
    assert answer[["architecture", "state"]].to_numpy().tolist() == [
        [name, state] for name in ("2x12", "4x6") for state in ("untrained", "trained")
    ]
    expected = null[(null["architecture"] == "4x6") & (null["state"] == "trained")]["excess"].mean()
    assert answer["excess"].iloc[3] == pytest.approx(expected, rel=SUMMED)
    assert {*answer["verdict"]} == {"no interval"}  # of two seeds
    # without single paths there is nothing to ask
    call("run", study, "--results", tmp_path, "--set", "folding.detail=0")
    assert not [*folder.glob("folding_null*.csv")]
