"""Installed packages add entries to registries; what is wrong with one breaks nothing else."""

import csv
import os
import shutil
import subprocess
import sys

import pytest

from spaceprobe import plugins
from spaceprobe.data.entry import DatasetEntry
from spaceprobe.data.sets import DATASETS
from spaceprobe.plugins import (
    PluginError,
    check_names,
    find_plugins,
    load_plugins,
    plugin_modules,
    untold_problems,
)
from spaceprobe.registry import read_entries
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages import STAGES
from spaceprobe.stages.fold.endpoints import ENDPOINTS, TAKEN_SECTIONS, TAKEN_TABLES
from spaceprobe.stages.fold.endpoints import _refuse as refuse_endpoints
from spaceprobe.stages.fold.tables import SOURCE_TABLES
from spaceprobe.study import code_version
from spaceprobe.study.code_version import PACKAGE, Sources
from spaceprobe.study.config.sections import section_models
from tests.commands import call
from tests.documents import ROOT

STUDY = """
data: {dataset: bars}
network: {model: wide-first, architecture: 2x4}
training: {epochs: 1}
folding: {endpoints: opposites, per_class: 3, threads: 1}
opposites: {strength: 0.5}
lmd: {epoch: last, sample: 40}
"""

EXAMPLE = "spaceprobe_example"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which pip has installed the package of plug-ins, without a network."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(ROOT / "tests" / "plugin", tmp_path_factory.mktemp("source") / "plugin")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    words = [*pip, "--no-index", "--no-deps", "--no-build-isolation", "--target", folder, source]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def command(site, folder, *words, exit_code=0):
    """Run a command in a folder, where the packages of another one are installed."""
    path = os.pathsep.join([str(ROOT), str(site)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "spaceprobe", *map(str, words)],
        **{"capture_output": True, "text": True, "env": environment, "cwd": folder},
        check=False,
    )
    assert done.returncode == exit_code, done.stderr
    return done


@pytest.fixture(scope="module")
def finished(site, tmp_path_factory):
    """The folder in which a study with a dataset, a network and endpoints of plug-ins was run."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "small.yaml").write_text(STUDY)
    assert "left out" not in command(site, folder, "run", "small.yaml", "--no-report").stderr
    return folder


def rows(folder, table):
    with (folder / "results" / "small" / f"{table}.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def test_the_package_is_ten_files_and_adds_one_of_each(site):
    files = [
        path for path in (ROOT / "tests" / "plugin").rglob("*") if path.suffix in (".py", ".toml", ".md")
    ]
    assert len(files) == 10
    text = (site / f"{EXAMPLE}-0.1.dist-info" / "entry_points.txt").read_text()
    assert [f"[spaceprobe.{group}]" in text for group in plugins.GROUPS] == [True] * 6


def test_a_study_takes_one_of_each(site, finished, tmp_path):
    (run,) = rows(finished, "runs")
    assert (run["dataset"], run["run"][:15]) == ("bars", "wide-first-2x4-")
    assert run["num_parameters"] == str(16 * 8 + 8 + 8 * 4 + 4 + 4 * 2 + 2)
    folding = rows(finished, "folding_opposites")
    assert {row["num_paths"] for row in folding} == {"3"}
    assert all(float(row["mean_length"]) >= 0 for row in folding)
    ranks = [row for row in rows(finished, "lmd_ranks") if row["rule"] == "above_mean"]
    assert len(ranks) == 3
    assert all(0 < int(row["rank"]) < 8 for row in ranks)
    command(site, finished, "plot", "small.yaml", "losses", "--out", tmp_path / "losses.svg")
    assert (tmp_path / "losses.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("file", "stale"),
    [("drawing", {"train", "fold", "lmd"}), ("opposites", {"fold"}), ("above_mean", {"lmd"})],
)
def test_results_are_computed_again_where_a_file_of_the_plugin_changed(site, finished, tmp_path, file, stale):
    here = shutil.copytree(site, tmp_path / "site")
    assert not is_stale(here, finished)
    with (here / EXAMPLE / f"{file}.py").open("a") as source:
        source.write("# edited\n")
    assert is_stale(here, finished) == stale


def is_stale(site, folder):
    """Return the stages that a plan would compute again."""
    lines = command(site, folder, "plan", "small.yaml").stdout.splitlines()
    return {line.split()[0] for line in lines[1:4] if "up to date" not in line}


# --- which plug-ins there are ------------------------------------------------------------------


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Returns a function that installs a package in this process, with files and entry points."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name, value in (("_problems", []), ("_clashes", []), ("_told", set())):
        monkeypatch.setattr(plugins, name, value)
    before = {*sys.modules}

    def write(package, points, files, place=folder):
        info = place / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        groups = "".join(f"[spaceprobe.{group}]\n{line}\n" for group, line in points)
        (info / "entry_points.txt").write_text(groups)
        for name, text in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        forget()

    forget()
    yield write
    for name in {*sys.modules} - before:
        del sys.modules[name]
    monkeypatch.undo()
    forget()


def forget():
    for cached in (find_plugins, code_version._plugin_packages, code_version._plugin_file):
        cached.cache_clear()


DATASET = "from spaceprobe.data.sets.mnist import ENTRY\n"


def entries():
    """Return the registry of datasets with one of spaceprobe's own, read anew."""
    return read_entries("spaceprobe.data.sets", ("mnist",), DatasetEntry, "datasets")


