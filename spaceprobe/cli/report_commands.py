"""The commands that show results: the report, single figures, and two studies side by side."""

import math
import sys
from collections.abc import Mapping, Sequence
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
    trust_parameter,
)
from spaceprobe.cli.recording_commands import (
    compare_recordings,
    plot_recording,
    recording_figures,
    recordings_agreement,
    report_recording,
)
from spaceprobe.cli.user_paths import UserPath, UserStudy
from spaceprobe.errors import SettingsError
from spaceprobe.results.recording_folders import find_recording
from spaceprobe.results.started import find_started
from spaceprobe.results.weight_folders import find_weights
from spaceprobe.tables.text import fill

if TYPE_CHECKING:
    from spaceprobe.report.making import Report
    from spaceprobe.results.agreement import Agreement


@click.command(params=[config_argument(), results_parameter(), trust_parameter(), *message_parameters()])
def report(
    config: str | None, results: Path, is_quiet: bool, is_verbose: bool, log_file: Path | None
) -> None:
    """Make the page of a study, and its figures as SVG and PNG.

    CONFIG may also be results of lmd --weights, or the folder of a recorder.

    Example: spaceprobe report quickstart
    """
    show_chosen_messages(is_quiet=is_quiet, is_verbose=is_verbose, log_file=log_file)
    of_weights = find_weights(config, results)
    if of_weights is not None:
        from spaceprobe.report.weights.making import make_weight_report

        _print_made(make_weight_report(of_weights), is_quiet=is_quiet)
        return
    recording = find_recording(config, results)
    if recording is not None:
        _print_made(report_recording(recording), is_quiet=is_quiet)
        return
    study, folder = find_started(config, results)
    if not is_quiet:
        notify_changes(folder)
    from spaceprobe.report.making import make_report
    from spaceprobe.results.changed_tables import blame_changed_tables

    with blame_changed_tables(folder):
        made = make_report(study, folder)
    _print_made(made, is_quiet=is_quiet)


def _print_made(made: "Report", *, is_quiet: bool) -> None:
    """Print what a report lacks, and where it is."""
    for reason, titles in {}.items() if is_quiet else made.reasons().items():
        notify(f"not there: {', '.join(titles)}: {reason}")
    say(f"report   {made.page}\nfigures  {made.num_figures} in {made.page.parent / 'figures'}")


