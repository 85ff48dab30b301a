"""Damaged checkpoints: every one is found, none runs code, none takes memory, and nothing of it is loaded.

Checkpoints of real networks (2x30 and 2x300 for MNIST) are damaged in every way that we could think of and
loaded with the SHA-256 that was recorded when they were written, each with its old time of modification. A
damage passes if it is refused by a `CheckpointError` and the network still has its weights, bit by bit.
Beside it stands how many of them safetensors alone would load into the network without a word.

Memory is measured on a network of 50 MB, for a sample of every kind of damage and for the checkpoint as it
was: the highest resident size of this process while it loads, less the one just before (the network and torch
are there already, the kernel's high-water mark is reset), over the size of the file as it was written.

Run: python scripts/damaged_checkpoints.py [--quick]
1,000 damages and more in about a minute, --quick a tenth in some seconds. Exits with 1 where anything does
not hold.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import pickle
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from spaceprobe.networks.checkpoints import CheckpointError, load_into, to_bytes
from spaceprobe.networks.mlp import mlp

NETWORKS = {"2x30": [784, 30, 30, 10], "2x300": [784, 300, 300, 10]}
LARGE = [784, 3500, 2800, 10]
MAX_RATIO = 2.0
RATIO_SLACK = 0.02  # of 50 MB: pages that Python and torch happen to touch for the first time
LIE = 10**10

Make = Callable[[Path], None]
"""Puts what is damaged at a path where nothing is."""


@dataclass(frozen=True)
class Subject:
    """A network and its checkpoint.

    Attributes:
        network: as it was written.
        data: the bytes of its checkpoint.
        others: the bytes of checkpoints of other networks.
        folder: for its files.
    """

    network: nn.Module
    data: bytes
    others: tuple[bytes, ...]
    folder: Path

    @property
    def digest(self) -> str:
        """The recorded SHA-256."""
        return hashlib.sha256(self.data).hexdigest()


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        """Return what unpickling calls."""
        return os.mkdir, (str(self._marker),)


def make_subject(widths: list[int], folder: Path) -> Subject:
    """Return a network of seed 0, with checkpoints of another seed, and of smaller and wider layers."""
    network = mlp(widths, torch.Generator().manual_seed(0))
    smaller = [widths[0], *(width - 1 for width in widths[1:-1]), widths[-1]]
    others = (mlp(w, torch.Generator().manual_seed(1)) for w in (widths, smaller, NETWORKS["2x30"]))
    return Subject(network, to_bytes(network), tuple(map(to_bytes, others)), folder)


def flips(subject: Subject, source: random.Random, num_bits: int, end: int) -> bytes:
    """Return the checkpoint with some bits flipped before a position."""
    data = bytearray(subject.data)
    for place in source.sample(range(8 * end), num_bits):
        data[place // 8] ^= 1 << place % 8
    return bytes(data)


def zeroed(subject: Subject, source: random.Random) -> bytes:
    """Return the checkpoint with a block of a disk's sector or page lost."""
    size = source.choice((512, 4096))
    at = source.randrange(0, len(subject.data), size)
    block = subject.data[at : at + size]
    return subject.data[:at] + bytes(len(block)) + subject.data[at + size :]


