"""Settling: which units are on in the region that begins here, and how far it reaches.

The rule (docs/definitions.md, "Settling"), in one run of the network in order:

- a unit whose |z| is within tolerance of zero is at its boundary. Its z becomes 0, and it is on exactly if
  dz > 0, where dz is what the units above it, settled already, make it;
- every other unit keeps its state, which has to agree with the sign of its z: the region check.

Toggling the unit that crosses would be simpler and wrong: at a tie, a touch, or where a unit is zero on a
whole interval, the slope beyond the event decides.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from spaceprobe.folding.prepared_module import PreparedModule
from spaceprobe.folding.ray import Ray
from spaceprobe.folding.relus import empty_patterns
from spaceprobe.folding.rounding import inherited_scale


@dataclass(frozen=True)
class Settled:
    """The result of one run in order.

    Attributes:
        state: 1 for each unit that is on in the region that begins here, else 0.
        share: how much of the way that is left to the next event; 1 where there is none before the end.
        is_wrong: whether a unit that is not at its boundary disagrees with its state.
    """

    state: Float64[Tensor, "paths padded"]
    share: Float64[Tensor, " paths"]
    is_wrong: Bool[Tensor, " paths"]


def settle(
    network: PreparedModule,
    ray: Ray,
    before: Float64[Tensor, "paths padded"] | None,
    tolerance: float,
    left: Float64[Tensor, " paths"] | None = None,
) -> Settled:
    """Settle the pattern in one run in order, and look for the next event.

    Args:
        network: what to run.
        ray: where the paths are, and which way they go.
        before: the state in the region behind; None at an end of the path, where every unit that is not
            at its boundary goes by its sign.
        tolerance: see `walk_regions`.
        left: how much of t is left; None for all of it.
    """
    num_paths = len(ray.value)
    state = empty_patterns(num_paths, network.num_units, network.device).double()
    # The smallest ratio of z at the end to z here: negative if some unit crosses zero on the way
    smallest_ratio = state.new_zeros(num_paths)
    disagreement = state.new_zeros(num_paths)
    left = state.new_ones(num_paths) if left is None else left

    def look(ray: Ray, units: slice) -> tuple[Tensor, Tensor]:
        # Masks are 0.0 and 1.0 here: on a CPU torch computes with them several times faster than with
        # booleans, and this function is where the time goes.
        z, dz = ray.value.flatten(1), ray.tangent.flatten(1)
        slack = tolerance * ray.scale.flatten(1)
        at_boundary = torch.le(z.abs(), slack, out=torch.empty_like(z))
        z = torch.addcmul(z, z, at_boundary, value=-1)
        behind = torch.gt(z, 0, out=torch.empty_like(z)) if before is None else before[:, units]
        rises = torch.gt(dz, slack, out=torch.empty_like(z))
        is_on = torch.lerp(behind, rises, at_boundary, out=state[:, units])
        # On and negative, or off and positive; z is 0 at a boundary, which is allowed.
        disagreement.add_((z * (is_on - 0.5)).clamp_max(0).sum(1))
        ratio = ratio_to_end(z, torch.addcmul(z, dz, left[:, None]), slack, at_boundary)
        torch.minimum(smallest_ratio, ratio.amin(1), out=smallest_ratio)
        return z.view(ray.value.shape), is_on.view(ray.value.shape)

    def output(ray: Ray, seen: tuple[Tensor, Tensor]) -> Ray:
        z, is_on = seen
        value, tangent = z * is_on, ray.tangent * is_on
        scale = inherited_scale(value.abs().add_(tangent.abs()), ray.scale, tolerance)
        return Ray.of(value, tangent, scale)

    network.run(ray, look, output)
    # An overflow on the way makes the sum NaN, which is wrong as well.
    return Settled(state, 1 / (1 - smallest_ratio), ~(disagreement >= 0))


def ratio_to_end(
    z: Float64[Tensor, "paths units"],
    z_end: Float64[Tensor, "paths units"],
    slack: Float64[Tensor, "paths units"],
    at_boundary: Float64[Tensor, "paths units"],
) -> Float64[Tensor, "paths units"]:
    """Return z at t = 1 over z here: negative for a unit that reaches zero on the way.

    Only a unit that is really beyond zero at the end crosses: one that is at its boundary there does
    not, inside the segment. Nor does one that is at its boundary here, which was settled.
    """
    beyond = torch.gt(z_end.abs(), slack, out=torch.empty_like(z))
    # A divisor so large that the ratio is practically 0, where z is 0.
    return z_end * beyond / torch.add(z, at_boundary, alpha=1e300)
