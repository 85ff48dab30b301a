"""What the fold stage prints."""

from spaceprobe.stages.summarize.summary import architecture_lines
from spaceprobe.tables.frames import Frames


def present(tables: Frames) -> str:
    """Return what the command prints."""
    if tables["folding"].empty:
        return "no paths were measured"
    checks = tables["folding_checks"]
    walks = f"{checks['num_walks'].sum():,} walks, each read from both ends"
    if (checks["method"] == "sampled").all():
        check = "sampled paths have no regions to check"
    else:
        num_violations = int(checks["num_violations"].sum())
        check = f"region check: {num_violations or 'no'} violation{'s' * (num_violations != 1)}"
    return f"{architecture_lines(tables)}\n{walks}; {check}"
