"""What `report`, `plot` and `compare` do with what a recorder wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.figure_files import write_figure
from spaceprobe.cli.messages import say
from spaceprobe.errors import SettingsError

if TYPE_CHECKING:
    from spaceprobe.report.making import Report
    from spaceprobe.results.agreement import Agreement


def report_recording(folder: Path) -> "Report":
    """Write the page of a recording."""
    from spaceprobe.report.recordings.making import make_recording_report
    from spaceprobe.results.recordings import load_recording

    return make_recording_report(load_recording(folder))


def recording_figures(folder: Path) -> Mapping[str, tuple[str, str | None]]:
    """Return the titles of the figures of a recording, and why some are not there."""
    from spaceprobe.report.recordings.figures import reasons_of
    from spaceprobe.results.recordings import load_recording

    return reasons_of(load_recording(folder))


def plot_recording(folder: Path, kind: str, out: Path | None, inches: float) -> None:
    """Draw one figure of a recording.

    Raises:
        click.UsageError: no file is named.
        SettingsError: there is no such figure.
    """
    from spaceprobe.report.drawing.style import drawn_for
    from spaceprobe.report.recordings.figures import check_figure, draw_figure, reasons_of
    from spaceprobe.results.recordings import load_recording

    check_figure(kind)
    if out is None:
        raise click.UsageError(f"--out is missing: name the figure's file, such as --out {kind}.pdf")
    loaded = load_recording(folder)
    _, reason = reasons_of(loaded)[kind]
    if reason is not None:
        raise SettingsError(f"{loaded.name}: there is no figure {kind}: {reason}")
    with drawn_for(inches):
        figure = draw_figure(loaded, kind)
    write_figure(figure, out)
    say(str(out))


def compare_recordings(
    configs: Sequence[str], folders: Sequence[Path | None], results: Path, out: Path | None
) -> None:
    """Put two recordings side by side.

    Raises:
        SettingsError: one of the two is not a recording.
    """
    first, second = both_recordings(configs, folders)
    from spaceprobe.report.recordings.comparison import make_recording_comparison, recording_comparison_lines
    from spaceprobe.results.recordings import load_recording

    a, b = load_recording(first), load_recording(second)
    made = make_recording_comparison(a, b, out or results / f"compare-{a.name}-{b.name}")
    say("\n".join(recording_comparison_lines(made)))


def recordings_agreement(
    configs: Sequence[str], folders: Sequence[Path | None], rtol: float | None
) -> "Agreement":
    """Return whether two recordings agree.

    Raises:
        SettingsError: one of the two is not a recording.
    """
    from spaceprobe.results.agreement import compare_recorded_results

    first, second = both_recordings(configs, folders)
    return compare_recorded_results(first, second, rtol)


def both_recordings(configs: Sequence[str], folders: Sequence[Path | None]) -> tuple[Path, Path]:
    """Return two folders, both of which are recordings.

    Raises:
        SettingsError: one is not.
    """
    first, second = folders
    if first is None or second is None:
        other = next(config for config, folder in zip(configs, folders, strict=True) if folder is None)
        raise SettingsError(
            f"{first or second} is a recording, and {other} is not: compare takes two studies, two folders "
            "of `spaceprobe lmd --weights`, or two recordings"
        )
    return first, second
