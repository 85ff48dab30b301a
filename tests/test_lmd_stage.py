"""Train and lmd on whole small studies: every table, every probe, other data and activations."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.lmd import tables as lmd_tables
from spaceprobe.stages.stage import Part, PartContent
from tests.commands import call

STUDY = """\
data: {train_images: 400}
network: {architecture: 9-6}
training: {epochs: 3, snapshots: [1]}
lmd:
  metrics: [identity, data, laplacian]
  probes: [functional-rank, dimension, retrieval, semantics, cost]
  epoch: all
  sample: 200
  retrieval_images: 20
  retrieval_rank: 5
  shuffles: 20
study: {stages: [train, lmd]}
sweep: {network.activation: [relu, sigmoid]}
"""
NOT_ASKED_FOR = (lmd_tables.MATRICES, lmd_tables.HOPFIELD, lmd_tables.SPAN, lmd_tables.CONTINUITY)
"""Tables of networks other than MLPs, and of probes that have files of tests of their own."""

EPOCHS, LAYERS = [0, 1, 3], [0, 1, 2]
SHAPES = {0: (9, 784), 1: (6, 9), 2: (10, 6)}


def attempt(folder, text):
    """Run a study and return what the command did."""
    (folder / "small.yaml").write_text(text)
    return call("run", folder / "small.yaml", "--results", folder)


def run_study(folder, text):
    """Run a study and return its folder of results."""
    outcome = attempt(folder, text)
    assert outcome.exit_code == 0, outcome.output
    return folder / "small"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_study(tmp_path_factory.mktemp("lmd"), STUDY)


@pytest.fixture(scope="module")
def tables(finished):
    return {path.stem: pd.read_csv(path) for path in finished.glob("lmd_*.csv")}


def network_at(finished, run, epoch):
    """Return the weights of a checkpoint as safetensors reads them, without our own code."""
    name = "model.safetensors" if epoch == 3 else f"model-epoch{epoch}.safetensors"
    return load_file(finished / "runs" / run / name)


def test_every_layer_of_every_snapshot_has_its_rows(tables):
    assert len(tables) == 11
    for name, table in tables.items():
        epochs = [0, 1, 2, 3] if name == "lmd_convergence" else EPOCHS
        found = set(zip(table["run"], table["epoch"], table["layer"], strict=True))
        runs = sorted(set(table["run"]))
        assert len(runs) == 2
        assert found == {(run, epoch, layer) for run in runs for epoch in epochs for layer in LAYERS}, name
    layers = tables["lmd_layers"]
    assert len(layers) == 2 * 3 * 3 * 3  # runs, epochs, layers, metrics
    for layer, shape in SHAPES.items():
        sizes = layers[layers["layer"] == layer][["num_outputs", "num_inputs"]].drop_duplicates()
        assert sizes.to_numpy().tolist() == [list(shape)]
    assert (layers["reconstruction_error"] < 1e-9).all()


def test_factors_give_the_weight_back(finished, tables):
    """U O_dist S' I_dist Vᵀ is the weight cut at the default rank, for each metric and snapshot."""
    layers = tables["lmd_layers"].set_index(["run", "epoch", "layer", "metric"])
    for run in sorted({key[0] for key in layers.index}):
        for epoch in EPOCHS:
            # other settings than the defaults: their hash is part of the name
            names = "lmd_factors-??????.npz" if epoch == 3 else f"lmd_factors-*-epoch{epoch}.npz"
            (path,) = (finished / "runs" / run).glob(names)
            arrays = np.load(path)
            weights = network_at(finished, run, epoch)
            for layer in LAYERS:
                W = weights[f"{2 * layer}.weight"].double().numpy()
                U, values, Vh = np.linalg.svd(W, full_matrices=False)
                for metric in ("identity", "data", "laplacian"):
                    name, row = f"layer{layer}", layers.loc[run, epoch, layer, metric]
                    rank = row["rank"]
                    O_dist, S_prime, I_dist = (
                        arrays[f"{name}-{metric}-{part}"] for part in ("O_dist", "S_prime", "I_dist")
                    )
                    product = arrays[f"{name}-U"] @ (O_dist * S_prime) @ I_dist @ arrays[f"{name}-Vh"]
                    # float64 rounding, amplified by the metrics' condition, at most 1e9 here
                    expected = (U[:, :rank] * values[:rank]) @ Vh[:rank]
                    np.testing.assert_allclose(product, expected, atol=1e-8)
                    assert row["truncation_error"] == pytest.approx(np.linalg.norm(values[rank:]), abs=1e-8)


