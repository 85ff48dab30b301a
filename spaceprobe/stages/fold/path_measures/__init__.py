"""The measures of a single path, for paths.csv: each a file here that defines an ``ENTRY``, and a line."""

from spaceprobe.registry import read_entries
from spaceprobe.stages.fold.path_measures.entry import PathMeasure

FILES = (
    "space_folding",
    "null_model",
    "regions",
    "decisions",
)  # fmt: skip

PATH_MEASURES = read_entries(__name__, FILES, PathMeasure)
"""All measures of a single path by name, in the order of their columns."""
