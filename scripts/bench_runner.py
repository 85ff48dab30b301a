"""What the runner costs: planning, time and memory a run, reruns, two jobs at once, and two runners.

Each side of a comparison is measured in processes of its own with one thread, in turn, best of some rounds.
The load average stands beside: on a busy machine the figures are too high.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from spaceprobe.machine.cpus import usable_cpus

NUM_RUNS = 1_000
NUM_ROUNDS = 3
WARM_UP = 100
"""Runs after which memory should no longer grow."""

TINY = """\
data: {{dataset: swiss-roll, task: regression, points: 10}}
network: {{architecture: 1x2}}
training: {{epochs: 1}}
study: {{stages: [train]}}
sweep: {{training.seed: {seeds}}}
"""
SHORT = (
    *("--set", "training.epochs=4"),
    *("--set", "folding.per_class=60"),
    *("--set", "sweep.training.seed=[0, 1]"),
)
"""Shortens the depth sweep from 25 runs of 30 epochs and 150 images a class to 10 of 4 and 60."""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

RUN_TINY = """
import sys, time
from pathlib import Path

from spaceprobe.machine.cpus import usable_cpus
from spaceprobe.study.config import load_study
from spaceprobe.study.running.runner import Runner, RunOptions
from spaceprobe.stages import run_stage_named
import torch
from spaceprobe.networks import checkpoints, mlp, training  # what a job imports
from spaceprobe.stages.train import convergence_log, networks
torch.set_num_threads(1)
config, results, kind = sys.argv[1:]
"""

WITH_RUNNER = """
start = time.perf_counter()
stages = [run_stage_named("train")]
runner = Runner(load_study(config), Path(results), RunOptions(is_quiet=True))
planned, rss = [], []
def note_planned(plan):
    planned.extend((time.perf_counter() - start, time.process_time()))
if kind == "memory":
    note = runner._journal.note
    def noting(event, **facts):
        note(event, **facts)
        if event == "job_ended":
            pages = Path("/proc/self/statm").read_text().split()[1]
            rss.append(int(pages) * 4096)
    runner._journal.note = noting
outcome = runner.run(stages, note_planned)
assert not outcome.failures
cpu = time.process_time() - planned[1]
print("FIGURES", planned[0], time.perf_counter() - start, cpu, outcome.num_computed, *rss)
"""

WITHOUT_RUNNER = """
import hashlib
plan = Runner(load_study(config), Path(results)).plan([run_stage_named("train")])
jobs = [job for stage_plan in plan.plans for job in stage_plan.jobs]
stage = run_stage_named("train")
start, cpu = time.perf_counter(), time.process_time()
num_computed = 0
for job in jobs:
    for _ in stage.compute(job, lambda amount: None, lambda name, data: hashlib.sha256(data).hexdigest()):
        num_computed += 1
print("FIGURES", 0.0, time.perf_counter() - start, time.process_time() - cpu, num_computed)
"""

NO_OP = """
import sys, time
from pathlib import Path

from spaceprobe.machine.cpus import usable_cpus
import pandas, tqdm, pydantic, spaceprobe.cli.run_stages, spaceprobe.study.running.runner
from spaceprobe.cli import main
start = time.perf_counter()
try:
    main(sys.argv[1:])
except SystemExit as error:
    print("FIGURES", time.perf_counter() - start, error.code or 0, "torch" in sys.modules)
"""


def load() -> str:
    """Return how busy the machine is, in words."""
    return f"load {os.getloadavg()[0]:.1f} on {usable_cpus()} cores"


def python(code: str, *words: object) -> tuple[list[str], float]:
    """Return the figures that a program prints, and its seconds; in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    seconds = time.perf_counter() - start
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES")]
    if done.returncode or not lines:
        raise SystemExit(f"the measured program ended with {done.returncode}:\n{done.stderr}")
    return lines[-1].split()[1:], seconds


