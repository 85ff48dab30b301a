"""The declarations of all tables of a study, those of no stage included."""

from collections.abc import Mapping

from spaceprobe.stages import TABLES as OF_STAGES
from spaceprobe.study.tables import TIMINGS
from spaceprobe.tables.table import Table

TABLES: Mapping[str, Table] = {table.name: table for table in (*OF_STAGES, TIMINGS)}
"""What each CSV of a study declares, by its name: ``TABLES["folding"].pandas_dtypes()``."""
