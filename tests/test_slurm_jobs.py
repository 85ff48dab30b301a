"""Jobs of SLURM that end too early: which are asked for again, and whose fault it was."""

import logging
import time
from unittest.mock import Mock

import pytest

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.cluster import slurm_answers, slurm_jobs
from spaceprobe.study.cluster.deaths import Attempts, Death
from spaceprobe.study.cluster.slurm import slurm_cluster
from spaceprobe.study.cluster.slurm_jobs import SlurmJobs
from spaceprobe.study.slurm_settings import SlurmSettings
from tests import slurm_programs
from tests.slurm_programs import SmallSlurm, answering
from tests.worker_stages import make_job

pytest.importorskip("dask_jobqueue", reason="the extra is not installed: pip install 'spaceprobe[slurm]'")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_jobs, "ASK_EVERY_S", 0.0)
    return SmallSlurm(tmp_path / "programs", monkeypatch)


@pytest.fixture
def cluster(slurm, tmp_path):
    with slurm_cluster(SlurmSettings(interface="lo"), 2, tmp_path / "logs") as cluster:
        wait_until(lambda: len(slurm.states()) == 2)
        wait_until(lambda: len(cluster.workers) == 2)
        yield cluster


def wait_until(is_so):
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def waiting(slurm):
    return sorted(number for number, state in slurm.states().items() if state == "PENDING")


