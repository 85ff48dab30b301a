"""Kendall's τ within groups of observations, for many groups at once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class Pairs:
    """All pairs of observations of one group, for every group.

    Attributes:
        first: one observation of each pair, by its number.
        second: the other one.
        group: the group of each pair, by its number.
        groups: the groups that have a pair.
    """

    first: Int64[np.ndarray, "pairs"]
    second: Int64[np.ndarray, "pairs"]
    group: Int64[np.ndarray, "pairs"]
    groups: Sequence[Hashable]


def pairs_within(groups: Sequence[Hashable]) -> Pairs:
    """Return the pairs of observations of one group, given the group of each observation."""
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    several = {group: np.array(numbers) for group, numbers in members.items() if len(numbers) > 1}
    first, second, of_group = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0, int)]
    for place, numbers in enumerate(several.values()):
        left, right = np.triu_indices(len(numbers), 1)
        first.append(numbers[left])
        second.append(numbers[right])
        of_group.append(np.full(len(left), place))
    left, right, numbers = (np.concatenate(part).astype(np.int64) for part in (first, second, of_group))
    return Pairs(left, right, numbers, [*several])


@dataclass(frozen=True)
class GroupedTau:
    """Kendall's τ of each group of `Pairs`.

    Attributes:
        tau: in [-1, 1]; NaN for a group in which one of the two quantities is the same throughout.
        num_pairs: pairs of observations that have both quantities.
    """

    tau: Float64[np.ndarray, "groups"]
    num_pairs: Int64[np.ndarray, "groups"]


def grouped_tau(
    pairs: Pairs, x: Float64[np.ndarray, "observations"], y: Float64[np.ndarray, "observations"]
) -> GroupedTau:
    """Return Kendall's τ_b of two quantities within each group, that of `scipy.stats.kendalltau`.

    Concordant minus discordant pairs, over the geometric mean of the numbers of pairs that x and that y tell
    apart (Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945).

    Args:
        pairs: which observations are compared.
        x: one quantity; observations where it is NaN are left out.
        y: the other one, likewise.
    """
    of_x, of_y = (np.sign(values[pairs.first] - values[pairs.second]) for values in (x, y))
    is_there = np.isfinite(of_x) & np.isfinite(of_y)
    of_x, of_y = np.where(is_there, of_x, 0.0), np.where(is_there, of_y, 0.0)
    num_groups = len(pairs.groups)

    def sums(values: Float64[np.ndarray, "pairs"]) -> Float64[np.ndarray, "groups"]:
        return np.bincount(pairs.group, weights=values, minlength=num_groups).astype(float)

    agreement, told_by_x, told_by_y = sums(of_x * of_y), sums(of_x**2), sums(of_y**2)
    has_tau = (told_by_x > 0) & (told_by_y > 0)
    tau = np.full(num_groups, np.nan)
    # One root of the product, which is exact for equal numbers: τ of equal orders is exactly 1.
    tau[has_tau] = agreement[has_tau] / np.sqrt(told_by_x[has_tau] * told_by_y[has_tau])
    return GroupedTau(tau, sums(is_there.astype(float)).astype(np.int64))
