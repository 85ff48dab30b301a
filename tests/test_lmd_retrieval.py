"""Retrieval in latent spaces: known geometry, a literal Hopfield oracle, ties, invariances."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd import retrieval
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.retrieval import (
    noisy_queries,
    retrieval_accuracy,
)

# Standard deviations that a share of independent queries may be off; with fixed seeds it is not chance.
SIGMAS = 4


def gaussian(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def literal_accuracy(stored, queries, sources, projection):
    """Loops, no torch: the first pattern at the least squared distance."""
    num_right = 0
    for query, source in zip(queries.numpy(), sources.tolist(), strict=True):
        distances = []
        for pattern in stored.numpy():
            difference = query - pattern
            if projection is not None:
                difference = [float(np.dot(row, difference)) for row in projection.numpy()]
            distances.append(sum(float(d) ** 2 for d in difference))
        num_right += distances.index(min(distances)) == source
    return num_right / len(sources)


def hopfield_accuracy(stored, queries, sources, projection, beta):
    """Similarity, separation, projection in their literal order; the retrieved pattern is then named."""
    keys, latent = stored @ projection.T, queries @ projection.T
    similarity = -(latent[:, None] - keys[None]).square().sum(dim=2)
    retrieved = torch.softmax(beta * similarity, dim=1) @ torch.eye(len(stored), dtype=torch.float64)
    return float((retrieved.argmax(dim=1) == sources).double().mean())


def test_known_geometry():
    stored = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    queries = torch.tensor([[1.9, 0.1], [2.1, 0.1], [1.0, 2.0], [0.0, 1.4]], dtype=torch.float64)
    sources = torch.tensor([0, 1, 2, 0])
    assert retrieval_accuracy(stored, queries, sources) == 1.0
    # Along the first axis patterns 0 and 2 coincide, and the first counts.
    first_axis = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert retrieval_accuracy(stored, queries, sources, first_axis) == 3 / 4
    # A metric that shrinks the first axis makes pattern 1 look like pattern 0.
    shrunk = torch.tensor([[1e-9, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert retrieval_accuracy(stored, queries, torch.tensor([1, 1, 2, 1]), shrunk) == 1 / 4


@given(
    st.integers(0, 10**6),
    st.sampled_from([None, (1, 7), (3, 7), (9, 7), (0, 7)]),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_accuracy_is_that_of_loops(seed, shape, noise):
    stored = gaussian(5, 7, seed=seed)
    queries, sources = noisy_queries(stored, noise, seed + 1, num_repeats=3)
    projection = None if shape is None else gaussian(*shape, seed=seed + 2)
    found = retrieval_accuracy(stored, queries, sources, projection)
    assert found == literal_accuracy(stored, queries, sources, projection)


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_the_nearest_pattern_is_the_softmax_at_low_temperature(noise):
    stored = gaussian(11, 6, seed=1)
    queries, sources = noisy_queries(stored, noise, 2, num_repeats=20)
    factors = decompose(gaussian(5, 6, seed=3), 4)
    projection = gaussian(4, 4, seed=4) @ factors.Vh
    found = retrieval_accuracy(stored, queries, sources, projection)
    assert found == hopfield_accuracy(stored, queries, sources, projection, beta=1e4)
    assert 0.2 < found < 1


@given(st.integers(0, 10**6))
def test_distances_do_not_see_rotation_scale_shift_or_order(seed):
    stored, projection = gaussian(6, 5, seed=seed), gaussian(3, 5, seed=seed + 1)
    queries, sources = noisy_queries(stored, 0.8, seed + 2, num_repeats=4)
    accuracy = retrieval_accuracy(stored, queries, sources, projection)
    turn = torch.linalg.qr(gaussian(3, 3, seed=seed + 3))[0]
    assert retrieval_accuracy(stored, queries, sources, -2.5 * turn @ projection) == accuracy
    shift = gaussian(5, seed=seed + 4)
    assert retrieval_accuracy(stored + shift, queries + shift, sources, projection) == accuracy
    order = torch.randperm(len(queries), generator=torch.Generator().manual_seed(seed))
    assert retrieval_accuracy(stored, queries[order], sources[order], projection) == accuracy
    names = torch.randperm(len(stored), generator=torch.Generator().manual_seed(seed))
    renamed = torch.argsort(names)[sources]
    assert retrieval_accuracy(stored[names], queries, renamed, projection) == accuracy
    square = torch.linalg.qr(gaussian(5, 5, seed=seed + 5))[0]
    plain = retrieval_accuracy(stored, queries, sources)
    assert retrieval_accuracy(stored, queries, sources, square) == plain


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_two_patterns_by_the_normal_law(noise):
    # Distance 2 between them: a query errs when its noise along that line exceeds 1.
    stored = torch.zeros(2, 3, dtype=torch.float64)
    stored[1, 2] = 2.0
    num_repeats = 5000
    queries, sources = noisy_queries(stored, noise, 5, num_repeats)
    expected = scipy.stats.norm.cdf(1 / noise)
    deviation = math.sqrt(expected * (1 - expected) / (2 * num_repeats))
    found = retrieval_accuracy(stored, queries, sources)
    assert abs(found - expected) <= SIGMAS * deviation


def test_ties_and_duplicates_go_to_the_first():
    stored = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [5.0, 5.0]], dtype=torch.float64)
    queries, sources = noisy_queries(stored, 0.0, 0, num_repeats=3)
    assert retrieval_accuracy(stored, queries, sources) == 3 / 4
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    assert retrieval_accuracy(stored, queries, sources, nothing) == 1 / 4
    assert retrieval_accuracy(stored, queries, sources, torch.zeros(3, 2, dtype=torch.float64)) == 1 / 4
    middle = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    assert retrieval_accuracy(stored, middle, torch.tensor([0])) == 1.0
    assert retrieval_accuracy(stored, middle, torch.tensor([1])) == 0.0


def test_patterns_far_from_the_origin_stay_apart():
    stored = 1e6 + 1e-3 * gaussian(40, 50, seed=6)
    queries, sources = noisy_queries(stored, 1e-5, 7)
    assert retrieval_accuracy(stored, queries, sources) == 1.0


def test_queries_are_seeded_and_scale_with_the_noise():
    stored = gaussian(4, 9, seed=8)
    queries, sources = noisy_queries(stored, 0.5, 3, num_repeats=2)
    assert sources.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    again, _ = noisy_queries(stored, 0.5, 3, num_repeats=2)
    assert queries.numpy().tobytes() == again.numpy().tobytes()
    other, _ = noisy_queries(stored, 0.5, 4, num_repeats=2)
    assert not torch.equal(queries, other)
    double, _ = noisy_queries(stored, 1.0, 3, num_repeats=2)
    assert torch.allclose(double - stored[sources], 2 * (queries - stored[sources]), rtol=0, atol=1e-14)
    assert torch.equal(noisy_queries(stored, 0.0, 3)[0], stored)
    many = noisy_queries(stored, 0.5, 3, num_repeats=2000)[0] - stored.repeat(2000, 1)
    # 72,000 draws: their standard deviation is known to 0.3 %.
    assert float(many.std()) == pytest.approx(0.5, rel=0.01)


def test_queries_are_the_patterns_and_their_noise():
    stored = gaussian(5, 7, seed=9)
    queries, sources = noisy_queries(stored, 0.3, 4, num_repeats=3)
    draws = gaussian(15, 7, seed=4)
    assert torch.equal(queries, stored[sources] + 0.3 * draws)
    assert torch.equal(stored, gaussian(5, 7, seed=9))


@pytest.mark.parametrize("shape", [None, (3, 6)])
def test_distances_are_held_for_some_queries_at_once(monkeypatch, shape):
    stored = gaussian(13, 6, seed=1)
    queries, sources = noisy_queries(stored, 1.5, 2, num_repeats=50)
    projection = None if shape is None else gaussian(*shape, seed=3)
    sizes = []

    def spy(x, y, compute_mode, cdist=torch.cdist):
        sizes.append(len(x))
        return cdist(x, y, compute_mode=compute_mode)

    monkeypatch.setattr(torch, "cdist", spy)
    found = retrieval_accuracy(stored, queries, sources, projection)
    assert 0.1 < found < 0.9
    assert sizes == [256, 256, 138]
    for size in (1, 7, 10**6):
        monkeypatch.setattr(retrieval, "QUERIES_AT_ONCE", size)
        assert retrieval_accuracy(stored, queries, sources, projection) == found
    bad = queries.clone()
    bad[-1, -1] = math.nan
    with pytest.raises(ValueError, match="queries: 650, at least one is needed, and only finite numbers"):
        retrieval_accuracy(stored, bad, sources)


def test_a_global_seed_is_neither_used_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    noisy_queries(gaussian(2, 3), 0.5, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_stored_or_asked_is_refused():
    stored = gaussian(3, 4)
    queries, sources = noisy_queries(stored, 0.1, 0)
    bad = stored.clone()
    bad[1, 2] = math.nan
    for patterns, shape in ((stored[:0], r"\(0, 4\)"), (stored[:, :0], r"\(3, 0\)"), (bad, r"\(3, 4\)")):
        with pytest.raises(ValueError, match=rf"stored: of shape {shape}, at least one pattern"):
            noisy_queries(patterns, 0.1, 0)
    with pytest.raises(ValueError, match=r"stored: of shape \(3, 4\), .* only finite numbers"):
        retrieval_accuracy(bad, queries, sources)
    with pytest.raises(ValueError, match="queries: 0, at least one is needed"):
        retrieval_accuracy(stored, queries[:0], sources[:0])
    with pytest.raises(ValueError, match="queries: 3, at least one is needed, and only finite numbers"):
        retrieval_accuracy(stored, bad, sources)
    with pytest.raises(ValueError, match="sources: from 0 to 3, of 3 stored patterns an index is 0 to 2"):
        retrieval_accuracy(stored, queries, torch.tensor([0, 3, 1]))
    with pytest.raises(ValueError, match=r"projection: of shape \(4, 3\), finite numbers with 4 columns"):
        retrieval_accuracy(stored, queries, sources, gaussian(4, 3))
    for noise in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"noise: {noise}, a finite standard deviation"):
            noisy_queries(stored, noise, 0)
    with pytest.raises(ValueError, match="num_repeats: 0, at least 1 is needed"):
        noisy_queries(stored, 0.1, 0, num_repeats=0)


def test_queries_without_a_source_are_refused(unchecked_shapes):
    stored = gaussian(3, 4)
    with pytest.raises(ValueError, match="sources: 1 for 3 queries, one for each is needed"):
        retrieval_accuracy(stored, stored, torch.tensor([0]))
