"""The folder of a recorder: tables that grow, and how a measurement gets into all of them or none.

Tables are appended to, so that a long recording does not write its beginning again and again; recording.csv,
which is small, is written last and whole. A step counts once it is in recording.csv: what a killed process
left of others is passed over by readers, and cut off when the recording goes on.
"""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import ResultsError, check_place, create_new, write_whole
from spaceprobe.reading import read_regular
from spaceprobe.recording.tables import RECORDING, STEP, recorded_tables
from spaceprobe.study.layout import PROVENANCE, STUDY_FILE, table_path
from spaceprobe.study.provenance import provenance, read_provenance
from spaceprobe.tables.frames import write_csv

if TYPE_CHECKING:
    import pandas as pd

BEGUN = b"\n"
"""What recording.csv holds before the first measurement is written."""

FACTS = "recording"
"""What provenance.json calls the facts about a recording."""

SHOWN = {
    "spaceprobe": "another version of spaceprobe",
    "paths_sha256": "other images, labels, paths or seed",
    "network_sha256": "a network whose weights have other names or shapes",
}
"""Facts that differ where a recording cannot go on, in words; others by their names and values."""


class RecordingFolder:
    """The tables of a recording, which one process writes.

    Attributes:
        path: of the folder.
        steps: those that were measured, ascending.

    Args:
        path: of the folder; it is made with the first measurement.
        has_lmd: whether matrices are decomposed.
        resume: whether to go on with what is there.

    Raises:
        SettingsError: something is there, and it is not to go on; or it is not a recording.
        SpaceprobeError: what is there cannot be read.
    """

    def __init__(self, path: Path, *, has_lmd: bool, resume: bool) -> None:
        self.path = path
        self.steps: list[int] = []
        self.tables = recorded_tables(has_lmd=has_lmd)
        self._sizes: dict[str, int] = {}
        self._facts: Mapping[str, Any] = {}
        self._rows = _no_rows()
        self._is_there = os.path.lexists(table_path(path, RECORDING.name))
        self._is_begun = False
        check_place(path)
        if self._is_there:
            self._look_at(resume=resume)
        elif others := [*_of_others(path)]:
            raise SettingsError(
                f"{path}: has {others[0]}, which no recorder wrote; give the recorder a folder of its own"
            )

    @property
    def name(self) -> str:
        """What tables call the recording."""
        return Path(os.path.abspath(self.path)).name  # noqa: PTH100  # a link keeps its name

    def _look_at(self, *, resume: bool) -> None:
        """Read what is there, to go on with it.

        Raises:
            SettingsError: it is not to go on.
            SpaceprobeError: it cannot be read.
        """
        self._rows = read_committed(self.path)
        self.steps = [int(step) for step in self._rows[STEP.name]]
        self._facts = read_provenance(self.path / PROVENANCE)[0].get(FACTS, {})
        if not resume:
            until = f" up to step {self.steps[-1]}" if self.steps else ""
            raise SettingsError(
                f"{self.path}: has a recording{until}; go on with it by resume=True, or give another folder"
            )

    def check_facts(self, facts: Mapping[str, Any]) -> None:
        """Check that what was measured so far has these facts too.

        Raises:
            SettingsError: it has not; names what differs.
        """
        for name, value in facts.items() if self.steps else ():
            before = self._facts.get(name)
            if before != value:
                what = SHOWN.get(name, f"{name} {before}, and now it is {value}")
                raise SettingsError(
                    f"{self.path}: was recorded up to step {self.steps[-1]} with {what}; rows of both do not "
                    "go together: give another folder"
                )

    def make_place_for(self, step: int) -> str | None:
        """Make sure that a step comes after all others, and return what was done for it, as a sentence.

        The first measurement of a process may be at an earlier step than the last of an interrupted one,
        where training goes on from a checkpoint: what was recorded is kept in a subfolder, and ends before
        that step here.

        Raises:
            SettingsError: the step does not come after those that this process measured.
            ResultsError: a file cannot be written.
        """
        if not self.steps or step > self.steps[-1]:
            return None
        if self._is_begun:
            raise SettingsError(
                f"step {step} comes after step {self.steps[-1]}: expected steps that rise; count them over "
                "all epochs"
            )
        kept = self._keep_interrupted()
        self._rows = self._rows[self._rows[STEP.name].astype(int) < step]
        last = self.steps[-1]
        self.steps = [earlier for earlier in self.steps if earlier < step]
        write_csv(table_path(self.path, RECORDING.name), self._rows)
        return (
            f"{self.path}: training goes on from step {step}, and was recorded up to step {last} before; "
            f"that recording is in {kept}"
        )

    def add(self, rows: "Mapping[str, pd.DataFrame]", facts: Mapping[str, Any]) -> None:
        """Write the rows of a measurement, to all tables or to none.

        Args:
            rows: by table; those of recording.csv are one.
            facts: about the recording, for provenance.json.

        Raises:
            ResultsError: they cannot be written.
            SettingsError: another recorder writes there.
        """
        import pandas as pd

        if not self._is_begun:
            self._begin(facts)
            self._facts = facts
        head = table_path(self.path, RECORDING.name)
        if head.stat().st_size != self._sizes[RECORDING.name]:
            raise SettingsError(
                f"{head}: was written by another program meanwhile; record in one process only"
            )
        sizes = {}
        for table in self.tables:
            if table.name != RECORDING.name:
                sizes[table.name] = self._append(table.name, rows[table.name])
        new = rows[RECORDING.name].astype(object)
        of_all = pd.concat([self._rows, new]) if len(self._rows) else new
        write_csv(head, of_all)
        self._rows, self._sizes = of_all, {**sizes, RECORDING.name: head.stat().st_size}
        self.steps.append(int(new[STEP.name].iloc[0]))

    def _begin(self, facts: Mapping[str, Any]) -> None:
        """Make the folder, or cut off what an interrupted process left; and say where results come from."""
        head = table_path(self.path, RECORDING.name)
        if not self._is_there and not create_new(head, BEGUN):
            raise SettingsError(
                f"{self.path}: another recorder has begun to write there; in distributed training record in "
                "one process only"
            )
        self._sizes[RECORDING.name] = head.stat().st_size
        for table in self.tables:
            if table.name != RECORDING.name:
                self._sizes[table.name] = self._cut(table.name)
        text = json.dumps({FACTS: dict(facts), **provenance(sys.argv)}, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path / PROVENANCE, text.encode(errors="backslashreplace"))
        self._is_begun = True

    def _cut(self, name: str) -> int:
        """Remove the rows of a table whose steps do not count, and return its size."""
        path = table_path(self.path, name)
        if not os.path.lexists(path):
            return 0
        if not self.steps:
            write_whole(path, b"")
            return 0
        frame = read_recorded(self.path, name, self.steps, as_text=True)
        write_csv(path, frame)
        return path.stat().st_size

    def _append(self, name: str, rows: "pd.DataFrame") -> int:
        """Append rows after those that count, and return the size of the table.

        Raises:
            ResultsError: they cannot be written.
        """
        path, size = table_path(self.path, name), self._sizes[name]
        data = rows.to_csv(index=False, header=not size, lineterminator="\n").encode()
        try:
            with path.open("r+b" if os.path.lexists(path) else "xb") as file:
                file.truncate(size)  # what a full disk left of an earlier attempt
                file.seek(size)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ResultsError(
                f"{path}: cannot be written ({error.strerror}); make room or give the recorder another folder"
            ) from error
        return size + len(data)

    def _keep_interrupted(self) -> Path:
        """Copy the recording as it is into a subfolder, and return that."""
        number = 1
        while os.path.lexists(kept := self.path / f"interrupted-{number}"):
            number += 1
        try:
            kept.mkdir()
            for path in (
                *(table_path(self.path, table.name) for table in self.tables),
                self.path / PROVENANCE,
            ):
                if path.is_file():
                    shutil.copy2(path, kept)
        except OSError as error:
            raise ResultsError(f"{kept}: cannot be written ({error.strerror}); make room") from error
        return kept


