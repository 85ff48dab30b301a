"""Two runners on one study: who computes which job, whose claims are lost, and how failures are shared."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest

from spaceprobe.stages import run_stage_named, train
from spaceprobe.study.config import load_study
from spaceprobe.study.events import read_events
from spaceprobe.study.jobs.run_job import run_job
from spaceprobe.study.running import heartbeats
from spaceprobe.study.running.claims import Claims, claimed
from spaceprobe.study.running.job_feed import JobFeed, job_name
from spaceprobe.study.running.journal import Journal
from spaceprobe.study.running.runner import Runner, RunOptions
from spaceprobe.tables.frames import read_tables
from tests.commands import call

STUDY = """\
data: {dataset: swiss-roll, points: 40, task: regression}
network: {architecture: 1x3}
training: {epochs: 1}
study: {stages: [train, lmd]}
sweep: {training.seed: [0, 1, 2, 3]}
"""
TRAIN = run_stage_named("train")
OF_ANOTHER_HOST = {"host": "elsewhere", "pid": 1, "boot": "another", "processes": "pid:[1]"}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "roll.yaml"
    path.write_text(STUDY)
    return load_study(path)


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock of heartbeats, which a test sets forward."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def __getattr__(self, name):
            return getattr(time, name)

    clock = Clock()
    monkeypatch.setattr(heartbeats, "time", clock)
    return clock


def leave_mark(folder, runner, age_s=0.0, **fields):
    """Write the mark of a runner that touched it so long ago."""
    path = folder / ".running" / f"{runner}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**OF_ANOTHER_HOST, **fields}))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def leave_claim(folder, runner, name, number=0):
    path = folder / ".running" / f"{name}.{number}.claim"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(runner)
    return path


def left(folder):
    return sorted(path.name for path in (folder / ".running").iterdir())


# Claims.


def test_a_job_is_claimed_by_one_of_two_and_free_again_when_given_up(tmp_path):
    ours, theirs = Claims(tmp_path, "ours"), Claims(tmp_path, "theirs")
    with ours.at_work(), theirs.at_work():
        assert ours.take("train-a")
        assert not theirs.take("train-a")  # it has not looked since: creating the file is what decides
        assert theirs.holder("train-a") == "ours"
        assert theirs.take("train-b")
        ours.release("train-a")
        theirs.look()
        assert theirs.take("train-a")
        ours.look()
        assert [*ours.others()] == ["theirs"]
        assert not ours.take("train-b")
    assert left(tmp_path) == []


def test_of_many_that_claim_at_once_one_succeeds(tmp_path):
    """Also where the claim of a lost runner is in their way."""
    leave_mark(tmp_path, "dead", age_s=4000)
    leave_claim(tmp_path, "dead", "train-b")
    many = [Claims(tmp_path, f"runner{number}") for number in range(8)]
    taken = []
    barrier = threading.Barrier(8)

    def take(claims, name):
        barrier.wait()
        if claims.take(name):
            taken.append(name)

    for claims in many:
        claims._beats._write()
        claims.look()
    for name in ("train-a", "train-b"):
        threads = [threading.Thread(target=take, args=(claims, name)) for claims in many]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert taken.count("train-a") == 1
    assert taken.count("train-b") <= 1  # two that see each other may both step back, and try again


@pytest.mark.parametrize(
    ("age_s", "waited_s", "is_lost"),
    [
        (0, 0, False),
        (0, 59, False),
        (0, 61, True),  # whatever its clock: it was watched for a minute
        (100, 14, False),  # its clock may be behind
        (100, 16, True),  # looks old and is untouched
        (3500, 0, False),
        (3700, 0, True),
        (-3700, 59, False),  # its clock is ahead
        (-3700, 61, True),
    ],
)
def test_a_runner_elsewhere_is_lost_when_it_no_longer_touches_its_mark(
    tmp_path, clock, age_s, waited_s, is_lost
):
    ours = Claims(tmp_path, "ours")
    with ours.at_work():
        leave_mark(tmp_path, "theirs", age_s)
        leave_claim(tmp_path, "theirs", "train-a")
        ours.look()
        clock.now += waited_s
        ours.look()
        assert ours.take("train-a") == is_lost
        assert [*ours.others()] == ([] if is_lost else ["theirs"])


def test_a_runner_that_touches_its_mark_is_never_lost(tmp_path, clock):
    """Though its clock is far behind."""
    ours = Claims(tmp_path, "ours")
    with ours.at_work():
        leave_claim(tmp_path, "theirs", "train-a")
        for beat in range(20):
            leave_mark(tmp_path, "theirs", age_s=600 - 5 * beat)
            clock.now += 10
            ours.look()
            assert not ours.take("train-a")


def test_a_killed_runner_of_this_machine_is_lost_at_once(tmp_path):
    """And what it left is swept, by whoever starts next."""
    code = (
        "import os, sys; from pathlib import Path; from spaceprobe.study.running.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1]), 'theirs'); work = claims.at_work(); work.__enter__()\n"
        "claims.take('train-a')\n"
        "os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    assert left(tmp_path) == ["theirs.json", "train-a.0.claim"]
    with Claims(tmp_path, "ours").at_work():
        assert left(tmp_path) == ["ours.json"]


def test_a_claim_that_tells_no_runner_is_taken_over_after_a_minute(tmp_path, clock):
    ours = Claims(tmp_path, "ours")
    with ours.at_work():
        leave_claim(tmp_path, "", "train-a")
        ours.look()
        assert not ours.take("train-a")
        clock.now += 61
        assert ours.take("train-a")
        assert left(tmp_path) == ["ours.json", "train-a.0.claim", "train-a.1.claim"]
    assert left(tmp_path) == []


def test_a_suspended_runner_whose_mark_was_swept_has_one_again(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeats, "TOUCH_EVERY_S", 0.05)
    with Claims(tmp_path, "ours").at_work():
        path = tmp_path / ".running" / "ours.json"
        path.unlink()
        deadline = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_report_is_made_by_one_after_the_other(tmp_path):
    inside, most = [], []

    def hold():
        with claimed(tmp_path, "report"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]
    assert left(tmp_path) == []


# Jobs.


def feed_of(study, results, claims, journal=None, passed=None, **options):
    plan = Runner(study, results, RunOptions(**options)).plan([TRAIN]).plans[0]
    passed = [] if passed is None else passed
    return JobFeed(plan.jobs, claims, journal or Journal(claims._folder.parent), passed.append, lambda: None)


def test_jobs_of_another_runner_are_left_to_it_and_those_it_finished_are_passed(study, tmp_path):
    folder = tmp_path / "roll"
    ours, theirs, passed = Claims(folder, "ours"), Claims(folder, "theirs"), []
    with ours.at_work(), theirs.at_work():
        feed, other = feed_of(study, tmp_path, ours, passed=passed), feed_of(study, tmp_path, theirs)
        first, second = other.take(), feed.take()
        assert [job.sections["training"].seed for job in (first, second)] == [0, 1]
        for _ in range(2):
            feed.take()
        assert feed.take() is None  # seed 0 is left, and not ours
        assert not feed.is_empty
        run_job(first, lambda _: None)
        other.ended(first)
        feed._may_ask = 0.0
        feed._looked = -1.0
        assert feed.take() is None
        assert feed.is_empty
    assert [job.run for job in passed] == [first.run]
    assert [(job.run, outcome.error) for job, outcome in feed.elsewhere] == [(first.run, None)]


def test_a_job_that_failed_at_another_runner_is_not_tried_again(study, tmp_path):
    folder = tmp_path / "roll"
    ours = Claims(folder, "ours")
    with ours.at_work():
        theirs = Journal(folder)
        feed = feed_of(study, tmp_path, ours, Journal(folder))
        names = [job for job, _ in feed._waiting.values()]
        theirs.note("job_ended", job=job_name(names[2]), num_parts=0, error="out of luck")
        taken = [feed.take() for _ in range(4)]
        assert [job and job.sections["training"].seed for job in taken] == [0, 1, 3, None]
    assert [(job.run, outcome.error) for job, outcome in feed.elsewhere] == [(names[2].run, "out of luck")]


def test_a_forced_job_that_another_runner_computed_meanwhile_is_done(study, tmp_path):
    folder = tmp_path / "roll"
    Runner(study, tmp_path).run([TRAIN], lambda _: None)
    ours = Claims(folder, "ours")
    with ours.at_work():
        theirs = Journal(folder)
        feed = feed_of(study, tmp_path, ours, Journal(folder), forces=True)
        job = next(iter(feed._waiting.values()))[0]
        theirs.note("job_ended", job=job_name(job), num_parts=1, error=None)
        assert [feed.take().sections["training"].seed for _ in range(3)] == [1, 2, 3]


def test_the_name_of_a_job_is_that_of_its_settings_not_of_what_is_left(study, tmp_path):
    whole = Runner(study, tmp_path).plan([TRAIN]).plans[0].jobs
    Runner(study, tmp_path).run([TRAIN], lambda _: None)
    lmd = run_stage_named("lmd")
    jobs = Runner(study, tmp_path).plan([lmd]).plans[0].jobs
    narrow = load_study(study.source, ["lmd.epoch=last"])
    assert [len(job.parts) for job in jobs] == [2] * 4
    narrower = Runner(narrow, tmp_path).plan([lmd]).plans[0].jobs
    assert [len(job.parts) for job in narrower] == [1] * 4
    assert [*map(job_name, narrower)] == [*map(job_name, jobs)]
    assert len({*map(job_name, [*whole, *jobs])}) == 8
    other = load_study(study.source, ["lmd.sample=30"])
    assert job_name(Runner(other, tmp_path).plan([lmd]).plans[0].jobs[0]) != job_name(jobs[0])


# Whole studies.


def words(path, results, *more):
    return [sys.executable, "-m", "spaceprobe", "run", str(path), "--results", str(results), *more]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_two_runners_share_the_work_and_end_with_the_same_tables(study, tmp_path, jobs):
    alone = tmp_path / "alone"
    assert call("run", study.source, "--results", alone).exit_code == 0
    command = words(study.source, tmp_path / "both", "--set", "training.epochs=1", "--no-report")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with (
        subprocess.Popen(command, **options) as first,
        subprocess.Popen([*command, "--jobs", jobs], **options) as second,
    ):
        ends = [process.communicate(timeout=300) for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), ends
    assert ends[0][0] == ends[1][0]
    folder = tmp_path / "both" / "roll"
    started = [event["job"] for event in read_events(folder) if event["event"] == "job_started"]
    assert Counter(started).most_common(1)[0][1] == 1
    assert len(started) == 8
    for table, expected in read_tables(alone / "roll").items():
        if table != "timings":
            assert (folder / f"{table}.csv").read_bytes() == (alone / "roll" / f"{table}.csv").read_bytes()
            assert len(expected.columns) > 0
    assert left(folder) == []
    assert [*folder.rglob("*.tmp")] == []


def _takes_a_while(job, advance, write_file):
    time.sleep(0.6)
    if "-s2-" in job.run:
        raise ArithmeticError("out of luck")
    yield from train.compute(job, advance, write_file)


@pytest.fixture
def slow_training():
    """While it lasts, training takes a while, and that of seed 2 raises an error."""
    object.__setattr__(TRAIN, "compute", _takes_a_while)
    yield
    object.__setattr__(TRAIN, "compute", train.compute)


@pytest.mark.usefixtures("slow_training")
def test_both_tell_of_each_other_wait_and_end_with_the_failure_of_either(study, tmp_path, caplog):
    """Two runners in two threads: the logs of runs mix, which is of no matter here."""
    outcomes = []

    def run():
        outcomes.append(Runner(study, tmp_path, RunOptions(is_quiet=True)).run([TRAIN], lambda _: None))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [{run.split("-")[1]: why for run, why in outcome.failures.items()} for outcome in outcomes]
    assert failures == [{"s2": "ArithmeticError: out of luck"}] * 2
    started = [event["run"] for event in read_events(tmp_path / "roll") if event["event"] == "job_started"]
    assert sorted(run.split("-")[1] for run in started) == ["s0", "s1", "s2", "s3"]
    told = [record.getMessage() for record in caplog.records if "another runner" in record.getMessage()]
    assert sum("is at work on this study: they share the jobs" in text for text in told) == 2
    # 3 parts were written in all; of the 4 jobs, each runner passed those of the other
    assert sum(outcome.num_computed for outcome in outcomes) == 3
    assert sum(outcome.num_elsewhere for outcome in outcomes) == 4
    with suppress(FileNotFoundError):
        assert left(tmp_path / "roll") == []


@pytest.mark.usefixtures("slow_training")
def test_what_a_lost_runner_had_claimed_is_taken_over(study, tmp_path, monkeypatch, caplog):
    """It is on another machine, so only its silence tells."""
    monkeypatch.setattr(heartbeats, "SILENT_AFTER_S", 1.0)
    folder = tmp_path / "roll"
    job = Runner(study, tmp_path).plan([TRAIN]).plans[0].jobs[3]
    leave_mark(folder, "theirs")
    leave_claim(folder, "theirs", job_name(job))
    outcome = Runner(study, tmp_path, RunOptions(is_quiet=True)).run([TRAIN], lambda _: None)
    assert len(outcome.failures) == 1
    assert outcome.num_computed == 3
    assert f"train {job.label}: taken over from a runner on elsewhere that is lost" in caplog.text
    assert left(folder) == []
