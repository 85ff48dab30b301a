"""Folding against width."""

from spaceprobe.report.figures.depth import entry_against, if_varying

ENTRY = entry_against("width", "Folding against width", if_varying("width"))
