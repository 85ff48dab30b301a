"""What a CSV declares: its name, the columns that identify a row, and all its columns."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """One CSV of a study.

    Attributes:
        name: the file's name without ``.csv``.
        key: the columns that identify a row; rows are sorted by them.
        columns: all columns but the run, in their order in the file.
        settings_after: the column after which a run's other swept settings stand; None for nowhere.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    settings_after: str | None = None

    def settings(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns of a frame of this table that hold swept settings, in their order.

        They are those that the table does not declare.
        """
        return [str(name) for name in frame.columns if name != "run" and name not in self.columns]
