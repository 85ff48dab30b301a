"""The parts of a study, looked up without reading those that have not changed since they were last read.

When a part is read, its state is noted together with the size, times and inode of its file: no program
changes the file without changing one of them. The notes only save reading: if they are lost, damaged or
written by two runners at once, parts are read again. What goes into a result is always read from the part
itself, and verified.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spaceprobe.files import is_writable, write_whole
from spaceprobe.stages.stage import FinishedPart, Part
from spaceprobe.study.layout import NOTES, RUNS
from spaceprobe.study.storage.part_files import StalePart, StoredPart, read_part

VERSION = 1
"""Of the notes; notes of another version are ignored."""

SEAL_BYTES = 65
"""A SHA-256 in hexadecimal and the end of the line, before the notes."""

Stamp = list[int]
"""Size, time of change of content and of anything in nanoseconds, and inode of a file."""


class PartStore:
    """The parts below a study's folder."""

    def __init__(self, folder: Path) -> None:
        """Take the study's folder and read its notes."""
        self._folder = folder
        self._read_at = stamp_of(folder / NOTES)
        self._notes = self._read_notes()
        self._memos_set: set[str] = set()
        self._is_changed = False

    def look(self, run_folder: Path, part: Part, code: str | None) -> FinishedPart | StalePart:
        """Return a finished part, or why it has to be computed (again)."""
        note = self._notes["parts"].get(self._name(run_folder, part))
        stamp = stamp_of(run_folder / part.path)
        if stamp is not None and note is not None and self._holds(note, stamp, run_folder, part, code):
            files = {name: digest for name, (digest, _) in note["files"].items()}
            return FinishedPart(part, files, note["error"], note["duration_s"], stamp)
        stored = self.read(run_folder, part, code)
        if isinstance(stored, StalePart):
            return stored
        content = stored.content
        return FinishedPart(part, content.files, content.error, stored.duration_s, stamp or [])

    def read(self, run_folder: Path, part: Part, code: str | None) -> StoredPart | StalePart:
        """Return a finished part with what it holds, or why it has to be computed (again)."""
        path = run_folder / part.path
        stamp, began = stamp_of(path), time.time_ns()
        stored = read_part(run_folder, part, code)
        if isinstance(stored, StoredPart):
            files = {
                name: (digest, stamp_of(run_folder / name)) for name, digest in stored.content.files.items()
            }
            stamps = [file_stamp for _, file_stamp in files.values()]
            is_settled = all(file_stamp is not None and max(file_stamp[1:3]) < began for file_stamp in stamps)
            if stamp is not None and stamp == stamp_of(path) and is_settled:
                self._notes["parts"][self._name(run_folder, part)] = {
                    "stamp": stamp,
                    "key": _digest(part.key),
                    "code": stored.code,
                    "files": files,
                    "error": stored.content.error,
                    "duration_s": stored.duration_s,
                }
                self._is_changed = True
        return stored

    def forget(self, run_folder: Path) -> None:
        """Drop the notes on a run, so that its parts are read again: something of it failed."""
        prefix = f"{run_folder.name}/"
        notes = self._notes["parts"]
        for name in [name for name in notes if name.startswith(prefix)]:
            del notes[name]
            self._is_changed = True

    def memo(self, name: str) -> Any:
        """Return the value that was noted under a name, or None."""
        return self._notes["memos"].get(name)

    def set_memo(self, name: str, value: Any) -> None:
        """Note a JSON value under a name."""
        self._notes["memos"][name] = value
        self._memos_set.add(name)
        self._is_changed = True

    def save(self) -> None:
        """Write the notes if they changed and the folder can be written: parts are read again without them.

        Raises:
            ResultsError: they cannot be written, as on a full disk.
        """
        if self._is_changed and is_writable(self._folder):
            self._keep_others_memos()
            self._drop_vanished()
            text = json.dumps(self._notes, separators=(",", ":")).encode()
            write_whole(self._folder / NOTES, _seal(text) + text)
            self._read_at = stamp_of(self._folder / NOTES)
            self._memos_set.clear()
            self._is_changed = False

    def _keep_others_memos(self) -> None:
        """Take over what another process noted meanwhile, such as that it made the report."""
        if stamp_of(self._folder / NOTES) != self._read_at:
            memos = self._read_notes()["memos"]
            self._notes["memos"] |= {n: value for n, value in memos.items() if n not in self._memos_set}

    def _drop_vanished(self) -> None:
        """Drop the notes on runs whose folders are gone."""
        notes = self._notes["parts"]
        runs = {name.partition("/")[0] for name in notes}
        gone = {run for run in runs if stamp_of(self._folder / RUNS / run) is None}
        self._notes["parts"] = {
            name: note for name, note in notes.items() if name.partition("/")[0] not in gone
        }

    def _holds(
        self, note: Mapping[str, Any], stamp: Stamp, run_folder: Path, part: Part, code: str | None
    ) -> bool:
        """Return whether a part and the files beside it are as they were when it was noted."""
        return (
            note["stamp"] == stamp
            and note["key"] == _digest(part.key)
            and code in (None, note["code"])
            and all(stamp_of(run_folder / name) == noted for name, (_, noted) in note["files"].items())
        )

    def _name(self, run_folder: Path, part: Part) -> str:
        return f"{run_folder.name}/{part.path}"

    def _read_notes(self) -> dict[str, dict[str, Any]]:
        empty: dict[str, Any] = {"version": VERSION, "parts": {}, "memos": {}}
        path = self._folder / NOTES
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError:
            return empty
        seal, text = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if seal != _seal(text):
            return empty
        notes: dict[str, Any] = json.loads(text)
        return notes if notes["version"] == VERSION else empty


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _seal(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode() + b"\n"
