"""How χ of the path across CantorNet approaches the exact value."""

from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.figures.sampling import sampling_caption, sampling_figure

ENTRY = FigureEntry(
    title="CantorNet: how many points its path needs",
    section="paths",
    function=sampling_figure,
    tables=("cantor_samples",),
    needs=("folding",),
    caption=lambda numbers: sampling_caption(numbers, "cantor_samples", (5, 11)),
)
