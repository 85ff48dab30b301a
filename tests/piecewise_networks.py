"""Small networks of every kind of piecewise-affine step, and their folding in rational arithmetic.

A network is a list of steps. Each is evaluated at a point, on fractions, by a line of its own; breakpoints
are found from what a step sees at two points inside every interval, where it is affine. So the oracle
shares no code and no idea with the engines. Every number is dyadic: the same as a fraction and in float64.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from tests.rational_oracle import Vector, between, read_patterns

RESOLUTION = Fraction(1, 10**9)
"""Nothing that is not exactly degenerate is closer than this."""


@dataclass(frozen=True)
class Bend:
    """An activation: where it bends or jumps, its value at a number, and the function of torch."""

    kinks: tuple[Fraction, ...]
    value: Callable[[Fraction], Fraction]
    function: Callable[[Tensor], Tensor]


def fraction(*numbers: float) -> tuple[Fraction, ...]:
    return tuple(Fraction(number) for number in numbers)


def sign(z: Fraction) -> Fraction:
    return Fraction((z > 0) - (z < 0))


BENDS = {
    "relu": Bend(fraction(0), lambda z: max(z, Fraction(0)), torch.relu),
    "leaky_relu": Bend(fraction(0), lambda z: z if z > 0 else z / 4, lambda z: F.leaky_relu(z, 0.25)),
    "abs": Bend(fraction(0), abs, torch.abs),
    "hardtanh": Bend(fraction(-1, 1), lambda z: min(max(z, Fraction(-1)), Fraction(1)), F.hardtanh),
    "clamp": Bend(fraction(0, 6), lambda z: min(max(z, Fraction(0)), Fraction(6)), F.relu6),
    "sign": Bend(fraction(0), sign, torch.sign),
    "threshold": Bend(
        fraction(0.5), lambda z: z if z > 0.5 else Fraction(-2), lambda z: F.threshold(z, 0.5, -2.0)
    ),
    "softshrink": Bend(
        fraction(-0.5, 0.5),
        lambda z: z - sign(z) / 2 if abs(z) > 0.5 else Fraction(0),
        lambda z: F.softshrink(z, 0.5),
    ),
    "product": Bend(fraction(0), lambda z: max(z, Fraction(0)), lambda z: z * (z > 0)),
}


@dataclass(frozen=True)
class Choice:
    """A maximum: the entries of each window, of a minimum negated, its sign, and the function of torch."""

    entries: Callable[[Vector, object], list[Vector]]
    function: Callable[[Tensor, object], Tensor]
    sign: int = 1


def neighbours(x: Vector, _what: object) -> list[Vector]:
    return [x[at : at + 2] for at in range(0, len(x), 2)]


def overlapping(x: Vector, _what: object) -> list[Vector]:
    return [x[max(at - 1, 0) : at + 2] for at in range(0, len(x), 2)]


def pieces(x: Vector, count: object) -> list[Vector]:
    return [x[at :: len(x) // count] for at in range(len(x) // count)]


WINDOWS = {
    "max": Choice(neighbours, lambda x, _: F.max_pool1d(x[:, None], 2)[:, 0]),
    "overlap": Choice(overlapping, lambda x, _: F.max_pool1d(x[:, None], 3, stride=2, padding=1)[:, 0]),
    "maxout": Choice(pieces, lambda x, count: x.view(len(x), count, -1).amax(1)),
    "maximum": Choice(lambda x, y: [*map(list, zip(x, y, strict=True))], torch.maximum),
    "minimum": Choice(lambda x, y: [[-z, -w] for z, w in zip(x, y, strict=True)], torch.minimum, sign=-1),
}
OF_TWO = ("maximum", "minimum")
"""They take an earlier value, whose number stands in the step; maxout has the number of its pieces there."""


def lines_through(left: Vector, right: Vector) -> list[tuple[Fraction, Fraction]]:
    """Return slope and first value of each entry, from its values at two points."""
    return [(r - z, z) for z, r in zip(left, right, strict=True)]


@dataclass
class PiecewiseNetwork:
    """Steps ``(kind, what)``: affine maps, activations, maxima, sums with an earlier value."""

    name: str
    a: Vector
    b: Vector
    steps: list[tuple[str, object]] = field(default_factory=list)

    def run(self, point: Vector) -> tuple[list[tuple[object, Vector]], Vector]:
        """Return what every activation and maximum is given at a point, and the output."""
        seen: list[tuple[object, Vector]] = []
        values = [point]
        for kind, what in self.steps:
            x = values[-1]
            if kind == "affine":
                weight, bias = what
                y = [
                    sum((w * h for w, h in zip(row, x, strict=True)), c)
                    for row, c in zip(weight, bias, strict=True)
                ]
            elif kind == "bend":
                seen.append((BENDS[what], x))
                y = [BENDS[what].value(z) for z in x]
            elif kind in WINDOWS:
                entries = WINDOWS[kind].entries(x, values[what] if kind in OF_TWO else what)
                seen.append(("window", entries))
                y = [WINDOWS[kind].sign * max(window) for window in entries]
            else:
                y = [z + w for z, w in zip(x, values[what], strict=True)]
            values.append(y)
        return seen, values[-1]

    def breakpoints(self) -> list[Fraction]:
        """Return 0, 1 and every t between at which some step bends or jumps, ascending."""
        times = fraction(0, 1)
        for number in range(len(self.run(self.a)[0])):
            crossings = set()
            for start, end in pairwise(times):
                thirds = [start + (end - start) * share for share in (Fraction(1, 3), Fraction(2, 3))]
                step, left = self.run(between(self.a, self.b, thirds[0]))[0][number]
                right = self.run(between(self.a, self.b, thirds[1]))[0][number][1]
                if step == "window":
                    meetings = [
                        (f[0] - g[0], g[1] - f[1])
                        for windows in zip(left, right, strict=True)
                        for f, g in combinations(lines_through(*windows), 2)
                    ]
                else:
                    meetings = [
                        (slope, kink - z) for slope, z in lines_through(left, right) for kink in step.kinks
                    ]
                for slope, distance in meetings:
                    if slope:
                        t = thirds[0] + distance / slope * (thirds[1] - thirds[0])
                        crossings |= {t} if start < t < end else set()
            times = tuple(sorted({*times, *crossings}))
        return list(times)

    def pattern(self, t: Fraction, with_windows: bool) -> list[int]:
        """Return the bits at a point of the path, and in their places the first of each window's winners."""
        symbols: list[int] = []
        for step, x in self.run(between(self.a, self.b, t))[0]:
            if step != "window":
                symbols += [z > kink for kink in step.kinks for z in x]
            elif with_windows:
                symbols += [window.index(max(window)) for window in x]
        return symbols

    def fold(self, with_windows: bool = False) -> tuple[int, ...]:
        """Return length, reach and peak from a, then reach and peak from b."""
        middles = [(start + end) / 2 for start, end in pairwise(self.breakpoints())]
        patterns = [self.pattern(t, with_windows) for t in middles]
        length, reach, *peak = read_patterns(patterns)
        return (length, reach, *peak, *read_patterns(patterns[::-1])[1:])

    def is_resolvable(self) -> bool:
        """Return whether all that is not exactly degenerate is far from it, and every number fits float64."""
        times = self.breakpoints()
        if any(end - start < RESOLUTION for start, end in pairwise(times)):
            return False
        for t in times:
            for step, x in self.run(between(self.a, self.b, t))[0]:
                gaps = (
                    [p - q for window in x for p, q in combinations(window, 2)]
                    if step == "window"
                    else [z - kink for z in x for kink in step.kinks]
                )
                if any(gap and abs(gap) < RESOLUTION for gap in gaps):
                    return False
        numbers = [
            c for kind, what in self.steps if kind == "affine" for row in (*what[0], what[1]) for c in row
        ]
        return all(Fraction(float(c)) == c for c in numbers)

    def module(self) -> nn.Module:
        """Return the network for torch."""
        return Steps(self.steps)


