"""The largest of several entries along paths: max-pooling, the maximum of two tensors or of a dimension.

In an interval every entry is affine, so their maximum is convex and bends where another entry takes over.
Where the winners at the two ends of an interval differ, their lines meet inside. If no third entry is larger
there, the maximum bends at that point, and a knot is added; else both parts are looked at in the same way,
each with the third as a winner. Every round finds a line of the upper envelope, so it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots, Refinement, close_items, insert, merge_close
from spaceprobe.folding.layerwise.polyline import Polyline

ABSENT = -1
"""In place of a member that a window does not have, at the border of an image."""

Pool = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Windows:
    """Among which entries each output chooses.

    Attributes:
        members: entries of each window, by their number among flat features, or `ABSENT`.
        pool: from rows of flat features to the largest entry of each window, and which entry it is; the
            first of several.
        shape: of the output without the batch.
    """

    members: Int64[Tensor, "windows members"]
    pool: Pool
    shape: tuple[int, ...]

    def at(self, z: Tensor, row: Tensor, window: Tensor) -> Float64[Tensor, "items members"]:
        """Return the entries of some windows in some rows."""
        members = self.members[window]
        values = z[row[:, None], members.clamp_min(0)]
        return values.masked_fill_(members == ABSENT, -torch.inf)


def largest(line: Polyline, windows: Windows) -> Polyline:
    """Return the largest entry of each window, with a knot wherever another entry takes over."""
    z, sizes, knots = line.rows.flatten(1), line.sizes.flatten(1), line.knots
    values, winner = windows.pool(z)
    pooled_sizes, _ = windows.pool(sizes)
    slack = line.visit.tolerance * pooled_sizes
    refinement, width, doubts = corners(windows, z, winner, slack, line.visit.scale_row(knots), knots)
    line.visit.doubts.append(doubts)
    line.visit.check_size(len(refinement.knots) * z.shape[1])
    if line.visit.counted.has_windows:
        line.visit.choose(line, windows, slack, refinement, width)
    output = values.index_select(0, refinement.left)
    if len(refinement.is_new):
        output[refinement.is_new] = windows.pool(refinement.between(z))[0]
    pooled_sizes = line.visit.refine_sizes(pooled_sizes, refinement).view(-1, *windows.shape)
    return Polyline.of(output.view(-1, *windows.shape), pooled_sizes, refinement.knots, line.visit)


def corners(
    windows: Windows,
    z: Float64[Tensor, "rows features"],
    winner: Int64[Tensor, "rows windows"],
    slack: Float64[Tensor, "scales windows"],
    scale_row: Int64[Tensor, " rows"],
    knots: Knots,
) -> tuple[Refinement, Float64[Tensor, " knots"], Int64[Tensor, " doubts"]]:
    """Return the knots with those added at which the maximum of a window bends, and paths in doubt.

    Between them: within which the t of each knot is known, 0 for those that were there.

    Args:
        windows: which they are.
        z: the entries.
        winner: which entry each window chooses at each knot.
        slack: how far apart rounding may bring entries that are equal.
        scale_row: the row of slack for each row of z.
        knots: where the rows are.
    """
    changes = winner[:-1] != winner[1:]
    changes &= knots.is_joined[:-1, None]
    row, window = changes.nonzero(as_tuple=True)
    pieces = Pieces(
        row=row,
        left=windows.at(z, row, window),
        right=windows.at(z, row + 1, window),
        first=position(windows.members[window], winner[row, window]),
        last=position(windows.members[window], winner[row + 1, window]),
        begin=z.new_zeros(len(row)),
        end=z.new_ones(len(row)),
        margin=slack[scale_row[row], window],
    )
    found: list[tuple[Tensor, Tensor, Tensor]] = [(row[:0], pieces.begin[:0], pieces.begin[:0])]
    doubts = [row[:0]]
    while len(pieces.row):
        is_tied, is_doubtful = pieces.ties()
        doubts.append(pieces.row[is_doubtful])
        pieces = pieces.take(~is_tied)
        share, third, is_corner = pieces.meet()
        corner = pieces.take(is_corner)
        found.append((corner.row, share[is_corner], corner.uncertainty()))
        pieces = pieces.take(~is_corner).halves(share[~is_corner], third[~is_corner])
    row, share, width = (torch.cat(parts) for parts in zip(*found, strict=True))
    length = knots.t[row + 1] - knots.t[row]
    t, width = knots.t[row] + share * length, width * length
    doubts.append(close_items(row, t, width))
    after, t, number = merge_close(row, t, width)
    refinement = insert(knots, after, t)
    known = torch.zeros_like(refinement.knots.t)
    known[refinement.is_new] = torch.zeros_like(t).scatter_reduce_(0, number, width, "amax")
    return refinement, known, knots.path[torch.cat(doubts)]


@dataclass(frozen=True)
class Pieces:
    """Parts of intervals at whose ends different entries of a window win.

    Attributes:
        row: the row that begins the interval.
        left: the window's entries there.
        right: those at the next row.
        first: which wins where the part begins.
        last: which wins where it ends.
        begin: where in the interval it begins, as a share.
        end: where it ends.
        margin: how far apart rounding may bring what is equal.
    """

    row: Int64[Tensor, " pieces"]
    left: Float64[Tensor, "pieces members"]
    right: Float64[Tensor, "pieces members"]
    first: Int64[Tensor, " pieces"]
    last: Int64[Tensor, " pieces"]
    begin: Float64[Tensor, " pieces"]
    end: Float64[Tensor, " pieces"]
    margin: Float64[Tensor, " pieces"]

    def take(self, index: Tensor) -> "Pieces":
        """Return some of them."""
        return Pieces(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def lead(self) -> tuple[Tensor, Tensor]:
        """Return by how much the first winner is above the last at the left row and at the right one."""
        left, right = (pick(side, self.first) - pick(side, self.last) for side in (self.left, self.right))
        return left, right

    def ties(self) -> tuple[Tensor, Tensor]:
        """Return where the two winners are equal at an end, but for rounding, and where not just equal.

        Such a part has no corner: the winner at the other end wins in all of it.
        """
        left, right = self.lead()
        lead = torch.stack([torch.lerp(left, right, self.begin), -torch.lerp(left, right, self.end)])
        is_tied = lead <= self.margin
        return is_tied.any(0), (is_tied & (lead != 0)).any(0)

    def meet(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return where the winners' lines meet, which entry is largest there, and whether that is theirs."""
        left, right = self.lead()
        share = (left / (left - right)).clamp(0, 1)
        heights = torch.lerp(self.left, self.right, share[:, None])
        # a member that is absent is at minus infinity on both sides, which has no line
        highest, third = heights.nan_to_num_(nan=-torch.inf).max(1)
        return share, third, highest - pick(heights, self.first) <= self.margin

    def uncertainty(self) -> Tensor:
        """Return within which share of the interval a corner is known."""
        left, right = self.lead()
        return self.margin / (left - right).abs()

    def halves(self, share: Tensor, third: Tensor) -> "Pieces":
        """Return both parts of each, cut where a third entry is the largest."""
        return Pieces(
            row=self.row.repeat(2),
            left=self.left.repeat(2, 1),
            right=self.right.repeat(2, 1),
            first=torch.cat([self.first, third]),
            last=torch.cat([third, self.last]),
            begin=torch.cat([self.begin, share]),
            end=torch.cat([share, self.end]),
            margin=self.margin.repeat(2),
        )


def pick(values: Tensor, member: Tensor) -> Tensor:
    """Return one entry of each row."""
    return values.gather(1, member[:, None]).squeeze(1)


def position(members: Tensor, entry: Tensor) -> Tensor:
    """Return where in its window an entry is."""
    return (members == entry[:, None]).int().argmax(1)
