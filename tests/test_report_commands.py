"""The commands that show what came out: single figures, and two studies side by side."""

import re

import pandas as pd
import pytest
import yaml

from spaceprobe.report.figures import FIGURES
from spaceprobe.tables.text import display_width
from tests.commands import call
from tests.documents import recipes
from tests.package_copies import add_entry, command_of, copy_package

STUDY = """\
data: {train_images: 600}
training: {epochs: 2}
folding: {per_class: 3}
sweep:
  network.architecture: [2x8, 3x6]
  training.seed: [0, 1]
"""
OTHER = """\
data: {train_images: 600}
training: {epochs: 1}
folding: {per_class: 3, pairs: [1-7, 7-1]}
sweep:
  network.architecture: [2x8, 2x5]
  training.seed: [1, 2]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def both(study, finished):
    """A results folder with two studies."""
    other = study.parent / "other.yaml"
    other.write_text(OTHER)
    assert call("run", other, "--results", finished).exit_code == 0
    return finished


def test_without_a_kind_all_are_listed_with_what_is_missing(finished):
    outcome = call("plot", "tiny", "--results", finished)
    assert outcome.exit_code == 0
    assert max(map(display_width, outcome.stdout.splitlines())) <= 80
    lines = re.sub(r"\n +", " ", outcome.stdout).splitlines()
    assert [line.split()[0] for line in lines] == [*FIGURES]
    missing = {line.split()[0] for line in lines if "(not there: " in line}
    assert missing == {
        *(
            "setting",
            "architectures",
            "metrics",
            "dimension",
            "retrieval",
            "semantics",
            "memory",
            "gap",
            "null-model",
        )
    }


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_figure_is_drawn_in_the_format_of_its_name(finished, tmp_path, suffix, start):
    out = tmp_path / f"a b.{suffix}"
    outcome = call("plot", "tiny", "depth", "--results", finished, "--out", out)
    assert (outcome.exit_code, outcome.stdout) == (0, f"{out}\n")
    assert out.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny", "depths"], r"KIND 'depths' is not a figure; choose one of depth, width, .*, training"),
        (["tiny", "depth"], r"--out is missing: name the figure's file, such as --out depth\.pdf"),
        (["tiny", "depth", "--out", "x.jpg"], r"--out x\.jpg: ends in \.jpg; a figure is drawn as \.svg, .*"),
        (["tiny", "--out", "x.svg"], r"--out goes with a KIND"),
        (
            ["tiny", "setting", "--out", "x.svg"],
            r"tiny: there is no figure setting: no other number is swept",
        ),
        (
            ["nothing", "depth", "--out", "x.svg"],
            r"nothing/study\.yaml: there is none, so no study was started",
        ),
    ],
)
def test_wrong_calls_say_what_is_allowed(finished, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    outcome = call("plot", *words, "--results", finished)
    assert outcome.exit_code in (1, 2)
    assert re.search(message, outcome.stderr.replace("\n", " "))
    assert [*tmp_path.iterdir()] == []


def test_a_new_figure_is_one_file_and_one_line(finished, tmp_path):
    package = copy_package(tmp_path)
    add_entry(package, "report/figures", "losses", recipes()["A figure"])
    out = tmp_path / "losses.svg"
    assert command_of(package, "plot", finished / "tiny", "losses", "--out", out).stdout == f"{out}\n"
    assert out.read_bytes().startswith(b"<?xml")
    listed = command_of(package, "plot", finished / "tiny").stdout.splitlines()
    assert listed[0].split(maxsplit=1) == ["losses", "Test losses"]
    assert len([line for line in listed if not line.startswith(" ")]) == len(FIGURES) + 1


def test_a_study_is_also_named_by_its_folder(finished, tmp_path, monkeypatch):
    by_name = call("plot", "tiny", "--results", finished).stdout
    assert call("plot", finished / "tiny").stdout == by_name
    monkeypatch.chdir(finished / "tiny")
    assert call("plot", ".").stdout == by_name


@pytest.mark.usefixtures("quick_drawings")
def test_compare_says_the_differences_and_writes_them_beside_the_studies(both):
    outcome = call("compare", "tiny", "other", "--results", both)
    out = both / "compare-tiny-other"
    assert outcome.exit_code == 0
    table = pd.read_csv(out / "differences.csv")
    assert set(table["architecture"]) == {"2x8"}
    accuracy = table[(table["quantity"] == "test_accuracy") & (table["state"] == "trained")].iloc[0]
    runs = {name: pd.read_csv(both / name / "runs.csv") for name in ("tiny", "other")}
    means = {name: of.loc[of["architecture"] == "2x8", "test_accuracy"].mean() for name, of in runs.items()}
    assert accuracy["mean_a"] == pytest.approx(means["tiny"], rel=1e-12)
    assert accuracy["mean_b"] == pytest.approx(means["other"], rel=1e-12)
    assert pd.isna(accuracy["interval"])
    needs = "2 seeds in a: an interval needs 3; 2 seeds in b: an interval needs 3"
    assert accuracy["note"] == f"epochs 2 in a but 1 in b; {needs}"
    words = (
        f"2x8 test_accuracy 2 and 2 {means['tiny']:.4g} {means['other']:.4g} {accuracy['difference']:+.3g}"
    )
    assert words in re.sub(" +", " ", outcome.stdout)
    assert "in one study only:" in outcome.stdout
    settings = [
        "  network.architecture: sweep [2x8, 3x6] | sweep [2x8, 2x5]",
        "  training.epochs: 2 | 1",
        "  training.seed: sweep [0, 1] | sweep [1, 2]",
        "  folding.pairs: all | [1-7, 7-1]",
    ]
    lines = outcome.stdout.splitlines()
    assert lines[lines.index("settings that differ (A | B):") + 1 :][:5] == [*settings, lines[-1]]
    listed = pd.read_csv(out / "settings.csv")
    assert [
        f"  {key}: {first} | {second}" for key, first, second in listed.itertuples(index=False)
    ] == settings
    assert f"compare  {out / 'compare.html'}" in outcome.stdout
    page = (out / "compare.html").read_text()
    for words in ("training.epochs", "folding.pairs", "Differences", "3x6", "2x5"):
        assert words in page


@pytest.mark.usefixtures("quick_drawings")
def test_a_study_compared_with_itself_differs_in_nothing(both, tmp_path):
    outcome = call("compare", both / "tiny", both / "tiny", "--out", tmp_path)
    assert outcome.exit_code == 0
    table = pd.read_csv(tmp_path / "differences.csv")
    assert (table["difference"] == 0).all()
    assert table.loc[table["interval"].notna(), ["low", "high"]].eq(0).all(axis=None)
    assert "Nothing: all settings are equal" in (tmp_path / "compare.html").read_text()


def test_tables_of_another_version_are_refused(copied):
    path = copied / "tiny" / "architectures.csv"
    path.write_text("state,architecture\n")
    outcome = call("report", "tiny", "--results", copied)
    assert outcome.exit_code == 1
    assert re.search(
        r"architectures\.csv: lacks the columns depth, .*; move it away, and\s+`spaceprobe run`",
        outcome.stderr,
    )


def test_the_report_of_a_study_without_a_run_says_what_comes_first(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "study.yaml").write_text(yaml.safe_dump({"training": {"epochs": 1}}))
    outcome = call("report", "empty", "--results", tmp_path)
    assert outcome.exit_code == 1
    assert "runs.csv: contains no run yet; `spaceprobe run` comes first" in outcome.stderr


def test_a_run_that_has_nothing_to_report_says_why_it_failed_in_the_report(tmp_path):
    study = tmp_path / "lost.yaml"
    study.write_text(
        "data: {train_images: 600}\nnetwork: {architecture: 20x10}\n"
        "training: {epochs: 3, learning_rate: 1000.0}\n"
    )
    outcome = call("run", study, "--results", tmp_path, with_report=True)
    assert outcome.exit_code == 1
    assert "training diverged" in outcome.stderr
    page = tmp_path / "lost" / "report.html"
    assert f"report   {page}" in outcome.stdout
    assert "training diverged" in page.read_text()
