"""Adam, AdamW and SGD: torch's fused kernels, called directly.

The optimizers of `torch.optim` look through every parameter's state before each step, which takes small
networks longer than the step itself; and they import torch's compiler, which takes seconds. These are given
the gradients, and give the same bits.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_P = ParamSpec("_P")
_R = TypeVar("_R")

BETAS = (0.9, 0.999)
"""Of Adam: torch's, as are ε and the other options below."""

EPSILON = 1e-8


class FusedOptimizer(Optimizer, ABC):
    """An optimizer whose learning rate schedules may change, as torch's.

    Args:
        parameters: what it changes in place.
        lr: learning rate.
        weight_decay: λ of λ/2 · ‖parameters‖², whose gradient is added; decoupled for AdamW.
    """

    # Torch wraps it for models that it compiles.
    add_param_group = inspect.unwrap(Optimizer.add_param_group)

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self._parameters: list[Tensor] = self.param_groups[0]["params"]
        self._weight_decay = weight_decay

    @staticmethod
    def profile_hook_step(func: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return a step as it is, without the range that torch puts around it for profilers."""
        return func

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return float(self.param_groups[0]["lr"])

    @abstractmethod
    def forget(self) -> None:
        """Forget what earlier gradients were, as where the parameters stand for something else now."""

    @abstractmethod
    def step(self, gradients: Sequence[Tensor | None]) -> None:  # type: ignore[override]  # torch's finds them
        """Change the parameters.

        Args:
            gradients: of each parameter; one without a gradient stays as it is.
        """


class Adam(FusedOptimizer):
    """Adam, or with ``decoupled`` AdamW."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, *, decoupled: bool
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = [
            torch.zeros((), dtype=torch.float32, device=parameter.device) for parameter in self._parameters
        ]
        self._move = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def forget(self) -> None:
        """Begin anew with means, squares and steps of 0."""
        for state in (*self._means, *self._squares, *self._steps):
            state.zero_()

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:  # type: ignore[override]  # see above
        """Change the parameters; see `FusedOptimizer`."""
        state = zip(self._parameters, gradients, self._means, self._squares, self._steps, strict=True)
        with_gradient = [row for row in state if row[1] is not None]
        parameters, moved_by, means, squares, steps = map(list, zip(*with_gradient, strict=True))
        torch._foreach_add_(steps, 1)
        self._move(
            parameters,
            moved_by,
            means,
            squares,
            [],  # largest squares, of AMSGrad
            steps,
            lr=self.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self._weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


class SGD(FusedOptimizer):
    """Stochastic gradient descent with momentum, in [0, 1)."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, *, momentum: float
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self._momentum = momentum
        self._velocities: dict[int, Tensor] = {}

    def forget(self) -> None:
        """Begin anew without velocities."""
        self._velocities = {}

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:  # type: ignore[override]  # see above
        """Change the parameters; see `FusedOptimizer`."""
        moved_by = {number: gradient for number, gradient in enumerate(gradients) if gradient is not None}
        is_first = not self._velocities
        if is_first:
            self._velocities = {number: torch.empty_like(self._parameters[number]) for number in moved_by}
        torch._fused_sgd_(
            [self._parameters[number] for number in moved_by],
            [*moved_by.values()],
            [self._velocities[number] for number in moved_by] if self._momentum else [],
            lr=self.learning_rate,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=is_first and self._momentum > 0,
        )
