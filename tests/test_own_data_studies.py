"""Whole studies on digits and on a user's own file, folder and function; what is redone after an edit."""

import json

import numpy as np
import pandas as pd
import pytest

from spaceprobe.data import function_facts
from tests.commands import call
from tests.own_data import NAMES, small_arrays, write_file, write_folder

STUDY = """\
data: DATA
network: {architecture: 2x16}
training: {epochs: 2}
folding: {per_class: 3, threads: 1, device: cpu}
lmd: {epoch: last, sample: 20, metrics: [identity], probes: [functional-rank]}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write_study(place, data, **settings):
    text = STUDY.replace("DATA", data)
    for old, new in settings.items():
        text = text.replace(old, new)
    (place / "own.yaml").write_text(text)


def run(*words):
    outcome = call("run", "own.yaml", *words)
    assert outcome.exit_code == 0, outcome.output
    return outcome


def tables(place):
    folder = place / "results" / "own"
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}


def planned(*words):
    """Return the plan of each stage, on one line."""
    outcome = call("plan", "own.yaml", *words)
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.replace("\n           ", " ").splitlines()[1:]
    return {line.split()[0]: line.partition(" ")[2].strip() for line in lines}


def data_facts(place):
    return json.loads((place / "results" / "own" / "provenance.json").read_text())["data"]


def test_digits_are_trained_on_folded_and_decomposed(place):
    write_study(
        place,
        "{dataset: digits, train_images: 300}",
        **{"per_class: 3": "pairs: [3-8, 8-3, 1-1], per_class: 3"},
    )
    run()
    written = tables(place)
    (row,) = written["runs"].to_dict("records")
    assert (row["dataset"], row["status"]) == ("digits", "done")
    assert row["num_parameters"] == 64 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10
    folding = written["folding"]
    assert {*zip(folding["source_class"], folding["target_class"], strict=True)} == {(3, 8), (8, 3), (1, 1)}
    assert {*folding[folding["source_class"] == 3]["num_paths"]} == {9}
    assert {*written["lmd_layers"]["num_inputs"]} == {64, 16}
    assert data_facts(place) == {"digits": "published, in scikit-learn"}


def test_a_file_of_three_classes(place):
    """Training, folding and LMD follow the data, and an edit has all of it computed again."""
    arrays = small_arrays()
    write_file(place / "my.npz", class_names=np.array(NAMES))
    write_study(place, "{file: my.npz}")
    run()
    written = tables(place)
    (row,) = written["runs"].to_dict("records")
    assert (row["dataset"], row["num_parameters"]) == ("file", 35 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3)
    pairs = {*zip(written["folding"]["source_class"], written["folding"]["target_class"], strict=True)}
    assert pairs == {(source, target) for source in range(3) for target in range(3)}
    assert {*written["lmd_layers"]["num_outputs"]} == {16, 3}
    assert list(planned().values()) == ["up to date"] * 4
    [(name, origin)] = data_facts(place).items()
    assert name == "data.file my.npz"
    assert origin.startswith("your own file, SHA-256 ")
    walked = call("path", "own", "--from", 0, "--to", 2)
    assert "from 0 (cat) to 2 (emu), exact" in walked.stdout
    refused = call("path", "own", "--from", 0, "--to", 12)
    assert "--to 12: the test images of my.npz are numbered from 0 to 11" in refused.stderr
    refused = call("plan", "own.yaml", "--pairs", "0-3")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: folding.pairs: 0-3: the dataset has classes 0 to 2\n",
    )
    before = {
        path.name: path.read_bytes() for path in (place / "results/own/runs").glob("*/model.safetensors")
    }
    arrays["x_train"] //= 2
    write_file(place / "my.npz", **arrays, class_names=np.array(NAMES))
    plans = planned()
    assert plans["train"] == "1 of 1 runs, 2 epochs: data.file my.npz changed"
    assert all("after train" in plans[stage] for stage in ("fold", "lmd"))
    run()
    after = {
        path.name: path.read_bytes() for path in (place / "results/own/runs").glob("*/model.safetensors")
    }
    assert before != after
    assert list(planned().values()) == ["up to date"] * 4
    # test images alone: the trained network would be the same, and the paths are not
    arrays["x_test"] //= 2
    write_file(place / "my.npz", **arrays, class_names=np.array(NAMES))
    assert planned()["train"].endswith("data.file my.npz changed")
    (place / "my.npz").unlink()
    outcome = call("run", "own.yaml")
    assert outcome.exit_code == 1
    assert "data.file: my.npz does not exist; give the path of an .npz file" in outcome.stderr


def test_a_folder_of_images_and_an_edited_image(place):
    write_folder(place / "pets")
    write_study(place, "{folder: pets}")
    run()
    assert tables(place)["runs"]["dataset"].tolist() == ["folder"]
    [(name, origin)] = data_facts(place).items()
    assert name == "data.folder pets"
    assert origin.startswith("your own images, 30 to train on and 12 to test on; the SHA-256 of their names")
    image = place / "pets" / "test" / "dog" / "001.png"
    image.write_bytes((place / "pets" / "test" / "cat" / "000.png").read_bytes())
    assert planned()["train"] == "1 of 1 runs, 2 epochs: data.folder pets changed"


def test_a_function_and_workers_that_run_it(place):
    """Points that are not images; two processes; what needs --trust and what does not."""
    (place / "mydata.py").write_text(
        "from tests.own_data import small_arrays\n\n\ndef blobs():\n    return small_arrays(shape=(6,))\n"
    )
    write_study(place, "{function: mydata:blobs}")
    for command in (
        ("plan", "own.yaml"),
        ("run", "own.yaml"),
        ("train", "own.yaml"),
        ("validate", "own.yaml"),
    ):
        outcome = call(*command)
        assert outcome.exit_code == 2
        assert outcome.stderr == (
            "Error: data.function: mydata:blobs runs code of yours, mydata.py, which needs --trust mydata on "
            "the command line; look at it first if it is not your own\n"
        )
    assert not (place / "results").exists()
    text = (place / "own.yaml").read_text()
    (place / "own.yaml").write_text(text + "sweep: {training.seed: [0, 1]}\n")
    outcome = run("--trust", "mydata", "--jobs", 2)
    assert (
        "data.function: mydata:blobs: running blobs() of mydata.py, as --trust mydata allows"
        in outcome.stderr
    )
    written = tables(place)
    assert written["runs"]["status"].tolist() == ["done", "done"]
    assert written["runs"]["num_parameters"].tolist() == [6 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3] * 2
    assert len(written["folding"]) == 2 * 2 * 9 * 2  # runs, epochs, pairs, measures
    [(name, origin)] = data_facts(place).items()
    assert name == "data.function mydata:blobs"
    assert "of its files: mydata.py " in origin
    assert list(planned().values()) == ["up to date"] * 4
    assert call("status", "own").exit_code == 0
    function_facts._computed.cache_clear()  # as in another process
    assert "needs --trust mydata" in call("path", "own", "--run", "seed 0", "--from", 0, "--to", 1).stderr
    (place / "mydata.py").write_text((place / "mydata.py").read_text() + "# edited\n")
    assert planned("--trust", "mydata")["train"] == (
        "2 of 2 runs, 4 epochs: mydata.py of data.function mydata:blobs changed"
    )


def test_pairs_of_two_digits(place):
    arrays = small_arrays(num_train=96, num_test=96, num_classes=48, shape=(2, 3))
    write_file(place / "my.npz", **arrays)
    write_study(
        place,
        "{file: my.npz}",
        **{"per_class: 3": "pairs: [12-47, 47-12, 5-5], per_class: 2", "epochs: 2": "epochs: 1"},
    )
    assert call("train", "own.yaml").exit_code == 0
    assert call("fold", "own.yaml").exit_code == 0
    folding = tables(place)["folding"]
    pairs = folding[["source_class", "target_class"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [[5, 5], [12, 47], [47, 12]]
    assert call("fold", "own.yaml", "--pairs", "46-47").exit_code == 0
    assert {*tables(place)["folding"]["source_class"]} >= {46}
