"""The Swiss roll: a sheet of two coordinates, rolled up in three dimensions."""

import math

import numpy as np
import torch
from jaxtyping import Float64, Int64
from sklearn.datasets import make_swiss_roll

from spaceprobe.data.dataset import Dataset, Split

TASKS = ("regression", "classification")
ANGLE = (1.5 * math.pi, 4.5 * math.pi)
"""Where the angle t lies in scikit-learn's roll, uniformly."""
HEIGHT = (0.0, 21.0)
"""Where the height lies, uniformly."""
MAX_NOISE = 1000.0  # chosen: forty times the roll, nothing of which is left


def swiss_roll(
    num_points: int = 2000,
    num_test_points: int = 1000,
    noise: float = 0.0,
    seed: int = 0,
    task: str = "regression",
    num_classes: int = 4,
) -> Dataset:
    """Return points on a Swiss roll, with their place on the unrolled sheet or their strip of it.

    A point is (t cos t, height, t sin t) plus noise, t uniform in [1.5π, 4.5π], height uniform in [0, 21].
    The inputs are centred and divided by one number, so that the roll keeps its shape: mean and root mean
    square coordinate of the training points become 0 and 1, and the test points follow. Training points,
    test points and noise come from the seed alone, both sets from streams of their own; another number of
    points is another draw.

    Source: S. Marsland, "Machine Learning: An Algorithmic Perspective", chapter 6, by way of scikit-learn.

    Args:
        num_points: training points; at least 2, which centring and scaling need.
        num_test_points: test points; at least 1.
        noise: standard deviation of the noise a coordinate, before scaling, 0 to 1000; the roll is about 25
            wide and its turns are 2π apart.
        seed: of everything drawn; 0 or more.
        task: ``regression``: the targets are t and height without noise, each minus its mean and over its
            standard deviation, both of the uniform distribution, so that they mean the same in every
            draw. ``classification``: equal intervals of t, so that the classes are equally likely
            (equal lengths along the roll would not be).
        num_classes: of a classification, at least 2; a regression does without.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(num_points, num_test_points, noise, seed, task, num_classes)
    train_stream, test_stream = np.random.SeedSequence(seed).spawn(2)
    train_points, train_places = _draw(num_points, noise, train_stream)
    test_points, test_places = _draw(num_test_points, noise, test_stream)
    centre = train_points.mean(0)
    scale = np.sqrt(np.mean((train_points - centre) ** 2))

    def split(points: Float64[np.ndarray, "points 3"], places: Float64[np.ndarray, "points 2"]) -> Split:
        inputs = torch.from_numpy((points - centre) / scale).float()
        if task == "regression":
            return Split(inputs, torch.from_numpy(_standardised(places)).float())
        return Split(inputs, torch.from_numpy(_strips(places[:, 0], num_classes)))

    return Dataset(
        train=split(train_points, train_places),
        test=split(test_points, test_places),
        num_classes=None if task == "regression" else num_classes,
    )


def _draw(
    num_points: int, noise: float, stream: np.random.SeedSequence
) -> tuple[Float64[np.ndarray, "points 3"], Float64[np.ndarray, "points 2"]]:
    """Return points of the roll and their t and height, which the noise does not move."""

    def roll(noise: float) -> tuple[Float64[np.ndarray, "points 3"], Float64[np.ndarray, "points"]]:
        random_state = np.random.RandomState(np.random.MT19937(stream))
        points, t = make_swiss_roll(num_points, noise=noise, random_state=random_state)
        return np.asarray(points), np.atleast_1d(t)  # of one point, t comes without its axis

    # scikit-learn tells t but no height; it draws both before the noise, so a roll without noise has them.
    points, _ = roll(noise)
    clean, t = roll(0.0)
    return points, np.column_stack([t, clean[:, 1]])


def _standardised(places: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 2"]:
    bounds = np.array([ANGLE, HEIGHT], dtype=np.float64)
    low, high = bounds[:, 0], bounds[:, 1]
    return (places - (low + high) / 2) / ((high - low) / math.sqrt(12))  # a uniform law's mean and deviation


def _strips(t: Float64[np.ndarray, "points"], num_classes: int) -> Int64[np.ndarray, "points"]:
    low, high = ANGLE
    strips = np.floor((t - low) / (high - low) * num_classes).astype(np.int64)
    return strips.clip(0, num_classes - 1)  # rounding may put a t beside an end of the roll on it or beyond


def _check(
    num_points: int, num_test_points: int, noise: float, seed: int, task: str, num_classes: int
) -> None:
    for name, value, least in [
        ("num_points", num_points, 2),
        ("num_test_points", num_test_points, 1),
        ("seed", seed, 0),
        ("num_classes", num_classes, 2),
    ]:
        if value < least:
            raise ValueError(f"{name} is {value}: expected at least {least}")
    if not 0 <= noise <= MAX_NOISE:
        raise ValueError(f"noise is {noise}: expected a number from 0 to {MAX_NOISE:g}")
    if task not in TASKS:
        raise ValueError(f"task is {task!r}: choose {' or '.join(TASKS)}")
