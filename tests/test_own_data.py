"""Data of a user's own as datasets: what is read of files, folders and functions, and what is refused."""

import io
import os
import py_compile
import re
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from spaceprobe import user_code
from spaceprobe.data import function_facts, image_folders
from spaceprobe.data.entry import DataError, DataLayout
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.train.networks import load_data, read_labels
from spaceprobe.stages.train.settings import DataSettings, data_key
from spaceprobe.user_code import trusting
from spaceprobe.user_sources import UserCodeError, parse_function
from tests.own_data import NAMES, small_arrays, write_file, write_folder

DEFAULTS = {
    "train_images": 60_000, "random_labels": 0.0, "task": "classification",
    "points": 2000, "noise": 0.0, "points_seed": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def load(**options):
    return load_data(DataSettings(**options))


def layout(**options):
    settings = DataSettings(**options)
    return DATASETS[settings.dataset].layout(settings)


def digest_of(**options):
    return data_key({"data": DataSettings(**options)})["data_digest"]


def assert_is(split, images, labels):
    """The split has the grey levels / 255 in float32, flattened, and the labels."""
    expected = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / np.float32(255))
    assert torch.equal(split.inputs, expected)
    assert split.targets.tolist() == labels.tolist()
    assert split.targets.dtype == torch.int64


# --- settings and keys ---------------------------------------------------------------------------


def test_keys_of_data_that_existed_before_stay_what_they_were():
    """Literally those of the version before: results in folders that exist are still up to date."""
    assert data_key({"data": DataSettings()}) == {
        "data": {"dataset": "mnist", **DEFAULTS},
        "data_digest": "a8e3f54eaa00ca3d4fa0e749a48e43b5e72c46456a7ad7fdbc4376b3ba16d270",
    }
    assert data_key({"data": DataSettings(dataset="swiss-roll")})["data"] == {
        "dataset": "swiss-roll",
        **DEFAULTS,
    }
    assert DataSettings().identity() == {}


def test_no_more_images_of_mnist_than_there_are():
    with pytest.raises(
        DataError, match=r"70000 are asked for, and mnist has 60000; set data\.train_images: 60000"
    ):
        digest_of(train_images=70_000)


def test_a_file_alone_chooses_its_dataset(place):
    write_file(place / "my.npz")
    settings = DataSettings(file="my.npz")
    assert settings.dataset == "file"
    assert settings == DataSettings(dataset="file", file="my.npz")
    assert settings.identity() == {"dataset": "file", "file": "my.npz"}
    key = data_key({"data": settings})
    assert key["data"] == {"dataset": "file", **DEFAULTS}
    assert [*key["data_digest"]] == ["data.file my.npz"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"file": "a.npz", "folder": "b"},
            "file and folder do not go together: each says which data are used",
        ),
        ({"file": "a.npz", "dataset": "mnist"}, "file does nothing with dataset: mnist; leave it out"),
        ({"file": "a.npz", "root": "b"}, "root does nothing with dataset: file; leave it out"),
        ({"file": "a.npz", "task": "regression"}, "file has classes only"),
        ({"dataset": "folder"}, "dataset: folder needs folder: what it names"),
        ({"function": "mydata"}, "write package.module:function, such as mydata:digits"),
        ({"function": "my-data:a"}, "write package.module:function"),
        ({"function": "mydata:a.b"}, "write package.module:function"),
        ({"function": "../mydata:a"}, "write package.module:function"),
    ],
)
def test_settings_that_do_not_go_together(options, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        DataSettings(**options)


# --- files ---------------------------------------------------------------------------------------


def test_a_file_of_grey_images(place):
    arrays = small_arrays()
    write_file(place / "my.npz", class_names=np.array(NAMES))
    dataset = load(file="my.npz")
    assert (dataset.num_inputs, dataset.num_outputs, dataset.num_classes) == (35, 3, 3)
    assert_is(dataset.train, arrays["x_train"], arrays["y_train"])
    assert_is(dataset.test, arrays["x_test"], arrays["y_test"])
    assert layout(file="my.npz") == DataLayout((5, 7), 3, ("cat", "dog", "emu"))
    assert len(load(file="my.npz", train_images=7).train.targets) == 7
    entry = DATASETS["file"]
    assert entry.name_of_class(DataSettings(file="my.npz"), 1) == "dog"


def test_images_in_colour_have_their_channels_first(place):
    arrays = small_arrays(shape=(4, 2, 3))
    write_file(place / "my.npz", **arrays)
    dataset = load(file="my.npz")
    assert layout(file="my.npz") == DataLayout((3, 4, 2), 3)
    first = arrays["x_train"][0]
    by_hand = [first[row, column, channel] for channel in range(3) for row in range(4) for column in range(2)]
    assert (dataset.train.inputs[0] * 255).round().int().tolist() == by_hand


def test_one_channel_is_a_grey_image_and_floats_stay_what_they_are(place):
    arrays = small_arrays(shape=(4, 2, 1))
    values = {name: arrays[name] / 7 - 3 for name in ("x_train", "x_test")}
    write_file(place / "my.npz", **arrays | values)
    assert layout(file="my.npz") == DataLayout((4, 2), 3)
    assert torch.equal(
        load(file="my.npz").train.inputs,
        torch.from_numpy(values["x_train"].reshape(30, 8).astype(np.float32)),
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "?"])
def test_other_orders_and_types_of_numbers(place, order, dtype):
    points = (np.arange(30 * 4).reshape(30, 4) % 5 / 4).astype(dtype)
    write_file(
        place / "my.npz",
        x_train=np.asarray(points, order=order),
        x_test=points[:12],
        y_train=small_arrays()["y_train"].astype(">u2"),
    )
    assert layout(file="my.npz") == DataLayout((4,), 3)
    assert load(file="my.npz").train.inputs.tolist() == points.astype(np.float32).tolist()


