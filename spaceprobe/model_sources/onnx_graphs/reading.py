"""Read an ONNX file: its sizes first, then its graph, whose nodes and constants are checked; nothing runs."""

from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from spaceprobe.model_sources.onnx_graphs.graph import Graph, Node
from spaceprobe.model_sources.onnx_graphs.names import scope_of
from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal
from spaceprobe.model_sources.onnx_graphs.tensors import MAX_ELEMENTS, read_tensor, tensor_name
from spaceprobe.model_sources.onnx_graphs.wire import TRUNCATED, check_counts
from spaceprobe.reading import open_regular
from spaceprobe.weights.quoting import quote, quote_if_needed

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

MAX_BYTES = 2**31 - 1
"""The most that protobuf, the format of such files, can hold."""

MIN_OPSET = 7
"""Operators of before broadcast in another way, and say so with attributes of their own."""

INPUT_TYPES = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
OWN_DOMAINS = ("", "ai.onnx")


def read_graph(path: Path, operators: Iterable[str]) -> Graph:
    """Return the graph of an ONNX file.

    Args:
        path: of the file.
        operators: names of the operators that are allowed.

    Raises:
        OnnxRefusal: the file cannot be read, is too large or damaged, or holds something else.
        ImportError: onnx is not installed.
    """
    model = _parse(_read(path))
    graph = model.graph
    opset = _opset(model)
    constants = _constants(graph)
    network_input = _only_input(graph, constants)
    outputs = [value.name for value in graph.output]
    if len(outputs) != 1:
        names = ", ".join(map(quote, outputs[:5])) or "none"
        raise OnnxRefusal(f"has {len(outputs)} outputs ({names}): expected one; export the network with one")
    proto_nodes = _in_order(graph, {*constants, network_input.name}, outputs[0])
    allowed = {*operators}
    nodes = tuple(_node(node, opset, allowed) for node in proto_nodes)
    shape = _input_shape(network_input)
    return Graph(nodes, constants, opset, network_input.name, shape, outputs[0])


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise OnnxRefusal(f"has {size:,} bytes, at most {MAX_BYTES:,} are read")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OnnxRefusal(
            f"cannot be read ({error.strerror or type(error).__name__}); give a file that torch.onnx.export "
            "wrote"
        ) from error


def _parse(data: bytes) -> "ModelProto":
    check_counts(data)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise OnnxRefusal(TRUNCATED) from error
    if model.functions:
        raise OnnxRefusal(
            "defines operators of its own, which are not supported; export it without functions"
        )
    if model.graph.sparse_initializer:
        raise OnnxRefusal("holds sparse constants, which are not supported; export it with dense ones")
    return model


def _opset(model: "ModelProto") -> int:
    from onnx.defs import onnx_opset_version

    versions = [entry.version for entry in model.opset_import if entry.domain in OWN_DOMAINS]
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= onnx_opset_version():
        has = ", ".join(map(str, versions[:5])) or "none"
        raise OnnxRefusal(
            f"is of opset {has}: expected one of {MIN_OPSET} to {onnx_opset_version()}; export it with "
            "opset_version=20"
        )
    return int(versions[0])


def _constants(graph: "GraphProto") -> dict[str, Tensor]:
    constants: dict[str, Tensor] = {}
    num_elements = 0
    for tensor in graph.initializer:
        what = tensor_name(tensor.name)
        if not tensor.name or tensor.name in constants:
            raise OnnxRefusal(f"{what} stands there twice, or has no name; export it again")
        constants[tensor.name] = read_tensor(tensor, what)
        num_elements += constants[tensor.name].numel()
        if num_elements > MAX_ELEMENTS:
            raise OnnxRefusal(f"holds more than {MAX_ELEMENTS:,} numbers, the most that are read")
    return constants


def _only_input(graph: "GraphProto", constants: Mapping[str, Tensor]) -> "ValueInfoProto":
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(quote(value.name) for value in inputs[:5]) or "none"
        raise OnnxRefusal(
            f"has {len(inputs)} inputs ({names}): expected one, between whose points paths run; export the "
            "network with one"
        )
    only: ValueInfoProto = inputs[0]
    return only


def _input_shape(value: "ValueInfoProto") -> tuple[int | None, ...]:
    from onnx import TensorProto

    what = f"its input {quote(value.name)}"
    if value.type.WhichOneof("value") != "tensor_type":
        raise OnnxRefusal(f"{what} is not a tensor")
    kind = value.type.tensor_type
    number = kind.elem_type
    named = TensorProto.DataType.Name(number) if number in TensorProto.DataType.values() else "unknown"
    if named not in INPUT_TYPES:
        raise OnnxRefusal(
            f"{what} takes {named} numbers: expected {', '.join(INPUT_TYPES)}, between which paths run"
        )
    if not kind.HasField("shape") or len(kind.shape.dim) < 2:
        raise OnnxRefusal(f"{what} has no batch dimension: expected a shape of two or more, the batch first")
    sizes = [side.dim_value if side.WhichOneof("value") == "dim_value" else None for side in kind.shape.dim]
    if any(size is not None and size < 1 for size in sizes):
        raise OnnxRefusal(f"{what} has the shape {sizes}: expected sizes from 1")
    return tuple(sizes)


