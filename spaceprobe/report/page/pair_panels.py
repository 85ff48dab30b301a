"""What a cell of the heat maps leads to: the numbers of a class pair, and the command that draws its path."""

import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.report.figures.class_pairs import CELLS, MAX_MAPS, MAX_PAIRS
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import class_pair_rows
from spaceprobe.results.groups import LABEL
from spaceprobe.results.questions import reading_values
from spaceprobe.results.results import Results
from spaceprobe.results.trained_run import EXACT
from spaceprobe.tables.states import TRAINED

TABLE = "class_pairs"
"""The table of what the heat maps draw, beside them."""


def class_pair_table(results: Results) -> pd.DataFrame:
    """Return what the heat maps of a study draw, a row for each group of trained networks and class pair.

    Beside the means over runs that the cells show, it has the largest χ of all runs and the first run that
    reaches it.
    """
    grouped = class_pair_rows(
        results.frames["runs"], results.frames["folding"], [*CELLS], TRAINED, max_groups=2 * MAX_MAPS
    )
    place = {group: number for number, group in enumerate(grouped.groups)}
    rows = grouped.rows.sort_values(LABEL, key=lambda names: names.map(place), kind="stable")
    key = ["source_class", "target_class", LABEL]
    pairs = rows.groupby(key, sort=False)
    table = pairs[[*CELLS]].mean()
    table.insert(0, "num_runs", pairs["run"].nunique())
    measured = rows.dropna(subset="max")
    first = measured.loc[measured.groupby(key, sort=False)["max"].idxmax()].set_index(key)
    table["largest"], table["run"] = first["max"], first["run"]
    return table.reset_index().sort_values(["source_class", "target_class"], kind="stable", ignore_index=True)


def pair_panels(numbers: Numbers, results: Results, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the template needs of each class pair: its identifier, its classes, its rows.

    A page of more than `MAX_PAIRS` has no panel; the table has all pairs.

    Args:
        numbers: the study's numbers, the table of `class_pair_table` among them; none without it.
        results: the study's results.
        labels: the labels of runs, by name.
    """
    if TABLE not in numbers.frames:
        return []
    pairs = numbers.frames[TABLE].groupby(["source_class", "target_class"], sort=False)
    if pairs.ngroups > MAX_PAIRS:
        return []
    is_exact = reading_values(results.frames).get("method") in EXACT
    study = results.study.name if is_exact else None
    return [
        {
            "id": f"pair-{source}-{target}",
            "source": numbers.cell(TABLE, int(rows.index[0]), "source_class", "d"),
            "target": numbers.cell(TABLE, int(rows.index[0]), "target_class", "d"),
            "rows": [_row(numbers, study, labels, int(row)) for row in rows.index],
        }
        for (source, target), rows in pairs
    ]


def _row(numbers: Numbers, study: str | None, labels: Mapping[str, str], row: int) -> dict[str, Any]:
    """Return what the template needs of a row, with a command where a study is named."""
    cells = numbers.frames[TABLE].loc[row]
    run = cells["run"] if isinstance(cells["run"], str) else None
    pair = f"{cells['source_class']}-{cells['target_class']}"
    return {
        "group": numbers.text(TABLE, row, LABEL),
        "num_runs": numbers.cell(TABLE, row, "num_runs", "d"),
        "means": [numbers.cell(TABLE, row, column) for column in CELLS],
        "largest": numbers.cell(TABLE, row, "largest"),
        "label": Markup("–") if run is None else labels.get(run, run),
        "run": run,
        "command": None if run is None or study is None else _path_command(study, run, pair),
    }


def _path_command(study: str, run: str, pair: str) -> str:
    """Return the command that draws the most folded path of a class pair."""
    return f"spaceprobe path {shlex.quote(study)} --run {run} --pair {pair} --out path.svg"
