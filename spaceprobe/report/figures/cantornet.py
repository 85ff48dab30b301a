"""The figures of paths for CantorNet, whose folding is known."""

from spaceprobe.report.entry import FigureEntry, needs
from spaceprobe.report.figures.path import flips_caption, path_figure
from spaceprobe.report.figures.plane import plane_caption, plane_figure
from spaceprobe.report.figures.sampling import sampling_caption, sampling_figure

ENTRIES = (
    FigureEntry(
        name="cantor-path",
        title="CantorNet: a path whose folding is known",
        section="paths",
        function=path_figure,
        tables=("cantor_path",),
        lacks=needs("folding"),
        caption=lambda numbers: flips_caption(numbers, "cantor_path"),
    ),
    FigureEntry(
        name="cantor-plane",
        title="CantorNet: its square",
        section="paths",
        function=plane_figure,
        tables=("cantor_plane",),
        options=lambda results: {"corners": results.cantor.corners, "labels": results.cantor.labels},
        lacks=needs("folding"),
        caption=lambda numbers: plane_caption(numbers, "cantor_plane"),
    ),
    FigureEntry(
        name="cantor-sampling",
        title="CantorNet: how many points its path needs",
        section="paths",
        function=sampling_figure,
        tables=("cantor_samples",),
        lacks=needs("folding"),
        caption=lambda numbers: sampling_caption(numbers, "cantor_samples", (5, 11)),
    ),
)
