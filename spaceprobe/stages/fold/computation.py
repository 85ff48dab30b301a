"""Folds a network: counts over (length, reach) of the paths of each set, and a sample of single paths."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.entry import Direction
from spaceprobe.stages.fold.parts import asks_gpu, folded_checkpoints, is_comparison
from spaceprobe.stages.fold.pattern_changes import compare_epochs
from spaceprobe.stages.fold.place import Place
from spaceprobe.stages.fold.settings import FoldingSettings, folding_of
from spaceprobe.stages.fold.stored_counts import LISTING, StoredCounts
from spaceprobe.stages.fold.thresholds import threshold_of
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import data_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaceprobe.folding import CountedFolding, KeptPasses, Threshold
    from spaceprobe.stages.fold.endpoints.entry import Ends, Points
    from spaceprobe.stages.fold.path_tables.entry import PathTable

logger = logging.getLogger(__name__)


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the counts of each set of paths, epoch by epoch."""
    del write_file
    from spaceprobe.folding import KeptPasses, passed_over
    from spaceprobe.stages.train.networks import load_data, load_network

    settings = folding_of(job.sections)
    source = ENDPOINTS[settings.endpoints]
    is_for_kernel = asks_gpu(job.sections) == "auto-float64"
    place = Place(job, is_auto=settings.device == "auto", is_for_kernel=is_for_kernel)
    data = load_data(data_of(job.sections))
    (trained,) = job.inputs["train"]
    checkpoints = folded_checkpoints(job.sections)
    known: dict[str, Tensor] = {}
    for epoch, of_epoch in itertools.groupby(job.parts, key=lambda part: part.key["epoch"]):
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        parts = [*of_epoch]
        for part in filter(is_comparison, parts):
            yield part, compare_epochs(job, part, network, data)
        if all(map(is_comparison, parts)):
            continue
        threshold = threshold_of(settings, network, data.train.inputs)
        kept = KeptPasses()
        tables = [(table, table.observe(network, data.train.inputs)) for table in settings.path_tables]
        for part in itertools.filterfalse(is_comparison, parts):
            ends = source.ends(network, data, part.key, job.sections)
            if place.device == "cuda":
                ends = _with_known_values(ends, known)
            directions = source.directions(part.key)
            walk = partial(
                _walk,
                *(network, ends, directions, settings, threshold, tables),
                is_first=part is job.parts[0],
                is_for_kernel=is_for_kernel,
                kept=kept,
            )
            engine, folding, detail = place.run(walk, advance)
            record = {
                "method": settings.method,
                "device": place.device,
                "engine": engine,
                "not_counted": "; ".join(
                    passed_over(network, ends.sources.values, units=settings.units, bits=settings.bits)
                )
                or None,
                # Among the sources themselves one walk is two directed paths of the same counts.
                "num_walks": folding.num_paths // (2 if ends.targets is None else 1),
                "num_violations": folding.num_violations,
                "unresolved": folding.num_unresolved,
                **ends.facts,
                **({LISTING: {**ends.listing}} if ends.listing else {}),
            }
            counts = StoredCounts.of(ends, directions, folding, detail)
            yield part, PartContent(record, arrays=counts.to_arrays())


def _walk(
    network: "nn.Module",
    ends: "Ends",
    directions: Sequence[Direction],
    settings: FoldingSettings,
    threshold: "Threshold",
    tables: "Sequence[tuple[PathTable, Any]]",
    device: str,
    advance: Advance,
    *,
    is_first: bool,
    is_for_kernel: bool,
    kept: "KeptPasses",
) -> "tuple[str, CountedFolding, dict[str, np.ndarray]]":
    """Return the engine that walked a set of paths, their folding, and the sample of single paths."""
    import torch

    from spaceprobe.folding import engine_for, fold_grid, fold_matched
    from spaceprobe.stages.fold.detail import sample_detail

    is_grid = settings.source.layout == "grid"
    fold: Callable[..., CountedFolding] = fold_grid if is_grid else fold_matched
    sources = ends.sources.values
    targets = None if ends.targets is None else ends.targets.values
    if ends.via is not None and targets is not None:
        corners = torch.cat([sources[:, None], ends.via, targets[:, None]], 1)
        return _walk_polylines(network, corners, settings, device, advance)
    choice: dict[str, Any] = {
        "method": "kernel" if is_for_kernel and device == "cuda" else settings.method,
        "device": device,
        "precision": settings.precision,
        "units": settings.units,
        "threshold": threshold,
    }
    way: dict[str, Any] = {
        **choice,
        **{"num_points": settings.num_points, "threads": settings.threads, "bits": settings.bits},
    }
    engine = engine_for(network, sources, **choice)
    if is_first:
        logger.info("the engine %s walks paths, on %s", engine, device)
    of_grid = {"kept": kept} if is_grid else {}
    folding = fold(network, sources, targets, progress=advance, warn=False, **way, **of_grid)
    detail = {}
    if settings.detail:
        if (
            engine == "cuda-kernel"
        ):  # which does not tell flips; of a few paths the CPU does, as it always would
            way |= {"method": settings.method, "device": "cpu"}
        detail = sample_detail(
            network,
            ends,
            directions,
            settings.detail,
            is_grid=is_grid,
            way=way,
            measures=settings.path_measures,
            tables=tables,
        )
        advance(settings.detail)
    return engine, folding, detail


def _with_known_values(ends: "Ends", known: "dict[str, Tensor]") -> "Ends":
    """Return ends whose points are the same tensors as those of earlier sets, by which a GPU knows them."""

    def with_known(points: "Points") -> "Points":
        if points.key is None:
            return points
        return replace(points, values=known.setdefault(points.key, points.values))

    return replace(
        ends,
        sources=with_known(ends.sources),
        targets=None if ends.targets is None else with_known(ends.targets),
    )


def _walk_polylines(
    network: "nn.Module", corners: "Tensor", settings: FoldingSettings, device: str, advance: Advance
) -> "tuple[str, CountedFolding, dict[str, np.ndarray]]":
    """Return what `_walk` does of paths with corners, which are followed flip by flip."""
    from spaceprobe.folding.polylines import fold_polylines

    method: Literal["sampled", "layerwise"] = "sampled" if settings.method == "sampled" else "layerwise"
    folding = fold_polylines(
        network, corners, method=method, num_points=settings.num_points, device=device, progress=advance
    )
    return method, folding, {}
