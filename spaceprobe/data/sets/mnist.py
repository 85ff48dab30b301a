"""MNIST: handwritten digits, in the package."""

from spaceprobe.data.entry import describe_digit
from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import idx_entry

ENTRY = idx_entry(MNIST, describe_class=describe_digit)