def read_committed(folder: Path) -> "pd.DataFrame":
    """Return recording.csv of a folder, every cell as text; without rows before the first measurement.

    Raises:
        SpaceprobeError: it cannot be read, or another version wrote it.
    """
    path = table_path(folder, RECORDING.name)
    data = _read(path)
    if data == BEGUN:
        return _no_rows()
    frame = _parse(path, data, as_text=True).astype(object)
    lacking = RECORDING.lacking(frame)
    if lacking:
        raise SpaceprobeError(f"{path}: lacks the column {lacking[0]}; record it again in another folder")
    return frame


def read_recorded(folder: Path, name: str, steps: Sequence[int], *, as_text: bool = False) -> "pd.DataFrame":
    """Return the rows of a table that belong to steps that count, numbered as in the CSV.

    Args:
        folder: of the recording.
        name: of the table.
        steps: those in recording.csv.
        as_text: whether to leave every cell as it is written.

    Raises:
        SpaceprobeError: the table cannot be read.
    """
    path = table_path(folder, name)
    data = _read(path)
    frame = _parse(path, data[: data.rfind(b"\n") + 1], as_text=as_text)
    if STEP.name not in frame:
        raise SpaceprobeError(f"{path}: lacks the column {STEP.name}; record it again in another folder")
    return frame[frame[STEP.name].isin([str(step) for step in steps] if as_text else steps)]


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise SpaceprobeError(f"{path}: cannot be read ({error.strerror}); record it again") from error


def _parse(path: Path, data: bytes, *, as_text: bool) -> "pd.DataFrame":
    import pandas as pd

    try:
        if as_text:
            return pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
        return pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise SpaceprobeError(
            f"{path}: is not a table ({reason}); record it again in another folder"
        ) from None


def _of_others(folder: Path) -> Iterator[str]:
    """Yield the names of files in a folder that are of something else than a recording."""
    names = (STUDY_FILE, PROVENANCE, *(f"{table.name}.csv" for table in recorded_tables(has_lmd=True)))
    return (name for name in names if os.path.lexists(folder / name))


def _no_rows() -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=[*RECORDING.names], dtype=object)