def test_spectra_have_their_initial_values(finished, tables):
    spectrum = tables["lmd_spectrum"].query("basis == 'svd'")
    run = spectrum["run"].iloc[0]
    some = spectrum[(spectrum["run"] == run) & (spectrum["epoch"] == 3) & (spectrum["layer"] == 1)]
    before, after = (
        np.linalg.svd(network_at(finished, run, epoch)["2.weight"].double(), compute_uv=False)
        for epoch in (0, 3)
    )
    np.testing.assert_allclose(some["untrained_value"], before, atol=1e-12)
    np.testing.assert_allclose(some["value"], after, atol=1e-12)
    assert some["shuffled_value"].pow(2).sum() == pytest.approx((after**2).sum())
    assert some["participation_v"].between(1, 9).all()
    assert {*tables["lmd_spectrum"]["basis"]} == {"svd", "data", "laplacian"}


def test_data99_is_the_default_and_counts_principal_components(tables):
    ranks = tables["lmd_ranks"]
    assert set(ranks.loc[ranks["default"], "rule"]) == {"data99"}
    assert (tables["lmd_layers"]["rule"] == "data99").all()
    functional = tables["lmd_functional"]
    full = functional.groupby(["run", "epoch", "layer"])["rank"].max().reset_index()
    assert full["rank"].tolist() == [9, 6, 6] * 6  # the score is read from all components down


def test_rows_and_tables_have_the_same_columns(finished):
    """A column that nothing fills, or a number that no table shows, is a slip of the pen."""
    from spaceprobe.stages.lmd.tables import TABLES, tabulate_records

    path = next((finished / "runs").rglob("lmd_factors*.npz"))
    record = json.loads(np.load(path)["part.json"].tobytes())["record"]
    left_empty = {"lmd_spectrum": {"error"}}  # of approximate values only
    for table in TABLES:
        if table in NOT_ASKED_FOR:
            continue
        keys = {key for row in tabulate_records([record], TABLES)[table.name] for key in row}
        assert keys == {*table.names} - left_empty.get(table.name, set()), table.name


def test_cells_are_what_the_declarations_tell(tables):
    from spaceprobe.stages.lmd.tables import TABLES

    kinds = {"integer": "if", "number": "if", "boolean": "b", "text": "O"}  # a float beside empty cells
    for table in TABLES:
        if table in NOT_ASKED_FOR:
            assert table.name not in tables
            continue
        frame = tables[table.name]
        assert table.meaning
        assert [name for name in frame if name not in ("run", "activation")] == [*table.names]
        for column in table.columns:
            cells = frame[column.name].dropna()
            assert column.meaning, column
            assert cells.empty or cells.infer_objects().dtype.kind in kinds[column.dtype], column
            assert column.dtype != "integer" or (cells == cells.astype(int)).all(), column


