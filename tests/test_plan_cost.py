"""What a plan tells before anything is paid: how many paths, and how long they take."""

import json

import pytest
import torch

from spaceprobe.stages.fold import STAGE, cost
from spaceprobe.stages.fold import parts as fold_parts
from spaceprobe.stages.fold import settings as fold_settings
from spaceprobe.stages.fold.settings import (
    MAX_UNASKED_WALKS,
    FoldingSettings,
    num_walks,
    path_sets_of,
    with_images,
)
from spaceprobe.stages.stage import FinishedPart, Part
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import FINAL, INITIAL, DataSettings, TrainingSettings
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand
from spaceprobe.study.running.planning import duration_text
from tests.commands import call

CNN = NetworkSettings(model="cnn", architecture="2")


def sections(network=None, **folding):
    return {
        "data": DataSettings(dataset="digits"),
        "network": network or NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**folding),
    }


def parts(network=None, **folding):
    trained = FinishedPart(Part("train.json", {}, 1), {INITIAL: "a", FINAL: "b"}, None, 0.0, ())
    return STAGE.plan(sections(network, **folding), {"train": [trained]})


def test_without_a_number_networks_of_other_kinds_walk_at_most_1000_paths():
    """45 pairs of two classes and 10 of one: 4 images give 45 · 16 + 10 · 6 walks, 5 give 1,225."""
    assert with_images(sections(CNN)).per_class == 4
    assert STAGE.remark(sections(CNN)).startswith(
        "780 paths at an epoch, between 4 test images of each class, drawn with a fixed seed, since"
    )
    assert with_images(sections(CNN, pairs=("3-8",))).per_class == 31  # 961 paths
    assert with_images(sections(CNN, pairs=("3-8", "8-3"))).per_class == 31  # the same walks
    assert with_images(sections(NetworkSettings(activation="abs"))).per_class == 4
    assert parts(CNN)[0].key["folding"]["per_class"] == 4
    assert parts(CNN)[0].path != parts(CNN, per_class=3)[0].path


def test_images_that_nobody_chose_are_drawn_and_have_files_of_their_own():
    chosen, first = parts(CNN)[0], parts(CNN, per_class=4)[0]
    assert chosen.key == {**first.key, "folding": {**first.key["folding"], "drawn": True}}
    assert chosen.path != first.path


def test_of_many_classes_some_pairs_are_drawn(monkeypatch):
    """47 classes have 1,128 pairs: 2 images of each class would make 4,371 walks."""
    monkeypatch.setattr(fold_settings, "num_classes_of", lambda _: 47)
    some = path_sets_of(sections(CNN))
    assert MAX_UNASKED_WALKS - 4 < num_walks(some) <= MAX_UNASKED_WALKS
    assert with_images(sections(CNN)).per_class == 2
    everything = path_sets_of(sections(CNN, per_class=2))
    assert [paths for paths in everything if paths in some] == some  # in their order
    assert len({name for paths in some for name in paths.name.split("-")}) == 47
    assert path_sets_of(sections(CNN)) == some
    monkeypatch.setattr(fold_parts, "num_classes_of", lambda _: 47)
    assert f"{len(some)} of 1,128 sets of paths, drawn" in STAGE.remark(sections(CNN))


def test_an_mlp_of_relus_has_all_pairs_of_many_classes(monkeypatch):
    monkeypatch.setattr(fold_settings, "num_classes_of", lambda _: 47)
    assert len(path_sets_of(sections())) == 47 * 48 // 2


@pytest.mark.parametrize(
    ("network", "folding", "costly"),
    [
        (None, {}, False),
        (None, {"method": "kernel"}, False),
        (None, {"method": "sampled"}, True),
        (None, {"threshold": 0.5}, True),
        (CNN, {}, True),
        (NetworkSettings(activation="abs"), {}, True),
    ],
)
def test_which_paths_may_take_long(network, folding, costly):
    assert STAGE.is_costly(sections(network, **folding)) is costly


@pytest.mark.parametrize("asked", [3, 150, "all"])
def test_a_number_from_the_user_counts(asked):
    assert with_images(sections(CNN, per_class=asked)).per_class == asked
    assert STAGE.remark(sections(CNN, per_class=asked)) is None


def test_an_mlp_of_relus_keeps_150_images_and_its_files():
    assert STAGE.remark(sections()) is None
    assert parts() == parts(per_class=150)
    assert parts()[0].key["folding"]["per_class"] == 150
    # The folder is named for what is not the default, as it was when 150 was that.
    assert "per_class" not in FoldingSettings(per_class=150).identity()
    assert FoldingSettings(per_class=150).identity() == FoldingSettings().identity() == {}


