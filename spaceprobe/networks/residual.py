"""A small ResNet: a stem, a residual block a stage, the mean over the image, a linear readout."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn


def _convolution(num_inputs: int, num_outputs: int, stride: int, *, batch_norm: bool) -> nn.Sequential:
    """Return a 3 × 3 convolution, with a BatchNorm behind it where one is asked for."""
    convolution = nn.Conv2d(num_inputs, num_outputs, kernel_size=3, stride=stride, padding=1)
    return (
        nn.Sequential(convolution, nn.BatchNorm2d(num_outputs)) if batch_norm else nn.Sequential(convolution)
    )


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, as the basic block of a ResNet (arXiv 1512.03385, section 3.3).

    The shortcut is the identity, or a 1 × 1 convolution where the number of channels or the size changes.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        stride: int,
        activation: Callable[[], nn.Module],
        *,
        batch_norm: bool,
    ) -> None:
        """Take the channels before and after it, and the stride of its first convolution."""
        super().__init__()
        self.first = _convolution(num_inputs, num_outputs, stride, batch_norm=batch_norm)
        self.first_activation = activation()
        self.second = _convolution(num_outputs, num_outputs, 1, batch_norm=batch_norm)
        is_same = stride == 1 and num_inputs == num_outputs
        shortcut = nn.Identity() if is_same else nn.Conv2d(num_inputs, num_outputs, 1, stride)
        self.shortcut: nn.Module = shortcut
        self.last_activation = activation()

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature maps of images of shape (points, channels, height, width)."""
        hidden = self.first_activation(self.first(images))
        result: Tensor = self.last_activation(self.second(hidden) + self.shortcut(images))
        return result


class ResidualNetwork(nn.Module):
    """A stem of stride 2, a residual block a stage, of stride 2 from the second on, and a linear readout.

    The readout is given the mean of each channel over the image.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        num_outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        *,
        batch_norm: bool = False,
    ) -> None:
        """Take the shape of a network.

        Args:
            input_shape: channels, height and width of an image.
            channels: of each stage; the stem has those of the first.
            num_outputs: of the readout.
            activation: makes that of a layer.
            batch_norm: whether a BatchNorm stands behind each 3 × 3 convolution.
        """
        super().__init__()
        self.input_shape = input_shape
        self.stem = _convolution(input_shape[0], channels[0], 2, batch_norm=batch_norm)
        self.stem_activation = activation()
        self.stages = nn.Sequential()
        num_inputs = channels[0]
        for stage, num_channels in enumerate(channels):
            stride = 2 if stage else 1
            block = ResidualBlock(num_inputs, num_channels, stride, activation, batch_norm=batch_norm)
            self.stages.append(block)
            num_inputs = num_channels
        self.readout = nn.Linear(num_inputs, num_outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Return the outputs for images that are flattened, one a row."""
        images = points.unflatten(1, self.input_shape)
        features = self.stages(self.stem_activation(self.stem(images)))
        result: Tensor = self.readout(features.mean((2, 3)))
        return result
