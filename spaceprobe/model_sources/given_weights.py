"""Load weights of a user's file into a network: by name and shape, and no code in the file is run."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from spaceprobe.model_sources.source import ModelSourceError
from spaceprobe.weights.quoting import path_text, quote_if_needed
from spaceprobe.weights.torch_files import Declared
from spaceprobe.weights.whole_models import open_model

MAX_LISTED = 5
"""Chosen: names that a message lists of each kind."""

COUNTER = "num_batches_tracked"
"""The end of a name that older files lack; evaluation does not use it."""


def load_given(network: nn.Module, path: Path, where: str, key: str | None = None) -> nn.Module:
    """Return a network with the weights of a file: the same one, in float64 where weights in the file are.

    Every number is that of the file; float16 and narrower types become float32, which changes none.

    Args:
        network: gives the expected names and shapes; changed only when everything agrees.
        path: as `spaceprobe.weights.whole_models.open_model` takes it, or an ONNX file.
        where: what names the network, to begin a message with.
        key: of the state dict, where the file has several.

    Raises:
        WeightFileError: the file cannot be read, or holds code.
        ChoiceError: it holds several state dicts, or none under the key.
        ModelSourceError: names, shapes or types do not fit, or a number is not finite.
    """
    if path.suffix.lower() == ".pt2":
        raise ModelSourceError(
            f"--weights {path_text(path)}: a program of torch.export, whose loading runs pickles and eval; "
            "save its state dict with safetensors"
        )
    tensors, blocks = _of_onnx(path, key) if path.suffix.lower() == ".onnx" else _of_files(path, key)
    state = network.state_dict(keep_vars=True)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    missing = _missing(state, shapes)
    surplus = [name for name in shapes if name not in state]
    wrong = [
        f"{quote_if_needed(name)} is {_shape(shapes[name])}, expected {_shape(tensor.shape)}"
        for name, tensor in state.items()
        if name in shapes and tuple(shapes[name]) != tuple(tensor.shape)
    ]
    problems = [
        *_listed("does not have", [*map(quote_if_needed, missing)]),
        *_listed("has, and the network does not,", [*map(quote_if_needed, surplus)]),
        *(["; ".join(_cut(wrong))] if wrong else []),
    ]
    if problems:
        raise ModelSourceError(
            f"--weights {path_text(path)} does not fit {where}: {'; '.join(problems)}; "
            + _way_out(missing, surplus)
        )
    if any(tensor.dtype == torch.float64 for tensor in tensors.values()):
        network = network.double()
        state = network.state_dict(keep_vars=True)
    for block in blocks:
        _copy(block, state, path)
    return network


def _of_files(path: Path, key: str | None) -> tuple[Mapping[str, Declared], Iterable[Mapping[str, Tensor]]]:
    """Return what tensors a model has, and then these, a block at a time."""
    model = open_model(path, key=key)
    return model.tensors, (model.read(block) for block in model.blocks)


def _of_onnx(path: Path, key: str | None) -> tuple[Mapping[str, Tensor], Iterable[Mapping[str, Tensor]]]:
    """Return the weights of the network of an ONNX file, twice: as what there is, and as a block."""
    from spaceprobe.model_sources.onnx_graphs.loading import load_onnx

    where = f"--weights {path_text(path)}"
    if key is not None:
        raise ModelSourceError(f"{where}: --key belongs to one file of torch.save; leave it out")
    weights = load_onnx(path, where).state_dict()
    return weights, [weights]


def _copy(weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Copy weights into a network's own tensors."""
    for name, tensor in weights.items():
        own = state[name]
        if own.dtype.is_floating_point != tensor.dtype.is_floating_point or tensor.is_complex():
            raise ModelSourceError(
                f"--weights {path_text(path)}: {quote_if_needed(name)} holds {tensor.dtype} numbers, and the "
                f"network takes {own.dtype}; save it in that type"
            )
        if not torch.isfinite(tensor).all():
            raise ModelSourceError(
                f"--weights {path_text(path)}: {quote_if_needed(name)} holds NaN or infinite numbers, "
                "through which no path can be walked; give finite weights"
            )
    with torch.no_grad():
        for name, tensor in weights.items():
            state[name].copy_(tensor)


def _missing(state: Mapping[str, Tensor], names: Mapping[str, object]) -> list[str]:
    """Return the names that a file lacks; a tied tensor is there under another name."""
    given = {state[name].data_ptr() for name in names if name in state and state[name].numel()}
    return [
        name
        for name, tensor in state.items()
        if name not in names and not name.endswith(COUNTER) and tensor.data_ptr() not in given
    ]


def _listed(verb: str, names: list[str]) -> list[str]:
    return [f"it {verb} {', '.join(_cut(names))}"] if names else []


def _cut(texts: list[str]) -> list[str]:
    return [*texts[:MAX_LISTED], *([f"… ({len(texts)} in all)"] if len(texts) > MAX_LISTED else [])]


def _way_out(missing: list[str], surplus: list[str]) -> str:
    """Return the way out: a prefix to remove where one is all that differs."""
    missing, surplus = sorted(missing), sorted(surplus)
    for longer, shorter, what in ((surplus, missing, "remove"), (missing, surplus, "add")):
        if not (longer and shorter):
            continue
        prefix = longer[0].removesuffix(shorter[0])
        if prefix != longer[0] and longer == [prefix + name for name in shorter]:
            return f"{what} the prefix {quote_if_needed(prefix)} of the names in the file"
    return "give the weights of this architecture, or name theirs"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
