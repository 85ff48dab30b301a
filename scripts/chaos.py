"""Kills what computes a study at random moments: nothing is lost or there twice, all bytes are right.

A small real study (MNIST, two architectures, two seeds, every stage) is run by `spaceprobe run` in three
ways:

- serial: in one process; the driver is killed;
- local: ``--jobs 2``; the driver, or one of its worker processes;
- cluster: ``--scheduler-file``, with a `dask scheduler` and two `dask worker` on this machine; the driver, a
  worker, a worker together with its nanny, or the scheduler, which is started again with new workers.

Each kill is a SIGKILL at a moment drawn evenly from the time that the attempt would still need. A killed
driver is started again at once, on what it left; a killed worker is left to the driver, which
has to go on. A life is an empty folder of results that goes through several kills to its end. Then all tables
but the times are compared with those of a run that nothing disturbed, byte by byte and row by row; `status`
has to say that all is done, a further `run` that there is nothing to do, and no temporary file may be left
that a later start should have removed. All processes of a killed driver have to be gone after 5 s: they
carry a mark in their environment, so that none escapes.

Run: python scripts/chaos.py [--kills 200] [--seed 0] [--victims driver worker ...] [--modes local ...]
An hour on two cores, most of it for importing torch. Exits with 1 if anything does not hold. Linux.
"""

import argparse
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from marked_processes import HANGS_AFTER_S, ChaosError, Cluster, Program, kill, marked, wait_for, worker_of

from spaceprobe.files import ABANDONED_AFTER_S
from spaceprobe.stages import STAGES
from spaceprobe.study.events import read_events

NAME = "chaos"
STUDY = """\
data: {train_images: 600}
training: {epochs: 2}
folding: {per_class: 3, pairs: [0-6, 1-7, 2-5, 3-8, 4-9]}
sweep:
  network.architecture: [2x30, 4x15]
  training.seed: [0, 1]
"""
VICTIMS = {
    "serial": ("driver",),
    "local": ("driver", "worker"),
    "cluster": ("driver", "worker", "worker-and-nanny", "scheduler"),
}
"""What can be killed, by the way that the study is run."""

DIFFERS_ANYWAY = ("timings.csv",)  # wall-clock times
GONE_AFTER_S = 5.0  # of the promise: no process outlives a killed driver by more
MAX_KILLS_A_LIFE = 9  # chosen: fewer lives than kills, since every end of a life takes three starts
MAX_LINGERING_S = 20.0  # chosen: workers that lost their scheduler are killed by this script after it


@dataclass
class Tally:
    """What came out of the kills.

    Attributes:
        kills: by way and victim.
        lives: how many came to their end, by way.
        restarts: how often a driver was started on what another one left, by way.
        lost_rows: rows of a run without kills that are not there.
        duplicate_rows: rows whose key is there twice.
        different_tables: tables whose bytes differ.
        num_rows: rows that were compared.
        named_failures: jobs that were given up and named because they were killed twice.
        outlived_s: the longest time that a process outlived the driver that it belonged to, by way.
        lingered_s: the longest time that a worker outlived its scheduler.
        noticed_s: the longest time that a driver took to end after its scheduler was killed.
        pace: by way, how long the last attempt without kills took over what was expected.
        problems: what does not hold, in words.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    lives: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    lost_rows: int = 0
    duplicate_rows: int = 0
    different_tables: int = 0
    num_rows: int = 0
    named_failures: int = 0
    outlived_s: dict[str, float] = field(default_factory=dict)
    lingered_s: float = 0.0
    noticed_s: float = 0.0
    pace: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the table that is printed."""
        lines = [f"{'mode':<9}{'victim':<18}{'kills':>6}{'lives':>7}{'restarts':>10}{'outlived driver':>17}"]
        for (mode, victim), count in sorted(self.kills.items()):
            outlived = f"{self.outlived_s.get(mode, 0.0):.2f} s" if victim == "driver" else ""
            whole = f"{self.lives[mode]:>7}{self.restarts[mode]:>10}" if victim == "driver" else " " * 17
            lines.append(f"{mode:<9}{victim:<18}{count:>6}{whole}{outlived:>17}")
        kills, lives = self.kills.total(), self.lives.total()
        lines.append(f"{'all':<27}{kills:>6}{lives:>7}{self.restarts.total():>10}")
        lines.append(
            f"{self.num_rows:,} rows compared: {self.lost_rows} lost, {self.duplicate_rows} duplicate, "
            f"{self.different_tables} tables differ; {self.named_failures} jobs given up and named"
        )
        if self.kills["cluster", "scheduler"]:
            lines.append(
                f"scheduler killed: its driver ended within {self.noticed_s:.1f} s, its workers within "
                f"{self.lingered_s:.1f} s"
            )
        return [*lines, f"{len(self.problems)} problems", *(f"  {words}" for words in self.problems)]