def test_convergence_is_noted_for_every_epoch(tables):
    convergence = tables["lmd_convergence"]
    assert not convergence["converged"].any()
    first, rest = convergence[convergence["epoch"] == 0], convergence[convergence["epoch"] > 0]
    assert (first["gradient_ratio"] == 1).all()
    assert first["drift"].isna().all()
    assert first["reason"].str.contains("no drift").all()
    assert rest[["drift", "raw_drift", "subspace_sine", "log_loss_change"]].notna().all(axis=None)
    np.testing.assert_allclose(rest["drift"], rest["raw_drift"])  # a constant learning rate
    quantiles = convergence[["margin_q50", "margin_q90", "margin_q99", "margin_max"]]
    assert (quantiles.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_retrieval_has_its_baselines(tables):
    retrieval = tables["lmd_retrieval"].set_index(["run", "epoch", "layer", "space"])["accuracy"]
    spaces = retrieval.index.get_level_values("space")
    metrics = ["V", "data", "laplacian"]
    assert set(spaces) == {"pixels", *metrics, *(f"{metric} untrained" for metric in metrics)}
    untrained = retrieval.xs(0, level="epoch").unstack("space")
    for metric in metrics:
        assert (untrained[metric] == untrained[f"{metric} untrained"]).all()
    assert retrieval.xs("pixels", level="space").nunique() == 1  # one baseline for all


def test_stored_rows_of_the_untrained_network_get_its_name():
    """What an earlier version stored has its names, and is not computed again for another name."""
    content = PartContent(
        {
            **{table.name: [] for table in lmd_tables.TABLES},
            "lmd_spectrum": [{"layer": 0, "value": 2.0, "initial_value": 0.5}],
            "lmd_retrieval": [{"space": space} for space in ("pixels", "V", "V initial", "data initial")],
        }
    )
    rows = lmd_tables.tabulate({}, [(Part("lmd_factors.npz", {}, 1), content)])
    assert rows["lmd_spectrum"] == [{"layer": 0, "value": 2.0, "untrained_value": 0.5}]
    assert [row["space"] for row in rows["lmd_retrieval"]] == ["pixels", "V", "V untrained", "data untrained"]
    assert content.record["lmd_retrieval"][2] == {"space": "V initial"}
    of_file = lmd_tables.tabulate_records(
        [content.record, {"lmd_layers": [{"layer": 1}]}], lmd_tables.OF_A_FILE
    )
    assert of_file["lmd_spectrum"] == rows["lmd_spectrum"]
    assert of_file["lmd_layers"] == [{"layer": 1}]


def test_axes_share_out_all_variance(tables):
    semantics = tables["lmd_semantics"]
    sums = semantics.groupby(["run", "epoch", "layer"])[["class_variance", "variance"]].sum()
    wide = sums.xs(0, level="layer")
    assert (wide["variance"] < 1).all()  # 9 axes of 784 pixels
    square = sums.xs(2, level="layer")
    np.testing.assert_allclose(square, 1, atol=1e-9)  # 6 axes of 6 units
    assert semantics["share"].between(0, 1).all()


def test_second_run_computes_nothing_and_warns_of_movement(finished, caplog):
    study = finished.parent / "small.yaml"
    before = {path: path.stat().st_mtime_ns for path in (finished / "runs").rglob("*") if path.is_file()}
    outcome = call("run", study, "--results", finished.parent)
    assert "nothing was computed" in outcome.stderr
    assert "warning: 2 of 2 networks had not stably converged" in caplog.text
    assert "train longer (training.epochs)" in caplog.text
    assert "converged" not in outcome.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_more_snapshots_retrain_to_the_same_bytes(tmp_path):
    text = "data: {train_images: 200}\nnetwork: {architecture: 1x4}\nstudy: {stages: [train]}\n"
    folder = run_study(tmp_path, text + "training: {epochs: 3}\n")
    (run,) = (folder / "runs").iterdir()
    before = (run / "model.safetensors").read_bytes()
    again = run_study(tmp_path, text + "training: {epochs: 3, snapshots: all}\n")
    assert [path.name for path in (again / "runs").iterdir()] == [run.name]  # the same run
    assert (run / "model.safetensors").read_bytes() == before
    assert {path.name for path in run.glob("model-epoch*")} == {
        f"model-epoch{epoch}.safetensors" for epoch in (0, 1, 2)
    }


def test_settings_of_the_probe_can_be_swept(tmp_path):
    text = (
        "data: {train_images: 200}\nnetwork: {architecture: 1x4}\ntraining: {epochs: 1}\n"
        "study: {stages: [train, lmd]}\nlmd: {metrics: [laplacian], probes: []}\n"
        "sweep: {lmd.neighbours: [5, 10]}\n"
    )
    folder = run_study(tmp_path, text)
    layers = pd.read_csv(folder / "lmd_layers.csv")
    assert layers.groupby("neighbours").size().to_dict() == {5: 4, 10: 4}
    (run,) = (folder / "runs").iterdir()
    assert len(list(run.glob("lmd_factors*.npz"))) == 4  # two epochs of each
    assert (run / "lmd_factors.npz").exists()  # the default's
    lines = call("lmd", tmp_path / "small.yaml", "--results", tmp_path).stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["architecture", "neighbours"])
    probes = [line.split()[1] for line in lines[at + 1 : at + 9]]
    assert probes == ["5"] * 4 + ["10"] * 4  # variants of the probe are not averaged


SWISS_ROLL = """\
data: {dataset: swiss-roll, task: TASK, points: 200}
network: {architecture: 1x16}
training: {epochs: 20, weight_decay: 1e-3}
lmd: {metrics: [identity], probes: [functional-rank, dimension, semantics], sample: 200}
study: {stages: [train, lmd]}
"""


