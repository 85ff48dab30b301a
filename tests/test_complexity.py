"""Norms, margins and sharpness of networks: known answers, literal oracles, invariances, the stage."""

import copy
import itertools
import math

import pandas as pd
import pytest
import torch
from torch import nn

from spaceprobe.data.dataset import Split
from spaceprobe.data.swiss_roll import swiss_roll
from spaceprobe.networks.mlp import binary_mlp, mlp
from spaceprobe.networks.path_norm import affine_maps, frobenius_product, path_norm, spectral_product
from spaceprobe.networks.sharpness import output_margins, outputs_of, sharpness
from spaceprobe.stages.complexity.regions import ENDS_SEED, region_counts
from spaceprobe.stages.complexity.settings import ComplexitySettings
from spaceprobe.stages.complexity.tables import asked_tables
from spaceprobe.stages.train.network_settings import NetworkSettings
from tests.commands import call

ROUNDING = 1e-12
"""Relative: sums of a few hundred float64 products in another order."""


def layer(weight, bias):
    made = nn.Linear(len(weight[0]), len(weight)).double()
    made.weight.data = torch.tensor(weight, dtype=torch.float64)
    made.bias.data = torch.tensor(bias, dtype=torch.float64)
    return made


def drawn(widths, seed=3, **options):
    network = mlp(widths, torch.Generator().manual_seed(seed), **options).double().eval()
    for parameter in network.parameters():
        parameter.data += 0.1
    return network


def rescaled(network, factors):
    """Return a network with each unit of its first layer times a factor, which the next layer undoes."""
    made = copy.deepcopy(network)
    made[0].weight.data *= factors[:, None]
    made[0].bias.data *= factors
    made[2].weight.data /= factors
    return made


def path_norm_by_enumeration(maps):
    """Sum the product of squared weights along every single path, from an input or from a bias."""
    total = 0.0
    sizes = [maps[0].weight.shape[1], *(len(m.bias) for m in maps)]
    for start in range(len(maps) + 1):  # 0: at an input; else at a bias of layer start - 1
        for units in itertools.product(*(range(size) for size in sizes[start:])):
            product = 1.0 if start == 0 else float(maps[start - 1].bias[units[0]])
            for step, (below, above) in enumerate(itertools.pairwise(units)):
                product *= float(maps[start + step].weight[above, below])
            total += product**2
    return math.sqrt(total)


def test_norms_of_a_network_by_hand():
    # Paths from the input: 1·3 and 2·4; from the biases: 5·3, 6·4 and 7.
    network = nn.Sequential(layer([[1], [2]], [5, 6]), nn.ReLU(), layer([[3, 4]], [7]))
    maps = affine_maps(network)
    assert path_norm(maps) == math.sqrt(3**2 + 8**2 + 15**2 + 24**2 + 7**2)
    # ‖(1, 2)‖ = √5 and ‖(3, 4)‖ = 5, both matrices of rank one
    assert spectral_product(maps) == pytest.approx(5 * math.sqrt(5), rel=ROUNDING)
    assert frobenius_product(maps) == pytest.approx(5 * math.sqrt(5), rel=ROUNDING)


@pytest.mark.parametrize("widths", [[3, 2], [2, 4, 3], [2, 3, 4, 3, 2]])
def test_the_path_norm_is_the_sum_over_all_paths(widths):
    maps = affine_maps(drawn(widths))
    assert path_norm(maps) == pytest.approx(path_norm_by_enumeration(maps), rel=ROUNDING)


def test_the_spectral_product_is_that_of_largest_singular_values():
    maps = affine_maps(drawn([5, 4, 3]))
    expected = math.prod(float(torch.linalg.svdvals(one.weight)[0]) for one in maps)
    assert spectral_product(maps) == pytest.approx(expected, rel=ROUNDING)
    assert spectral_product(maps) < frobenius_product(maps)


def test_rescaling_units_changes_neither_path_norm_nor_sharpness():
    network = drawn([4, 3, 2])
    other = rescaled(network, torch.tensor([0.25, 2.0, 64.0], dtype=torch.float64))
    assert path_norm(affine_maps(other)) == path_norm(affine_maps(network))  # powers of two round alike
    assert frobenius_product(affine_maps(other)) != frobenius_product(affine_maps(network))
    inputs, targets = torch.rand(20, 4, dtype=torch.float64), torch.arange(20) % 2
    options = {"noise": 0.3, "num_draws": 3, "seed": 5}
    assert sharpness(network, inputs, targets, **options) == sharpness(other, inputs, targets, **options)


def test_a_batch_norm_is_part_of_the_layer_before_it():
    network = drawn([4, 3, 2], batch_norm=True)
    norm = network[1]
    norm.running_mean[:] = torch.tensor([0.5, -1.0, 2.0])
    norm.running_var[:] = torch.tensor([4.0, 0.25, 9.0])
    norm.weight.data *= 3
    inputs = torch.rand(7, 4, dtype=torch.float64)
    first, second = affine_maps(network)
    hidden = (inputs @ first.weight.T + first.bias).relu()
    assert torch.allclose(
        hidden @ second.weight.T + second.bias, network(inputs), rtol=ROUNDING, atol=ROUNDING
    )


