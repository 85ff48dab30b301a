"""The settings of a run's network."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spaceprobe.model_sources import ModelSource, ModelSourceError, parse_model
from spaceprobe.networks.entry import NetworkEntry
from spaceprobe.networks.models import NETWORKS
from spaceprobe.networks.ranks import BY_DIMENSION, parse_ranks
from spaceprobe.stages.stage import AlsoCalled, ChoosesCode, Settings

MAX_WIDTH = 10_000
MAX_DEPTH = 100

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    NetworkName = str
else:  # of the registry, so that a new entry is a choice without a word here
    NetworkName = Literal[tuple(NETWORKS)]

_SOME_NETWORKS = {name for entry in NETWORKS.values() for name in entry.settings}
"""Settings that concern some kinds of networks only."""

_FIRST_OF_NETWORK = {"model", "architecture", "activation"}
"""The settings of networks that are in the key of every training."""

_OF_ANY_MODEL = {"model", "weights"}
"""The settings that concern a network that is not one of our kinds; all others are its own affair."""


def parse_foreign(value: str) -> str:
    """Return the name of a network of a library's or of the user's own.

    Raises:
        ValueError: it is not one.
    """
    try:
        source = parse_model(value)
    except ModelSourceError as error:
        raise ValueError(str(error)) from error
    if source.kind == "widths":
        hidden = "-".join(map(str, source.widths[1:-1])) or "the units of its hidden layers"
        raise ValueError(
            f"{value}: the data say how many inputs and outputs a network has; write model: mlp and "
            f"architecture: {hidden}"
        )
    return str(source)


def as_text(value: object) -> object:
    """Return the text of a whole number: 100 is an architecture of one hidden layer, 0 an epoch to probe."""
    return str(value) if type(value) is int else value


def parse_architecture(value: str) -> str:
    """Return an architecture as written shortest: ``2x30``, also for ``30-30`` and ``2×30``, or ``100-50``.

    Raises:
        ValueError: it is neither, or too deep or wide.
    """
    depth, cross, width = re.sub(r"\s*×\s*", "x", value).partition("x")
    words = [width] * min(int(depth), MAX_DEPTH + 1) if cross and _is_count(depth) else value.split("-")
    if not all(_is_count(word) for word in words):
        raise ValueError("write hidden layers x units, such as 2x30, or each layer's units, such as 100-50")
    widths = [int(word) for word in words]
    if not (1 <= len(widths) <= MAX_DEPTH and min(widths) >= 1 and max(widths) <= MAX_WIDTH):
        raise ValueError(f"hidden layers go from 1 to {MAX_DEPTH} and units from 1 to {MAX_WIDTH}")
    return f"{len(widths)}x{widths[0]}" if len(set(widths)) == 1 else "-".join(map(str, widths))


def _is_count(word: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", word) is not None


ActivationName = Literal[
    "relu", "leaky-relu", "prelu", "rrelu", "relu6", "hardtanh", "hardsigmoid", "softshrink", "hardshrink",
    "threshold", "abs", "sigmoid", "tanh", "gelu", "elu", "celu", "selu", "silu", "mish", "softplus",
    "softsign", "tanhshrink", "log-sigmoid", "hardswish", "polynomial-1", "polynomial-2", "polynomial-3",
    "polynomial-4",
]  # fmt: skip
"""The names in `spaceprobe.networks.activations.ACTIVATIONS`."""


DATA_RANKS = "spaceprobe.stages.train.data_ranks"
"""The module that gives layers ranks from the data: part of the version of the code of such networks."""


class NetworkSettings(Settings):
    """The network, such as an MLP with an activation after each hidden layer and a linear readout."""

    model: Annotated[
        NetworkName | Annotated[str, AfterValidator(parse_foreign)], ChoosesCode((*NETWORKS, "own:network"))
    ] = Field(
        "mlp",
        description="the kind of network, torchvision:NAME, timm:NAME, an .onnx file, or your own "
        "package.module:function, which needs --trust",
    )
    weights: Path | None = Field(
        None,
        strict=False,
        description="a file of weights, which are measured as they are: nothing is trained",
    )
    architecture: Annotated[
        str,
        BeforeValidator(as_text),
        AfterValidator(parse_architecture),
        AlsoCalled(("arch", "layers", "widths", "hidden", "hidden_layers", "hidden_sizes", "hidden_dims")),
    ] = Field(
        "2x30",
        description="hidden layers x units, or the units of each, such as 100-50-25; of cnn and resnet "
        "channels, of transformer the hidden units of feed-forward blocks",
    )
    activation: Annotated[
        ActivationName,
        AlsoCalled(("act", "activations", "nonlinearity", "non_linearity")),
    ] = Field("relu", description="of the hidden layers")
    batch_norm: Annotated[bool, AlsoCalled(("batchnorm", "bn", "batch_normalization"))] = Field(
        False,
        description="whether a BatchNorm stands before the activations; not of transformer, residual-mlp",
    )
    pooling: Annotated[Literal["max", "average"], AlsoCalled(("pool",))] = Field(
        "max", description="of cnn: the 2 × 2 pool behind each convolution"
    )
    patch: Annotated[int, AlsoCalled(("patch_size",))] = Field(
        7, ge=1, le=10_000, description="of transformer: side of the patches, in pixels"
    )
    embedding: Annotated[int, AlsoCalled(("embed_dim", "d_model", "embedding_dim", "hidden_size"))] = Field(
        32, ge=1, le=MAX_WIDTH, description="of transformer: features of a token"
    )
    heads: Annotated[int, AlsoCalled(("num_heads", "n_heads"))] = Field(
        4, ge=1, le=MAX_WIDTH, description="of transformer: heads of its attention"
    )
    ranks: Annotated[str, BeforeValidator(as_text), AfterValidator(parse_ranks), AlsoCalled(("rank",))] = (
        Field(
            "dimension",
            description="of factored-mlp and low-rank-mlp: numbers such as 13-9-8, full, or dimension: that "
            "of what enters each layer before training",
        )
    )
    rank_factor: float = Field(
        1.0, gt=0, le=1000, allow_inf_nan=False, description="of ranks: dimension: what that is multiplied by"
    )
    initialization: Annotated[
        Literal["torch", "he", "xavier", "orthogonal"],
        AlsoCalled(("init", "initialisation", "initializer", "weight_init")),
    ] = Field("torch", description="of weights: torch's default, he and xavier (normal), orthogonal")
    initialization_scale: Annotated[float, AlsoCalled(("init_scale", "gain", "initialisation_scale"))] = (
        Field(
            1.0, gt=0, le=1000, allow_inf_nan=False, description="by which the initial weights are multiplied"
        )
    )

    @model_validator(mode="after")
    def _check_onnx(self) -> "NetworkSettings":
        if self.source is not None and self.source.kind == "onnx" and self.weights is None:
            raise ValueError(
                f"model: {self.model} is measured as it is, and not trained; say so with "
                f"weights: {self.model}"
            )
        return self

    @model_validator(mode="after")
    def _check_idle(self) -> "NetworkSettings":
        for name, field in type(self).model_fields.items():
            is_idle = name in _SOME_NETWORKS - {*self.entry.settings}
            if self.source is not None:
                is_idle = name not in _OF_ANY_MODEL
            elif self.weights is not None:
                is_idle = is_idle or name in ("initialization", "initialization_scale")
            if is_idle and getattr(self, name) != field.default:
                chosen = f"model: {self.model}"
                if self.source is None and self.weights is not None and name.startswith("initialization"):
                    chosen = f"weights: {self.weights}"
                raise ValueError(f"{name} does nothing with {chosen}; leave it out")
        return self

    @property
    def source(self) -> ModelSource | None:
        """What names a network of a library's or of the user's own; None for one of our kinds."""
        return None if self.model in NETWORKS else parse_model(self.model)

    @property
    def is_foreign(self) -> bool:
        """Whether the network is not one of our kinds."""
        return self.source is not None

    @property
    def entry(self) -> NetworkEntry:
        """The kind of network."""
        from spaceprobe.stages.train.foreign_entry import foreign_entry

        return NETWORKS[self.model] if self.source is None else foreign_entry(self.source)

    def load_weights(self, network: "nn.Module") -> "nn.Module":
        """Return a network with the given weights, in float64.

        Raises:
            SpaceprobeError: they cannot be read or do not fit.
        """
        from spaceprobe.stages.train.foreign_networks import load_given_weights

        return load_given_weights(network, Path(str(self.weights)))

    @property
    def has_data_ranks(self) -> bool:
        """Whether the ranks of its layers come from the data."""
        return self.entry.with_ranks is not None and self.ranks == BY_DIMENSION

    def fit_ranks(self, network: "nn.Module", inputs: "Tensor") -> "nn.Module":
        """Return an untrained network with the ranks that training inputs give, where they do.

        Raises:
            SpaceprobeError: the inputs are too few to have a dimension.
        """
        if self.entry.with_ranks is None or not self.has_data_ranks:
            return network
        from spaceprobe.stages.train.data_ranks import ranks_by_dimension

        return self.entry.with_ranks(network, ranks_by_dimension(network, inputs, self.rank_factor)).eval()

    def seeded(self, seed: int) -> "AbstractContextManager[None]":
        """Return a context in which what a network that is not one of our kinds draws depends on the seed.

        Our own kinds draw nothing while they are trained; others may, such as for a dropout.
        """
        if self.source is None:
            return nullcontext()
        from spaceprobe.stages.train.foreign_networks import seeded

        return seeded(seed)

    def measurement(self) -> dict[str, Any]:
        """Return the settings that a number depends on.

        Those that came after the first releases count only where they are not the default: networks from
        before keep their keys. Where given weights lie changes nothing: their digest says what they are.
        """
        if self.source is not None:
            return {"model": self.model}
        identity = self.identity()
        return {
            name: value
            for name, value in self.key().items()
            if name != "weights" and (name in _FIRST_OF_NETWORK or name in identity)
        }

    @property
    def hidden_widths(self) -> list[int]:
        """The units of each hidden layer."""
        depth, cross, width = self.architecture.partition("x")
        return [int(width)] * int(depth) if cross else [int(word) for word in self.architecture.split("-")]
