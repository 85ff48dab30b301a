"""Forms in which torch keeps a module that are not the module as it was written, and the way out of each."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

COMPILED = "OptimizedModule"
"""The class that `torch.compile` wraps around a module. By its name: importing it takes a second."""


def original_of(module: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` was given; the module itself where it is not compiled."""
    original = getattr(module, "_orig_mod", None)
    return original if type(module).__name__ == COMPILED and isinstance(original, nn.Module) else module


def why_no_weights(module: nn.Module) -> str | None:
    """Return why the weights of a module itself are not numbers, and the way out; None where they are.

    Modules inside of it are not looked at.
    """
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        return "has no weights before its first pass: call network(images) once"
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    if any(tensor.is_meta for tensor in own):
        return (
            "is on the meta device, where weights have no numbers: call network.to_empty(device='cpu') and "
            "load them, or build the network on the CPU"
        )
    if is_quantized(module):
        return (
            "is quantized, so its weights and what it computes are integers: pass the network in floating "
            "point that it was made from"
        )
    if any(tensor.is_complex() for tensor in own):
        return "has complex weights: expected real numbers"
    return None


def why_not_as_written(module: nn.Module) -> str | None:
    """Return why the functions that a module itself calls cannot be seen, and the way out; None if they can.

    Modules inside of it are not looked at.
    """
    if original_of(module) is not module:
        return "is compiled by torch.compile, which hides its functions: pass the original, ._orig_mod"
    if isinstance(module, torch.jit.ScriptModule):
        return "is TorchScript, which hides its functions: pass the module that it was made from"
    if type(module).__module__.startswith("torch.ao.quantization"):
        return "prepares a quantization: pass the network as it was before"
    if isinstance(module, nn.parallel.DistributedDataParallel) or (
        isinstance(module, nn.DataParallel) and module.device_ids
    ):
        return "distributes inputs over devices: pass the network inside, .module"
    if isinstance(module, torch.fx.GraphModule) and any(
        isinstance(node.target, torch._ops.OpOverload) for node in module.graph.nodes
    ):
        return (
            "is a program of torch.export, which calls other functions than its module: pass the module that "
            "was exported"
        )
    return None


def is_quantized(module: nn.Module) -> bool:
    """Return whether a module is one of torch's that compute with integers."""
    library, *rooms = type(module).__module__.split(".")
    return library == "torch" and "quantized" in rooms
