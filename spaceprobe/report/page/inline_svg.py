"""Figures in a page: SVG inside the HTML, in the colours of the page."""

import re
from collections.abc import Collection
from html import escape

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.colors import to_hex

from spaceprobe.report.drawing.style import BLUE, GRAY, GRID, INK, LIGHTEST, LINE_SCALE, MUTED, ORANGE, PAPER

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    BLUE: "--trained",
    ORANGE: "--untrained",
    GRAY: "--third",
}
"""Colours of figures that a page sets itself, others in the dark."""

DARKEST = 0.45
"""On the continuous scale, of lines on dark paper, where order goes from light to dark. Chosen."""

PIXELS = 1.6
"""Of the page for a point of the figure: with 4/3, as on paper, its text would be too small. Chosen."""

XLINK = "http://www.w3.org/1999/xlink"

WIDE = 640
"""Pixels; a wider figure keeps its panels legible on a phone, and is scrolled. Chosen."""

_OPENING = re.compile(r"<svg\b[^>]*>")
_SIZE = re.compile(r'\b(width|height)="([\d.]+)pt"')
_VIEW = re.compile(r'viewBox="[^"]*"')
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_COLOR = re.compile("|".join(map(re.escape, VARIABLES)), re.IGNORECASE)
_ID = re.compile(r'(\bid="|\bxlink:href="#|\bhref="#|url\(#)')
_LINKED = re.compile(r'<g data-link="([^"]*)">(.*?)</g>', re.DOTALL)
_NOT_PRINTED = re.compile(r"\n\s*")


def line_variable(color: str) -> str:
    """Return the CSS variable of a colour of ordered lines."""
    return f"--line-{color.removeprefix('#')}"


def _dark_lines() -> dict[str, str]:
    """Return the colours on dark paper of ordered lines, by their colours on light paper."""
    scale = mpl.colormaps[LINE_SCALE]
    last = int(LIGHTEST * scale.N)
    return {
        to_hex(scale(place)): to_hex(scale(1 - (1 - DARKEST) * place / last)) for place in range(last + 1)
    }


DARK_LINES = _dark_lines()


def inline_svg(svg: bytes, name: str, label: str, links: Collection[str] = ()) -> Markup:
    """Return an SVG that matplotlib wrote, ready to be put into a page.

    Its identifiers begin with its name, since a page has several figures; its colours are the page's. A part
    that `spaceprobe.report.drawing.style.titled` gave a link leads there, where the page has it.

    Args:
        svg: the file.
        name: of the figure, unique in the page.
        label: for readers who do not see it.
        links: the identifiers, without the name, of what the page has for parts to lead to.
    """
    text = svg.decode()
    opening = _OPENING.search(text)
    view = _VIEW.search(text)
    if opening is None or view is None:
        raise ValueError(f"{name}: is not an SVG of matplotlib")
    body = _METADATA.sub("", text[opening.end() :])
    # Out of the order of tabs, since there may be a thousand: a list below the figure has the same links.
    body = _LINKED.sub(
        lambda part: f'<a href="#{part[1]}" tabindex="-1">{part[2]}</a>' if part[1] in links else part[0],
        body,
    )
    body = _ID.sub(rf"\g<1>{name}-", body)
    for color in DARK_LINES:
        if f"stroke: {color}" in body:  # a line or a marker, not a cell whose colour is a number
            body = body.replace(color, f"var({line_variable(color)}, {color})")
    body = _COLOR.sub(lambda match: f"var({VARIABLES[match[0].lower()]})", body)
    size = {side: round(float(points) * PIXELS) for side, points in _SIZE.findall(opening[0])}
    kind = ' class="wide"' if size["width"] > WIDE else ""
    shape = f'width="{size["width"]}" height="{size["height"]}" {view[0]}'
    head = f'<svg role="img"{kind} aria-label="{escape(label)}" {shape} xmlns:xlink="{XLINK}">'
    # matplotlib escapes the text of a figure, `titled` its titles, and the label is escaped above.
    return Markup(head + _NOT_PRINTED.sub("\n", body).strip())  # noqa: S704  # see above
