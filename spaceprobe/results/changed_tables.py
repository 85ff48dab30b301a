"""Finds the tables that are no longer those that spaceprobe wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import file_digest
from spaceprobe.stages import STAGES
from spaceprobe.study.layout import table_path
from spaceprobe.study.storage.part_store import PartStore, Stamp, stamp_of
from spaceprobe.study.tables import TIMINGS

_SENTENCES = {
    "changed": "{} is not the table that was computed: it was changed since; `spaceprobe run` writes it "
    "again",
    "removed": "{} was computed but is not there: it was removed since; `spaceprobe run` writes it again",
    "added": "{} was not computed: the study, as it was run, has no such table; `spaceprobe run` removes it",
}

MAX_NAMED = 3
"""Chosen: how many tables a sentence names."""


class TableChange(NamedTuple):
    """What became of a table since it was written.

    Attributes:
        path: the table.
        kind: changed; removed; added, where there was none; or unknown, where no digest was noted and the
            file is not the one that was noted, as after a copy of an earlier version's results.
    """

    path: Path
    kind: Literal["changed", "removed", "added", "unknown"]


def table_changes(folder: Path) -> list[TableChange]:
    """Return the tables of a folder of results that are not, or may not be, those that were written."""
    return [
        TableChange(path, kind)
        for path, stamp, digest in _noted(folder)
        if (kind := _change(path, stamp, digest)) is not None
    ]


def change_notices(folder: Path) -> list[str]:
    """Return a sentence for each table that is not the one that was computed, and how to get it back.

    Tables that cannot be checked share one.
    """
    changes = table_changes(folder)
    notices = [_SENTENCES[kind].format(path.name) for path, kind in changes if kind != "unknown"]
    unknown = [change.path for change in changes if change.kind == "unknown"]
    if unknown:
        notices.append(
            f"{_names([path.name for path in unknown])}: no digest was noted when the results were computed, "
            "so nothing says whether they were changed since; `spaceprobe run` notes them"
        )
    return notices


@contextmanager
def blame_changed_tables(*folders: Path) -> Iterator[None]:
    """Blame an unexpected error inside the block on tables that were changed since they were written.

    A cell may be anything once it was edited, and no check finds all of it. Where no table was changed, the
    error is a bug of the program and raised as it is.

    Args:
        folders: folders of results whose tables are read.

    Raises:
        SpaceprobeError: something failed, and there are changed tables; names them.
    """
    try:
        yield
    except SpaceprobeError:
        raise
    except Exception as error:  # is raised again in any case, with the names of changed tables
        changed = [change.path for folder in folders for change in table_changes(folder)]
        if not changed:
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SpaceprobeError(
            f"{_names([str(path) for path in changed])}: cannot be used ({reason}), and was edited, copied "
            "or removed since spaceprobe wrote it; `spaceprobe run` writes tables again"
        ) from error


def _noted(folder: Path) -> Iterator[tuple[Path, Stamp | None, str | None]]:
    """Yield each table of a study with the stamp and the digest that were noted when it was written.

    Both are None for a table that was not written; the digest alone is None where only an earlier version
    noted the table.
    """
    store = PartStore(folder)
    for stage in STAGES:
        memo: Any = store.memo(stage.name)
        for number, table in enumerate(stage.tables):
            path = table_path(folder, table.name)
            if memo is None:
                yield path, [] if stamp_of(path) else None, None  # any file may be it
            else:
                is_alike = len(memo["files"]) == len(
                    stage.tables
                )  # else an earlier version's stage wrote others
                stamp = memo["files"][number] if is_alike else [] if stamp_of(path) else None
                yield path, stamp, memo.get("digests", {}).get(table.name)
    memo = store.memo(TIMINGS.name)
    if memo is not None:
        _, stamp, *digest = memo
        yield table_path(folder, TIMINGS.name), stamp, digest[0] if digest else None


def _change(
    path: Path, noted: Stamp | None, digest: str | None
) -> Literal["changed", "removed", "added", "unknown"] | None:
    stamp = stamp_of(path)
    if stamp == noted:
        return None
    if stamp is None:
        return "removed"
    if noted is None:
        return "added"
    if digest is not None:
        return None if file_digest(path) == digest else "changed"
    return "changed" if noted and noted[0] != stamp[0] else "unknown"


def _names(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
