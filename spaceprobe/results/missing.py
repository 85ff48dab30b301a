"""Why a table has no rows, and what would fill it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.errors import SettingsError
from spaceprobe.results.results import Results
from spaceprobe.stages import STAGES

if TYPE_CHECKING:
    from spaceprobe.results.examples import StudyExample

PROBES = {
    "lmd_functional": "functional-rank",
    "lmd_dimension": "dimension",
    "lmd_retrieval": "retrieval",
    "lmd_semantics": "semantics",
    "lmd_hopfield": "hopfield",
    "lmd_span": "span",
    "lmd_continuity": "continuity",
}
"""Tables that only a probe of the lmd stage fills."""

OF_SINGLE_PATHS = ("folding_null", "folding_null_correlations")
"""Tables that are computed from paths.csv."""

_HOME = {table.name: stage for stage in STAGES for table in stage.tables}


def why_missing(results: Results, *tables: str) -> str | None:
    """Return why the first empty table has no rows; None where all have rows."""
    for name in tables:
        if results.has(name):
            continue
        stage = _HOME[name].name
        if stage not in results.study.stages:
            return f"the study leaves {stage} out (study.stages)"
        if (results.frames["runs"]["status"] != "done").all():
            return "no network was trained to the end"
        if name in OF_SINGLE_PATHS and results.has("folding") and not results.has("paths"):
            return "the study lists no single paths (folding.detail)"
        probe = PROBES.get(name)
        if probe is not None and results.has("lmd_layers"):
            return f"the study does not ask for it (lmd.probes: {probe})"
        return f"`spaceprobe {stage}` has no result yet"
    return None


def why_no_example(results: Results) -> str | None:
    """Return why no path of the study can be shown; None where one can."""
    missing = why_missing(results, "folding")
    if missing is not None:
        return missing
    return results.example if isinstance(results.example, str) else None


def example_of(results: Results) -> "StudyExample":
    """Return the path that is shown of the study.

    Raises:
        SettingsError: there is none; see `why_no_example`.
    """
    if isinstance(results.example, str):
        raise SettingsError(results.example)
    return results.example


def by_reason(missing: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is missing by its reason, given the reasons by what is missing.

    >>> by_reason({"Depth": "no folding", "Ranks": "no rank", "Width": "no folding"})
    {'no folding': ['Depth', 'Width'], 'no rank': ['Ranks']}
    """
    reasons: dict[str, list[str]] = {}
    for name, reason in missing.items():
        reasons.setdefault(reason, []).append(name)
    return reasons
