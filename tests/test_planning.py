"""What is computed again after a change: exactly what depends on it, and why, in words.

One small study is run once. Every change is planned against a finished result, and some are carried out.
"""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spaceprobe.data.idx_files import RAW_FOLDER
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import RunStage
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand
from spaceprobe.study.parts import StudyParts
from spaceprobe.study.running.runner import Runner, RunOptions
from spaceprobe.study.storage.part_files import write_part
from tests.commands import call, plain, small_mnist
from tests.package_copies import command_of, copy_package

STUDY = """\
data: {{root: {root}, train_images: 250}}
training: {{epochs: 2, snapshots: [1]}}
folding: {{per_class: 2, pairs: [0-1, 3-8, 8-3]}}
lmd: {{sample: 40, probes: []}}
sweep:
  network.architecture: [2x5, 3x4]
  training.seed: [0, 1, 2]
"""
RUNS = frozenset({"2x5-s0", "2x5-s1", "2x5-s2", "3x4-s0", "3x4-s1", "3x4-s2"})
TRAIN = {"train.json"}
FOLD = {"epoch0-0-1.npz", "epoch0-3-8.npz", "epoch2-0-1.npz", "epoch2-3-8.npz"}
LMD = {"lmd_factors-epoch0.npz", "lmd_factors.npz"}
PLANNED = {"train": TRAIN, "fold": FOLD, "lmd": LMD}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "tiny.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    return path


def sets(overrides):
    return [word for override in overrides for word in ("--set", override)]


def planned(study, results, overrides=(), **options):
    """Return what is to be computed as (stage, run, part), what waits, and the reasons by stage."""
    runner = Runner(load_study(str(study), overrides), results, RunOptions(**options))
    plans = runner.plan([stage for stage in STAGES if stage.name in runner.study.stages]).plans
    todo = {
        (plan.stage.name, plain(job.run), plain(Path(part.path).name))
        for plan in plans
        for job in plan.jobs
        for part in job.parts
    }
    assert len(todo) == sum(len(job.parts) for plan in plans for job in plan.jobs)
    assert not any(plan.failures for plan in plans)
    waiting = {(plan.stage.name, plain(run)) for plan in plans for run in plan.waiting}
    reasons = {
        plan.stage.name: {reason for some in plan.reasons.values() for reason in some}
        for plan in plans
        if plan.reasons
    }
    return todo, waiting, reasons


def written(results):
    """Return when each part was last written."""
    files = (path for path in (results / "tiny" / "runs").rglob("*") if path.suffix in {".npz", ".json"})
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def rewritten(results, before):
    """Return the parts that were written since, as (run, part)."""
    names = {path for path, when in written(results).items() if before.get(path) != when}
    return {(plain(path.relative_to(results / "tiny/runs").parts[0]), plain(path.name)) for path in names}


def tables(results):
    """Return the bytes of every CSV but the wall-clock times."""
    return {p.name: p.read_bytes() for p in (results / "tiny").glob("*.csv") if p.name != "timings.csv"}


@dataclass(frozen=True)
class Change:
    """A change of the study and what it is to redo.

    Attributes:
        overrides: of the study's settings.
        todo: the parts to compute, by stage; each for every one of the runs.
        runs: the runs that are concerned.
        waits: the stages that wait for training; what they redo is known when it is done.
        redone: the parts that a run really writes, of each of the runs; None where it is not tried.
        undone: the parts that the way back writes once more, since the same files are to say something else.
        reasons: why, by stage; None where it is not looked at.
    """

    overrides: tuple[str, ...]
    todo: dict[str, set[str]] = field(default_factory=dict)
    runs: frozenset[str] = RUNS
    waits: tuple[str, ...] = ()
    redone: set[str] | None = None
    undone: set[str] = frozenset()
    reasons: dict[str, set[str]] | None = field(default_factory=dict)


def retrains(override, reason, **others):
    """Return a change after which everything is another number."""
    todo, waits = {"train": TRAIN}, ("fold", "lmd")
    return Change((override,), todo, waits=waits, reasons={"train": {reason}}, **others)


