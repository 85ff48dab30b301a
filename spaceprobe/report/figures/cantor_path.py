"""The path across CantorNet, whose folding is known."""

from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.figures.path import flips_caption, path_figure

ENTRY = FigureEntry(
    title="CantorNet: a path whose folding is known",
    section="paths",
    function=path_figure,
    tables=("cantor_path",),
    needs=("folding",),
    caption=lambda numbers: flips_caption(numbers, "cantor_path"),
)
