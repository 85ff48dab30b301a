"""A disk that is full, read-only or broken: the last good results stay, and one sentence says what is wrong.

A small real study (two architectures, two seeds, every stage) is run by `spaceprobe run` on disks that fail:

- full: a tmpfs of several sizes, so that it fills at different moments; then it is made larger;
- read-only: the results lie on a read-only bind mount; then it is taken away;
- broken: the n-th write, flush, rename or new folder below the results ends with EIO (a library given in
  LD_PRELOAD; nothing in the program helps), once or from then on, for several n; then without that library.

Each begins with nothing or with the results of the study at other settings. After the failure: exit code 1,
one sentence with path and cause, no traceback, no temporary file; what was there before is there byte for
byte (a table may already be the one of the new settings), and what is new can be read. After the cause is
gone the same command ends well, with the tables of a run that nothing disturbed, byte for byte. A run that
goes on in spite of a single error must leave the same tables.

It mounts in a private mount namespace of its own (`unshare`) and compiles forty lines of C (`cc`). Linux.

Run: python scripts/disk_faults.py [--quick] [--jobs N]
Six minutes on an idle core; --quick a few failures, a minute and a half. Exits with 1 if anything does not
hold.
"""

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

STUDY = """\
data: {train_images: 600}
training: {epochs: 2}
folding: {per_class: 3, pairs: [1-7, 3-8]}
sweep:
  network.architecture: [2x8, 3x6]
  training.seed: [0, 1]
"""
OTHER = ("--set", "training.epochs=3")
"""Other settings: every run is another one, every table changes."""

CAUSES = {
    "full": "No space left on device",
    "read-only": "Read-only file system",
    "broken": "Input/output error",
}
DIFFERS_ANYWAY = ("timings.csv",)  # wall-clock times
TOO_LONG_S = 300

FAILING = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long *counter, at;
static int forever;
static const char *folder;

__attribute__((constructor)) static void start(void) {
    int file = open(getenv("FAULT_COUNTER"), O_RDWR);
    counter = mmap(0, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    folder = getenv("FAULT_FOLDER");
    at = atol(getenv("FAULT_AT"));
    forever = atoi(getenv("FAULT_FOREVER"));
}
static int fails(const char *path) {
    if (!folder || strncmp(path, folder, strlen(folder))) return 0;
    long n = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
    if (n != at && !(forever && n > at)) return 0;
    errno = EIO;
    return 1;
}
static int file_fails(int file) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t size = readlink(name, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return fails(path);
}
ssize_t write(int f, const void *b, size_t n) { return file_fails(f) ? -1 : syscall(SYS_write, f, b, n); }
ssize_t pwrite64(int f, const void *b, size_t n, off_t o) {
    return file_fails(f) ? -1 : syscall(SYS_pwrite64, f, b, n, o);
}
ssize_t writev(int f, const struct iovec *v, int n) {
    return file_fails(f) ? -1 : syscall(SYS_writev, f, v, n);
}
int fsync(int f) { return file_fails(f) ? -1 : syscall(SYS_fsync, f); }
int fdatasync(int f) { return file_fails(f) ? -1 : syscall(SYS_fdatasync, f); }
int rename(const char *a, const char *b) {
    return fails(b) ? -1 : syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0);
}
int mkdir(const char *path, mode_t mode) { /* of a folder that is there it says so, on any disk */
    return access(path, F_OK) && fails(path) ? -1 : syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
"""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: its exit code.
        err: what it wrote to stderr.
    """

    code: int
    err: str


@dataclass(frozen=True)
class FailingDisk:
    """The disk that fails, and how studies are run on it.

    Attributes:
        folder: on a disk that works.
        mount_point: where the failing disks are mounted.
        jobs: how many jobs at once.
    """

    folder: Path
    mount_point: Path
    jobs: int

    @property
    def results(self) -> Path:
        """The folder given as --results."""
        return self.mount_point / "results"

    def run(self, *arguments: str, fault: Mapping[str, str] | None = None) -> Ended:
        """Run the study, with some writes failing if asked for."""
        command = [sys.executable, "-m", "spaceprobe", "run", str(self.folder / "small.yaml")]
        command += ["--results", str(self.results), "--jobs", str(self.jobs), "--no-report", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(fault or {})}
        done = subprocess.run(
            command,
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=TOO_LONG_S,
        )
        return Ended(done.returncode, done.stderr)

    def mount(self, size: str) -> None:
        """Mount an empty disk of a size, in place of the one before."""
        if os.path.ismount(self.mount_point):
            subprocess.run(["umount", str(self.mount_point)], check=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(self.mount_point)], check=True
        )

    def fault(self, at: int, *, forever: bool = False) -> dict[str, str]:
        """Return the environment in which one call below the results fails; 0 only counts the calls."""
        counter = self.folder / "counter"
        counter.write_bytes(bytes(8))
        return {
            "LD_PRELOAD": str(self.folder / "failing.so"),
            "FAULT_COUNTER": str(counter),
            "FAULT_FOLDER": str(self.results),
            "FAULT_AT": str(at),
            "FAULT_FOREVER": str(int(forever)),
        }

    def num_calls(self) -> int:
        """Return how many calls were counted since `fault`."""
        return int.from_bytes((self.folder / "counter").read_bytes(), sys.byteorder)


