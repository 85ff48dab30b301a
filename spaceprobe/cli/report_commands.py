"""The commands that show results: the report, single figures, and two studies side by side."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.completion import complete_figure
from spaceprobe.cli.figure_files import check_out, out_parameter, size_parameters, width_of, write_figure
from spaceprobe.cli.messages import notify, notify_changes, say
from spaceprobe.cli.options import (
    config_argument,
    message_parameters,
    results_parameter,
    show_chosen_messages,
)
from spaceprobe.errors import SettingsError
from spaceprobe.results.started import find_started

if TYPE_CHECKING:
    from spaceprobe.results.results import Results


@click.command(params=[config_argument(), results_parameter(), *message_parameters()])
def report(
    config: str | None, results: Path, is_quiet: bool, is_verbose: bool, log_file: Path | None
) -> None:
    """Make the page of a study, and its figures as SVG and PNG.

    Example: spaceprobe report quickstart
    """
    show_chosen_messages(is_quiet=is_quiet, is_verbose=is_verbose, log_file=log_file)
    study, folder = find_started(config, results)
    if not is_quiet:
        notify_changes(folder)
    from spaceprobe.report.making import make_report
    from spaceprobe.results.changed_tables import blame_changed_tables

    with blame_changed_tables(folder):
        made = make_report(study, folder)
    for reason, titles in {}.items() if is_quiet else made.reasons().items():
        notify(f"not there: {', '.join(titles)}: {reason}")
    say(f"report   {made.page}\nfigures  {made.num_figures} in {made.page.parent / 'figures'}")


@click.command(
    params=[
        click.Argument(["config"], metavar="CONFIG", shell_complete=config_argument().shell_complete),
        click.Argument(["kind"], required=False, metavar="[KIND]", shell_complete=complete_figure),
        out_parameter(),
        *size_parameters(),
        results_parameter(),
    ]
)
def plot(
    config: str, kind: str | None, out: Path | None, style: str, width: str | None, results: Path
) -> None:
    """Draw one figure of a study; without KIND, list the figures.

    Example: spaceprobe plot quickstart depth --out depth.pdf

    Example: spaceprobe plot quickstart depth --out depth.pdf --width 84mm
    """
    check_out(out)
    inches = width_of(style, width)
    study, folder = find_started(config, results)
    notify_changes(folder)
    from spaceprobe.report.drawing.style import drawn_for
    from spaceprobe.report.figures import figure_named
    from spaceprobe.results.changed_tables import blame_changed_tables
    from spaceprobe.results.results import load_results

    if kind is None:
        if out is not None:
            raise click.UsageError("--out goes with a KIND; without one, the figures are listed")
        with blame_changed_tables(folder):
            say(_list_figures(load_results(study, folder)))
        return
    entry = figure_named(kind)
    if out is None:
        raise click.UsageError(f"--out is missing: name the figure's file, such as --out {kind}.pdf")
    with blame_changed_tables(folder):
        loaded = load_results(study, folder)
        reason = entry.lacks(loaded)
        if reason is not None:
            raise SettingsError(f"{study.name}: there is no figure {kind}: {reason}")
        with drawn_for(inches):
            figure = entry.draw(loaded)
        write_figure(figure, out)
    say(str(out))


@click.command(
    params=[
        click.Argument(["first"], metavar="STUDY_A", shell_complete=config_argument().shell_complete),
        click.Argument(["second"], metavar="STUDY_B", shell_complete=config_argument().shell_complete),
        results_parameter(),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Where the page and its tables go; by default compare-A-B in the folder of results.",
        ),
        click.Option(
            ["--same", "is_same_asked"],
            is_flag=True,
            help="Say whether B, such as a rerun on another machine, agrees with A: exit 0, or 1.",
        ),
        click.Option(
            ["--rtol"],
            type=click.FloatRange(min=0),
            metavar="R",
            help="With --same: the relative tolerance of all numbers, in place of each column's own.",
        ),
    ],
    short_help="Put two studies side by side: differences with intervals.",
)
def compare(
    first: str, second: str, results: Path, out: Path | None, is_same_asked: bool, rtol: float | None
) -> None:
    """Put two studies side by side: differences with their intervals, and the figures of both.

    STUDY_A and STUDY_B are names of studies, or folders of results.

    Example: spaceprobe compare quickstart depth-sweep

    Example: spaceprobe compare quickstart /from/elsewhere/quickstart --same
    """
    _check_compare(out, rtol, is_same_asked=is_same_asked)
    studies = [find_started(config, results) for config in (first, second)]
    for folder in dict.fromkeys(folder for _, folder in studies):
        notify_changes(folder)
    if is_same_asked:
        from spaceprobe.results.agreement import compare_results

        agreement = compare_results(studies[0], studies[1], rtol)
        say("\n".join(agreement.lines()))
        if not agreement.agrees:
            sys.exit(1)
        return
    from spaceprobe.report.comparison import comparison_lines, make_comparison
    from spaceprobe.results.changed_tables import blame_changed_tables
    from spaceprobe.results.results import load_results

    with blame_changed_tables(*(folder for _, folder in studies)):
        a, b = (load_results(study, folder) for study, folder in studies)
        made = make_comparison(a, b, out or results / f"compare-{a.study.name}-{b.study.name}")
    say("\n".join(comparison_lines(made)))


def _check_compare(out: Path | None, rtol: float | None, *, is_same_asked: bool) -> None:
    """Check that the flags of `compare` go together.

    Raises:
        click.UsageError: they do not, or the tolerance is not a number.
    """
    if is_same_asked and out is not None:
        raise click.UsageError("--out does not go with --same, which writes nothing")
    if rtol is not None and not is_same_asked:
        raise click.UsageError("--rtol goes with --same")
    if rtol is not None and not math.isfinite(rtol):
        raise click.UsageError(f"--rtol {rtol}: expected a number from 0 on, such as 1e-6")


def _list_figures(results: "Results") -> str:
    from spaceprobe.report.figures import FIGURES

    width = max(map(len, FIGURES))
    reasons = {name: entry.lacks(results) for name, entry in FIGURES.items()}
    return "\n".join(
        f"{name:<{width}}  {entry.title}" + (f" (not there: {reason})" if (reason := reasons[name]) else "")
        for name, entry in FIGURES.items()
    )