def probes(stage, override, reason, parts=None, **others):
    """Return a change of one probe's parts."""
    todo = {stage: parts or PLANNED[stage]}
    return Change((override,), todo, reasons={stage: {reason}}, **others)


ALL = TRAIN | FOLD | LMD
LATER = {name.replace("epoch2", "epoch3") for name in ALL}
SNAPSHOT_FOLDS = {"epoch1-0-1.npz", "epoch1-3-8.npz"}

CHANGES = {
    "nothing": Change((), redone=set()),
    "epochs": retrains("training.epochs=3", "training.epochs 2 → 3", redone=LATER),
    "learning rate": retrains("training.learning_rate=0.01", "training.learning_rate 0.001 → 0.01"),
    "batch size": retrains("training.batch_size=50", "training.batch_size 128 → 50"),
    "images": retrains("data.train_images=200", "data.train_images 250 → 200"),
    "random labels": retrains("data.random_labels=0.5", "data.random_labels 0.0 → 0.5"),
    # the file of a snapshot is missing or superfluous: trained again, to the same weights
    "one snapshot less": replace(
        retrains("training.snapshots=[]", "snapshots 1 → none"), redone=TRAIN, undone=TRAIN
    ),
    "snapshots in other words": Change(("training.snapshots=all",)),
    "images folded": probes("fold", "folding.per_class=3", "folding.per_class 2 → 3"),
    "precision": probes("fold", "folding.precision=float32", "folding.precision float64 → float32"),
    "windows": probes("fold", "folding.units=all", "folding.units activations → all"),
    "threshold": probes("fold", "folding.threshold=median", "folding.threshold 0.0 → median"),
    "threshold of 0": Change(("folding.threshold=0",)),
    "sampled": Change(
        ("folding.method=sampled", "folding.num_points=7"),
        {"fold": FOLD},
        redone=FOLD,
        reasons={"fold": {"folding.method exact → sampled, folding.num_points 100 → 7"}},
    ),
    "points of exact paths": Change(("folding.num_points=7",)),
    "more pairs": probes(
        "fold",
        "folding.pairs=[8-3, 6-5, 3-8, 0-1]",
        "not there yet",
        {"epoch0-5-6.npz", "epoch2-5-6.npz"},
        redone={"epoch0-5-6.npz", "epoch2-5-6.npz"},
    ),
    "the other way": Change(("folding.pairs=[1-0]",)),
    "fewer pairs": Change(("folding.pairs=[3-8]",)),
    "folded snapshots": probes("fold", "folding.epoch=all", "not there yet", SNAPSHOT_FOLDS),
    "fewer epochs folded": Change(("folding.epoch=last",)),
    "threads": Change(("folding.threads=1",)),
    "device": Change(("folding.device=cpu",)),
    "metric": probes("lmd", "lmd.metrics=[data]", "lmd.metrics identity → data", redone=LMD, undone=LMD),
    "probes": probes("lmd", "lmd.probes=[retrieval]", "lmd.probes none → retrieval"),
    "sample": probes("lmd", "lmd.sample=30", "lmd.sample 40 → 30"),
    "decomposed snapshots": Change(("lmd.epoch=all",), {"lmd": {"lmd_factors-epoch1.npz"}}, reasons=None),
    "one seed more": Change(
        ("sweep.training.seed=[0, 1, 2, 5]",),
        {"train": TRAIN},
        frozenset({"2x5-s5", "3x4-s5"}),
        ("fold", "lmd"),
        redone=ALL,
        reasons={"train": {"not there yet"}},
    ),
    "one seed less": Change(("sweep.training.seed=[0, 2]",), redone=set()),
    "seeds in another order": Change(("sweep.training.seed=[2, 0, 1]",)),
    "another architecture": Change(
        ("sweep.network.architecture=[3x4, 4x3, 2x5]",),
        {"train": TRAIN},
        frozenset({"4x3-s0", "4x3-s1", "4x3-s2"}),
        ("fold", "lmd"),
        reasons={"train": {"not there yet"}},
    ),
    "a probe's axis": Change(
        ("sweep.folding.per_class=[2, 3]",), {"fold": FOLD}, reasons={"fold": {"folding.per_class 2 → 3"}}
    ),
    "download": Change(("data.download=true",)),
    "fewer stages": Change(("study.stages=[train, lmd]",)),
}


