"""What the layers of a network from an ONNX file are called: as in the network that was exported."""

import re
from ast import literal_eval
from collections.abc import Container, Mapping

from torch import nn

SCOPES = "pkg.torch.onnx.name_scopes"
"""Under which torch's exporter notes the modules that a node came from, the outermost first."""

MAX_PARTS = 32
MAX_LENGTH = 200
"""Chosen: of the name of a module."""


def scope_of(name: str, notes: Mapping[str, str]) -> str:
    """Return the module that a node came from, such as ``blocks.0.convolution``; empty where nothing says so.

    torch's exporter notes it, or, its older form, names nodes ``/blocks/blocks.0/convolution/Conv``.

    >>> scope_of("/blocks/blocks.0/convolution/Conv", {})
    'blocks.0.convolution'

    Args:
        name: of the node.
        notes: what the exporter noted of it.
    """
    if SCOPES in notes:
        try:
            scopes = literal_eval(notes[SCOPES][:10_000])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return ""
        is_list = isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)
        return str(scopes[-2]) if is_list and len(scopes) > 1 else ""
    parts = name.split("/")
    if len(parts) < 3 or parts[0]:
        return ""
    scope: list[str] = []
    for part in parts[1:-1]:
        if scope and part.startswith(f"{scope[-1]}."):
            scope[-1] = part
        else:
            scope.append(part)
    return ".".join(scope)


def layer_name(weight: str, bias: str, scope: str, taken: Container[str] = ()) -> str:
    """Return the name of a layer: by its weight, or else by where it came from, or else by its bias.

    >>> layer_name("blocks.0.weight", "", ""), layer_name("val_20", "embed.bias", ""), layer_name("W", "", "")
    ('blocks.0', 'embed', 'W')

    Args:
        weight: the name of its weight.
        bias: that of its bias; empty for none.
        scope: the module that it came from; empty where that is not known.
        taken: names that others have: exporters store equal weights once.
    """
    of_weight, of_bias = (
        name.removesuffix(ending) if name.endswith(ending) else ""
        for name, ending in ((weight, ".weight"), (bias, ".bias"))
    )
    names = [name for name in (of_weight, scope, of_bias, weight) if name]
    return next((name for name in names if name not in taken), names[0])


def parts_of(name: str) -> list[str]:
    """Return the names of the modules within each other that a name stands for; of a strange one fewer.

    >>> parts_of("blocks.0.first"), parts_of("onnx::Conv_81")
    (['blocks', '0', 'first'], ['onnx_Conv_81'])
    """
    is_of_torch = re.fullmatch(r"[\w.]+", name, re.ASCII) is not None  # else dots are no modules
    parts = [
        re.sub(r"\W+", "_", part, flags=re.ASCII) for part in (name.split(".") if is_of_torch else [name])
    ]
    parts = [part for part in parts if part]
    if not parts or len(parts) > MAX_PARTS or len(name) > MAX_LENGTH:
        return ["value"]
    return parts


def put(root: nn.Module, name: str, part: nn.Module | nn.Parameter) -> tuple[nn.Module, str]:
    """Put a module or a parameter into another under a name, or the next that is free.

    Returns:
        What it was put into, and under which name there.
    """
    *outer, last = parts_of(name)
    inside = root
    for place in outer:
        child = inside._modules.get(place)
        if child is None:
            place = free_name(inside, place)
            child = nn.Module()
            inside.add_module(place, child)
        inside = child
    last = free_name(inside, last)
    if isinstance(part, nn.Module):
        inside.add_module(last, part)
    else:
        inside.register_parameter(last, part)
    return inside, last


def free_name(inside: nn.Module, name: str) -> str:
    """Return a name that nothing in a module has, by a number behind it where it is taken."""
    number, free = 1, name
    while hasattr(inside, free):
        number += 1
        free = f"{name}_{number}"
    return free
