"""Where results come from: the commit of the package's own checkout or none, and no secret."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import spaceprobe
from spaceprobe.study import package_source
from spaceprobe.study import provenance as module
from spaceprobe.study.package_source import source_of
from spaceprobe.study.provenance import provenance

PROJECT = '[project]\nname = "spaceprobe"\nversion = "7.8.9"\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("__init__.py", "study/runner.py")


@pytest.fixture(autouse=True)
def own_git(tmp_path, monkeypatch):
    """Git without anybody's settings, and no repository around the temporary folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for person in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{person}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{person}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=20
    ).stdout.strip()


def skeleton(root):
    """Write the least of the sources and return the package's folder."""
    for name in FILES:
        path = root / "spaceprobe" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "README.md").write_text("read me\n")
    (root / ".gitignore").write_text("__pycache__/\n.venv/\n")
    return root / "spaceprobe"


def commit_all(root):
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def package(tmp_path):
    """The package in a clean checkout of its own, whose remote has a password."""
    package = skeleton(tmp_path / "checkout")
    commit_all(package.parent)
    git(package.parent, "remote", "add", "origin", "https://somebody:hunter2@example.org/spaceprobe.git")
    return package


def no_commit(package, reason, version="7.8.9"):
    found = source_of(package)
    assert (found["version"], found["commit"], found["dirty"]) == (version, None, None)
    assert found["known_by"].startswith("no commit: ")
    assert reason in found["known_by"]


def test_clean_checkout(package):
    commit = git(package.parent, "rev-parse", "HEAD")
    assert len(commit) == 40
    assert source_of(package) == {
        "version": "7.8.9",
        "commit": commit,
        "dirty": False,
        "known_by": "git, in the checkout of the package",
    }


def write(name):
    return lambda root: (root / name).write_text("changed\n")


def stage(root):
    (root / "spaceprobe" / "__init__.py").write_text("changed\n")
    git(root, "add", ".")


def cache_of_python(root):
    (root / "spaceprobe" / "__pycache__").mkdir()
    (root / "spaceprobe" / "__pycache__" / "runner.pyc").write_bytes(b"compiled")


def same_content_later(root):
    os.utime(root / "spaceprobe" / "__init__.py", (1, 1))


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        (write("spaceprobe/study/runner.py"), True),
        (write("spaceprobe/study/untracked.py"), True),
        (lambda root: (root / "spaceprobe" / "study" / "runner.py").unlink(), True),
        (stage, True),
        (write("pyproject.toml.orig"), False),
        (write("README.md"), False),
        (write("my-study.yaml"), False),
        (cache_of_python, False),
        (same_content_later, False),
    ],
)
def test_dirty_is_what_computes(package, change, dirty):
    change(package.parent)
    found = source_of(package)
    assert found["dirty"] is dirty
    assert found["commit"] == git(package.parent, "rev-parse", "HEAD")


def test_changed_dependencies_are_dirty(package):
    (package.parent / "pyproject.toml").write_text(f"{PROJECT}dependencies = []\n")
    assert source_of(package)["dirty"] is True


@pytest.mark.parametrize("locked", [False, True])
def test_the_index_is_left_alone(package, locked):
    same_content_later(package.parent)  # git would note the new time
    index = package.parent / ".git" / "index"
    before = index.read_bytes()
    if locked:
        (package.parent / ".git" / "index.lock").touch()  # another git is at work
    assert source_of(package)["dirty"] is False
    assert index.read_bytes() == before


def test_a_worktree_is_a_checkout(package, tmp_path):
    git(package.parent, "worktree", "add", "--quiet", str(tmp_path / "worktree"))
    found = source_of(tmp_path / "worktree" / "spaceprobe")
    assert (found["commit"], found["dirty"]) == (git(package.parent, "rev-parse", "HEAD"), False)


