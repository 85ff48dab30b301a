"""Whether an engine computes what a network computes: both at the same points, activation by activation."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.activations import Activation
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.layers import Layer, mlp_layers
from spaceprobe.folding.layerwise.knots import Knots
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.probe import Probe
from spaceprobe.folding.options import DEFAULT_TOLERANCE, SAMPLING, PlacedEngine
from spaceprobe.folding.prepared_module import PreparedModule, count_relu_units, prepare
from spaceprobe.folding.ray import NotPiecewiseLinear, Ray
from spaceprobe.folding.tracked import Tracked, tracking
from spaceprobe.machine.torch_modules import copy_of

ROUNDING = 1e-9
"""Chosen: a difference of more, relative to what a number was computed from, is not rounding of float64."""


class EngineCheck(NamedTuple):
    """What a comparison of an engine with the network itself gave.

    Attributes:
        difference: the largest, relative to what a number was computed from.
        num_points: at how many points.
        has_outputs: whether the outputs were compared too; else only the inputs of activations, since what
            follows the last one has no place in a walk.
    """

    difference: float
    num_points: int
    has_outputs: bool

    @property
    def agrees(self) -> bool:
        """Whether they differ by rounding only."""
        return self.difference <= ROUNDING


@torch.no_grad()
def check_engine(
    network: nn.Module, points: Tensor, engine: PlacedEngine, counted: Counted = BENDS
) -> EngineCheck | None:
    """Compare what an engine evaluates at points with what the network itself computes there.

    Args:
        network: see `spaceprobe.folding.walk_paths`.
        points: of shape ``(num_points, *input shape)``.
        engine: which; those that sample run the network itself, so there is nothing to compare.
        counted: which units count.

    Returns:
        None where there is nothing to compare.

    Raises:
        ValueError: see `spaceprobe.folding.walk_paths`.
        TypeError: see `spaceprobe.folding.walk_paths`.
    """
    if engine in SAMPLING:
        return None
    outputs = copy_of(network).cpu().double().eval()(points.double())
    if engine in ("kernel", "cuda-kernel"):
        mlp = mlp_layers(network, points.ndim)
        if mlp is None:
            raise ValueError("the kernel walks MLPs only")
        return EngineCheck(_difference(*_of_layers(*mlp, points), outputs), len(points), has_outputs=True)
    count = layerwise.count_bits if engine == "layerwise" else count_relu_units
    prepared = prepare(network, points, torch.device("cpu"), count, counted)
    seen, own_outputs = (_of_polylines if engine == "layerwise" else _of_rays)(prepared, points)
    differences = [
        _difference(value, size, expected)
        for (value, size), expected in zip(seen, _of_network(prepared, points), strict=True)
    ]
    if own_outputs is not None and isinstance(outputs, Tensor):
        differences.append(_difference(*own_outputs, outputs))
    return EngineCheck(max(differences), len(points), has_outputs=own_outputs is not None)


def _difference(value: Tensor, size: Tensor, expected: Tensor) -> float:
    difference = (value.flatten(1) - expected.flatten(1)).abs() / size.flatten(1).clamp_min(1e-300)
    return float(torch.nan_to_num(difference, nan=torch.inf).max()) if difference.numel() else 0.0


def _of_layers(layers: list[Layer], ends_with_relu: bool, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs of an MLP by the layers that the kernel takes, and their scale."""
    value = points.double().flatten(1).numpy()
    size = np.abs(value)
    for number, (weight, bias) in enumerate(layers):
        value, size = value @ weight.T + bias, size @ np.abs(weight).T + np.abs(bias)
        if number < len(layers) - 1 or ends_with_relu:
            value = np.maximum(value, 0)
    return torch.from_numpy(value), torch.from_numpy(size)


Numbers = tuple[Tensor, Tensor]
"""Values and their scale."""


@dataclass
class _Listening(Probe):
    """Points that go through a network as polylines, with what each activation was given."""

    heard: list[Numbers] = field(default_factory=list)

    def bend(self, line: Polyline, activation: Activation) -> Polyline:
        """Keep the input of an activation."""
        self.heard.append((line.rows.flatten(1), line.sizes.flatten(1)))
        return super().bend(line, activation)


def _of_polylines(network: PreparedModule, points: Tensor) -> tuple[list[Numbers], Numbers | None]:
    """Return the inputs of activations and the outputs of the layerwise engine."""
    ends = network.ends(points)
    listening = _Listening(DEFAULT_TOLERANCE)
    line = Polyline.of(ends.value, ends.scale, Knots.of_points(len(points), points.device), listening)
    outputs = None
    try:
        result = network.body(line)
        if isinstance(result, Polyline):
            outputs = (result.rows, result.sizes)
    except NotPiecewiseLinear:  # after the last activation: the walk ends before it
        pass
    return listening.heard, outputs


def _of_rays(network: PreparedModule, points: Tensor) -> tuple[list[Numbers], Numbers | None]:
    """Return the inputs of ReLUs of the jvp engine, which leaves a network at the last one."""
    ends = network.ends(points)
    heard: list[Numbers] = []

    def look(z: Ray, _units: slice) -> None:
        heard.append((z.value.flatten(1), z.scale.flatten(1)))

    def output(z: Ray, _seen: None) -> Tensor:
        return Ray.of(z.value.clamp_min(0), z.tangent, z.scale)

    network.run(Ray.of(ends.value.clone(), ends.value.clone(), ends.scale.clone()), look, output)
    return heard, None


def _of_network(network: PreparedModule, points: Tensor) -> list[Tensor]:
    """Return the inputs of activations as the network itself computes them."""
    heard: list[Tensor] = []
    with tracking(lambda z, _activation: heard.append(z.flatten(1).clone())):
        network.body(network.ends(points).value.clone().as_subclass(Tracked))
    return heard
