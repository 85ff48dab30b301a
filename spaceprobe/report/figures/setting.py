"""Folding against the first number that is swept, other than depth and width."""

from spaceprobe.report.figures.depth import entry_against
from spaceprobe.results.questions import other_setting

ENTRY = entry_against("setting", "Folding against another setting", other_setting)
