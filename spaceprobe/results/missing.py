"""Why a table has no rows, in words that say what would give it some."""

from collections.abc import Mapping

from spaceprobe.results.results import Results
from spaceprobe.stages import STAGES

PROBES = {
    "lmd_functional": "functional-rank",
    "lmd_dimension": "dimension",
    "lmd_retrieval": "retrieval",
    "lmd_semantics": "semantics",
}
"""Tables that only a probe of the lmd stage fills."""

_HOME = {table.name: stage for stage in STAGES for table in stage.tables}


def why_missing(results: Results, *tables: str) -> str | None:
    """Return why the first table without rows has none; None where all have rows."""
    for name in tables:
        if results.has(name):
            continue
        stage = _HOME[name].name
        if stage not in results.study.stages:
            return f"the study leaves {stage} out (study.stages)"
        if (results.frames["runs"]["status"] != "done").all():
            return "no network was trained to the end"
        probe = PROBES.get(name)
        if probe is not None and results.has("lmd_layers"):
            return f"the study does not ask for it (lmd.probes: {probe})"
        return f"`spaceprobe {stage}` has no result yet"
    return None


def by_reason(lacking: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is missing by why it is, given why by what.

    >>> by_reason({"Depth": "no folding", "Ranks": "no rank", "Width": "no folding"})
    {'no folding': ['Depth', 'Width'], 'no rank': ['Ranks']}
    """
    reasons: dict[str, list[str]] = {}
    for name, reason in lacking.items():
        reasons.setdefault(reason, []).append(name)
    return reasons
