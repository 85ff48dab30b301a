"""The test losses of all runs."""

from spaceprobe.report.drawing.style import new_figure
from spaceprobe.report.entry import FigureEntry


def losses_figure(runs):
    """Draw a histogram of the test losses of runs.csv."""
    figure = new_figure()
    figure.axes[0].hist(runs["test_loss"])
    return figure


ENTRY = FigureEntry(
    title="Test losses", section="training", function=losses_figure, tables=("runs",), caption="One a run."
)
