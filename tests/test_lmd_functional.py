"""Functional rank against its definition, and what is visited on the way."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.functional import functional_rank
from spaceprobe.networks.layers import pass_through
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.lmd.probes import determination, functional_rank_of

# Rounding of as many differences as there are components, on numbers of order 10.
DRIFT = 1e-12


def random_layer(num_outputs, num_inputs, num_points, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num_points, num_inputs, generator=generator)
    weight = torch.randn(num_outputs, num_inputs, generator=generator)
    return weight, inputs, torch.randn(num_outputs, generator=generator)


def measure(weight, inputs, bias, score, **options):
    factors = decompose(weight)
    return functional_rank(factors.singular_values, factors.U, factors.Vh, inputs, bias, score, **options)


def by_definition(weight, inputs, bias, score, tolerance=0.01):
    """The definition, word by word: every W_q is built, every score is taken."""
    full = score(inputs.double() @ weight.double().T + bias.double())
    keeps = []
    for q in range(min(weight.shape) + 1):
        W_q = decompose(weight, q).product()
        keeps.append(score(inputs.double() @ W_q.T + bias.double()) >= full - tolerance - 1e-9)
    return min(r for r in range(len(keeps)) if all(keeps[r:]))


def agreement(labels):
    """Accuracy against given labels."""
    return lambda outputs: float((outputs.argmax(dim=1) == labels).double().mean())


@given(
    st.integers(0, 10**6),
    st.sampled_from([(5, 9, 60), (9, 5, 60), (1, 4, 30), (12, 12, 200)]),
    st.sampled_from([0.0, 0.01, 0.05, 0.3]),
)
def test_the_scan_finds_what_the_definition_says(seed, sizes, tolerance):
    weight, inputs, bias = random_layer(*sizes, seed)
    labels = (inputs @ weight.T + bias).argmax(dim=1)
    labels[::3] = 0
    score = agreement(labels)
    found = measure(weight, inputs, bias, score, tolerance=tolerance)
    assert found.estimate.rank == by_definition(weight, inputs, bias, score, tolerance)
    assert found.estimate.value == found.estimate.rank


@pytest.mark.parametrize(("num_outputs", "num_inputs"), [(300, 40), (40, 300), (200, 230)])
def test_the_pre_activations_do_not_drift(num_outputs, num_inputs):
    weight, inputs, bias = random_layer(num_outputs, num_inputs, 50, seed=3)
    seen = []

    def score(outputs):
        seen.append(outputs)
        return 1.0

    measure(weight, inputs, bias, score)
    size = min(num_outputs, num_inputs)
    assert len(seen) == size + 1
    factors = decompose(weight)
    for q in (size, size // 2, 1, 0):
        W_q = (factors.U[:, :q] * factors.singular_values[:q]) @ factors.Vh[:q]
        expected = inputs.double() @ W_q.T + bias.double()
        scale = float((inputs.double() @ weight.double().T).abs().max())
        assert float((seen[size - q] - expected).abs().max()) <= DRIFT * scale
    assert torch.equal(seen[-1], bias.double().expand(50, num_outputs))


def test_a_lower_rank_that_passes_again_does_not_count():
    scores = {6: 0.9, 5: 0.895, 4: 0.91, 3: 0.5, 2: 0.9, 1: 0.9, 0: 0.1}
    left = iter([6, 5, 4, 3, 0])
    weight, inputs, _ = random_layer(6, 8, 4, seed=1)
    found = measure(weight, inputs, None, lambda _: scores[next(left)])
    assert (found.estimate.rank, found.estimate.valid) == (4, True)
    assert [*found.scores.items()] == [(6, 0.9), (5, 0.895), (4, 0.91), (3, 0.5), (0, 0.1)]
    assert next(left, None) is None


def test_one_point_of_ten_thousand_images_counts_as_kept():
    weight, inputs, _ = random_layer(2, 3, 4, seed=2)
    for full in (0.98, 0.9713, 0.1, 1.0):
        kept = iter([full, round(full - 0.01, 4), 0.0])
        assert measure(weight, inputs, None, lambda _, kept=kept: next(kept)).estimate.rank == 1
        lost = iter([full, round(full - 0.0101, 4), 0.0])
        assert measure(weight, inputs, None, lambda _, lost=lost: next(lost)).estimate.rank == 2


def test_a_layer_of_known_rank_has_it():
    generator = torch.Generator().manual_seed(5)
    factor_out, factor_in = (torch.randn(size, 3, generator=generator) for size in (7, 11))
    weight = factor_out @ factor_in.T
    inputs = torch.randn(400, 11, generator=generator)
    target = inputs.double() @ weight.double().T

    def r_squared(outputs):
        return float(1 - (outputs - target).square().sum() / (target - target.mean(0)).square().sum())

    found = measure(weight, inputs, None, r_squared)
    assert (found.estimate.rank, found.estimate.valid) == (3, True)
    assert found.scores[7] == pytest.approx(1, abs=1e-12)


def test_the_rest_of_a_network_is_the_score():
    network = mlp([6, 20, 4, 3], torch.Generator().manual_seed(9))
    inputs = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = network(inputs).argmax(dim=1)
        hidden = network[1](network[0](inputs))
    rest = network[3:]

    def score(outputs):
        with torch.no_grad():
            return float((rest(outputs.float()).argmax(dim=1) == labels).double().mean())

    weight, bias = network[2].weight, network[2].bias
    found = measure(weight, hidden, bias, score)
    assert found.scores[4] == 1.0
    assert found.estimate.rank == by_definition(weight.detach(), hidden, bias.detach(), score)


def test_a_score_that_does_not_need_the_layer_is_marked():
    weight, inputs, bias = random_layer(4, 5, 30, seed=4)
    found = measure(weight, inputs, bias, lambda _: 0.125)
    assert (found.estimate.rank, found.estimate.valid) == (0, False)
    assert found.estimate.reason == "score 0.125 without the layer's weights, 0.125 with them"
    assert [*found.scores] == [4, 3, 2, 1, 0]
    # A dip on the way: the definition still gives a number.
    scores = iter([0.125, 0.1, 0.125])
    found = measure(weight, inputs, bias, lambda _: next(scores))
    assert (found.estimate.rank, found.estimate.valid) == (4, False)


def test_a_zero_matrix_is_not_needed():
    found = measure(torch.zeros(3, 4), torch.ones(5, 4), None, lambda outputs: float(outputs.sum()))
    assert (found.estimate.rank, found.estimate.valid) == (0, False)


def test_a_score_may_be_written_over():
    weight, inputs, bias = random_layer(6, 9, 80, seed=7)
    labels = (inputs @ weight.T + bias).argmax(dim=1)

    def careless(outputs):
        found = agreement(labels)(outputs)
        outputs.zero_()
        return found

    careful = measure(weight, inputs, bias, agreement(labels))
    assert measure(weight, inputs, bias, careless).scores == careful.scores


@given(st.integers(0, 10**6), st.sampled_from([0.25, 2.0, 8.0]))
def test_the_rank_does_not_depend_on_scale_or_the_order_of_points(seed, scale):
    weight, inputs, bias = random_layer(6, 8, 70, seed)
    labels = (inputs @ weight.T + bias).argmax(dim=1)
    plain = measure(weight, inputs, bias, agreement(labels))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(70))
    moved = measure(scale * weight, inputs[order], scale * bias, agreement(labels[order]))
    assert moved.estimate == plain.estimate


def test_same_bytes_every_time():
    weight, inputs, bias = random_layer(20, 30, 90, seed=8)
    first, second = (measure(weight, inputs, bias, lambda outputs: float(outputs.std())) for _ in "ab")
    assert [score.hex() for score in first.scores.values()] == [
        score.hex() for score in second.scores.values()
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(bad):
    weight, inputs, bias = random_layer(3, 4, 5, seed=0)
    scores = iter([1.0, 1.0, bad])
    with pytest.raises(ValueError, match=f"score: {bad} with 1 components, a finite number is needed"):
        measure(weight, inputs, bias, lambda _: next(scores))


def test_wrong_calls_are_refused():
    weight, inputs, bias = random_layer(3, 4, 5, seed=0)
    with pytest.raises(ValueError, match="inputs: 0 points and 3 values, at least one is needed"):
        measure(weight, inputs[:0], bias, lambda _: 1.0)
    for tolerance in (-0.1, math.nan):
        with pytest.raises(ValueError, match=f"tolerance: {tolerance}, a number >= 0"):
            measure(weight, inputs, bias, lambda _: 1.0, tolerance=tolerance)


def numpy_determination(outputs, targets):
    outputs, targets = (np.asarray(numbers, dtype=np.float64) for numbers in (outputs, targets))
    return 1 - ((outputs - targets) ** 2).sum() / ((targets - targets.mean(axis=0)) ** 2).sum()


def test_the_score_of_a_regression_is_summed_in_float64():
    generator = torch.Generator().manual_seed(4)
    # In float32 a mean of 1000 leaves four digits of what varies about it.
    targets = 1000 + torch.randn(5000, 2, generator=generator)
    outputs = targets.double() + 3 * torch.randn(5000, 2, dtype=torch.float64, generator=generator)
    expected = numpy_determination(outputs, targets)
    assert determination(outputs, targets) == pytest.approx(expected, abs=1e-13)
    assert determination(outputs.float(), targets) == pytest.approx(
        numpy_determination(outputs.float(), targets), abs=1e-13
    )
    single = 1 - (outputs - targets).square().sum() / (targets - targets.mean(dim=0)).square().sum()
    assert abs(float(single) - expected) > 1e-9  # else this test is about nothing


def test_scores_of_a_regression_are_those_of_numpy():
    generator = torch.Generator().manual_seed(5)
    network = mlp([3, 7, 2], generator).double()
    inputs = torch.randn(900, 3, generator=generator)
    targets = network(inputs.double()).detach().float() + 0.05 * torch.randn(900, 2, generator=generator)
    layer = pass_through(network, inputs.double())[1]
    W, b = layer.matrix.weight, layer.matrix.bias
    found = functional_rank_of(layer, decompose(W), targets).scores
    for rank in (0, 2):
        outputs = layer.inputs @ (W * (rank > 0)).T + b
        assert found[rank] == pytest.approx(numpy_determination(outputs, targets), abs=1e-12)