@dataclass(frozen=True)
class ReferenceRun:
    """A run without kills, to compare with.

    Attributes:
        tables: the bytes of its tables by file name, those of wall-clock times left out.
        num_parts: how many parts it wrote.
        first_s: the time from its start to its first part.
        last_s: the time from its start to its last part.
        duration_s: the time from its start to its end.
    """

    tables: dict[str, bytes]
    num_parts: int
    first_s: float
    last_s: float
    duration_s: float

    def left_s(self, elapsed_s: float, num_parts: int) -> float:
        """Return how long an attempt would still take that has so many parts and began so long ago."""
        lacking = max(0.0, 1 - num_parts / self.num_parts)
        working_s = lacking * (self.last_s - self.first_s) + self.duration_s - self.last_s
        return max(0.0, self.first_s - elapsed_s) + working_s


class Life:
    """A folder of results that goes through several kills to its end."""

    def __init__(self, mode: str, folder: Path, reference: ReferenceRun | None, tally: Tally) -> None:
        """Prepare an empty folder.

        Args:
            mode: a key of `VICTIMS`.
            folder: for the results and the logs.
            reference: the same without kills; None if this is it.
            tally: where what happens is counted.
        """
        folder.mkdir(parents=True)
        (folder / f"{NAME}.yaml").write_text(STUDY)
        self.mode = mode
        self.folder = folder
        self.results = folder / "results" / NAME
        self.cluster = Cluster(folder) if mode == "cluster" else None
        self._reference = reference
        self._tally = tally
        self._watches: list[threading.Thread] = []
        self._attempts: list[tuple[float, int]] = []
        self._scheduler_killed = self._expected_s = 0.0
        self._driver: Program | None = None

    def live(self, random_source: random.Random, victims: Sequence[str], num_kills: int) -> None:
        """Go through kills, each of the victim that was killed least so far, and to the end."""
        is_done = False
        for number in range(3 * num_kills + 5):
            self._tally.restarts[self.mode] += number > 0
            driver = self.start()
            killed: list[str] = []
            while num_kills and "driver" not in killed and "scheduler" not in killed:
                counts = self._tally.kills
                shuffled = random_source.sample(victims, len(victims))
                victim = min(shuffled, key=lambda name: counts[self.mode, name])
                if not self._kill_at_random(driver, victim, random_source):
                    break
                num_kills -= 1
                killed.append(victim)
                counts[self.mode, victim] += 1
            if "driver" not in killed:
                is_done = self.finish(driver, killed)
            if is_done:
                break
        else:
            self._wrong("does not come to an end")
        self._join()
        self._tally.lives[self.mode] += 1

    def start(self) -> Program:
        """Start a driver."""
        place = {
            "serial": (),
            "local": ("--jobs", "2"),
            "cluster": ("--scheduler-file", str(self.cluster.file if self.cluster else "")),
        }
        self._attempts.append((time.time(), self._num_starts()))
        if self._reference is not None:
            self._expected_s = self._reference.left_s(0.0, len(self.parts()))
        self._driver = self.command("run", "--no-report", *place[self.mode])
        return self._driver

    def command(self, verb: str, *options: str) -> Program:
        """Start a command of spaceprobe on the study."""
        words = [verb, str(self.folder / f"{NAME}.yaml"), "--results", str(self.results.parent), *options]
        return Program([sys.executable, "-m", "spaceprobe", *words], self.folder)

    def finish(self, driver: Program, killed: Sequence[str] = ()) -> bool:
        """Wait for a driver to end by itself; return whether the study is done."""
        if wait_for(lambda: self._has_ended(driver), HANGS_AFTER_S) is None:
            os.kill(driver.pid, signal.SIGABRT)  # its threads' stacks go to its log
            driver.process.wait()
            driver.kill_all()
            self._wrong(f"hangs after kills of {killed}: {driver.said()[-4000:]}")
            return False
        code = driver.process.returncode
        if not killed and self._reference is not None:
            self._tally.pace[self.mode] = driver.elapsed_s / self._expected_s
        said = driver.said()
        if "Traceback" in said:
            self._wrong(f"a traceback after kills of {killed}: {said[-3000:]}")
        gave_up = said.count("killed every worker")
        if "scheduler" in killed:
            noticed_s = time.monotonic() - self._scheduler_killed
            self._tally.noticed_s = max(self._tally.noticed_s, noticed_s)
            self._replace_cluster()
        if code and not (code == 1 and (gave_up or "scheduler" in killed)):
            self._wrong(f"exit code {code} after kills of {killed}: {said[-1500:]}")
        self._tally.named_failures += gave_up
        self._see_gone(driver)
        return code == 0

    def check_end(self) -> None:
        """Note what does not hold at the end of a life."""
        if self._reference is not None:
            self._compare(self._reference.tables)
        status = self.command("status")
        status.process.wait()
        for words in ("train: 4 done", "fold: 4 done", "lmd: 4 done", "no runners at work"):
            if words not in status.said().splitlines():
                self._wrong(f"status does not say {words!r}: {status.said()}")
        again = self.command("run", "--no-report")
        again.process.wait()
        if again.process.returncode or "nothing was computed" not in again.said():
            self._wrong(f"a further run has something to do: {again.said()[-1500:]}")
        for path in self.results.rglob(".*.tmp"):
            if path.stat().st_mtime < self._tidied() - ABANDONED_AFTER_S:
                self._wrong(f"{path} was left by a killed process, and by those that came after it")

    def measure(self) -> ReferenceRun:
        """Return what a run without kills has made and how long it took."""
        start = time.time()
        if not self.finish(self.start()):
            raise ChaosError(f"{self.mode}: a run without kills fails:\n" + "\n".join(self._tally.problems))
        duration = time.time() - start
        times = [path.stat().st_mtime - start for path in self.parts()]
        return ReferenceRun(self.tables(), len(times), min(times), max(times), duration)

    def parts(self) -> list[Path]:
        """Return the parts that are there."""
        return [path for path in self.results.glob("runs/**/*.*") if path.suffix in (".json", ".npz")]

    def tables(self) -> dict[str, bytes]:
        """Return the bytes of the tables by file name, those of wall-clock times left out."""
        return {p.name: p.read_bytes() for p in self.results.glob("*.csv") if p.name not in DIFFERS_ANYWAY}

    def close(self) -> None:
        """End what is left of its processes."""
        self._join()
        if self._driver is not None and self._driver.process.poll() is None:
            self._driver.kill_all()
        if self.cluster is not None:
            self.cluster.close()

    def _has_ended(self, driver: Program) -> bool:
        if self.cluster is not None:
            self.cluster.replace_ended()
        return driver.process.poll() is not None

    def _kill_at_random(self, driver: Program, victim: str, random_source: random.Random) -> bool:
        """Kill at a random moment; return False if the driver ended before."""
        if self._reference is None:
            raise ChaosError("how long a run takes was not measured")
        pace = self._tally.pace.get(self.mode, 1.0)  # other programs come and go on this machine
        left_s = pace * self._reference.left_s(driver.elapsed_s / pace, len(self.parts()))
        moment = random_source.uniform(0, left_s)
        if wait_for(lambda: self._has_ended(driver), moment) is not None:
            return False
        if victim == "driver":
            driver.kill()
            self._watch(self._see_gone, driver)  # meanwhile the next driver starts
        elif victim == "scheduler" and self.cluster is not None:
            self.cluster.scheduler.kill()
            self._scheduler_killed = time.monotonic()
            self._watch(self._see_workers_gone, self.cluster.nannies)
        elif self.cluster is None:
            return self._kill_worker(driver, driver, random_source)
        else:
            place = random_source.randrange(len(self.cluster.nannies))
            nanny = self.cluster.nannies[place]
            if not self._kill_worker(driver, nanny, random_source, with_parent=victim != "worker"):
                return False
            if victim != "worker":
                nanny.kill_all()
                self.cluster.nannies[place] = self.cluster.start_worker()
        return True

    def _kill_worker(
        self, driver: Program, parent: Program, random_source: random.Random, *, with_parent: bool = False
    ) -> bool:
        """Kill a worker, as soon as there is one; return False if the driver ended before."""
        workers: list[int] = []

        def is_over() -> bool:
            workers[:] = worker_of(parent.pid, parent.mark)
            return bool(workers) or parent.process.poll() is not None or driver.process.poll() is not None

        if wait_for(is_over, HANGS_AFTER_S) is None or not workers:
            return False
        if with_parent:
            kill(parent.pid)
        kill(random_source.choice(workers))
        return True

    def _see_gone(self, driver: Program) -> None:
        """Note how long the processes of a driver outlive it, and end those that do for too long."""
        outlived = wait_for(lambda: not marked(driver.mark), GONE_AFTER_S)
        if outlived is None:
            self._wrong(f"{GONE_AFTER_S:.0f} s after its driver there is {marked(driver.mark)}")
            more = wait_for(lambda: not marked(driver.mark), 6 * GONE_AFTER_S)
            outlived = GONE_AFTER_S + (6 * GONE_AFTER_S if more is None else more)
            driver.kill_all()
        longest = self._tally.outlived_s
        longest[self.mode] = max(longest.get(self.mode, 0.0), outlived)

    def _see_workers_gone(self, nannies: Sequence[Program]) -> None:
        """Note how long workers outlive their scheduler; that is up to Dask, so it is not a problem."""
        lingered = wait_for(lambda: not any(marked(nanny.mark) for nanny in nannies), MAX_LINGERING_S)
        self._tally.lingered_s = max(
            self._tally.lingered_s, MAX_LINGERING_S if lingered is None else lingered
        )

    def _replace_cluster(self) -> None:
        """Start a new scheduler with new workers, after it was seen when the old ones end."""
        if self.cluster is None:
            raise ChaosError(f"{self.mode} has no cluster")
        self._join()
        self.cluster.close()
        self.cluster.start()

    def _watch(self, see: Callable[..., None], *arguments: object) -> None:
        watch = threading.Thread(target=see, args=arguments)
        watch.start()
        self._watches.append(watch)

    def _join(self) -> None:
        for watch in self._watches:
            watch.join()
        self._watches.clear()

    def _compare(self, expected: dict[str, bytes]) -> None:
        found = self.tables()
        for name, data in expected.items():
            lost, duplicate, num_rows = rows_lost_and_twice(name, found.get(name, b""), data)
            self._tally.num_rows += num_rows
            self._tally.lost_rows += lost
            self._tally.duplicate_rows += duplicate
            if found.get(name) != data:
                self._tally.different_tables += 1
                self._wrong(f"{name} differs: {lost} rows lost, {duplicate} duplicate")
        for name in found.keys() - expected.keys():
            self._wrong(f"{name} is a table that a run without kills does not have")

    def _tidied(self) -> float:
        """Return when the last attempt began that had something to compute, and so tidied up before it."""
        before = [*(num for _, num in self._attempts), self._num_starts()]
        return max((began for i, (began, num) in enumerate(self._attempts) if before[i + 1] > num), default=0)

    def _num_starts(self) -> int:
        return sum(event["event"] == "runner_started" for event in read_events(self.results))

    def _wrong(self, words: str) -> None:
        self._tally.problems.append(f"{self.mode} in {self.folder}: {words}")


