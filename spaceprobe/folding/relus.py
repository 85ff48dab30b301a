"""The ReLUs of a module, called through a function of ours; and the patterns of their units."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from jaxtyping import Shaped
from torch import Tensor
from torch.overrides import TorchFunctionMode

from spaceprobe.folding.ray import overwrite

RELU_IN_PLACE = {F.relu_, torch.relu_, Tensor.relu_}
RELU_FUNCTIONS = {F.relu, torch.relu, Tensor.relu, *RELU_IN_PLACE}


class Relus(TorchFunctionMode):
    """Calls `visit` in place of every ReLU that runs inside ``with``, under whichever of its names."""

    def __init__(self, visit: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.visit = visit

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch, or `visit` where it is a ReLU."""
        kwargs = kwargs or {}
        if func not in RELU_FUNCTIONS:
            return func(*args, **kwargs)
        z = args[0] if args else kwargs["input"]
        output = self.visit(z)
        if func in RELU_IN_PLACE or kwargs.get("inplace", False) or args[1:] == (True,):
            return overwrite(z, output)
        return output


def empty_patterns(
    num_rows: int, num_units: Iterable[int], device: torch.device, kind: torch.dtype = torch.bool
) -> Shaped[Tensor, "rows padded"]:
    """Return patterns of zeros, one bit or symbol a unit, padded with zeros to whole words of eight.

    The padding lets `hamming_distance` count eight units at a time.
    """
    padded = -(-sum(num_units) // 8) * 8
    return torch.zeros((num_rows, padded), dtype=kind, device=device)


def unit_columns(num_units: Iterable[int]) -> list[slice]:
    """Return the columns of each ReLU's units in a pattern."""
    columns, start = [], 0
    for count in num_units:
        columns.append(slice(start, start + count))
        start += count
    return columns
