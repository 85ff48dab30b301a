"""What a layer is given: its values, and the scale that they have (`spaceprobe.folding.rounding`).

A value that is zero but for rounding becomes zero: a layer later, its rounding would be compared with itself.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.rounding import inherited_scale, rounding_share


def anchored(line: Polyline) -> Polyline:
    """Return what a layer is given, with the scale that its values have.

    A unit that is zero but for rounding on a whole path puts the path in doubt. In a careful walk, and at
    single points, a value that is zero but for rounding is zero. The largest value is that on the path, also
    where scales have a row a knot: values at new knots are interpolated between old ones, and their rounding
    is of the size of those. A unit that is zero in the intervals at a knot has no scale there.
    """
    visit, knots = line.visit, line.knots
    rows, sizes = line.rows.flatten(1), line.sizes.flatten(1)
    share = rounding_share(visit.tolerance, torch.finfo(rows.dtype).eps)
    rounding = visit.tolerance * share * sizes
    if visit.is_careful or visit.is_at_points:
        is_rounding = (rows.abs() <= rounding) & (rows != 0)
        rows = rows.masked_fill(is_rounding, 0) if bool(is_rounding.any()) else rows
        largest = largest_on_paths(rows, knots)[knots.path] * is_live(rows, knots)
    else:
        largest = largest_on_paths(rows, knots)
        is_rounding = (largest <= rounding) & (largest > 0)
        visit.doubts.append(is_rounding.any(1).nonzero().squeeze(1))
    sizes = inherited_scale(largest, sizes, visit.tolerance)
    return Polyline.of(rows.view_as(line.rows), sizes.view_as(line.sizes), knots, visit)


def largest_on_paths(rows: Float[Tensor, "rows units"], knots: Knots) -> Float[Tensor, "paths units"]:
    """Return the largest absolute value of each unit on each path."""
    path = knots.path[:, None].expand_as(rows)
    highest, lowest = rows.new_zeros((2, knots.num_paths, rows.shape[1]))
    highest.scatter_reduce_(0, path, rows, "amax")
    lowest.scatter_reduce_(0, path, rows, "amin")
    return torch.maximum(highest, lowest.neg_())


def is_live(rows: Float[Tensor, "rows units"], knots: Knots) -> Bool[Tensor, "rows units"]:
    """Return which units are not zero throughout the intervals at each knot."""
    moves = rows != 0
    live = moves.clone()
    is_joined = knots.is_joined[:-1, None]
    live[:-1] |= moves[1:] & is_joined
    live[1:] |= moves[:-1] & is_joined
    return live
