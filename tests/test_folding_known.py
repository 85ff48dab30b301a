"""Known answers: docs/definitions.md, "Known answers"."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from spaceprobe.folding import space_folding, trace_path, walk_paths
from spaceprobe.networks.cantornet import cantornet

START, END = torch.tensor([0.0, 0.75]), torch.tensor([1.0, 0.75])


def identity_layer() -> nn.Sequential:
    linear = nn.Linear(2, 2, bias=False)
    linear.load_state_dict({"weight": torch.eye(2)})
    return nn.Sequential(linear, nn.ReLU())


@pytest.mark.parametrize(
    ("num_folds", "relu_after_readout", "length", "reach"),
    [
        (1, True, 6, 3),
        (2, True, 16, 5),
        (3, True, 36, 7),
        (1, False, 4, 2),
        (2, False, 12, 4),
        (3, False, 28, 6),
    ],
)
def test_cantornet(num_folds, relu_after_readout, length, reach):
    folding = walk_paths(cantornet(num_folds, relu_after_readout), START[None], END[None])
    assert (folding.length[0], folding.reach_from_a[0]) == (length, reach)
    assert space_folding(folding.length, folding.reach_from_a)[0] == pytest.approx(
        float(1 - Fraction(reach, length)), abs=1e-15
    )


def test_cantornet_at_eleven_points_as_in_the_folding_paper():
    trace = trace_path(cantornet(2, True), START, END, method="sampled", num_points=11)
    np.testing.assert_array_equal(trace.t, np.arange(11) / 10)
    assert trace.length[0] == trace.distance[0] == 0
    assert 0.65 < trace.chi[-1] < 0.75


def test_cantornet_step_by_step():
    """By hand: the readout at 1/6 and 5/6; a fold and the sum of both folds at 1/3 and 2/3."""
    trace = trace_path(cantornet(1, True), START, END)
    np.testing.assert_allclose(trace.t, [0, 1 / 6, 1 / 3, 2 / 3, 5 / 6], atol=1e-15)
    np.testing.assert_array_equal(trace.length, [0, 1, 3, 5, 6])
    np.testing.assert_array_equal(trace.distance, [0, 1, 3, 3, 2])
    np.testing.assert_array_equal(trace.chi, [0, 0, 0, 1 - 3 / 5, 1 / 2])


def test_two_units_that_flip_one_after_the_other():
    a, b = torch.tensor([-1.0, 3.0]), torch.tensor([3.0, -1.0])
    trace = trace_path(identity_layer(), a, b)
    np.testing.assert_array_equal(trace.t, [0, 1 / 4, 3 / 4])
    np.testing.assert_array_equal(trace.length, [0, 1, 2])
    np.testing.assert_array_equal(trace.distance, [0, 1, 2])


def test_two_units_that_flip_together_are_one_step():
    trace = trace_path(identity_layer(), torch.tensor([-1.0, 1.0]), torch.tensor([1.0, -1.0]))
    np.testing.assert_array_equal(trace.t, [0, 1 / 2])
    np.testing.assert_array_equal(trace.length, [0, 2])
    np.testing.assert_array_equal(trace.distance, [0, 2])


def test_a_path_that_does_not_move():
    folding = walk_paths(identity_layer(), torch.ones(3, 2), torch.ones(3, 2))
    for column in (folding.length, folding.reach_from_a, folding.peak_length_from_b):
        np.testing.assert_array_equal(column, [0, 0, 0])
