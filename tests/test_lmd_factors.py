"""The five factors against their equations, and what becomes of odd matrices."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.arrays import frobenius_norm
from spaceprobe.lmd.certificate import certify
from spaceprobe.lmd.factors import cut, decompose, latent_factors

# docs/definitions.md, "The five factors", measured with a prototype on layers of up to 30 components. The
# rounding of LAPACK's orthogonal factors grows like √components: 300 of them reached 4.0e-15, 784 reached
# 5.7e-15.
RECONSTRUCTION = 5e-14
ISOMETRY = 3e-15
ISOMETRY_OF_HUNDREDS = 1e-14
PENCIL = 4e-13
# Rounding of a product is amplified by at most the square roots of the metrics' condition numbers;
# ten times machine epsilon for the sums inside.
PER_CONDITION = 10 * np.finfo(float).eps

LAYERS = [(30, 784), (20, 30), (30, 20), (10, 30), (1, 7), (7, 1), (1, 1), (12, 12)]


def random_matrix(num_outputs, num_inputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    bound = 1 / math.sqrt(num_inputs)
    return (2 * torch.rand(num_outputs, num_inputs, generator=generator) - 1) * bound


def random_gram(size, condition, seed):
    """A symmetric positive definite matrix with eigenvalues from 1 to its condition number."""
    generator = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    values = torch.logspace(0, math.log10(condition), size, dtype=torch.float64)
    gram = (Q * values) @ Q.T
    return (gram + gram.T) / 2


def fixed_metric(gram_in, gram_out):
    """A latent metric that does not look at the layer."""
    return lambda *_: (gram_in, gram_out)


def largest_is_positive(Vh):
    return all(row[row.abs().argmax()] > 0 for row in Vh)


@pytest.mark.parametrize("shape", LAYERS)
def test_factors_of_a_layer_keep_the_accuracy_of_the_design(shape):
    W = random_matrix(*shape)
    for rank in {1, (min(shape) + 1) // 2, min(shape)}:
        factors = decompose(W, rank)
        found = certify(W, factors)
        assert (found.num_outputs, found.num_inputs, found.rank) == (*shape, rank)
        assert factors.U.shape == (shape[0], rank)
        assert factors.Vh.shape == (rank, shape[1])
        assert len(factors.singular_values) == min(shape)
        assert found.reconstruction_error <= RECONSTRUCTION
        assert found.truncation_gap <= RECONSTRUCTION
        assert max(found.isometry_error_u, found.isometry_error_v) <= ISOMETRY
        tail = math.hypot(*factors.singular_values[rank:].tolist())
        assert found.truncation_error == pytest.approx(tail, abs=RECONSTRUCTION)
        assert largest_is_positive(factors.Vh)


@pytest.mark.parametrize("shape", [(300, 784), (784, 300)])
def test_wide_layers_lose_a_little_isometry(shape):
    W = random_matrix(*shape)
    found = certify(W, decompose(W))
    assert found.reconstruction_error <= RECONSTRUCTION
    assert max(found.isometry_error_u, found.isometry_error_v) <= ISOMETRY_OF_HUNDREDS


def test_singular_values_are_numpys_and_identity_means_identity():
    W = random_matrix(9, 14)
    factors = decompose(W, 5)
    values = np.linalg.svd(W.double().numpy(), compute_uv=False)
    assert factors.singular_values.numpy() == pytest.approx(values, abs=RECONSTRUCTION)
    assert torch.equal(factors.O_dist, torch.eye(5, dtype=torch.float64))
    assert torch.equal(factors.I_dist, torch.eye(5, dtype=torch.float64))
    assert torch.equal(factors.S_prime, factors.singular_values[:5])


def test_known_answer():
    W = torch.tensor([[0.0, -3.0, 0.0], [2.0, 0.0, 0.0]])
    factors = decompose(W)
    assert factors.singular_values.tolist() == [3.0, 2.0]
    assert factors.Vh.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert factors.U.tolist() == [[-1.0, 0.0], [0.0, 1.0]]
    found = certify(W, decompose(W, 1))
    assert (found.truncation_error, found.spectral_norm) == (2.0, 3.0)
    assert found.frobenius_norm == pytest.approx(math.sqrt(13), rel=1e-15)
    assert found.stable_rank == pytest.approx(13 / 9, rel=1e-15)
    assert found.num_ignored_inputs == 1
    assert (found.condition_in, found.condition_out) == (1.0, 1.0)


def test_of_equal_entries_the_first_is_positive():
    W = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [1.0, 1.0, -1.0, -1.0]])
    for row in decompose(W).Vh:
        first = next(x for x in row.tolist() if abs(x) > 0.4)
        assert first > 0


@given(st.integers(0, 10**6), st.sampled_from([(4, 7, 3), (7, 4, 4), (5, 6, 1)]))
def test_factors_do_not_depend_on_the_order_of_outputs(seed, sizes):
    num_outputs, num_inputs, rank = sizes
    W = random_matrix(num_outputs, num_inputs, seed)
    order = torch.randperm(num_outputs, generator=torch.Generator().manual_seed(seed))
    there, here = decompose(W[order], rank), decompose(W, rank)
    assert there.singular_values.numpy() == pytest.approx(here.singular_values.numpy(), abs=1e-14)
    assert there.product().numpy() == pytest.approx(here.product()[order].numpy(), abs=1e-12)


@pytest.mark.parametrize(
    ("rank", "condition_in", "condition_out"), [(5, 10, 3), (13, 30, 100), (20, 100, 100), (1, 1, 1)]
)
def test_latent_metrics_keep_the_accuracy_of_the_design(rank, condition_in, condition_out):
    W = random_matrix(20, 33, seed=3)
    gram_in, gram_out = random_gram(rank, condition_in, 1), random_gram(rank, condition_out, 2)
    factors = decompose(W, rank, metric=fixed_metric(gram_in, gram_out))
    found = certify(W, factors)
    assert found.reconstruction_error <= RECONSTRUCTION
    assert found.truncation_gap <= RECONSTRUCTION
    assert found.condition_in == pytest.approx(condition_in, rel=1e-9)
    assert found.condition_out == pytest.approx(condition_out, rel=1e-9)

    sigma = torch.diag(factors.singular_values[:rank])
    pencil = scipy.linalg.eigh((sigma @ gram_out @ sigma).numpy(), gram_in.numpy(), eigvals_only=True)[::-1]
    error = np.abs(factors.S_prime.numpy() ** 2 - pencil).max() / pencil[0]
    assert error <= PENCIL


def test_the_input_distance_is_the_input_metric():
    W = random_matrix(6, 11)
    gram_in, gram_out = random_gram(4, 50, 5), random_gram(4, 20, 6)
    factors = decompose(W, 4, metric=fixed_metric(gram_in, gram_out))
    x, y = torch.randn(2, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    z = factors.Vh @ (x - y)
    distance = torch.linalg.vector_norm(factors.I_dist @ z) ** 2
    assert float(distance) == pytest.approx(float(z @ gram_in @ z), rel=1e-13)
    inverse = torch.linalg.inv(gram_out)
    assert (factors.O_dist @ factors.O_dist.T).numpy() == pytest.approx(inverse.numpy(), abs=1e-13)


def test_a_metric_sees_the_kept_triplets_and_either_side_may_be_euclidean():
    W = random_matrix(5, 8)
    gram = random_gram(3, 12, 4)
    seen = []

    def metric(U, singular_values, Vh):
        seen.extend([tuple(U.shape), tuple(singular_values.shape), tuple(Vh.shape)])
        return None, gram

    factors = decompose(W, 3, metric=metric)
    assert seen == [(5, 3), (3,), (3, 8)]
    found = certify(W, factors)
    assert found.reconstruction_error <= RECONSTRUCTION
    assert found.condition_in == pytest.approx(1, rel=1e-13)


def test_covariance_on_both_sides_gives_no_separation_at_all():
    """A dead end of docs/definitions.md, "Dead ends": with G_in = C^-1 and G_out = (ΣCΣ)^-1 every S' is 1."""
    sigma = torch.tensor([4.0, 2.5, 1.0, 0.5], dtype=torch.float64)
    C = random_gram(4, 9, 7)
    gram_out = torch.linalg.inv(torch.diag(sigma) @ C @ torch.diag(sigma))
    gram_in = torch.linalg.inv(C)
    _, S_prime, _ = latent_factors(sigma, (gram_in + gram_in.T) / 2, (gram_out + gram_out.T) / 2)
    assert S_prime.numpy() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("condition", [1e3, 1e6, 1e9])
