"""The datasets: each a file of this package that defines an ``ENTRY``, and a line here."""

from spaceprobe.data.entry import DatasetEntry
from spaceprobe.registry import read_entries

FILES = (
    "mnist",
    "fashion_mnist",
    "kmnist",
    "swiss_roll",
)

DATASETS = read_entries(__name__, FILES, DatasetEntry)
"""All datasets by name."""
