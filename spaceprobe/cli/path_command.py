"""The command that walks a single path, and the drawing of a path to a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.completion import complete_started_run
from spaceprobe.cli.figure_files import check_out, out_parameter, write_figure
from spaceprobe.cli.messages import say
from spaceprobe.cli.options import config_argument, results_parameter, trust_parameter
from spaceprobe.user_code import stdout_kept

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.folding import PathTrace


def draw_path(trace: "PathTrace", out: Path, images: "np.ndarray | None" = None) -> None:
    """Draw a path to a file, which is written as a whole.

    Args:
        trace: the path.
        out: the file; its suffix gives the format.
        images: along the path; None where its points are not images.

    Raises:
        SpaceprobeError: the file cannot be written.
    """
    from spaceprobe.report.figures.path import path_figure
    from spaceprobe.results.paths import path_frame

    write_figure(path_figure(path_frame(trace), images), out)


@click.command(
    params=[
        config_argument(),
        click.Option(
            ["--run", "run_name"],
            metavar="NAME",
            help="The network's run, by its name or label; needed where the study has several.",
            shell_complete=complete_started_run,
        ),
        click.Option(["--from", "source"], type=int, metavar="N", help="Start: a test image."),
        click.Option(["--to", "target"], type=int, metavar="N", help="End: a test image."),
        click.Option(
            ["--pair"],
            metavar="S-T",
            help="Instead: the path with the largest χ from class S to class T.",
        ),
        click.Option(
            ["--epoch"],
            default="last",
            show_default=True,
            metavar="EPOCH",
            help="Epoch of the network: 0, last, or one of training.snapshots.",
        ),
        click.Option(
            ["--method"],
            type=click.Choice(["exact", "sampled"]),
            default="exact",
            show_default=True,
            help="Every linear region, or evenly spaced points.",
        ),
        click.Option(
            ["--points", "num_points"],
            type=click.IntRange(2, 1_000_000),
            metavar="N",
            help="Points of a sampled path, both ends included; 100 by default.",
        ),
        out_parameter(),
        results_parameter(),
        trust_parameter(),
    ],
    short_help="Walk the path between two test images through one network.",
)
def path(
    config: str | None,
    run_name: str | None,
    source: int | None,
    target: int | None,
    pair: str | None,
    epoch: str,
    method: str,
    num_points: int | None,
    out: Path | None,
    results: Path,
) -> None:
    """Walk the straight path between two test images through one network of a study, and print its steps.

    Images are numbered among the test images, from 0. With --pair, the two images are those of the class pair
    between which the network folds most, as folding.csv has it. The study is taken as it was last started.

    Example: spaceprobe path quickstart --run 2x30-s0-edfdf2 --from 17 --to 42 --out path.svg
    """
    if num_points is not None and method != "sampled":
        raise click.UsageError("--points goes with --method sampled; an exact path has no points")
    if (pair is None) == (source is None and target is None) or (source is None) != (target is None):
        raise click.UsageError(
            "expected two test images, --from N and --to N, or a class pair, such as --pair 3-8"
        )
    check_out(out)
    from spaceprobe.results.paths import describe_path, walk_images
    from spaceprobe.results.started import find_started
    from spaceprobe.results.trained_run import choose_run, open_run

    study, folder = find_started(config, results)
    with stdout_kept():
        trained = open_run(study, folder, choose_run(study, run_name))
        if source is None or target is None:
            from spaceprobe.results.examples import most_folded_path

            source, target = most_folded_path(study, trained, epoch, str(pair))
        walked = walk_images(
            trained,
            epoch,
            (source, target),
            method="sampled" if method == "sampled" else "exact",
            num_points=num_points or 100,
        )
        if out is not None:
            draw_path(walked.trace, out, walked.images)
    say(describe_path(walked))
    if out is not None:
        say(f"figure  {out}")
