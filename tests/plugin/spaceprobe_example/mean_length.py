"""The mean number of flips of a path."""

from spaceprobe.analysis.measures import Measure
from spaceprobe.tables.table import Column

MEASURE = Measure(
    Column("mean_length", "number", "mean number of flips of a path"),
    lambda counts: float((counts.length * counts.count).sum() / counts.num_paths),
)
