"""Image sets that torchvision reads: tiny ones in its own file formats, and the sums that it publishes."""

import bz2
import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.datasets
from scipy.io import savemat

from spaceprobe.data import torchvision_sets
from spaceprobe.data.emnist import CLASSES, NUM_TRAINING_POINTS
from spaceprobe.data.entry import DataError
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.train.settings import DataSettings


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "spaceprobe"


def options(name, root=None, **others):
    return DataSettings(dataset=name, root=root, **others)


def load(name, root, **others):
    return DATASETS[name].load(options(name, root, **others))


def published(name):
    """Return the files of a set with their sums, as its entry has them."""
    files = {}

    def keep(images, _):
        files.update(images.files)
        raise DataError("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision_sets, "_checked_root", keep)
        with pytest.raises(DataError, match="enough"):
            DATASETS[name].digest(options(name))
    return files


def test_sums_are_those_of_torchvision():
    known = torchvision.datasets
    for name, kind in (("cifar10", known.CIFAR10), ("cifar100", known.CIFAR100)):
        lists = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
        assert published(name) == {f"{kind.base_folder}/{file}": md5 for file, md5 in lists}
    stl = [item for item in (*known.STL10.train_list, *known.STL10.test_list) if "unlabeled" not in item[0]]
    assert published("stl10") == {f"stl10_binary/{file}": md5 for file, md5 in stl}
    for name, kind in (("svhn", known.SVHN), ("usps", known.USPS)):
        assert published(name) == {
            kind.split_list[split][1]: kind.split_list[split][2] for split in ("train", "test")
        }


def test_classes_of_emnist_are_those_of_torchvision():
    for split, classes in torchvision.datasets.EMNIST.classes_split_dict.items():
        entry = DATASETS[f"emnist-{split}"]
        names = [name for name in classes if name != "N/A"]
        assert [*entry.class_names] == names == [*CLASSES[split]]
        assert entry.num_classes == len(names)
    assert NUM_TRAINING_POINTS.keys() == CLASSES.keys()
    assert DATASETS["emnist-letters"].name_of_class(options("emnist-letters"), 25) == "z"
    assert DATASETS["svhn"].name_of_class(options("svhn"), 8) == "an 8"
    assert len(DATASETS["cifar100"].class_names) == len({*DATASETS["cifar100"].class_names}) == 100
    assert [*DATASETS["cifar100"].class_names] == sorted(DATASETS["cifar100"].class_names)


# --- tiny sets in the formats of the real ones ---------------------------------------------------


def idx(values, kind="u1", code=8):
    values = np.asarray(values, dtype=kind)
    header = bytes([0, 0, code, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.tobytes()


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def emnist(seed=0):
    rng = np.random.default_rng(seed)
    images = {
        part: rng.integers(256, size=(number, 28, 28)) for part, number in (("train", 52), ("test", 26))
    }
    labels = {part: np.arange(len(values)) % 26 + 1 for part, values in images.items()}
    files = {}
    for part in images:
        start = f"EMNIST/raw/emnist-letters-{part}"
        files[f"{start}-images-idx3-ubyte"] = idx(images[part])
        files[f"{start}-labels-idx1-ubyte"] = idx(labels[part])
    return images, labels, files


def test_letters_are_upright_and_numbered_from_zero(tmp_path):
    images, labels, files = emnist()
    write(tmp_path, files)
    dataset = load("emnist-letters", tmp_path)
    assert (dataset.num_classes, dataset.num_inputs) == (26, 784)
    for split, part in ((dataset.train, "train"), (dataset.test, "test")):
        upright = images[part].transpose(0, 2, 1).reshape(-1, 784)
        expected = torch.from_numpy(upright.astype(np.float32) / np.float32(255))
        assert torch.equal(split.inputs, expected)
        assert split.targets.tolist() == (labels[part] - 1).tolist()
    assert len(load("emnist-letters", tmp_path, train_images=30).train.targets) == 30
    entry, settings = DATASETS["emnist-letters"], options("emnist-letters", tmp_path)
    assert entry.num_training_points(settings) == 52
    assert entry.origin(settings) == "unverified"
    lines = "\n".join(f"{name} {hashlib.md5(content).hexdigest()}" for name, content in sorted(files.items()))
    assert entry.digest(settings) == hashlib.sha256(lines.encode()).hexdigest()


def test_files_of_emnist_that_do_not_fit(tmp_path):
    _, _, files = emnist()
    labels = "EMNIST/raw/emnist-letters-train-labels-idx1-ubyte"
    for content, message in [
        (idx(np.arange(52) % 26 + 2), "y_train has the class 26|no point of class 0"),
        (idx(np.arange(51) % 26 + 1), "y_train has 51 classes for the 52 points of x_train"),
        (idx(np.arange(52) % 25 + 1), "got 25 of|y_test has the class 25"),
        (b"", "cannot be read"),
    ]:
        write(tmp_path, files | {labels: content})
        with pytest.raises(DataError, match=message) as error:
            load("emnist-letters", tmp_path)
        assert str(tmp_path) in str(error.value)
    write(
        tmp_path,
        files | {"EMNIST/processed/training_letters.pt": b"", "EMNIST/processed/test_letters.pt": b""},
    )
    with pytest.raises(
        DataError, match=r"training_letters\.pt would be read in the place of the raw files; remove"
    ):
        load("emnist-letters", tmp_path)


def test_qmnist_has_classes_in_the_first_column(tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for part, number in (("train", 20), ("test", 10)):
        table = rng.integers(50, size=(number, 8))
        table[:, 0] = np.arange(number) % 10
        files[f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte"] = idx(rng.integers(256, size=(number, 28, 28)))
        files[f"QMNIST/raw/qmnist-{part}-labels-idx2-int"] = idx(table, ">i4", 12)
    write(tmp_path, files)
    dataset = load("qmnist", tmp_path)
    assert dataset.train.targets.tolist() == [*range(10)] * 2
    assert dataset.test.targets.tolist() == [*range(10)]


def small_cifar(monkeypatch, root, kind, key, num_classes):
    """Write a set of CIFAR with so many images a class, and let its sums be the published ones."""
    known = getattr(torchvision.datasets, kind)
    rng, content, pixels = np.random.default_rng(0), {}, {}
    for file, _ in (*known.train_list, *known.test_list):
        pixels[file] = rng.integers(256, size=(num_classes, 3072), dtype=np.uint8)
        content[file] = pickle.dumps({"data": pixels[file], key: [*range(num_classes)]})
    content[known.meta["filename"]] = pickle.dumps({known.meta["key"]: ["name"] * num_classes})
    write(root / known.base_folder, content)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in content.items()}
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(known, name, [[file, sums[file]] for file, _ in getattr(known, name)])
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": sums[known.meta["filename"]]})
    images = torchvision_sets.TorchvisionSet(
        class_name=kind,
        files={f"{known.base_folder}/{name}": md5 for name, md5 in sums.items()},
        input_shape=(3, 32, 32),
        num_classes=num_classes,
        num_training_points=num_classes * len(known.train_list),
    )
    return torchvision_sets.torchvision_entry(images), pixels


@pytest.mark.parametrize(
    ("kind", "key", "num"), [("CIFAR10", "labels", 10), ("CIFAR100", "fine_labels", 100)]
)
def test_cifar_has_its_channels_first(tmp_path, monkeypatch, kind, key, num):
    entry, pixels = small_cifar(monkeypatch, tmp_path, kind, key, num)
    settings = options(kind.lower(), tmp_path)
    dataset = entry.load(settings)
    *train, test = pixels.values()  # the files hold red, green, blue of an image, row by row
    assert torch.equal(dataset.train.inputs, torch.from_numpy(np.concatenate(train) / np.float32(255)))
    assert torch.equal(dataset.test.inputs, torch.from_numpy(test / np.float32(255)))
    assert dataset.test.targets.tolist() == [*range(num)]
    assert entry.origin(settings) == "published"
    assert entry.layout(settings).input_shape == (3, 32, 32)


def test_a_pickle_that_is_not_the_published_file_is_not_opened(tmp_path, monkeypatch):
    entry, _ = small_cifar(monkeypatch, tmp_path, "CIFAR10", "labels", 10)

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Bomb()))
    for work in (entry.digest, entry.load, entry.origin):
        with pytest.raises(
            DataError, match=r"data_batch_2 is not the published file of CIFAR10 \(its MD5 sum is "
        ):
            work(options("cifar10", tmp_path))
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").unlink()
    with pytest.raises(
        DataError, match=r"lacks cifar-10-batches-py/data_batch_2 of torchvision's CIFAR10; put them"
    ):
        entry.digest(options("cifar10", tmp_path))


def test_house_numbers_and_envelopes(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pixels, lines, labels = {}, {}, np.arange(1, 11)
    for part, suffix in (("train", ""), ("test", ".t")):
        pixels[part] = rng.integers(256, size=(32, 32, 3, 10), dtype=np.uint8)
        savemat(tmp_path / f"{part}_32x32.mat", {"X": pixels[part], "y": labels[:, None].astype(np.uint8)})
        lines[part] = rng.integers(-1, 2, size=(10, 256))
        text = "".join(
            f"{label} " + " ".join(f"{at + 1}:{value}" for at, value in enumerate(line)) + " \n"
            for label, line in zip(labels, lines[part], strict=True)
        )
        (tmp_path / f"usps{suffix}.bz2").write_bytes(bz2.compress(text.encode()))

    def entry_of(kind, names, **others):
        sums = {name: hashlib.md5((tmp_path / name).read_bytes()).hexdigest() for name in names}
        known = getattr(torchvision.datasets, kind)
        parts = zip(("train", "test"), names, strict=True)
        monkeypatch.setattr(known, "split_list", {part: ["", name, sums[name]] for part, name in parts})
        images = torchvision_sets.TorchvisionSet(
            class_name=kind, files=sums, num_training_points=10, **others
        )
        return torchvision_sets.torchvision_entry(images)

    of_parts = {"train": {"split": "train"}, "test": {"split": "test"}}
    houses = entry_of("SVHN", ("train_32x32.mat", "test_32x32.mat"), input_shape=(3, 32, 32), **of_parts)
    dataset = houses.load(options("svhn", tmp_path))
    assert dataset.train.targets.tolist() == [*range(1, 10), 0]  # 10 stands for a 0
    by_hand = pixels["test"].transpose(3, 2, 0, 1).reshape(10, 3072)
    assert torch.equal(dataset.test.inputs, torch.from_numpy(by_hand / np.float32(255)))
    envelopes = entry_of("USPS", ("usps.bz2", "usps.t.bz2"), input_shape=(16, 16))
    dataset = envelopes.load(options("usps", tmp_path))
    assert dataset.train.targets.tolist() == [*range(10)]
    levels = ((lines["train"] + 1) / 2 * 255).astype(np.uint8)
    assert torch.equal(dataset.train.inputs, torch.from_numpy(levels / np.float32(255)))


def test_a_download_that_fails_says_where_files_belong(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(torchvision.datasets.USPS, "split_list", {
        "train": ["http://127.0.0.1:1/usps.bz2", "usps.bz2", "0" * 32],
        "test": ["http://127.0.0.1:1/usps.t.bz2", "usps.t.bz2", "0" * 32],
    })  # fmt: skip
    for root, place in ((None, cache / "torchvision"), (tmp_path / "own", tmp_path / "own")):
        with pytest.raises(
            DataError, match=r"^data\.download: torchvision cannot download USPS \(.*efused"
        ) as error:
            load("usps", root, download=True)
        assert str(error.value).endswith(f"put usps.bz2, usps.t.bz2 into {place}")
        with pytest.raises(
            DataError, match=r"lacks usps\.bz2, usps\.t\.bz2 of torchvision's USPS; put them there"
        ):
            load("usps", root)


def test_a_download_lies_where_it_is_looked_for(tmp_path, monkeypatch):
    _, _, files = emnist()

    def download(self):
        write(tmp_path / "own", files)

    monkeypatch.setattr(torchvision.datasets.EMNIST, "download", download)
    assert load("emnist-letters", tmp_path / "own", download=True).num_classes == 26
    assert load("emnist-letters", tmp_path / "own").num_classes == 26


def test_planning_imports_no_torch(tmp_path):
    _, _, files = emnist()
    write(tmp_path, files)
    code = (
        "import sys; from spaceprobe.stages.train.settings import *; "
        f"data_key({{'data': DataSettings(dataset='emnist-letters', root={str(tmp_path)!r})}}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
