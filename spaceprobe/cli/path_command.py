"""The command that walks a single path, and the drawing of a path to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from spaceprobe.cli.completion import complete_setting, complete_started_run
from spaceprobe.cli.figure_files import check_out, out_parameter, write_figure
from spaceprobe.cli.messages import say
from spaceprobe.cli.model_commands import MODEL_NAMES, begin_model_work, is_model_asked, model_call
from spaceprobe.cli.model_options import model_parameters, weights_parameters
from spaceprobe.cli.options import config_argument, results_parameter, trust_parameter
from spaceprobe.cli.path_model import path_model
from spaceprobe.cli.user_paths import UserPath
from spaceprobe.user_code import stdout_kept

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.folding import Method, PathTrace


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


class ImageOrFile(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """The number of a test image, or else a file."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Path:
        """Return the number, or the path of the file as it is meant."""
        try:
            return int(value)
        except ValueError:
            path: Path = UserPath().convert(value, param, ctx)
            return path


ALLOWED = ("source", "target", "method", "num_points", "out", *MODEL_NAMES)
"""The parameters that go with --model."""


@click.command(
    params=[
        config_argument(),
        click.Option(
            ["--run", "run_name"],
            metavar="NAME",
            help="The network's run, by its name or label; needed where the study has several.",
            shell_complete=complete_started_run,
        ),
        click.Option(
            ["--from", "source"],
            type=ImageOrFile(),
            metavar="N",
            help="Start: a test image; with --model and without --data a .npy file of one point.",
        ),
        click.Option(["--to", "target"], type=ImageOrFile(), metavar="N", help="End: the same."),
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
            type=click.Choice(["exact", "sampled", "adaptive"]),
            default="exact",
            show_default=True,
            help="Every linear region, evenly spaced points, or these and more where several units flip.",
        ),
        click.Option(
            ["--points", "num_points"],
            type=click.IntRange(2, 1_000_000),
            metavar="N",
            help="Points of a sampled path, or that an adaptive one starts with; 100 by default.",
        ),
        out_parameter(),
        results_parameter(),
        trust_parameter(),
        *model_parameters(),
        *weights_parameters(),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="KEY=VALUE",
            shell_complete=complete_setting,
            help="With --model: override a setting of its data or its kind; repeatable.",
        ),
    ],
    short_help="Walk the path between two test images through one network.",
)
def path(
    config: str | None,
    run_name: str | None,
    source: int | Path | None,
    target: int | Path | None,
    pair: str | None,
    epoch: str,
    method: str,
    num_points: int | None,
    out: Path | None,
    results: Path,
    **of_model: Any,
) -> None:
    """Walk the straight path between two test images through one network of a study, and print its steps.

    Images are numbered among the test images, from 0. With --pair, the two images are those of the class pair
    between which the network folds most, as folding.csv has it. The study is taken as it was last started.
    With --model the network stands by itself, and --out also takes a .csv for the steps.

    Example: spaceprobe path quickstart --run 2x30-s0-edfdf2 --from 17 --to 42 --out path.svg
    """
    if num_points is not None and method == "exact":
        raise click.UsageError("--points goes with --method sampled or adaptive; an exact path has no points")
    if (pair is None) == (source is None and target is None) or (source is None) != (target is None):
        raise click.UsageError(
            "expected two test images, --from N and --to N, or a class pair, such as --pair 3-8"
        )
    if is_model_asked(of_model):
        begin_model_work(ALLOWED, {})
        flags = {"folding.method": ("--method", method)}
        if num_points is not None:
            flags["folding.num_points"] = ("--points", str(num_points))
        path_model(model_call(of_model, flags, of_model), (source, target), out)
        return
    if isinstance(source, Path) or isinstance(target, Path):
        raise click.UsageError("--from and --to are numbers of test images; a file goes with --model MODEL")
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
            method=cast("Method", method),
            num_points=num_points or 100,
        )
        if out is not None:
            draw_path(walked.trace, out, walked.images)
    say(describe_path(walked))
    if out is not None:
        say(f"figure  {out}")
