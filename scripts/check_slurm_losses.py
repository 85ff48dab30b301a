"""Shows that a study survives what SLURM does to its jobs, on a real SLURM; takes some minutes.

A small study (four networks, a Swiss roll, no download) is run in this process first. Then, each time in a
new folder by ``spaceprobe run --slurm``, something is done to its jobs, and all its tables but the times have
to be the same bytes in the end:

1. All nodes are drained at the start: a warning, and the jobs wait. Somebody cancels the waiting jobs: they
   are asked for again, and compute the study once the nodes are back.
2. Waiting jobs are cancelled as often as they are asked for: the limit is named, and the command ends with 1.
3. Two workers are cancelled at once, in the middle of their runs: no run fails.
4. A node goes down in the middle of a run (its slurmd and all its processes are killed): no run fails.
5. A partition that SLURM refuses: one sentence, and no folder of results.
6. Another kind of server listens at ``--scheduler-address``: one sentence, no traceback.

Prints a line for each check, and exits with 1 if one fails.

Run: scripts/slurm_here.sh run python scripts/check_slurm_losses.py
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from check_slurm import job_processes, report
from marked_processes import HANGS_AFTER_S, Program, kill, wait_for

from spaceprobe.study.cluster.slurm_jobs import NEVER_BEGUN_LIMIT
from spaceprobe.study.events import job_states

NAME = "losses"
STUDY = """\
data: {dataset: swiss-roll, points: 100, task: regression}
training: {epochs: 600}
study: {stages: [train, lmd]}
sweep:
  network.architecture: [1x2, 2x3]
  training.seed: [0, 1]
slurm: {interface: lo, memory: 500MB, walltime: "00:10:00"}
"""
NODES = ("here1", "here2")
DIFFERS_ANYWAY = ("timings.csv",)  # wall-clock times


def tables(folder: Path) -> dict[str, bytes]:
    """Return the bytes of a study's tables, those of wall-clock times left out."""
    found = {path.name: path.read_bytes() for path in (folder / NAME).glob("*.csv")}
    return {name: data for name, data in found.items() if name not in DIFFERS_ANYWAY}


def command(folder: Path, *words: str) -> list[str]:
    """Return the command that runs the study into a folder."""
    study = folder.parent / f"{NAME}.yaml"
    return [sys.executable, "-m", "spaceprobe", "run", str(study), "--results", str(folder), *words]


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Program]:
    """Run the study into a new folder during the block, and leave no process of it."""
    folder.mkdir()
    program = Program(command(folder, *words), folder)
    try:
        yield program
    finally:
        program.kill_all()


def ended(program: Program) -> int | None:
    """Return the exit code of a program, or None if it does not end."""
    if wait_for(lambda: program.process.poll() is not None, HANGS_AFTER_S) is None:
        return None
    return program.process.returncode


def jobs(state: str) -> list[str]:
    """Return the ids of the jobs that are in a state."""
    answer = ask("squeue", "--noheader", f"--states={state}", "--format=%i")
    return answer.split()


