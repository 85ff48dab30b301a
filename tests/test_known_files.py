"""Raw files are those of the set in whose folder they lie, as far as that can be told; and enough of them."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest
import torchvision.datasets

from spaceprobe.data import known_files
from spaceprobe.data.entry import DataError
from spaceprobe.data.idx_files import MD5_SUMS, RAW_FOLDER, embedded_root
from spaceprobe.data.known_files import FILES, PACKED_MD5, PUBLISHED, RAW_SHA256, UNVERIFIED, check_origin
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.train.settings import DataSettings
from tests.commands import NUM_TRAIN, call, small_mnist

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its packed files."""


@pytest.fixture
def folder(tmp_path):
    """Four files that nobody published."""
    (tmp_path / "raw").mkdir()
    for file in FILES:
        (tmp_path / "raw" / file).write_bytes(f"own {file}".encode())
    return tmp_path / "raw"


def pack(folder, file, content, monkeypatch, place):
    """Put a .gz beside a raw file, and let it be published as the file of a set."""
    packed = gzip.compress(content, mtime=0)
    (folder / f"{file}.gz").write_bytes(packed)
    monkeypatch.setitem(known_files._PACKED, hashlib.md5(packed).hexdigest(), place)


def test_sums_are_those_that_torchvision_has():
    for name, sums in PACKED_MD5.items():
        assert dict(getattr(torchvision.datasets, name).resources) == {
            f"{file}.gz": digest for file, digest in zip(FILES, sums, strict=True)
        }


def test_sums_of_mnist_are_those_of_its_files():
    raw = embedded_root() / RAW_FOLDER
    assert [*MD5_SUMS] == [*FILES]
    assert RAW_SHA256["MNIST"] == tuple(
        hashlib.sha256((raw / file).read_bytes()).hexdigest() for file in FILES
    )
    assert check_origin(raw, "MNIST") == PUBLISHED


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_sums_of_fashion_mnist_are_those_of_debian_s_files():
    assert RAW_SHA256["FashionMNIST"] == tuple(
        hashlib.sha256(gzip.decompress((DEBIAN / f"{file}.gz").read_bytes())).hexdigest() for file in FILES
    )


def test_mnist_in_the_folder_of_another_set_is_refused_by_name(tmp_path):
    (tmp_path / "FashionMNIST").mkdir()
    (tmp_path / "FashionMNIST" / "raw").symlink_to(embedded_root() / RAW_FOLDER)
    options = DataSettings(dataset="fashion-mnist", root=tmp_path)
    with pytest.raises(
        DataError,
        match=r"raw/train-images-idx3-ubyte is train-images-idx3-ubyte of MNIST, not train-images-idx3-ubyte "
        r"of FashionMNIST; put the raw files of FashionMNIST there, or set data\.dataset to what is there",
    ):
        DATASETS["fashion-mnist"].digest(options)


def test_a_known_file_in_another_s_place_is_refused(folder):
    labels = (embedded_root() / RAW_FOLDER / "t10k-labels-idx1-ubyte").read_bytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(DataError, match=r"is t10k-labels-idx1-ubyte of MNIST, not train-labels-idx1-ubyte"):
        check_origin(folder, "MNIST")


def test_own_files_are_unverified(folder, tmp_path, caplog):
    assert check_origin(folder, "KMNIST") == UNVERIFIED
    assert check_origin(small_mnist(tmp_path) / RAW_FOLDER, "MNIST") == UNVERIFIED
    (folder / f"{FILES[0]}.gz").write_bytes(gzip.compress(b"of nobody"))
    assert check_origin(folder, "KMNIST") == UNVERIFIED
    assert caplog.messages == []


