"""A report of a folder of results that somebody changed: one sentence says what cannot be shown."""

import json
import re

import pandas as pd
import pytest

from spaceprobe.report import making
from spaceprobe.report.figures import FIGURES
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.changed_tables import blame_changed_tables, change_notices
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages.fold.tables import PATHS
from spaceprobe.study.provenance import read_provenance
from spaceprobe.study.storage.part_store import PartStore
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


def _error(outcome):
    """Return the error, without notices of changed tables before it."""
    assert outcome.stdout == ""
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("notice: ")]
    assert len(lines) == 1
    return lines[0]


def _edit(path, column, value):
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    table[column] = value
    table.to_csv(path, index=False)


OLD_RETRIEVAL = """\
run,epoch,layer,space,rank,num_stored,noise,num_queries,accuracy
2x5,0,0,V initial,5,20,0.6,200,0.5
"""


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
        (
            "lmd_spectrum.csv",
            lambda p: p.write_text("run,epoch,layer,initial_value\n"),
            "lmd_spectrum.csv: has the column initial_value, as an earlier version wrote it; `spaceprobe "
            "lmd` writes it again, with --trust-code from what that version computed",
        ),
        (
            "lmd_retrieval.csv",
            lambda p: p.write_text(OLD_RETRIEVAL),
            'lmd_retrieval.csv: has values that end in " initial", as an earlier version wrote it; '
            "`spaceprobe lmd` writes it again",
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
    ("name", "column", "value"), [("folding.csv", "max", "many"), ("runs.csv", "test_accuracy", "many")]
)
@pytest.mark.usefixtures("quick_drawings")
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


CALLS = {
    "report": ("report", "tiny"),
    "list": ("plot", "tiny"),
    "plot": ("plot", "tiny", "depth", "--out", "out.svg"),
    "compare": ("compare", "tiny", "tiny", "--out", "out"),
}


def _notices(outcome):
    return [line for line in outcome.stderr.splitlines() if line.startswith("notice: ")]


@pytest.mark.parametrize("name", [*CALLS, "plan"])
@pytest.mark.usefixtures("quick_drawings")
def test_a_table_that_was_changed_by_hand_is_noticed_and_run_restores_it(
    copied, study, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    words = CALLS.get(name, ("plan", study))
    folder = copied / "tiny"
    outcome = call(*words, "--results", copied)
    assert outcome.exit_code == 0
    assert _notices(outcome) == []  # a copy has other stamps and the same bytes
    path = folder / "architectures.csv"
    before = path.read_bytes()
    _edit(path, "chi_folded_mean_mean", "7.0")  # a share
    (folder / "correlations.csv").unlink()
    (folder / "paths.csv").write_text(",".join(["run", *PATHS.names]) + "\n")
    expected = [
        f"notice: {folder}: paths.csv was not computed: the study, as it was run, has no such "
        "table; `spaceprobe run` removes it",
        f"notice: {folder}: architectures.csv is not the table that was computed: it was changed since; "
        "`spaceprobe run` writes it again",
        f"notice: {folder}: correlations.csv was computed but is not there: it was removed since; "
        "`spaceprobe run` writes it again",
    ]
    outcome = call(*words, "--results", copied)
    assert outcome.exit_code == 0
    assert _notices(outcome) == expected
    page = {"report": folder / "report.html", "compare": tmp_path / "out" / "compare.html"}.get(name)
    if page is not None:
        assert "architectures.csv is not the table that was computed" in page.read_text()
    assert call("run", study, "--results", copied).exit_code == 0
    assert path.read_bytes() == before
    assert (folder / "correlations.csv").is_file()
    assert not (folder / "paths.csv").exists()
    assert _notices(call(*words, "--results", copied)) == []


def test_an_edit_is_noticed_after_an_edit_elsewhere_was_repaired_by_summarize(copied, study):
    folder = copied / "tiny"
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    _edit(folder / "runs.csv", "test_accuracy", "0.99")
    _edit(folder / "timings.csv", "duration_s", "0.01")
    assert [
        notice.split(": ")[2].split()[0] for notice in _notices(call("plot", "tiny", "--results", copied))
    ] == [
        "runs.csv",
        "timings.csv",
    ]
    assert call("summarize", study, "--results", copied).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before
    assert change_notices(folder) == []


def test_tables_without_a_note_of_their_digests_are_said_to_be_unchecked(copied, study):
    folder = copied / "tiny"
    store = PartStore(folder)
    for stage in ("train", "fold", "summarize"):  # as a version without digests wrote it
        store.set_memo(stage, {key: v for key, v in store.memo(stage).items() if key != "digests"})
    store.set_memo("timings", store.memo("timings")[:2])
    store.save()
    unchecked = r"runs\.csv, training\.csv, lmd_convergence\.csv, \.\.\.: no digest was noted when .*"
    assert [bool(re.fullmatch(unchecked, notice)) for notice in change_notices(folder)] == [True]
    path = folder / "runs.csv"
    path.write_bytes(path.read_bytes() + b"x")  # another size is another table
    assert change_notices(folder)[0].startswith("runs.csv is not the table that was computed")
    (folder / ".seen.json").unlink()
    assert [bool(re.fullmatch(unchecked, notice)) for notice in change_notices(folder)] == [True]
    assert call("run", study, "--results", copied).exit_code == 0
    assert change_notices(folder) == []
    assert not path.read_bytes().endswith(b"x")


UNREADABLE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-30]), "Expecting|Unterminated|delimiter"),
    "no JSON": (lambda p: p.write_text("command: [run]"), "Expecting value"),
    "empty": (lambda p: p.write_bytes(b""), "Expecting value"),
    "no UTF-8": (lambda p: p.write_bytes(b'{"a": "\xff"}'), "codec can't decode"),
    "a list": (lambda p: p.write_text("[1]"), "expected a mapping of facts, got list"),
    "of another version": (lambda p: p.write_text('{"versions": "0.1"}'), "versions: expected a mapping of"),
    "endless": (lambda p: p.write_text("[" * 100_000), "recursion"),
    "deep": (lambda p: p.write_text('{"a": ' * 50 + "1" + "}" * 50), "facts are nested more than 8 deep"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "it is a directory, not a file"),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.usefixtures("quick_drawings")
