import builtins
import gc
import itertools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages.stage import NOT_IN_KEY
from spaceprobe.study.cluster import slurm, slurm_answers
from spaceprobe.study.cluster.slurm import slurm_cluster
from spaceprobe.study.slurm_settings import SlurmSettings
from tests.commands import call
from tests.slurm_programs import NOT_AVAILABLE, answering

pytest.importorskip("dask_jobqueue", reason="the extra is not installed: pip install 'spaceprobe[slurm]'")


def script_of(caller: Path, **settings: object) -> str:
    with slurm_cluster(SlurmSettings(interface="lo", **settings), 0, caller) as cluster:
        return cluster.job_script()


def test_the_script_that_is_shown_is_the_one_that_is_sent(tmp_path):
    settings = SlurmSettings(
        interface="lo",
        cores=3,
        gpus=1,
        queue="long",
        directives=("--constraint=a100",),
        prologue=("module load x",),
    )
    shown = slurm.job_script(settings, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
    with slurm_cluster(settings, 0, tmp_path / "logs") as cluster:
        sent = cluster.job_script()
    sent = re.sub(r"tls://127\.0\.0\.1:[0-9]+", "tls://SCHEDULER:PORT", sent).replace("dummy-name", "NAME")
    assert re.sub(r"/keys-[^/ ]+/", "/KEYS/", sent) == shown


def test_a_line_of_the_script_is_left_out(tmp_path):
    whole = slurm.job_script(SlurmSettings(), tmp_path).splitlines()
    without = slurm.job_script(SlurmSettings(directives_skip=("--mem=",)), tmp_path).splitlines()
    assert [line for line in whole if line not in without] == ["#SBATCH --mem=4G"]
    assert script_of(tmp_path, directives_skip=("--mem=",)).count("#SBATCH") == len(whole[2:]) - 4
    with pytest.raises(SettingsError, match=r"slurm.directives_skip: no #SBATCH line holds '--exclusive'"):
        slurm.job_script(SlurmSettings(directives_skip=("--exclusive",)), tmp_path)


PLANNED = """\
data: {train_images: 300}
folding: {pairs: [3-8], device: DEVICE}
network: {architecture: 2x5}
sweep: {training.seed: [0, 1, 2]}
slurm: {cores: 4, gpus: 1, walltime: 02:00:00, memory: 6GB}
"""


def test_plan_shows_what_slurm_would_be_asked_for_and_writes_nothing(tmp_path):
    study = tmp_path / "three.yaml"
    study.write_text(PLANNED.replace("DEVICE", "auto, method: sampled"))
    outcome = call("plan", study, "--slurm", 2, "--results", tmp_path / "results")
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.splitlines()
    start = lines.index("slurm      2 workers, each with 4 cores, a GPU, 6GB, 02:00:00")
    assert lines[start + 1 : start + 5] == [
        "train      1 core and no GPU for a job: 3 jobs now",
        "fold       4 cores and a GPU for a job: 0 jobs now, those of 3 runs later",
        "lmd        1 core and no GPU for a job: 0 jobs now, those of 3 runs later",
        "script of each worker:",
    ]
    assert "#SBATCH --gres=gpu:1" in lines
    assert not (tmp_path / "results").exists()
    facts = json.loads(call("plan", study, "--slurm", 2, "--results", tmp_path, "--json").stdout)["slurm"]
    assert (facts["num_workers"], facts["cores"], facts["gpus"]) == (2, 4, 1)
    assert [(stage["num_jobs"], stage["num_waiting"]) for stage in facts["stages"]] == [
        (3, 0),
        (0, 3),
        (0, 3),
    ]
    assert facts["script"].splitlines()[-1] == lines[-1].replace(str(tmp_path / "results"), str(tmp_path))


def test_exact_walks_of_an_mlp_take_the_cpu_where_the_device_is_auto(tmp_path):
    study = tmp_path / "three.yaml"
    study.write_text(PLANNED.replace("DEVICE", "auto"))
    lines = call("plan", study, "--slurm", 2, "--results", tmp_path).stdout.splitlines()
    assert "fold       4 cores and no GPU for a job: 0 jobs now, those of 3 runs later" in lines


def test_plan_says_that_no_worker_has_the_gpu_that_is_asked_for(tmp_path):
    study = tmp_path / "three.yaml"
    study.write_text(PLANNED.replace("DEVICE", "cuda").replace("gpus: 1", "gpus: 0"))
    outcome = call("plan", study, "--slurm", 2, "--results", tmp_path)
    assert outcome.exit_code == 1
    assert "fold asks for a GPU (device: cuda), and slurm.gpus is 0; set slurm.gpus to 1" in outcome.stderr


def test_no_setting_is_in_a_key():
    fields = SlurmSettings.model_fields
    assert [name for name, field in fields.items() if NOT_IN_KEY not in field.metadata] == []
    assert SlurmSettings(cores=3, queue="long", gpus=1).key() == {}


def test_settings_need_neither_torch_nor_dask():
    code = (
        "import sys, spaceprobe.study.slurm_settings as s; s.SlurmSettings();"
        "print(*{'torch', 'dask', 'distributed', 'dask_jobqueue'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("text", ["4GB", "512MB", "1.5TiB", "16 GiB"])
def test_memory(text):
    assert SlurmSettings(memory=text).memory == text


@pytest.mark.parametrize("text", ["", "4", "GB", "-4GB", "0GB", "4GB\n", "4kB", "٤GB", "4GB;ls"])
def test_no_memory(text):
    with pytest.raises(ValidationError, match="write a number and a unit"):
        SlurmSettings(memory=text)


@pytest.mark.parametrize("text", ["01:00:00", "00:01:00", "100:00:00", "2-12:00:00", "0-00:05:30"])
def test_walltime(text):
    assert SlurmSettings(walltime=text).walltime == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(43_200, "12:00:00"), (5445, "01:30:45"), (360_000, "100:00:00")]
)
def test_walltime_that_yaml_reads_as_a_number(seconds, text):
    assert SlurmSettings(walltime=seconds).walltime == text


