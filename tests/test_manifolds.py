"""The sphere, the torus and noise: points that are drawn."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaceprobe.data.manifolds import cube, gaussian_noise, sphere, torus
from spaceprobe.data.sets import DATASETS
from spaceprobe.lmd.dimension import estimate_dimension
from spaceprobe.stages.train.settings import DataSettings

FLOAT32_TOLERANCE = 3e-6  # inputs and targets up to 4 in size, a few roundings of 6e-8 each
ANGLE_TOLERANCE = 2e-5  # an angle from cosine and sine in float32, over the smallest derivative
SETS = {"sphere": sphere, "torus": torus, "noise": gaussian_noise, "cube": cube}


def torus_angles(targets):
    """Return the angles around the tube and the axis, undone by hand: cos u has mean 1/4, variance 7/16."""
    u = np.arctan2(targets[:, 1] / math.sqrt(2), targets[:, 0] * math.sqrt(7 / 16) + 1 / 4)
    return u, np.arctan2(targets[:, 3], targets[:, 2])


def torus_points(targets):
    u, v = torus_angles(targets)
    return np.stack([(2 + np.cos(u)) * np.cos(v), (2 + np.cos(u)) * np.sin(v), np.sin(u)], axis=1)


def test_a_sphere_is_a_sphere_about_one_centre():
    data = sphere(90, 40, seed=3)
    # |x|² = r² about the centre c is linear in c: 2 x·c + (r² - c·c) = x·x.
    inputs = torch.cat([data.train.inputs, data.test.inputs]).double().numpy()
    system = np.column_stack([2 * inputs, np.ones(len(inputs))])
    (*centre, rest), *_ = np.linalg.lstsq(system, (inputs**2).sum(1), rcond=None)
    radius = math.sqrt(rest + np.dot(centre, centre))
    assert np.abs(np.linalg.norm(inputs - centre, axis=1) - radius).max() < FLOAT32_TOLERANCE
    x, y, z = ((inputs - centre) / radius).T
    targets = torch.cat([data.train.targets, data.test.targets]).double().numpy()
    # The centre is a fit, so its rounding is larger than that of a point.
    assert np.abs(targets - math.sqrt(15) * np.stack([x * y, y * z], axis=1)).max() < 10 * FLOAT32_TOLERANCE


def test_a_torus_is_made_of_its_angles():
    data = torus(90, 40, seed=3)
    train = torus_points(data.train.targets.double().numpy())
    centre, scale = train.mean(0), np.sqrt(((train - train.mean(0)) ** 2).mean())
    for split in (data.train, data.test):
        points = torus_points(split.targets.double().numpy())
        assert np.abs(split.inputs.numpy() - (points - centre) / scale).max() < ANGLE_TOLERANCE


@pytest.mark.parametrize("name", SETS)
def test_targets_are_standardised_by_the_law_and_inputs_by_the_draw(name):
    data = SETS[name](4000, 1, seed=1).train
    targets = data.targets.double()
    # Five standard errors; the largest fourth moment is that of a normal number, 3.
    assert float(targets.mean(0).abs().max()) < 5 / math.sqrt(4000)
    assert float((targets.square().mean(0) - 1).abs().max()) < 5 * math.sqrt(2 / 4000)
    inputs = data.inputs.double()
    assert float(inputs.mean(0).abs().max()) < FLOAT32_TOLERANCE
    assert float(inputs.square().mean()) == pytest.approx(1, abs=FLOAT32_TOLERANCE)


def test_points_are_uniform_on_the_area():
    sine = torus(8000, 1, seed=2).train.targets.double().numpy()
    outer = np.cos(torus_angles(sine)[0]) > 0
    # The outer half of a tube has (π r R + 2 r²) / 2π r R of the area: 1/2 + 1/2π here.
    share = 0.5 + 1 / (2 * math.pi)
    assert abs(outer.mean() - share) < 5 * math.sqrt(share * (1 - share) / 8000)


@pytest.mark.parametrize("name", SETS)
def test_classes_are_equally_likely(name):
    data = SETS[name](8000, 1, task="classification")
    labels = data.train.targets
    assert (data.num_classes, labels.dtype) == (4, torch.int64)
    assert (labels.bincount(minlength=4) - 2000).abs().max() < 5 * math.sqrt(8000 * 0.25 * 0.75)


def test_classes_of_the_sphere_are_bands_and_those_of_the_torus_go_around_the_tube():
    ball, labels = (sphere(300, 1, task=task).train for task in ("regression", "classification"))
    assert torch.equal(ball.inputs, labels.inputs)
    heights = [labels.inputs[labels.targets == label, 2] for label in range(4)]
    assert all(below.max() < above.min() for below, above in itertools.pairwise(heights))
    ring, labels = (torus(300, 1, task=task).train for task in ("regression", "classification"))
    u = torus_angles(ring.targets.double().numpy())[0] % (2 * math.pi)
    angles = [u[labels.targets.numpy() == label] for label in range(4)]
    assert all(below.max() < above.min() for below, above in itertools.pairwise(angles))
    assert max(angles[1]) == pytest.approx(math.pi, abs=0.2)


@pytest.mark.parametrize(("name", "dimension"), [("sphere", 2), ("torus", 2)])
def test_surfaces_have_two_dimensions(name, dimension):
    inputs = SETS[name](2000, 1).train.inputs.double()
    assert estimate_dimension(inputs, "twonn").dimension == pytest.approx(dimension, abs=0.15)


def test_noise_has_many_dimensions_and_targets_without_them():
    data = gaussian_noise(4000, 1).train
    assert data.inputs.shape == (4000, 64)
    assert estimate_dimension(data.inputs.double(), "twonn").dimension > 20
    together = torch.corrcoef(torch.cat([data.inputs, data.targets], dim=1).double().T)
    assert float((together - torch.eye(66)).abs().max()) < 5 / math.sqrt(4000)


@pytest.mark.parametrize("name", ["sphere", "torus"])
def test_noise_moves_the_points_and_not_the_targets(name):
    clean, noisy = (SETS[name](3000, 50, noise=noise, seed=2) for noise in (0.0, 0.3))
    for a, b in [(clean.train, noisy.train), (clean.test, noisy.test)]:
        assert torch.equal(a.targets, b.targets)
    before, after = (data.train.inputs.double().numpy() for data in (clean, noisy))
    ratio = (after * before).sum() / (before**2).sum()  # of the two scales
    residual = (after - ratio * before) / ratio
    # Without noise the mean square coordinate is 1/3 of the sphere's 1, or of the torus's 6.
    deviation = residual.std(0) * math.sqrt({"sphere": 1, "torus": 6}[name] / 3)
    assert deviation == pytest.approx([0.3] * 3, rel=0.1)


@pytest.mark.parametrize("dimension", [1, 3, 16])
def test_a_cube_has_the_dimension_that_is_asked_for(dimension):
    data = cube(3000, 10, dimension=dimension, seed=4).train
    deviations = torch.linalg.svdvals(data.inputs.double() - data.inputs.double().mean(0))
    assert int((deviations > 1e-4 * deviations[0]).sum()) == dimension  # beyond it is the rounding of float32
    # Axes of equal variance: no direction of a cube is shorter than another, but for the draw.
    assert deviations[dimension - 1] / deviations[0] > 0.85
    assert data.inputs.shape == (3000, 16)
    deviation = float(data.targets.double().std())
    assert deviation == pytest.approx(1, abs=5 / math.sqrt(2 * 3000))


def test_the_target_of_a_cube_is_a_wave_along_its_diagonal():
    data = cube(4000, 10, dimension=1, seed=4).train
    # On a line the inputs tell the coordinate but for its sign: the frame's largest entry is that of an axis.
    x = data.inputs.double().numpy() @ np.linalg.svd(data.inputs.double().numpy())[2][0]
    x *= math.sqrt(3) / np.abs(x).max()
    wave = math.sqrt(2) * np.sin(math.pi / math.sqrt(3) * x)
    # The ends of a draw lie some 1/4000 of the line within its ends, and the mean is off by 1/√4000.
    difference = min(np.abs(sign * wave - data.targets[:, 0].double().numpy()).max() for sign in (1, -1))
    assert difference < 0.2


def test_a_cube_of_no_dimension_is_refused():
    for dimension in (0, 17):
        with pytest.raises(ValueError, match=f"dimension is {dimension}: expected 1 to 16"):
            cube(dimension=dimension)
    with pytest.raises(ValueError, match="cube_dimension does nothing with dataset: sphere; leave it out"):
        DataSettings(dataset="sphere", cube_dimension=3)


@settings(max_examples=10)
@given(st.sampled_from(sorted(SETS)), st.integers(0, 1000))
def test_points_are_drawn_from_their_seed_alone(name, seed):
    states = torch.get_rng_state(), np.random.get_state()[1]
    first, again, other = (SETS[name](30, 20, seed=number) for number in (seed, seed, seed + 1))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    for split in ("train", "test"):
        one, same, different = (getattr(data, split) for data in (first, again, other))
        assert torch.equal(one.inputs, same.inputs)
        assert torch.equal(one.targets, same.targets)
        assert not torch.isin(one.targets, different.targets).any()
    assert not torch.isin(first.test.targets, first.train.targets).any()
    more = SETS[name](31, 20, seed=seed)  # the test stream does not see how many are trained on
    assert torch.equal(more.test.targets, first.test.targets)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_points": 1}, "num_points is 1: expected at least 2"),
        ({"num_test_points": 0}, "num_test_points is 0: expected at least 1"),
        ({"seed": -1}, "seed is -1: expected at least 0"),
        ({"num_classes": 1}, "num_classes is 1: expected at least 2"),
        ({"task": "ranking"}, "task is 'ranking': choose regression or classification"),
    ],
)
def test_arguments_out_of_range(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        SETS[name](**arguments)


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_noise_out_of_range(noise):
    with pytest.raises(ValueError, match="expected a number from 0 to 1000"):
        torus(noise=noise)


@pytest.mark.parametrize("name", SETS)
def test_a_study_loads_them(name):
    entry = DATASETS[name]
    options = DataSettings(dataset=name, points=50, points_seed=7)
    data = entry.load(options)
    assert data.train.inputs.shape == (50, *entry.input_shape)
    assert torch.equal(data.train.inputs, SETS[name](50, seed=7).train.inputs)
    assert (data.num_classes, len(data.test.targets), entry.num_training_points(options)) == (4, 1000, 50)
    digests = {DATASETS[other].digest(DataSettings(dataset=other)) for other in SETS}
    assert len(digests) == len(SETS)
    assert not entry.is_walkable


def test_noise_is_not_moved_by_noise():
    with pytest.raises(ValueError, match="noise does nothing with dataset: noise; leave it out"):
        DataSettings(dataset="noise", noise=0.1)
