"""The paths that a recorder walks again and again: drawn once between points that a user gives."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spaceprobe.folding.points import Points, read_points
from spaceprobe.stages.fold.model_ends import ChosenPaths, of_all_pairs


@dataclass(frozen=True)
class RecordedPaths:
    """Paths, with no other points than their ends.

    Attributes:
        chosen: the paths; their ends are numbered among the points that are kept.
        numbers: the number of each point that is kept, among those that were given.
        digest: the SHA-256 of the ends, of their numbers and of their classes.
    """

    chosen: ChosenPaths
    numbers: np.ndarray
    digest: str

    def first(self, num_paths: int) -> ChosenPaths:
        """Return some of the paths, the first ones."""
        return replace(
            self.chosen,
            source=self.chosen.source[:num_paths],
            target=self.chosen.target[:num_paths],
            number=self.chosen.number[:num_paths],
            columns={name: values[:num_paths] for name, values in self.chosen.columns.items()},
        )


def draw_paths(images: Points, labels: Points | None, num_paths: int, seed: int) -> RecordedPaths:
    """Return paths drawn among those between any two of the points, each read from both ends.

    Args:
        images: of shape ``(points, *input shape)``, at least two.
        labels: the class of each point, whole numbers from 0; None where there are no classes.
        num_paths: how many, at least 1; all, where there are fewer.
        seed: of the draw.

    Raises:
        ValueError: the points or labels are not of these shapes, or not finite numbers.
    """
    points = read_points("images", images)
    if points.ndim < 2 or len(points) < 2:
        raise ValueError(
            f"images has shape {tuple(points.shape)}: expected two points or more, (points, *input shape)"
        )
    classes = torch.zeros(len(points), dtype=torch.int64) if labels is None else _classes(labels, len(points))
    paths = of_all_pairs(points, classes, int(classes.max()) + 1, None, num_paths, seed)
    numbers, places = np.unique(np.concatenate([paths.source, paths.target]), return_inverse=True)
    kept = points[torch.from_numpy(numbers).to(points.device)].cpu().clone()
    if kept.is_floating_point() and not torch.isfinite(kept).all():
        raise ValueError("images: expected finite numbers, got NaN or infinity")
    source, target = np.split(places, 2)
    columns = {} if labels is None else paths.columns
    chosen = replace(paths, starts=kept, ends=kept, source=source, target=target, columns=columns)
    return RecordedPaths(chosen, numbers, _digest(chosen, numbers))


def _classes(labels: Points, num_points: int) -> Tensor:
    """Return labels as whole numbers.

    Raises:
        ValueError: they are not whole numbers from 0, one for each point.
    """
    classes = read_points("labels", labels).cpu()
    if classes.shape != (num_points,):
        raise ValueError(
            f"labels has shape {tuple(classes.shape)}: expected ({num_points},), a class for each of images"
        )
    whole = classes.to(torch.int64)
    if bool((whole != classes).any()) or int(whole.min()) < 0:
        raise ValueError("labels: expected whole numbers from 0, the class of each point")
    return whole


def _digest(paths: ChosenPaths, numbers: np.ndarray) -> str:
    digest = hashlib.sha256(f"{tuple(paths.starts.shape)}".encode())
    digest.update(paths.starts.double().contiguous().numpy().tobytes())
    for array in (numbers, paths.source, paths.target, paths.number, *paths.columns.values()):
        digest.update(np.asarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()
