"""Build the network that a source names, with random weights drawn from a seed, or given ones."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spaceprobe.folding.guards import check_modules
from spaceprobe.machine.module_forms import why_no_weights, why_not_as_written
from spaceprobe.model_sources.given_weights import load_given
from spaceprobe.model_sources.source import ModelSource, ModelSourceError
from spaceprobe.networks.entry import NetworkOptions
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.models import NETWORKS
from spaceprobe.user_code import call_function

NUM_OUTPUTS = 10
"""Chosen: the outputs of an entry of `NETWORKS` where nothing says how many."""

INITIALIZED = ("googlenet", "inception_v3")
"""Constructors of torchvision that warn unless they are told whether to draw the weights."""


def build(
    source: ModelSource,
    weights: Path | None = None,
    *,
    seed: int = 0,
    input_shape: Sequence[int] | None = None,
    num_outputs: int | None = None,
    options: NetworkOptions | None = None,
    key: str | None = None,
    setting: str = "--model",
) -> nn.Module:
    """Return the network that a source names, in evaluation mode. Nothing is downloaded.

    An MLP by widths and an entry of `NETWORKS` take rows, of shape ``(points, features)``; what shape another
    network takes only its author knows (`spaceprobe.model_sources.inputs.fit_inputs`). It is in float32, or
    in float64 where the given weights are.

    Args:
        source: what names it.
        weights: a file of its weights, or a folder or index of several; None for random ones, or for those of
            an ONNX file.
        seed: of the random weights; the random numbers of torch, numpy and Python are as before afterwards.
        input_shape: of one input; needed by an entry of `NETWORKS`.
        num_outputs: of an entry of `NETWORKS` or of a library's constructor; None for `NUM_OUTPUTS`, and for
            the constructor's own number.
        options: the settings of an entry of `NETWORKS`.
        key: of the state dict of several in the file of weights.
        setting: what names the source, to begin a message with.

    Raises:
        ModelSourceError: the library is missing or has no such network, or it or the user's function fails,
            or returns something else; or an ONNX file holds what is not supported; or the weights do not fit.
        UserCodeError: see `spaceprobe.user_code.call_function`.
        SpaceprobeError: the file of weights cannot be read.
    """
    where = f"{setting} {source}"
    try:
        with seeded(seed):
            network = _construct(source, where, seed, input_shape, num_outputs, options)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        raise ModelSourceError(
            f"{where}: its weights do not fit into the memory of this machine; name a smaller network, or "
            "fewer outputs"
        ) from error
    if source.kind == "function":
        try:
            check_modules(network, lambda module: why_not_as_written(module) or why_no_weights(module))
        except ValueError as error:
            raise ModelSourceError(f"{where} returned a network whose {error}") from error
    network.eval()
    if weights is not None:
        network = load_given(network, weights, where, key)
    return network


def _construct(
    source: ModelSource,
    where: str,
    seed: int,
    input_shape: Sequence[int] | None,
    num_outputs: int | None,
    options: NetworkOptions | None,
) -> nn.Module:
    generator = torch.Generator().manual_seed(2 * seed)  # the stream of weights of a run with this seed
    if source.kind == "widths":
        if input_shape is not None and math.prod(input_shape) != source.widths[0]:
            raise ModelSourceError(
                f"{where}: has {source.widths[0]} inputs, and one of the data has {math.prod(input_shape)}; "
                "change the first width"
            )
        return mlp(source.widths, generator)
    if source.kind == "network":
        if input_shape is None or options is None:
            raise ValueError(f"{where}: input_shape and options are needed")
        entry = NETWORKS[source.text]
        try:
            entry.check(options, input_shape)
        except ValueError as error:
            raise ModelSourceError(f"{where}: {error}") from error
        return entry.build(options, input_shape, num_outputs or NUM_OUTPUTS, generator)
    if source.kind == "onnx":
        from spaceprobe.model_sources.onnx_graphs.loading import load_onnx

        return load_onnx(source.path, where)
    if source.kind == "function":
        returned = call_function(source.function, where)
        if not isinstance(returned, nn.Module):
            raise ModelSourceError(
                f"{where} returned {type(returned).__name__}: expected a torch.nn.Module; return one"
            )
        return returned
    constructors = {"torchvision": _torchvision, "timm": _timm}
    given = {} if num_outputs is None else {"num_classes": num_outputs}
    try:
        return constructors[source.kind](source.name, where)(**given)
    except (ModelSourceError, MemoryError):
        raise
    except Exception as error:  # of the library: whatever it does not support
        reason = str(error).partition("\n")[0]
        raise ModelSourceError(f"{where} cannot be built: {type(error).__name__}: {reason}") from error


def _torchvision(name: str, where: str) -> Callable[..., nn.Module]:
    """Return a constructor of torchvision's networks of classes, which downloads nothing."""
    from torchvision import models

    names = models.list_models(module=models)  # no others: detectors download weights of their own
    if name not in names:
        raise ModelSourceError(_unknown(where, f"torchvision {_version('torchvision')}", name, names))
    more: dict[str, Any] = {"init_weights": True} if name in INITIALIZED else {}
    return lambda **given: models.get_model(name, weights=None, **more, **given)


def _timm(name: str, where: str) -> Callable[..., nn.Module]:
    """Return a constructor of timm, which downloads nothing."""
    try:
        import timm
    except ImportError as error:
        raise ModelSourceError(
            f"{where}: timm is not installed; install it with: pip install 'spaceprobe[timm]'"
        ) from error
    plain = name.partition(".")[0]
    if not timm.is_model(plain):
        raise ModelSourceError(_unknown(where, f"timm {_version('timm')}", plain, timm.list_models()))
    return lambda **given: timm.create_model(name, pretrained=False, **given)


def _unknown(where: str, library: str, name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {len(names)} others"
    return f"{where}: {library} has no network of that name for classes; {hint}"


def _version(library: str) -> str:
    from importlib.metadata import version

    return version(library)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the random numbers of torch, numpy and Python; they are as before afterwards."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
