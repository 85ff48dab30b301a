"""Stable convergence and the encoding margin: known angles and steps, verdicts, decayed learning rates."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.convergence import (
    CROSS_ENTROPY_FLOOR,
    MIN_RATE_SHARE,
    gradient_ratio,
    log_loss_change,
    normalised_drift,
    relative_drift,
)
from spaceprobe.lmd.subspaces import NUM_DIRECTIONS, largest_angle_sine, leading_directions
from spaceprobe.lmd.verdicts import QUANTITIES, THRESHOLD, EpochChange, verdicts

# A handful of roundings in sums of a handful of numbers.
TOLERANCE = 1e-13
# Rounding of orthonormal bases of up to 12 directions, absolute.
ANGLE = 3e-15
# LAPACK's singular vectors: rounding over a gap of at least a tenth of the largest singular value.
VECTORS = 1e-13


def random_matrix(num_outputs, num_inputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_outputs, num_inputs, dtype=torch.float64, generator=generator)


def orthogonal(size, seed):
    return torch.linalg.qr(random_matrix(size, size, seed))[0]


def rotation(size, i, j, angle):
    """Turns axis i by an angle towards axis j."""
    turn = torch.eye(size, dtype=torch.float64)
    turn[i, i] = turn[j, j] = math.cos(angle)
    turn[j, i], turn[i, j] = math.sin(angle), -math.sin(angle)
    return turn


def calm(epoch, layer=0, **other):
    values = dict.fromkeys(QUANTITIES, 0.01) | other
    return EpochChange(layer=layer, epoch=epoch, **values)


def untrained(layer=0):
    return EpochChange(layer, 0, 1.0, None, None, None)


def converged_epochs(changes):
    return [epoch for (_, epoch), verdict in verdicts(changes).items() if verdict.converged]


def subspace_sine(before, after, num_directions=NUM_DIRECTIONS):
    return largest_angle_sine(*(leading_directions(weight, num_directions) for weight in (before, after)))


# Drift


def test_drift_is_relative_to_where_it_started():
    before, after = [[3.0, 0.0, 4.0]], [[3.0, 1.0, 4.0]]
    assert relative_drift(before, after) == pytest.approx(1 / 5, rel=TOLERANCE)
    assert relative_drift(after, before) == pytest.approx(1 / math.sqrt(26), rel=TOLERANCE)
    assert relative_drift(torch.tensor(before), np.array(after)) == relative_drift(before, after)


@given(st.integers(0, 10**6), st.floats(1e-150, 1e150), st.sampled_from([-1.0, 1.0]))
def test_drift_has_no_scale_and_no_basis(seed, scale, sign):
    before, after = random_matrix(3, 5, seed), random_matrix(3, 5, seed + 1)
    drift = relative_drift(before, after)
    expected = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert drift == pytest.approx(expected, rel=TOLERANCE)
    assert relative_drift(sign * scale * before, sign * scale * after) == pytest.approx(drift, rel=TOLERANCE)
    turn = orthogonal(5, seed)
    assert relative_drift(before @ turn, after @ turn) == pytest.approx(drift, rel=TOLERANCE)


def test_drift_of_zero_and_of_huge_matrices():
    zero, one = torch.zeros(2, 3), torch.ones(2, 3)
    assert relative_drift(zero, zero) == 0.0
    assert relative_drift(one, one) == 0.0
    assert relative_drift(zero, one) is None
    assert relative_drift(one, zero) == 1.0
    huge = np.full((2, 3), 1.7e308)
    assert relative_drift(huge, -huge) == pytest.approx(2, rel=TOLERANCE)


def test_a_drift_is_divided_by_the_share_of_the_learning_rate():
    before, after = [[3.0, 4.0]], [[3.0, 4.5]]
    assert normalised_drift(before, after, 0.1, 0.1) == pytest.approx(0.1, rel=TOLERANCE)
    assert normalised_drift(before, after, 0.025, 0.1) == pytest.approx(0.4, rel=TOLERANCE)


@pytest.mark.parametrize("rate", [0.0, 0.9 * MIN_RATE_SHARE])
def test_a_learning_rate_that_moves_nothing_tells_nothing(rate):
    assert normalised_drift([[1.0, 2.0]], [[1.0, 2.0]], rate, 1.0) is None
    assert normalised_drift([[1.0, 2.0]], [[1.0, 2.0]], 0.0, 0.0) is None
    assert normalised_drift([[0.0, 0.0]], [[1.0, 2.0]], 0.5, 1.0) is None
    assert normalised_drift([[1.0, 2.0]], [[1.0, 2.0]], 1.1 * MIN_RATE_SHARE, 1.0) == 0.0


def test_below_the_smallest_share_float32_hides_the_movement():
    weight = torch.ones(4, 6)
    moved = weight + torch.full_like(weight, THRESHOLD * MIN_RATE_SHARE / 4)
    assert torch.equal(weight, moved)
    assert not torch.equal(weight, weight + THRESHOLD * MIN_RATE_SHARE)


@pytest.mark.parametrize("rates", [(-0.1, 1.0), (0.2, 0.1), (math.nan, 1.0), (0.1, math.inf)])
def test_learning_rates_out_of_range_are_refused(rates):
    with pytest.raises(ValueError, match=r"learning_rate: .* a number from 0 to max_learning_rate"):
        normalised_drift([[1.0]], [[1.0]], *rates)


def test_what_is_no_pair_of_weights_is_refused():
    with pytest.raises(ValueError, match=r"of shapes \(2, 3\) and \(3, 2\), the same matrix"):
        relative_drift(torch.ones(2, 3), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"of shapes \(0, 2\) and \(0, 2\)"):
        relative_drift(torch.ones(0, 2), torch.ones(0, 2))
    with pytest.raises(ValueError, match=r"of shapes \(4,\) and \(4,\)"):
        relative_drift(torch.ones(4), torch.ones(4))
    with pytest.raises(ValueError, match="after: 1 of 6 entries are NaN or infinite"):
        relative_drift(torch.ones(2, 3), [[1, 1, 1], [1, math.nan, 1]])


# Subspaces


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.4, 1.2, math.pi / 2])
def test_small_angles_keep_their_digits(angle):
    values = torch.tensor([9.0, 8.0, 7.0, 1.0, 0.5], dtype=torch.float64)
    basis = orthogonal(7, seed=1)
    before = torch.diag(values) @ basis[:5]
    after = torch.diag(values) @ (rotation(7, 2, 5, angle) @ basis)[:5]
    assert subspace_sine(before, after, 3) == pytest.approx(math.sin(angle), abs=ANGLE)


def test_the_same_angle_by_scipy():
    before = random_matrix(12, 17, 3)
    after = before + 0.1 * random_matrix(12, 17, 4)
    for num_directions in (1, 5, 12):
        bases = [np.linalg.svd(W.numpy())[2][:num_directions].T for W in (before, after)]
        expected = math.sin(scipy.linalg.subspace_angles(*bases)[0])
        assert subspace_sine(before, after, num_directions) == pytest.approx(expected, abs=VECTORS)
    default = subspace_sine(before, after)
    assert default == subspace_sine(before, after, 8)
    assert default != subspace_sine(before, after, 7)


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_what_leaves_the_subspace_alone(seed, scale):
    values = torch.tensor([9.0, 7.0, 5.0, 2.0, 1.0], dtype=torch.float64)
    before = torch.diag(values) @ orthogonal(6, seed)[:5]
    after = before + 0.3 * random_matrix(5, 6, seed + 1)
    sine = subspace_sine(before, after, 2)
    assert 0 <= sine <= 1
    assert subspace_sine(after, before, 2) == pytest.approx(sine, abs=VECTORS)
    assert subspace_sine(scale * before, -after, 2) == pytest.approx(sine, abs=VECTORS)
    assert subspace_sine(orthogonal(5, seed) @ before, after, 2) == pytest.approx(sine, abs=VECTORS)
    turn = orthogonal(6, seed + 2)
    assert subspace_sine(before @ turn, after @ turn, 2) == pytest.approx(sine, abs=VECTORS)


def test_the_directions_are_capped_and_a_whole_space_does_not_turn():
    tall, other = random_matrix(9, 4, 1), random_matrix(9, 4, 2)
    assert subspace_sine(tall, other) == 0.0
    assert subspace_sine(tall, other, 4) == 0.0
    assert subspace_sine(tall, other, 3) > 0.1
    wide = random_matrix(4, 9, 1)
    assert subspace_sine(wide, wide) == pytest.approx(0, abs=ANGLE)
    assert subspace_sine(wide, random_matrix(4, 9, 2)) == subspace_sine(wide, random_matrix(4, 9, 2), 4)
    assert subspace_sine([[1.0, 0.0]], [[0.0, 1.0]]) == 1.0
    assert subspace_sine(torch.zeros(2, 5), torch.zeros(2, 5)) == 0.0
    assert largest_angle_sine(wide[:0], wide[:0]) == 0.0


def test_directions_out_of_range_are_refused():
    with pytest.raises(ValueError, match="num_directions: 0, at least 1 is needed"):
        subspace_sine(torch.ones(2, 3), torch.ones(2, 3), 0)


# Gradient and loss


def test_the_gradient_is_measured_by_the_first():
    assert gradient_ratio(0.5, 2.0) == 0.25
    assert gradient_ratio(0.0, 2.0) == 0.0
    assert gradient_ratio(0.0, 0.0) is None
    assert gradient_ratio(1.0, 0.0) is None
    with pytest.raises(ValueError, match="initial_norm: nan, a finite number >= 0 is needed"):
        gradient_ratio(1.0, math.nan)
    with pytest.raises(ValueError, match=r"norm: -1\.0, a finite number >= 0"):
        gradient_ratio(-1.0, 1.0)


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_the_loss_changes_by_a_factor_either_way(before, after):
    expected = abs(math.log(after) - math.log(before))
    assert log_loss_change(before, after) == expected
    assert log_loss_change(after, before) == expected


def test_losses_of_zero():
    assert log_loss_change(2.0, 2.0 * math.e) == pytest.approx(1, rel=TOLERANCE)
    assert log_loss_change(0.0, 0.0) == 0.0
    assert log_loss_change(0.0, 1e-9) is None
    assert log_loss_change(1e-9, 0.0) is None
    with pytest.raises(ValueError, match="loss after: inf"):
        log_loss_change(1.0, math.inf)


def test_below_the_floor_a_loss_does_not_change():
    assert log_loss_change(3e-9, 8e-9, 1e-8) == 0.0
    assert log_loss_change(0.0, 8e-9, 1e-8) == log_loss_change(8e-9, 0.0, 1e-8) == 0.0
    assert log_loss_change(3e-9, 1e-8 * math.e, 1e-8) == pytest.approx(1, rel=TOLERANCE)
    assert log_loss_change(2.0, 1e-20, 1.0) == math.log(2)
    assert log_loss_change(2.0, 3.0, 1.0) == log_loss_change(2.0, 3.0)
    with pytest.raises(ValueError, match=r"floor: -1\.0, a finite number >= 0"):
        log_loss_change(1.0, 1.0, -1.0)


def vanishing_losses(size, num_points=2000):
    """Mean cross-entropy in float32 of the same points with ever larger logits, and what it is exactly."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(num_points, 10, generator=generator)
    labels = torch.randint(10, (num_points,), generator=generator)
    margin = torch.randn(num_points, generator=generator) - math.log(size) - 1
    logits[torch.arange(num_points), labels] = logits.max(dim=1).values + margin
    measured, exact = [], []
    for epoch in range(30):
        # A half percent an epoch: a tenth of the threshold.
        now = logits.clone()
        now[torch.arange(num_points), labels] += 0.005 * epoch
        summed = torch.nn.functional.cross_entropy(now, labels, reduction="sum")
        measured.append(float(summed) / num_points)
        exact.append(float(torch.nn.functional.cross_entropy(now.double(), labels)))
    return measured, exact


