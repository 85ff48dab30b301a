"""The questions, each a file of this package with its ``ENTRY``, in the order of the page."""

from spaceprobe.findings.entry import FindingEntry
from spaceprobe.registry import read_entries

FILES = (
    "more_than_flips",
    "seeds",
    "seed_sources",
    "depth",
    "depth_factors",
    "depth_shapes",
    "width",
    "points",
    "clusters",
    "global_folding",
    "adversarial",
    "augmentation",
    "generalization",
    "beyond_bits",
    "where_it_folds",
    "activations",
    "architectures",
    "regularizer",
    "lmd_continuity",
    "manifolds",
    "expressivity",
    "degree",
    "factored_layers",
    "hopfield",
    "metric_sensitivity",
    "lmd_cost",
    "lmd_folding",
)

FINDINGS = read_entries(__name__, FILES, FindingEntry)
"""All findings by name."""
