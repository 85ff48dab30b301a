"""The kinds of networks that a study can train: each a file here that defines an ``ENTRY``, and a line."""

from spaceprobe.networks.entry import NetworkEntry
from spaceprobe.registry import read_entries

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

NETWORKS = read_entries(__name__, FILES, NetworkEntry)
"""All kinds of networks by name."""
