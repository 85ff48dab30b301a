"""Decoded images in a mapped file: the same bits, shared, and never trusted."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from spaceprobe.data import idx_files, idx_images, mapped
from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.data.mapped import decoded_pixels
from spaceprobe.files import ABANDONED_AFTER_S

NUM_POINTS, NUM_FEATURES = 701, 523  # 1.4 MB decoded: above the least, and no whole number of blocks
HEADER_BYTES = 128

needs_smaps = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells who shares")

SHARER = f"""
import sys, numpy as np
from spaceprobe.data.mapped import decoded_pixels
raw = np.random.default_rng(0).integers(256, size=({NUM_POINTS}, {NUM_FEATURES}), dtype=np.uint8)
pixels = decoded_pixels(raw, "small")
print(float(pixels.sum(dtype=np.float64)), "torch" in sys.modules, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A user cache of its own, and nothing remembered from another test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mapped._warn_once.cache_clear()
    idx_images._read_split.cache_clear()
    yield tmp_path / "cache" / "spaceprobe" / "decoded"
    idx_images._read_split.cache_clear()


def grey_levels(seed=0, num_points=NUM_POINTS):
    return np.random.default_rng(seed).integers(256, size=(num_points, NUM_FEATURES), dtype=np.uint8)


def as_before(raw):
    """Return the pixels as torch gave them before there were files."""
    return (torch.from_numpy(raw).float() / 255).numpy()


def equal_bits(a, b):
    return a.dtype == b.dtype and np.array_equal(a.view(np.uint32), b.view(np.uint32))


def file_behind(array):
    """Return the file that an array is mapped from, as the system knows it, or None."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, *_, last = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        if start <= address < end:
            return Path(last) if last.startswith("/") else None
    return None


def only_file(folder):
    (path,) = folder.iterdir()  # and no temporary one beside it
    return path


def test_every_level_has_the_bits_of_before():
    raw = np.arange(256, dtype=np.uint8).reshape(64, 4).repeat(1200, axis=1)
    assert raw.size * 4 > mapped.MIN_BYTES > 256 * 4
    expected = as_before(raw)
    for _ in ("made", "found"):
        assert equal_bits(decoded_pixels(raw, "levels"), expected)
    assert equal_bits(decoded_pixels(raw[:, ::1200], "levels"), expected[:, ::1200].copy())


@needs_smaps
def test_pixels_are_mapped_and_writing_stays_private(folder):
    raw = grey_levels()
    first, second = decoded_pixels(raw, "small"), decoded_pixels(raw, "small")
    path = only_file(folder)
    assert file_behind(first) == file_behind(second) == path
    assert path.name.startswith("small-")
    assert first.ctypes.data % 64 == 0  # as torch's own memory: where rows start may change last bits
    content = path.read_bytes()
    tensor = torch.from_numpy(first)  # would warn of an array that cannot be written
    tensor += 1
    assert equal_bits(second, as_before(raw))
    assert path.read_bytes() == content
    assert equal_bits(np.load(path, allow_pickle=False), as_before(raw))


def test_other_levels_have_another_file(folder):
    for raw in (grey_levels(0), grey_levels(1), grey_levels(0, NUM_POINTS + 1)):
        assert equal_bits(decoded_pixels(raw, "small"), as_before(raw))
    assert len(list(folder.iterdir())) == 3


@needs_smaps
def test_two_processes_hold_one_copy(folder):
    decoded_pixels(grey_levels(), "small")
    path = only_file(folder)
    expected = [f"{float(as_before(grey_levels()).sum(dtype=np.float64))} False\n"] * 2
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == expected
    for process in processes:
        smaps = Path(f"/proc/{process.pid}/smaps").read_text().partition(str(path))[2]
        of_the_file = smaps.partition("VmFlags")[0].splitlines()[1:]
        kib = {name: int(value.split()[0]) for name, value in (line.split(":") for line in of_the_file)}
        assert kib["Shared_Clean"] * 1024 >= NUM_POINTS * NUM_FEATURES * 4
        assert kib["Private_Clean"] == kib["Private_Dirty"] == 0
    for process in processes:
        process.communicate("\n", timeout=60)


def test_processes_that_begin_at_once(folder):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert answers == {f"{float(as_before(grey_levels()).sum(dtype=np.float64))} False\n"}
    assert equal_bits(np.load(only_file(folder)), as_before(grey_levels()))


def flipped(content, position, bit=1):
    return content[:position] + bytes([content[position] ^ bit]) + content[position + 1 :]


def minus_zero(content):
    position = HEADER_BYTES + 4 * int(np.flatnonzero(grey_levels() == 0)[-1]) + 3
    return flipped(content, position, 0x80)


DAMAGE = {
    "first bit": lambda content: flipped(content, HEADER_BYTES),
    "last bit": lambda content: flipped(content, len(content) - 1),
    "a bit between": lambda content: flipped(content, len(content) // 2 + 3),
    "a sign of zero": minus_zero,
    "magic": lambda content: flipped(content, 0),
    "header": lambda content: content.replace(b"'<f4'", b"'<i4'"),
    "a lying shape": lambda content: content.replace(b"(701, 523)", b"(523, 701)"),
    "zeroed block": lambda content: content[:4096] + bytes(4096) + content[8192:],
    "cut": lambda content: content[:-1],
    "cut to a block": lambda content: content[: HEADER_BYTES + mapped.BLOCK_BYTES],
    "longer": lambda content: content + b"\0",
    "empty": lambda content: content[:0],
    "pickle": lambda content: b"cos\nsystem\n(S'false'\ntR." + content[25:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_made_anew(folder, caplog, damage):
    raw = grey_levels()
    decoded_pixels(raw, "small")
    path = only_file(folder)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    assert equal_bits(decoded_pixels(raw, "small"), as_before(raw))
    assert caplog.messages == [f"{path} is damaged; it is decoded again"]
    assert only_file(folder).read_bytes() == content
    decoded_pixels(raw, "small")
    assert len(caplog.messages) == 1


def test_a_file_swapped_for_another_is_made_anew(folder, caplog):
    raw, other = grey_levels(0), grey_levels(1)
    decoded_pixels(other, "small")
    swapped = only_file(folder).read_bytes()
    decoded_pixels(raw, "small")
    for path in folder.iterdir():
        path.write_bytes(swapped)
    assert equal_bits(decoded_pixels(raw, "small"), as_before(raw))
    assert len(caplog.messages) == 1


def own_memory(raw, caplog, problem):
    """Check that pixels are right, in memory of the process's own, and that this is said once."""
    for name in ("one", "two"):
        pixels = decoded_pixels(raw, name)
        assert equal_bits(pixels, as_before(raw))
        assert not isinstance(pixels.base, np.memmap)
    (message,) = caplog.messages
    assert problem in message
    assert message.endswith("each process decodes the images for itself, in memory of its own")


def test_cache_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    own_memory(grey_levels(), caplog, f"{tmp_path}/file/spaceprobe/decoded cannot be used")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_write_that_fails_leaves_nothing(folder, monkeypatch, caplog, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    own_memory(grey_levels(), caplog, f"cannot be used ({os.strerror(code)})")
    assert not list(folder.iterdir())


def test_a_disk_that_gives_other_bytes_than_it_took(folder, monkeypatch, caplog):
    def other_bytes(path, raw):
        return None

    monkeypatch.setattr(mapped, "_mapped", other_bytes)
    own_memory(grey_levels(), caplog, "gives other bytes than were written to it")


def test_an_interrupt_leaves_nothing(folder, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decoded_pixels(grey_levels(), "small")
    assert not list(folder.iterdir())


def test_what_a_killed_process_left_is_removed(folder):
    folder.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    temporary = ".small-1f.npy~{}@" + socket.gethostname() + "~abc.tmp"
    abandoned, written_now = (folder / temporary.format(pid) for pid in (process.pid, os.getpid()))
    for path in (abandoned, written_now):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 2 * ABANDONED_AFTER_S,) * 2)
    decoded_pixels(grey_levels(), "small")
    assert not abandoned.exists()
    written_now.unlink()
    only_file(folder)


@needs_smaps
def test_a_cache_that_can_only_be_read_is_read(folder, monkeypatch):
    raw = grey_levels()
    decoded_pixels(raw, "small")

    def fail(**arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    assert file_behind(decoded_pixels(raw, "small")) == only_file(folder)


@needs_smaps
def test_the_first_file_stays_for_those_who_map_it(folder, monkeypatch):
    raw = grey_levels()
    fsync, mine = os.fsync, []

    def slowly(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)
        mine.append(decoded_pixels(raw, "small"))  # another process was faster
        mine.append(only_finished(folder).stat().st_ino)

    monkeypatch.setattr(os, "fsync", slowly)
    assert file_behind(decoded_pixels(raw, "small")) == file_behind(mine[0]) == only_file(folder)
    assert only_file(folder).stat().st_ino == mine[1]


def only_finished(folder):
    (path,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return path


def test_few_images_have_no_file(folder, caplog):
    raw = grey_levels(num_points=mapped.MIN_BYTES // (4 * NUM_FEATURES))
    assert equal_bits(decoded_pixels(raw, "small"), as_before(raw))
    assert not folder.exists()
    assert equal_bits(decoded_pixels(raw[:0], "none"), as_before(raw[:0]))
    assert not caplog.messages


@needs_smaps
def test_image_sets_are_mapped(folder):
    split = load_split(MNIST, train=False)
    assert file_behind(split.inputs.numpy()) == only_file(folder)
    raw = np.fromfile(idx_files.embedded_root() / idx_files.RAW_FOLDER / "t10k-images-idx3-ubyte", np.uint8)
    assert equal_bits(split.inputs.numpy(), as_before(raw[16:].reshape(10_000, 784)))
    assert split.inputs[3:].is_contiguous()
    assert split.first(5).inputs.data_ptr() == split.inputs.data_ptr()
