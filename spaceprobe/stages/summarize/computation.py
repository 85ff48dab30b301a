"""Summarizes a study: from its tables to aggregates of networks and their correlations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.stage import Sections
from spaceprobe.stages.summarize.tables import AGGREGATES, CORRELATIONS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

if TYPE_CHECKING:
    import pandas as pd


def reduce(sections: Sections, frames: Frames) -> "Mapping[str, pd.DataFrame]":
    """Return aggregates of networks, of architectures, and correlations."""
    del sections
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table
    from spaceprobe.analysis.correlations import correlation_table

    aggregates = aggregate_runs(frames)
    frames = frames.with_table(AGGREGATES, aggregates)
    architectures = {state: architecture_table(frames, state) for state in (TRAINED, UNTRAINED, DIFFERENCE)}
    return {
        "aggregates": aggregates,
        "architectures": pd.concat(architectures, names=["state", None]).reset_index(level="state"),
        "correlations": correlation_table(frames, CORRELATIONS),
    }
