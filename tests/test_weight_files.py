"""Files of weights: what is read exactly, and that no hostile file runs code, crashes, or takes memory."""

import argparse
import datetime
import io
import json
import os
import pickle
import pickletools
import random
import socket
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spaceprobe.weights.files import EXACT_IN_FLOAT32, WeightFileError, read_weights
from spaceprobe.weights.pickles import MAX_OPCODES

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
NUM_DAMAGED = 350  # per format
MEMORY_LIMIT = 200 * 2**20  # what a hostile file of at most 1 MB may take on top, in bytes; chosen
PROMPT_S = 10.0  # seconds of this thread, not of a machine that others share; chosen


def weights():
    generator = torch.Generator().manual_seed(0)
    return OrderedDict(
        {
            "layer.10.weight": torch.randn(3, 2, generator=generator),
            "layer.2.weight": torch.randn(2, 5, dtype=torch.float64, generator=generator),
            "layer.2.bias": torch.randn(5, generator=generator).to(torch.bfloat16),
        }
    )


IN_ORDER = ["layer.2.bias", "layer.2.weight", "layer.10.weight"]


def saved(path, tensors, **options):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(dict(tensors), path)
    else:
        torch.save(tensors, path, **options)
    return path


def as_bytes(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def rewritten(data, change, **options):
    """An archive of torch.save with members changed: change maps name and bytes to new bytes or None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", **options) as target:
        for info in source.infolist():
            content = change(info.filename, source.read(info))
            if content is not None:
                target.writestr(info.filename, content)
    return out.getvalue()


def with_pickle(content, storages=()):
    """An archive with this data.pkl, and storages of these bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("archive/data.pkl", content)
        target.writestr("archive/version", b"3\n")
        for key, data in enumerate(storages):
            target.writestr(f"archive/data/{key}", data)
    return out.getvalue()


def tensor_opcodes(count, shape, stride, offset=0, kind=b"FloatStorage", key=b"0"):
    """The opcodes by which torch.save asks for a tensor."""

    def number(value):
        encoded = pickle.encode_long(value)
        return b"\x8a" + bytes([len(encoded)]) + encoded

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = text(b"storage") + b"ctorch\n" + kind + b"\n" + text(key) + text(b"cpu") + number(count)
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = b"((" + storage + b"tQ" + number(offset) + numbers(shape) + numbers(stride) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"tR"


def state_opcodes(*tensors):
    named = [b"X\x01\x00\x00\x00" + bytes([97 + i]) + tensor for i, tensor in enumerate(tensors)]
    return b"\x80\x02}(" + b"".join(named) + b"u."


def refused(path, match, **options):
    """Read a file that must be refused, promptly and in one line that names it."""
    start = time.thread_time()
    with pytest.raises(WeightFileError, match=match) as caught:
        read_weights(path, **options)
    assert time.thread_time() - start < PROMPT_S
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 700
    return message


def test_what_python_2_and_torch_0_3_wrote_is_read(tmp_path):
    """Ordered dicts from lists of pairs, and tensors without hooks: as in the weights of lpips."""
    first = tensor_opcodes(6, (2, 3), (3, 1))
    start, _, rest = first.partition(b"ctorch._utils\n_rebuild_tensor_v2\n")
    assert not start
    short = b"ctorch._utils\n_rebuild_tensor\n" + rest.replace(b"\x89ccollections\nOrderedDict\n)R", b"")
    pairs = b"](](X\x01\x00\x00\x00a" + short + b"ee"
    path = tmp_path / "old.pt"
    numbers = torch.arange(6.0)
    path.write_bytes(
        with_pickle(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R.", [numbers.numpy().tobytes()])
    )
    (read,) = read_weights(path).items()
    assert read[0] == "a"
    assert torch.equal(read[1], numbers.reshape(2, 3))


@pytest.mark.parametrize("pairs", [b"(Na", b"N", b"(]ae"])
def test_an_ordered_dict_of_no_pairs_is_damage(tmp_path, pairs):
    path = tmp_path / "odd.pt"
    path.write_bytes(with_pickle(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."))
    refused(path, "is damaged or not a pickle of torch.save")


def test_a_parameter_with_attributes_is_read(tmp_path):
    parameter = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    parameter.is_tuned = True
    torch.save({"a": parameter}, tmp_path / "net.pt")
    assert torch.equal(read_weights(tmp_path / "net.pt")["a"], parameter.detach())


def read_or_refused(path):
    """Return the tensors, or None and the message; any other error is a crash."""
    try:
        return read_weights(path), ""
    except WeightFileError as error:
        return None, str(error)


def refused_bytes(tmp_path, data, match, suffix=".pt", **options):
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(data)
    return refused(path, match, **options)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PT", ".SafeTensors"])
def test_every_format_gives_the_same_tensors_in_the_order_of_layers(tmp_path, suffix):
    expected = weights()
    path = tmp_path / f"w{suffix}"
    if suffix.lower() == ".safetensors":
        path.write_bytes(safetensors.torch.save(dict(expected)))
    else:
        torch.save(expected, path)
    found = read_weights(path)
    assert [*found] == IN_ORDER
    for name, tensor in found.items():
        exact = expected[name].float() if expected[name].dtype == torch.bfloat16 else expected[name]
        assert tensor.dtype == exact.dtype
        assert torch.equal(tensor, exact)


def test_the_stream_that_torch_wrote_before_its_archives_is_read(tmp_path):
    path = saved(tmp_path / "w.pt", weights(), _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    found = read_weights(path)
    assert [*found] == IN_ORDER
    assert torch.equal(found["layer.10.weight"], weights()["layer.10.weight"])


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_is_looked_into_under_the_usual_keys(tmp_path, key):
    network = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    extra = {
        "epoch": 3,
        "lr": 1e-3,
        "done": False,
        "at": torch.Size([2]),
        "type": torch.float16,
        "far": 2**70,
    }
    path = tmp_path / "c.pt"
    torch.save({**extra, "optimizer": optimizer.state_dict(), key: network.state_dict()}, path)
    found = read_weights(path)
    assert [*found] == ["bias", "weight"]
    assert torch.equal(found["weight"], network.weight)


def test_tensors_beside_other_values_win_over_the_usual_keys(tmp_path):
    path = saved(tmp_path / "c.pt", {"w": torch.ones(2, 3), "epoch": 3, "model": {"v": torch.zeros(2)}})
    assert [*read_weights(path)] == ["w"]


def test_parameters_tied_views_and_expanded_tensors_keep_their_numbers(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "a": nn.Parameter(base),
        "b": base.T,
        "c": base[1:, 2],
        "d": torch.tensor([2.0]).expand(5, 6),
        "e": torch.ones(0, 3),
        "f": torch.tensor(7.0),
        "g": base,
    }
    found = read_weights(saved(tmp_path / "w.pt", tensors))
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert not found[name].requires_grad


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_narrow_number_becomes_the_same_float32(tmp_path, dtype, suffix):
    codes = torch.arange(256**dtype.itemsize).to(torch.uint8 if dtype.itemsize == 1 else torch.uint16)
    path = saved(tmp_path / f"w{suffix}", {"w": codes.view(dtype)})
    found = read_weights(path)["w"]
    assert found.dtype == torch.float32
    assert torch.equal(found.to(dtype).view(codes.dtype)[found.isfinite()], codes[found.isfinite()])
    assert torch.equal(found.isnan(), codes.view(dtype).float().isnan())
    assert found.isfinite().sum() > 0.9 * len(codes)


@pytest.mark.parametrize("dtype", [*EXACT_IN_FLOAT32])
def test_no_narrow_type_loses_a_number_in_float32(dtype):
    codes = torch.arange(256**dtype.itemsize).to(torch.uint8 if dtype.itemsize == 1 else torch.uint16)
    values = codes.view(dtype).float()
    again = values.to(dtype).view(codes.dtype)
    assert torch.equal(again[~values.isnan()], codes[~values.isnan()])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.uint16, torch.bool, torch.complex64])
def test_other_numbers_come_as_they_are(tmp_path, dtype, suffix):
    tensor = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    found = read_weights(saved(tmp_path / f"w{suffix}", {"i": tensor}))["i"]
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


NAN = torch.tensor([[float("nan"), float("inf")], [-float("inf"), 1.0]])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_nan_and_infinity_are_read_as_they_are(tmp_path, suffix):
    found = read_weights(saved(tmp_path / f"w{suffix}", {"w": NAN}))["w"]
    assert torch.equal(found.nan_to_num(5.0), NAN.nan_to_num(5.0))


NAMES = ["", " ", "gewöhnliche.ß", "重み", "a\nb", "\x1b[31m", "a\x00b", "../../etc/passwd", "n" * 100_000]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_odd_names_are_names(tmp_path, suffix):
    tensors = {name: torch.full((2,), float(i)) for i, name in enumerate(NAMES)}
    found = read_weights(saved(tmp_path / f"w{suffix}", tensors))
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in NAMES)


@given(st.lists(st.text("a.0123456789", max_size=6), min_size=1, max_size=8, unique=True), st.randoms())
def test_the_order_is_that_of_the_names_whatever_the_files(names, rng):
    orders = []
    for _ in range(2):
        rng.shuffle(names)
        file = Path(os.environ["PYTEST_WEIGHTS"]) / "w.pt"
        torch.save({name: torch.ones(1) for name in names}, file)
        orders.append([*read_weights(file)])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(names)
    numbers = [name for name in orders[0] if name.isdigit()]
    assert [int(name) for name in numbers] == sorted(int(name) for name in numbers)


@pytest.fixture(autouse=True, scope="module")
def folder_of_properties(tmp_path_factory):
    """Hypothesis runs many examples a test, which share a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.mark.slow
def test_100_000_tensors_are_read(tmp_path):
    names = [f"layer.{i}" for i in range(100_000)]
    header = {name: entry([1], [4 * i, 4 * i + 4])["w"] for i, name in enumerate(names)}
    path = tmp_path / "w.safetensors"
    path.write_bytes(of_header(header, torch.arange(1e5).numpy().tobytes()))
    found = read_weights(path)
    assert [*found] == names
    assert torch.equal(torch.stack([*found.values()])[:, 0], torch.arange(1e5))


def test_thousands_of_tensors_are_read_from_a_pickle(tmp_path):
    tensors = {f"layer.{i}": torch.tensor([float(i)]) for i in range(2000)}
    found = read_weights(saved(tmp_path / "w.pt", tensors))
    assert [*found] == [*tensors]
    assert all(float(tensor) == i for i, tensor in enumerate(found.values()))


def test_reading_writes_nothing_and_depends_on_no_folder(tmp_path, monkeypatch):
    path = saved(tmp_path / "w.pt", weights())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = path.read_bytes()
    monkeypatch.chdir(elsewhere)
    assert [*read_weights(path)] == IN_ORDER
    assert [*read_weights(Path("../w.pt"))] == IN_ORDER
    assert (path.read_bytes(), [*elsewhere.iterdir()]) == (before, [])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["elsewhere", "w.pt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_file_is_refused_without_waiting(tmp_path, suffix):
    refused(tmp_path / f"missing{suffix}", "cannot be read .No such file")
    (tmp_path / f"folder{suffix}").mkdir()
    refused(tmp_path / f"folder{suffix}", "is a folder; give a file of weights")
    os.mkfifo(tmp_path / f"pipe{suffix}")
    refused(tmp_path / f"pipe{suffix}", "is a device, pipe or socket")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    refused(tmp_path / f"zero{suffix}", "is a device, pipe or socket")
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    refused(tmp_path / f"loop{suffix}", "cannot be read .Too many levels of symbolic links")
    (tmp_path / f"empty{suffix}").touch()
    refused(tmp_path / f"empty{suffix}", "is empty; get the file again")
    with pytest.raises(WeightFileError, match=r"cannot be read \(File name too long"):
        read_weights(tmp_path / ("n" * 300 + suffix))
    with pytest.raises(WeightFileError, match=r"is not a path \(embedded null"):
        read_weights(tmp_path / f"a\0b{suffix}")


def test_what_is_no_file_is_named_before_its_suffix(tmp_path):
    refused(tmp_path, "is a folder; give a file of weights")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is a device, pipe or socket")
    refused(tmp_path / "missing", "cannot be read .No such file")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.pt")
        refused(Path("s.pt"), "is a device, pipe or socket")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    for suffix in SUFFIXES:
        path = saved(tmp_path / f"w{suffix}", weights())
        path.chmod(0)
        refused(path, "cannot be read .Permission denied")


@pytest.mark.parametrize("name", ["w.h5", "w.msgpack", "w", "w.pt.gz", ".pt"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(as_bytes(weights()))
    refused(path, r"its suffix is '.*'; \.safetensors, \.pt, \.pth, \.bin, \.ckpt are read; save")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_cap_holds_for_the_file_and_for_what_it_unfolds_to(tmp_path, suffix):
    path = saved(tmp_path / f"w{suffix}", {"w": torch.ones(100, 30, dtype=torch.bfloat16)})
    size = path.stat().st_size
    refused(path, f"has {size} bytes, at most {size - 1} are read; give a smaller file", max_bytes=size - 1)
    assert size < 100 * 30 * 4
    refused(
        path, r"unfolds to more than 11999 bytes \(at tensor 'w' of shape '\(100, 30\)'\)", max_bytes=11999
    )
    assert read_weights(path, max_bytes=12000)["w"].shape == (100, 30)


def test_expanded_tensors_count_as_if_they_were_stored(tmp_path):
    wide = torch.ones(1).expand(40_000, 40_000)
    assert len(as_bytes({"w": wide})) < 3000
    refused(
        saved(tmp_path / "w.pt", {"w": wide}),
        "unfolds to more than 4294967296 bytes",
        max_bytes=2**32,
    )
    many = {str(i): torch.ones(1).expand(5000, 10_000) for i in range(50)}
    refused(saved(tmp_path / "w.pt", many), "unfolds to more than 4294967296 bytes", max_bytes=2**32)


class Evil:
    """A pickle that would make a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


class EvalEvil(Evil):
    def __reduce__(self):
        return eval, (f"open({str(self.canary)!r}, 'w')",)


@pytest.mark.parametrize("kind", [Evil, EvalEvil])
@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_plain_pickle_is_not_run(tmp_path, kind, protocol):
    canary = tmp_path / "canary"
    for content in (kind(canary), {"w": torch.ones(2), "x": kind(canary)}):
        data = pickle.dumps(content, protocol=protocol)
        for suffix in (".pt", ".bin"):
            refused_bytes(tmp_path, data, "holds code to run .*spaceprobe runs none; save", suffix)
    assert not canary.exists()


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("kind", [Evil, EvalEvil])
def test_code_in_a_checkpoint_is_not_run(tmp_path, kind, is_archive):
    canary = tmp_path / "canary"
    content = {"w": torch.ones(2), "nested": [{"x": kind(canary)}]}
    path = saved(tmp_path / "w.pth", content, _use_new_zipfile_serialization=is_archive)
    message = refused(path, "holds code to run .*spaceprobe runs none; save the plain state dict by itself")
    assert "system" in message or "eval" in message
    assert not canary.exists()


def test_the_pickles_of_the_canary_would_run():
    """The tests above can fail: pickle itself runs them."""
    for protocol in range(6):
        names = [opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps(Evil("x"), protocol))]
        assert "REDUCE" in names


@pytest.mark.parametrize(
    "content",
    [
        nn.Linear(2, 3),  # a whole module names its class
        {"w": torch.ones(2), "date": pytest.approx},
        {"w": torch.ones(2), "args": argparse.Namespace(lr=0.1)},
        {"w": torch.ones(2), "when": datetime.date(2026, 1, 1)},
        {"w": torch.ones(2), "path": Path("x")},
    ],
)
def test_what_needs_a_call_is_not_read(tmp_path, content):
    refused_bytes(tmp_path, as_bytes(content), "holds code to run .*; save the plain state dict by itself")


@pytest.mark.parametrize(
    "before", [b"", b"X\x06\0\0\0module", b"(", b"((K\x01", b"(K\x01(", b"}(X\x01\0\0\0a"]
)
def test_code_is_named_wherever_its_class_stands(tmp_path, before):
    """Marks and values before it, in orders that torch never writes."""
    refused_bytes(tmp_path, b"\x80\x02" + before + b"cposix\nsystem\n.", "holds code to run .'posix.system'")


def test_torchscript_is_refused(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"net/{name}", b"\x80\x02}.")
    refused_bytes(tmp_path, out.getvalue(), "is a TorchScript archive, which holds code")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([torch.ones(2)], "holds a list; a dict of names and tensors is needed"),
        (torch.ones(2), "holds a tensor without a name; save a dict"),
        (3, "holds a int; a dict"),
        (None, "holds a NoneType"),
        ({}, "holds no tensor under a name, but nothing at all; a state dict is needed"),
        ({"epoch": 3, "lr": 0.1}, "but 'epoch', 'lr'; .* or under state_dict, model_state_dict, model"),
        ({"encoder": {"w": torch.ones(2)}}, "holds no tensor under a name, but 'encoder'"),
        ({"model": {"net": {"w": torch.ones(2)}}}, "holds no tensor under a name, but 'model'"),
        ({"w": [torch.ones(2)]}, "holds no tensor under a name"),
        ({7: torch.ones(2)}, "holds a tensor under '7', which is not a text"),
        ({"size": torch.Size([3])}, "holds no tensor under a name"),
        ({"q": torch.ones(2, 3).to_sparse()}, "its tensor 'q' is sparse; only dense"),
        ({"w": torch.ones(2), "x": [torch.ones(2, 3).to_sparse()]}, "outside the weights is sparse"),
        ({"m": torch.ones(2, 3, device="meta")}, "its tensor 'm' is without data .meta."),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, match):
    refused_bytes(tmp_path, as_bytes(content), match)


