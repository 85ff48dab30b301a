"""`spaceprobe fold --model`: paths through a network that stands by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from spaceprobe.cli.messages import notify, say
from spaceprobe.cli.model_options import FOLDING_SETTINGS, ModelCall
from spaceprobe.cli.user_paths import UserPath
from spaceprobe.errors import SettingsError
from spaceprobe.files import check_place, is_writable
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.train.settings import network_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from spaceprobe.stages.fold.model_ends import ChosenPaths
    from spaceprobe.stages.fold.model_paths import Prepared
    from spaceprobe.stages.stage import Sections

NUM_LOOKED_AT = 16
"""Chosen: paths whose ends say in which range random inputs lie."""

FOR_CLASSES = ("folding.pairs", "folding.per_class")
"""The settings of flags that choose among the images of a data set."""

FOLD_FLAGS = tuple(f"folding.{name}" for name in FOLDING_SETTINGS)
"""The settings whose flags go with --model."""


def fold_parameters() -> list[click.Option]:
    """Return the flags of paths through a network that stands by itself."""
    return [
        click.Option(
            ["--from", "source"],
            type=UserPath(),
            metavar="FILE",
            help="With --model: a .npy file of the points where paths start, one a row.",
        ),
        click.Option(
            ["--to", "target"], type=UserPath(), metavar="FILE", help="The same of those where they end."
        ),
        click.Option(
            ["--paths", "num_paths"],
            type=click.IntRange(1, 10_000_000),
            metavar="N",
            help="With --model: walk so many of the paths, drawn; 1,000 at most by default.",
        ),
        click.Option(
            ["--out"],
            type=UserPath(),
            metavar="FILE",
            help="With --model: write a row a path to a .csv file.",
        ),
    ]


def fold_model(
    call: ModelCall,
    *,
    source: Path | None,
    target: Path | None,
    num_paths: int | None,
    out: Path | None,
    is_quiet: bool,
) -> None:
    """Walk paths through a network, print a summary, and write a row a path.

    Raises:
        SpaceprobeError: the network cannot be built or walked, or its weights, points or data cannot be read.
    """
    _check_ends(call, source, target)
    check_csv(out)
    sections = call.sections()
    from spaceprobe.cli.fold_text import summary_text
    from spaceprobe.stages.fold.model_paths import join_frames
    from spaceprobe.tables.frames import write_csv

    folded = {}
    checkpoints = call.checkpoints()
    ends = None if source is None or target is None else (source, target)
    for chosen in [*checkpoints.values()][
        1:
    ]:  # what is wrong with the last is told before the first is walked
        _network_and_paths(chosen, sections, ends, num_paths)
    for place, (step, chosen) in enumerate(checkpoints.items(), start=1):
        network, paths = _network_and_paths(chosen, sections, ends, num_paths)
        num_later = (len(checkpoints) - place) * len(paths) if place == 1 and not is_quiet else None
        prepared, folded[step] = _walk(chosen, sections, network, paths, num_later, is_quiet=is_quiet)
        weights = ("" if step is None else f"step {step}: ") + chosen.describe_weights()
        say(summary_text(call.source, weights, prepared, paths, folded[step], num_paths, call.seed))
    if out is not None:
        write_csv(out, join_frames(folded))
        say(f"table  {out}")


def _network_and_paths(
    call: ModelCall, sections: "Sections", files: tuple[Path, Path] | None, num_paths: int | None
) -> "tuple[nn.Module, ChosenPaths]":
    """Return the network and the paths between the points of two files, or test images of its data."""
    if files is None:
        return _between_classes(call, sections, num_paths)
    return _between_files(call, sections, files, num_paths)


def _walk(
    call: ModelCall,
    sections: "Sections",
    network: "nn.Module",
    paths: "ChosenPaths",
    num_later: int | None,
    *,
    is_quiet: bool,
) -> "tuple[Prepared, pd.DataFrame]":
    """Return the network as it was walked, and a row a path; tell what the paths will take.

    Args:
        call: what names the network.
        sections: the settings.
        network: in evaluation mode.
        paths: that are walked.
        num_later: paths that follow them, through other weights; None to tell nothing.
        is_quiet: whether to show no progress.
    """
    import torch

    from spaceprobe.cli.fold_text import cost_text
    from spaceprobe.stages.fold.model_paths import Cost, prepare_network, walk_chosen

    ends = torch.cat(paths.block(slice(0, NUM_LOOKED_AT)))
    prepared = prepare_network(network, ends, folding_of(sections), call.where)
    with tqdm(total=len(paths), desc="fold", unit="path", disable=True if is_quiet else None) as progress:

        def tell(cost: Cost) -> None:
            if num_later is not None and cost.num_left + num_later:
                notify(cost_text(Cost(cost.path_s, cost.num_left + num_later)))

        def advance(num_paths: int) -> None:
            progress.update(num_paths)

        return prepared, walk_chosen(prepared, paths, call.where, tell=tell, advance=advance)


def _check_ends(call: ModelCall, source: Path | None, target: Path | None) -> None:
    """Check that the ends of paths are named once.

    Raises:
        click.UsageError: they are not, or a flag does not go with them.
    """
    if (source is None) != (target is None):
        raise click.UsageError("--from FILE and --to FILE go together")
    if (source is None) == (call.data is None):
        raise click.UsageError(
            "expected the ends of paths: --from a.npy and --to b.npy, or --data NAME and class pairs, such "
            "as --pairs 3-8"
        )
    for key, (flag, _) in call.flags.items():
        if key not in FOLD_FLAGS:
            raise click.UsageError(f"{flag} belongs to a study; --model works without one")
        if source is not None and key in FOR_CLASSES:
            raise click.UsageError(f"{flag} goes with --data NAME: it chooses images of classes")


def check_csv(out: Path | None) -> None:
    """Check, before anything is computed, that a table can be written to a file of that name.

    Raises:
        SettingsError: its suffix is another, or it cannot be written there.
    """
    if out is None:
        return
    if out.suffix.lower() != ".csv":
        raise SettingsError(f"--out {out}: the rows of paths are written as .csv; name such a file")
    if out.is_dir():
        raise SettingsError(f"--out {out}: is a folder; name a file in it")
    check_place(out.parent)
    if out.parent.is_dir() and not is_writable(out.parent):
        raise SettingsError(f"--out {out}: its folder cannot be written; name another file")


def _between_classes(
    call: ModelCall, sections: "Sections", num_paths: int | None
) -> "tuple[nn.Module, ChosenPaths]":
    """Return the network and the paths between test images of its data."""
    from spaceprobe.model_sources.inputs import fit_inputs
    from spaceprobe.stages.fold.model_ends import images_asked, of_class_pairs

    paths = of_class_pairs(sections, images_asked(call.source, sections), num_paths, call.seed)
    shape = call.data_shape(sections) or ()
    return fit_inputs(call.build(sections, shape), call.source, shape), paths


def _between_files(
    call: ModelCall, sections: "Sections", files: tuple[Path, Path], num_paths: int | None
) -> "tuple[nn.Module, ChosenPaths]":
    """Return the network and the paths between the points of two files."""
    from spaceprobe.model_sources.point_files import read_points
    from spaceprobe.stages.fold.model_ends import as_batch, input_shape, of_points

    flags = tuple(f"{flag} {file}" for flag, file in zip(("--from", "--to"), files, strict=True))
    a, b = (read_points(file, flag) for file, flag in zip(files, ("--from", "--to"), strict=True))
    network = call.build(sections, input_shape(call.source, a, network_of(sections)))
    a, b = (as_batch(points, network, call.source, flag) for points, flag in zip((a, b), flags, strict=True))
    return network, of_points(a, b, num_paths, call.seed)
