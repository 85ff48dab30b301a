"""MNIST: handwritten digits, in the package."""

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import idx_entry


def _describe_class(label: int) -> str:
    return f"a{'n' * (label == 8)} {label}"


ENTRY = idx_entry(MNIST, describe_class=_describe_class)
