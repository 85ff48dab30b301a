"""How closely a network fits each point: the encoding margin ε.

The Layer Matrix Decomposition (arXiv 2309.05968) speaks of networks that encode their training points up
to ε. The margin that holds for all of them is the largest error; quantiles tell whether a few points make it.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spaceprobe.lmd.arrays import require_finite


def classification_errors(
    logits: Float[Tensor, "points classes"], labels: Int64[Tensor, "points"]
) -> Float64[Tensor, "points"]:
    """Return 1 - p_y for each point, in [0, 1], with p the softmax of the logits.

    Computed from the sum over the other classes, so that errors far below 1e-16 keep their digits. With
    one class the error is 0.

    Args:
        logits: one for each class.
        labels: the right class of each point, from 0.

    Raises:
        ValueError: if a logit is NaN or infinite, a label not a class, or there is not one for each point.
    """
    require_finite("logits", logits)
    if len(labels) != len(logits):
        raise ValueError(f"labels: of {len(labels)} points, the logits are of {len(logits)}")
    num_classes = logits.shape[1]
    if bool(((labels < 0) | (labels >= num_classes)).any()):
        raise ValueError(
            f"labels: from {int(labels.min())} to {int(labels.max())}, "
            f"with {num_classes} logits a label is one of 0 to {num_classes - 1}"
        )
    scores = logits.detach().to(device="cpu", dtype=torch.float64)
    right = labels.cpu()[:, None]
    others = scores.scatter(1, right, -math.inf).logsumexp(dim=1)
    errors: Tensor = torch.sigmoid(others - scores.gather(1, right)[:, 0])
    return errors


def regression_errors(
    outputs: Float[Tensor, "points outputs"], targets: Float[Tensor, "points outputs"]
) -> Float64[Tensor, "points"]:
    """Return the Euclidean distance ‖f - y‖ between output and target of each point, ≥ 0.

    Raises:
        ValueError: if an output or a target is NaN or infinite, or their shapes differ.
    """
    require_finite("outputs", outputs)
    require_finite("targets", targets)
    if outputs.shape != targets.shape:
        raise ValueError(
            f"outputs and targets: of shapes {tuple(outputs.shape)} and {tuple(targets.shape)}, "
            "one target for each output is needed"
        )
    both = [values.detach().to(device="cpu", dtype=torch.float64) for values in (outputs, targets)]
    distances: Tensor = torch.linalg.vector_norm(both[0] - both[1], dim=1)
    return distances


def margins(errors: Float64[Tensor, "points"]) -> dict[str, float]:
    """Return the encoding margin ε: quantiles and maximum of the errors.

    The margin that holds for all points is ``max``; the quantiles (inverted CDF, so each is the error of
    some point) tell whether a few outliers make it.

    Args:
        errors: as `classification_errors` or `regression_errors` return them, at least one.

    Returns:
        ``q50``, ``q90``, ``q99`` and ``max``.

    Raises:
        ValueError: if there are no errors, or one is NaN, infinite or negative.
    """
    if not len(errors):
        raise ValueError("errors: none, at least one point is needed")
    require_finite("errors", errors)
    if bool((errors < 0).any()):
        raise ValueError(f"errors: down to {float(errors.min())}, numbers >= 0 are needed")
    quantiles = np.quantile(errors.cpu().numpy(), [0.5, 0.9, 0.99, 1.0], method="inverted_cdf")
    return dict(zip(("q50", "q90", "q99", "max"), quantiles.tolist(), strict=True))
