"""Shows that SLURM jobs compute for us and end with us, on a real SLURM; takes about a minute.

1. Two jobs compute ten small tasks; the scheduler and the workers listen on loopback only; without the
   cluster's credentials nobody gets in; within 10 s of closing, SLURM's queue is empty.
2. The driver is killed with kill -9 while its workers compute a long task: how long their processes live.

Run: scripts/slurm_here.sh run python scripts/check_slurm.py
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from distributed import Client

from spaceprobe.study.cluster.slurm import slurm_cluster
from spaceprobe.study.slurm_settings import SlurmSettings

SETTINGS = SlurmSettings(interface="lo", memory="500MB", walltime="00:10:00")
NUM_WORKERS = 2
NUM_TASKS = 10
QUEUE_LIMIT_S = 10.0
DEATH_LIMIT_S = 5.0


def square(number: int) -> int:
    """Return the square, after a while, so that both workers get some."""
    time.sleep(0.1)
    return number**2


def wait_for(is_so: Callable[[], bool], limit_s: float) -> float | None:
    """Return after how many seconds something became so; None if it did not in time."""
    start = time.perf_counter()
    while not is_so():
        if time.perf_counter() - start > limit_s:
            return None
        time.sleep(0.05)
    return time.perf_counter() - start


def job_ids() -> list[str]:
    """Return the ids of all jobs in SLURM's queue, those that are being ended included."""
    return subprocess.run(
        ["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True
    ).stdout.split()


def job_processes() -> list[int]:
    """Return the processes that run in jobs of this SLURM, by their environment."""
    ours = f"SLURM_CONF={os.environ['SLURM_CONF']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or it is a zombie
        if ours in variables and any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables):
            found.append(int(process.name))
    return found


def listening(pids: list[int]) -> list[str]:
    """Return the addresses that processes listen on."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    mine = [line for line in lines if any(f"pid={pid}," in line for pid in pids)]
    return sorted({line.split()[3] for line in mine})


def report(what: str, found: object, is_good: bool) -> bool:
    """Print a line of the result and return whether it is good."""
    print(f"{'ok' if is_good else 'WRONG':5}  {what}: {found}", flush=True)
    return is_good


def check_work(folder: Path) -> bool:
    """Check that jobs compute, for us only, and that they leave the queue."""
    start = time.perf_counter()
    with slurm_cluster(SETTINGS, NUM_WORKERS, folder) as cluster, Client(cluster) as client:
        client.wait_for_workers(NUM_WORKERS, timeout=60)
        started = time.perf_counter() - start
        futures = client.map(square, range(NUM_TASKS))
        results = client.gather(futures)
        busy = {address for where in client.who_has(futures).values() for address in where}
        ids = job_ids()
        pids = [os.getpid(), *job_processes()]
        addresses = listening(pids)
        refusal = knock(cluster.scheduler_address)
    emptied = wait_for(lambda: not job_ids(), 3 * QUEUE_LIMIT_S)
    gone = wait_for(lambda: not job_processes(), DEATH_LIMIT_S)
    return all(
        [
            report("jobs", f"{ids}, workers there after {started:.1f} s", len(ids) == NUM_WORKERS),
            report("workers", sorted(busy), len(busy) == NUM_WORKERS),
            report("results", results, results == [number**2 for number in range(NUM_TASKS)]),
            report("listening", addresses, bool(addresses) and all(a.startswith("127.") for a in addresses)),
            report("a client without credentials", refusal, refusal != "got in"),
            report("queue empty after closing, s", emptied, emptied is not None and emptied <= QUEUE_LIMIT_S),
            report("then no process left after, s", gone, gone is not None),
        ]
    )


def knock(address: str) -> str:
    """Return what a client gets that has credentials, but made by itself."""
    from distributed.security import Security

    try:
        with Client(address, security=Security.temporary(), timeout=3, set_as_default=False):
            return "got in"
    except OSError as error:
        return f"refused ({type(error).__name__})"


def check_killed_driver(folder: Path) -> bool:
    """Check how long workers live that compute a long task when their driver is killed."""
    driver = subprocess.Popen([sys.executable, __file__, "--drive", folder])
    try:
        is_busy = wait_for(lambda: len([*folder.glob("busy-*")]) == NUM_WORKERS, 60)
        num_processes = len(job_processes())
    finally:
        os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    lived = wait_for(lambda: not job_processes(), 120)
    emptied = wait_for(lambda: not job_ids(), 30)
    return all(
        [
            report("processes before kill -9 of the driver", num_processes, is_busy is not None),
            report("lived on, s", lived, lived is not None and lived <= DEATH_LIMIT_S),
            report("then the queue was empty after, s", emptied, emptied is not None),
        ]
    )


def drive(folder: Path) -> None:
    """Start a cluster whose workers compute for ten minutes."""
    with slurm_cluster(SETTINGS, NUM_WORKERS, folder) as cluster, Client(cluster) as client:
        client.wait_for_workers(NUM_WORKERS, timeout=60)
        client.gather([client.submit(long_task, folder, number) for number in range(NUM_WORKERS)])


def long_task(folder: Path, number: int) -> None:
    """Report that it runs, and compute for ten minutes."""
    (folder / f"busy-{number}").touch()
    time.sleep(600)


def main() -> int:
    """Run every check and return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if "SLURM_CONF" not in os.environ:
        parser.error("SLURM_CONF is not set: run it by scripts/slurm_here.sh run")
    if arguments.drive:
        drive(arguments.drive)
        return 0
    good = []
    for check in (check_work, check_killed_driver):
        with tempfile.TemporaryDirectory(prefix="check-slurm-", ignore_cleanup_errors=True) as name:
            good.append(check(Path(name)))
            for log in [] if good[-1] else sorted(Path(name).glob("spaceprobe-*.err")):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
