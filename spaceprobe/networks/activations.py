"""Activation functions of hidden layers, by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAK = 0.01
"""Slope of the leaky ReLU below 0: torch's default."""

SHRINKAGE = 0.1
"""The λ of softshrink and hardshrink, and where threshold jumps.

Chosen: torch's 0.5 is above nearly every pre-activation of an untrained network on images, which then passes
nothing on and does not learn. With 0.1 all three reach on 10,000 MNIST images what a ReLU does.
"""


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


class RandomizedLeakyReLU(nn.RReLU):
    """A leaky ReLU whose slope is drawn anew for each entry in training, and is fixed in evaluation.

    Torch's own draws from the global random numbers; this one from numbers of its own, which follow from the
    run's seed.
    """

    def __init__(self) -> None:
        """Take torch's bounds of the slope, 1/8 and 1/3."""
        super().__init__()
        self.seed = self.num_passes = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return x, or below 0 a multiple of it; same shape."""
        if not self.training:
            return super().forward(x)
        generator = torch.Generator(x.device).manual_seed(self.seed + self.num_passes)
        self.num_passes += 1
        slope = torch.empty_like(x).uniform_(self.lower, self.upper, generator=generator)
        return torch.where(x >= 0, x, slope * x)


def seed_activations(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the seeds of the activations that are random in training."""
    for module in network.modules():
        if isinstance(module, RandomizedLeakyReLU):
            module.seed = int(torch.randint(2**62, (), generator=generator))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(LEAK),
    "prelu": nn.PReLU,
    "rrelu": RandomizedLeakyReLU,
    "relu6": nn.ReLU6,
    "hardtanh": nn.Hardtanh,
    "hardsigmoid": nn.Hardsigmoid,
    "softshrink": lambda: nn.Softshrink(SHRINKAGE),
    "hardshrink": lambda: nn.Hardshrink(SHRINKAGE),
    "threshold": lambda: nn.Threshold(SHRINKAGE, 0.0),
    "abs": Absolute,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "tanhshrink": nn.Tanhshrink,
    "log-sigmoid": nn.LogSigmoid,
    "hardswish": nn.Hardswish,
    "polynomial-1": lambda: ExponentialPolynomial(1),
    "polynomial-2": lambda: ExponentialPolynomial(2),
    "polynomial-3": lambda: ExponentialPolynomial(3),
    "polynomial-4": lambda: ExponentialPolynomial(4),
}
"""Makes the module of an activation, by its name in a study."""
