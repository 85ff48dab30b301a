"""A layer as an associative memory: how well its latent metric finds stored patterns from noisy ones.

The Layer Matrix Decomposition (arXiv 2309.05968) reads W_r = U · O_dist · S' · I_dist · Vᵀ as a Hopfield
network in three steps: similarity I_dist Vᵀ, separation S' (and a softmax), projection U O_dist. These
are the steps of any single-shot associative memory (Millidge et al., Universal Hopfield networks,
arXiv 2202.04557). The modern Hopfield update of Ramsauer et al. (arXiv 2008.02217) has

- as similarity the scalar products of the query with the stored patterns; here a query is compared in
  the latent space, where ‖I_dist Vᵀ(x - y)‖² is the layer's input metric. Minus squared distance and
  scalar product differ by the patterns' lengths and agree where these are equal;
- as separation a softmax with inverse temperature β. The nearest pattern is its limit β → ∞, so what is
  measured here needs no β. S' itself is linear: it stretches axes and does not separate alone;
- as projection the sum of the stored patterns with these weights; here U O_dist maps to the outputs, and
  retrieval stops one step before, at the index of the pattern.

An accuracy means something only next to two baselines: raw features (None, mostly far better: the full space
loses nothing) and the same space of the layer at initialisation.
"""

import math

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

QUERIES_AT_ONCE = 256
"""Chosen: queries whose distances to all stored patterns are held at once; 20 MB for 10,000 patterns."""


def noisy_queries(
    stored: Float64[Tensor, "stored features"], noise: float, seed: int, num_repeats: int = 1
) -> tuple[Float64[Tensor, "queries features"], Int64[Tensor, "queries"]]:
    """Return noisy copies of the stored patterns, and the index of the pattern that each was made from.

    The same seed gives the same draws at every noise, only scaled. All queries are made at once: they take
    ``num_repeats`` times the memory of the patterns, and nothing beside them does.

    Args:
        stored: one pattern a row.
        noise: standard deviation of the Gaussian noise added to each feature, ≥ 0.
        seed: of the noise.
        num_repeats: copies of each pattern, ≥ 1.

    Raises:
        ValueError: if there is no pattern, one is not finite, or noise or num_repeats is out of range.
    """
    _require_patterns(stored)
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise: {noise}, a finite standard deviation >= 0 is needed")
    if num_repeats < 1:
        raise ValueError(f"num_repeats: {num_repeats}, at least 1 is needed")
    sources = torch.arange(len(stored)).repeat(num_repeats)
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(len(sources), stored.shape[1], dtype=torch.float64, generator=generator)
    queries.mul_(noise).view(num_repeats, *stored.shape).add_(stored)
    return queries, sources


def retrieval_accuracy(
    stored: Float64[Tensor, "stored features"],
    queries: Float64[Tensor, "queries features"],
    sources: Int64[Tensor, "queries"],
    projection: Float64[Tensor, "rank columns"] | None = None,
) -> float:
    """Return the share of queries whose nearest stored pattern is the one they were made from, in [0, 1].

    Of equally near patterns the first counts as nearest. So a space of rank 0, where all are, is right
    for the queries of pattern 0 alone: 1 / number of patterns if every pattern has as many queries. And
    of two stored patterns that are equal, queries of the second are never right.

    Distances are taken for `QUERIES_AT_ONCE` queries at a time, so memory grows with the patterns and with
    the projected queries, not with the product of their numbers.

    Args:
        stored: one pattern a row.
        queries: at least one.
        sources: for each query the index of its pattern.
        projection: maps features to the space in which distances are taken: Vh, or I_dist @ Vh; None
            for the features themselves.

    Raises:
        ValueError: if there is no pattern or query, a number is not finite, not every query has a source
            among the patterns, or the projection takes another number of features.
    """
    _require_patterns(stored)
    if not len(queries) or not _is_finite(queries):
        raise ValueError(f"queries: {len(queries)}, at least one is needed, and only finite numbers")
    if len(sources) != len(queries):
        raise ValueError(f"sources: {len(sources)} for {len(queries)} queries, one for each is needed")
    if bool(((sources < 0) | (sources >= len(stored))).any()):
        raise ValueError(
            f"sources: from {int(sources.min())} to {int(sources.max())}, "
            f"of {len(stored)} stored patterns an index is 0 to {len(stored) - 1}"
        )
    if projection is not None:
        if projection.shape[1] != stored.shape[1] or not bool(projection.isfinite().all()):
            raise ValueError(
                f"projection: of shape {tuple(projection.shape)}, finite numbers with {stored.shape[1]} "
                "columns are needed, one for each feature of the stored patterns"
            )
        stored, queries = stored @ projection.T, queries @ projection.T
    # Differences, not |x|² + |y|² - 2xy: that loses half of the digits where patterns lie close.
    # Each row of them is computed alone, so blocks leave the result as it is.
    num_right = 0
    for asked, right in zip(queries.split(QUERIES_AT_ONCE), sources.split(QUERIES_AT_ONCE), strict=True):
        distances = torch.cdist(asked, stored, compute_mode="donot_use_mm_for_euclid_dist")
        num_right += int((distances.argmin(dim=1) == right).sum())
    return num_right / len(sources)


def _is_finite(rows: Float64[Tensor, "rows features"]) -> bool:
    # In blocks: isfinite() makes a copy of what it is given.
    return all(bool(block.isfinite().all()) for block in rows.split(QUERIES_AT_ONCE))


def _require_patterns(stored: Float64[Tensor, "stored features"]) -> None:
    if not stored.numel() or not bool(stored.isfinite().all()):
        raise ValueError(
            f"stored: of shape {tuple(stored.shape)}, at least one pattern with features is needed, "
            "and only finite numbers"
        )
