"""A sample of single paths of a set, walked one by one: the rows of paths.csv."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.path_measures.entry import PathMeasure, WalkedPaths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.stages.fold.endpoints.entry import Direction, Ends
    from spaceprobe.stages.fold.path_tables.entry import PathTable

PATHS_PER_BATCH = 1 << 12
"""Chosen: the two ends of a batch of MNIST take 50 MB."""


def sample_detail(
    network: "nn.Module",
    ends: "Ends",
    directions: "Sequence[Direction]",
    num_asked: int,
    *,
    is_grid: bool,
    way: Mapping[str, Any],
    measures: Sequence[PathMeasure] | None = None,
    tables: "Sequence[tuple[PathTable, Any]]" = (),
) -> dict[str, np.ndarray]:
    """Return the columns of a sample of single paths, drawn without replacement from both directions.

    The draw depends on the directions, on the number of points and on the number asked for, so that all
    networks and epochs have the same sample.

    Args:
        network: in float64.
        ends: of the set of paths.
        directions: that are measured of the set.
        num_asked: how many paths; where there are fewer, all are kept.
        is_grid: whether paths lead from every source to every target.
        way: how paths are walked, as `spaceprobe.folding.walk_with_flips` takes it.
        measures: of a single path; None for those that every path has.
        tables: those with several rows of a path that are asked for, and what each observed of the network.

    Returns:
        ``direction`` (0 from sources to targets, 1 back), ``source`` and ``target`` (numbers of the images at
        start and end), ``distance`` (L2, in input space) and the columns of the measures; and of tables
        with several rows of a path, columns such as ``path_layers.length``, of shape ``(paths, rows)``.
    """
    targets = ends.targets or ends.sources
    num_sources, num_targets = len(ends.sources.numbers), len(targets.numbers)
    if ends.targets is None:
        num_targets -= 1  # without the path from a point to itself
    num_one_way = num_sources * num_targets if is_grid else num_sources
    number = _draw(num_one_way * len(directions), num_asked, directions)
    direction, number = np.divmod(number, max(num_one_way, 1))
    i, j = np.divmod(number, max(num_targets, 1)) if is_grid else (number, number)
    if ends.targets is None:
        j = j + (j >= i)
    is_back = direction == 1
    columns = {
        "direction": direction,
        "source": np.where(is_back, targets.numbers[j], ends.sources.numbers[i]),
        "target": np.where(is_back, ends.sources.numbers[i], targets.numbers[j]),
    }
    batches = []
    for first in range(0, max(len(number), 1), PATHS_PER_BATCH):
        batch = slice(first, first + PATHS_PER_BATCH)
        a, b = ends.sources.values[i[batch]], targets.values[j[batch]]
        swap = torch.from_numpy(is_back[batch]).view(-1, *[1] * (a.ndim - 1))
        walked = walk_ends(network, torch.where(swap, b, a), torch.where(swap, a, b), way)
        batches.append(measure_paths(walked, measures, tables))
    return columns | {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def walk_ends(network: "nn.Module", a: "Tensor", b: "Tensor", way: Mapping[str, Any]) -> WalkedPaths:
    """Return a batch of paths after their walk, as measures of a path take it."""
    from spaceprobe.folding import walk_with_flips

    return WalkedPaths(network, a, b, *walk_with_flips(network, a, b, **way), way)


def measure_paths(
    paths: WalkedPaths,
    measures: Sequence[PathMeasure] | None = None,
    tables: "Sequence[tuple[PathTable, Any]]" = (),
) -> dict[str, np.ndarray]:
    """Return the distance of the ends of a batch of paths, and what the measures of a path give.

    Args:
        paths: that were walked.
        measures: of a single path; None for those that every path has.
        tables: see `sample_detail`.
    """
    if measures is None:
        measures = [measure for measure in PATH_MEASURES.values() if measure.setting is None]
    columns = {"distance": torch.linalg.vector_norm((paths.ends - paths.starts).flatten(1), dim=1).numpy()}
    for measure in measures:
        columns |= measure.measure(paths)
    for table, observed in tables:
        for name, values in table.measure(paths, observed).items():
            columns[f"{table.table_name}.{name}"] = values
    return columns


def _draw(num_paths: int, num_asked: int, directions: "Sequence[Direction]") -> np.ndarray:
    """Return the numbers of the paths that are kept, ascending."""
    if num_paths <= num_asked:
        return np.arange(num_paths)
    text = json.dumps([dict(direction.key) for direction in directions], sort_keys=True)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest(), "little")
    return np.sort(np.random.default_rng(seed).choice(num_paths, num_asked, replace=False))
