"""Flips, reach and boundaries of each layer of a network by itself."""

from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
import torch
from torch import nn

from spaceprobe.folding import by_layer, space_folding, trace_path, walk_paths
from spaceprobe.folding.by_layer import NEAR_END, fold_by_layer
from spaceprobe.folding.continuous import continuous_distances
from spaceprobe.networks.cantornet import cantornet
from tests.degenerate_networks import DegenerateCase, cases_of, tent_map
from tests.rational_oracle import hamming_distance, patterns_along
from tests.test_continuous import linear, random_ends, random_network
from tests.test_layerwise_deep import cancelling

ROUNDING = 1e-12
"""Relative, of numbers that a few roundings separate."""


def test_a_tent_flips_twice_as_often_in_each_layer():
    """Of the two units of a layer 4x - 2 flips, once in every piece; 2x touches 0 and turns back."""
    case = DegenerateCase("tent", tent_map(6), False, [Fraction(0)], [Fraction(1)])
    seen = fold_by_layer(case.module(), [[0.0]], [[1.0]])
    assert seen.length.tolist() == [[63, 1, 2, 4, 8, 16, 32]]
    assert seen.reach.tolist() == [[6, 1, 1, 1, 1, 1, 1]]
    assert seen.num_boundaries.tolist() == seen.length.tolist()
    assert seen.chi[0, 3] == 0.75
    assert seen.num_bits.tolist() == [12, *[2] * 6]
    # boundaries at k/64: the first six of them at t < 0.1, the last six at t > 0.9
    assert (seen.num_near_start[0, 0], seen.num_near_end[0, 0]) == (6, 6)
    assert seen.first_t[0].tolist() == [1 / 64, *(0.5**layer for layer in range(1, 7))]


def test_boundaries_per_length_and_the_first_one():
    """relu(x) and relu(x - 7) from -1 to 9, of length 10: at t = 0.1, which is not near, and at 0.8."""
    network = nn.Sequential(linear([[1], [1]], [0, -7]), nn.ReLU())
    seen = fold_by_layer(network, [[-1.0], [-0.5]], [[9.0], [9.5]])
    assert seen.distance.tolist() == [10, 10]
    assert seen.first_boundary[:, 1].tolist() == pytest.approx([1, 0.5], rel=ROUNDING)
    assert seen.density[:, 0].tolist() == [0.2, 0.2]
    assert seen.density_near_start[:, 0].tolist() == [0, 1]
    assert seen.density_in_middle[:, 0].tolist() == pytest.approx([2 / 8, 1 / 8], rel=ROUNDING)
    assert seen.density_near_end[:, 0].tolist() == [0, 0]


def test_a_boundary_of_two_units_is_one():
    seen = fold_by_layer(nn.ReLU(), [[-1.0, -1.0]], [[1.0, 1.0]])
    assert (seen.length.tolist(), seen.reach.tolist()) == ([[2, 2]], [[2, 2]])
    assert seen.num_boundaries.tolist() == [[1, 1]]


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_paths_without_flips(method):
    network, (a, _) = random_network(0), random_ends(0)
    seen = fold_by_layer(network, a, a, method=method)
    assert (seen.length == 0).all()
    for empty in (seen.first_t, seen.first_boundary, seen.density, seen.density_near_start):
        assert np.isnan(empty).all()
    assert (seen.chi == 0).all()
    none = fold_by_layer(network, a[:0], a[:0], method=method)
    assert none.length.shape == none.density.shape == (0, 4)


def test_equals_rational_arithmetic_on_degenerate_networks():
    num_flips = 0
    for case in [
        case for kind in ("known", "tie", "end-on-boundary", "dead") for case in cases_of(kind)[:20]
    ]:
        _, a, b = case.arrays()
        seen = fold_by_layer(case.module(), a[None], b[None])
        hidden = case.layers if case.relu_at_end else case.layers[:-1]
        stops = [*accumulate((len(bias) for _, bias in hidden), initial=0)]
        whole = patterns_along(case.layers, case.relu_at_end, case.a, case.b)
        for layer, (start, stop) in enumerate([(0, stops[-1]), *pairwise(stops)]):
            entered = [(t, pattern[start:stop]) for t, pattern in whole]
            changes = [
                (after[0], distance)
                for before, after in pairwise(entered)
                if (distance := hamming_distance(before[1], after[1]))
            ]
            assert seen.length[0, layer] == sum(distance for _, distance in changes), case.name
            assert seen.num_boundaries[0, layer] == len(changes), case.name
            reach = max(hamming_distance(entered[0][1], pattern) for _, pattern in entered)
            assert seen.reach[0, layer] == reach, case.name
            if changes:
                assert seen.first_t[0, layer] == pytest.approx(float(changes[0][0]), abs=ROUNDING)
            else:
                assert np.isnan(seen.first_t[0, layer])
            num_flips += seen.length[0, layer]
    assert num_flips > 200


