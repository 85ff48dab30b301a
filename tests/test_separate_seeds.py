"""training.initialization_seed and training.order_seed: one source of randomness at a time."""

import itertools

import pandas as pd
import pytest

from spaceprobe.analysis.predictors import main_predictor, predictors
from spaceprobe.stages.train.settings import TRAINING_ONLY, TrainingSettings
from tests.commands import call

STUDY = """\
data: {dataset: digits, train_images: 200}
network: {architecture: 5-4}
training: {epochs: 1, batch_size: 50, learning_rate: 0.01, seed: 7}
study: {stages: [train]}
sweep: {training.initialization_seed: [0, 1, null], training.order_seed: [0, 1, null]}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "seeds.yaml").write_text(STUDY)
    result = call("run", folder / "seeds.yaml", "--results", folder / "results")
    assert result.exit_code == 0, result.output
    return pd.read_csv(folder / "results" / "seeds" / "runs.csv")


def test_the_initial_weights_depend_on_their_seed_alone(runs):
    assert len(runs) == 9
    digests = runs.groupby("initialization_seed", dropna=False)["initial_digest"]
    assert (digests.nunique() == 1).all()
    assert digests.first().nunique() == 3


def test_each_order_leads_to_other_weights(runs):
    assert runs["train_loss"].nunique() == 9


def test_without_them_the_seed_draws_both():
    """Each of the two is the seed's own stream: 7 for both is what seed 7 alone gives."""
    plain, both = TrainingSettings(seed=7), TrainingSettings(seed=1, initialization_seed=7, order_seed=7)
    assert (
        (plain.seed_of_weights, plain.seed_of_order) == (7, 7) == (both.seed_of_weights, both.seed_of_order)
    )


def test_the_untrained_network_depends_on_one_of_them():
    assert "order_seed" in TRAINING_ONLY
    assert "initialization_seed" not in TRAINING_ONLY


def test_no_question_is_asked_about_their_values():
    rows = itertools.product([1, 2], [0, 1], [0, 1, 2])
    swept = pd.DataFrame(rows, columns=["learning_rate", "initialization_seed", "order_seed"])
    runs = swept.assign(depth=2, width=5)
    assert predictors(runs, [*swept]) == ["depth", "width", "learning_rate"]
    assert main_predictor(runs, ["initialization_seed"]) is None
