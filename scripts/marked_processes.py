"""Processes to be killed, and all that they started: found by a mark in their environment. Linux."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "SPACEPROBE_CHAOS"
HANGS_AFTER_S = 240.0  # chosen: many times what anything here takes
LOOK_EVERY_S = 0.1


class ChaosError(Exception):
    """The script itself cannot go on."""


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of all living processes that carry a mark, by process id."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # gone meanwhile, or another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = words.strip()
    return found


def worker_of(parent: int, mark: str) -> list[int]:
    """Return the worker processes that a driver or a nanny has started: what Python spawned."""
    found = []
    for pid, command in marked(mark).items():
        if "spawn_main" in command:
            with suppress(OSError, IndexError, ValueError):
                status = Path(f"/proc/{pid}/stat").read_text()
                if int(status.rpartition(")")[2].split()[1]) == parent:
                    found.append(pid)
    return sorted(found)


def kill(pid: int) -> None:
    """Kill a process in the way that no program can prepare for; it may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object], limit_s: float) -> float | None:
    """Return how many seconds it took until a condition held; None if it does not within the limit."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > limit_s:
            return None
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - start


class Program:
    """A process of ours that carries a mark, with what it writes in a file."""

    def __init__(self, command: Sequence[str], folder: Path, **environment: str) -> None:
        """Start it in a folder."""
        self.mark = uuid.uuid4().hex
        self.out = folder / f"{self.mark}.log"
        self.started = time.monotonic()
        changed = {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", MARK: self.mark, **environment}
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **changed}, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def elapsed_s(self) -> float:
        """How long ago it was started, in seconds."""
        return time.monotonic() - self.started

    def said(self) -> str:
        """Return what it wrote so far."""
        return self.out.read_text(errors="replace")

    def kill(self) -> None:
        """Kill it alone, not what it started."""
        kill(self.pid)
        self.process.wait()

    def kill_all(self) -> None:
        """Kill it and everything that carries its mark."""
        self.kill()
        while others := marked(self.mark):
            for pid in others:
                kill(pid)
            time.sleep(LOOK_EVERY_S)


class Cluster:
    """A Dask scheduler and two workers of this machine, each worker with its nanny."""

    def __init__(self, folder: Path) -> None:
        """Start them; the scheduler's file is there afterwards."""
        self._folder = folder
        self.file = folder / "scheduler.json"
        self.start()

    def start(self) -> None:
        """Start a scheduler and two workers.

        Raises:
            ChaosError: the scheduler does not write its file.
        """
        self.file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
        command = ["scheduler", *options, "--no-dashboard", "--scheduler-file", str(self.file)]
        # as spaceprobe's own clusters: a job that was killed is tried once more
        self.scheduler = self._start(command, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
        if wait_for(self.file.exists, HANGS_AFTER_S) is None:
            raise ChaosError(f"dask scheduler does not start:\n{self.scheduler.said()}")
        self.nannies = [self.start_worker() for _ in range(2)]

    def start_worker(self) -> Program:
        """Return a worker with a nanny, just started."""
        options = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
        folder = str(self._folder / "scratch")
        return self._start(
            ["worker", "--scheduler-file", str(self.file), *options, "--local-directory", folder]
        )

    def replace_ended(self) -> None:
        """Start workers in place of those whose nanny ended: Dask's does when its worker dies too early."""
        for place, nanny in enumerate(self.nannies):
            if nanny.process.poll() is not None and self.scheduler.process.poll() is None:
                nanny.kill_all()
                self.nannies[place] = self.start_worker()

    def _start(self, words: Sequence[str], **environment: str) -> Program:
        return Program([sys.executable, "-m", "dask", *words], self._folder, **environment)

    def close(self) -> None:
        """Kill all of it."""
        for program in (self.scheduler, *self.nannies):
            program.kill_all()
