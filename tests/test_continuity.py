"""Encoding margin and continuity: slopes over regions, bounds, jumps, δ(ε), and the probe that reads them."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaceprobe.findings.questions import lmd_continuity
from spaceprobe.folding.region_slopes import operator_norms, region_slopes
from spaceprobe.lmd.continuity import SOFTMAX_SLOPE, continuity_radius, nearest_other
from spaceprobe.networks.activations import ACTIVATIONS
from spaceprobe.networks.lipschitz import STEEPEST, lipschitz_bound
from spaceprobe.networks.mlp import binary_mlp, mlp
from spaceprobe.stages.lmd.settings import LmdSettings
from spaceprobe.stages.lmd.tables import CONTINUITY, asked_tables
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand
from tests.commands import call

RTOL = 1e-10
"""Products of a few small matrices in float64 in another order, and a square root of a Gram matrix."""

WIDTHS = [7, 12, 9, 4]
"""All different, so that swapped axes cannot hide."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def steep_mlp(activation="relu", seed=0, **options):
    """Return an MLP in evaluation mode, whose regions differ by much."""
    return mlp(WIDTHS, generator(seed), activation, scale=3.0, **options).double().eval()


def ends(num_paths=10, seed=1, width=WIDTHS[0]):
    points = torch.randn(2, num_paths, width, generator=generator(seed), dtype=torch.float64)
    return points[0], points[1]


def jacobians(network, points):
    """Return the Jacobian at each point by autograd."""
    return torch.stack(
        [torch.autograd.functional.jacobian(lambda x: network(x[None])[0], point) for point in points]
    )


def with_used_batch_norm(network, seed=2):
    """Return a network whose BatchNorms have seen data, so that they are not the identity."""
    network.train()
    with torch.no_grad():
        for _ in range(30):
            network(2 + 3 * torch.randn(50, WIDTHS[0], generator=generator(seed), dtype=torch.float64))
    return network.eval()


# slopes over regions


@pytest.mark.parametrize("kind", ["relu", "leaky-relu", "abs", "relu6", "prelu", "BatchNorm"])
def test_slopes_of_regions_are_those_of_autograd_at_a_point_inside_each(kind):
    network = (
        with_used_batch_norm(steep_mlp(batch_norm=True)) if kind == "BatchNorm" else steep_mlp(kind, seed=3)
    )
    a, b = ends(num_paths=10)
    seen = region_slopes(network, a, b, threads=1)
    assert np.array_equal(np.unique(seen.path), np.arange(10))
    assert len(seen.path) > 30
    assert not seen.num_violations.any()
    # Not in the middle, where the slopes were read, but elsewhere in the same region.
    flips = [np.r_[0, _ends_of(seen, path), 1] for path in range(10)]
    begin = np.concatenate([of_path[:-1] for of_path in flips])
    end = np.concatenate([of_path[1:] for of_path in flips])
    at = torch.from_numpy(begin + 0.3 * (end - begin))[:, None]
    found = jacobians(network, torch.lerp(a[seen.path], b[seen.path], at))
    np.testing.assert_allclose(torch.linalg.matrix_norm(found, 2).numpy(), seen.slope, rtol=RTOL)
    direction = nn.functional.normalize((b - a)[seen.path], dim=1)
    along = torch.linalg.vector_norm((found @ direction[:, :, None])[:, :, 0], dim=1).numpy()
    np.testing.assert_allclose(along, seen.path_slope, rtol=RTOL)


def _ends_of(seen, path):
    """Return the breakpoints of a path, from the middles of its regions."""
    points, last = [], 0.0
    for middle in seen.t[seen.path == path]:
        last = 2 * middle - last
        points.append(last)
    assert points[-1] == pytest.approx(1, abs=1e-9)
    return points[:-1]


def test_slopes_along_a_path_are_steps_of_outputs_over_steps_of_inputs():
    """The walk knows these from the outputs at breakpoints alone: no Jacobian."""
    network, (a, b) = steep_mlp(), ends(num_paths=3)
    seen = region_slopes(network, a, b)
    for path in range(3):
        t = torch.tensor([0, *_ends_of(seen, path), 1], dtype=torch.float64)[:, None]
        points = torch.lerp(a[path], b[path], t)
        with torch.no_grad():
            steps = network(points).diff(dim=0).norm(dim=1) / points.diff(dim=0).norm(dim=1)
        # Breakpoints are known to 1e-16 or so, which a short region's quotient enlarges.
        is_long = (t.diff(dim=0)[:, 0] > 1e-4).numpy()
        np.testing.assert_allclose(
            steps.numpy()[is_long], seen.path_slope[seen.path == path][is_long], rtol=1e-8
        )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), activation=st.sampled_from(["relu", "leaky-relu", "abs", "hardsigmoid"]))
