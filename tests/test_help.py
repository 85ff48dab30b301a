"""Help that a new user can rely on: whole lines, examples that run, studies, plans for scripts."""

import json
import os
import re
import shlex
import shutil

import pytest
from click.testing import CliRunner

from spaceprobe.cli import main
from spaceprobe.stages import STAGES
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import CI, shipped_configs
from spaceprobe.study.grid import expand
from spaceprobe.study.shipped_studies import shipped_studies
from tests.commands import call, small_mnist

# The shipped ones on fewer images, so that they take seconds.
QUICKSTART = """\
data: {{root: {root}, train_images: 300}}
training: {{epochs: 4}}
folding: {{per_class: 2, pairs: [3-8, 8-3]}}
lmd: {{probes: [], sample: 100}}
sweep:
  network.architecture: [2x30, 4x15, 6x10]
  training.seed: [0, 1, 2]
"""
DEPTH_SWEEP = QUICKSTART.replace("epochs: 4", "epochs: 1").replace(", 6x10]", "]")


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory):
    """A folder with the results of quickstart and depth-sweep, as someone has who follows the examples."""
    folder = tmp_path_factory.mktemp("examples")
    root = small_mnist(folder / "images")
    (folder / "configs").mkdir()
    (folder / "configs" / "quickstart.yaml").write_text(QUICKSTART.format(root=root))
    (folder / "configs" / "depth-sweep.yaml").write_text(DEPTH_SWEEP.format(root=root))
    for name in ("quickstart", "depth-sweep"):
        done = call("run", folder / "configs" / f"{name}.yaml", "--results", folder / "results")
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def folder(finished_folder, tmp_path, monkeypatch):
    shutil.copytree(finished_folder / "configs", tmp_path / "configs")
    shutil.copytree(finished_folder / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def help_of(*words):
    outcome = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    assert outcome.exit_code == 0
    return outcome.output


def examples():
    for name in ("", *main.commands):
        text = help_of(name) if name else help_of()
        paragraphs = re.findall(r"Example:\s+(.*?)\n\s*\n", text, re.DOTALL)
        assert paragraphs, name
        for example in paragraphs:
            yield " ".join(example.split())


EXAMPLES = sorted({*examples()})


def test_every_line_of_the_list_of_commands_is_whole():
    _, _, listed = help_of().partition("Commands:\n")
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == [*main.commands]
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in lines)


def test_there_is_an_example_of_every_command():
    named = {re.match(r"(?:eval \"\$\()?spaceprobe ([a-z]+)", example)[1] for example in EXAMPLES}
    assert named == {*main.commands}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.usefixtures("quick_drawings")
def test_an_example_runs(example, folder):
    if "completion" in example:
        assert example == 'eval "$(spaceprobe completion bash)"'
        assert call("completion", "bash").exit_code == 0
        return
    if "/from/elsewhere/" in example:
        shutil.copytree("results/quickstart", folder / "elsewhere" / "quickstart")
        example = example.replace("/from/elsewhere", str(folder / "elsewhere"))
    for run in expand(load_study("quickstart")):  # on other images, its runs have other hashes
        example = re.sub(rf"{run.name[:-6]}[0-9a-f]{{6}}", run.name, example)
    _, *words = shlex.split(example)
    outcome = call(*words)
    assert outcome.exit_code == 0, outcome.output


def test_the_run_in_the_example_of_a_path_is_one_of_quickstart():
    (example,) = [example for example in EXAMPLES if " path " in example]
    run = re.search(r"--run (\S+)", example)[1]
    assert run in [run.name for run in expand(load_study(shipped_configs()["quickstart"]))]


# The shipped studies.


def test_studies_lists_the_shipped_ones_with_a_line_each():
    whole, _, small = call("studies").stdout.partition("\n\n")
    lines = whole.splitlines()
    assert all(len(line) <= 80 for line in [*lines, *small.splitlines()])
    numbers = {line.split()[0]: int(line.split()[1]) for line in lines}
    assert not any(name.endswith(CI) for name in numbers)
    numbers |= {name: int(number) for name, number in re.findall(r"([\w-]+)\s\((\d+)\)", small)}
    assert numbers == {name: len(expand(load_study(path))) for name, path in shipped_configs().items()}
    (quickstart,) = (line for line in lines if line.startswith("quickstart "))
    assert quickstart.endswith("   9 runs  The whole chain: one to three minutes on 2 cores.")


