"""A network that runs the steps of an ONNX graph one after the other, in torch's own operations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spaceprobe.model_sources.onnx_graphs.operators.call import Run
from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal

MAX_NUMBERS = 2**27
"""Chosen: numbers of a value for one input, 1 GB in float64."""

TRIED_BATCH = 3
"""With how many inputs sizes are tried: a number that files are seldom made for."""


class Operation(nn.Module):
    """A node without weights.

    Args:
        run: from the values of its inputs to that of its output.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, *values: Tensor) -> Tensor:
        """Return the value of its output."""
        return self.run(*values)


@dataclass(frozen=True)
class Step:
    """A node of a graph as it runs.

    Attributes:
        module: what computes it.
        run: the same as a function of its inputs and then of its weights.
        weights: names of the module's own tensors, as `run` takes them.
        inputs: names of the values that it takes.
        output: name of the value that it makes.
        reads: which of the inputs are read as whole numbers.
        label: what messages call it.
        frees: values that no later step takes.
    """

    module: nn.Module
    run: Run
    weights: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    reads: frozenset[int]
    label: str
    frees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """Where in a network a constant is.

    Attributes:
        value: its name in the graph.
        inside: the module that holds it.
        name: its name there.
    """

    value: str
    inside: nn.Module
    name: str


class OnnxNetwork(nn.Module):
    """A network from an ONNX file; its layers are called as in the network that was exported.

    Before inputs of a new shape run, the sizes of all values are found without numbers, so that none is
    larger than `MAX_NUMBERS` for an input.
    """

    def __init__(self, input: str, input_shape: Sequence[int | None], output: str) -> None:
        """Take what goes in and comes out; steps and constants follow.

        Args:
            input: name of the value that is the input.
            input_shape: of one input; None for a size that may be any.
            output: name of the value that comes out.
        """
        super().__init__()
        self.input, self.output = input, output
        self.input_shape = tuple(input_shape)
        self.steps: list[Step] = []
        self.constants: list[Constant] = []
        self._tried: set[tuple[int, ...]] = set()

    def forward(self, points: Tensor) -> Tensor:
        """Return the outputs for inputs of shape ``(points, *input shape)``.

        Raises:
            ValueError: the inputs have another shape, or a node does not take what it gets of them.
        """
        shape = tuple(points.shape[1:])
        if shape not in self._tried:
            self.try_sizes(shape)
        values: dict[str, Tensor] = {item.value: getattr(item.inside, item.name) for item in self.constants}
        values[self.input] = points
        for step in self.steps:
            values[step.output] = step.module(*(values[name] for name in step.inputs))
            for name in step.frees:
                del values[name]
        return values[self.output]

    def try_sizes(self, shape: Sequence[int]) -> None:
        """Find the sizes of all values for inputs of a shape, without computing numbers.

        Raises:
            ValueError: see `forward`; or a value would be too large.
        """
        expected = " × ".join("?" if size is None else str(size) for size in self.input_shape)
        fits = len(shape) == len(self.input_shape) and all(
            wanted in (None, size) for size, wanted in zip(shape, self.input_shape, strict=True)
        )
        if not fits:
            raise ValueError(f"takes inputs of shape {expected}, not {' × '.join(map(str, shape)) or 'none'}")
        values: dict[str, Tensor] = {item.value: getattr(item.inside, item.name) for item in self.constants}
        dtype = next((value.dtype for value in self.parameters() if value.is_floating_point()), torch.float32)
        values[self.input] = torch.empty((TRIED_BATCH, *shape), dtype=dtype, device="meta")
        for step in self.steps:
            taken = [values[name] for name in step.inputs]
            weights = [getattr(step.module, name) for name in step.weights]
            values[step.output] = tried(step.run, taken, weights, step.reads, step.label)
            for name in step.frees:
                del values[name]
        sizes = tuple(values[self.output].shape)
        if sizes[:1] != (TRIED_BATCH,):
            raise ValueError(
                f"gives {_text(sizes)} for {TRIED_BATCH} inputs: the batch is not its first dimension, or "
                "the file was made for one batch; export it with dynamic_shapes or dynamic_axes of the batch"
            )
        self._tried.add(tuple(shape))


def tried(
    run: Run,
    taken: Sequence[Tensor],
    weights: Sequence[Tensor],
    reads: frozenset[int],
    label: str,
    most: int = MAX_NUMBERS,
) -> Tensor:
    """Return what a step makes: sizes alone where it depends on the input, else numbers.

    Args:
        run: the step.
        taken: its inputs, those that depend on the network's input on torch's meta device, without numbers.
        weights: of its layer.
        reads: see `Step`.
        label: see `Step`.
        most: numbers that it may make; for each input where it depends on that.

    Raises:
        OnnxRefusal: it does not take these, or makes too much of them.
    """
    arguments: list[Any] = []
    for place, value in enumerate(taken):
        if place in reads and value.is_meta:
            raise OnnxRefusal(f"{label} takes sizes or places that depend on the input: expected fixed ones")
        arguments.append(value if place in reads else value.to("meta"))
    arguments += [weight.to("meta") for weight in weights]
    is_known = not any(value.is_meta for value in taken)
    try:
        with torch.no_grad():
            result = run(*arguments)
            check_size(result, label, most * (1 if is_known else TRIED_BATCH))
            if is_known and result.is_meta:
                result = run(*taken, *weights)
    except OnnxRefusal:
        raise
    except Exception as error:  # whatever torch raises at sizes that do not fit
        reason = str(error).partition("\n")[0][:160] or type(error).__name__
        raise OnnxRefusal(f"{label} does not take values of shapes {_shapes(taken)}: {reason}") from error
    return result


def check_size(value: Tensor, label: str, most: int) -> None:
    """Check how large a value is.

    Raises:
        OnnxRefusal: it is too large, or not a value.
    """
    if not isinstance(value, Tensor):
        raise OnnxRefusal(f"{label} makes {type(value).__name__}: expected a tensor")
    if math.prod(value.shape) > most:
        raise OnnxRefusal(
            f"{label} makes a value of shape {_text(tuple(value.shape))}: at most {most:,} numbers are "
            "computed"
        )


def _shapes(values: Sequence[Tensor]) -> str:
    return ", ".join(_text(tuple(value.shape)) for value in values) or "none"


def _text(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes)) or "a single number"
