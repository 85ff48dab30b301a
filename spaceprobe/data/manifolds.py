"""Surfaces with known dimension and topology, and noise that has none: points that are drawn."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from numpy.random import RandomState

from spaceprobe.data.dataset import Dataset, Split

TASKS = ("regression", "classification")
RADIUS, TUBE = 2.0, 1.0
"""Of the torus: from its centre to the middle of the tube, and of the tube; chosen."""
NOISE_FEATURES = 64
"""Chosen: as many as a digit of 8 × 8 pixels has."""
CUBE_FEATURES = 16
"""Chosen: in how many a cube lies; linear layers of a few dozen units can still span its squares."""
NUM_TARGETS = 2
"""Of noise; as many as the Swiss roll has."""
MAX_NOISE = 1000.0  # chosen: nothing is left of a surface of radius 1 or 3
KEPLER_STEPS = 8
"""Newton steps for the angle around the tube; with TUBE / RADIUS = 0.5 six reach float64."""

Shares = Float64[np.ndarray, "points"]
"""In [0, 1), uniformly distributed over the points; classes are equal intervals of it."""

Draw = Callable[
    [int, RandomState],
    tuple[Float64[np.ndarray, "points features"], Float64[np.ndarray, "points targets"], Shares],
]
"""Returns points without noise, their targets, and the shares."""


def sphere(
    num_points: int = 2000,
    num_test_points: int = 1000,
    noise: float = 0.0,
    seed: int = 0,
    task: str = "regression",
    num_classes: int = 4,
) -> Dataset:
    """Return points of the unit sphere in three dimensions, uniform on its area.

    The inputs are centred and divided by one number, as those of `swiss_roll`; training points, test points
    and noise come from the seed alone, both sets from streams of their own.

    Args:
        num_points: training points; at least 2, which centring and scaling need.
        num_test_points: test points; at least 1.
        noise: standard deviation of the noise a coordinate, before scaling, 0 to 1000; the radius is 1.
        seed: of everything drawn; 0 or more.
        task: ``regression``: the targets are √15·xy and √15·yz of the point without noise, two spherical
            harmonics of degree 2, with mean 0 and variance 1 over the sphere (its coordinates would be
            linear in the inputs). ``classification``: bands of equal height, which have equal areas.
        num_classes: of a classification, at least 2; a regression does without.

    Raises:
        ValueError: an argument is out of range.
    """
    return _dataset(_on_sphere, num_points, num_test_points, noise, seed, task, num_classes)


def torus(
    num_points: int = 2000,
    num_test_points: int = 1000,
    noise: float = 0.0,
    seed: int = 0,
    task: str = "regression",
    num_classes: int = 4,
) -> Dataset:
    """Return points of a torus in three dimensions, uniform on its area.

    Its tube has radius 1, and the middle of the tube is 2 from the centre. With the angles u around the tube
    and v around the axis a point is ((2 + cos u) cos v, (2 + cos u) sin v, sin u). u has the density
    (2 + cos u) / 4π: Diaconis, Holmes and Shahshahani, Sampling from a manifold (2013), section 2.2.

    Args:
        num_points: as of `sphere`, like ``num_test_points``, ``seed`` and ``num_classes``.
        num_test_points: test points.
        noise: standard deviation of the noise a coordinate, before scaling, 0 to 1000; the torus is 6 wide.
        seed: of everything drawn.
        task: ``regression``: the targets are cos u, sin u, cos v and sin v without noise, each minus its mean
            and over its standard deviation, both over the torus. ``classification``: intervals of u with
            equal areas, from the outer equator on.
        num_classes: of a classification.

    Raises:
        ValueError: an argument is out of range.
    """
    return _dataset(_on_torus, num_points, num_test_points, noise, seed, task, num_classes)


def gaussian_noise(
    num_points: int = 2000,
    num_test_points: int = 1000,
    seed: int = 0,
    task: str = "regression",
    num_classes: int = 4,
) -> Dataset:
    """Return points of 64 independent standard normal coordinates, with targets that do not depend on them.

    A control: the points lie on no manifold of lower dimension, and what is learnt of the training points
    says nothing about the test points.

    Args:
        num_points: as of `sphere`, like ``num_test_points``, ``seed`` and ``num_classes``.
        num_test_points: test points.
        seed: of everything drawn.
        task: ``regression``: the targets are two standard normal numbers. ``classification``: all classes are
            equally likely.
        num_classes: of a classification.

    Raises:
        ValueError: an argument is out of range.
    """
    return _dataset(_off_manifold, num_points, num_test_points, 0.0, seed, task, num_classes)


def cube(
    num_points: int = 2000,
    num_test_points: int = 1000,
    noise: float = 0.0,
    seed: int = 0,
    task: str = "regression",
    num_classes: int = 4,
    dimension: int = 2,
) -> Dataset:
    """Return points of a flat cube of some dimension, uniform on it, in 16 dimensions.

    The cube [-√3, √3]^d, whose coordinates have variance 1, is turned into 16 dimensions by orthonormal
    columns that are drawn with the seed: points, their dimension and that of the flat that they span are
    known, and d can be chosen.

    Args:
        num_points: as of `sphere`, like ``num_test_points``, ``seed`` and ``num_classes``.
        num_test_points: test points.
        noise: standard deviation of the noise of each of the 16 coordinates, before scaling, 0 to 1000.
        seed: of everything drawn.
        task: ``regression``: the target is sin(π s/√3) without noise, over its standard deviation, of
            s = (x_1 + … + x_d) / √d, which has variance 1 in every dimension: a wave along the diagonal.
            ``classification``: intervals of the first coordinate of equal length.
        num_classes: of a classification.
        dimension: d, from 1 to 16.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 1 <= dimension <= CUBE_FEATURES:
        raise ValueError(f"dimension is {dimension}: expected 1 to {CUBE_FEATURES}")
    # A stream beside the two of the points, which are those that spawn(2) gives.
    columns = RandomState(np.random.MT19937(np.random.SeedSequence(max(seed, 0)).spawn(3)[2]))
    frame, _ = np.linalg.qr(columns.standard_normal((CUBE_FEATURES, dimension)))

    def draw(
        num_points: int, random: RandomState
    ) -> tuple[Float64[np.ndarray, "points features"], Float64[np.ndarray, "points 1"], Shares]:
        coordinates = random.uniform(-math.sqrt(3), math.sqrt(3), (num_points, dimension))
        wave = np.sin(WAVE * coordinates.sum(1) / math.sqrt(dimension)) / _wave_deviation(dimension)
        return coordinates @ frame.T, wave[:, None], (coordinates[:, 0] / math.sqrt(3) + 1) / 2

    return _dataset(draw, num_points, num_test_points, noise, seed, task, num_classes)


