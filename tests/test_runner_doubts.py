"""What the runner must not believe: old code in memory, other data, rotten files, another's clock."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import ResultsError, append_line, file_digest, write_whole
from spaceprobe.stages import run_stage_named
from spaceprobe.stages.stage import Part, PartContent
from spaceprobe.study.cluster.workers import Workers
from spaceprobe.study.config import load_study
from spaceprobe.study.jobs import run_job as job_module
from spaceprobe.study.jobs.run_job import run_job
from spaceprobe.study.running.runner import Runner, RunOptions
from spaceprobe.study.storage.part_files import StalePart, StoredPart, read_part, write_part
from spaceprobe.study.storage.part_store import PartStore

STUDY = """\
data: {dataset: swiss-roll, points: 40, task: regression}
network: {architecture: 1x3}
training: {epochs: 1}
study: {stages: [train, lmd]}
sweep: {training.seed: [0, 1]}
"""
TRAIN = run_stage_named("train")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "roll.yaml"
    path.write_text(STUDY)
    return load_study(path)


def take_through(study, results, **options):
    """Return the outcome of each stage."""
    stages = [run_stage_named(name) for name in study.stages]
    outcome = Runner(study, results, RunOptions(**options)).run(stages, lambda _: None)
    return [*outcome.stages.values()]


def first_job(study, results):
    """Return the training of the first run, which nobody has begun."""
    return Runner(study, results).plan([TRAIN]).plans[0].jobs[0]


def test_code_that_was_edited_is_not_computed_with(study, tmp_path, monkeypatch):
    """What is in memory is old, what is asked for is what the file says now, as by a driver started later."""
    job = first_job(study, tmp_path)
    with pytest.raises(SpaceprobeError, match=r"has other code for train.*restart such workers"):
        run_job(replace(job, code="edited"), lambda _: None)
    monkeypatch.setattr(
        job_module, "load_code", lambda *_: False
    )  # a file was written before it was imported
    with pytest.raises(SpaceprobeError, match=r"has other code for train.*restart such workers"):
        run_job(job, lambda _: None)
    assert not list(tmp_path.rglob("train.json"))


def test_a_machine_with_other_data_refuses(study, tmp_path):
    job = first_job(study, tmp_path)
    other = [replace(part, key={**part.key, "data_digest": "0" * 64}) for part in job.parts]
    outcome = run_job(replace(job, parts=other), lambda _: None)
    assert "differs from where the study was started (data digest differs)" in str(outcome.error)
    assert not list(tmp_path.rglob("train.json"))


def test_other_libraries_are_said_to_the_log(study, tmp_path):
    job = replace(first_job(study, tmp_path), libraries={"torch": "0.4", "numpy": "1.3"})
    assert run_job(job, lambda _: None).error is None
    log = next(tmp_path.rglob("run.log")).read_text()
    assert "warning: process" in log
    assert "than where the study was started (torch 0.4 numpy 1.3): last bits may differ" in log


def test_a_checkpoint_that_rots_unseen_is_refused_and_then_trained_again(study, tmp_path):
    """The bytes change, and with them nothing that a stamp sees: the notes are made to say so."""
    take_through(study, tmp_path)
    path = next(tmp_path.rglob("model.safetensors"))
    good = path.read_bytes()
    path.write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
    seen = tmp_path / "roll" / ".seen.json"
    seal, text = seen.read_bytes().split(b"\n", 1)
    assert len(seal) == 64
    notes = json.loads(text)
    name = f"{path.parent.name}/train.json"
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    notes["parts"][name]["files"]["model.safetensors"][1] = stamp
    from spaceprobe.study.storage import part_store

    text = json.dumps(notes).encode()
    seen.write_bytes(part_store._seal(text) + text)
    _, lmd = take_through(study, tmp_path)
    assert lmd.num_computed == 0  # nothing needs it, so nothing reads it
    for part in path.parent.glob("lmd_factors*.npz"):
        part.unlink()
    trained, lmd = take_through(study, tmp_path)
    assert trained.num_computed == 0
    assert "is damaged" in lmd.failures[path.parent.name]
    trained, lmd = take_through(study, tmp_path)
    assert (trained.num_computed, lmd.num_computed, lmd.failures) == (
        1,
        1,
        {},
    )  # the untrained network was whole
    assert path.read_bytes() == good


@pytest.mark.parametrize("text", ["null", "5", '"x"', "[]", "{}", "", "{", "[" * 100_000])
def test_a_part_that_is_no_part_is_damaged(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    found = read_part(tmp_path, Part("train.json", {}, 1), None)
    assert isinstance(found, StalePart)
    assert "is damaged" in found.reason


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.json")
    os.mkfifo(tmp_path / "model")
    found = read_part(tmp_path, Part("train.json", {}, 1), None)
    assert isinstance(found, StalePart)
    assert file_digest(tmp_path / "model") is None


def test_a_line_that_a_full_disk_cut_off_is_taken_back(tmp_path, monkeypatch):
    path, write = tmp_path / "events.jsonl", os.write
    append_line(path, '{"event": 1}')
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda handle, data: write(handle, data[:5]))
        with pytest.raises(ResultsError, match="No space left on device"):
            append_line(path, '{"event": 2}')
    assert path.read_text() == '{"event": 1}\n'


def test_nobody_elses_line_is_taken_back(tmp_path, monkeypatch):
    """What was cut off stays where another process wrote after it; the next line begins a new one."""
    path, write = tmp_path / "events.jsonl", os.write

    def cut_off_and_overtaken(handle, data):
        num_written = write(handle, data[:5])
        with path.open("a") as other:
            other.write("theirs\n{")
        return num_written

    with monkeypatch.context() as patch:
        patch.setattr("os.write", cut_off_and_overtaken)
        with pytest.raises(ResultsError, match="No space left on device"):
            append_line(path, "never whole")
    append_line(path, "ours")
    assert path.read_text() == "nevertheirs\n{\nours\n"


def test_equal_parts_of_two_runners_count_as_one(tmp_path):
    """Their bytes differ in the time that they took; either is the part that was asked for."""
    part = Part("train.json", {"epoch": 3}, 1)
    ours = write_part(tmp_path, part, PartContent({"x": 1}), 1.0, "code")
    theirs = write_part(tmp_path, part, PartContent({"x": 1}), 2.0, "code")
    assert ours != theirs
    assert isinstance(read_part(tmp_path, part, "code"), StoredPart)


def test_settings_that_differ_in_nothing_are_computed_once(tmp_path):
    """The number of points does nothing to an exact path: one set of parts, by whichever variant."""
    path = tmp_path / "points.yaml"
    path.write_text(
        "data: {train_images: 100}\ntraining: {epochs: 1}\nnetwork: {architecture: 2x4}\n"
        "folding: {per_class: 2, pairs: [1-7], epoch: last}\nsweep: {folding.num_points: [3, 5]}\n"
        "study: {stages: [train, fold]}\n"
    )
    study = load_study(path)
    _, folded = take_through(study, tmp_path)
    assert folded.num_computed == 1


def test_notes_of_a_run_are_forgotten(tmp_path):
    run_folder = tmp_path / "runs" / "a"
    part = Part("train.json", {"epoch": 3}, 1)
    digest = write_whole(run_folder / "model", b"weights")
    write_part(run_folder, part, PartContent({}, files={"model": digest}), 1.0, "code")
    store = PartStore(tmp_path)
    assert not isinstance(store.look(run_folder, part, "code"), StalePart)
    store.forget(run_folder)
    store.save()
    assert json.loads((tmp_path / ".seen.json").read_bytes().split(b"\n", 1)[1])["parts"] == {}


class _Client:
    """What `Workers` asks a client for."""

    status = "running"

    def scheduler_info(self, n_workers):
        assert n_workers == -1  # all of them
        return {"workers": {}}


def test_lost_workers_are_asked_for_whenever_one_looks(monkeypatch):
    asked = []
    monkeypatch.setattr("spaceprobe.study.cluster.workers.LOOK_EVERY_S", 0.0)
    workers = Workers(_Client(), "here", SimpleNamespace(look=asked.append))
    for _ in range(3):
        assert workers.num_slots(wants_gpu=False) == 1
    assert asked == [[], [], []]  # the names of those that are there


def test_a_machine_without_workers_is_given_up(monkeypatch):
    """A worker process that cannot be started again, as without memory, does not come back."""
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    workers = Workers(_Client(), "this machine", gives_up=True)
    assert [workers.num_slots(wants_gpu=False) for _ in range(2)] == [1] * 2
    with pytest.raises(SpaceprobeError, match=r"this machine has had no worker for 60 s.*smaller --jobs"):
        workers.num_slots(wants_gpu=False)
    workers = Workers(_Client(), "the cluster")
    assert [workers.num_slots(wants_gpu=False) for _ in range(10)] == [1] * 10
