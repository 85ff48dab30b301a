"""Adding a dataset or a kind of network touches one file and one line, and gives all that a study wants."""

import csv

import pytest

from spaceprobe.data.entry import DatasetEntry
from spaceprobe.registry import read_entries
from tests.package_copies import add_entry, command_of, copy_package

STRIPES = '''
"""Stripes: three classes of 4 × 5 pixels, drawn."""

import hashlib

from spaceprobe.data.entry import DatasetEntry


def _load(options):
    import torch

    from spaceprobe.data.dataset import Dataset, Split

    def split(num, seed):
        generator = torch.Generator().manual_seed(seed)
        targets = torch.arange(num) % 3
        inputs = torch.rand(num, 20, generator=generator) / 2
        inputs[torch.arange(num), targets] = 1
        return Split(inputs, targets)

    return Dataset(split(options.points, options.points_seed), split(30, 99), 3)


ENTRY = DatasetEntry(
    name="stripes", summary="stripes", module=__name__, input_shape=(4, 5), num_classes=3,
    settings=("points", "points_seed"), load=_load, num_training_points=lambda options: options.points,
    digest=lambda options: hashlib.sha256(b"stripes").hexdigest(),
)
'''

NARROW = '''
"""An MLP whose second layer has half the units of the first."""

from spaceprobe.networks.entry import NetworkEntry
from spaceprobe.networks.models import mlp


def _hidden_widths(options):
    first = options.hidden_widths[0]
    return [first, first // 2]


def _build(options, input_shape, num_outputs, generator):
    import math

    from spaceprobe.networks.mlp import mlp

    return mlp([math.prod(input_shape), *_hidden_widths(options), num_outputs], generator)


ENTRY = NetworkEntry(
    name="narrow", summary="narrow", module=__name__, build=_build,
    label=lambda options: f"narrow-{options.architecture}", hidden_widths=_hidden_widths,
    engines=lambda options: ("kernel", "jvp", "sampled"), weights=mlp.ENTRY.weights,
    pass_through=mlp.ENTRY.pass_through,
)
'''

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
    add_entry(package, "data/sets", "stripes", STRIPES)
    tables = run(tmp_path, package, "stripes, points: 90", "mlp")
    assert tables["runs"][0]["dataset"] == "stripes"
    assert tables["runs"][0]["num_parameters"] == str(20 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3)
    assert {row["num_paths"] for row in tables["folding"]} == {"9"}
    assert {row["num_inputs"] for row in tables["lmd_layers"]} == {"20", "4"}


def test_a_network_is_one_file_and_one_line(tmp_path):
    package = copy_package(tmp_path)
    add_entry(package, "networks/models", "narrow", NARROW)
    tables = run(tmp_path, package, "mnist, train_images: 90", "narrow")
    (row,) = tables["runs"]
    assert row["run"].startswith("narrow-2x4-s0-")
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
    (tmp_path / "odd" / "two.py").write_text("from spaceprobe.data.sets.mnist import ENTRY\n")
    with pytest.raises(ValueError, match=r"odd\.two: there is an entry 'mnist' already"):
        read_entries("odd", ("two", "two"), DatasetEntry)
