"""Files that commands draw figures to."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.user_paths import UserPath
from spaceprobe.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")

STYLES = {"page": "7.2in", "paper-1col": "84mm", "paper-2col": "174mm"}
"""Widths by name: of the report's page, and of one and two columns of most journals."""

NARROWEST, WIDEST = 70 / 25.4, 400 / 25.4
"""Inches between which a figure can be read. Chosen."""

_INCHES = {"mm": 1 / 25.4, "cm": 10 / 25.4, "in": 1.0}

_WIDTH = re.compile(r"(\d+(?:\.\d+)?) ?(mm|cm|in)", re.ASCII)


def out_parameter() -> click.Option:
    """Return the option for the file that a figure is drawn to."""
    return click.Option(
        ["--out"],
        type=UserPath(),
        metavar="FILE",
        help=f"Draw it to a file ({', '.join(SUFFIXES)}).",
    )


def size_parameters() -> list[click.Option]:
    """Return the options for the width of a figure."""
    return [
        click.Option(
            ["--style"],
            type=click.Choice([*STYLES]),
            default="page",
            help="Make it as wide as a page of the report, or as one or two columns of a paper "
            f"({STYLES['paper-1col']}, {STYLES['paper-2col']}).",
        ),
        click.Option(
            ["--width"],
            metavar="WIDTH",
            help="Make it so wide instead, such as 84mm, 8.4cm or 3.3in; text keeps its size.",
        ),
    ]


def width_of(style: str, width: str | None) -> float:
    """Return the width in inches that a figure is asked for in.

    Args:
        style: one of `STYLES`, which counts where no width is given.
        width: a number and its unit; None for none.

    Raises:
        SettingsError: the width has no number or no known unit, or no figure can be so wide.
    """
    text = STYLES[style] if width is None else width.strip()
    parts = _WIDTH.fullmatch(text)
    if parts is None:
        raise SettingsError(
            f"--width {width}: expected a number and its unit ({', '.join(_INCHES)}), such as 84mm"
        )
    inches = float(parts[1]) * _INCHES[parts[2]]
    if not NARROWEST <= inches <= WIDEST:
        raise SettingsError(
            f"--width {width}: a figure is from {NARROWEST / _INCHES['mm']:.0f}mm to "
            f"{WIDEST / _INCHES['mm']:.0f}mm wide"
        )
    return inches


def check_out(out: Path | None) -> None:
    """Check, before anything is computed, that a figure can be drawn to a file of that name.

    Raises:
        SettingsError: its suffix is not one of `SUFFIXES`, or it is a folder.
    """
    if out is not None and out.suffix.lower() not in SUFFIXES:
        suffix = f"ends in {out.suffix}" if out.suffix else "has no suffix"
        raise SettingsError(f"--out {out}: {suffix}; a figure is drawn as {', '.join(SUFFIXES)}")
    if out is not None and out.is_dir():
        raise SettingsError(f"--out {out}: is a folder; name a file in it")


def write_figure(figure: "Figure", out: Path) -> None:
    """Write a figure to a file as a whole.

    Args:
        figure: the figure.
        out: the file; its suffix, one of `SUFFIXES`, gives the format.

    Raises:
        ResultsError: it cannot be written.
    """
    from spaceprobe.files import write_whole
    from spaceprobe.report.drawing.style import render

    write_whole(out, render(figure, out.suffix.lower().removeprefix(".")))
