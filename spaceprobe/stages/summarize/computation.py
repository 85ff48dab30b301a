"""Summarizes a study: from its tables to aggregates of networks and their correlations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.stage import Sections
from spaceprobe.stages.summarize.tables import AGGREGATES, CORRELATIONS, FOLDING_NULL, NULL_CORRELATIONS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

if TYPE_CHECKING:
    import pandas as pd


def reduce(sections: Sections, frames: Frames) -> "Mapping[str, pd.DataFrame]":
    """Return aggregates of networks and architectures, correlations, and where asked for the null model."""
    del sections
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table
    from spaceprobe.analysis.correlations import correlation_table
    from spaceprobe.analysis.null_folding import null_correlations, null_table

    aggregates = aggregate_runs(frames)
    frames = frames.with_table(AGGREGATES, aggregates)
    architectures = {state: architecture_table(frames, state) for state in (TRAINED, UNTRAINED, DIFFERENCE)}
    tables = {
        "aggregates": aggregates,
        "architectures": pd.concat(architectures, names=["state", None]).reset_index(level="state"),
        "correlations": correlation_table(frames, CORRELATIONS),
    }
    if "paths" in frames and frames["paths"]["null_chi"].notna().any():
        null = null_table(frames, FOLDING_NULL)
        frames = frames.with_table(FOLDING_NULL, null)
        tables |= {
            FOLDING_NULL.name: null,
            NULL_CORRELATIONS.name: null_correlations(frames, NULL_CORRELATIONS),
        }
    return tables
