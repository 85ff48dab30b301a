"""The notebooks of docs/ run from a fresh kernel, their results show themselves, their numbers are right."""

import importlib
import json
import math
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import spaceprobe
from spaceprobe.results.cantor import walk_cantornet
from tests.commands import small_mnist
from tests.documents import ROOT, anchor, headings, targets

NOTEBOOKS = [ROOT / "docs" / name for name in ("tutorial.ipynb", "paper.ipynb")]
MOST_CELLS = 12
CELL_SECONDS = 600
"""Far more than any cell takes, for machines that have much else to do."""

ROUNDING = 1e-12
"""Of a few hundred additions in float64, of outputs below 1."""

STUDY = """\
data: {{root: '{root}', train_images: 300}}
training: {{epochs: 15, learning_rate: 0.01}}
folding: {{per_class: 6, pairs: [1-7, 3-8]}}
lmd: {{sample: 50}}
sweep:
  network.architecture: [2x30, 4x15, 6x10]
  training.seed: [0, 1, 2]
"""
"""`quickstart` with little of its data."""

pytestmark = pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # of zmq, on Windows


def read(path):
    return nbformat.read(path, as_version=4)


def run(notebook, folder, monkeypatch, shown):
    """Execute a notebook in a folder, and return what it shows and the values of some expressions.

    Returns:
        the data that each code cell shows, by MIME type, and the values.
    """
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(folder / "jupyter"))  # nothing in the home of who runs the tests
    words = ", ".join(f"{name!r}: {value}" for name, value in shown.items())
    code = f"import json as _json\nprint(_json.dumps({{{words}}}))"
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    *cells, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr" and "Warn" in output.text]
    displayed = [
        [output.data for output in cell.outputs if output.output_type == "execute_result"] for cell in cells
    ]
    return displayed, json.loads(last.outputs[-1].text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_stored_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= MOST_CELLS
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert [*notebook.metadata] == ["kernelspec", "language_info"]
    assert notebook.metadata.language_info == {"name": "python"}  # not the version that it last ran on


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_to_sections(path, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown"))
    links = targets(page)
    assert {name for name, _ in links} >= {"definitions.md"}
    for name, section in links:
        assert not section or section in map(anchor, headings(ROOT / "docs" / name)), f"{name}#{section}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_on_the_site_has_all_its_cells(path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    page = importlib.import_module("notebooks").as_markdown(path.read_text(encoding="utf-8"))
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    assert re.findall(r"^```python\n(.*?)\n```$", page, re.DOTALL | re.MULTILINE) == code
    assert page.startswith("# ")


def test_the_tutorial(tmp_path, monkeypatch):
    shown = {
        "chi": "folding.chi.tolist()",
        "length": "folding.length.tolist()",
        "violations": "int(folding.paths.num_violations.sum())",
        "not_counted": "list(folding.not_counted)",
        "path": "[path.length, path.reach]",
        "flips": "path.to_frame()[['flips', 'distance']].iloc[-1].tolist()",
        "sum": "gradients.values.sum()",
        "change": "gradients.change",
        "remainder": "gradients.remainder",
        "outputs": "network(images[:2].contiguous())[:, label].tolist()",
        "lost": "lost",
        "singular": "torch.linalg.svdvals(weight).tolist()",
    }
    displayed, values = run(read(NOTEBOOKS[0]), tmp_path, monkeypatch, shown)
    assert all(len(results) == 1 for results in displayed)
    data, folding, path, gradients, factors, figure = (results[0] for results in displayed)
    assert "<table" in data["text/html"]
    assert "Folding of 3 paths" in folding["text/html"]
    assert "null_chi" in folding["text/html"]
    assert "image/png" in path
    assert "image/png" in gradients
    assert "Factors of a 10 ×" in factors["text/plain"]
    assert "image/png" in figure
    assert (tmp_path / "path.pdf").read_bytes().startswith(b"%PDF")

    assert values["violations"] == 0
    assert values["not_counted"] == []
    assert all(0 < chi < 1 for chi in values["chi"])
    assert values["path"][0] == values["length"][0] == values["flips"][0]
    length, reach = values["path"]
    assert values["flips"][1] <= reach
    assert values["chi"][0] == (length - reach) / length
    assert abs(values["sum"] - values["change"]) < ROUNDING
    assert abs(values["remainder"]) < ROUNDING
    start, end = values["outputs"]
    assert values["change"] == pytest.approx(end - start, abs=1e-6)  # the notebook's network is in float32
    kept, cut = np.square(values["singular"][:5]).sum(), np.square(values["singular"][5:]).sum()
    assert values["lost"] == pytest.approx(math.sqrt(cut / (kept + cut)), rel=1e-9)


def test_the_headline_numbers(tmp_path, monkeypatch):
    small_mnist(tmp_path / "data")
    (tmp_path / "reduced.yaml").write_text(STUDY.format(root=(tmp_path / "data").as_posix()))
    notebook = read(NOTEBOOKS[1])
    (given,) = [cell for cell in notebook.cells if cell.source.startswith('STUDY = "quickstart"')]
    given.source = 'STUDY = "reduced.yaml"'
    shown = {
        "depth": "depth.reset_index().to_dict('list')",
        "chi": "cantor['chi'].tolist()",
        "functional": "functional.reset_index().to_dict('list')",
    }
    displayed, values = run(notebook, tmp_path, monkeypatch, shown)
    first, *results = displayed
    assert not first
    runs, depth, by_depth, cantor, functional, by_rule = (result[0] for result in results)
    assert all("<table" in table["text/html"] for table in (runs, depth, cantor, functional))
    assert "image/png" in by_depth
    assert "image/png" in by_rule

    assert values["chi"] == [1 / 2, 11 / 16, pytest.approx(29 / 36)]
    assert values["chi"][1] == walk_cantornet(2).chi[-1]

    tables = spaceprobe.read_tables(tmp_path / "results" / "reduced")
    assert values["depth"]["state"] == ["untrained", "trained", "difference"]
    assert values["depth"]["interval"] == ["Fisher z"] * 3
    trained = {name: column[1] for name, column in values["depth"].items()}
    aggregates = tables["aggregates"].merge(tables["runs"][["run", "depth"]])
    rows = aggregates[aggregates["state"] == "trained"].dropna(subset=["chi_row_max_median"])
    assert trained["num_runs"] == len(rows)
    assert trained["pearson"] == pytest.approx(np.corrcoef(rows["depth"], rows["chi_row_max_median"])[0, 1])
    assert -1 < trained["pearson_low"] < trained["pearson"] < trained["pearson_high"] < 1

    table = pd.DataFrame(values["functional"]).set_index(["architecture", "layer"])
    assert len(table) == 3 + 5 + 7
    ranks = tables["lmd_ranks"].merge(tables["runs"][["run", "architecture"]])
    is_one = (ranks["architecture"] == "2x30") & (ranks["layer"] == 0) & (ranks["epoch"] == 15)
    for rule in ("functional", "data99"):
        of_rule = ranks[is_one & (ranks["rule"] == rule) & ranks["valid"]]["rank"]
        assert len(of_rule)
        assert table.loc[("2x30", 0), rule] == pytest.approx(of_rule.mean())
