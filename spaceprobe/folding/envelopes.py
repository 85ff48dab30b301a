"""Which of several lines is the largest where; lines that are too close to tell apart are equal."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


@dataclass(frozen=True)
class Lines:
    """Several lines over each of some intervals, on which u goes from 0 to 1.

    Attributes:
        begin: their values at u = 0.
        end: their values at u = 1.
        begin_slack: how far rounding may take each value from the exact one, at u = 0. Two values are equal
            if they differ by no more than the slack of both together.
        end_slack: the same at u = 1.
    """

    begin: Float64[Tensor, "intervals lines"]
    end: Float64[Tensor, "intervals lines"]
    begin_slack: Float64[Tensor, "intervals lines"]
    end_slack: Float64[Tensor, "intervals lines"]

    def take(self, interval: Tensor) -> "Lines":
        """Return the lines of some intervals."""
        columns = (self.begin, self.end, self.begin_slack, self.end_slack)
        return Lines(*(column[interval] for column in columns))

    def at(self, u: Float64[Tensor, " intervals"]) -> tuple[Tensor, Tensor]:
        """Return the values at one u of each interval, and how far rounding may take them."""
        share = u[:, None]
        return torch.lerp(self.begin, self.end, share), torch.lerp(self.begin_slack, self.end_slack, share)

    def between(self, begin: Float64[Tensor, " intervals"], end: Float64[Tensor, " intervals"]) -> "Lines":
        """Return the lines over a part of each interval, on which u goes from 0 to 1 again."""
        (at_begin, begin_slack), (at_end, end_slack) = self.at(begin), self.at(end)
        return Lines(at_begin, at_end, begin_slack, end_slack)

    def only(self, line: Int64[Tensor, "intervals kept"]) -> "Lines":
        """Return some lines of each interval, by their numbers."""
        columns = (self.begin, self.end, self.begin_slack, self.end_slack)
        return Lines(*(column.gather(1, line) for column in columns))


@dataclass(frozen=True)
class Stretches:
    """The stretches of intervals on which one line is the largest, ordered by interval and u.

    Attributes:
        interval: which one each is a part of; every interval has at least one.
        begin: where it begins, u in [0, 1).
        end: where the next of the interval begins, or 1.
        line: which line is the largest.
    """

    interval: Int64[Tensor, " stretches"]
    begin: Float64[Tensor, " stretches"]
    end: Float64[Tensor, " stretches"]
    line: Int64[Tensor, " stretches"]


def largest_lines(lines: Lines) -> Stretches:
    """Return which line is the largest where; the first of those that are equal on a whole stretch.

    What happens at a single u does not count: a line that only touches the largest one has no stretch.

    Args:
        lines: at least one a interval.

    >>> flat, rising = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[1.0, 4.0]]).double()
    >>> seen = largest_lines(Lines(flat, rising, 0 * flat, 0 * flat))
    >>> seen.line.tolist(), seen.begin.tolist(), seen.end.tolist()
    ([0, 1], [0.0, 0.25], [0.25, 1.0])
    """
    interval = torch.arange(len(lines.begin))
    u = torch.zeros(len(interval), dtype=torch.float64)
    line = _ahead(lines.begin, lines.begin_slack, lines, torch.ones_like(lines.begin, dtype=torch.bool))
    parts = [(interval, u, line)]
    while len(interval):
        is_left, u, line = _overtaken(lines.take(interval), u, line)
        interval = interval[is_left]
        parts.append((interval, u, line))
    interval, u, line = (torch.cat(columns) for columns in zip(*parts, strict=True))
    # rounds of the loop are in the order of u
    order = interval.argsort(stable=True)
    interval, begin, line = interval[order], u[order], line[order]
    end = torch.ones_like(begin)
    is_followed = interval[1:] == interval[:-1]
    end[:-1][is_followed] = begin[1:][is_followed]
    return Stretches(interval, begin, end, line)


def _overtaken(
    lines: Lines, u: Float64[Tensor, " intervals"], line: Int64[Tensor, " intervals"]
) -> tuple[Bool[Tensor, " intervals"], Tensor, Tensor]:
    """Return whether the largest line of an interval is overtaken; of those that are, where and by which."""
    own = line[:, None]
    leader = lines.only(own)
    lead, gain = leader.begin - lines.begin, lines.end - leader.end
    overtakes = gain > lines.end_slack + leader.end_slack
    crossing = torch.where(lead > 0, lead / torch.where(lead > 0, lead + gain, 1), 0).clamp_min(u[:, None])
    first, challenger = torch.where(overtakes, crossing, torch.inf).min(1)
    # one that gets there by rounding alone is the largest from the next interval on
    is_left = first < 1
    lines, first, challenger = lines.take(is_left), first[is_left], challenger[is_left]
    values, slack = lines.at(first)
    may_follow = lines.end > leader.end[is_left]  # so that it ends
    return is_left, first, _ahead(values, slack, lines, may_follow, challenger)


def _ahead(
    values: Float64[Tensor, "intervals lines"],
    slack: Float64[Tensor, "intervals lines"],
    lines: Lines,
    may_lead: Bool[Tensor, "intervals lines"],
    challenger: Int64[Tensor, " intervals"] | None = None,
) -> Int64[Tensor, " intervals"]:
    """Return which line is the largest just behind a place: of those that are largest there, the steepest.

    Args:
        values: at the place.
        slack: of the values.
        lines: all of them.
        may_lead: which of them to choose from.
        challenger: one of each interval that is known to be among the largest there.
    """
    is_top = may_lead & _is_largest(values, slack)
    if challenger is not None:
        is_top.scatter_(1, challenger[:, None], value=True)
    later = lines.end.masked_fill(~is_top, -torch.inf)
    # the first of those that end equally high
    return _is_largest(later, lines.end_slack).int().argmax(1)


def _is_largest(
    values: Float64[Tensor, "intervals lines"], slack: Float64[Tensor, "intervals lines"]
) -> Bool[Tensor, "intervals lines"]:
    """Return which values are equal to the largest of their interval."""
    largest, place = values.max(1, keepdim=True)
    is_largest: Tensor = largest - values <= slack + slack.gather(1, place)
    return is_largest
