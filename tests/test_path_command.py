"""`spaceprobe path` and the report's examples, on a small study of real MNIST."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.folding import trace_path
from spaceprobe.results.examples import StudyExample, cantor_example, example_path
from spaceprobe.results.paths import path_table
from spaceprobe.results.started import find_started
from spaceprobe.results.trained_run import TrainedRun
from spaceprobe.tables.frames import read_tables
from tests.commands import call, small_mnist

PER_CLASS = 10
STUDY = f"""\
study: {{stages: [train, fold]}}
data: {{train_images: 2000}}
training: {{epochs: 3, learning_rate: 0.01, snapshots: [1]}}
folding: {{per_class: {PER_CLASS}, pairs: [3-8, 8-3, 5-5]}}
sweep:
  network.architecture: [2x8, 5x9]
  training.seed: [0, 1]
"""
ONE_RUN = """\
study: {stages: [train]}
data: {train_images: 300}
network: {architecture: 2x5}
training: {epochs: 1}
"""
DIVERGING = """\
study: {stages: [train]}
data: {train_images: 600}
network: {architecture: 20x10}
training: {epochs: 1, learning_rate: 1000.0}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def images():
    return load_split(MNIST, train=False)


def run_folder(results, start="5x9-s0", name="tiny"):
    return next((results / name / "runs").glob(f"{start}-*"))


def network_from(folder, file="model.safetensors"):
    """Return a network by its weights alone."""
    state = safetensors.torch.load_file(folder / file)
    steps = []
    for number in sorted({int(name.partition(".")[0]) for name in state}):
        weights = {name: state[f"{number}.{name}"] for name in ("weight", "bias")}
        layer = nn.Linear(*reversed(weights["weight"].shape))
        layer.load_state_dict(weights)
        steps += [layer, nn.ReLU()]
    return nn.Sequential(*steps[:-1]).double()


def walk(study, results, *flags, start="5x9-s0", source=17, target=4321):
    run = run_folder(results, start).name
    where = ("--from", source, "--to", target)
    return call("path", study, "--results", results, "--run", run, *where, *flags)


def refused(outcome, words, exit_code=2):
    assert (outcome.exit_code, outcome.stdout) == (exit_code, "")
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_path_is_printed_step_by_step(study, finished, images):
    outcome = walk(study, finished)
    assert outcome.exit_code == 0, outcome.output
    folder = run_folder(finished)
    ends = (images.inputs[number].double() for number in (17, 4321))
    trace = trace_path(network_from(folder), *ends)
    head, _, *table, _, last = outcome.stdout.splitlines()
    assert head == f"tiny, {folder.name}, epoch 3: from 17 (a 7) to 4321 (a 9), exact"
    assert "\n".join(table) == path_table(trace)
    assert len(table) == 1 + len(trace.t) > 5
    assert last == (
        f"length {trace.length[-1]}, reach {max(trace.distance)}, χ {trace.chi[-1]:.4f}, "
        f"peak folding {max(trace.chi):.4f}, {len(trace.t)} regions"
    )


@pytest.mark.parametrize(
    ("asked", "file", "number"),
    [
        ("0", "model-epoch0.safetensors", 0),
        ("1", "model-epoch1.safetensors", 1),
        ("3", "model.safetensors", 3),
        ("last", "model.safetensors", 3),
    ],
)
def test_of_every_epoch_that_was_kept(study, finished, images, asked, file, number):
    outcome = walk(study, finished, "--epoch", asked)
    network = network_from(run_folder(finished), file)
    trace = trace_path(network, images.inputs[17].double(), images.inputs[4321].double())
    assert f"epoch {number}: " in outcome.stdout
    assert path_table(trace) in outcome.stdout


def test_sampled(study, finished, images):
    outcome = walk(study, finished, "--method", "sampled", "--points", 9)
    network = network_from(run_folder(finished))
    ends = (images.inputs[number].double() for number in (17, 4321))
    trace = trace_path(network, *ends, method="sampled", num_points=9)
    assert path_table(trace) in outcome.stdout
    num_regions = 1 + np.count_nonzero(np.diff(trace.length))
    assert f"at least {num_regions} regions (9 points were seen)" in outcome.stdout
    assert "4321 (a 9), 100 points" in walk(study, finished, "--method", "sampled").stdout


