"""Where quantities along paths bend: the knots of several paths, finer and finer.

A quantity that is piecewise affine along a path is known by its values at its knots, one row each. The
rows of several paths follow one another, those of a path in the order of t. Two neighbouring rows of a
path bound an interval (they are *joined*), or they are the two sides of a jump at one t.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

SAME_T = 2.0**-50
"""Knots this close are one: the rounding of a t in [0, 1], and some more."""


CACHED_NUMBERS = 2**17
"""Chosen: numbers that are interpolated or added up at a time on a CPU; one MiB."""


@dataclass(frozen=True, eq=False)
class Knots:
    """The knots of a batch of paths, as rows.

    Attributes:
        path: the number of the path that a row belongs to, ascending.
        t: where on the path, in [0, 1], ascending in each path; the first is 0 and the last 1.
        is_joined: whether this row and the next one bound an interval.
        num_paths: of the batch.
    """

    path: Int64[Tensor, " rows"]
    t: Float64[Tensor, " rows"]
    is_joined: Bool[Tensor, " rows"]
    num_paths: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.t)

    @classmethod
    def of_ends(cls, num_paths: int, device: torch.device) -> "Knots":
        """Return the ends alone: rows a_0, b_0, a_1, b_1, ..."""
        path = torch.arange(num_paths, device=device).repeat_interleave(2)
        is_start = torch.tensor([True, False], device=device).repeat(num_paths)
        return cls(path, (~is_start).double(), is_start, num_paths)

    @classmethod
    def of_points(cls, num_points: int, device: torch.device) -> "Knots":
        """Return single points, with no interval between them."""
        path = torch.arange(num_points, device=device)
        return cls(
            path,
            torch.zeros_like(path, dtype=torch.float64),
            torch.zeros_like(path, dtype=torch.bool),
            num_points,
        )

    @cached_property
    def first(self) -> Int64[Tensor, " paths"]:
        """The first row of each path."""
        return torch.searchsorted(self.path, torch.arange(self.num_paths, device=self.path.device))

    @cached_property
    def last(self) -> Int64[Tensor, " paths"]:
        """The last row of each path."""
        paths = torch.arange(self.num_paths, device=self.path.device)
        return torch.searchsorted(self.path, paths, right=True) - 1

    @cached_property
    def jumps(self) -> Int64[Tensor, " jumps"]:
        """The rows that end an interval where the next row of the same path begins another at the same t."""
        is_jump = ~self.is_joined
        is_jump[self.last] = False
        return is_jump.nonzero().squeeze(1)

    @cached_property
    def is_plain(self) -> bool:
        """Whether only the paths' ends are not joined."""
        return len(self.jumps) == 0


