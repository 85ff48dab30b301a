"""Each engine against a slow literal one, and against the other."""

from dataclasses import asdict, astuple
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaceprobe.folding import (
    PathFolding,
    engine,
    fold_grid,
    fold_matched,
    jvp_walk,
    sampled,
    settle,
    space_folding,
    walk_paths,
)
from tests.rational_oracle import fold_exactly, read_patterns
from tests.region_check import as_rational


def small_mlp(seed: int = 0, widths: tuple[int, ...] = (3, 8, 5, 6, 2)) -> nn.Sequential:
    """An MLP with weights large enough to fold."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential()
    for num_inputs, num_outputs in pairwise(widths):
        linear = nn.Linear(num_inputs, num_outputs)
        with torch.no_grad():
            for parameter in linear.parameters():
                parameter.normal_(generator=generator)
        network.extend([linear, nn.ReLU()])
    return network[:-1]


def points(num_points: int, *shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(num_points, *shape, generator=generator)


class Residual(nn.Module):
    """A block that adds in place, uses one ReLU under three names, and mixes constants in."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner, self.leave = nn.Linear(3, 7), nn.Linear(7, 7), nn.Linear(9, 4)
        self.norm = nn.BatchNorm1d(7)
        self.register_buffer("ones", torch.ones(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.enter(x))
        change = self.norm(self.inner(hidden)).relu_()
        change += hidden
        both = torch.cat([change, self.ones.expand(x.size(0), -1)], dim=1)
        return nn.functional.relu(self.leave(both) - 0.5, inplace=True)


def residual_net() -> nn.Module:
    torch.manual_seed(3)
    network = Residual()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # as initialised, it hardly folds
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    return network.eval()


def conv_net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4 * 2 * 1, 5),
    ).eval()


NETWORKS = {"mlp": (small_mlp, (3,)), "residual": (residual_net, (3,)), "conv": (conv_net, (2, 6, 4))}


def columns(folding: PathFolding) -> np.ndarray:
    return np.stack(astuple(folding))


def sampled_literally(network: nn.Module, a: Tensor, b: Tensor, num_points: int) -> list[tuple[int, ...]]:
    """Return the folding of each path as the paper words it: one path, one point, one forward pass."""
    network = network.double()
    foldings = []
    for start, end in zip(a.double(), b.double(), strict=True):
        patterns = []
        for step in range(num_points):
            t = step / (num_points - 1)
            pattern: list[bool] = []
            relus = [m for m in network.modules() if isinstance(m, nn.ReLU)]
            hooks = [
                relu.register_forward_pre_hook(
                    lambda _, z, p=pattern: p.extend((z[0] > 0).flatten().tolist())
                )
                for relu in relus
            ]
            network(((1 - t) * start + t * end)[None])
            for hook in hooks:
                hook.remove()
            patterns.append(pattern)
        length, reach_a, *peak_a = read_patterns(patterns)
        _, reach_b, *peak_b = read_patterns(patterns[::-1])
        foldings.append((length, reach_a, reach_b, *peak_a, *peak_b, 0))
    return foldings


@pytest.mark.parametrize("name", ["mlp", "conv"])
@pytest.mark.parametrize("num_points", [2, 7, 50])
def test_sampled_equals_the_literal_way(name, num_points):
    build, shape = NETWORKS[name]
    a, b = points(11, *shape), points(11, *shape, seed=2)
    folding = walk_paths(build(), a, b, method="sampled", num_points=num_points)
    np.testing.assert_array_equal(columns(folding).T, sampled_literally(build(), a, b, num_points))


@pytest.mark.parametrize("seed", range(4))
def test_jvp_walk_equals_rational_arithmetic_on_random_weights(seed):
    network, a, b = small_mlp(seed), points(3, 3), points(3, 3, seed=2)
    folding = walk_paths(network, a, b, method="jvp")
    for path in range(3):
        layers, start, end = as_rational(network, a[path], b[path])
        expected = asdict(fold_exactly(layers, False, start, end)) | {"num_violations": 0}
        assert {name: column[path] for name, column in asdict(folding).items()} == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_sampled_converges_to_exact(name):
    """More points miss fewer regions, and with enough of them none, on these paths."""
    build, shape = NETWORKS[name]
    a, b = points(24, *shape), points(24, *shape, seed=2)
    exact = walk_paths(build(), a, b, method="jvp")
    assert exact.num_violations.sum() == 0
    assert exact.length.max() > 6
    missed = []
    for num_points in (10, 100, 20_000):
        seen = walk_paths(build(), a, b, method="sampled", num_points=num_points)
        missed.append((exact.length - seen.length).sum())
        assert (seen.length <= exact.length).all()
    assert missed[0] > missed[1] >= missed[2]
    # a path may have a region narrower than 1/20,000; hardly one of 24 does
    equal = (columns(seen) == columns(exact)).all(axis=0)
    assert equal.sum() >= 23


