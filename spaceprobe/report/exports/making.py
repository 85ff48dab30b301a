"""Writes results in a form that papers or other tools take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.files import write_whole
from spaceprobe.report.exports.event_files import event_files
from spaceprobe.report.exports.latex import latex_table
from spaceprobe.report.exports.markdown import markdown_table
from spaceprobe.report.exports.paper_table import PaperTable, paper_tables
from spaceprobe.report.exports.parquet import parquet_file
from spaceprobe.results.results import Results


@dataclass(frozen=True)
class Export:
    """Files by their path in a folder, and why others are not among them."""

    files: Mapping[str, bytes]
    missing: tuple[str, ...] = ()


def write_export(results: Results, form: str, folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Write results in a form, and return the files and why others are not there.

    Args:
        results: of a study.
        form: one of `FORMS`.
        folder: where the files go; what else is there stays.

    Raises:
        SpaceprobeError: there is nothing to write, a package is not installed, or a file cannot be written.
    """
    export = FORMS[form](results)
    paths = []
    for name, data in export.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        paths.append(path)
    return paths, export.missing


def _paper_tables(results: Results, suffix: str, write: Callable[[PaperTable], str]) -> Export:
    tables, missing = paper_tables(results)
    files = {f"{table.name}.{suffix}": write(table).encode() for table in tables}
    return Export(files, tuple(missing))


def _latex(results: Results) -> Export:
    return _paper_tables(results, "tex", latex_table)


def _markdown(results: Results) -> Export:
    return _paper_tables(results, "md", markdown_table)


def _parquet(results: Results) -> Export:
    return Export({f"{name}.parquet": parquet_file(name, frame) for name, frame in results.frames.items()})


def _tensorboard(results: Results) -> Export:
    return Export(event_files(results))


FORMS: Mapping[str, Callable[[Results], Export]] = {
    "latex": _latex,
    "markdown": _markdown,
    "parquet": _parquet,
    "tensorboard": _tensorboard,
}
"""What makes the files of each form."""
