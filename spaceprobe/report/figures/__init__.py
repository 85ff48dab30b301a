"""The figures of a study: each a file of this package, with the function that draws it and its ``ENTRY``.

A function takes tables as pandas reads them. A table that lacks what a figure is about gives a figure that
says so. `render` gives a figure as a file of one of `FORMATS`.
"""

from collections.abc import Callable

from matplotlib.figure import Figure

from spaceprobe.errors import SettingsError
from spaceprobe.registry import read_entries
from spaceprobe.report.drawing.style import FORMATS, render
from spaceprobe.report.entry import FigureEntry

FILES = (
    "depth",
    "width",
    "setting",
    "class_pairs",
    "distribution",
    "path",
    "plane",
    "sampling",
    "cantor_path",
    "cantor_plane",
    "cantor_sampling",
    "spectra",
    "ranks",
    "metrics",
    "evolution",
    "convergence",
    "dimension",
    "retrieval",
    "semantics",
    "memory",
    "training",
)

FIGURES = read_entries(__name__, FILES, FigureEntry)
"""All figures by name, in the order of the page."""

FUNCTIONS = {entry.function.__name__: entry.function for entry in FIGURES.values()}
"""The functions that draw them, by name: attributes of this module as well."""

__all__ = ["FORMATS", "render", *FUNCTIONS]


def __getattr__(name: str) -> Callable[..., Figure]:
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return FUNCTIONS[name]


def figure_named(name: str) -> FigureEntry:
    """Return the entry of a figure by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in FIGURES:
        raise SettingsError(f"KIND {name!r} is not a figure; choose one of {', '.join(FIGURES)}")
    return FIGURES[name]
