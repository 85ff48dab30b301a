"""What the README and docs/ quote exists and runs: code, commands, flags, links, names."""

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from markupsafe import Markup
from matplotlib.figure import Figure

import spaceprobe
from spaceprobe.cli import main
from spaceprobe.cli.stage_commands import stage_command
from spaceprobe.lmd.spectrum import Spectrum
from spaceprobe.networks import activations
from spaceprobe.networks.mlp import mlp
from spaceprobe.report.answers import ANSWERS, answer_tables
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.page.answers import answer_blocks
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages.fold.tables import CLASS_PAIRS, SOURCE_LISTINGS, SOURCE_TABLES
from spaceprobe.stages.stage import StudyStage
from tests.documents import PAGES, ROOT, anchor, blocks, command_lines, headings, page_name, recipes, targets

STUDY = """\
data: {train_images: 200}
training: {epochs: 1}
folding: {per_class: 2, pairs: [1-7]}
lmd:
  {metrics: [identity, data], probes: [functional-rank, dimension, retrieval, semantics, span], sample: 100}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "quickstart.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def in_results(finished, tmp_path, monkeypatch):
    """The folder in which someone stands who has made quickstart."""
    shutil.copytree(finished, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_code(code, page):
    namespace = {}
    exec(compile(code, page_name(page), "exec"), namespace)
    return namespace


EXAMPLES = [
    ROOT / "README.md",
    ROOT / "docs" / "tables.md",
    ROOT / "docs" / "api" / "index.md",
    ROOT / "docs" / "data.md",
]


@pytest.mark.parametrize("page", EXAMPLES, ids=page_name)
def test_python_runs(page, in_results):
    (code,) = blocks(page, "python")
    run_code(code, page)


def test_examples_from_python_run_one_after_the_other(in_results):
    page = ROOT / "docs" / "python.md"
    examples = blocks(page, "python")
    assert all(sum(map(bool, example.splitlines())) <= 5 for example in examples)
    namespace = run_code("\n".join(examples), page)
    for name in ("fold", "trace", "decompose", "load_run", "load_data", "read_tables"):
        assert f"spaceprobe.{name}(" in "".join(examples)
    assert len(namespace["frame"]) == 50
    assert (in_results / "loop.pdf").read_bytes().startswith(b"%PDF")


def test_no_other_page_has_python_that_is_not_run():
    with_code = [page for page in PAGES if blocks(page, "python")]
    others = [ROOT / "docs" / name for name in ("extending.md", "python.md", "training.md")]
    assert sorted(with_code) == sorted([*EXAMPLES, *others])


# docs/extending.md


def extension(title):
    return run_code(recipes()[title], ROOT / "docs" / "extending.md")


@pytest.mark.parametrize("title", recipes())
def test_a_recipe_is_at_most_ten_lines_as_ruff_formats_them(title):
    """Docstring and imports included. Each is executed, here or in test_seams and others."""
    code = recipes()[title]
    assert 0 < sum(bool(line.strip()) for line in code.splitlines()) <= 10
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", ROOT / "pyproject.toml", "-"]
    done = subprocess.run(ruff, input=code, capture_output=True, text=True, check=True)
    assert done.stdout == code


def test_there_is_a_recipe_of_each_kind():
    kinds = "dataset", "network", "source of endpoints", "measure", "measure of a path", "rank rule", "figure"
    assert [*recipes()][:7] == [f"A {kind}" for kind in kinds]


def test_a_rank_rule():
    spectrum = Spectrum(np.array([5.0, 2.0, 1.0]), (3, 4))
    assert extension("A rank rule")["above_mean"](spectrum).rank == 1


def test_a_figure(finished):
    results = load_results(*find_started("quickstart", finished))
    entry = extension("A figure")["ENTRY"]
    assert entry.lacks(results) is None
    assert entry.lacks(replace(results, frames={**results.frames, "runs": results.frames["runs"][:0]}))
    numbers = Numbers(results.study, results.frames)
    assert entry.caption_of(numbers) == "One a run."
    assert replace(entry, caption="p < 0.05").caption_of(numbers) == Markup("p &lt; 0.05")
    assert isinstance(entry.draw(results), Figure)


def test_an_answer(finished, monkeypatch):
    results = load_results(*find_started("quickstart", finished))
    entry = replace(extension("An answer")["ENTRY"], name="hardest")
    monkeypatch.setitem(ANSWERS, "hardest", entry)
    tables = answer_tables(results)
    worst = results.frames["runs"].sort_values("test_loss").iloc[-1]
    *_, block = answer_blocks(Numbers(results.study, results.frames, tables), ())
    assert (block["question"], block["says"].striptags()) == ("Hardest?", worst["run"])
    assert block["lines"][0][1].striptags() == f"{worst['test_loss']:.3f}"
    assert block["csv"] == "figures/answer_hardest.csv"


def test_a_finding():
    entry = extension("A finding")["ENTRY"]
    rows = [
        {
            "architecture": name,
            "depth": depth,
            "width": 10,
            "seed": seed,
            "state": state,
            "chi_folded_mean": 0.5,
        }
        | {"chi_max": 0.1 * depth + 0.01 * seed * (depth + seed), "chi_row_max_median": 0.1}
        for name, depth in (("2x10", 2), ("6x10", 6))
        for seed in range(3)
        for state in ("untrained", "trained", "difference")
    ]
    networks = pd.DataFrame(rows)
    tables = {"networks": networks, **entry.derive({"networks": networks})}
    (says,) = entry.says(Numbers(None, tables))
    assert re.fullmatch(
        r"The largest χ changes by \+0\.440 \[\+0.\d+, \+0.\d+\] \(p = 0.\d+\)\.", says.striptags()
    )
    assert isinstance(entry.draw(tables), Figure)


def test_an_activation(monkeypatch):
    monkeypatch.setattr("spaceprobe.networks.mlp.ACTIVATIONS", activations.ACTIVATIONS.copy())
    monkeypatch.setattr(
        activations, "ACTIVATIONS", importlib.import_module("spaceprobe.networks.mlp").ACTIVATIONS
    )
    extension("An activation")
    network = mlp([3, 2, 2], torch.Generator(), activation="softplus")
    assert isinstance(network[1], torch.nn.Softplus)


def test_a_setting_as_a_flag():
    settings = extension("A setting as a flag")["ProbeSettings"]
    stage = StudyStage(
        name="probe",
        summary="",
        example="",
        sections={"probe": settings},
        tables=(),
        needs=(),
        present=str,
        reduce=dict,
    )
    assert "--repeats" in [flag for parameter in stage_command(stage).params for flag in parameter.opts]


# commands


COMMAND_LINES = sorted({(page_name(page), *words) for page in PAGES for words in command_lines(page)})


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_a_quoted_command_parses(line):
    name, *words = line[1:]
    command = main.commands[name]
    if any(re.search(r"[\[\]…]|^[A-Z]+$", word) for word in words):  # a synopsis, not to be typed
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= flags
        return
    with command.make_context(name, words):
        pass


def test_enough_commands_are_quoted():
    assert len(COMMAND_LINES) > 25
    assert {line[1] for line in COMMAND_LINES} == set(main.commands)


@pytest.mark.parametrize("name", list(main.commands))
def test_a_command_has_help(name):
    outcome = CliRunner().invoke(main, [name, "--help"], catch_exceptions=False)
    assert outcome.exit_code == 0
    assert "Example: " in outcome.stdout


def test_make_verbs_exist():
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    quoted = {verb for page in PAGES for verb in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.M)}
    assert quoted <= verbs
    assert {"quickstart", "test", "docs", "depth-sweep", "depth-sweep-full", "bench", "gallery"} <= quoted


# links and names


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for file, place in targets(page):
        target = (page.parent / file).resolve() if file else page
        assert target.is_relative_to(ROOT), f"{file} is outside of the repository"
        assert target.exists(), file
        if place:
            assert place in map(anchor, headings(target)), f"{file}#{place}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_names_of_code_exist(page):
    text = page.read_text()
    for path in re.findall(r"(?<![\w/])(?:spaceprobe|scripts|tests|configs)/[\w/.-]*\w", text):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(spaceprobe(?:\.\w+)+)[`(]", text):
        if name != "spaceprobe.yaml":  # a file
            pkgutil.resolve_name(name)


def test_sections_that_the_code_refers_to_exist():
    """The comment of tests/test_readme.py on docs/definitions.md, "Known answers", is one of them."""
    sources = [
        path for folder in ("spaceprobe", "scripts", "tests") for path in (ROOT / folder).rglob("*.py")
    ]
    reference = re.compile(r'docs/(\w+\.md),\s+(?:#\s+)?"([^"]+)"')
    matches = [match for path in sources for match in reference.findall(path.read_text())]
    named = {(page, re.sub(r"\s+(#\s+)?", " ", title)) for page, title in matches}
    assert ("definitions.md", "Known answers") in named
    for page, title in named:
        assert title in headings(ROOT / "docs" / page), f'docs/{page} has no section "{title}"'


# the tables

NOT_OF_QUICKSTART = (
    *("lmd_matrices", "lmd_continuity", "lmd_hopfield", "lmd_times", "lmd_leading"),
    *("complexity", "complexity_regions", "gap_ranks"),
)
"""Tables of networks other than MLPs, of a probe and of stages that a study has to ask for."""


def test_the_page_of_tables_shows_every_column(finished, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    page = importlib.import_module("tables")
    monkeypatch.delitem(sys.modules, "tables")
    shown = {table.name: [name for name, *_ in page.columns_of(table)] for _, table in page.tables_by_stage()}
    written = {path.stem: [*pd.read_csv(path)] for path in (finished / "quickstart").glob("*.csv")}
    # Asked for by folding.detail; of other ends of paths
    of_detail = {
        "paths",
        "path_layers",
        "path_distances",
        "path_images",
        "path_symmetries",
        "pattern_changes",
    }
    of_detail |= {"folding_null", "folding_null_correlations"}
    others = {table.name for name, tables in SOURCE_TABLES.items() if name != CLASS_PAIRS for table in tables}
    others |= {
        f"{name}_{source.replace('-', '_')}"
        for name in ("path_layers", "path_distances", "path_images", "path_symmetries")
        for source in SOURCE_TABLES
        if source != CLASS_PAIRS
    }
    others |= {table.name for table in SOURCE_LISTINGS.values()}
    assert {*shown} - {*written} == {*of_detail, *NOT_OF_QUICKSTART, *others}
    assert {name: shown[name] for name in written} == written


def test_the_page_of_settings_shows_what_a_study_is_resolved_to(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    page = importlib.import_module("settings")
    for name in ("settings", "tables"):
        monkeypatch.delitem(sys.modules, name)
    resolved = yaml.safe_load(CliRunner().invoke(main, ["validate", "quickstart"]).stdout)
    swept = resolved.pop("sweep")
    written = {f"{section}.{name}" for section, values in resolved.items() for name in values} | {*swept}
    assert {key for key, _, _ in page.settings()} == written
    assert all(meaning for _, _, meaning in page.settings())


# the package


def test_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert spaceprobe.__version__ == version
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]) == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_dir_shows_the_public_functions():
    assert dir(spaceprobe) == sorted(spaceprobe.__all__)
    text = (ROOT / "docs" / "api" / "index.md").read_text()
    for name in spaceprobe.__all__:
        assert getattr(spaceprobe, name) is not None
        assert name in text


def test_the_package_is_typed():
    assert (ROOT / "spaceprobe" / "py.typed").exists()
