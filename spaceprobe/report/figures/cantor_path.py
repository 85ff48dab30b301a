"""The path across CantorNet, whose folding is known."""

from spaceprobe.report.entry import FigureEntry, needs
from spaceprobe.report.figures.path import flips_caption, path_figure

ENTRY = FigureEntry(
    name="cantor-path",
    title="CantorNet: a path whose folding is known",
    section="paths",
    function=path_figure,
    tables=("cantor_path",),
    lacks=needs("folding"),
    caption=lambda numbers: flips_caption(numbers, "cantor_path"),
)
