"""folding.images_seed: which test images of each class are the ends of paths."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.stages import fold, train
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.class_pairs import chosen_members, class_members
from spaceprobe.stages.fold.endpoints.clusters import ClustersSettings, class_points
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.stage import FinishedPart, Part
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

STUDY = """\
data: {dataset: digits, train_images: 200}
network: {architecture: 12-12-12}
training: {epochs: 1, batch_size: 50, learning_rate: 0.01}
folding: {per_class: 20, pairs: [1-7, 7-1], detail: 20}
study: {stages: [train, fold, summarize]}
sweep: {folding.images_seed: [0, 1, null]}
"""


def sections(network=None, **folding):
    return {
        "data": DataSettings(),
        "network": NetworkSettings(**network or {}),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**folding),
    }


def planned(**folding):
    files = {f"{name}.safetensors": digit * 64 for name, digit in (("model-epoch0", "0"), ("model", "1"))}
    trained = FinishedPart(Part("train.json", {}, amount=1), files, None, 0.0, [])
    return fold.STAGE.plan(sections(**folding), {"train": [trained]})


def images(labels):
    inputs = torch.arange(2 * len(labels), dtype=torch.float32).view(-1, 2)
    return Split(inputs, torch.tensor(labels))


SPLIT = images([0, 1, 1] * 40)


def drawn(label, per_class, seed):
    return class_members(SPLIT, label, per_class, images_seed=seed).numbers.tolist()


@given(st.integers(0, 2**31 - 1), st.sampled_from([0, 1]), st.integers(1, 50))
def test_images_are_a_repeatable_sample_of_the_class(seed, label, per_class):
    points = class_members(SPLIT, label, per_class, images_seed=seed)
    of_class = (SPLIT.targets == label).nonzero().squeeze(1).tolist()
    numbers = points.numbers.tolist()
    assert len({*numbers}) == len(numbers) == min(per_class, len(of_class))
    assert {*numbers} <= {*of_class}
    assert numbers == sorted(numbers)
    assert points.values.dtype == torch.float64
    assert points.values[:, 0].tolist() == [2 * number for number in numbers]
    assert numbers == drawn(label, per_class, seed)
    assert {*numbers} <= {*drawn(label, per_class + 5, seed)}  # a larger number has those of a smaller one


def test_other_seeds_draw_other_images_and_no_class_those_of_another():
    samples = [tuple(drawn(1, 10, seed)) for seed in range(30)]
    assert len({*samples}) == 30
    assert tuple(class_members(SPLIT, 1, 10).numbers.tolist()) not in samples
    both = images([0] * 40 + [1] * 40)
    places = [class_members(both, label, 10, images_seed=3).numbers - 40 * label for label in (0, 1)]
    assert places[0].tolist() != places[1].tolist()
    assert drawn(1, 5, seed=7) == [4, 55, 58, 79, 103]  # a literal: the same in every version


def test_every_image_is_drawn_about_as_often():
    counts = np.bincount(np.concatenate([drawn(0, 10, seed) for seed in range(400)]), minlength=120)[::3]
    # 400 draws of 10 of 40: each 100 times on average, with a standard deviation of 8.7
    assert counts.min() > 100 - 5 * 8.7
    assert counts.max() < 100 + 5 * 8.7


def test_by_default_images_names_and_keys_are_those_of_before():
    data = Dataset(images([0]), SPLIT, 2)
    assert chosen_members(data.test, 1, sections(per_class=3)).numbers.tolist() == [1, 2, 4]
    open_number = sections({"activation": "abs"})  # whose images are drawn without a seed of their own
    plain = chosen_members(data.test, 1, open_number).numbers.tolist()
    assert plain == class_members(SPLIT, 1, len(plain), is_drawn=True).numbers.tolist()
    seeded = sections({"activation": "abs"}, images_seed=0)
    assert chosen_members(data.test, 1, seeded).numbers.tolist() == drawn(1, len(plain), 0) != plain
    first = planned(per_class=20)[0]
    assert planned(per_class=20, images_seed=None)[0] == first
    assert (first.path, "images_seed" in first.key["folding"]) == ("folding-4c9f68/epoch0-0-0.npz", False)
    other = planned(per_class=20, images_seed=0)[0]
    assert other.key["folding"] == {**first.key["folding"], "images_seed": 0}
    assert len({planned(per_class=20, images_seed=seed)[0].path for seed in (None, 0, 1)}) == 3


def test_training_does_not_depend_on_it():
    plans = [train.STAGE.plan(sections(images_seed=seed), {}) for seed in (None, 0)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize("kind", ["centres", "medoids", "random"])
def test_clusters_are_of_the_images_that_are_drawn(kind):
    settings = ClustersSettings(kind=kind, k=3)
    points = {seed: class_points(SPLIT, 1, 12, settings, seed) for seed in (None, 0, 1)}
    for seed, chosen in points.items():
        assert {*chosen.numbers.tolist()} <= {*class_members(SPLIT, 1, 12, images_seed=seed).numbers.tolist()}
    assert len({tuple(chosen.numbers.tolist()) for chosen in points.values()}) == 3
    asked = {**sections(per_class=12, images_seed=1), "clusters": settings}
    ends = ENDPOINTS["clusters"].ends(
        torch.nn.Identity(), Dataset(images([0]), SPLIT, 2), {"pair": [1, 1]}, asked
    )
    assert ends.sources.numbers.tolist() == points[1].numbers.tolist()
    assert ends.targets is None


def test_all_images_leave_nothing_to_draw():
    message = "images_seed: draws some test images of each class, and per_class takes all; set per_class to"
    with pytest.raises(ValueError, match=message):
        FoldingSettings(per_class="all", images_seed=0)


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, "x"])
def test_what_is_not_a_seed(seed):
    with pytest.raises(ValueError, match="images_seed"):
        FoldingSettings(per_class=3, images_seed=seed)


def test_a_study_has_a_column_and_one_network_for_all_seeds(tmp_path):
    (tmp_path / "seeds.yaml").write_text(STUDY)
    result = call("run", tmp_path / "seeds.yaml", "--results", tmp_path / "results", "--no-report")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "results" / "seeds"
    assert len(pd.read_csv(folder / "runs.csv")) == 1
    paths = pd.read_csv(folder / "paths.csv")
    sources = {
        seed: {*rows["source"], *rows["target"]} for seed, rows in paths.groupby("images_seed", dropna=False)
    }
    assert len(sources) == 3
    assert len({frozenset(numbers) for numbers in sources.values()}) == 3
    aggregates = pd.read_csv(folder / "aggregates.csv")
    assert len(aggregates) == 3 * 3  # states
    assert aggregates.groupby("state")["chi_mean"].nunique().min() > 1
