"""The unit square of CantorNet."""

from spaceprobe.report.entry import FigureEntry, needs
from spaceprobe.report.figures.plane import plane_caption, plane_figure

ENTRY = FigureEntry(
    name="cantor-plane",
    title="CantorNet: its square",
    section="paths",
    function=plane_figure,
    tables=("cantor_plane",),
    options=lambda results: {"corners": results.cantor.corners, "labels": results.cantor.labels},
    lacks=needs("folding"),
    caption=lambda numbers: plane_caption(numbers, "cantor_plane"),
)
