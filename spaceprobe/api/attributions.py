"""Integrated gradients of paths that were walked, as a result that shows itself."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from matplotlib.figure import Figure
from torch import Tensor, nn

from spaceprobe.api.display import first_rows, html_page
from spaceprobe.folding.integrated_gradients import integrated_gradients
from spaceprobe.report.drawing.style import render
from spaceprobe.report.figures.attribution import attribution_figure

MAX_KEPT = 2**24
"""Chosen: numbers of the ends of paths that a result keeps, 128 MiB; attributions are as many again."""


@dataclass(frozen=True, repr=False, eq=False)
class Attributions:
    """How much each input adds to the change of an output along paths.

    Attributes:
        values: of the input's shape; of a batch of paths, one after the other.
        change: of the output from the start to the end of each path; a number for a single path.
        remainder: the change minus the sum of the values: rounding, or what samples miss.
        output: which entry of the output, flat.
        is_single: whether it is of one path.
    """

    values: Float64[np.ndarray, "*paths_and_input"]
    change: Float64[np.ndarray, " paths"] | float
    remainder: Float64[np.ndarray, " paths"] | float
    output: int
    is_single: bool

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values, where numpy is given the result."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each path: change, remainder, and the largest absolute value."""
        values = self.values[None] if self.is_single else self.values
        largest = np.abs(values).reshape(len(values), -1).max(axis=1, initial=0) if values.size else []
        columns = {"change": np.atleast_1d(self.change), "remainder": np.atleast_1d(self.remainder)}
        return pd.DataFrame({**columns, "largest": largest}).rename_axis(index="path")

    def plot(self, path: int = 0) -> Figure:
        """Draw the values of one path: a map where inputs are images, bars otherwise."""
        return attribution_figure(self.values if self.is_single else self.values[path])

    def describe(self) -> str:
        """Return what was computed, in one line."""
        shape = " × ".join(map(str, self.values.shape if self.is_single else self.values.shape[1:]))
        num_paths = 1 if self.is_single else len(self.values)
        return (
            f"Integrated gradients of output {self.output} along {num_paths:,} path{'s' * (num_paths != 1)} "
            f"(inputs of {shape})"
        )

    def __repr__(self) -> str:
        return f"{self.describe()}\n{first_rows(self.to_frame())}"

    def _repr_html_(self) -> str:
        picture = self._repr_png_() if len(self.to_frame()) else None
        return html_page(self.describe(), self.to_frame(), picture)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")


@dataclass(frozen=True, eq=False)
class WalkedPaths:
    """The network and the ends of paths that a result is of, so that more can be asked about them.

    Attributes:
        model: the user's own, which may be trained on.
        a: starts, as they were when the paths were walked; None where they were too many to keep.
        b: ends.
        is_joined: whether the paths are the segments of one.
        is_single: whether it is one path.
        way: method, num_points and tolerance.
        digest: of the parameters and buffers when the paths were walked.
    """

    model: nn.Module
    a: Tensor | None
    b: Tensor | None
    is_joined: bool
    is_single: bool
    way: dict[str, Any]
    digest: str

    @classmethod
    def of(
        cls, model: nn.Module, a: Tensor, b: Tensor, way: dict[str, Any], *, is_joined: bool, is_single: bool
    ) -> "WalkedPaths":
        """Return what is kept of a walk: copies of the ends, and a digest of the weights."""
        is_kept = a.numel() + b.numel() <= MAX_KEPT
        starts, ends = (end.detach().clone() if is_kept else None for end in (a, b))
        return cls(model, starts, ends, is_joined, is_single, way, _weights_digest(model))

    def attributions(self, output: int) -> Attributions:
        """Return the integrated gradients of an output along the paths.

        Args:
            output: which entry of the output of one input, flat: from 0, or from -1 backwards.

        Raises:
            ValueError: the model was changed since, the paths were too many to keep, or see
                `spaceprobe.folding.integrated_gradients`.
            TypeError: see there.
        """
        if self.a is None or self.b is None:
            raise ValueError(
                f"the ends of these paths hold more than {MAX_KEPT:,} numbers, which are not kept: walk "
                "fewer at once"
            )
        if _weights_digest(self.model) != self.digest:
            raise ValueError("the model's weights have changed since the paths were walked: walk them again")
        found = integrated_gradients(self.model, self.a, self.b, output, **self.way)
        values, change, remainder = found.attributions, found.change, found.remainder
        if self.is_joined:
            values, change, remainder = values.sum(0), change.sum(), remainder.sum()
        elif self.is_single:
            values, change, remainder = values[0], change[0], remainder[0]
        if self.is_single:
            return Attributions(values, float(change), float(remainder), output, is_single=True)
        return Attributions(values, change, remainder, output, is_single=False)


def _weights_digest(model: nn.Module) -> str:
    """Return a digest of the parameters and buffers of a module, wherever they are."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
