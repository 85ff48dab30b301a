"""Targets that are sines of a regression's coordinates: literal values, the law of their errors, settings."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.data.swiss_roll import swiss_roll
from spaceprobe.data.target_frequency import with_target_frequency
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.networks import load_data
from spaceprobe.stages.train.settings import TARGET_FREQUENCY, DataSettings, TrainingSettings, data_key
from tests.commands import call

FLOAT32 = 1e-6
"""Standardised sines are of order 1, and their last step is rounded to float32."""


@pytest.mark.parametrize("frequency", [0.5, 3.0])
def test_targets_are_the_sines_of_the_coordinates(frequency):
    roll = swiss_roll(90, 40, seed=3)
    made = with_target_frequency(roll, frequency)
    assert made.train.inputs is roll.train.inputs
    assert made.test.inputs is roll.test.inputs
    for output in range(2):
        column = [math.sin(frequency * float(y)) for y in roll.train.targets[:, output]]
        mean, deviation = np.mean(column), np.std(column)
        for own, split in ((made.train, roll.train), (made.test, roll.test)):
            expected = [(math.sin(frequency * float(y)) - mean) / deviation for y in split.targets[:, output]]
            assert own.targets[:, output].tolist() == pytest.approx(expected, abs=FLOAT32)


def test_an_error_of_one_is_that_of_the_mean():
    made = with_target_frequency(swiss_roll(4_000, 4_000, seed=1), 5.0)
    assert float(made.train.targets.square().mean()) == pytest.approx(1, abs=FLOAT32)
    assert float(made.test.targets.square().mean()) == pytest.approx(1, abs=0.05)  # 8,000 squares of ± √2


def test_a_small_frequency_leaves_the_coordinates():
    roll = swiss_roll(200, 1)
    made = with_target_frequency(roll, 1e-4).train.targets
    assert (made - (roll.train.targets - roll.train.targets.mean(0)) / roll.train.targets.std(0, correction=0)
            ).abs().max() < 1e-5  # fmt: skip


def constant(values):
    inputs = torch.zeros(len(values), 1)
    split = Split(inputs, torch.tensor(values, dtype=torch.float32)[:, None])
    return Dataset(split, split, None)


@pytest.mark.parametrize(
    ("dataset", "frequency", "words"),
    [
        (swiss_roll(9, 1), 0.0, "frequency is 0.0: expected a number above 0"),
        (swiss_roll(9, 1), math.nan, "frequency is nan: expected a number above 0"),
        (swiss_roll(9, 1, task="classification"), 1.0, "this dataset is a classification"),
        (constant([0.25, 0.25]), 1.0, "is the same at all 2 training points; expected targets that vary"),
    ],
)
def test_what_has_no_frequency(dataset, frequency, words):
    with pytest.raises(ValueError, match=words):
        with_target_frequency(dataset, frequency)


# --- settings ----------------------------------------------------------------------------------


def sections(**data):
    return {"data": DataSettings(**data), "network": NetworkSettings(), "training": TrainingSettings()}


def test_trainings_from_before_keep_their_keys():
    plain = data_key(sections(dataset="swiss-roll", task="regression"))["data"]
    assert TARGET_FREQUENCY not in plain
    assert TARGET_FREQUENCY not in DataSettings().identity()
    some = data_key(sections(dataset="swiss-roll", task="regression", target_frequency=2.0))["data"]
    assert some == {**plain, TARGET_FREQUENCY: 2.0}


def test_classes_have_no_frequency():
    with pytest.raises(ValueError, match="target_frequency is of the targets of a regression: set task"):
        DataSettings(dataset="swiss-roll", target_frequency=1.0)


def test_a_run_has_the_targets_that_its_settings_ask_for():
    settings = {"dataset": "swiss-roll", "task": "regression", "points": 50}
    plain = load_data(DataSettings(**settings))
    made = load_data(DataSettings(**settings, target_frequency=2.0))
    assert torch.equal(made.train.targets, with_target_frequency(plain, 2.0).train.targets)


STUDY = """\
data: {dataset: swiss-roll, task: regression, points: 40}
network: {architecture: 1x6}
training: {epochs: 2, batch_size: 8}
study: {stages: [train]}
sweep:
  data.target_frequency: [0, 4]
"""


def test_a_study_with_frequencies(tmp_path):
    study = tmp_path / "sines.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    runs = pd.read_csv(tmp_path / "sines" / "runs.csv")
    assert runs["target_frequency"].tolist() == [0.0, 4.0]
    assert runs["initial_digest"].nunique() == 1
    plain = tmp_path / "plain.yaml"
    plain.write_text(STUDY.partition("sweep")[0])
    assert call("run", plain, "--results", tmp_path).exit_code == 0
    alone = pd.read_csv(tmp_path / "plain" / "runs.csv")
    assert alone["test_loss"].tolist() == runs["test_loss"].tolist()[:1]
    assert alone["run"].tolist() == runs["run"].tolist()[:1]
