"""The tables with several rows of a single path: each a file here that defines an ``ENTRY``, and a line."""

from spaceprobe.registry import read_entries
from spaceprobe.stages.fold.path_tables.entry import PathTable

FILES = (
    "path_layers",
    "path_distances",
    "path_images",
    "path_symmetries",
)  # fmt: skip

PATH_TABLES = read_entries(__name__, FILES, PathTable)
"""All such tables by name."""