def test_exact_sees_what_jvp_sees():
    a, b = points(20, 3), points(20, 3, seed=2)
    exact, jvp = (walk_paths(small_mlp(), a, b, method=method) for method in ("exact", "jvp"))
    np.testing.assert_array_equal(columns(exact), columns(jvp))


@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_block_size_changes_nothing(method, monkeypatch):
    a, b = points(23, 3), points(23, 3, seed=2)
    whole = walk_paths(small_mlp(), a, b, method=method, num_points=40)
    monkeypatch.setitem(jvp_walk.MAX_NUMBERS, "cpu", 8 * 5)
    monkeypatch.setitem(sampled.MAX_NUMBERS, "cpu", 8 * 15)  # less than one path: cut along the path
    cut = walk_paths(small_mlp(), a, b, method=method, num_points=40)
    np.testing.assert_array_equal(columns(whole), columns(cut))


def test_a_long_history_is_walked_in_halves(monkeypatch):
    a, b = points(23, 3), points(23, 3, seed=2)
    whole = walk_paths(small_mlp(), a, b, method="jvp")
    monkeypatch.setitem(jvp_walk.MAX_HISTORY, "cpu", 2 * int(whole.length.max()))
    cut = walk_paths(small_mlp(), a, b, method="jvp")
    np.testing.assert_array_equal(columns(whole), columns(cut))


def test_a_history_too_long_for_one_path_is_an_error(monkeypatch):
    monkeypatch.setitem(jvp_walk.MAX_HISTORY, "cpu", 3)
    with pytest.raises(RuntimeError, match="more linear regions than can be remembered"):
        walk_paths(small_mlp(), points(5, 3), points(5, 3, seed=2), method="jvp")


def test_region_check_sees_a_walk_that_misses_an_event(monkeypatch):
    """Unit 0 of every layer is made blind to its boundary."""
    right = settle.ratio_to_end

    def blind(*args: Tensor) -> Tensor:
        ratio = right(*args)
        ratio[:, 0] = 1
        return ratio

    a, b = points(20, 3), points(20, 3, seed=2)
    whole = walk_paths(small_mlp(), a, b, method="jvp")
    monkeypatch.setattr(settle, "ratio_to_end", blind)
    missing = walk_paths(small_mlp(), a, b, method="jvp")
    differs = (columns(whole)[:7] != columns(missing)[:7]).any(axis=0)
    assert differs.sum() > 5
    assert (missing.num_violations[differs] > 0).all()


def counted(length: np.ndarray, reach: np.ndarray) -> list[list[int]]:
    """Return rows (length, reach, number of paths) of flat arrays."""
    pairs = list(zip(length.ravel().tolist(), reach.ravel().tolist(), strict=True))
    return [[*cell, pairs.count(cell)] for cell in sorted(set(pairs))]


@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_grid_equals_its_paths_one_by_one(method, monkeypatch):
    monkeypatch.setitem(jvp_walk.MAX_NUMBERS, "cpu", 8 * 6)
    sources, targets = points(7, 3), points(4, 3, seed=2)
    num_done: list[int] = []
    grid = fold_grid(small_mlp(), sources, targets, method=method, num_points=30, progress=num_done.append)
    assert (grid.num_paths, sum(num_done)) == (28, 56)
    assert grid.num_violations == 0
    folding = walk_paths(
        small_mlp(),
        sources.repeat_interleave(4, dim=0),
        targets.repeat(7, 1),
        method=method,
        num_points=30,
    )
    by_pair = {name: column.reshape(7, 4) for name, column in asdict(folding).items()}
    for counts, length, reach, axis in [
        (grid.chi, by_pair["length"], by_pair["reach_from_a"], 1),
        (grid.chi_back, by_pair["length"], by_pair["reach_from_b"], 0),
        (grid.peak, by_pair["peak_length_from_a"], by_pair["peak_reach_from_a"], 1),
        (grid.peak_back, by_pair["peak_length_from_b"], by_pair["peak_reach_from_b"], 0),
    ]:
        np.testing.assert_array_equal(counts.cells, counted(length, reach))
        np.testing.assert_array_equal(counts.row_max, space_folding(length, reach).max(axis))