def test_a_batch_norm_behind_an_activation_is_a_map_of_its_own():
    network = nn.Sequential(
        layer([[1], [2]], [5, 6]), nn.ReLU(), nn.BatchNorm1d(2).double(), layer([[3, 4]], [7])
    )
    maps = affine_maps(network.eval())
    assert [m.weight.shape for m in maps] == [(2, 1), (2, 2), (1, 2)]
    assert maps[1].weight[0, 1] == 0


def test_what_is_an_mlp():
    assert affine_maps(nn.Sequential(nn.Linear(3, 2), nn.PReLU(), nn.Dropout(), nn.Linear(2, 2))) is not None
    assert affine_maps(binary_mlp([3, 2, 2], torch.Generator(), batch_norm=True)) is not None
    for other in (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)),
        nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)),
        nn.Sequential(nn.ReLU()),
        nn.Linear(3, 2),
    ):
        assert affine_maps(other) is None


def test_margins_by_hand():
    outputs = torch.tensor([[3.0, 1.0, 2.5], [0.0, 4.0, 5.0], [1.0, 1.0, 0.0]])
    assert output_margins(outputs, torch.tensor([0, 1, 1])).tolist() == [0.5, -1.0, 0.0]


def test_sharpness_is_the_growth_of_the_loss_draw_by_draw():
    network = drawn([4, 3, 2])
    before = {name: values.clone() for name, values in network.state_dict().items()}
    inputs, targets = torch.rand(11, 4, dtype=torch.float64), torch.arange(11) % 2
    found = sharpness(network, inputs, targets, noise=0.5, num_draws=4, seed=9)
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    generator, growth = torch.Generator().manual_seed(9), []
    with torch.no_grad():
        least = float(nn.functional.cross_entropy(network(inputs), targets))
        for _ in range(4):
            noisy = copy.deepcopy(network)
            for parameter in noisy.parameters():
                epsilon = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter += 0.5 * parameter * epsilon
            growth.append(float(nn.functional.cross_entropy(noisy(inputs), targets)) - least)
    assert found.mean == pytest.approx(sum(growth) / 4, rel=1e-9)  # differences of losses of order 1
    assert found.largest == pytest.approx(max(growth), rel=1e-9)
    still = sharpness(network, inputs, targets, noise=0.0, num_draws=2, seed=9)
    assert (still.mean, still.largest) == (0, 0)


def test_weights_are_put_back_where_a_forward_pass_fails():
    network = drawn([4, 3, 2])
    own = network[0].weight.clone()
    with pytest.raises(IndexError, match="out of bounds"):
        sharpness(network, torch.rand(3, 4).double(), torch.tensor([0, 1, 5]), noise=0.5, num_draws=1, seed=0)
    assert torch.equal(network[0].weight, own)


def test_outputs_in_batches_are_those_of_all_points():
    network = drawn([4, 3, 2])
    inputs = torch.rand(2_001, 4, dtype=torch.float64)
    assert torch.allclose(outputs_of(network, inputs), network(inputs), rtol=ROUNDING)


STUDY = """\
study: {stages: [train, complexity]}
data: {train_images: 200, random_labels: 0.5}
network: {architecture: 2x5}
training: {epochs: 3, snapshots: [1]}
complexity: {sample: 150, draws: 2}
"""


def run(tmp_path, text, *words):
    file = tmp_path / "measured.yaml"
    file.write_text(text)
    outcome = call("run", file, "--results", tmp_path, *words)
    assert outcome.exit_code == 0, outcome.output
    return outcome, pd.read_csv(tmp_path / "measured" / "complexity.csv")


def test_a_study_has_a_row_for_each_kept_epoch(tmp_path):
    outcome, table = run(tmp_path, STUDY)
    assert table["epoch"].tolist() == [0, 1, 3]
    assert table["distance"].iloc[0] == 0
    assert table["distance"].is_monotonic_increasing
    assert table["note"].isna().all()
    assert (table["path_margin"] * table["path_norm"] - table["margin"]).abs().max() < ROUNDING
    assert (table["worst_sharpness"] >= table["sharpness"]).all()
    assert "path norm" in outcome.stdout
    folder = tmp_path / "measured"
    assert not (folder / "folding.csv").exists()
    before = (folder / "complexity.csv").read_bytes()
    _, noisier = run(tmp_path, STUDY.replace("draws: 2", "draws: 2, noise: 0.5"))
    assert (noisier["path_norm"] == table["path_norm"]).all()
    assert (noisier["sharpness"] != table["sharpness"]).all()
    run(tmp_path, STUDY)
    assert (folder / "complexity.csv").read_bytes() == before


def test_noise_that_is_swept_is_a_column(tmp_path):
    _, table = run(tmp_path, STUDY + "sweep: {complexity.noise: [0.1, 0.2]}\n")
    assert table["noise"].tolist() == [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]


