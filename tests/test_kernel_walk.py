"""The compiled walk: against rational arithmetic, against the plain walk, against itself in other batches."""

import logging
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config as numba_config
from numba.core.caching import CacheImpl

from spaceprobe.folding import kernel_walk
from spaceprobe.folding.counts import CountedFolding, FoldingCounts, PathFolding
from spaceprobe.folding.kernel_walk import fold_mlp_grid, walk_mlp_paths
from spaceprobe.folding.kernels import compiling, entry, tally
from spaceprobe.folding.kernels.workspace import FIRST_CAPACITY
from spaceprobe.folding.measure import space_folding
from tests.degenerate_networks import degenerate_cases, tent_map
from tests.plain_walk import plain_folding
from tests.rational_oracle import fold_exactly

SHAPES = {
    # widths that fill no group, one that fills it, a chain of units; all in groups of 8
    "narrow": [3, 7, 8, 1, 5],
    "one hidden layer": [4, 6, 2],
    # several groups of 32, none of them full
    "wide": [5, 40, 70, 33],
}


def draw_network(widths: list[int], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random layers whose units turn on and off on most paths."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(fan_out, fan_in)) * (2 / fan_in) ** 0.5, rng.normal(size=fan_out) / 2)
        for fan_in, fan_out in pairwise(widths)
    ]


def draw_points(count: int, num_inputs: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, num_inputs))


def assert_same(first: PathFolding | CountedFolding, second: PathFolding | CountedFolding) -> None:
    for field in fields(first):
        mine, other = getattr(first, field.name), getattr(second, field.name)
        if field.name in ("chi", "peak", "chi_back", "peak_back"):
            np.testing.assert_array_equal(mine.cells, other.cells)
            np.testing.assert_array_equal(mine.row_max, other.row_max)
        else:
            np.testing.assert_array_equal(mine, other)


def test_equals_rational_arithmetic_on_every_degenerate_case() -> None:
    for case in degenerate_cases():
        layers, a, b = case.arrays()
        found = walk_mlp_paths(layers, case.relu_at_end, a[None], b[None], threads=1)
        *values, num_violations = (int(column[0]) for column in astuple(found))
        exact = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
        assert tuple(values) == astuple(exact), case.name
        assert num_violations == 0, case.name


