"""What windows choose, counted as well: against rational arithmetic, samples and numbers by hand."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaceprobe.folding import (
    PathFolding,
    UncountedUnits,
    engine_for,
    fold_grid,
    fold_matched,
    passed_over,
    trace_path,
    walk_batch,
    walk_paths,
)
from spaceprobe.folding.layerwise import walk
from tests.piecewise_networks import WINDOWS, PiecewiseNetwork, draw_windows, drawn_networks


def ends(network: PiecewiseNetwork) -> list[Tensor]:
    return [torch.tensor([[float(x) for x in end]], dtype=torch.float64) for end in (network.a, network.b)]


def columns(folding: PathFolding) -> tuple[int, ...]:
    return tuple(
        int(column[0])
        for column in (
            folding.length, folding.reach_from_a, folding.peak_length_from_a, folding.peak_reach_from_a,
            folding.reach_from_b, folding.peak_length_from_b, folding.peak_reach_from_b,
        )
    )  # fmt: skip


def test_equals_rational_arithmetic_on_networks_of_maxima():
    networks = drawn_networks(150, draw_windows)
    assert {kind for network in networks for kind, _ in network.steps} >= {*WINDOWS}
    assert sum(network.fold(with_windows=True)[0] for network in networks) > 450  # flips
    for network in networks:
        folding = walk_batch(network.module(), *ends(network), units="all")
        assert columns(folding) == network.fold(with_windows=True), network.name
        assert folding.num_violations[0] == 0, network.name


def test_equals_rational_arithmetic_where_maxima_stand_between_activations_that_bend_and_jump():
    networks = drawn_networks(60)
    assert any(n.fold() != n.fold(with_windows=True) for n in networks)
    for network in networks:
        folding = walk_batch(network.module(), *ends(network), units="all", method="layerwise")
        assert columns(folding) == network.fold(with_windows=True), network.name


class OfFunction(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def traced(function, a: list[float], b: list[float], units: str = "all") -> list[tuple[float, int, int]]:
    """Return t, distance and length of each step of the path from a to b."""
    trace = trace_path(OfFunction(function), torch.tensor(a), torch.tensor(b), units=units)
    return [*zip(trace.t.tolist(), trace.distance.tolist(), trace.length.tolist(), strict=True)]


def test_a_window_is_one_unit_whose_symbol_is_its_winner():
    """(x, 1/2, 1 - x) from x = 1 to 0: the first wins to t = 1/2, then the last; in between 1/2 just ties."""

    def maxout(x):
        return x.view(len(x), 1, 3).amax(2)

    assert traced(maxout, [1.0, 0.5, 0.0], [0.0, 0.5, 1.0]) == [(0, 0, 0), (0.5, 1, 1)]
    # and where the one in the middle is above both from 1/4 to 3/4: a second flip, of the same unit
    steps = traced(maxout, [1.0, 0.75, 0.0], [0.0, 0.75, 1.0])
    assert steps == [(0, 0, 0), (0.25, 1, 1), (0.75, 1, 2)]


def test_a_winner_that_comes_back_is_as_far_as_at_the_start():
    """max(|x|, 1) from -2 to 2: the first, the second from 1/4, the first again from 3/4."""
    steps = traced(lambda x: torch.maximum(x.relu() + (-x).relu(), 0 * x + 1), [-2.0], [2.0])
    # the two ReLUs flip at 1/2
    assert steps == [(0, 0, 0), (0.25, 1, 1), (0.5, 3, 3), (0.75, 2, 4)]


@pytest.mark.parametrize("b", [[2.0, 2.0], [0.5, 0.5]])
def test_entries_that_are_equal_on_an_interval_leave_it_to_the_first(b):
    """Two entries that are equal all the way."""
    assert traced(lambda x: torch.maximum(x[:, :1], x[:, 1:]), [1.0, 1.0], b) == [(0, 0, 0)]


@pytest.mark.parametrize("largest", [torch.maximum, torch.minimum])
def test_entries_that_only_rounding_tells_apart_are_equal(largest):
    """0.3 z and 0.1 z + 0.2 z, where z bends at seven places: only the seven ReLUs flip."""

    def network(x):
        z = x + sum((x - k / 8).relu() for k in range(1, 8))
        return largest(0.3 * z, 0.1 * z + 0.2 * z)

    assert [length for _, _, length in traced(network, [0.0], [1.0])] == [*range(8)]


def test_a_tie_on_an_interval_ends_where_the_entries_part():
    """relu(x) against relu(-x) from -1 to 1 has no tie; relu(x) against relu(2x) is one until 0."""
    steps = traced(lambda x: torch.maximum(x.relu(), (2 * x).relu()), [-1.0], [1.0])
    assert steps == [(0, 0, 0), (0.5, 3, 3)]


def test_windows_that_flip_at_one_t_but_for_rounding_flip_in_one_step():
    """c x and c (1 - 2x), for several c, meet at x = 1/3."""
    factors = [0.1, 0.3, 0.7, 1.1, 1.3, 1.7]
    steps = traced(lambda x: sum(torch.maximum(c * x, c - (2 * c) * x) for c in factors), [0.0], [1.0])
    assert [(distance, length) for _, distance, length in steps] == [(0, 0), (6, 6)]


def pooled_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 3, padding=1)),
        *(
            nn.LeakyReLU(),
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 6),
            nn.ReLU(),
            nn.Linear(6, 2),
        ),
    )


def test_dense_samples_see_the_same_windows():
    network = pooled_network()
    a, b = torch.randn(2, 3, 1, 7, 7)
    exact = walk_batch(network, a, b, units="all")
    sampled = walk_batch(network, a, b, units="all", method="sampled", num_points=50_001)
    activations = walk_batch(network, a, b)
    assert (exact.length > activations.length).all()
    for name in ("length", "reach_from_a", "reach_from_b", "peak_length_from_a", "peak_reach_from_b"):
        np.testing.assert_array_equal(getattr(exact, name), getattr(sampled, name), err_msg=name)


def test_parts_of_a_path_and_reversal_change_nothing(monkeypatch):
    network = pooled_network()
    a, b = torch.randn(2, 2, 1, 7, 7)
    whole, back = walk_batch(network, a, b, units="all"), walk_batch(network, b, a, units="all")
    np.testing.assert_array_equal(whole.length, back.length)
    np.testing.assert_array_equal(whole.reach_from_a, back.reach_from_b)
    monkeypatch.setattr(walk, "MAX_ROOM", 1)
    monkeypatch.setattr(walk, "most_numbers", lambda _: 4_000)
    in_parts = walk_batch(network, a, b, units="all")
    np.testing.assert_array_equal(whole.length, in_parts.length)
    np.testing.assert_array_equal(whole.reach_from_a, in_parts.reach_from_a)


def test_float32_leaves_close_windows_to_float64():
    network = pooled_network()
    a, b = torch.randn(2, 4, 1, 7, 7)
    a[:, :, :3], b[:, :, :3] = 0, 0  # a background, on which entries are equal
    whole = walk_batch(network, a, b, units="all")
    rough = walk_batch(network, a, b, units="all", method="layerwise", precision="float32")
    np.testing.assert_array_equal(whole.length, rough.length)
    np.testing.assert_array_equal(whole.reach_from_a, rough.reach_from_a)


def test_every_entry_point_counts_windows():
    network = pooled_network()
    a, b = torch.randn(2, 2, 1, 7, 7)
    length = walk_batch(network, a, b, units="all").length
    matched = fold_matched(network, a, b, units="all")
    assert sorted(row[0] for row in matched.chi.cells.tolist()) == sorted(length)
    assert fold_grid(network, a[:1], b[:1], units="all").chi.cells[0, 0] == length[0]
    assert trace_path(network, a[0], b[0], units="all").length[-1] == length[0]


def test_a_window_after_the_last_activation_counts():
    network = nn.Sequential(nn.ReLU(), nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2))
    a, b = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    assert walk_batch(network, a, b).length[0] == 0
    assert walk_batch(network, a, b, units="all").length[0] == 1
    assert walk_batch(network, a, b, units="all", method="sampled").length[0] == 1


def test_what_is_counted_is_not_warned_of():
    network = pooled_network()
    a, b = torch.randn(2, 1, 1, 7, 7)
    with pytest.warns(
        UncountedUnits, match=r"^only activations are counted, not what these choose: max_pool2d"
    ):
        walk_paths(network, a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk_paths(network, a, b, units="all")
    assert passed_over(network, a, units="all") == ()
    normed = nn.Sequential(
        nn.Linear(4, 4), nn.LayerNorm(4), nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2), nn.ReLU()
    )
    assert passed_over(normed, torch.zeros(1, 4), units="all") == ("layer_norm in '1'",)
    with pytest.warns(
        UncountedUnits, match=r"^only activations and windows are counted, .*: layer_norm in '1'$"
    ):
        walk_paths(normed, *torch.randn(2, 1, 4), method="sampled", units="all")


def test_a_plain_mlp_is_walked_by_the_kernel_all_the_same():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    a, b = torch.randn(2, 5, 4)
    assert engine_for(network, a, units="all") == "kernel"
    assert engine_for(pooled_network(), torch.zeros(1, 1, 7, 7), units="all") == "layerwise"
    for method in ("kernel", "jvp", "layerwise"):
        counted = walk_paths(network, a, b, units="all", method=method)
        np.testing.assert_array_equal(counted.length, walk_paths(network, a, b).length)


def test_a_maximum_is_found_however_it_is_called():
    a, b = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]])
    for function in (
        lambda x: torch.max(x[:, :1], x[:, 1:]),
        lambda x: torch.max(x[:, :1], other=x[:, 1:]),
        lambda x: torch.maximum(input=x[:, :1], other=x[:, 1:]),
        lambda x: x.max(dim=1).values,
        lambda x: torch.max(x, 1, True)[0],
        lambda x: x.amin((1,)),
        lambda x: torch.min(input=x, dim=1)[0],
        lambda x: x[:, :1].fmax(x[:, 1:]),
    ):
        for method in ("layerwise", "sampled"):
            folding = walk_batch(OfFunction(function), a, b, units="all", method=method)
            assert folding.length[0] == 1


def test_what_cannot_be_counted_is_refused():
    network, a = pooled_network(), torch.zeros(1, 1, 7, 7)
    with pytest.raises(ValueError, match='method is "jvp": it counts ReLUs alone; use "exact" or'):
        walk_batch(network, a, a, units="all", method="jvp")
    with pytest.raises(ValueError, match="units is 'windows': choose one of activations, all"):
        walk_batch(network, a, a, units="windows")
    mixing = OfFunction(lambda x: x.relu() + x.amax(0, keepdim=True))
    with pytest.raises(ValueError, match="mixes the inputs of a batch"):
        walk_batch(
            OfFunction(lambda x: mixing.function(x).relu()),
            *torch.zeros(2, 1, 3),
            units="all",
            method="sampled",
        )
