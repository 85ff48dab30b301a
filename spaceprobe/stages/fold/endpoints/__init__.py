"""The sources of the ends of paths: each a file here that defines an ``ENTRY``, and a line."""

from spaceprobe.registry import read_entries
from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry

FILES = (
    "class_pairs",
    "clusters",
    "adversarial",
    "augmented",
    "loops",
    "searched",
)  # fmt: skip

ENDPOINTS = read_entries(__name__, FILES, EndpointsEntry)
"""All sources of endpoints by name."""