@pytest.mark.parametrize("study", shipped_studies(), ids=lambda study: study.name)
def test_a_shipped_study_begins_with_its_line(study):
    assert 20 <= len(study.description) <= 52
    assert study.description[-1] in ".?"
    assert study.description == shipped_configs()[study.name].read_text().splitlines()[0].removeprefix("# ")


@pytest.mark.parametrize("words", [("run",), ("plan",), ("run", "--dry-run")], ids=" ".join)
def test_a_bare_run_lists_the_studies(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call(*words)
    assert outcome.exit_code == 2
    assert "no study is named, and there is no spaceprobe.yaml in this folder" in outcome.stderr
    assert call("studies").stdout in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bare_run_takes_the_study_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spaceprobe.yaml").write_text("training: {epochs: 7}\n")
    outcome = call("plan")
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[:2] == [
        "spaceprobe: 1 run in results/spaceprobe",
        "train      1 of 1 runs, 7 epochs: not there yet",
    ]


@pytest.mark.parametrize("words", [("fold", "--pairs", "3-8"), ("lmd",)], ids=" ".join)
def test_other_commands_keep_their_default_study(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call(*words)
    assert outcome.exit_code == 2  # nothing is trained yet
    assert outcome.stderr.startswith("Error: depth-sweep: none of its 25 runs can be done, ")
    assert "train.json is not there yet: `spaceprobe train` comes first" in outcome.stderr


# Flags and plans.


def test_run_has_the_flags_of_its_stages():
    flags = {
        item.name
        for stage in STAGES
        for model in stage.sections.values()
        for info in model.model_fields.values()
        for item in info.metadata
        if type(item).__name__ == "Flag"
    }
    assert {"--epochs", "--pairs", "--per-class", "--metric", "--epoch"} <= flags
    for name in ("run", "plan"):
        assert flags <= {flag for parameter in main.commands[name].params for flag in parameter.opts}


def test_one_flag_sets_the_settings_of_all_its_stages(folder):
    flags = ("--epoch", "last", "--pairs", "1-7", "--metric", "identity,data")
    settings = ("folding.epoch=last", "lmd.epoch=last", "folding.pairs=1-7", "lmd.metrics=identity,data")
    by_settings = [word for setting in settings for word in ("--set", setting)]
    planned = call("plan", "quickstart", *flags)
    assert planned.exit_code == 0, planned.output
    assert planned.stdout == call("plan", "quickstart", *by_settings).stdout
    # 9 networks, at the last epoch, each with both ways of the 2 x 2 paths of one pair
    assert "fold       9 of 9 runs, 72 paths: not there yet" in planned.stdout


def test_a_flag_of_a_stage_that_the_study_lacks(folder):
    outcome = call("plan", "quickstart", "--set", "study.stages=train,lmd", "--pairs", "3-8")
    assert outcome.exit_code == 2
    words = " ".join(outcome.stderr.split())
    assert "--pairs belongs to fold, not a stage of quickstart; its stages are train, lmd" in words


@pytest.mark.parametrize("words", [(), ("--epochs", "5"), ("--force",), ("--only", "train")], ids=" ".join)
def test_a_dry_run_is_a_plan(folder, words):
    before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    dry, planned = call("run", "quickstart", *words, "--dry-run"), call("plan", "quickstart", *words)
    assert (dry.exit_code, dry.stdout) == (0, planned.stdout)
    assert dry.stdout.startswith("quickstart: 9 runs in results/quickstart\n")
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before


def test_a_plan_for_scripts(folder):
    assert call("run", "quickstart").exit_code == 0  # as a copy, the tables are not known to be current
    facts = json.loads(call("plan", "quickstart", "--json").stdout)
    assert [*facts] == ["study", "folder", "num_runs", "is_up_to_date", "stages"]
    assert (facts["study"], facts["folder"], facts["num_runs"]) == ("quickstart", "results/quickstart", 9)
    assert facts["is_up_to_date"] is True
    assert [stage["stage"] for stage in facts["stages"]] == ["train", "fold", "lmd", "summarize"]
    assert {run["state"] for stage in facts["stages"][:3] for run in stage["runs"]} == {"up to date"}

    facts = json.loads(call("plan", "quickstart", "--set", "training.batch_size=64", "--json").stdout)
    train, fold, _, summarize = facts["stages"]
    assert facts["is_up_to_date"] is False
    assert (train["unit"], train["amount"], fold["amount"]) == ("epoch", 9 * 4, 0)
    assert train["estimated_s"] is None  # of runs with other names nothing is kept
    first = {
        "label": "2x30 · seed 0",
        "state": "to do",
        "amount": 4,
        "reasons": ["training.batch_size 128 → 64"],
    }
    assert {key: value for key, value in train["runs"][0].items() if key != "run"} == first
    assert fold["runs"][0]["state"] == "waiting"
    assert fold["runs"][0]["reasons"] == ["after train"]
    assert summarize == {"stage": "summarize", "is_up_to_date": False}


def test_a_status_for_scripts(folder):
    shutil.rmtree(next((folder / "results/quickstart/runs").glob("4x15-s1-*")))
    facts = json.loads(call("status", "quickstart", "--json").stdout)
    assert [*facts] == ["study", "folder", "num_runners", "num_files", "num_bytes", "counts", "runs"]
    files = [path for path in (folder / "results/quickstart").rglob("*") if path.is_file()]
    assert facts["num_files"] == len(files)
    assert facts["num_bytes"] == sum(path.stat().st_size for path in files)
    assert facts["num_runners"] == 0
    assert facts["counts"]["train"] == {"done": 8, "to do": 1}
    states = {run["label"]: run["stages"] for run in facts["runs"]}
    assert states["4x15 · seed 1"] == dict.fromkeys(("train", "fold", "lmd"), "to do")
    assert states["6x10 · seed 2"] == dict.fromkeys(("train", "fold", "lmd"), "done")
    assert facts["runs"][0]["run"].startswith("2x30-s0-")
    assert " lmd: done in " in facts["runs"][0]["last_line"]


# Completion.


def completed(words, cwd):
    """Return what bash is offered for the last of some words, which it cuts at ``=``."""
    environment = {
        "_SPACEPROBE_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(["spaceprobe", *words]),
        "COMP_CWORD": str(len(words)),
    }
    outcome = CliRunner().invoke(main, [], prog_name="spaceprobe", env={**os.environ, **environment})
    return [line.partition(",")[2] for line in outcome.output.splitlines() if line.startswith("plain,")]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["plot", "quickstart", "dept"], ["depth"]),
        (["plot", "quickstart", "cantor-"], ["cantor-path", "cantor-plane", "cantor-sampling"]),
        (["run", "quickstart", "--set", "training.opt"], ["training.optimizer="]),
        (["run", "--set", "sweep.training.sc"], ["sweep.training.schedule="]),
        (["run", "quickstart", "--set", "network.activation", "="], None),
        (["run", "quickstart", "--set", "training.optimizer", "=", "ad"], ["adam", "adamw"]),
        (["run", "--set", "training.optimizer=sg"], ["training.optimizer=sgd"]),
        (["run", "--set", "training.optimizer", "=", "sgd", "--set", "data.down", ], ["data.download="]),
        (["run", "--set", "data.download", "="], ["false", "true"]),
        (["fold", "quickstart", "--method", "k"], ["kernel"]),
        (["lmd", "quickstart", "--metric", "identity,l"], ["identity,laplacian"]),
        (["run", "quickstart", "--epoch", ""], ["0", "last", "both", "all"]),
        (["run", "--set", "training.epochs", "=", ""], []),
        (["stu"], ["studies"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_is_completed(words, offered, tmp_path):
    found = completed(words, tmp_path)
    if offered is None:
        assert {"relu", "sigmoid", "polynomial-2"} <= {*found}
    else:
        assert sorted(found) == sorted(offered)


def test_no_space_follows_a_key_in_bash():
    assert "[[ $value == *= ]] && compopt -o nospace" in call("completion", "bash").stdout
