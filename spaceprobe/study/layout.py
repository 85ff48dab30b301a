"""The names of the files in a study's folder of results."""

from pathlib import Path

STUDY_FILE = "study.yaml"
"""The study as it was last started, with every default written out."""

PROVENANCE = "provenance.json"
"""Where the results come from: code, versions, machine."""

EVENTS = "events.jsonl"
"""What runners did, one line for each event."""

RUNNING = ".running"
"""A folder with a file for each runner that is at work."""

NOTES = ".seen.json"
"""What the parts and tables were when they were last read or written."""

SLURM = "slurm"
"""A folder for the logs of SLURM's jobs."""

RUNS = "runs"
"""A folder with a folder for each run."""

RUN_LOG = "run.log"
"""The log of a run, in the run's folder."""

REPORT = "report.html"
"""The report."""


def table_path(folder: Path, name: str) -> Path:
    """Return the CSV of a table in a study's folder."""
    return folder / f"{name}.csv"
