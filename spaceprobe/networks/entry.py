"""What a kind of network says of itself, so that nothing else has to know it. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from spaceprobe.registry import Entry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spaceprobe.networks.layers import LayerPass

Engine = Literal["kernel", "jvp", "sampled"]
"""A way to walk a path: the compiled walk of MLPs, the exact walk of any ReLU network, or samples."""


@runtime_checkable  # for the checks of types while the tests run
class NetworkOptions(Protocol):
    """The section ``network`` of a study, as far as networks read it."""

    @property
    def model(self) -> str:
        """The kind of network."""

    @property
    def architecture(self) -> str:
        """Hidden layers x units, or the units of each."""

    @property
    def hidden_widths(self) -> list[int]:
        """The units of each hidden layer."""

    @property
    def activation(self) -> str:
        """The activation of the hidden layers."""


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Entry):
    """One kind of network. Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        build: returns the untrained network in float32, given its settings, the shape of an input, the number
            of outputs, and the generator of its weights. It takes inputs of shape ``(points, features)``.
        label: returns the readable start of a run's name; by default the kind of network and its
            architecture.
        hidden_widths: returns the counted units of each hidden layer, first to last; their number is the
            depth.
        engines: returns which engines can walk a path through it, given its settings; none where its
            activations have no on and off.
        weights: returns the weight matrices that are decomposed, first to last, the readout included.
        pass_through: returns the layers of these matrices with what enters and leaves them for some inputs.
    """

    build: "Callable[[NetworkOptions, Sequence[int], int, torch.Generator], nn.Sequential]"
    label: Callable[[NetworkOptions], str] = lambda options: f"{options.model}-{options.architecture}"
    hidden_widths: Callable[[NetworkOptions], Sequence[int]]
    engines: Callable[[NetworkOptions], tuple[Engine, ...]]
    weights: "Callable[[nn.Sequential], Sequence[torch.Tensor]]"
    pass_through: "Callable[[nn.Sequential, torch.Tensor], Sequence[LayerPass]]"