def test_ill_conditioned_metrics_cost_accuracy_as_documented(condition):
    W = random_matrix(12, 17)
    gram_in, gram_out = random_gram(12, condition, 1), random_gram(12, condition, 2)
    found = certify(W, decompose(W, metric=fixed_metric(gram_in, gram_out)))
    assert found.reconstruction_error <= PER_CONDITION * condition


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4)])
def test_a_zero_matrix_has_no_separation_and_no_error(shape):
    W = torch.zeros(shape)
    factors = decompose(W)
    found = certify(W, factors)
    assert factors.S_prime.tolist() == [0.0] * min(shape)
    assert (found.reconstruction_error, found.truncation_error, found.truncation_gap) == (0, 0, 0)
    assert (found.frobenius_norm, found.spectral_norm, found.stable_rank) == (0, 0, 0)
    assert max(found.isometry_error_u, found.isometry_error_v) <= ISOMETRY
    assert found.num_ignored_inputs == shape[1]


def test_rank_zero_keeps_nothing():
    W = random_matrix(3, 4)
    found = certify(W, decompose(W, 0))
    assert found.truncation_error == found.frobenius_norm
    assert (found.condition_in, found.condition_out, found.isometry_error_u) == (1, 1, 0)
    assert (found.reconstruction_error, found.truncation_gap) == (0, pytest.approx(0, abs=1e-15))