def test_the_published_packed_file_beside_a_raw_one_counts(folder, monkeypatch):
    for file in FILES:
        pack(folder, file, f"own {file}".encode(), monkeypatch, ("KMNIST", file))
        expected = PUBLISHED if file == FILES[-1] else UNVERIFIED
        assert check_origin(folder, "KMNIST") == expected
    with pytest.raises(DataError, match=r"is train-images-idx3-ubyte of KMNIST, not .* of FashionMNIST"):
        check_origin(folder, "FashionMNIST")
    pack(folder, FILES[1], b"something else", monkeypatch, ("KMNIST", FILES[1]))
    with pytest.raises(DataError, match=r"is not what train-labels-idx1-ubyte\.gz beside it holds"):
        check_origin(folder, "KMNIST")
    pack(folder, FILES[1], b"something else", monkeypatch, ("MNIST", FILES[1]))  # and so says nothing
    assert check_origin(folder, "KMNIST") == UNVERIFIED


STUDY = """\
data: {{root: {root}, train_images: {number}}}
network: {{architecture: 1x3}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: {pairs}}}
study: {{stages: [train, fold]}}
"""


def study(tmp_path, root, number=NUM_TRAIN, pairs="[3-8]"):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.format(root=root, number=number, pairs=pairs))
    return path


def test_provenance_tells_what_was_verified(tmp_path, caplog):
    root = small_mnist(tmp_path / "data")
    assert call("train", study(tmp_path, root), "--results", tmp_path).exit_code == 0
    facts = json.loads((tmp_path / "tiny" / "provenance.json").read_text())
    assert facts["data"] == {f"mnist in {root}": "unverified"}
    assert caplog.messages == []
    assert DATASETS["mnist"].origin(DataSettings()) == "published, in the package"
    assert DATASETS["swiss-roll"].origin(DataSettings(dataset="swiss-roll")) is None


def test_more_training_images_than_there_are(tmp_path):
    root = small_mnist(tmp_path / "data")
    outcome = call("run", study(tmp_path, root, NUM_TRAIN + 1), "--results", tmp_path)
    assert outcome.exit_code == 2
    sentence = (
        f"data.train_images: {NUM_TRAIN + 1} are asked for, and {root} has {NUM_TRAIN}; set "
        f"data.train_images: {NUM_TRAIN} or fewer, or give data.root more images"
    )
    assert sentence in outcome.stderr
    assert not [*tmp_path.rglob("*.safetensors")]
    assert call("train", study(tmp_path, root), "--results", tmp_path).exit_code == 0


def test_after_a_refusal_the_same_command_gives_the_bytes_of_a_first_run(tmp_path):
    root = small_mnist(tmp_path / "data")
    refused, first = tmp_path / "refused", tmp_path / "first"
    assert call("train", study(tmp_path, root, NUM_TRAIN + 1), "--results", refused).exit_code == 2
    for results in (refused, first):
        assert call("train", study(tmp_path, root), "--results", results).exit_code == 0
    tables = [
        {path.name: path.read_bytes() for path in results.rglob("*.csv") if path.name != "timings.csv"}
        for results in (refused, first)
    ]
    assert tables[0] == tables[1] != {}


@pytest.mark.parametrize(
    ("pairs", "absent"), [("[3-8]", "8"), ("all", "8, 9"), ("[1-2]", None), ("[8-8, 1-2]", "8")]
)
def test_a_class_without_test_images(tmp_path, pairs, absent):
    root = small_mnist(tmp_path / "data")
    labels = root / RAW_FOLDER / "t10k-labels-idx1-ubyte"
    data = labels.read_bytes()
    labels.write_bytes(data[:8] + bytes(min(label, 7) for label in data[8:]))
    outcome = call("run", study(tmp_path, root, pairs=pairs), "--results", tmp_path)
    if absent is None:
        assert outcome.exit_code == 0, outcome.output
        return
    assert outcome.exit_code == 2
    assert outcome.stderr == (
        f"Error: folding: the test images in {root} have none of class {absent}; name pairs of other classes "
        "in folding.pairs, or give data.root test images of all\n"
    )
    assert not (tmp_path / "tiny").exists()  # before anything runs
