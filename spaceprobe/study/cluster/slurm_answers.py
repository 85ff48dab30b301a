"""What SLURM says of jobs, before they are submitted and after: dask-jobqueue never asks."""

import logging
import os
import subprocess
from collections.abc import Sequence

from spaceprobe.errors import SpaceprobeError

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 60
"""Chosen: how long SLURM's controller may take to answer; a busy one needs tens of seconds."""

LOOK_TIMEOUT_S = 10
"""Chosen: how long it may take while a study is running, whose next jobs wait for the answer."""

ENDED_BY_ITSELF = frozenset({"COMPLETED", "FAILED", "OUT_OF_MEMORY"})
"""The states of jobs that are over, as `squeue` writes them, and that nobody ended."""

ENDED_BY_SLURM = frozenset(
    {"BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT"}
)
"""The states of jobs that SLURM ended, by itself or on request."""

ENDING = frozenset({"COMPLETING", "SIGNALING", "STAGE_OUT"})
"""The states of a job that is not over, but ends; how is not told yet."""

RUNNING = "RUNNING"

FORGOTTEN = "no longer in its queue"
"""Stands for the state of a job that `squeue` does not list: it ended minutes ago."""

NOT_NOW = "Requested node configuration is not available"
"""What `sbatch --test-only` says of a job that no node could start, also where `sbatch` would queue it."""

CLOSED = ("drain", "down", "fail", "maint", "unknown", "inval")
"""How the states of nodes begin that take no job, as `sinfo` writes them."""


def check_accepted(script: str, queue: str | None) -> None:
    """Check that SLURM accepts a job; warn where it does and no node would take it now.

    Args:
        script: of the job.
        queue: the partition; None for the cluster's own default.

    Raises:
        SpaceprobeError: SLURM does not answer, or refuses; with its reason.
    """
    answer = _ask(["sbatch", "--test-only"], script)
    if not answer.returncode:
        return
    reason = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
    states = _states(queue) if NOT_NOW in reason else []
    if states and all(state.startswith(CLOSED) for state in states):
        where = "the cluster" if queue is None else f"partition {queue}"
        logger.warning(
            "no node of %s takes jobs now (%s): the workers wait in SLURM's queue until one does",
            where,
            ", ".join(dict.fromkeys(states)),
        )
        return
    raise SpaceprobeError(f"SLURM refuses such a job ({reason}): see the section slurm: of the study")


def _states(queue: str | None) -> list[str]:
    """Return the states of the nodes of a partition, or of all; nothing where SLURM does not tell."""
    answer = _ask(
        ["sinfo", "--noheader", "--format=%T", *([] if queue is None else [f"--partition={queue}"])]
    )
    return answer.stdout.split()


def job_states() -> dict[str, str]:
    """Return the state of each of the user's jobs, those that ended lately included, by their numbers.

    Raises:
        SpaceprobeError: SLURM does not tell, as while its controller starts anew.
    """
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--states=all", "--format=%i %T"]
    answer = _ask(command, timeout_s=LOOK_TIMEOUT_S)
    if answer.returncode:
        reason = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
        raise SpaceprobeError(f"squeue does not tell which jobs there are ({reason})")
    return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())


def _ask(
    command: Sequence[str], text: str = "", timeout_s: float | None = None
) -> "subprocess.CompletedProcess[str]":
    timeout_s = ANSWER_TIMEOUT_S if timeout_s is None else timeout_s
    # A user's SQUEUE_PARTITION and the like would hide jobs.
    env = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        return subprocess.run(  # noqa: S603  # the script is passed as text, and only checked
            command, input=text, capture_output=True, text=True, timeout=timeout_s, check=False, env=env
        )
    except FileNotFoundError as error:
        raise SpaceprobeError(
            f"{command[0]} was not found beside sbatch; is SLURM installed whole?"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SpaceprobeError(
            f"SLURM does not answer: {command[0]} took longer than {timeout_s} s"
        ) from error
