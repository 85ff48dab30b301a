"""Names the tables that were changed since spaceprobe wrote them, where a report of them fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages import STAGES
from spaceprobe.study.storage.part_store import PartStore, stamp_of


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
        changed = [path for folder in folders for path in _changed_tables(folder)]
        if not changed:
            raise
        names = ", ".join(map(str, changed[:3])) + (", ..." if len(changed) > 3 else "")
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SpaceprobeError(
            f"{names}: cannot be used ({reason}), and was edited, copied or removed since spaceprobe wrote "
            "it; `spaceprobe run` writes tables again"
        ) from error


def _changed_tables(folder: Path) -> list[Path]:
    """Return the tables that differ from what their stage last wrote, as far as that was noted."""
    store = PartStore(folder)
    changed = []
    for stage in STAGES:
        memo = store.memo(stage.name)
        noted = memo["files"] if memo is not None else [None] * len(stage.tables)  # None: not written
        paths = [folder / f"{table.name}.csv" for table in stage.tables]
        changed += [path for path, stamp in zip(paths, noted, strict=True) if stamp_of(path) != stamp]
    return changed
