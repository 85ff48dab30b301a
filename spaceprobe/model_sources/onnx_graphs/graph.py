"""What is read of an ONNX file: nodes in order, constants, one input and one output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spaceprobe.weights.quoting import quote


@dataclass(frozen=True)
class Node:
    """One operator of a graph.

    Attributes:
        operator: its name, such as ``Conv``.
        name: the node's own; empty for none.
        inputs: names of the values that it takes; empty for one that is left out.
        outputs: names of the values that it makes.
        attributes: by name: numbers, texts, lists of these, or tensors.
        scope: the module that it came from, as the exporter noted it; empty for none.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: str = ""

    def __str__(self) -> str:
        """Return what messages call it."""
        return f"node {quote(self.name or (self.outputs[0] if self.outputs else ''))} ({self.operator})"


@dataclass(frozen=True)
class Graph:
    """A network as an ONNX file has it.

    Attributes:
        nodes: those that its output depends on, each behind those that it depends on.
        constants: by the name of the value.
        opset: version of the operators' meaning.
        input: name of the value that is the network's input.
        input_shape: of the input, with the batch first; None for a size that the file leaves open.
        output: name of the value that is its output.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    opset: int
    input: str
    input_shape: tuple[int | None, ...]
    output: str
