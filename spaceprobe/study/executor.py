"""Where jobs are computed: in this process, or in several of them.

A job goes out and its outcome comes back, both small; nothing else of a study knows where a job ran.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.results import ResultsError, write_part, write_whole
from spaceprobe.study.stage import Advance, Job, RunStage
from spaceprobe.study.stages import stage_named


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: the job.
        num_parts: how many of its parts were written.
        error: why there is no result; None where there is one.
    """

    job: Job
    num_parts: int
    error: str | None


def run_jobs(jobs: Sequence[Job], num_processes: int, advance: Advance) -> Iterator[Outcome]:
    """Computes jobs and yields the outcome of each as it ends.

    Args:
        jobs: the jobs; with one process they run in this order.
        num_processes: how many run at once; with 1, in this process.
        advance: called with the work done: as it is done with one process, else at the end of a job.

    Raises:
        SpaceprobeError: a process was killed.
    """
    num_processes = min(num_processes, len(jobs))
    if num_processes <= 1:
        for job in jobs:
            yield run_job(job, advance)
        return
    threads = str(max(1, (os.cpu_count() or 1) // num_processes))
    pool = ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),  # torch's threads do not survive a fork
        initializer=_start_worker,
        initargs=(threads,),
    )
    try:
        futures = {pool.submit(run_job, job, _ignore): job for job in jobs}
        for future in as_completed(futures):
            advance(sum(part.amount for part in futures[future].parts))
            yield future.result()
    except BrokenProcessPool as error:
        raise SpaceprobeError(
            "a worker process was killed (out of memory?); what was finished is kept, the same command "
            "goes on from there, perhaps with a smaller --jobs"
        ) from error
    finally:
        # After Ctrl-C or an error nobody waits for the jobs that still run.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def run_job(job: Job, advance: Advance) -> Outcome:
    """Computes the parts of a job and writes each as soon as it is there.

    One torch thread, whatever the machine: 1 and 2 threads give different last bits.
    """
    import torch

    torch.set_num_threads(1)
    stage = stage_named(job.stage)
    if not isinstance(stage, RunStage):
        raise TypeError(f"stage {job.stage} computes nothing for a run")
    num_parts, problem = 0, None
    start = time.perf_counter()
    try:
        for part, content in stage.compute(
            job, advance, lambda name, data: write_whole(job.folder / name, data)
        ):
            now = time.perf_counter()
            write_part(job.folder, part, content, now - start)
            num_parts, problem, start = num_parts + 1, content.error or problem, now
    except ResultsError:
        raise  # a full disk is full for every run: the study stops before it computes in vain
    except SpaceprobeError as error:
        problem = str(error)
    return Outcome(job, num_parts, problem)


def _start_worker(threads: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    os.environ.setdefault("OMP_NUM_THREADS", threads)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _ignore(amount: int) -> None:
    """Drops the progress of a job in another process: only its end comes back."""