def test_the_bound_by_norms_is_never_below_a_slope_nor_a_slope_along_a_path_above_it(seed, activation):
    network, (a, b) = steep_mlp(activation, seed), ends(num_paths=4, seed=seed + 1)
    seen = region_slopes(network, a, b)
    bound = lipschitz_bound(network)
    assert seen.slope.max() <= bound * (1 + RTOL)
    assert (seen.path_slope <= seen.slope * (1 + RTOL)).all()


def test_the_bound_is_reached_where_the_layers_fit():
    """Layers that stretch the same direction: the product of norms is the slope."""
    network = mlp([2, 2, 2], generator()).double()
    for layer, scale in ((network[0], 3.0), (network[2], 5.0)):
        layer.weight.data = torch.diag(torch.tensor([scale, 1.0], dtype=torch.float64))
        layer.bias.data.zero_()
    seen = region_slopes(network, [[-1.0, 1.0]], [[1.0, 1.0]])
    assert seen.slope.tolist() == pytest.approx([1.0, 15.0], rel=RTOL)
    assert seen.path_slope.tolist() == pytest.approx([0.0, 15.0], rel=RTOL)
    assert lipschitz_bound(network) == pytest.approx(15.0, rel=RTOL)
    assert seen.t.tolist() == [0.25, 0.75]


def test_a_bound_of_a_batch_norm_is_that_of_the_layers_with_it():
    network = with_used_batch_norm(steep_mlp(batch_norm=True))
    seen = region_slopes(network, *ends())
    assert seen.slope.max() <= lipschitz_bound(network)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_var /= 4  # twice as steep
                layer.eps = 0.0
    assert region_slopes(network, *ends()).slope.max() <= lipschitz_bound(network)


def test_an_activation_may_stand_at_several_places():
    network = steep_mlp()
    shared = nn.Sequential(*network)
    shared[3] = shared[1]
    for found, want in zip(
        *(vars(region_slopes(net, *ends())).values() for net in (shared, network)), strict=True
    ):
        np.testing.assert_array_equal(found, want)


def test_jumps_of_signs_are_differences_of_outputs_on_both_sides():
    network, (a, b) = binary_mlp(WIDTHS, generator()).double().eval(), ends(num_paths=3)
    seen = region_slopes(network, a, b)
    assert not seen.is_continuous
    assert not seen.slope.any()
    assert not seen.path_slope.any()
    row = 0
    for path in range(3):
        for t in _ends_of(seen, path):
            assert seen.jump_path[row] == path
            sides = torch.tensor([t - 1e-7, t + 1e-7], dtype=torch.float64)[:, None]
            with torch.no_grad():
                before, after = network(torch.lerp(a[path], b[path], sides))
            torch.testing.assert_close(seen.before[row], before, rtol=RTOL, atol=RTOL)
            torch.testing.assert_close(seen.after[row], after, rtol=RTOL, atol=RTOL)
            row += 1
    assert row == len(seen.before) > 10
    assert (seen.after - seen.before).norm(dim=1).max() > 0.1


def test_outputs_of_a_relu_network_meet_at_breakpoints():
    seen = region_slopes(steep_mlp(), *ends())
    assert seen.is_continuous
    torch.testing.assert_close(seen.before, seen.after, rtol=1e-9, atol=1e-9)


def test_blocks_do_not_change_slopes(monkeypatch):
    network, paths = steep_mlp(), ends()
    whole = region_slopes(network, *paths)
    monkeypatch.setattr("spaceprobe.folding.region_slopes.MAX_NUMBERS", 100)
    few = region_slopes(network, *paths)
    np.testing.assert_allclose(few.slope, whole.slope, rtol=RTOL)
    assert np.array_equal(few.t, whole.t)


def test_a_path_of_one_point_has_a_slope_but_none_along_it():
    point = ends(num_paths=1)[0]
    seen = region_slopes(steep_mlp(), point, point)
    assert len(seen.slope) == 1
    assert seen.slope[0] > 0
    assert math.isnan(seen.path_slope[0])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(7, 2), "Linear: expected an nn.Sequential"),
        (nn.Sequential(nn.Sequential(nn.Linear(7, 2))), "Sequential: expected linear layers"),
        (nn.Sequential(nn.Linear(7, 4), nn.Softmax(1)), "Softmax: expected linear layers"),
        (nn.Sequential(nn.Linear(7, 4), nn.Sigmoid(), nn.Linear(4, 2)), "not known to be piecewise affine"),
        (nn.Sequential(nn.ReLU()), "no linear layer"),
    ],
)
def test_other_networks_are_refused(network, message):
    with pytest.raises(TypeError, match=message):
        region_slopes(network, *ends())


