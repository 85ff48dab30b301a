"""Make a network of the nodes of an ONNX graph: what is constant is computed once, the rest becomes steps."""

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor, nn

from spaceprobe.model_sources.onnx_graphs.graph import Graph, Node
from spaceprobe.model_sources.onnx_graphs.names import free_name, layer_name, put
from spaceprobe.model_sources.onnx_graphs.network import Constant, OnnxNetwork, Operation, Step, tried
from spaceprobe.model_sources.onnx_graphs.operators import OPERATORS
from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made
from spaceprobe.model_sources.onnx_graphs.operators.layers import linear
from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal
from spaceprobe.model_sources.onnx_graphs.sequences import as_sequence

FEW_NUMBERS = 2**22
GROWTH = 4
"""Chosen: numbers that constants may be made into, and how many more for each that the file holds: exporters
turn weights around and join them, a few times."""


def build_network(graph: Graph) -> nn.Module:
    """Return the network of a graph; of an MLP as an `nn.Sequential`, which the fastest walk takes.

    Raises:
        OnnxRefusal: a node does not take what it gets, or makes too much of it.
    """
    made, constants = _made(graph)
    network = _network(graph, _with_biases(made, constants, graph.output), constants)
    if None not in graph.input_shape[1:]:
        try:
            network.try_sizes([size for size in graph.input_shape[1:] if size is not None])
        except ValueError as error:
            raise OnnxRefusal(str(error)) from error
    return as_sequence(network) or network


def _made(graph: Graph) -> tuple[list[tuple[Node, Made, str]], dict[str, Tensor]]:
    """Return what each node is, with the value that it makes, and all constants."""
    constants = _of_one_type(dict(graph.constants))
    left = FEW_NUMBERS + GROWTH * sum(value.numel() for value in constants.values())
    made: list[tuple[Node, Made, str]] = []
    for node in graph.nodes:
        call = Call(node, graph.opset, constants, graph.input_shape[0])
        of_node = OPERATORS[node.operator](call)
        if isinstance(of_node, Tensor):
            of_node = _of_one_type({"": of_node}, like=constants)[""]
            constants[node.outputs[0]] = of_node
            continue
        for one, output in of_node if isinstance(of_node, list) else [(of_node, node.outputs[0])]:
            if any(name not in constants for name in one.inputs):
                made.append((node, one, output))
                continue
            taken = [constants[name] for name in one.inputs]
            constants[output] = tried(one.run, taken, one.weights, one.reads, str(node), left)
            left -= constants[output].numel()
    asked = {name for _, one, _ in made for name in one.inputs}
    several = {name: node for node in graph.nodes for name in node.outputs[1:]}
    for name in asked & {*several}:
        raise OnnxRefusal(f"{several[name]} is asked for more than its first output, which is not supported")
    if graph.output not in {output for _, _, output in made}:
        raise OnnxRefusal("has an output that does not depend on its input; export the network again")
    return made, constants


def _of_one_type(constants: dict[str, Tensor], like: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return constants whose floats are all float32, or float64 where some are."""
    is_double = any(value.dtype == torch.float64 for value in (constants if like is None else like).values())
    dtype = torch.float64 if is_double else torch.float32
    return {
        name: value.to(dtype) if value.is_floating_point() else value for name, value in constants.items()
    }


def _with_biases(
    made: list[tuple[Node, Made, str]], constants: dict[str, Tensor], output: str
) -> list[tuple[Node, Made, str]]:
    """Return the steps with each product with a matrix and the sum behind it as one linear layer."""
    uses = Counter(name for _, one, _ in made for name in one.inputs)
    uses[output] += 1
    place_of = {value: place for place, (_, _, value) in enumerate(made)}
    joined = dict(enumerate(made))
    for place, (node, one, value) in enumerate(made):
        if node.operator != "Add" or len(one.inputs) != 2:
            continue
        for product, bias in (one.inputs, one.inputs[::-1]):
            before = made[place_of[product]] if product in place_of else None
            if before is None or bias not in constants or uses[product] != 1:
                continue
            of_matrix, (weight, *more) = before[1], before[1].weights or (None,)
            if before[0].operator != "MatMul" or weight is None or more:
                continue
            if constants[bias].shape != weight.shape[:1] or not constants[bias].is_floating_point():
                continue
            sources = (of_matrix.sources[0], bias)
            joined[place] = (
                before[0], linear(of_matrix.inputs[0], weight, constants[bias], sources), value,
            )  # fmt: skip
            del joined[place_of[product]]
            break
    return [*joined.values()]


def _network(graph: Graph, made: list[tuple[Node, Made, str]], constants: dict[str, Tensor]) -> OnnxNetwork:
    """Return the network with its modules in their places."""
    network = OnnxNetwork(graph.input, graph.input_shape[1:], graph.output)
    layers: dict[object, nn.Module] = {}
    # layers first: what they are called decides over the names of all others
    for node, one, _ in made:
        key = _identity(node, one)
        if one.layer is not None and key not in layers:
            put(network, layer_name(*one.sources, node.scope, {*dict(network.named_modules())}), one.layer)
            layers[key] = one.layer
    for node, one, output in made:
        module = layers.get(_identity(node, one))
        if module is None:
            module = Operation(one.run)
            put(network, _operation_name(network, node), module)
        names = tuple(name for name, _ in _own_tensors(module)) if one.layer is not None else ()
        network.steps.append(Step(module, one.run, names, one.inputs, output, one.reads, str(node)))
    _add_constants(network, constants)
    _free_values(network)
    return network


def _identity(node: Node, one: Made) -> object:
    """Return what is the same for two nodes that are one layer."""
    if one.layer is None:
        return None
    attributes = sorted((name, str(value)) for name, value in node.attributes.items())
    return node.operator, one.sources, node.scope, str(attributes)


def _own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the weights of a layer as its function takes them."""
    statistics = [(name, value) for name, value in module.named_buffers(recurse=False) if value.ndim]
    return [*module.named_parameters(recurse=False), *statistics]


def _operation_name(network: nn.Module, node: Node) -> str:
    """Return the name of a node without weights: of the module that it came from, or one of its own."""
    if not node.scope:
        return node.operator.lower()
    try:
        network.get_submodule(node.scope)
    except AttributeError:
        return node.scope
    return f"{node.scope}.{node.operator.lower()}"


def _add_constants(network: OnnxNetwork, constants: dict[str, Tensor]) -> None:
    """Put the constants that steps take into a network: several floats as weights, others beside them."""
    for name in dict.fromkeys(name for step in network.steps for name in step.inputs if name in constants):
        value = constants[name]
        inside: nn.Module = network
        if value.is_floating_point() and value.numel() > 1:
            inside, own = put(network, name, nn.Parameter(value))
        else:
            own = free_name(network, f"constant_{len(network.constants)}")
            network.register_buffer(own, value, persistent=False)
        network.constants.append(Constant(name, inside, own))


def _free_values(network: OnnxNetwork) -> None:
    """Note after which step each value is not taken any more."""
    last: dict[str, int] = {}
    for number, step in enumerate(network.steps):
        last |= dict.fromkeys((*step.inputs, step.output), number)
    last.pop(network.output, None)
    frees: dict[int, list[str]] = {}
    for name, number in last.items():
        frees.setdefault(number, []).append(name)
    network.steps = [
        replace(step, frees=tuple(frees.get(number, ()))) for number, step in enumerate(network.steps)
    ]
