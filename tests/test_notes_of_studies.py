"""Tags and a note of the user's: at the head of the report, and no number depends on them."""

import re

import pytest

from spaceprobe.study.config import dump_study, load_study
from spaceprobe.study.config.problems import ConfigError
from tests.commands import call

STUDY = """\
data: {dataset: digits, train_images: 200}
network: {architecture: 2x3}
training: {epochs: 1}
folding: {per_class: 2, pairs: [1-7]}
study: {stages: [train, fold, summarize], tags: [thesis, 'a <b>'], note: First & best.}
"""


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@pytest.mark.usefixtures("quick_drawings")
def test_they_stand_in_the_report_and_change_nothing(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(STUDY)
    results = tmp_path / "results"
    assert call("run", path, "--results", results, with_report=True).exit_code == 0
    page = (results / "own" / "report.html").read_text()
    head = page[page.index("<header>") : page.index("</header>")]
    assert re.findall("<li>([^<]*)</li>", head[: head.index("<nav")]) == ["thesis", "a &lt;b&gt;"]
    assert '<p class="own">First &amp; best.</p>' in head
    before = tables(results / "own")
    assert load_study(results / "own" / "study.yaml").note == "First & best."

    path.write_text(STUDY.replace("First & best.", "Second."))
    planned = call("plan", path, "--results", results)
    assert "1 of 1 run" not in planned.stdout, planned.stdout
    assert call("run", path, "--results", results, with_report=True).exit_code == 0
    assert tables(results / "own") == before
    assert '<p class="own">Second.</p>' in (results / "own" / "report.html").read_text()


@pytest.mark.usefixtures("quick_drawings")
def test_a_study_without_them_has_neither(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(STUDY.replace(", tags: [thesis, 'a <b>'], note: First & best.", ""))
    assert call("run", path, "--results", tmp_path / "results", with_report=True).exit_code == 0
    page = (tmp_path / "results" / "own" / "report.html").read_text()
    assert 'class="own"' not in page
    assert 'class="tags"' not in page


def test_they_are_read_back(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(STUDY)
    study = load_study(path)
    assert study.tags == ("thesis", "a <b>")
    again = tmp_path / "again.yaml"
    again.write_text(dump_study(study))
    assert load_study(again).tags == study.tags


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ("{tags: [a, a]}", "study.tags: .*'a' is there twice, allowed: each tag once; remove one"),
        ("{tags: ['']}", r"study.tags\[0\]: found '' \(text\), allowed: text of 1 to 40 characters"),
        (f"{{note: {'x' * 1001}}}", "study.note: found .*, allowed: text of at most 1000 characters"),
        (
            "{tags: thesis}",
            "study.tags: found 'thesis' .*, allowed: a list of at most 20, each item text of 1 to 40",
        ),
        (f"{{tags: [{', '.join(map(str, range(100, 121)))}]}}", "study.tags"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, study, message):
    path = tmp_path / "own.yaml"
    path.write_text(f"study: {study}\n")
    with pytest.raises(ConfigError, match=message):
        load_study(path)
