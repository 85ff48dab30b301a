"""Makes a study's report: its figures as SVG and PNG, the tables of its example paths, and the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import remove_abandoned, write_whole
from spaceprobe.report.answers import ANSWERS, answer_tables
from spaceprobe.report.drawing.style import render
from spaceprobe.report.figures import FIGURES
from spaceprobe.report.numbers import FIGURES_FOLDER, Numbers
from spaceprobe.report.page.page import PAIRS, study_page
from spaceprobe.report.page.pair_panels import TABLE as CLASS_PAIRS
from spaceprobe.report.page.pair_panels import class_pair_table
from spaceprobe.report.up_to_date import note_report, sources
from spaceprobe.results.missing import by_reason
from spaceprobe.results.results import Results, load_results
from spaceprobe.study.config import Study
from spaceprobe.study.layout import REPORT
from spaceprobe.tables.frames import write_csv
from spaceprobe.user_code import stdout_kept

SUFFIXES = ("svg", "png")
"""Of the files of each figure."""


@dataclass(frozen=True)
class Report:
    """What was made.

    Attributes:
        page: the page.
        num_figures: figures beside it.
        missing: why other figures are not there, by their title.
    """

    page: Path
    num_figures: int
    missing: Mapping[str, str]

    def reasons(self) -> dict[str, list[str]]:
        """Return the titles of the figures that are not there, by reason."""
        return by_reason(self.missing)


@stdout_kept()
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
    remove_abandoned(folder / FIGURES_FOLDER)  # what a report left that was killed
    reasons = {name: entry.lacks(results) for name, entry in FIGURES.items()}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    drawings = {}
    for name, entry in FIGURES.items():
        if name in missing:
            remove_figure(folder, name)
            continue
        figure = entry.draw(results)
        for suffix in SUFFIXES:
            data = render(figure, suffix)
            write_whole(folder / FIGURES_FOLDER / f"{name}.{suffix}", data)
            if suffix == "svg":
                drawings[name] = data
    of_report = example_tables(results, missing) | answer_tables(results)
    if PAIRS in drawings:
        of_report[CLASS_PAIRS] = class_pair_table(results)
    for table, frame in of_report.items():
        write_csv(folder / FIGURES_FOLDER / f"{table}.csv", frame)
    for table in {entry.table for entry in ANSWERS.values()} - {*of_report}:
        _remove(folder / FIGURES_FOLDER / f"{table}.csv")
    numbers = Numbers(study, results.frames, of_report)
    page = folder / REPORT
    write_whole(page, study_page(results, numbers, drawings, missing).encode())
    note_report(folder, made_from)
    return Report(page, len(drawings), {FIGURES[name].title: reason for name, reason in missing.items()})


def example_tables(results: Results, missing: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return the tables of the example path and of CantorNet's, by name, where a figure draws them."""
    tables: dict[str, pd.DataFrame] = {}
    if "path" not in missing and not isinstance(results.example, str):
        tables |= results.example.tables()
    if "cantor-path" not in missing:
        tables |= results.cantor.tables()
    return tables


def remove_figure(folder: Path, name: str) -> None:
    """Remove an earlier report's figure that this one does not have."""
    for suffix in SUFFIXES:
        _remove(folder / FIGURES_FOLDER / f"{name}.{suffix}")


def _remove(path: Path) -> None:
    """Remove a figure or a table of an earlier report that this one does not have."""
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:  # a file in place of the folder: writing a figure reports it
        return
    except OSError as error:
        raise SpaceprobeError(
            f"{path}: is from an earlier report and cannot be removed ({error.strerror}); move it away"
        ) from error
