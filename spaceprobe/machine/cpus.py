"""How many CPUs this process may use: by its affinity and its container's quota, not what the machine has.

Also a script that prints the number, for the Makefile: only Python's own library is needed.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups, by which containers and batch systems limit CPU time."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""Which control groups this process is in."""


def usable_cpus(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return how many CPUs this process may use, at least 1.

    It is the smallest of the number of CPUs in its affinity (of the machine, where there is no affinity) and,
    rounded up, each quota of CPU time of its control groups and of those around them, of version 2
    (``cpu.max``) and version 1 (``cpu.cfs_quota_us``).

    Args:
        cgroups: the folder in which the system shows control groups.
        membership: the file in which it says which of them this process is in.
    """
    return max(1, min([_affinity(), *_quotas(cgroups, membership)]))


def default_threads() -> int:
    """Return OMP_NUM_THREADS where it is set to a number, else `usable_cpus`."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return usable_cpus()


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # on Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(cgroups: Path, membership: Path) -> Iterator[int]:
    """Yield the quotas that hold for this process, in CPUs, rounded up."""
    lines = ""
    with suppress(OSError):  # not Linux, or /proc is not mounted
        lines = membership.read_text(encoding="utf-8", errors="replace")
    for line in lines.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            for folder in _and_parents([cgroups, cgroups / "unified"], group):
                yield from _read_quota(folder / "cpu.max")
        elif "cpu" in controllers.split(","):
            for folder in _and_parents([cgroups / "cpu", cgroups / controllers], group):
                yield from _read_quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")


def _and_parents(mounts: list[Path], group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it, whose quotas hold as well.

    In a container the path may be that of the host, of which only the last folder is shown, as the top.
    """
    names = [name for name in group.split("/") if name not in ("", ".", "..")]
    for mount in mounts:
        for length in range(len(names) + 1):
            yield mount.joinpath(*names[:length])


def _read_quota(*paths: Path) -> Iterator[int]:
    """Yield the quota in files that hold it and its period in microseconds; nothing where none is set."""
    with suppress(OSError, ValueError, IndexError, ZeroDivisionError):  # no such file, or "max"
        words = " ".join(path.read_text(encoding="ascii") for path in paths).split()
        quota, period = int(words[0]), int(words[1])
        if quota > 0:  # version 1 writes -1 for none
            yield math.ceil(quota / period)


if __name__ == "__main__":
    print(usable_cpus())
