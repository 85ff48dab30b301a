"""What a torch module runs when it is called, and copies of it."""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

_TORCH = str(Path(torch.__file__).parent / "nn")


def runs_as_written(module: nn.Module) -> bool:
    """Return whether calling a module runs torch's own forward method of its class, and nothing else.

    It does not where a hook listens, on the module or on all, where the forward method of the module or of
    its class was replaced, or where the class is not torch's. Modules inside of it are not looked at.
    """
    if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        return False
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return False
    code = getattr(type(module).forward, "__code__", None)
    return code is not None and code.co_filename.startswith(_TORCH)


def copy_of(module: nn.Module) -> nn.Module:
    """Return a copy of a module; tensors that it keeps from a run with gradients are detached in the copy.

    Such are the weights of pruned layers, and what a module puts aside of its last input.
    """
    kept = {
        id(value): value.detach()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, kept)
