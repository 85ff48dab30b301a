"""Leading directions of matrices of every shape and spectrum, against the full decomposition."""

import math

import pytest
import torch

from spaceprobe.lmd import subspaces
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.subspaces import ACCURACY, GRAM_FROM, largest_angle_sine, leading_directions

# Rounding of orthonormal bases.
ORTHONORMAL = 1e-13


def random_matrix(num_outputs, num_inputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_outputs, num_inputs, dtype=torch.float64, generator=generator)


def with_values(values, num_outputs, num_inputs, seed=0):
    """A matrix of these singular values between random orthonormal bases; also the right one, in rows."""
    values = torch.as_tensor(values, dtype=torch.float64)
    left, right = (
        torch.linalg.qr(random_matrix(size, len(values), seed + side))[0]
        for side, size in enumerate((num_outputs, num_inputs))
    )
    return (left * values) @ right.T, right.T


def forbid(monkeypatch, name):
    def refuse(*_):
        raise AssertionError(f"{name} is not the way for this matrix")

    monkeypatch.setattr(subspaces, name, refuse)


SHAPES = [(GRAM_FROM, GRAM_FROM + 9), (300, 150), (140, 333), (160, 160), (30, 784), (5, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_directions", [1, 3, 8])
def test_directions_are_those_of_the_full_decomposition(shape, num_directions):
    weight = random_matrix(*shape, seed=1)
    found = leading_directions(weight, num_directions)
    rank = min(num_directions, *shape)
    assert found.shape == (rank, shape[1])
    assert float((found @ found.T - torch.eye(rank)).abs().max()) < ORTHONORMAL
    assert largest_angle_sine(found, decompose(weight, rank).Vh) < ACCURACY
    assert found.numpy().tobytes() == leading_directions(weight, num_directions).numpy().tobytes()
    if num_directions == 8:
        assert torch.equal(leading_directions(weight), found)


@pytest.mark.parametrize("shape", [(300, 150), (140, 333), (160, 160)])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_a_large_matrix_is_not_decomposed_in_full(monkeypatch, shape, scale):
    weight = random_matrix(*shape, seed=2)
    expected = decompose(weight, 8).Vh
    forbid(monkeypatch, "_by_svd")
    assert largest_angle_sine(leading_directions(scale * weight), expected) < ACCURACY


@pytest.mark.parametrize("shape", [(300, 150), (140, 333)])
@pytest.mark.parametrize(
    ("values", "gap"),
    [
        ([1.0] * 8 + [1 - 1e-6] * 100, 1e-6),  # too close for the digits that squares leave
        ([1.0, *[1e-3] * 7, *[1e-4] * 100], 9e-4),  # too small a square against the largest
        ([1.0, *[1e-7] * 7, *[1e-8] * 100], 9e-8),  # squares below rounding
        ([1.0] * 108, 0),  # a tie
        ([2.0, 1.0], 0),  # a smaller rank
    ],
)
def test_where_the_gap_is_too_small_everything_is_decomposed(monkeypatch, shape, values, gap):
    weight, basis = with_values(values, *shape)
    seen = []
    in_full = subspaces._by_svd
    monkeypatch.setattr(subspaces, "_by_svd", lambda W, rank: seen.append(rank) or in_full(W, rank))
    found = leading_directions(weight)
    assert seen == [8]
    assert float((found @ found.T - torch.eye(8)).abs().max()) < ORTHONORMAL
    if gap:
        # What rounding of the matrix itself leaves of its directions.
        assert largest_angle_sine(found, basis[:8]) < 1e-14 / gap


def test_whatever_is_accepted_is_accurate():
    """Gaps of every size, from what the Gram matrix cannot see to what it must."""
    num_by_gram = 0
    for power in range(40):
        gap = 10 ** (-power / 4)
        weight, basis = with_values([1.0] * 8 + [1 - gap] * 140, 260, 170, seed=power)
        found = subspaces._by_gram(weight, 8)
        if found is not None:
            num_by_gram += 1
            assert largest_angle_sine(found, basis[:8]) < ACCURACY
    assert 10 < num_by_gram < 30


def test_zeros_and_what_is_no_matrix():
    zeros = leading_directions(torch.zeros(GRAM_FROM, GRAM_FROM + 1))
    assert float((zeros @ zeros.T - torch.eye(8)).abs().max()) < ORTHONORMAL
    with pytest.raises(ValueError, match="num_directions: 0, at least 1 is needed"):
        leading_directions(torch.ones(2, 3), 0)
    with pytest.raises(ValueError, match="weight: 1 of 4 entries are NaN or infinite"):
        leading_directions(torch.tensor([[1.0, math.nan], [0.0, 1.0]]))
