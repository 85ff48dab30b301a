"""kill -9 again and again, in a study with every table of folding: nothing is lost or written by halves."""

import signal
import subprocess
import sys
import time

from tests.commands import call

STUDY = """\
data: {train_images: 500}
training: {epochs: 2, snapshots: [1]}
folding: {per_class: 3, pairs: [3-8, 8-3, 5-5, 0-1], epoch: all, detail: 4, by_layer: true, distances: true,
  patterns: 50}
complexity: {epoch: all}
study: {stages: [train, fold, complexity, gap]}
sweep: {network.architecture: [2x6, 3x4], training.learning_rate: [0.001, 0.01]}
"""
TABLES = {
    "paths",
    "path_layers",
    "path_distances",
    "pattern_changes",
    "folding",
    "complexity",
    "gap_ranks",
}
"""Among those that have to be there: one of each stage and of each detail of a path."""

KILLS = (1, 8, 16, 30)
"""Numbers of parts of folding that are finished when the study is killed: 36 at its end."""


def parts(folder):
    """Return when each part was written."""
    files = [
        path for path in (folder / "runs").rglob("*") if path.suffix in {".npz", ".json", ".safetensors"}
    ]
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in files}


def computed(folder):
    """Return the finished parts of folding."""
    return [path for path in parts(folder) if path.suffix == ".npz"]


def tables(folder):
    """Return the bytes of every CSV but the wall-clock times."""
    return {path.stem: path.read_bytes() for path in folder.glob("*.csv") if path.stem != "timings"}


def test_a_study_killed_four_times_ends_alike(tmp_path):
    study, whole, killed = tmp_path / "all-tables.yaml", tmp_path / "whole", tmp_path / "killed"
    study.write_text(STUDY)
    assert call("run", study, "--results", whole).exit_code == 0
    folder = killed / "all-tables"
    for finished in KILLS:
        before = parts(folder)
        command = [sys.executable, "-m", "spaceprobe", "run", study, "--results", killed, "--no-report"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(computed(folder)) < finished:
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        now = parts(folder)
        assert {path: now[path] for path in before} == before
    assert call("run", study, "--results", killed).exit_code == 0
    now = parts(folder)
    assert {path: now[path] for path in before} == before
    assert tables(folder) == tables(whole / "all-tables")
    assert set(tables(folder)) >= TABLES
