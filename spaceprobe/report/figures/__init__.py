"""The figures of a study: a file each, with the function that draws its tables and its entry in the report.

A table that lacks what a figure is about gives a figure that says so. `render` gives a figure as a file of
one of `FORMATS`.
"""

from collections.abc import Callable
from importlib import import_module

from matplotlib.figure import Figure

from spaceprobe.errors import SettingsError
from spaceprobe.report.drawing.style import FORMATS, render
from spaceprobe.report.entry import FigureEntry

MODULES = (
    "depth_and_width",
    "class_pairs",
    "distribution",
    "path",
    "plane",
    "sampling",
    "cantornet",
    "spectra",
    "ranks",
    "metrics",
    "evolution",
    "convergence",
    "dimension",
    "retrieval",
    "semantics",
    "training",
)
"""The files of this package that declare entries, in the order of the page."""

FIGURES: tuple[FigureEntry, ...] = tuple(
    entry for module in MODULES for entry in import_module(f"{__name__}.{module}").ENTRIES
)
"""All figures, in the order of the page."""

FUNCTIONS = {entry.function.__name__: entry.function for entry in FIGURES}
"""The functions that draw them, by name: attributes of this module as well."""

__all__ = ["FIGURES", "FORMATS", "FUNCTIONS", "figure_named", "render"]


def __getattr__(name: str) -> Callable[..., Figure]:
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return FUNCTIONS[name]


def __dir__() -> list[str]:
    return sorted([*__all__, *FUNCTIONS])


def figure_named(name: str) -> FigureEntry:
    """Return the entry of a figure by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    entry = next((entry for entry in FIGURES if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in FIGURES)
        raise SettingsError(f"KIND {name!r}: is not a figure; choose one of {known}")
    return entry
