"""Points that a user gives, in any of the usual forms, as tensors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Points = Tensor | ArrayLike
"""Tensors, arrays, nested lists of numbers, lists of tensors; real numbers of any type, taken as they are."""


def read_points(name: str, points: Points) -> Tensor:
    """Return points as a tensor that needs no gradient.

    Args:
        name: what asks for them, for the error.
        points: whole numbers, such as grey levels from 0 to 255, are not scaled.

    Raises:
        ValueError: they are not numbers, or lists of different lengths.
    """
    if isinstance(points, Tensor):
        return points.detach()
    if isinstance(points, list | tuple) and points and all(isinstance(point, Tensor) for point in points):
        return _stack(name, points)
    try:
        array = np.asarray(points)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: its rows differ in shape") from error
    if array.dtype.kind == "c":
        raise ValueError(f"{name} has dtype {array.dtype}: expected real numbers")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} is {type(points).__name__} of {array.dtype}: expected numbers, as a torch tensor, a "
            "numpy array or lists"
        )
    # copied: torch warns of arrays that it may not write to, and takes neither all types nor negative strides
    is_known = array.dtype in (np.float16, np.float32)
    return torch.from_numpy(np.array(array, dtype=array.dtype if is_known else np.float64, order="C"))


def _stack(name: str, points: Any) -> Tensor:
    shapes = [tuple(point.shape) for point in points]
    if len({*shapes}) > 1:
        raise ValueError(f"{name} is not an array: its points have shapes {', '.join(map(str, {*shapes}))}")
    return torch.stack([point.detach() for point in points])
