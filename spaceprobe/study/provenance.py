"""Where results come from: code, versions, machine, and what seeds do and do not promise.

Nothing secret is in it: of the environment two numbers of threads and the visible devices, no address of a
repository, and no user name or password that stands in an address of the command line.
"""

import base64
import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "numba", "distributed")
TIMEOUT_S = 2.0  # chosen: of all questions to git, and of that to nvidia-smi

GIT_PLACES = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
}
"""Variables that bind git to one repository; git sets some of them for its hooks."""

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
        "data.points_seed": "the points of a drawn set (swiss-roll): training and test from streams of their "
        "own",
        "folding": "nothing is drawn: all paths between the images chosen",
        "lmd": "noise, subsets, shuffles and random starts come from fixed seeds in the code",
        "summarize": "the bootstrap over seeds comes from a fixed seed in the code",
    },
    "guaranteed": "equal study, data, code and versions give the same bytes in every table but timings.csv "
    "on the same machine, whatever the number of jobs and in whatever order they end",
    "not guaranteed": "the same bytes on another model of CPU, on a GPU, or with another version of torch, "
    "numpy or numba: last bits of sums differ there, and training makes them grow",
}


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """Return where results come from, as JSON values in an order that is always the same.

    It describes the process that asks, the driver of a study: workers on other machines have machines and
    devices of their own. What cannot be found out is None, with a word why where there are several reasons.

    Args:
        command: the command line as it was typed, program first.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [_without_userinfo(word) for word in command],
        "folder": _working_folder(),
        "spaceprobe": source_of(Path(__file__).parents[2]),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": {
            "hostname": platform.node(),
            "platform": platform.platform(),
            "cpu": _cpu_model(),
            "cores": _num_cores(),
            "memory_bytes": _memory_bytes(),
        },
        "devices": _devices(),
        "threads": {
            **{name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")},
            "torch": THREADS,
        },
        "precision": dict(PRECISION),
        "determinism": {**DETERMINISM, "seeds": dict(DETERMINISM["seeds"])},
    }


@cache
def numeric_libraries() -> Mapping[str, str]:
    """Return the versions of the libraries that decide on the last bits of a result."""
    return {library: str(_version(library)) for library in ("torch", "numpy", "numba", "scipy")}


def source_of(package: Path) -> dict[str, Any]:
    """Return version, commit and dirty of a package's folder, and how they are known or why they are not.

    The commit is that of the package's own checkout, never that of a repository which it or its virtual
    environment happens to lie in; of an installed package, the one that pip recorded. Dirty means that code
    differs from that commit, or from what pip installed: changed, removed or new files in the package, or a
    changed pyproject.toml. Other files of the checkout do not count.
    """
    project = _project(package.parent / "pyproject.toml")
    if project.get("name") == package.name:
        commit: str | None = None
        dirty = None
        try:
            commit, dirty = _checkout_state(package)
            how = "git, in the checkout of the package"
        except _UnknownError as error:
            how = f"no commit: {error}"
        return {"version": project.get("version"), "commit": commit, "dirty": dirty, "known_by": how}
    # Only what is installed beside the package tells of it: another spaceprobe may be installed elsewhere.
    installed = next(
        iter(importlib.metadata.distributions(name=package.name, path=[str(package.parent)])), None
    )
    if installed is None:
        how = f"no commit: {package} is neither in a checkout of its own nor installed by pip"
        return {"version": None, "commit": None, "dirty": None, "known_by": how}
    commit = _installed_commit(installed)
    how = "pip: direct_url.json, and RECORD for dirty" if commit else "no commit: not installed from git"
    return {
        "version": installed.version,
        "commit": commit,
        "dirty": _differs_from_record(installed),
        "known_by": how,
    }


class _UnknownError(Exception):
    """Why a commit cannot be had."""


def _project(path: Path) -> Mapping[str, Any]:
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):  # there is none, or it is no TOML: not ours
        return {}
    return project if isinstance(project, dict) else {}


def _checkout_state(package: Path) -> tuple[str, bool]:
    root, deadline = package.parent, time.monotonic() + TIMEOUT_S
    toplevel, commit = _ask_git(root, deadline, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    if not Path(toplevel).samefile(root):
        raise _UnknownError(f"the sources lie inside another repository, {toplevel}")
    code = f"{package.name}/__init__.py"
    if not _ask_git(root, deadline, "ls-files", "--", code):
        raise _UnknownError(f"the repository {toplevel} does not hold {code}")
    changes = ("status", "--porcelain", "--untracked-files=all", "--", package.name, "pyproject.toml")
    return commit, bool(_ask_git(root, deadline, *changes))


def _ask_git(root: Path, deadline: float, *arguments: str) -> str:
    # No lock is taken, so that runners do not meet, and no monitor runs that a repository's settings name.
    kept = {name: value for name, value in os.environ.items() if name not in GIT_PLACES}
    try:
        asked = subprocess.run(  # noqa: S603  # nothing of it comes from a user
            ["git", "-c", "core.fsmonitor=false", "-C", str(root), *arguments],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(0.0, deadline - time.monotonic()),
            env={**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise _UnknownError("there is no git here") from error
    except OSError as error:
        raise _UnknownError(f"git cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise _UnknownError(f"git gave no answer in {TIMEOUT_S:g} s") from error
    if asked.returncode:
        reason = os.fsdecode(asked.stderr).strip().partition("\n")[0]
        raise _UnknownError(f"git says {reason or asked.returncode}")
    return os.fsdecode(asked.stdout)


def _installed_commit(installed: importlib.metadata.Distribution) -> str | None:
    """Return the commit of an install from a repository, without the address, which may hold a password."""
    try:
        commit = json.loads(installed.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(commit)


def _differs_from_record(installed: importlib.metadata.Distribution) -> bool | None:
    """Return whether a Python file is not what pip installed, or None without pip's list of digests."""
    # Not `installed.files`: the backport of importlib.metadata, once anything imports it, leaves out files
    # that are gone.
    rows = [row for row in csv.reader((installed.read_text("RECORD") or "").splitlines()) if len(row) > 1]
    listed = [(name, digest) for name, digest, *_ in rows if name.endswith(".py") and digest]
    for name, recorded in listed:
        kind, _, expected = recorded.partition("=")
        try:
            found = hashlib.new(kind, Path(str(installed.locate_file(name))).read_bytes()).digest()
        except OSError:
            return True
        if base64.urlsafe_b64encode(found).decode().rstrip("=") != expected:
            return True
    return False if listed else None


def _without_userinfo(word: str) -> str:
    """Return an argument whose addresses have no user and password: ``tls://***@host``."""
    return re.sub(r"(?<=://)[^/\s]*@", "***@", word)


def _working_folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed under the process
        return None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return platform.processor() or None
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine() or None


def _num_cores() -> int | None:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_bytes() -> int | None:
    """Return the memory of the machine, which a container may not get all of."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system without these names
        return None


def _devices() -> dict[str, Any]:
    """Return the CUDA devices by name and how they are known; torch is not imported for it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    for how, find in [("/proc/driver/nvidia", _driver_devices), ("nvidia-smi", _listed_devices)]:
        names = find()
        if names:
            return {"cuda": names, "known_by": how, "CUDA_VISIBLE_DEVICES": visible}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():  # to begin with CUDA takes a device's memory
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return {"cuda": names, "known_by": "torch", "CUDA_VISIBLE_DEVICES": visible}
    how = "neither the driver's files nor nvidia-smi name any"
    return {"cuda": [], "known_by": how, "CUDA_VISIBLE_DEVICES": visible}


def _driver_devices() -> list[str]:
    # Files of the driver: at once, where nvidia-smi may take a second.
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
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],  # noqa: S607  # wherever it is
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
