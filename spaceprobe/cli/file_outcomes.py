"""What came of work on a user's file or network: its text, its page, what failed."""

from pathlib import Path

from spaceprobe.cli.messages import notify, say
from spaceprobe.stages.stage import FileOutcome


def show_outcome(outcome: FileOutcome, *, is_report_wanted: bool) -> None:
    """Print what came out, make the page if it is wanted, and tell what failed."""
    say(outcome.text)
    if is_report_wanted:
        say(f"report   {_current_report(outcome.folder)}")
    for name, reason in outcome.failures.items():
        notify(f"Error: {name}: {reason}")


def _current_report(folder: Path) -> Path:
    """Return the page of a file's results, which is made unless it is up to date."""
    from spaceprobe.report.up_to_date import is_current
    from spaceprobe.study.layout import REPORT

    if not is_current(folder):
        from spaceprobe.report.weights.making import make_weight_report

        return make_weight_report(folder).page
    return folder / REPORT
