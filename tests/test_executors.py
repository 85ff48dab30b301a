"""Clusters: who may speak to them, and what deaths, strangers and interruptions cost.

The jobs are made up (`tests.worker_stages`): what they compute is nothing, how they end is all.
"""

import json
import logging
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client
from distributed.security import Security

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import ResultsError
from spaceprobe.study.cluster.dask_executor import DaskExecutor
from spaceprobe.study.cluster.local import local_cluster
from spaceprobe.study.cluster.opening import open_cluster
from spaceprobe.study.cluster.workers import Workers
from spaceprobe.study.jobs.compute_target import ComputeTarget
from spaceprobe.study.jobs.executor import InProcessExecutor, JobWatch
from spaceprobe.study.running.open_executor import open_executor
from spaceprobe.study.slurm_settings import SlurmSettings
from tests.worker_stages import executions, make_job

ROOT = Path(__file__).parent.parent
PRELOAD = str(ROOT / "tests" / "worker_stages.py")
NO_SPACEPROBE = "import sys\nsys.modules['spaceprobe'] = None\ndef dask_setup(worker):\n    pass\n"
STUDY = """\
data: {dataset: swiss-roll, points: 100, task: regression}
training: {epochs: 20000}
study: {stages: [train]}
sweep:
  network.architecture: [1x2, 2x3]
  training.seed: [0, 1, 2]
"""


