"""The README says what is so, in five minutes."""

import re

import pytest
from click.testing import CliRunner

from spaceprobe.cli import main
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand
from tests.documents import ROOT, blocks, page_name

README = ROOT / "README.md"


def test_it_is_read_in_five_minutes():
    assert len(README.read_text().splitlines()) <= 170


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "settings.md"], ids=page_name)
def test_its_study_is_the_shipped_one(page):
    text, *others = blocks(page, "yaml")
    assert text == (ROOT / "configs" / "depth-sweep.yaml").read_text()
    assert not others or page != README


def test_the_studies_of_the_page_of_settings(tmp_path):
    path = tmp_path / "s.yaml"
    studies = []
    for text in blocks(ROOT / "docs" / "settings.md", "yaml")[1:]:
        path.write_text(text)
        studies.append(load_study(path))
    ranges, templates, extended, zipped, clusters, own = studies
    assert ranges.sections["training"].snapshots == (5, 10, 15, 20, 25)
    assert ranges.axes == {"training.seed": (0, 1, 2, 3, 4)}
    training = templates.sections["training"]
    assert (training.optimizer, training.learning_rate, training.momentum) == ("sgd", 0.1, 0.5)
    assert (training.epochs, training.schedule) == (200, "cosine")
    assert templates.axes == {"folding.per_class": (50, 100, 150), "lmd.sample": (50, 100, 150)}
    assert (extended.sections["training"].epochs, extended.sections["folding"].per_class) == (100, "auto")
    assert len(expand(extended)) == 20
    assert len(zipped.zipped) == 4
    assert len(expand(zipped)) == 6
    assert clusters.sections["folding"].endpoints == "clusters"
    assert own.sections["network"].model == "mynets:build"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid_and_described(path):
    outcome = CliRunner().invoke(main, ["validate", str(path)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.stderr
    num_runs = re.search(r"valid, (\d+) runs?", outcome.stderr)[1]
    assert re.search(
        rf"^\| `{path.stem}` \|.*\| {num_runs} \|$", (ROOT / "docs" / "studies.md").read_text(), re.M
    )


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_is_in_it(name):
    assert f"| `spaceprobe {name}" in README.read_text()


def test_cantornet_prints_what_is_known():
    """docs/definitions.md, "Known answers": 11/16 with every ReLU, 2/3 with hidden units only."""
    outcome = CliRunner().invoke(main, ["cantor", "-k", "2"], catch_exceptions=False)
    assert outcome.exit_code == 0
    exact = next(line for line in outcome.stdout.splitlines() if re.match(r"exact +\d", line))
    assert exact.split() == ["exact", "0.6875", "0.6667"]
    assert outcome.stdout.rstrip() in (ROOT / "docs" / "definitions.md").read_text()
