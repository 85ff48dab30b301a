"""What must not change a path's folding, on networks and paths that Hypothesis draws."""

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spaceprobe.folding import PathFolding, fold_grid, space_folding, walk_paths

Layers = list[tuple[Tensor, Tensor]]

# Small integers tie, touch and vanish all the time; halves keep every rescaling by powers of two exact.
NUMBERS = [-3, -2, -1, -0.5, 0, 0, 0.5, 1, 2, 3]


@st.composite
def networks(draw: st.DrawFn, max_depth: int = 3) -> Layers:
    """Draw the hidden layers of an MLP; the widths differ."""
    depth = draw(st.integers(1, max_depth))
    widths = [2, *draw(st.permutations([3, 4, 5]))[:depth]]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return [
        (torch.tensor(rng.choice(NUMBERS, (after, before))), torch.tensor(rng.choice(NUMBERS, after)))
        for before, after in pairwise(widths)
    ]


@st.composite
def ends(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    a, b = torch.tensor(rng.choice(NUMBERS, (2, 5, 2)))
    return a, b


METHODS = st.sampled_from(["jvp", "sampled"])


def module(layers: Layers) -> nn.Sequential:
    network = nn.Sequential()
    for weight, bias in layers:
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        linear.load_state_dict({"weight": weight, "bias": bias})
        network.extend([linear, nn.ReLU()])
    return network


def walk(layers: Layers, path: tuple[Tensor, Tensor], method: str) -> PathFolding:
    return walk_paths(module(layers), *path, method=method, num_points=33)


def assert_equal(first: PathFolding, second: PathFolding) -> None:
    for name, column in asdict(first).items():
        np.testing.assert_array_equal(column, asdict(second)[name], err_msg=name)


@given(networks(), ends(), METHODS)
def test_ranges(layers, path, method):
    folding = walk(layers, path, method)
    assert folding.num_violations.sum() == 0
    for reach in (folding.reach_from_a, folding.reach_from_b):
        chi = space_folding(folding.length, reach)
        assert ((chi >= 0) & (chi < 1)).all()
        assert (reach <= folding.length).all()
    for length, reach, whole in [
        (folding.peak_length_from_a, folding.peak_reach_from_a, folding.reach_from_a),
        (folding.peak_length_from_b, folding.peak_reach_from_b, folding.reach_from_b),
    ]:
        peak = space_folding(length, reach)
        assert (peak >= space_folding(folding.length, whole)).all()
        assert ((peak > 0) | (length == 0)).all()


@given(networks(), ends(), METHODS)
def test_reversal(layers, path, method):
    """The reversed path has the same length, and reach and peak of the other end."""
    there, back = walk(layers, path, method), walk(layers, path[::-1], method)
    swapped = {
        name.replace("_a", "_B").replace("_b", "_a").replace("_B", "_b"): column
        for name, column in asdict(back).items()
    }
    assert_equal(there, PathFolding(**swapped))


@given(networks(max_depth=1), ends(), METHODS)
def test_one_hidden_layer_never_folds(layers, path, method):
    """Lemma 1 of the folding paper: each z is affine, so each unit flips at most once."""
    folding = walk(layers, path, method)
    np.testing.assert_array_equal(folding.reach_from_a, folding.length)
    np.testing.assert_array_equal(folding.peak_length_from_a, 0)


@given(networks(), ends(), METHODS, st.data())
def test_permuting_units(layers, path, method, data):
    layer = data.draw(st.integers(0, len(layers) - 1))
    order = data.draw(st.permutations(range(len(layers[layer][1]))))
    permuted = list(layers)
    weight, bias = layers[layer]
    permuted[layer] = weight[order], bias[order]
    if layer + 1 < len(layers):
        weight, bias = layers[layer + 1]
        permuted[layer + 1] = weight[:, order], bias
    assert_equal(walk(layers, path, method), walk(permuted, path, method))


@given(networks(), ends(), METHODS, st.data())
def test_rescaling_units(layers, path, method, data):
    layer = data.draw(st.integers(0, len(layers) - 1))
    weight, bias = layers[layer]
    exponents = data.draw(st.lists(st.integers(-9, 9), min_size=len(bias), max_size=len(bias)))
    factor = 2.0 ** torch.tensor(exponents, dtype=torch.float64)
    rescaled = list(layers)
    rescaled[layer] = weight * factor[:, None], bias * factor
    if layer + 1 < len(layers):
        weight, bias = layers[layer + 1]
        rescaled[layer + 1] = weight / factor, bias
    assert_equal(walk(layers, path, method), walk(rescaled, path, method))


@given(networks(), ends(), METHODS, st.sampled_from([-2.0, 0.0]), st.data())
def test_a_dead_unit(layers, path, method, bias_of_unit, data):
    layer = data.draw(st.integers(0, len(layers) - 1))
    weight, bias = layers[layer]
    longer = list(layers)
    longer[layer] = (
        torch.cat([weight, torch.zeros_like(weight[:1])]),
        torch.cat([bias, torch.full_like(bias[:1], bias_of_unit)]),
    )
    if layer + 1 < len(layers):
        weight, bias = layers[layer + 1]
        longer[layer + 1] = torch.cat([weight, 3 * torch.ones_like(weight[:, :1])], dim=1), bias
    assert_equal(walk(layers, path, method), walk(longer, path, method))


@given(networks(), ends(), METHODS)
def test_counts_add_up_to_the_number_of_paths(layers, path, method):
    sources, targets = path[0], path[1][:3]
    grids = {
        15: fold_grid(module(layers), sources, targets, method=method, num_points=9),
        20: fold_grid(module(layers), sources, method=method, num_points=9),
    }
    for num_paths, grid in grids.items():
        assert grid.num_paths == num_paths
        for counts in (grid.chi, grid.peak, grid.chi_back, grid.peak_back):
            length, reach, paths = counts.cells.T
            assert paths.sum() == num_paths
            assert (paths > 0).all()
            assert space_folding(length, reach).max() == counts.row_max.max()
