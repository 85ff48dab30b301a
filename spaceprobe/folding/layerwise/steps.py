"""From flips in any order to a path step by step: what is closer than rounding is one step.

A unit has a symbol in every interval: 0 or 1 for a bit. Its flips follow one another, so the first one's
symbol before is that of the start. The distance from the start counts units whose symbol differs from it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from spaceprobe.folding.layerwise.knots import order_by
from spaceprobe.folding.measure import History


@dataclass(frozen=True)
class Flips:
    """Units whose symbol changes on the open segments, in any order.

    Attributes:
        path: which path.
        t: where.
        slack: within which t is known; flips closer than that are one step.
        unit: the number of the unit among all of the network.
        before: its symbol before.
        after: its symbol after.
    """

    path: Int64[Tensor, " flips"]
    t: Float64[Tensor, " flips"]
    slack: Float64[Tensor, " flips"]
    unit: Int64[Tensor, " flips"]
    before: Int64[Tensor, " flips"]
    after: Int64[Tensor, " flips"]

    def take(self, index: Tensor | slice) -> "Flips":
        """Return some of them."""
        return Flips(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def join(cls, parts: list["Flips"]) -> "Flips":
        """Return those of several lists."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def flips_at(
    path: Int64[Tensor, " rows"],
    t: Float64[Tensor, " rows"],
    before: Shaped[Tensor, "rows units"],
    after: Shaped[Tensor, "rows units"],
) -> Flips:
    """Return what differs between two patterns of each row, as flips at its t."""
    row, unit = (before != after).nonzero(as_tuple=True)
    symbols = (patterns[row, unit].long() for patterns in (before, after))
    return Flips(path[row], t[row], torch.zeros_like(t[row]), unit, *symbols)


def net_flips(flips: Flips) -> tuple[Flips, Int64[Tensor, " flips"]]:
    """Return what changes in each step, ordered by path and t, and the number of each flip's step.

    A unit that flips and flips back in one step does not change.
    """
    flips = flips.take(order_by(flips.path, flips.t))
    step = begins(
        (flips.path[1:] != flips.path[:-1])
        | (flips.t[1:] - flips.t[:-1] > torch.maximum(flips.slack[1:], flips.slack[:-1]))
    )
    order = order_by(step, flips.unit)
    flips, step = flips.take(order), step[order]
    changes = begins((step[1:] != step[:-1]) | (flips.unit[1:] != flips.unit[:-1]))
    first = firsts(changes)
    last = torch.cat([first[1:], first.new_tensor([len(step)])]) - 1
    joined = Flips(
        flips.path[first],
        flips.t[first],
        flips.slack[first],
        flips.unit[first],
        flips.before[first],
        flips.after[last],
    )
    is_net = joined.before != joined.after
    return joined.take(is_net), step[first][is_net]


def begins(differs: Tensor) -> Int64[Tensor, " items"]:
    """Return the number of each item's group, given for each item but the first whether it begins one."""
    return torch.cat([differs.new_zeros(1), differs]).cumsum(0)


def firsts(number: Int64[Tensor, " items"]) -> Int64[Tensor, " groups"]:
    """Return the first item of each group."""
    is_first = torch.ones_like(number, dtype=torch.bool)
    is_first[1:] = number[1:] != number[:-1]
    return is_first.nonzero().squeeze(1)


def history(flips: Flips, num_paths: int, num_violations: Int64[Tensor, " paths"]) -> History:
    """Return what is seen along a batch of paths."""
    device = flips.t.device
    if len(flips.path):
        flips, step = net_flips(flips)
    if len(flips.path) == 0:
        zeros = torch.zeros((1, num_paths), dtype=torch.int32, device=device)
        return History(zeros.double(), zeros, zeros, zeros, num_violations)
    start, end = symbols_at_ends(flips)
    from_a = (flips.after != start).int() - (flips.before != start).int()
    from_b = (flips.after != end).int() - (flips.before != end).int()
    first = firsts(step)
    step = torch.bucketize(step, step[first])  # consecutive again, without steps in which nothing is left
    path, t = flips.path[first], flips.t[first]
    row = torch.arange(len(path), device=device) - firsts(path)[begins(path[1:] != path[:-1])] + 1
    shape = (int(row.max()) + 1, num_paths)
    columns = []
    for change in (torch.ones_like(from_a), from_a, from_b):
        whole = torch.zeros(shape, dtype=torch.int32, device=device)
        whole.view(-1).index_add_(0, (row * num_paths + path)[step], change)
        columns.append(whole)
    length, from_a, from_b = columns
    from_b[0] = -from_b.sum(0)
    times = torch.zeros(shape, dtype=torch.float64, device=device)
    times[row, path] = t
    return History(
        t=times.cummax(0).values,
        length=length.cumsum(0, dtype=torch.int32),
        from_a=from_a.cumsum(0, dtype=torch.int32),
        from_b=from_b.cumsum(0, dtype=torch.int32),
        num_violations=num_violations,
    )


def symbols_at_ends(flips: Flips) -> tuple[Int64[Tensor, " flips"], Int64[Tensor, " flips"]]:
    """Return for each flip, ordered by path and t, its unit's symbol at the start and at the end."""
    order = order_by(flips.path, flips.unit)
    path, unit = flips.path[order], flips.unit[order]
    group = begins((path[1:] != path[:-1]) | (unit[1:] != unit[:-1]))
    first = firsts(group)
    last = torch.cat([first[1:], first.new_tensor([len(group)])]) - 1
    start, end = torch.empty_like(flips.before), torch.empty_like(flips.before)
    start[order] = flips.before[order][first][group]
    end[order] = flips.after[order][last][group]
    return start, end
