"""Datasets beside MNIST: image sets from files or the network, the Swiss roll, random labels."""

import gzip
import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.datasets
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torchvision.datasets.mnist import read_image_file, read_label_file

from spaceprobe.data import idx_files, idx_images
from spaceprobe.data.entry import DataError
from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_images, load_split
from spaceprobe.data.random_labels import randomize_labels
from spaceprobe.data.sets import DATASETS, fashion_mnist, kmnist
from spaceprobe.data.sets import swiss_roll as drawn
from spaceprobe.data.swiss_roll import swiss_roll
from spaceprobe.stages.train.settings import DataSettings

NUM_TRAIN, NUM_TEST = 7, 5
NOWHERE = "http://127.0.0.1:1/"  # refuses at once
FLOAT32_TOLERANCE = 3e-6  # inputs and targets up to 3 in size, a few roundings of 6e-8 each
KINDS = [(fashion_mnist.FILES, "FashionMNIST"), (kmnist.FILES, "KMNIST")]


def digest(name, **options):
    """Return the digest of a dataset, as a study with these options would have it."""
    return DATASETS[name].digest(DataSettings(dataset=name, **options))


def idx(values):
    """Return an array of bytes as an IDX file."""
    values = np.asarray(values, dtype=np.uint8)
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.tobytes()


