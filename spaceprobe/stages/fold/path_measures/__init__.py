"""The measures of a single path, columns of paths.csv. A new one is a file here and a line below."""

from spaceprobe.stages.fold.path_measures.entry import PathMeasure
from spaceprobe.stages.fold.path_measures.space_folding import SPACE_FOLDING

PATH_MEASURES: tuple[PathMeasure, ...] = (
    SPACE_FOLDING,
)  # fmt: skip
