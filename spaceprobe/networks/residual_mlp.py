"""An MLP with skips: residual blocks of one hidden layer each, then a linear readout."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class ResidualMLPBlock(nn.Module):
    """A hidden layer and a linear map back, beside the identity: x + W' activation(W x).

    The activation stands inside the block only, as in arXiv 1603.05027, so that the first block is the first
    layer of activations.
    """

    def __init__(self, num_features: int, num_units: int, activation: Callable[[], nn.Module]) -> None:
        """Take the features that pass through it, and its hidden units."""
        super().__init__()
        self.expand = nn.Linear(num_features, num_units)
        self.activation = activation()
        self.contract = nn.Linear(num_units, num_features)

    def forward(self, points: Tensor) -> Tensor:
        """Return the features behind the block; same shape."""
        result: Tensor = points + self.contract(self.activation(self.expand(points)))
        return result


class ResidualMLP(nn.Module):
    """Residual blocks on the features of a point, then a linear readout."""

    def __init__(
        self,
        num_features: int,
        hidden_units: Sequence[int],
        num_outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        """Take the features of a point, the hidden units of each block, and the number of outputs."""
        super().__init__()
        self.blocks = nn.Sequential(
            *(ResidualMLPBlock(num_features, num_units, activation) for num_units in hidden_units)
        )
        self.readout = nn.Linear(num_features, num_outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Return the outputs for points of shape (points, features)."""
        result: Tensor = self.readout(self.blocks(points))
        return result
