"""Whole commands: pages of incomplete studies say what they lack, and their bytes are the same everywhere."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.commands import call
from tests.report_studies import DIVERGED, bytes_of, reported, start
from tests.test_report_numbers import QUOTED, Element, Page, faults

TRAINED = "training: {epochs: 1}\n"
FOLDED = "study: {stages: [train, fold, summarize]}\n" + TRAINED
FOLDING = "folding: {per_class: 3, pairs: [3-8]}\n"

LACKING = {
    "one-seed": (
        FOLDED + FOLDING + "sweep: {network.architecture: [2x6, 3x5]}\n",
        [
            "No interval: there is one seed only, and it takes three.",
            "No correlation of depth and row maxima of χ: 1 of 1 seeds left",
            "Correlations: none could be computed",
            "Singular values, layer by layer: the study leaves lmd out (study.stages).",
            "Folding beside its null model: the study lists no single paths (folding.detail).",
        ],
    ),
    "one-run": (
        FOLDED + "folding: {per_class: 2, pairs: [3-3], epoch: last}\nnetwork: {architecture: 3x5}\n",
        [
            "1 network. Trained on mnist for 1 epoch by adam",
            "No correlation: depth, width and every number that is swept",
            "No interval: there is one seed only",
            "Folding against depth: all networks have the same depth.",
        ],
    ),
    "one-architecture": (
        FOLDED + FOLDING + "network: {architecture: 3x5}\nsweep: {training.seed: [0, 1]}\n",
        ["every combination of seed (0, 1)", "Folding against width: all networks have the same width."],
    ),
    "ways": (
        FOLDED + "folding: {per_class: 3, pairs: [3-8], num_points: 20}\n"
        "network: {architecture: 3x5}\nsweep: {folding.method: [exact, sampled]}\n",
        ["every combination of method (exact, sampled)"],
    ),
    "only-trained": (
        "study: {stages: [train]}\nnetwork: {architecture: 3x5}\n" + TRAINED,
        [
            "Which classes fold: the study leaves fold out (study.stages).",
            "Ranks over training: the study leaves lmd out",
        ],
    ),
    "swiss-roll": (
        "study: {stages: [train, lmd]}\ndata: {dataset: swiss-roll, task: regression, points: 300}\n"
        "network: {architecture: 2x8, activation: tanh}\ntraining: {epochs: 2}\nlmd: {probes: []}\n",
        [
            "One path between two test points: the study leaves fold out",
            "functional rank: the study does not ask for it (lmd.probes: functional-rank)",
            "the study asks for one metric only (lmd.metrics)",
        ],
    ),
    "all-failed": (
        DIVERGED.replace("sweep: {training.learning_rate: [1000.0, 0.001]}\n", "").replace(
            "batch_size: 10", "batch_size: 10, learning_rate: 1000.0"
        ),
        [
            "There are no numbers yet",
            "No number of folding: no network was trained to the end.",
            "Some runs lack results",
            "training diverged",
            "train failed, fold to do, lmd to do",
        ],
    ),
}


def read(folder):
    """Return what stands in a page, drawings and settings left out."""
    return _words(Page((folder / "report.html").read_text(encoding="utf-8")).root)


def _words(element):
    parts = []
    for child in element.children:
        if not isinstance(child, Element):
            parts.append(child)
        elif child.tag not in QUOTED - {"code", "samp"}:
            parts.append(_words(child))
    return (
        " ".join(" ".join(parts).split())
        .replace("( ", "(")
        .replace(" )", ")")
        .replace(" .", ".")
        .replace(" ,", ",")
    )


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.usefixtures("quick_rendering")
def test_what_is_missing_is_named(name, tmp_path):
    text, expected = LACKING[name]
    folder = start(name, text, tmp_path, exit_code=int(name == "all-failed"))
    found = read(folder)
    for words in expected:
        assert words in found
    assert "rank of a layer, functional" not in found  # none of them measures it
    assert not re.search(r"\b(NaN|nan|None|NaT)\b", found)
    assert "Traceback" not in found
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(page, folder)) == []
    assert "<h3>Not here</h3>" in page
    sections = re.findall(r'<section id="section-.*?</section>', page, re.DOTALL)
    are_there = ["<figure" in section or "<table" in section for section in sections]
    assert are_there == sorted(are_there, reverse=True)  # what is there comes first


def test_failed_runs_are_named_with_their_cause(tmp_path_factory):
    found = read(reported("diverged", tmp_path_factory))
    assert re.search(r"20x6-s0-\w{6} train failed, fold to do, lmd to do training diverged: the loss", found)
    assert "Some runs lack results, and there are warnings: read them first" in found
    assert "2 networks: every combination of learning rate (1000, 0.001)" in found


IN_A_PROCESS = """\
import sys
from spaceprobe.cli import main
study, results, folder = sys.argv[1:]
main(["run", study, "--results", results], standalone_mode=False)
assert "matplotlib" not in sys.modules, "matplotlib was imported for nothing"
main(["report", folder], standalone_mode=False)
"""


def test_the_same_bytes_elsewhere_and_nothing_done_twice(tmp_path_factory, tmp_path):
    """From another process and place, with another order of sets; and a run that has nothing to do."""
    first = reported("folded", tmp_path_factory)
    second = tmp_path / "moved" / "folded"
    shutil.copytree(first, second)
    before = (first / "report.html").stat().st_mtime_ns
    arguments = [first.parent / "folded.yaml", first.parent, second]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, *map(str, arguments)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "everything was up to date" in done.stderr
    assert f"report   {first / 'report.html'}" in done.stdout
    assert (first / "report.html").stat().st_mtime_ns == before
    assert (second / "report.html").stat().st_mtime_ns > before
    ours, theirs = bytes_of(first), bytes_of(second)
    assert [*ours] == [*theirs]
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert str(first.parent).encode() not in ours["report.html"].replace(_command(first), b"")


def _command(folder):
    """Return the command line that provenance.json holds, as pages show it."""
    import html
    import json

    command = json.loads((folder / "provenance.json").read_text())["command"]
    return html.escape(" ".join(command)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;").encode()


@pytest.mark.usefixtures("quick_rendering")
def test_an_old_report_is_called_so(tmp_path):
    text = FOLDED + FOLDING + "network: {architecture: 2x5}\n"
    folder = start("old", text, tmp_path)
    command = (tmp_path / "old.yaml", "--results", tmp_path)
    assert "earlier tables" not in call("fold", *command).stderr
    outcome = call("fold", *command, "--set", "folding.per_class=2")
    assert outcome.exit_code == 0
    assert (
        f"{folder / 'report.html'} was made from earlier tables: `spaceprobe report` makes it again"
        in outcome.stderr
    )
    assert "test images of each class: 3" in read(folder)
    no_more = [folder / "figures" / f"spectra.{suffix}" for suffix in ("svg", "png")]
    for file in no_more:
        file.write_text("of an earlier study")
    assert call("report", folder).exit_code == 0
    assert "test images of each class: 2" in read(folder)
    assert not any(file.exists() for file in no_more)
    again = call("fold", *command, "--set", "folding.per_class=2")
    assert "earlier tables" not in again.stderr


def test_no_report_where_none_is_wanted(tmp_path):
    (tmp_path / "bare.yaml").write_text(
        "study: {stages: [train]}\ndata: {train_images: 300}\nnetwork: {architecture: 2x5}\n" + TRAINED
    )
    outcome = call("run", tmp_path / "bare.yaml", "--results", tmp_path, "--no-report")
    assert outcome.exit_code == 0
    assert "report   " not in outcome.stdout
    assert not (tmp_path / "bare" / "report.html").exists()