def test_a_packed_file_is_read_alike(place):
    write_file(place / "my.npz")
    np.savez_compressed(place / "packed.npz", **small_arrays())
    one, other = load(file="my.npz"), load(file="packed.npz")
    assert torch.equal(one.train.inputs, other.train.inputs)


def test_an_edit_is_seen_in_the_same_process(place):
    """By the digest, and by what is read: both are kept while the file stays as it is."""
    arrays = small_arrays()
    write_file(place / "my.npz")
    before, first = digest_of(file="my.npz"), load(file="my.npz")
    assert load(file="my.npz") is first
    arrays["x_train"][0, 0, 0] ^= 1
    write_file(place / "my.npz", **arrays)
    assert digest_of(file="my.npz") != before
    assert_is(load(file="my.npz").train, arrays["x_train"], arrays["y_train"])


def test_more_points_than_there_are(place):
    write_file(place / "my.npz")
    with pytest.raises(
        DataError, match=r"^data\.train_images: 31 are asked for, and my\.npz has 30 training"
    ):
        digest_of(file="my.npz", train_images=31)


def test_more_points_than_the_default_takes_are_told_of(place, caplog):
    labels = np.arange(60_001) % 2
    points = np.zeros((60_001, 1), np.uint8)
    write_file(place / "large.npz", x_train=points, y_train=labels, x_test=points, y_test=labels)
    assert len(load(file="large.npz").train.targets) == 60_000
    assert "large.npz has 60,001 training points, of which the first 60,000 are used" in caplog.text
    assert len(load(file="large.npz", train_images=60_001).train.targets) == 60_001


def changed(name, change):
    array = small_arrays()[name].astype(float if name.startswith("x") else int)
    change(array)
    return {name: array}


def put(value, *at):
    def change(array):
        array[at] = value

    return change


