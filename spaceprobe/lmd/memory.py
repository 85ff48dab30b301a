"""Associative memories made of weight matrices: stored patterns retrieved by a softmax, until it rests.

The Layer Matrix Decomposition (arXiv 2309.05968) reads W_r = U · O_dist · S' · I_dist · Vᵀ as a Hopfield
network: similarity I_dist Vᵀ, separation, projection U O_dist. Made precise as an update of the modern
Hopfield network (Ramsauer et al., arXiv 2008.02217, eq. 3) of a state ξ, with stored patterns x_1 … x_M:

- `latent_memory`, of any matrix. A pattern is k_i = I_dist Vᵀ x_i, the similarity -‖ξ - k_i‖²/2: the scalar
  product where patterns are equally long (see `spaceprobe.lmd.retrieval`). The update ξ ← Σ pᵢ kᵢ with
  p = softmax(β · similarities) never lowers log Σ exp(β · similarities), and with these similarities it is
  the mean shift of a Gaussian kernel. At its rest ξ is projected back: U O_dist S' ξ = Σ pᵢ W_r xᵢ.
- `attention_memory`, of a head of a transformer: the similarity of a token ξ with x_i is ξᵀ W_QᵀW_K x_i, the
  update ξ ← Σ pᵢ xᵢ, the projection W_O W_V. One step is what the head computes, without biases and with
  the stored tokens in place of those of the same input. W_QᵀW_K is not symmetric: nothing makes it rest.
- `plain_memory`, of the patterns themselves: the control.

β is in units of 1 / spread, the standard deviation of a stored pattern's similarities with all stored ones:
their scale then does not matter, and memories are compared at equal β.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from spaceprobe.lmd.factors import Factors

MAX_STEPS = 50
"""Chosen: updates after which a state that still moves is left where it is."""

TOLERANCE = 1e-4
"""Chosen: a state rests when an update moves it by less than this share of the patterns' deviation."""

PATTERNS_AT_ONCE = 256
"""Chosen: states that are updated together."""


@dataclass(frozen=True)
class Memory:
    """Stored patterns with what retrieves them.

    Attributes:
        keys: of which scalar products with a state are taken.
        offsets: what is added to them.
        states: the stored patterns as states.
        values: what they are projected back to.
        projection: maps patterns to states; None where they are states.
        centre: what is then subtracted.
    """

    keys: Float64[Tensor, "stored state"]
    offsets: Float64[Tensor, "stored"]
    states: Float64[Tensor, "stored state"]
    values: Float64[Tensor, "stored outputs"]
    projection: Float64[Tensor, "state features"] | None
    centre: Float64[Tensor, "state"]

    @property
    def num_stored(self) -> int:
        """The number of stored patterns."""
        return len(self.states)

    def first(self, number: int) -> "Memory":
        """Return the memory of the first stored patterns alone."""
        parts = (self.keys, self.offsets, self.states, self.values)
        keys, offsets, states, values = (part[:number] for part in parts)
        return replace(self, keys=keys, offsets=offsets, states=states, values=values)

    def states_of(self, queries: Float64[Tensor, "queries features"]) -> Float64[Tensor, "queries state"]:
        """Return patterns as states, from which retrieval starts."""
        projected = queries if self.projection is None else queries @ self.projection.T
        return projected - self.centre

    def similarities(self, states: Float64[Tensor, "queries state"]) -> Float64[Tensor, "queries stored"]:
        """Return the similarity of each state with each stored pattern."""
        return states @ self.keys.T + self.offsets

    @cached_property
    def short_states(self) -> Float64[Tensor, "stored short"]:
        """The states in as few coordinates as there are patterns, where that is fewer; distances are kept."""
        if self.num_stored >= self.states.shape[1]:
            return self.states
        triangle: Tensor = torch.linalg.qr(self.states.T, mode="r").R
        return triangle.T

    def spread(self) -> float:
        """Return the unit of 1/β; 1 where all similarities are equal, and β does nothing.

        The root, over stored patterns, of the mean variance of the similarities of one with all.
        """
        variance = float(self.similarities(self.states).var(dim=1, correction=0).mean())
        return math.sqrt(variance) or 1.0


def latent_memory(stored: Float64[Tensor, "stored features"], factors: Factors) -> Memory:
    """Return the memory of patterns in the latent space of a weight matrix.

    Args:
        stored: one pattern a row.
        factors: of the matrix, cut to the rank of the memory.

    Raises:
        ValueError: there are no patterns, or one is not finite or has the wrong number of features.
    """
    _check_patterns("stored", stored, factors.Vh.shape[1])
    projection = factors.I_dist @ factors.Vh
    back = factors.U @ (factors.O_dist * factors.S_prime)
    latent = stored @ projection.T
    return _of_distances(latent, latent @ back.T, projection)


