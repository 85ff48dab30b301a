"""A report of a folder of results that somebody changed: one sentence says what cannot be shown."""

import pandas as pd
import pytest

from spaceprobe.report import making
from spaceprobe.report.figures import FIGURES
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.changed_tables import blame_changed_tables
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from tests.commands import call

STUDY = """\
study: {stages: [train, fold, summarize]}
data: {train_images: 300}
training: {epochs: 1}
folding: {per_class: 2, pairs: [3-8, 8-3]}
sweep:
  network.architecture: [2x6, 3x5]
  training.seed: [0, 1]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def quickly(monkeypatch):
    """Draws each figure, but renders only the first: what is in the files is not what this is about."""
    rendered = []

    def render(figure, kind):
        rendered[:] = rendered or [real(figure, "svg")]
        return rendered[0] if kind == "svg" else b""

    real = making.render
    monkeypatch.setattr(making, "render", render)
    monkeypatch.setattr(
        making,
        "FIGURES",
        {name: entry for name, entry in FIGURES.items() if entry.section in ("folding", "training")},
    )


def _error(outcome):
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    return outcome.stderr


def _edit(path, column, value):
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    table[column] = value
    table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "folding.csv",
            lambda p: p.write_bytes(p.read_bytes()[:-30]),
            "folding.csv: is cut off; `spaceprobe",
        ),
        (
            "architectures.csv",
            lambda p: p.write_text(p.read_text().replace("untrained,", "initial,")),
            "architectures.csv: has the state initial of an earlier version; `spaceprobe run` writes it "
            "again, with --trust-code from what that version computed",
        ),
        ("runs.csv", lambda p: p.write_bytes(b""), "runs.csv: is cut off; `spaceprobe run` writes it again"),
        ("folding.csv", lambda p: (p.unlink(), p.mkdir()), "folding.csv: is not a file; move it away"),
        ("folding.csv", lambda p: (p.unlink(), p.symlink_to("/nowhere")), "folding.csv: is not a file; move"),
        (
            "folding.csv",
            lambda p: p.write_bytes(b"a\n1,2\n1\n1,2,3\n"),
            "folding.csv: cannot be read (Error tok",
        ),
        (
            "provenance.json",
            lambda p: p.write_text("[1]"),
            "expected a mapping of facts, got list); move it",
        ),
        (
            "provenance.json",
            lambda p: p.write_text("[" * 100_000),
            "provenance.json: cannot be read (maximum",
        ),
        (
            "figures/ranks.svg",
            lambda p: p.mkdir(parents=True),
            "ranks.svg: is from an earlier report and cannot",
        ),
    ],
)
def test_damaged_files_are_named_with_the_way_out(copied, monkeypatch, name, spoil, message):
    monkeypatch.setattr(making, "FIGURES", {"ranks": FIGURES["ranks"]})
    spoil(copied / "tiny" / name)
    outcome = call("report", "tiny", "--results", copied)
    assert outcome.exit_code == 1
    assert message in _error(outcome)


@pytest.mark.parametrize(
    ("name", "column", "value"), [("folding.csv", "max", "many"), ("runs.csv", "other", "1")]
)
@pytest.mark.usefixtures("quickly")
def test_a_table_that_was_edited_is_blamed_and_run_writes_it_again(copied, study, name, column, value):
    # A copy has other inodes: after a run with nothing to do, what is there is known again.
    assert call("run", study, "--results", copied).exit_code == 0
    path = copied / "tiny" / name
    before = path.read_bytes()
    _edit(path, column, value)
    outcome = call("report", "tiny", "--results", copied)
    assert outcome.exit_code == 1
    error = _error(outcome)
    assert error.startswith(f"Error: {path}: cannot be used (")
    assert "and was edited, copied or removed since spaceprobe wrote it; `spaceprobe run` writes" in error
    assert call("run", study, "--results", copied).exit_code == 0
    assert path.read_bytes() == before


def test_an_error_of_our_own_is_not_put_down_to_tables(finished):
    with pytest.raises(KeyError, match="ours"), blame_changed_tables(finished / "tiny"):
        raise KeyError("ours")


@pytest.mark.parametrize("name", ["architectures", "correlations", "folding"])
@pytest.mark.usefixtures("quickly")
def test_what_a_missing_table_gives_is_left_out(copied, name):
    (copied / "tiny" / f"{name}.csv").unlink()
    outcome = call("report", "tiny", "--results", copied)
    assert outcome.exit_code == 0, outcome.output
    assert (copied / "tiny" / "report.html").is_file()
    assert ("Which classes fold" in outcome.stderr) == (name == "folding")
    assert ("Folding against depth" in outcome.stderr) == (name == "folding")


def test_a_caption_compares_no_ends_that_differ_in_another_setting(finished):
    study, folder = find_started("tiny", finished)
    results = load_results(study, folder)
    depth = FIGURES["depth"]
    frames = dict(results.frames)
    # Every network folds a little, whatever such small ones measured.
    frames["architectures"] = frames["architectures"].assign(chi_row_max_median_mean=0.25)
    assert "0.250" in depth.caption(Numbers(study, frames))
    for name in ("runs", "architectures"):
        rates = [frames[name].assign(learning_rate=rate) for rate in (0.1, 0.2)]
        frames[name] = pd.concat(rates, ignore_index=True)
    assert "0.250" not in depth.caption(Numbers(study, frames))
