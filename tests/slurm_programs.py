"""Programs in the place of SLURM's, with answers that SLURM 22.05.8 gave (`scripts/slurm_here.sh`)."""

import os
from pathlib import Path

NOT_AVAILABLE = "allocation failure: Requested node configuration is not available"
INACTIVE = "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)"
NO_CONTROLLER = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"

# squeue --noheader --user=0 --states=all "--format=%i %T": a waiting and a running job were cancelled, the
# latter asked at once and 4 s later; a node was set down, with and without --no-requeue.
CANCELLED_AT_ONCE = "3 CANCELLED\n1 COMPLETING\n4 PENDING\n2 RUNNING\n"
CANCELLED_LATER = "1 CANCELLED\n3 CANCELLED\n2 RUNNING\n4 RUNNING\n"
NODE_DOWN = "1 CANCELLED\n3 CANCELLED\n2 PENDING\n4 RUNNING\n"
NODE_DOWN_NO_REQUEUE = "3 COMPLETED\n2 FAILED\n4 NODE_FAIL\n5 NODE_FAIL\n1 RUNNING\n"
TIME_IS_OVER = "3 COMPLETED\n2 FAILED\n4 NODE_FAIL\n5 NODE_FAIL\n1 TIMEOUT\n"


def answering(folder, monkeypatch, **programs):
    """Put programs first on the path that print an answer and end with a code."""
    for name, (code, out, err) in programs.items():
        lines = f"cat > /dev/null\nprintf '%s' '{out}'\nprintf '%s' '{err}' >&2\nexit {code}\n"
        _write(folder / name, lines)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


class SmallSlurm:
    """Keeps the state of each job in a file of its own; jobs wait for ever, unless a test says otherwise."""

    def __init__(self, folder: Path, monkeypatch):
        self._jobs = folder / "jobs"
        self._jobs.mkdir(parents=True)
        submit = f"""\
[ "$1" = --test-only ] && exit 0
[ -e {folder}/refuses ] && {{ echo "{INACTIVE}" >&2; exit 1; }}
number=1
until (set -C; echo PENDING > {self._jobs}/$number) 2> /dev/null; do number=$((number + 1)); done
echo "Submitted batch job $number"
"""
        _write(folder / "sbatch", submit)
        _write(folder / "scancel", f"echo CANCELLED > {self._jobs}/$1\n")
        list_jobs = f'cd {self._jobs}; for job in *; do echo "$job $(cat $job)"; done\n'
        _write(folder / "squeue", list_jobs)
        self._refuses = folder / "refuses"
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def refuse(self):
        """Take no further job."""
        self._refuses.touch()

    def set(self, number, state):
        """Set the state of a job."""
        (self._jobs / str(number)).write_text(state)

    def states(self):
        """Return the state of each job by its number."""
        return {int(job.name): job.read_text().strip() for job in self._jobs.iterdir()}


def _write(path, lines):
    path.write_text(f"#!/bin/sh\n{lines}")
    path.chmod(0o755)
