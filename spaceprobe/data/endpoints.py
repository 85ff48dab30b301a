"""Endpoints of paths: which images a class pair connects."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64


class ClassPair(NamedTuple):
    """An ordered pair of classes; its paths run from source to target."""

    source: int
    target: int


def class_members(
    labels: Int64[np.ndarray, "images"], per_class: int | None
) -> dict[int, Int64[np.ndarray, "members"]]:
    """Return the indices of the first images of each class, in the dataset's order.

    Args:
        labels: the class of each image.
        per_class: how many of each class at most; None for all.
    """
    return {int(label): np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)}


def walked_pairs(pairs: Iterable[ClassPair]) -> list[ClassPair]:
    """Return the pairs to walk, sorted: one walk serves both directions, so the smaller class first."""
    return sorted({ClassPair(min(pair), max(pair)) for pair in pairs})