def test_swiss_roll_regression(tmp_path):
    text = SWISS_ROLL.replace("TASK", "regression")
    outcome = attempt(tmp_path, text)
    assert outcome.exit_code == 2
    assert "lmd.probes: semantics asks what classes explain, and a regression has none" in outcome.stderr
    folder = run_study(tmp_path, text.replace(", semantics", ""))
    runs = pd.read_csv(folder / "runs.csv")
    assert runs[["train_accuracy", "test_accuracy"]].isna().all(axis=None)
    assert runs["test_loss"].item() < 1.0  # both targets have variance 1
    layers = pd.read_csv(folder / "lmd_layers.csv")
    assert layers[["num_outputs", "num_inputs"]].drop_duplicates().to_numpy().tolist() == [[16, 3], [2, 16]]
    dimension = pd.read_csv(folder / "lmd_dimension.csv")
    data = dimension.query("layer == 0 and space == 'input' and epoch == 0")
    assert data["dimension"].between(1.5, 2.6).all()  # 200 points say no more


def test_swiss_roll_classification(tmp_path):
    folder = run_study(tmp_path, SWISS_ROLL.replace("TASK", "classification"))
    assert pd.read_csv(folder / "runs.csv")["test_accuracy"].item() > 0.3  # of four classes
    assert not pd.read_csv(folder / "lmd_semantics.csv").empty


def test_random_labels_are_drawn_once_and_stored(tmp_path):
    text = (
        "data: {train_images: 300, random_labels: 0.5}\nnetwork: {architecture: 1x4}\n"
        "training: {epochs: 1, seed: 7}\nstudy: {stages: [train, lmd]}\nlmd: {probes: [semantics]}\n"
    )
    folder = run_study(tmp_path, text)
    (run,) = (folder / "runs").iterdir()
    from spaceprobe.data.idx_files import MNIST
    from spaceprobe.data.idx_images import load_split

    true = load_split(MNIST, train=True).targets[:300].numpy()
    labels = np.load(run / "random_labels.npy")
    assert 0.35 < (labels != true).mean() < 0.55  # a tenth of the drawn half is right by chance
    # a damaged file is drawn again, to the same bytes
    before = (run / "random_labels.npy").read_bytes()
    (run / "random_labels.npy").write_bytes(before[:-1] + b"\x0b")
    run_study(tmp_path, text)
    assert (run / "random_labels.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.activation=polynomial-2", "polynomial-2 bends nowhere.*study.stages"),
        (
            "network.activation=gelu",
            r"exact cannot walk this network.*activation: gelu\); set sampled or adaptive",
        ),
        ("data.dataset=swiss-roll", "swiss-roll has no classes of images.*study.stages"),
    ],
)
def test_fold_says_what_it_cannot_fold(tmp_path, setting, message):
    outcome = call("fold", "quickstart", "--results", tmp_path, "--set", setting)
    assert outcome.exit_code == 2
    assert pd.Series([outcome.stderr]).str.contains(message).all()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.task=regression", "mnist has classes only: regression goes with dataset: swiss-roll"),
        ("training.snapshots=[31]", "there is no epoch 31 in a training of 4 epochs"),
        ("training.schedule=step", "name at least one epoch"),
        ("network.architecture=3x", "write hidden layers x units, such as 2x30, or each layer's units"),
        ("network.architecture=30-0", "units from 1 to 10000"),
        ("lmd.metrics=[data,data]", "expected each name once, got data, data"),
        (
            "lmd.probes=colour",
            "functional-rank, dimension, retrieval, semantics, hopfield, span, continuity or cost",
        ),
        ("folding.pairs=3-11", "folding.pairs: 3-11: the dataset has classes 0 to 9"),
        ("network.activation=polynomial-3", "polynomial-3 bends nowhere and has no bits to fold by"),
    ],
)
def test_settings_that_do_not_go_together(setting, message):
    outcome = call("validate", "quickstart", "--set", setting)
    assert outcome.exit_code == 2
    assert message in outcome.stderr


def test_equal_widths_are_one_architecture():
    assert (
        "architecture: [2x30, 4x15, 6x10]"
        in call(
            "validate", "quickstart", "--set", "sweep.network.architecture=[30-30, 4x15, 10-10-10-10-10-10]"
        ).stdout
    )


