"""Which entry each window chooses along paths, as symbols of units.

In an interval of the knots to which `maxima` refines, one entry of a window is the largest throughout. Its
place in the window is the window's symbol there; of entries that are equal on the whole interval, within
tolerance, the first counts (docs/definitions.md, "Windows"). Flips are changes of symbol between neighbouring
intervals.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots
from spaceprobe.folding.layerwise.maxima import ABSENT, Windows
from spaceprobe.folding.layerwise.steps import Flips

MAX_NUMBERS = 2**20
"""Chosen: entries of windows that are looked at at a time."""


@dataclass(frozen=True)
class Choices:
    """What the windows of one maximum choose along paths.

    Attributes:
        flips: where a window's symbol changes.
        start: the symbols just after each path's start.
        end: the symbols just before its end.
        doubts: paths on which an entry is close to being the largest and not just that.
    """

    flips: Flips
    start: Int64[Tensor, "paths windows"]
    end: Int64[Tensor, "paths windows"]
    doubts: Int64[Tensor, " doubts"]


def choices(
    windows: Windows,
    z: Float64[Tensor, "rows features"],
    slack: Float64[Tensor, "scales windows"],
    scale_row: Int64[Tensor, " rows"],
    knots: Knots,
    width: Float64[Tensor, " rows"],
    first_unit: int,
    is_rough: bool = False,
) -> Choices:
    """Return what windows choose along paths, and where that changes.

    Args:
        windows: which they are.
        z: their entries at knots between which no window has a corner.
        slack: how far apart rounding may bring entries that are equal.
        scale_row: the row of slack for each row of z.
        knots: where the rows are.
        width: within which the t of each knot is known.
        first_unit: the number of the first window's unit.
        is_rough: whether z is in float32, where also entries that are just equal are in doubt.
    """
    interval = knots.is_joined.nonzero().squeeze(1)
    symbol, doubts = winners_inside(windows, z, slack, scale_row, interval, is_rough)
    path = knots.path[interval]
    changes = (symbol[1:] != symbol[:-1]) & (path[1:] == path[:-1])[:, None]
    number, window = changes.nonzero(as_tuple=True)
    row = interval[number + 1]
    flips = Flips(
        path=path[number],
        t=knots.t[row],
        slack=width[row],
        unit=first_unit + window,
        before=symbol[number, window],
        after=symbol[number + 1, window],
    )
    paths = torch.arange(knots.num_paths, device=path.device)
    first, last = torch.searchsorted(path, paths), torch.searchsorted(path, paths, right=True) - 1
    return Choices(flips, symbol[first], symbol[last], path[doubts])


def winners_inside(
    windows: Windows,
    z: Tensor,
    slack: Tensor,
    scale_row: Tensor,
    interval: Int64[Tensor, " intervals"],
    is_rough: bool,
) -> tuple[Int64[Tensor, "intervals windows"], Int64[Tensor, " doubts"]]:
    """Return each window's symbol in intervals, and those intervals of which the tolerance decides.

    The entries are compared in the middle: they are affine between the ends, where others may be equal.
    """
    members = windows.members.clamp_min(0)
    symbols, doubts = [], []
    size = max(1, MAX_NUMBERS // members.numel())
    for first in range(0, len(interval), size):
        row = interval[first : first + size]
        entries = torch.lerp(z[row], z[row + 1], 0.5)[:, members]
        entries.masked_fill_(windows.members == ABSENT, -torch.inf)
        highest, largest = entries.max(-1)
        margin = torch.maximum(slack[scale_row[row]], slack[scale_row[row + 1]])
        is_near = entries >= (highest - margin)[..., None]
        symbol = is_near.int().argmax(-1)
        symbols.append(symbol)
        is_doubtful = is_near.sum(-1) > 1 if is_rough else symbol != largest
        doubts.append(first + is_doubtful.any(1).nonzero().squeeze(1))
    return torch.cat(symbols), torch.cat(doubts)