def messages(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_waiting_jobs_that_are_cancelled_are_asked_for_again(slurm, cluster, tmp_path, caplog):
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    for _ in range(3):
        jobs.look([])
    assert slurm.states() == {1: "PENDING", 2: "PENDING"}
    slurm.set(2, "CANCELLED")
    jobs.look([])
    wait_until(lambda: waiting(slurm) == [1, 3])
    assert messages(caplog) == [
        "1 worker did not come, since its job ended or was refused (2: CANCELLED): asked for again, and for "
        "at most 5 more"
    ]
    wait_until(lambda: len(cluster.workers) == 2)
    jobs.look([])
    assert waiting(slurm) == [1, 3]
    assert len(messages(caplog)) == 1


def test_at_the_limit_the_study_goes_on_with_the_workers_that_are_left(slurm, cluster, tmp_path, caplog):
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    first = next(name for name, job in cluster.workers.items() if job.job_id == "1")
    for number in range(2, 8):  # 3 for each of two workers
        slurm.set(number, "FAILED")
        jobs.look([first])
        wait_until(lambda new=number + 1: waiting(slurm) == [1, new] and has_job(cluster, new))
    slurm.set(8, "CANCELLED")
    for _ in range(3):
        jobs.look([first])
    assert messages(caplog)[-1] == (
        "1 worker did not come, since its job ended or was refused (8: CANCELLED); no more are asked for "
        "after 3 for each worker: 1 of 2 workers are left"
    )
    assert len(messages(caplog)) == 7
    assert waiting(slurm) == [1]


def test_at_the_limit_without_a_worker_the_study_ends(slurm, cluster, tmp_path):
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    for number in range(1, 7, 2):
        slurm.set(number, "CANCELLED")
        slurm.set(number + 1, "CANCELLED")
        jobs.look([])
        new = number + 2
        wait_until(lambda new=new: has_job(cluster, new) and has_job(cluster, new + 1))
    slurm.set(7, "CANCELLED")
    jobs.look([])
    slurm.set(8, "CANCELLED")
    with pytest.raises(
        SpaceprobeError,
        match=r"1 worker did not come, .*\(8: CANCELLED\); no more are asked for after 3 for each worker\. "
        rf"Why may stand in {tmp_path}/logs; what was finished is kept",
    ):
        jobs.look([])


def has_job(cluster, number):
    return str(number) in {job.job_id for job in cluster.workers.values()}


def test_jobs_that_ran_are_asked_for_without_limit(slurm, cluster, tmp_path, caplog):
    """Their time is over, time and again, in a long study."""
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    for number in range(2, 12):
        names = [name for name, job in cluster.workers.items() if job.job_id in {"1", str(number)}]
        assert len(names) == 2
        jobs.look(names)
        slurm.set(number, "TIMEOUT")
        jobs.look(names[:1] if cluster.workers[names[0]].job_id == "1" else names[1:])
        wait_until(lambda new=number + 1: waiting(slurm) == [1, new] and has_job(cluster, new))
    assert messages(caplog) == []


def test_a_job_that_sbatch_does_not_take_is_asked_for_again(slurm, cluster, tmp_path, caplog):
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    slurm.set(2, "CANCELLED")
    slurm.refuse()
    for expected in (1, 2):
        jobs.look([])
        wait_until(lambda: None in {job.job_id for job in cluster.workers.values()})
        assert len(messages(caplog)) == expected
    assert messages(caplog)[-1] == (
        f"1 worker did not come, since its job ended or was refused ({slurm_programs.INACTIVE}): asked for "
        "again, and for at most 4 more"
    )


def test_squeue_that_does_not_answer_changes_nothing(cluster, slurm, tmp_path, monkeypatch, caplog):
    jobs = SlurmJobs(cluster, 2, tmp_path / "logs")
    slurm.set(1, "CANCELLED")
    (tmp_path / "silent").mkdir()
    answering(tmp_path / "silent", monkeypatch, squeue=(1, "", slurm_programs.NO_CONTROLLER))
    for _ in range(3):
        jobs.look([])
    assert len(slurm.states()) == 2
    assert messages(caplog) == [
        f"squeue does not tell which jobs there are ({slurm_programs.NO_CONTROLLER}): SLURM is asked again "
        "and again"
    ]


@pytest.mark.parametrize(
    ("answer", "job", "is_back", "ended_as"),
    [
        (slurm_programs.CANCELLED_AT_ONCE, "1", False, None),  # COMPLETING: to what, is not told yet
        (slurm_programs.CANCELLED_AT_ONCE, "1", True, None),
        (slurm_programs.CANCELLED_LATER, "1", False, "CANCELLED"),
        (slurm_programs.NODE_DOWN, "2", False, "PENDING again"),
        (slurm_programs.NODE_DOWN, "4", False, None),  # runs, and the worker may come back
        (slurm_programs.NODE_DOWN, "4", True, ""),  # has come back: the nanny was alive, nobody ended the job
        (slurm_programs.NODE_DOWN_NO_REQUEUE, "5", False, "NODE_FAIL"),
        (slurm_programs.NODE_DOWN_NO_REQUEUE, "2", False, ""),  # FAILED
        (slurm_programs.NODE_DOWN_NO_REQUEUE, "3", False, ""),  # COMPLETED
        (slurm_programs.TIME_IS_OVER, "1", False, "TIMEOUT"),
        (slurm_programs.TIME_IS_OVER, "7", False, "no longer in its queue"),
    ],
)
def test_who_ended_a_worker(tmp_path, monkeypatch, caplog, answer, job, is_back, ended_as):
    answering(tmp_path, monkeypatch, squeue=(0, answer, ""))
    cluster = Mock(workers={"w": Mock(job_id=job)})
    jobs = SlurmJobs(cluster, 1, tmp_path)
    jobs.look(["w"])
    death = Death("fold of a", "w", "tls://somewhere")
    jobs.examine(death)
    assert death.ended_as is None
    jobs.look(["w"] if is_back else [])
    assert death.ended_as == ended_as
    assert messages(caplog) == (
        [
            f"fold of a: SLURM ended the worker that computed it (job {job}: {ended_as}); that does not "
            "count as its failure, up to 5 times"
        ]
        if ended_as
        else []
    )


def test_a_worker_that_is_not_of_slurm_counts(tmp_path):
    jobs = SlurmJobs(Mock(workers={}), 1, tmp_path)
    death = Death("fold of a", "started by hand", "tls://somewhere")
    jobs.examine(death)
    assert death.ended_as == ""


@pytest.mark.parametrize(
    ("ends", "step"),
    [
        ([""], "compute"),
        (["", ""], "give up"),
        ([None], "compute"),
        ([None, ""], "wait"),
        ([None, None], "wait"),
        (["TIMEOUT"] * 5, "compute"),
        (["TIMEOUT"] * 6, "give up"),
        ([*["TIMEOUT"] * 5, ""], "compute"),
        (["", "CANCELLED", None], "wait"),
        (["", "CANCELLED", "CANCELLED"], "compute"),
        (["", "CANCELLED", ""], "give up"),
    ],
)
def test_how_often_a_job_is_computed_again(tmp_path, ends, step):
    deaths = [Death("a", "w", "tls://here", ended_as=end) for end in ends]
    assert Attempts(make_job(tmp_path, "a"), deaths).next_step == step


def test_a_scheduler_that_tries_by_itself_is_not_asked_again(tmp_path):
    deaths = [Death("a", "w", "tls://here", num_workers=2)]
    assert Attempts(make_job(tmp_path, "a"), deaths).next_step == "give up"


@pytest.mark.parametrize(
    ("end", "advice"), [("TIMEOUT", " (perhaps with a longer slurm.walltime)"), ("NODE_FAIL", "")]
)
def test_the_cap_is_named(tmp_path, end, advice):
    deaths = [Death("a", "w", "tls://here", ended_as=end) for _ in range(6)]
    assert Attempts(make_job(tmp_path, "a"), deaths).problem == (
        f"SLURM ended 6 workers that computed it ({', '.join([end] * 6)}): it is computed again 5 times at "
        f"most; what it had finished is kept; the same command tries it again{advice}"
    )


def test_settings_of_a_user_for_squeue_hide_no_job(tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, squeue=(0, "", ""))
    (tmp_path / "squeue").write_text('#!/bin/sh\n[ -z "$SQUEUE_PARTITION" ] && echo "1 RUNNING"\n')
    monkeypatch.setenv("SQUEUE_PARTITION", "another")
    assert slurm_answers.job_states() == {"1": "RUNNING"}


def test_a_silent_controller_is_not_waited_for(tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, squeue=(0, "", ""))
    (tmp_path / "squeue").write_text("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr(slurm_answers, "LOOK_TIMEOUT_S", 0.2)
    with pytest.raises(SpaceprobeError, match=r"SLURM does not answer: squeue took longer than 0\.2 s"):
        slurm_answers.job_states()


def test_a_cluster_is_closed_while_its_jobs_are_referred_to(slurm, tmp_path):
    """As by an error on its way; Dask's own closing would end in an AssertionError."""
    with slurm_cluster(SlurmSettings(interface="lo"), 2, tmp_path / "logs") as cluster:
        wait_until(lambda: len(cluster.workers) == 2)
        kept = [*cluster.workers.values()]
    assert len(kept) == 2
    assert slurm.states() == {1: "CANCELLED", 2: "CANCELLED"}
