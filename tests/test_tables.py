"""What tables declare, what is asked of them, and how rows become CSVs."""

import re

import pandas as pd
import pytest

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.summarize.computation import reduce
from spaceprobe.stages.summarize.tables import TABLES as SUMMARIES
from spaceprobe.stages.train.tables import TABLES as OF_TRAINING
from spaceprobe.study.tables import TIMINGS
from spaceprobe.tables.frames import Frames, build_frame, read_tables, write_csv
from spaceprobe.tables.states import DIFFERENCE, STATES, TRAINED, UNTRAINED, by_state, last_epochs
from spaceprobe.tables.table import Column, Table
from tests.test_analysis_aggregates import make_frames
from tests.test_analysis_correlations import make_study

PATHS = Table(
    "paths",
    key=("epoch",),
    columns=(
        Column("architecture", "text", "of the network"),
        Column("epoch", "integer", "of the training"),
        Column("method", "text", "how paths were walked", is_setting=True),
        Column("length", "integer", "of a path; empty where there is none"),
    ),
    settings_after="architecture",
)
ROWS = [
    {"run": "b", "epoch": 3, "architecture": "2x3", "method": "exact", "length": 2, "rate": 0.5},
    {"run": "b", "epoch": 0, "architecture": "2x3", "method": "exact", "length": None, "rate": 0.5},
    {"run": "a", "epoch": 0, "architecture": "2x2", "method": "exact", "length": 1, "rate": 0.1},
]


def test_rows_become_a_frame_with_the_declared_columns_sorted_by_run_and_key():
    frame = build_frame(PATHS, ROWS, settings=["rate"])
    assert frame.to_csv(index=False).splitlines() == [
        "run,architecture,rate,epoch,method,length",
        "a,2x2,0.1,0,exact,1",
        "b,2x3,0.5,0,exact,",
        "b,2x3,0.5,3,exact,2",
    ]


def test_runs_and_settings_are_in_the_order_that_is_given():
    """The sweep's, whichever the rows have; what is left of the key goes by value."""
    rows = [{**row, "method": method} for method in ("exact", "sampled") for row in ROWS]
    orders = {"run": ["b", "a"], "method": ["sampled", "exact"]}
    frame = build_frame(PATHS, rows, key_columns=["method"], orders=orders)
    assert [*zip(frame["run"], frame["method"], frame["epoch"], strict=True)] == [
        *(("b", method, epoch) for method in ("sampled", "exact") for epoch in (0, 3)),
        *(("a", method, 0) for method in ("sampled", "exact")),
    ]


def test_what_varies_within_a_run_is_a_key_column():
    rows = [{**row, "per_class": count} for count in (9, 3) for row in ROWS]
    frame = build_frame(PATHS, rows, key_columns=["per_class", "method"])
    assert [*frame.columns] == ["run", "per_class", *PATHS.plain_names]
    assert frame["per_class"].tolist() == [3, 9, 3, 3, 9, 9]


def test_a_table_tells_settings_and_readings_wherever_they_stand():
    frame = build_frame(PATHS, ROWS, settings=["rate"])[["length", "method", "run", "rate", "epoch"]]
    assert PATHS.settings(frame) == ["rate"]
    assert PATHS.readings(frame) == ["method", "rate"]
    assert PATHS.column("length").dtype == "integer"


def test_frames_know_the_declarations_of_their_tables():
    frame = build_frame(PATHS, ROWS, settings=["rate"])
    frames = Frames({}, ()).with_table(PATHS, frame)
    assert [*frames] == ["paths"]
    assert len(frames) == 1
    assert frames["paths"] is frame
    assert "other" not in frames
    assert frames.settings("paths") == ["rate"]
    assert frames.readings("paths") == ["rate", "method"]


def test_states_of_runs_that_end_at_different_epochs():
    frame = pd.DataFrame({"run": [*"aaabbc"], "epoch": [0, 5, 9, 0, 2, 0], "row": range(6)})
    assert last_epochs(frame)["row"].tolist() == [2, 4, 5]
    states = by_state(frame)
    assert {state: rows["row"].tolist() for state, rows in states.items()} == {
        UNTRAINED: [0, 3, 5],
        TRAINED: [2, 4],
    }
    assert {*STATES} == {*states, DIFFERENCE}


@pytest.mark.parametrize("table", [*OF_TRAINING, *SUMMARIES, TIMINGS], ids=lambda table: table.name)
def test_every_column_says_what_it_holds_and_means(table):
    assert table.meaning
    assert len(set(table.names)) == len(table.names)
    assert {*table.key} <= {*table.names}
    for column in table.columns:
        assert re.fullmatch(r"\S.*[^\s.]", column.meaning), column


KINDS = {"integer": "iu", "number": "f", "text": "OUT"}


@pytest.mark.parametrize("num_ways", [1, 2])
def test_summaries_have_the_columns_that_they_declare(num_ways):
    runs, folding = make_study(num_seeds=2, learning_rate=[0.1, 0.2] * 5)
    ways = [folding.assign(method="sampled", num_points=10 * n) for n in range(1, num_ways + 1)]
    folding = pd.concat(ways, ignore_index=True)
    folding.insert(1, "per_class", 7)
    frames = make_frames(runs, folding)
    summaries = reduce({}, frames)
    declared = [table for table in SUMMARIES if "null" not in table.name]  # there are no single paths
    assert [*summaries] == [table.name for table in declared]
    leading = {
        "aggregates": ["run", "learning_rate", "per_class"],
        "architectures": ["learning_rate", "per_class"],
        "correlations": ["num_points"] if num_ways > 1 else [],
    }
    for table in declared:
        frame = summaries[table.name]
        assert [*frame.columns.drop(leading[table.name])] == [*table.names]
        assert {*table.settings(frame), *frame.columns.intersection(["run"])} == {*leading[table.name]}
        for column in table.columns:
            assert frame[column.name].dtype.kind in KINDS[column.dtype], column
    names = [*summaries["aggregates"].columns]
    assert names.index("learning_rate") == names.index("seed") + 1
    assert names.index("per_class") == names.index("accuracy_of") + 1


def test_a_csv_is_read_as_it_was_written_and_not_written_again(tmp_path):
    frame = build_frame(PATHS, ROWS, settings=["rate"])
    path = tmp_path / "paths.csv"
    write_csv(path, frame)
    assert path.read_bytes() == b"".join(f"{line}\n".encode() for line in frame.to_csv(index=False).split())
    before = path.stat()
    write_csv(path, frame)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    pd.testing.assert_frame_equal(read_tables(tmp_path)["paths"], pd.read_csv(path))


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(SpaceprobeError, match="contains no table of a study; give a folder such as"):
        read_tables(tmp_path)
