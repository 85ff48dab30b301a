"""Functional rank: how many components of a layer its network needs for its score."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spaceprobe.lmd.rank_rules import RankEstimate

ONE_POINT = 0.01
"""docs/definitions.md, "Functional rank": one point of accuracy, 1 % of the images."""

SCORE_ROUNDING = 1e-9
"""Chosen: far below one image of any dataset. A score of 0.97 is within one point of 0.98, whatever the last
bits of these decimals are."""

Score = Callable[[Float64[Tensor, "points outputs"]], float]
"""Maps the pre-activations of a layer to the score of the network: accuracy in [0, 1], or R², at most 1."""


@dataclass(frozen=True)
class FunctionalRank:
    """The functional rank of a layer, and the scores that it was read from.

    Attributes:
        estimate: as of a rank rule. Invalid where the network scores as well
            without the layer's weights, so that the score cannot tell its components apart (an
            untrained network at chance, say); the number is then still that of the definition.
        scores: the score with W_q by q, descending: every q that was visited, from all components down to
            the first that fails, and q = 0.
    """

    estimate: RankEstimate
    scores: Mapping[int, float]


def functional_rank(
    values: Float64[Tensor, "values"],
    left: Float64[Tensor, "outputs values"],
    right: Float64[Tensor, "values inputs"],
    inputs: Float[Tensor, "points inputs"],
    bias: Float[Tensor, "outputs"] | None,
    score: Score,
    tolerance: float = ONE_POINT,
) -> FunctionalRank:
    """Return the smallest r such that every q ≥ r keeps the score when the layer is W_q.

    Kept is a score of at least that of the full layer less the tolerance; a better one is kept too. So the
    scan starts at all components and stops at the first q that fails (docs/definitions.md, "Functional
    rank"): a lower q that happens to pass again does not count. W_q has the q leading singular values and
    the layer's own bias, without any correction for the mean of what is cut off. The pre-activations are
    computed once and lose one component at a step: a product of rank one, and one call of the score.

    Args:
        values: singular values of the layer's weight, descending, at least one.
        left: its left singular vectors in columns.
        right: its right singular vectors in rows.
        inputs: what the layer receives, one point a row, at least one.
        bias: the layer's; None for none.
        score: called with pre-activations in float64, a tensor of its own each time. The rest of the
            network may run in float32.
        tolerance: how much of the score may be lost, ≥ 0.

    Raises:
        ValueError: if there are no points or values, the tolerance is negative, or a score is not finite.
    """
    if not len(inputs) or not len(values):
        raise ValueError(f"inputs: {len(inputs)} points and {len(values)} values, at least one is needed")
    latent = (inputs.detach().double() @ right.T) * values
    shift = torch.zeros(len(left), dtype=torch.float64) if bias is None else bias.detach().double()
    outputs = latent @ left.T + shift

    def score_of(q: int) -> float:
        if (
            q == 0
        ):  # not what the differences leave: without components the outputs are the bias to the last bit
            return score(shift.expand_as(outputs).clone())
        if q < len(values):
            outputs.sub_(torch.outer(latent[:, q], left[:, q]))
        return score(outputs.clone())

    return _scan(score_of, len(values), tolerance)


def functional_rank_of_weight(
    values: Float64[Tensor, "values"],
    left: Float64[Tensor, "outputs values"],
    right: Float64[Tensor, "values inputs"],
    score: Callable[[Float64[Tensor, "outputs inputs"]], float],
    tolerance: float = ONE_POINT,
) -> FunctionalRank:
    """Return the same as `functional_rank` from the score of the network with each W_q in place of W.

    For layers that are applied at many positions of an input, whose pre-activations are too many to be kept.

    Args:
        values: as for `functional_rank`.
        left: as for `functional_rank`.
        right: as for `functional_rank`.
        score: called with W_q.
        tolerance: as for `functional_rank`.

    Raises:
        ValueError: if there are no values, the tolerance is negative, or a score is not finite.
    """
    if not len(values):
        raise ValueError("values: none, at least one is needed")
    return _scan(lambda q: score((left[:, :q] * values[:q]) @ right[:q]), len(values), tolerance)


def _scan(score_of: Callable[[int], float], num_values: int, tolerance: float) -> FunctionalRank:
    """Return the functional rank from the score with q components.

    Args:
        score_of: called with every q from all components down to the first that fails, then with 0.
        num_values: all components.
        tolerance: how much of the score may be lost.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: {tolerance}, a number >= 0 is needed")
    full_score = _checked(score_of(num_values), num_values)
    least = full_score - tolerance - SCORE_ROUNDING
    scores = {num_values: full_score}
    rank = 0
    for q in range(num_values - 1, 0, -1):
        scores[q] = _checked(score_of(q), q)
        if scores[q] < least:
            rank = q + 1
            break
    scores[0] = _checked(score_of(0), 0)
    if not rank:
        rank = int(scores[0] < least)
    reason = ""
    if scores[0] >= least:
        reason = f"score {scores[0]:.4g} without the layer's weights, {full_score:.4g} with them"
    estimate = RankEstimate(float(rank), rank, valid=not reason, reason=reason)
    return FunctionalRank(estimate, scores)


def _checked(number: float, q: int) -> float:
    """Return a score, after a check that it is a finite number."""
    number = float(number)
    if not math.isfinite(number):
        raise ValueError(f"score: {number} with {q} components, a finite number is needed")
    return number
