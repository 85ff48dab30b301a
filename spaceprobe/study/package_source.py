"""The version and commit of a package's code, from its checkout or from what pip recorded."""

import base64
import csv
import hashlib
import importlib.metadata
import json
import os
import subprocess
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_S = 2.0
"""Chosen: how long git may take to answer all questions."""

GIT_LOCATIONS = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
}
"""Variables that tie git to one repository; git sets some of them for its hooks."""


def source_of(package: Path) -> dict[str, Any]:
    """Return version, commit and dirty of a package, and how they are known or why they are not.

    The commit is that of the package's own checkout, never that of another repository around it or its
    virtual environment; for an installed package, the one that pip recorded. Dirty means that code differs
    from that commit, or from what pip installed: changed, removed or new files in the package, or a changed
    pyproject.toml. Other files of the checkout do not count.

    Args:
        package: the package's folder.
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
    # Only what is installed beside the package: another spaceprobe may be installed elsewhere.
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
    """The commit is not known, and why."""


def _project(path: Path) -> Mapping[str, Any]:
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):  # missing, or not TOML: not ours
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
    # Without locks, which runners would fight for, and without the monitor that a repository may configure.
    environment = {name: value for name, value in os.environ.items() if name not in GIT_LOCATIONS}
    try:
        answer = subprocess.run(  # noqa: S603  # no argument comes from a user
            ["git", "-c", "core.fsmonitor=false", "-C", str(root), *arguments],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(0.0, deadline - time.monotonic()),
            env={**environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise _UnknownError("there is no git here") from error
    except OSError as error:
        raise _UnknownError(f"git cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise _UnknownError(f"git gave no answer in {TIMEOUT_S:g} s") from error
    if answer.returncode:
        reason = os.fsdecode(answer.stderr).strip().partition("\n")[0]
        raise _UnknownError(f"git says {reason or answer.returncode}")
    return os.fsdecode(answer.stdout)


def _installed_commit(installed: importlib.metadata.Distribution) -> str | None:
    """Return the commit of an install from a repository; its address may hold a password."""
    try:
        commit = json.loads(installed.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(commit)


def _differs_from_record(installed: importlib.metadata.Distribution) -> bool | None:
    """Return whether a Python file differs from what pip installed, or None without pip's digests."""
    # `installed.files` leaves out files that are gone.
    rows = [row for row in csv.reader((installed.read_text("RECORD") or "").splitlines()) if len(row) > 1]
    recorded = [(name, text) for name, text, *_ in rows if name.endswith(".py") and text]
    for name, text in recorded:
        kind, _, expected = text.partition("=")
        try:
            digest = hashlib.new(kind, Path(str(installed.locate_file(name))).read_bytes()).digest()
        except OSError:
            return True
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != expected:
            return True
    return False if recorded else None