def expected(change):
    todo = {
        (stage, run, part) for stage, parts in change.todo.items() for run in change.runs for part in parts
    }
    return todo, {(stage, run) for stage in change.waits for run in change.runs}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_planned_for_what_depends_on_it(study, finished, change):
    todo, waits, reasons = planned(study, finished, change.overrides)
    assert (todo, waits) == expected(change)
    assert change.reasons in (None, reasons)


TRIED = {name: change for name, change in CHANGES.items() if change.redone is not None}


@pytest.mark.parametrize("change", TRIED.values(), ids=TRIED.keys())
def test_a_change_redoes_what_depends_on_it(study, copied, change):
    before = written(copied)
    outcome = call("run", study, "--results", copied, *sets(change.overrides))
    assert outcome.exit_code == 0, outcome.output
    assert rewritten(copied, before) == {(run, part) for run in change.runs for part in change.redone}
    assert planned(study, copied, change.overrides) == (set(), set(), {})
    # the tables hold the runs that are asked for, and no other; but fewer of them replace nothing
    asked = {plain(run.name) for run in expand(load_study(str(study), change.overrides))}
    runs = {*RUNS} if asked < {*RUNS} else asked
    for table in ("runs", "folding", "lmd_layers"):
        assert {plain(name) for name in pd.read_csv(copied / "tiny" / f"{table}.csv")["run"]} == runs
    # and back: nothing else was lost
    now = written(copied)
    assert call("run", study, "--results", copied).exit_code == 0
    assert {part for _, part in rewritten(copied, now)} == change.undone


def test_plan_says_it_and_writes_nothing(study, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    folding = call("plan", study, "--results", finished, "--set", "folding.per_class=3")
    said = re.sub(r", about \d+ s", "", folding.stdout)  # where parts took long enough to tell
    assert said.splitlines() == [
        f"tiny: 6 runs in {finished}/tiny",
        "train      up to date",
        # both directions of 3 x 3 paths for each of two pairs and epochs
        "fold       6 of 6 runs, 432 paths: folding.per_class 2 → 3",
        "lmd        up to date",
        "summarize  from the tables of train and fold",
    ]
    training = call("plan", study, "--results", finished, "--set", "training.epochs=3", "--only", "train")
    assert training.stdout.splitlines()[1:] == ["train      6 of 6 runs, 18 epochs: training.epochs 2 → 3"]
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_plan_of_what_is_up_to_date(study, finished):
    said = call("plan", study, "--results", finished).stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in said[1:]] == ["up to date"] * 4


def test_tables_of_other_stages_do_not_stay_beside_new_networks(study, copied):
    """They come back from the parts, which stay, without computing anything."""
    old = tables(copied)
    changed = ("--set", "training.epochs=3")
    outcome = call("train", study, "--results", copied, *changed)
    assert "the tables of fold, lmd, summarize were written anew" in outcome.stderr
    assert "`spaceprobe run` computes the rest" in outcome.stderr
    assert len(pd.read_csv(copied / "tiny" / "runs.csv")) == len(RUNS)
    for table in ("folding", "lmd_layers"):
        assert pd.read_csv(copied / "tiny" / f"{table}.csv").empty, table
    notes = pd.read_csv(copied / "tiny" / "correlations.csv")["note"]
    assert notes.str.contains("6 runs without folding left out (depth 2, 3)", regex=False).any()
    again = call("train", study, "--results", copied, *changed)
    assert "written anew" not in again.stderr
    before = written(copied)
    back = call("train", study, "--results", copied)
    assert "written anew" in back.stderr
    assert "the rest" not in back.stderr  # all is there
    assert {part for _, part in rewritten(copied, before)} <= {"train.json"}
    assert tables(copied) == old