def plain_memory(
    stored: Float64[Tensor, "stored features"], axes: Float64[Tensor, "rank features"] | None = None
) -> Memory:
    """Return the memory of the patterns themselves, or of their coordinates on some axes.

    Args:
        stored: one pattern a row.
        axes: one a row; None for the patterns themselves.

    Raises:
        ValueError: as `latent_memory`.
    """
    _check_patterns("stored", stored, stored.shape[1] if axes is None else axes.shape[1])
    states = stored if axes is None else stored @ axes.T
    return _of_distances(states, states, axes)


def attention_memory(
    stored: Float64[Tensor, "stored features"],
    query_key: Float64[Tensor, "features features"],
    output_value: Float64[Tensor, "outputs features"],
) -> Memory:
    """Return the memory that an attention head makes of stored tokens.

    Args:
        stored: one token a row.
        query_key: W_QᵀW_K, so that the similarity of a token ξ with x is ξᵀ W_QᵀW_K x.
        output_value: W_O W_V, what it adds of x.

    Raises:
        ValueError: as `latent_memory`.
    """
    _check_patterns("stored", stored, query_key.shape[1])
    none = torch.zeros(len(stored), dtype=torch.float64)
    centre = torch.zeros(stored.shape[1], dtype=torch.float64)
    return Memory(stored @ query_key.T, none, stored, stored @ output_value.T, None, centre)


def _of_distances(states: Tensor, values: Tensor, projection: Tensor | None) -> Memory:
    centre = states.mean(dim=0)  # distances do not depend on it, and their rounding is smaller
    centred = states - centre
    return Memory(centred, -centred.square().sum(dim=1) / 2, centred, values, projection, centre)


@dataclass(frozen=True)
class Retrieved:
    """What queries lead to.

    Attributes:
        values: projected back from the state in which each query rests, or is left.
        first_values: the same after one update.
        num_steps: updates of each query, the last of which moved it no more; at most those allowed.
        is_at_rest: whether each query rests.
    """

    values: Float64[Tensor, "queries outputs"]
    first_values: Float64[Tensor, "queries outputs"]
    num_steps: Int64[Tensor, "queries"]
    is_at_rest: Bool[Tensor, "queries"]


def retrieve(
    memory: Memory,
    queries: Float64[Tensor, "queries features"],
    beta: float,
    max_steps: int = MAX_STEPS,
) -> Retrieved:
    """Return what queries lead to: updates by a softmax until each rests.

    Args:
        memory: with the stored patterns.
        queries: patterns, one a row, at least one.
        beta: inverse temperature in units of 1 / `Memory.spread`, ≥ 0; infinite for the most similar pattern
            alone, the first of several.
        max_steps: of updates, ≥ 1.

    Raises:
        ValueError: there are no queries, one is not finite or has the wrong number of features, or beta or
            max_steps is out of range.
    """
    num_features = memory.states.shape[1] if memory.projection is None else memory.projection.shape[1]
    _check_patterns("queries", queries, num_features)
    if not beta >= 0:
        raise ValueError(f"beta: {beta}, a number >= 0 is needed, or infinity")
    if max_steps < 1:
        raise ValueError(f"max_steps: {max_steps}, at least 1 is needed")
    sharpness = beta / memory.spread()
    tolerance = TOLERANCE * math.sqrt(float(memory.states.var(dim=0, correction=0).sum()))
    overlaps = memory.states @ memory.keys.T
    blocks = [
        _retrieve_block(memory, overlaps, states, sharpness, tolerance, max_steps)
        for states in memory.states_of(queries).split(PATTERNS_AT_ONCE)
    ]
    return Retrieved(*(torch.cat(parts) for parts in zip(*blocks, strict=True)))


def weights_of(
    similarities: Float64[Tensor, "queries stored"], beta: float
) -> Float64[Tensor, "queries stored"]:
    """Return the weights of the stored patterns: their softmax; all on the first largest if β is infinite.

    Args:
        similarities: of each query with each stored pattern.
        beta: in units of their inverse.
    """
    if math.isinf(beta):
        largest = similarities.argmax(dim=1)
        return torch.nn.functional.one_hot(largest, similarities.shape[1]).double()
    return torch.softmax(beta * similarities, dim=1)