def test_grid_among_sources_leaves_out_the_path_to_itself(monkeypatch):
    monkeypatch.setitem(jvp_walk.MAX_NUMBERS, "cpu", 8 * 6)
    sources = points(6, 3)
    num_done: list[int] = []
    grid = fold_grid(small_mlp(), sources, progress=num_done.append)
    assert (grid.num_paths, sum(num_done)) == (30, 30)
    i, j = np.nonzero(~np.eye(6, dtype=bool))
    folding = walk_paths(small_mlp(), sources[i], sources[j])
    np.testing.assert_array_equal(grid.chi.cells, counted(folding.length, folding.reach_from_a))
    np.testing.assert_array_equal(
        grid.peak.cells, counted(folding.peak_length_from_a, folding.peak_reach_from_a)
    )
    chi = space_folding(folding.length, folding.reach_from_a).reshape(6, 5)
    np.testing.assert_array_equal(grid.chi.row_max, chi.max(1))
    np.testing.assert_array_equal(grid.chi.cells, grid.chi_back.cells)
    np.testing.assert_array_equal(grid.peak.row_max, grid.peak_back.row_max)


@pytest.mark.parametrize("num_sources", [0, 1])
def test_grid_without_paths(num_sources):
    grid = fold_grid(small_mlp(), points(num_sources, 3))
    assert grid.num_paths == 0
    assert grid.chi.cells.shape == (0, 3)
    np.testing.assert_array_equal(grid.peak.row_max, np.zeros(num_sources))


@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_no_paths(method):
    folding = walk_paths(small_mlp(), points(0, 3), points(0, 3), method=method)
    assert columns(folding).shape == (8, 0)


@pytest.mark.parametrize("num_points", [2, 3, 10])
def test_pairs_among_points(num_points):
    i, j = np.triu_indices(num_points, 1)
    number = np.arange(num_points * (num_points - 1) // 2)
    np.testing.assert_array_equal(engine.pair_among(number, num_points), (i, j))


def test_the_network_and_the_images_are_left_alone():
    network, a, b = residual_net(), points(5, 3).double(), points(5, 3, seed=2).double()
    before = [a.clone(), b.clone(), *(x.clone() for x in network.state_dict().values())]
    for method in ("sampled", "jvp"):
        walk_paths(network, a, b, method=method)
    after = [a, b, *network.state_dict().values()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("method", ["exact", "sampled", "jvp"])
def test_matched_paths_are_counted_as_they_are_walked(method, monkeypatch):
    monkeypatch.setattr(engine, "MATCHED_BLOCK", 4)
    a, b = points(11, 3), points(11, 3, seed=2)
    num_done: list[int] = []
    counted_paths = fold_matched(small_mlp(), a, b, method=method, num_points=30, progress=num_done.append)
    assert (counted_paths.num_paths, counted_paths.num_violations) == (11, 0)
    assert num_done == [8, 8, 6]  # told block by block, both directions
    folding = walk_paths(small_mlp(), a, b, method=method, num_points=30)
    for counts, length, reach in [
        (counted_paths.chi, folding.length, folding.reach_from_a),
        (counted_paths.chi_back, folding.length, folding.reach_from_b),
        (counted_paths.peak, folding.peak_length_from_a, folding.peak_reach_from_a),
        (counted_paths.peak_back, folding.peak_length_from_b, folding.peak_reach_from_b),
    ]:
        np.testing.assert_array_equal(counts.cells, counted(length, reach))
        assert counts.row_max is None


def test_matched_paths_need_one_target_each():
    with pytest.raises(ValueError, match=r"a and b must have one shape: a has \(2, 3\), b has \(3, 3\)"):
        fold_matched(small_mlp(), points(2, 3), points(3, 3))
    assert fold_matched(small_mlp(), points(0, 3), points(0, 3)).chi.cells.shape == (0, 3)