@pytest.mark.parametrize("size", [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4])
def test_rounding_of_a_vanished_cross_entropy_is_no_movement(size):
    measured, exact = vanishing_losses(size)
    epsilon = np.finfo(np.float32).eps
    assert max(abs(m - e) for m, e in zip(measured, exact, strict=True)) < epsilon
    exact_changes = [log_loss_change(*pair) for pair in itertools.pairwise(exact)]
    assert max(exact_changes) < THRESHOLD / 5
    changes = [log_loss_change(*pair, CROSS_ENTROPY_FLOOR) for pair in itertools.pairwise(measured)]
    assert max(changes) <= THRESHOLD


def test_without_the_floor_rounding_of_a_vanished_cross_entropy_is_movement():
    # Sums are rounded otherwise on another CPU, so at which size it happens differs.
    losses = [vanishing_losses(size)[0] for size in np.geomspace(3e-9, 1e-10, 12)]
    changes = [log_loss_change(*pair) for measured in losses for pair in itertools.pairwise(measured)]
    assert any(change is None or change > THRESHOLD for change in changes)


@pytest.mark.parametrize("pair", [(8.463859e-9, 7.629394e-9), (8.821487e-9, 9.417533e-9), (0.0, 6e-11)])
def test_what_rounding_made_of_a_trained_network_is_no_movement(pair):
    """Successive losses of 2x30 on 2,000 digits, Adam: the exact ones, where seen, changed by 1 %."""
    change = log_loss_change(*pair)
    assert change is None or change > THRESHOLD
    assert log_loss_change(*pair, CROSS_ENTROPY_FLOOR) == 0.0


