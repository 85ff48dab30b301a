"""Global folding: the search is repeatable, stays in the range, and is never below the data's maximum."""

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.errors import SpaceprobeError
from spaceprobe.folding import space_folding, walk_batch
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.searched import SearchedSettings, climb
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

SEARCHED = ENDPOINTS["searched"]


def sections(folding=None, **settings):
    return {
        "data": DataSettings(),
        "network": NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**{"per_class": 5, **(folding or {})}),
        "searched": SearchedSettings(**{"climbers": 4, "climbs": 60, **settings}),
    }


def data(num=30, num_features=4):
    draw = torch.Generator().manual_seed(1)
    split = Split(torch.rand(num, num_features, generator=draw), torch.arange(num) % 3)
    return Dataset(split, split, 3)


def network(seed=0):
    """A network with weights so large that some paths between the images fold."""
    drawn = torch.Generator().manual_seed(seed)
    built = mlp([4, 9, 8, 7, 6, 3], drawn, initialization="he", scale=1.0).double().eval()
    for layer in built:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5, generator=drawn)
    return built


def chi_of(net, starts, ends):
    folding = walk_batch(net, starts, ends)
    return space_folding(folding.length, folding.reach_from_a)


def found(net=None, folding=None, **settings):
    return SEARCHED.ends(net or network(), data(), {}, sections(folding, **settings))


@pytest.mark.parametrize("method", ["exact", "sampled", "layerwise"])
@pytest.mark.parametrize("seed", [0, 1])
def test_never_below_the_maximum_of_the_data(seed, method):
    ends = found(network(seed), {"method": method})
    facts = ends.facts
    # literally: every path between two of the first five images of each class
    images = torch.cat([data().test.inputs[label::3][:5] for label in range(3)]).double()
    i, j = np.nonzero(~np.eye(len(images), dtype=bool))
    folding = walk_batch(network(seed), images[i], images[j], method=method)
    every = space_folding(folding.length, folding.reach_from_a)
    assert facts["num_data_paths"] == len(every)
    assert facts["data_max"] == every.max() > 0
    assert facts["searched_max"] >= facts["data_max"]
    walked = walk_batch(network(seed), ends.sources.values, ends.targets.values, method=method)
    chi = space_folding(walked.length, walked.reach_from_a)
    assert chi[0] == chi.max() == facts["searched_max"]
    steps = ends.listing
    assert steps["t"] == sorted(steps["t"])
    length, reach = np.array([steps["flips"][-1]]), np.array([max(steps["distance"])])
    assert space_folding(length, reach) == [facts["searched_max"]]
    assert (np.diff(chi) <= 0).all()


def test_the_search_climbs():
    pairs = [
        [found(network(seed), climbs=climbs).facts["searched_max"] for climbs in (0, 200)]
        for seed in range(4)
    ]
    assert all(before <= after for before, after in pairs)
    assert sum(before < after for before, after in pairs) >= 2
    assert found(network(0), climbs=0).facts["data_max"] == pairs[0][0]


def test_ends_are_repeatable_and_inside_the_range():
    first, again, other = (found(search_seed=seed) for seed in (2, 2, 3))
    for a, b in ((first.sources, again.sources), (first.targets, again.targets)):
        assert a.values.numpy().tobytes() == b.values.numpy().tobytes()
        assert a.numbers.tolist() == b.numbers.tolist()
        assert (a.values >= 0).all()
        assert (a.values <= 1).all()
    assert first.facts == again.facts
    assert not torch.equal(first.sources.values, other.sources.values)
    assert first.are_kept
    assert len(first.sources.values) == 4


def test_more_climbers_than_images():
    assert len(found(climbers=100).sources.values) == 15


def test_a_climber_keeps_the_best_that_it_has_seen():
    seen = []

    def walk(starts, ends):
        chi = ((starts - 0.3).square().sum(1) + (ends - 0.8).square().sum(1)).neg().exp().numpy()
        seen.append((chi, starts, ends))
        return chi

    ends = torch.full((3, 2), 0.5).double(), torch.full((3, 2), 0.5).double()
    unit = torch.zeros(2).double(), torch.ones(2).double()
    starts, stops, chi = climb(walk, ends, num_climbs=400, values=unit, draw=np.random.default_rng(0))
    assert (np.max([each for each, *_ in seen], axis=0) == chi).all()
    assert np.array_equal(walk(starts, stops), chi)
    assert (chi > 0.99).all()  # a smooth hill of height 1 is climbed
    assert all(((x >= 0) & (x <= 1)).all() for _, *both in seen for x in both)


def test_a_network_that_does_not_fold():
    flat = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)).double()
    facts = found(flat).facts
    assert facts["data_max"] == facts["searched_max"] == 0


def test_one_image():
    lone = Dataset(data(3).train, Split(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)), 3)
    with pytest.raises(SpaceprobeError, match="searched needs at least two test images"):
        SEARCHED.ends(network(), lone, {}, sections())


STUDY = """\
data: {train_images: 300}
network: {architecture: 3x9}
training: {epochs: 1}
folding: {per_class: 3, epoch: last}
searched: {climbers: 3, climbs: 30}
study: {stages: [train, fold]}
sweep:
  folding.endpoints: [class-pairs, searched]
"""


def test_tables_and_kept_ends_of_a_study(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "small").glob("*.csv")}
    (checks,) = tables["folding_checks_searched"].to_dict("records")
    pairs = tables["folding"].query("measure == 'chi'")
    assert checks["data_max"] == pairs["max"].max()
    assert checks["num_data_paths"] == pairs["num_paths"].sum() == 30 * 29
    (row,) = tables["folding_searched"].query("measure == 'chi'").to_dict("records")
    assert (row["climbers"], row["climbs"], row["num_paths"]) == (3, 30, 3)
    assert row["max"] == checks["searched_max"] >= checks["data_max"]
    import spaceprobe

    (file,) = (tmp_path / "small").glob("runs/*/folding-*/epoch1-searched.npz")
    arrays = np.load(file)
    model = spaceprobe.load_run(tmp_path / "small", checks["run"])
    path = spaceprobe.trace(model, np.stack([arrays["points-starts"][0], arrays["points-ends"][0]]))
    assert path.chi == checks["searched_max"]
    steps = tables["searched_path"]
    assert steps["step"].tolist() == [*range(len(steps))]
    assert {*steps["climbers"]} == {3}
    pd.testing.assert_frame_equal(steps[["t", "distance", "flips"]], path.steps()[["t", "distance", "flips"]])
    length, reach = steps["flips"].to_numpy()[-1:], np.array([steps["distance"].max()])
    assert space_folding(length, reach) == [checks["searched_max"]]