def test_from_an_image_to_itself(study, finished, tmp_path):
    file = tmp_path / "still.svg"
    outcome = walk(study, finished, "--out", file, target=17)
    assert outcome.exit_code == 0
    last = f"length 0, reach 0, χ 0.0000, peak folding 0.0000, 1 region\nfigure  {file}\n"
    assert outcome.stdout.endswith(last)


def test_the_only_run_needs_no_name(tmp_path):
    file = tmp_path / "single.yaml"
    file.write_text(ONE_RUN)
    assert call("train", file, "--results", tmp_path).exit_code == 0
    outcome = call("path", file, "--results", tmp_path, "--from", 0, "--to", 61)
    assert outcome.stdout.startswith("single, 2x5-s0-")
    assert ": from 0 (a 7) to 61 (an 8), exact" in outcome.stdout


def test_other_images_have_classes(tmp_path):
    """Called a class by its number: what it shows is not that digit."""
    small_mnist(tmp_path)  # some of MNIST's images, which nothing tells from others
    (tmp_path / "MNIST").rename(tmp_path / "KMNIST")
    file = tmp_path / "single.yaml"
    file.write_text(ONE_RUN.replace("data: {", f"data: {{dataset: kmnist, root: {tmp_path}, "))
    assert call("train", file, "--results", tmp_path).exit_code == 0
    outcome = call("path", file, "--results", tmp_path, "--from", 0, "--to", 61)
    assert ": from 0 (class 7) to 61 (class 8), exact" in outcome.stdout


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".SVG"])
def test_drawn_with_the_same_bytes_twice(study, finished, tmp_path, suffix):
    files = [tmp_path / "new" / f"{name}{suffix}" for name in ("one", "two")]
    outcomes = [walk(study, finished, "--out", file) for file in files]
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    assert outcomes[0].stdout == walk(study, finished).stdout + f"figure  {files[0]}\n"
    one, two = (file.read_bytes() for file in files)
    assert one == two
    start = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix.lower()]
    assert one.startswith(start)


def test_cantornet_is_drawn(tmp_path):
    files = [tmp_path / name for name in ("one.svg", "two.svg")]
    shown = [call("cantor", "-k", 2, "--out", file).stdout for file in files]
    plain = call("cantor", "-k", 2).stdout
    assert shown == [f"{plain}figure  {file}\n" for file in files]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith(b"<?xml")


# What a user can cause.


def test_a_study_that_was_never_started(study, tmp_path):
    outcome = call("path", study, "--results", tmp_path, "--from", 0, "--to", 1)
    refused(outcome, f"{tmp_path}/tiny/study.yaml: there is none, so no study was started there", 1)


def test_runs_have_names_and_labels(study, finished, tmp_path):
    names = sorted(path.name for path in (finished / "tiny" / "runs").iterdir())
    where = ("--results", finished, "--from", 0, "--to", 1)
    names = [f"{name} ({name[:3]} · seed {name[5]})" for name in names]
    unknown = call("path", study, *where, "--run", "nobody")
    refused(unknown, f"--run nobody: no run of tiny; its runs are {', '.join(names)}")
    label, file = "2x8 · seed 0", tmp_path / "by-label.svg"
    by_label = call("path", study, *where, "--run", label, "--out", file)
    assert by_label.exit_code == 0, by_label.output
    by_name = call("path", study, *where, "--run", names[0].partition(" ")[0])
    assert by_label.stdout == by_name.stdout + f"figure  {file}\n"
    missing = call("path", study, *where)
    refused(missing, f"--run: tiny has 4 runs, name one of {', '.join(names)}")


@pytest.mark.parametrize(("flag", "number"), [("--from", 10_000), ("--to", -1)])
def test_images_that_there_are_not(study, finished, flag, number):
    place = {"--from": "source", "--to": "target"}[flag]
    outcome = walk(study, finished, **{place: number})
    refused(outcome, f"{flag} {number}: the test images of mnist are numbered from 0 to 9999")


@pytest.mark.parametrize("epoch", ["2", "-1", "first", "²"])
def test_epochs_that_there_are_not(study, finished, epoch):
    outcome = walk(study, finished, "--epoch", epoch)
    run = run_folder(finished).name
    refused(
        outcome,
        f"--epoch {epoch}: no weights of {run} were kept then; choose last or one of 0, 1, 3 "
        "(training.snapshots keeps more)",
    )


