"""The datasets: each a file of this package that defines an ``ENTRY``, and a line here."""

from spaceprobe.data.entry import DatasetEntry
from spaceprobe.registry import read_entries

FILES = (
    "mnist",
    "fashion_mnist",
    "kmnist",
    "swiss_roll",
    "sphere",
    "torus",
    "noise",
    "cube",
    "digits",
    "patches",
    "cifar10",
    "cifar100",
    "emnist_balanced",
    "emnist_byclass",
    "emnist_bymerge",
    "emnist_digits",
    "emnist_letters",
    "emnist_mnist",
    "qmnist",
    "stl10",
    "svhn",
    "usps",
    "file",
    "folder",
    "function",
)

DATASETS = read_entries(__name__, FILES, DatasetEntry)
"""All datasets by name."""