@pytest.mark.parametrize("options", [{}, {"threshold": 0.5}, {"method": "sampled", "num_points": 37}])
def test_all_layers_are_what_a_walk_gives(options):
    network, (a, b) = random_network(8, (3, 12, 9, 7)), random_ends(8, 40)
    seen, walked = fold_by_layer(network, a, b, **options), walk_paths(network, a, b, **options)
    assert (seen.length[:, 0] == walked.length).all()
    assert (seen.reach[:, 0] == walked.reach_from_a).all()
    assert (seen.num_violations == 0).all()
    assert (seen.chi[:, 0] == space_folding(walked.length, walked.reach_from_a)).all()
    assert (seen.length[:, 0] == seen.length[:, 1:].sum(1)).all()
    assert (seen.reach[:, 0] >= seen.reach[:, 1:].max(1)).all()
    assert (seen.reach[:, 0] <= seen.reach[:, 1:].sum(1)).all()
    assert (seen.chi[:, 1] == 0).all()  # Lemma 1 of the folding paper: one layer does not fold
    assert (seen.num_boundaries[:, 0] >= seen.num_boundaries[:, 1:].max(1)).all()
    for path in range(3):
        trace = trace_path(network, a[path], b[path], **options)
        is_boundary = np.diff(trace.length, prepend=0) > 0
        assert seen.num_boundaries[path, 0] == is_boundary.sum()
        assert seen.num_near_start[path, 0] == (is_boundary & (trace.t < NEAR_END)).sum()
        assert seen.num_near_end[path, 0] == (is_boundary & (trace.t > 1 - NEAR_END)).sum()
    assert seen.length[:, 3].max() > 7  # more than its units: it folds


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_blocks_do_not_matter(method, monkeypatch):
    network, (a, b) = random_network(10), random_ends(10, 7)
    whole = fold_by_layer(network, a, b, method=method)
    monkeypatch.setattr(by_layer.layerwise, "paths_per_batch", lambda *_: 2)
    monkeypatch.setattr(by_layer, "MAX_STEPS", 300)
    parts = fold_by_layer(network, a, b, method=method)
    for name in ("length", "reach", "num_boundaries", "num_near_start", "num_near_end", "first_t"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=ROUNDING)


def test_a_way_back_has_the_same_flips_and_boundaries():
    network, (a, b) = random_network(9), random_ends(9, 20)
    there, back = fold_by_layer(network, a, b), fold_by_layer(network, b, a)
    assert (there.length == back.length).all()
    assert (there.num_boundaries == back.num_boundaries).all()
    assert (there.num_near_start == back.num_near_end).all()
    assert (there.reach != back.reach).any()


def test_each_end_of_a_bent_activation_is_a_bit_and_a_maximum_a_layer_where_asked():
    seen = fold_by_layer(nn.Hardtanh(), [[-2.0, 0.0]], [[2.0, 0.5]])
    assert (seen.length.tolist(), seen.num_bits.tolist()) == ([[2, 2]], [4, 4])

    class Maximum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(x)
            return torch.relu(torch.maximum(*x.chunk(2, dim=1)) - 1.5)

    ends = [[-1.0, 3.0]], [[3.0, -1.0]]
    assert fold_by_layer(Maximum(), *ends).length.tolist() == [[4, 2, 2]]
    for method in ("exact", "sampled"):
        every = fold_by_layer(Maximum(), *ends, units="all", method=method)
        assert every.num_bits.tolist() == [4, 2, 1, 1]
        # 3 falls to 1 and rises to 3: two flips of the last unit; the winner changes in the middle
        assert every.length.tolist() == [[5, 2, 1, 2]]
        assert every.reach.tolist() == [[3, 2, 1, 1]]


def test_units_that_no_tolerance_resolves_fail_the_region_check():
    ends = torch.tensor([[-1.0], [-3.0], [1.0]]), torch.tensor([[1.0], [-1.0], [1.0]])
    for measure in (fold_by_layer, continuous_distances):
        assert measure(cancelling(2.0**30), *ends).num_violations.tolist() == [0, 0, 0]
        found = measure(cancelling(2.0**43), *ends).num_violations
        assert (found > 0).tolist() == [True, True, False]  # the last path has no length


def test_cantornet():
    """Its length is 6 by the hidden units and the readout; each of both counts once where it flips."""
    seen = fold_by_layer(cantornet(1, True), [[0.0, 0.75]], [[1.0, 0.75]])
    assert seen.length.tolist()[0][0] == 6
    assert seen.length[0, 1:].sum() == 6
    assert seen.num_boundaries[0, 0] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "adaptive"}, "method is 'adaptive'.*exact, layerwise, sampled"),
        ({"method": "sampled", "num_points": 1}, "num_points is 1"),
        ({"threads": 0}, "threads is 0"),
        ({"bits": "monotone"}, "bits is 'monotone'"),
    ],
)
def test_wrong_calls(options, message):
    with pytest.raises(ValueError, match=message):
        fold_by_layer(nn.ReLU(), [[-1.0]], [[1.0]], **options)
