"""Every CSV opens in pandas and in polars: with the same values, and with the types that tables declare."""

import io
import subprocess
import sys

import pandas as pd
import polars as pl
import pytest

import spaceprobe
from spaceprobe.stages.lmd.tables import LAYERS
from spaceprobe.tables.frames import build_frame, write_csv
from spaceprobe.tables.table import Column, Table
from tests.report_studies import STUDIES, compared, reported

PANDAS_KINDS = {"Int64": "integer", "float64": "number", "boolean": "boolean", "str": "text"}
POLARS_KINDS = {pl.Int64: "integer", pl.Float64: "number", pl.Boolean: "boolean", pl.String: "text"}
NULLABLE_KINDS = {"Int64": "integer", "Float64": "number", "boolean": "boolean", "string": "text"}

MIXED = Table(
    "mixed",
    key=(),
    columns=(
        Column("count", "integer", "with gaps"),
        Column("share", "number", "some of them whole"),
        Column("valid", "boolean", "with gaps"),
        Column("architecture", "text", "that looks like a number"),
        Column("reason", "text", "empty in all rows"),
    ),
)
ROWS = [
    {"run": "1", "count": 3, "share": 1.0, "valid": True, "architecture": "100"},
    {"run": "2", "count": None, "share": 0.1, "valid": None, "architecture": "050"},
    {"run": "3", "count": 2**53 + 1, "share": float("inf"), "valid": False, "architecture": "20"},
    {"run": "4", "count": 0, "share": None, "valid": True, "architecture": "7"},
]


def values(frame):
    """Return the values of each column as Python's, None for an empty cell."""
    if isinstance(frame, pl.DataFrame):
        return {name: frame[name].to_list() for name in frame.columns}
    return {
        name: [None if pd.isna(value) else value for value in frame[name].astype(object)] for name in frame
    }


def kinds(frame, table):
    """Return what the declared columns of a frame hold."""
    if isinstance(frame, pl.DataFrame):
        return {name: POLARS_KINDS[frame.schema[name]] for name in table.names}
    return {name: PANDAS_KINDS[str(frame[name].dtype)] for name in table.names}


def opened(path, table):
    """Return a CSV as pandas and polars read it with the declared types."""
    return pd.read_csv(path, dtype=table.pandas_dtypes()), pl.read_csv(
        path, schema_overrides=table.polars_schema()
    )


def test_values_by_hand(tmp_path):
    path = tmp_path / "mixed.csv"
    write_csv(path, build_frame(MIXED, ROWS))
    expected = {
        "run": ["1", "2", "3", "4"],
        "count": [3, None, 9007199254740993, 0],  # as a float it would be ...992
        "share": [1.0, 0.1, float("inf"), None],
        "valid": [True, None, False, True],
        "architecture": ["100", "050", "20", "7"],
        "reason": [None] * 4,
    }
    for frame in opened(path, MIXED):
        assert values(frame) == expected
        assert kinds(frame, MIXED) == {column.name: column.dtype for column in MIXED.columns}


def test_gaps_and_text_beyond_the_first_rows_keep_their_type():
    rows = [{"run": "a", "count": None}] * 150 + [{"run": "b", "count": 5, "reason": "7"}]
    data = build_frame(MIXED, rows).to_csv(index=False).encode()
    for frame in opened_bytes(data):
        assert values(frame)["count"] == [None] * 150 + [5]
        assert values(frame)["reason"] == [None] * 150 + ["7"]


def opened_bytes(data):
    return [
        pd.read_csv(io.BytesIO(data), dtype=MIXED.pandas_dtypes()),
        pl.read_csv(io.BytesIO(data), schema_overrides=MIXED.polars_schema()),
    ]


def paths_of(folder):
    return sorted(folder.rglob("*.csv"))


@pytest.mark.parametrize("name", STUDIES)
def test_tables_of_a_study_have_the_declared_types_in_both(name, tmp_path_factory):
    paths = [path for path in paths_of(reported(name, tmp_path_factory)) if path.stem in spaceprobe.TABLES]
    assert {path.stem for path in paths} >= {"runs", "training", "timings"}
    for path in paths:
        table = spaceprobe.TABLES[path.stem]
        frames = opened(path, table)
        assert values(frames[0]) == values(frames[1]), path
        for frame in frames:
            assert kinds(frame, table) == {column.name: column.dtype for column in table.columns}, path


def test_without_types_only_what_is_empty_differs(tmp_path_factory):
    folders = [reported(name, tmp_path_factory) for name in STUDIES] + [compared(tmp_path_factory)]
    paths = [path for folder in folders for path in paths_of(folder)]
    with_gaps = set()
    for path in paths:
        nullable, plain = pd.read_csv(path, dtype_backend="numpy_nullable"), pd.read_csv(path)
        frame = pl.read_csv(path, infer_schema_length=None)
        assert values(nullable) == values(frame) == values(plain), path
        for name in nullable:
            if not nullable[name].isna().all():
                kind = POLARS_KINDS[frame.schema[name]]
                assert NULLABLE_KINDS[str(nullable[name].dtype)] == kind, (path, name)
                if kind == "integer" and plain[name].dtype == float:
                    assert nullable[name].isna().any()  # pandas' own types have no whole number beside a gap
                    with_gaps.add(name)
    assert "num_components" in with_gaps


def test_types_are_given_without_importing_polars():
    code = (
        "import sys, spaceprobe\n"
        "schemas = [table.polars_schema() for table in spaceprobe.TABLES.values()]\n"
        "print(len(schemas), 'polars' in sys.modules, 'torch' in sys.modules)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert lines.split() == [str(len(spaceprobe.TABLES)), "False", "False"]
    assert LAYERS is spaceprobe.TABLES["lmd_layers"]
