"""The datasets: each a file of this package that defines an ``ENTRY``, and a line here."""

from collections.abc import Mapping

from spaceprobe.data.entry import DatasetEntry
from spaceprobe.registry import read_entries, refuse_settings

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


def _refuse(entry: DatasetEntry, others: Mapping[str, DatasetEntry]) -> str | None:
    return refuse_settings(entry.settings, {name for other in others.values() for name in other.settings})


DATASETS = read_entries(__name__, FILES, DatasetEntry, "datasets", _refuse)
"""All datasets by name."""