def test_force_only_and_run_select(study, copied):
    name = next(path.name for path in (copied / "tiny/runs").glob("3x4-s1-*"))
    everything = {(stage, run, part) for stage, parts in PLANNED.items() for run in RUNS for part in parts}
    assert planned(study, copied, forces=True)[0] == {item for item in everything if item[0] == "train"}
    forced = planned(study, copied, only_runs=(name,), forces=True)
    waits = {("fold", "3x4-s1"), ("lmd", "3x4-s1")}
    assert forced == ({("train", "3x4-s1", "train.json")}, waits, {"train": {"--force"}})
    before, old_tables = written(copied), tables(copied)
    assert call("run", study, "--results", copied, "--force", "--only", "fold").exit_code == 0
    assert rewritten(copied, before) == {(run, part) for run in RUNS for part in FOLD}
    before = written(copied)
    assert call("run", study, "--results", copied, "--force", "--run", name).exit_code == 0
    assert rewritten(copied, before) == {("3x4-s1", part) for part in ALL}
    assert tables(copied) == old_tables


# The data: what counts is what the files hold.


def with_one_pixel(root, split="train"):
    file = root / RAW_FOLDER / f"{split}-images-idx3-ubyte"
    data = bytearray(file.read_bytes())
    data[16 + 28 * 14] ^= 1  # the middle of the left edge, of the first image
    file.write_bytes(data)


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_a_changed_pixel_redoes_everything(study, tmp_path, finished, split):
    """In files that lie where they lay, so that no name tells."""
    root = shutil.copytree(study.parent / "images", tmp_path / "images")
    copy = tmp_path / "tiny.yaml"
    copy.write_text(study.read_text().replace(str(study.parent), str(tmp_path)))
    assert call("train", copy, "--results", tmp_path).exit_code == 0
    todo, _, _ = planned(copy, tmp_path)
    assert {stage for stage, _, _ in todo} == {"fold", "lmd"}
    with_one_pixel(root, split)
    todo, waits, reasons = planned(copy, tmp_path)
    assert todo == {("train", run, "train.json") for run in RUNS}
    assert waits == {(stage, run) for stage in ("fold", "lmd") for run in RUNS}
    assert reasons == {"train": {"data digest differs"}}
    with_one_pixel(root, split)
    assert {stage for stage, _, _ in planned(copy, tmp_path)[0]} == {"fold", "lmd"}


def test_folding_depends_on_the_data_beside_the_weights(study, copied):
    """A test pixel changes no weight, but what is folded."""
    folder = copied.parent / "images"
    shutil.copytree(study.parent / "images", folder)
    with_one_pixel(folder, "t10k")
    moved = f"data.root={folder}"
    before = written(copied)
    assert call("run", study, "--results", copied, "--set", moved).exit_code == 0
    assert rewritten(copied, before) == {(run, part) for run in RUNS for part in ALL}


def test_data_elsewhere_are_other_runs(study, finished, tmp_path):
    """A sweep may be over data in several folders, so the folder is part of a run's name."""
    root = shutil.copytree(study.parent / "images", tmp_path / "images")
    jobs, _, _ = planned(study, finished, (f"data.root={root}",))
    assert jobs


def test_equal_files_written_again_change_nothing(study, finished):
    for file in (study.parent / "images" / RAW_FOLDER).iterdir():
        file.write_bytes(file.read_bytes())
    assert planned(study, finished) == (set(), set(), {})


# What lies on the disk.


def one(results, pattern, run="2x5-s1"):
    return next(iter((results / "tiny/runs").glob(f"{run}-*/{pattern}")))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data)


