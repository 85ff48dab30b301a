"""A small convolutional network: convolutions with an activation and a pool each, then a linear readout."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from spaceprobe.networks.shapes import halved_by_pooling

POOLS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
"""Makes the pool of an image, given its side, by its name in a study."""


class ConvolutionBlock(nn.Module):
    """A 3 × 3 convolution that keeps the size of the image, BatchNorm, an activation, a pool."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        activation: Callable[[], nn.Module],
        pool: nn.Module,
        *,
        batch_norm: bool,
    ) -> None:
        """Take the channels before and after it, and what stands behind the convolution."""
        super().__init__()
        self.convolution = nn.Conv2d(num_inputs, num_outputs, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(num_outputs) if batch_norm else nn.Identity()
        self.activation = activation()
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled feature maps of images of shape (points, channels, height, width)."""
        result: Tensor = self.pool(self.activation(self.norm(self.convolution(images))))
        return result


class ConvolutionalNetwork(nn.Module):
    """Blocks of a convolution, an activation and a 2 × 2 pool, then a linear readout.

    An image whose height or width is 1 is not pooled any more.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        num_outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        *,
        pooling: str = "max",
        batch_norm: bool = False,
    ) -> None:
        """Take the shape of a network.

        Args:
            input_shape: channels, height and width of an image.
            channels: of each block.
            num_outputs: of the readout.
            activation: makes that of a block.
            pooling: a name in `POOLS`.
            batch_norm: whether a BatchNorm stands before each activation.
        """
        super().__init__()
        self.input_shape = input_shape
        num_inputs, height, width = input_shape
        blocks = []
        for num_channels in channels:
            is_pooled = min(height, width) >= 2
            pool = POOLS[pooling](2) if is_pooled else nn.Identity()
            blocks.append(ConvolutionBlock(num_inputs, num_channels, activation, pool, batch_norm=batch_norm))
            if is_pooled:
                height, width = halved_by_pooling(height), halved_by_pooling(width)
            num_inputs = num_channels
        self.blocks = nn.Sequential(*blocks)
        self.readout = nn.Linear(num_inputs * height * width, num_outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Return the outputs for images that are flattened, one a row."""
        images = points.unflatten(1, self.input_shape)
        result: Tensor = self.readout(self.blocks(images).flatten(1))
        return result