def test_no_paths_are_an_error():
    nothing = torch.zeros(0, WIDTHS[0])
    with pytest.raises(ValueError, match="no paths"):
        region_slopes(steep_mlp(), nothing, nothing)


@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 6)), seed=st.integers(0, 1000))
def test_operator_norms_are_largest_singular_values(shape, seed):
    matrices = torch.randn(3, *shape, generator=generator(seed), dtype=torch.float64)
    want = torch.linalg.svdvals(matrices)[:, 0]
    torch.testing.assert_close(operator_norms(matrices), want, rtol=RTOL, atol=1e-12)


# bounds and δ


@pytest.mark.parametrize("name", [*ACTIVATIONS])
def test_the_steepest_slope_of_an_activation_is_one(name):
    """Against slopes between points that are close together; those without a known bound are not in it."""
    module = ACTIVATIONS[name]().double().eval()
    if type(module) not in STEEPEST:
        assert isinstance(lipschitz_bound(nn.Sequential(nn.Linear(2, 2), module)), str)
        return
    x = torch.linspace(-15, 15, 90_001, dtype=torch.float64)
    with torch.no_grad():
        slopes = module(x).diff() / x.diff()
    steepest = STEEPEST[type(module)](module)
    assert slopes.abs().max() <= steepest + 1e-9
    assert slopes.abs().max() >= steepest * 0.999


def test_where_there_is_no_bound_it_says_why():
    assert lipschitz_bound(binary_mlp(WIDTHS, generator())) == "Sign jumps: no slope bounds the outputs"
    assert "MLPs only" in lipschitz_bound(nn.Conv1d(1, 1, 1))
    assert "GELU" in lipschitz_bound(mlp(WIDTHS, generator(), "gelu"))
    huge = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).double()
    for layer in huge:
        layer.weight.data.fill_(1e200)
    assert "too large" in lipschitz_bound(huge)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6))
def test_softmax_is_no_steeper_than_its_constant(scores):
    p = torch.tensor(scores, dtype=torch.float64).softmax(0)
    assert torch.linalg.matrix_norm(torch.diag(p) - torch.outer(p, p), 2) <= SOFTMAX_SLOPE + 1e-12


def test_softmax_reaches_its_constant():
    p = torch.full((2,), 0.5, dtype=torch.float64)
    assert float(torch.linalg.matrix_norm(torch.diag(p) - torch.outer(p, p), 2)) == SOFTMAX_SLOPE


def test_what_is_less_than_delta_apart_has_probabilities_less_than_the_margin_apart():
    network, (a, _) = steep_mlp(), ends(num_paths=200)
    margin = 0.05
    delta = continuity_radius(margin, SOFTMAX_SLOPE * lipschitz_bound(network))
    step = nn.functional.normalize(torch.randn(a.shape, generator=generator(5), dtype=torch.float64), dim=1)
    with torch.no_grad():
        change = network(a + delta * step).softmax(1) - network(a).softmax(1)
    assert 0 < float(change.norm(dim=1).max()) <= margin


def test_delta_of_a_constant_is_not_a_number_and_bad_numbers_are_refused():
    assert continuity_radius(0.1, 0.0) is None
    assert continuity_radius(0.0, 2.0) == 0
    with pytest.raises(ValueError, match="margin: -1"):
        continuity_radius(-1, 1)
    with pytest.raises(ValueError, match="slope: nan"):
        continuity_radius(1, math.nan)


@given(seed=st.integers(0, 1000), num_classes=st.integers(1, 4))
def test_the_nearest_other_point_is_that_of_all_pairs(seed, num_classes):
    points = torch.randn(9, 3, generator=generator(seed), dtype=torch.float64)
    labels = torch.randint(num_classes, (9,), generator=generator(seed))
    pairs = [
        float((points[i] - points[j]).norm()) for i in range(9) for j in range(i) if labels[i] != labels[j]
    ]
    found = nearest_other(points, labels)
    assert found == pytest.approx(min(pairs)) if pairs else found is None


def test_labels_without_points_are_an_error():
    with pytest.raises(ValueError, match="of 2 points, 3 points"):
        nearest_other(torch.zeros(3, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.int64))


# the probe

