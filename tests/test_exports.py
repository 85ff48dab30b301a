"""Results for papers and other tools: the report's digits as LaTeX and Markdown, Parquet, TensorBoard."""

import re
import subprocess
import sys

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spaceprobe.analysis.aggregates import aggregate_epochs
from spaceprobe.cli.export_command import FORMS as NAMED
from spaceprobe.report.exports.latex import latex
from spaceprobe.report.exports.making import FORMS
from spaceprobe.report.exports.markdown import markdown
from spaceprobe.report.exports.paper_table import RESPONSES, paper_tables
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from tests.commands import call

STUDY = """\
data: {dataset: digits, train_images: 300}
training: {epochs: 2, snapshots: [1]}
folding: {per_class: 3, pairs: [1-7, 7-1], epoch: all}
lmd: {epoch: all, sample: 50}
sweep:
  network.architecture: [2x3, 3x2]
  training.seed: [0, 1, 2]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "small_one.yaml"
    path.write_text(STUDY)
    return path


def export(study, results, form, *words, code=0):
    done = call("export", study, "--results", results, "--to", form, *words)
    assert done.exit_code == code, done.output
    return done


def test_the_command_has_every_form():
    assert (*FORMS,) == NAMED


def test_latex_has_the_digits_of_the_report(study, finished, tmp_path):
    done = export(study, finished, "latex", "--out", tmp_path)
    assert done.stdout.splitlines() == [
        str(tmp_path / f"{name}.tex") for name in ("architectures", "correlations")
    ]
    text = (tmp_path / "architectures.tex").read_text()
    assert text.startswith("% Architectures: spaceprobe, small_one, architectures.csv with the SHA-256 ")
    assert "small\\_one" not in text.splitlines()[0]  # a comment is as it is
    lines = text.splitlines()
    assert [line for line in lines if line.endswith("rule")] == ["\\toprule", "\\midrule", "\\bottomrule"]
    columns = re.search(r"\{([lr]+)\}", lines[2])[1]
    rows = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    frame = pd.read_csv(finished / "small_one" / "architectures.csv")
    assert len(rows) == len(frame)
    assert {row.count(" & ") + 1 for row in rows} == {len(columns)}
    for row, values in zip(rows, frame.itertuples(), strict=True):
        assert f"{latex(f'{values.test_accuracy_mean:.3f}')} $\\pm$ {values.test_accuracy_sd:.3f}" in row
        low, high = values.test_accuracy_low, values.test_accuracy_high
        assert pd.isna(low) or latex(f"[{low:.3f}, {high:.3f}]") in row


def test_markdown_has_the_same_cells(study, finished, tmp_path):
    export(study, finished, "markdown", "--out", tmp_path)
    tables, missing = paper_tables(load_results(*find_started(str(study), finished)))
    assert not missing
    for table in tables:
        lines = (tmp_path / f"{table.name}.md").read_text().splitlines()
        start = lines.index(f"**{table.title}**") + 2
        cells = [line.strip("| ").split(" | ") for line in lines[start:]][: len(table.rows) + 2]
        assert cells[0] == [*map(markdown, table.heads)]
        assert [cell == "---:" for cell in cells[1]] == [*table.numeric]
        for row, found, mark in zip(table.rows, cells[2:], table.marks, strict=True):
            first = markdown(row[0]) + (f" <sup>{mark}</sup>" if mark else "")
            assert found == [first, *map(markdown, row[1:])]
        for number, note in enumerate(table.notes, start=1):
            assert lines.count(f"<sup>{number}</sup> {markdown(note)}") == 1


def test_what_all_rows_share_is_said_once(study, finished):
    _, table = paper_tables(load_results(*find_started(str(study), finished)))[0]
    frame = pd.read_csv(finished / "small_one" / "correlations.csv")
    shown = frame[(frame["seed"] == "all") & frame["response"].isin(RESPONSES)].dropna(subset=["pearson"])
    assert len(table.rows) == len(shown)
    assert shown["num_seeds"].unique().tolist() == [3]
    assert "seeds" not in table.heads
    assert "seeds: 3" in table.remarks[0]
    assert (shown["note"] == "runs of all seeds pooled").all()
    assert table.remarks[1:] == ["Runs of all seeds pooled."]
    assert not table.notes
    assert not any(table.marks)


def test_cells_come_from_the_page(study, finished):
    """Numbers are those of the page: its table with standard deviations left out."""
    call("report", study, "--results", finished)
    page = (finished / "small_one" / "report.html").read_text()
    section = page[page.index('id="table-architectures"') :]
    shown = re.findall(r'<data value="[^"]*"[^>]*>([^<]*)</data>', section[: section.index("</table>")])
    table = paper_tables(load_results(*find_started(str(study), finished)))[0][0]
    numbers = [
        number
        for row in table.rows
        for cell in row
        for number in re.findall(r"(?<![x\w±] )[-−]?\d+\.\d+", cell)
    ]
    assert [number for number in shown if "." in number] == numbers


def test_parquet_keeps_the_types(study, finished, tmp_path):
    done = export(study, finished, "parquet", "--out", tmp_path)
    assert f"{len([*tmp_path.glob('*.parquet')])} files" in done.stdout
    frames = load_results(*find_started(str(study), finished)).frames
    assert {path.stem for path in tmp_path.glob("*.parquet")} == {*frames}
    for name, frame in frames.items():
        read = pd.read_parquet(tmp_path / f"{name}.parquet")
        dtypes = DECLARED[name].pandas_dtypes()
        expected = frame.astype({column: dtypes[column] for column in frame if column in dtypes})
        pd.testing.assert_frame_equal(read, expected)
    assert pd.read_parquet(tmp_path / "folding.parquet")["num_points"].dtype == "Int64"


def test_tensorboard_reads_what_the_tables_say(study, finished, tmp_path):
    export(study, finished, "tensorboard", "--out", tmp_path)
    frames = load_results(*find_started(str(study), finished)).frames
    folding = aggregate_epochs(frames)
    for run in frames["runs"]["run"]:
        events = EventAccumulator(str(tmp_path / run)).Reload()
        training = frames["training"].query("run == @run")
        losses = [(event.step, event.value) for event in events.Scalars("loss/test")]
        assert [step for step, _ in losses] == [*training["epoch"]]
        assert [value for _, value in losses] == pytest.approx([*training["test_loss"]], rel=1e-6)
        largest = [(event.step, event.value) for event in events.Scalars("folding/largest χ")]
        rows = folding.query("run == @run")
        assert largest == [(row.epoch, pytest.approx(row.chi_max, rel=1e-6)) for row in rows.itertuples()]
        ranks = [event.value for event in events.Scalars("layer 1/rank")]
        layers = frames["lmd_layers"].query("run == @run and layer == 1 and metric == 'identity'")
        assert ranks == [*layers["rank"]]


def test_the_same_results_give_the_same_bytes(study, finished, tmp_path):
    for form in FORMS:
        for folder in ("a", "b"):
            export(study, finished, form, "--out", tmp_path / folder / form)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.parametrize(("form", "module"), [("parquet", "pyarrow"), ("tensorboard", "tensorboard")])
def test_without_the_extra_there_is_one_sentence(study, finished, tmp_path, form, module):
    code = f"import sys; sys.modules[{module!r}] = None; from spaceprobe.cli import main; main()"
    words = ["export", study, "--results", finished, "--to", form, "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"install it with: pip install 'spaceprobe[{form}]'")
    assert not (tmp_path / "out").exists()


def test_a_study_without_tables_says_why(study, finished, tmp_path):
    only_trained = tmp_path / "trained.yaml"
    only_trained.write_text(STUDY + "study: {stages: [train]}\n")
    call("run", only_trained, "--results", tmp_path / "results", "--no-report")
    done = export(only_trained, tmp_path / "results", "latex", code=1)
    assert (
        "trained: there is no table to export: architectures: the study leaves summarize out" in done.stderr
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r of depth & χ > 0", "r of depth \\& $\\chi$ > 0"),
        ("0.5 – [-0.3, 1.2e-05]", "0.5 -- [$-$0.3, 1.2e-05]"),
        ("a\\b~c^d", "a\\textbackslash{}b\\textasciitilde{}c\\textasciicircum{}d"),
        ("2x30-s1", "2x30-s1"),
    ],
)
def test_latex_prints_any_letter(text, expected):
    assert latex(text) == expected
