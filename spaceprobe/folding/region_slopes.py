"""The slope of an MLP in every linear region that a path crosses, and its jumps between them.

In a region an MLP of piecewise-linear activations is affine, x → A x + c, and A is the product of its weight
matrices with the slopes of the activations between them. The largest singular value of A is how far the
outputs move at most for a step of length 1 inside the region, in any direction; ‖A d‖ is how far they move
along the path, d being its direction. The largest over regions is a lower bound of the Lipschitz constant,
and exact for the regions that were crossed; the product of spectral norms is an upper one
(docs/definitions.md, "Continuity").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.block_walker import blocks
from spaceprobe.folding.guards import check_images, check_same_shape
from spaceprobe.folding.options import DEFAULT_TOLERANCE, check_options, check_walk
from spaceprobe.folding.path_images import check_continuous
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.points_on_paths import breakpoints
from spaceprobe.folding.prepared_module import PreparedModule, prepare
from spaceprobe.machine.torch_modules import copy_of
from spaceprobe.machine.torch_threads import one_thread

MAX_NUMBERS = 2**21
"""Chosen: numbers in the matrices of the regions that are taken at a time, 16 MiB. A constant, as blocks
decide the last bits."""


@dataclass(frozen=True)
class RegionSlopes:
    """The linear regions of paths, ordered by path and t, and the breakpoints between them.

    Attributes:
        path: of which path each region is a part.
        t: its middle, in (0, 1).
        slope: the operator norm ‖A‖₂ of the Jacobian there, the largest slope in any direction.
        path_slope: ‖A d‖, the slope along the path; at most ``slope``. NaN where the ends are one point.
        jump_path: the path of each breakpoint between two regions.
        before: the network's outputs at the breakpoint, as the region before it has them.
        after: the same of the region behind it. The two differ by rounding unless an activation jumps.
        is_continuous: whether no activation jumps; then ``before`` and ``after`` are equal in exact
            arithmetic.
        num_violations: linear regions of each path that failed the region check (see `PathFolding`).
    """

    path: Int64[np.ndarray, " regions"]
    t: Float64[np.ndarray, " regions"]
    slope: Float64[np.ndarray, " regions"]
    path_slope: Float64[np.ndarray, " regions"]
    jump_path: Int64[np.ndarray, " breakpoints"]
    before: Float64[Tensor, "breakpoints outputs"]
    after: Float64[Tensor, "breakpoints outputs"]
    is_continuous: bool
    num_violations: Int64[np.ndarray, " paths"]


def region_slopes(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> RegionSlopes:
    """Return the slopes of an MLP in the linear regions that straight paths cross; on the CPU.

    Args:
        network: an `nn.Sequential` of linear layers, BatchNorms and activations that act on single entries
            and are piecewise linear; it is left as it is.
        a: starts, of shape ``(num_paths, inputs)``, at least one.
        b: ends, of the same shape.
        tolerance: see `walk_paths`.
        threads: of the walk; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; there are no paths.
        TypeError: the network is not such an MLP, or an activation is not piecewise linear.

    >>> steep = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).requires_grad_(False)
    >>> _ = [parameter.fill_(3.0 * (parameter.ndim == 2)) for parameter in steep.parameters()]
    >>> region_slopes(steep, [[-1.0]], [[1.0]]).slope.tolist()  # flat, then 3 · 3
    [0.0, 9.0]
    """
    check_options("exact", 2, tolerance)
    check_walk(threads, "float64")
    layers = _layers(network)
    a, b = read_points("a", a), read_points("b", b)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape, b.shape)
    if not len(a):
        raise ValueError("a and b: no paths, at least one is needed")
    prepared = prepare(network, a[:1], torch.device("cpu"), layerwise.count_bits)
    path, t, violations = _walk(prepared, a, b, tolerance, threads)
    is_region = path[1:] == path[:-1]
    own, begin, end = path[:-1][is_region], t[:-1][is_region], t[1:][is_region]
    middle = (begin + end) / 2
    parts = [
        _of_regions(layers, a.double(), b.double(), own[block], begin[block], middle[block], end[block])
        for block in _region_blocks(layers, len(own))
    ]
    slope, path_slope, at_begin, at_end = (torch.cat(values) for values in zip(*parts, strict=True))
    is_inside = own[1:] == own[:-1]
    return RegionSlopes(
        path=own.numpy(),
        t=middle.numpy(),
        slope=slope.numpy(),
        path_slope=path_slope.numpy(),
        jump_path=own[1:][is_inside].numpy(),
        before=at_end[:-1][is_inside],
        after=at_begin[1:][is_inside],
        is_continuous=_is_continuous(prepared, a),
        num_violations=violations,
    )


def _layers(network: nn.Module) -> list[nn.Module]:
    """Return copies of the modules of an MLP, in evaluation mode and in float64.

    Raises:
        TypeError: it is not one; the message names what is not.
    """
    if not isinstance(network, nn.Sequential):
        raise TypeError(
            f"{type(network).__name__}: expected an nn.Sequential of linear layers and activations"
        )
    for layer in network:
        has_children = any(True for _ in layer.children())
        is_other = any(True for _ in layer.parameters()) and not isinstance(
            layer, nn.Linear | nn.BatchNorm1d | nn.PReLU
        )
        if has_children or is_other or isinstance(layer, NOT_BY_ENTRY):
            raise TypeError(
                f"{type(layer).__name__}: expected linear layers, BatchNorms and activations that act on "
                "single entries; slopes of regions are measured in MLPs only"
            )
    if not any(isinstance(layer, nn.Linear) for layer in network):
        raise TypeError("no linear layer: slopes of regions are measured in MLPs only")
    # Not its children: an activation that stands there twice is one of these.
    return [*cast(nn.Sequential, copy_of(network).eval().requires_grad_(False).double())]


NOT_BY_ENTRY = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU, nn.Flatten, nn.Unflatten, nn.Dropout)
"""Modules without weights that do not act on single entries, or not in evaluation mode alone."""


@torch.no_grad()
def _walk(
    prepared: PreparedModule, a: Tensor, b: Tensor, tolerance: float, threads: int | None
) -> tuple[Tensor, Tensor, Int64[np.ndarray, " paths"]]:
    """Return path and t of all ends of regions, and how many regions of each path failed the check."""
    starts, ends = prepared.ends(a), prepared.ends(b)
    crew = layerwise.Crew(prepared, threads)
    size = layerwise.paths_per_batch(prepared, starts.value.shape[1:].numel())
    paths, ts, violations = [], [], np.zeros(len(a), dtype=np.int64)
    for block in blocks(len(a), size):
        path, t, wrong = breakpoints(crew, starts.take(block), ends.take(block), tolerance)
        violations[block] = wrong
        paths.append(path + block.start)
        ts.append(t)
    return torch.cat(paths), torch.cat(ts), violations


def _is_continuous(prepared: PreparedModule, a: Tensor) -> bool:
    try:
        check_continuous(prepared, prepared.ends(a[:1]).value)
    except ValueError:
        return False
    return True


def _region_blocks(layers: list[nn.Module], num_regions: int) -> Iterator[slice]:
    """Yield the regions whose matrices are made at a time."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    widest = max(max(layer.in_features, layer.out_features) for layer in linear)
    yield from blocks(num_regions, max(1, MAX_NUMBERS // (widest * linear[-1].out_features)))


def _of_regions(
    layers: list[nn.Module], a: Tensor, b: Tensor, path: Tensor, begin: Tensor, middle: Tensor, end: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return slope, slope along the path, and the outputs at both ends, of some regions."""
    with one_thread():
        outputs, jacobian = _affine_at(layers, torch.lerp(a[path], b[path], middle[:, None]))
        step = (b - a)[path]
        change = torch.einsum("roi,ri->ro", jacobian, step)
        distance = torch.linalg.vector_norm(step, dim=1)
        path_slope = torch.linalg.vector_norm(change, dim=1) / torch.where(distance > 0, distance, torch.nan)
        at_begin = outputs + change * (begin - middle)[:, None]
        at_end = outputs + change * (end - middle)[:, None]
        return operator_norms(jacobian), path_slope, at_begin, at_end


def _affine_at(
    layers: list[nn.Module], points: Float64[Tensor, "points inputs"]
) -> tuple[Float64[Tensor, "points outputs"], Float64[Tensor, "points outputs inputs"]]:
    """Return outputs and Jacobian of an MLP: its matrices and the slopes of its activations, multiplied."""
    value, factors = points, []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            factors.append(layer.weight)
        elif isinstance(layer, nn.BatchNorm1d):
            variance = layer.running_var
            if variance is None:
                raise TypeError(f"{layer}: has no running statistics; expected a BatchNorm that keeps them")
            scale = (variance.double() + layer.eps).rsqrt()
            factors.append(scale if layer.weight is None else scale * layer.weight)
        else:
            factors.append(_slopes_of(layer, value))
        with torch.no_grad():
            value = layer(value)
    product = torch.eye(value.shape[1], dtype=torch.float64).expand(len(value), -1, -1)
    for factor, layer in zip(reversed(factors), reversed(layers), strict=True):
        if isinstance(layer, nn.Linear):
            product = product @ factor
        else:
            product = product * (factor if factor.ndim == 1 else factor[:, None, :])
    return value, product


@torch.enable_grad()
def _slopes_of(activation: nn.Module, z: Tensor) -> Tensor:
    """Return the slope of each entry's activation."""
    z = z.detach().clone().requires_grad_()
    # A copy, since an activation may overwrite what it is given.
    (slopes,) = torch.autograd.grad(activation(z * 1.0).sum(), z)
    return slopes


def operator_norms(matrices: Float64[Tensor, "matrices rows columns"]) -> Float64[Tensor, "matrices"]:
    """Return the largest singular value of each matrix, ≥ 0, from the Gram matrix of the shorter side."""
    rows, columns = matrices.shape[1:]
    gram = matrices @ matrices.mT if rows <= columns else matrices.mT @ matrices
    largest: Tensor = torch.linalg.eigvalsh(gram)[:, -1].clamp_min(0).sqrt()
    return largest
