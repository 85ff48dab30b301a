"""The folding of straight paths through any torch module, as a result that shows itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import nn

from spaceprobe.api.attributions import Attributions, WalkedPaths
from spaceprobe.api.display import first_rows, html_page
from spaceprobe.folding import (
    DEFAULT_TOLERANCE,
    AdaptiveFolding,
    Bits,
    Method,
    NullFolding,
    PathFolding,
    PlacedEngine,
    Precision,
    Threshold,
    Units,
    engine_for,
    null_folding,
    passed_over,
    space_folding,
    walk_batch,
    walk_with_flips,
)
from spaceprobe.folding.batching import is_single
from spaceprobe.folding.choice import warn_of_uncounted
from spaceprobe.folding.guards import check_same_shape
from spaceprobe.folding.options import SAMPLING
from spaceprobe.folding.points import Points, read_points

Counts = Int64[np.ndarray, " paths"]
Shares = Float64[np.ndarray, " paths"]


@dataclass(frozen=True, repr=False)
class Folding:
    """How straight paths fold; see docs/definitions.md, "Length, reach and space folding".

    `chi`, `peak`, `length` and `reach`, and what is read from the other end (`chi_back`, `peak_back`,
    `reach_back`), are arrays of shape ``(num_paths,)``; plain numbers where single inputs were given.

    Attributes:
        paths: the counts from which everything follows.
        is_single: whether single inputs were given, not a batch.
        engine: what walked the paths: kernel, cuda-kernel, layerwise, jvp, sampled or adaptive.
        num_points: on each path, where it was sampled, or that an adaptive one starts with; None for all
            linear regions.
        not_counted: functions of the network that are neither affine nor counted, each with its module.
        null: χ of the same flips in random order (docs/definitions.md, "Null model"); None where it was not
            asked for.
        walked: the network and the ends, for `integrated_gradients`.
    """

    paths: PathFolding
    is_single: bool
    engine: PlacedEngine
    num_points: int | None
    not_counted: tuple[str, ...] = ()
    null: NullFolding | None = None
    walked: WalkedPaths | None = None

    @property
    def length(self) -> Counts | int:
        """The flips of units along each path, r2(Γ)."""
        return self._counts(self.paths.length)

    @property
    def reach(self) -> Counts | int:
        """The largest Hamming distance from the activation pattern at the start, r1(Γ)."""
        return self._counts(self.paths.reach_from_a)

    @property
    def reach_back(self) -> Counts | int:
        """The same of the path from b to a."""
        return self._counts(self.paths.reach_from_b)

    @property
    def chi(self) -> Shares | float:
        """The space folding χ = 1 - reach / length, in [0, 1); 0 for length 0."""
        return self._folding(self.paths.length, self.paths.reach_from_a)

    @property
    def chi_back(self) -> Shares | float:
        """The same of the path from b to a."""
        return self._folding(self.paths.length, self.paths.reach_from_b)

    @property
    def peak(self) -> Shares | float:
        """The largest χ of the paths from a to a point of this path, in [0, 1)."""
        return self._folding(self.paths.peak_length_from_a, self.paths.peak_reach_from_a)

    @property
    def peak_back(self) -> Shares | float:
        """The same of the path from b to a."""
        return self._folding(self.paths.peak_length_from_b, self.paths.peak_reach_from_b)

    @property
    def null_chi(self) -> Shares | float:
        """The null value of χ: its mean over random orders of the same flips.

        Raises:
            ValueError: it was not asked for.
        """
        if self.null is None:
            raise ValueError("the null value was not computed: call fold with null=True")
        return float(self.null.mean[0]) if self.is_single else self.null.mean

    def integrated_gradients(self, output: int) -> Attributions:
        """Return how much each input adds to the change of an output on the way from a to b.

        Exact where the paths are: a sum over linear regions (docs/definitions.md, "Integrated gradients"). On
        the CPU, in float64.

        Args:
            output: which entry of the output of one input, flat: from 0, or from -1 backwards.

        Raises:
            ValueError: the model was changed since, or see `spaceprobe.folding.integrated_gradients`.
            TypeError: see there.

        >>> hinge = fold(nn.ReLU(), [-1.0, 2.0], [3.0, 3.0])
        >>> hinge.integrated_gradients(0).values.tolist()
        [3.0, 0.0]
        """
        if self.walked is None:
            raise ValueError("this folding does not know its paths: call spaceprobe.fold")
        return self.walked.attributions(output)

    def _counts(self, column: Counts) -> Counts | int:
        return int(column[0]) if self.is_single else column

    def _folding(self, length: Counts, reach: Counts) -> Shares | float:
        folding = space_folding(length, reach)
        return float(folding[0]) if self.is_single else folding

    def __len__(self) -> int:
        """Return the number of paths."""
        return len(self.paths.length)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each path: length, reach, chi, peak, and the same back; null_chi if asked for."""
        names = ["length", "reach", "chi", "peak", "reach_back", "chi_back", "peak_back"]
        names += [] if self.null is None else ["null_chi"]
        frame = pd.DataFrame({name: np.atleast_1d(getattr(self, name)) for name in names})
        return frame.rename_axis(index="path")

    def describe(self) -> str:
        """Return what was measured, in one or a few lines."""
        way = f"{self.num_points:,} points a path" if self.num_points else "every linear region"
        if self.engine == "adaptive":
            way += " and more where units flip"
        lines = [f"Folding of {len(self):,} path{'s' * (len(self) != 1)} ({way}; engine: {self.engine})"]
        chi = np.atleast_1d(self.chi)
        if len(self) > 1:
            lines.append(f"χ from {chi.min():.4f} to {chi.max():.4f}, mean {chi.mean():.4f}")
        if self.not_counted:
            lines.append(f"not counted: {', '.join(self.not_counted)}")
        if isinstance(self.paths, AdaptiveFolding) and (left := int(self.paths.num_unresolved.sum())):
            lines.append(f"{left:,} intervals with several flips stayed unresolved")
        if wrong := int(self.paths.num_violations.sum()):
            lines.append(f"{wrong:,} linear region{'s' * (wrong != 1)} failed the region check")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"{self.describe()}\n{first_rows(self.to_frame())}"

    def _repr_html_(self) -> str:
        return html_page(self.describe(), self.to_frame())


