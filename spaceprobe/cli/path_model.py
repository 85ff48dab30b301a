"""`spaceprobe path --model`: the steps of one path through a network that stands by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from spaceprobe.cli.figure_files import SUFFIXES, check_out
from spaceprobe.cli.fold_model import check_csv
from spaceprobe.cli.messages import say
from spaceprobe.cli.model_options import ModelCall
from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.train.settings import data_of, network_of
from spaceprobe.tables.text import fill

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.results.paths import Images
    from spaceprobe.stages.stage import Sections

FLAGS = ("--from", "--to")


class ModelPath(NamedTuple):
    """A path through a network that stands by itself.

    Attributes:
        network: in evaluation mode.
        start: where it starts, without a batch dimension.
        end: where it ends.
        names: of both ends.
        images: along it; None where its points are not images.
    """

    network: "nn.Module"
    start: "Tensor"
    end: "Tensor"
    names: tuple[str, str]
    images: "Images | None"


def path_model(call: ModelCall, ends: tuple[int | Path | None, int | Path | None], out: Path | None) -> None:
    """Walk one path through a network, print its steps, and draw or write them.

    Args:
        call: what names the network.
        ends: of the path: numbers of test images of the data, or files of one point each.
        out: where the path is drawn or written to; None for nowhere.

    Raises:
        SpaceprobeError: the network cannot be built or walked, or its weights, points or data cannot be read.
    """
    if out is not None and out.suffix.lower() == ".csv":
        check_csv(out)
    elif out is not None and out.suffix.lower() not in SUFFIXES:
        raise SettingsError(
            f"--out {out}: expected .csv for the steps, or {', '.join(SUFFIXES)} for a figure"
        )
    check_out(None if out is None or out.suffix.lower() == ".csv" else out)
    model, sections = call.source, call.sections()
    import torch

    from spaceprobe.cli.path_command import draw_path
    from spaceprobe.folding import trace_path
    from spaceprobe.machine.torch_threads import one_thread
    from spaceprobe.results.paths import path_frame, path_table, reading_of, summary_line
    from spaceprobe.stages.fold.model_paths import prepare_network, walking
    from spaceprobe.tables.frames import write_csv

    path = _of_data(call, sections, ends) if call.data else _of_files(call, sections, ends)
    settings = folding_of(sections)
    points = torch.stack([path.start, path.end])
    with one_thread():
        prepared = prepare_network(path.network, points, settings, call.where, is_traced=True)
        way = {
            name: prepared.way[name]
            for name in ("method", "num_points", "device", "units", "threshold", "bits")
        }
        with walking(call.where):
            trace = prepared.run(
                lambda: trace_path(
                    prepared.network,
                    *(path.start, path.end),
                    warn=False,
                    **{**way, "device": prepared.way["device"]},
                )
            )
    reading = reading_of(prepared.engine, settings.num_points)
    notes = [call.describe_weights(), prepared.check]
    if prepared.not_counted:
        notes.append(f"not counted, only passed through: {'; '.join(prepared.not_counted)}")
    if out is not None and out.suffix.lower() == ".csv":
        write_csv(out, path_frame(trace))
    elif out is not None:
        draw_path(trace, out, path.images)
    head = f"{model}: from {path.names[0]} to {path.names[1]}, {reading}"
    lines = [*fill(head), *(line for note in notes for line in fill(f"  {note}", "    "))]
    say("\n".join([*lines, "", path_table(trace), "", summary_line(trace, reading)]))
    if out is not None:
        say(f"{'table ' if out.suffix.lower() == '.csv' else 'figure'}  {out}")


def _of_data(call: ModelCall, sections: "Sections", ends: "tuple[int | Path | None, ...]") -> ModelPath:
    """Return the network and the path between two test images of its data."""
    from spaceprobe.model_sources.inputs import fit_inputs
    from spaceprobe.results.paths import images_between
    from spaceprobe.stages.train.networks import load_data

    if not all(isinstance(end, int) for end in ends):
        raise click.UsageError(
            "with --data, --from and --to are numbers of test images, such as --from 17 --to 42"
        )
    data = data_of(sections)
    test, shape = load_data(data).test, call.data_shape(sections) or ()
    points, names = [], []
    for flag, end in zip(FLAGS, ends, strict=True):
        number = int(str(end))
        if not 0 <= number < len(test.inputs):
            raise SettingsError(
                f"{flag} {number}: {call.place_of_data(sections)} has test images 0 to {len(test.inputs) - 1}"
            )
        points.append(test.inputs[number].double())
        label = test.targets[number]
        is_class = label.ndim == 0
        name = DATASETS[data.dataset].name_of_class(data, int(label)) if is_class else "a point"
        names.append(f"{number} ({name})")
    network = fit_inputs(call.build(sections, shape), call.source, shape)
    images = images_between(points[0], points[1], shape)
    return ModelPath(network, points[0], points[1], (names[0], names[1]), images)


def _of_files(call: ModelCall, sections: "Sections", ends: "tuple[int | Path | None, ...]") -> ModelPath:
    """Return the network and the path between the points of two files."""
    from spaceprobe.model_sources.point_files import read_points
    from spaceprobe.results.paths import images_between
    from spaceprobe.stages.fold.model_ends import as_batch, check_same_shape, input_shape

    files = [Path(str(end)) for end in ends]
    a, b = (read_points(file, flag) for file, flag in zip(files, FLAGS, strict=True))
    network = call.build(sections, input_shape(call.source, a, network_of(sections)))
    batches = []
    for flag, file, points in zip(FLAGS, files, (a, b), strict=True):
        batch = as_batch(points, network, call.source, f"{flag} {file}")
        if len(batch) != 1:
            raise SettingsError(
                f"{flag} {file}: holds {len(batch)} points, and a path has one at each end; save one of "
                "them, or walk all of them with spaceprobe fold --model"
            )
        batches.append(batch)
    check_same_shape(*batches)
    (start,), (end,) = batches
    shape = [side for side in a.shape if side > 1] if start.ndim == 1 else [*start.shape]
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3))
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    images = images_between(start.flatten(), end.flatten(), shape) if is_image else None
    return ModelPath(network, start, end, (str(files[0]), str(files[1])), images)
