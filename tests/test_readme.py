"""The README says what is so."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from spaceprobe.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_its_python_runs(tmp_path, monkeypatch):
    study = tmp_path / "quickstart.yaml"
    study.write_text(
        "data: {train_images: 200}\ntraining: {epochs: 1}\nfolding: {per_class: 2, pairs: [1-7]}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["run", str(study)], catch_exceptions=False).exit_code == 0
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})


def test_its_study_is_the_shipped_one():
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert text == (ROOT / "configs" / "depth-sweep.yaml").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid(path):
    outcome = CliRunner().invoke(main, ["validate", str(path)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.stderr


def test_every_command_is_in_it():
    for name in main.commands:
        assert f"spaceprobe {name}" in README


def test_cantornet_prints_what_is_known():
    """Known answers of design.md, section 2: 11/16 with every ReLU, 2/3 with hidden units only."""
    outcome = CliRunner().invoke(main, ["cantor", "-k", "2"], catch_exceptions=False)
    assert outcome.exit_code == 0
    exact = next(line for line in outcome.stdout.splitlines() if re.match(r"exact +\d", line))
    assert exact.split() == ["exact", "0.6875", "0.6667"]
    assert outcome.stdout.rstrip() in README