def exchanged(subject: Subject, source: random.Random) -> bytes:
    """Return the checkpoint with two different blocks in each other's place."""
    size = 512
    i, j = sorted(source.sample(range(len(subject.data) // size), 2))
    data = bytearray(subject.data)
    first, second = slice(i * size, i * size + size), slice(j * size, j * size + size)
    data[first], data[second] = data[second], data[first]
    return bytes(data)


def with_header(subject: Subject, change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    """Return the checkpoint with another header, well formed and of the length that it says."""
    end = 8 + int.from_bytes(subject.data[:8], "little")
    header = json.loads(subject.data[8:end])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + subject.data[end:]


def lies(subject: Subject) -> Iterator[bytes]:
    """Yield headers that say what is not so."""
    data = subject.data
    for length in (0, 1, 7, len(data), LIE, 2**31, 2**32, 2**63, 2**64 - 1):
        yield length.to_bytes(8, "little") + data[8:]
    names = sorted(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]))
    first, last = names[1], names[-1]
    wide, rows = LIE // 4, 2**40
    yield with_header(subject, lambda h: h[first].update(shape=[wide]))
    yield with_header(subject, lambda h: h[first].update(shape=[wide], data_offsets=[0, LIE]))
    yield with_header(
        subject, lambda h: h.update(more={"dtype": "F32", "shape": [0, wide], "data_offsets": [0, 0]})
    )
    yield with_header(subject, lambda h: h[first].update(shape=[rows, rows]))
    yield with_header(subject, lambda h: h[first].update(shape=[-1]))
    yield with_header(subject, lambda h: h[first].update(dtype="I32"))
    yield with_header(subject, lambda h: h[first].update(dtype="F64"))
    yield with_header(subject, lambda h: h[first].update(dtype="no such type"))
    yield with_header(subject, lambda h: h[first].update(data_offsets=[4, 2]))
    yield with_header(subject, lambda h: h[first].update(data_offsets=h[last]["data_offsets"]))
    yield with_header(subject, lambda h: h.pop(last))
    yield with_header(subject, lambda h: h.update(renamed=h.pop(last)))
    yield with_header(subject, lambda h: h.update(__metadata__={"x": "y" * 100_000}))
    yield with_header(subject, lambda h: h.update({f"t{i}": h[last] for i in range(1000)}))
    deep = b"[" * 100_000 + b"]" * 100_000
    yield len(deep).to_bytes(8, "little") + deep


def pickles(subject: Subject) -> Iterator[bytes]:
    """Yield files that create a folder when they are unpickled, in torch's formats and without."""
    bomb = Bomb(subject.folder / "marker")
    for protocol in range(6):
        yield pickle.dumps(bomb, protocol)
        yield pickle.dumps({"0.weight": bomb}, protocol)
    path = subject.folder / "bomb.pt"
    for archived in (True, False):
        torch.save({"0.weight": bomb}, path, _use_new_zipfile_serialization=archived)
        yield path.read_bytes()
    yield subject.data + pickle.dumps(bomb)
    yield pickle.dumps(bomb) + subject.data
    yield with_header(
        subject, lambda h: h.update(__metadata__={"x": pickle.dumps(bomb, 0).decode("latin-1")})
    )


def no_files(folder: Path) -> Iterator[tuple[str, Make]]:
    """Yield what is not a regular file of a sensible size."""
    yield "no file", lambda path: None
    yield "no file", Path.mkdir
    yield "no file", os.mkfifo
    yield "no file", lambda path: path.symlink_to(path)
    yield "no file", lambda path: path.symlink_to("/dev/zero")
    yield "no file", lambda path: path.symlink_to("/dev/null")
    yield "no file", lambda path: path.symlink_to("/proc/self/mem")
    yield "no file", lambda path: path.symlink_to(folder)

    def listen(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))

    yield "no file", listen


def damages(subject: Subject, scale: float) -> Iterator[tuple[str, Make]]:
    """Yield kinds and makers of damage; about 550 at scale 1."""
    source = random.Random(0)
    size, data = len(subject.data), subject.data
    header = 8 + int.from_bytes(data[:8], "little")

    def some(num: int, make: Callable[[], bytes]) -> Iterator[bytes]:
        return (make() for _ in range(max(1, round(num * scale))))

    kinds: dict[str, Iterator[bytes]] = {
        "one bit": some(200, lambda: flips(subject, source, 1, size)),
        "one bit of the header": some(50, lambda: flips(subject, source, 1, header)),
        "2 to 100 bits": some(50, lambda: flips(subject, source, source.randint(2, 100), size)),
        "truncated": (
            data[:end] for end in [0, 1, 7, 8, 9, header - 1, header, size - 1] + [
                source.randrange(size) for _ in range(round(60 * scale))
            ]
        ),
        "longer": some(20, lambda: data + source.randbytes(source.randint(1, 100))),
        "a zeroed block": some(50, lambda: zeroed(subject, source)),
        "blocks exchanged": some(30, lambda: exchanged(subject, source)),
        "another network's": iter(subject.others),
        "a lying header": lies(subject),
        "a pickle": pickles(subject),
        "noise": some(10, lambda: source.randbytes(size)),
    }  # fmt: skip
    for kind, contents in kinds.items():
        for content in contents:
            if content != data:  # a block of zeros may have been lost
                yield kind, lambda path, content=content: path.write_bytes(content)
    yield from no_files(subject.folder)
    for length in (size + 10**6, LIE):  # sparse, and begins as it should

        def grow(path: Path, length: int = length) -> None:
            path.write_bytes(data)
            os.truncate(path, length)

        yield "too long", grow


def remove(path: Path) -> None:
    """Remove whatever is at a path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refusal(subject: Subject, path: Path) -> str:
    """Return in words what is wrong with how a checkpoint is refused; nothing where it is in order."""
    try:
        load_into(subject.network, path, subject.digest)
    except CheckpointError as error:
        problem = "" if str(error).startswith(f"{path}: ") else f"the message does not name the file: {error}"
    except Exception as error:  # whatever else is raised is what this looks for
        problem = f"raises {error!r:.100}"
    else:
        problem = "is loaded"
    if to_bytes(subject.network) != subject.data:
        return f"{problem or 'is refused'}, and the network is another one"
    return "executes code" if (subject.folder / "marker").exists() else problem


def is_loaded_alone(widths: list[int], path: Path) -> bool:
    """Return whether safetensors and torch load a file into a network and say nothing."""
    try:
        data = path.read_bytes() if path.is_file() and path.stat().st_size < 10**8 else b""
        mlp(widths, torch.Generator().manual_seed(0)).load_state_dict(safetensors.torch.load(data))
    except (OSError, safetensors.SafetensorError, RuntimeError, KeyError, AssertionError, ValueError):
        return False
    return True


def try_all(widths: list[int], folder: Path, scale: float) -> tuple[Counter[str], Counter[str], list[str]]:
    """Try every damage of a network.

    Returns:
        How many there were of each kind, how many of them safetensors alone loads, and what does not hold.
    """
    subject = make_subject(widths, folder)
    tried: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    problems = []
    path = folder / "model.safetensors"
    path.write_bytes(subject.data)
    written = path.stat().st_mtime_ns
    for number, (kind, make) in enumerate(damages(subject, scale)):
        remove(path)
        make(path)
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(written, written))
        tried[kind] += 1
        if problem := refusal(subject, path):
            problems.append(f"{kind}, number {number}: {problem}")
        alone[kind] += is_loaded_alone(widths, path)
    remove(path)
    path.write_bytes(subject.data)
    load_into(subject.network, path, subject.digest)
    return tried, alone, problems


def resident(field: str) -> int:
    """Return a resident size of this process in bytes: ``VmRSS`` now, ``VmHWM`` the highest one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak_ratio(subject: Subject, path: Path) -> float:
    """Return the most memory that loading takes, over the size of the checkpoint as it was written."""
    ctypes.CDLL(None).malloc_trim(0)  # what is free but still ours would hide what is taken now
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    with contextlib.suppress(CheckpointError):
        load_into(subject.network, path, subject.digest)
    return (resident("VmHWM") - before) / len(subject.data)


def measure_memory(folder: Path, scale: float) -> dict[str, float]:
    """Return the largest ratio for every kind of damage and for the checkpoint as it was."""
    subject = make_subject(LARGE, folder)
    path = folder / "model.safetensors"
    path.write_bytes(subject.data)
    ratios = {"undamaged": max(peak_ratio(subject, path) for _ in range(3))}
    num_kind: Counter[str] = Counter()
    for kind, make in damages(subject, 0.05):
        num_kind[kind] += 1
        if num_kind[kind] > 30 * scale + 1 and kind != "no file":
            continue
        remove(path)
        make(path)
        ratios[kind] = max(ratios.get(kind, 0.0), peak_ratio(subject, path))
    return ratios


def bomb_works(folder: Path) -> bool:
    """Return whether unpickling the bomb does create its folder: otherwise nothing would be shown."""
    marker = folder / "marker"
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(Bomb(marker)), check=True)
    exploded = marker.is_dir()
    remove(marker)
    return exploded


