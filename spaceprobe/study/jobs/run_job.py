"""Computes one job, in this process or in a worker."""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import InTheWayError, ResultsError, write_whole
from spaceprobe.machine.limits import limit_sentence
from spaceprobe.stages import run_stage_named
from spaceprobe.stages.stage import Advance, Job, RunStage
from spaceprobe.study.code_version import code_version, load_code
from spaceprobe.study.jobs.run_log import here, log_line, logged
from spaceprobe.study.provenance import numeric_libraries
from spaceprobe.study.storage.part_files import StoredPart, read_part, write_part
from spaceprobe.study.storage.reasons import differences
from spaceprobe.user_code import stdout_kept, trusting

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended; small, since it may come from another machine.

    Attributes:
        digests: SHA-256 of each part that was written, by its path.
        error: why there is no result; None if there is one.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


def run_job(job: Job, advance: Advance) -> JobOutcome:
    """Compute the parts of a job, and write each as soon as it is computed.

    Torch computes with one thread on every machine: 1 and 2 threads give different last bits. An error that
    concerns this run only is its outcome, and is in its log; one that would concern every run is raised.

    Raises:
        ResultsError: results cannot be written.
        SpaceprobeError: this process has other code than the one that planned the job.
    """
    import torch

    torch.set_num_threads(1)
    stage = run_stage_named(job.stage)
    if not load_code(stage, job.sections) or code_version(stage, job.sections) != job.code:
        raise SpaceprobeError(
            f"{here()} has other code for {job.stage} than this study was started with: it was edited "
            "meanwhile, that machine has another spaceprobe, or its Dask worker was started before the edit; "
            "what was finished is kept: restart such workers, and start again"
        )
    todo = job if job.is_forced else still_to_do(job, lambda stored: advance(stored.part.amount))
    if not todo.parts:
        return JobOutcome()
    try:
        with trusting(job.trusted), stdout_kept():
            return _compute_logged(todo, stage, advance)
    except InTheWayError as error:  # of this run's log
        return JobOutcome(error=str(error))


def _compute_logged(job: Job, stage: RunStage, advance: Advance) -> JobOutcome:
    num_parts = len(job.parts)
    log_line(job.folder, f"{job.stage}: started, {num_parts} part{'s' * (num_parts != 1)}, {here()}")
    start = time.perf_counter()
    with logged(job.folder, job.stage):
        if job.libraries and job.libraries != numeric_libraries():
            logger.warning(
                "%s has other libraries (%s) than where the study was started (%s): last bits may differ",
                here(),
                *(" ".join(map(" ".join, own.items())) for own in (numeric_libraries(), job.libraries)),
            )
        outcome = _compute(job, stage, advance)
    seconds = f"{time.perf_counter() - start:.1f} s"
    end = f"done in {seconds}" if outcome.error is None else f"failed after {seconds}: {outcome.error}"
    log_line(job.folder, f"{job.stage}: {end}")
    return outcome


def _compute(job: Job, stage: RunStage, advance: Advance) -> JobOutcome:
    digests: dict[str, str] = {}
    problem = None
    start = time.perf_counter()
    try:
        _check_keys(job, stage)
        for part, content in stage.compute(
            job, advance, lambda name, data: write_whole(job.folder / name, data)
        ):
            now = time.perf_counter()
            digests[part.path] = write_part(job.folder, part, content, now - start, job.code)
            problem, start = content.error or problem, now
    except InTheWayError as error:
        problem = str(error)
    except ResultsError:
        raise  # a full disk is full for every run: compute no more
    except SpaceprobeError as error:
        problem = str(error)
    except Exception as error:  # a failed run does not end a sweep; its log has the traceback
        log_line(job.folder, f"{job.stage}: {traceback.format_exc().rstrip()}")
        problem = limit_sentence(error) or f"{type(error).__name__}: {error}".partition("\n")[0]
    return JobOutcome(digests, problem)


def _check_keys(job: Job, stage: RunStage) -> None:
    """Check that this machine plans the same parts: above all, that it has the same data.

    Raises:
        SpaceprobeError: it plans others.
    """
    own = {part.path: part.key for part in stage.plan(job.sections, job.inputs)}
    for part in job.parts:
        changes = differences(part.key, own.get(part.path, {}))
        if changes:
            raise SpaceprobeError(
                f"{here()} differs from where the study was started ({', '.join(changes)}); give all "
                "machines the same data and the same spaceprobe"
            )


def still_to_do(job: Job, finished: Callable[[StoredPart], None]) -> Job:
    """Return a job without the parts that another runner has finished since it was planned.

    Args:
        job: the job.
        finished: called with each of these parts.
    """
    todo = []
    for part in job.parts:
        stored = read_part(job.folder, part, job.code) if (job.folder / part.path).exists() else None
        if isinstance(stored, StoredPart):
            finished(stored)
        else:
            todo.append(part)
    return replace(job, parts=todo)
