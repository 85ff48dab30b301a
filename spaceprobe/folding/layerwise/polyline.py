"""A tensor that is piecewise affine along paths, known at its knots; a module runs on it unchanged.

Between neighbouring knots everything that a piecewise-linear network computes is affine in t, so its
values at the knots say all. An affine function acts on these rows as it acts on a batch. Beside the rows
stands a *scale*, the size of what an entry was computed from, which tells zero from rounding (see
`spaceprobe.folding.kernels.network`). One row a path is enough until something comes close to zero; then
the path is walked with a row a knot, *carefully*.

To the module the first dimension is a batch of `BATCH` inputs, however many rows there are: a network asks
for the size of a batch, and shapes by it, before and after an activation that adds knots.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots

if TYPE_CHECKING:
    from spaceprobe.folding.layerwise.visit import Visit

BATCH = 1009
"""What a network sees as the number of its inputs: a prime that no size in a network is likely to be."""

Replay = Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Memory:
    """What a polyline and its views share, so that a change in place reaches all of them.

    Attributes:
        value: one row a knot.
        scale: one row a path, or one a knot.
        knots: where the rows are.
        version: how often it was changed in place.
    """

    value: Tensor
    scale: Tensor
    knots: Knots
    version: int = 0

    def overwrite(self, value: Tensor, scale: Tensor, knots: Knots) -> None:
        """Put other values in place of these."""
        self.value, self.scale, self.knots = value, scale, knots
        self.version += 1


class Polyline(Tensor):
    """A quantity along a batch of paths.

    Attributes:
        memory: its values, or those of what it is a view of.
        replay: from the rows of the memory to its own, one after the other.
        visit: what is told of the activations that it comes to.
    """

    memory: Memory
    replay: tuple[Replay, ...]
    visit: "Visit"
    _seen: tuple[int, Tensor, Tensor]

    @staticmethod
    def of(value: Tensor, scale: Tensor, knots: Knots, visit: "Visit") -> "Polyline":
        """Return a polyline with its own memory."""
        return Polyline.on(Memory(value, scale, knots), (), visit)

    @staticmethod
    def on(memory: Memory, replay: tuple[Replay, ...], visit: "Visit") -> "Polyline":
        """Return a view of a memory."""
        line = torch.empty(0).as_subclass(Polyline)
        line.memory, line.replay, line.visit = memory, replay, visit
        line._seen = (-1, memory.value, memory.scale)
        return line

    def _look(self) -> tuple[int, Tensor, Tensor]:
        if self._seen[0] != self.memory.version:
            value, scale = self.memory.value, self.memory.scale
            for step in self.replay:
                value, scale = step(value), step(scale)
            self._seen = (self.memory.version, value, scale)
        return self._seen

    @property
    def rows(self) -> Tensor:
        """The values, of shape ``(rows, *features)``."""
        return self._look()[1]

    @property
    def sizes(self) -> Tensor:
        """The scale, of shape ``(paths, *features)``, or of that of the rows."""
        return self._look()[2]

    @property
    def knots(self) -> Knots:
        """Where the rows are."""
        return self.memory.knots

    def overwrite(self, other: "Polyline") -> None:
        """Take the values of another polyline; so does everything that shares the memory."""
        if not self.replay:
            self.memory.overwrite(other.rows.reshape(-1, *self.rows.shape[1:]), other.sizes, other.knots)
            return
        from spaceprobe.folding.layerwise.operands import align

        whole = Polyline.on(self.memory, (), self.visit)
        whole, other = align(whole, other)
        self.memory.overwrite(whole.rows.clone(), whole.sizes.clone(), whole.knots)
        self.rows.copy_(other.rows)
        self.sizes.copy_(other.sizes)
        self.memory.version += 1

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Polyline":
        """Return itself: what a module kept of a run, no other run needs."""
        return self

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Apply the rule of a torch function.

        Raises:
            NotPiecewiseLinear: for a function that is not known to be piecewise linear.
        """
        from spaceprobe.folding.layerwise.rules import apply

        with torch._C.DisableTorchFunctionSubclass():
            return apply(func, args, kwargs or {})
