"""Where the decision of a network flips along a path (docs/definitions.md, "Decisions along a path")."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.path_measures.entry import PathMeasure, WalkedPaths
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)


def _measure(paths: WalkedPaths) -> "Mapping[str, np.ndarray]":
    from spaceprobe.folding.decisions import path_decisions

    way: dict[str, Any] = {
        name: paths.way[name] for name in ("method", "num_points", "threads") if name in paths.way
    }
    if way.get("method") in ("kernel", "jvp"):  # whose breakpoints are those of the layerwise walk
        way["method"] = "exact"
    seen = path_decisions(paths.network, paths.starts, paths.ends, **way)
    if num_violations := int(seen.num_violations.sum()):
        logger.warning(
            "%d linear regions failed the region check on the walk for folding.decisions: flips of the "
            "decision may be missing",
            num_violations,
        )
    return {
        "decision_flips": seen.num_flips,
        "first_decision_flip": seen.first_t,
        "decision_classes": seen.num_classes,
        "smallest_margin": seen.smallest_margin,
    }


_ASKED = "only with folding.decisions"

ENTRY = PathMeasure(
    setting="decisions",
    columns=(
        Column(
            "decision_flips",
            "integer",
            f"how often the largest output changes along the path; of sampled paths a lower bound; {_ASKED}",
            is_asked=True,
        ),
        Column(
            "first_decision_flip",
            "number",
            f"t of the first of these flips, in (0, 1); empty where there is none; {_ASKED}",
            low=0,
            high=1,
            is_asked=True,
        ),
        Column(
            "decision_classes",
            "integer",
            f"how many different classes the network names along the path; {_ASKED}",
            is_asked=True,
        ),
        Column(
            "smallest_margin",
            "number",
            "smallest difference of the largest output (logit) and the second largest along the path; 0 "
            f"where the largest changes; of sampled paths that of their points; {_ASKED}",
            low=0,
            is_asked=True,
        ),
    ),
    measure=_measure,
)