def fold(
    model: nn.Module,
    a: Points,
    b: Points,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
    null: bool = False,
) -> Folding:
    """Return the folding of the straight path from a to b, or of a batch of such paths.

    Args:
        model: see `spaceprobe.walk_paths`; it is copied, and walked in float64.
        a: an input of the model, or a batch of shape ``(num_paths, *input shape)``: a torch tensor, a numpy
            array or lists of any real numbers, which are taken as they are. The model is run to see which of
            the two it is; where both are possible the first dimension is the batch.
        b: where the paths end, of the same shape.
        method: see `spaceprobe.walk_paths`; ``exact`` is the fastest engine that can.
        num_points: of each sampled path, at least 2.
        device: see `spaceprobe.walk_paths`.
        tolerance: see `spaceprobe.walk_paths`.
        threads: see `spaceprobe.walk_paths`.
        precision: see `spaceprobe.walk_paths`.
        bits: see `spaceprobe.walk_paths`.
        units: see `spaceprobe.walk_paths`.
        threshold: see `spaceprobe.walk_paths`.
        null: whether to compute the null value of each path as well, `Folding.null_chi`; of an MLP of ReLUs
            it takes longer than the walk.

    Returns:
        The folding, of which `Folding.chi`, `Folding.length` and `Folding.reach` are numbers for single
        inputs, arrays for batches.

    Raises:
        ValueError: the arguments do not fit together or to the model, or it has no unit that counts.
        TypeError: an exact walk comes to a function that is not piecewise linear; names its module.

    >>> hardtanh = nn.Hardtanh()
    >>> fold(hardtanh, [-2.0, 0.5], [2.0, -0.5])
    Folding of 1 path (every linear region; engine: layerwise)
     length  reach  chi  peak  reach_back  chi_back  peak_back
          2      2  0.0   0.0           2       0.0        0.0
    """
    starts, ends = read_points("a", a), read_points("b", b)
    check_same_shape(("a", "b"), starts.shape, ends.shape)
    single = is_single(model, starts, "a")
    if single:
        starts, ends = starts[None], ends[None]
    way: dict[str, Any] = {
        **{"method": method, "num_points": num_points, "device": device, "tolerance": tolerance},
        **{"threads": threads, "precision": precision, "bits": bits, "units": units, "threshold": threshold},
    }
    of_null = None
    if null:
        paths, flips = walk_with_flips(model, starts, ends, **way)
        of_null = null_folding(flips)
    else:
        paths = walk_batch(model, starts, ends, **way)
    engine = engine_for(
        model,
        starts,
        method=method,
        device=device,
        precision=precision,
        units=units,
        threshold=threshold,
    )
    not_counted = passed_over(model, starts, units=units, bits=bits)
    warn_of_uncounted(not_counted, units, stacklevel=3)
    is_sampled = engine in SAMPLING
    walked = WalkedPaths.of(
        model,
        starts,
        ends,
        {"method": "sampled" if is_sampled else "exact", "num_points": num_points, "tolerance": tolerance},
        is_joined=False,
        is_single=single,
    )
    return Folding(paths, single, engine, num_points if is_sampled else None, not_counted, of_null, walked)
