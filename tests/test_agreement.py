"""`compare A B --same`: whether a rerun on another machine agrees, cell by cell."""

import io
import json
import math
import re
import shutil

import pandas as pd
import pytest

from spaceprobe.results.cells import compare_cells
from spaceprobe.results.declared import TABLES
from spaceprobe.results.settings_differences import key_differences
from spaceprobe.study.config import load_study
from spaceprobe.tables.table import RERUN_RTOL, RERUN_SCALE, Column, Table
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

MEASURED = Table(
    "measured",
    key=("epoch",),
    columns=(
        Column("epoch", "integer", "of the training"),
        Column("initial_digest", "text", "of the weights at epoch 0"),
        Column("num_paths", "integer", "number of paths"),
        Column("share", "number", "of the paths"),
        Column("angle", "number", "of a subspace", rerun_rtol=0.1),
        Column("valid", "boolean", "whether it is"),
        Column("duration_s", "number", "of the computation", rerun_rtol=math.inf),
    ),
)
HEADER = "run,rate,epoch,initial_digest,num_paths,share,angle,valid,duration_s\n"
ROWS = "r,0.1,0,ab,10,0.5,1.0,True,3.0\nr,0.1,1,ab,10,0.25,,False,4.0\n"


def table(text):
    return pd.read_csv(io.StringIO(HEADER + text), dtype=str, keep_default_na=False)


def compared(text, rtol=None):
    return compare_cells(MEASURED, table(ROWS), table(text), ["rate"], rtol)


def cells(agreement):
    return [(cell.row, cell.column, cell.first, cell.second) for cell in agreement.cells]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("0.5,1.0", "0.50004,1.0"),  # 8e-5 of the larger, within 1e-4
        ("0.5,1.0", "0.5,1.09"),  # 0.09 / 1.09 = 0.083, within the column's own 0.1
        ("3.0", "99.0"),  # a duration differs from run to run
        ("True", "true"),
        ("10,0.5", "10.0,0.5"),  # the same count, written otherwise
    ],
)
def test_what_agrees(old, new):
    agreement = compared(ROWS.replace(old, new, 1))
    assert agreement.agrees
    assert (agreement.num_rows, agreement.cells) == (2, [])


@pytest.mark.parametrize(
    ("old", "new", "cell"),
    [
        ("0.5,1.0", "0.5002,1.0", ("r 0", "share", "0.5", "0.5002")),  # 4e-4
        ("0.5,1.0", "0.5,1.2", ("r 0", "angle", "1.0", "1.2")),  # 0.17
        ("10,0.5", "11,0.5", ("r 0", "num_paths", "10", "11")),
        ("10,0.25", "1000001,0.25", ("r 1", "num_paths", "10", "1000001")),
        ("ab,10,0.25", "cd,10,0.25", ("r 1", "initial_digest", "ab", "cd")),
        ("0.25,,", "0.25,0.0,", ("r 1", "angle", "", "0.0")),  # an empty cell is no 0
        ("0.5,1.0", "inf,1.0", ("r 0", "share", "0.5", "inf")),
        ("0.5,1.0", "nan,1.0", ("r 0", "share", "0.5", "nan")),
        ("0.5,1.0", "half,1.0", ("r 0", "share", "0.5", "half")),
        ("False", "True", ("r 1", "valid", "False", "True")),
    ],
)
def test_what_does_not_agree_is_the_cell_that_is_shown(old, new, cell):
    agreement = compared(ROWS.replace(old, new, 1))
    assert not agreement.agrees
    run, epoch = cell[0].split()
    assert cells(agreement) == [(f"run={run} rate=0.1 epoch={epoch}", *cell[1:])]
    assert [(c.column, c.num_differing) for c in agreement.columns] == [(cell[1], 1)]


def test_a_tolerance_of_the_call_replaces_those_of_numbers_only():
    for change in (("0.5,1.0", "0.5004,1.0"), ("0.5,1.0", "0.5,1.0009")):
        text = ROWS.replace(*change, 1)
        assert compared(text, rtol=1e-3).agrees
        assert not compared(text, rtol=1e-4).agrees
    assert not compared(ROWS.replace("10,0.5", "11,0.5"), rtol=0.5).agrees
    assert compared(ROWS.replace("3.0", "99.0"), rtol=0).agrees
    assert not compared(ROWS.replace("0.5,1.0", "0.5000000000000001,1.0"), rtol=0).agrees