def main() -> None:
    """Try every damage, print a table and exit with 1 if anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the damages")
    scale = 0.1 if parser.parse_args().quick else 1.0
    torch.set_num_threads(1)
    tried: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    problems = []
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as name:
        if not bomb_works(Path(name)):
            sys.exit("the pickle creates nothing even when it is unpickled")
        for widths in NETWORKS.values():
            found = try_all(widths, Path(name), scale)
            tried, alone, problems = tried + found[0], alone + found[1], problems + found[2]
        ratios = measure_memory(Path(name), scale)
    problems += [
        f"{kind}: {ratio:.2f} times the file's size in memory"
        for kind, ratio in ratios.items()
        if ratio > MAX_RATIO + RATIO_SLACK
    ]
    print(f"{'damage':<24}{'tried':>6}{'safetensors alone loads':>25}{'memory / size':>15}")
    for kind, ratio in ratios.items():
        through = f"{alone[kind]} of {tried[kind]}" if kind in tried else ""
        print(f"{kind:<24}{tried[kind] or '':>6}{through:>25}{ratio:>15.2f}")
    print(f"{tried.total()} damaged checkpoints: {len(problems)} violations of ours,")
    print(f"safetensors alone loads {alone.total()} of them ({alone.total() / tried.total():.0%})")
    for problem in problems[:20]:
        print(f"  {problem}")
    if problems or (scale == 1 and tried.total() < 1000):
        sys.exit(1)


if __name__ == "__main__":
    main()
