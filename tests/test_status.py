"""What a study's runner says of itself: states, logs, the journal, messages, and what a shell completes."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from spaceprobe.stages import fold, run_stage_named
from tests.commands import call, plain, small_mnist

STUDY = """\
study: {{stages: [train, fold]}}
data: {{root: {root}, train_images: 250}}
network: {{architecture: 2x5}}
training: {{epochs: 3}}
folding: {{per_class: 2, pairs: [3-8, 0-0]}}
sweep: {{training.seed: [0, 1, 2, 3]}}
"""
ENDLESS = ("--set", "training.epochs=100000")
PLAIN_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LOG_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 "


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "small.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    return path


def status(study, results):
    """Return the states of each run in its stages, the last lines of the logs, and the lines that count."""
    outcome = call("status", study, "--results", results)
    assert outcome.exit_code == 0, outcome.output
    head, *lines = outcome.stdout.splitlines()
    assert max(map(len, [head, *lines])) <= max(80, len(lines[-1]))
    stages = re.fullmatch(r"run +(.*\S) +folder", head)[1].split()
    facts = json.loads(call("status", study, "--results", results, "--json").stdout)["runs"]
    states = {}
    for line, of_run in zip(lines, facts, strict=False):
        label, *cells, folder = re.split("  +", line)
        run = plain(folder)
        assert label == of_run["label"] == run.replace("2x5-s", "seed ")  # the study's only axis
        states[run] = dict(zip(stages, cells, strict=True))
    last = {plain(of_run["run"]): of_run["last_line"] for of_run in facts}
    *counts, size = lines[next(number for number, line in enumerate(lines) if line.startswith("train: ")) :]
    assert re.fullmatch(rf"{results}/small occupies [\d.]+ [kM]B in \d+ files", size)
    return states, last, counts


def everywhere(**states):
    return {f"2x5-s{seed}": states for seed in range(4)}


def one(results, pattern, run="2x5-s1"):
    return next(iter((results / "small/runs").glob(f"{run}-*/{pattern}")))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data)


def read_events(results):
    return [json.loads(line) for line in (results / "small" / "events.jsonl").read_text().splitlines()]


def test_a_study_that_was_never_started(study, tmp_path):
    outcome = call("status", study, "--results", tmp_path)
    assert outcome.exit_code == 1
    assert f"{tmp_path}/small/study.yaml: there is none, so no study was started there" in outcome.stderr
    assert call("status", "", "--results", tmp_path).exit_code == 1


def test_done(study, finished):
    states, last, counts = status(study, finished)
    assert states == everywhere(train="done", fold="done")
    assert counts == ["train: 4 done", "fold: 4 done", "no runners at work"]
    assert all(re.fullmatch(LOG_TIME + r"fold: done in \d+\.\d s", line) for line in last.values())
    by_name = call("status", "small", "--results", finished)
    assert by_name.stdout == call("status", study, "--results", finished).stdout


def test_status_is_of_the_study_as_it_was_started(study, copied):
    """Not as its file says now: that is what `plan` is for."""
    other = copied.parent / "small.yaml"
    other.write_text(study.read_text().replace("[0, 1, 2, 3]", "[8]"))
    assert status(other, copied)[0] == everywhere(train="done", fold="done")


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("[")], ids=["gone", "broken"])
def test_status_needs_the_name_of_the_file_only(study, finished, tmp_path, change):
    other = tmp_path / "small.yaml"
    other.write_text("")
    change(other)
    assert status(other, finished)[0] == everywhere(train="done", fold="done")


def test_stale_partly_and_to_do(study, copied):
    flip(one(copied, "model.safetensors", "2x5-s0"))
    flip(one(copied, "folding-*/epoch3-3-8.npz", "2x5-s1"))
    one(copied, "folding-*/epoch0-0-0.npz", "2x5-s2").unlink()
    one(copied, "train.json", "2x5-s3").unlink()
    states, _, counts = status(study, copied)
    assert states == {
        "2x5-s0": {"train": "stale", "fold": "to do"},  # of which network, is not known
        "2x5-s1": {"train": "done", "fold": "stale"},
        "2x5-s2": {"train": "done", "fold": "partly"},
        "2x5-s3": {"train": "to do", "fold": "to do"},
    }
    assert counts[:2] == ["train: 2 done, 1 stale, 1 to do", "fold: 1 stale, 1 partly, 2 to do"]


def test_stale_where_a_run_has_its_name_and_other_settings(study, copied):
    name = one(copied, "train.json", "2x5-s2").parent.name
    snapshots = ("--set", "training.snapshots=[1]")
    assert call("run", study, "--results", copied, *snapshots, "--run", name).exit_code == 0
    states, _, counts = status(study, copied)
    assert states.pop("2x5-s2") == {"train": "done", "fold": "done"}
    assert {tuple(state.values()) for state in states.values()} == {("stale", "to do")}
    assert counts[0] == "train: 1 done, 3 stale"


def test_diverged_is_failed_and_the_rest_is_done(study, tmp_path):
    changes = ("--set", "network.architecture=20x10", "--set", "sweep.training.seed=[0]")
    changes += ("--set", "training.batch_size=10", "--set", "sweep.training.learning_rate=[1000.0, 0.001]")
    outcome = call("run", study, "--results", tmp_path, *changes)
    assert outcome.exit_code == 1
    assert re.search(
        r"Error: seed 0 · lr 1000\.0: training diverged: .*\(log: .*/20x10-s0-\w+/run\.log\)\n"
        r"1 of 2 runs have no result; `spaceprobe status` shows the state of all",
        outcome.stderr,
    )
    runs = pd.read_csv(tmp_path / "small" / "runs.csv").set_index("run")
    bad, good = runs.index[runs["status"] == "failed"], runs.index[runs["status"] == "done"]
    outcome = call("status", study, "--results", tmp_path)
    rows = outcome.stdout.splitlines()
    lines = {name: line for name in runs.index for line in rows if line.endswith(f" {name}")}
    assert re.search(r"^seed 0 · lr 1000\.0 +failed +to do +\S+$", lines[bad.item()])
    assert re.search(r"^seed 0 · lr 0\.001 +done +done +\S+$", lines[good.item()])
    said = rows.index("last lines of the logs of runs that are running or failed:")
    assert re.match(r"  seed 0 · lr 1000\.0: \S+ train: failed after ", rows[said + 1])
    assert len(rows[said + 1]) == 80
    assert rows[said + 1].endswith("…")
    assert rows[said + 2].startswith("train: 1 done")
    assert "fold: done in" not in outcome.stdout
    assert "train: 1 done, 1 failed" in outcome.stdout


class OddError(Exception):
    """As no stage foresees it."""


def _fails_for_one_run(job, advance, write_file):
    for number, made in enumerate(fold.compute(job, advance, write_file)):
        if "-s1-" in job.run and number:
            raise OddError("out of luck\nand more of it")
        yield made


@contextmanager
def failing_fold():
    """While it lasts, folding one of the runs raises what it does not foresee, after its first part."""
    stage = run_stage_named("fold")
    object.__setattr__(stage, "compute", _fails_for_one_run)
    try:
        yield
    finally:
        object.__setattr__(stage, "compute", fold.compute)


def test_a_run_whose_job_raises_is_failed_and_the_rest_is_done(study, tmp_path):
    with failing_fold():
        outcome = call("run", study, "--results", tmp_path)
        states, last, counts = status(study, tmp_path)
    assert outcome.exit_code == 1
    log = one(tmp_path, "run.log")
    *_, said, num_failed = outcome.stderr.splitlines()
    assert said == f"Error: seed 1: OddError: out of luck (log: {log})"
    assert outcome.stderr.count("out of luck") == 1
    assert num_failed == "1 of 4 runs have no result; `spaceprobe status` shows the state of all"
    assert "Traceback" not in outcome.output
    text = log.read_text()
    assert re.search(
        r" fold: Traceback \(most recent call last\):\n    .*_fails_for_one_run", text, re.DOTALL
    )
    assert "OddError: out of luck\n    and more of it\n" in text  # what has several lines is indented
    assert states == everywhere(train="done", fold="done") | {"2x5-s1": {"train": "done", "fold": "failed"}}
    assert re.search(r" fold: failed after \d+\.\d s: OddError: out of luck$", last["2x5-s1"])
    assert counts[1] == "fold: 3 done, 1 failed"
    folded = pd.read_csv(tmp_path / "small" / "folding.csv")
    sizes = folded["run"].map(plain).value_counts()
    # epochs, pairs and measures; of the bad run the one part that was there before
    assert sizes.to_dict() == {"2x5-s0": 8, "2x5-s1": 2, "2x5-s2": 8, "2x5-s3": 8}
    ended = [event for event in read_events(tmp_path) if event["event"] == "job_ended" and event["error"]]
    assert [(plain(event["run"]), event["num_parts"]) for event in ended] == [("2x5-s1", 1)]
    # repaired, it continues, and is no longer failed
    assert call("run", study, "--results", tmp_path).exit_code == 0
    assert status(study, tmp_path)[0] == everywhere(train="done", fold="done")


def test_fail_fast_leaves_the_rest_to_do(study, tmp_path):
    with failing_fold():
        outcome = call("run", study, "--results", tmp_path, "--fail-fast")
        states, _, _ = status(study, tmp_path)
    assert outcome.exit_code == 1
    assert "OddError: out of luck" in outcome.stderr
    assert {run: state["fold"] for run, state in states.items()} == {
        "2x5-s0": "done",
        "2x5-s1": "failed",
        "2x5-s2": "to do",
        "2x5-s3": "to do",
    }
    assert not list((tmp_path / "small").glob("runs/2x5-s2-*/folding-*"))
    assert read_events(tmp_path)[-1]["event"] == "runner_ended"


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def driver(*words, **options):
    command = [sys.executable, "-m", "spaceprobe", *map(str, words)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": PLAIN_ENVIRONMENT, **options}
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_running_and_killed(study, tmp_path):
    folder = tmp_path / "small"
    with driver("run", study, "--results", tmp_path, *ENDLESS) as process:
        wait_for(lambda: [*folder.glob("runs/*/model-epoch0.safetensors")], process)
        states, last, counts = status(study, tmp_path)
        assert states == everywhere(train="to do", fold="to do") | {
            "2x5-s0": {"train": "running", "fold": "to do"}
        }
        assert re.fullmatch(
            LOG_TIME + rf"train: started, 1 part, process {process.pid} on \S+", last["2x5-s0"]
        )
        assert counts == ["train: 1 running, 3 to do", "fold: 4 to do", "1 runner at work"]
        process.kill()
        process.wait()
        states, _, counts = status(study, tmp_path)
        assert states == everywhere(train="to do", fold="to do")
        assert counts == ["train: 4 to do", "fold: 4 to do", "no runners at work"]
        left = sorted(path.suffix for path in (folder / ".running").iterdir())
        assert left == [".claim", ".json"]  # of the job that it was computing
    assert call("train", study, "--results", tmp_path).exit_code == 0
    assert not [*(folder / ".running").iterdir()]


def test_asked_to_end_it_says_so(study, tmp_path):
    with driver("run", study, "--results", tmp_path, *ENDLESS) as process:
        wait_for(lambda: [*tmp_path.glob("small/runs/*/model-epoch0.safetensors")], process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert stdout == ""
    assert stderr.splitlines()[-1].startswith("Terminated: what was finished is kept")
    assert "Traceback" not in stderr
    last = read_events(tmp_path)[-1]
    assert (last["event"], last["error"]) == ("runner_ended", "terminated")
    assert status(study, tmp_path)[2][-1] == "no runners at work"


def test_the_journal_tells_in_order(study, finished):
    events = read_events(finished)
    assert len({event["runner"] for event in events}) == 1
    first, *jobs, last = events
    assert first["event"] == "runner_started"
    assert first["study"]["training"]["epochs"] == 3
    assert (last["event"], last["error"]) == ("runner_ended", None)
    told = [(event["event"], event["stage"], plain(event["run"])) for event in jobs]
    assert told == [
        (event, stage, f"2x5-s{seed}")
        for stage in ("train", "fold")
        for seed in range(4)
        for event in ("job_started", "job_ended")
    ]
    assert {(event["stage"], event["num_parts"]) for event in jobs if "num_parts" in event} == {
        ("train", 1),
        ("fold", 4),
    }
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert all(re.fullmatch(LOG_TIME.strip(), when) for when in times)


def test_a_run_has_a_log(finished):
    place = rf"process {os.getpid()} on \S+"
    said = [
        rf"train: started, 1 part, {place}",
        r"train: done in \d+\.\d s",
        rf"fold: started, 4 parts, {place}",
        r"fold: done in \d+\.\d s",
    ]
    for log in (finished / "small" / "runs").glob("*/run.log"):
        lines = log.read_text().splitlines()
        assert len(lines) == len(said)
        for line, words in zip(lines, said, strict=True):
            assert re.fullmatch(LOG_TIME + words, line)


def test_half_a_line_at_the_end_of_the_journal(study, copied):
    journal = copied / "small" / "events.jsonl"
    with journal.open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "runner": "0a", "event": "job_st')
    assert status(study, copied)[0] == everywhere(train="done", fold="done")
    flip(one(copied, "folding-*/epoch3-3-8.npz", "2x5-s3"))
    assert call("run", study, "--results", copied).exit_code == 0
    told = [json.loads(line) for line in journal.read_text().splitlines()[-3:]]
    assert [event["event"] for event in told] == ["job_started", "job_ended", "runner_ended"]
    assert status(study, copied)[0] == everywhere(train="done", fold="done")


def test_provenance_is_kept_and_no_op_leaves_all_alone(study, copied):
    folder = copied / "small"
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts
    assert all(value != {} for value in facts.values())
    assert call("run", study, "--results", copied).exit_code == 0  # the copies are read once
    names = ("provenance.json", "events.jsonl", "study.yaml", "folding.csv", "runs.csv", ".seen.json")
    files = [folder / name for name in names] + [*folder.glob("runs/*/run.log")]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in files}
    assert call("run", study, "--results", copied).exit_code == 0
    now = {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in files}
    assert now == before


# Messages.


def test_results_on_stdout_and_all_else_on_stderr(study, finished, tmp_path):
    results = call("run", study, "--results", finished, "--quiet")
    assert results.stderr == ""
    log_file = tmp_path / "logs" / "messages.log"
    words = ("fold", study, "--results", finished, "--force")
    quiet = call(*words, "--quiet")
    assert quiet.stderr == ""
    told = call(*words, "--verbose", "--log-file", log_file)
    assert told.stdout == quiet.stdout
    lines = told.stderr.splitlines()
    assert lines[:2] == [
        f"small: 4 runs in {finished}/small",
        # both ways of 2 x 2 paths, and 2 within a class, at two epochs
        "fold       4 of 4 runs, 80 paths: --force",
    ]
    assert [line for line in lines[2:] if line.startswith("fold seed ")] == [
        line
        for seed in range(4)
        for line in (
            f"fold seed {seed}: started by process {os.getpid()} on {os.uname().nodename}",
            f"fold seed {seed}: done",
        )
    ]
    logged = log_file.read_text().splitlines()
    assert len(logged) == 14
    clock = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    assert [re.sub(clock, "", line) for line in logged[:2]] == [
        f" INFO spaceprobe.notices: {line}" for line in lines[:2]
    ]
    runner = r" INFO spaceprobe\.study\.running\.runner: fold seed \d: (started|done)"
    stage = r" INFO spaceprobe\.stages\.fold\.computation: the engine kernel walks paths, on cpu$"
    assert [line for line in logged[2:] if not re.match(clock + runner, line)] == [
        line for line in logged if re.match(clock + stage, line)
    ]
    assert sum(bool(re.match(clock + stage, line)) for line in logged) == 4
    # another call appends, and without --verbose the terminal stays as it is
    again = call(*words, "--log-file", log_file)
    assert again.stderr.splitlines() == lines[:2]
    assert log_file.read_text().splitlines()[:14] == logged
    assert len(log_file.read_text().splitlines()) == 28
    assert call("run", study, "--results", finished, "-q").stdout == results.stdout


def test_quiet_and_verbose_do_not_go_together(study, tmp_path):
    outcome = call("run", study, "--results", tmp_path, "-q", "-v")
    assert outcome.exit_code == 2
    assert "--quiet and --verbose do not go together" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_a_log_file_that_cannot_be_written(study, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = call("run", study, "--results", tmp_path, "--log-file", tmp_path / "file" / "x.log")
    assert outcome.exit_code == 2
    assert f"--log-file {tmp_path}/file/x.log: cannot be written (" in outcome.stderr


@pytest.mark.parametrize("no_color", [True, False])
def test_a_terminal_gets_a_progress_bar_without_color(study, tmp_path, no_color):
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (30, 120))
    environment = {name: value for name, value in PLAIN_ENVIRONMENT.items() if name != "NO_COLOR"}
    environment |= {"NO_COLOR": "1"} if no_color else {}
    words = ("train", study, "--results", tmp_path)
    with driver(*words, stderr=terminal, env=environment) as process:
        os.close(terminal)
        drawn = b""
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:  # nobody has the other end any more
                break
            if not chunk:
                break
            drawn += chunk
        stdout = process.stdout.read()
        assert process.wait() == 0
    os.close(controller)
    assert b"train" in drawn
    assert b"epoch/s" in drawn
    assert not re.search(rb"\x1b\[[0-9;]*m", drawn)
    assert stdout.startswith("small: 4 runs\n")
    assert "\r" not in stdout
    assert "\x1b" not in stdout


# What a shell completes.


def test_completion_of_every_shell():
    scripts = {shell: call("completion", shell).stdout for shell in ("bash", "zsh", "fish")}
    for shell, script in scripts.items():
        assert f"{shell}_complete" in script
        assert "spaceprobe" in script
    assert len(set(scripts.values())) == 3
    assert call("completion", "tcsh").exit_code == 2
    for shell, script in scripts.items():
        if shutil.which(shell):
            checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
            assert (checked.returncode, checked.stderr) == (0, ""), shell


def completed(*words, cwd):
    environment = {
        **os.environ,
        "_SPACEPROBE_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(map(str, words)),
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [sys.executable, "-c", "from spaceprobe.cli import main; main(prog_name='spaceprobe')"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line.startswith("plain,")]


def test_what_is_completed(study, finished, tmp_path):
    assert completed("spaceprobe", "sta", cwd=tmp_path) == ["status"]
    assert completed("spaceprobe", "run", "depth-sw", cwd=tmp_path)[0] == "depth-sweep"
    assert completed("spaceprobe", "run", "depth-sweep", "--fail", cwd=tmp_path) == ["--fail-fast"]


def test_runs_of_a_study_are_completed(study, finished, tmp_path):
    runs = [path.name for path in sorted((finished / "small" / "runs").glob("2x5-s[12]-*"))]
    found = [
        run
        for seed in (1, 2)
        for run in completed("spaceprobe", "run", study, "--run", f"2x5-s{seed}", cwd=tmp_path)
    ]
    assert found == runs


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_takes_the_script(tmp_path):
    script = call("completion", "bash").stdout
    # outside of a completion there are no options to set
    ask = (
        "compopt() { :; }; COMP_WORDS=(spaceprobe run dep); COMP_CWORD=2; _spaceprobe_completion spaceprobe; "
    )
    ask += 'printf "%s\\n" "${COMPREPLY[@]}"'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script + ask], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.stdout.splitlines()[0] == "depth", done.stderr
