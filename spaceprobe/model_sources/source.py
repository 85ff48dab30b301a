"""What names a network, such as ``784-30-30-10`` or ``torchvision:resnet18``: parsed, and nothing is run."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spaceprobe.errors import SettingsError
from spaceprobe.networks.models import NETWORKS
from spaceprobe.user_sources import UserFunction, parse_function
from spaceprobe.weights.quoting import quote, quote_if_needed

Kind = Literal["widths", "network", "torchvision", "timm", "onnx", "function"]
"""Where a network comes from: an MLP by its widths, an entry of `NETWORKS`, a constructor of one of two
libraries, an ONNX file, or a function of the user's."""

LIBRARIES: tuple[Kind, ...] = ("torchvision", "timm")

MAX_DEPTH = 1_000
"""Chosen: the most widths of an MLP."""

MAX_PARAMETERS = 2**29
"""Chosen: the most weights of an MLP that is named by its widths, 4 GB in float64."""

_WAYS = (
    "write widths such as 784-30-30-10, one of "
    f"{', '.join(NETWORKS)}, torchvision:NAME, timm:NAME, an .onnx file, or package.module:function of yours"
)
_LIBRARY_NAME = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)?", re.ASCII)


class ModelSourceError(SettingsError):
    """What names a network is not one of the ways to, or does not give one."""


@dataclass(frozen=True)
class ModelSource:
    """What names a network.

    Attributes:
        kind: where it comes from.
        text: how it is named, as written.
    """

    kind: Kind
    text: str

    def __str__(self) -> str:
        """Return how it is named."""
        return self.text

    @property
    def name(self) -> str:
        """The name without that of the library, such as ``resnet18``."""
        return self.text.partition(":")[2] if self.kind in LIBRARIES else self.text

    @property
    def widths(self) -> list[int]:
        """Of an MLP: inputs, units of each hidden layer, outputs."""
        return [int(word) for word in self.text.split("-")]

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return Path(self.text)

    @property
    def function(self) -> UserFunction:
        """The user's function."""
        return parse_function(self.text)


def parse_model(text: str) -> ModelSource:
    """Return what a text names, in this order: widths, our networks, libraries, ONNX files, own functions.

    Nothing is imported or run, and no file is opened.

    >>> parse_model("784-30-30-10").kind, parse_model("cnn").kind, parse_model("nets:build").kind
    ('widths', 'network', 'function')

    Raises:
        ModelSourceError: it names a file or a place on the network, from which no network is taken, or it is
            not one of the ways to name a network.
    """
    text = text.strip()
    for is_so, reason in _REFUSED:
        if is_so(text):
            raise ModelSourceError(f"{quote_if_needed(text)}: {reason}")
    if re.fullmatch(r"[0-9]+(-[0-9]+)*", text, re.ASCII):
        return _by_widths(text)
    if text in NETWORKS:
        return ModelSource("network", text)
    library, _, name = text.partition(":")
    for kind in LIBRARIES:
        if library == kind:
            if not _LIBRARY_NAME.fullmatch(name):
                raise ModelSourceError(f"{quote_if_needed(text)}: write {kind}:NAME, such as {kind}:resnet18")
            return ModelSource(kind, text)
    if text.lower().endswith(".onnx"):
        if not text.isprintable():
            raise ModelSourceError(f"{quote(text)}: expected the name of a file without control characters")
        return ModelSource("onnx", text)
    try:
        parse_function(text)
    except ValueError as error:
        raise ModelSourceError(f"{quote(text)} is not a network; {_WAYS}") from error
    return ModelSource("function", text)


def _by_widths(text: str) -> ModelSource:
    words = text.split("-")
    if len(words) < 2:
        raise ModelSourceError(f"{text}: expected inputs, hidden units and outputs, such as 784-30-30-10")
    if len(words) > MAX_DEPTH or max(map(len, words)) > 9 or min(map(int, words)) < 1:
        raise ModelSourceError(
            f"{quote_if_needed(text)}: expected at most {MAX_DEPTH} widths, each a number from 1"
        )
    source = ModelSource("widths", text)
    widths = source.widths
    num_weights = sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(widths))
    if num_weights > MAX_PARAMETERS:
        raise ModelSourceError(f"{text}: has {num_weights:,} weights, at most {MAX_PARAMETERS:,} are built")
    return source


def _ends(*suffixes: str) -> Callable[[str], bool]:
    return lambda text: text.lower().endswith(suffixes)


def _is_remote(text: str) -> bool:
    head, _, rest = text.partition(":")
    place = rest if head in LIBRARIES else text
    is_hub = re.match(r"(hf[-_]hub|hf|huggingface|hub|local-dir|file|https?|s3|gs|git\+\w+):", place, re.I)
    is_file = place.lower().endswith(".onnx")
    return bool(is_hub) or (not is_file and bool(re.fullmatch(r"[\w.-]+/[\w.-]+", place)))


_REFUSED: tuple[tuple[Callable[[str], bool], str], ...] = (
    (
        _ends(".pt2"),
        "a program of torch.export, whose loading runs pickles and eval; save its state dict with "
        "safetensors and name the architecture, with --weights FILE",
    ),
    (
        _ends(".torchscript", ".ptl", ".ts"),
        "a TorchScript archive, which holds code that loading it runs; save its state dict with "
        "safetensors and name the architecture, with --weights FILE",
    ),
    (
        _ends(".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"),
        "a file does not give a network: a whole pickled module runs code when it is loaded; save its state "
        "dict and give that with --weights FILE, and name the architecture (such as package.module:function)",
    ),
    (
        _ends(".safetensors", ".index.json"),
        "a file of weights does not give a network; name the architecture, and give the file with "
        "--weights FILE",
    ),
    (
        _ends(".py"),
        "a file does not say which function builds the network; write package.module:function, such as "
        "nets:build for build() of nets.py here",
    ),
    (
        _is_remote,
        "networks from elsewhere are not downloaded, and their code is not run; download the weights "
        "yourself (safetensors) and name the architecture, with --weights FILE",
    ),
)
"""What names a file or a place from which no network is taken, and why, with the way out."""
