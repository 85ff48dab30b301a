"""A folder of results by its path, and what `spaceprobe clean` removes of it, and what never."""

import json
import os
import shutil
import time
from typing import Annotated, Literal, get_args, get_origin

import pytest
import yaml

from spaceprobe.results.cleaning import codes_of, find_leftovers
from spaceprobe.stages import STAGES, run_stage_named
from spaceprobe.stages.stage import ChoosesCode, Part, RunStage, Settings
from spaceprobe.study.code_version import code_version
from spaceprobe.study.running.heartbeats import Heartbeats
from spaceprobe.study.storage.part_files import read_code, read_key, read_part, write_part
from tests.commands import call, small_mnist

STUDY = """\
study: {{stages: [train, fold]}}
data: {{root: {root}, train_images: 200}}
network: {{architecture: 2x5}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: [3-8]}}
sweep: {{training.seed: [0, 1, 2]}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "small.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    return path


@pytest.fixture
def narrowed(study, copied):
    """The results after the file was narrowed to two seeds: the third run no longer belongs."""
    path = copied.parent / "small.yaml"
    path.write_text(study.read_text().replace("[0, 1, 2]", "[0, 1]"))
    assert call("run", path, "--results", copied).exit_code == 0
    return path, copied


def run_folder(results, seed):
    return next((results / "small/runs").glob(f"2x5-s{seed}-*"))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def num_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# Folders as studies.


@pytest.mark.parametrize("command", ["plan", "run", "status", "report"])
@pytest.mark.usefixtures("quick_drawings")
def test_a_command_takes_the_folder_of_results_as_the_name(study, copied, monkeypatch, command):
    monkeypatch.chdir(copied.parent)
    assert call("run", study, "--results", "results").exit_code == 0
    before = {*(copied / "small").rglob("*")}
    for word in ("results/small", "results/small/", "results/small/study.yaml", copied / "small"):
        outcome = call(command, word)
        assert outcome.exit_code == 0, outcome.output
        assert "small" in outcome.stdout
    assert command == "report" or {*(copied / "small").rglob("*")} == before
    assert {path.name for path in copied.iterdir()} == {"small"}  # no study called study


def test_a_folder_is_the_study_as_it_was_started(study, copied, monkeypatch):
    """Also inside of it, with the words of its own file, and with settings of the command line."""
    monkeypatch.chdir(copied / "small")
    assert call("run", study, "--results", copied).exit_code == 0
    assert call("plan", ".").stdout.splitlines() == [
        "small: 3 runs in ../small",
        "train      up to date",
        "fold       up to date",
    ]
    assert call("plan", "study.yaml").stdout == call("plan", ".").stdout
    changed = call("plan", ".", "--set", "training.epochs=2").stdout
    assert "train      3 of 3 runs, 6 epochs: training.epochs 1 → 2" in changed
    wrong = call("plan", ".", "--set", "training.epochs=none")
    assert wrong.exit_code == 2
    assert "older version" not in wrong.stderr


def test_a_study_that_is_called_study_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text("training: {epochs: 1}\n")
    assert call("plan", "study.yaml").stdout.startswith("study: 1 run in results/study\n")


def test_a_folder_stays_where_it_is(copied, tmp_path):
    outcome = call("run", copied / "small", "--results", tmp_path / "other")
    assert outcome.exit_code == 2
    assert "is itself a folder of results" in outcome.stderr
    assert not (tmp_path / "other").exists()
    assert call("plan", copied / "small", "--results", copied).exit_code == 0


def test_a_name_is_the_study_and_not_a_folder_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "study.yaml").write_text("training: {epochs: 1}\n")
    assert call("plan", "quickstart").stdout.startswith("quickstart: 9 runs in results/quickstart\n")
    assert call("plan", "./quickstart").stdout.startswith("quickstart: 1 run in quickstart\n")


# What is removed.


def test_nothing_is_removed_of_a_whole_study(study, copied):
    before = contents(copied)
    outcome = call("clean", study, "--results", copied, "--yes")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout == f"{copied}/small: nothing to remove, all results belong to the study\n"
    assert contents(copied) == before


def test_a_run_that_no_longer_belongs_is_listed_then_removed(narrowed):
    study, results = narrowed
    gone = run_folder(results, 2)
    before = contents(results)
    files = [path for path in gone.rglob("*") if path.is_file()]
    size = f"{num_bytes(gone) / 1000:.1f} kB in {len(files)} files"
    line = (
        "finished runs that the study has neither as it was last started nor as its file says now:\n"
        f"  runs/{gone.name}  {size}\n"
    )
    listed = call("clean", study, "--results", results, "--dry-run")
    assert (listed.exit_code, listed.stdout) == (0, f"{line}would remove {size}\n")
    declined = call("clean", study, "--results", results)  # nobody answers
    assert declined.exit_code == 1
    assert f"Remove {size}? [y/N]" in declined.stderr
    assert "nothing was removed" in declined.stderr
    assert contents(results) == before
    removed = call("clean", study, "--results", results, "--yes")
    assert (removed.exit_code, removed.stdout) == (0, f"{line}removed {size}\n")
    assert not gone.exists()
    left = {path: data for path, data in before.items() if gone.name not in path.parts}
    assert contents(results) == left
    assert (
        call("run", study, "--results", results).stderr == "everything was up to date: nothing was computed\n"
    )


def test_a_run_of_the_file_as_it_is_now_belongs(study, narrowed):
    """The file was widened again, and the study not yet started: its third run comes back."""
    path, results = narrowed
    path.write_text(study.read_text())
    assert "nothing to remove" in call("clean", path, "--results", results, "--yes").stdout
    assert run_folder(results, 2).is_dir()


def test_without_the_file_finished_runs_stay(study, copied, monkeypatch):
    """The last start was with a setting of the command line: that makes no finished run rubbish."""
    monkeypatch.chdir(copied.parent)
    seeds = ("--set", "sweep.training.seed=[3]", "--set", "training.epochs=2")
    assert call("run", study, "--results", copied, *seeds).exit_code == 0
    begun = copied / "small/runs/2x5-s9-abcdef"
    begun.mkdir()
    (begun / "run.log").write_text("killed before it was trained\n")
    before = contents(copied)
    names = sorted(run_folder(copied, seed).name for seed in (0, 1, 2))
    for word in ("small", copied / "small"):
        listed = call("clean", word, "--results", copied, "--dry-run")
        assert listed.stdout == (
            "not a run of the study, and not finished:\n"
            "  runs/2x5-s9-abcdef  29 bytes in 1 file\n"
            "finished runs of other settings than those of the last start, which stay: the study's file, "
            "which says whether they belong, was not found; `spaceprobe clean PATH/small.yaml` takes it into "
            "account:\n" + "".join(f"  runs/{name}\n" for name in names) + "would remove 29 bytes in 1 file\n"
        )
    assert call("clean", "small", "--results", copied, "--yes").stdout.endswith(
        "removed 29 bytes in 1 file\n"
    )
    gone = {path for path in before if "2x5-s9-abcdef" in path.parts}
    assert {*before} - {*contents(copied)} == gone
    (copied.parent / "small.yaml").write_text(study.read_text())  # its file, in the current folder
    assert "all results belong to the study" in call("clean", "small", "--results", copied, "--yes").stdout


def test_a_file_that_cannot_be_read_says_nothing_of_what_belongs(narrowed):
    path, results = narrowed
    path.write_text("training: {epochs: none}\n")
    before = contents(results)
    assert call("clean", path, "--results", results, "--yes").exit_code == 2
    assert contents(results) == before


def test_what_is_not_spaceprobes_and_links_stay(narrowed, tmp_path):
    study, results = narrowed
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copytree(run_folder(results, 2), outside / "2x5-s7-abcdef")
    (outside / "run.log").write_text("precious\n")
    kept = contents(outside)
    gone = run_folder(results, 2)
    (gone / "notes.txt").write_text("mine\n")
    (gone / "folding-link").symlink_to(outside)
    (gone / "linked.json").symlink_to(outside / "run.log")
    runs = results / "small/runs"
    (runs / "2x5-s7-abcdef").symlink_to(outside / "2x5-s7-abcdef")
    (runs / "my-notes").mkdir()
    (runs / "my-notes" / "run.json").write_text("{}\n")
    outcome = call("clean", study, "--results", results, "--yes")
    assert outcome.exit_code == 0
    for name, kind in {
        "2x5-s7-abcdef": "a link",
        "my-notes": "not spaceprobe's",
        f"{gone.name}/notes.txt": "not spaceprobe's",
        f"{gone.name}/folding-link": "a link",
        f"{gone.name}/linked.json": "a link",
    }.items():
        assert f"runs/{name} stays: it is {kind}\n" in outcome.stdout
    assert contents(outside) == kept
    assert {path.name for path in gone.iterdir()} == {"notes.txt", "folding-link", "linked.json"}
    assert {path.name for path in runs.iterdir()} >= {"2x5-s7-abcdef", "my-notes"}
    assert (runs / "my-notes" / "run.json").exists()


def test_runs_behind_a_link_stay(narrowed, tmp_path):
    study, results = narrowed
    runs = results / "small/runs"
    runs.rename(tmp_path / "elsewhere")
    runs.symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    assert "runs stays: it is a link" in call("clean", study, "--results", results, "--yes").stdout
    assert contents(tmp_path / "elsewhere") == before


def test_beside_a_runner_nothing_is_removed(narrowed):
    study, results = narrowed
    before = contents(results / "small/runs")
    beats = Heartbeats(results / "small", "another")
    with beats.beating():
        outcome = call("clean", study, "--results", results, "--yes")
        assert outcome.exit_code == 1
        assert "1 runner is at work, so nothing is removed; wait for the end, or stop it" in outcome.stderr
        assert contents(results / "small/runs") == before
        assert call("clean", study, "--results", results, "--dry-run").exit_code == 0
    assert call("clean", study, "--results", results, "--yes").exit_code == 0


def with_code(path, code):
    """Write a stored part as another version of the code would have."""
    part = Part(path.name, read_key(path), 0)
    stored = read_part(path.parent, part, None)
    write_part(path.parent, part, stored.content, stored.duration_s, code)


def test_of_other_settings_only_what_an_earlier_version_computed(study, copied):
    assert call("fold", study, "--results", copied, "--per-class", 1).exit_code == 0
    assert call("run", study, "--results", copied).exit_code == 0  # back to 2 a class
    plan = call("plan", study, "--results", copied).stdout
    assert "nothing to remove" in call("clean", study, "--results", copied, "--yes").stdout
    folders = sorted(run_folder(copied, 0).glob("folding-*"))
    assert len(folders) == 2
    for path in run_folder(copied, 0).rglob("*.npz"):  # of both settings, all by an earlier version
        with_code(path, "0" * 64)
    with_code(run_folder(copied, 0) / "train.json", "1" * 64)
    (leftover,) = find_leftovers(str(study), copied).found
    asked = read_sizes(copied)
    other = leftover.path
    assert other in folders
    outcome = call("clean", study, "--results", copied, "--yes")
    assert "of other settings, by an earlier version:\n" in outcome.stdout
    assert f"\n  runs/{other.parent.name}/{other.name}  " in outcome.stdout
    assert not other.exists()
    left = {path: size for path, size in asked.items() if other not in path.parents}
    assert read_sizes(copied) == left
    assert call("run", study, "--results", copied, "--trust-code").exit_code == 0
    assert "up to date" in plan


def read_sizes(results):
    return {path: path.stat().st_size for path in results.rglob("*") if path.is_file()}


def test_without_the_training_nothing_says_what_a_run_asks_for(study, copied):
    for path in run_folder(copied, 0).rglob("*.npz"):
        with_code(path, "0" * 64)
    (run_folder(copied, 0) / "train.json").unlink()
    before = contents(copied)
    assert "nothing to remove" in call("clean", study, "--results", copied, "--yes").stdout
    assert contents(copied) == before


def test_a_stored_part_knows_its_code(copied):
    path = next(run_folder(copied, 0).rglob("*.npz"))
    with_code(path, "0" * 64)
    assert read_code(path) == "0" * 64
    path.write_bytes(path.read_bytes()[:-1])
    assert read_code(path) is None


def test_files_half_written_by_a_process_that_is_gone(study, copied):
    host = os.uname().nodename
    old = run_folder(copied, 0) / f".train.json~999999999@{host}~x.tmp"
    other = run_folder(copied, 0) / ".train.json~999999999@another-host~x.tmp"
    for path in (old, other):
        path.write_text("half")
        os.utime(path, (time.time() - 100,) * 2)
    outcome = call("clean", study, "--results", copied, "--yes")
    assert outcome.stdout.startswith("half written by a process that is gone:\n  runs/2x5-s0-")
    assert "  4 bytes in 1 file\n" in outcome.stdout
    assert (old.exists(), other.exists()) == (False, True)


def test_a_study_that_was_never_started(study, tmp_path):
    assert call("clean", study, "--results", tmp_path, "--yes").exit_code == 1
    assert call("clean").exit_code == 2  # no default: it removes


def test_a_study_of_an_earlier_version_stays_whole(study, copied):
    """Its file has a key that is not known: nothing says what belongs."""
    path = copied / "small" / "study.yaml"
    kept = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**kept, "folding": {**kept["folding"], "grid": 3}}))
    before = contents(copied)
    outcome = call("clean", study, "--results", copied, "--yes")
    assert outcome.exit_code == 2
    assert "older version" in outcome.stderr
    assert contents(copied) == before


def test_status_tells_what_a_folder_occupies(study, copied):
    files = [path for path in (copied / "small").rglob("*") if path.is_file()]
    facts = json.loads(call("status", study, "--results", copied, "--json").stdout)
    assert (facts["num_files"], facts["num_bytes"]) == (len(files), num_bytes(copied / "small"))
    last = call("status", study, "--results", copied).stdout.splitlines()[-1]
    assert (
        last == f"{copied}/small occupies {num_bytes(copied / 'small') / 1000:.1f} kB in {len(files)} files"
    )


# Which results are of this version of the code.


class _ToolSettings(Settings):
    """What a made-up stage works with: two settings that choose code, and one that does not."""

    tool: Annotated[Literal["plane", "ray"], ChoosesCode()] = "plane"
    extra: Annotated[int, ChoosesCode((0, 1))] = 0
    size: int = 3


def _chosen_modules(sections):
    settings = sections["tool"]
    extra = ["spaceprobe.analysis.measures"] if settings.extra else []
    return [f"spaceprobe.folding.{settings.tool}", *extra]


def test_a_choice_that_a_stage_declares_is_a_version_of_this_code():
    """All four of two settings with two choices each, whichever modules they choose."""
    stage = RunStage(
        **{**vars(run_stage_named("lmd")), "sections": {"tool": _ToolSettings}, "sources": _chosen_modules}
    )
    codes = codes_of([stage])
    assert codes == {
        code_version(stage, {"tool": _ToolSettings(tool=tool, extra=extra)})
        for tool in ("plane", "ray")
        for extra in (0, 1)
    }
    assert len(codes) == 4


def test_every_setting_that_chooses_code_says_so():
    """Another value of any other setting of a stage leaves the modules as they are."""
    defaults = {name: model() for stage in STAGES for name, model in stage.sections.items()}
    others = {
        (section, name): _others(info)
        for section, model in defaults.items()
        for name, info in type(model).model_fields.items()
    }
    choosing = set()
    for stage in STAGES:
        for (section, name), values in others.items() if isinstance(stage, RunStage) else ():
            for value in values:
                changed = defaults[section].model_copy(update={name: value})
                if code_version(stage, {**defaults, section: changed}) != code_version(stage, defaults):
                    choosing.add((section, name))
    declared = {
        (section, name)
        for section, model in defaults.items()
        for name, info in type(model).model_fields.items()
        if any(isinstance(mark, ChoosesCode) for mark in info.metadata)
    }
    assert {("data", "dataset"), ("folding", "detail")} <= choosing
    of_detail = ("detail", "by_layer", "distances", "images", "symmetries")
    assert choosing == {place for place in declared if len(others[place]) > 1 or place[1] in of_detail}


def _others(info):
    """Return values of a setting: all choices of a list of names, and the number after the default."""
    if get_origin(info.annotation) is Literal:
        return get_args(info.annotation)
    return (
        [info.default + 1]
        if type(info.default) is int
        else [not info.default]
        if type(info.default) is bool
        else []
    )