@pytest.mark.parametrize("name", [*shipped_configs()])
def test_shipped_studies_leave_nothing_open(name):
    study = load_study(name)
    if "fold" in study.stages:
        for run in expand(study):
            assert all(STAGE.remark(variant) is None for variant in run.variants(STAGE))


@pytest.mark.parametrize(
    ("network", "engine", "num_timed", "seconds"),
    [
        # 2 epochs of 2 · 2 walks
        (CNN, "layerwise", 6, 0.5 / 6 * 8),  # as many as take 3.2 s one by one
        # digits has 297 test images: 296 paths from each to the next
        (NetworkSettings(architecture="1x3"), "kernel", 296, 0.5 / 296 * 8),
    ],
)
def test_a_cost_is_that_of_what_was_timed(monkeypatch, network, engine, num_timed, seconds):
    monkeypatch.setattr(cost, "_timed", lambda call: call() or 0.5)
    predicted = cost.predict_cost(sections(network, pairs=("3-8",), per_class=2))
    assert predicted.seconds == pytest.approx(seconds)
    assert predicted.work.endswith(f"8 paths by {engine}")
    assert predicted.timed.startswith(f"{num_timed} path")


def test_quick_paths_are_timed_together(monkeypatch):
    monkeypatch.setattr(cost, "_timed", lambda call: call() or 0.05)
    predicted = cost.predict_cost(sections(CNN, pairs=("3-8",), per_class=2))
    assert predicted.seconds == pytest.approx(0.05 / 32 * 8)
    assert predicted.timed.startswith("32 paths")


def test_slow_paths_are_timed_alone(monkeypatch):
    monkeypatch.setattr(cost, "_timed", lambda call: call() or 2.0)
    predicted = cost.predict_cost(sections(CNN, pairs=("3-8",), per_class=2))
    assert predicted.seconds == pytest.approx(2.0 * 8)
    assert predicted.timed.startswith("1 path ")


def test_one_path_that_was_held_up_does_not_stand_for_all(monkeypatch):
    times = iter([5.0, 0.2, 0.05])  # the second one while something else was at work
    monkeypatch.setattr(cost, "QUICK_S", 10.0)
    monkeypatch.setattr(cost, "_timed", lambda call: call() or next(times))
    predicted = cost.predict_cost(sections(CNN, pairs=("3-8",), per_class=2))
    assert predicted.seconds == pytest.approx(0.05 / 16 * 8)
    assert predicted.timed.startswith("16 paths")


def test_a_path_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(cost, "LIMIT_S", 1e-4)
    threads = torch.get_num_threads()
    predicted = cost.predict_cost(sections(CNN, pairs=("3-8",), per_class=2))
    assert (predicted.seconds, predicted.at_least_s) == (None, 8e-4)
    assert predicted.timed == "one path takes more than 0.0001 s"
    assert torch.get_num_threads() == threads


def test_plan_prints_the_cost_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "_timed", lambda call: call() or 0.5)
    study = tmp_path / "small.yaml"
    study.write_text(
        "data: {dataset: digits}\nnetwork: {model: cnn, architecture: 2}\n"
        "folding: {pairs: [3-8]}\nsweep: {training.seed: [0, 1]}\n"
    )
    words = ("plan", study, "--results", tmp_path / "results")
    output = " ".join(call(*words).stdout.split())
    assert "961 paths at an epoch" in output
    assert "fold may take long: `spaceprobe plan CONFIG --cost` times a path of each architecture" in output
    assert "timed" not in output
    output = " ".join(call(*words, "--cost").stdout.split())
    # 2 runs of 2 epochs of 961 paths, six of which take half a second
    assert (
        "2 of cnn with relu, 1,922 paths by layerwise (6 paths timed in 0.5 s), 2 runs: about 5 min" in output
    )
    assert "may take long" not in output
    (facts,) = json.loads(call(*words, "--cost", "--json").stdout)["costs"]
    assert (facts["stage"], facts["num_runs"], facts["seconds_a_run"]) == ("fold", 2, pytest.approx(961 / 6))
    assert not (tmp_path / "results").exists()


def test_durations():
    assert [duration_text(seconds) for seconds in (0.1, 59, 90, 7200)] == ["1 s", "59 s", "2 min", "2.0 h"]