@pytest.mark.parametrize("relu_at_end", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_plain_walk(shape: str, relu_at_end: bool) -> None:
    widths = SHAPES[shape]
    for seed in range(3):
        layers = draw_network(widths, seed)
        a, b = draw_points(40, widths[0], seed), draw_points(40, widths[0], seed + 100)
        found = walk_mlp_paths(layers, relu_at_end, a, b)
        assert_same(found, plain_folding(layers, relu_at_end, a, b))


@pytest.mark.parametrize("shape", ["narrow", "wide"])
def test_careful_walk_equals_the_fast_one(shape: str) -> None:
    widths = SHAPES[shape]
    layers = draw_network(widths, 5)
    a, b = draw_points(100, widths[0], 1), draw_points(100, widths[0], 2)
    plan = kernel_walk._plan(layers, True, "float64", 1e-12)
    for fast_tolerance, num_careful in ((1e-12, 0), (1e3, 100)):  # never sure with the second one
        values = walk_with(plan._replace(fast_tolerance=fast_tolerance), a, b, num_careful)
        assert_same(PathFolding(*values.T), walk_mlp_paths(layers, True, a, b))


def walk_with(plan: entry.Plan, a: np.ndarray, b: np.ndarray, num_careful: int) -> np.ndarray:
    values = np.zeros((len(a), 8), np.int64)
    scratch = kernel_walk._scratch(plan, 1)
    seen = kernel_walk._forward_passes(plan, a), kernel_walk._forward_passes(plan, b)
    assert entry.walk_batch(plan, *seen, 0, len(a), scratch, values) == (len(a), num_careful)
    return values


def test_region_check_sees_a_walk_that_ends_elsewhere() -> None:
    layers = draw_network(SHAPES["narrow"], 5)
    a, b = draw_points(30, 3, 1), draw_points(30, 3, 2)
    plan = kernel_walk._plan(layers, True, "float64", 1e-12)
    sources, targets = kernel_walk._forward_passes(plan, a), kernel_walk._forward_passes(plan, b)
    targets.z[:, plan.exact.unit_start[2]] += 1e-6  # a pre-activation of layer 3 of b's own pass
    values = np.zeros((30, 8), np.int64)
    entry.walk_batch(plan, sources, targets, 0, 30, kernel_walk._scratch(plan, 1), values)
    assert (values[:, 7] == 1).all()


@pytest.mark.parametrize("num_folds", [3, 10])
def test_path_with_more_flips_than_the_first_buffer_holds(num_folds: int) -> None:
    layers = [
        (np.array(weight, np.float64), np.array(bias, np.float64)) for weight, bias in tent_map(num_folds)
    ]
    a, b = np.array([[2.0**-15]]), np.array([[1 - 2.0**-15]])  # on no boundary: the fast walk does it
    found = walk_mlp_paths(layers, False, a, b)
    assert found.length[0] == 2**num_folds - 1
    assert_same(found, plain_folding(layers, False, a, b))


def grid_by_hand(layers, sources, targets) -> CountedFolding:
    """The grid, from the list of its paths."""
    among = targets is None
    targets = sources if among else targets
    i, j = np.indices((len(sources), len(targets))).reshape(2, -1)
    i, j = (i[i != j], j[i != j]) if among else (i, j)
    found = walk_mlp_paths(layers, True, sources[i], targets[j])

    def counts(length: np.ndarray, reach: np.ndarray, row: np.ndarray, num_rows: int):
        row_max = np.zeros(num_rows)
        np.maximum.at(row_max, row, space_folding(length, reach))
        pairs, numbers = np.unique(np.stack([length, reach]), axis=1, return_counts=True)
        return FoldingCounts(np.vstack([pairs, numbers]).T, row_max)

    forward = (i, len(sources))
    back = (j, len(targets))
    chi = counts(found.length, found.reach_from_a, *forward)
    peak = counts(found.peak_length_from_a, found.peak_reach_from_a, *forward)
    chi_back = counts(found.length, found.reach_from_b, *back)
    peak_back = counts(found.peak_length_from_b, found.peak_reach_from_b, *back)
    return CountedFolding(chi, peak, chi_back, peak_back, len(i), 0)


@pytest.mark.parametrize("among", [False, True])
@pytest.mark.parametrize("shape", ["narrow", "wide"])
def test_grid_equals_the_list_of_its_paths(shape: str, among: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = SHAPES[shape]
    layers = draw_network(widths, 7)
    sources = draw_points(23, widths[0], 1)
    targets = None if among else draw_points(37, widths[0], 2)
    by_hand = grid_by_hand(layers, sources, targets)
    assert by_hand.chi.cells[:, 2].sum() == by_hand.num_paths
    for threads, paths_per_task, slots in ((1, 10**6, 2048), (2, 1, 2), (3, 50, 16)):
        monkeypatch.setattr(kernel_walk, "WEIGHTS_PER_TASK", 0)
        monkeypatch.setattr(kernel_walk, "MIN_PATHS_PER_TASK", paths_per_task)
        monkeypatch.setattr(tally, "FIRST_SLOTS", slots)
        told: list[int] = []
        found = fold_mlp_grid(layers, True, sources, targets, threads=threads, progress=told.append)
        assert_same(found, by_hand)
        assert sum(told) == found.num_paths * (1 if among else 2)


def test_grid_grows_for_long_paths() -> None:
    layers = [(np.array(w, np.float64), np.array(c, np.float64)) for w, c in tent_map(10)]
    points = np.linspace(0.01, 0.99, 7)[:, None]
    found = fold_mlp_grid(layers, True, points, threads=1)
    assert_same(found, grid_by_hand(layers, points, None))
    assert found.chi.cells[:, 0].max() > FIRST_CAPACITY


def test_walks_at_once() -> None:
    layers = draw_network(SHAPES["narrow"], 3)
    points = draw_points(60, 3, 4)
    alone = fold_mlp_grid(layers, True, points)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: fold_mlp_grid(layers, True, points, threads=2), range(8)):
            assert_same(found, alone)


def test_float32_leaves_close_calls_to_float64() -> None:
    widths = SHAPES["narrow"]
    layers = draw_network(widths, 8)
    points = draw_points(60, 3, 1)
    assert_same(fold_mlp_grid(layers, True, points, precision="float32"), fold_mlp_grid(layers, True, points))


def test_no_hidden_units_no_flips() -> None:
    layers = draw_network([3, 2], 0)
    found = fold_mlp_grid(layers, False, draw_points(3, 3, 0), draw_points(5, 3, 1))
    assert found.chi.cells.tolist() == [[0, 0, 15]]
    assert found.num_paths == 15


def test_no_paths() -> None:
    layers = draw_network([3, 2], 0)
    assert len(walk_mlp_paths(layers, True, np.zeros((0, 3)), np.zeros((0, 3))).length) == 0
    for sources, targets in ((np.zeros((1, 3)), None), (np.zeros((0, 3)), np.zeros((4, 3)))):
        found = fold_mlp_grid(layers, True, sources, targets)
        assert found.num_paths == 0
        assert found.chi.cells.shape == (0, 3)


def test_calls_that_cannot_work() -> None:
    layers = draw_network([3, 4, 2], 0)
    points = draw_points(5, 3, 0)
    with pytest.raises(ValueError, match=r"a has shape \(5, 3\) and b \(4, 3\)"):
        walk_mlp_paths(layers, False, points, points[:4])
    with pytest.raises(ValueError, match=r"sources has shape \(5, 2\); rows of 3 are needed"):
        fold_mlp_grid(layers, False, points[:, :2])
    with pytest.raises(ValueError, match=r"weight of layer 1 has shape \(2, 4\), not \(2, 5\)"):
        fold_mlp_grid([draw_network([3, 5], 0)[0], layers[1]], False, points)
    with pytest.raises(ValueError, match="targets holds a number that is not finite"):
        fold_mlp_grid(layers, False, points, np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="layer 0 holds a number that is not finite"):
        fold_mlp_grid([(layers[0][0] * np.inf, layers[0][1]), layers[1]], False, points)
    with pytest.raises(ValueError, match="tolerance is 0"):
        fold_mlp_grid(layers, False, points, tolerance=0)
    with pytest.raises(ValueError, match="no layers"):
        fold_mlp_grid([], False, points)
    with pytest.raises(ValueError, match="threads is 0"):
        fold_mlp_grid(layers, False, points, threads=0)


def test_threads_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert kernel_walk.default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert kernel_walk.default_threads() >= 1


def test_compiles_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(compiling, "_has_warned", [])
    with caplog.at_level(logging.WARNING):
        doubled = compiling.cached(lambda x: 2 * x)
        compiling.cached(lambda x: 3 * x)
    assert doubled(4) == 8
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "set NUMBA_CACHE_DIR to a writable folder" in caplog.text


KEPT = """
import sys
from typing import NamedTuple

from spaceprobe.folding.kernels import compiling

compiling._sources_digest = lambda: sys.argv[1]


class Before(NamedTuple):
    number: int


@compiling.cached
def doubled(pair):
    return 2 * pair.number


print(doubled(Before(21)), sum(doubled.stats.cache_hits.values()))
"""


def test_compiled_code_of_an_earlier_version_is_not_read(tmp_path: Path) -> None:
    """Numba cannot even look whether it is out of date where a type was renamed since."""

    def run(digest: str) -> list[str]:
        command = [sys.executable, "-c", "import kept", digest]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        done = subprocess.run(
            command,
            **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    (tmp_path / "kept.py").write_text(KEPT)
    assert run("first") == ["42", "0"]
    assert run("first") == ["42", "1"]  # it is kept
    (tmp_path / "kept.py").write_text(KEPT.replace("Before", "Later"))
    assert run("second") == ["42", "0"]


def _kept_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A compiled function whose code lies in a folder, and that file."""
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(folder))
    doubled = compiling.cached(_doubled)
    assert doubled(4) == 8
    (path,) = folder.rglob("*.code")
    return doubled, path


def _doubled(number):  # numba infers its types
    return 2 * number


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "empty", "pipe", "device", "dangling link", "another's"]
)
def test_damaged_compiled_code_is_compiled_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, path = _kept_code(tmp_path, monkeypatch)
    whole = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(whole[:-1])
        case "changed":
            path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
        case "empty":
            path.write_bytes(b"")
        case "another's":
            path.write_bytes(pickle.dumps({"no": "code"}))
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "device":
            path.unlink()
            path.symlink_to("/dev/zero")
        case "dangling link":
            path.unlink()
            path.symlink_to("nowhere")
    again, path = _kept_code(tmp_path, monkeypatch)
    assert str(path) in caplog.text or damage == "dangling link"  # not a file, so nothing is said
    assert sum(again.stats.cache_hits.values()) == 0
    assert path.is_file()
    third, _ = _kept_code(tmp_path, monkeypatch)
    assert sum(third.stats.cache_hits.values()) == 1


def _place(kind: str, path: Path) -> None:
    """Put something that is not a file in the place of one."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "directory":
            path.mkdir()
        case "dangling link":
            path.symlink_to("nowhere")


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "dangling link"])
def test_the_files_of_numbas_own_cache_are_not_opened(kind: str, tmp_path: Path) -> None:
    """In a process of its own, with a limit: opening a pipe waits for its other end."""
    (tmp_path / "kept.py").write_text(KEPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    names = "import kept; print(kept.doubled._cache._impl.filename_base)"
    for odd in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", names, "digest"],
            **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        number, num_hits, base = done.stdout.split()
        assert (number, num_hits) == ("42", str(int(odd)))
        if not odd:  # the index and the first code that numba would open
            (kept,) = tmp_path.rglob("*.code")
            _place(kind, kept.with_name(f"{base}.nbi"))
            _place(kind, kept.with_name(f"{base}.1.nbc"))


def test_a_folder_in_the_place_of_compiled_code_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, path = _kept_code(tmp_path, monkeypatch)
    path.unlink()
    path.mkdir()
    _kept_code(tmp_path, monkeypatch)
    assert "it is a directory" in caplog.text
    assert "so the next start compiles again" in caplog.text
    assert path.is_dir()


def test_error_in_a_thread_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_walk, "WEIGHTS_PER_TASK", 0)
    monkeypatch.setattr(kernel_walk, "MIN_PATHS_PER_TASK", 1)
    started = []

    def fail(*_: object) -> None:
        started.append(True)
        time.sleep(0.02)  # so that the first error is seen before the last task
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "walk_rows", fail)
    with pytest.raises(KeyboardInterrupt):
        fold_mlp_grid(draw_network([3, 4], 0), True, draw_points(500, 3, 0), threads=1)
    assert len(started) < 500
