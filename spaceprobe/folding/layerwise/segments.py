"""Parts of paths, and what was seen on them; where they meet, the patterns on both sides are compared."""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from spaceprobe.folding.layerwise.steps import Flips, history
from spaceprobe.folding.measure import History


@dataclass(frozen=True)
class Parts:
    """Parts of paths, in order.

    Attributes:
        path: of which path.
        begin: where it begins.
        end: where it ends.
    """

    path: Int64[Tensor, " parts"]
    begin: Float64[Tensor, " parts"]
    end: Float64[Tensor, " parts"]

    @classmethod
    def of_paths(cls, num_paths: int, count: int, device: torch.device) -> "Parts":
        """Return every path in equal parts."""
        cut = torch.arange(count + 1, dtype=torch.float64, device=device) / count
        path = torch.arange(num_paths, device=device).repeat_interleave(count)
        return cls(path, cut[:-1].repeat(num_paths), cut[1:].repeat(num_paths))

    def take(self, index: slice | Tensor) -> "Parts":
        """Return some of them."""
        return Parts(self.path[index], self.begin[index], self.end[index])

    def split(self, size: int) -> list["Parts"]:
        """Return groups of as many, the last one perhaps smaller."""
        return [self.take(slice(at, at + size)) for at in range(0, len(self.path), size)]

    def halves(self) -> "Parts":
        """Return each part cut in the middle."""
        middle = (self.begin + self.end) / 2
        return Parts(
            self.path.repeat_interleave(2),
            torch.stack([self.begin, middle], dim=1).flatten(),
            torch.stack([middle, self.end], dim=1).flatten(),
        )


@dataclass(frozen=True)
class Seen:
    """What was seen on parts of paths.

    Attributes:
        parts: which.
        flips: inside them, at the t of the whole path.
        start: the states just after the start of each part.
        end: the states just before its end.
        is_wrong: whether the region check failed.
        is_doubtful: whether something was close to a tie.
    """

    parts: Parts
    flips: Flips
    start: Shaped[Tensor, "parts units"]
    end: Shaped[Tensor, "parts units"]
    is_wrong: Bool[Tensor, " parts"]
    is_doubtful: Bool[Tensor, " parts"]

    def take(self, is_kept: Bool[Tensor, " parts"]) -> "Seen":
        """Return what was seen on some of the parts, each of a path of its own."""
        is_path_kept = torch.zeros(int(self.parts.path.max()) + 1, dtype=torch.bool, device=is_kept.device)
        is_path_kept[self.parts.path] = is_kept
        return Seen(
            parts=self.parts.take(is_kept),
            flips=self.flips.take(is_path_kept[self.flips.path]),
            start=self.start[is_kept],
            end=self.end[is_kept],
            is_wrong=self.is_wrong[is_kept],
            is_doubtful=self.is_doubtful[is_kept],
        )


def flips_of(seen: list[Seen]) -> Flips:
    """Return the flips on consecutive paths, given all of their parts, those of a path in order."""
    seams = [flips_between(one, next_one) for one, next_one in pairwise(seen)]
    return Flips.join([*(part.flips for part in seen), *seams])


def history_of(seen: list[Seen]) -> History:
    """Return what was seen on consecutive paths, given all of their parts, those of a path in order."""
    paths = torch.cat([part.parts.path for part in seen])
    first, num_paths = int(paths.min()), int(paths.max() - paths.min()) + 1
    num_violations = torch.zeros(num_paths, dtype=torch.int64, device=paths.device)
    for part in seen:
        num_violations.index_add_(0, part.parts.path - first, part.is_wrong.long())
    flips = flips_of(seen)
    return history(replace(flips, path=flips.path - first), num_paths, num_violations)


def flips_between(first: Seen, second: Seen) -> Flips:
    """Return the flips at the point where one part of a path ends and the next begins."""
    path, t = second.parts.path[:1], second.parts.begin[:1]
    if int(first.parts.path[-1]) != int(path):
        return first.flips.take(slice(0, 0))
    before, after = first.end[-1], second.start[0]
    unit = (before != after).nonzero().squeeze(1)
    return Flips(
        path=path.expand(len(unit)),
        t=t.expand(len(unit)),
        slack=t.new_zeros(len(unit)),
        unit=unit,
        before=before[unit].long(),
        after=after[unit].long(),
    )
