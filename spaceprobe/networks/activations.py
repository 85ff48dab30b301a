"""Activation functions of hidden layers, by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAK = 0.01
"""Slope of the leaky ReLU below 0: torch's default."""


class ExponentialPolynomial(nn.Module):
    """The polynomial x + x²/2! + … + xⁿ/n!, the Taylor polynomial of eˣ - 1.

    A polynomial of degree n raises the dimension of the latent manifold by the power n - 1
    (arXiv 2309.05968). Of those of degree n this one is chosen because it has every power up to n and
    is the identity near 0, so that an untrained network passes signals on as a linear one does.
    """

    def __init__(self, degree: int) -> None:
        """Take the degree n, at least 1.

        Raises:
            ValueError: the degree is below 1.
        """
        super().__init__()
        if degree < 1:
            raise ValueError(f"degree is {degree}: a polynomial activation has at least 1")
        self.degree = degree

    def forward(self, x: Tensor) -> Tensor:
        """Return the polynomial's values, by Horner's rule; same shape."""
        value = torch.ones_like(x)
        for power in range(self.degree, 1, -1):
            value = 1 + x * value / power
        return x * value

    def extra_repr(self) -> str:
        """Return what stands in the brackets of its repr."""
        return f"degree={self.degree}"


class Absolute(nn.Module):
    """The absolute value."""

    def forward(self, x: Tensor) -> Tensor:
        """Return |x|; same shape."""
        return x.abs()


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(LEAK),
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "hardtanh": nn.Hardtanh,
    "hardsigmoid": nn.Hardsigmoid,
    "abs": Absolute,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "polynomial-2": lambda: ExponentialPolynomial(2),
    "polynomial-3": lambda: ExponentialPolynomial(3),
}
"""Makes the module of an activation, by its name in a study."""
