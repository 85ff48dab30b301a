"""Whether a study's report is of its tables as they are, decided without importing what draws it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spaceprobe.plugins import plugin_modules
from spaceprobe.study.code_version import source_version
from spaceprobe.study.events import job_states
from spaceprobe.study.layout import PROVENANCE, REPORT, STUDY_FILE
from spaceprobe.study.storage.part_store import PartStore, stamp_of

_MEMO = "report"
_CODE = ("report", "results", "analysis", "tables")
"""Folders of the package that decide what a report of given tables looks like."""


def is_made(folder: Path) -> bool:
    """Return whether a folder of results has a report, of whatever tables."""
    return stamp_of(folder / REPORT) is not None


def is_current(folder: Path) -> bool:
    """Return whether the report in a folder of results is of what is there now, and by this code."""
    memo = PartStore(folder).memo(_MEMO)
    return bool(memo == _memo(folder, sources(folder))) and is_made(folder)


def sources(folder: Path) -> dict[str, Any]:
    """Return what a report of a folder of results would be made from now."""
    paths = [*sorted(folder.glob("*.csv")), *(folder / name for name in (STUDY_FILE, PROVENANCE))]
    failed = [[*job, why] for job, why in sorted(job_states(folder).failed.items())]
    return {"code": _code(), "files": {path.name: stamp_of(path) for path in paths}, "failed": failed}


def note_report(folder: Path, made_from: Mapping[str, Any]) -> None:
    """Note what the report that was just written was made from.

    Args:
        folder: the folder of results.
        made_from: its `sources`, taken before it was read: what changed meanwhile is not in the report.

    Raises:
        ResultsError: it cannot be written.
    """
    store = PartStore(folder)
    store.set_memo(_MEMO, _memo(folder, made_from))
    store.save()


def _memo(folder: Path, made_from: Mapping[str, Any]) -> dict[str, Any]:
    return {**made_from, "page": stamp_of(folder / REPORT)}


def _code() -> str:
    package = Path(__file__).parents[1]
    paths = [path for name in _CODE for path in sorted((package / name).rglob("*")) if path.is_file()]
    contents = [
        [str(path.relative_to(package)), path.read_bytes().hex()] for path in paths if path.suffix != ".pyc"
    ]
    figures = plugin_modules("figures")
    contents += [["plug-ins", source_version(*figures)]] if figures else []
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()