def test_points_are_of_sampled_paths(study, finished):
    refused(walk(study, finished, "--points", 9), "--points goes with --method sampled or adaptive")
    refused(walk(study, finished, "--method", "sampled", "--points", 1), "1 is not in the range")


@pytest.mark.parametrize(
    ("name", "found"), [("path.txt", "ends in .txt"), ("path", "has no suffix"), (".svg", "has no suffix")]
)
def test_files_that_are_no_figures(study, finished, tmp_path, name, found):
    words = f"--out {tmp_path / name}: {found}; a figure is drawn as .svg, .png, .pdf"
    refused(walk(study, finished, "--out", tmp_path / name), words)
    refused(call("cantor", "--out", tmp_path / name), words)
    assert not [*tmp_path.iterdir()]


def test_files_that_cannot_be_written(study, finished, tmp_path):
    (tmp_path / "folder.svg").mkdir()
    refused(walk(study, finished, "--out", tmp_path / "folder.svg"), "is a folder; name a file in it")
    (tmp_path / "file").write_text("")
    refused(walk(study, finished, "--out", tmp_path / "file" / "path.svg"), "move what is there away", 1)


def test_a_run_that_is_not_trained(study, copied):
    (run_folder(copied) / "train.json").unlink()
    name = run_folder(copied).name
    refused(
        walk(study, copied),
        f"{name}: is not trained yet; `spaceprobe train tiny --run {name}` trains it",
        1,
    )


def test_a_damaged_checkpoint(study, copied):
    path = run_folder(copied) / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    outcome = walk(study, copied)
    refused(outcome, "has to be trained again: model.safetensors is damaged", 1)
    assert f"`spaceprobe train tiny --run {run_folder(copied).name}` trains it" in outcome.stderr


def test_a_run_whose_training_failed(tmp_path):
    file = tmp_path / "failing.yaml"
    file.write_text(DIVERGING)
    assert call("train", file, "--results", tmp_path).exit_code == 1
    where = ("path", file, "--results", tmp_path, "--from", 0, "--to", 1)
    outcome = call(*where)
    refused(outcome, "training diverged", 1)
    assert "so there are no weights of epoch last; choose another run, or --epoch 0" in outcome.stderr
    assert call(*where, "--epoch", 0).exit_code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("data: {train_images: 300}", "data: {dataset: swiss-roll}"),
            "data.dataset is swiss-roll, which has no images to walk between; choose a study of mnist, "
            "fashion-mnist, kmnist",
        ),
        (
            ("architecture: 2x5", "architecture: 2x5, activation: gelu"),
            "network.activation is gelu, whose units are not on or off; choose a run with relu",
        ),
    ],
    ids=["points", "gelu"],
)
def test_networks_without_a_path(tmp_path, change, words):
    file = tmp_path / "other.yaml"
    file.write_text(ONE_RUN.replace(*change))
    assert call("train", file, "--results", tmp_path).exit_code == 0
    refused(call("path", file, "--results", tmp_path, "--from", 0, "--to", 1), words)
    study, folder = find_started(str(file), tmp_path)
    assert example_path(study, folder, read_tables(folder)) == "no folding was measured"