def spaceprobe(*words: object) -> float:
    """Return the seconds of a whole command."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "spaceprobe", *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(
            f"spaceprobe {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr}"
        )
    return seconds


def slope(values: Sequence[float]) -> float:
    """Return the least-squares slope of values against their number; 0 for fewer than two."""
    middle = (len(values) - 1) / 2
    squares = sum((i - middle) ** 2 for i in range(len(values)))
    return sum((i - middle) * value for i, value in enumerate(values)) / squares if squares else 0.0


def bench_tiny(folder: Path, num_rounds: int, num_runs: int) -> None:
    """Print what planning, a run and its memory cost in a study of many tiny runs."""
    config = folder / "tiny.yaml"
    config.write_text(TINY.format(seeds=[*range(num_runs)]))
    print(f"{num_runs:,} runs of 1x2 on 10 points, 1 epoch, stage train; best of {num_rounds}; {load()}")
    with_runner, without, plans, commands, memory = [], [], [], [], []
    cpu_with, cpu_without = [], []
    for number in range(num_rounds):
        results = folder / f"tiny-{number}"
        commands.append(spaceprobe("plan", config, "--results", results))
        kind = "memory" if number == 0 else "time"
        (planned, whole, cpu, count, *rss), _ = python(RUN_TINY + WITH_RUNNER, config, results, kind)
        (_, bare, bare_cpu, bare_count), _ = python(
            RUN_TINY + WITHOUT_RUNNER, config, folder / "none", "time"
        )
        if not int(count) == int(bare_count) == num_runs:
            raise SystemExit(f"{count} and {bare_count} parts were computed, not {num_runs}")
        plans.append(float(planned))
        with_runner.append(float(whole))
        without.append(float(bare))
        cpu_with.append(float(cpu))
        cpu_without.append(float(bare_cpu))
        memory = memory or [int(value) / 2**20 for value in rss]
    cpu_ms = (min(cpu_with) - min(cpu_without)) / num_runs * 1000
    overhead_ms = (min(with_runner) - min(without)) / num_runs * 1000
    print(f"  planning, in the process, after import       {min(plans):7.2f} s    (goal 3)")
    print(f"  `spaceprobe plan`, the whole command         {min(commands):7.2f} s")
    print(f"  the runs by the runner, tables included      {min(with_runner):7.2f} s")
    print(f"  the same jobs, computed and not written      {min(without):7.2f} s")
    print(f"  overhead a run                               {overhead_ms:7.2f} ms   (goal 20)")
    print(f"  of it this process computing                 {cpu_ms:7.2f} ms   (the same on a busy machine)")
    late = memory[WARM_UP:]
    if late:
        grown = slope(late) * 100
        print(f"  memory at run {WARM_UP} and at the last            {late[0]:7.1f} and {late[-1]:.1f} MB")
        print(f"  its slope after run {WARM_UP}                      {grown:7.3f} MB per 100 runs")
    again, _ = python(NO_OP, "run", config, "--results", results, "--quiet", "--no-report")
    print(f"  a rerun with nothing to do, after import     {float(again[0]):7.2f} s")


def bench_noop(folder: Path, num_rounds: int, given: Path | None) -> None:
    """Print how long a rerun takes that finds everything there, on the depth sweep of 25 runs."""
    results = given or folder / "noop"
    # the parts are as many as of the full sweep; that they are smaller is not seen, since they are not read
    words = ["run", "depth-sweep", "--results", results]
    if given is None:
        words += ["--set", "training.epochs=1", "--set", "folding.per_class=5"]
        spaceprobe(*words, "--jobs", 2)
    print(f"the depth sweep again, nothing to do, best of {num_rounds}; {load()}")
    rounds = [(python(NO_OP, *words), spaceprobe(*words)) for _ in range(num_rounds)]
    if any(figures[2] != "False" for (figures, _), _ in rounds):
        raise SystemExit("torch was imported: something was computed")
    print(f"  after import                                 {min(float(r[0][0][0]) for r in rounds):7.2f} s"
          "    (goal 2)")  # fmt: skip
    print(f"  the whole command                            {min(r[1] for r in rounds):7.2f} s")


def bench_jobs(folder: Path, num_rounds: int, *, is_full: bool) -> None:
    """Print how much faster two jobs train and fold the depth sweep than one, each with one thread."""
    words = ["run", "depth-sweep", "--only", "train", "--only", "fold", "--set", "folding.threads=1"]
    words += [] if is_full else SHORT
    what = "in full" if is_full else " ".join(word for word in SHORT if word != "--set")
    print(f"the depth sweep, train and fold, {what}; best of {num_rounds}; {load()}")
    times: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for number in range(num_rounds):
        for num_jobs, some in times.items():  # in turn, so that both meet the same machine
            results = folder / f"jobs{num_jobs}-{number}"
            whole = spaceprobe(*words, "--results", results, "--jobs", num_jobs)
            some.append((whole, computing(results / "depth-sweep" / "timings.csv")))
    (one, one_in_parts), (two, two_in_parts) = min(times[1]), min(times[2])
    print(
        f"  --jobs 1                                     {one:7.1f} s    of it in parts {one_in_parts:7.1f} s"
    )
    print(
        f"  --jobs 2                                     {two:7.1f} s    of twice that  {two_in_parts:7.1f} s"
    )
    print(f"  ratio                                        {one / two:7.2f}      (goal 1.7)")
    print(f"  the parts slow each other down by            {two_in_parts / one_in_parts:7.2f}")


EIGHT = """\
data: {{dataset: swiss-roll, task: regression, points: 1000}}
network: {{architecture: 2x30}}
training: {{epochs: {epochs}}}
study: {{stages: [train]}}
sweep: {{training.seed: [0, 1, 2, 3, 4, 5, 6, 7]}}
"""
MIN_TRAINING_S = 10.0
"""What each of the eight trainings should take at least."""


def bench_two_runners(folder: Path, num_rounds: int, epochs: int) -> None:
    """Print how long two runners take with a job at a time, and one with two, for eight trainings."""
    config = folder / "eight.yaml"
    config.write_text(EIGHT.format(epochs=epochs))
    print(f"eight trainings of 2x30, {epochs} epochs on 1,000 points; best of {num_rounds}; {load()}")
    ratios = []
    for number in range(num_rounds):
        span = {}
        for num_runners in (2, 1):  # in turn, so that both meet the same machine
            results = folder / f"eight{num_runners}-{number}"
            words = [sys.executable, "-m", "spaceprobe", "run", str(config), "--results", str(results)]
            words += ["--no-report", "--jobs", str(3 - num_runners)]
            with ExitStack() as stack:
                runners = [
                    stack.enter_context(subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL))
                    for _ in range(num_runners)
                ]
                if any(runner.wait() for runner in runners):
                    raise SystemExit("a runner ended with an error")
            span[num_runners], started, shortest = job_span(results / "eight")
            if len(started) != len(set(started)) or len(started) != 8:
                raise SystemExit(f"{len(started)} jobs were started, of {len(set(started))}")
            note = "" if shortest >= MIN_TRAINING_S else ": too short, raise --epochs"
            who = f"{num_runners} at --jobs {3 - num_runners}"
            print(f"  {who}: {span[num_runners]:.0f} s, the shortest training {shortest:.1f} s{note}")
        ratios.append(span[2] / span[1])
    print(f"  two runners, of the time of one at --jobs 2  {min(ratios):7.2f}      (goal 1.15)")


def job_span(study: Path) -> tuple[float, list[str], float]:
    """Return the seconds from the first job's start to the last end, the jobs, and the shortest one's."""
    events = [json.loads(line) for line in (study / "events.jsonl").read_text().splitlines()]
    times = {
        kind: [datetime.fromisoformat(event["time"]) for event in events if event["event"] == kind]
        for kind in ("job_started", "job_ended")
    }
    with (study / "timings.csv").open(newline="") as file:
        shortest = min(float(row["duration_s"]) for row in csv.DictReader(file))
    started = [event["job"] for event in events if event["event"] == "job_started"]
    return (max(times["job_ended"]) - min(times["job_started"])).total_seconds(), started, shortest


def computing(timings: Path) -> float:
    """Return how long all parts took together, in seconds."""
    with timings.open(newline="") as file:
        return sum(float(row["duration_s"]) for row in csv.DictReader(file))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", choices=("tiny", "noop", "jobs", "two"), action="append", help="default: all"
    )
    parser.add_argument("--rounds", type=int, default=NUM_ROUNDS)
    parser.add_argument("--runs", type=int, default=NUM_RUNS, help="of the part tiny")
    parser.add_argument("--full", action="store_true", help="jobs: the whole depth sweep, an hour or so")
    parser.add_argument("--results", type=Path, help="noop: a folder that holds the finished depth sweep")
    parser.add_argument("--epochs", type=int, default=1500, help="two: of each training")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], None]] = {
            "tiny": lambda: bench_tiny(folder, asked.rounds, asked.runs),
            "noop": lambda: bench_noop(folder, asked.rounds, asked.results),
            "jobs": lambda: bench_jobs(folder, asked.rounds, is_full=asked.full),
            "two": lambda: bench_two_runners(folder, asked.rounds, asked.epochs),
        }
        for part in asked.part or parts:
            parts[part]()


if __name__ == "__main__":
    main()
