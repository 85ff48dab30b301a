"""Adversarial examples: FGSM and PGD in L∞ and L2 balls, and random perturbations of the same norms.

Sources: Goodfellow, Shlens & Szegedy, "Explaining and harnessing adversarial examples" (arXiv 1412.6572), and
Madry et al., "Towards deep learning models resistant to adversarial attacks" (arXiv 1706.06083).
All attacks raise the cross-entropy of the true class, and end in the ball and in the range of the data.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Norm = Literal["linf", "l2"]

STEP_SHARE = 2.5
"""Steps of PGD are this times radius / steps long, so that they reach the border from any start (arXiv
1706.06083, section 5)."""

BATCH = 250
"""Chosen: points whose gradient is computed at once; of a ResNet's feature maps they take some 100 MB."""

HALVINGS = 200
"""Chosen: more than enough to halve the largest scale down to the last bit."""

Points = Float64[Tensor, "points features"]

Range = tuple[Float64[Tensor, "features"], Float64[Tensor, "features"]]
"""The least and the largest value of each feature."""


class NoGradientError(ValueError):
    """The loss of a network does not depend on its input in a way that autograd follows."""


def norms(changes: Points, norm: Norm) -> Float64[Tensor, "points"]:
    """Return the L∞ or L2 norm of each row."""
    lengths: Tensor = torch.linalg.vector_norm(changes, torch.inf if norm == "linf" else 2, dim=1)
    return lengths


def losses_and_gradients(
    network: nn.Module, points: Points, classes: Int64[Tensor, "points"]
) -> tuple[Float64[Tensor, "points"], Points]:
    """Return the cross-entropy of each point in nats, and its gradient by the point.

    Raises:
        NoGradientError: there is none, or it is not a finite number.
    """
    losses, gradients = [], []
    with torch.enable_grad():
        for some, some_classes in zip(points.split(BATCH), classes.split(BATCH), strict=True):
            inputs = some.detach().clone().requires_grad_()
            loss = cross_entropy(network(inputs), some_classes, reduction="none")
            if not loss.requires_grad:
                raise NoGradientError("autograd follows nothing from the input of the network to its output")
            (gradient,) = torch.autograd.grad(loss.sum(), inputs, allow_unused=True)
            if gradient is None:
                raise NoGradientError("the output of the network does not depend on its input")
            losses.append(loss.detach())
            gradients.append(gradient)
    gradient = torch.cat(gradients) if gradients else torch.zeros_like(points)
    if not gradient.isfinite().all():
        raise NoGradientError("the gradient of the loss by the input is not a finite number")
    return torch.cat(losses) if losses else points.new_zeros(0), gradient


def fgsm(
    network: nn.Module,
    images: Points,
    classes: Int64[Tensor, "points"],
    *,
    norm: Norm,
    radius: float,
    values: Range,
) -> Points:
    """Return each image after one step of length ``radius`` along the gradient, clipped to the range.

    The step is radius · sign(gradient) for L∞, radius · gradient / ‖gradient‖ for L2. Where the gradient is
    0, the image stays as it is.

    Args:
        network: in float64 and in evaluation mode.
        images: inside the range.
        classes: the true ones, whose loss rises.
        norm: of the ball.
        radius: of the ball, above 0.
        values: the range of the data.

    Raises:
        NoGradientError: see `losses_and_gradients`.
    """
    _, gradient = losses_and_gradients(network, images, classes)
    return _clip(values, images + radius * _direction(gradient, norm))


