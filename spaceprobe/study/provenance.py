"""Where results come from: code, versions, machine, and what seeds do and do not promise.

It holds nothing secret: of the environment only two numbers of threads and the visible devices, no address of
a repository, and no user name or password of an address in the command line.
"""

import importlib.metadata
import json
import logging
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from spaceprobe.machine.cpus import usable_cpus
from spaceprobe.reading import read_regular
from spaceprobe.study.package_source import source_of

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "numba", "distributed")

TIMEOUT_S = 2.0
"""Chosen: how long nvidia-smi may take to answer."""

MAX_DEPTH = 8
"""Chosen: how deep facts may be nested; those that are written are 3 deep."""

SECTIONS = ("spaceprobe", "versions", "machine", "data", "devices", "threads", "precision", "determinism")
"""The facts that hold others, where they are there: earlier versions had fewer."""

THREADS = "torch computes with one thread in every stage: 1 and 2 threads give different last bits"

PRECISION: Mapping[str, str] = {
    "training": "float32",
    "folding": "float64 unless folding.precision says float32; then what float32 cannot decide is walked "
    "again in float64",
    "lmd": "float64; only the iteration for a few leading values of a large weight file runs in float32, its "
    "values and their errors do not",
    "counts": "integers, exact",
}

DETERMINISM: Mapping[str, Any] = {
    "seeds": {
        "training.seed": "s seeds three generators: 2s for the initial weights, 2s + 1 for the order of the "
        "batches in every epoch, s for which labels are drawn at random and what they become",
        "training.initialization_seed, training.order_seed": "the first or the second of these generators "
        "alone, in place of training.seed",
        "data.points_seed": "the points of a drawn set: training and test from streams of their own",
        "folding.images_seed": "which test images of a class are the ends of paths: drawn by the seed "
        "and the class; by default the first ones, or drawn with a fixed seed where their number is left "
        "open",
        "folding": "nothing else is drawn: all paths between these images; the sample that folding.detail "
        "keeps has a fixed seed in the code",
        "lmd": "noise, subsets, shuffles and random starts come from fixed seeds in the code",
        "complexity": "the noise of the sharpness comes from a fixed seed in the code",
        "summarize": "the bootstrap over seeds comes from a fixed seed in the code",
    },
    "guaranteed": "equal study, data, code and versions give the same bytes in every table but timings.csv "
    "and lmd_times.csv on the same machine, whatever the number of jobs and in whatever order they end",
    "not guaranteed": "the same bytes on another model of CPU, on a GPU, or with another version of torch, "
    "numpy or numba: last bits of sums differ there, and training makes them grow",
}


def provenance(command: Sequence[str], data: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return where results come from, as JSON values in a fixed order.

    They describe this process, which runs a study: its workers may be on other machines, with other devices.
    What is not known is None, with the reason if there are several.

    Args:
        command: the command line as it was typed, program first.
        data: for each set of data files whether they are those that were published.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [_without_userinfo(word) for word in command],
        "folder": _working_folder(),
        "spaceprobe": source_of(Path(__file__).parents[1]),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": {
            "hostname": platform.node(),
            "platform": platform.platform(),
            "cpu": _cpu_model(),
            "cores": usable_cpus(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        **({"data": dict(data)} if data else {}),
        "devices": _devices(),
        "threads": {
            **{name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")},
            "torch": THREADS,
        },
        "precision": dict(PRECISION),
        "determinism": {**DETERMINISM, "seeds": dict(DETERMINISM["seeds"])},
    }


def read_provenance(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the facts of a provenance.json, and what is wrong with it.

    A file that is not what `provenance` writes is renamed and a warning is logged, so that nothing ends
    because of it.

    Args:
        path: the file.

    Returns:
        The facts, empty where there are none; and a sentence where a file was set aside, else None.
    """
    if not os.path.lexists(path):
        return {}, None
    try:
        return _facts(path), None
    except (OSError, ValueError, RecursionError) as error:
        notice = _set_aside(path, " ".join(str(error).split())[:200])
    logger.warning("warning: %s: %s", path.parent, notice)
    return {}, notice


def _facts(path: Path) -> dict[str, Any]:
    """Return the facts of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what `provenance` writes.
        RecursionError: it is nested too deep to be read.
    """
    facts = json.loads(read_regular(path).decode("utf-8"))
    if not isinstance(facts, dict):
        raise ValueError(f"expected a mapping of facts, got {type(facts).__name__}")  # noqa: TRY004  # of a file
    for name in SECTIONS:
        if not isinstance(facts.get(name, {}), dict):
            kind = type(facts[name]).__name__
            raise ValueError(f"{name}: expected a mapping of facts, got {kind}")  # noqa: TRY004  # of a file
    if not _is_flat(facts, MAX_DEPTH):
        raise ValueError(f"facts are nested more than {MAX_DEPTH} deep")
    # A word of a command line need not be UTF-8: what no page can hold becomes a question mark.
    printable: dict[str, Any] = json.loads(json.dumps(facts, ensure_ascii=False).encode(errors="replace"))
    return printable


def _is_flat(value: Any, depth: int) -> bool:
    """Return whether mappings and lists are nested at most so deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not inner or (depth > 0 and all(_is_flat(item, depth - 1) for item in inner))


def _set_aside(path: Path, reason: str) -> str:
    """Rename a file that cannot be read, if that can be done, and return a sentence on it."""
    free = (
        path.with_name(f"{path.stem}.unreadable{number}{path.suffix}") for number in ("", *range(2, 1000))
    )
    target = next((name for name in free if not os.path.lexists(name)), None)
    unread = f"{path.name} cannot be read ({reason})"
    if target is None:
        return f"{unread} and was ignored; remove it and the earlier ones like it"
    try:
        path.rename(target)
    except OSError as error:
        return f"{unread} and was ignored, since it cannot be renamed either ({error.strerror})"
    return (
        f"{unread} and was set aside as {target.name}; the next `spaceprobe run` that computes something "
        "writes it again"
    )


@cache
def numeric_libraries() -> Mapping[str, str]:
    """Return the versions of the libraries on which the last bits of a result depend."""
    return {library: str(_version(library)) for library in ("torch", "numpy", "numba", "scipy")}


def _without_userinfo(word: str) -> str:
    """Return an argument with users and passwords of addresses hidden: ``tls://***@host``."""
    return re.sub(r"(?<=://)[^/\s]*@", "***@", word)


def _working_folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or None
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine() or None


def _devices() -> dict[str, Any]:
    """Return the names of the CUDA devices and how they are known, without importing torch."""
    names, how = _driver_devices(), "/proc/driver/nvidia"
    if not names:
        names, how = _listed_devices(), "nvidia-smi"
    torch = sys.modules.get("torch")
    if not names and torch is not None and torch.cuda.is_initialized():  # to initialize it takes GPU memory
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        how = "torch"
    if not names:
        how = "neither the driver's files nor nvidia-smi name any"
    return {"cuda": names, "known_by": how, "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES")}


def _driver_devices() -> list[str]:
    # The driver's files are read at once; nvidia-smi may take a second.
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names += re.findall(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE)
    return names


def _listed_devices() -> list[str]:
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],  # noqa: S607  # found on the PATH
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if listed.returncode:
        return []
    return [name for line in listed.stdout.decode(errors="replace").splitlines() if (name := line.strip())]