def test_a_hook_of_another_repository_does_not_mislead(package, tmp_path, monkeypatch):
    other = tmp_path / "other"
    skeleton(other)
    (other / "different").touch()
    commit_all(other)
    expected = source_of(package)
    assert expected["commit"] != git(other, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert source_of(package) == expected


def test_no_git_on_the_path(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    no_commit(package, "there is no git here")


def program(folder, name, script, monkeypatch):
    """Put a program first on the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("script", ["exec sleep 30", "sleep 5"])  # the second leaves a child with our pipes
def test_a_git_that_hangs(package, tmp_path, monkeypatch, script):
    program(tmp_path / "bin", "git", script, monkeypatch)
    monkeypatch.setattr(package_source, "TIMEOUT_S", 0.3)
    start = time.monotonic()
    no_commit(package, "git gave no answer in 0.3 s")
    assert time.monotonic() - start < 4  # less than either script sleeps


def test_all_questions_share_one_deadline(package, tmp_path, monkeypatch):
    program(
        tmp_path / "bin", "git", 'sleep 0.4; PATH="${PATH#*:}" exec git "$@"', monkeypatch
    )  # each alone is fast enough
    monkeypatch.setattr(package_source, "TIMEOUT_S", 0.7)
    no_commit(package, "git gave no answer in 0.7 s")


def test_a_git_that_fails(package, tmp_path, monkeypatch):
    program(tmp_path / "bin", "git", "exit 3", monkeypatch)
    no_commit(package, "git says 3")
    (tmp_path / "bin" / "git").chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    no_commit(package, "git cannot be started (Permission denied)")


def test_dubious_ownership(package, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    no_commit(package, "git says fatal: detected dubious ownership in repository")


def test_no_repository(tmp_path):
    no_commit(skeleton(tmp_path / "unpacked"), "git says fatal: not a git repository")


def test_a_repository_without_a_commit(tmp_path):
    package = skeleton(tmp_path / "new")
    git(package.parent, "init", "--quiet")
    no_commit(package, "git says fatal: ambiguous argument 'HEAD'")


def test_a_repository_that_does_not_hold_the_package(tmp_path):
    package = skeleton(tmp_path / "mine")
    (package.parent / ".gitignore").write_text("spaceprobe/\n")
    commit_all(package.parent)
    no_commit(package, "does not hold spaceprobe/__init__.py")


def test_sources_inside_another_repository(tmp_path):
    package = skeleton(tmp_path / "theirs" / "vendor")
    commit_all(tmp_path / "theirs")
    no_commit(package, "the sources lie inside another repository")


def install(site, direct_url=None):
    """Write what pip leaves, and return the package's folder."""
    package = skeleton(site)
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        (site / name).unlink()
    information = site / "spaceprobe-7.8.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: spaceprobe\nVersion: 7.8.9\n")
    lines = []
    for name in FILES:
        digest = hashlib.sha256((package / name).read_bytes()).digest()
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        lines.append(f"spaceprobe/{name},sha256={text},{(package / name).stat().st_size}")
    lines.append("spaceprobe-7.8.9.dist-info/RECORD,,")
    (information / "RECORD").write_text("\n".join(lines) + "\n")
    if direct_url is not None:
        (information / "direct_url.json").write_text(direct_url)
    return package


FROM_GIT = json.dumps(
    {
        "url": "https://somebody:hunter2@example.org/spaceprobe.git",
        "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": COMMIT},
    }
)


def test_installed_from_a_repository_inside_another(tmp_path):
    # A virtual environment in a user's project that is a repository, the packages even committed to it.
    package = install(tmp_path / "project" / ".venv" / "lib" / "site-packages", FROM_GIT)
    commit_all(tmp_path / "project")
    expected = {"version": "7.8.9", "commit": COMMIT, "dirty": False}
    found = source_of(package)
    assert found == {**expected, "known_by": "pip: direct_url.json, and RECORD for dirty"}
    assert "hunter2" not in json.dumps(found)
    (package / "study" / "runner.py").write_text("edited\n")
    assert source_of(package) == {**found, "dirty": True}
    (package / "study" / "runner.py").unlink()
    assert source_of(package) == {**found, "dirty": True}


