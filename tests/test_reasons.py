"""Why runs failed, in run.log, runs.csv and the report; and events, one object a line."""

import json
import multiprocessing
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from spaceprobe import files
from spaceprobe.files import append_object, create_new, repair_objects
from spaceprobe.stages import fold, run_stage_named
from tests.commands import call, small_mnist

STUDY = """\
study: {{stages: [train, fold, summarize]}}
data: {{train_images: 250}}
network: {{architecture: 2x5}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: [3-8, 0-0]}}
sweep: {{data.root: [{roots}]}}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return small_mnist(tmp_path_factory.mktemp("images"))


def write_study(folder, *roots):
    path = folder / "roots.yaml"
    path.write_text(STUDY.format(roots=", ".join(map(str, roots))))
    return path


def of_bad(frame):
    return frame[frame["root"].astype(str).str.contains("nowhere")]


@pytest.mark.usefixtures("quick_drawings")
def test_a_run_that_cannot_start_has_its_reason_everywhere(images, tmp_path):
    study = write_study(tmp_path, images, tmp_path / "nowhere")
    outcome = call("run", study, "--results", tmp_path, with_report=True)
    assert outcome.exit_code == 1
    folder = tmp_path / "roots"
    runs = pd.read_csv(folder / "runs.csv")
    assert sorted(runs["status"]) == ["done", "failed"]
    (bad,) = of_bad(runs).to_dict("records")
    assert bad["error"].startswith(f"data.root: {tmp_path}/nowhere/MNIST/raw lacks train-images")
    assert (bad["architecture"], bad["depth"], bad["width"], bad["seed"]) == ("2x5", 2, 5, 0)
    assert pd.isna(bad["num_parameters"])
    good = runs[runs["status"] == "done"].iloc[0]
    assert good["num_parameters"] == 784 * 5 + 5 + 5 * 5 + 5 + 5 * 10 + 10
    assert ",4015," in (folder / "runs.csv").read_text()  # still an integer
    log = folder / "runs" / bad["run"] / "run.log"
    (line,) = log.read_text().splitlines()
    assert line.endswith(f" train: not started: {bad['error']}")
    assert f"Error: root {tmp_path}/nowhere: {bad['error']} (log: {log})" in outcome.stderr
    assert f"{tmp_path}/nowhere/MNIST/raw lacks" in (folder / "report.html").read_text()
    status = call("status", "roots", "--results", tmp_path).stdout
    assert "train: 1 done, 1 failed" in status
    # again: the same, and told once
    again = call("run", study, "--results", tmp_path)
    assert again.exit_code == 1
    assert len(log.read_text().splitlines()) == 1
    # the data come, and it is no longer failed
    shutil.copytree(images, tmp_path / "nowhere")
    assert call("run", study, "--results", tmp_path).exit_code == 0
    runs = pd.read_csv(folder / "runs.csv")
    assert [*runs["status"]] == ["done", "done"]
    assert runs["error"].isna().all()


@pytest.mark.usefixtures("quick_drawings")
def test_the_report_is_made_even_if_every_run_failed(tmp_path):
    """They started, and diverged: that is a result. Runs that cannot start write nothing."""
    study = tmp_path / "roots.yaml"
    study.write_text(
        "data: {train_images: 600}\nnetwork: {architecture: 20x10}\ntraining: {epochs: 3}\n"
        "sweep: {training.learning_rate: [1000.0, 999.0]}\n"
    )
    outcome = call("run", study, "--results", tmp_path, with_report=True)
    assert outcome.exit_code == 1, outcome.stderr
    runs = pd.read_csv(tmp_path / "roots" / "runs.csv")
    assert [*runs["status"]] == ["failed", "failed"]
    page = (tmp_path / "roots" / "report.html").read_text()
    assert page.count("training diverged") >= 2
    assert outcome.stdout.endswith(f"report   {tmp_path}/roots/report.html\n")


def _fails(job, advance, write_file):
    yield next(iter(fold.compute(job, advance, write_file)))
    raise ArithmeticError("out of luck")


def test_a_later_stage_that_failed_is_named_beside_the_reason(images, tmp_path):
    study, stage = write_study(tmp_path, images), run_stage_named("fold")
    object.__setattr__(stage, "compute", _fails)
    try:
        assert call("run", study, "--results", tmp_path).exit_code == 1
    finally:
        object.__setattr__(stage, "compute", fold.compute)
    (row,) = pd.read_csv(tmp_path / "roots" / "runs.csv").to_dict("records")
    assert (row["status"], row["error"]) == ("done", "fold: ArithmeticError: out of luck")
    assert call("run", study, "--results", tmp_path).exit_code == 0
    (row,) = pd.read_csv(tmp_path / "roots" / "runs.csv").to_dict("records")
    assert pd.isna(row["error"])


@pytest.mark.parametrize("page", ["missing", "old"])
def test_complete_results_on_a_read_only_disk_want_no_room(images, tmp_path, page):
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], capture_output=True).returncode:
        pytest.skip("no private mount namespace can be made here")
    study, results = write_study(tmp_path, images), tmp_path / "results"
    assert call("run", study, "--results", results).exit_code == 0
    if page == "old":
        (results / "roots" / "report.html").write_text("of another time")
    script = f"mount --bind {results} {results} && mount -o remount,ro,bind {results} && "
    script += f"{sys.executable} -m spaceprobe run {study} --results {results}"
    done = subprocess.run([unshare, "-m", "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    state = {"missing": "is not there", "old": "is of earlier tables"}[page]
    notices = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert notices == [
        "everything was up to date: nothing was computed",
        f"{results}/roots/report.html {state}, and cannot be made: the folder is read-only for this user",
    ]


# One object a line.


def objects(path):
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines]


def test_odd_characters_stay_on_one_line_that_every_reader_takes(tmp_path):
    path = tmp_path / "events.jsonl"
    odd = 'a\nb\r\u2028\u0085\x00\x1c"\\ é 𝜒 \udc80'
    append_object(path, {"event": odd, odd: [float("nan"), -float("inf"), {"x": 1.5}], "n": None})
    assert len(path.read_text(encoding="ascii").splitlines()) == 1
    (fields,) = objects(path)
    whole = odd.replace("\udc80", "\\udc80")
    assert fields == {"event": whole, whole: ["nan", "-inf", {"x": 1.5}], "n": None}
    assert pd.read_json(path, lines=True)["event"][0] == whole


@pytest.mark.parametrize("left", [b'{"event": "job_st', b"\0\0\0", b"\xff\xfe{", b"{}  "])
def test_a_line_that_was_cut_off_becomes_an_object_of_its_own(tmp_path, left):
    path = tmp_path / "events.jsonl"
    append_object(path, {"event": "first"})
    with path.open("ab") as file:
        file.write(left)
    append_object(path, {"event": "second"})
    first, damaged, second = objects(path)
    assert (first, second) == ({"event": "first"}, {"event": "second"})
    assert damaged == {"event": "damaged_line", "text": left.decode(errors="backslashreplace")}


def test_lines_of_earlier_versions_that_are_no_objects_are_repaired(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": 1}\n{"ev\n\n[1, 2]\n{"event": 2}{"event": 3}\n{"event": 4}\n{"cut')
    repair_objects(path)
    texts = [fields.get("text", fields) for fields in objects(path)]
    assert texts == [{"event": 1}, '{"ev', "", "[1, 2]", '{"event": 2}{"event": 3}', {"event": 4}, '{"cut']
    before = path.stat().st_ino
    repair_objects(path)
    assert path.stat().st_ino == before
    repair_objects(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


def test_a_study_repairs_its_events_when_it_starts(images, tmp_path):
    study = write_study(tmp_path, images)
    path = tmp_path / "roots" / "events.jsonl"
    path.parent.mkdir()
    path.write_text('{"ev\n{"event": "old"}\n')
    assert call("train", study, "--results", tmp_path).exit_code == 0
    events = [fields["event"] for fields in objects(path)]
    assert events == ["damaged_line", "old", "runner_started", "job_started", "job_ended", "runner_ended"]


def _append(path, writer, count):
    for number in range(count):
        append_object(path, {"writer": writer, "number": number, "filler": "x" * (number * 37 % 5000)})


def test_the_lines_of_writers_at_once_stay_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append, args=(path, writer, 200)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [(fields["writer"], fields["number"]) for fields in objects(path)]
    assert sorted(found) == [(writer, number) for writer in range(3) for number in range(200)]
    for writer in range(3):
        assert [number for who, number in found if who == writer] == [*range(200)]


def test_a_lock_that_somebody_holds_is_not_waited_for_long(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(files, "LOCK_WITHIN_S", 0.05)
    path = tmp_path / "events.jsonl"
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        append_object(path, {"event": "first"})
    assert objects(path) == [{"event": "first"}]


def test_a_file_is_created_once(tmp_path):
    path = tmp_path / "new" / "claim"
    assert create_new(path, b"ours")
    assert not create_new(path, b"theirs")
    assert path.read_bytes() == b"ours"
    assert [*path.parent.iterdir()] == [path]