def flip_unseen(path):
    """Change a byte and set back what a program can set back."""
    status = path.stat()
    time.sleep(0.02)  # longer than the clock of the file system ticks
    with path.open("r+b") as file:
        file.seek(status.st_size * 2 // 3)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 16]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns


DAMAGES = {
    "a changed checkpoint": ("model.safetensors", flip, "model.safetensors is damaged"),
    "an old-looking checkpoint": ("model.safetensors", flip_unseen, "model.safetensors is damaged"),
    "a missing checkpoint": ("model-epoch0.safetensors", Path.unlink, "model-epoch0.safetensors is missing"),
    "a missing snapshot": ("model-epoch1.safetensors", Path.unlink, "model-epoch1.safetensors is missing"),
    "a changed record": ("train.json", flip, "train.json is damaged"),
    "a missing record": ("train.json", Path.unlink, "not there yet"),
}


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_training_is_redone_and_nothing_else(study, copied, name, damage, words):
    assert planned(study, copied) == (set(), set(), {})
    call("train", study, "--results", copied)  # notes what the copies are, so that they need not be read
    damage(one(copied, name))
    todo, waits, reasons = planned(study, copied)
    assert todo == {("train", "2x5-s1", "train.json")}
    assert waits == {("fold", "2x5-s1"), ("lmd", "2x5-s1")}
    (reason,) = reasons.pop("train")
    assert reason.startswith(words)
    assert not reasons


@pytest.mark.parametrize(("name", "damage"), [("model.safetensors", flip), ("train.json", Path.unlink)])
def test_a_damaged_training_is_mended(study, copied, name, damage):
    good, old_tables, before = one(copied, name).read_bytes(), tables(copied), written(copied)
    damage(one(copied, name))
    (reason,) = planned(study, copied)[2]["train"]
    outcome = call("run", study, "--results", copied)
    assert outcome.exit_code == 0
    (line,) = re.findall(r"^train .*\n(?: .*\n)*", outcome.stderr, re.MULTILINE)
    assert line.startswith("train      1 of 6 runs, 2 epochs")
    assert " ".join(line.split()).endswith(f": {reason}")
    # trained to the same weights, so what was measured of them holds
    assert rewritten(copied, before) == {("2x5-s1", "train.json")}
    assert tables(copied) == old_tables
    if name != "train.json":  # which holds how long it took
        assert one(copied, name).read_bytes() == good


@pytest.mark.parametrize(
    ("stage", "name", "damage", "words"),
    [
        ("fold", "folding-*/epoch2-3-8.npz", flip, "epoch2-3-8.npz is damaged (ValueError)"),
        ("fold", "folding-*/epoch2-3-8.npz", flip_unseen, "epoch2-3-8.npz is damaged (ValueError)"),
        ("fold", "folding-*/epoch0-0-1.npz", Path.unlink, "not there yet"),
        ("lmd", "lmd_factors-??????.npz", flip, "lmd_factors"),
    ],
)
def test_a_damaged_part_is_redone_and_nothing_else(study, copied, stage, name, damage, words):
    call(stage, study, "--results", copied)
    old_tables, before = tables(copied), written(copied)
    part = plain(one(copied, name).name)
    damage(one(copied, name))
    todo, waits, reasons = planned(study, copied)
    assert (todo, waits) == ({(stage, "2x5-s1", part)}, set())
    (reason,) = reasons[stage]
    assert reason.startswith(words)
    assert call(stage, study, "--results", copied).exit_code == 0
    assert rewritten(copied, before) == {("2x5-s1", part)}
    assert tables(copied) == old_tables


def resealed(results, stage_name, run, change):
    """Write the parts of a run anew, each as a change of its key and content makes it."""
    study = load_study(str(results / "tiny" / "study.yaml"), name="tiny")
    stage = next(stage for stage in STAGES if stage.name == stage_name)
    assert isinstance(stage, RunStage)
    for each in expand(study):
        if plain(each.name) == run:
            parts = StudyParts(results / "tiny", [each])
            (sections,) = each.variants(stage)
            for stored in [*parts.read(stage, each, sections)]:
                part, content = change(stored.part, stored.content)
                write_part(parts.run_folder(each), part, content, stored.duration_s, stored.code)


def without(section, *names):
    def change(part, content):
        key = {**part.key, section: {k: v for k, v in part.key[section].items() if k not in names}}
        assert len(key[section]) == len(part.key[section]) - len(names)
        return replace(part, key=key), content

    return change


OLDER = {
    "a training without schedules": ("train", without("training", "schedule", "decay"), set()),
    "data without random labels": ("train", without("data", "random_labels"), set()),
    "a folding without precision": ("fold", without("folding", "precision"), set()),
    "a decomposition without shuffles": ("lmd", without("lmd", "shuffles"), set()),
    "a folding without its own value": (
        *("fold", without("folding", "per_class")),
        {"folding.per_class auto → 2"},
    ),
}


@pytest.mark.parametrize(("stage", "change", "reasons"), OLDER.values(), ids=OLDER.keys())
def test_a_setting_that_did_not_exist_had_its_default(study, copied, stage, change, reasons):
    resealed(copied, stage, "3x4-s0", change)
    todo, _, found = planned(study, copied)
    assert found == ({stage: reasons} if reasons else {})
    assert todo == {(stage, "3x4-s0", part) for part in (PLANNED[stage] if reasons else ())}


def test_a_setting_that_is_no_more_counts(study, copied):
    def change(part, content):
        return replace(part, key={**part.key, "folding": {**part.key["folding"], "old": 3}}), content

    resealed(copied, "fold", "3x4-s2", change)
    found = planned(study, copied)
    todo = {("fold", "3x4-s2", part) for part in FOLD}
    assert found == (todo, set(), {"fold": {"folding.old 3 → none"}})


def test_other_weights_are_measured_again(study, copied):
    """A network whose training came out otherwise under the same settings, as on another machine."""
    other = one(copied, "model.safetensors", "2x5-s2").read_bytes()
    digest = hashlib.sha256(other).hexdigest()

    def change(part, content):
        assert content.files["model.safetensors"] != digest
        return part, replace(content, files={**content.files, "model.safetensors": digest})

    resealed(copied, "train", "2x5-s1", change)
    one(copied, "model.safetensors").write_bytes(other)
    todo, waits, reasons = planned(study, copied)
    assert not waits
    assert todo == {
        ("fold", "2x5-s1", "epoch2-0-1.npz"),
        ("fold", "2x5-s1", "epoch2-3-8.npz"),
        ("lmd", "2x5-s1", "lmd_factors.npz"),
    }
    assert reasons == {"fold": {"checkpoint digest differs"}, "lmd": {"checkpoint digest differs"}}


# The code. A copy of the package is edited; the results are those of the package itself.


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return copy_package(tmp_path_factory.mktemp("copy"))


@contextmanager
def edited(package, file, function, statement):
    """While it lasts, a function has another statement at its beginning."""
    path = package / file
    good = path.read_text()
    (definition,) = (
        node
        for node in ast.walk(ast.parse(good))
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    docstring, first = definition.body[:2]
    assert isinstance(docstring, ast.Expr), "a function with a docstring was meant"
    lines = good.splitlines(keepends=True)
    lines.insert(first.lineno - 1, " " * first.col_offset + statement + "\n")
    path.write_text("".join(lines))
    try:
        yield
    finally:
        path.write_text(good)


@contextmanager
def added(package, lines):
    """While it lasts, files have another line: at their end, or where they hold a certain text."""
    good = {file: (package / file).read_text() if (package / file).exists() else None for file in lines}
    for file, line in lines.items():
        text = good[file] or ""
        place, line = line if isinstance(line, tuple) else ("", line)
        assert place in text, (file, place)
        new = text.replace(place, f"{line}\n{place}", 1) if place else f"{text}\n{line}\n"
        (package / file).write_text(new)
    try:
        yield
    finally:
        for file, text in good.items():
            if text is None:
                (package / file).unlink()
            else:
                (package / file).write_text(text)


UP_TO_DATE = {stage: f"{stage:<9}  up to date" for stage in PLANNED}
ALL_UP_TO_DATE = {**UP_TO_DATE, "summarize": "summarize  up to date"}
AFTER = {stage: f"{stage:<9}  6 of 6 runs after train" for stage in ("fold", "lmd")}
TRAINED = {"train": r"train      6 of 6 runs, 12 epochs: code changed", **AFTER}
FOLDED = {"fold": r"fold       6 of 6 runs, 192 paths: code changed"}
DECOMPOSED = {"lmd": r"lmd        6 of 6 runs, 12 epochs: code changed"}

TABLES_ANEW = {"summarize": "summarize  from the tables of train and fold"}

EDITS = {
    "folding": ("folding/engine.py", "fold_grid", FOLDED),
    "a kernel": ("folding/kernels/sweep.py", "walk", FOLDED),
    "training": ("networks/training.py", "train", TRAINED),
    "lmd": ("lmd/tails.py", "power_law_tail", DECOMPOSED),
    "what folding and lmd read weights by": (
        *("stages/train/networks.py", "load_network"),
        TRAINED,  # which uses other functions of this file
    ),
    "analysis": ("analysis/measures.py", "measure_counts", TABLES_ANEW),
    "the runner": ("study/jobs/run_job.py", "run_job", ALL_UP_TO_DATE),
}


@pytest.mark.parametrize(("file", "function", "lines"), EDITS.values(), ids=EDITS.keys())
def test_changed_code_redoes_its_stage(study, finished, package, file, function, lines):
    with edited(package, file, function, "changed = 3"):
        plan = command_of(package, "plan", study, "--results", finished).stdout.splitlines()
    assert plan[1:] == [*(UP_TO_DATE | TABLES_ANEW | lines).values()]


LIKE = "from spaceprobe.{package}.{entry} import ENTRY\n"

ADDITIONS = {
    "a dataset": (
        {
            "data/sets/curl.py": LIKE.format(package="data.sets", entry="swiss_roll"),
            "data/sets/__init__.py": ('    "swiss_roll",', '    "curl",'),
        },
        {},
    ),
    "a kind of network": (
        {
            "networks/models/wide.py": LIKE.format(package="networks.models", entry="mlp"),
            "networks/models/__init__.py": ('    "mlp",', '    "wide",'),
        },
        {},
    ),
    "a source of endpoints": (
        {
            "stages/fold/endpoints/twins.py": LIKE.format(
                package="stages.fold.endpoints", entry="class_pairs"
            ),
            "stages/fold/endpoints/__init__.py": ('    "class_pairs",', '    "twins",'),
        },
        {},
    ),
    "a measure of single paths": (
        {
            "stages/fold/path_measures/more.py": LIKE.format(
                package="stages.fold.path_measures", entry="space_folding"
            )
            + "from dataclasses import replace\nENTRY = replace(ENTRY, columns=ENTRY.columns[:0])",
            "stages/fold/path_measures/__init__.py": ('    "space_folding",', '    "more",'),
        },
        {},
    ),
    "another field of datasets": ({"data/entry.py": "MORE = 3"}, TABLES_ANEW),
    "a measure of counts": ({"analysis/measures.py": "MEASURES = (*MEASURES,)"}, TABLES_ANEW),
    "a column": ({"stages/train/tables.py": "COLUMN = 'learning_rate'"}, TABLES_ANEW),
    "a line of the summary": ({"stages/lmd/summary.py": "LINE = 'more'"}, TABLES_ANEW),
    "a setting of a stage": (
        {"stages/lmd/parts.py": "DEFAULT = 3", "stages/stage.py": "NEW = 3"},
        TABLES_ANEW,
    ),
    "an error": ({"errors.py": "class NewError(SpaceprobeError): ..."}, TABLES_ANEW),
}


@pytest.mark.parametrize(("lines", "tables"), ADDITIONS.values(), ids=ADDITIONS.keys())
def test_what_is_added_redoes_nothing(study, finished, package, lines, tables):
    """Tables of more columns are written anew from what was computed."""
    with added(package, lines):
        plan = command_of(package, "plan", study, "--results", finished).stdout.splitlines()
    assert plan[1:] == [*(ALL_UP_TO_DATE | tables).values()]


def test_a_comment_counts(study, finished, package):
    """To compute a stage once more costs less than to tell what of a text is code."""
    with added(package, {"folding/engine.py": "# a comment"}):
        plan = command_of(package, "plan", study, "--results", finished).stdout.splitlines()
    assert plan[1:] == [*(UP_TO_DATE | FOLDED | TABLES_ANEW).values()]


def test_trusted_code_redoes_nothing(study, finished, package):
    with edited(package, "networks/training.py", "train", "changed = 3"):
        done = command_of(package, "plan", study, "--results", finished, "--trust-code")
    assert done.stdout.splitlines()[1:4] == [*UP_TO_DATE.values()]


def test_changed_code_of_a_table_computes_nothing_and_writes_it_anew(study, copied, package):
    folding, before = pd.read_csv(copied / "tiny" / "folding.csv"), written(copied)
    words = ("analysis/path_counts.py", "__post_init__", 'object.__setattr__(self, "num_sources", 42)')
    with edited(package, *words):
        done = command_of(package, "run", study, "--results", copied, "--no-report")
    assert done.stderr.splitlines()[-1] == "everything was up to date: nothing was computed"
    assert written(copied) == before
    now = pd.read_csv(copied / "tiny" / "folding.csv")
    assert set(folding["num_sources"]) == {2}
    assert set(now["num_sources"]) == {42}
    others = now.columns.drop("num_sources")
    pd.testing.assert_frame_equal(now[others], folding[others])


def test_retrained_by_other_code_to_the_same_weights_is_not_measured_again(study, copied, package):
    before, old_tables = written(copied), tables(copied)
    with edited(package, "networks/training.py", "train", "changed = 3"):
        command_of(package, "run", study, "--results", copied, "--no-report")
    assert rewritten(copied, before) == {(run, part) for run in RUNS for part in TRAIN}
    assert tables(copied) == old_tables


# What goes on while a study runs.


def driver(study, results):
    command = [sys.executable, "-m", "spaceprobe", "run", study, "--results", results, "--no-report"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_editing_the_study_while_it_runs_changes_nothing_of_it(study, finished, tmp_path):
    copy = tmp_path / "tiny.yaml"
    shutil.copy(study, copy)
    with driver(copy, tmp_path) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "tiny" / "runs").exists():
            assert process.poll() is None, "ended before the study could be edited"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        copy.write_text(study.read_text().replace("per_class: 2", "per_class: 3").replace("[0, 1, 2]", "[7]"))
        assert not list(tmp_path.rglob("folding-*")), "too late: the first stage was over"
        _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert tables(tmp_path) == tables(finished)
    kept = (tmp_path / "tiny" / "study.yaml").read_text()
    assert kept == (finished / "tiny" / "study.yaml").read_text()
    # the next one asks for something else, and is told so
    todo, waits, _ = planned(copy, tmp_path)
    assert todo == {("train", run, "train.json") for run in ("2x5-s7", "3x4-s7")}
    assert len(waits) == 4


def test_two_runners_at_once_do_no_harm(study, finished, tmp_path):
    with driver(study, tmp_path) as first, driver(study, tmp_path) as second:
        messages = [process.communicate(timeout=120)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], messages
    assert tables(tmp_path) == tables(finished)
    assert planned(study, tmp_path) == (set(), set(), {})
    assert not [*tmp_path.rglob(".*.tmp"), *(tmp_path / "tiny" / ".running").glob("*")]
    assert {path.name for path in written(tmp_path)} == {path.name for path in written(finished)}
    assert len(written(tmp_path)) == len(written(finished))
    (folder,) = (tmp_path / "tiny/runs").glob("2x5-s0-*/folding-*")
    assert np.load(folder / "epoch2-3-8.npz")["chi-3-8-row-max"].shape == (2,)
