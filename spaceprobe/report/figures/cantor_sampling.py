"""How χ of the path across CantorNet approaches the exact value."""

from spaceprobe.report.entry import FigureEntry, needs
from spaceprobe.report.figures.sampling import sampling_caption, sampling_figure

ENTRY = FigureEntry(
    name="cantor-sampling",
    title="CantorNet: how many points its path needs",
    section="paths",
    function=sampling_figure,
    tables=("cantor_samples",),
    lacks=needs("folding"),
    caption=lambda numbers: sampling_caption(numbers, "cantor_samples", (5, 11)),
)
