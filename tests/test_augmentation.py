"""Training images that are turned, moved and made noisy in each epoch."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.transforms import InterpolationMode, functional

from spaceprobe.data.augmentation import Augmentation
from spaceprobe.data.value_range import ValueRange
from spaceprobe.errors import SettingsError
from spaceprobe.stages import train
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import (
    AUGMENT_SHARE,
    AUGMENTATION,
    DataSettings,
    TrainingSettings,
    data_key,
)
from tests.commands import call

SIDE = 6
UNIT = ValueRange(torch.zeros(SIDE * SIDE).double(), torch.ones(SIDE * SIDE).double())

FLOAT32 = 1e-5
"""Bilinear weights in single precision."""


def augmentation(seed=3, values=UNIT, **amounts):
    amounts = {"rotation": 0.0, "shift": 0, "noise": 0.0} | amounts
    return Augmentation(**amounts, seed=seed, input_shape=(SIDE, SIDE), values=values)


def images(num=40):
    drawn = np.random.default_rng(0).uniform(size=(num, SIDE * SIDE))
    return torch.from_numpy(drawn.astype(np.float32))


EVERY = {"rotation": 30.0, "shift": 2, "noise": 0.2}


@pytest.mark.parametrize("name", [*EVERY, "all"])
def test_draws_are_repeatable_by_seed_and_epoch_and_inside_the_range(name):
    amounts = EVERY if name == "all" else {name: EVERY[name]}
    before, kept = images(), images()
    first = augmentation(**amounts)(before, 1)
    assert torch.equal(before, kept)
    assert first.dtype == torch.float32
    assert first.numpy().tobytes() == augmentation(**amounts)(before, 1).numpy().tobytes()
    assert not torch.equal(first, augmentation(**amounts)(before, 2))
    assert not torch.equal(first, augmentation(**amounts, seed=4)(before, 1))
    assert (first >= 0).all()
    assert (first <= 1).all()
    assert not torch.equal(first, before)


def test_a_kind_that_is_added_leaves_the_draws_of_the_others():
    alone = augmentation(shift=2)(images(), 1)
    turned = augmentation(shift=2, rotation=1e-9)(images(), 1)
    assert (alone - turned).abs().max() < FLOAT32


def test_chunks_change_nothing(monkeypatch):
    whole = augmentation(**EVERY)(images(), 1)
    monkeypatch.setattr("spaceprobe.data.augmentation.CHUNK", 7)
    assert (augmentation(**EVERY)(images(), 1) - whole).abs().max() < FLOAT32


def test_each_image_is_moved_by_what_is_allowed():
    before = images().view(-1, SIDE, SIDE)
    moved = augmentation(shift=1)(images(), 1).view(-1, SIDE, SIDE)
    found = set()
    for image, copy in zip(before, moved, strict=True):
        places = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if is_moved(image, copy, y, x)]
        assert len(places) == 1
        found |= {*places}
    assert len(found) == 9


def is_moved(image, copy, down, right):
    expected = torch.zeros_like(image)
    rows, columns = range(SIDE), range(SIDE)
    for y in rows:
        for x in columns:
            if y - down in rows and x - right in columns:
                expected[y, x] = image[y - down, x - right]
    return torch.equal(expected, copy)


def test_each_image_is_turned_by_what_was_drawn():
    turned = augmentation(rotation=25.0)(images(), 5)
    drawn = np.random.default_rng([3, 5, 0]).uniform(-25, 25, 40)
    for image, angle, copy in zip(images(), drawn, turned, strict=True):
        expected = functional.rotate(image.view(1, SIDE, SIDE), float(angle), InterpolationMode.BILINEAR)
        assert (copy - expected.flatten().clamp(0, 1)).abs().max() < FLOAT32


def test_a_share_of_the_images_is_changed_and_the_others_are_as_they_were():
    before, every = images(400), augmentation(**EVERY)(images(400), 1)
    some = augmentation(**EVERY, share=0.3)(before, 1)
    is_kept = (some == before).all(1)
    assert 0.6 < float(is_kept.double().mean()) < 0.8
    assert torch.equal(some[~is_kept], every[~is_kept])
    assert some.numpy().tobytes() == augmentation(**EVERY, share=0.3)(before, 1).numpy().tobytes()
    assert not torch.equal(some, augmentation(**EVERY, share=0.3)(before, 2))


# --- settings ----------------------------------------------------------------------------------


def sections(data):
    return {"data": data, "network": NetworkSettings(), "training": TrainingSettings()}


def test_trainings_from_before_keep_their_names_and_keys():
    assert DataSettings().identity() == {}
    assert not {*AUGMENTATION, AUGMENT_SHARE} & {*data_key(sections(DataSettings()))["data"]}
    some = data_key(sections(DataSettings(augment_shift=2)))["data"]
    names = (*AUGMENTATION, AUGMENT_SHARE)
    assert {name: some[name] for name in names if name in some} == {"augment_shift": 2}
    half = data_key(sections(DataSettings(augment_shift=2, augment_share=0.5)))["data"]
    assert half == {**some, "augment_share": 0.5}


def test_a_share_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="augment_share does nothing without augment_rotation, "):
        DataSettings(augment_share=0.5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"augment_shift": 28}, r"data\.augment_shift: 28 pixels may leave nothing .* set less than 28"),
        (
            {"dataset": "swiss-roll", "augment_rotation": 5.0},
            r"data\.augment_rotation is for images, .* 3 numbers",
        ),
        ({"dataset": "swiss-roll", "augment_shift": 1}, r"data\.augment_shift is for images"),
    ],
)
def test_what_cannot_be_augmented(data, words):
    with pytest.raises(SettingsError, match=words):
        train.STAGE.check(sections(DataSettings(**data)))


def test_noise_is_for_rows_of_numbers_too():
    train.STAGE.check(sections(DataSettings(dataset="swiss-roll", augment_noise=0.1)))


STUDY = """\
data: {train_images: 200}
network: {architecture: 9}
training: {epochs: 2}
study: {stages: [train]}
sweep:
  data.augment_shift: [0, 2]
"""


def test_a_study_with_and_without(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    runs = []
    for name in ("first", "second"):
        outcome = call("run", study, "--results", tmp_path / name)
        assert outcome.exit_code == 0, outcome.output
        runs.append((tmp_path / name / "small" / "training.csv").read_bytes())
    assert runs[0] == runs[1]
    table = pd.read_csv(tmp_path / "first" / "small" / "training.csv")
    shifts = pd.read_csv(tmp_path / "first" / "small" / "runs.csv")[["run", "augment_shift"]]
    table = table.merge(shifts, on="run")
    plain, moved = (part.reset_index() for _, part in table.groupby("augment_shift"))
    assert plain.loc[0, "train_loss"] == moved.loc[0, "train_loss"]  # measured on the points as they are
    assert plain.loc[2, "train_loss"] < moved.loc[2, "train_loss"]
    untouched = tmp_path / "untouched.yaml"
    untouched.write_text(STUDY.partition("sweep")[0])
    assert call("run", untouched, "--results", tmp_path).exit_code == 0
    alone = pd.read_csv(tmp_path / "untouched" / "training.csv")
    assert alone["train_loss"].tolist() == plain["train_loss"].tolist()
    idle = tmp_path / "idle.yaml"
    idle.write_text(STUDY.partition("sweep")[0].replace("200", "200, augment_shift: 2, augment_share: 0"))
    assert call("run", idle, "--results", tmp_path).exit_code == 0
    assert (
        pd.read_csv(tmp_path / "idle" / "training.csv")["train_loss"].tolist() == alone["train_loss"].tolist()
    )
