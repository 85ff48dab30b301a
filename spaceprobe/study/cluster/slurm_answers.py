"""What SLURM says to a job before it is submitted: dask-jobqueue submits unseen, and reports nothing."""

import logging
import subprocess
from collections.abc import Sequence

from spaceprobe.errors import SpaceprobeError

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 60
"""Chosen: how long SLURM's controller may take to answer; a busy one needs tens of seconds."""

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


def _ask(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603  # the script is passed as text, and only checked
            command, input=text, capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise SpaceprobeError(
            f"{command[0]} was not found beside sbatch; is SLURM installed whole?"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SpaceprobeError(
            f"SLURM does not answer: {command[0]} took longer than {ANSWER_TIMEOUT_S} s"
        ) from error