def test_quantised_tensors_are_refused_by_name(tmp_path):
    # What torch.save writes for torch.quantize_per_tensor, which torch has deprecated.
    rebuild = tensor_opcodes(6, (6,), (1,), kind=b"QInt8Storage").replace(b"_tensor_v2", b"_qtensor")
    refused_bytes(tmp_path, with_pickle(state_opcodes(rebuild), [bytes(6)]), "its tensor 'a' is quantised")


def test_types_below_a_byte_are_refused_by_name(tmp_path):
    packed = torch.zeros(2, 3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    refused_bytes(tmp_path, as_bytes({"w4": packed}), "its tensor 'w4' is of type 'torch.float4_e2m1fn_x2'")
    header = {"w4": {"dtype": "F4", "shape": [2, 6], "data_offsets": [0, 6]}}
    refused_bytes(tmp_path, of_header(header, bytes(6)), "w4.*F4|no sound safetensors", ".safetensors")


def damaged(data, rng):
    """The data cut off, with bits flipped, or with a number written over."""
    data = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    place = rng.randrange(len(data))
    if kind == 1:
        width = rng.choice([1, 2, 4, 8])
        data[place : place + width] = rng.choice([b"\0", b"\xff", b"\x7f"]) * width
    else:
        for _ in range(1 if kind == 2 else 8):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize(("suffix", "is_archive"), [(".safetensors", True), (".pt", True), (".pt", False)])
def test_damaged_files_are_read_well_or_refused(tmp_path, suffix, is_archive):
    tensors = {"a.weight": torch.ones(3, 2), "b.bias": torch.zeros(5).half()}
    path = saved(tmp_path / f"w{suffix}", tensors, _use_new_zipfile_serialization=is_archive)
    good = path.read_bytes()
    rng = random.Random(5)
    num_read = num_refused = 0
    for _ in range(NUM_DAMAGED):
        path.write_bytes(damaged(good, rng))
        found, message = read_or_refused(path)
        if found is None:
            assert message.isprintable()
            assert len(message) < 700
            num_refused += 1
            continue
        num_read += 1
        if suffix == ".pt" and is_archive:  # an archive has checksums: what is read is what was saved
            assert all(torch.equal(found[name], tensor.float()) for name, tensor in tensors.items())
        else:  # the others have none: any number may have changed, and a name
            assert sum(tensor.numel() for tensor in found.values()) <= 11
    assert num_refused > NUM_DAMAGED // 2
    assert num_read > 0


def test_damaged_pickles_with_fresh_checksums_are_read_or_refused(tmp_path):
    path = tmp_path / "w.pt"
    good = as_bytes({"state_dict": {"a.weight": nn.Parameter(torch.ones(3, 2))}, "epoch": 3, "lr": 0.1})
    rng = random.Random(6)
    num_refused = 0
    for _ in range(NUM_DAMAGED):
        path.write_bytes(rewritten(good, lambda name, data: damaged(data, rng) if "pkl" in name else data))
        found, _ = read_or_refused(path)
        num_refused += found is None
        assert found is None or sum(tensor.numel() for tensor in found.values()) <= 6
    assert NUM_DAMAGED // 2 < num_refused < NUM_DAMAGED


@pytest.mark.parametrize("protocol", [1, 4])
def test_damaged_pickles_of_other_protocols_are_read_or_refused(tmp_path, protocol):
    path = tmp_path / "w.pt"
    content = {"state_dict": {"a.weight": nn.Parameter(torch.ones(3, 2))}, "epoch": 2**70, "flags": [True]}
    torch.save(content, path, pickle_protocol=protocol)
    good = path.read_bytes()
    rng = random.Random(7)
    num_refused = 0
    for _ in range(NUM_DAMAGED):
        path.write_bytes(rewritten(good, lambda name, data: damaged(data, rng) if "pkl" in name else data))
        found, message = read_or_refused(path)
        num_refused += found is None
        assert found is None or sum(tensor.numel() for tensor in found.values()) <= 6
        assert found is not None or (message.isprintable() and len(message) < 700)
    assert NUM_DAMAGED // 3 < num_refused < NUM_DAMAGED


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("protocol", range(1, 6))
def test_code_beside_weights_is_not_run_in_any_protocol(tmp_path, protocol, is_archive):
    canary = tmp_path / "canary"
    path = tmp_path / "w.ckpt"
    content = {"state_dict": {"w": torch.ones(2, 3)}, "x": Evil(canary)}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_archive)
    message = refused(path, "holds code to run .*system.*; save the plain state dict by itself")
    assert "torch.load" in message
    assert not canary.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_truncation_is_refused(tmp_path, suffix):
    good = saved(tmp_path / f"w{suffix}", {"w": torch.ones(3, 2)}).read_bytes()
    for size in range(1, len(good), 7):
        refused_bytes(tmp_path, good[:size], "hostile", suffix)


