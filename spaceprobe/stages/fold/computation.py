"""Folds a network: counts over (length, reach) of the paths between the images of class pairs."""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.fold.parts import folded_checkpoints
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.fold.tables import MEASURES
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import data_of

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.data.endpoints import ClassPair
    from spaceprobe.folding import GridFolding


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the counts of each class pair, epoch by epoch."""
    del write_file
    import torch

    from spaceprobe.data.endpoints import ClassPair, class_members
    from spaceprobe.folding import fold_grid
    from spaceprobe.stages.train.networks import load_data, load_network

    settings = folding_of(job.sections)
    device = "cuda" if job.wants_gpu else "cpu"
    if job.wants_gpu and not torch.cuda.is_available():
        raise SpaceprobeError(
            "torch sees no CUDA device where the paths are walked; use --device cpu, or give the resource "
            "GPU to workers that have one"
        )
    test = load_data(data_of(job.sections)).test
    per_class = None if settings.per_class == "all" else settings.per_class
    members = class_members(test.targets.numpy(), per_class)
    (trained,) = job.inputs["train"]
    checkpoints = folded_checkpoints(job.sections)
    for epoch, parts in itertools.groupby(job.parts, key=lambda part: part.key["epoch"]):
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        for part in parts:
            pair = ClassPair(*part.key["pair"])
            folding = fold_grid(
                network,
                test.inputs[members[pair.source]].double(),
                None if pair.source == pair.target else test.inputs[members[pair.target]].double(),
                method=settings.method,
                num_points=settings.num_points,
                device=device,
                threads=settings.threads,
                precision=settings.precision,
                progress=advance,
            )
            record = {
                "method": settings.method,
                "device": device,
                "num_walks": folding.num_paths // (2 if pair.source == pair.target else 1),
                "num_violations": folding.num_violations,
            }
            yield part, PartContent(record, arrays=_to_arrays(pair, folding, members))


def _to_arrays(
    pair: "ClassPair", folding: "GridFolding", members: "Mapping[int, np.ndarray]"
) -> "dict[str, np.ndarray]":
    arrays = {f"images-{label}": members[label] for label in pair}
    directed = {f"{pair.source}-{pair.target}": (folding.chi, folding.peak)}
    if pair.source != pair.target:
        directed[f"{pair.target}-{pair.source}"] = (folding.chi_back, folding.peak_back)
    for name, measures in directed.items():
        for measure, counts in zip(MEASURES, measures, strict=True):
            arrays[f"{measure}-{name}-cells"] = counts.cells
            arrays[f"{measure}-{name}-row-max"] = counts.row_max
    return arrays