def test_nothing_is_installed_where_the_suite_runs():
    assert find_plugins() == ()
    assert untold_problems() == []


def test_an_entry_has_the_name_of_its_entry_point(install):
    install("tiny", [("datasets", "two-rings = tiny.data:ENTRY")], {"tiny/data.py": DATASET})
    assert [*entries()] == ["mnist", "two-rings"]
    assert (entries()["two-rings"].name, entries()["two-rings"].module) == ("two-rings", "tiny.data")


def test_packages_are_looked_through_once(install, monkeypatch):
    install("tiny", [("datasets", "two-rings = tiny:ENTRY")], {"tiny.py": DATASET})
    assert [plugin.name for plugin in find_plugins()] == ["two-rings"]
    monkeypatch.setattr(plugins, "distributions", None)
    assert plugin_modules("datasets") == ("tiny",)
    assert plugin_modules("figures") == ()
    assert "tiny" not in sys.modules


@pytest.mark.parametrize(
    ("point", "text", "problem"),
    [
        ("a = odd:ENTRY", "import nowhere", "cannot be imported (ModuleNotFoundError: No module named 'nowh"),
        ("a = odd:ENTRY", "raise SystemExit(3)", "it cannot be imported (SystemExit: 3)"),
        ("a = odd:ENTRY", "def", "it cannot be imported (SyntaxError: "),
        (
            "a = odd:OTHER",
            "",
            "it cannot be imported (AttributeError: module 'odd' has no attribute 'OTHER')",
        ),
        ("a = odd", "", "expected package.module:NAME"),
        ("a = odd:ENTRY", "ENTRY = 3", "expected a DatasetEntry, got int"),
        ("../a = odd:ENTRY", "ENTRY = 3", "expected a name of lower-case letters, digits and single dashes"),
    ],
)
def test_what_is_wrong_with_one_leaves_it_out_and_keeps_the_others(install, capsys, point, text, problem):
    install("odd-package", [("datasets", point)], {"odd.py": f"print('hello')\n{text}\n"})
    install("tiny", [("datasets", "two-rings = tiny:ENTRY")], {"tiny.py": DATASET})
    assert [*entries()] == ["mnist", "two-rings"]
    (sentence,) = untold_problems()
    assert sentence.startswith(f"odd-package 1.0 (entry point {point} of spaceprobe.datasets) is left out: ")
    assert problem in sentence
    assert sentence.endswith("uninstall it: pip uninstall odd-package")
    assert untold_problems() == []
    assert capsys.readouterr().out == ""
    check_names()


