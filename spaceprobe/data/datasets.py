"""Datasets, whole, as one tensor in memory."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float32, Int64
from torch import Tensor
from torchvision.datasets import MNIST

from spaceprobe.data.idx_files import RAW_FOLDER, DataError, embedded_root, require_files


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        images: pixels in [0, 1] (grey level / 255 in float32), flattened; shape ``(num_images, 784)``.
        labels: classes 0 to 9; shape ``(num_images,)``.
    """

    images: Float32[Tensor, "images pixels"]
    labels: Int64[Tensor, "images"]


@lru_cache(maxsize=2)  # both splits of one dataset: the runs of a study share them
def load_mnist(root: Path | None, *, train: bool) -> Images:
    """Returns one split of MNIST, read through torchvision.

    Args:
        root: a folder in torchvision's layout; None for the MNIST in the package.
        train: the 60,000 training images; else the 10,000 test images.

    Raises:
        DataError: a file is missing or unreadable.
    """
    if root is None:
        folder = embedded_root()
    else:
        require_files(root)
        folder = root
    try:
        split = MNIST(folder, train=train, download=False)
    except (RuntimeError, ValueError, OSError, AssertionError, IndexError, KeyError) as error:
        raise DataError(
            f"data.root: torchvision cannot read the IDX files in {folder / RAW_FOLDER} ({error}); "
            "put the raw files of MNIST there, or leave data.root out to use the MNIST in the package"
        ) from error
    return Images(images=split.data.flatten(1).float() / 255, labels=split.targets)
