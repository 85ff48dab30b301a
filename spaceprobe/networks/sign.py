"""The sign activation of binary networks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Sign(nn.Module):
    """The sign of each entry, -1, 0 or 1, with a straight-through gradient while it trains.

    In training mode the gradient passes unchanged where |z| ≤ 1 and is 0 elsewhere, as if the function were
    hardtanh (Hubara et al., "Binarized neural networks", NeurIPS 2016, section 1.3). In evaluation mode it
    is `torch.sign` itself, whose gradient is 0.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Return the signs; same shape."""
        return _straight_through_sign(z) if self.training else torch.sign(z)


class _StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, z: Tensor) -> Tensor:
        context.save_for_backward(z)
        return torch.sign(z)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (z,) = context.saved_tensors
        passed: Tensor = gradient * (z.abs() <= 1)
        return passed


# torch has types for `apply` in some releases only
_straight_through_sign: Callable[[Tensor], Tensor] = _StraightThroughSign.apply
