"""What goes into and comes out of the layers of a network while inputs pass through it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from spaceprobe.networks.initialization import WeightLayer
from spaceprobe.networks.matrices import ALL, WeightMatrix, weight_matrices
from spaceprobe.networks.positions import rows_of_layer

INPUTS_AT_ONCE = 250
"""Chosen: all feature maps of so many images take some 50 MB in float64."""


@dataclass(frozen=True)
class LayerPass:
    """One weight matrix while inputs pass through a network.

    A row is an input. Of a layer that is applied at many positions, a convolution or one that works token by
    token, it is the patch or the token at some position of an input, and an input may have several rows.

    Attributes:
        matrix: the weight matrix.
        inputs: what it is given.
        outputs: what it makes of them: pre-activations, bias included; of a head that the layer reads from,
            what this head adds.
        finish: maps other pre-activations to the network's outputs; None where a row is not an input, or
            where other layers lead past this one.
        outputs_with: maps another matrix in its place to the network's outputs.
    """

    matrix: WeightMatrix
    inputs: Float[Tensor, "rows inputs"]
    outputs: Float[Tensor, "rows outputs"]
    finish: Callable[[Tensor], Tensor] | None
    outputs_with: Callable[[Tensor], Tensor]


def is_sequence(network: nn.Module) -> bool:
    """Return whether a network is one module after the other, an input a row: an MLP."""
    if not isinstance(network, nn.Sequential):
        return False
    modules = [*network.modules()][1:]
    return len(modules) == len(network) and not any(isinstance(module, nn.Conv2d) for module in modules)


@torch.no_grad()
def pass_through(
    network: nn.Module,
    inputs: Float[Tensor, "points features"],
    *,
    num_positions: int = 1,
    images: Int64[Tensor, "points"] | None = None,
) -> list[LayerPass]:
    """Return each weight matrix with its inputs and outputs, first to last, the readout included.

    Args:
        network: in evaluation mode.
        inputs: of the network's own floating type, one row a point; none is allowed for an MLP.
        num_positions: patches or tokens of an input, drawn with a fixed seed; all where there are fewer.
        images: a number of each input: those with the same number have the same positions; None for numbers
            in their order.

    Raises:
        ValueError: a layer is not run once, or see `weight_matrices`.
    """
    if isinstance(network, nn.Sequential) and is_sequence(network):
        return _pass_through_sequence(network, inputs)
    if images is None:
        images = torch.arange(len(inputs))
    matrices = weight_matrices(network)
    rows: dict[int, list[tuple[Tensor, Tensor]]] = {id(matrix.layer): [] for matrix in matrices}
    for some_inputs, some_images in zip(
        inputs.split(INPUTS_AT_ONCE), images.split(INPUTS_AT_ONCE), strict=True
    ):
        with _recorded(matrices) as calls:
            network(some_inputs)
        for matrix in {id(matrix.layer): matrix for matrix in matrices}.values():
            seen = calls[id(matrix.layer)]
            if len(seen) != 1:
                raise ValueError(f"{matrix.name}: was run {len(seen)} times on an input, expected once")
            rows[id(matrix.layer)].append(rows_of_layer(matrix.layer, *seen[0], some_images, num_positions))
    joined = {key: tuple(torch.cat(part) for part in zip(*some, strict=True)) for key, some in rows.items()}
    passes = []
    for matrix in matrices:
        layer_inputs, layer_outputs = joined[id(matrix.layer)]
        own_inputs = layer_inputs[:, matrix.columns or ALL]
        if matrix.columns is None:
            outputs = layer_outputs[:, matrix.rows or ALL]
        else:  # the layer adds up what several heads give
            outputs = own_inputs @ matrix.weight.T
        passes.append(
            LayerPass(matrix, own_inputs, outputs, None, partial(_outputs_with, network, inputs, matrix))
        )
    return passes


def _pass_through_sequence(network: nn.Sequential, inputs: Tensor) -> list[LayerPass]:
    passes = []
    by_layer = {id(matrix.layer): matrix for matrix in weight_matrices(network)}
    for position, module in enumerate(network):
        outputs = module(inputs)
        if id(module) in by_layer:
            matrix, finish = (
                by_layer[id(module)],
                _without_gradients(nn.Sequential(*[*network][position + 1 :])),
            )
            passes.append(
                LayerPass(matrix, inputs, outputs, finish, partial(_finish_with, matrix, inputs, finish))
            )
        inputs = outputs
    return passes


def _without_gradients(rest: nn.Sequential) -> Callable[[Tensor], Tensor]:
    def finish(pre_activations: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = rest(pre_activations)
        return result

    return finish


def _finish_with(
    matrix: WeightMatrix, inputs: Tensor, finish: Callable[[Tensor], Tensor], weight: Tensor
) -> Tensor:
    return finish(nn.functional.linear(inputs, weight, matrix.bias))


def _outputs_with(network: nn.Module, inputs: Tensor, matrix: WeightMatrix, weight: Tensor) -> Tensor:
    with torch.no_grad(), matrix.replaced(weight):
        return torch.cat([network(some_inputs) for some_inputs in inputs.split(INPUTS_AT_ONCE)])


@contextmanager
def _recorded(matrices: Sequence[WeightMatrix]) -> Iterator[Mapping[int, list[tuple[Tensor, Tensor]]]]:
    """While it lasts, note the input and the output of each call of a layer, by the layer's id."""
    calls: dict[int, list[tuple[Tensor, Tensor]]] = {id(matrix.layer): [] for matrix in matrices}

    def note(layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        calls[id(layer)].append((arguments[0], output))

    layers: dict[int, WeightLayer] = {id(matrix.layer): matrix.layer for matrix in matrices}
    handles = [layer.register_forward_hook(note) for layer in layers.values()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