def test_numbers_near_zero_are_compared_as_if_they_were_larger():
    # 4e-17 and 9e-17 are both what rounding leaves of 0: 5e-17 / 1e-3 = 5e-14.
    frames = [table(ROWS.replace("0.5,1.0", f"{value},1.0")) for value in ("4e-17", "9e-17", "2e-7")]
    agreement = compare_cells(MEASURED, frames[0], frames[1], ["rate"])
    assert agreement.agrees
    assert agreement.columns[0].largest == pytest.approx(5e-17 / RERUN_SCALE, rel=1e-12)
    assert RERUN_SCALE * RERUN_RTOL["number"] == pytest.approx(1e-7)
    assert not compare_cells(MEASURED, frames[0], frames[2], ["rate"]).agrees


def test_the_order_of_rows_does_not_matter_and_missing_rows_are_named():
    first, second = ROWS.splitlines(keepends=True)
    assert compared(second + first).agrees
    agreement = compared(first + second.replace("r,0.1,1", "r,0.2,1"))
    assert agreement.only_rows == (["run=r rate=0.1 epoch=1"], ["run=r rate=0.2 epoch=1"])
    assert (agreement.num_rows, agreement.num_only_rows, agreement.agrees) == (1, [1, 1], False)


def test_columns_of_another_format_are_named():
    other = table(ROWS).drop(columns="share").assign(part="half")
    agreement = compare_cells(MEASURED, table(ROWS), other, ["rate"])
    assert agreement.only_columns == (["share"], ["part"])
    assert not agreement.agrees
    without_key = compare_cells(MEASURED, table(ROWS), table(ROWS).drop(columns="epoch"), ["rate"])
    assert without_key.problem == "the column epoch of its key is not in both: another format"
    assert not without_key.agrees


def test_rows_of_a_table_without_a_key_are_matched_in_their_order():
    lists = Table("lists", key=(), columns=(Column("name", "text", "of it"), Column("r", "number", "of it")))
    frames = [pd.DataFrame({"name": ["x", "x", "y"], "r": r}) for r in (["1", "2", "3"], ["1", "5", "3"])]
    agreement = compare_cells(lists, *frames, [])
    assert cells(agreement) == [("name=x (number 2)", "r", "2", "5")]


def test_every_number_has_a_tolerance_below_one_of_ten_thousand_test_points_or_a_reason():
    own = {
        (name, column.name): column.rerun_rtol
        for name, table in TABLES.items()
        for column in table.columns
        if column.rerun_rtol is not None
    }
    assert RERUN_RTOL == {"integer": 0, "number": 1e-4, "boolean": 0, "text": 0}
    # The bootstrap's random numbers follow from the values, of which the last bits depend on the machine.
    drawn = {"goodness_p", "num_replicas"}
    # A step is timed as often as it takes to reach a duration.
    of_the_machine = {"duration_s", "num_rounds", "device", "engine"}
    assert {name for _, name in own} == {*of_the_machine, "subspace_sine", *drawn}


# Whole commands.


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def rerun(finished, tmp_path):
    """The same results elsewhere, and under another name."""
    return shutil.copytree(finished / "tiny", tmp_path / "elsewhere")


def same(finished, rerun, *words):
    return call("compare", "tiny", rerun, "--same", "--results", finished, *words)


def edit(path, column, value, row=0):
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    before = frame.loc[row, column]
    frame.loc[row, column] = value(before) if callable(value) else value
    frame.to_csv(path, index=False, lineterminator="\n")
    return before, frame.loc[row, column]


def test_a_copy_agrees_by_name_and_by_path_and_nothing_is_written(finished, rerun):
    before = sorted(finished.rglob("*"))
    outcome = same(finished, rerun)
    assert outcome.exit_code == 0
    tables = list(rerun.glob("*.csv"))
    num_rows = sum(len(pd.read_csv(path)) for path in tables)
    assert outcome.stdout.splitlines() == [
        f"A  {finished / 'tiny'}",
        f"B  {rerun}",
        f"A and B agree: {len(tables)} tables with {num_rows:,} rows; identities and counts are equal, "
        "numbers within the tolerance of each column; all cells are equal",
    ]
    assert outcome.stderr == ""
    assert sorted(finished.rglob("*")) == before
    assert call("compare", rerun, finished / "tiny", "--same").exit_code == 0