class Steps(nn.Module):
    """A network of the steps above, on batches."""

    def __init__(self, steps: list[tuple[str, object]]) -> None:
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList()
        for kind, what in steps:
            if kind == "affine":
                weight, bias = (torch.from_numpy(np.array(part, dtype=np.float64)) for part in what)
                layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
                layer.load_state_dict({"weight": weight, "bias": bias})
                self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(self.layers)
        values = [x]
        for kind, what in self.steps:
            x = values[-1]
            if kind == "affine":
                x = next(layers)(x)
            elif kind == "bend":
                x = BENDS[what].function(x)
            elif kind in WINDOWS:
                x = WINDOWS[kind].function(x, values[what] if kind in OF_TWO else what)
            else:
                x = x + values[what]
            values.append(x)
        return x


NUMBERS = fraction(-2, -1, 0, 1, 2, -0.5, 3)


def draw(seed: int) -> PiecewiseNetwork:
    """Return a small network, most of whose layers have something degenerate."""
    rng = random.Random(seed)
    sizes = rng.randint(1, 3)
    a, b = ([rng.choice(NUMBERS) for _ in range(sizes)] for _ in range(2))
    network = PiecewiseNetwork(f"drawn-{seed}", a, b)
    for _ in range(rng.randint(2, 4)):
        add_layer(rng, network)
    return network


