"""What studies ask and answer: each a file of this package with the question and its ``ENTRY``.

Which of them a study has depends on what it sweeps and on what its tables hold, never on its name.
"""

import pandas as pd

from spaceprobe.registry import read_entries
from spaceprobe.report.answers.entry import AnswerEntry
from spaceprobe.results.results import Results

FILES = (
    "more_than_flips",
    "memory",
    "memory_ranks",
    "activations",
    "rest",
    "semantics",
    "dimension",
    "separation",
    "rules",
    "setting",
    "architectures",
    "clusters",
    "robustness",
)

ANSWERS = read_entries(__name__, FILES, AnswerEntry)
"""All answers by name, in the order of the page."""


def answer_tables(results: Results) -> dict[str, pd.DataFrame]:
    """Return the tables with rows of the answers that a study has, by the table's name."""
    tables = {
        entry.table: entry.function(results) for entry in ANSWERS.values() if entry.lacks(results) is None
    }
    return {name: table for name, table in tables.items() if len(table)}