def pgd(
    network: nn.Module,
    images: Points,
    classes: Int64[Tensor, "points"],
    *,
    norm: Norm,
    radius: float,
    values: Range,
    steps: int,
    generator: np.random.Generator,
) -> Points:
    """Return of each image the point with the largest loss that steps along the gradient come to.

    They begin at a random point of the ball, and each is followed by a projection onto the ball, then onto
    the range, which leaves the ball for no image inside the range. Where the gradient is 0, a step goes
    nowhere.

    Args:
        network: as for `fgsm`.
        images: as for `fgsm`.
        classes: as for `fgsm`.
        norm: as for `fgsm`.
        radius: as for `fgsm`.
        values: as for `fgsm`.
        steps: how many, each of length 2.5 · radius / steps.
        generator: of the starts.

    Raises:
        NoGradientError: see `losses_and_gradients`.
    """
    points = _clip(values, images + _start(images, norm, radius, generator))
    best, best_loss = points, points.new_full((len(points),), -torch.inf)
    for step in range(steps + 1):
        loss, gradient = losses_and_gradients(network, points, classes)
        is_better = loss > best_loss
        best, best_loss = (
            torch.where(is_better[:, None], points, best),
            torch.where(is_better, loss, best_loss),
        )
        if step < steps:
            moved = points + STEP_SHARE * radius / steps * _direction(gradient, norm)
            points = _clip(values, images + _into_ball(moved - images, norm, radius))
    return best


def random_perturbations(
    images: Points,
    asked: Float64[Tensor, "points"],
    *,
    norm: Norm,
    values: Range,
    generator: np.random.Generator,
) -> Points:
    """Return each image moved in a random direction, until the change that is left in the range has a norm.

    The direction is one of the corners of the cube for L∞, uniform on the sphere for L2. Where the range
    leaves no room for the norm in that direction, the image is moved to the border of the range.

    Args:
        images: inside the range.
        asked: the norm of each change, 0 or more.
        norm: which norm.
        values: the range of the data.
        generator: of the directions.
    """
    drawn = torch.from_numpy(generator.standard_normal(tuple(images.shape)))
    direction = torch.where(drawn >= 0, 1.0, -1.0).double() if norm == "linf" else drawn
    least, largest = values
    room = torch.where(direction > 0, largest - images, images - least)
    # Beyond this scale nothing moves on; a direction of exactly 0 moves nothing.
    furthest = torch.where(direction == 0, 0.0, room / direction.abs()).amax(1)

    def moved(scale: Tensor) -> Tensor:
        return _clip(values, images + scale[:, None] * direction)

    def is_inside(scale: Tensor) -> Tensor:
        return norms(moved(scale) - images, norm) <= asked

    low, high = torch.zeros_like(asked), furthest
    low = torch.where(is_inside(furthest), furthest, low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = torch.where(is_inside(middle), middle, low), torch.where(is_inside(middle), high, middle)
    return moved(low)


def _clip(values: Range, points: Points) -> Points:
    return points.clamp(*values)


def _direction(gradient: Points, norm: Norm) -> Points:
    """Return the step of norm 1 that raises a linear loss most; 0 where the gradient is."""
    if norm == "linf":
        return gradient.sign()
    # Scaled first: squares of gradients as small as 1e-200 would be 0.
    scaled = gradient / gradient.abs().amax(1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    length = norms(scaled, norm)[:, None]
    return torch.where(length > 0, scaled / length.clamp_min(torch.finfo(gradient.dtype).tiny), 0.0)


def _into_ball(changes: Points, norm: Norm, radius: float) -> Points:
    if norm == "linf":
        return changes.clamp(-radius, radius)
    return changes * (radius / norms(changes, norm).clamp_min(radius))[:, None]


def _start(images: Points, norm: Norm, radius: float, generator: np.random.Generator) -> Points:
    """Return a change for each image, uniform in the ball."""
    if norm == "linf":
        return torch.from_numpy(generator.uniform(-radius, radius, tuple(images.shape)))
    num_features = images.shape[1]
    drawn = torch.from_numpy(generator.standard_normal((len(images), num_features + 1)))
    direction = drawn[:, :num_features] / norms(drawn[:, :num_features], norm)[:, None]
    # Of a ball, the distance from the middle to the power of the dimension is uniform.
    share: Tensor = torch.special.ndtr(drawn[:, -1]) ** (1 / num_features)
    return radius * share[:, None] * direction