def test_runs_are_completed(study, finished, tmp_path):
    """Those of the study as it was started, wherever its results are."""
    words = ["spaceprobe", "path", "tiny", "--results", str(finished), "--run", "5x9-s1"]
    environment = {
        **os.environ,
        "_SPACEPROBE_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [sys.executable, "-c", "from spaceprobe.cli import main; main(prog_name='spaceprobe')"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == [f"plain,{run_folder(finished, '5x9-s1').name}"], done.stderr


# The report's examples.


@pytest.fixture(scope="module")
def example(finished, study):
    return example_of(finished)


def example_of(results, **changed):
    study, folder = find_started("tiny", results)
    return example_path(study, folder, read_tables(folder) | changed)


def slow_largest(results, images):
    """Return the ends and χ of the most folded path of 5x9-s0, each path walked on its own."""
    network = network_from(run_folder(results))
    members = {label: np.flatnonzero(images.targets.numpy() == label)[:PER_CLASS] for label in (3, 5, 8)}
    found = {}
    for first, second in ((3, 8), (5, 5), (8, 3)):  # in the order of the table
        for source in members[first]:
            for target in members[second]:
                if source != target:
                    ends = (images.inputs[int(number)].double() for number in (source, target))
                    found[int(source), int(target)] = trace_path(network, *ends).chi[-1]
    largest = max(found.values())
    return next(ends for ends, chi in found.items() if chi == largest), largest


def test_the_example_is_the_most_folded_path(finished, images, example):
    ends, chi = slow_largest(finished, images)
    assert (example.source, example.target) == ends
    assert (example.run, example.epoch) == (run_folder(finished).name, 3)
    assert (example.source_class, example.target_class) == tuple(images.targets[list(ends)].tolist())
    folding = pd.read_csv(finished / "tiny" / "folding.csv")
    rows = folding[(folding["run"] == example.run) & (folding["epoch"] == 3) & (folding["measure"] == "chi")]
    assert example.path["chi"].iloc[-1] == chi == rows["max"].max() > 0
    assert list(example.path.columns) == ["t", "distance", "flips", "chi"]


def test_its_images_go_from_end_to_end(images, example):
    assert example.images.shape == (9, 28, 28)
    ends = (images.inputs[number].double().numpy() for number in (example.source, example.target))
    for image, end in zip(example.images[[0, -1]], ends, strict=True):
        np.testing.assert_array_equal(image.ravel(), end)
    middle = example.images[[0, -1]].mean(axis=0)
    np.testing.assert_allclose(example.images[4], middle, atol=1e-15)  # rounding of pixels in [0, 1]


def test_its_samples_are_those_of_paths(finished, images, example):
    network = network_from(run_folder(finished))
    labels = images.targets.numpy()
    paths = {f"largest χ: {example.source} → {example.target}": (example.source, example.target)}
    targets = [n for n in np.flatnonzero(labels == example.target_class)[:PER_CLASS] if n != example.source]
    start = images.inputs[example.source].double()
    chi = {int(n): trace_path(network, start, images.inputs[n].double()).chi[-1] for n in targets}
    folded = sorted(value for value in chi.values() if value > 0)
    median = next(n for n, value in chi.items() if value == folded[(len(folded) - 1) // 2])
    if median != example.target:
        paths[f"median χ: {example.source} → {median}"] = (example.source, median)
    assert list(example.samples["path"].unique()) == list(paths)
    for name, rows in example.samples.groupby("path"):
        ends = [images.inputs[number].double() for number in paths[name]]
        numbers = rows["num_points"].iloc[:-1].tolist()
        assert numbers == [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
        slow = [trace_path(network, *ends, method="sampled", num_points=n).chi[-1] for n in numbers]
        assert rows["num_points"].isna().tolist() == [False] * 11 + [True]
        assert rows["chi"].tolist() == [*slow, trace_path(network, *ends).chi[-1]]


def test_its_plane_goes_through_three_images(finished, images, example):
    network = network_from(run_folder(finished))
    third = list(example.corners)[2]
    following = {(3, 8): 9, (8, 3): 4, (5, 5): 6}[example.source_class, example.target_class]
    number = int(np.flatnonzero(images.targets.numpy() == following)[0])
    assert re.fullmatch(rf"{number} \(an? {following}\)", third)
    assert [*example.corners.values()] == [(0, 0), (1, 0), (0, 1)]
    assert example.labels[1] == f"towards {third}"
    assert example.plane.groupby("y")["x"].nunique().tolist() == [240] * 240
    a, b, c = (images.inputs[n].double() for n in (example.source, example.target, number))

    def pattern(point):
        bits = []
        for step in network[:-1]:
            bits += [point > 0] if isinstance(step, nn.ReLU) else []
            point = step(point)
        return torch.cat(bits)

    for row in example.plane.sample(60, random_state=1).itertuples():
        point = a + row.x * (b - a) + row.y * (c - a)
        assert row.distance == int((pattern(point) != pattern(a)).sum())
    assert -0.3 < example.plane["x"].min() < example.plane["x"].max() < 1.3


def test_cantornet_as_an_example():
    """Known answer of docs/definitions.md, "Known answers": 11/16 with two folds and every ReLU."""
    example = cantor_example()
    assert example.path["chi"].iloc[-1] == 11 / 16
    chi = example.samples.set_index("num_points")["chi"]
    assert chi[11] == chi[10_001] == chi[example.samples["num_points"].isna().to_numpy()].item() == 11 / 16
    assert [*example.corners.values()] == [(0, 3 / 4), (1, 3 / 4)]
    plane = example.plane
    for column in ("x", "y"):
        assert plane[column].min() == pytest.approx(1 / 480, abs=1e-12)
        assert plane[column].max() == pytest.approx(1 - 1 / 480, abs=1e-12)
    near = plane[(plane["y"] - 0.75).abs() < 1 / 400]  # the two rows of cells beside the path
    steps = np.searchsorted(example.path["t"], near["x"], side="right") - 1
    is_far = np.abs(near["x"].to_numpy()[:, None] - example.path["t"].to_numpy()).min(axis=1) > 1 / 100
    expected = example.path["distance"].to_numpy()[steps]
    np.testing.assert_array_equal(near["distance"].to_numpy()[is_far], expected[is_far])


def test_why_there_is_no_example(study, finished, copied):
    frames = read_tables(finished / "tiny")
    folding, runs = frames["folding"], frames["runs"]
    assert example_of(finished, folding=folding.iloc[:0]) == "no folding was measured"
    assert example_of(finished, folding=folding.assign(method="sampled")).startswith(
        "no path was walked exactly (folding.method)"
    )
    failed = example_of(finished, runs=runs.assign(status="failed"))
    assert failed == "no run whose folding was measured is done"
    other = example_of(
        finished, folding=folding.assign(run="9x9-s0-000000"), runs=runs.assign(run="9x9-s0-000000")
    )
    assert other == "9x9-s0-000000 is not a run of the study as it was last started"
    changed = example_of(finished, folding=folding.assign(max=0.875))
    assert "the folding on disk does not match folding.csv; `spaceprobe fold` repairs that" in changed
    (run_folder(copied) / "model.safetensors").unlink()
    assert "model.safetensors is missing" in example_of(copied)


def test_an_example_is_never_of_another_network(study, copied):
    """Weights that do not give the χ of the table are not shown beside it."""
    other = run_folder(copied, "5x9-s1")
    mine = run_folder(copied)
    frames = read_tables(copied / "tiny")
    for name in ("train.json", "model.safetensors", "model-epoch0.safetensors", "model-epoch1.safetensors"):
        shutil.copy(other / name, mine / name)
    outcome = example_of(copied, **frames)
    assert f"{mine.name}: has to be trained again: training.seed 1 → 0" in outcome


def test_an_example_has_the_folding_of_the_table(finished, monkeypatch):
    """Where the walk gives another χ than the table, that is said and nothing is shown."""
    monkeypatch.setattr(
        TrainedRun, "network", lambda run, _: network_from(run.folder, "model-epoch0.safetensors")
    )
    outcome = example_of(finished)
    assert re.search(r"epoch 3, classes \d-\d: walked again, the largest χ is 0\.\d+, but 0\.\d+ in", outcome)


def test_a_run_of_the_greatest_depth_whose_folding_is_there(finished):
    frames = read_tables(finished / "tiny")
    folding = frames["folding"]
    deepest = run_folder(finished).name
    without = example_of(finished, folding=folding[folding["run"] != deepest])
    assert without.run == run_folder(finished, "5x9-s1").name
    untrained = example_of(finished, folding=folding[folding["epoch"] == 0])
    assert isinstance(untrained, StudyExample)
    assert (untrained.run, untrained.epoch) == (deepest, 0)


def test_an_example_beside_other_ways_of_folding(study, copied):
    """The numbers of images tell the parts of two settings apart."""
    sweep = f"sweep.folding.per_class=[{PER_CLASS}, 6]"
    assert call("fold", study, "--results", copied, "--set", sweep).exit_code == 0
    outcome = example_of(copied)
    folding = pd.read_csv(Path(copied) / "tiny" / "folding.csv")
    rows = folding[(folding["run"] == outcome.run) & (folding["epoch"] == 3) & (folding["measure"] == "chi")]
    assert set(folding["num_sources"]) == {6, PER_CLASS}
    assert outcome.path["chi"].iloc[-1] == rows["max"].max()