@pytest.mark.parametrize(
    "text", ["1h", "60", "1:60:00", "01:00:60", "1-24:00:00", "01:00:00\n", "٠1:00:00", "-1:0:0"]
)
def test_no_walltime(text):
    with pytest.raises(ValidationError, match="HH:MM:SS"):
        SlurmSettings(walltime=text)


@pytest.mark.parametrize("text", ["00:00:00", "0-00:00:59"])
def test_walltime_of_zero_would_be_no_limit(text):
    with pytest.raises(ValidationError, match="at least a minute"):
        SlurmSettings(walltime=text)


@pytest.mark.parametrize("name", ["queue", "account"])
@pytest.mark.parametrize("text", ["", "-p", "a b", "a\nb", "a\n", "a;b", "$HOME", "é", "a" * 201])
def test_no_name(name, text):
    with pytest.raises(ValidationError, match="letters, digits"):
        SlurmSettings(**{name: text})


@pytest.mark.parametrize("text", ["", "ib0 --x", "ib0\n", "a" * 16])
def test_no_interface_name(text):
    with pytest.raises(ValidationError, match="ip link"):
        SlurmSettings(interface=text)


@pytest.mark.parametrize("control", ["\n", "\r", "\0", "\x1b", "\x0b", "\x0c", "\x85", "\u2028", "\t"])
@pytest.mark.parametrize("name", ["directives", "prologue"])
def test_a_line_cannot_become_two(name, control):
    with pytest.raises(ValidationError, match="one line of printable characters"):
        SlurmSettings(**{name: ["--good=1", f"--a{control}rm -rf x"]})


def test_a_directive_begins_with_a_dash():
    with pytest.raises(ValidationError, match="as behind #SBATCH"):
        SlurmSettings(directives=["constraint=a100"])


@pytest.mark.parametrize(("name", "value"), [("cores", 0), ("cores", 1025), ("gpus", 2), ("gpus", -1)])
def test_counts_have_ranges(name, value):
    with pytest.raises(ValidationError, match=r"(less|greater) than or equal"):
        SlurmSettings(**{name: value})


@pytest.mark.parametrize("folder", ["/a b", "/a%J", "/a$HOME", "/a'b", "/a\nb", "/a;b"])
def test_folder_goes_unquoted_into_a_script(folder):
    with pytest.raises(ValidationError, match="goes into a job script"):
        SlurmSettings(folder=folder)


def test_folder_of_the_caller_is_checked_too(tmp_path):
    with pytest.raises(SettingsError, match=r"slurm\.folder: .*with space.*set slurm\.folder"):
        slurm_cluster(SlurmSettings(), 0, tmp_path / "with space")


def test_job_script(tmp_path):
    script = script_of(
        tmp_path / "caller",
        queue="long,gpu",
        account="lab@v100",
        memory="3GB",
        cores=5,
        gpus=1,
        walltime="2-12:00:00",
        folder=tmp_path / "logs",
        directives=["--constraint=a100", "--exclusive"],
        prologue=["module load cuda", 'echo "100 %"'],
    )
    lines = script.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")] == [
        "-J spaceprobe",
        f"-e {tmp_path}/logs/spaceprobe-%J.err",
        f"-o {tmp_path}/logs/spaceprobe-%J.out",
        "-p long,gpu",
        "-A lab@v100",
        "-n 1",
        "--cpus-per-task=5",
        "--mem=3G",
        "-t 2-12:00:00",
        "--gres=gpu:1",
        "--constraint=a100",
        "--exclusive",
    ]
    body = [line for line in lines if line and not line.startswith("#")]
    assert body[:-1] == [
        "export OMP_NUM_THREADS=5",
        "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]",
        "module load cuda",
        'echo "100 %"',
    ]
    assert not (tmp_path / "caller").exists()


