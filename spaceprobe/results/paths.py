"""The walk of a single path between two images of a study, and its text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding import Method, PathTrace, PlacedEngine, passed_over, trace_path
from spaceprobe.machine.torch_threads import one_thread
from spaceprobe.results.trained_run import EXACT, PathEnd, TrainedRun

NUM_IMAGES = 9
"""Chosen: images along a path, both ends included."""

Images = Float64[np.ndarray, "images height width"] | Float64[np.ndarray, "images height width 3"]
"""Grey images, or images in colour; pixels in [0, 1]."""


@dataclass(frozen=True)
class WalkedPath:
    """The walk of a path between two test images.

    Attributes:
        study: the study's name.
        run: the run's name.
        epoch: after which its network is walked through.
        source: where the path starts.
        target: where it ends.
        reading: how it was read: ``exact``, or the number of points.
        trace: the path, step by step.
        images: along the path, evenly spaced, both ends included; None of points that are not images.
        not_counted: functions of the network that are neither affine nor counted.
    """

    study: str
    run: str
    epoch: int
    source: PathEnd
    target: PathEnd
    reading: str
    trace: PathTrace
    images: Images | None
    not_counted: tuple[str, ...] = ()


def walk_images(
    trained: TrainedRun,
    asked_epoch: str,
    numbers: tuple[int, int],
    *,
    method: Method = "exact",
    num_points: int = 100,
) -> WalkedPath:
    """Return the path between two test images through the network of a run.

    Args:
        trained: the run.
        asked_epoch: see `TrainedRun.epoch`.
        numbers: of the images where it starts and ends, from 0.
        method: see `spaceprobe.folding.walk_paths`.
        num_points: of a sampled path, or that an adaptive one starts with.

    Raises:
        SpaceprobeError: there is no such epoch or image, or a file is missing or damaged.
    """
    source, target = (
        trained.image(number, flag) for number, flag in zip(numbers, ("--from", "--to"), strict=True)
    )
    epoch = trained.epoch(asked_epoch)
    start, end = (trained.test_images().inputs[image.number].double() for image in (source, target))
    with one_thread():
        network = trained.network(epoch)
        trace = trace_path(network, start, end, method=method, num_points=num_points, warn=False)
        not_counted = passed_over(network, start[None])
    reading = reading_of(method, num_points)
    images = images_between(start, end, trained.input_shape)
    run = trained.run.name
    return WalkedPath(trained.study, run, epoch, source, target, reading, trace, images, not_counted)


def reading_of(method: Method | PlacedEngine, num_points: int) -> str:
    """Return how a path was read: ``exact``, or at how many points."""
    readings = {
        "sampled": f"{num_points:,} points",
        "adaptive": f"{num_points:,} points and more where units flip",
    }
    return readings.get(method, "exact")


def images_between(
    start: Float64[Tensor, " pixels"], end: Float64[Tensor, " pixels"], shape: Sequence[int]
) -> Images | None:
    """Return `NUM_IMAGES` evenly spaced images of a path, both ends included; None for other points.

    Args:
        start: the point where it starts, flattened.
        end: the point where it ends.
        shape: of a point, as of `spaceprobe.data.entry.DataLayout`.
    """
    if len(shape) == 1:
        return None
    t = torch.linspace(0, 1, NUM_IMAGES, dtype=torch.float64)[:, None]
    images: np.ndarray = torch.lerp(start[None], end[None], t).reshape(-1, *shape).numpy()
    low, high = images.min(), images.max()
    if low < 0 or high > 1:  # a user's own scale
        images = (images - low) / (high - low or 1)
    return images if len(shape) == 2 else np.moveaxis(images, 1, -1)


def describe_path(path: WalkedPath) -> str:
    """Return a path as text: its ends, its steps, and a summary."""
    head = f"{path.study}, {path.run}, epoch {path.epoch}: from {path.source.name} to {path.target.name}, "
    lines = [head + path.reading, "", path_table(path.trace), "", summary_line(path.trace, path.reading)]
    if path.not_counted:
        lines.append(f"not counted: {', '.join(path.not_counted)}")
    return "\n".join(lines)


def summary_line(trace: PathTrace, reading: str) -> str:
    """Return length, reach, χ, peak folding and number of regions of a path.

    Args:
        trace: the path.
        reading: how it was read; points may have missed regions.
    """
    # The line meets each region once, since regions are convex: every step that flips enters a new one.
    num_regions = 1 + int((trace.length[1:] > trace.length[:-1]).sum())
    regions = f"{num_regions} region{'s' * (num_regions != 1)}"
    if reading not in EXACT:
        regions = f"at least {regions} ({reading} were seen)"
    return (
        f"length {trace.length[-1]}, reach {trace.distance.max()}, χ {trace.chi[-1]:.4f}, "
        f"peak folding {trace.chi.max():.4f}, {regions}"
    )


def path_frame(trace: PathTrace) -> pd.DataFrame:
    """Return a path as a frame: t, distance from the start, flips so far, χ so far."""
    columns = {"t": trace.t, "distance": trace.distance, "flips": trace.length, "chi": trace.chi}
    return pd.DataFrame(columns)


def path_table(trace: PathTrace) -> str:
    """Return a path as a table: t, distance from the start, flips so far, χ so far."""
    frame = path_frame(trace).rename(columns={"chi": "χ"})
    return frame.to_string(index=False, float_format=lambda number: f"{number:.4f}")