def _in_order(graph: "GraphProto", given: set[str], output: str) -> list["NodeProto"]:
    """Return the nodes that an output depends on, each behind those that it depends on."""
    maker: dict[str, int] = {}
    for number, node in enumerate(graph.node):
        for name in node.output:
            if name and (name in maker or name in given):
                raise OnnxRefusal(f"{_label(node)} makes {quote(name)}, which another one makes as well")
            maker[name] = number
    maker.pop("", None)
    if output not in maker:
        raise OnnxRefusal(f"no node makes its output {quote(output)}; export it again")
    needed: set[int] = set()
    waiting = [maker[output]]
    order: TopologicalSorter[int] = TopologicalSorter()
    is_in_order = True
    while waiting:
        number = waiting.pop()
        if number in needed:
            continue
        needed.add(number)
        node = graph.node[number]
        for name in filter(None, node.input):
            if name not in maker and name not in given:
                raise OnnxRefusal(f"{_label(node)} takes {quote(name)}, which nothing makes; export it again")
        before = [maker[name] for name in node.input if name in maker]
        is_in_order = is_in_order and all(other < number for other in before)
        order.add(number, *before)
        waiting += before
    try:
        numbers = sorted(needed) if is_in_order else [*order.static_order()]
    except CycleError as error:
        raise OnnxRefusal(f"{_label(graph.node[error.args[1][0]])} depends on its own output") from error
    return [graph.node[number] for number in numbers]


def _label(node: "NodeProto") -> str:
    name = node.name or (node.output[0] if node.output else "")
    return f"node {quote(name)} ({quote_if_needed(node.op_type)})"


def _node(node: "NodeProto", opset: int, allowed: set[str]) -> Node:
    """Return a node whose operator is known and has what it needs.

    Raises:
        OnnxRefusal: it is not, or has not.
    """
    from onnx.defs import get_schema

    label = _label(node)
    if node.domain not in OWN_DOMAINS:
        raise OnnxRefusal(
            f"{label} is an operator of {quote(node.domain)}, which is not supported; export it with "
            "operators of ONNX itself"
        )
    if node.op_type not in allowed:
        raise OnnxRefusal(f"{label} is an operator that is not supported{_hint(node.op_type)}")
    try:
        schema: Any = get_schema(node.op_type, opset, "")
    except Exception as error:  # onnx's own, for an operator that this opset does not have
        raise OnnxRefusal(f"{label} is not in opset {opset}; export it again") from error
    for what, number, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= number <= most:
            raise OnnxRefusal(f"{label} has {number} {what}: expected {_range(least, most)}")
    attributes = {item.name: item for item in node.attribute}
    for name, item in attributes.items():
        if name not in schema.attributes or item.ref_attr_name:
            raise OnnxRefusal(f"{label} has an attribute {quote(name)}, which the operator does not take")
        expected = schema.attributes[name].type
        if int(item.type) != int(expected.value):
            kinds = type(item).AttributeType
            has = kinds.Name(item.type) if item.type in kinds.values() else "unknown"
            raise OnnxRefusal(f"{label}: its attribute {name} is {has}, expected {expected.name}")
    for name, described in schema.attributes.items():
        if described.required and name not in attributes:
            raise OnnxRefusal(f"{label} lacks its attribute {name}")
    return Node(
        operator=node.op_type,
        name=node.name,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={name: _value(item, label) for name, item in attributes.items()},
        scope=scope_of(node.name, {entry.key: entry.value for entry in node.metadata_props}),
    )


def _range(least: int, most: int) -> str:
    if least == most:
        return str(least)
    return f"{least} to {most}" if most < MAX_BYTES else f"{least} or more"


def _hint(operator: str) -> str:
    if operator == "Erf":
        return "; a GELU is one operator from opset 20 on: export with opset_version=20"
    return "; docs/models.md lists those that are"


def _value(item: "AttributeProto", label: str) -> Any:
    from onnx import AttributeProto

    kinds: Any = AttributeProto.AttributeType
    if item.type == AttributeProto.TENSOR:
        return read_tensor(item.t, f"{label}: its attribute {item.name}")
    if item.type == AttributeProto.STRING:
        return item.s.decode("utf-8", "replace")
    simple: dict[int, Callable[[], Any]] = {
        AttributeProto.INT: lambda: int(item.i),
        AttributeProto.FLOAT: lambda: float(item.f),
        AttributeProto.INTS: lambda: [*item.ints],
        AttributeProto.FLOATS: lambda: [*item.floats],
    }
    if item.type not in simple:
        raise OnnxRefusal(f"{label}: its attribute {item.name} is {kinds.Name(item.type)}, which is not read")
    return simple[item.type]()
