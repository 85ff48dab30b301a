"""How all figures look, and how they are saved: the same bytes for the same table.

Colours are told apart by readers who see no red or no green, and in grey: what differs in colour differs in
lightness, and in marker or line as well (blue and orange after Okabe and Ito, "Color Universal Design",
2008; scales are cividis, after Nuñez, Anderton and Renslow, PLoS ONE 13(7), 2018).
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from textwrap import fill
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

INK = "#1b1b1f"
MUTED = "#66666e"
GRID = "#dcdce2"
PAPER = "#ffffff"
"""Pages in the dark replace these four; no figure uses them for data."""

BLUE, ORANGE, GRAY = "#004b87", "#bb5a12", "#4d4d55"
"""Each dark enough for text on `PAPER` (4.5:1); the first two lie as far apart in grey as that allows."""

SEQUENTIAL = "cividis"

LIGHTEST = 0.62
"""Where sequences of lines end on their scale: lighter ones have less than 3:1 of contrast with paper."""

LINE_SCALE = "plasma"
"""Of ordered lines: lightness and hue both change, so that five can be told apart in print and in grey."""

WIDTH = 7.2
"""Of a figure in inches, on a page: two columns of most journals."""

SMALLEST_FONT = 6.0
"""In points: no text of a figure is smaller, however narrow the figure is."""

_width: ContextVar[float] = ContextVar("width", default=WIDTH)

RESOLUTION = 200
"""Of a PNG, in dots an inch."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))

STYLE: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same everywhere
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "figure.dpi": RESOLUTION,
    "svg.fonttype": "path",  # looks the same without the font
    "svg.hashsalt": "spaceprobe",
    "pdf.fonttype": 42,
    "figure.max_open_warning": 0,
}

NOTE_WIDTH = 72
"""Characters in a line of a note: as many as a figure of `WIDTH` is wide."""

_CANVASES = {"svg": FigureCanvasSVG, "png": FigureCanvasAgg, "pdf": FigureCanvasPdf}

FORMATS = (*_CANVASES,)

_NO_TIME: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

_TITLE = re.compile(r'<g id="title(?: #([a-z0-9-]+))?: ([^"]*)">')  # matplotlib escaped the attribute
_NOT_IN_XML = re.compile(r"[\x00-\x1f\ufffe\uffff\ud800-\udfff]")


@contextmanager
def styled() -> Iterator[None]:
    """Make and draw figures inside the block in this style, whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, STYLE))  # the stubs ask for literal keys
        yield


@contextmanager
def drawn_for(width: float) -> Iterator[None]:
    """Make figures inside the block so many inches wide: fewer panels side by side, not smaller text."""
    token = _width.set(width)
    try:
        yield
    finally:
        _width.reset(token)


def figure_width() -> float:
    """Return the width in inches that figures are made for."""
    return _width.get()


def that_fit(most: int, least_width: float) -> int:
    """Return how many panels that take so many inches at least stand side by side, at most so many.

    >>> that_fit(4, 1.5), that_fit(2, 1.5)
    (4, 2)
    >>> with drawn_for(3.3):
    ...     that_fit(4, 1.5)
    2
    """
    return max(1, min(most, int(figure_width() / least_width)))


def letters(in_full_width: int) -> int:
    """Return how many characters fit into a line, given how many do in a figure of `WIDTH`."""
    return max(16, int(in_full_width * figure_width() / WIDTH))


class ShownFigure(Figure):
    """A figure that a notebook shows where it is the last value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        return render(self, "png")


def new_figure(
    num_rows: int = 1, num_columns: int = 1, *, height: float = 2.6, width: float = WIDTH, **options: Any
) -> Figure:
    """Return a figure with empty panels, not wider than figures are made for.

    Args:
        num_rows: rows of panels.
        num_columns: columns of panels.
        height: of a panel, in inches.
        width: of the figure on a page, in inches.
        options: of `Figure.subplots`.
    """
    width = figure_width() if width == WIDTH else min(width, figure_width())
    figure = ShownFigure(figsize=(width, height * num_rows), layout="constrained")
    figure.subplots(num_rows, num_columns, squeeze=False, **options)
    return figure


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file without times or random names.

    In an SVG, parts that were given a title by `titled` have it, for pointers and screen readers.

    Args:
        figure: the figure; the places of its parts are fixed when it is first rendered, so that all
            formats agree.
        kind: one of `FORMATS`.
    """
    file = io.BytesIO()
    with styled():
        figure.set_dpi(RESOLUTION)  # an SVG leaves its own behind
        _settle(figure)
        # Figure.savefig draws everything twice, once for the layout, which is done.
        canvas: Any = _CANVASES[kind](figure)
        getattr(canvas, f"print_{kind}")(file, metadata=_NO_TIME[kind])
    if kind != "svg":
        return file.getvalue()
    return _TITLE.sub(_with_title, file.getvalue().decode()).encode()


def _with_title(found: re.Match[str]) -> str:
    link = "" if found[1] is None else f' data-link="{found[1]}"'
    return f"<g{link}><title>{found[2]}</title>"


def _settle(figure: Figure) -> None:
    """Fix the places of the parts of a figure, rounded.

    Their last bits differ from call to call, and with them the names of clip paths in an SVG.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (
            round(float(place), 6) for place in axes.get_position(original=True).bounds
        )
        axes.set_position((left, bottom, width, height), which="original")


def titled(text: str, link: str | None = None) -> str:
    """Return the ``gid`` that gives a part of a figure a title in SVGs.

    Args:
        text: the title, any text.
        link: of lower-case letters, digits and dashes, what the part leads to in a page; None for nothing.
    """
    return f"title{'' if link is None else f' #{link}'}: {_NOT_IN_XML.sub('?', text)}"


def sequence_colors(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours for ordered things such as depths, from dark to light but readable on paper."""
    scale = mpl.colormaps[LINE_SCALE]
    return [scale(LIGHTEST * number / max(1, count - 1)) for number in range(count)]


def title_lines(axes: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Write lines above a panel, each in a colour, where no curve strikes them."""
    for number, (line, color) in enumerate(reversed(lines)):
        axes.annotate(
            line,
            (0, 1),
            (-24, 3 + 9 * number),  # from the numbers of the y axis on
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            ha="left",
            fontsize=6.5,
            color=color,
        )


def empty_note(axes: Axes, reason: str) -> None:
    """Write in the middle of a panel why it is empty; the text is never read as a formula."""
    axes.set_axis_off()
    note = plain(fill(reason, letters(NOTE_WIDTH)))
    axes.text(0.5, 0.5, note, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def plain(text: object) -> str:
    """Return a text from a table so that a figure shows it as it is.

    Dollar signs do not begin a formula. A character that the font lacks becomes a question mark, so that
    matplotlib does not warn.
    """
    known = _characters()
    return "".join(c if c == "\n" or ord(c) in known else "?" for c in str(text)).replace("$", r"\$")


@cache
def _characters() -> frozenset[int]:
    """Return the code points that the font of the style has."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def format_number(value: float, digits: int = 3) -> str:
    """Return a number as figures show it, with so many significant digits."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}"
