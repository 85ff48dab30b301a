"""Summarizes a study: from its tables to aggregates of networks and their correlations."""

from spaceprobe.stages.stage import Frames, Sections
from spaceprobe.tables.states import STATES


def reduce(sections: Sections, frames: Frames) -> Frames:
    """Return aggregates of networks, of architectures, and correlations."""
    del sections
    import pandas as pd

    from spaceprobe.analysis.aggregates import aggregate_runs, architecture_table
    from spaceprobe.analysis.correlations import correlation_table

    runs = frames["runs"]
    aggregates = aggregate_runs(runs, frames["folding"])
    architectures = {state: architecture_table(aggregates, state) for state in STATES}
    return {
        "aggregates": aggregates,
        "architectures": pd.concat(architectures, names=["state", None]).reset_index(level="state"),
        "correlations": correlation_table(aggregates, runs),
    }
