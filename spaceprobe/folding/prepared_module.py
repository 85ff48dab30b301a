"""A torch module made ready to be walked: checked, in float64, cut where its first ReLU begins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor, nn

from spaceprobe.folding.activations import Activation
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.guards import check_network
from spaceprobe.folding.layers import flat_sequence
from spaceprobe.folding.place import Place, begin_at, follow
from spaceprobe.folding.ray import NotPiecewiseLinear, Ray
from spaceprobe.folding.relus import Relus, empty_patterns, unit_columns
from spaceprobe.folding.tracked import Tracked, tracking
from spaceprobe.folding.uncounted import check_rows_apart, functions_passed_over
from spaceprobe.machine.torch_modules import copy_of, runs_as_written

AFFINE_MODULES = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.Flatten, nn.Unflatten, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
)  # fmt: skip

MAX_HEAD_GROWTH = 4
"""Chosen: what is kept of an image may be this many times larger than the image, not more."""


@dataclass(frozen=True)
class EndValues:
    """Path ends at the entry of a network's body.

    Attributes:
        value: the images there, in float64.
        scale: the sums of absolute values behind them (see `Ray`).
    """

    value: Float64[Tensor, "images *features"]
    scale: Float64[Tensor, "images *features"]

    def take(self, index: Tensor | slice) -> "EndValues":
        """Return the ends of some images."""
        return EndValues(self.value[index], self.scale[index])


@dataclass(frozen=True)
class PreparedModule:
    """A module in float64 on one device, as a head and a body.

    The head is affine, and an affine map takes a straight path to a straight path: so each image goes
    through the head once, and the paths are walked in the body. An MLP's head is its first layer; a
    module that is not an `nn.Sequential` is all body.

    Attributes:
        head: the affine modules before the first ReLU, where they are known.
        body: the rest.
        num_units: units of each activation or maximum that counts, in the order in which they run.
        device: where it is.
        place: where in it a run is.
        passed_over: functions that are neither affine nor counted (`functions_passed_over`).
        counted: what counts as a unit, and where its bit flips.
    """

    head: nn.Module
    body: nn.Module
    num_units: tuple[int, ...]
    device: torch.device
    place: Place
    passed_over: tuple[str, ...]
    counted: Counted = BENDS

    @torch.no_grad()
    def ends(self, images: Tensor) -> EndValues:
        """Return the images at the entry of the body."""
        value = images.to(self.device, torch.float64)
        # A point has no tangent, so any value will do.
        ray = self.head(Ray.of(value, tangent=value, scale=value.abs()))
        return EndValues(ray.value, ray.scale)

    def run(
        self, inputs: Tensor, look: Callable[[Any, slice], Any], output: Callable[[Any, Any], Tensor]
    ) -> None:
        """Run the body on inputs as far as its last ReLU.

        Args:
            inputs: a batch at the entry of the body; a tensor or a ray.
            look: called at each ReLU with its input and its columns in a pattern.
            output: called with the input and what look returned, for the output; not for the last ReLU.

        Raises:
            ValueError: if the module runs other ReLUs than it did when it was prepared.
            TypeError: if the inputs are a ray and the module is not known to be piecewise linear.
        """
        columns = unit_columns(self.num_units)

        def visit(z: Tensor) -> Tensor:
            units = columns.pop(0)
            if z.ndim < 2 or z.shape[1:].numel() != units.stop - units.start:
                raise ValueError(OTHER_RELUS)
            seen = look(z, units)
            if not columns:
                raise LastRelu
            return output(z, seen)

        try:
            with Relus(visit):
                self.body(inputs)
        except LastRelu:
            return
        except NotPiecewiseLinear as error:
            raise self.place.refuse(error) from error
        raise ValueError(OTHER_RELUS)

    @torch.no_grad()
    def patterns(self, inputs: Float64[Tensor, "points *features"]) -> Shaped[Tensor, "points padded"]:
        """Return the activation patterns at inputs of the body, as `empty_patterns` holds them."""
        counted = self.counted
        kind = torch.int32 if counted.has_windows else torch.bool
        patterns = empty_patterns(len(inputs), self.num_units, self.device, kind)
        columns = unit_columns(self.num_units)
        num_met = 0

        def next_units(num_units: int) -> slice:
            units = columns.pop(0)
            if num_units != units.stop - units.start:
                raise ValueError(OTHER_ACTIVATIONS)
            return units

        def look(z: Tensor, activation: Activation) -> None:
            nonlocal num_met
            if z.ndim < 2:
                raise ValueError(OTHER_ACTIVATIONS)
            values = counted.flips_at(activation, num_met)
            num_met += 1
            units = next_units(z.shape[1:].numel() * len(values))
            for value, bits in zip(values, patterns[:, units].chunk(len(values), dim=1), strict=True):
                torch.gt(z, value, out=bits.view(z.shape))
            if not columns:
                raise LastRelu

        def choose(winner: Tensor, *_: Any) -> None:
            patterns[:, next_units(winner.shape[1])] = winner.to(kind)
            if not columns:
                raise LastRelu

        try:
            with tracking(look, choose=choose if counted.has_windows else None, bits=counted.bits):
                self.body(inputs.as_subclass(Tracked))
        except LastRelu:
            return patterns
        raise ValueError(OTHER_ACTIVATIONS)


OTHER_ACTIVATIONS = (
    "the network ran other activations than on its first input; folding needs the same units for every input"
)
OTHER_RELUS = (
    "the network ran other ReLUs than on its first input; folding needs the same units for every input"
)


class LastRelu(Exception):  # noqa: N818 - not an error
    """Leaves a module after its last ReLU: what follows has no units."""


CountUnits = Callable[[nn.Module, Tensor, Counted], tuple[int, ...]]
"""From the body of a network, inputs of it and what counts to the number of units of each function that has
some."""


def prepare(
    module: nn.Module, example: Tensor, device: torch.device, count: CountUnits, counted: Counted = BENDS
) -> PreparedModule:
    """Return a module ready to be walked; the module itself is left as it is.

    Args:
        module: any module; it is copied, put into evaluation mode and cast to float64, exactly.
        example: images of the shape that will be walked; at least one.
        device: where to walk.
        count: how units are counted.
        counted: which units count, and where their bits flip.

    Raises:
        ValueError: see `check_network`; if the module has no such units, or does not take such images; see
            `Counted.check_threshold`.
    """
    check_network(module)
    # eval: a user's module may call F.dropout(x, training=self.training)
    module = copy_of(module).eval().requires_grad_(False).to(device=device, dtype=torch.float64)
    # Two rows, so that a module that squeezes a batch of one is seen as it will be used
    inputs = example[:1].to(device, torch.float64).repeat(2, *[1] * (example.ndim - 1))
    head, body = split(module, inputs)
    place = follow(module)
    begin_at(body, place)
    with torch.no_grad():
        inputs = head(inputs)
        try:
            passed_over = functions_passed_over(body, inputs, place, counted)
            num_units = count(body, inputs, counted)
            check_rows_apart(body, inputs, place)
        except NotPiecewiseLinear as error:
            raise place.refuse(error) from error
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:  # of its own code
            raise wrong_shape(inputs, error, place.module) from error
    return PreparedModule(head, body, num_units, device, place, passed_over, counted)


def count_relu_units(body: nn.Module, inputs: Tensor, _counted: Counted = BENDS) -> tuple[int, ...]:
    """Return the number of units of each ReLU."""
    shapes: list[torch.Size] = []

    def visit(z: Tensor) -> Tensor:
        shapes.append(z.shape)
        return z.clamp_min(0)

    with Relus(visit):
        body(inputs)
    if not shapes:
        raise ValueError(
            "the network ran no ReLU (nn.ReLU, torch.relu, Tensor.relu), so it has no activation patterns"
        )
    check_batch_first("a ReLU", shapes, len(inputs))
    return tuple(shape[1:].numel() for shape in shapes)


def count_bits(body: nn.Module, inputs: Tensor, counted: Counted = BENDS) -> tuple[int, ...]:
    """Return the number of units of each function that has some, smooth activations included."""
    met = units_met(body, inputs, counted)
    check_batch_first("an activation", [shape for shape, _ in met], len(inputs))
    return tuple(shape[1:].numel() * num_bits for shape, num_bits in met)


def units_met(body: nn.Module, inputs: Tensor, counted: Counted) -> list[tuple[torch.Size, int]]:
    """Return the shape of the units of each function that has some, and how many bits or symbols each has.

    Raises:
        ValueError: if there is none; see `Counted.check_threshold`.
    """
    met: list[tuple[torch.Size, int]] = []
    activations: list[tuple[torch.Size, Activation]] = []

    def visit(z: Tensor, activation: Activation) -> None:
        met.append((z.shape, len(activation.kinks)))
        activations.append((z.shape, activation))

    def choose(winner: Tensor, *_: Any) -> None:
        met.append((winner.shape, 1))

    with tracking(visit, choose=choose if counted.has_windows else None, bits=counted.bits):
        body(inputs.as_subclass(Tracked))
    if not met:
        raise ValueError(
            "the network ran no ReLU and no other activation whose units count, so it has no activation "
            "patterns (see Activations in docs/definitions.md; those inside of recurrent layers, and behind "
            "a detour through numpy, are not seen)"
            + (
                "; with monotone bits, a smooth one that only rises has none"
                if counted.bits == "monotone"
                else ""
            )
        )
    counted.check_threshold(activations)
    return met


def check_batch_first(name: str, shapes: list[torch.Size], num_inputs: int) -> None:
    """Raise ValueError unless the first dimension of all shapes is that of the inputs."""
    for shape in shapes:
        if len(shape) < 2 or shape[0] != num_inputs:
            raise ValueError(
                f"{name} got a tensor of shape {tuple(shape)} for a batch of {num_inputs} inputs: "
                "the first dimension must stay the batch"
            )


def wrong_shape(inputs: Tensor, error: Exception, module: str = "") -> ValueError:
    """Return the error for inputs that the network does not take, with torch's own words."""
    where = f"module {module!r}: " if module else ""
    return ValueError(f"the network does not take inputs of shape {tuple(inputs.shape[1:])}: {where}{error}")


def split(module: nn.Module, inputs: Tensor) -> tuple[nn.Module, nn.Module]:
    """Return the affine modules with which a sequence begins, and the rest of it."""
    steps = flat_sequence(module)
    if steps is None:
        return nn.Identity(), module
    length = 0
    for step in steps:
        if type(step) not in AFFINE_MODULES or not runs_as_written(step):
            break
        length += 1
    while length and too_large(nn.Sequential(*steps[:length]), inputs):
        length -= 1
    return nn.Sequential(*steps[:length]), nn.Sequential(*steps[length:])


def too_large(head: nn.Module, inputs: Tensor) -> bool:
    """Return whether a head makes far more of an image than there was."""
    try:
        outputs: Tensor = head(inputs)
    except RuntimeError as error:
        raise wrong_shape(inputs, error) from error
    return outputs[0].numel() > MAX_HEAD_GROWTH * inputs[0].numel()