def test_worker_command(tmp_path):
    words = shlex.split(script_of(tmp_path, gpus=1, cores=3).splitlines()[-1])
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert words[3].startswith("tls://127.0.0.1:")
    options = dict(itertools.pairwise(words))
    assert "--nanny" in words
    assert "--no-dashboard" in words
    expected = {
        "--nthreads": "1",
        "--memory-limit": "0",  # the last one counts
        "--death-timeout": "60",
        "--dashboard-address": "127.0.0.1:0",
        "--resources": "GPU=1",
        "--preload": "spaceprobe.study.cluster.lost_scheduler",
        "--preload-nanny": "spaceprobe.study.cluster.lost_scheduler",
        "--interface": "lo",
        "--protocol": "tls://",
    }
    assert {name: options[name] for name in expected} == expected
    assert "--resources" not in script_of(tmp_path)
    assert "--gres" not in script_of(tmp_path)


def test_credentials_are_for_their_owner_only_and_go_with_the_cluster(tmp_path):
    folder = tmp_path / "new"
    with slurm_cluster(SlurmSettings(interface="lo"), 0, folder) as cluster:
        (keys,) = folder.iterdir()
        files = {file.name: file.stat().st_mode & 0o777 for file in keys.iterdir()}
        assert files == {"ca_file.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
        assert keys.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == 0o700
        assert cluster.security.require_encryption
    del cluster
    assert wait_until(lambda: not keys.exists())


def test_nothing_is_left_open(tmp_path):
    script_of(tmp_path)  # what is opened once a process stays
    before = threads(), num_sockets()
    script_of(tmp_path)
    assert wait_until(lambda: (threads(), num_sockets()) <= before), (before, threads(), num_sockets())


def threads() -> int:
    return threading.active_count()


def num_sockets() -> int:
    links = Path("/proc/self/fd").iterdir()  # one of them is of this very listing, and gone
    return sum(str(link.readlink()).startswith("socket:") for link in links if link.is_symlink())


def wait_until(is_so, limit_s=5.0) -> bool:
    end = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > end:
            return False
        gc.collect()
        time.sleep(0.05)
    return True


def test_unknown_interface(tmp_path):
    with pytest.raises(SpaceprobeError, match=r"no scheduler on slurm\.interface no0: 'no0' is not a valid"):
        slurm_cluster(SlurmSettings(interface="no0"), 0, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpaceprobeError, match="sbatch was not found"):
        slurm_cluster(SlurmSettings(interface="lo"), 2, tmp_path / "slurm")
    assert [*tmp_path.iterdir()] == []


def test_credentials_of_a_killed_driver_are_removed(tmp_path):
    """By the next one; those of a living one, or of another machine's, are not."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    names = [f"keys-{ended.pid}@{here}-a", f"keys-{os.getpid()}@{here}-b", f"keys-{ended.pid}@there-c"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "key.pem").touch()
    slurm_cluster(SlurmSettings(interface="lo"), 0, tmp_path).close()
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:]}


def test_slurm_refuses(tmp_path, monkeypatch):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text('#!/bin/sh\necho "sbatch: error: invalid partition: $2" >&2\nexit 3\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(SpaceprobeError, match=r"SLURM refuses such a job \(sbatch: error: invalid partition"):
        slurm_cluster(SlurmSettings(interface="lo", queue="nope"), 2, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("states", ["drained", "drained* down"])
def test_a_drained_node_is_a_warning_for_sbatch_would_queue_the_job(tmp_path, monkeypatch, caplog, states):
    answering(tmp_path, monkeypatch, sbatch=(1, "", NOT_AVAILABLE), sinfo=(0, states.replace(" ", "\n"), ""))
    slurm_answers.check_accepted("#!/bin/sh", "night")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        f"no node of partition night takes jobs now ({states.replace(' ', ', ')}): the workers wait in "
        "SLURM's queue until one does"
    )


@pytest.mark.parametrize(
    ("reason", "states"),
    [
        (NOT_AVAILABLE, "idle"),  # such as more memory than any node has
        (NOT_AVAILABLE, "drained\nidle"),
        (NOT_AVAILABLE, ""),
        ("allocation failure: Invalid partition name specified", "drained"),
    ],
)
def test_what_sbatch_would_refuse_is_an_error(tmp_path, monkeypatch, reason, states):
    answering(tmp_path, monkeypatch, sbatch=(1, "", reason), sinfo=(0, states, ""))
    with pytest.raises(SpaceprobeError, match="SLURM refuses such a job"):
        slurm_answers.check_accepted("#!/bin/sh", None)


def test_slurm_is_silent(tmp_path, monkeypatch):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\nexec sleep 20\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(slurm_answers, "ANSWER_TIMEOUT_S", 0.2)
    with pytest.raises(SpaceprobeError, match=r"SLURM does not answer: sbatch took longer than 0\.2 s"):
        slurm_cluster(SlurmSettings(interface="lo"), 2, tmp_path / "logs")


@pytest.mark.parametrize("missing", ["dask_jobqueue", "cryptography"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, missing):
    import_it = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return import_it(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SpaceprobeError, match=rf"SLURM needs {missing}: pip install 'spaceprobe\[slurm\]'"):
        slurm_cluster(SlurmSettings(), 0, tmp_path)
