"""The leading triplets of large matrices against the full decomposition and their stated errors."""

import math

import numpy as np
import pytest
import torch

from spaceprobe.lmd.large import BLOCK, NUM_STEPS, PAYS_FROM, leading_triplets

# The iteration runs in float32; the stated errors of what has converged are of its size.
FLOAT32_FLOOR = 1e-6
# Values are exact to the square of the subspace's error where the spectrum decays.
VALUE = 1e-11
# Rounding of float64 in matrices of hundreds of rows.
ROUNDING = 1e-13
# Nine steps, in half of the space: with fewer the values of the slowest decay have not settled.
SHAPES = [(400, 300), (300, 400)]
NUM_VALUES = 12
KRYLOV_DIM = 144


def matrix_with(values, shape, seed=0):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(size, len(values))))[0] for size in shape)
    return torch.from_numpy((left * values) @ right.T)


def power_law(power):
    return np.arange(1.0, 301.0) ** -power


def isometry_error(columns):
    return float((columns.T @ columns - torch.eye(columns.shape[1], dtype=torch.float64)).abs().max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_decaying_spectra_are_found_to_many_digits(shape, power):
    values = power_law(power)
    W = matrix_with(values, shape)
    found = leading_triplets(W, NUM_VALUES, krylov_dim=KRYLOV_DIM)
    assert found.krylov_dim == KRYLOV_DIM < min(shape)
    assert found.singular_values.numpy() == pytest.approx(values[:NUM_VALUES], abs=VALUE)
    assert float(found.residuals.max()) <= FLOAT32_FLOOR
    assert max(isometry_error(found.U), isometry_error(found.Vh.T)) <= ROUNDING
    assert found.U.shape == (shape[0], NUM_VALUES)
    assert found.Vh.shape == (NUM_VALUES, shape[1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "slow", "low rank in noise", "exponential"])
def test_the_stated_errors_hold(shape, kind):
    rng = np.random.default_rng(7)
    noise = torch.from_numpy(rng.normal(size=shape))
    W = {
        "noise": noise,
        "slow": matrix_with(power_law(0.25), shape),
        "low rank in noise": noise + 40 * matrix_with(power_law(0.5)[:6], shape),
        "exponential": matrix_with(np.exp(-np.arange(300) / 2), shape),
    }[kind]
    found = leading_triplets(W, NUM_VALUES, krylov_dim=KRYLOV_DIM)
    true = torch.linalg.svdvals(W)
    residuals = torch.linalg.vector_norm(W @ found.Vh.T - found.U * found.singular_values, dim=0) / true[0]
    assert found.residuals.numpy() == pytest.approx(residuals.numpy(), rel=1e-6, abs=ROUNDING)
    # The other side of the triplets is exact by construction, which the error bound rests on.
    other = W.T @ found.U - found.Vh.T * found.singular_values
    assert float(torch.linalg.vector_norm(other, dim=0).max() / true[0]) <= ROUNDING
    nearest = (true[:, None] - found.singular_values).abs().min(dim=0).values / true[0]
    assert (nearest <= found.residuals + ROUNDING).all()
    # From below, as a search in a subspace finds them (interlacing).
    assert (found.singular_values <= true[:NUM_VALUES] + ROUNDING * true[0]).all()
    if kind == "noise":  # the hard case: nothing is hidden about it
        assert float(found.residuals.max()) > 1e-3


def test_a_larger_space_finds_even_noise():
    W = torch.from_numpy(np.random.default_rng(7).normal(size=(400, 350)))
    true = torch.linalg.svdvals(W)[:4].numpy()
    few = leading_triplets(W, 4, krylov_dim=32)
    many = leading_triplets(W, 4, krylov_dim=160)
    assert float(many.residuals.max()) < 1e-3 * float(few.residuals.max())
    assert many.singular_values.numpy() == pytest.approx(true, rel=FLOAT32_FLOOR)


def test_vectors_are_those_of_the_full_decomposition():
    W = matrix_with(power_law(1.0), (400, 300))
    found = leading_triplets(W, NUM_VALUES, krylov_dim=KRYLOV_DIM)
    U, _, Vh = torch.linalg.svd(W, full_matrices=False)
    gap = 1 / 12 - 1 / 13
    for there, here in ((U[:, :NUM_VALUES], found.U), (Vh[:NUM_VALUES].T, found.Vh.T)):
        cosines = (there * here).sum(dim=0).abs()
        # sin of the angle ≤ residual / gap (Wedin 1972).
        assert float((1 - cosines**2).clamp(min=0).sqrt().max()) <= FLOAT32_FLOOR / gap
    assert all(row[row.abs().argmax()] > 0 for row in found.Vh)


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_singular_values_and_low_rank_are_no_trap(shape):
    """The Krylov space of an orthogonal matrix ends with its first block: there must be more to it."""
    found = leading_triplets(matrix_with(np.full(300, 0.5), shape), NUM_VALUES + 8, krylov_dim=KRYLOV_DIM)
    assert found.singular_values.numpy() == pytest.approx(0.5, rel=VALUE)
    assert float(found.residuals.max()) <= FLOAT32_FLOOR

    found = leading_triplets(matrix_with([3.0, 2.0, 2.0, 1.0], shape), NUM_VALUES, krylov_dim=KRYLOV_DIM)
    expected = [3.0, 2.0, 2.0, 1.0] + [0.0] * (NUM_VALUES - 4)
    assert found.singular_values.numpy() == pytest.approx(expected, abs=VALUE)
    assert float(found.residuals.max()) <= FLOAT32_FLOOR
    assert max(isometry_error(found.U), isometry_error(found.Vh.T)) <= ROUNDING


def sparse_matrix(values):
    """Exact zeros everywhere but for one entry a value, so that nothing is left to orthogonalise."""
    W = torch.zeros(400, 300)
    for i, value in enumerate(values):
        W[(7 * i + 3) % 400, (11 * i + 5) % 300] = value
    return W


@pytest.mark.parametrize("values", [[5.0], [4.0, 3.0, 3.0, 1.0], [1.0] * 20, [2.0] * 9 + [1.0] * 291])
def test_exact_zeros_are_no_trap(values):
    found = leading_triplets(sparse_matrix(values), NUM_VALUES + 8, krylov_dim=KRYLOV_DIM)
    expected = (values + [0.0] * 20)[:20]
    assert found.singular_values.numpy() == pytest.approx(expected, abs=VALUE)
    assert float(found.residuals.max()) <= FLOAT32_FLOOR
    assert max(isometry_error(found.U), isometry_error(found.Vh.T)) <= ROUNDING


def test_a_small_matrix_is_decomposed_in_full():
    W = torch.from_numpy(np.random.default_rng(3).normal(size=(30, 20)))
    found = leading_triplets(W, 5)
    assert found.krylov_dim == 20
    assert found.singular_values.tolist() == torch.linalg.svd(W, full_matrices=False)[1][:5].tolist()
    assert float(found.residuals.max()) <= ROUNDING


def test_what_pays_is_decided_by_the_shorter_side():
    edge = PAYS_FROM * NUM_STEPS * BLOCK
    W = matrix_with(np.exp(-np.arange(20)), (edge + 5, edge))
    assert leading_triplets(W, 4).krylov_dim == NUM_STEPS * BLOCK
    assert leading_triplets(W[:, 1:], 4).krylov_dim == edge - 1


def test_a_zero_matrix_has_zero_values_and_no_error():
    found = leading_triplets(torch.zeros(200, 150), 3)
    assert found.singular_values.tolist() == found.residuals.tolist() == [0.0] * 3
    assert max(isometry_error(found.U), isometry_error(found.Vh.T)) <= ROUNDING


@pytest.mark.parametrize("power", [-250, -60, 300])
def test_the_scale_of_the_matrix_does_not_matter(power):
    W = matrix_with(power_law(0.5), (400, 300))
    plain = leading_triplets(W, NUM_VALUES, krylov_dim=KRYLOV_DIM)
    scaled = leading_triplets(W * 2.0**power, NUM_VALUES, krylov_dim=KRYLOV_DIM)
    assert scaled.singular_values.numpy() / 2.0**power == pytest.approx(
        plain.singular_values.numpy(), rel=ROUNDING
    )
    assert (scaled.residuals <= FLOAT32_FLOOR).all()


def test_a_seed_gives_the_same_bytes():
    W = torch.from_numpy(np.random.default_rng(3).normal(size=(400, 300)))
    first, again, other = (leading_triplets(W, NUM_VALUES, seed, KRYLOV_DIM) for seed in (1, 1, 2))
    for name in ("U", "singular_values", "Vh", "residuals"):
        assert getattr(first, name).numpy().tobytes() == getattr(again, name).numpy().tobytes()
    assert not torch.equal(first.singular_values, other.singular_values)


@pytest.mark.parametrize(
    ("num_values", "krylov_dim", "message"),
    [
        (0, None, "num_values: 0 is out of range for a 40 × 30 matrix, 1 to 30"),
        (31, None, "num_values: 31 is out of range for a 40 × 30 matrix, 1 to 30"),
        (5, 20, "krylov_dim: 20 for 5 values, at least 21 is needed"),
    ],
)
def test_numbers_out_of_range_are_refused(num_values, krylov_dim, message):
    with pytest.raises(ValueError, match=message):
        leading_triplets(torch.ones(40, 30), num_values, krylov_dim=krylov_dim)


def test_what_is_no_weight_is_refused():
    with pytest.raises(ValueError, match="weight: 1 of 4 entries are NaN or infinite"):
        leading_triplets(torch.tensor([[1.0, math.nan], [0.0, 1.0]]), 1)
