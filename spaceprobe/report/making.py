"""Makes a study's report: its figures as SVG and PNG, the tables that were made for them, and the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import remove_abandoned, write_whole
from spaceprobe.report.figures.style import render
from spaceprobe.report.kinds import KINDS, Kind
from spaceprobe.report.numbers import FIGURES, Numbers
from spaceprobe.report.page.page import study_page
from spaceprobe.report.up_to_date import note_report, sources
from spaceprobe.results.missing import by_reason
from spaceprobe.results.results import Results, load_results
from spaceprobe.study.config import Study
from spaceprobe.study.layout import REPORT
from spaceprobe.tables.frames import write_csv

if TYPE_CHECKING:
    from spaceprobe.results.examples import WalkExample

KINDS_OF_FILE = ("svg", "png")

EXAMPLE_COLUMNS = ("run", "epoch", "source", "source_class", "target", "target_class")
"""Of the table that says which path is shown."""


@dataclass(frozen=True)
class Report:
    """What was made.

    Attributes:
        page: the page.
        num_figures: figures beside it.
        lacking: why other figures are not there, by their title.
    """

    page: Path
    num_figures: int
    lacking: Mapping[str, str]

    def reasons(self) -> dict[str, list[str]]:
        """Return the titles of the figures that are not there, by reason."""
        return by_reason(self.lacking)


def make_report(study: Study, folder: Path) -> Report:
    """Write the report of a study that was started, and return what was made.

    Args:
        study: the study.
        folder: its folder of results; the page goes there, figures into ``figures``.

    Raises:
        SpaceprobeError: there are no tables yet, or the report cannot be written.
    """
    made_from = sources(folder)
    results = load_results(study, folder)
    remove_abandoned(folder / FIGURES)  # of a report that was killed, as `run` removes what it left elsewhere
    lacking = {kind.name: reason for kind in KINDS if (reason := kind.lacks(results)) is not None}
    drawings = {}
    for kind in KINDS:
        if kind.name in lacking:
            _remove_figure(folder, kind)
            continue
        figure = kind.draw(results)
        for suffix in KINDS_OF_FILE:
            data = render(figure, suffix)
            write_whole(folder / FIGURES / f"{kind.name}.{suffix}", data)
            if suffix == "svg":
                drawings[kind.name] = data
    drawn = drawn_tables(results, lacking)
    for name, frame in drawn.items():
        write_csv(folder / FIGURES / f"{name}.csv", frame)
    numbers = Numbers(study, results.frames, drawn)
    page = folder / REPORT
    write_whole(page, study_page(results, numbers, drawings, lacking).encode())
    note_report(folder, made_from)
    return Report(
        page, len(drawings), {kind.title: lacking[kind.name] for kind in KINDS if kind.name in lacking}
    )


def drawn_tables(results: Results, lacking: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return the tables that are made for figures, by name: of the example path and of CantorNet's."""
    tables: dict[str, pd.DataFrame] = {}
    if "path" not in lacking and not isinstance(results.example, str):
        facts = {name: getattr(results.example, name) for name in EXAMPLE_COLUMNS}
        tables |= {"example": pd.DataFrame([facts]), **_walk_tables("example", results.example)}
    if "cantor-path" not in lacking:
        tables |= _walk_tables("cantor", results.cantor)
    return tables


def _walk_tables(prefix: str, example: "WalkExample") -> dict[str, pd.DataFrame]:
    return {
        f"{prefix}_path": example.path,
        f"{prefix}_samples": example.samples,
        f"{prefix}_plane": example.plane,
    }


def _remove_figure(folder: Path, kind: Kind) -> None:
    """Remove an earlier report's figure that this one does not have."""
    for suffix in KINDS_OF_FILE:
        path = folder / FIGURES / f"{kind.name}.{suffix}"
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:  # in place of the folder: whoever writes a figure there says so
            return
        except OSError as error:
            raise SpaceprobeError(
                f"{path}: is an earlier report's and cannot be removed ({error.strerror}); move it away"
            ) from error
