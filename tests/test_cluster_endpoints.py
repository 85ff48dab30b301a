"""Clusters in place of all pairs: k-means centres, medoids and random subsets of the images of each class."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.results.answers.clusters import STATISTICS, cluster_errors
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages.fold.endpoints import ENDPOINTS, clusters
from spaceprobe.stages.fold.endpoints.clusters import ClustersSettings, class_points
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

CLUSTERS = ENDPOINTS["clusters"]
KINDS = ("centres", "medoids", "random")

ROUNDING = 1e-14
"""A mean of some tens of numbers in [0, 1], summed in another order."""


def sections(*, per_class=12, pairs="all", **settings):
    return {
        "data": DataSettings(),
        "network": NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(per_class=per_class, pairs=pairs),
        "clusters": ClustersSettings(**settings),
    }


def split(num_points=60, num_features=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return Split(torch.rand(num_points, num_features, generator=draw), torch.arange(num_points) % 3)


def blobs():
    """Two classes of three tight, far clusters each: what k-means has to find."""
    draw = torch.Generator().manual_seed(3)
    middles = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]).repeat(20, 1)
    inputs = torch.cat([middles, 1 - middles]) + 0.01 * torch.rand(120, 2, generator=draw)
    return Split(inputs, torch.arange(120) // 60)


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_repeatable_and_inside_the_range(kind):
    images, asked = split(), ClustersSettings(kind=kind, k=4)
    first = class_points(images, 1, None, asked)
    clusters._class_points.cache_clear()
    second = class_points(images, 1, None, asked)
    assert first.values.numpy().tobytes() == second.values.numpy().tobytes()
    assert first.numbers.tolist() == second.numbers.tolist()
    assert first.values.dtype == torch.float64
    assert first.values.shape == (4, 5)
    members = images.inputs[images.targets == 1].double()
    assert (first.values >= members.min(0).values).all()
    assert (first.values <= members.max(0).values).all()
    assert (images.targets[first.numbers] == 1).all()
    assert (np.diff(first.numbers) > 0).all()


def test_threads_change_no_byte():
    images = split(600, 30)
    few = class_points(images, 0, None, ClustersSettings(k=7)).values.numpy().tobytes()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        clusters._class_points.cache_clear()
        assert class_points(images, 0, None, ClustersSettings(k=7)).values.numpy().tobytes() == few
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_k_means_finds_the_clusters_that_are_there():
    images = blobs()
    for label in (0, 1):
        centres = class_points(images, label, None, ClustersSettings(k=3)).values
        members = images.inputs[images.targets == label].double()
        means = torch.stack([members[place::3].mean(0) for place in range(3)])
        distances = torch.cdist(centres, means)
        assert sorted(distances.argmin(1).tolist()) == [0, 1, 2]
        assert distances.min(1).values.max() < ROUNDING


def test_one_centre_is_the_mean_and_as_many_as_images_are_these():
    images = split()
    members = images.inputs[images.targets == 2].double()
    centre = class_points(images, 2, None, ClustersSettings(k=1)).values
    assert (centre - members.mean(0)).abs().max() < ROUNDING
    for kind in KINDS:
        every = class_points(images, 2, None, ClustersSettings(kind=kind, k=len(members))).values
        assert (every - members).abs().max() < ROUNDING


def test_a_medoid_is_the_image_nearest_to_its_centre():
    images = split()
    centres, medoids = (class_points(images, 0, None, ClustersSettings(kind=kind, k=5)) for kind in KINDS[:2])
    assert centres.numbers.tolist() == medoids.numbers.tolist()
    assert torch.equal(medoids.values, images.inputs[medoids.numbers].double())
    members = images.inputs[images.targets == 0].double()
    # literally: each image belongs to the nearest centre, and the nearest of those is the medoid
    nearest = torch.cdist(members, centres.values).argmin(1)
    for cluster, centre in enumerate(centres.values):
        own = members[nearest == cluster]
        best = own[(own - centre).square().sum(1).argmin()]
        assert torch.equal(best, medoids.values[cluster])


def test_random_images_are_nested_and_change_with_the_seed():
    images = split()
    asked = {
        (k, seed): ClustersSettings(kind="random", k=k, cluster_seed=seed) for k in (3, 8) for seed in (0, 1)
    }
    drawn = {key: {*class_points(images, 0, None, settings).numbers} for key, settings in asked.items()}
    assert drawn[3, 0] < drawn[8, 0]
    assert drawn[3, 1] < drawn[8, 1]
    assert drawn[8, 0] != drawn[8, 1]


def test_points_are_of_the_first_images_of_a_class():
    images = split()
    first = (images.targets == 1).nonzero().squeeze(1)[:6]
    for kind in KINDS:
        points = class_points(images, 1, 6, ClustersSettings(kind=kind, k=3))
        assert set(points.numbers) <= set(first.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_more_points_than_images(kind):
    images = split(9)
    with pytest.raises(SpaceprobeError, match=r"clusters\.k: 4 points are asked for, and class 0 has 3 "):
        class_points(images, 0, None, ClustersSettings(kind=kind, k=4))
    same = Split(torch.zeros(9, 2), torch.zeros(9, dtype=torch.int64))
    if kind != "random":  # scikit-learn would warn and return a centre twice
        with pytest.raises(SpaceprobeError, match="class 0 has 1 distinct test images"):
            class_points(same, 0, None, ClustersSettings(kind=kind, k=2))


def test_what_is_refused_before_anything_runs():
    with pytest.raises(
        SettingsError, match=r"folding\.per_class takes 12 images; set folding\.per_class to 13"
    ):
        CLUSTERS.check(sections(k=13), 10)
    CLUSTERS.check(sections(k=12), 10)
    with pytest.raises(SettingsError, match=r"folding\.pairs: 3-11: the dataset has classes 0 to 9"):
        CLUSTERS.check(sections(pairs=("3-11",)), 10)


def test_paths_lead_from_every_point_to_every_other():
    asked = sections(k=2, kind="medoids", pairs=("0-1", "1-0", "2-2"))
    sets = CLUSTERS.path_sets(asked, 3)
    assert [(each.name, each.amount) for each in sets] == [("0-1", 8), ("2-2", 2)]
    directions = [direction.key for each in sets for direction in CLUSTERS.directions(each.key)]
    assert directions == [
        {"source_class": source, "target_class": target, "kind": "medoids", "k": 2}
        for source, target in ((0, 1), (1, 0), (2, 2))
    ]
    data = Dataset(split(), split(), 3)
    ends = CLUSTERS.ends(torch.nn.Identity(), data, sets[0].key, asked)
    assert (ends.sources.name, ends.targets.name) == ("0", "1")
    assert CLUSTERS.ends(torch.nn.Identity(), data, sets[1].key, asked).targets is None


STUDY = """\
data: {train_images: 200}
network: {architecture: 3x9}
training: {epochs: 1}
folding: {per_class: 4, pairs: [3-8, 8-3, 5-5], epoch: last}
study: {stages: [train, fold]}
sweep:
  zip:
    folding.endpoints: [class-pairs, clusters, clusters, clusters, clusters]
    clusters.kind: [centres, centres, medoids, random, centres]
    clusters.k: [5, 4, 4, 4, 1]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    study = folder / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", folder)
    assert outcome.exit_code == 0, outcome.output
    return folder


