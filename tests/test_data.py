"""MNIST: embedded, unpacked once, never trusted unchecked."""

import subprocess
import sys

import pytest
import torch

from spaceprobe.data import idx_files, idx_images
from spaceprobe.data.entry import DataError
from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_images, load_split
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.train.settings import DataSettings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A user cache of its own, and no split remembered from another test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    idx_images._read_split.cache_clear()
    yield tmp_path / "cache" / "spaceprobe"
    idx_images._read_split.cache_clear()


def test_mnist_is_what_was_published(cache):
    mnist = load_images(MNIST)
    assert (mnist.num_inputs, mnist.num_outputs, mnist.is_classification) == (784, 10, True)
    train, test = mnist.train, mnist.test
    assert train.inputs.shape == (60_000, 784)
    assert test.inputs.shape == (10_000, 784)
    assert train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert train.inputs.dtype == torch.float32
    assert (float(train.inputs.min()), float(train.inputs.max())) == (0, 1)
    # mean and deviation of the training pixels, as everybody knows them, to their four digits
    assert round(float(train.inputs.double().mean()), 4) == 0.1307
    assert round(float(train.inputs.double().std()), 4) == 0.3081


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 10_008])
def test_damaged_cache_is_rebuilt(cache, damage):
    folder = idx_files.embedded_root() / idx_files.RAW_FOLDER
    assert folder.is_relative_to(cache)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(damage)
    idx_files.embedded_root()
    assert (
        idx_files.md5_sum(folder / "t10k-labels-idx1-ubyte") == idx_files.MD5_SUMS["t10k-labels-idx1-ubyte"]
    )


def test_two_processes_at_once(cache):
    code = "from spaceprobe.data import idx_files; print(idx_files.embedded_root())"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert {process.communicate(timeout=60)[0].strip() for process in processes} == {str(cache)}
    names = sorted(path.name for path in (cache / idx_files.RAW_FOLDER).iterdir())
    assert names == sorted(idx_files.MD5_SUMS)  # and no temporary file is left


def test_cache_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    root = idx_files.embedded_root()
    assert len(caplog.messages) == 1
    assert f"MNIST is unpacked to {root}" in caplog.text
    for name, md5 in idx_files.MD5_SUMS.items():
        assert idx_files.md5_sum(root / idx_files.RAW_FOLDER / name) == md5


def test_own_folder(cache, tmp_path):
    root = idx_files.embedded_root()
    assert idx_files.digest(MNIST, root) == idx_files.digest(MNIST, None)
    with pytest.raises(DataError, match=r"MNIST/raw lacks train-images-idx3-ubyte, train-labels"):
        load_split(MNIST, tmp_path / "empty", train=True)
    (root / idx_files.RAW_FOLDER / "t10k-images-idx3-ubyte").write_bytes(b"not IDX")
    assert idx_files.digest(MNIST, root) != idx_files.digest(MNIST, None)
    with pytest.raises(
        DataError,
        match=r"t10k-images-idx3-ubyte cannot be read \(it begins with 6e 6f 74 20, and 00 00 08 03",
    ):
        load_split(MNIST, root, train=False)


def test_the_digest_is_the_one_of_old_results(cache):
    # Results on disk are found by it: the literal value of the first release.
    expected = "a8e3f54eaa00ca3d4fa0e749a48e43b5e72c46456a7ad7fdbc4376b3ba16d270"
    assert idx_files.digest(MNIST, None) == DATASETS["mnist"].digest(DataSettings()) == expected
    assert DATASETS["mnist"].digest(DataSettings(download=True)) == expected
    assert not cache.exists()  # nothing was unpacked for it
