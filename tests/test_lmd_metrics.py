"""The neighbour graph and the latent metrics made from data, against literal ones and their theorems."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.lmd.certificate import certify
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.graph import (
    ConstantPointsError,
    distinct_points,
    nearest_neighbours,
    neighbour_graph,
)
from spaceprobe.lmd.metrics import (
    data_metric,
    dirichlet_energy,
    laplacian_metric,
)

# docs/definitions.md, "The five factors", measured with a prototype; met while the metrics are
# conditioned to about 1e3.
RECONSTRUCTION = 5e-14
PENCIL = 4e-13
# Beyond, rounding grows like the square root of the condition numbers; ten epsilons for the sums inside.
PER_ROOT_CONDITION = 10 * np.finfo(float).eps
# A handful of roundings in sums of some hundred terms.
ROUNDING = 1e-13
# The same, amplified by metrics conditioned to about 1e3 in the layers drawn here.
INVARIANCE = 1e-11
# Largest move of S'_1 for k = 5 or 20 instead of 10 in layers with random weights on 1,000 digits: 0.5 % in
# the first, 4.2 % in the last. Trained for ten epochs on 2,000 digits: up to 3.3 %; for one: up to 6 %.
MOVE_BY_NEIGHBOURS = 0.06


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def rotation(size, seed=0):
    return torch.linalg.qr(randn(size, size, seed=seed))[0]


def layer(num_points, num_inputs, num_outputs, seed=0):
    """Inputs of uneven variance and with a mean, a weight, a bias and the pre-activations."""
    spread = torch.linspace(0.3, 2, num_inputs, dtype=torch.float64)
    inputs = randn(num_points, num_inputs, seed=seed) * spread + 3
    weight = randn(num_outputs, num_inputs, seed=seed + 1) / math.sqrt(num_inputs)
    bias = randn(num_outputs, seed=seed + 2)
    return inputs, weight, bias, inputs @ weight.T + bias


def laplacian_of(inputs, outputs, num_neighbours=10, **options):
    graphs = (neighbour_graph(points, num_neighbours) for points in (inputs, outputs))
    return laplacian_metric(inputs, outputs, *graphs, **options)


def literal_edges(points, num_neighbours):
    """Edges i < j with their lengths, from all pairs."""
    points = np.asarray(points)
    edges = {}
    for i, here in enumerate(points):
        others = sorted((math.dist(here, there), j) for j, there in enumerate(points) if j != i)
        for length, j in others[:num_neighbours]:
            edges[min(i, j), max(i, j)] = length
    return edges


def literal_laplacian(points, num_neighbours):
    edges = literal_edges(points, num_neighbours)
    median = float(np.median(list(edges.values())))
    laplacian, total = np.zeros((len(points), len(points))), 0.0
    for (i, j), length in edges.items():
        weight = math.exp(-(length**2) / (2 * median**2))
        laplacian[[i, j], [i, j]] += weight
        laplacian[[i, j], [j, i]] -= weight
        total += weight
    return laplacian, total, median


# Up to 15 features scikit-learn uses a tree, above a matrix product.
@pytest.mark.parametrize(("shape", "num_neighbours"), [((23, 4), 3), ((29, 21), 5), ((7, 2), 6), ((2, 3), 1)])
def test_graph_is_the_literal_one(shape, num_neighbours):
    points = randn(*shape)
    laplacian, total, median = literal_laplacian(points, num_neighbours)
    for given_points in (points, points.numpy()):
        graph = neighbour_graph(given_points, num_neighbours)
        assert graph.laplacian.toarray() == pytest.approx(laplacian, abs=ROUNDING)
        assert graph.total_weight == pytest.approx(total, rel=ROUNDING)
        assert graph.median_edge == pytest.approx(median, rel=ROUNDING)
        assert graph.num_points == len(points)
        assert (graph.laplacian != graph.laplacian.T).nnz == 0


def test_known_graph():
    graph = neighbour_graph(np.array([[0.0], [1.0], [3.0]]), 1)
    # 2 is joined to 1 although 1 prefers 0.
    near, far = math.exp(-2 / 9), math.exp(-8 / 9)
    expected = [[near, -near, 0], [-near, near + far, -far], [0, -far, far]]
    assert graph.laplacian.toarray() == pytest.approx(np.array(expected), rel=1e-15)
    assert (graph.median_edge, graph.num_components) == (1.5, 1)
    assert graph.total_weight == pytest.approx(near + far, rel=1e-15)


@pytest.mark.parametrize("num_features", [2, 17])
def test_laplacian_has_one_zero_eigenvalue_for_each_component(num_features):
    sizes = (7, 9, 12, 5)
    points = torch.cat([randn(size, num_features, seed=size) + 100 * i for i, size in enumerate(sizes)])
    graph = neighbour_graph(points, 3)
    values = np.linalg.eigvalsh(graph.laplacian.toarray())
    num_zero = int(np.sum(values < ROUNDING * values[-1]))
    # Three neighbours may leave a cloud in parts as well, so count again, literally.
    parts = {i: {i} for i in range(len(points))}
    for i, j in literal_edges(points, 3):
        joined = parts[i] | parts[j]
        parts.update(dict.fromkeys(joined, joined))
    assert graph.num_components == num_zero == len({min(part) for part in parts.values()})
    assert graph.num_components >= len(sizes)


def test_an_edge_without_weight_joins_nothing():
    points = np.concatenate([np.arange(12.0), 1e5 + np.arange(2.0)])[:, None]
    graph = neighbour_graph(points, 2)
    # Both far points reach back over 1e5 median edges.
    assert graph.num_components == 2
    assert np.sum(np.linalg.eigvalsh(graph.laplacian.toarray()) < ROUNDING) == 2


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_graph_ignores_moves_and_scale(seed, scale):
    points = randn(31, 18, seed=seed)
    moved = scale * (points @ rotation(18, seed)) + randn(18, seed=seed + 1)
    one, other = neighbour_graph(points, 4), neighbour_graph(moved, 4)
    # The move by some units costs digits of points scaled to thousandths.
    assert other.laplacian.toarray() == pytest.approx(one.laplacian.toarray(), abs=1e-10)
    assert other.median_edge == pytest.approx(scale * one.median_edge, rel=1e-10)


@pytest.mark.parametrize("num_features", [3, 40])
def test_points_very_close_together_and_far_from_the_origin_keep_their_distances(num_features):
    points = randn(26, num_features)
    points[1::2] = points[::2] + 1e-9 * randn(13, num_features, seed=1)
    points += 100
    found = nearest_neighbours(points, 1)
    assert found.indices[:, 0].tolist() == [i ^ 1 for i in range(26)]
    exact = torch.linalg.vector_norm(points[1::2] - points[::2], dim=1).numpy()
    assert found.distances[::2, 0].tolist() == pytest.approx(exact, rel=1e-15)
    assert 0 < found.distances.max() < 1e-8 * math.sqrt(num_features)


def test_neighbours_far_from_the_origin_are_the_same_ones():
    # Multiples of 1/1024, so that the move by 2^27 is exact. Squares there are right to some units only.
    points = (1024 * randn(60, 20)).round() / 1024
    here, there = nearest_neighbours(points, 5), nearest_neighbours(points + 2**27, 5)
    assert np.array_equal(here.indices, there.indices)
    assert np.array_equal(here.distances, there.distances)


@pytest.mark.parametrize("num_features", [2, 20])
def test_equal_points_are_neighbours_but_no_point_is_its_own(num_features):
    points = torch.cat([torch.zeros(9, num_features), torch.ones(4, num_features)]).double()
    found = nearest_neighbours(points, 4)
    assert not np.any(found.indices == np.arange(13)[:, None])
    assert all(len(set(row)) == 4 for row in found.indices.tolist())
    assert not found.distances[:9].any()
    apart = math.sqrt(num_features)
    assert found.distances[9:] == pytest.approx(np.array([[0, 0, 0, apart]] * 4), rel=1e-15)


def test_distinct_points_are_the_first_of_their_kind():
    points = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0], [2.0, 3.0], [2.0, 4.0], [0.0, 1.0]])
    assert distinct_points(points).tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.full((15, 30), 1 / 3), r"constant layer, .* beyond rounding \(1 of 15 points are distinct\)"),
        (torch.cat([torch.zeros(40, 3), randn(5, 3).float()]), r"\(6 of 45 points are distinct\)"),
        # A constant layer whose rows differ by rounding.
        (1 + 2**-52 * torch.arange(20).double()[:, None].repeat(1, 17), r"\(20 of 20 points are distinct\)"),
    ],
)
def test_a_constant_layer_has_no_graph(points, message):
    with pytest.raises(ConstantPointsError, match=message):
        neighbour_graph(points.double(), 3)


@pytest.mark.parametrize(
    ("points", "num_neighbours", "message"),
    [
        (randn(10, 2), 10, "points: 10, at least 11 are needed for 10 neighbours; give more points or"),
        (randn(10, 2), 0, "num_neighbours: 0, at least 1"),
        (torch.tensor([[math.nan], [1.0], [math.inf]]).double(), 1, "points: 2 of 3 entries are NaN"),
        (torch.tensor([[1e200], [1.0]]).double(), 1, r"points: 1 of 2 entries are .* above 1e\+150"),
        (torch.zeros(0, 4).double(), 1, r"points: of shape \(0, 4\)"),
        (torch.zeros(4, 0).double(), 1, r"points: of shape \(4, 0\)"),
    ],
)
def test_what_has_no_graph_is_refused(points, num_neighbours, message):
    with pytest.raises(ValueError, match=message):
        neighbour_graph(points, num_neighbours)


def test_energy_is_the_mean_over_the_edges():
    inputs = randn(26, 7)
    graph = neighbour_graph(inputs, 4)
    Z = randn(26, 3, seed=2)
    edges = literal_edges(inputs, 4)
    median = np.median(list(edges.values()))
    expected, total = np.zeros((3, 3)), 0.0
    for (i, j), length in edges.items():
        weight = math.exp(-(length**2) / (2 * median**2))
        expected += weight * np.outer(Z[i] - Z[j], Z[i] - Z[j])
        total += weight
    assert dirichlet_energy(Z, graph).numpy() == pytest.approx(expected / total, abs=ROUNDING)


SIZES = [(60, 9, 13, 9), (70, 13, 8, 8), (65, 11, 6, 4), (50, 7, 7, 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ["data", "laplacian"])
def test_factors_keep_the_accuracy_of_the_design(sizes, name):
    inputs, weight, _, outputs = layer(*sizes[:3])
    metric = data_metric(inputs) if name == "data" else laplacian_of(inputs, outputs)
    factors = decompose(weight, sizes[3], metric)
    found = certify(weight, factors)
    assert found.reconstruction_error <= RECONSTRUCTION
    assert found.truncation_gap <= RECONSTRUCTION
    tail = factors.singular_values[sizes[3] :]
    assert found.truncation_error == pytest.approx(math.hypot(*tail.tolist()), abs=RECONSTRUCTION)


def literal_gram(spread, ridge):
    """The table of docs/definitions.md, "Latent metrics", word for word."""
    size = len(spread)
    return np.linalg.inv((1 - ridge) * spread + ridge * np.trace(spread) / size * np.eye(size))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("ridge", [0.0, 0.01, 0.5])
def test_separation_is_that_of_the_literal_pencil(sizes, ridge):
    inputs, weight, _, outputs = layer(*sizes[:3])
    rank = sizes[3]
    U, sigma, Vh = np.linalg.svd(weight.numpy(), full_matrices=False)
    U, sigma, Vh = U[:, :rank], np.diag(sigma[:rank]), Vh[:rank]
    Z = (inputs - inputs.mean(dim=0)).numpy() @ Vh.T
    Y = (outputs - outputs.mean(dim=0)).numpy() @ U

    found = decompose(weight, rank, data_metric(inputs, ridge)).S_prime.numpy() ** 2
    gram = literal_gram(Z.T @ Z / len(Z), ridge)
    pencil = scipy.linalg.eigh(sigma @ sigma, gram, eigvals_only=True)[::-1]
    assert np.abs(found - pencil).max() <= PENCIL * pencil[0]

    found = decompose(weight, rank, laplacian_of(inputs, outputs, ridge=ridge)).S_prime.numpy() ** 2
    grams = []
    for points, basis in ((inputs, Z), (outputs, Y)):
        laplacian, total, _ = literal_laplacian(points, 10)
        grams.append(literal_gram(basis.T @ laplacian @ basis / total, ridge))
    pencil = scipy.linalg.eigh(sigma @ grams[1] @ sigma, grams[0], eigvals_only=True)[::-1]
    assert np.abs(found - pencil).max() <= PENCIL * pencil[0]


@pytest.mark.parametrize("sizes", SIZES)
def test_data_separation_is_the_variance_of_the_outputs(sizes):
    inputs, weight, _, _ = layer(*sizes[:3])
    factors = decompose(weight, sizes[3], data_metric(inputs, ridge=0.0))
    outputs = (inputs @ factors.product().T).numpy()
    values = np.linalg.eigvalsh(np.cov(outputs, rowvar=False, bias=True))[::-1][: sizes[3]]
    assert factors.S_prime.numpy() ** 2 == pytest.approx(values, abs=PENCIL * values[0])
    # I_dist Vᵀ makes the inputs white.
    white = (inputs - inputs.mean(dim=0)) @ (factors.I_dist @ factors.Vh).T
    assert (white.T @ white / len(white)).numpy() == pytest.approx(np.eye(sizes[3]), abs=1e-12)


def activation_error(weight, cut, inputs):
    """Root mean square of ‖(W - W_cut)(x - mean)‖: what is left when the bias makes up for the mean."""
    moved = (inputs - inputs.mean(dim=0)) @ (weight - cut).T
    return float(torch.linalg.vector_norm(moved)) / math.sqrt(len(inputs))


def corrected_bias(bias, weight, cut, inputs):
    return bias + (weight - cut) @ inputs.mean(dim=0)


@pytest.mark.parametrize("sizes", SIZES[:3])
def test_cutting_the_data_separation_costs_its_tail(sizes):
    inputs, weight, bias, outputs = layer(*sizes[:3])
    factors = decompose(weight, metric=data_metric(inputs, ridge=0.0))
    for num_kept in range(factors.rank):
        S_cut = torch.where(torch.arange(factors.rank) < num_kept, factors.S_prime, 0.0)
        cut = factors.U @ (factors.O_dist * S_cut) @ factors.I_dist @ factors.Vh
        tail = math.hypot(*factors.S_prime[num_kept:].tolist())
        assert activation_error(weight, cut, inputs) == pytest.approx(tail, rel=1e-12)
        # Literally: the layer with another weight and bias.
        other = inputs @ cut.T + corrected_bias(bias, weight, cut, inputs)
        moved = [math.dist(a, b) ** 2 for a, b in zip(outputs.tolist(), other.tolist(), strict=True)]
        assert math.sqrt(sum(moved) / len(moved)) == pytest.approx(tail, rel=1e-12)


def test_of_a_layer_cut_before_the_cost_is_counted_from_the_cut_one():
    inputs, weight, _, _ = layer(*SIZES[0][:3])
    rank = min(weight.shape) - 2
    factors = decompose(weight, rank, data_metric(inputs, ridge=0.0))
    S_cut = torch.where(torch.arange(rank) < rank - 1, factors.S_prime, 0.0)
    smaller = factors.U @ (factors.O_dist * S_cut) @ factors.I_dist @ factors.Vh
    tail = float(factors.S_prime[-1])
    assert activation_error(factors.product(), smaller, inputs) == pytest.approx(tail, rel=1e-12)
    assert activation_error(weight, smaller, inputs) != pytest.approx(tail, rel=0.01)
    # With a ridge it is no longer exact.
    ridged = decompose(weight, rank, data_metric(inputs, ridge=0.1))
    smaller = ridged.U @ (ridged.O_dist[:, :-1] * ridged.S_prime[:-1]) @ ridged.I_dist[:-1] @ ridged.Vh
    found = activation_error(ridged.product(), smaller, inputs)
    assert found != pytest.approx(float(ridged.S_prime[-1]), rel=1e-3)


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([(60, 9, 13), (50, 19, 5)]))
def test_laplacian_separation_ignores_a_rotation_of_the_inputs(seed, sizes):
    inputs, weight, _, outputs = layer(*sizes, seed)
    Q = rotation(sizes[1], seed + 9)
    here = decompose(weight, metric=laplacian_of(inputs, outputs)).S_prime.numpy()
    there = decompose(weight @ Q.T, metric=laplacian_of(inputs @ Q.T, outputs)).S_prime.numpy()
    assert there == pytest.approx(here, rel=INVARIANCE)


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_laplacian_separation_ignores_the_scale_of_the_weights(seed, scale):
    inputs, weight, bias, outputs = layer(60, 9, 13, seed)
    here = decompose(weight, 7, laplacian_of(inputs, outputs)).S_prime.numpy()
    scaled = inputs @ (scale * weight).T + bias
    there = decompose(scale * weight, 7, laplacian_of(inputs, scaled)).S_prime.numpy()
    # The bias of some units costs digits of outputs scaled to thousandths.
    assert there == pytest.approx(here, rel=1e-9)
    inputs_only = data_metric(inputs)
    doubled = decompose(2 * weight, 7, inputs_only).S_prime
    assert torch.equal(doubled, 2 * decompose(weight, 7, inputs_only).S_prime)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("ridge", [0.0, 0.01, 1.0])
def test_a_multiple_of_an_orthogonal_matrix_separates_nothing(scale, ridge):
    inputs, _, bias, _ = layer(60, 9, 9)
    weight = scale * rotation(9)
    outputs = inputs @ weight.T + bias
    S_prime = decompose(weight, metric=laplacian_of(inputs, outputs, ridge=ridge)).S_prime
    assert S_prime.numpy() == pytest.approx(1, abs=INVARIANCE)


def test_ridge_one_leaves_the_singular_values():
    inputs, weight, _, outputs = layer(60, 9, 13)
    for metric in (data_metric(inputs, ridge=1.0), laplacian_of(inputs, outputs, ridge=1.0)):
        factors = decompose(weight, 6, metric)
        ratio = (factors.S_prime / factors.singular_values[:6]).numpy()
        assert ratio == pytest.approx(ratio[0], rel=ROUNDING)


@pytest.mark.parametrize("rank", [9, 5])
def test_one_graph_on_both_sides_gives_no_separation_at_all(rank):
    """A dead end of docs/definitions.md, "Dead ends": E_out = Σ E_in Σ, whatever the layer."""
    inputs, weight, _, outputs = layer(60, 9, 13)
    for points in (inputs, outputs):
        graph = neighbour_graph(points)
        one_graph = laplacian_metric(inputs, outputs, graph, graph, ridge=0.0)
        assert decompose(weight, rank, one_graph).S_prime.numpy() == pytest.approx(1, abs=INVARIANCE)
    assert decompose(weight, rank, laplacian_of(inputs, outputs, ridge=0.0)).S_prime[0] > 1.1


def test_covariance_on_both_sides_gives_no_separation_at_all():
    """A dead end of docs/definitions.md, "Dead ends"."""
    inputs, weight, _, outputs = layer(60, 9, 13)

    def both(U, singular_values, Vh):
        gram_in, _ = data_metric(inputs, ridge=0.0)(U, singular_values, Vh)
        gram_out, _ = data_metric(outputs, ridge=0.0)(U, singular_values, U.T)
        return gram_in, gram_out

    assert decompose(weight, metric=both).S_prime.numpy() == pytest.approx(1, abs=INVARIANCE)


def test_dead_inputs_need_the_ridge():
    inputs, weight, bias, _ = layer(80, 10, 12)
    inputs[:, 3:7] = 0
    outputs = inputs @ weight.T + bias
    for metric, condition in (
        (data_metric(inputs), 1e11),
        (laplacian_of(inputs, outputs), 1e5),
    ):
        factors = decompose(weight, metric=metric)
        found = certify(weight, factors)
        assert found.reconstruction_error <= PER_ROOT_CONDITION * math.sqrt(condition)
        assert max(found.condition_in, found.condition_out) <= condition
        assert factors.S_prime.isfinite().all()
    with pytest.raises(
        ValueError, match=r"ridge: 0\.0 is too small, the inputs do not vary in 4 of the 10 kept"
    ):
        decompose(weight, metric=data_metric(inputs, ridge=0.0))
    with pytest.raises(ValueError, match=r"ridge: 0.0 is too small, the inputs .* give a larger ridge or a"):
        decompose(weight, metric=laplacian_of(inputs, outputs, ridge=0.0))


def test_a_layer_that_does_not_vary_is_reported():
    inputs, weight, _, outputs = layer(40, 6, 5)
    constant = torch.full((40, 6), 1 / 3, dtype=torch.float64)
    with pytest.raises(ConstantPointsError, match="inputs: constant layer, its inputs do not vary in the 5"):
        decompose(weight, metric=data_metric(constant))
    graphs = neighbour_graph(inputs), neighbour_graph(outputs)
    with pytest.raises(ConstantPointsError, match="outputs: constant layer"):
        decompose(weight, metric=laplacian_metric(inputs, constant[:, :5], *graphs))
    # They vary, but not where the weight looks.
    blind = torch.zeros(2, 6, dtype=torch.float64)
    blind[0, 0], blind[1, 1] = 2, 1
    inputs[:, :2] = 7
    with pytest.raises(ConstantPointsError, match="do not vary in the 2 kept directions"):
        decompose(blind, metric=data_metric(inputs))


def test_rank_zero_is_measured_by_nothing():
    inputs, weight, _, outputs = layer(40, 6, 5)
    for metric in (data_metric(inputs), laplacian_of(inputs, outputs)):
        assert decompose(weight, 0, metric).S_prime.tolist() == []


@pytest.mark.parametrize("ridge", [-0.1, 1.5, math.nan])
def test_a_ridge_out_of_range_is_refused(ridge):
    inputs, _, _, outputs = layer(40, 6, 5)
    with pytest.raises(ValueError, match=r"ridge: .* is out of range, 0 to 1"):
        data_metric(inputs, ridge)
    with pytest.raises(ValueError, match=r"ridge: .* is out of range, 0 to 1"):
        laplacian_of(inputs, outputs, ridge=ridge)


def test_activations_of_another_layer_are_refused():
    inputs, weight, _, outputs = layer(40, 6, 5)
    graph_in, graph_out = neighbour_graph(inputs), neighbour_graph(outputs)
    with pytest.raises(ValueError, match="inputs: of 5 features, the weight has 6 inputs; give the"):
        decompose(weight, metric=data_metric(outputs))
    with pytest.raises(ValueError, match="outputs: of 6 features, the weight has 5 outputs"):
        decompose(weight, metric=laplacian_metric(inputs, inputs, graph_in, graph_in))
    with pytest.raises(ValueError, match="of 40, 40, 39 and 40 points; give the same points to each"):
        laplacian_metric(inputs, outputs, neighbour_graph(inputs[1:]), graph_out)
    with pytest.raises(ValueError, match=r"inputs: of shape \(0, 6\), at least one point"):
        data_metric(inputs[:0])
    inputs[3, 2] = math.nan
    with pytest.raises(ValueError, match="inputs: 1 of 240 entries are NaN or infinite"):
        data_metric(inputs)


@pytest.fixture(scope="module")
def digits():
    return load_split(MNIST, train=False).inputs[:1000].double()


def test_number_of_neighbours_hardly_matters_on_digits(digits):
    inputs = digits
    for i, sizes in enumerate(itertools.pairwise([784, 30, 30, 10])):
        bound = 1 / math.sqrt(sizes[0])
        weight, bias = (bound * torch.tanh(randn(sizes[1], n, seed=i + n)) for n in (sizes[0], 1))
        outputs = inputs @ weight.T + bias.T
        first = [
            float(decompose(weight, metric=laplacian_of(inputs, outputs, k)).S_prime[0]) for k in (5, 10, 20)
        ]
        assert first == pytest.approx([first[1]] * 3, rel=MOVE_BY_NEIGHBOURS)
        assert len(set(first)) == 3
        inputs = outputs.relu()


def test_same_bytes_every_time(digits):
    weight = randn(12, 784)
    outputs = digits @ weight.T
    first, second = (decompose(weight, 9, laplacian_of(x, outputs)) for x in (digits, digits.clone()))
    for name in ("U", "O_dist", "S_prime", "I_dist", "Vh"):
        assert getattr(first, name).numpy().tobytes() == getattr(second, name).numpy().tobytes()
