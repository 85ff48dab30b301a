"""The kinds of networks that a study can train: each a file here that defines an ``ENTRY``, and a line."""

from collections.abc import Mapping

from spaceprobe.networks.entry import NetworkEntry
from spaceprobe.registry import read_entries, refuse_settings

FILES = (
    "mlp",
    "binary_mlp",
    "residual_mlp",
    "factored_mlp",
    "low_rank_mlp",
    "cnn",
    "resnet",
    "transformer",
)


def _refuse(entry: NetworkEntry, others: Mapping[str, NetworkEntry]) -> str | None:
    return refuse_settings(entry.settings, {name for other in others.values() for name in other.settings})


NETWORKS = read_entries(__name__, FILES, NetworkEntry, "networks", _refuse)
"""All kinds of networks by name."""
