"""Memories that recall patterns by iterated updates: literal loops, known rest points, and attention."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaceprobe.lmd import memory as memories
from spaceprobe.lmd.factors import cut, decompose
from spaceprobe.lmd.memory import attention_memory, latent_memory, plain_memory, recall, retrieve, weights_of
from spaceprobe.lmd.retrieval import noisy_queries, retrieval_accuracy
from spaceprobe.networks.matrices import attention_heads, weight_matrices
from spaceprobe.networks.transformer import Attention

CLOSE = 1e-9
"""Sums of a few numbers near 1 in float64, taken in another order, over at most 50 updates that contract."""


def gaussian(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def literal(similarity, patterns, values, query, sharpness, tolerance, max_steps):
    """One query, in loops: its value, its value after one update, and the updates."""
    state, first = query, None
    moved, steps = math.inf, 0
    while moved > tolerance and steps < max_steps:
        scores = [sharpness * similarity(state, pattern) for pattern in patterns]
        powers = [math.exp(score - max(scores)) for score in scores]
        weights = [power / sum(powers) for power in powers]
        updated = sum(w * pattern for w, pattern in zip(weights, patterns, strict=True))
        value = sum(w * v for w, v in zip(weights, values, strict=True))
        first = value if first is None else first
        moved = math.dist(updated, state)
        state = updated
        steps += 1
    return value, first, steps


def literal_spread(similarity, patterns):
    rows = [[similarity(a, b) for b in patterns] for a in patterns]
    return math.sqrt(np.mean([np.var(row) for row in rows]))


@pytest.mark.parametrize("beta", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("num_stored", [5, 9])
def test_a_latent_memory_is_what_the_paper_reads(num_stored, beta):
    """Similarity I_dist Vᵀ, softmax, projection U O_dist S′; fewer and more patterns than rank."""

    def metric(U, values, Vh):
        skew = gaussian(len(values), len(values), seed=7)
        gram = torch.eye(len(values), dtype=torch.float64) + skew @ skew.T
        return gram, None

    factors = decompose(gaussian(8, 10, seed=1), 6, metric)
    stored = gaussian(num_stored, 10, seed=2)
    queries, _ = noisy_queries(stored, 0.5, 3, num_repeats=2)
    latent = (factors.I_dist @ factors.Vh).numpy()
    back = (factors.U @ factors.O_dist @ torch.diag(factors.S_prime)).numpy()
    patterns = [latent @ x for x in stored.numpy()]
    values = [back @ k for k in patterns]

    def similarity(a, b):
        return -(math.dist(a, b) ** 2) / 2

    sharpness = beta / literal_spread(similarity, patterns)
    tolerance = memories.TOLERANCE * math.sqrt(np.var(patterns, axis=0).sum())
    found = retrieve(latent_memory(stored, factors), queries, beta)
    for row, query in enumerate(queries.numpy()):
        value, first, steps = literal(
            similarity, patterns, values, latent @ query, sharpness, tolerance, memories.MAX_STEPS
        )
        np.testing.assert_allclose(found.values[row], value, rtol=0, atol=CLOSE)
        np.testing.assert_allclose(found.first_values[row], first, rtol=0, atol=CLOSE)
        assert int(found.num_steps[row]) == steps
    # The values are the layer's own outputs of the stored patterns.
    np.testing.assert_allclose(np.array(values), stored @ factors.product().T, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("max_steps", [1, 7, 50])
def test_an_attention_memory_in_plain_loops(max_steps):
    query_key, output_value = gaussian(6, 6, seed=1), gaussian(4, 6, seed=2)
    stored = gaussian(5, 6, seed=3)
    queries, _ = noisy_queries(stored, 0.5, 4)

    def similarity(a, b):
        return float(a @ query_key.numpy() @ b)

    patterns = [*stored.numpy()]
    values = [output_value.numpy() @ x for x in patterns]
    sharpness = 1.5 / literal_spread(similarity, patterns)
    tolerance = memories.TOLERANCE * math.sqrt(np.var(patterns, axis=0).sum())
    found = retrieve(attention_memory(stored, query_key, output_value), queries, 1.5, max_steps)
    for row, query in enumerate(queries.numpy()):
        value, _, steps = literal(similarity, patterns, values, query, sharpness, tolerance, max_steps)
        np.testing.assert_allclose(found.values[row], value, rtol=0, atol=CLOSE)
        assert int(found.num_steps[row]) == steps


def test_one_update_is_what_a_head_computes():
    """Torch's attention without biases, of tokens to themselves, is the sum of its heads' memories."""
    torch.manual_seed(0)
    attention = Attention(6, 2).double()
    for layer in attention.children():
        nn.init.zeros_(layer.bias)
    tokens = gaussian(7, 6, seed=1)
    matrices = weight_matrices(attention)
    heads = attention_heads(attention)
    assert [matrices[head.value].name for head in heads] == ["value", "value"]
    assert [matrices[head.output].head for head in heads] == [0, 1]
    total = torch.zeros_like(tokens)
    for head in heads:
        memory = attention_memory(tokens, *head.products(matrices))
        found = retrieve(memory, tokens, memory.spread() / math.sqrt(3), max_steps=1)
        total += found.values
    with torch.no_grad():
        expected = attention(tokens[None])[0]
    torch.testing.assert_close(total, expected, rtol=0, atol=CLOSE)


def test_two_patterns_rest_where_mean_field_theory_says():
    """Patterns ±a: u = ξ/a rests at u = tanh(βu), at 0 up to β = 1 and beside it beyond."""
    stored = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    memory = plain_memory(stored)
    assert memory.spread() == pytest.approx(9)
    query = torch.tensor([[0.5, 4.0]], dtype=torch.float64)
    for beta in (0.5, 2.0, 4.0):
        u = 1.0
        for _ in range(1000):
            u = math.tanh(beta * u)
        found = retrieve(memory, query, beta)
        assert bool(found.is_at_rest)
        # The last update moves by less than the tolerance; at β = 0.5 each halves what is left.
        assert float(found.values[0, 0]) / 3 == pytest.approx(u, abs=5 * memories.TOLERANCE)
        assert float(found.values[0, 1]) == 0


@given(st.integers(0, 1000), st.floats(0.1, 30))
@settings(max_examples=30, deadline=None)
def test_an_update_never_lowers_the_density(seed, beta):
    """The sum of Gaussians around the patterns, of which the update is the mean shift."""
    memory = latent_memory(gaussian(6, 5, seed=seed), decompose(gaussian(4, 5, seed=seed + 1)))
    states = memory.states_of(gaussian(3, 5, seed=seed + 2))

    def density(at):
        similarities = memory.similarities(at) - at.square().sum(dim=1, keepdim=True) / 2
        return torch.logsumexp(beta * similarities, dim=1)

    for _ in range(20):
        updated = weights_of(memory.similarities(states), beta) @ memory.states
        assert bool((density(updated) >= density(states) - CLOSE * (1 + density(states).abs())).all())
        states = updated


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_limit_is_the_nearest_pattern(rank):
    """What `retrieval_accuracy` measures in the same space, and what a large β comes to."""
    whole = decompose(gaussian(7, 9, seed=1))
    factors = cut(whole, rank)
    stored = gaussian(12, 9, seed=2)
    queries, sources = noisy_queries(stored, 0.6, 3, num_repeats=5)
    memory = latent_memory(stored, factors)
    found = recall(memory, queries, sources, math.inf)
    nearest = retrieval_accuracy(stored, queries, sources, factors.Vh)
    assert 0.1 < nearest < 1
    assert found.accuracy == found.first_accuracy == nearest
    assert found.num_moving == 0
    assert found.mean_steps == 2  # one that moves, one that finds it at rest
    assert recall(memory, queries, sources, 1e6).accuracy == nearest


def test_known_recall():
    stored = gaussian(4, 5, seed=1)
    memory = plain_memory(stored)
    clean, sources = noisy_queries(stored, 0.0, 0, num_repeats=3)
    found = recall(memory, clean, sources, math.inf)
    assert (found.accuracy, found.num_recalled, found.error) == (1.0, 4, 0.0)
    at_mean = recall(memory, clean, sources, 0.0)  # β = 0: all patterns alike, so their mean is returned
    assert at_mean.error == pytest.approx(1)
    assert at_mean.num_recalled == 1  # the mean is nearest to one of them
    assert at_mean.accuracy == 1 / 4
    # Of three copies of a pattern one leads back: not recalled; two: recalled.
    swapped = torch.tensor([0, 1, 2, 3, 1, 1, 2, 3, 2, 2, 2, 3])
    assert recall(memory, stored[swapped], sources, math.inf).num_recalled == 3
    equal = recall(plain_memory(stored[:1].repeat(3, 1)), clean[:3], torch.arange(3), 1.0)
    assert math.isnan(equal.error)
    assert equal.accuracy == 1 / 3  # the first of equal ones


def test_a_cycle_does_not_rest():
    """Each pattern is most similar to the other one: the update swaps them for ever."""
    stored = torch.eye(2, dtype=torch.float64)
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    memory = attention_memory(stored, swap, stored)
    found = retrieve(memory, stored, math.inf, max_steps=9)
    assert not found.is_at_rest.any()
    assert found.num_steps.tolist() == [9, 9]
    assert torch.equal(found.values, swap)  # after an odd number of updates
    assert torch.equal(retrieve(memory, stored, math.inf, max_steps=8).values, stored)
    assert recall(memory, stored, torch.arange(2), math.inf).num_moving == 2


@given(st.integers(0, 1000), st.floats(0.01, 100), st.sampled_from([1.0, 8.0, math.inf]))
@settings(max_examples=20, deadline=None)
def test_the_scale_of_a_matrix_does_not_matter(seed, factor, beta):
    weight, stored = gaussian(4, 6, seed=seed), gaussian(7, 6, seed=seed + 1)
    queries, sources = noisy_queries(stored, 0.4, seed, num_repeats=3)
    for make in (
        lambda scale: latent_memory(stored, decompose(scale * weight)),
        lambda scale: plain_memory(scale * stored),
        lambda scale: attention_memory(stored, scale * weight.T @ weight, weight),
    ):
        asked = factor * queries if make(factor).projection is None and make(1.0).offsets.any() else queries
        one, other = recall(make(1.0), queries, sources, beta), recall(make(factor), asked, sources, beta)
        assert other.accuracy == one.accuracy
        assert other.error == pytest.approx(one.error, rel=1e-6, abs=1e-12)


def test_the_first_patterns_alone():
    stored, factors = gaussian(9, 5, seed=1), decompose(gaussian(4, 5, seed=2))
    queries, _ = noisy_queries(stored[:3], 0.3, 1)
    part = latent_memory(stored, factors).first(3)
    whole = latent_memory(stored[:3], factors)
    assert part.num_stored == 3
    assert part.spread() == pytest.approx(whole.spread())
    found, expected = (retrieve(memory, queries, 4.0).values for memory in (part, whole))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # rest points, each to the tolerance


def test_blocks_leave_the_result_as_it_is(monkeypatch):
    memory = plain_memory(gaussian(5, 3, seed=1))
    queries = gaussian(40, 3, seed=2)
    whole = retrieve(memory, queries, 5.0)
    monkeypatch.setattr(memories, "PATTERNS_AT_ONCE", 7)
    part = retrieve(memory, queries, 5.0)
    torch.testing.assert_close(part.values, whole.values, rtol=0, atol=CLOSE)
    assert torch.equal(part.num_steps, whole.num_steps)


def test_what_is_refused(unchecked_shapes):
    stored, factors = gaussian(3, 4), decompose(gaussian(2, 4))
    memory = plain_memory(stored)
    bad = stored.clone()
    bad[1, 2] = math.nan
    for wrong in (stored[:0], bad, stored[:, :3]):
        with pytest.raises(
            ValueError, match=r"stored: of shape \(\d, \d\), at least one pattern of 4 features"
        ):
            latent_memory(wrong, factors)
        with pytest.raises(
            ValueError, match=r"queries: of shape \(\d, \d\), at least one pattern of 4 features"
        ):
            retrieve(memory, wrong, 1.0)
    for beta in (-1.0, math.nan):
        with pytest.raises(ValueError, match=f"beta: {beta}, a number >= 0 is needed"):
            retrieve(memory, stored, beta)
    with pytest.raises(ValueError, match="max_steps: 0, at least 1 is needed"):
        retrieve(memory, stored, 1.0, max_steps=0)
    with pytest.raises(ValueError, match="sources: 2 for 3 queries"):
        recall(memory, stored, torch.arange(2), 1.0)
    with pytest.raises(ValueError, match="sources: from 0 to 3, of 3 stored patterns an index is 0 to 2"):
        recall(memory, stored, torch.tensor([0, 3, 1]), 1.0)
