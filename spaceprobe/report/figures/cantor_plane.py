"""The unit square of CantorNet."""

from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.figures.plane import plane_caption, plane_figure

ENTRY = FigureEntry(
    title="CantorNet: its square",
    section="paths",
    function=plane_figure,
    tables=("cantor_plane",),
    options=lambda results: {"corners": results.cantor.corners, "labels": results.cantor.labels},
    needs=("folding",),
    caption=lambda numbers: plane_caption(numbers, "cantor_plane"),
)
