"""The windows of convolutions and pools: sizes, steps, and what is padded on which side."""

from collections.abc import Sequence
from dataclasses import dataclass

from spaceprobe.model_sources.onnx_graphs.operators.call import Call


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or a pool lie.

    Attributes:
        kernel: size of a window in each dimension.
        strides: between windows.
        dilations: between the entries of a window.
        begin: padded before; empty where it depends on the size of the image (SAME).
        end: padded behind; likewise.
        is_upper: whether of an odd padding the larger half is behind, where it depends on the size.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]
    is_upper: bool = True

    @property
    def even(self) -> list[int] | None:
        """The padding of each dimension where it is the same on both sides, whatever the image; else None."""
        return self.begin if self.begin == self.end and self.begin else None

    def padding(self, sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Return what is padded before and behind each dimension of an image of these sizes."""
        if self.begin:
            return [*zip(self.begin, self.end, strict=True)]
        result = []
        for size, kernel, stride, dilation in zip(
            sizes, self.kernel, self.strides, self.dilations, strict=True
        ):
            reach = (kernel - 1) * dilation + 1
            total = max(0, (-(-size // stride) - 1) * stride + reach - size)
            half = total // 2
            result.append((half, total - half) if self.is_upper else (total - half, half))
        return result

    def around(self, sizes: Sequence[int]) -> list[int]:
        """Return the padding as `torch.nn.functional.pad` takes it: the last dimension first."""
        return [number for pair in reversed(self.padding(sizes)) for number in pair]

    def counts(self, sizes: Sequence[int], *, is_up: bool) -> list[int]:
        """Return how many windows each dimension of an image of these sizes has.

        Args:
            sizes: of the image.
            is_up: whether a window that is not whole counts.
        """
        counts = []
        for place, (size, (before, behind)) in enumerate(zip(sizes, self.padding(sizes), strict=True)):
            reach = (self.kernel[place] - 1) * self.dilations[place] + 1
            span = size + before + behind - reach
            counts.append((-(-span // self.strides[place]) if is_up else span // self.strides[place]) + 1)
        return counts


def read_windows(call: Call, kernel: list[int]) -> Windows:
    """Return the windows of a node.

    Raises:
        OnnxRefusal: they are not as many numbers as the kernel has, or not numbers from 1.
    """
    num_dims = len(kernel)
    strides = call.whole_numbers("strides") or [1] * num_dims
    dilations = call.whole_numbers("dilations") or [1] * num_dims
    pads = call.whole_numbers("pads") or [0] * (2 * num_dims)
    for what, numbers, count, least in (
        ("kernel_shape", kernel, num_dims, 1),
        ("strides", strides, num_dims, 1),
        ("dilations", dilations, num_dims, 1),
        ("pads", pads, 2 * num_dims, 0),
    ):
        if len(numbers) != count or min(numbers, default=least) < least:
            raise call.refuse(f"has {what} {numbers[:10]}: expected {count} numbers from {least}")
    automatic = call.attribute("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        if all(stride == 1 for stride in strides):
            # with steps of 1 it does not depend on the size
            same = Windows(kernel, strides, dilations, [], [], automatic == "SAME_UPPER")
            begin, end = map(list, zip(*same.padding([1] * num_dims), strict=True))
            return Windows(kernel, strides, dilations, begin, end)
        return Windows(kernel, strides, dilations, [], [], automatic == "SAME_UPPER")
    if automatic not in ("NOTSET", "VALID"):
        raise call.refuse(f"has auto_pad {automatic!r}: expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if automatic == "VALID":
        pads = [0] * (2 * num_dims)
    return Windows(kernel, strides, dilations, pads[:num_dims], pads[num_dims:])
