"""Which runners are at work on a study, told by the files that they touch.

A runner that is at work has a file in ``.running``, its mark, which it touches every few seconds. Others
watch whether it changes, by their own monotonic clock: the clocks of two machines may differ. A process
number only tells sooner that a runner of this very machine is gone.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.files import is_alive, write_whole
from spaceprobe.machine.folders import process_space
from spaceprobe.reading import open_regular
from spaceprobe.study.layout import RUNNING

TOUCH_EVERY_S = 5.0
"""Chosen: how often a runner touches its mark."""

UNTOUCHED_S = 3 * TOUCH_EVERY_S
"""Chosen: how long a mark that looks old is watched before its runner counts as lost."""

SILENT_AFTER_S = 60.0
"""Chosen: how long a mark may stay untouched; an NFS server that restarts is away for less."""

ABANDONED_AFTER_S = 3600.0
"""Chosen: the age of a mark, against one's own, at which it need not be watched: no two clocks differ so."""


@dataclass(frozen=True)
class Mark:
    """The mark of a runner.

    Attributes:
        host: the name of its machine.
        is_gone: whether it was a process of this machine that no longer exists.
        touched_ns: when it was last touched, by the clock of the disk.
    """

    host: str
    is_gone: bool
    touched_ns: int


class Heartbeats:
    """The marks of a study's runners, watched by one of them."""

    def __init__(self, folder: Path, runner: str) -> None:
        """Take the study's folder and the name of the runner that watches."""
        self._folder = folder / RUNNING
        self._runner = runner
        self._marks: dict[str, Mark] = {}
        self._untouched_since: dict[str, tuple[int | None, float]] = {}

    @property
    def path(self) -> Path:
        """The mark of this runner."""
        return self._folder / f"{self._runner}.json"

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Have a mark during the block, and touch it.

        Raises:
            ResultsError: it cannot be written.
        """
        self._write()
        is_over = threading.Event()
        thread = threading.Thread(target=self._keep_touching, args=(is_over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            discard(self.path)

    def look(self) -> None:
        """Look at all marks."""
        self._marks = read_marks(self._folder)
        for runner in {*self._marks, *self._untouched_since}:
            self._watch(runner)

    def others(self) -> dict[str, str]:
        """Return the hosts of the other runners that are at work, by runner, as last looked."""
        return {
            runner: mark.host
            for runner, mark in self._marks.items()
            if runner != self._runner and not self.is_lost(runner)
        }

    def lost(self) -> list[str]:
        """Return the runners that left a mark and are lost, as last looked."""
        return [runner for runner in self._marks if runner != self._runner and self.is_lost(runner)]

    def is_lost(self, runner: str) -> bool:
        """Return whether a runner no longer works, as last looked; one without a mark is watched as well."""
        mark = self._marks.get(runner)
        quiet_s = time.monotonic() - self._watch(runner)
        if quiet_s > SILENT_AFTER_S or (mark is not None and mark.is_gone):
            return True
        own = self._marks.get(self._runner)
        if mark is None or own is None:
            return False
        age_s = (own.touched_ns - mark.touched_ns) / 1e9
        return age_s > (SILENT_AFTER_S if quiet_s > UNTOUCHED_S else ABANDONED_AFTER_S)

    def host(self, runner: str) -> str:
        """Return the host of a runner, as last looked."""
        mark = self._marks.get(runner)
        return "a machine that is not known" if mark is None else mark.host

    def _watch(self, runner: str) -> float:
        """Return since when the mark of a runner is as it is, by this process's monotonic clock."""
        touched = self._marks[runner].touched_ns if runner in self._marks else None
        if runner not in self._untouched_since or self._untouched_since[runner][0] != touched:
            self._untouched_since[runner] = touched, time.monotonic()
        return self._untouched_since[runner][1]

    def _write(self) -> None:
        write_whole(self.path, json.dumps({**process_space(), "pid": os.getpid()}).encode())

    def _keep_touching(self, is_over: threading.Event) -> None:
        while not is_over.wait(TOUCH_EVERY_S):
            with suppress(OSError):  # the disk is full or gone: an error when results are written
                try:
                    os.utime(self.path)  # not touch, which would make it anew, empty
                except FileNotFoundError:  # this process was suspended, and another one swept its mark
                    if self._folder.is_dir():
                        self._write()


def runners_at_work(folder: Path) -> set[str]:
    """Return the runners that are at work on a study now, as far as one look tells."""
    now_ns = time.time_ns()
    return {
        runner
        for runner, mark in read_marks(folder / RUNNING).items()
        if not mark.is_gone and now_ns - mark.touched_ns < SILENT_AFTER_S * 1e9
    }


def read_marks(folder: Path) -> dict[str, Mark]:
    """Return the marks in a folder by runner, without files that are none."""
    paths: list[Path] = []
    with suppress(OSError):  # no folder, or not readable: an error when results are written
        paths.extend(path for path in folder.glob("*.json") if path.is_file())
    marks = {}
    for path in paths:
        try:
            with open_regular(path) as file:  # an NFS client asks its server when a file is opened
                fields, touched_ns = json.loads(file.read()), os.fstat(file.fileno()).st_mtime_ns
            is_here = {
                name: fields.get(name, own) for name, own in process_space().items()
            } == process_space()
            marks[path.stem] = Mark(
                host=str(fields["host"]),
                is_gone=is_here and not is_alive(int(fields["pid"])),
                touched_ns=touched_ns,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue  # removed meanwhile, or another file
    return marks


def discard(path: Path) -> None:
    """Remove a mark or a claim, if that is possible: one that stays counts as lost after a while."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