def test_other_networks_have_no_path_norm_and_say_so(tmp_path):
    cnn = "network: {model: cnn, architecture: 1x2}\ncomplexity: {epoch: last, draws: 1}\n"
    _, table = run(
        tmp_path,
        "study: {stages: [train, complexity]}\ndata: {train_images: 60}\ntraining: {epochs: 1}\n" + cnn,
    )
    (row,) = table.to_dict("records")
    assert math.isnan(row["path_norm"])
    assert row["note"] == "path norm and products of norms are those of MLPs only"
    assert math.isfinite(row["margin"])
    assert math.isfinite(row["sharpness"])


def test_a_regression_has_no_margin(tmp_path):
    roll = "data: {dataset: swiss-roll, task: regression, points: 60}\nnetwork: {architecture: 2x4}\n"
    _, table = run(tmp_path, "study: {stages: [train, complexity]}\ntraining: {epochs: 1}\n" + roll)
    assert table["margin"].isna().all()
    assert table["path_norm"].notna().all()
    assert table["sharpness"].notna().all()


def test_a_study_has_it_only_where_it_lists_it(tmp_path):
    file = tmp_path / "plain.yaml"
    file.write_text("data: {train_images: 60}\ntraining: {epochs: 1}\nnetwork: {architecture: 1x3}\n")
    planned = call("plan", file, "--results", tmp_path).stdout
    assert [line.split()[0] for line in planned.splitlines()[1:]] == ["train", "fold", "lmd", "summarize"]
    early = call("complexity", file, "--results", tmp_path)
    assert "`spaceprobe train` comes first" in early.stderr
    assert call("train", file, "--results", tmp_path).exit_code == 0
    assert call("complexity", file, "--results", tmp_path).exit_code == 0
    assert len(pd.read_csv(tmp_path / "plain" / "complexity.csv")) == 2


REGIONS_STUDY = """\
study: {stages: [train, complexity]}
data: {dataset: swiss-roll, task: regression, points: 60}
network: {architecture: 2x4}
training: {epochs: 2, snapshots: [1]}
complexity: {draws: 1, paths: 7}
sweep:
  network.activation: [relu, polynomial-2]
"""


def patterns_on(network, start, end, num_steps=20_000):
    """Return the number of different activation patterns in a row at many even points of a segment."""
    t = torch.linspace(0, 1, num_steps, dtype=torch.float64)[:, None]
    values, signs = torch.lerp(start, end, t), []
    for module in network:
        values = module(values)
        signs += [values > 0] if isinstance(module, nn.ReLU) else []
    return 1 + int((torch.cat(signs, 1).diff(dim=0) != 0).any(1).sum())


def test_regions_between_test_points(tmp_path):
    run(tmp_path, REGIONS_STUDY)
    table = pd.read_csv(tmp_path / "measured" / "complexity_regions.csv")
    runs = pd.read_csv(tmp_path / "measured" / "runs.csv").set_index("run")
    assert {*runs.loc[table["run"], "activation"]} == {"relu"}  # a polynomial has no linear regions
    assert table["epoch"].tolist() == [0, 1, 2]
    assert (table["num_paths"] == 7).all()
    assert table["length"].nunique() == 1
    assert (table["region_density"] - table["num_regions"] / table["length"]).abs().max() < ROUNDING


def test_regions_are_those_that_many_points_see():
    sections = {"network": NetworkSettings(architecture="2x4")}
    network, points = drawn([3, 4, 4, 2]), swiss_roll(9, 21)
    found = region_counts(sections, network, points.test, 100)
    order = torch.randperm(21, generator=torch.Generator().manual_seed(ENDS_SEED))
    pairs = [(order[k], order[k + 1]) for k in range(0, 20, 2)]
    ends = [(points.test.inputs[i].double(), points.test.inputs[j].double()) for i, j in pairs]
    assert found["num_paths"] == 10  # of 21 points
    assert found["num_regions"] == sum(patterns_on(network, *each) for each in ends)
    assert found["length"] == pytest.approx(sum(float((b - a).norm()) for a, b in ends), rel=ROUNDING)


@pytest.mark.parametrize("activation", ["polynomial-3", "tanh", "hardshrink", "threshold"])
def test_what_has_no_regions(activation):
    sections = {"network": NetworkSettings(activation=activation, architecture="2x4")}
    assert (
        region_counts(sections, drawn([3, 4, 4, 2], activation=activation), swiss_roll(9, 8).test, 2) is None
    )


def test_points_in_one_place_have_no_path():
    sections = {"network": NetworkSettings(architecture="2x4")}
    points = Split(torch.ones(4, 3), torch.ones(4, 1))
    assert region_counts(sections, drawn([3, 4, 4, 2]), points, 2) is None


def test_measurements_without_paths_keep_their_keys():
    assert "paths" not in ComplexitySettings().key()
    assert ComplexitySettings(paths=3).key() == {**ComplexitySettings().key(), "paths": 3}
    assert [table.name for table in asked_tables({"complexity": ComplexitySettings()})] == ["complexity"]