def of_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape=(2, 3), offsets=(0, 24), dtype="F32"):
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize("padding", range(8))
def test_a_header_of_any_length_is_read(tmp_path, padding):
    path = tmp_path / "w.safetensors"
    data = torch.arange(6.0).numpy().tobytes()
    path.write_bytes(of_header(json.dumps(entry()).encode() + b" " * padding, data))
    assert torch.equal(read_weights(path)["w"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "data",
    [
        of_header(entry(shape=(20, 30)), bytes(24)),
        of_header(entry(shape=(2**40, 2**40)), bytes(24)),
        of_header(entry(shape=(2**63, 3)), bytes(24)),
        of_header(entry(shape=(-2, -3)), bytes(24)),
        of_header(entry(offsets=(0, 2400)), bytes(24)),
        of_header(entry(offsets=(0, 2**63)), bytes(24)),
        of_header(entry(offsets=(24, 0)), bytes(24)),
        of_header(entry(offsets=(-24, 0)), bytes(24)),
        of_header(entry(dtype="F64"), bytes(24)),
        of_header(entry(dtype="F31"), bytes(24)),
        of_header(entry(dtype=3), bytes(24)),
        of_header({**entry(), "v": entry()["w"]}, bytes(24)),  # one overlaps the other
        of_header(entry(), bytes(30)),
        of_header(b"[" * 100_000, b""),
        of_header(b"{}" + b" " * 6, b""),
        of_header({"__metadata__": {"a": "b"}}, b""),
        of_header(b"not json", b""),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        struct.pack("<Q", 0),
        b"\x80\x02}.",
        as_bytes({"w": torch.ones(2)}),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, data):
    refused_bytes(tmp_path, data, "is not a sound safetensors file|holds no tensor", ".safetensors")


def test_sides_of_length_0_do_not_hide_a_huge_shape(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(of_header(entry(shape=(0, 2**62, 2**62), offsets=(0, 0)), b""))
    found, message = read_or_refused(path)
    assert "is not a sound safetensors file" in message or found["w"].numel() == 0


@pytest.mark.parametrize(
    ("tensor", "match"),
    [
        (tensor_opcodes(2**40, (2, 3), (3, 1)), "storage '0' has 24 bytes, 4398046511104 bytes are declared"),
        (tensor_opcodes(5, (2, 3), (3, 1)), "storage '0' has 24 bytes, 20 bytes are declared"),
        (tensor_opcodes(6, (2, 3), (3, 1), key=b"1"), "storage '1' is missing, 24 bytes are declared"),
        (tensor_opcodes(6, (2, 3), (3, 1), kind=b"NoStorage"), "holds code to run .'torch.NoStorage'"),
        (tensor_opcodes(6, (2, 4), (3, 1)), r"shape '\(2, 4\)' reaches beyond its 24 bytes"),
        (tensor_opcodes(6, (2, 3), (3, 1), offset=1), "reaches beyond its 24 bytes"),
        (tensor_opcodes(6, (2, 3), (2**62, 1)), "reaches beyond its 24 bytes"),
        (tensor_opcodes(6, (2, -3), (3, 1)), "a shape, stride or offset that is not a whole number"),
        (tensor_opcodes(6, (2, 3), (3, -1)), "a shape, stride or offset that is not a whole number"),
        (tensor_opcodes(6, (2, 3), (1,)), "shape .* with 1 strides"),
        (tensor_opcodes(-6, (2, 3), (3, 1)), "a storage without a size"),
        (tensor_opcodes(6, (2**62, 2**62), (0, 0)), "unfolds to more than"),
    ],
)
def test_a_pickle_that_lies_about_sizes_is_refused(tmp_path, tensor, match):
    refused_bytes(tmp_path, with_pickle(state_opcodes(tensor), [bytes(24)]), match)


def test_the_opcodes_of_these_tests_are_read_where_they_do_not_lie(tmp_path):
    path = tmp_path / "w.pt"
    data = torch.arange(6.0).numpy().tobytes()
    path.write_bytes(with_pickle(state_opcodes(tensor_opcodes(6, (2, 3), (3, 1))), [data]))
    assert torch.equal(read_weights(path)["a"], torch.arange(6.0).reshape(2, 3))


def test_a_stream_that_lies_about_sizes_is_refused(tmp_path):
    good = saved(tmp_path / "w.pt", {"w": torch.ones(6)}, _use_new_zipfile_serialization=False).read_bytes()
    assert good.endswith(struct.pack("<q", 6) + torch.ones(6).numpy().tobytes())
    refused_bytes(
        tmp_path, good[:-32] + struct.pack("<q", 2**40) + good[-24:], "storage .* 24 bytes are declared"
    )
    refused_bytes(tmp_path, good[:-4], "storage .* 24 bytes are declared")
    # The element count of a storage, in the pickle: 6 as one byte becomes 2^30 as four.
    lie = good.replace(b"K\x06Nt", b"J\x00\x00\x00\x40Nt")
    assert lie != good
    refused_bytes(tmp_path, lie, f"{2**32} bytes are declared")


def bomb(method):
    return rewritten(as_bytes({"w": torch.zeros(2**20)}), lambda _, data: data, compression=method)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused(tmp_path, method):
    data = bomb(method)
    assert len(data) < 20_000
    refused_bytes(tmp_path, data, "member .* is compressed, encrypted, elsewhere or not a file")


def overlapping():
    """Two entries of the directory for the bytes of one member."""
    data = with_pickle(state_opcodes(tensor_opcodes(6, (2, 3), (3, 1))), [bytes(24), bytes(24)])
    directory = data.rindex(b"PK\x01\x02")
    fields = bytearray(data[directory:])
    first = data.index(b"archive/data/0") - 30
    fields[42:46] = struct.pack("<I", first)
    return data[:directory] + bytes(fields)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (overlapping(), "differ|overlap"),
        (b"PK\x03\x04" + bytes(200), "no zip directory at the end"),
        (with_pickle(b"\x80\x02}.")[:-1], "no zip directory at the end"),
        (with_pickle(b"\x80\x02}.") + b"more", "no zip directory at the end"),
        (b"PK\x03\x04 before " + with_pickle(b"\x80\x02}."), "no zip directory at the end"),
        (with_pickle(b""), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02"), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02s."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02h\x05."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02t."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02}}b."), "holds no tensor under a name"),
        (with_pickle(b"\x80\x02}]b."), "state of what is not a dict"),
        (with_pickle(b"\x80\x02})R."), "call of what is not a function"),
        (with_pickle(b"\x80\x02}K\x01Q."), "a storage without a size"),
        (with_pickle(b"\x80\x02X\xff\xff\xff\x7fab."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x02\x8d" + b"\xff" * 8 + b"."), "is damaged or not a pickle of torch.save"),
        (with_pickle(b"\x80\x06}."), "is not a pickle as torch.save writes them for weights .protocol 6"),
        (with_pickle(b"\x80\x02S'\\ '\n."), "for weights .opcode STRING"),  # a deprecated escape
        (
            rewritten(as_bytes({"w": torch.ones(2)}), lambda name, data: None if "pkl" in name else data),
            "no data.pkl",
        ),
        (b"hello, world", "is damaged or not a pickle of torch.save"),
        (pickle.dumps({"w": 1}, protocol=2), "a pickle that is not torch's"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) * 2, "an unknown version"),
    ],
)
def test_archives_and_pickles_that_torch_never_wrote_are_refused(tmp_path, data, match):
    refused_bytes(tmp_path, data, match)


def entry_of(data, name):
    """Where the directory's entry of a member begins."""
    return data.rindex(name) - 46


@pytest.mark.parametrize(
    ("place", "value"),
    [(38, b"\x10"), (8, b"\x01"), (8, b"\x20"), (9, b"\x20")],  # folder; encrypted, patched, masked
)
def test_a_member_that_torch_would_read_otherwise_is_refused(tmp_path, place, value):
    """With the mark of a folder, torch 2.14 returns whatever was in memory as weights."""
    data = bytearray(as_bytes({"w": torch.ones(6)}))
    start = entry_of(data, b"archive/data/0")
    assert data[start : start + 4] == b"PK\x01\x02"
    data[start + place : start + place + 1] = value
    refused_bytes(
        tmp_path, bytes(data), "member 'archive/data/0' is compressed, encrypted, elsewhere or not a file"
    )


def test_a_second_name_in_an_extra_field_is_refused(tmp_path):
    out = io.BytesIO(with_pickle(b"\x80\x02}."))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("archive/data/\0", b"1234")
    refused_bytes(tmp_path, out.getvalue(), "is compressed, encrypted, elsewhere or not a file")


def test_two_members_of_one_name_are_refused(tmp_path):
    out = io.BytesIO(with_pickle(b"\x80\x02}."))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("archive/DATA.pkl", b"\x80\x02}.")  # torch does not tell case apart
    refused_bytes(tmp_path, out.getvalue(), "two members of one name")


def hash_bomb():
    """A key of tuples of tuples, 2^60 steps to hash."""
    nested = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))
    return b"\x80\x02}" + nested + b"K\x01s."


