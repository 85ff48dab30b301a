"""What a torch module runs when it is called, and copies of it."""

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.prune import BasePruningMethod

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


def cpu_copy_without_hooks(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return a copy on the CPU without hooks on its passes, and the modules that had some.

    Nothing is copied on a GPU, whose memory a training may need. Hooks of torch itself stay, which compute
    weights: those of pruning, spectral and weight norms. A module's name is that of `named_modules`, its
    class where it has none.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if type(value) in (Tensor, nn.Parameter) and not value.is_meta:
                tensor = value.detach().to("cpu", copy=True)
                is_parameter = type(value) is nn.Parameter
                memo[id(value)] = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
    names = []
    for name, part in module.named_modules():
        has_others = False
        for kind in _HOOKS:
            hooks = getattr(part, kind)
            kept = OrderedDict((key, hook) for key, hook in hooks.items() if _computes_weights(hook))
            has_others = has_others or len(kept) < len(hooks)
            memo[id(hooks)] = kept
        if has_others:
            names.append(name or type(part).__name__)
    return copy.deepcopy(module, memo), names


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _computes_weights(hook: object) -> bool:
    home = getattr(hook, "__module__", None) or type(hook).__module__
    return isinstance(hook, BasePruningMethod) or home.startswith("torch.nn.utils.")
