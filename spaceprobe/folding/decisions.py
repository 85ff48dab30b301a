"""Where the decision of a network flips along straight paths, and by what margin it is taken.

The decision is the output that is the largest; of a network with one output, whether it is above 0. In a
linear region of a piecewise-linear network each output is a line in t, so the decision along a path is the
upper envelope of these lines, and where it flips is exact. The margin, the largest output minus the second
largest, is piecewise linear too (docs/definitions.md, "Decisions along a path").
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding.envelopes import Lines, largest_lines
from spaceprobe.folding.guards import check_images
from spaceprobe.folding.layerwise.knots import Knots
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.probe import Probe
from spaceprobe.folding.options import DEFAULT_TOLERANCE
from spaceprobe.folding.path_images import check_continuous
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.points_on_paths import MAX_NUMBERS, BlockOfPaths, PathPoints, PointMethod
from spaceprobe.folding.ray import NotPiecewiseLinear


@dataclass(frozen=True)
class PathDecisions:
    """The flips of the decision along paths, ordered by path and t, and what the paths have.

    Margins are in the units of the outputs (logits), at least 0. Where the decision flips the margin is 0.

    Attributes:
        path: of each flip its path.
        t: where it is, in (0, 1); on a polyline segments passed and the share of the next one. Of sampled
            paths the later of the two points.
        before: the class that the network names before it: the number of the output, flat. Of a network with
            one output 1 where it is above 0, and 0 elsewhere.
        after: the class that it names behind it.
        margin: the largest margin from there to the next flip, or to the end of the path.
        slope: how fast the margin grows just behind it, per unit of t; NaN of sampled paths.
        start: the class just behind the start of each path.
        start_margin: the largest margin from the start to the first flip, or to the end.
        smallest_margin: the smallest margin on each path, 0 where the decision flips. Of a sampled path
            without a flip that of its points, an upper bound.
        num_violations: linear regions of each path that failed the region check (see `PathFolding`): there
            flips may be missing.
    """

    path: Int64[np.ndarray, " flips"]
    t: Float64[np.ndarray, " flips"]
    before: Int64[np.ndarray, " flips"]
    after: Int64[np.ndarray, " flips"]
    margin: Float64[np.ndarray, " flips"]
    slope: Float64[np.ndarray, " flips"]
    start: Int64[np.ndarray, " paths"]
    start_margin: Float64[np.ndarray, " paths"]
    smallest_margin: Float64[np.ndarray, " paths"]
    num_violations: Int64[np.ndarray, " paths"]

    @property
    def num_flips(self) -> Int64[np.ndarray, " paths"]:
        """The number of flips of each path; of sampled paths a lower bound."""
        return np.bincount(self.path, minlength=len(self.start))

    @property
    def first_t(self) -> Float64[np.ndarray, " paths"]:
        """Where each path has its first flip; NaN where it has none."""
        first = np.full(len(self.start), np.nan)
        first[self.path[::-1]] = self.t[::-1]  # the last to be written is the first on the path
        return first

    @property
    def num_classes(self) -> Int64[np.ndarray, " paths"]:
        """How many different classes the network names on each path, at least 1."""
        paths = np.concatenate([np.arange(len(self.start)), self.path])
        named = np.unique(np.stack([paths, np.concatenate([self.start, self.after])]), axis=1)
        return np.bincount(named[0], minlength=len(self.start))


@dataclass(frozen=True)
class _Pieces:
    """Pieces of paths with one decision each, in their order; neighbours may have the same one.

    Attributes:
        path: which path.
        t: where the piece begins.
        decision: the class.
        largest: the largest margin on it.
        smallest: the smallest one.
        slope: of the margin where the piece begins.
    """

    path: Int64[Tensor, " pieces"]
    t: Float64[Tensor, " pieces"]
    decision: Int64[Tensor, " pieces"]
    largest: Float64[Tensor, " pieces"]
    smallest: Float64[Tensor, " pieces"]
    slope: Float64[Tensor, " pieces"]

    @classmethod
    def join(cls, parts: "list[_Pieces]") -> "_Pieces":
        """Return the pieces of several parts, one after the other."""
        none = torch.zeros(0, dtype=torch.float64)
        empty = cls(none.long(), none, none.long(), none, none, none)
        names = cls.__dataclass_fields__
        return cls(*(torch.cat([getattr(part, name) for part in [empty, *parts]]) for name in names))


def path_decisions(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: PointMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> PathDecisions:
    """Return the flips of the decision along the straight paths from a to b; on the CPU, in float64.

    Args:
        network: see `walk_paths`; its output is one tensor, of any shape.
        a: starts, of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape; on a path of one point nothing flips.
        method: ``exact``, also called ``layerwise``, sees every flip, of a network that is piecewise linear
            to its outputs and does not jump. ``sampled`` reads the decision at evenly spaced points of any
            module: a flip is at most one step before its t, and their number is a lower bound.
        num_points: for ``sampled``, both ends included, at least 2.
        tolerance: two outputs are equal where they differ by at most this share of what they were summed
            from; see `walk_paths`.
        threads: of the walk; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; for an activation that jumps, or outputs that are none or not finite.
        TypeError: see `walk_paths`; what follows the last activation is not piecewise linear, such as a
            softmax, or the output is not one tensor.

    >>> seen = path_decisions(nn.ReLU(), [[-1.0, 0.25]], [[3.0, 0.25]])  # (0, 1/4), then (t, 1/4)
    >>> seen.t.tolist(), seen.before.tolist(), seen.after.tolist(), seen.margin.tolist()
    ([0.3125], [1], [0], [2.75])
    """
    points = PathPoints(
        network, a, b, method=method, num_points=num_points, tolerance=tolerance, threads=threads
    )
    pieces, violations = _pieces(points, tolerance)
    return _read(pieces, violations)


def polyline_decisions(
    network: nn.Module,
    points: Points,
    *,
    method: PointMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
) -> PathDecisions:
    """Return the flips of the decision along the polyline through points, as a single path.

    Args:
        network: see `path_decisions`.
        points: at least 2, of shape ``(num_points, *input shape)``; segments of length 0 are passed over.
        method: see `path_decisions`.
        num_points: evenly spaced on each segment, both ends included; for ``sampled``.
        tolerance: see `path_decisions`.

    Returns:
        The flips, whose t goes from 0 to the number of segments: one at a corner has a whole number.

    Raises:
        ValueError: see `path_decisions`; there are fewer than 2 points.
        TypeError: see `path_decisions`.
    """
    corners = read_points("points", points)
    check_images("points", corners)
    if len(corners) < 2:
        raise ValueError(f"points has {len(corners)} point: a path has at least its 2 ends")
    segment = (corners[1:] != corners[:-1]).flatten(1).any(1).nonzero().squeeze(1)
    if not len(segment):
        segment = torch.zeros(1, dtype=torch.int64)
    on_segments = PathPoints(
        network,
        corners[segment],
        corners[segment + 1],
        method=method,
        num_points=num_points,
        tolerance=tolerance,
        threads=None,
    )
    pieces, violations = _pieces(on_segments, tolerance)
    t = segment[pieces.path] + pieces.t
    others = pieces.decision, pieces.largest, pieces.smallest, pieces.slope
    return _read(_Pieces(torch.zeros_like(pieces.path), t, *others), violations.sum(keepdims=True))


@torch.no_grad()
def _pieces(points: PathPoints, tolerance: float) -> tuple[_Pieces, Int64[np.ndarray, " paths"]]:
    """Return the pieces of all paths, and how many regions of each failed the region check."""
    if points.is_exact:
        check_continuous(points.network, points.example)
    parts, violations = [], np.zeros(len(points.a), dtype=np.int64)
    for block in points.blocks():
        violations[block.paths] = block.num_violations
        found = _of_regions(points, block, tolerance) if points.is_exact else _at_points(points, block)
        for part in found:
            others = part.t, part.decision, part.largest, part.smallest, part.slope
            parts.append(_Pieces(part.path + block.paths.start, *others))
    return _Pieces.join(parts), violations


def _read(pieces: _Pieces, violations: Int64[np.ndarray, " paths"]) -> PathDecisions:
    """Return what pieces say of their paths, of which each has at least one."""
    path, decision = pieces.path, pieces.decision
    is_first = torch.ones_like(path, dtype=torch.bool)
    is_first[1:] = path[1:] != path[:-1]
    is_new = is_first.clone()
    is_new[1:] |= decision[1:] != decision[:-1]
    is_flip = is_new & ~is_first
    margin = torch.zeros(int(is_new.sum()), dtype=torch.float64)
    margin.scatter_reduce_(0, is_new.cumsum(0) - 1, pieces.largest, "amax")
    smallest = torch.full((len(violations),), torch.inf, dtype=torch.float64)
    smallest.scatter_reduce_(0, path, pieces.smallest, "amin")
    smallest[path[is_flip]] = 0
    return PathDecisions(
        path=path[is_flip].numpy(),
        t=pieces.t[is_flip].numpy(),
        before=decision[:-1][is_flip[1:]].numpy(),
        after=decision[is_flip].numpy(),
        margin=margin[is_flip[is_new]].numpy(),
        slope=pieces.slope[is_flip].numpy(),
        start=decision[is_first].numpy(),
        start_margin=margin[is_first[is_new]].numpy(),
        smallest_margin=smallest.numpy(),
        num_violations=violations,
    )


def _of_regions(points: PathPoints, paths: BlockOfPaths, tolerance: float) -> Iterator[_Pieces]:
    """Yield the pieces of the paths of a block, of the linear regions between neighbouring points."""
    path, t = paths.path, paths.t
    if not len(path):
        return
    size = _rows_at_once(points, paths)
    values, slack = _with_slack(points, paths, slice(0, 1), tolerance)
    for first in range(1, len(path), size):
        rows = slice(first, first + size)
        more = _with_slack(points, paths, rows, tolerance)
        values, slack = torch.cat([values[-1:], more[0]]), torch.cat([slack[-1:], more[1]])
        own, at = path[first - 1 : rows.stop], t[first - 1 : rows.stop]
        is_region = own[1:] == own[:-1]
        lines = Lines(*(column[is_region] for column in (values[:-1], values[1:], slack[:-1], slack[1:])))
        yield _of_lines(lines, own[1:][is_region], at[:-1][is_region], at.diff()[is_region])


def _of_lines(
    lines: Lines,
    path: Int64[Tensor, " regions"],
    begin: Float64[Tensor, " regions"],
    length: Float64[Tensor, " regions"],
) -> _Pieces:
    """Return the pieces of linear regions, given their outputs as lines, and where on which path they are.

    On a piece the margin is concave: it is smallest at an end, and largest at an end or where another output
    takes the second place.
    """
    seen = largest_lines(lines)
    region, decision = seen.interval, seen.line
    of_region = lines.take(region)
    number = torch.arange(lines.begin.shape[1] - 1).expand(len(decision), -1)
    others = of_region.only(number + (number >= decision[:, None]))
    second = largest_lines(others.between(seen.begin, seen.end))
    piece = second.interval
    leader = of_region.only(decision[:, None]).take(piece)
    rival = others.take(piece).only(second.line[:, None])
    at_ends = [
        _margin(leader, rival, torch.lerp(seen.begin[piece], seen.end[piece], u))
        for u in (second.begin, second.end)
    ]
    largest = torch.zeros(len(region), dtype=torch.float64)
    smallest = torch.full_like(largest, torch.inf)
    for margin in at_ends:
        largest.scatter_reduce_(0, piece, margin, "amax")
        smallest.scatter_reduce_(0, piece, margin, "amin")
    is_first = torch.ones_like(piece, dtype=torch.bool)
    is_first[1:] = piece[1:] != piece[:-1]
    return _Pieces(
        path[region],
        begin[region] + seen.begin * length[region],
        decision,
        largest,
        smallest,
        _rise(leader.take(is_first), rival.take(is_first)) / length[region],
    )


def _margin(leader: Lines, rival: Lines, u: Float64[Tensor, " pieces"]) -> Float64[Tensor, " pieces"]:
    """Return by how much one line is above another at one u of each interval, 0 for rounding."""
    (above, slack), (below, other_slack) = leader.at(u), rival.at(u)
    margin = (above - below).squeeze(1)
    return margin.masked_fill(margin <= (slack + other_slack).squeeze(1), 0)


def _rise(leader: Lines, rival: Lines) -> Float64[Tensor, " pieces"]:
    """Return by how much more one line rises over its whole interval than another, 0 for rounding."""
    rise = (leader.end - leader.begin - (rival.end - rival.begin)).squeeze(1)
    return rise.masked_fill(rise.abs() <= (leader.end_slack + rival.end_slack).squeeze(1), 0)


def _at_points(points: PathPoints, paths: BlockOfPaths) -> Iterator[_Pieces]:
    """Yield the points of the paths of a block as pieces, each with what the network says there."""
    size = _rows_at_once(points, paths)
    for first in range(0, len(paths.path), size):
        rows = slice(first, first + size)
        path, t = paths.path[rows], paths.t[rows]
        values = _classes(points.network.body(paths.at(path, t)))
        top = values.topk(2, dim=1).values
        margin = top[:, 0] - top[:, 1]
        decision = (values == top[:, :1]).int().argmax(1)  # the first, where several are largest
        yield _Pieces(path, t, decision, margin, margin, torch.full_like(margin, torch.nan))


def _rows_at_once(points: PathPoints, paths: BlockOfPaths) -> int:
    """Return how many points are run at a time."""
    return max(1, MAX_NUMBERS // max(paths.a.value.shape[1:].numel(), sum(points.network.num_units)))


def _with_slack(
    points: PathPoints, paths: BlockOfPaths, rows: slice, tolerance: float
) -> tuple[Float64[Tensor, "points classes"], Float64[Tensor, "points classes"]]:
    """Return the outputs at some points as classes, and how far rounding may take each from the exact one.

    Raises:
        TypeError: a function is not piecewise linear, or the output is not one tensor.
        ValueError: there are no outputs, or one is not finite.
    """
    path, t = paths.path[rows], paths.t[rows]
    value = paths.at(path, t)
    scale = torch.lerp(paths.a.scale[path], paths.b.scale[path], t.view(-1, *[1] * (value.ndim - 1)))
    line = Polyline.of(value, scale, Knots.of_points(len(value), value.device), Probe(tolerance))
    network = points.network
    try:
        output = network.body(line)
    except NotPiecewiseLinear as error:
        raise network.place.refuse(error) from error
    if not isinstance(output, Polyline):
        raise TypeError(f"the network returns {type(output).__name__}: a decision needs one tensor")
    slack = tolerance * output.sizes.expand_as(output.rows)
    return _classes(output.rows), _classes(slack)


def _classes(outputs: object) -> Float64[Tensor, "points classes"]:
    """Return the outputs as numbers of which the largest is the decision: a single one stands beside a 0.

    Raises:
        TypeError: the output is not one tensor.
        ValueError: there are no outputs, or one is not finite.
    """
    if not isinstance(outputs, Tensor):
        raise TypeError(f"the network returns {type(outputs).__name__}: a decision needs one tensor")
    values = outputs.flatten(1)
    if not values.shape[1]:
        raise ValueError(
            f"the network's output has the shape {tuple(outputs.shape[1:])}: expected one number or more"
        )
    if not values.isfinite().all():
        raise ValueError("an output of the network is not finite on the path, so it has no decision there")
    return torch.cat([torch.zeros_like(values), values], dim=1) if values.shape[1] == 1 else values
