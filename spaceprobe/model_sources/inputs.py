"""The shape of inputs that a network takes, where a data set has points in rows."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spaceprobe.model_sources.source import LIBRARIES, ModelSource, ModelSourceError


class ReshapedInputs(nn.Module):
    """A network that takes the rows of a data set, and gives them to another in the shape that it takes."""

    own_prefix = "network."
    """Begins the names of the other network's modules."""

    def __init__(self, network: nn.Module, shape: Sequence[int], num_channels: int | None = None) -> None:
        """Take the network and the shape of its inputs.

        Args:
            network: takes inputs of shape ``(points, *shape)``.
            shape: of an input.
            num_channels: to which the one channel of a grey image is repeated; None to leave it.
        """
        super().__init__()
        self.network = network
        self.shape = tuple(shape)
        self.num_channels = num_channels

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]  # of overloads
        """Return the weights under the network's own names."""
        return self.network.state_dict(*arguments, **options)

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Load weights under the network's own names."""
        return self.network.load_state_dict(*arguments, **options)

    def forward(self, points: Tensor) -> Tensor:
        """Return the network's outputs for rows of shape ``(points, features)``."""
        inputs = points.unflatten(1, self.shape)
        if self.num_channels is not None:
            inputs = inputs.expand(-1, self.num_channels, -1, -1)
        result: Tensor = self.network(inputs)
        return result


def takes_rows(source: ModelSource) -> bool:
    """Return whether a network takes points in rows by what it is."""
    return source.kind in ("widths", "network")


def fit_inputs(
    network: nn.Module, source: ModelSource, input_shape: Sequence[int], *, setting: str = "--model"
) -> nn.Module:
    """Return a network that takes the rows of a data set, of shape ``(points, features)``.

    The first of these that it takes: rows; images with their channels, grey ones with one; images without
    channels; of a library's network, grey images whose channel stands three times.

    Args:
        network: in evaluation mode.
        source: what named it.
        input_shape: of one input, as of `spaceprobe.data.entry.DataLayout`.
        setting: what names the source, to begin a message with.

    Raises:
        ModelSourceError: it takes none of them.
    """
    if takes_rows(source):
        return network
    rows = torch.zeros(2, math.prod(input_shape), dtype=next((p.dtype for p in network.parameters()), None))
    forms: list[tuple[str, nn.Module]] = [("rows", network)]
    if len(input_shape) > 1:
        channels = (1, *input_shape) if len(input_shape) == 2 else tuple(input_shape)
        shapes = [channels] if channels == tuple(input_shape) else [channels, tuple(input_shape)]
        forms += [(_text(shape), ReshapedInputs(network, shape)) for shape in shapes]
        if source.kind in LIBRARIES and channels[0] == 1:
            # Before the others: these networks are made for colour images, and rows or two sides never fit.
            shape = _text((3, *channels[1:]))
            forms = [(shape, ReshapedInputs(network, channels, num_channels=3)), *forms]
    reasons = []
    for name, form in forms:
        try:
            with torch.no_grad():
                form(rows)
        except Exception as error:  # whatever a network raises at inputs that it does not take
            reasons.append(f"{name} ({str(error).partition(chr(10))[0][:120] or type(error).__name__})")
        else:
            return form.eval()
    raise ModelSourceError(f"{setting} {source}: does not take inputs of the data as {', '.join(reasons)}")


def _text(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