Files = dict[str, bytes]
"""What files hold, by their path below the results."""


def snapshot(folder: Path) -> Files:
    """Return all files below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def different_tables(found: Files, expected: Files) -> list[str]:
    """Return in words which tables are missing or not those that are expected."""
    tables = {name for name in (*found, *expected) if name.endswith(".csv")}
    return [
        f"{name} {'differs' if name in found else 'is missing'}"
        for name in sorted(tables)
        if not name.endswith(DIFFERS_ANYWAY) and found.get(name) != expected.get(name)
    ]


def unreadable(files: Files) -> list[str]:
    """Return in words which files are not whole: every format has its own reader."""
    import safetensors.torch

    problems = []
    readers = {
        ".csv": lambda data: pd.read_csv(io.BytesIO(data)),
        ".json": json.loads,
        ".jsonl": lambda data: [json.loads(line) for line in data.splitlines()],
        ".npz": lambda data: [array for _, array in np.load(io.BytesIO(data)).items()],
        ".safetensors": safetensors.torch.load,
    }
    for name, data in files.items():
        # a hidden file is the program's own note, in its own format
        reader = None if Path(name).name.startswith(".") else readers.get(Path(name).suffix)
        try:
            if reader is not None:
                reader(data)
        except Exception as error:  # whatever a reader says of a torn file
            problems.append(f"{name} cannot be read: {error!r:.100}")
    return problems


def used_kb(folder: Path) -> int:
    """Return how much of a disk files take, in pages of 4 kB."""
    return sum(-(-p.stat().st_size // 4096) * 4 for p in folder.rglob("*") if p.is_file())


@dataclass
class Trial:
    """One failure and what came of it.

    Attributes:
        name: what failed.
        kind: ``full``, ``read-only`` or ``broken``.
        problems: what does not hold.
        went_on: whether the run ended well in spite of it.
        said: the sentence.
    """

    name: str
    kind: str
    problems: list[str] = field(default_factory=list)
    went_on: bool = False
    said: str = ""

    def judge(self, disk: FailingDisk, ended: Ended, before: Files, final: Files) -> None:
        """Note what does not hold after a failure."""
        errors = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
        self.said = errors[0] if errors else ended.err[-200:]
        after = snapshot(disk.results)
        if self.kind == "broken" and not ended.code:
            self.went_on = True
            self.problems += different_tables(after, final)
        elif ended.code != 1 or len(errors) != 1:
            self.problems.append(
                f"exit code {ended.code}, {len(errors)} lines of error: {ended.err[-300:]!r}"
            )
        elif CAUSES[self.kind] not in errors[0] or str(disk.results) not in errors[0]:
            self.problems.append(f"without path or cause: {errors[0]}")
        if "Traceback" in ended.err:
            self.problems.append(f"a traceback: {ended.err[-300:]!r}")
        for name, data in before.items():
            is_table = name.endswith(".csv") and not name.endswith(DIFFERS_ANYWAY)
            is_part = "/runs/" in name and not name.endswith((".log", ".jsonl"))
            if after.get(name) == data or not (is_table or is_part):
                continue
            if not (is_table and name in after and after[name] == final.get(name)):
                self.problems.append(f"{name} was {'changed' if name in after else 'lost'}")
        self.problems += [f"{name} is left over" for name in after if name.endswith(".tmp")]
        self.problems += unreadable(after)

    def judge_end(self, disk: FailingDisk, ended: Ended, final: Files) -> None:
        """Note what does not hold after the cause is gone and the command was repeated."""
        if ended.code:
            self.problems.append(f"repeated: exit code {ended.code}: {ended.err[-300:]!r}")
            return
        after = snapshot(disk.results)
        self.problems += [
            f"repeated: {words}" for words in different_tables(after, final) + unreadable(after)
        ]
        self.problems += [f"repeated: {name} is left over" for name in after if name.endswith(".tmp")]


def put(disk: FailingDisk, good: Path | None) -> None:
    """Put results on the disk, or an empty folder."""
    if good is None:
        disk.results.mkdir()
    else:
        shutil.copytree(good, disk.results)


def full(
    disk: FailingDisk, name: str, size_kb: int, good: Path | None, final: Files, extra: tuple[str, ...]
) -> Trial:
    """Return what came of a disk of a size."""
    trial = Trial(f"{name}, {size_kb} kB", "full")
    disk.mount(f"{size_kb}k")
    put(disk, good)
    before = snapshot(disk.results)
    trial.judge(disk, disk.run(*extra), before, final)
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk.mount_point)], check=True)
    trial.judge_end(disk, disk.run(*extra), final)
    return trial


def read_only(disk: FailingDisk, name: str, good: Path | None, final: Files, extra: tuple[str, ...]) -> Trial:
    """Return what came of a read-only bind mount."""
    trial = Trial(name, "read-only")
    disk.mount("64m")
    put(disk, good)
    if good is not None and not extra:  # some of what is asked for has to be made again
        for path in (*disk.results.glob("*/*.csv"), next(disk.results.rglob("*.npz"))):
            path.unlink()
    before = snapshot(disk.results)
    subprocess.run(["mount", "--bind", str(disk.results), str(disk.results)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(disk.results)], check=True)
    trial.judge(disk, disk.run(*extra), before, final)
    if snapshot(disk.results) != before:
        trial.problems.append("files differ, though nothing could be written")
    subprocess.run(["umount", str(disk.results)], check=True)
    trial.judge_end(disk, disk.run(*extra), final)
    return trial


def broken(
    disk: FailingDisk,
    name: str,
    at: int,
    forever: bool,
    good: Path | None,
    final: Files,
    extra: tuple[str, ...],
) -> Trial:
    """Return what came of a call that ends with EIO."""
    trial = Trial(f"{name}, call {at}{' and all after it' if forever else ''}", "broken")
    disk.mount("64m")
    put(disk, good)
    before = snapshot(disk.results)
    ended = disk.run(*extra, fault=disk.fault(at, forever=forever))
    if disk.num_calls() < at:
        trial.problems.append(f"only {disk.num_calls()} calls were made, none failed")
    trial.judge(disk, ended, before, final)
    trial.judge_end(disk, disk.run(*extra), final)
    return trial


def reference(disk: FailingDisk, good: Path | None, extra: tuple[str, ...]) -> tuple[Files, int, int]:
    """Return the files of a run without failures, how much they take in kB, and how many calls can fail."""
    disk.mount("64m")
    put(disk, good)
    ended = disk.run(*extra, fault=disk.fault(0))
    if ended.code:
        sys.exit(f"an run without failures ends with {ended.code}:\n{ended.err[-2000:]}")
    return snapshot(disk.results), used_kb(disk.results), disk.num_calls()


def trials(disk: FailingDisk, *, quick: bool) -> Iterator[Trial]:
    """Yield every failure with what came of it."""
    source = random.Random(0)
    final, used, num_calls = reference(disk, None, ())
    good = disk.folder / "good"
    shutil.copytree(disk.results, good)
    other, used_both, num_other = reference(disk, good, OTHER)
    print(f"without failures: {len(final)} files, {used} kB, {num_calls} calls that can fail")
    for share in (0.5,) if quick else (0.02, 0.15, 0.3, 0.5, 0.7, 0.9, 0.97):
        yield full(disk, "nothing there", int(used * share), None, final, ())
    for share in (0.3,) if quick else (0.0, 0.3, 0.6, 0.95):
        size = used + 8 + int((used_both - used) * share)
        yield full(disk, "other settings", size, good, other, OTHER)
    yield read_only(disk, "other settings", good, other, OTHER)
    yield read_only(disk, "tables and a part to make again", good, final, ())
    yield read_only(disk, "everything again", good, final, ("--force",))
    if not quick:
        yield read_only(disk, "nothing there", None, final, ())
    for number in range(1 if quick else 6):
        at, at_other = source.randint(1, num_calls), source.randint(1, num_other)
        yield broken(disk, "nothing there", at, bool(number % 2), None, final, ())
        yield broken(disk, "other settings", at_other, not number % 2, good, other, OTHER)


def enter_namespace() -> None:
    """Start this script again where what it mounts is invisible to others.

    Returns only if that has been done; ends the script where a tool is missing.
    """
    if os.environ.pop("DISK_FAULTS_INSIDE", None):
        return
    for tool in ("unshare", "mount", "cc"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: this script needs unshare, mount and a C compiler")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.environ["DISK_FAULTS_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", *user, "--mount", sys.executable, *sys.argv])


def main() -> None:
    """Try every failure, print a line for each, and exit with 1 if anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few failures only")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="as of spaceprobe run (default: 1)")
    options = parser.parse_args()
    enter_namespace()
    num_wrong = num_went_on = num = 0
    with tempfile.TemporaryDirectory(prefix="disk-faults-") as name:
        folder = Path(name).resolve()
        disk = FailingDisk(folder, folder / "disk", options.jobs)
        disk.mount_point.mkdir()
        (folder / "small.yaml").write_text(STUDY)
        (folder / "failing.c").write_text(FAILING)
        compiler = [
            "cc",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            str(folder / "failing.so"),
            str(folder / "failing.c"),
        ]
        subprocess.run(compiler, check=True)
        try:
            for trial in trials(disk, quick=options.quick):
                num, num_went_on = num + 1, num_went_on + trial.went_on
                num_wrong += bool(trial.problems)
                result = "WRONG" if trial.problems else "went on" if trial.went_on else "held"
                print(
                    f"{trial.kind:<10}{trial.name:<48}{result:<8}{trial.said.replace(name, '')[:150]}",
                    flush=True,
                )
                for words in trial.problems[:8]:
                    print(f"    {words.replace(name, '')}", flush=True)
        finally:
            subprocess.run(["umount", "--lazy", str(disk.mount_point)], check=False)
    print(f"{num} failures of the disk: {num_wrong} with violations, {num_went_on} that the run survived")
    if num_wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
