"""The figures of a study: each a file of this package, with the function that draws it and its ``ENTRY``.

A function takes tables as pandas reads them. A table that lacks what a figure is about gives a figure that
says so. `render` gives a figure as a file of one of `FORMATS`.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any

from matplotlib.figure import Figure

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.registry import read_entries
from spaceprobe.report.drawing.style import FORMATS, render
from spaceprobe.report.entry import SECTIONS, FigureEntry
from spaceprobe.results.readings import DECLARED

FILES = (
    "depth",
    "width",
    "setting",
    "null_model",
    "class_pairs",
    "distribution",
    "architectures",
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
    "gap",
    "training",
)


def _refuse(entry: FigureEntry, others: Mapping[str, FigureEntry]) -> str | None:
    if entry.section not in SECTIONS:
        return f"section {entry.section!r}: expected one of {', '.join(SECTIONS)}"
    unknown = {*entry.tables, *entry.needs} - {
        *DECLARED,
        *(n for other in others.values() for n in other.tables),
    }
    return f"tables {', '.join(sorted(unknown))}: no stage writes that" if unknown else None


FIGURES = read_entries(__name__, FILES, FigureEntry, "figures", _refuse, is_first_use=True)
"""All figures by name, in the order of the page, those of plug-ins last."""


def _checked(entry: FigureEntry) -> Callable[..., Figure]:
    """Return the function of a figure that calls a table which lacks a column by its name.

    Its tables are anyone's: hand-made ones need the columns that are drawn only, and those that an earlier
    version wrote may lack one.
    """

    @wraps(entry.function)
    def draw(*args: Any, **kwargs: Any) -> Figure:
        try:
            return entry.function(*args, **kwargs)
        except KeyError as error:
            given = dict(zip(signature(entry.function).parameters, args, strict=False)) | kwargs
            for name, parameter in zip(entry.tables, signature(entry.function).parameters, strict=False):
                frame, table = given.get(parameter), DECLARED.get(name)
                if frame is None or table is None:
                    continue
                lacking = [
                    column
                    for column in table.names
                    if column not in frame.columns and f"'{column}'" in str(error)
                ]
                if lacking:
                    raise SpaceprobeError(
                        f"{name}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}, which "
                        "tables of this version have; `spaceprobe run` computes it again"
                    ) from error
            raise

    return draw


_OWN = [FIGURES[file.replace("_", "-")] for file in FILES]
FUNCTIONS = {entry.function.__name__: _checked(entry) for entry in _OWN}
"""The functions that draw them, by name: attributes of this module as well. Those of plug-ins are not."""

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