def test_diverged_training_fails_with_its_reason(tmp_path):
    text = (
        "data: {train_images: 300}\nnetwork: {architecture: 2x8, activation: polynomial-3}\n"
        "training: {epochs: 2, learning_rate: 1000, optimizer: sgd}\nstudy: {stages: [train, lmd]}\n"
    )
    outcome = attempt(tmp_path, text)
    assert outcome.exit_code == 1
    assert "training diverged: the loss, its gradient or a weight is not finite after epoch" in outcome.stderr
    runs = pd.read_csv(tmp_path / "small" / "runs.csv")
    assert runs["status"].tolist() == ["failed"]
    assert "try a smaller learning rate" in runs["error"].item()


def test_dead_layer_is_documented_not_fatal(tmp_path, monkeypatch):
    """A network whose first layer never fires: what needs its activations is marked invalid."""
    from spaceprobe.networks import mlp as networks

    def dead(*arguments, **options):
        network = mlp(*arguments, **options)
        with torch.no_grad():
            network[0].bias.fill_(-1e3)
        return network

    monkeypatch.setattr(networks, "mlp", dead)
    text = (
        "data: {train_images: 200}\nnetwork: {architecture: 2x6}\ntraining: {epochs: 1}\n"
        "lmd: {metrics: [identity, data, laplacian], probes: [functional-rank, dimension, semantics]}\n"
        "study: {stages: [train, lmd]}\n"
    )
    folder = run_study(tmp_path, text)
    layers = pd.read_csv(folder / "lmd_layers.csv").query("layer == 1")
    assert layers.groupby("metric")["valid"].all().to_dict() == {
        "identity": True, "data": False, "laplacian": False,
    }  # fmt: skip
    assert (layers["num_dead_inputs"] == 6).all()
    assert layers.loc[~layers["valid"], "reason"].str.len().gt(0).all()
    assert (layers["rule"] == "participation").all()
    dimension = pd.read_csv(folder / "lmd_dimension.csv").query("layer == 1 and space == 'input'")
    assert (dimension["dimension"] == 0).all()


def test_summary_shows_settings_as_they_are_written(tmp_path):
    text = (
        "data: {train_images: 200}\nnetwork: {architecture: 1x4}\ntraining: {epochs: 1}\n"
        "study: {stages: [train, lmd]}\nlmd: {probes: []}\nsweep: {training.learning_rate: [1e-3, 0.02]}\n"
    )
    lines = attempt(tmp_path, text).stdout.splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["0.001", "0.02"]
    heads = ["lr", "train accuracy", "test accuracy", "train loss", "test loss"]
    assert re.split("  +", lines[2].strip()) == heads


def test_a_dataset_that_is_missing_fails_its_runs_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = (
        "network: {architecture: 1x4}\ntraining: {epochs: 1}\nstudy: {stages: [train]}\n"
        "data: {train_images: 200}\nsweep: {data.dataset: [kmnist, mnist]}\n"
    )
    outcome = attempt(tmp_path, text)
    assert outcome.exit_code == 1
    assert "KMNIST" in outcome.stderr
    assert "Traceback" not in outcome.output
    runs = pd.read_csv(tmp_path / "small" / "runs.csv")
    assert runs[["dataset", "status"]].to_numpy().tolist() == [["kmnist", "failed"], ["mnist", "done"]]
    assert "KMNIST" in runs["error"][0]


def test_lists_can_be_swept(tmp_path):
    text = (
        "data: {train_images: 200}\nnetwork: {architecture: 1x4}\n"
        "training: {epochs: 3, schedule: step}\nstudy: {stages: [train, lmd]}\nlmd: {probes: []}\n"
        "sweep: {training.milestones: [[1], [1, 2]]}\n"
    )
    folder = run_study(tmp_path, text)
    assert sorted(pd.read_csv(folder / "runs.csv")["milestones"].astype(str)) == ["1", "1,2"]


def test_points_too_few_for_a_graph_are_refused_before_anything_is_trained(tmp_path):
    text = "data: {train_images: 10}\nlmd: {metrics: laplacian}\nstudy: {stages: [train, lmd]}\n"
    outcome = attempt(tmp_path, text)
    assert outcome.exit_code == 2
    assert "lmd.neighbours: 10 of each point are more than 10 points have" in outcome.stderr
    assert not (tmp_path / "small").exists()


