"""A made-up stage for the workers of a cluster: a preload that puts it in the place of ``train``.

Each run says by its name what its job does, and each execution appends a line to a file beside the runs.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from spaceprobe import stages
from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import ResultsError, append_line
from spaceprobe.stages.stage import Job, Part, PartContent, RunStage, Settings
from spaceprobe.study.jobs import run_job as job_module

CODE = "made up"
EXECUTIONS = "executions"


def make_job(folder, run, num_parts=1, amount=1, code=CODE, wants_gpu=False):
    parts = [Part(f"train/{number}.json", {"number": number}, amount) for number in range(num_parts)]
    return Job("train", run, Path(folder) / run, {}, {}, parts, code, wants_gpu)


def executions(folder):
    """Return what each execution of a job told, in order: run, process, GPUs that it saw, begin."""
    path = Path(folder) / EXECUTIONS
    return [line.split("|") for line in path.read_text().splitlines()] if path.exists() else []


def _compute(job, advance, write_file):
    del write_file
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
    append_line(job.folder.parent / EXECUTIONS, f"{job.run}|{os.getpid()}|{devices}|{time.monotonic()}")
    what = job.run.partition("-")[0]
    if what == "sleep":
        time.sleep(float(job.run.split("-")[1]))
    if what == "die" or (what == "dieonce" and len(_mine(job)) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "full":
        raise ResultsError(f"{job.folder}: cannot be written (No space left on device)")
    if what == "bad":
        raise SpaceprobeError("this run is bad")
    if what == "odd":
        raise OddError("first", "second")
    for part in job.parts:
        advance(part.amount)
        yield part, PartContent({"run": job.run, "number": part.key["number"]})


def _mine(job):
    return [line for line in executions(job.folder.parent) if line[0] == job.run]


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def _plan(sections, inputs):
    return [Part(f"train/{number}.json", {"number": number}, 1) for number in range(100)]


STAGE = RunStage(
    name="train", summary="", example="", sections={"training": Settings}, tables=(), needs=(), unit="part",
    present=str, plan=_plan, compute=_compute, tabulate=dict,
)  # fmt: skip


def dask_setup(worker):
    """Is called in each worker process before it takes jobs."""
    del worker
    # The stage needs no torch, which each worker would take seconds to import.
    sys.modules.setdefault("torch", SimpleNamespace(set_num_threads=int))
    stages.STAGES = (STAGE,)
    job_module.code_version = _code_version
    job_module.load_code = lambda *_: True


def _code_version(stage, sections):
    del sections
    return CODE if stage is STAGE else "other"