def test_a_loss_that_leaps_from_below_the_floor_has_moved():
    # An Adam spike: 1e-8, 1e-5.
    assert log_loss_change(1e-8, 1e-5, CROSS_ENTROPY_FLOOR) > 20 * THRESHOLD
    assert pytest.approx(2.4e-6, rel=0.01) == CROSS_ENTROPY_FLOOR


# Verdicts


def literally_converged(changes, layer, epoch):
    """The rule as written: all four at most 0.05, at this epoch and the two before."""
    by_epoch = {change.epoch: change for change in changes if change.layer == layer}
    for e in (epoch, epoch - 1, epoch - 2):
        change = by_epoch.get(e)
        if change is None:
            return False
        for name in ("gradient_ratio", "drift", "subspace_sine", "log_loss_change"):
            value = getattr(change, name)
            if value is None or value > 0.05:
                return False
    return True


def test_three_calm_epochs_in_a_row():
    changes = [untrained(), *(calm(epoch) for epoch in range(1, 6))]
    judged = [*verdicts(changes).values()]
    assert [verdict.stable for verdict in judged] == [False, True, True, True, True, True]
    assert [verdict.converged for verdict in judged] == [False, False, False, True, True, True]
    assert judged[0].reason == "no drift, subspace_sine, log_loss_change; gradient_ratio above 0.05"
    assert [verdict.reason for verdict in judged[1:]] == [""] * 5


