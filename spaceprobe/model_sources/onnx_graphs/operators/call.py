"""A node whose constants are known, as an operator reads it, and what an operator makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from spaceprobe.model_sources.onnx_graphs.graph import Node
from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal

Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Made:
    """What a node is in torch.

    Attributes:
        run: from the values of its inputs, and then the weights, to that of its output; of torch's functions.
        inputs: names of the values that it takes.
        layer: computes the same of the inputs, and holds the weights; None where there are none.
        weights: of the layer.
        sources: names of the constants that weight and bias came from; empty for none.
        reads: which of the inputs are read as numbers that say a shape or a place.
    """

    run: Run
    inputs: tuple[str, ...]
    layer: nn.Module | None = None
    weights: tuple[Tensor, ...] = ()
    sources: tuple[str, str] = ("", "")
    reads: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Call:
    """A node, with the constants that are known where it stands.

    Attributes:
        node: itself.
        opset: version of the operators' meaning.
        constants: by the name of the value.
        batch: the number of inputs that the file was made for; None where it is left open.
    """

    node: Node
    opset: int
    constants: Mapping[str, Tensor]
    batch: int | None = None

    def refuse(self, reason: str) -> OnnxRefusal:
        """Return the error for this node."""
        return OnnxRefusal(f"{self.node} {reason}")

    def name(self, place: int) -> str:
        """Return the name of an input; empty where it is left out."""
        return self.node.inputs[place] if place < len(self.node.inputs) else ""

    def has(self, place: int) -> bool:
        """Return whether an input is given."""
        return bool(self.name(place))

    def constant(self, place: int) -> Tensor | None:
        """Return an input that is constant; None where it is left out or depends on the network's input."""
        return self.constants.get(self.name(place)) if self.has(place) else None

    def needed(self, place: int, what: str) -> Tensor:
        """Return an input that has to be constant.

        Raises:
            OnnxRefusal: it is not.
        """
        found = self.constant(place)
        if found is None:
            raise self.refuse(f"has {what} that depend on the input of the network, which is not supported")
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.node.attributes.get(name, default)

    def whole_numbers(self, attribute: str, place: int | None = None) -> list[int] | None:
        """Return whole numbers of an attribute, or, in a later opset, of a constant input; None for none.

        Raises:
            OnnxRefusal: the input is not constant, or not of whole numbers.
        """
        if attribute and attribute in self.node.attributes:
            value = self.node.attributes[attribute]
            return [value] if isinstance(value, int) else [*value]
        if place is None or not self.has(place):
            return None
        found = self.needed(place, f"{attribute or 'sizes'}")
        if found.is_floating_point() or found.ndim > 1:
            raise self.refuse(f"takes {self.name(place)!r} as whole numbers in a row, and it holds others")
        return [int(value) for value in found.flatten().tolist()]

    def number(self, attribute: str, place: int | None = None) -> float | None:
        """Return the number of an attribute, or of a constant input that holds a single one; None for none.

        Raises:
            OnnxRefusal: the input is not constant, or holds several.
        """
        if attribute in self.node.attributes:
            return float(self.node.attributes[attribute])
        if place is None or not self.has(place):
            return None
        found = self.needed(place, f"a {attribute or 'number'}")
        if found.numel() != 1:
            raise self.refuse(f"takes {self.name(place)!r} as one number, and it holds {found.numel()}")
        return float(found)

    def made(self, run: Run, *places: int, reads: Sequence[int] = ()) -> Made:
        """Return what the node is, given a function of some of its inputs; of the first one by default."""
        return Made(run, tuple(self.name(place) for place in places or (0,)), reads=frozenset(reads))


Operator = Callable[[Call], Made | Tensor | list[tuple[Made, str]]]
"""From a node to what it is in torch: a step, a constant, or several steps with the values that they make."""
