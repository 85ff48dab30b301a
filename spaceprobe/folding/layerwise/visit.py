"""One run of a network on polylines: its activations add knots, and note which units flip there."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from spaceprobe.folding.activations import Activation
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.layerwise.bends import Crossings, Look, look
from spaceprobe.folding.layerwise.choices import choices
from spaceprobe.folding.layerwise.knots import Knots, Refinement, close_items, insert, merge_close, split_all
from spaceprobe.folding.layerwise.maxima import Windows
from spaceprobe.folding.layerwise.outputs import jump, output_sizes, per_unit
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.prepared_module import OTHER_ACTIVATIONS, PreparedModule
from spaceprobe.folding.ray import NotPiecewiseLinear

ROOM = 8
"""Chosen: at a point inside, z may be this many times farther from its interpolation than from a kink."""


SMALLEST_SLACK = 1e-18
"""Chosen: in float32 the square of a smaller scale is 0."""


class LastActivation(Exception):  # noqa: N818 - not an error
    """Leaves a network after its last activation, or other unit: what follows has none."""


class TooManyRows(Exception):  # noqa: N818 - not an error: fewer paths, or parts of one, are walked at once
    """A tensor would have more numbers than is allowed."""


@dataclass
class Visit:
    """What a run was told and what it has seen.

    Attributes:
        tolerance: see `spaceprobe.folding.walk_paths`.
        num_activations: after how many the run is over, windows that count included; None for all.
        is_careful: whether scales have a row a knot.
        is_rough: whether it is in float32, where also what is just at a kink is in doubt.
        is_at_points: whether it is at single points, with no interval between them.
        max_numbers: of one tensor.
        counted: what counts as a unit, and where its bit flips.
        num_bent: how many activations were met.
        bits: of each activation that was met: the shape of its units, and how many bits each has; of a
            maximum whose windows count its windows, with one symbol each.
        flips: of each kink of each activation, and of each maximum.
        starts: the states just after the start of each path, for each kink of each activation, and maximum.
        ends: the same just before its end.
        doubts: paths on which something is close to a tie.
        squares: of weights, which every run of a network needs.
        last: of the last activation, z at the knots, how far rounding may bring it, and the knots.
    """

    tolerance: float
    num_activations: int | None = None
    is_careful: bool = False
    is_rough: bool = False
    is_at_points: bool = False
    max_numbers: int = 2**62
    counted: Counted = BENDS
    num_bent: int = 0
    bits: list[tuple[torch.Size, int]] = field(default_factory=list)
    flips: list[Flips] = field(default_factory=list)
    starts: list[Shaped[Tensor, "paths units"]] = field(default_factory=list)
    ends: list[Shaped[Tensor, "paths units"]] = field(default_factory=list)
    doubts: list[Int64[Tensor, " doubts"]] = field(default_factory=list)
    squares: dict[Tensor, Tensor] = field(default_factory=dict)
    last: tuple[Tensor, Tensor, Knots] = field(init=False)

    @property
    def num_bits(self) -> int:
        """How many bits were met."""
        return sum(shape.numel() * num_kinks for shape, num_kinks in self.bits)

    def bend(self, line: Polyline, activation: Activation) -> Polyline:
        """Return the output of an activation, and note which of its units flip where.

        Raises:
            LastActivation: if no other follows.
            TooManyRows: if the output would be too large.
        """
        rows, sizes, knots = line.rows, line.sizes, line.knots
        features = rows.shape[1:]
        z, slack = rows.flatten(1), self.tolerance * sizes.flatten(1)
        if self.is_rough:
            slack += SMALLEST_SLACK
        kinks = [per_unit(kink, rows) for kink in activation.kinks]
        first_bits = [self.num_bits + number * z.shape[1] for number in range(len(kinks))]
        scale_row = self.scale_row(knots)

        def looks_at(values: list[Tensor | float]) -> list[Look]:
            pairs = zip(values, first_bits, strict=True)
            return [look(z, value, slack, scale_row, knots, bit) for value, bit in pairs]

        looks = looks_at(kinks)
        noted = looks
        if not self.counted.is_at_kinks:
            flips_at = self.counted.flips_at(activation, self.num_bent)
            noted = looks_at([per_unit(value, rows) for value in flips_at])
            self.doubts += [seen.doubts for seen in looks]
        for seen, first_bit in zip(noted, first_bits, strict=True):
            self.note(seen, first_bit, knots)
            if self.is_rough:
                self.doubts.append(knots.path[~(seen.above | seen.below).all(1)])
        self.num_bent += 1
        self.bits.append((features, len(kinks)))
        if len(self.bits) == self.num_activations:
            self.last = (z, slack, knots)
            raise LastActivation
        crossings = Crossings.join([seen.crossings for seen in looks])
        close = close_items(crossings.row, crossings.t, crossings.slack, self.is_rough)
        self.doubts.append(knots.path[close])
        after, t, knot = merge_close(crossings.row, crossings.t, crossings.slack)
        refinement = insert(knots, after, t)
        self.check_size(len(refinement.knots) * z.shape[1])
        refined = refinement.rows(z)
        refined[refinement.is_new[knot], crossings.unit] = crossings.kink  # exactly
        sizes = self.refine_sizes(sizes.flatten(1), refinement)
        if activation.pieces is not None:
            split = split_all(refinement.knots)
            refined, sizes = split.rows(refined), self.refine_sizes(sizes, split)
            margin = self.tolerance * sizes[self.scale_row(split.knots)[::2]]
            output, knots = jump(activation.pieces, activation.at_kinks, refined, kinks, margin), split.knots
        else:
            if activation.is_flat_below:
                sizes *= self.is_ever_on(looks[0], knots, refined)
            output, knots = activation.apply(refined.view(-1, *features)), refinement.knots
        sizes = output_sizes(activation, sizes.view(-1, *features))
        return Polyline.of(output.view(-1, *features), sizes, knots, self)

    def choose(
        self, line: Polyline, windows: Windows, slack: Tensor, refinement: Refinement, width: Tensor
    ) -> None:
        """Note which entries the windows of a maximum choose where.

        Args:
            line: their entries.
            windows: which they are.
            slack: how far apart rounding may bring entries that are equal, for the scales of the line.
            refinement: to the knots at which another entry takes over.
            width: within which these are known.

        Raises:
            LastActivation: if nothing else that counts follows.
        """
        z = line.rows.flatten(1)
        finer = refinement.knots
        seen = choices(
            windows,
            refinement.rows(z),
            self.refine_sizes(slack, refinement),
            self.scale_row(finer),
            finer,
            width,
            self.num_bits,
            self.is_rough,
        )
        self.flips.append(seen.flips)
        self.starts.append(seen.start)
        self.ends.append(seen.end)
        self.doubts.append(seen.doubts)
        self.bits.append((torch.Size([len(windows.members)]), 1))
        if len(self.bits) == self.num_activations:
            self.last = (z, self.tolerance * line.sizes.flatten(1), line.knots)
            raise LastActivation

    def squared(self, weight: Tensor) -> Tensor:
        """Return the squares of a weight, computed once."""
        if weight not in self.squares:
            self.squares[weight] = weight**2
        return self.squares[weight]

    def scale_row(self, knots: Knots) -> Int64[Tensor, " rows"]:
        """Return the row of a scale that belongs to each row of a quantity."""
        return torch.arange(len(knots), device=knots.t.device) if self.is_careful else knots.path

    def refine_sizes(self, sizes: Tensor, refinement: Refinement) -> Tensor:
        """Return a scale at finer knots, in a tensor of its own."""
        return refinement.rows(sizes) if self.is_careful else sizes.clone()

    def is_ever_on(self, seen: Look, knots: Knots, refined: Tensor) -> Bool[Tensor, "scales units"]:
        """Return which units pass something on: on their path, or in an interval next to each knot."""
        if self.is_careful:
            is_on = refined > 0
            is_near = is_on.clone()
            is_near[1:] |= is_on[:-1]
            is_near[:-1] |= is_on[1:]
            return is_near
        is_ever_on = seen.start | seen.end
        for flips in (seen.crossings, seen.at_row):
            is_ever_on[knots.path[flips.row], flips.unit] = True
        return is_ever_on

    def check_size(self, num_numbers: int) -> None:
        """Raise TooManyRows if a tensor of so many numbers is too large."""
        if num_numbers > self.max_numbers:
            raise TooManyRows

    def note(self, seen: Look, first_bit: int, knots: Knots) -> None:
        """Keep what is asked of a path afterwards."""
        crossings, at_row = seen.crossings, seen.at_row
        is_on = torch.cat([crossings.is_on, at_row.is_on]).long()
        self.flips.append(
            Flips(
                path=torch.cat([knots.path[crossings.row], knots.path[at_row.row]]),
                t=torch.cat([crossings.t, knots.t[at_row.row]]),
                slack=torch.cat([crossings.slack, torch.zeros_like(knots.t[at_row.row])]),
                unit=torch.cat([crossings.bit, first_bit + at_row.unit]),
                before=1 - is_on,
                after=is_on,
            )
        )
        self.starts.append(seen.start)
        self.ends.append(seen.end)
        self.doubts.append(seen.doubts)

    def disagrees(self, probed: Float64[Tensor, "paths units"], share: float) -> Bool[Tensor, " paths"]:
        """Return on which paths z of the last activation is not what the network itself computes at a point.

        Args:
            probed: what it computes, at the same share of every path.
            share: which share, in (0, 1).
        """
        z, slack, knots = self.last
        is_before = (knots.t <= share).long()
        row = knots.first - 1 + torch.zeros_like(knots.first).index_add_(0, knots.path, is_before)
        weight = (share - knots.t[row]) / (knots.t[row + 1] - knots.t[row])
        between = torch.lerp(z[row], z[row + 1], weight[:, None].to(z.dtype))
        slack = slack[row] if self.is_careful else slack
        return ~((between - probed).abs() <= ROOM * slack).all(1)


def run(network: PreparedModule, line: Polyline) -> None:
    """Run the body of a network as far as its last activation.

    Raises:
        TypeError: for a module that is not known to be piecewise linear.
        ValueError: if it runs other activations than it did when it was prepared.
    """
    try:
        network.body(line)
    except LastActivation:
        return
    except NotPiecewiseLinear as error:
        raise network.place.refuse(error) from error
    raise ValueError(OTHER_ACTIVATIONS)
