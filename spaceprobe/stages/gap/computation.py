"""Relates the measures of a study's networks to their gaps between training and test."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.gap.tables import GAP_RANKS
from spaceprobe.stages.stage import Sections
from spaceprobe.tables.frames import Frames

if TYPE_CHECKING:
    import pandas as pd


def reduce(sections: Sections, frames: Frames) -> "Mapping[str, pd.DataFrame]":
    """Return how measures go with the gap."""
    del sections
    from spaceprobe.analysis.gap import gap_ranks

    return {GAP_RANKS.name: gap_ranks(frames, GAP_RANKS)}
