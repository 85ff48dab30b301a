"""Folds a network: counts over (length, reach) of the paths of each set, and a sample of single paths."""

import itertools
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from spaceprobe.stages.device import device_of
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.parts import folded_checkpoints
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.fold.stored_counts import StoredCounts
from spaceprobe.stages.fold.thresholds import threshold_of
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import data_of

logger = logging.getLogger(__name__)


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the counts of each set of paths, epoch by epoch."""
    del write_file
    from spaceprobe.folding import (
        CountedFolding,
        engine_for,
        fold_grid,
        fold_matched,
        passed_over,
        walk_batch,
    )
    from spaceprobe.stages.fold.detail import sample_detail
    from spaceprobe.stages.train.networks import load_data, load_network

    settings = folding_of(job.sections)
    source = ENDPOINTS[settings.endpoints]
    is_grid = source.layout == "grid"
    fold: Callable[..., CountedFolding] = fold_grid if is_grid else fold_matched
    device = device_of(job)
    way: dict[str, Any] = {
        "method": settings.method,
        "num_points": settings.num_points,
        "device": device,
        "threads": settings.threads,
        "precision": settings.precision,
        "bits": settings.bits,
        "units": settings.units,
    }
    data = load_data(data_of(job.sections))
    (trained,) = job.inputs["train"]
    checkpoints = folded_checkpoints(job.sections)
    for epoch, parts in itertools.groupby(job.parts, key=lambda part: part.key["epoch"]):
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        way["threshold"] = threshold_of(settings, network, data.train.inputs, device)
        for part in parts:
            ends = source.ends(network, data, part.key, job.sections)
            directions = source.directions(part.key)
            engine = engine_for(
                network,
                ends.sources.values,
                **{name: way[name] for name in ("method", "device", "precision", "units", "threshold")},
            )
            if part is job.parts[0]:
                logger.info("the engine %s walks paths, on %s", engine, device)
            targets = None if ends.targets is None else ends.targets.values
            folding = fold(network, ends.sources.values, targets, progress=advance, warn=False, **way)
            detail = {}
            if settings.detail:
                walk = partial(walk_batch, network, **way)
                detail = sample_detail(network, ends, directions, settings.detail, is_grid=is_grid, walk=walk)
                advance(settings.detail)
            record = {
                "method": settings.method,
                "device": device,
                "engine": engine,
                "not_counted": "; ".join(
                    passed_over(network, ends.sources.values, units=settings.units, bits=settings.bits)
                )
                or None,
                # Among the sources themselves one walk is two directed paths of the same counts.
                "num_walks": folding.num_paths // (2 if ends.targets is None else 1),
                "num_violations": folding.num_violations,
                "unresolved": folding.num_unresolved,
            }
            counts = StoredCounts.of(ends, directions, folding, detail)
            yield part, PartContent(record, arrays=counts.to_arrays())