def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path):
    refused_bytes(tmp_path, with_pickle(hash_bomb()), "a key that is neither text nor number")


def test_deep_nesting_is_no_crash(tmp_path):
    depth = 50_000
    lists = b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."
    refused_bytes(tmp_path, with_pickle(lists), "holds a list")
    tuples = b"\x80\x02)" + b"\x85" * depth + b"."
    refused_bytes(tmp_path, with_pickle(tuples), "holds a tuple")


def test_a_pickle_of_too_many_steps_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spaceprobe.weights.pickles.MAX_OPCODES", 1000)
    assert MAX_OPCODES > 3_200_000  # what 100,000 tensors take
    refused_bytes(tmp_path, with_pickle(b"\x80\x02" + b"N" * 1001 + b"."), "has more than 1000 steps")


HOSTILE_CHILD = """
    import resource, sys
    from pathlib import Path
    import torch
    from spaceprobe.weights.files import WeightFileError, read_weights
    torch.set_num_threads(1)
    read_weights(Path(sys.argv[1]) / "good.pt")  # what torch loads once is not the files' doing
    read_weights(Path(sys.argv[1]) / "good.safetensors")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in sorted(Path(sys.argv[1]).iterdir()):
        try:
            read_weights(path, max_bytes=2**40)
        except WeightFileError as error:
            print(path.name, "refused", error)
        else:
            print(path.name, "read")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is read from /proc")
def test_hostile_files_take_little_memory(tmp_path):
    """Their words for size reach from gigabytes to petabytes, under a cap that would let them."""
    storage = [bytes(24)]
    hostile = {
        "deflated.pt": bomb(zipfile.ZIP_DEFLATED),
        "storage.pt": with_pickle(state_opcodes(tensor_opcodes(2**38, (2, 3), (3, 1))), storage),
        "bytearray.pt": with_pickle(b"\x80\x02cbuiltins\nbytearray\n\x8a\x08" + bytes(6) + b"\x01\0\x85R."),
        "call.pt": with_pickle(
            b"\x80\x02ctorch.storage\nUntypedStorage\n\x8a\x08" + bytes(6) + b"\x01\0\x85R."
        ),
        "memo.pt": with_pickle(b"\x80\x02}r\xff\xff\xff\x7f."),
        "text.pt": with_pickle(b"\x80\x02X\xff\xff\xff\x7f."),
        "text8.pt": with_pickle(b"\x80\x02\x8d" + b"\xff\xff\xff\xff\xff\x0f\0\0" + b"."),
        "text.bin": b"\x80\x02X\xff\xff\xff\x7f.",
        "shape.safetensors": of_header(entry(shape=(2**20, 2**20)), bytes(24)),
        "header.safetensors": struct.pack("<Q", 99_000_000) + b"{",
        "expanded.pt": as_bytes({"w": torch.ones(1).expand(2**30, 2**30)}),
        "many.safetensors": of_header(json.dumps(entry())[:-1].encode() * 9000, b""),
    }
    for name, data in hostile.items():
        assert len(data) < 2**20
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "sparse.safetensors").open("wb") as file:  # it is mapped, so its size is address space
        file.write(struct.pack("<Q", 99_000_000))
        file.truncate(100_000_000)
    with (tmp_path / "sparse.pt").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(2**39)
    saved(tmp_path / "good.pt", weights())
    saved(tmp_path / "good.safetensors", weights())
    child = [sys.executable, "-c", textwrap.dedent(HOSTILE_CHILD), str(tmp_path), str(MEMORY_LIMIT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(child, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    # Running out of memory is refused as well, but shows that a size was believed.
    assert "memory" not in done.stdout
    assert "torch cannot read it" not in done.stdout
    assert {name for name, line in lines.items() if line == "read"} == {"good.pt", "good.safetensors"}
    assert lines.keys() == hostile.keys() | {"sparse.safetensors", "sparse.pt", "good.pt", "good.safetensors"}
