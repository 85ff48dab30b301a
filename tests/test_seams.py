"""Adding a dataset or a kind of network touches one file and one line, and gives all that a study wants."""

import csv

import numpy as np
import pytest

from spaceprobe.data.arrays import arrays_entry
from spaceprobe.data.entry import DataError, DatasetEntry
from spaceprobe.registry import read_entries
from spaceprobe.stages.train.settings import DataSettings
from tests.documents import recipes
from tests.package_copies import add_entry, command_of, copy_package

STUDY = """
data: {dataset: DATASET}
network: {model: MODEL, architecture: 2x4}
training: {epochs: 1}
folding: {pairs: 0-1, per_class: 3, threads: 1}
lmd: {epoch: last, sample: 60}
"""


def run(tmp_path, package, dataset, model):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY.replace("DATASET", dataset).replace("MODEL", model))
    command_of(package, "run", study, "--results", tmp_path / "results", "--no-report")
    folder = tmp_path / "results" / "small"
    tables = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            tables[path.stem] = [*csv.DictReader(file)]
    return tables


def test_a_dataset_is_one_file_and_one_line(tmp_path):
    package = copy_package(tmp_path)
    add_entry(package, "data/sets", "few_digits", recipes()["A dataset"])
    tables = run(tmp_path, package, "few-digits, train_images: 90", "mlp")
    assert tables["runs"][0]["dataset"] == "few-digits"
    assert tables["runs"][0]["num_parameters"] == str(64 * 4 + 4 + 4 * 4 + 4 + 4 * 5 + 5)
    assert {row["num_paths"] for row in tables["folding"]} == {"9"}
    assert {row["num_inputs"] for row in tables["lmd_layers"]} == {"64", "4"}


def test_a_network_is_one_file_and_one_line(tmp_path):
    package = copy_package(tmp_path)
    add_entry(package, "networks/models", "tapered", recipes()["A network"])
    tables = run(tmp_path, package, "mnist, train_images: 90", "tapered")
    (row,) = tables["runs"]
    assert row["run"].startswith("tapered-2x4-s0-")
    assert (row["depth"], row["width"]) == ("2", "4")
    assert row["num_parameters"] == str(784 * 4 + 4 + 4 * 2 + 2 + 2 * 10 + 10)
    assert {row["num_outputs"] for row in tables["lmd_layers"]} == {"4", "2", "10"}


def test_a_registry_refuses_what_is_not_an_entry(tmp_path, monkeypatch):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").write_text("")
    (tmp_path / "odd" / "one.py").write_text("ENTRY = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match=r"odd\.one: expected ENTRY to be a DatasetEntry, got 3"):
        read_entries("odd", ("one",), DatasetEntry)


def test_an_entry_has_the_name_of_its_file(tmp_path, monkeypatch):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "__init__.py").write_text("")
    for file in ("a_b", "c"):
        (tmp_path / "some" / f"{file}.py").write_text("from spaceprobe.data.sets.mnist import ENTRY\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = read_entries("some", ("a_b", "c"), DatasetEntry)
    assert [(name, entry.name, entry.module) for name, entry in entries.items()] == [
        ("a-b", "a-b", "some.a_b"),
        ("c", "c", "some.c"),
    ]


# --- data in arrays ----------------------------------------------------------------------------


def arrays(*, options=None, **changes):
    """Load seven points of 2 × 1 pixels in three classes, five of them to train on."""
    inputs, classes = np.arange(14).reshape(7, 2, 1) / 16, [0, 1, 2, 0, 1, 2, 0]
    whole = {"inputs": inputs, "classes": classes, "num_training_points": 5, **changes}
    read = whole.pop("inputs"), whole.pop("classes")
    entry = arrays_entry(lambda: read, **{"input_shape": (2, 1), "num_classes": 3, **whole})
    return entry, entry.load(options or DataSettings())


def test_arrays_are_split_once_and_every_point_keeps_its_class():
    _, dataset = arrays()
    assert (len(dataset.train.inputs), len(dataset.test.inputs), dataset.num_classes) == (5, 2, 3)
    both = [*dataset.train.inputs.tolist(), *dataset.test.inputs.tolist()]
    assert sorted(both) == [[number / 8, number / 8 + 1 / 16] for number in range(7)]
    classes = [*dataset.train.targets.tolist(), *dataset.test.targets.tolist()]
    assert classes == [round(8 * first) % 3 for first, _ in both]
    assert both != sorted(both)  # many sets are sorted by class
    _, again = arrays(inputs=np.arange(14).reshape(7, 2) / 16)  # each in a row
    assert again.test.inputs.tolist() == dataset.test.inputs.tolist()


def test_arrays_are_cut_to_the_first_training_points():
    entry, few = arrays(options=DataSettings(train_images=2))
    _, dataset = arrays()
    assert few.train.inputs.tolist() == dataset.train.inputs[:2].tolist()
    assert few.test.inputs.tolist() == dataset.test.inputs.tolist()
    counts = [entry.num_training_points(DataSettings(train_images=count)) for count in (2, 60_000)]
    assert counts == [2, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (1, 2)}, r"an input has shape \(2, 1\): expected \(1, 2\)"),
        ({"inputs": np.full((7, 2), np.nan)}, "an input is not a finite number"),
        ({"classes": [0, 1, 3, 0, 1, 2, 0]}, "expected a class from 0 to 2 for each of the 7 inputs"),
        ({"classes": [0.5] * 7}, "expected a class from 0 to 2 for each of the 7 inputs"),
        ({"classes": [0, 1]}, "expected a class from 0 to 2 for each of the 7 inputs"),
        ({"num_training_points": 7}, "num_training_points is 7: expected 1 to 6"),
        ({"num_training_points": 0}, "num_training_points is 0: expected 1 to 6"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(DataError, match=rf"^data\.dataset: mnist: {message}$"):
        arrays(**changes)