def rows_lost_and_twice(name: str, found: bytes, expected: bytes) -> tuple[int, int, int]:
    """Return how many expected rows are not there, how many keys are there again, and the expected rows.

    Args:
        name: the file's name.
        found: its bytes.
        expected: those of a run without kills.
    """
    if not found:
        return len(expected.splitlines()) - 1, 0, len(expected.splitlines()) - 1
    table, reference = (pd.read_csv(io.BytesIO(data), dtype=str) for data in (found, expected))
    declared = next(t for stage in STAGES for t in stage.tables if f"{t.name}.csv" == name)
    key = [column for column in ("run", *declared.key) if column in reference.columns]  # none: all columns
    rows = Counter(map(tuple, table.fillna("").to_numpy()))
    lost = Counter(map(tuple, reference.fillna("").to_numpy())) - rows
    return lost.total(), int(table.duplicated(key or None).sum()), len(reference)


def wreak(
    num_kills: int,
    folder: Path,
    seed: int = 0,
    victims: Sequence[str] = (),
    modes: Sequence[str] = (),
    references: Mapping[str, ReferenceRun] | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Tally:
    """Kill so many processes and return what came of it.

    Args:
        num_kills: how many.
        folder: for results and logs; those of lives with problems are kept.
        seed: of the moments and the victims.
        victims: what may be killed; nothing means everything.
        modes: the ways to run the study; nothing means all.
        references: what runs without kills make, by way; None to run them.
        say: is told how it goes on.

    Raises:
        ChaosError: there is no such victim in these ways, or a run without kills fails.
    """
    allowed = {
        mode: [name for name in names if name in (victims or names)]
        for mode, names in VICTIMS.items()
        if mode in (modes or VICTIMS)
    }
    allowed = {mode: names for mode, names in allowed.items() if names}
    if not allowed:
        raise ChaosError(f"nobody to kill: {list(victims)} in {list(modes)}; there are {VICTIMS}")
    tally = Tally()
    whole = dict(references or {})
    for mode in allowed if references is None else ():
        whole[mode] = run_reference(mode, folder / f"reference-{mode}", tally)
        is_same = whole[mode].tables == next(iter(whole.values())).tables
        say(f"{mode}: without kills {whole[mode].duration_s:.1f} s, the same bytes: {is_same}")
        if not is_same:
            tally.problems.append(f"{mode}: other tables than {next(iter(whole))}, without kills")
    source = random.Random(seed)
    start = time.monotonic()
    while (num_left := num_kills - tally.kills.total()) > 0:
        mode = min(
            allowed, key=lambda mode: sum(tally.kills[mode, v] for v in allowed[mode]) / len(allowed[mode])
        )
        number = tally.lives.total()
        life = Life(mode, folder / f"life-{number}", whole[mode], tally)
        num_problems = len(tally.problems)
        try:
            life.live(source, allowed[mode], min(num_left, source.randint(3, MAX_KILLS_A_LIFE)))
            life.check_end()
        finally:
            life.close()
        num_new = len(tally.problems) - num_problems
        if not num_new:
            shutil.rmtree(life.folder)
        say(
            f"{time.monotonic() - start:6.0f} s  life {number} ({mode}): {tally.kills.total()} kills so far"
            + f", {num_new} problems" * bool(num_new)
        )
    return tally


def run_reference(mode: str, folder: Path, tally: Tally) -> ReferenceRun:
    """Return what a run without kills makes in a folder, and how long it takes.

    Raises:
        ChaosError: it fails.
    """
    life = Life(mode, folder, None, tally)
    try:
        return life.measure()
    finally:
        life.close()


def main() -> None:
    """Kill, print a table of the results, and exit with 1 if anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [*dict.fromkeys(name for victims in VICTIMS.values() for name in victims)]
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims (default: 0)")
    parser.add_argument("--victims", nargs="+", choices=names, default=[], help="by default all")
    parser.add_argument("--modes", nargs="+", choices=[*VICTIMS], default=[], help="by default all")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"terminated; see {folder}"))
    try:
        tally = wreak(
            options.kills,
            folder,
            options.seed,
            options.victims,
            options.modes,
            say=lambda words: print(words, flush=True),
        )
    except ChaosError as error:
        sys.exit(f"{error}\n(see {folder})")
    print(*tally.lines(), sep="\n")
    if tally.problems:
        sys.exit(f"see {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