SMALL = """\
data: {dataset: digits, train_images: 60}
network: {architecture: 2x6}
training: {epochs: 2, snapshots: [1]}
lmd: {epoch: all, probes: [continuity], continuity_paths: 5}
study: {stages: [train, lmd]}
sweep:
  zip:
    network.model: [mlp, binary-mlp, mlp]
    network.activation: [relu, relu, sigmoid]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continuity")
    (folder / "small.yaml").write_text(SMALL)
    result = call("run", folder / "small.yaml", "--results", folder, "--jobs", 1)
    assert result.exit_code == 0
    assert "encoding margin, slopes and jumps of the networks" in result.stdout
    return folder / "small"


def rows_of(study, model, activation):
    frames = {name: pd.read_csv(study / f"{name}.csv") for name in ("runs", "lmd_continuity")}
    runs = frames["runs"].query(f"model == {model!r} and activation == {activation!r}")
    rows = frames["lmd_continuity"].merge(runs[["run"]]).fillna({"note": ""})
    assert rows["epoch"].tolist() == [0, 1, 2]
    return rows


def test_the_table_holds_for_each_epoch_what_norms_and_regions_say(study):
    rows = rows_of(study, "mlp", "relu")
    assert (rows["num_points"] == 60).all()
    assert (rows["num_paths"] == 5).all()
    assert (rows["largest_path_slope"] <= rows["largest_slope"]).all()
    assert (rows["largest_slope"] <= rows["slope_bound"]).all()
    np.testing.assert_allclose(rows["delta_bound"], rows["margin_max"] / rows["slope_bound"] / SOFTMAX_SLOPE)
    np.testing.assert_allclose(rows["delta"], rows["margin_max"] / rows["largest_slope"] / SOFTMAX_SLOPE)
    assert not rows["largest_jump"].any()
    assert (rows["note"] == "").all()


def test_every_column_is_filled_for_some_network(study):
    table = pd.read_csv(study / "lmd_continuity.csv")
    assert [*table.columns.drop(["run", "model", "activation"], errors="ignore")] == [*CONTINUITY.names]
    assert table.notna().any().all()


def test_its_margin_is_that_of_the_training(study):
    rows = rows_of(study, "mlp", "relu")
    trained = pd.read_csv(study / "lmd_convergence.csv").query("layer == 0").drop(columns="layer")
    merged = rows.merge(trained, on=["run", "epoch"], suffixes=("", "_then"))
    assert len(merged) == 3
    for name in ("margin_q50", "margin_max"):
        np.testing.assert_allclose(merged[name], merged[f"{name}_then"], rtol=1e-4)  # float32 then


def test_signs_have_jumps_but_no_slope_and_smooth_activations_a_bound_but_no_regions(study):
    signs = rows_of(study, "binary-mlp", "sign")
    assert signs["slope_bound"].isna().all()
    assert signs["note"].str.contains("jumps").all()
    assert (signs["largest_jump"] > 0).all()
    expected = np.where(signs["largest_jump"] > signs["margin_max"], 0.0, np.nan)
    np.testing.assert_array_equal(signs["delta"], expected)
    assert ((signs["jumping"] > 0) == (signs["largest_jump"] > signs["margin_max"])).all()
    smooth = rows_of(study, "mlp", "sigmoid")
    assert smooth["slope_bound"].gt(0).all()
    assert smooth[["largest_slope", "delta", "largest_jump", "num_regions"]].isna().all(axis=None)
    assert smooth["note"].str.contains("not known to be piecewise affine").all()


def test_a_study_that_does_not_ask_has_neither_the_table_nor_another_key():
    sections = {"lmd": LmdSettings(), "network": NetworkSettings()}
    assert CONTINUITY not in asked_tables(sections)
    assert CONTINUITY in asked_tables({**sections, "lmd": LmdSettings(probes=("continuity",))})
    assert "continuity_paths" not in LmdSettings().measurement()
    assert LmdSettings(continuity_paths=7).measurement()["continuity_paths"] == 7


def test_one_training_point_is_no_path(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text("data: {dataset: digits, train_images: 1}\nlmd: {probes: [continuity]}\n")
    result = call("validate", path)
    assert result.exit_code == 2
    assert "continuity is measured between two training points" in result.stderr


def test_the_shipped_study_compares_the_epoch_that_its_sentences_speak_of():
    for name in ("lmd-continuity", "lmd-continuity-ci"):
        study = load_study(shipped_configs()[name])
        runs = expand(study)
        assert {run.sections["network"].model for run in runs} == {*lmd_continuity.NETWORKS}
        assert all(lmd_continuity.STOPPED in run.sections["training"].snapshots for run in runs)