@pytest.fixture(scope="module")
def tables(results):
    return {path.stem: pd.read_csv(path) for path in (results / "small").glob("*.csv")}


def test_as_many_points_as_images_give_what_all_pairs_give(tables):
    key = ["source_class", "target_class", "measure"]
    every = tables["folding"].set_index(key)
    measures = [*every.columns[every.columns.get_loc("num_paths") :]]
    few = tables["folding_clusters"]
    for kind in KINDS[1:]:
        same = few[(few["kind"] == kind) & (few["k"] == 4)].set_index(key)
        pd.testing.assert_frame_equal(same[measures], every[measures])


def test_one_point_a_class(tables):
    one = tables["folding_clusters"].query("k == 1 and measure == 'chi'")
    paths = one.set_index(["source_class", "target_class"])["num_paths"]
    assert paths.to_dict() == {(3, 8): 1, (5, 5): 0, (8, 3): 1}
    assert one.set_index("source_class").loc[5, ["folded", "mean", "max"]].isna().all()


# --- the answer --------------------------------------------------------------------------------


def test_errors_against_all_pairs_are_those_of_a_few_lines(results, tables):
    answer = cluster_errors(load_results(*find_started("small", results)))
    key = ["source_class", "target_class"]
    every = tables["folding"].query("measure == 'chi'").set_index(key)
    assert set(answer["statistic"]) <= {*STATISTICS}
    for _, row in answer.iterrows():
        few = tables["folding_clusters"].query("measure == 'chi'")
        few = few[(few["kind"] == row["kind"]) & (few["k"] == row["k"])].set_index(key)
        errors = (few[row["statistic"]].astype(float) - every[row["statistic"]]).abs()
        assert row["error"] == pytest.approx(errors.mean(), rel=ROUNDING)
        assert row["spread"] == pytest.approx(every[row["statistic"]].std(), rel=ROUNDING, nan_ok=True)
        assert row["cost"] == few["num_paths"].sum() / every["num_paths"].sum()
        assert row["lacking"] == (few[row["statistic"]].isna() & every[row["statistic"]].notna()).mean()
    exact = answer[answer["kind"].isin(["medoids", "random"])]
    assert (exact["error"] == 0).all()
    assert (exact["cost"] == 1).all()
    assert exact.loc[exact["spread"] > 0, "is_below"].all()


def test_the_page_says_from_which_k_on(results):
    outcome = call("report", "small", "--results", results)
    assert outcome.exit_code == 0, outcome.output
    page = (results / "small" / "report.html").read_text()
    assert "Do a few points of each class tell what all pairs tell?" in page
    text = re.sub("<[^>]*>", "", page)
    assert "medoids: with k = 4 for each class the mean error at a class pair is 0.000" in text
    assert (results / "small" / "figures" / "answer_clusters.csv").is_file()
