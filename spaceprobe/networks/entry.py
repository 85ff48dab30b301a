"""What a kind of network says of itself, so that nothing else has to know it. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from spaceprobe.registry import Entry

if TYPE_CHECKING:
    import torch
    from torch import nn

Engine = Literal["exact", "layerwise", "kernel", "jvp", "sampled", "adaptive"]
"""A way to walk a path, a value of ``folding.method``: the best exact one; the exact one of any
piecewise-linear network, of MLPs of ReLUs, or of networks of ReLUs and affine maps; or samples, evenly spaced
or where something flips."""


@runtime_checkable  # for the checks of types while the tests run
class NetworkOptions(Protocol):
    """The section ``network`` of a study, as far as networks read it."""

    @property
    def model(self) -> str:
        """The kind of network."""

    @property
    def is_foreign(self) -> bool:
        """Whether it is not one of our kinds: how it draws its weights is not known."""

    @property
    def architecture(self) -> str:
        """Hidden layers x units, or the units of each."""

    @property
    def hidden_widths(self) -> list[int]:
        """The numbers of the architecture: units, channels or feed-forward units of each layer or block."""

    @property
    def activation(self) -> str:
        """The activation of the hidden layers."""

    @property
    def batch_norm(self) -> bool:
        """Whether a BatchNorm stands before the activations."""

    @property
    def pooling(self) -> str:
        """The pool of a convolutional network."""

    @property
    def patch(self) -> int:
        """The side of a transformer's patches, in pixels."""

    @property
    def embedding(self) -> int:
        """The features of a transformer's token."""

    @property
    def heads(self) -> int:
        """The heads of a transformer's attention."""

    @property
    def ranks(self) -> str:
        """The ranks of layers made of factors: numbers, or where they come from."""

    @property
    def rank_factor(self) -> float:
        """By which ranks that come from the data are multiplied."""

    @property
    def initialization(self) -> str:
        """How the initial weights are drawn."""

    @property
    def initialization_scale(self) -> float:
        """By which the initial weights are multiplied."""


def _check_nothing(options: NetworkOptions, input_shape: Sequence[int]) -> None:
    del options, input_shape


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Entry):
    """One kind of network. Its file imports no torch at the top, since studies are planned with it.

    Its weight matrices are those of its linear layers and convolutions
    (`spaceprobe.networks.matrices.weight_matrices`).

    Attributes:
        build: returns the untrained network in float32, given its settings, the shape of an input, the number
            of outputs, and the generator of its weights. It takes inputs of shape ``(points, features)``.
        label: returns the readable start of a run's name; by default the kind of network and its
            architecture.
        architecture: returns what tables call its architecture.
        hidden_widths: returns the counted units of each hidden layer, first to last, given the settings and
            the shape of an input; their number is the depth. Empty where only the built network tells.
        engines: returns which engines can walk a path through it, given its settings; none where its
            activations have no on and off.
        activation: returns the name of its activation, given its settings.
        settings: the settings of the section ``network`` that concern this kind and not every other one.
        check: raises a `ValueError` where settings and the shape of an input do not go together; the message
            begins with the setting's name.
        has_numbered_layers: whether the number of a weight matrix says which it is, as in an MLP. Otherwise
            lmd_matrices.csv names them.
        with_ranks: of layers made of factors: returns the untrained network cut to a rank for each weight
            matrix, where the data give these; None for every other kind.
    """

    build: "Callable[[NetworkOptions, Sequence[int], int, torch.Generator], nn.Module]"
    label: Callable[[NetworkOptions], str] = lambda options: f"{options.model}-{options.architecture}"
    architecture: Callable[[NetworkOptions], str] = lambda options: options.architecture
    hidden_widths: Callable[[NetworkOptions, Sequence[int]], Sequence[int]]
    engines: Callable[[NetworkOptions], tuple[Engine, ...]]
    activation: Callable[[NetworkOptions], str] = lambda options: options.activation
    settings: tuple[str, ...] = ("activation",)
    check: Callable[[NetworkOptions, Sequence[int]], None] = _check_nothing
    has_numbered_layers: bool = False
    with_ranks: "Callable[[nn.Module, Sequence[int]], nn.Module] | None" = None