@pytest.mark.parametrize("scale", [1e-290, 1e-30, 1e200])
def test_very_small_and_very_large_weights(scale):
    W = random_matrix(6, 9).double() * scale
    found = certify(W, decompose(W, 4))
    assert found.frobenius_norm == pytest.approx(scale * frobenius_norm(W / scale), rel=1e-13)
    assert found.reconstruction_error <= RECONSTRUCTION
    assert found.truncation_gap <= RECONSTRUCTION


def test_any_real_matrix_is_taken_as_float64():
    W = random_matrix(4, 6)
    expected = decompose(W).product()
    read_only = W.numpy().copy()
    read_only.setflags(write=False)
    for weight in (W, torch.nn.Parameter(W), read_only, W.tolist(), W.numpy()[:, ::-1][:, ::-1]):
        found = decompose(weight)
        assert found.U.dtype == torch.float64
        assert not found.U.requires_grad
        assert torch.equal(found.product(), expected)
    assert decompose(W.bfloat16()).rank == 4
    assert decompose([[1, 2], [3, 4], [5, 6]]).rank == 2


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.zeros(5), r"weight: of shape \(5,\), a matrix with entries is needed"),
        (torch.zeros(2, 3, 4), r"weight: of shape \(2, 3, 4\)"),
        (torch.zeros(0, 4), r"weight: of shape \(0, 4\)"),
        (torch.tensor([[1.0, math.nan], [math.inf, 2.0]]), r"weight: 2 of 4 entries are NaN or inf"),
        (torch.zeros(2, 3, dtype=torch.complex64), "weight: complex, a real matrix is needed"),
    ],
)
def test_what_is_no_weight_is_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        decompose(weight)


@pytest.mark.parametrize("rank", [-1, 4])
def test_a_rank_out_of_range_is_refused(rank):
    with pytest.raises(ValueError, match=rf"rank: {rank} is out of range for a 3 × 5 matrix, 0 to 3"):
        decompose(torch.ones(3, 5), rank)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric: 'laplace' is unknown, known are identity"):
        decompose(torch.ones(2, 3), metric="laplace")


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        ([[1.0, 0.5], [0.4, 1.0]], r"gram_in: not symmetric, entries differ by up to 0\.1"),
        ([[1.0, 2.0], [2.0, 1.0]], r"gram_in: not positive definite, eigenvalues from -1 to 3"),
        ([[1.0, 1.0], [1.0, 1.0]], "gram_in: not positive definite"),
        ([[0.0, 0.0], [0.0, 0.0]], "gram_in: not positive definite"),
        ([[math.nan, 0.0], [0.0, 1.0]], "gram_in: not symmetric, entries differ by up to nan"),
        ([[1.0]], r"gram_in: of shape \(1, 1\), rank 2 is needed"),
    ],
)
def test_what_is_no_metric_is_refused(gram, message):
    gram = torch.tensor(gram, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        decompose(torch.ones(2, 3), metric=fixed_metric(gram, None))


def test_factors_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="factors: of a 2 × 3 matrix, the weight is 3 × 2"):
        certify(torch.ones(3, 2), decompose(torch.ones(2, 3)))


def test_same_bytes_every_time():
    W = random_matrix(30, 784)
    first, second = decompose(W, 11), decompose(W.clone(), 11)
    for name in ("U", "O_dist", "S_prime", "I_dist", "Vh", "singular_values"):
        assert getattr(first, name).numpy().tobytes() == getattr(second, name).numpy().tobytes()


@pytest.mark.parametrize("rank", [0, 3, None])
def test_a_cut_is_a_decomposition(rank):
    W = random_matrix(6, 9)
    metric = fixed_metric(random_gram(3, 10, 1), random_gram(3, 5, 2)) if rank == 3 else "identity"
    expected, found = decompose(W, rank, metric), cut(decompose(W), rank, metric)
    for name in ("U", "O_dist", "S_prime", "I_dist", "Vh", "singular_values"):
        assert torch.equal(getattr(expected, name), getattr(found, name))


def test_what_was_cut_off_cannot_come_back():
    with pytest.raises(ValueError, match="whole: holds 2 of 6 components, all are needed"):
        cut(decompose(random_matrix(6, 9), 2))
    with pytest.raises(ValueError, match="rank: 7 is out of range for a 6 × 9 matrix, 0 to 6"):
        cut(decompose(random_matrix(6, 9)), 7)