def add_layer(rng: random.Random, network: PiecewiseNetwork) -> None:
    """Add an affine map with something degenerate, and what follows it."""
    num_inputs, num_outputs = len(network.run(network.a)[1]), 2 * rng.randint(1, 3)
    weight = [[rng.choice(NUMBERS) for _ in range(num_inputs)] for _ in range(num_outputs)]
    bias = [rng.choice(NUMBERS) for _ in range(num_outputs)]
    bend = rng.choice(list(BENDS))
    unit, other = rng.sample(range(num_outputs), 2)
    fault = rng.choice(["tie", "end", "twin", "negated", "dead", "none"])
    if fault in ("tie", "end"):
        t = Fraction(1, 2) if fault == "tie" else Fraction(rng.randint(0, 1))
        hidden = network.run(between(network.a, network.b, t))[1]
        for one in (unit, other):
            kink = rng.choice(BENDS[bend].kinks)
            bias[one] = kink - sum(w * h for w, h in zip(weight[one], hidden, strict=True))
    elif fault in ("twin", "negated"):
        factor = 1 if fault == "twin" else -1
        weight[other], bias[other] = [factor * w for w in weight[unit]], factor * bias[unit]
    elif fault == "dead":
        weight[unit], bias[unit] = [Fraction(0)] * num_inputs, rng.choice(fraction(-1, 0, 1))
    network.steps.append(("affine", (weight, bias)))
    after = rng.choice(["bend", "bend", "bend max", "max bend", "bend sum", "sum bend"])
    for kind in after.split():
        place = len(network.steps)
        width = len(network.run(network.a)[1])
        if kind == "sum":
            earlier = [n for n in range(place) if len(value_after(network, n)) == width]
            network.steps.append(("sum", rng.choice(earlier or [place])))
        elif kind == "bend" or width % 2 == 0:
            network.steps.append((kind, bend))


def draw_windows(seed: int) -> PiecewiseNetwork:
    """Return a small network of maxima, most of which have something degenerate, with a ReLU or without."""
    rng = random.Random(seed)
    sizes = rng.randint(1, 3)
    a, b = ([rng.choice(NUMBERS) for _ in range(sizes)] for _ in range(2))
    network = PiecewiseNetwork(f"windows-{seed}", a, b)
    for _ in range(rng.randint(1, 3)):
        add_windows(rng, network)
    return network


def add_windows(rng: random.Random, network: PiecewiseNetwork) -> None:
    """Add an affine map some of whose outputs are equal somewhere, and maxima of them."""
    num_inputs, num_outputs = len(network.run(network.a)[1]), rng.choice([4, 6])
    weight = [[rng.choice(NUMBERS) for _ in range(num_inputs)] for _ in range(num_outputs)]
    bias = [rng.choice(NUMBERS) for _ in range(num_outputs)]
    fault = rng.choice(["tie", "end", "equal", "constant", "none"])
    kind = rng.choice([*WINDOWS])
    if fault == "equal":  # in every window, on the whole path
        for one in range(num_outputs // 2):
            for other in (2 * one + 1, one + num_outputs // 2):
                weight[other], bias[other] = weight[2 * one], bias[2 * one]
    elif fault == "constant":
        weight = [[Fraction(0)] * num_inputs if rng.random() < 0.5 else row for row in weight]
    elif fault != "none":  # all of them at one t
        t = Fraction(1, 2) if fault == "tie" else Fraction(rng.randint(0, 1))
        hidden = network.run(between(network.a, network.b, t))[1]
        bias = [-sum(w * h for w, h in zip(row, hidden, strict=True)) for row in weight]
    network.steps.append(("affine", (weight, bias)))
    before = len(network.steps)
    if rng.random() < 0.5:
        network.steps.append(("bend", rng.choice(["relu", "leaky_relu", "hardtanh"])))
    if kind in OF_TWO:
        is_square = num_inputs == num_outputs
        network.steps.append(("affine", (weight[::-1], bias[::-1])) if is_square else ("sum", before))
        network.steps.append((kind, before))
    else:
        network.steps.append((kind, rng.choice([2, num_outputs // 2])))


def value_after(network: PiecewiseNetwork, number: int) -> Vector:
    """Return the value after some of the steps."""
    return PiecewiseNetwork(network.name, network.a, network.b, network.steps[:number]).run(network.a)[1]


def drawn_networks(count: int, draw: Callable[[int], PiecewiseNetwork] = draw) -> list[PiecewiseNetwork]:
    """Return the first networks, by seed, in which every exact tie is exact and nothing else is close."""
    found: list[PiecewiseNetwork] = []
    seed = 0
    while len(found) < count:
        network = draw(seed)
        if network.is_resolvable():
            found.append(network)
        seed += 1
    return found
