"""Which runner of a study computes which job: claims, a file each, in ``.running``.

A claim is made by creating its file, which only one of several can do, also on NFS. It holds the name of its
runner, and is alive while that runner touches its mark. The claim of a lost runner is succeeded by one with
the next number, which again only one can create. Claims keep work from being done twice and nothing else:
parts are written whole, so two runners that compute one job do no harm.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spaceprobe.files import create_new
from spaceprobe.reading import read_regular
from spaceprobe.study.jobs.executor import LOOK_AGAIN_S
from spaceprobe.study.layout import RUNNING
from spaceprobe.study.running.heartbeats import Heartbeats, discard
from spaceprobe.study.running.journal import new_runner

_CLAIM = re.compile(r"(.+)\.(\d{1,9})\.claim", re.DOTALL)


class Claims:
    """The claims on a study's jobs, as one of its runners sees them."""

    def __init__(self, folder: Path, runner: str) -> None:
        """Take the study's folder and the name of the runner."""
        self._folder = folder / RUNNING
        self._runner = runner
        self._beats = Heartbeats(folder, runner)
        self._standing: dict[str, dict[int, str]] = {}
        self._held: dict[str, int] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have a heartbeat during the block; remove what lost runners left, and in the end one's own claims.

        Raises:
            ResultsError: the heartbeat cannot be written.
        """
        with self._beats.beating():
            self.look()
            self._sweep()
            try:
                yield
            finally:
                for name in [*self._held]:
                    self.release(name)
                self.look()
                self._sweep()

    def look(self) -> None:
        """Look at the claims of all runners, and at who is at work."""
        self._beats.look()
        self._standing = {}
        for path in self._paths():
            match = _CLAIM.fullmatch(path.name)
            if match is not None:
                self._standing.setdefault(match[1], {})[int(match[2])] = self._owner(path)

    def others(self) -> dict[str, str]:
        """Return the hosts of the other runners that are at work, by runner, as last looked."""
        return self._beats.others()

    def holder(self, name: str) -> str | None:
        """Return the other runner that holds a job and is at work, as last looked; None if there is none."""
        owners = self._standing.get(name, {}).values()
        return next((it for it in owners if it != self._runner and not self._beats.is_lost(it)), None)

    def loser(self, name: str) -> str | None:
        """Return the host of the lost runner whose claim on a job stands, as last looked; None if none."""
        lost = [owner for owner in self._standing.get(name, {}).values() if owner != self._runner]
        return self._beats.host(lost[-1]) if lost and self.holder(name) is None else None

    def take(self, name: str) -> bool:
        """Claim a job and return True, or return False where another runner that is at work has it.

        Raises:
            ResultsError: the claim cannot be written.
        """
        if name in self._held:
            return True
        if self.holder(name) is not None:
            return False
        number = max(self._standing.get(name, {}), default=-1) + 1
        is_ours = create_new(self._path(name, number), self._runner.encode())
        if is_ours and number == 0 and not self.others():
            self._held[name] = number
            return True
        self.look()  # another runner may have claimed or swept at the same moment
        if is_ours and self.holder(name) is None:
            self._held[name] = number
            return True
        if is_ours:
            discard(self._path(name, number))
        return False

    def release(self, name: str) -> None:
        """Give a claim up, and with it those before it, of lost runners."""
        for earlier in range(self._held.pop(name, -1) + 1):
            discard(self._path(name, earlier))

    def _sweep(self) -> None:
        """Remove the claims and marks of lost runners."""
        for name, owners in self._standing.items():
            for number, owner in owners.items():
                if owner != self._runner and self._beats.is_lost(owner):
                    discard(self._path(name, number))
        for runner in self._beats.lost():
            discard(self._folder / f"{runner}.json")

    def _paths(self) -> list[Path]:
        with suppress(OSError):
            return sorted(self._folder.glob("*.claim"))
        return []

    def _path(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}.claim"

    def _owner(self, path: Path) -> str:
        """Return the runner that made a claim; the claim's name where it was cut off before it told."""
        with suppress(OSError, UnicodeDecodeError):
            return read_regular(path).decode("ascii") or path.name
        return path.name


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[None]:
    """Hold the claim on something that is no job, such as the report; wait while another process has it.

    Raises:
        ResultsError: the claim cannot be written.
    """
    claims = Claims(folder, new_runner())
    with claims.at_work():
        while not claims.take(name):
            time.sleep(LOOK_AGAIN_S)
            claims.look()
        yield