@dataclass(frozen=True)
class Refinement:
    """How rows at new knots come from rows at old ones: (1-weight)·left + weight·right.

    Attributes:
        knots: the new ones.
        left: an old row for each new one.
        is_new: the rows that lie between two old ones, left and left + 1, as numbers.
        weight: of left + 1, for these.
    """

    knots: Knots
    left: Int64[Tensor, " rows"]
    is_new: Int64[Tensor, " new"]
    weight: Float64[Tensor, " new"]

    def rows(self, values: Tensor) -> Tensor:
        """Return the values at the new knots, in a tensor of its own.

        A few rows at a time, so that both neighbours of a row are still in the cache when it is written.
        """
        if len(self.is_new) == 0:
            return values.index_select(0, self.left)
        right = self.left.index_add(0, self.is_new, torch.ones_like(self.is_new))
        weight = values.new_zeros(len(self.left)).index_copy_(0, self.is_new, self.weight.to(values.dtype))
        refined = values.new_empty((len(self.left), *values.shape[1:]))
        size = len(refined) if values.is_cuda else max(1, CACHED_NUMBERS // max(1, values[0].numel()))
        for part, left, after, share in zip(
            *(x.split(size) for x in (refined, self.left, right, weight)), strict=True
        ):
            torch.index_select(values, 0, left, out=part)
            part.lerp_(values.index_select(0, after), column(share, values))
        return refined

    def between(self, values: Tensor) -> Tensor:
        """Return the values at those of the new knots that lie between old ones."""
        left = self.left[self.is_new]
        start, end = values.index_select(0, left), values.index_select(0, left + 1)
        return start.lerp_(end, column(self.weight.to(values.dtype), values))


def column(numbers: Tensor, like: Tensor) -> Tensor:
    """Return one number a row in a shape that multiplies rows."""
    return numbers.view(-1, *[1] * (like.ndim - 1))


def order_by(first: Tensor, second: Tensor) -> Int64[Tensor, " items"]:
    """Return the order of items by one key, then by another."""
    order = second.argsort(stable=True)
    return order[first[order].argsort(stable=True)]


def merge_close(
    row: Int64[Tensor, " items"], t: Float64[Tensor, " items"], slack: Float64[Tensor, " items"]
) -> tuple[Int64[Tensor, " new"], Float64[Tensor, " new"], Int64[Tensor, " items"]]:
    """Return the knots that are to be added: those of one interval that are closer than rounding are one.

    Args:
        row: the row that begins the interval.
        t: where each item is.
        slack: within which it is known.

    Returns:
        Row and t of each knot, ordered, and the number of each item's knot.
    """
    order = order_by(row, t)
    row, t, slack = row[order], t[order], slack[order]
    begins = torch.ones_like(row, dtype=torch.bool)
    begins[1:] = (row[1:] != row[:-1]) | (t[1:] - t[:-1] > torch.maximum(slack[1:], slack[:-1]))
    number = torch.empty_like(row)
    number[order] = begins.cumsum(0) - 1
    return row[begins], t[begins], number


def close_items(
    group: Int64[Tensor, " items"],
    t: Float64[Tensor, " items"],
    slack: Float64[Tensor, " items"],
    is_rough: bool = False,
) -> Int64[Tensor, " close"]:
    """Return the groups in which two items are closer than rounding and yet not at one place.

    Args:
        group: of each item.
        t: where it is.
        slack: within which that is known.
        is_rough: whether being at one place may be rounding, too.
    """
    order = order_by(group, t)
    group, t, slack = group[order], t[order], slack[order]
    gap = t[1:] - t[:-1]
    is_close = (
        ((gap > 0) | is_rough) & (gap <= torch.maximum(slack[1:], slack[:-1])) & (group[1:] == group[:-1])
    )
    return group[1:][is_close]


def insert(knots: Knots, after: Int64[Tensor, " new"], t: Float64[Tensor, " new"]) -> Refinement:
    """Return the knots with others added, which are ordered and all different.

    Args:
        knots: the old ones.
        after: the row that begins the interval where each is added, ascending.
        t: where it is added, ascending in each interval.
    """
    num_rows = len(knots) + len(after)
    is_new = after + 1 + torch.arange(len(after), device=after.device)
    is_old = torch.ones(num_rows, dtype=torch.bool, device=after.device)
    is_old[is_new] = False
    left = is_old.cumsum(0) - 1
    refined_t = knots.t[left]
    start, end = knots.t[after], knots.t[after + 1]
    refined_t[is_new] = t
    # The row that begins an interval, and every row added to it, is joined to the next.
    refined = Knots(knots.path[left], refined_t, knots.is_joined[left], knots.num_paths)
    return Refinement(refined, left, is_new, (t - start) / (end - start))


def split_all(knots: Knots) -> Refinement:
    """Return knots at which every interval has rows of its own at both of its ends."""
    is_shared = knots.is_joined.clone()
    is_shared[1:] &= knots.is_joined[:-1]
    is_shared[0] = False
    left = torch.arange(len(knots), device=knots.t.device).repeat_interleave(1 + is_shared.long())
    is_joined = knots.is_joined[left]
    # of two rows at one place the first ends an interval
    is_joined[:-1] &= left[:-1] != left[1:]
    none = left.new_zeros(0)
    refined = Knots(knots.path[left], knots.t[left], is_joined, knots.num_paths)
    return Refinement(refined, left, none, none.double())


def union(first: Knots, second: Knots) -> tuple[Refinement, Refinement]:
    """Return how quantities at different knots of the same paths come to common ones."""
    both = (first, second)
    path = torch.cat([knots.path for knots in both])
    t = torch.cat([knots.t for knots in both])
    order = order_by(path, t)
    path, t = path[order], t[order]
    begins = torch.ones_like(path, dtype=torch.bool)
    begins[1:] = (path[1:] != path[:-1]) | (t[1:] - t[:-1] > SAME_T)
    place = torch.empty_like(order)
    place[order] = begins.cumsum(0) - 1
    places = place.split([len(first), len(second)])
    path, t = path[begins], t[begins]
    # How many rows there are at each place: two where either jumps
    count = torch.ones_like(path)
    for knots, where in zip(both, places, strict=True):
        count[where[knots.jumps]] = 2
    end = count.cumsum(0)
    num_rows = int(end[-1])
    row_place = torch.arange(len(path), device=path.device).repeat_interleave(count)
    is_second = torch.zeros(num_rows, dtype=torch.bool, device=path.device)
    is_second[end[count == 2] - 1] = True
    t = t[row_place]
    joined = torch.ones_like(is_second)
    joined[:-1] = row_place[:-1] != row_place[1:]
    path = path[row_place]
    joined[:-1] &= path[:-1] == path[1:]
    joined[-1] = False
    common = Knots(path, t, joined, first.num_paths)
    towards = [_towards(*one, common, row_place, is_second) for one in zip(both, places, strict=True)]
    return towards[0], towards[1]


def _towards(knots: Knots, where: Tensor, common: Knots, row_place: Tensor, is_second: Tensor) -> Refinement:
    """Return how rows at knots come to common ones, given the place of each."""
    num_places = int(row_place[-1]) + 1
    last_row = torch.full((num_places,), -1, device=where.device)
    # the later one of two rows at one place stays
    last_row.scatter_reduce_(0, where, torch.arange(len(where), device=where.device), "amax")
    is_there = last_row >= 0
    left_of_place = last_row.cummax(0).values
    left = left_of_place[row_place]
    there = is_there[row_place]
    first_row = torch.full((num_places,), len(where), device=where.device)
    first_row.scatter_reduce_(0, where, torch.arange(len(where), device=where.device), "amin")
    # left of a jump: the first row at its place
    left = torch.where(there & ~is_second, first_row[row_place].clamp_max(len(where) - 1), left)
    is_new = (~there).nonzero().squeeze(1)
    begin = left[is_new]
    start, end = knots.t[begin], knots.t[begin + 1]
    return Refinement(common, left, is_new, (common.t[is_new] - start) / (end - start))