def test_last_digits_agree_and_another_count_does_not(finished, rerun):
    edit(rerun / "training.csv", "test_loss", lambda text: repr(float(text) * (1 + 3e-5)))
    outcome = same(finished, rerun)
    assert outcome.exit_code == 0
    assert "the largest relative difference is 3.0e-05 (training.csv, test_loss)" in outcome.stdout
    assert f"{rerun}: training.csv is not the table that was computed: it was changed since" in outcome.stderr
    strict = same(finished, rerun, "--rtol", "1e-5")
    assert strict.exit_code == 1
    assert (
        "training.csv: test_loss differs in 1 of 8 rows, relatively by up to 3.0e-05; 1e-05 is allowed"
        in (strict.stdout)
    )
    before, now = edit(rerun / "folding.csv", "num_paths", lambda text: str(int(text) + 1), row=3)
    outcome = same(finished, rerun)
    assert outcome.exit_code == 1
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("  ")]
    row = pd.read_csv(rerun / "folding.csv").loc[3]
    assert line == (
        f"  folding.csv  run={row['run']} epoch={row['epoch']} source_class={row['source_class']} "
        f"target_class={row['target_class']} measure={row['measure']} method=exact  "
        f"num_paths: {before} in A, {now} in B"
    )
    assert outcome.stdout.splitlines()[-1].startswith("A and B do not agree")


def test_settings_that_differ_stand_as_yaml_writes_them(tmp_path):
    seeds = {"a": "[0, 10, 2]", "b": "[2, 0, 10]", "c": "[0, 1]"}
    for name, values in seeds.items():
        (tmp_path / f"{name}.yaml").write_text(f"sweep: {{training.seed: {values}}}\n")
    a, b, c = (load_study(str(tmp_path / f"{name}.yaml")) for name in seeds)
    assert key_differences(a, b) == []  # in another order only
    assert key_differences(a, c) == [("training.seed", "sweep [0, 2, 10]", "sweep [0, 1]")]


def test_other_settings_tables_and_formats_are_named(finished, rerun):
    (rerun / "correlations.csv").unlink()
    path = rerun / "study.yaml"
    path.write_text(path.read_text().replace("per_class: 2", "per_class: 3"))
    runs = pd.read_csv(rerun / "runs.csv", dtype=str, keep_default_na=False)
    runs.drop(columns="width").iloc[1:].to_csv(rerun / "runs.csv", index=False)
    outcome = same(finished, rerun)
    assert outcome.exit_code == 1
    lines = outcome.stdout.splitlines()
    assert "setting folding.per_class: 2 in A, 3 in B" in lines
    assert "correlations.csv: only in A" in lines
    assert "runs.csv: another format: only A has the column width" in lines
    assert f"runs.csv: 1 row only in A: run={runs['run'][0]} architecture=2x6 seed=0" in lines


def test_the_same_data_elsewhere_are_the_same_runs(finished, rerun):
    path = rerun / "study.yaml"
    path.write_text(path.read_text().replace("root: null", "root: /data/of/another/machine"))
    from spaceprobe.study.config import load_study
    from spaceprobe.study.grid import expand

    names = [
        [run.name for run in expand(load_study(folder / "study.yaml"))]
        for folder in (finished / "tiny", rerun)
    ]
    assert not {*names[0]} & {*names[1]}
    renamed = dict(zip(*names, strict=True))
    for table in rerun.glob("*.csv"):
        text = re.sub("|".join(renamed), lambda match: renamed[match[0]], table.read_text())
        table.write_text(text)
    assert same(finished, rerun).exit_code == 0


def test_where_machines_differ_it_is_said(finished, rerun):
    path = rerun / "provenance.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "machine": {**facts["machine"], "cpu": "abacus"}}))
    outcome = same(finished, rerun)
    assert outcome.exit_code == 0
    assert f"machine cpu: {facts['machine']['cpu']} in A, abacus in B" in outcome.stdout.splitlines()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "runs.csv").write_bytes(b"run,architec"), "runs.csv: is cut off"),
        (lambda folder: [path.unlink() for path in folder.glob("*.csv")], "contains no table of a study"),
        (lambda folder: (folder / "study.yaml").unlink(), "there is none, so no study was started there"),
    ],
)
def test_what_cannot_be_compared_is_an_error(finished, rerun, spoil, message):
    spoil(rerun)
    outcome = same(finished, rerun)
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--same", "--out", "x"], "--out does not go with --same, which writes nothing"),
        (["--rtol", "1e-3"], "--rtol goes with --same"),
        (["--same", "--rtol", "nan"], "--rtol"),
        (["--same", "--rtol", "-1"], "--rtol"),
    ],
)
def test_wrong_calls(finished, words, message):
    outcome = call("compare", "tiny", "tiny", "--results", finished, *words)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
