"""Networks of a study and data sets in Python: load_run, load_data."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import spaceprobe
from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages.train.settings import OWN
from tests.commands import call

STUDY = """\
data: {dataset: digits}
network: {architecture: 2x8}
training: {epochs: 3, snapshots: [1]}
sweep: {training.seed: [0, 1]}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(STUDY)
    outcome = call("train", folder / "tiny.yaml", "--results", folder / "results")
    assert outcome.exit_code == 0, outcome.output
    return folder / "results" / "tiny"


@pytest.fixture(scope="module")
def run(results):
    return sorted(folder.name for folder in (results / "runs").iterdir() if folder.is_dir())[0]


# load_run


@pytest.mark.parametrize(
    ("epoch", "file"),
    [
        ("trained", "model.safetensors"),
        (3, "model.safetensors"),
        ("untrained", "model-epoch0.safetensors"),
        (0, "model-epoch0.safetensors"),
        (1, "model-epoch1.safetensors"),
    ],
)
def test_a_network_is_that_of_its_file(results, run, epoch, file):
    network = spaceprobe.load_run(results, run, epoch)
    weights = load_file(results / "runs" / run / file)
    state = network.state_dict()
    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        name: tensor.tolist() for name, tensor in weights.items()
    }
    assert not network.training
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_a_network_takes_the_inputs_of_its_data(results, run):
    """Accuracy as runs.csv has it."""
    data = spaceprobe.load_data("digits")
    network = spaceprobe.load_run(str(results), run)
    correct = (network(data.test.inputs).argmax(1) == data.test.labels).double().mean()
    rows = spaceprobe.read_tables(results)["runs"].set_index("run")
    assert float(correct) == rows.at[run, "test_accuracy"]
    folding = spaceprobe.fold(network, data.test.inputs[0], data.test.inputs[1])
    assert folding.length == spaceprobe.trace(network, data.test.inputs[:2]).length


def test_what_there_is_is_said(results, run, tmp_path):
    with pytest.raises(
        SpaceprobeError, match=f"nope: no study was started there; there are studies in {results}$"
    ):
        spaceprobe.load_run(results.parent / "nope", run)
    alone = tmp_path / "other" / "empty"
    alone.mkdir(parents=True)
    with pytest.raises(SpaceprobeError, match=f"{alone}: no study was started there$"):
        spaceprobe.load_run(alone, run)
    with pytest.raises(SpaceprobeError, match=f"^run: tiny has 2 runs, name one of {run} "):
        spaceprobe.load_run(results)
    with pytest.raises(SpaceprobeError, match=f"^run 2x9: no run of tiny; its runs are {run} "):
        spaceprobe.load_run(results, "2x9")
    for epoch in (2, -1, "last"):
        with pytest.raises(SettingsError, match=rf"^epoch {epoch}: .* choose trained or one of 0, 1, 3 \("):
            spaceprobe.load_run(results, run, epoch)


# load_data


def test_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    data = spaceprobe.load_data("digits")
    assert data.train.images.shape == (1500, 8, 8)
    assert data.test.inputs.shape == (297, 64)
    assert data.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    np.testing.assert_array_equal(data.test.images.flatten(1), data.test.inputs)
    both = torch.cat([data.train.images, data.test.images]).sum(0)
    np.testing.assert_allclose(both, digits.images.sum(0) / 16, rtol=1e-5)
    labels = torch.cat([data.train.labels, data.test.labels])
    assert labels.bincount().tolist() == np.bincount(digits.target).tolist()
    head, _, first, *_ = repr(data).splitlines()
    assert head == "digits: train 1,500 points of 8 × 8, test 297 points of 8 × 8, 10 classes"
    assert first.split() == [
        "0",
        "0",
        *(str(int((points.labels == 0).sum())) for points in (data.train, data.test)),
    ]
    assert data._repr_html_().count("<tr") == 11


def test_points_that_are_not_images():
    data = spaceprobe.load_data("swiss-roll")
    assert data.train.images.shape == data.train.inputs.shape == (2000, 3)


def test_a_file_of_ones_own(tmp_path):
    images = np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2) / 48
    labels = np.array([0, 1, 2, 1])
    x = images.transpose(0, 2, 3, 1)  # in the file channels are last
    arrays = {"x_train": x, "y_train": labels, "x_test": x[:3], "y_test": labels[:3]}
    np.savez(tmp_path / "own.npz", **arrays, class_names=np.array(["ant", "bee", "cat"]))
    data = spaceprobe.load_data(file=tmp_path / "own.npz", train_images=3)
    np.testing.assert_array_equal(data.train.images, images[:3])
    assert data.test.labels.tolist() == [0, 1, 2]
    assert data.class_names == ("ant", "bee", "cat")
    assert data.name == str(tmp_path / "own.npz")


def test_data_that_do_not_exist(tmp_path):
    names = ", ".join(name for name in DATASETS if name not in OWN)
    for name in ("minst", "file", "function"):
        with pytest.raises(
            SettingsError, match=f"'{name}' is not the name of a data set; choose one of {names}$"
        ):
            spaceprobe.load_data(name)
    with pytest.raises(SettingsError, match=f"expected a name, a file or a folder; names are {names}$"):
        spaceprobe.load_data()
    with pytest.raises(SettingsError, match="train_images is 0: Input should be greater than or equal to 1"):
        spaceprobe.load_data("mnist", train_images=0)
    with pytest.raises(SettingsError, match=r"^root does nothing with dataset: digits; leave it out"):
        spaceprobe.load_data("digits", root=tmp_path)
    with pytest.raises(SpaceprobeError, match=r"^root: .*; put them there, or give download=True$"):
        spaceprobe.load_data("cifar10", root=tmp_path)
    with pytest.raises(SpaceprobeError, match=r"^file: .*nope\.npz does not exist"):
        spaceprobe.load_data(file=tmp_path / "nope.npz")


# the package


def test_the_package_is_imported_without_torch():
    """pandas and matplotlib neither: each takes a good part of a second."""
    code = (
        "import sys, spaceprobe; sys.exit(bool({'torch', 'numpy', 'pandas', 'matplotlib'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_function_is_described():
    for name in set(spaceprobe.__all__) - {"__version__"}:
        assert f"- `{name}`:" in spaceprobe.__doc__
        assert getattr(spaceprobe, name).__doc__ or name == "TABLES"
