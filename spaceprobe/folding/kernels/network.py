"""A packed network, and what belongs to an image on all its paths: both computed once.

The weights of a layer are stored by groups of ``lanes`` units, and in a group by input: the column
that one input adds to the group lies in one piece. Layers are padded to whole groups with units that
are far below zero and never move.

A pre-activation is compared with zero relative to the size of what it was computed from. That size,
its *scale*, starts as ``|x|`` and is carried through a layer as ``sqrt(W² scale² + bias²)``: rounding
errors add up like independent ones. The sum of absolute values, which bounds them in the worst case,
is 10^5 times too large after ten layers and would call distinct breakpoints equal.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.vectors import (
    load,
    multiply,
    multiply_add,
    pointer,
    shift,
    spread,
    store,
)

PADDING = -1e30
"""Pre-activation of a unit that is not there; finite in float32 too, so that 0 times it is 0."""

_LINE = 64  # bytes of a cache line: a vector that crosses one is read twice


class Network(NamedTuple):
    """Hidden layers in the form that the kernels read; arrays over layers unless noted."""

    weights: np.ndarray  # flat: layer, group, input, lane
    biases: np.ndarray  # flat: padded units of all layers
    weight_start: np.ndarray
    unit_start: np.ndarray
    group_start: np.ndarray
    widths: np.ndarray  # units, without padding
    groups: np.ndarray
    fan_in: np.ndarray


class Images(NamedTuple):
    """Forward passes of ``n`` images."""

    z: np.ndarray  # (n, padded units): pre-activations, float64
    z_fast: np.ndarray  # the same in the precision of the fast walk
    states: np.ndarray  # (n, groups) uint64: bit 1 where z > 0
    scale: np.ndarray  # (n, layers): largest scale of a unit
    margin: np.ndarray  # (n, layers): smallest |z|
    first_scale: np.ndarray  # (n, padded units of layer 1): scale of each unit


def lanes_for(widest: int) -> int:
    """Return the units of a group: the power of two that holds the widest layer, else 32."""
    return next((lanes for lanes in (8, 16, 32, 64) if widest <= lanes), 32)


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return zeros that start on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    aligned: np.ndarray = raw[start : start + size].view(dtype).reshape(shape)
    return aligned


def pack(layers: Sequence[tuple[np.ndarray, np.ndarray]], lanes: int, dtype: Any) -> Network:
    """Pack hidden layers, each ``(weight (out, in), bias (out,))``."""
    widths = np.array([len(bias) for _, bias in layers], np.int64)
    fan_in = np.array([weight.shape[1] for weight, _ in layers], np.int64)
    groups = -(-widths // lanes)
    weight_start = np.concatenate([[0], np.cumsum(groups * lanes * fan_in)])
    unit_start = np.concatenate([[0], np.cumsum(groups * lanes)])
    group_start = np.concatenate([[0], np.cumsum(groups)])
    weights = aligned_zeros((int(weight_start[-1]),), dtype)
    biases = aligned_zeros((int(unit_start[-1]),), dtype)
    biases[:] = PADDING
    for layer, (weight, bias) in enumerate(layers):
        padded = np.zeros((groups[layer] * lanes, fan_in[layer]))
        padded[: widths[layer]] = weight
        by_group = padded.reshape(groups[layer], lanes, fan_in[layer]).transpose(0, 2, 1)
        weights[weight_start[layer] : weight_start[layer + 1]] = by_group.ravel()
        # A unit of zero weights and no positive bias is off everywhere; as padding it costs nothing.
        never_on = ~weight.any(axis=1) & (bias <= 0)
        start = unit_start[layer]
        biases[start : start + widths[layer]] = np.where(never_on, PADDING, bias)
    return Network(weights, biases, weight_start, unit_start, group_start, widths, groups, fan_in)


def empty_images(network: Network, count: int, fast: Any) -> Images:
    """Return arrays for the forward passes of ``count`` images."""
    units = len(network.biases)
    z = aligned_zeros((count, units), np.float64)
    return Images(
        z=z,
        z_fast=z if fast == np.float64 else aligned_zeros((count, units), fast),
        states=np.zeros((count, int(network.group_start[-1])), np.uint64),
        scale=np.zeros((count, len(network.widths))),
        margin=np.zeros((count, len(network.widths))),
        first_scale=np.zeros((count, int(network.unit_start[1]))),
    )


class NetworkView(NamedTuple):
    """A `Network` as compiled code sees it: the same fields, as pointers, and three sizes."""

    weights: Any
    biases: Any
    weight_start: Any
    unit_start: Any
    group_start: Any
    widths: Any
    groups: Any
    fan_in: Any
    depth: int
    num_units: int  # padded, in all layers
    widest: int  # groups of the widest layer


class ImageView(NamedTuple):
    """One image of `Images`, as pointers to its rows."""

    z: Any
    z_fast: Any
    states: Any
    scale: Any
    margin: Any
    first_scale: Any


@inner
def view_network(network):
    """Pointers to a network that the caller keeps."""
    return NetworkView(
        pointer(network.weights),
        pointer(network.biases),
        pointer(network.weight_start),
        pointer(network.unit_start),
        pointer(network.group_start),
        pointer(network.widths),
        pointer(network.groups),
        pointer(network.fan_in),
        len(network.widths),
        len(network.biases),
        network.groups.max(),
    )


@inner
def view_images(images):
    """Pointers to the first of a set of images that the caller keeps."""
    return ImageView(
        pointer(images.z),
        pointer(images.z_fast),
        pointer(images.states),
        pointer(images.scale),
        pointer(images.margin),
        pointer(images.first_scale),
    )


@inner
def view_image(first, network, image):
    """Pointers to image number ``image``, from those to the first one."""
    return ImageView(
        shift(first.z, image * network.num_units),
        shift(first.z_fast, image * network.num_units),
        shift(first.states, image * network.group_start[network.depth]),
        shift(first.scale, image * network.depth),
        shift(first.margin, image * network.depth),
        shift(first.first_scale, image * network.unit_start[1]),
    )


@inner
def exactly(image):
    """The same image for a fast walk in float64."""
    return ImageView(image.z, image.z, image.states, image.scale, image.margin, image.first_scale)


@inner
def see_image(tag, network, x, image, scale):
    """Forward pass of the input ``x`` into ``image``; ``scale`` is scratch for a padded row.

    One order of summation for every image, so that results depend on no block size.
    """
    lanes = len(tag)
    for layer in range(network.depth):
        first = network.unit_start[layer]
        previous = network.unit_start[layer - 1] if layer > 0 else 0
        for group in range(network.groups[layer]):
            at = first + group * lanes
            value = load(tag, network.biases, at)
            squares = spread(tag, 0.0)
            column = network.weight_start[layer] + group * network.fan_in[layer] * lanes
            for j in range(network.fan_in[layer]):
                size = abs(x[j]) if layer == 0 else scale[previous + j]
                if size != 0.0:
                    weight = load(tag, network.weights, column + j * lanes)
                    term = x[j] if layer == 0 else max(image.z[previous + j], 0.0)
                    value = multiply_add(weight, spread(tag, term), value)
                    part = multiply(weight, spread(tag, size))
                    squares = multiply_add(part, part, squares)
            store(image.z, at, value)
            store(scale, at, squares)
        _close_layer(network, layer, lanes, image, scale)


@inner
def _close_layer(network, layer, lanes, image, scale):
    """States, scales and margin of a layer whose pre-activations and squares are known."""
    first = network.unit_start[layer]
    largest = 0.0
    margin = np.inf
    for unit in range(network.groups[layer] * lanes):
        at = first + unit
        value = image.z[at]
        bias = network.biases[at]
        image.z_fast[at] = value
        scale[at] = np.sqrt(scale[at] + bias * bias) if bias != PADDING else 0.0
        largest = max(largest, scale[at])
        margin = min(margin, abs(value))
        if value > 0.0:
            group = network.group_start[layer] + unit // lanes
            image.states[group] |= np.uint64(1) << np.uint64(unit % lanes)
        if layer == 0:
            image.first_scale[unit] = scale[at]
    image.scale[layer] = largest
    image.margin[layer] = margin
