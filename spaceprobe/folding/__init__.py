"""Space folding: how often and how far a straight path turns through the linear regions of a network.

Patterns, length, reach and χ are defined in `spaceprobe.folding.measure`, after "On Space Folds of ReLU
Neural Networks" (arXiv 2502.09954).
"""

from spaceprobe.folding.choice import UncountedUnits, engine_for, passed_over
from spaceprobe.folding.counted import Threshold, Units
from spaceprobe.folding.counts import AdaptiveFolding, CountedFolding, FoldingCounts, PathFolding, PathTrace
from spaceprobe.folding.cuda.kept import KeptPasses
from spaceprobe.folding.engine import fold_grid, fold_matched, trace_path, walk_batch, walk_paths
from spaceprobe.folding.measure import space_folding
from spaceprobe.folding.null_model import NullFolding, null_folding
from spaceprobe.folding.options import DEFAULT_TOLERANCE, Bits, Engine, Method, PlacedEngine, Precision
from spaceprobe.folding.path_flips import PathFlips, walk_with_flips
from spaceprobe.folding.thresholds import unit_quantiles

__all__ = [
    "DEFAULT_TOLERANCE",
    "AdaptiveFolding",
    "Bits",
    "CountedFolding",
    "Engine",
    "FoldingCounts",
    "KeptPasses",
    "Method",
    "NullFolding",
    "PathFlips",
    "PathFolding",
    "PathTrace",
    "PlacedEngine",
    "Precision",
    "Threshold",
    "UncountedUnits",
    "Units",
    "engine_for",
    "fold_grid",
    "fold_matched",
    "null_folding",
    "passed_over",
    "space_folding",
    "trace_path",
    "unit_quantiles",
    "walk_batch",
    "walk_paths",
    "walk_with_flips",
]
