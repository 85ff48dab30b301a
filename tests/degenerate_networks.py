"""Small networks and paths on which a careless walk goes wrong, all from fixed seeds.

Every number is dyadic, so it is the same number as a `Fraction` and as a float64, and the rational
oracle and the engines are asked the same question.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import torch

from tests.rational_oracle import Layer, Vector, between, breakpoints, pre_activations

GAP = Fraction(1, 2**27)
"""Two units this far apart (7.5e-9) must still flip in two steps."""

RESOLUTION = Fraction(1, 10**10)
"""No near tie is closer than this, relatively: engines are tried at tolerances up to 1e-12."""


@dataclass(frozen=True)
class DegenerateCase:
    """A network, whether a ReLU follows its last layer, and a path from a to b."""

    name: str
    layers: list[Layer]
    relu_at_end: bool
    a: Vector
    b: Vector

    def arrays(self) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
        """Return [(weight (out x in), bias (out))], a (in) and b (in) in float64."""
        layers = [
            (np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64))
            for weight, bias in self.layers
        ]
        return layers, np.array(self.a, dtype=np.float64), np.array(self.b, dtype=np.float64)

    def module(self) -> torch.nn.Sequential:
        """Return the network as torch layers in float64."""
        modules: list[torch.nn.Module] = []
        layers, _, _ = self.arrays()
        for index, (weight, bias) in enumerate(layers):
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
            linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            modules.append(linear)
            if self.relu_at_end or index < len(layers) - 1:
                modules.append(torch.nn.ReLU())
        return torch.nn.Sequential(*modules)


def as_layer(weight: list[list[float]], bias: list[float]) -> Layer:
    return [[Fraction(w) for w in row] for row in weight], [Fraction(c) for c in bias]


def tent_map(num_layers: int) -> list[Layer]:
    """Layers of the units relu(2x), relu(4x-2), the next input being their difference."""
    layers = [as_layer([[2], [4]], [0, -2])]
    layers += [as_layer([[2, -2], [4, -4]], [0, -2]) for _ in range(num_layers - 1)]
    return [*layers, as_layer([[1, -1]], [0])]


def cantor_layers(num_folds: int) -> list[Layer]:
    """CantorNet in its recursion-based form, as in docs/definitions.md, "Known answers"."""
    pair = [
        as_layer([[3, 0], [-3, 0], [0, 1]], [-2, 1, 0]),
        as_layer([[1, 1, 0], [0, 0, 1]], [0, 0]),
    ]
    return [*pair * num_folds, as_layer([[-0.5, 1]], [-0.5])]


@dataclass(frozen=True)
class Place:
    """Where a layer goes: below the layers above it, on the path from a to b."""

    above: list[Layer]
    a: Vector
    b: Vector


# Mutations make a layer drawn at random degenerate. They are applied while the network is built, so
# that they know what reaches the layer.
Mutation = Callable[[random.Random, Place, Layer], Layer]


def reaching(above: list[Layer], point: Vector) -> Vector:
    """Return what the layer after those above is given at a point."""
    if not above:
        return point
    return [max(z, Fraction(0)) for z in pre_activations(above, True, point)[-1]]


def vanish_at(point: Vector, place: Place, layer: Layer, units: list[int]) -> Layer:
    """Return the layer with biases such that the units are zero at a point."""
    weight, bias = layer
    hidden = reaching(place.above, point)
    bias = list(bias)
    for unit in units:
        bias[unit] = -sum((w * h for w, h in zip(weight[unit], hidden, strict=True)), Fraction(0))
    return weight, bias


def some_units(rng: random.Random, layer: Layer) -> list[int]:
    return rng.sample(range(len(layer[1])), rng.randint(1, len(layer[1])))


def two_units(rng: random.Random, layer: Layer) -> tuple[int, int]:
    num_units = len(layer[1])
    if num_units == 1:
        return 0, 0
    first, second = rng.sample(range(num_units), 2)
    return first, second


def copy_unit(layer: Layer, source: int, target: int, factor: Fraction) -> Layer:
    weight, bias = list(layer[0]), list(layer[1])
    weight[target] = [factor * w for w in weight[source]]
    bias[target] = factor * bias[source]
    return weight, bias


def tie(rng: random.Random, place: Place, layer: Layer) -> Layer:
    """Several units of every layer vanish in the middle of the path."""
    return vanish_at(between(place.a, place.b, Fraction(1, 2)), place, layer, some_units(rng, layer))


def end_on_boundary(rng: random.Random, place: Place, layer: Layer) -> Layer:
    return vanish_at(rng.choice([place.a, place.b]), place, layer, some_units(rng, layer))


def twin(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """Two units with one boundary and one direction."""
    return copy_unit(layer, *two_units(rng, layer), rng.choice([Fraction(1), Fraction(3), Fraction(1, 4)]))


def negated(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """One unit goes off where another goes on; their sum touches zero in the next layer."""
    return copy_unit(layer, *two_units(rng, layer), rng.choice([Fraction(-1), Fraction(-3), Fraction(-1, 2)]))


def no_bias(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """Units that are zero wherever everything above is off, and touch zero where |u| does."""
    weight, bias = layer
    units = some_units(rng, layer)
    return weight, [Fraction(0) if unit in units else c for unit, c in enumerate(bias)]


def single_input(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """A unit that repeats one unit above: zero on the whole interval where that one is off."""
    weight, bias = list(layer[0]), list(layer[1])
    unit, kept = rng.randrange(len(bias)), rng.randrange(len(weight[0]))
    weight[unit] = [
        Fraction(rng.choice([-2, -1, 1, 2])) if i == kept else Fraction(0) for i in range(len(weight[0]))
    ]
    bias[unit] = Fraction(0)
    return weight, bias


def dead(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """A unit with a zero row: off for a bias of at most 0, on for a positive one."""
    weight, bias = list(layer[0]), list(layer[1])
    unit = rng.randrange(len(bias))
    weight[unit] = [Fraction(0)] * len(weight[0])
    bias[unit] = Fraction(rng.choice([-1, 0, 0, 1]))
    return weight, bias


def nearly_twin(rng: random.Random, place: Place, layer: Layer) -> Layer:
    """Two units whose boundaries are a hair apart, vanishing at the middle and just beside it."""
    first, second = two_units(rng, layer)
    weight, bias = copy_unit(tie(rng, place, layer), first, second, Fraction(rng.choice([-1, 1])))
    bias[second] += GAP
    return weight, bias


def rescaled(rng: random.Random, _place: Place, layer: Layer) -> Layer:
    """Units of very different sizes."""
    sizes = [Fraction(2) ** rng.randint(-10, 10) for _ in layer[1]]
    return (
        [[size * w for w in row] for size, row in zip(sizes, layer[0], strict=True)],
        [size * c for size, c in zip(sizes, layer[1], strict=True)],
    )


MUTATIONS: dict[str, Mutation] = {
    "tie": tie,
    "end-on-boundary": end_on_boundary,
    "twin": twin,
    "negated": negated,
    "no-bias": no_bias,
    "single-input": single_input,
    "dead": dead,
    "nearly-twin": nearly_twin,
    "rescaled": rescaled,
}


def draw_layer(rng: random.Random, num_outputs: int, num_inputs: int) -> Layer:
    numbers = [Fraction(k) for k in (-2, -1, 0, 1, 2)] + [Fraction(-1, 2), Fraction(3)]
    weight = [[rng.choice(numbers) for _ in range(num_inputs)] for _ in range(num_outputs)]
    return weight, [rng.choice(numbers) for _ in range(num_outputs)]


def fits_float64(layers: list[Layer]) -> bool:
    numbers = (x for weight, bias in layers for x in [*bias, *(w for row in weight for w in row)])
    return all(Fraction(float(number)) == number for number in numbers)


def is_resolvable(case: DegenerateCase, times: list[Fraction]) -> bool:
    """Return whether everything that is not exactly degenerate is far from it.

    Breakpoints 1e-15 apart, or a turn 1e-15 before zero, are beyond float64: no walk can be asked
    for them. At each of the breakpoints `times` a unit has to be zero, or more than `RESOLUTION`
    times the size of its sum.
    """
    if min(after - before for before, after in pairwise(times)) < RESOLUTION:
        return False
    counted = case.layers if case.relu_at_end else case.layers[:-1]
    for t in times:
        hidden = between(case.a, case.b, t)
        for weight, bias in counted:
            z = []
            for row, c in zip(weight, bias, strict=True):
                terms = [c, *(w * h for w, h in zip(row, hidden, strict=True))]
                z.append(sum(terms))
                if 0 < abs(z[-1]) < RESOLUTION * sum(map(abs, terms)):
                    return False
            hidden = [max(value, Fraction(0)) for value in z]
    return True


def draw_case(name: str, mutations: list[Mutation], depth: int) -> DegenerateCase:
    """Return a network of random small numbers to which each mutation was done in most layers.

    Draws again while a number does not fit into a float64, a near tie is beyond it, or (mostly)
    where hardly anything happens on the path.
    """
    rng = random.Random(name)
    while True:
        case = draw_once(name, rng, mutations, depth)
        if not fits_float64(case.layers):
            continue
        times = breakpoints(case.layers, case.relu_at_end, case.a, case.b)
        is_lively = len(times) > depth + 2 or rng.random() < 0.1
        if is_lively and is_resolvable(case, times):
            return case


def draw_once(name: str, rng: random.Random, mutations: list[Mutation], depth: int) -> DegenerateCase:
    sizes = [rng.randint(1, 4), *(rng.randint(2, 6) for _ in range(depth)), rng.randint(1, 3)]
    a, b = ([Fraction(rng.randint(-6, 6), 2) for _ in range(sizes[0])] for _ in range(2))
    layers: list[Layer] = []
    for num_inputs, num_outputs in pairwise(sizes):
        layer = draw_layer(rng, num_outputs, num_inputs)
        for mutation in mutations:
            if rng.random() < 0.8:
                layer = mutation(rng, Place(layers, a, b), layer)
        layers.append(layer)
    return DegenerateCase(name, layers, rng.random() < 0.5, a, b)


def drawn_cases(kind: str) -> Iterator[DegenerateCase]:
    """Yield the cases of one of `KINDS` but "known"."""
    if kind == "mixed":
        for seed in range(0, 512, 3):
            mutations = [m for k, m in enumerate(MUTATIONS.values()) if (seed + 1) >> k & 1]
            yield draw_case(f"{kind}-{seed}", mutations, 1 + seed % 5)
    else:
        mutations = [MUTATIONS[kind]] if kind in MUTATIONS else []
        for seed in range(40 if mutations else 60):
            yield draw_case(f"{kind}-{seed}", mutations, 1 + seed % 5)


def known_cases() -> Iterator[DegenerateCase]:
    identity = [as_layer([[1, 0], [0, 1]], [0, 0]), as_layer([[1, 1]], [0])]
    yield DegenerateCase("identity-two-steps", identity, False, *ends([-1, 3], [3, -1]))
    yield DegenerateCase("identity-one-step", identity, False, *ends([-1, 1], [1, -1]))
    yield DegenerateCase("no-movement", identity, False, *ends([0, 1], [0, 1]))
    for num_layers in (1, 2, 3, 4, 6):
        yield DegenerateCase(f"tent-{num_layers}", tent_map(num_layers), False, *ends([0], [1]))
        yield DegenerateCase(f"tent-{num_layers}-end-relu", tent_map(num_layers), True, *ends([1], [0.25]))
        yield DegenerateCase(f"tent-{num_layers}-inside", tent_map(num_layers), False, *ends([0.125], [2]))
    for num_folds in (1, 2, 3):
        for relu_at_end in (False, True):
            name = f"cantor-{num_folds}-{relu_at_end}"
            yield DegenerateCase(name, cantor_layers(num_folds), relu_at_end, *ends([0, 0.75], [1, 0.75]))
            yield DegenerateCase(
                f"{name}-slanted", cantor_layers(num_folds), relu_at_end, *ends([1, 0.25], [0, 1])
            )


def ends(a: list[float], b: list[float]) -> tuple[Vector, Vector]:
    return [Fraction(x) for x in a], [Fraction(x) for x in b]


KINDS = ("known", *MUTATIONS, "small-integers", "mixed")


@cache
def cases_of(kind: str) -> tuple[DegenerateCase, ...]:
    """Return the cases of one of `KINDS`; drawing them takes a second or so."""
    return tuple(known_cases() if kind == "known" else drawn_cases(kind))


def degenerate_cases() -> tuple[DegenerateCase, ...]:
    """Return all cases, more than 500."""
    return tuple(case for kind in KINDS for case in cases_of(kind))
