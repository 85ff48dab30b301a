"""Space folding: how often and how far a straight path turns through the linear regions of a network.

Patterns, length, reach and χ are defined in `spaceprobe.folding.measure`, after «On Space Folds of ReLU
Neural Networks» (arXiv 2502.09954).
"""

from spaceprobe.folding.blocks import DEFAULT_TOLERANCE, Method
from spaceprobe.folding.counts import FoldingCounts, GridFolding, PathFolding, PathTrace
from spaceprobe.folding.engine import fold_grid, trace_path, walk_paths
from spaceprobe.folding.measure import space_folding

__all__ = [
    "DEFAULT_TOLERANCE",
    "FoldingCounts",
    "GridFolding",
    "Method",
    "PathFolding",
    "PathTrace",
    "fold_grid",
    "space_folding",
    "trace_path",
    "walk_paths",
]
