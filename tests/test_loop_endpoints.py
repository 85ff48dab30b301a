"""Polylines and loops: length and reach over all segments, and the source of loops of copies."""

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.errors import SettingsError
from spaceprobe.folding import fold_matched, trace_path
from spaceprobe.folding.polylines import fold_polylines
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.augmented import AugmentedSettings
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.networks import load_data
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

LOOPS = ENDPOINTS["loops"]


def network(seed=0):
    drawn = torch.Generator().manual_seed(seed)
    built = mlp([4, 9, 8, 7, 6, 3], drawn, initialization="he", scale=1.0).double().eval()
    for layer in built:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5, generator=drawn)
    return built


def corners(num_corners, num=30, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(num, num_corners, 4)))


def assert_same(first, second):
    for name in ("chi", "peak", "chi_back", "peak_back"):
        assert np.array_equal(getattr(first, name).cells, getattr(second, name).cells), name
    assert (first.num_paths, first.num_violations) == (second.num_paths, second.num_violations)


@pytest.mark.parametrize("method", ["exact", "sampled"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_polyline_of_one_segment_is_a_straight_path(seed, method):
    points = corners(2, seed=seed)
    way = {"method": method, "num_points": 50}
    straight = fold_matched(network(seed), points[:, 0], points[:, 1], **way)
    assert_same(fold_polylines(network(seed), points, **way), straight)
    assert straight.chi.cells[:, 0].max() > 5


def test_corners_on_a_straight_path_change_nothing():
    points = corners(2)
    between = [points[:, 0] + share * (points[:, 1] - points[:, 0]) for share in (0.3, 0.55)]
    bent = torch.stack([points[:, 0], *between, points[:, 1]], 1)
    assert_same(fold_polylines(network(), bent), fold_polylines(network(), points))


def test_a_way_there_and_back_folds_half():
    points = corners(2)
    there = fold_polylines(network(), points)
    back = fold_polylines(network(), torch.cat([points, points[:, :1]], 1))
    for length, reach, _ in back.chi.cells:
        assert length % 2 == 0
        assert 2 * reach <= length or length == 0
    lengths = np.repeat(there.chi.cells[:, 0], there.chi.cells[:, 2])
    assert np.repeat(back.chi.cells[:, 0], back.chi.cells[:, 2]).tolist() == (2 * lengths).tolist()


def test_a_loop_against_its_segments():
    """Literally: the distances along each segment, from the pattern at the start of the loop."""
    net, points = network(), corners(3, num=8)
    loops = torch.cat([points, points[:, :1]], 1)
    found = fold_polylines(net, loops)
    times = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]

    def patterns(segment):
        x, bits = segment[0] + times * (segment[1] - segment[0]), []
        for layer in net:
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                bits.append(x > 0)
        return torch.cat(bits, 1)

    cells = []
    for loop in loops:
        walked = torch.cat([patterns(loop[i : i + 2]) for i in range(3)])
        length = int((walked[1:] != walked[:-1]).sum())
        cells.append((length, int((walked != walked[0]).sum(1).max())))
    exact = [(length, reach) for length, reach, num in found.chi.cells for _ in range(num)]
    # sampled: what flips twice between two of 4,001 points is missed, which is rare
    assert sum(a == b for a, b in zip(sorted(cells), exact, strict=True)) >= 6
    # the way back has the same flips
    there, back = (
        int((cells[:, 0] * cells[:, 2]).sum()) for cells in (found.chi.cells, found.chi_back.cells)
    )
    assert there == back
    reversed_loops = fold_polylines(net, loops.flip(1))
    assert np.array_equal(reversed_loops.chi.cells, found.chi_back.cells)
    assert np.array_equal(reversed_loops.peak.cells, found.peak_back.cells)


def test_the_peak_is_the_first_prefix_that_folds_most():
    net, points = network(), corners(2, num=1)
    trace = trace_path(net, points[0, 0], points[0, 1])
    best = int(trace.chi.argmax())
    (peak,) = fold_polylines(net, points).peak.cells
    expected = (trace.length[best], trace.distance[: best + 1].max()) if trace.chi.max() > 0 else (0, 0)
    assert tuple(peak[:2]) == expected


# --- the source --------------------------------------------------------------------------------


def sections(folding=None, **settings):
    return {
        "data": DataSettings(train_images=300),
        "network": NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**{"per_class": 4, **(folding or {})}),
        "augmented": AugmentedSettings(**settings),
    }


@pytest.mark.parametrize(("transform", "amount"), [("rotation", 20.0), ("shift", 2.0), ("noise", 0.2)])
def test_loops_begin_and_end_at_an_image(transform, amount):
    asked = sections(transform=transform, amount=amount)
    data = load_data(asked["data"])
    first, again = (LOOPS.ends(torch.nn.Identity(), data, {"class": 3}, asked) for _ in range(2))
    assert torch.equal(first.sources.values, first.targets.values)
    assert first.via.shape == (4, 2, 784)
    assert torch.equal(first.via, again.via)
    assert ((first.via >= 0) & (first.via <= 1)).all()
    copies = ENDPOINTS["augmented"].ends(torch.nn.Identity(), data, {"class": 3}, asked).targets.values
    assert torch.equal(first.via[:, 0], copies)
    assert not torch.equal(first.via[:, 0], first.via[:, 1])


@pytest.mark.parametrize(
    ("folding", "words"),
    [
        ({"method": "jvp"}, r"folding\.method: jvp walks straight paths; .* set exact, layerwise or sampled"),
        ({"detail": 3}, r"folding\.detail: 3 is for straight paths; .* leave it at 0"),
        ({"threshold": 0.5}, r"folding\.threshold: 0\.5 is for straight paths"),
        ({"units": "all"}, r"folding\.units: all is for straight paths"),
    ],
)
def test_what_loops_cannot_have(folding, words):
    with pytest.raises(SettingsError, match=words):
        LOOPS.check(sections(folding), 10)
    LOOPS.check(sections(), 10)


STUDY = """\
data: {train_images: 300}
network: {architecture: 2x9}
training: {epochs: 1}
folding: {per_class: 2, epoch: last, endpoints: loops}
augmented: {amount: 30.0}
study: {stages: [train, fold]}
"""


def test_tables_of_a_study(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    table = pd.read_csv(tmp_path / "small" / "folding_loops.csv").query("measure == 'chi'")
    assert table["num_paths"].tolist() == [2] * 10
    # back at its start, a path has reached at most half of its length
    folding = table[table["zero_length"] == 0]
    assert (folding["folded"] == 1).all()
    assert (folding["q05"] >= 0.5).all()
    checks = pd.read_csv(tmp_path / "small" / "folding_checks_loops.csv")
    assert set(checks["engine"]) == {"layerwise"}
    assert checks["num_violations"].sum() == 0
