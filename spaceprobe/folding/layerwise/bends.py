"""Where the units of one activation flip along paths.

The state of a bit in an interval is the sign of z - kink at whichever end is not within tolerance of zero;
where both are, it is off (docs/definitions.md, "Exact rules"). A bit whose ends have different signs
flips between them: its crossing. All other flips are at knots that are there already. Flips are changes of
state between neighbouring intervals.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots


@dataclass(frozen=True)
class Crossings:
    """Bits that flip inside an interval.

    Attributes:
        row: the row that begins the interval.
        unit: which unit.
        t: where.
        slack: within which t is known.
        kink: what z is there.
        is_on: the bit's state after it.
        bit: the number of the bit among those of the activation.
    """

    row: Int64[Tensor, " crossings"]
    unit: Int64[Tensor, " crossings"]
    t: Float64[Tensor, " crossings"]
    slack: Float64[Tensor, " crossings"]
    kink: Float64[Tensor, " crossings"]
    is_on: Bool[Tensor, " crossings"]
    bit: Int64[Tensor, " crossings"]

    @classmethod
    def join(cls, parts: list["Crossings"]) -> "Crossings":
        """Return those of several kinks."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class RowFlips:
    """Bits that flip at a knot that is there.

    Attributes:
        row: the knot; of a jump the first row.
        unit: which unit.
        is_on: the bit's state after it.
    """

    row: Int64[Tensor, " flips"]
    unit: Int64[Tensor, " flips"]
    is_on: Bool[Tensor, " flips"]


@dataclass(frozen=True)
class Look:
    """What one kink of an activation sees along paths.

    Attributes:
        above: whether z is beyond the kink, more than rounding.
        below: whether it is before the kink; neither where it is at the kink.
        crossings: the flips inside intervals.
        at_row: flips at knots that are there.
        start: the states just after each path's start.
        end: the states just before its end.
        doubts: paths on which something is near a kink and not just there.
    """

    above: Bool[Tensor, "rows units"]
    below: Bool[Tensor, "rows units"]
    crossings: Crossings
    at_row: "RowFlips"
    start: Bool[Tensor, "paths units"]
    end: Bool[Tensor, "paths units"]
    doubts: Int64[Tensor, " doubts"]


def look(
    z: Float64[Tensor, "rows units"],
    kink: Float64[Tensor, " units"] | float,
    slack: Float64[Tensor, "scales units"],
    scale_row: Int64[Tensor, " rows"],
    knots: Knots,
    first_bit: int,
) -> Look:
    """Return how the bits of a kink change along paths.

    Args:
        z: pre-activations at the knots.
        kink: one for all units, or one each.
        slack: how far from a kink rounding may bring what is at it.
        scale_row: the row of slack for each row of z.
        knots: where the rows are.
        first_bit: the number of the first unit's bit.
    """
    widest = slack.amax(0)
    above, below = z > kink + widest, z < kink - widest
    at_kink, doubts = settle_close_calls(z, kink, slack, scale_row, above, below)
    crossing = above[:-1] ^ above[1:]
    if len(at_kink[0]):
        crossing &= below[:-1] ^ below[1:]
    crossing[knots.last[:-1]] = False
    if not knots.is_plain:
        crossing[knots.jumps] = False
    row, unit = crossing.nonzero(as_tuple=True)
    where = kink[unit] if isinstance(kink, Tensor) else z.new_full((len(unit),), kink)
    start_t, length = knots.t[row], knots.t[row + 1] - knots.t[row]
    ahead = z[row, unit] - where
    span = ahead - (z[row + 1, unit] - where)
    crossings = Crossings(
        row=row,
        unit=unit,
        t=start_t + ahead / span * length,
        slack=slack[scale_row[row], unit] / span.abs() * length,
        kink=where,
        is_on=below[row, unit],
        bit=first_bit + unit,
    )
    return Look(
        above=above,
        below=below,
        crossings=crossings,
        at_row=flips_at_knots(above, at_kink, knots),
        start=state_after(above, below, knots.first),
        end=state_before(above, below, knots.last),
        doubts=knots.path[doubts],
    )


def state_after(above: Tensor, below: Tensor, row: Tensor) -> Tensor:
    """Return the states in the intervals that begin at rows."""
    return above[row] | (~below[row] & above[row + 1])


def state_before(above: Tensor, below: Tensor, row: Tensor) -> Tensor:
    """Return the states in the intervals that end at rows."""
    return above[row] | (~below[row] & above[row - 1])


def settle_close_calls(
    z: Tensor, kink: Tensor | float, slack: Tensor, scale_row: Tensor, above: Tensor, below: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Decide the entries that one slack for all rows left open, in place.

    Returns:
        The entries at the kink, as rows and units, and the rows of those that are not just there.
    """
    is_decided = above ^ below
    if bool(is_decided.all()):
        none = scale_row.new_zeros(0)
        return (none, none), none
    row, unit = is_decided.logical_not_().nonzero(as_tuple=True)
    distance = z[row, unit] - (kink[unit] if isinstance(kink, Tensor) else kink)
    margin = slack[scale_row[row], unit]
    above[row, unit], below[row, unit] = distance > margin, distance < -margin
    # what is not a number is on neither side
    is_close = ~(distance.abs() > margin)
    return (row[is_close], unit[is_close]), row[is_close & (distance != 0)]


def flips_at_knots(above: Tensor, at_kink: tuple[Tensor, Tensor], knots: Knots) -> RowFlips:
    """Return the flips at rows that are there.

    In a row in the middle of two intervals only a unit at its kink can flip; at a jump any unit can.
    """
    row, unit = at_kink
    if len(row) == 0 and knots.is_plain:
        return RowFlips(row, unit, row.bool())
    # the last row is never joined, so the row before row 0 is none that begins an interval
    is_middle = knots.is_joined[row] & knots.is_joined[row - 1]
    row, unit = row[is_middle], unit[is_middle]
    after = above[row + 1, unit]
    flips = above[row - 1, unit] != after
    if knots.is_plain:
        return RowFlips(row[flips], unit[flips], after[flips])
    jumps = knots.jumps
    close = torch.zeros_like(above)
    close[at_kink] = True
    before_jump = above[jumps] | (close[jumps] & above[jumps - 1])
    after_jump = above[jumps + 1] | (close[jumps + 1] & above[jumps + 2])
    number, jumping = (before_jump != after_jump).nonzero(as_tuple=True)
    return RowFlips(
        row=torch.cat([row[flips], jumps[number]]),
        unit=torch.cat([unit[flips], jumping]),
        is_on=torch.cat([after[flips], after_jump[number, jumping]]),
    )