WAVE = math.pi / math.sqrt(3)
"""Of the cube's target: one whole wave along an edge; chosen."""


def _wave_deviation(dimension: int) -> float:
    """Return the standard deviation of sin(WAVE · s) over the cube.

    sin² = (1 - cos 2·)/2, and the mean cosine of a sum of independent symmetric numbers is the product of
    theirs, each sin(a)/a with a = 2π/√d.
    """
    a = 2 * math.pi / math.sqrt(dimension)
    return math.sqrt((1 - (math.sin(a) / a) ** dimension) / 2)


def _on_sphere(
    num_points: int, random: RandomState
) -> tuple[Float64[np.ndarray, "points 3"], Float64[np.ndarray, "points 2"], Shares]:
    points = random.standard_normal((num_points, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    x, y, z = points.T
    # The height of a uniform point is uniform in [-1, 1] (Archimedes).
    return points, math.sqrt(15) * np.column_stack([x * y, y * z]), (z + 1) / 2


def _on_torus(
    num_points: int, random: RandomState
) -> tuple[Float64[np.ndarray, "points 3"], Float64[np.ndarray, "points 4"], Shares]:
    shares, turns = random.uniform(size=(2, num_points))
    u, v = _tube_angle(shares), 2 * math.pi * turns
    from_axis = RADIUS + TUBE * np.cos(u)
    points = np.column_stack([from_axis * np.cos(v), from_axis * np.sin(v), TUBE * np.sin(u)])
    # Over the torus cos u has mean TUBE / 2 RADIUS, and its square the mean 1/2, as those of the others.
    mean = TUBE / (2 * RADIUS)
    cosine = (np.cos(u) - mean) / math.sqrt(0.5 - mean**2)
    return (
        points,
        np.column_stack([cosine, *(math.sqrt(2) * np.array([np.sin(u), np.cos(v), np.sin(v)]))]),
        shares,
    )


def _tube_angle(shares: Shares) -> Float64[np.ndarray, "points"]:
    """Return the angle u around the tube up to which such a share of the torus's area lies.

    It solves u + TUBE / RADIUS · sin u = 2π · share, Kepler's equation with a negative eccentricity, by
    Newton's method.
    """
    wanted = 2 * math.pi * shares
    u = wanted.copy()
    for _ in range(KEPLER_STEPS):
        u -= (u + TUBE / RADIUS * np.sin(u) - wanted) / (1 + TUBE / RADIUS * np.cos(u))
    return u


def _off_manifold(
    num_points: int, random: RandomState
) -> tuple[Float64[np.ndarray, "points features"], Float64[np.ndarray, "points targets"], Shares]:
    points = random.standard_normal((num_points, NOISE_FEATURES))
    return points, random.standard_normal((num_points, NUM_TARGETS)), random.uniform(size=num_points)


def _dataset(
    draw: Draw, num_points: int, num_test_points: int, noise: float, seed: int, task: str, num_classes: int
) -> Dataset:
    """Return drawn points, centred and scaled by what the training points give."""
    _check(num_points, num_test_points, noise, seed, task, num_classes)
    drawn = []
    for size, stream in zip(
        (num_points, num_test_points), np.random.SeedSequence(seed).spawn(2), strict=True
    ):
        random = RandomState(np.random.MT19937(stream))  # whose numbers NumPy keeps as they are
        points, targets, shares = draw(size, random)
        drawn.append((points + noise * random.standard_normal(points.shape), targets, shares))
    centre = drawn[0][0].mean(0)
    scale = np.sqrt(np.mean((drawn[0][0] - centre) ** 2))

    def split(
        points: Float64[np.ndarray, "points features"],
        targets: Float64[np.ndarray, "points targets"],
        shares: Shares,
    ) -> Split:
        inputs = torch.from_numpy((points - centre) / scale).float()
        if task == "regression":
            return Split(inputs, torch.from_numpy(targets).float())
        classes = np.floor(shares * num_classes).astype(np.int64).clip(0, num_classes - 1)
        return Split(inputs, torch.from_numpy(classes))

    train, test = (split(*whole) for whole in drawn)
    return Dataset(train, test, None if task == "regression" else num_classes)


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