def _retrieve_block(
    memory: Memory, overlaps: Tensor, states: Tensor, sharpness: float, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return values, first values, numbers of steps and whether each state rests.

    After the first update a state is a sum of stored patterns, so similarities need only their overlaps, the
    scalar products of patterns and keys: a step does not depend on the number of features.
    """
    moving = torch.arange(len(states))
    num_steps = torch.full((len(states),), max_steps)
    is_at_rest = torch.zeros(len(states), dtype=torch.bool)
    weights = weights_of(memory.similarities(states), sharpness)
    first = final = weights
    distances = torch.linalg.vector_norm(weights @ memory.states - states, dim=1)
    for step in range(1, max_steps + 1):
        if step > 1:
            updated = weights_of(weights @ overlaps + memory.offsets, sharpness)
            distances = torch.linalg.vector_norm((updated - weights) @ memory.short_states, dim=1)
            weights = updated
            final = final.index_copy(0, moving, weights)
        rests = distances <= tolerance
        num_steps[moving[rests]] = step
        is_at_rest[moving[rests]] = True
        moving, weights = moving[~rests], weights[~rests]
        if not len(moving):
            break
    return final @ memory.values, first @ memory.values, num_steps, is_at_rest


@dataclass(frozen=True)
class Recall:
    """How well a memory recalls its patterns from noisy copies.

    Attributes:
        accuracy: share of the copies that lead back to their own: whose value at rest is nearest to that of
            their own pattern, the first of equally near ones.
        first_accuracy: the same after one update.
        num_recalled: stored patterns of whose copies more than half lead back.
        error: mean squared distance of the value at rest from that of the pattern, over the mean squared
            distance of the stored values from their mean, which is what returning the mean gives; NaN where
            stored values are all equal.
        mean_steps: updates of a copy.
        num_moving: copies that do not rest after the largest number of updates.
    """

    accuracy: float
    first_accuracy: float
    num_recalled: int
    error: float
    mean_steps: float
    num_moving: int


def recall(
    memory: Memory,
    queries: Float64[Tensor, "queries features"],
    sources: Int64[Tensor, "queries"],
    beta: float,
    max_steps: int = MAX_STEPS,
) -> Recall:
    """Return how well a memory recalls its patterns from noisy copies of them.

    Args:
        memory: with the stored patterns.
        queries: noisy copies, as `spaceprobe.lmd.retrieval.noisy_queries` makes them.
        sources: for each copy the index of its pattern.
        beta: as for `retrieve`.
        max_steps: as for `retrieve`.

    Raises:
        ValueError: as `retrieve`; or not every query has a source among the patterns.
    """
    if len(sources) != len(queries):
        raise ValueError(f"sources: {len(sources)} for {len(queries)} queries, one for each is needed")
    if bool(((sources < 0) | (sources >= memory.num_stored)).any()):
        raise ValueError(
            f"sources: from {int(sources.min())} to {int(sources.max())}, of {memory.num_stored} stored "
            f"patterns an index is 0 to {memory.num_stored - 1}"
        )
    found = retrieve(memory, queries, beta, max_steps)
    is_right = _nearest(memory, found.values) == sources
    copies = torch.bincount(sources, minlength=memory.num_stored)
    right = torch.bincount(sources[is_right], minlength=memory.num_stored)
    variance = float((memory.values - memory.values.mean(dim=0)).square().sum(dim=1).mean())
    rounding = (4 * torch.finfo(torch.float64).eps) ** 2 * float(memory.values.square().sum(dim=1).mean())
    distances = float((found.values - memory.values[sources]).square().sum(dim=1).mean())
    return Recall(
        accuracy=float(is_right.double().mean()),
        first_accuracy=float((_nearest(memory, found.first_values) == sources).double().mean()),
        num_recalled=int((2 * right > copies).sum()),
        error=distances / variance if variance > rounding else math.nan,
        mean_steps=float(found.num_steps.double().mean()),
        num_moving=int((~found.is_at_rest).sum()),
    )


def _nearest(memory: Memory, values: Tensor) -> Tensor:
    blocks = values.split(PATTERNS_AT_ONCE)
    mode = "donot_use_mm_for_euclid_dist"  # the other one loses half of the digits where values lie close
    return torch.cat([torch.cdist(block, memory.values, compute_mode=mode).argmin(dim=1) for block in blocks])


def _check_patterns(name: str, patterns: Tensor, num_features: int) -> None:
    if patterns.shape[1] != num_features or not len(patterns) or not bool(patterns.isfinite().all()):
        raise ValueError(
            f"{name}: of shape {tuple(patterns.shape)}, at least one pattern of {num_features} features is "
            "needed, and only finite numbers"
        )