def test_a_provenance_that_cannot_be_read_is_set_aside(copied, study, name):
    spoil, reason = UNREADABLE[name]
    path = copied / "tiny" / "provenance.json"
    spoil(path)
    content = path.read_bytes() if path.is_file() else None
    outcome = call("run", study, "--results", copied, with_report=True)
    assert outcome.exit_code == 0, outcome.output
    aside = path.with_name("provenance.unreadable.json")
    notice = (
        rf"provenance\.json cannot be read \(.*({reason}).*\) and was set aside as {aside.name}; the next"
    )
    (line,) = [line for line in outcome.stderr.splitlines() if "provenance" in line]
    assert re.match(rf"warning: {copied / 'tiny'}: {notice}", line)
    assert not path.exists()
    assert content is None or aside.read_bytes() == content
    page = (copied / "tiny" / "report.html").read_text()
    assert re.search(notice.split("\\(")[0], page)
    assert "they were not computed here, or it was damaged" in page


@pytest.mark.usefixtures("quick_drawings")
def test_an_answer_of_an_earlier_report_is_removed(copied):
    stale = copied / "tiny" / "figures" / "answer_memory.csv"
    stale.parent.mkdir(exist_ok=True)
    stale.write_text("random_labels\n1\n")
    assert call("report", "tiny", "--results", copied).exit_code == 0
    assert not stale.exists()


@pytest.mark.usefixtures("quick_drawings")
def test_what_was_set_aside_is_kept_and_the_next_computation_writes_the_provenance(copied, study):
    folder = copied / "tiny"
    for text in ("first", "second"):
        (folder / "provenance.json").write_text(text)
        assert call("report", "tiny", "--results", copied).exit_code == 0
    (folder / "provenance.json").write_text("third")
    next(folder.glob("runs/*/folding-*/epoch0-*.npz")).unlink()
    outcome = call("run", study, "--results", copied)
    assert outcome.exit_code == 0
    assert "set aside as provenance.unreadable3.json" in outcome.stderr
    names = ("unreadable", "unreadable2", "unreadable3")
    assert [(folder / f"provenance.{name}.json").read_text() for name in names] == [
        "first",
        "second",
        "third",
    ]
    assert json.loads((folder / "provenance.json").read_text())["versions"]


def test_provenance_of_another_version_or_of_an_odd_command_line_is_read(tmp_path):
    path = tmp_path / "provenance.json"
    path.write_text('{"command": ["run", "caf\\udce9"], "of_the_future": {"a": [1, {"b": null}]}}')
    facts = {"command": ["run", "caf?"], "of_the_future": {"a": [1, {"b": None}]}}
    assert read_provenance(path) == (facts, None)
    assert [*tmp_path.iterdir()] == [path]
    path.unlink()
    assert read_provenance(path) == ({}, None)


def test_an_error_of_our_own_is_not_put_down_to_tables(finished):
    with pytest.raises(KeyError, match="ours"), blame_changed_tables(finished / "tiny"):
        raise KeyError("ours")


@pytest.mark.parametrize("name", ["architectures", "correlations", "folding"])
@pytest.mark.usefixtures("quick_drawings")
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
        if name == "runs":
            rates[1]["run"] += "-other"
        frames[name] = pd.concat(rates, ignore_index=True)
    assert "0.250" not in depth.caption(Numbers(study, frames))