@click.command(
    params=[
        click.Argument(
            ["config"], metavar="CONFIG", type=UserStudy(), shell_complete=config_argument().shell_complete
        ),
        click.Argument(["kind"], required=False, metavar="[KIND]", shell_complete=complete_figure),
        out_parameter(),
        *size_parameters(),
        results_parameter(),
        trust_parameter(),
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
    if kind is None and out is not None:
        raise click.UsageError("--out goes with a KIND; without one, the figures are listed")
    of_weights = find_weights(config, results)
    if of_weights is not None:
        _plot_weights(of_weights, kind, out, inches)
        return
    recording = find_recording(config, results)
    if recording is not None:
        if kind is None:
            say(_figure_list(recording_figures(recording)))
        else:
            plot_recording(recording, kind, out, inches)
        return
    study, folder = find_started(config, results)
    notify_changes(folder)
    from spaceprobe.report.drawing.style import drawn_for
    from spaceprobe.report.figures import figure_named
    from spaceprobe.results.changed_tables import blame_changed_tables
    from spaceprobe.results.results import load_results

    if kind is None:
        with blame_changed_tables(folder):
            loaded = load_results(study, folder)
            from spaceprobe.report.figures import FIGURES

            say(_figure_list({n: (entry.title, entry.lacks(loaded)) for n, entry in FIGURES.items()}))
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
        click.Argument(
            ["first"], metavar="STUDY_A", type=UserStudy(), shell_complete=config_argument().shell_complete
        ),
        click.Argument(
            ["second"], metavar="STUDY_B", type=UserStudy(), shell_complete=config_argument().shell_complete
        ),
        results_parameter(),
        trust_parameter(),
        click.Option(
            ["--out"],
            type=UserPath(file_okay=False),
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

    STUDY_A and STUDY_B are names of studies, or folders of results. Both may be results of lmd --weights:
    then the matrices of two files are compared by name. Or both are folders of recorders, compared by step.

    Example: spaceprobe compare quickstart depth-sweep

    Example: spaceprobe compare quickstart /from/elsewhere/quickstart --same
    """
    _check_compare(out, rtol, is_same_asked=is_same_asked)
    recordings = [find_recording(config, results) for config in (first, second)]
    if any(recordings):
        if is_same_asked:
            _print_agreement(recordings_agreement([first, second], recordings, rtol))
        else:
            compare_recordings([first, second], recordings, results, out)
        return
    of_weights = [find_weights(config, results) for config in (first, second)]
    if any(of_weights):
        _compare_weights([first, second], of_weights, results, out, rtol, is_same_asked=is_same_asked)
        return
    studies = [find_started(config, results) for config in (first, second)]
    for folder in dict.fromkeys(folder for _, folder in studies):
        notify_changes(folder)
    if is_same_asked:
        from spaceprobe.results.agreement import compare_results

        _print_agreement(compare_results(studies[0], studies[1], rtol))
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


def _print_agreement(agreement: "Agreement") -> None:
    """Print whether two folders of results agree, and exit with 1 if they do not."""
    say("\n".join(agreement.lines()))
    if not agreement.agrees:
        sys.exit(1)


def _plot_weights(folder: Path, kind: str | None, out: Path | None, inches: float) -> None:
    """Draw one figure of a file of weights, or list the figures."""
    from spaceprobe.report.drawing.style import drawn_for
    from spaceprobe.report.weights.figures import figures_of, weight_figure_named
    from spaceprobe.results.weight_results import load_weight_results

    if kind is None:
        loaded = load_weight_results(folder)
        say(
            _figure_list(
                {name: (entry.title, entry.lacks(loaded)) for name, entry in figures_of(loaded).items()}
            )
        )
        return
    entry = weight_figure_named(kind)
    if out is None:
        raise click.UsageError(f"--out is missing: name the figure's file, such as --out {kind}.pdf")
    loaded = load_weight_results(folder)
    reason = entry.lacks(loaded)
    if reason is not None:
        raise SettingsError(f"{loaded.name}: there is no figure {kind}: {reason}")
    with drawn_for(inches):
        figure = entry.draw(loaded)
    write_figure(figure, out)
    say(str(out))


def _compare_weights(
    configs: Sequence[str],
    folders: Sequence[Path | None],
    results: Path,
    out: Path | None,
    rtol: float | None,
    *,
    is_same_asked: bool,
) -> None:
    """Put two files of weights side by side, or say whether their results agree.

    Raises:
        SettingsError: one of the two is a study.
    """
    first, second = folders
    if first is None or second is None:
        other = next(config for config, folder in zip(configs, folders, strict=True) if folder is None)
        _, study = find_started(other, results)
        raise SettingsError(
            f"{first or second} has the matrices of a file of weights, and {study} is a study: compare takes "
            "two studies, or two folders of `spaceprobe lmd --weights`"
        )
    from spaceprobe.report.weights.comparison import make_weight_comparison, weight_comparison_lines
    from spaceprobe.results.weight_results import load_weight_results

    if is_same_asked:
        from spaceprobe.results.agreement import compare_weight_results

        _print_agreement(compare_weight_results(first, second, rtol))
        return
    a, b = load_weight_results(first), load_weight_results(second)
    made = make_weight_comparison(a, b, out or results / f"compare-{a.name}-{b.name}")
    say("\n".join(weight_comparison_lines(made)))


def _figure_list(figures: Mapping[str, tuple[str, str | None]]) -> str:
    """Return figures as lines, given their titles and why they are not there, None where they are."""
    width = max(map(len, figures))
    return "\n".join(
        line
        for name, (title, reason) in figures.items()
        for line in fill(
            f"{name:<{width}}  {title}" + (f" (not there: {reason})" if reason else ""), " " * (width + 2)
        )
    )
