"""The command that writes results in forms of papers and other tools."""

from pathlib import Path

import click

from spaceprobe.cli.messages import notify, notify_changes, say
from spaceprobe.cli.options import config_argument, results_parameter, trust_parameter
from spaceprobe.cli.user_paths import UserPath, UserStudy
from spaceprobe.results.started import find_started
from spaceprobe.tables.text import count, fill

FORMS = ("latex", "markdown", "parquet", "tensorboard")
"""As `spaceprobe.report.exports.making` has them, whose import takes a second."""


@click.command(
    params=[
        click.Argument(
            ["config"], metavar="CONFIG", type=UserStudy(), shell_complete=config_argument().shell_complete
        ),
        click.Option(["--to", "form"], type=click.Choice(FORMS), required=True, help="The form."),
        click.Option(
            ["--out"],
            type=UserPath(file_okay=False),
            metavar="DIR",
            help="Where the files go; by default a folder of the form's name in that of the study.",
        ),
        results_parameter(),
        trust_parameter(),
    ],
    short_help="Write tables for LaTeX, Markdown, Parquet or TensorBoard.",
)
def export(config: str, form: str, out: Path | None, results: Path) -> None:
    """Write the tables of a study for a paper or for another tool.

    latex and markdown: architectures and correlations as the report shows them, means with standard deviation
    and interval. parquet: every table. tensorboard: an event file for each run.

    Example: spaceprobe export quickstart --to latex

    Example: spaceprobe export quickstart --to tensorboard --out runs
    """
    study, folder = find_started(config, results)
    notify_changes(folder)
    from spaceprobe.report.exports.making import write_export
    from spaceprobe.results.changed_tables import blame_changed_tables
    from spaceprobe.results.results import load_results

    with blame_changed_tables(folder):
        paths, missing = write_export(load_results(study, folder), form, out or folder / form)
    for reason in missing:
        notify("\n".join(fill(f"not there: {reason}", "  ")))
    shown = paths if form in ("latex", "markdown") else [out or folder / form]
    for path in shown:
        say(str(path))
    if len(paths) > len(shown):
        say(count(len(paths), "file"))
