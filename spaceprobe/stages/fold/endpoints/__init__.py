"""The sources of the ends of paths: each a file here that defines an ``ENTRY``, and a line."""

from collections.abc import Mapping

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

TAKEN_SECTIONS = frozenset(
    {"data", "network", "training", "folding", "lmd", "complexity", "study", "slurm", "sweep", "extends"}
)
"""The sections of a study file that are no source's own."""

TAKEN_TABLES = ("checks", "histogram", "null")
"""What follows ``folding_`` in the names of tables that are no source's own."""


def _refuse(entry: EndpointsEntry, others: Mapping[str, EndpointsEntry]) -> str | None:
    own, first = entry.name.replace("-", "_"), entry.name.replace("-", "_").partition("_")[0]
    if first in TAKEN_TABLES:
        return f"folding_{own}.csv may be another table; expected a name that does not begin with {first}"
    taken = TAKEN_SECTIONS | {name for other in others.values() for name in other.sections}
    if {*entry.sections} - {own} or {*entry.sections} & taken:
        return f"sections {', '.join(entry.sections)}: expected none but {own}, which no other has"
    if entry.listing is not None and not entry.listing.name.startswith(f"folding_{own}_"):
        return f"listing {entry.listing.name}: expected a name that begins with folding_{own}_"
    return None


ENDPOINTS = read_entries(__name__, FILES, EndpointsEntry, "endpoints", _refuse)
"""All sources of endpoints by name."""