@contextmanager
def opened(num_workers, batch_system=None, **options):
    """A local cluster whose workers know the made-up stage, and an executor on it."""
    with (
        dask.config.set({"distributed.worker.preload": [PRELOAD]}),
        local_cluster(num_workers, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, DaskExecutor(client, "this machine", Workers(client, "this machine", batch_system))


@pytest.fixture(scope="module")
def local():
    with opened(2, num_gpus=0) as (cluster, executor):
        yield cluster, executor


class Seen:
    """Watches jobs, and keeps what it is told."""

    def __init__(self):
        self.started = []
        self.amounts = []

    def watch(self):
        return JobWatch(lambda job, _: self.started.append(job.run), self.amounts.append)


class Listed:
    """A list of jobs, handed out in order."""

    def __init__(self, jobs):
        self.jobs = [*jobs]

    @property
    def is_empty(self):
        return not self.jobs

    @property
    def wants_gpu(self):
        return self.jobs[0].wants_gpu if self.jobs else False

    def take(self):
        return self.jobs.pop(0) if self.jobs else None


def outcomes(executor, jobs, seen=None):
    """Return how each job ended, by its run."""
    return {job.run: outcome for job, outcome in executor.run(Listed(jobs), (seen or Seen()).watch())}


def wait_until(condition, timeout_s=15.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes():
    """Return this process and the workers below it."""
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def listening():
    """Return the addresses at which this process and its workers listen."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_local_cluster_listens_on_loopback_only(local):
    cluster, _ = local
    found = listening()
    assert int(cluster.scheduler_address.rpartition(":")[2]) in {port for _, port in found}
    assert len(found) >= 1 + 2 + 2  # the scheduler, nannies, workers
    assert {ip for ip, _ in found} == {"127.0.0.1"}


def test_local_cluster_tells_nothing_by_http(local):
    del local
    paths = [
        "health",
        "info/main/workers.html",
        "metrics",
        "json/identity.json",
        "status",
        "api/v1",
        "sitemap.json",
    ]
    answers, codes = {}, set()
    for _, port in listening():
        for path in paths:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as response:
                    answers[path] = response.read()
            except OSError as error:  # no page, or no HTTP at all
                codes.add(getattr(error, "code", None))
    assert codes == {404, None}
    assert answers == {"sitemap.json": b'{"paths": ["/sitemap.json"]}'}  # Dask's own list: of itself


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_local_cluster_refuses_strangers(local, protocol):
    cluster, _ = local
    address = cluster.scheduler_address.replace("tls", protocol)
    security = Security.temporary() if protocol == "tls" else None
    with pytest.raises((OSError, ssl.SSLError), match=r"Connection reset|TLS certificate does not match"):
        Client(address, security=security, timeout=1, set_as_default=False)


def test_no_port_answers_without_tls(local):
    del local
    answers = []
    for address in listening():
        with socket.create_connection(address, timeout=5) as stream:
            stream.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            try:
                answers.append(stream.recv(12))
            except ConnectionResetError:
                answers.append(b"")
    assert set(answers) <= {b"", b"HTTP/1.1 404"}
    assert answers.count(b"") >= 1 + 2 + 2


def test_only_digests_travel(local, tmp_path):
    _, executor = local
    job = make_job(tmp_path, "small", num_parts=3)
    outcome = outcomes(executor, [job])["small"]
    assert sorted(outcome.digests) == ["train/0.json", "train/1.json", "train/2.json"]
    assert len(pickle.dumps(outcome)) < 500
    assert len(pickle.dumps(job)) < 1000


def test_progress_adds_up(local, tmp_path):
    seen = Seen()
    _, executor = local
    jobs = [make_job(tmp_path, f"plain-{number}", num_parts=number, amount=7) for number in (1, 2, 5)]
    outcomes(executor, jobs, seen)
    assert sum(seen.amounts) == 7 * (1 + 2 + 5)
    assert sorted(seen.started) == ["plain-1", "plain-2", "plain-5"]


def test_scheduler_keeps_nothing_and_memory_stays(local, tmp_path):
    cluster, executor = local
    outcomes(executor, [make_job(tmp_path, f"first-{number}") for number in range(100)])
    before = [process.memory_info().rss for process in processes()]
    start = time.monotonic()
    ended = outcomes(executor, [make_job(tmp_path, f"then-{number}") for number in range(500)])
    print(f"{(time.monotonic() - start) / 500 * 1e3:.1f} ms a job")
    assert len(ended) == 500
    assert all(outcome.error is None for outcome in ended.values())
    wait_until(lambda: not cluster.scheduler.tasks)
    growth = [process.memory_info().rss - b for process, b in zip(processes(), before, strict=True)]
    print(f"growth {[g // 1000 for g in growth]} kB")
    assert max(growth) < 16e6  # a job that was kept would hold 30 kB and more


def test_failed_job_is_named_and_others_complete(local, tmp_path):
    _, executor = local
    names = ["bad", "odd", "plain"]
    ended = outcomes(executor, [make_job(tmp_path, name) for name in names])
    assert ended["bad"].error == "this run is bad"
    assert ended["odd"].error == "OddError: first and second"  # an exception that cannot travel
    assert ended["plain"].error is None


def test_full_disk_of_a_worker_stops_the_study(local, tmp_path):
    _, executor = local
    with pytest.raises(ResultsError, match=r"cannot be written .No space left on device"):
        outcomes(executor, [make_job(tmp_path, name) for name in ("full", "plain", "more")])


def test_other_code_stops_the_study(local, tmp_path):
    _, executor = local
    with pytest.raises(SpaceprobeError, match="has other code for train"):
        outcomes(executor, [make_job(tmp_path, "plain", code="newer")])


# One job that kills workers a test: two that die in the same moment may both count, where Dask has handed the
# one to the other's worker meanwhile.


def test_deadly_job_is_given_up_and_others_complete(local, tmp_path):
    _, executor = local
    seen = Seen()
    names = ["sleep-0.2", "die", *(f"queued-{number}" for number in range(8))]
    ended = outcomes(executor, [make_job(tmp_path, name, num_parts=2, amount=3) for name in names], seen)
    assert sorted(ended) == sorted(names)
    assert {name for name, outcome in ended.items() if outcome.error is not None} == {"die"}
    assert "killed every worker that computed it" in ended["die"].error
    assert "failed: killed every worker" in (tmp_path / "die" / "run.log").read_text()
    times = {name: sum(line[0] == name for line in executions(tmp_path)) for name in names}
    assert times["die"] == 2
    others = {name: times[name] for name in names if name.startswith("queued")}
    assert set(others.values()) == {1}
    assert sum(seen.amounts) == 2 * 3 * len(names)  # the bar ends at its end


def test_a_job_whose_worker_dies_is_computed_by_another(local, tmp_path):
    _, executor = local
    seen = Seen()
    names = ["sleep-0.2", "dieonce", *(f"queued-{number}" for number in range(4))]
    ended = outcomes(executor, [make_job(tmp_path, name, num_parts=2, amount=3) for name in names], seen)
    assert {name: outcome.error for name, outcome in ended.items()} == dict.fromkeys(names)
    assert sum(line[0] == "dieonce" for line in executions(tmp_path)) == 2
    assert sum(seen.amounts) == 2 * 3 * len(names)


class BatchSystem:
    """Tells, a look after each worker's death, how it ended that worker; the ends are given."""

    def __init__(self, *ends):
        self.ends = [*ends]
        self.undecided = []

    def look(self, present):
        assert all(isinstance(name, str) for name in present)
        while self.undecided:
            self.undecided.pop().ended_as = self.ends.pop(0)

    def examine(self, death):
        death.ended_as = None
        self.undecided.append(death)


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (["CANCELLED", "", "NODE_FAIL", ""], "killed every worker that computed it"),  # its second own fault
        (
            ["TIMEOUT", "CANCELLED", "TIMEOUT"],
            "SLURM ended 3 workers that computed it (TIMEOUT, CANCELLED, T",
        ),
    ],
)
def test_deaths_by_the_batch_system_do_not_count_as_failures(tmp_path, monkeypatch, ends, reason):
    monkeypatch.setattr("spaceprobe.study.cluster.deaths.ENDS_LIMIT", 2)
    seen = Seen()
    batch_system = BatchSystem(*ends)
    with opened(2, batch_system, num_gpus=0) as (_, executor):
        names = ["die", *(f"sleep-0.1-{number}" for number in range(4))]
        ended = outcomes(executor, [make_job(tmp_path, name, num_parts=2, amount=3) for name in names], seen)
    assert batch_system.ends == []
    assert {name for name, outcome in ended.items() if outcome.error is not None} == {"die"}
    assert ended["die"].error.startswith(reason)
    assert f"train: failed: {reason}" in (tmp_path / "die" / "run.log").read_text()
    times = {name: sum(line[0] == name for line in executions(tmp_path)) for name in names}
    assert times == {"die": len(ends)} | dict.fromkeys(names[1:], 1)
    assert sum(seen.amounts) == 2 * 3 * len(names)  # the bar ends at its end


def test_gpu_jobs_have_a_device_each(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with opened(3, num_gpus=2) as (_, executor):
        executor.check_gpu()
        assert executor.has_gpu()
        names = [f"sleep-0.3-{number}" for number in range(4)]
        outcomes(executor, [make_job(tmp_path, name, wants_gpu=True) for name in names])
        lines = executions(tmp_path)
        assert {devices for _, _, devices, _ in lines} == {"5", "7"}
        assert len({pid for _, pid, _, _ in lines}) == 2
        for device in ("5", "7"):
            begins = sorted(float(begin) for _, _, devices, begin in lines if devices == device)
            assert all(later - earlier >= 0.3 for earlier, later in pairwise(begins))
        outcomes(executor, [make_job(tmp_path / "cpu", f"sleep-0.3-{number}") for number in range(3)])
        assert {devices for _, _, devices, _ in executions(tmp_path / "cpu")} == {"5", "7", ""}


def test_cluster_without_gpu(local):
    _, executor = local
    assert not executor.has_gpu()
    with pytest.raises(
        SpaceprobeError, match=r"no worker of this machine has the resource GPU.*--device cpu"
    ):
        executor.check_gpu()


def test_one_job_needs_no_cluster(tmp_path):
    with open_executor(ComputeTarget(), SlurmSettings(), tmp_path) as executor:
        assert isinstance(executor, InProcessExecutor)


@pytest.mark.parametrize(
    ("address", "message"),
    [("8787", "write HOST:PORT"), ("127.0.0.1:0", "write HOST:PORT"), ("127.0.0.1:99999", "write HOST:PORT")],
)
def test_dashboard_needs_an_address(address, message):
    with pytest.raises(SettingsError, match=message):
        local_cluster(2, dashboard=address)


def test_dashboard_without_bokeh(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setattr("spaceprobe.study.cluster.local.find_spec", lambda _: None)
    with pytest.raises(SpaceprobeError, match="--dashboard needs bokeh: pip install bokeh"):
        local_cluster(2, dashboard="127.0.0.1:8787")


def test_dashboard_where_somebody_else_is(monkeypatch):
    monkeypatch.setattr("spaceprobe.study.cluster.local.find_spec", lambda _: True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SpaceprobeError, match=rf"--dashboard {address}: cannot be served there"):
            local_cluster(2, dashboard=address)


def test_dashboard_is_served():
    pytest.importorskip("bokeh", reason="no bokeh: there is no dashboard")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with (
        local_cluster(1, dashboard=address),
        urllib.request.urlopen(f"http://{address}/status", timeout=20) as response,
    ):
        assert b"Dask" in response.read()


class Remote:
    """A scheduler and workers as a user starts them, over loopback."""

    def __init__(self, folder, **env):
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", **env}
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.kill()
        for process in self.started:
            process.wait()

    def start(self, *arguments):
        command = [sys.executable, "-m", "dask", *map(str, arguments)]
        with (self.folder / f"{len(self.started)}.log").open("w") as log:
            self.started.append(subprocess.Popen(command, env=self.env, stdout=log, stderr=log))
        return self.started[-1]

    def start_scheduler(self, *arguments):
        scheduler = self.start(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--dashboard-address", "127.0.0.1:0", "--scheduler-file", self.file, *arguments),
        )
        wait_until(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]
        return scheduler

    def start_worker(self, preload=PRELOAD, num_threads=1):
        return self.start(
            *("worker", "--scheduler-file", self.file, "--nthreads", num_threads, "--no-nanny"),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1"),
            *("--preload", preload, "--death-timeout", "20"),
        )

    def target(self):
        return ComputeTarget(scheduler_address=self.address)


def remote_outcomes(target, jobs, seen=None):
    with open_cluster(target, SlurmSettings(), Path("unused")) as executor:
        return outcomes(executor, jobs, seen)


def test_remote_cluster_by_address_and_file(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("spaceprobe.study.cluster.workers.PATIENCE_S", 60.0)  # a busy machine starts slowly
    with Remote(tmp_path) as remote:
        remote.start_scheduler()
        remote.start_worker()
        remote.start_worker()
        jobs = [make_job(tmp_path / "address", f"sleep-0.2-{number}") for number in range(6)]
        ended = remote_outcomes(remote.target(), jobs)
        assert len(ended) == 6
        assert all(outcome.error is None for outcome in ended.values())
        ended = remote_outcomes(
            ComputeTarget(scheduler_file=remote.file), [make_job(tmp_path / "file", "plain")]
        )
        assert ended["plain"].error is None
    assert not caplog.records  # there was always a worker soon


def test_worker_that_joins_late_takes_jobs(tmp_path, caplog):
    with Remote(tmp_path) as remote:
        remote.start_scheduler()
        with open_cluster(remote.target(), SlurmSettings(), Path("unused")) as executor:
            jobs = [make_job(tmp_path / "runs", f"sleep-0.5-{number}") for number in range(16)]
            results = executor.run(Listed(jobs), Seen().watch())
            timer = threading.Timer(6.5, remote.start_worker)
            timer.start()
            next(results)
            remote.start_worker()
            assert len([*results]) == 15
            timer.join()
    pids = [pid for _, pid, _, _ in executions(tmp_path / "runs")]
    assert len(pids) == 16
    assert len(set(pids)) == 2
    said = [record.getMessage() for record in caplog.records if record.name.startswith("spaceprobe")]
    assert said == [f"--scheduler-address {remote.address} has no worker: waiting for one"]


def test_scheduler_that_dies_is_named_soon(tmp_path):
    killed = []

    def kill(scheduler):
        wait_until(lambda: executions(tmp_path / "runs"))
        scheduler.kill()
        killed.append(time.monotonic())

    with Remote(tmp_path) as remote:
        scheduler = remote.start_scheduler()
        remote.start_worker()
        thread = threading.Thread(target=kill, args=(scheduler,))
        thread.start()
        with pytest.raises(SpaceprobeError, match=r"the scheduler of --scheduler-address .* is gone"):
            remote_outcomes(remote.target(), [make_job(tmp_path / "runs", "sleep-30")])
        thread.join()
        assert time.monotonic() - killed[0] < 20  # its job sleeps for 30


def test_worker_without_spaceprobe(tmp_path):
    (tmp_path / "hide.py").write_text(NO_SPACEPROBE)
    with Remote(tmp_path) as remote:
        remote.start_scheduler()
        remote.start_worker(preload=tmp_path / "hide.py")
        with pytest.raises(
            SpaceprobeError, match=r"cannot import what the job needs .*install the same spaceprobe"
        ):
            remote_outcomes(remote.target(), [make_job(tmp_path / "runs", "plain")])


def test_scheduler_needs_no_spaceprobe(tmp_path):
    (tmp_path / "hide.py").write_text(NO_SPACEPROBE)
    with Remote(tmp_path) as remote:
        remote.start_scheduler("--preload", tmp_path / "hide.py")
        remote.start_worker()
        ended = remote_outcomes(
            remote.target(), [make_job(tmp_path / "runs", name) for name in ("plain", "odd")]
        )
    assert ended["plain"].error is None
    assert ended["odd"].error == "OddError: first and second"


def test_worker_with_several_threads(tmp_path):
    with Remote(tmp_path) as remote:
        remote.start_scheduler()
        remote.start_worker(num_threads=3)
        with pytest.raises(SpaceprobeError, match=r"Dask worker with 3 threads; .*--nthreads 1 --nworkers 3"):
            remote_outcomes(remote.target(), [make_job(tmp_path / "runs", "plain")])


def test_tls_of_dask_passes_through(tmp_path):
    credentials = Security.temporary().get_tls_config_for_role("worker")
    env, settings = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}, {}
    for kind, key in {"ca_file": "ca-file", "cert": "{}.cert", "key": "{}.key"}.items():
        path = tmp_path / f"{kind}.pem"
        path.write_text(credentials[kind])
        for role in ("client", "scheduler", "worker"):
            name = f"distributed.comm.tls.{key.format(role)}"
            settings[name] = str(path)
            env["DASK_" + name.upper().replace(".", "__").replace("-", "_")] = str(path)
    with Remote(tmp_path, **env) as remote:
        remote.start_scheduler("--protocol", "tls")
        remote.start_worker()
        assert remote.address.startswith("tls://")
        with pytest.raises(SpaceprobeError, match=r"no Dask scheduler answers .*DASK_DISTRIBUTED__COMM__TLS"):
            remote_outcomes(remote.target(), [])
        with dask.config.set(settings):
            ended = remote_outcomes(remote.target(), [make_job(tmp_path / "runs", "plain")])
        assert ended["plain"].error is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "tcp://127.0.0.1:1", "nobody", "smtp://127.0.0.1:25", ":", ""]
)
def test_nobody_is_there(address, monkeypatch):
    monkeypatch.setattr("spaceprobe.study.cluster.opening.CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(SpaceprobeError, match=f"--scheduler-address {address}: no Dask scheduler answers"):
        remote_outcomes(ComputeTarget(scheduler_address=address), [])


@pytest.mark.parametrize("text", [None, "", "[1, 2]", "{}", '{"address": 5}', "\udcff"])
def test_file_of_no_scheduler(tmp_path, text):
    path = tmp_path / "scheduler.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError, match=f"--scheduler-file {path}: (not a file|holds no address)"):
        remote_outcomes(ComputeTarget(scheduler_file=path), [])


def test_file_that_is_somebody_elses_server(monkeypatch):
    monkeypatch.setattr("spaceprobe.study.cluster.opening.CONNECT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:  # listens, and never says a word
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            SpaceprobeError, match=f"--scheduler-address {address}: no Dask scheduler answers"
        ):
            remote_outcomes(ComputeTarget(scheduler_address=address), [])


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_speaks_another_language(banner):
    """Dask takes its first bytes for the length of a message."""

    def greet(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(banner)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=greet, args=(other,))
        thread.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            SpaceprobeError, match=f"{address}: no Dask scheduler answers \\(what answers there"
        ):
            remote_outcomes(ComputeTarget(scheduler_address=address), [])
        thread.join()


@pytest.mark.parametrize(
    ("number", "is_group", "exit_code", "word"),
    [
        (signal.SIGINT, True, 130, "Interrupted"),
        (signal.SIGINT, False, 130, "Interrupted"),
        (signal.SIGTERM, False, 143, "Terminated"),
    ],
)
def test_interruption_ends_all_processes(tmp_path, number, is_group, exit_code, word):
    (tmp_path / "long.yaml").write_text(STUDY)
    command = [sys.executable, "-c", "from spaceprobe.cli import main; main()", "run", tmp_path / "long.yaml"]
    log = tmp_path / "all.log"
    driver = subprocess.Popen(
        [*command, "--jobs", "2", "--results", tmp_path, "--log-file", log],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        events = tmp_path / "long" / "events.jsonl"
        wait_until(lambda: events.exists() and "job_started" in events.read_text(), 60)
        workers = psutil.Process(driver.pid).children(recursive=True)
        assert len(workers) >= 2
        start = time.monotonic()
        (os.killpg if is_group else os.kill)(driver.pid, number)
        out, err = driver.communicate(timeout=30)
        print(f"ended after {time.monotonic() - start:.1f} s")
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.communicate()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert driver.returncode == exit_code, err
    assert out == ""
    assert err.splitlines()[2:] == [
        f"{word}: what was finished is kept; the same command continues from there."
    ]
    said = log.read_text()
    assert "Traceback" not in said, said[-3000:]


def test_a_client_that_was_closed_on_purpose_is_no_news(caplog):
    with open_cluster(ComputeTarget(num_jobs=2), SlurmSettings(), Path("unused")):
        pass
    scheduler = logging.getLogger("distributed.scheduler")
    scheduler.critical("Closed comm %r while trying to write %s", None, [])
    scheduler.critical("Something else")
    critical = [record.message for record in caplog.records if record.levelname == "CRITICAL"]
    assert critical == ["Something else"]