@pytest.mark.parametrize("direct_url", [None, '{"dir_info": {}, "url": "file:///tmp"}', "no JSON", "[]"])
def test_installed_from_a_package(tmp_path, direct_url):
    package = install(tmp_path / "site-packages", direct_url)
    expected = {"version": "7.8.9", "commit": None, "dirty": False}
    assert source_of(package) == {**expected, "known_by": "no commit: not installed from git"}


def test_installed_without_a_record(tmp_path):
    package = install(tmp_path / "site-packages")
    (tmp_path / "site-packages" / "spaceprobe-7.8.9.dist-info" / "RECORD").unlink()
    assert source_of(package)["dirty"] is None


@pytest.mark.parametrize("project", ['[project]\nname = "theirs"\n', "no TOML", "project = 3\n", None])
def test_neither_checkout_nor_installed(tmp_path, project):
    package = skeleton(tmp_path / "theirs")
    (package.parent / "pyproject.toml").unlink()
    if project is not None:
        (package.parent / "pyproject.toml").write_text(project)
    commit_all(package.parent)
    no_commit(package, "is neither in a checkout of its own nor installed by pip", version=None)


def test_everything_is_json_in_a_stable_order(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    command = ["spaceprobe", "run", "depth-sweep", "--set", "training.epochs=3"]
    before = datetime.now(UTC).replace(microsecond=0)
    found = provenance(command)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert before <= datetime.fromisoformat(found["started"]) <= datetime.now(UTC)
    assert found["started"].endswith("+00:00")
    assert found["command"] == command
    assert found["folder"] == str(Path.cwd())
    assert found["spaceprobe"] == source_of(Path(spaceprobe.__file__).parent)
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert list(found["versions"])[1:] == list(module.LIBRARIES)
    assert found["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert found["machine"]["memory_bytes"] > 2**28
    assert found["machine"]["cpu"]
    assert found["threads"]["OMP_NUM_THREADS"] == "3"
    assert found["threads"]["NUMBA_NUM_THREADS"] is None
    again = provenance(command)
    assert json.dumps({**again, "started": ""}) == json.dumps({**found, "started": ""})
    assert list(found) == [
        *("started", "command", "folder", "spaceprobe", "versions", "machine", "devices"),
        *("threads", "precision", "determinism"),
    ]


def test_no_secret_is_recorded(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    command = ["spaceprobe", "run", "--scheduler-address", "tls://somebody:hunter2@host:8786", "a@b"]
    found = provenance(command)
    assert "hunter2" not in json.dumps(found)
    assert "somebody" not in json.dumps(found)
    assert found["command"][3:] == ["tls://***@host:8786", "a@b"]


def test_a_working_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert provenance([])["folder"] is None


def test_a_library_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(module, "LIBRARIES", ("numpy", "no-such-library-of-ours"))
    versions = provenance([])["versions"]
    assert versions["no-such-library-of-ours"] is None
    assert versions["numpy"]


def test_devices_of_nvidia_smi(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_driver_devices", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    program(tmp_path / "bin", "nvidia-smi", "echo 'NVIDIA H100 80GB HBM3'; echo 'NVIDIA L4'", monkeypatch)
    expected = {"known_by": "nvidia-smi", "CUDA_VISIBLE_DEVICES": "1"}
    assert provenance([])["devices"] == {"cuda": ["NVIDIA H100 80GB HBM3", "NVIDIA L4"], **expected}


@pytest.mark.parametrize("script", ["echo 'no devices were found' ; exit 6", "exec sleep 30"])
def test_an_nvidia_smi_without_an_answer(tmp_path, monkeypatch, script):
    monkeypatch.setattr(module, "_driver_devices", list)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
    program(tmp_path / "bin", "nvidia-smi", script, monkeypatch)
    assert module._listed_devices() == []


def test_it_is_quick_and_needs_no_torch():
    code = (
        "import sys, time; from spaceprobe.study.provenance import provenance\n"
        "start = time.process_time(); provenance(['a']); print(time.process_time() - start)\n"
        "print('torch' in sys.modules)"
    )
    lines = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert lines[1] == "False"
    assert float(lines[0]) < 1  # of this process; 0.02 s measured, no room for an import of torch