FLOATS = {name: small_arrays()[name] / 255 for name in ("x_train", "x_test")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, r"expected the arrays x_train, y_train, x_test, y_test and, if .*rename them$"),
        ({"x_val": np.zeros(3)}, r"got .*'x_val'.*; leave the others out$"),
        ({"x_train": np.zeros((30, 5, 7), int)}, r"x_train is of type int64: expected uint8 .* with astype$"),
        ({"x_test": np.zeros((12, 5, 7), complex)}, r"x_test is of type complex128: expected uint8"),
        ({"x_train": np.zeros(30, np.uint8)}, r"x_train has shape \(30,\): expected \(points, features\)"),
        (
            {"x_train": np.zeros((30, 3, 5, 7), np.uint8)},
            r"x_train has shape \(30, 3, 5, 7\).*last axis, as x_",
        ),
        ({"x_train": np.zeros((0, 5), np.uint8)}, r"x_train has shape \(0, 5\).* each at least 1"),
        (
            {"x_test": np.zeros((12, 7, 5), np.uint8)},
            r"x_test has points of shape \(7, 5\), x_train of \(5, 7\)",
        ),
        (
            {"x_train": FLOATS["x_train"]},
            "x_train is of type float64, x_test of uint8, and only uint8 is div",
        ),
        (
            {"y_train": np.zeros(29, int)},
            "y_train has 29 classes for the 30 points of x_train: expected one a",
        ),
        ({"y_test": np.zeros((12, 1), int)}, r"y_test has shape \(12, 1\): expected \(points,\).*ravel\(\)"),
        ({"y_train": np.arange(30) / 10}, "y_train is of type float64: expected integers, the class of each"),
        ({"y_train": np.array(["a"] * 30)}, "y_train is of type <U1: expected integers"),
        (changed("y_train", put(-1, 4)), "y_train has the class -1: expected 0 to 2, the classes of y_train"),
        (
            changed("y_test", put(3, 4)),
            "y_test has the class 3: expected 0 to 2, the classes of y_train; number",
        ),
        (changed("y_train", put(5, 4)), r"y_train has no point of class 3 and of 1 more: .* without gaps$"),
        (changed("y_train", put(10**15, 4)), "y_train has no point of class 3 and of 999999999999996 more"),
        (
            changed("y_test", put(1, slice(2, None, 3))),
            r"y_test has no point of class 2: expected at least one",
        ),
        (
            {"y_train": np.zeros(30, int), "y_test": np.zeros(12, int)},
            "y_train has one class only: expected at",
        ),
        (
            {"class_names": np.array(["a", "b"])},
            r"y_train has the class 2: expected 0 to 1, .*names in class_n",
        ),
        ({"class_names": np.array([*"abcd"])}, "y_train has no point of class 3: expected"),
        ({"class_names": np.array(["a", "b", "a"])}, "class_names: 'a' is the name of classes 0 and 2; give"),
        (
            {"class_names": np.array(["a", "", "c"])},
            "class_names: the name of class 1 is '': expected 1 to 100",
        ),
        ({"class_names": np.array(["a", "b\n", "c"])}, r"the name of class 1 is 'b\\n'"),
        ({"class_names": np.array(["a" * 101, "b", "c"])}, "class_names is of type <U101 and shape"),
        ({"class_names": np.arange(3)}, r"class_names is of type int64 and shape \(3,\): expected one text"),
    ],
)
def test_arrays_that_do_not_fit_are_named(place, changes, message):
    write_file(place / "my.npz", **changes)
    with pytest.raises(DataError, match=message) as error:
        layout(file="my.npz")
    assert str(error.value).startswith("data.file: my.npz: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite(place, value):
    points = FLOATS["x_test"].copy()
    points[[3, 7], 2, 2] = value
    write_file(place / "my.npz", **{**FLOATS, "x_test": points})
    with pytest.raises(
        DataError,
        match=rf"^data\.file: my\.npz: x_test holds {re.escape(str(value))} in point 3 \(2 of 12 po",
    ):
        load(file="my.npz")


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying(shape):
    """Return a .npy file of nine bytes whose header says another shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(9)


def members(**changes):
    """Return the members of a sound archive, some of them changed."""
    return {f"{name}.npy": npy(array) for name, array in small_arrays().items()} | changes


def archive(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in content.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"x_train.npy": lying((30, 5, 7))},
            "the header of 'x_train' says 1,050 bytes, and the file holds 9 in",
        ),
        ({"x_train.npy": lying((1 << 40, 5))}, r"says 5,497,558,138,880 bytes, and the file holds 9 in"),
        ({"x_train.npy": lying((-3, -3))}, r"the header of 'x_train' cannot be read \(shape \(-3, -3\)\)"),
        (
            {"x_train.npy": b"\x93NUMPY\x01\x00\x10\x00__import__('os')"},
            "the header of 'x_train' cannot be read",
        ),
        ({"x_train.npy": b""}, "the header of 'x_train' cannot be read"),
        ({"x_train.npy": b"\x93NUMPY\x03\x00" + bytes(20)}, "version 3.0, expected 1.0 or 2.0"),
        (
            {"readme.txt": b"hello"},
            "the member 'readme.txt' is not an array; write it again with numpy.savez",
        ),
    ],
)
def test_files_that_lie(place, content, message):
    archive(place / "my.npz", members(**content))
    with pytest.raises(DataError, match=message) as error:
        layout(file="my.npz")
    assert str(error.value).startswith("data.file: my.npz: ")


def test_no_pickle_is_loaded(place):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    file = io.BytesIO()
    np.save(file, np.array([Bomb()]), allow_pickle=True)
    archive(place / "my.npz", members(**{"x_train.npy": file.getvalue()}))
    with pytest.raises(DataError, match="'x_train' holds objects, which are pickles: expected numbers"):
        layout(file="my.npz")


def test_a_bomb_is_refused_before_it_is_unpacked(place, monkeypatch):
    header = lying((1 << 36,))[:-9]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(8)) + packer.flush()
    archive(place / "my.npz", members() | {"x_train.npy": header + bytes(1 << 23)}, zipfile.ZIP_DEFLATED)
    data = (place / "my.npz").read_bytes()
    true_size = struct.pack("<I", len(header) + (1 << 23))
    assert data.count(true_size) == 2  # in the member's own header and in the directory
    (place / "my.npz").write_bytes(data.replace(true_size, struct.pack("<I", 0xFFFF_FFF0)))
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was allocated"))
    with pytest.raises(
        DataError, match="the header of 'x_train' says 68,719,476,736 bytes, and the file holds"
    ):
        layout(file="my.npz")


def test_large_arrays_are_refused_by_their_headers(place, monkeypatch):
    write_file(place / "my.npz")
    monkeypatch.setattr("spaceprobe.data.labelled_arrays.MAX_BYTES", 4 * 42 * 35 - 1)
    with pytest.raises(
        DataError, match="x_train and x_test take 5,880 bytes as float32, allowed: 5,879; give"
    ):
        layout(file="my.npz")


def test_damaged_files(place):
    write_file(place / "my.npz")
    whole = (place / "my.npz").read_bytes()
    at = whole.index(small_arrays()["x_train"].tobytes())
    damaged = {"": b"", "not a zip": b"hello", "cut": whole[:-40]}
    damaged["a flipped bit"] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for content in damaged.values():
        (place / "my.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"^data\.file: my\.npz cannot be read as an \.npz file \("):
            load(file="my.npz")
    (place / "my.npz").unlink()
    with pytest.raises(
        DataError, match=r"^data\.file: my\.npz does not exist; give the path of an \.npz file$"
    ):
        load(file="my.npz")
    (place / "my.npz").mkdir()
    with pytest.raises(
        DataError, match=r"data\.file: my\.npz cannot be read .*it is a directory, not a file"
    ):
        load(file="my.npz")


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_of_images(place):
    arrays = small_arrays()
    write_folder(place / "pets")
    (place / "pets" / "train" / "cat" / ".DS_Store").write_bytes(b"")
    dataset = load(folder="pets")
    assert layout(folder="pets") == DataLayout((5, 7), 3, ("cat", "dog", "emu"))
    order = np.argsort(arrays["y_test"], kind="stable")  # by class, then by name
    assert_is(dataset.test, arrays["x_test"][order], arrays["y_test"][order])
    by_class = np.argsort(arrays["y_train"], kind="stable")
    drawn = by_class[np.random.RandomState(0).permutation(30)]
    assert_is(dataset.train, arrays["x_train"][drawn], arrays["y_train"][drawn])
    assert {*dataset.train.targets[:9].tolist()} == {0, 1, 2}  # not sorted by class
    assert len(load(folder="pets", train_images=4).train.targets) == 4


def test_classes_that_are_numbers_are_in_their_order(place):
    arrays = small_arrays(num_train=24, num_test=24, num_classes=12, shape=(2, 3))
    write_folder(place / "n", arrays, [str(number) for number in range(12)])
    assert layout(folder="n").class_names == tuple(str(number) for number in range(12))
    assert load(folder="n").test.targets.tolist() == sorted(arrays["y_test"].tolist())


def test_a_folder_of_images_in_colour(place):
    arrays = small_arrays(shape=(4, 2, 3))
    write_folder(place / "pets", arrays)
    assert layout(folder="pets") == DataLayout((3, 4, 2), 3, ("cat", "dog", "emu"))
    first = arrays["x_test"][0]
    by_hand = [first[row, column, channel] for channel in range(3) for row in range(4) for column in range(2)]
    assert (load(folder="pets").test.inputs[0] * 255).round().int().tolist() == by_hand


def test_a_folder_depends_on_names_and_contents(place):
    write_folder(place / "pets")
    digests = [digest_of(folder="pets")["data.folder pets"]]
    image = place / "pets" / "test" / "dog" / "001.png"
    image.rename(image.with_name("other.png"))
    digests.append(digest_of(folder="pets")["data.folder pets"])
    image.with_name("other.png").write_bytes((place / "pets" / "test" / "cat" / "000.png").read_bytes())
    digests.append(digest_of(folder="pets")["data.folder pets"])
    (place / "pets" / "notes.txt").write_text("not an image of a class")
    assert digest_of(folder="pets")["data.folder pets"] == digests[-1]
    assert len({*digests}) == 3


def test_what_a_folder_holds_that_it_should_not(place, monkeypatch):
    def refused(message):
        with pytest.raises(DataError, match=message) as error:
            load(folder="pets")
        assert str(error.value).startswith("data.folder: pets: ")

    pets = place / "pets"
    refused(
        r"train is not a folder that can be read \(No such file or directory\): expected train/CLASS/\*\.png"
    )
    write_folder(pets)
    dog = pets / "train" / "dog"
    sound = (dog / "001.png").read_bytes()

    def at_dog(name, content):
        (dog / name).write_bytes(content)
        return dog / name

    def saved(image, kind="PNG", **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    other = at_dog("a.txt", b"hello")
    refused(r"train/dog/a\.txt is not an image that is read: expected \.png, .*; remove or convert it")
    other.unlink()
    for content, message in [
        (b"", r"train/dog/001\.png cannot be read as an image \(.*\); replace or remove it"),
        (sound[:-40], r"train/dog/001\.png cannot be read as an image"),
        (saved(Image.new("L", (7, 5)), "JPEG"), r"train/dog/001\.png cannot be read as an image"),  # no PNG
        (
            saved(Image.new("L", (5, 7))),
            r"train/dog/001\.png has 5 x 7 pixels .*train/cat/000\.png has 7 x 5 and",
        ),
        (
            saved(Image.new("RGB", (7, 5))),
            r"train/dog/001\.png .* is in colour, train/cat/000\.png .* is grey",
        ),
        (saved(Image.new("RGBA", (7, 5))), r"train/dog/001\.png is of the kind RGBA: expected 1, L, RGB, P"),
        (saved(Image.new("L", (4097, 4096))), r"001\.png has 4097 x 4096 pixels, allowed: 16,777,216 in all"),
    ]:
        at_dog("001.png", content)
        refused(message)
    bomb = bytearray(sound)
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    at_dog("001.png", bytes(bomb))
    refused(r"train/dog/001\.png cannot be read as an image \(Image size \(3600000000 pixels\) exceeds limit")
    at_dog("001.png", sound)
    (dog / "x.png").mkdir()
    refused(r"train/dog/x\.png cannot be read \(.*it is a directory, not a file")
    (dog / "x.png").rmdir()
    (pets / "test" / "fox").mkdir()
    refused(
        "test/fox has no counterpart in train: expected the same classes in train and test; add train/fox"
    )
    (pets / "train" / "fox").mkdir()
    refused("train/fox has no image: expected at least one a class; add some, or remove it")
    for split in ("train", "test"):
        (pets / split / "fox").rmdir()
    monkeypatch.setattr(image_folders, "MAX_BYTES", 4 * 42 * 35 - 1)
    refused("its images take 5,880 bytes as float32, allowed: 5,879; give fewer or smaller ones")


# --- functions -----------------------------------------------------------------------------------

CODE = """\
import sys

import helper
from tests.own_data import small_arrays


def blobs():
    print("running", file=sys.stderr)
    return small_arrays(num_train=helper.NUM_TRAIN)
"""


@pytest.fixture
def mydata(place):
    (place / "mydata.py").write_text(CODE)
    (place / "helper.py").write_text("NUM_TRAIN = 30\n")
    (place / "unrelated.py").write_text("this is not Python\n")
    return place / "mydata.py"


def test_a_function_runs_only_where_it_is_trusted(mydata, capfd, caplog):
    message = r"^data\.function: mydata:blobs runs code of yours, mydata\.py, which needs --trust mydata on"
    for work in (layout, load, digest_of):
        for modules in ((), ("helper",), ("mydata.blobs",)):
            with trusting(modules), pytest.raises(UserCodeError, match=message):
                work(function="mydata:blobs")
    assert "mydata" not in sys.modules
    assert capfd.readouterr().err == ""
    with trusting(["mydata"]):
        dataset = load(function="mydata:blobs")
    # once, for the digest and for the arrays; warnings may stand beside it
    assert capfd.readouterr().err.splitlines().count("running") == 1
    assert (
        "data.function: mydata:blobs: running blobs() of mydata.py, as --trust mydata allows" in caplog.text
    )
    arrays = small_arrays()
    assert_is(dataset.train, arrays["x_train"], arrays["y_train"])
    assert not list(mydata.parent.rglob("__pycache__"))
    # what is known of it needs no trust, and does not run it
    assert layout(function="mydata:blobs") == DataLayout((5, 7), 3)
    assert capfd.readouterr().err == ""
    assert user_code.trusted_modules() == ()


def test_a_function_depends_on_what_it_imports_here(mydata):
    options = {"function": "mydata:blobs"}
    with trusting(["mydata"]):
        before = digest_of(**options)
        names = [f"{file} of data.function mydata:blobs" for file in ("helper.py", "mydata.py")]
        assert [*before] == [*names, "what data.function mydata:blobs returns"]
        (mydata.parent / "helper.py").write_text("NUM_TRAIN = 30  # as before\n")
        commented = digest_of(**options)
        assert {name for name in before if before[name] != commented[name]} == {names[0]}
        (mydata.parent / "helper.py").write_text("NUM_TRAIN = 24\n")
        fewer = digest_of(**options)
        assert {name for name in commented if commented[name] != fewer[name]} == {names[0], [*before][2]}
        assert len(load(**options).train.targets) == 24  # imported anew in this process
        (mydata.parent / "unrelated.py").unlink()
        assert digest_of(**options) == fewer


def test_what_was_compiled_before_is_not_taken_for_the_source(mydata):
    """Python itself goes by the second of the edit and the size, which are the same here."""
    helper = mydata.parent / "helper.py"
    py_compile.compile(str(helper))
    status = helper.stat()
    helper.write_text("NUM_TRAIN = 24\n")
    os.utime(helper, ns=(status.st_atime_ns, status.st_mtime_ns))
    with trusting(["mydata"]):
        assert len(load(function="mydata:blobs").train.targets) == 24


def test_a_package_counts_as_a_whole(place):
    package = place / "pack" / "inner"
    package.mkdir(parents=True)
    (place / "pack" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from .arrays import make\n")
    (package / "arrays.py").write_text("from tests.own_data import small_arrays as make\n")
    with trusting(["pack.inner"]):
        names = [*digest_of(function="pack.inner:make")]
        assert load(function="pack.inner:make").num_classes == 3
    files = ["pack/__init__.py", "pack/inner/__init__.py", "pack/inner/arrays.py"]
    assert names[:-1] == [f"{file} of data.function pack.inner:make" for file in files]


def test_a_function_has_to_return_the_same_arrays_again(mydata):
    mydata.write_text(CODE.replace("return small", "sys.drawn = getattr(sys, 'drawn', 29) + 1; return small"))
    mydata.write_text(mydata.read_text().replace("helper.NUM_TRAIN", "sys.drawn"))
    try:
        with trusting(["mydata"]):
            assert len(load(function="mydata:blobs").train.targets) == 30
            with pytest.raises(
                DataError, match="returned other arrays than before, though its sources are the sa"
            ):
                load(function="mydata:blobs", train_images=3)
    finally:
        del sys.drawn


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return 3",
            "^data.function: mydata:blobs returned int: expected a dict of the arrays x_train, y_tr",
        ),
        ("return {}", "expected the arrays x_train, y_train, x_test, y_test .* got no array; rename them$"),
        ("return small_arrays() | {'x_train': [[1], [2, 3]]}", "x_train is not an array"),
        ("return small_arrays() | {'y_test': [0.5] * 12}", "y_test is of type float64: expected integers"),
    ],
)
def test_what_a_function_should_not_return(mydata, body, message):
    mydata.write_text(f"from tests.own_data import small_arrays\n\n\ndef blobs():\n    {body}\n")
    with trusting(["mydata"]), pytest.raises(DataError, match=message):
        load(function="mydata:blobs")


def test_functions_that_fail(mydata, monkeypatch):
    def refused(message, function="mydata:blobs"):
        with trusting(["mydata", "json", "nothing"]), pytest.raises(UserCodeError, match=message):
            load(function=function)

    refused(
        r"^data\.function: nothing:blobs: .*/work has no nothing\.py; start in the folder that has it",
        "nothing:blobs",
    )
    refused(r"^data\.function: mydata:other failed: AttributeError: module 'mydata' has no", "mydata:other")
    mydata.write_text("def blobs(:\n")
    refused(r"^data\.function: mydata:blobs: mydata\.py:1: syntax error \(invalid syntax\); fix it$")
    mydata.write_text("import mydata_of_nobody\n")
    refused("failed: ModuleNotFoundError: No module named 'mydata_of_nobody'$")
    mydata.write_text("def blobs():\n    raise ValueError('seven\\neight')\n")
    refused("^data.function: mydata:blobs failed: ValueError: seven$")
    mydata.write_text("def blobs():\n    raise SystemExit('nine')\n")
    refused("^data.function: mydata:blobs failed: SystemExit: nine$")
    (mydata.parent / "json.py").write_text("raise SystemExit\n")
    refused(
        r"^data\.function: json:loads: json is the name of an installed package as well; rename json\.py",
        "json:loads",
    )


def test_facts_that_were_damaged_are_not_used(mydata, tmp_path):
    with trusting(["mydata"]):
        layout(function="mydata:blobs")
    (facts,) = (tmp_path / "cache" / "spaceprobe" / "functions").iterdir()
    facts.write_bytes(facts.read_bytes().replace(b'"num_classes": 3', b'"num_classes": 4'))
    function_facts._computed.cache_clear()  # as in another process
    with pytest.raises(UserCodeError, match="needs --trust mydata"):
        layout(function="mydata:blobs")


def test_a_function_is_named_with_its_module():
    assert parse_function("a.b:c") == ("a.b", "c")
    assert str(parse_function("a.b:c")) == "a.b:c"


# --- labels of many classes ----------------------------------------------------------------------


def test_random_labels_of_more_classes_than_a_byte_has(place):
    from spaceprobe.stages.train.networks import draw_labels
    from spaceprobe.stages.train.settings import TrainingSettings

    labels = np.arange(600) % 300
    write_file(
        place / "my.npz", **{f"x_{s}": labels[:, None].astype(float) for s in ("train", "test")},
        y_train=labels, y_test=labels,
    )  # fmt: skip
    settings = DataSettings(file="my.npz", random_labels=0.1)
    sections = {"data": settings, "training": TrainingSettings()}
    drawn = read_labels(draw_labels(sections, load_data(settings))).numpy()
    assert 0 < (drawn != labels).sum() <= 60
    assert drawn.max() == 299