@pytest.mark.parametrize("name", QUANTITIES)
def test_each_of_the_four_counts(name):
    at_threshold = [calm(epoch, **{name: THRESHOLD}) for epoch in range(1, 4)]
    assert converged_epochs([untrained(), *at_threshold]) == [3]
    for bad in (math.nextafter(THRESHOLD, 1), None):
        changes = [untrained(), *(calm(e, **({name: bad} if e == 4 else {})) for e in range(1, 9))]
        assert converged_epochs(changes) == [3, 7, 8]
        reason = verdicts(changes)[0, 4].reason
        assert reason == (f"no {name}" if bad is None else f"{name} above 0.05")


def test_a_missing_epoch_breaks_the_row():
    assert converged_epochs([calm(epoch) for epoch in (1, 2, 4, 5, 6)]) == [6]
    assert converged_epochs([calm(epoch) for epoch in (2, 4, 6, 8)]) == []


maybe = st.one_of(st.none(), st.floats(0, 0.1))


@given(st.lists(st.tuples(maybe, maybe, maybe, maybe), min_size=1, max_size=12), st.randoms())
def test_verdicts_are_the_rule_whatever_the_order(rows, random):
    changes = [EpochChange(i % 2, i // 2, *row) for i, row in enumerate(rows)]
    changes += [calm(epoch, layer=3) for epoch in range(5)]
    shuffled = random.sample(changes, len(changes))
    judged = verdicts(shuffled)
    assert [*judged] == sorted((change.layer, change.epoch) for change in changes)
    expected = [literally_converged(changes, layer, epoch) for layer, epoch in judged]
    assert [verdict.converged for verdict in judged.values()] == expected


def test_a_decayed_learning_rate_fools_the_raw_drift_only():
    """Gradients never get smaller; the learning rate goes to 0, and so does every step."""
    weights, rates, rate_max = [random_matrix(4, 6, 0)], [], 0.1
    for epoch in range(1, 9):
        rates.append(rate_max * 0.5 ** (epoch - 1))
        gradient = random_matrix(4, 6, epoch)
        size = torch.linalg.vector_norm(weights[-1]) / torch.linalg.vector_norm(gradient)
        weights.append(weights[-1] - rates[-1] * 3 * size * gradient)
    raw, normalised = [untrained()], [untrained()]
    for epoch, (before, after) in enumerate(itertools.pairwise(weights), 1):
        raw.append(calm(epoch, drift=relative_drift(before, after)))
        drift = normalised_drift(before, after, rates[epoch - 1], rate_max)
        assert drift == pytest.approx(0.3, rel=TOLERANCE)
        normalised.append(calm(epoch, drift=drift))
    # 0.3 · 2^-(epoch - 1) is below 0.05 from epoch 4 on.
    assert converged_epochs(raw) == [6, 7, 8]
    assert converged_epochs(normalised) == []


def descent(curvature, noise, num_epochs, rate):
    """Gradient descent on half of the curvature times ‖W - goal‖², every epoch one step; its changes."""
    goal, weights, norms, losses = random_matrix(5, 12, 1), [random_matrix(5, 12, 2)], [], []
    for epoch in range(num_epochs + 1):
        gradient = curvature * (weights[-1] - goal)
        norms.append(float(torch.linalg.vector_norm(gradient)))
        # 1 is the loss that cannot be fitted: else its logarithm falls for ever.
        losses.append(1 + norms[-1] ** 2 / (2 * curvature))
        weights.append(weights[-1] - rate * (gradient + noise * random_matrix(5, 12, 10 + epoch)))
    changes = [untrained()]
    for epoch in range(1, num_epochs + 1):
        before, after = weights[epoch - 1 : epoch + 1]
        drift, sine = normalised_drift(before, after, rate, rate), subspace_sine(before, after, 3)
        loss_change = log_loss_change(*losses[epoch - 1 : epoch + 1])
        changes.append(
            EpochChange(0, epoch, gradient_ratio(norms[epoch], norms[0]), drift, sine, loss_change)
        )
    return changes


def test_descent_to_a_minimum_converges_and_with_noise_it_does_not():
    quiet = converged_epochs(descent(curvature=1.0, noise=0.0, num_epochs=30, rate=0.5))
    assert quiet == list(range(quiet[0], 31))
    assert 5 < quiet[0] < 20
    assert converged_epochs(descent(curvature=1.0, noise=1.0, num_epochs=30, rate=0.5)) == []


def test_what_is_no_change_is_refused():
    with pytest.raises(ValueError, match=r"drift \(layer 1, epoch 2\): nan, a finite number >= 0"):
        calm(2, layer=1, drift=math.nan)
    with pytest.raises(ValueError, match=r"subspace_sine \(layer 0, epoch 2\): -0\.1"):
        calm(2, subspace_sine=-0.1)
    with pytest.raises(ValueError, match="layer 0, epoch -1: both count from 0"):
        calm(-1)
    with pytest.raises(ValueError, match="epoch 2 of layer 0 comes twice"):
        verdicts([calm(2), calm(1), calm(2)])


# Encoding margin