def test_what_no_check_foresaw_fails_its_run_only(tmp_path, monkeypatch):
    from spaceprobe.stages.lmd import network

    decompose = network.decompose

    def choose(weight):
        if weight.shape == (4, 784):
            raise ValueError("singular for once")
        return decompose(weight)

    monkeypatch.setattr(network, "decompose", choose)
    text = (
        "data: {train_images: 200}\ntraining: {epochs: 1}\nlmd: {probes: []}\n"
        "study: {stages: [train, lmd]}\nsweep: {network.architecture: [1x4, 1x5]}\n"
    )
    outcome = attempt(tmp_path, text)
    assert outcome.exit_code == 1
    assert "1x4-s0-" in outcome.stderr
    assert "epoch 0: singular for once" in outcome.stderr
    assert pd.read_csv(tmp_path / "small" / "lmd_layers.csv")["num_outputs"].tolist() == [5, 10, 5, 10]


def test_each_matrix_is_decomposed_once_an_epoch(tmp_path, monkeypatch):
    text = (
        "data: {train_images: 200}\nnetwork: {architecture: 7-6}\ntraining: {epochs: 2, snapshots: all}\n"
        "lmd:\n  metrics: [identity, data, laplacian]\n  epoch: all\n  sample: 60\n  retrieval_images: 20\n"
        "  probes: [functional-rank, dimension, retrieval, semantics]\n  shuffles: 2\n"
        "study: {stages: [train]}\n"
    )
    folder = run_study(tmp_path, text)
    (run,) = (folder / "runs").iterdir()
    decomposed = {"svd": [], "svdvals": []}

    def count(name):
        original = getattr(torch.linalg, name)

        def counting(matrix, *arguments, **options):
            decomposed[name].append(matrix.detach().numpy().tobytes())
            return original(matrix, *arguments, **options)

        monkeypatch.setattr(torch.linalg, name, counting)

    count("svd")
    count("svdvals")
    (tmp_path / "small.yaml").write_text(text.replace("[train]", "[train, lmd]"))
    assert call("lmd", tmp_path / "small.yaml", "--results", tmp_path).exit_code == 0
    for name in ("model-epoch0", "model-epoch1", "model"):
        weights = load_file(run / f"{name}.safetensors")
        for layer in (0, 2, 4):
            matrix = weights[f"{layer}.weight"].double().numpy().tobytes()
            assert decomposed["svd"].count(matrix) == 1
            # Values alone have other last bits than values with vectors: those of the start are in a column.
            assert decomposed["svdvals"].count(matrix) == (name == "model-epoch0")


@pytest.mark.parametrize(("optimizer", "penalty"), [("sgd", 0.3), ("adam", 0.3), ("adamw", 0.0)])
def test_the_gradient_is_that_of_loss_and_penalty(optimizer, penalty):
    """At the minimum of loss and decay the loss alone still has a gradient, of -λw."""
    from spaceprobe.networks.objective import full_batch
    from spaceprobe.networks.training import Recipe

    assert Recipe(1, 0.1, 1, optimizer=optimizer, weight_decay=0.3).penalty == penalty
    network = torch.nn.Linear(1, 1, bias=False)
    inputs, targets = torch.ones(4, 1), torch.full((4, 1), 2.3)
    with torch.no_grad():
        network.weight.fill_(2.0)  # of (w - 2.3)² + λ/2 w² with λ = 0.3
    assert full_batch(network, inputs, targets, 0.3).gradient_norm == pytest.approx(0, abs=1e-6)
    assert full_batch(network, inputs, targets).gradient_norm == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("name", ["lmd", "fold"])
def test_other_weights_make_a_probe_out_of_date(name):
    """The digest of the checkpoint that a part was read off is in its key, and no other one."""
    from spaceprobe.stages import stage_named
    from spaceprobe.stages.stage import PartContent
    from spaceprobe.stages.train.settings import FINAL, INITIAL
    from spaceprobe.study.config import load_study

    sections = load_study("quickstart", overrides=["training.epochs=5"]).sections

    def keys(initial, final):
        trained = PartContent({}, files={INITIAL: initial, FINAL: final})
        parts = stage_named(name).plan(sections, {"train": [trained]})
        return {part.path: part.key for part in parts}

    before, retrained = keys("a", "b"), keys("a", "c")
    changed = {path for path in before if before[path] != retrained[path]}
    assert changed == {path for path in before if before[path]["epoch"] == 5}
    assert all(before[path] != key for path, key in keys("d", "b").items() if key["epoch"] == 0)