def contents(seed=0, num_train=NUM_TRAIN):
    """Return the four files of a tiny image set."""
    rng = np.random.default_rng(seed)
    return {
        "train-images-idx3-ubyte": idx(rng.integers(256, size=(num_train, 28, 28))),
        "train-labels-idx1-ubyte": idx(rng.integers(10, size=num_train)),
        "t10k-images-idx3-ubyte": idx(rng.integers(256, size=(NUM_TEST, 28, 28))),
        "t10k-labels-idx1-ubyte": idx(rng.integers(10, size=NUM_TEST)),
    }


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A user cache of its own, and no split remembered from another test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    idx_images._read_split.cache_clear()
    yield tmp_path / "cache" / "spaceprobe"
    idx_images._read_split.cache_clear()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror of Fashion-MNIST with tiny files, after one that is out of reach."""
    files = {f"{name}.gz": gzip.compress(content) for name, content in contents().items()}
    write(tmp_path / "mirror", files)
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", sums)
    monkeypatch.setattr(
        torchvision.datasets.FashionMNIST, "mirrors", [NOWHERE, f"{(tmp_path / 'mirror').as_uri()}/"]
    )
    return tmp_path / "mirror"


@pytest.mark.parametrize(("images", "folder"), KINDS)
def test_image_set_from_a_folder(tmp_path, images, folder):
    files = contents()
    write(tmp_path / folder / "raw", files)
    dataset = load_images(images, tmp_path)
    assert (dataset.num_inputs, dataset.num_outputs, dataset.num_classes) == (784, 10, 10)
    for split, start, size in [(dataset.train, "train", NUM_TRAIN), (dataset.test, "t10k", NUM_TEST)]:
        pixels = np.frombuffer(files[f"{start}-images-idx3-ubyte"][16:], dtype=np.uint8)
        expected = torch.from_numpy(pixels.reshape(size, 784).astype(np.float32) / np.float32(255))
        assert torch.equal(split.inputs, expected)
        assert split.targets.tolist() == list(files[f"{start}-labels-idx1-ubyte"][8:])
        assert split.targets.dtype == torch.int64


def test_first_points_and_other_labels(tmp_path):
    write(tmp_path / "KMNIST" / "raw", contents())
    whole = load_images(kmnist.FILES, tmp_path)
    cut = whole.first(4)
    assert cut.train.inputs.data_ptr() == whole.train.inputs.data_ptr()
    assert cut.train.inputs.shape == (4, 784)
    assert torch.equal(cut.train.targets, whole.train.targets[:4])
    assert (cut.test, cut.num_classes) == (whole.test, 10)
    assert len(whole.first(NUM_TRAIN + 1).train.targets) == NUM_TRAIN
    labels = torch.tensor([9, 8, 7, 0])
    relabelled = cut.with_labels(labels)
    assert torch.equal(relabelled.train.targets, labels)
    assert relabelled.train.inputs is cut.train.inputs
    assert (relabelled.test, relabelled.num_classes) == (whole.test, 10)
    with pytest.raises(ValueError, match="num_points is 0: expected at least 1"):
        whole.first(0)
    with pytest.raises(ValueError, match="4 labels for 7 training points"):
        whole.with_labels(labels)
    with pytest.raises(ValueError, match="labels run from 0 to 10: expected 0 to 9"):
        cut.with_labels(labels + torch.tensor([1, 0, 0, 0]))
    with pytest.raises(ValueError, match="labels are for a classification: this dataset is a regression"):
        swiss_roll(4, 1).with_labels(labels)


def test_what_is_read_is_what_was_digested(tmp_path):
    # torchvision's dataset class would prefer these.
    write(tmp_path / "KMNIST" / "raw", contents())
    write(tmp_path / "KMNIST" / "processed", {"training.pt": b"", "test.pt": b""})
    assert len(load_images(kmnist.FILES, tmp_path).test.targets) == NUM_TEST


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (LABELS, idx([0, 1, 2, 3, 4, 5, 10]), "hold the label 10, 0 to 9 are allowed"),
        (LABELS, idx([0] * (NUM_TRAIN - 1)), "hold 7 images but 6 labels"),
        (IMAGES, idx(np.zeros((NUM_TRAIN, 28, 32))), "images of 28 x 32 pixels, 28 x 28 are needed"),
        (IMAGES, idx(np.zeros((NUM_TRAIN, 784))), "begins with 00 00 08 02, and 00 00 08 03 is needed"),
        (IMAGES, contents()[LABELS], "begins with 00 00 08 01, and 00 00 08 03 is needed"),
        (IMAGES, contents()[IMAGES][:-1], "has 5,503 bytes, and its header needs 5,504 for 7 x 28 x 28"),
        (IMAGES, contents()[IMAGES] + b"\0", "has 5,505 bytes, and its header needs 5,504"),
        (
            IMAGES,
            contents()[IMAGES][:9],
            r"KMNIST/raw/train-images-idx3-ubyte cannot be read \(it ends within",
        ),
        (IMAGES, b"", "begins with no byte"),
        (IMAGES, bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"\0" * 99, "has 115 bytes"),  # 10^28, it says
        (IMAGES, idx(np.zeros((0, 28, 28))), "for 0 x 28 x 28 numbers; each size has to be at least 1"),
        (LABELS, bytes([0, 0, 10, 1]) + b"\0" * 9, "begins with 00 00 0a 01"),  # no type that IDX knows
        (LABELS, bytes([0, 0, 12, 1, 0, 0, 0, 7]) + b"\0" * 28, "begins with 00 00 0c 01"),
        (LABELS, bytes([0, 0, 8, 4]) + b"\0" * 99, "begins with 00 00 08 04"),
    ],
)
def test_files_that_hold_no_such_images(tmp_path, file, content, message):
    write(tmp_path / "KMNIST" / "raw", contents() | {file: content})
    with pytest.raises(DataError, match=message) as error:
        load_split(kmnist.FILES, tmp_path, train=True)
    assert "put the raw files of KMNIST there, or set data.download: true" in str(error.value)
    assert len(load_split(kmnist.FILES, tmp_path, train=False).targets) == NUM_TEST


@pytest.mark.parametrize("start", ["train", "t10k"])
def test_torchvision_reads_the_same(start):
    """Its reader is not used only because importing it takes as long as importing torch."""
    folder = idx_files.embedded_root() / idx_files.RAW_FOLDER
    split = load_split(MNIST, train=start == "train")
    pixels = read_image_file(str(folder / f"{start}-images-idx3-ubyte"))
    assert torch.equal(split.inputs, pixels.flatten(1).float() / 255)
    assert torch.equal(split.targets, read_label_file(str(folder / f"{start}-labels-idx1-ubyte")))


def test_wrong_mnist_has_another_way_out(tmp_path):
    write(tmp_path / "MNIST" / "raw", contents() | {LABELS: idx([0])})
    with pytest.raises(
        DataError, match=r"7 images but 1 labels.* or leave data.root out to use the MNIST in"
    ):
        load_split(MNIST, tmp_path, train=True)


@pytest.mark.parametrize(("images", "folder"), KINDS)
def test_missing_files_are_named_with_their_place(tmp_path, cache, images, folder):
    write(tmp_path / folder / "raw", {LABELS: contents()[LABELS]})
    for load in (load_images, idx_files.digest):
        with pytest.raises(DataError, match=r"raw lacks train-images-idx3-ubyte, t10k-images") as error:
            load(images, tmp_path)
        assert LABELS not in str(error.value)
        assert f"put the raw IDX files of {folder} there" in str(error.value)
        with pytest.raises(
            DataError, match=rf"{images.name} is not in the package; give data.root a"
        ) as error:
            load(images, None)
        assert all(file in str(error.value) for file in idx_files.MD5_SUMS)
        assert f"in its subfolder {folder}/raw (torchvision's layout" in str(error.value)
        assert "set data.download: true" in str(error.value)
    assert not cache.exists()


def test_unknown_names():
    with pytest.raises(
        ValidationError, match="Input should be 'mnist', 'fashion-mnist', 'kmnist', 'swiss-roll', 'sphere',"
    ):
        DataSettings(dataset="cifar")


def test_download(tmp_path, cache, mirror):
    in_cache = load_images(fashion_mnist.FILES, download=True)
    in_root = load_images(fashion_mnist.FILES, tmp_path / "own", download=True)
    for root in (cache, tmp_path / "own"):
        folder = root / "FashionMNIST" / "raw"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents()
    assert torch.equal(in_cache.train.inputs, in_root.train.inputs)
    # What was downloaded is found again without the network, and without asking for it.
    for path in mirror.iterdir():
        path.unlink()
    found = {
        digest("fashion-mnist", root=root, download=download)
        for root in (None, tmp_path / "own")
        for download in (False, True)
    }
    assert len(found) == 1


@pytest.mark.parametrize("left", [b"", b"\0", contents()[IMAGES][:-1], contents()[IMAGES] + b"\0"])
def test_a_half_download_of_torchvision_is_not_believed(tmp_path, mirror, left):
    own = contents(seed=1)
    folder = tmp_path / "FashionMNIST" / "raw"
    write(folder, {**own, IMAGES: left, f"{IMAGES}.gz": b"half"})
    load_images(fashion_mnist.FILES, tmp_path, download=True)
    expected = {**own, IMAGES: contents()[IMAGES], f"{IMAGES}.gz": b"half"}  # whole files stay
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_no_network(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [NOWHERE])
    for root, place in [(None, cache), (tmp_path / "own", tmp_path / "own")]:
        with pytest.raises(
            DataError, match=r"data\.download: KMNIST cannot be downloaded \(.*refused"
        ) as error:
            load_images(kmnist.FILES, root, download=True)
        names = ", ".join(idx_files.MD5_SUMS)
        assert f"put {names} into {place / 'KMNIST' / 'raw'} (torchvision's" in str(error.value)
        assert "\n" not in str(error.value)
        assert not place.exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-4], lambda content: content[:-1] + b"x", None])
def test_a_damaged_download_leaves_nothing(tmp_path, mirror, damage):
    path = mirror / f"{LABELS}.gz"
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(DataError, match=r"MD5 sum is not the published|No such file") as error:
        load_images(fashion_mnist.FILES, tmp_path, download=True)
    assert "put train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k" in str(error.value)
    left = {path.name: path.read_bytes() for path in (tmp_path / "FashionMNIST" / "raw").iterdir()}
    assert left == {IMAGES: contents()[IMAGES]}  # what came before is whole


def test_an_interrupt_leaves_nothing(tmp_path, mirror, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_images(fashion_mnist.FILES, tmp_path, download=True)
    assert not list((tmp_path / "FashionMNIST" / "raw").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, mirror):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        DataError, match=r"file/FashionMNIST/raw cannot be written .* give data\.root a folder"
    ):
        load_images(fashion_mnist.FILES, tmp_path / "file", download=True)


def test_digest_is_that_of_the_content(tmp_path):
    for images, folder in KINDS:
        write(tmp_path / folder / "raw", contents())
        lines = [f"{file} {hashlib.md5(data).hexdigest()}" for file, data in sorted(contents().items())]
        expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        assert digest(images.name, root=tmp_path) == expected


def test_a_file_is_digested_again_only_when_it_changed(tmp_path, monkeypatch):
    folder = tmp_path / "KMNIST" / "raw"
    write(folder, contents())
    read = []

    def md5_sum(path):
        read.append(path.name)
        return hashlib.md5(path.read_bytes()).hexdigest()

    monkeypatch.setattr(idx_files, "md5_sum", md5_sum)
    first = digest("kmnist", root=tmp_path)
    assert sorted(read) == sorted(idx_files.MD5_SUMS)
    read.clear()
    monkeypatch.chdir(tmp_path)  # the same folder by another name, and then an equally long file
    assert digest("kmnist", root=idx_files.Path()) == first
    assert read == []
    (folder / LABELS).write_bytes(idx([1] * NUM_TRAIN))
    os.utime(folder / LABELS, ns=(0, 1))
    assert digest("kmnist", root=tmp_path) != first
    assert read == [LABELS]
    (folder / LABELS).write_bytes(idx([1] * (NUM_TRAIN + 1)))
    os.utime(folder / LABELS, ns=(0, 1))
    digest("kmnist", root=tmp_path)
    assert read == [LABELS, LABELS]


def test_digest_of_a_drawn_set_follows_from_its_recipe(monkeypatch):
    expected = hashlib.sha256(b'{"dataset": "swiss-roll", "recipe": 1}').hexdigest()
    assert digest("swiss-roll") == expected
    monkeypatch.setattr(drawn, "RECIPE", 2)
    assert digest("swiss-roll") != expected


def test_digests_are_had_without_torch():
    code = "import sys; from spaceprobe.stages.train.settings import DATASETS, DataSettings; "
    code += "DATASETS['mnist'].digest(DataSettings()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def places(split):
    """Return t and height of regression targets, undone by hand."""
    targets = split.targets.double().numpy()
    return 3 * math.pi + targets[:, 0] * 3 * math.pi / math.sqrt(12), 10.5 + targets[:, 1] * 21 / math.sqrt(
        12
    )


def rolled(split):
    t, height = places(split)
    return np.column_stack([t * np.cos(t), height, t * np.sin(t)])


def test_swiss_roll_is_rolled_from_its_targets():
    roll = swiss_roll(90, 40, seed=3)
    assert (roll.num_inputs, roll.num_outputs, roll.is_classification) == (3, 2, False)
    assert (roll.train.inputs.shape, roll.test.inputs.shape) == ((90, 3), (40, 3))
    assert (roll.train.targets.shape, roll.test.targets.shape) == ((90, 2), (40, 2))
    centre = rolled(roll.train).mean(0)
    scale = np.sqrt(((rolled(roll.train) - centre) ** 2).mean())
    for split in (roll.train, roll.test):
        assert split.inputs.dtype == split.targets.dtype == torch.float32
        error = split.inputs.numpy() - (rolled(split) - centre) / scale
        assert np.abs(error).max() < FLOAT32_TOLERANCE
        t, height = places(split)
        assert 1.5 * math.pi - 1e-5 < t.min() < t.max() < 4.5 * math.pi + 1e-5
        assert -1e-5 < height.min() < height.max() < 21 + 1e-5
    inputs = roll.train.inputs.double()
    assert float(inputs.mean(0).abs().max()) < FLOAT32_TOLERANCE
    assert float(inputs.square().mean()) == pytest.approx(1, abs=FLOAT32_TOLERANCE)


def test_swiss_roll_targets_are_standardised_by_the_law_and_not_by_the_draw():
    targets = swiss_roll(4000, 1, seed=1).train.targets.double()
    # Five standard errors of a mean, and of a deviation of a uniform law (√((9/5 - 1) / 4n)).
    assert float(targets.mean(0).abs().max()) < 5 / math.sqrt(4000)
    assert float((targets.std(0) - 1).abs().max()) < 5 * math.sqrt(0.2 / 4000)
    assert targets.mean(0).abs().min() > 1e-6
    assert abs(float(torch.corrcoef(targets.T)[0, 1])) < 5 / math.sqrt(4000)


def test_swiss_roll_has_two_dimensions():
    # TwoNN (Facco et al. 2017): maximum likelihood from the ratio of the two nearest distances.
    inputs = swiss_roll(2000, 1).train.inputs.double()
    nearest = torch.cdist(inputs, inputs).sort(1).values[:, 1:3]
    dimension = 2000 / float((nearest[:, 1] / nearest[:, 0]).log().sum())
    assert dimension == pytest.approx(2, abs=0.15)  # three standard errors, 2/√2000


def test_noise_moves_the_points_and_not_the_targets():
    clean, noisy = (swiss_roll(3000, 50, noise=noise, seed=2) for noise in (0.0, 0.5))
    for a, b in [(clean.train, noisy.train), (clean.test, noisy.test)]:
        assert torch.equal(a.targets, b.targets)
    points = rolled(noisy.train)
    # What the scaled points leave when the noiseless ones are fitted to them by one scale and a shift.
    inputs = noisy.train.inputs.double().numpy()
    centred = points - points.mean(0)
    scale = (inputs * centred).sum() / (centred**2).sum()
    residual = (inputs - inputs.mean(0) - scale * centred) / scale
    assert residual.std(0) == pytest.approx([0.5] * 3, rel=5 / math.sqrt(2 * 3000))


@settings(max_examples=15)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_classes_are_equal_intervals_of_the_angle(num_classes, seed):
    regression = swiss_roll(60, 20, seed=seed)
    roll = swiss_roll(60, 20, seed=seed, task="classification", num_classes=num_classes)
    assert (roll.num_classes, roll.num_outputs, roll.is_classification) == (num_classes, num_classes, True)
    for split, same in [(roll.train, regression.train), (roll.test, regression.test)]:
        assert torch.equal(split.inputs, same.inputs)
        assert split.targets.dtype == torch.int64
        t, _ = places(same)
        for angle, label in zip(t, split.targets.tolist(), strict=True):
            low = 1.5 * math.pi + label * 3 * math.pi / num_classes
            assert low - 1e-5 <= angle <= low + 3 * math.pi / num_classes + 1e-5


def test_classes_are_equally_likely():
    labels = swiss_roll(8000, 1, task="classification").train.targets
    # Five standard deviations of a binomial count.
    assert (labels.bincount() - 2000).abs().max() < 5 * math.sqrt(8000 * 0.25 * 0.75)
    assert len(labels.bincount()) == 4


def test_swiss_roll_is_drawn_from_its_seed_alone():
    global_states = torch.get_rng_state(), np.random.get_state()[1]
    first, again, other = swiss_roll(30, 20, 0.1, 5), swiss_roll(30, 20, 0.1, 5), swiss_roll(30, 20, 0.1, 6)
    assert torch.equal(torch.get_rng_state(), global_states[0])
    assert np.array_equal(np.random.get_state()[1], global_states[1])
    for split, same, different in [
        (first.train, again.train, other.train),
        (first.test, again.test, other.test),
    ]:
        assert torch.equal(split.inputs, same.inputs)
        assert torch.equal(split.targets, same.targets)
        assert not torch.isin(split.targets, different.targets).any()
    assert not torch.isin(first.test.targets, first.train.targets).any()
    more = swiss_roll(31, 20, 0.1, 5)  # the test stream does not see how many are trained on
    assert torch.equal(more.test.targets, first.test.targets)


def test_the_smallest_roll():
    roll = swiss_roll(2, 1)
    assert (roll.train.inputs.shape, roll.test.inputs.shape, roll.test.targets.shape) == (
        (2, 3),
        (1, 3),
        (1, 2),
    )
    assert torch.isfinite(roll.train.inputs).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_points": 1}, "num_points is 1: expected at least 2"),
        ({"num_test_points": 0}, "num_test_points is 0: expected at least 1"),
        ({"seed": -1}, "seed is -1: expected at least 0"),
        ({"num_classes": 1}, "num_classes is 1: expected at least 2"),
        ({"noise": -0.1}, r"noise is -0\.1: expected a number from 0 to 1000"),
        ({"noise": math.nan}, "noise is nan: expected a number from 0 to 1000"),
        ({"noise": math.inf}, "noise is inf: expected a number from 0 to 1000"),
        ({"task": "ranking"}, "task is 'ranking': choose regression or classification"),
    ],
)
def test_swiss_roll_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        swiss_roll(**arguments)


def where_drawn(num_points, share, seed):
    """Return the points that were drawn: among so many classes, none keeps its label by chance."""
    return randomize_labels(torch.zeros(num_points, dtype=torch.int64), share, 10**12, seed) != 0


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 99))
@example(5, 0.5, 0)  # 2.5 points: the even number
@example(7, 0.5, 0)
@example(9, 1.0, 0)
def test_exactly_the_share_is_drawn(num_points, share, seed):
    assert int(where_drawn(num_points, share, seed).sum()) == round(share * num_points)


@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 1), st.integers(2, 5), st.integers(0, 99))
def test_shares_are_nested(num_points, one, other, num_classes, seed):
    smaller, larger = sorted([one, other])
    few, many = where_drawn(num_points, smaller, seed), where_drawn(num_points, larger, seed)
    assert (many | ~few).all()
    labels = torch.arange(num_points) % num_classes
    some, more = (randomize_labels(labels, share, num_classes, seed) for share in (smaller, larger))
    assert torch.equal(some[few], more[few])
    assert torch.equal(some[~few], labels[~few])
    assert torch.equal(more[~many], labels[~many])


def test_labels_are_drawn_over_all_classes_whatever_they_were():
    labels = torch.arange(30_000) % 3
    drawn = randomize_labels(labels, 1.0, 3, seed=8)
    counts = torch.stack([drawn[labels == label].bincount(minlength=3) for label in range(3)])
    # Five standard deviations of a binomial count: a third each, the true label too.
    assert (counts - 10_000 / 3).abs().max() < 5 * math.sqrt(10_000 * 2 / 9)


def test_points_are_chosen_evenly():
    chosen = sum(where_drawn(50, 0.3, seed).long() for seed in range(400))
    assert (chosen - 120).abs().max() < 5 * math.sqrt(400 * 0.3 * 0.7)


def test_random_labels_are_drawn_from_their_seed_alone():
    labels = torch.arange(200) % 10
    before = labels.clone()
    state = torch.get_rng_state()
    first, again, other = (randomize_labels(labels, 0.6, 10, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(labels, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    unchanged = randomize_labels(labels, 0.0, 10, 1)
    assert torch.equal(unchanged, labels)
    unchanged[0] = 7
    assert torch.equal(labels, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1, 3, 0), r"share is -0\.1: expected a number from 0 to 1"),
        ((1.1, 3, 0), r"share is 1\.1: expected a number from 0 to 1"),
        ((math.nan, 3, 0), "share is nan: expected a number from 0 to 1"),
        ((0.5, 1, 0), "num_classes is 1: expected at least 2"),
        ((0.5, 2, 0), "labels run from 0 to 2: expected 0 to 1"),
        ((0.5, 3, -1), "seed is -1: expected 0 or more"),
    ],
)
def test_random_labels_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        randomize_labels(torch.tensor([0, 1, 2]), *arguments)
