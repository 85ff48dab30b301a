"""What figures declare to stand in a report, and the public functions that draw them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import spaceprobe
from spaceprobe import api
from spaceprobe.report import figures
from spaceprobe.report.entry import SECTIONS
from spaceprobe.report.figures import FIGURES
from spaceprobe.results.examples import PathExample, StudyExample
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import Results
from spaceprobe.tables.frames import Frames
from tests.figure_tables import make_tables
from tests.package_copies import copy_package

PATH = {
    "path": pd.DataFrame({"t": [0.0, 0.5], "distance": [0, 1], "flips": [0, 1], "chi": [0.0, 0.0]}),
    "samples": pd.DataFrame({"path": "a path", "num_points": [5, None], "chi": [0.0, 0.5]}),
    "plane": pd.DataFrame({"x": [0, 1, 0, 1], "y": [0, 0, 1, 1], "distance": 0, "pattern": [0, 1, 0, 1]}),
    "corners": {"a": (0.0, 0.0), "b": (1.0, 0.0)},
    "labels": ("x", "y"),
}

each_entry = pytest.mark.parametrize("entry", FIGURES.values(), ids=FIGURES)


@pytest.fixture(scope="module")
def results():
    frames = make_tables(learning_rate=(0.1, 0.2))
    frames["correlations"] = pd.DataFrame(
        {
            "predictor": "depth", "response": "chi_max", "state": ["trained"], "at": "none", "given": "none",
            "min_accuracy": 0.0, "seed": "all", "pearson": 0.5, "pearson_low": 0.4, "pearson_high": 0.6,
            "interval": "t over seeds", "num_seeds": 3,
        }
    )  # fmt: skip
    frames["folding_null_correlations"] = frames["correlations"].assign(response="chi")
    frames = Frames(frames, DECLARED.values())
    made = Results(
        study=None, folder=Path(), frames=frames, study_text="", provenance={}, states=(), warnings=()
    )
    ends = {"run": "a", "epoch": 1, "source": 3, "source_class": 0, "target": 4, "target_class": 1}
    made.__dict__["runs"] = frames["runs"]  # in the order of the sweep
    made.__dict__["cantor"] = PathExample(name="cantor", **PATH)
    made.__dict__["example"] = StudyExample(name="example", **PATH, **ends, images=np.zeros((9, 28, 28)))
    return made


class Replaced:
    """Results whose tables are not there, but for one that nobody may look into."""

    def __init__(self, results, name):
        self.results, self.name = results, name

    def __getattr__(self, name):
        return getattr(self.results, name)

    def table(self, name):
        return object() if name == self.name else self.results.table(name)


@each_entry
def test_a_figure_is_drawn_from_the_tables_that_it_lists(entry, results):
    """Only those are given to its function; here that each of them is looked into."""
    assert isinstance(entry.draw(results), Figure)
    for name in entry.tables:
        with pytest.raises((TypeError, AttributeError), match="object"):
            entry.draw(Replaced(results, name))


@each_entry
def test_an_entry_names_tables_and_a_section_that_there_are(entry, results):
    of_examples = {*results.example.tables(), *results.cantor.tables()}
    assert {*entry.tables} <= {*DECLARED, *of_examples}
    assert entry.section in SECTIONS


def test_public_functions_are_those_of_their_modules():
    assert {*figures.__all__} <= {*api.__all__}
    for name in api.__all__:
        assert getattr(api, name) is not None
        if name in figures.FUNCTIONS:
            assert getattr(api, name) is figures.FUNCTIONS[name]
    assert all(
        getattr(spaceprobe, name) is getattr(api, name) for name in ({*spaceprobe.__all__} - {"__version__"})
    )
    assert {*api.__all__} <= {*dir(api)}
    with pytest.raises(AttributeError, match=r"module 'spaceprobe\.api' has no attribute 'nothing'"):
        api.nothing  # noqa: B018  # the access is what is tried


def test_the_public_face_costs_nothing_until_it_is_used():
    code = "import sys, spaceprobe.api; sys.exit(bool({'torch', 'matplotlib'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_is_made_again_where_the_code_that_makes_it_changed(tmp_path):
    package = copy_package(tmp_path)
    code = "from pathlib import Path; from spaceprobe.report.up_to_date import sources; "
    code += f"print(sources(Path({str(tmp_path / 'nowhere')!r}))['code'])"

    def digest():
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True).stdout

    digests = [digest()]
    for file in ("report/headline.py", "results/groups.py", "analysis/over_seeds.py", "tables/states.py"):
        (package / file).write_text((package / file).read_text() + "\n# changed\n")
        digests.append(digest())
    assert len({*digests}) == 5
    (package / "cli" / "messages.py").write_text(
        (package / "cli" / "messages.py").read_text() + "\n# changed\n"
    )
    assert digest() == digests[-1]
