"""The names of what lies in a study's folder of results beside its tables."""

STUDY_FILE = "study.yaml"
"""The study as it was last started, with every default written out."""

PROVENANCE = "provenance.json"
"""Where the results come from: code, versions, machine."""

EVENTS = "events.jsonl"
"""What runners did, a line for each event."""

RUNNING = ".running"
"""A folder with a file for each runner that is at work."""

RUNS = "runs"
"""A folder with a folder for each run."""

RUN_LOG = "run.log"
"""The log of a run, in the run's own folder."""

REPORT = "report.html"
"""The page."""
