"""What a layout of stored weights is: which tensors it takes, and what is used in their place."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor

from spaceprobe.weights.config import Configs
from spaceprobe.weights.files import MAX_BYTES


@dataclass(frozen=True)
class Piece:
    """A tensor as the network uses it, or the product of two.

    Attributes:
        factors: the tensor itself, or the two matrices that it is the product of.
        kind: see `NamedMatrix`; empty where the tensor's sides say it.
        note: what a reader should know of it.
    """

    factors: tuple[Tensor] | tuple[Tensor, Tensor]
    kind: str = ""
    note: str = ""

    @property
    def tensor(self) -> Tensor:
        """The tensor itself; of a product its left factor, for sizes in memory only."""
        return self.factors[0]

    def derive(self, tensor: Tensor, note: str, kind: str = "") -> "Piece":
        """Return a piece made of this one: its note comes first."""
        return Piece((tensor,), kind or self.kind, "; ".join(filter(None, [self.note, note])))


Pieces = Mapping[str, Piece]
"""Pieces by name, in the file's order."""


@dataclass(frozen=True)
class Change:
    """What becomes of some tensors.

    Attributes:
        takes: names that are not shown any more, unless they are given again.
        gives: what stands in place of the first of them.
        reason: why those that are taken are left out; empty where they are joined.
    """

    takes: Sequence[str]
    gives: Pieces = field(default_factory=dict)
    reason: str = ""


class HintError(ValueError):
    """What is given beside the tensors does not fit them: heads, or patterns of kernels."""


@dataclass(frozen=True)
class Hints:
    """What is known beside the tensors.

    Attributes:
        heads: of attention, the same in each block; None if nobody says.
        transposed: patterns of the names of kernels that are stored inputs first.
        groups: the number of groups of convolutions by the pattern of their names.
        configs: the JSON files beside the weights.
        knows_kernels: whether these patterns say all of kernels, as where the network is there itself: one
            that fits none is not transposed and has no groups.
    """

    heads: int | None = None
    transposed: Sequence[str] = ()
    groups: Mapping[str, int] = field(default_factory=dict)
    configs: Configs = field(default_factory=Configs)
    knows_kernels: bool = False

    def is_transposed(self, name: str) -> bool:
        """Return whether a pattern says that a kernel is stored inputs first."""
        return any(fnmatchcase(name, pattern) for pattern in self.transposed)

    def groups_of(self, name: str) -> int | None:
        """Return the number of groups by the first pattern that fits; None for none."""
        return next((number for key, number in self.groups.items() if fnmatchcase(name, key)), None)


@dataclass(frozen=True)
class Layout:
    """A way to store weights that are used in another form.

    Attributes:
        name: what a message calls it.
        find: yields what becomes of the tensors that are stored so. Pieces change while it runs, by what it
            has yielded: it goes over a copy of their names.
    """

    name: str
    find: Callable[[Pieces, Hints], Iterator[Change]]


def check_room(shape: Sequence[int]) -> None:
    """Refuse a matrix that would be larger than a file may be, before it is made.

    Raises:
        ValueError: it would.
    """
    if 4 * math.prod(shape) > MAX_BYTES:
        sides = " × ".join(map(str, shape))
        raise ValueError(
            f"a matrix of {sides} unfolds to more than {MAX_BYTES} bytes; give a file with fewer weights, "
            "such as one shard of it"
        )
