"""The runs of a study as a page names them: by label and name, in the order of the sweep, with their logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.results.results import Results
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import RUN_LOG, RUNS
from spaceprobe.tables.frames import cell_of, column_name


@dataclass(frozen=True)
class RunNames:
    """How a page names the runs of a study.

    Attributes:
        labels: the values of a run's axes, such as ``2x30 · seed 0``, by its name, in the order of the sweep.
        logs: where a run's log lies, relative to the page, by the run's name; only of runs that have one.
        axes: the places of the values of each swept setting in the sweep, by its column.
    """

    labels: Mapping[str, str]
    logs: Mapping[str, str]
    axes: Mapping[str, Mapping[object, int]]

    def linked(self, run: str) -> Markup:
        """Return a run's name, which leads to its log where there is one."""
        name = Markup("<code>{}</code>").format(run)
        log = self.logs.get(run)
        return name if log is None else Markup('<a href="{}">{}</a>').format(log, name)

    def in_sweep_order(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows of a table in the order of the sweep.

        They are sorted by run, or, where the table has no runs, by the swept settings among its columns; a
        column ``state`` goes before these. Equal ones stay as they are.
        """
        if "run" in rows:
            return _sorted(rows, "run", {name: number for number, name in enumerate(self.labels)})
        columns = [name for name in self.axes if name in rows.columns]
        states = dict.fromkeys(rows["state"]) if "state" in rows else {}
        for name in reversed(columns):
            rows = _sorted(rows, name, self.axes[name])
        if columns and states:
            rows = _sorted(rows, "state", {state: number for number, state in enumerate(states)})
        return rows


def _sorted(rows: pd.DataFrame, column: str, places: Mapping[Any, int]) -> pd.DataFrame:
    return rows.sort_values(column, key=lambda cells: cells.map(places), kind="stable")


def run_names(results: Results) -> RunNames:
    """Return how a page names the runs of a study."""
    study = results.study
    labels = {run.name: run.label for run in expand(study)}
    paths = {name: Path(RUNS, name, RUN_LOG) for name in labels}
    return RunNames(
        labels=labels,
        logs={name: path.as_posix() for name, path in paths.items() if (results.folder / path).is_file()},
        axes={
            column_name(key): {cell_of(value): place for place, value in enumerate(values)}
            for key, values in study.axes.items()
        },
    )
