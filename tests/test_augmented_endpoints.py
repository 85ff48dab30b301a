"""Paths to transformed copies of images, and how images are transformed."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.transforms import InterpolationMode, functional

from spaceprobe.data.transforms import each_rotated, each_shifted, rotated, shifted
from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.augmented import AugmentedSettings
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.networks import load_data
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

AUGMENTED = ENDPOINTS["augmented"]

ROUNDING = 1e-12
"""Bilinear weights from angles that were computed in another order."""

SHAPES = [(7, 9), (3, 6, 5), (8, 8)]


def pixels(shape, num=5, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(num, int(np.prod(shape)))))


# --- transformations ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_shifts_move_whole_pixels(shape):
    images = pixels(shape)
    moved = shifted(images, 2, -1, shape).view(-1, *shape)
    before = images.view(-1, *shape)
    expected = torch.zeros_like(before)
    expected[..., :-1, 2:] = before[..., 1:, :-2]
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotations_of_quarters(shape):
    images = pixels(shape)
    assert torch.allclose(rotated(images, 0.0, shape), images, atol=ROUNDING, rtol=0)
    half = rotated(images, 180.0, shape).view(-1, *shape)
    assert torch.allclose(half, images.view(-1, *shape).flip(-1, -2), atol=ROUNDING, rtol=0)
    if shape[-1] == shape[-2]:
        quarter = rotated(images, 90.0, shape).view(-1, *shape)
        assert torch.allclose(quarter, images.view(-1, *shape).rot90(1, (-2, -1)), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_by_itself_is_what_torchvision_gives(shape):
    images = pixels(shape)
    degrees = torch.tensor([0.0, 13.0, -40.0, 90.0, 171.0]).double()
    together = each_rotated(images, degrees, shape)
    right, down = [0, 2, -1, 3, -4], [1, 0, -2, 4, 3]
    moved = each_shifted(images, right, down, shape)
    for i, image in enumerate(images.view(5, -1, *shape[-2:])):
        turned = functional.rotate(image, float(degrees[i]), InterpolationMode.BILINEAR)
        assert (together[i] - turned.flatten()).abs().max() < ROUNDING
        assert torch.equal(moved[i], shifted(images[i : i + 1], right[i], down[i], shape)[0])


def test_no_images():
    assert each_shifted(pixels((4, 4), 0), [], [], (4, 4)).shape == (0, 16)
    assert each_rotated(pixels((4, 4), 0), torch.zeros(0).double(), (4, 4)).shape == (0, 16)
    assert rotated(pixels((4, 4), 0), 10.0, (4, 4)).shape == (0, 16)


# --- the source --------------------------------------------------------------------------------


def sections(data=None, **settings):
    return {
        "data": DataSettings(**(data or {"train_images": 300})),
        "network": NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(per_class=6),
        "augmented": AugmentedSettings(**settings),
    }


def ends(name="augmented", label=3, **settings):
    asked = sections(**settings)
    return ENDPOINTS[name].ends(torch.nn.Identity(), load_data(asked["data"]), {"class": label}, asked)


CASES = [
    {"transform": "rotation", "amount": 33.3},
    {"transform": "shift", "amount": 3.0},
    {"transform": "noise", "amount": 0.4},
]


@pytest.mark.parametrize("settings", CASES, ids=lambda settings: settings["transform"])
def test_copies_are_repeatable_and_inside_the_range(settings):
    found = ends(**settings)
    images, copies = found.sources.values, found.targets.values
    assert copies.dtype == torch.float64
    assert (copies >= 0).all()
    assert (copies <= 1).all()
    assert (copies != images).any(1).all()
    assert found.sources.numbers.tolist() == found.targets.numbers.tolist()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert ends(**settings).targets.values.numpy().tobytes() == copies.numpy().tobytes()
    finally:
        torch.set_num_threads(before)


def test_copies_are_what_they_are_called():
    found = ends(transform="rotation", amount=20.0)
    images = found.sources.values.view(-1, 1, 28, 28)
    turned = functional.rotate(images, 20.0, InterpolationMode.BILINEAR)
    assert torch.equal(found.targets.values, turned.flatten(1).clamp(0, 1))
    found = ends(transform="shift", amount=4.0)
    images, copies = (points.values.view(-1, 28, 28) for points in (found.sources, found.targets))
    assert torch.equal(copies[:, :, 4:], images[:, :, :-4])
    first, other = (ends(transform="noise", amount=0.1, noise_seed=seed).targets.values for seed in (0, 1))
    assert not torch.equal(first, other)
    inside = (found.sources.values > 0.45) & (found.sources.values < 0.55)
    noise = (first - found.sources.values)[inside]
    assert 0.07 < float(noise.std()) < 0.13


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"transform": "rotation", "amount": 181.0},
            "amount: a rotation by 181 degrees: expected at most 180",
        ),
        ({"transform": "shift", "amount": 1.5}, "amount: a shift by 1.5 pixels: expected a whole number"),
        ({"transform": "shift", "amount": 0.0}, "greater than 0"),
        ({"amount": float("inf")}, "finite"),
        ({"transform": "flip"}, "transform"),
    ],
)
def test_settings_that_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        AugmentedSettings(**settings)


def test_data_that_cannot_be_transformed_so(tmp_path):
    with pytest.raises(SettingsError, match="leaves nothing of an image whose side has 28; set less than 28"):
        AUGMENTED.check(sections(transform="shift", amount=28.0), 10)
    rng = np.random.default_rng(0)
    file = tmp_path / "rows.npz"
    rows = {f"x_{part}": rng.normal(size=(20, 3)) for part in ("train", "test")}
    np.savez(file, **rows, y_train=np.arange(20) % 2, y_test=np.arange(20) % 2)
    with pytest.raises(SettingsError, match=r"rotation is for images, and the data are rows of 3 numbers"):
        AUGMENTED.check(sections({"file": file}, transform="rotation"), 2)
    noisy = sections({"file": file}, transform="noise", amount=5.0)
    AUGMENTED.check(noisy, 2)
    data = load_data(noisy["data"])
    copies = AUGMENTED.ends(torch.nn.Identity(), data, {"class": 1}, noisy).targets.values
    every = torch.cat([data.train.inputs, data.test.inputs]).double()
    assert (copies >= every.amin(0)).all()
    assert (copies <= every.amax(0)).all()


STUDY = """\
data: {train_images: 300}
network: {architecture: 3x9}
training: {epochs: 1}
folding: {per_class: 3, epoch: last, endpoints: augmented}
study: {stages: [train, fold]}
sweep:
  zip:
    augmented.transform: [rotation, rotation, shift, noise]
    augmented.amount: [10.0, 20.0, 2.0, 0.3]
"""


def test_tables_of_a_study(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    table = pd.read_csv(tmp_path / "small" / "folding_augmented.csv").query("measure == 'chi'")
    assert table.groupby(["transform", "amount"])["num_paths"].sum().to_dict() == {
        ("rotation", 10.0): 30,
        ("rotation", 20.0): 30,
        ("shift", 2.0): 30,
        ("noise", 0.3): 30,
    }
