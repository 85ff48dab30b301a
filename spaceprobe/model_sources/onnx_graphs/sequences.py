"""An MLP from an ONNX graph as an `nn.Sequential`, which the fastest of the exact walks takes."""

import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import nn

from spaceprobe.model_sources.onnx_graphs.names import free_name, parts_of
from spaceprobe.model_sources.onnx_graphs.network import OnnxNetwork


def as_sequence(network: OnnxNetwork) -> nn.Sequential | None:
    """Return a network as a sequence where it is linear layers and ReLUs alone, each behind the other.

    Its layers have the names that they have in the network. None for any other network, and where the names
    are those of modules that are not in such an order.
    """
    names = {module: name for name, module in network.named_modules()}
    value, modules = network.input, list[tuple[str, nn.Module]]()
    if len(network.input_shape) != 1:
        return None
    for step in network.steps:
        if step.inputs != (value,):
            return None
        value = step.output
        if type(step.module) is nn.Linear:
            modules.append((names[step.module], step.module))
        elif step.run is F.relu:
            modules.append(("", nn.ReLU()))
        else:
            return None
    if value != network.output or len({module for _, module in modules}) != len(modules):
        return None
    return _nested(modules)


def _nested(modules: list[tuple[str, nn.Module]]) -> nn.Sequential | None:
    """Return sequences within each other, so that each module gets its name; one without a free one."""
    root = inside = nn.Sequential()
    for name, module in modules:
        if not name:
            number = str(len(inside))
            inside.add_module(number if number not in inside._modules else free_name(inside, "relu"), module)
            continue
        inside = root
        *outer, last = parts_of(name)
        for part in outer:
            child = inside._modules.get(part)
            if child is None:
                child = nn.Sequential()
                inside.add_module(part, child)
            elif not isinstance(child, nn.Sequential) or [*inside._modules][-1] != part:
                return None
            inside = child
        if last in inside._modules:
            return None
        inside.add_module(last, module)
    return root
