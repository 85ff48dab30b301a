"""Tells tables that somebody changed from what spaceprobe wrote, where a report cannot be made of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages import STAGES
from spaceprobe.study.storage.part_store import PartStore, stamp_of


@contextmanager
def blaming_changed_tables(*folders: Path) -> Iterator[None]:
    """While it lasts, what goes wrong is put down to tables that are not as spaceprobe left them.

    A cell may be anything once it was edited, and no check finds all of it. Where all tables are as they were
    written, the fault is the program's own, and its error is left as it is.

    Args:
        folders: folders of results whose tables are read.

    Raises:
        SpaceprobeError: something went wrong, and there are such tables; names them.
    """
    try:
        yield
    except SpaceprobeError:
        raise
    except Exception as error:  # raised again in any case, with the tables' names where some were changed
        changed = [path for folder in folders for path in _changed_tables(folder)]
        if not changed:
            raise
        names = ", ".join(map(str, changed[:3])) + (", ..." if len(changed) > 3 else "")
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SpaceprobeError(
            f"{names}: cannot be used ({reason}), and not as spaceprobe "
            "left it: edited, copied or removed; `spaceprobe run` writes tables anew"
        ) from error


def _changed_tables(folder: Path) -> list[Path]:
    """Return the tables that are not as their stage last wrote them, as far as it was noted."""
    store = PartStore(folder)
    changed = []
    for stage in STAGES:
        memo = store.memo(stage.name)
        noted = memo["files"] if memo is not None else [None] * len(stage.tables)
        paths = [folder / f"{table.name}.csv" for table in stage.tables]
        changed += [
            path
            for path, stamp in zip(paths, noted, strict=True)
            if (memo is not None or path.exists()) and (stamp_of(path) != stamp or not path.is_file())
        ]
    return changed