def test_a_name_that_is_taken_is_an_error_that_names_both(install):
    install("odd-package", [("datasets", "mnist = odd:ENTRY")], {"odd.py": DATASET})
    assert entries()["mnist"].module == "spaceprobe.data.sets.mnist"
    with pytest.raises(PluginError, match=r"^odd-package 1\.0 .*has the name of spaceprobe's own mnist"):
        check_names()


def test_so_is_one_that_two_packages_give(install):
    for package in ("first", "second"):
        install(package, [("figures", f"a_b = {package}:ENTRY")], {f"{package}.py": "ENTRY = 3\n"})
    assert [plugin.package for plugin, _ in load_plugins("figures", {}, lambda *_: None)] == ["first"]
    with pytest.raises(PluginError, match=r"^second 1\.0 .* has the name of first 1\.0 "):
        check_names()
    with pytest.raises(PluginError, match="has the name of what is there"):
        [*load_plugins("figures", {"a-b": "what is there"}, lambda *_: None, is_first_use=True)]


def test_what_is_read_when_first_used_says_so_then(install, caplog):
    install("odd", [("figures", "one = odd:ENTRY")], {"odd.py": "1 / 0"})
    assert not [*load_plugins("figures", {}, lambda *_: None, is_first_use=True)]
    assert "it cannot be imported (ZeroDivisionError" in caplog.text
    assert untold_problems() == []


def test_nothing_is_taken_from_the_working_folder(install, tmp_path, monkeypatch):
    files, points = {"here.py": "raise SystemExit"}, [("datasets", "two-rings = here:ENTRY")]
    work = tmp_path / "work"
    install("here", points, files, work)
    install("below", points, files, work / "lib")
    install("installed", [("datasets", "three = there:ENTRY")], {"there.py": DATASET}, work / "site-packages")
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", ["", str(work / "lib"), str(work / "site-packages"), *sys.path])
    forget()
    assert [*entries()] == ["mnist", "three"]
    assert [sentence.split(" ")[0] for sentence in untold_problems()] == ["below", "here"]


def test_nor_a_module_that_has_the_name_of_an_installed_one(install, tmp_path, monkeypatch):
    install("tiny", [("datasets", "two-rings = tiny:ENTRY")], {"tiny.py": DATASET})
    (tmp_path / "elsewhere" / "tiny.py").write_text("raise SystemExit")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert [*entries()] == ["mnist"]
    (sentence,) = untold_problems()
    assert "the working folder has a tiny of its own, which would be imported instead" in sentence


# --- what a registry refuses --------------------------------------------------------------------


def test_a_setting_that_concerns_every_dataset_is_refused(install):
    """All others would say that it does not concern them."""
    text = DATASET + "from dataclasses import replace\nENTRY = replace(ENTRY, settings=('random_labels',))\n"
    install("tiny", [("datasets", "two-rings = tiny:ENTRY")], {"tiny.py": text})
    from spaceprobe.data.sets import FILES, _refuse

    assert [*read_entries("spaceprobe.data.sets", FILES, DatasetEntry, "datasets", _refuse)] == [*DATASETS]
    assert "settings random_labels: expected some of cube_dimension, " in untold_problems()[0]


def test_a_source_cannot_take_the_sections_and_tables_of_others():
    own = {name for entry in ENDPOINTS.values() for name in entry.sections}
    assert {*section_models(STAGES)} - own <= TAKEN_SECTIONS
    firsts = {
        name.split("_")[1]
        for name in (table.name for stage in STAGES for table in stage.tables)
        if "folding_" in name
    }
    assert firsts - {name.split("-")[0] for name in SOURCE_TABLES} <= {*TAKEN_TABLES}


def source_named(name, **changes):
    from dataclasses import replace

    return replace(ENDPOINTS["class-pairs"], name=name, **changes)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (source_named("checks-more"), "expected a name that does not begin with checks"),
        (source_named("mine", sections={"training": object}), "sections training: expected none but mine"),
        (source_named("training", sections={"training": object}), "sections training: expected none but"),
        (source_named("mine", sections={"mine": object}), None),
    ],
)
def test_a_source_is_refused_with_a_reason(entry, problem):
    found = refuse_endpoints(entry, ENDPOINTS)
    assert (found is None) if problem is None else (problem in found)


