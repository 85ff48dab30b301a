"""The tables that a recorder writes: one of its own, and those of `fold --model` and `lmd --weights`."""

import math
from collections.abc import Sequence

from spaceprobe.stages.fold.model_paths import MODEL_PATHS
from spaceprobe.stages.lmd.tables import OF_STEPS
from spaceprobe.tables.table import Column, Table

STEP = Column("step", "integer", "training step, as the loop counts it")

RECORDING = Table(
    "recording",
    key=(STEP.name,),
    columns=(
        STEP,
        Column("num_paths", "integer", "paths that were walked; 0 where none could be"),
        Column("chi", "number", "mean over them of χ = 1 - reach / length, in [0, 1)", low=0, high=1),
        Column("chi_back", "number", "the same of the paths read from their other end", low=0, high=1),
        Column("null_chi", "number", "mean of χ of the same flips in random order", low=0, high=1),
        Column("peak", "number", "mean of the largest χ of the paths up to a point", low=0, high=1),
        Column("folded", "number", "share of the paths with χ > 0, in [0, 1]", low=0, high=1),
        Column("length", "number", "mean of the length, the flips along a path", low=0),
        Column("reach", "number", "mean of the reach, the largest Hamming distance from the start", low=0),
        Column("num_violations", "integer", "linear regions that failed the region check"),
        Column("num_matrices", "integer", "weight matrices that were decomposed; empty without LMD"),
        Column("fold_s", "number", "seconds that the paths took, copy included", rerun_rtol=math.inf),
        Column("lmd_s", "number", "seconds of the decompositions; empty without LMD", rerun_rtol=math.inf),
        Column("reason", "text", "why no path was walked; empty where paths were"),
    ),
    meaning="a step at which a recorder measured the network",
)
"""Written last: what other tables have of steps that are not in it does not count."""


def recorded_tables(*, has_lmd: bool) -> Sequence[Table]:
    """Return the tables of a recording, that of its steps first."""
    return (RECORDING, MODEL_PATHS, *(OF_STEPS if has_lmd else ()))