def ask(*words: str) -> str:
    """Return what a command of SLURM answers."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def set_nodes(state: str, *nodes: str) -> None:
    """Set the state of nodes, as an administrator does."""
    ask("scontrol", "update", f"nodename={','.join(nodes)}", f"state={state}", "reason=tried")


def resume(*nodes: str) -> None:
    """Let those of some nodes take jobs again that are drained."""
    states = {node: ask("sinfo", "--noheader", f"--nodes={node}", "--format=%T") for node in nodes}
    if drained := [node for node, state in states.items() if state.startswith("drain")]:
        set_nodes("resume", *drained)


def num_working(folder: Path) -> int:
    """Return how many jobs of the study have started and not ended."""
    return len(job_states(folder / NAME).running)


def said(program: Program, *texts: str) -> list[str]:
    """Return the lines that a program wrote and that hold one of some texts."""
    return [line for line in program.said().splitlines() if any(text in line for text in texts)]


def check_end(program: Program, folder: Path, expected: dict[str, bytes]) -> bool:
    """Check that a study ends well, with the tables of a local run."""
    code = ended(program)
    found = tables(folder)
    same = [name for name, data in expected.items() if found.get(name) == data]
    is_good = code == 0 and found == expected
    return report(
        "the study's end", f"exit code {code}, {len(same)} of {len(expected)} tables the same bytes", is_good
    )


def check_drained_and_cancelled(folder: Path, expected: dict[str, bytes]) -> bool:
    """Check that drained nodes are waited for, and that waiting jobs that are cancelled come again."""
    set_nodes("drain", *NODES)
    try:
        with running(folder, "--slurm", "2") as program:
            wait_for(lambda: len(jobs("PENDING")) == 2, HANGS_AFTER_S)
            first = jobs("PENDING")
            warned = said(program, "no node of the cluster takes jobs now")
            ask("scancel", *first)
            wait_for(lambda: len({*jobs("PENDING")} - {*first}) == 2, HANGS_AFTER_S)
            second = jobs("PENDING")
            again = said(program, "did not come, since")
            resume(*NODES)
            return all(
                [
                    report("nodes drained at the start", warned, len(warned) == 1),
                    report(
                        "waiting jobs were cancelled", f"{first}, then there were {second}", len(second) == 2
                    ),
                    report("said", again, len(again) == 1),
                    check_end(program, folder, expected),
                ]
            )
    finally:
        resume(*NODES)


def check_limit(folder: Path) -> bool:
    """Check that jobs that are cancelled time and again are asked for up to the limit."""
    set_nodes("drain", *NODES)
    cancelled: set[str] = set()

    def cancel() -> bool:
        waiting = jobs("PENDING")
        cancelled.update(waiting)
        if waiting:
            ask("scancel", *waiting)
        return program.process.poll() is not None

    try:
        with running(folder, "--slurm", "1") as program:
            wait_for(cancel, HANGS_AFTER_S)
            last = program.said().splitlines()[-1:]
            code = program.process.poll()
            is_named = f"no more are asked for after {NEVER_BEGUN_LIMIT} for each worker" in "".join(last)
            num_jobs = f"{len(cancelled)} jobs, exit code {code}"
            return all(
                [
                    report(
                        "jobs cancelled time and again",
                        num_jobs,
                        code == 1 and len(cancelled) == 1 + NEVER_BEGUN_LIMIT,
                    ),
                    report("said", last, is_named and "Traceback" not in program.said()),
                ]
            )
    finally:
        resume(*NODES)


def check_cancelled_workers(folder: Path, expected: dict[str, bytes]) -> bool:
    """Check that no run fails when both workers are cancelled in the middle of one."""
    with running(folder, "--slurm", "2") as program:
        wait_for(lambda: num_working(folder) == 2, HANGS_AFTER_S)
        ids = jobs("RUNNING")
        ask("scancel", *ids)
        first = report("two workers cancelled at once", ids, len(ids) == 2)
        is_good = check_end(program, folder, expected)
        lines = said(program, "SLURM ended the worker")
        return all([first, is_good, report("said", lines, len(lines) == 2)])


def check_lost_node(folder: Path, expected: dict[str, bytes]) -> bool:
    """Check that no run fails when a node goes down."""
    lost, kept = NODES
    set_nodes("drain", kept)  # the worker goes to the node that will be lost
    try:
        with running(folder, "--slurm", "1") as program:
            wait_for(lambda: num_working(folder) == 1, HANGS_AFTER_S)
            ids = jobs("RUNNING")
            cut_off(lost)
            set_nodes("down", lost)
            resume(kept)
            first = report("a node went down with job", ids, len(ids) == 1)
            is_good = check_end(program, folder, expected)
            lines = said(program, "SLURM ended the worker")
            return all([first, is_good, report("said", lines, len(lines) == 1)])
    finally:
        resume(kept)


def cut_off(node: str) -> None:
    """Kill slurmd and all processes of jobs on a node, as a power cut does."""
    here = Path(os.environ["SLURM_CONF"]).parent
    on_node = [pid for pid in job_processes() if f"SLURMD_NODENAME={node}" in environment(pid)]
    steps = {parent(pid) for pid in on_node}
    steps = {pid for pid in steps if Path(f"/proc/{pid}/comm").read_text().strip() == "slurmstepd"}
    kill(int((here / f"slurmd-{node}.pid").read_text()))
    for pid in [*steps, *on_node]:  # the step's daemon first, or it would report that the job has ended
        kill(pid)


def environment(pid: int) -> list[str]:
    """Return the environment of a process."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def check_refused(folder: Path) -> bool:
    """Check that a refused partition is one sentence, and leaves nothing behind."""
    with running(folder, "--slurm", "1", "--set", "slurm.queue=nowhere") as program:
        code = ended(program)
        lines = said(program, "SLURM refuses such a job")
        left = (folder / NAME).exists()
        found = f"exit code {code}, {lines}, a folder of results: {left}"
        return report("a partition that is not there", found, code == 1 and len(lines) == 1 and not left)


def check_stranger(folder: Path) -> bool:
    """Check that another kind of server is one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=greet, args=(server,), daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with running(folder, "--scheduler-address", address, "-v") as program:
            code = ended(program)
            lines = said(program, "Error")
            is_good = code == 1 and len(lines) == 1 and "Traceback" not in program.said()
            return report("another server at --scheduler-address", f"exit code {code}, {lines}", is_good)


def greet(server: socket.socket) -> None:
    """Say to a client what an SSH server says."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        connection.recv(1)


def main() -> int:
    """Run every check and return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="checks whose name holds one of the words")
    arguments = parser.parse_args()
    if "SLURM_CONF" not in os.environ:
        parser.error("SLURM_CONF is not set: run it by scripts/slurm_here.sh run")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that every block is left
    with tempfile.TemporaryDirectory(prefix="check-slurm-losses-", ignore_cleanup_errors=True) as name:
        base = Path(name)
        (base / f"{NAME}.yaml").write_text(STUDY)
        with running(base / "local") as program:
            code = ended(program)
        expected = tables(base / "local")
        print(ask("sbatch", "--version").strip())
        good = [report("without SLURM", f"exit code {code}, {len(expected)} tables", code == 0)]
        checks = {
            "drained-and-cancelled": lambda folder: check_drained_and_cancelled(folder, expected),
            "limit": check_limit,
            "cancelled-workers": lambda folder: check_cancelled_workers(folder, expected),
            "refused": check_refused,
            "stranger": check_stranger,
            "lost-node": lambda folder: check_lost_node(folder, expected),  # last: the node stays lost
        }
        for title, check in checks.items():
            if arguments.only and not any(word in title for word in arguments.only):
                continue
            good.append(check(base / title))
            for log in [] if good[-1] else sorted((base / title).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-5000:]}", file=sys.stderr)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
