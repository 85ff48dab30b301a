"""Files that commands draw figures to."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")


def out_parameter() -> click.Option:
    """Return the option for the file that a figure is drawn to."""
    return click.Option(
        ["--out"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Draw it to a file ({', '.join(SUFFIXES)}).",
    )


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
