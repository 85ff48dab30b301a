"""A study of which no run can be done is refused, and what was computed before stays as it is."""

import json

import pytest

from tests.commands import call, small_mnist

STUDY = """\
study: {{stages: [train, fold, summarize]}}
data: {{root: {root}, train_images: 250}}
network: {{architecture: 2x5}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: [3-8]}}
sweep: {{training.seed: [0, 1]}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "small.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    return path


def contents(folder):
    """Return every file but the notes on what was read."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".seen.json"]
    return {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("run", "--set", "data.root=nowhere"), "data.root: nowhere/MNIST/raw lacks train-images-idx3-ubyte"),
        (("run", "--set", "data.train_images=301"), "data.train_images: 301"),
        (
            ("train", "--set", "data.root=nowhere"),
            "data.root: nowhere/MNIST/raw lacks train-images-idx3-ubyte",
        ),
        (("fold", "--set", "training.epochs=2"), "`spaceprobe train` comes first"),
        (("run", "--force", "--set", "data.root=nowhere"), "data.root: nowhere/MNIST/raw lacks"),
    ],
)
def test_good_results_stay_where_no_run_can_be_done(study, copied, words, reason):
    before = contents(copied)
    command, *rest = words
    outcome = call(command, study, "--results", copied, *rest)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    start = "Error: small: none of its 2 runs can be done, so nothing is computed or written: "
    assert outcome.stderr.startswith(start)
    assert outcome.stderr.count("\n") == 1
    assert reason in outcome.stderr
    assert contents(copied) == before
    assert call("clean", copied / "small", "--dry-run").stdout.endswith("all results belong to the study\n")


@pytest.mark.parametrize("command", [("plan",), ("run", "--dry-run"), ("plan", "--json")])
def test_a_plan_of_what_cannot_be_done_ends_as_the_run_would(study, copied, command):
    before = contents(copied)
    outcome = call(*command, study, "--results", copied, "--set", "data.root=nowhere")
    assert outcome.exit_code == 2
    assert "none of its 2 runs can be done" in outcome.stderr
    if "--json" in command:
        states = [run["state"] for run in json.loads(outcome.stdout)["stages"][0]["runs"]]
        assert states == ["failed", "failed"]
    else:
        assert "train      2 of 2 runs cannot be done: data.root: nowhere/MNIST/raw lacks" in outcome.stdout
    assert contents(copied) == before


def test_a_study_that_was_never_started_leaves_no_folder(study, tmp_path):
    outcome = call(
        "run", study, "--results", tmp_path, "--set", "data.root=nowhere", "--run", only_run(study)
    )
    assert outcome.exit_code == 2
    assert "no run of small" in outcome.stderr  # the images are a part of the name
    one = ("--set", "sweep.training.seed=[0]", "--set", "data.root=nowhere")
    outcome = call("run", study, "--results", tmp_path, *one)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "small: its run cannot be done, so nothing is computed or written: data.root" in outcome.stderr
    assert not [*tmp_path.iterdir()]


def only_run(study):
    return json.loads(call("plan", study, "--json").stdout)["stages"][0]["runs"][0]["run"]


# What a name means.


def test_a_name_in_the_folder_of_results_is_planned_and_validated(study, copied, monkeypatch):
    monkeypatch.chdir(copied.parent)
    planned = call("plan", "small")
    assert (planned.exit_code, planned.stderr) == (0, "")
    assert planned.stdout.startswith("small: 2 runs in results/small\ntrain      up to date\n")
    assert call("plan", "small", "--results", copied).exit_code == 0
    assert call("run", "small").stderr == "everything was up to date: nothing was computed\n"
    assert call("validate", "small").exit_code == 0
    assert call("validate", "results/small").stderr == "small: valid, 2 runs\n"
    assert call("plan", "smal").exit_code == 2


def test_results_of_a_file_of_weights_are_named_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "weights-net-abcdef"
    folder.mkdir(parents=True)
    (folder / "lmd_layers.csv").write_text("layer,name,kind\n")
    outcome = call("plan", "weights-net-abcdef")
    assert outcome.exit_code == 2
    assert "results/weights-net-abcdef: has the matrices of a file of weights, not a study" in outcome.stderr


def test_a_folder_without_a_study_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for word in ("x", "./x"):
        planned = call("plan", word)
        assert planned.exit_code == 2
        assert planned.stderr.startswith(
            f"Error: {word}: a folder without study.yaml, so no study was started"
        )
    start = ", so no study was started there; start it"
    beside = "results/x/study.yaml: there is none (nor is there one in x)"
    assert call("report", "x").stderr.startswith(f"Error: {beside}{start}")
    assert call("report", "./x").stderr.startswith(f"Error: x/study.yaml: there is none{start}")
