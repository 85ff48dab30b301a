"""Let a stage work on a file of the user's own, without a study: its parts, its tables, what it prints."""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spaceprobe.files import ResultsError, write_whole
from spaceprobe.stages.stage import FileInput, FileOutcome, OpenedFile, Part
from spaceprobe.study.code_version import source_version
from spaceprobe.study.layout import PROVENANCE
from spaceprobe.study.provenance import provenance, read_provenance
from spaceprobe.study.storage.part_files import StoredPart, read_part, write_part
from spaceprobe.tables.frames import build_frame, write_csv

Result = tuple[Mapping[str, Any], str | None]
"""The record of a part, and why there is no result. Arrays of all parts may not fit into memory."""


def work_on_file(
    stage_name: str, file_input: FileInput, path: Path, results: Path, options: Mapping[str, Any]
) -> FileOutcome:
    """Compute the parts of a file, write its tables and return what came out.

    Parts that are finished are kept: the same call goes on where an earlier one stopped. Parts of an earlier
    call with other options that this one does not have are removed once all of this one are finished.

    Args:
        stage_name: of the stage, for the progress bar.
        file_input: how the stage works on files.
        path: of the file.
        results: the folder in which the file gets a folder of its own.
        options: by name, None for those left out.

    Raises:
        SpaceprobeError: the file cannot be read, or does not fit the options.
        ResultsError: results cannot be written.
    """
    return work_on_opened(stage_name, file_input, file_input.open(path, options), results)


def work_on_opened(stage_name: str, file_input: FileInput, file: OpenedFile, results: Path) -> FileOutcome:
    """Do the same with what was opened already, such as the weights of a network in memory.

    Raises:
        ResultsError: results cannot be written.
    """
    folder = results / file.name
    progress = tqdm(file.parts, desc=stage_name, unit=file_input.unit, disable=None)
    code = source_version(file_input.open.__module__)
    finished = []
    is_idle = True
    for part in progress:
        result, is_stored = _finished(file, folder, part, code)
        finished.append(result)
        is_idle = is_idle and is_stored
    records = [record for record, _ in finished]
    tabulated = file_input.tabulate(records, file.tables)
    for table in file.tables:
        rows = [{"run": file.name, **row} for row in tabulated[table.name]]
        write_csv(folder / f"{table.name}.csv", build_frame(table, rows))
    for leftover in _leftovers(file, folder):
        try:
            leftover.unlink()
        except OSError as error:
            raise ResultsError(
                f"{leftover}: belongs to an earlier call and cannot be removed ({error.strerror}); remove it "
                "or give another folder with --results"
            ) from error
    _note_provenance(folder / PROVENANCE, file_input.flag.removeprefix("--"), file, is_idle=is_idle)
    text = file_input.present(file, records, folder)
    errors = zip(file.parts, finished, strict=True)
    return FileOutcome(folder, text, {file.title(part): error for part, (_, error) in errors if error})


def _finished(file: OpenedFile, folder: Path, part: Part, code: str) -> tuple[Result, bool]:
    """Return the result of a part, which is stored when this returns, and whether it was already."""
    stored = read_part(folder, part, code)
    if isinstance(stored, StoredPart):
        return (stored.content.record, stored.content.error), True
    start = time.perf_counter()
    content = file.compute(part)
    write_part(folder, part, content, time.perf_counter() - start, code)
    return (content.record, content.error), False


def _note_provenance(path: Path, name: str, file: OpenedFile, *, is_idle: bool) -> None:
    """Write where the results come from, unless nothing was computed and it is written already.

    Raises:
        ResultsError: it cannot be written.
    """
    if not (is_idle and path.is_file() and _is_noted(path, name, file)):
        facts = {name: dict(file.facts), **provenance(sys.argv)}
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        write_whole(path, text.encode(errors="backslashreplace"))


def _is_noted(path: Path, name: str, file: OpenedFile) -> bool:
    """Return whether a provenance.json is of a call with the same options, wherever the file lay then."""
    noted = read_provenance(path)[0].get(name)
    facts = json.loads(json.dumps(dict(file.facts)))  # a tuple is a list there
    return isinstance(noted, dict) and {**noted, "path": ""} == {**facts, "path": ""}


def _leftovers(file: OpenedFile, folder: Path) -> Iterator[Path]:
    """Yield the parts of an earlier call that are not of this one."""
    wanted = {part.path for part in file.parts}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if re.fullmatch(file.part_pattern, name) and name not in wanted:
            yield path