# --- which files count --------------------------------------------------------------------------


def test_the_files_that_a_plugin_computes_by_count(install):
    files = {
        "tiny/__init__.py": "from tiny import started",
        "tiny/started.py": "",
        "tiny/deep/__init__.py": "",
        "tiny/deep/data.py": "import numpy\nfrom spaceprobe.data import arrays\nfrom .helper import x\n",
        "tiny/deep/helper.py": "def f():\n    from tiny import late\n",
        "tiny/late.py": "",
        "tiny/other.py": "",
    }
    install("tiny", [("datasets", "two-rings = tiny.deep.data:ENTRY")], files)
    reached = Sources(PACKAGE).imported_by(["tiny.deep.data"])
    own = {name for name in reached if name.startswith("tiny")}
    assert own == {"tiny", "tiny.started", "tiny.deep", "tiny.deep.data", "tiny.deep.helper", "tiny.late"}
    assert "spaceprobe.data.arrays" in reached
    assert "tiny" not in sys.modules


def test_ranks_and_tables_count_the_plugins_that_they_are_made_by(install, tmp_path):
    install(
        "tiny",
        [("rank_rules", "r = tiny.r:r"), ("measures", "m = tiny.m:m")],
        {"tiny/r.py": "", "tiny/m.py": "x ="},
    )
    sources = Sources(PACKAGE)
    assert {"tiny.r"} == {n for n in sources.imported_by(["spaceprobe.lmd.ranks"]) if "tiny." in n}
    assert {"tiny.m"} == {n for n in sources.imported_by(["spaceprobe.analysis.measures"]) if "tiny." in n}
    before = sources.version(["tiny.m"])
    (tmp_path / "installed" / "tiny" / "m.py").write_text("x = 3")
    assert sources.is_edited()
    assert Sources(PACKAGE).version(["tiny.m"]) != before


# --- whole commands -----------------------------------------------------------------------------


def test_commands_work_beside_a_plugin_that_is_broken_and_one_whose_name_is_taken(tmp_path, install):
    place, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    install("broken", [("networks", "odd = broken:ENTRY")], {"broken.py": "import nowhere"}, place)
    install("taken", [("datasets", "mnist = taken:ENTRY")], {"taken.py": DATASET}, place)
    for words in (("--help",), ("studies",)):
        done = command(place, work, *words)
        assert "warning: broken 1.0 (entry point odd = broken:ENTRY of spaceprobe.networks) is" in done.stderr
        assert "warning: taken 1.0 (entry point mnist = taken:ENTRY" in done.stderr
        assert done.stdout == command(tmp_path / "nothing", work, *words).stdout
    done = command(place, work, "plan", "quickstart", exit_code=2)
    assert "Error: taken 1.0 " in done.stderr
    assert "has the name of spaceprobe's own mnist (spaceprobe.data.sets.mnist)" in done.stderr


def test_results_with_a_column_of_a_plugin_that_is_gone_are_read_without_it(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(
        "data: {dataset: digits, train_images: 100}\ntraining: {epochs: 1}\n"
        "network: {architecture: 1x3}\nfolding: {pairs: [3-8], per_class: 2, threads: 1}\n"
        "study: {stages: [train, fold, summarize]}\nsweep: {training.seed: [0, 1]}\n"
    )
    results = tmp_path / "results"
    assert call("run", study, "--results", results).exit_code == 0
    path = results / "small" / "folding.csv"
    whole = load_results(*find_started(str(study), results))
    with_it = whole.frames["folding"].assign(of_a_plugin=range(len(whole.frames["folding"])))
    with_it.to_csv(path, index=False)
    found = load_results(*find_started(str(study), results))
    assert [*found.frames["folding"].columns] == [*whole.frames["folding"].columns]
    (notice,) = [text for text in found.warnings if "of_a_plugin" in text]
    assert notice.startswith(f"{path}: without of_a_plugin, which no setting of the study")
