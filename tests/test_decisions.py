"""Flips of the decision along paths: against fractions, against many even points, and where outputs tie."""

import random
from fractions import Fraction
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import spaceprobe
from spaceprobe.api import load_data
from spaceprobe.errors import SettingsError
from spaceprobe.folding import points_on_paths
from spaceprobe.folding.decisions import path_decisions, polyline_decisions
from spaceprobe.folding.envelopes import Lines, largest_lines
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.sign import Sign
from spaceprobe.networks.training import Recipe, train
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages import fold
from spaceprobe.stages.fold.settings import FoldingSettings
from tests.commands import call
from tests.degenerate_networks import KINDS, DegenerateCase, cases_of, draw_layer
from tests.rational_oracle import between, breakpoints, pre_activations
from tests.test_endpoints import planned, sections
from tests.test_integrated_gradients import images_of_mnist, small_cnn
from tests.test_path_images import random_ends, random_network

NEAR = 1e-9
"""Of t, and of margins relative to the largest on the path: some thousand times the rounding of float64."""

NUM_EVEN = 100_000


# against fractions


class Stretch(NamedTuple):
    """A stretch of a path with one decision."""

    begin: Fraction
    decision: int
    margins: list[Fraction]
    slope: Fraction


def exact_outputs(case, t):
    outputs = pre_activations(case.layers, True, between(case.a, case.b, t))[-1]
    if case.relu_at_end:
        outputs = [max(value, Fraction(0)) for value in outputs]
    return outputs if len(outputs) > 1 else [Fraction(0), *outputs]


def margin_of(outputs):
    *_, second, first = sorted(outputs)
    return first - second


def exact_stretches(case):
    """Cut the path at breakpoints and wherever two outputs cross, and look into the middle of each part."""
    knots = breakpoints(case.layers, case.relu_at_end, case.a, case.b)
    at = {t: exact_outputs(case, t) for t in knots}
    times = {*knots}
    for start, end in pairwise(knots):
        for i, j in combinations(range(len(at[start])), 2):
            before, after = at[start][i] - at[start][j], at[end][i] - at[end][j]
            if before * after < 0:
                times.add(start + (end - start) * before / (before - after))
    found = []
    for start, end in pairwise(sorted(times)):
        outputs = exact_outputs(case, (start + end) / 2)
        decision = outputs.index(max(outputs))
        margins = [margin_of(exact_outputs(case, t)) for t in (start, end)]
        if found and found[-1].decision == decision:
            found[-1].margins.extend(margins)
        else:
            found.append(Stretch(start, decision, margins, (margins[1] - margins[0]) / (end - start)))
    return found


def check_against_fractions(case):
    """Compare everything that is said of a path, and return the number of flips."""
    expected = exact_stretches(case)
    _, a, b = case.arrays()
    seen = path_decisions(case.module(), a[None], b[None])
    decisions = [int(seen.start[0]), *seen.after.tolist()]
    assert decisions == [stretch.decision for stretch in expected], case.name
    assert seen.before.tolist() == decisions[:-1]
    first, *flips = expected
    np.testing.assert_allclose(seen.t, [float(flip.begin) for flip in flips], rtol=0, atol=NEAR)
    margins = [seen.start_margin[0], *seen.margin]
    largest = [float(max(stretch.margins)) for stretch in expected]
    room = NEAR * max(1.0, *largest)
    np.testing.assert_allclose(margins, largest, rtol=0, atol=room)
    np.testing.assert_allclose(seen.slope, [float(flip.slope) for flip in flips], rtol=1e-6, atol=1e-6)
    smallest = 0.0 if flips else float(min(first.margins))
    assert seen.smallest_margin[0] == pytest.approx(smallest, rel=0, abs=room)
    return len(flips)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_fractions_in_degenerate_networks(kind):
    """With one to three outputs; a ReLU behind them makes ties that last."""
    for case in cases_of(kind)[:: 15 if kind == "mixed" else 7]:
        check_against_fractions(case)


def small_case(rng):
    """Up to six outputs, of which two may be copies."""
    num_outputs = rng.randint(2, 6)
    sizes = [rng.randint(1, 3), *rng.choice([[6], [5, 4]]), num_outputs]
    a = [Fraction(rng.randint(-12, 12), 2) for _ in range(sizes[0])]
    b = [Fraction(rng.randint(-2, 2), 2) - x for x in a]
    layers = [draw_layer(rng, outputs, inputs) for inputs, outputs in pairwise(sizes)]
    if rng.random() < 0.5:
        (weight, bias), (one, other) = layers[-1], rng.sample(range(num_outputs), 2)
        weight[other], bias[other] = [*weight[one]], bias[one]
    return DegenerateCase(f"{num_outputs} outputs", layers, rng.random() < 0.4, a, b)


def test_they_are_those_of_fractions_with_more_outputs():
    rng = random.Random(5)
    cases = [small_case(rng) for _ in range(40)]
    assert sum(map(check_against_fractions, cases)) > 20


# against even points


def trained(network):
    """Train a network for two passes over 5,000 images of MNIST."""
    data = load_data("mnist").test
    images, labels = data.images[:6000].float().flatten(1), data.labels[:6000]
    train(
        network, images[:5000], labels[:5000], images[5000:], labels[5000:],
        recipe=Recipe(2, 1e-3, 64), generator=torch.Generator().manual_seed(4), on_epoch=lambda _: None,
    )  # fmt: skip
    return network.eval().double()


@torch.no_grad()
def outputs_at(network, a, b, t):
    """Run the network itself on points of a path, in blocks."""
    blocks = torch.as_tensor(t).double().split(5000)
    points = (torch.lerp(a, b, block.view(-1, *[1] * a.ndim)) for block in blocks)
    return torch.cat([network(block) for block in points])


@torch.no_grad()
def outputs_at_even(network, a, b, num_points):
    """Do so at even points; the first module is affine, and so is taken at the ends only."""
    first, rest = network[0], network[1:]
    ends = first(torch.stack([a, b]))
    return outputs_at(rest, *ends, torch.linspace(0, 1, num_points, dtype=torch.float64))


def check_against_even_points(network, a, b, num_points):
    """Check that no change between even points is missed, and that what they miss is there.

    Returns what was seen, and how many flips the points do not tell.
    """
    seen = path_decisions(network, a, b)
    assert (seen.num_violations == 0).all()
    even = np.linspace(0, 1, num_points)
    num_extra = 0
    for path in range(len(a)):
        own = seen.path == path
        outputs = outputs_at_even(network, a[path], b[path], num_points)
        flips = [*zip(seen.t[own], seen.before[own], seen.after[own], strict=True)]
        named = outputs.argmax(1).numpy()
        assert named[0] == seen.start[path]
        num_extra += check_flips(network, a[path], b[path], flips, named)
        top = outputs.topk(2, 1).values
        margin = (top[:, 0] - top[:, 1]).numpy()
        close = np.abs(np.diff(margin)).max()  # from a point to the next
        exact = np.append(seen.start_margin[path], seen.margin[own])
        parts = np.split(margin, np.searchsorted(even, seen.t[own]))
        for part, largest in zip(parts, exact, strict=True):
            assert len(part) == 0 or part.max() - NEAR <= largest <= part.max() + close
        assert margin.min() - close <= seen.smallest_margin[path] <= margin.min() + NEAR
    return seen, num_extra


def check_flips(network, a, b, flips, named):
    """Compare the flips of a path with what is named at even points, and return how many these miss.

    Args:
        network: in float64.
        a: where the path starts.
        b: where it ends.
        flips: t, class before and class after of each.
        named: at even points.
    """
    even = np.linspace(0, 1, len(named))
    t = np.array([flip for flip, _, _ in flips])
    changes, intervals = np.flatnonzero(named[1:] != named[:-1]), np.searchsorted(even, t) - 1
    assert {*changes} <= {*intervals}
    # what is named at a point is what the flips before it lead to
    for place, part in enumerate(np.split(named, intervals + 1)):
        assert (part == (flips[place][1] if place < len(flips) else named[-1])).all()
    for number, (flip, before, after) in enumerate(flips):
        room = min(1e-7, *(abs(flip - other) / 2 for other in [0.0, 1.0, *np.delete(t, number)]))
        assert room > 1e-12
        sides = outputs_at(network, a, b, [flip - room, flip + room])
        assert sides.argmax(1).tolist() == [before, after]
    return len(flips) - len(changes)


def test_no_flip_between_even_points_is_missed_in_a_trained_network():
    network = trained(mlp([784, 30, 30, 10], torch.Generator().manual_seed(4)))
    images = images_of_mnist(48).flatten(1)
    seen, _ = check_against_even_points(network, images[:24], images[24:], NUM_EVEN)
    assert seen.num_flips.sum() > 24
    assert (seen.num_classes > 2).any()


def test_no_flip_between_even_points_is_missed_in_a_cnn():
    network = trained(nn.Sequential(nn.Unflatten(1, (1, 28, 28)), *small_cnn()))
    images = images_of_mnist(6).flatten(1)
    seen, _ = check_against_even_points(network, images[:3], images[3:], 10_000)
    assert seen.num_flips.sum() >= 3


@pytest.mark.parametrize("seed", range(4))
def test_even_points_miss_flips_that_are_there(seed):
    """Of many outputs, at ten points a path."""
    network, (a, b) = random_network(seed, widths=(5, 30, 30, 20)), random_ends(seed, 20)
    assert check_against_even_points(network, a, b, 10)[1] > 0


# by hand


def readout(*rows):
    """A network of one input x with the units relu(x), relu(-x), and outputs that are sums of these.

    Args:
        rows: of each output the weights of both units, and the bias.
    """
    network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, len(rows))).double()
    weight = torch.tensor([[*row] for row in rows]).double()
    network.load_state_dict(
        {
            "0.weight": torch.tensor([[1.0], [-1.0]]), "0.bias": torch.zeros(2),
            "2.weight": weight[:, :2], "2.bias": weight[:, 2],
        }
    )  # fmt: skip
    return network


def flips_of(network, *points, **options):
    """The flips on a path through numbers: t, class before and class after."""
    seen = polyline_decisions(network, [[float(x)] for x in points], **options)
    return [*zip(seen.t.tolist(), seen.before.tolist(), seen.after.tolist(), strict=True)]


TOUCH = readout((1, 1, 0), (0, 0, 0))
"""|x| and 0, which are equal at 0 alone."""

LASTING = readout((1, 0, 0), (2, 0, 0))
"""relu(x) and 2 relu(x), which are equal up to 0."""


@pytest.mark.parametrize(
    ("network", "points", "expected"),
    [
        # x and -x cross between two breakpoints, or at one
        (readout((1, -1, 0), (-1, 1, 0)), (-1, 3), [(0.25, 1, 0)]),
        (readout((1, -1, -2), (-1, 1, 2)), (-1, 3), [(0.75, 1, 0)]),
        # what happens at a single point does not count
        (TOUCH, (-1, 1), []),
        (TOUCH, (-1, 0, -1), []),
        (TOUCH, (0, 1), []),
        # of outputs that are equal on a stretch the first is named
        (LASTING, (-1, 1), [(0.5, 0, 1)]),
        (LASTING, (1, -1, 1), [(0.5, 1, 0), (1.5, 0, 1)]),
        (readout((2, 0, 0), (1, 0, 0)), (-1, 1), []),
        # a tie at an end, and on a whole path
        (LASTING, (0, 1), []),
        (LASTING, (-2, -1), []),
        # three outputs meet at one point: the decision goes straight to the last
        (readout((1, -1, 0), (0, 0, 0), (-1, 1, 0)), (-1, 1), [(0.5, 2, 0)]),
        (readout((1, -1, 0), (0, 0, 0.5), (-1, 1, 0)), (-1, 1), [(0.25, 2, 1), (0.75, 1, 0)]),
        # constant outputs
        (readout((0, 0, 1), (0, 0, 2)), (-1, 1), []),
        (readout((0, 0, 1), (0, 0, 1)), (-1, 1), []),
        # one output: whether it is above 0
        (readout((1, -1, 0)), (-1, 3), [(0.25, 0, 1)]),
        (readout((1, 0, 0)), (-1, 1), [(0.5, 0, 1)]),
        (readout((1, 1, 0)), (-1, 1), []),
        (readout((0, 0, 0)), (-1, 1), []),
        # at a corner, behind a segment of length 0, and no way at all
        (readout((1, -1, 0)), (-1, 0, 1), [(1.0, 0, 1)]),
        (readout((1, -1, 0)), (-1, 0, 0, 1), [(2.0, 0, 1)]),
        (readout((1, -1, 0)), (-1, -1), []),
    ],
)
def test_flips_by_hand(network, points, expected):
    assert flips_of(network, *points) == expected
    length = len(points) - 1
    back = [(length - t, after, before) for t, before, after in expected[::-1]]
    if all(x != y for x, y in pairwise(points)):
        assert flips_of(network, *points[::-1]) == back


def test_ties_are_told_from_rounding():
    """0.3 x and 0.1 x + 0.2 x, whose floats differ: the first is named."""
    network = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    network.load_state_dict(
        {
            "0.weight": torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64), "0.bias": torch.zeros(3),
            "2.weight": torch.tensor([[0, 0, 1.0], [1, 1, 0]]), "2.bias": torch.zeros(2),
        }
    )  # fmt: skip
    with torch.no_grad():
        outputs = network(torch.linspace(0, 1, 1001)[:, None].double())
    assert len({*outputs.argmax(1).tolist()}) == 2
    seen = path_decisions(network, [[0.0]], [[1.0]])
    assert (seen.num_flips[0], seen.start[0], seen.start_margin[0]) == (0, 0, 0)


def test_margins_by_hand():
    """x, 1/2 and -x: the middle one is ahead by 1/2 at most, at the place where the second changes."""
    seen = path_decisions(readout((1, -1, 0), (0, 0, 0.5), (-1, 1, 0)), [[-1.0]], [[2.0]])
    np.testing.assert_allclose(seen.t, [0.5 / 3, 1.5 / 3])
    assert seen.start_margin.tolist() == [0.5]
    np.testing.assert_allclose(seen.margin, [0.5, 1.5])
    np.testing.assert_allclose(seen.slope, [3, 3])
    assert (seen.num_classes[0], seen.smallest_margin[0]) == (3, 0)
    assert seen.first_t[0] == seen.t[0]
    still = path_decisions(readout((1, 1, 1), (0, 0, 0)), [[-1.0]], [[2.0]])
    assert (still.smallest_margin[0], still.start_margin[0], still.num_classes[0]) == (1, 3, 1)
    assert np.isnan(still.first_t[0])


def test_lines_by_hand():
    """Three lines over one interval, the last of which is never the largest alone."""
    begin, end = torch.tensor([[0.0, 1, 1]]).double(), torch.tensor([[3.0, 1, -1]]).double()
    seen = largest_lines(Lines(begin, end, 0 * begin, 0 * end))
    assert seen.line.tolist() == [1, 0]
    np.testing.assert_allclose(seen.begin, [0, 1 / 3])
    np.testing.assert_allclose(seen.end, [1 / 3, 1])
    # of lines that are closer than their slack together the first counts
    close = Lines(torch.tensor([[0.0, 1e-3]]), torch.tensor([[0.0, 1e-3]]), *[torch.full((1, 2), 6e-4)] * 2)
    assert largest_lines(Lines(*(x.double() for x in vars(close).values()))).line.tolist() == [0]


# other ways to ask


def test_samples_come_from_below():
    network, (a, b) = random_network(1, widths=(5, 30, 30, 20)), random_ends(1, 20)
    exact = path_decisions(network, a, b)
    for num_points in (5, 50, 5000):
        sampled = path_decisions(network, a, b, method="sampled", num_points=num_points)
        assert (sampled.num_flips <= exact.num_flips).all()
        assert (sampled.smallest_margin >= exact.smallest_margin - NEAR).all()
        assert np.isnan(sampled.slope).all()
    assert sampled.num_flips.sum() == exact.num_flips.sum()
    late = sampled.t - exact.t
    assert ((late >= 0) & (late <= 1 / 4999)).all()
    assert (sampled.after == exact.after).all()


def test_a_smooth_network_is_sampled_only():
    network = nn.Sequential(nn.Linear(5, 9), nn.GELU(), nn.Linear(9, 4)).double()
    a, b = random_ends(0)
    with pytest.raises(TypeError, match=r'gelu is not known to be piecewise affine.*method="sampled"'):
        path_decisions(network, a, b)
    assert path_decisions(network, a, b, method="sampled").num_flips.shape == (8,)


def test_a_softmax_behind_the_last_unit_is_named():
    network = nn.Sequential(*random_network(0), nn.Softmax(1))
    with pytest.raises(TypeError, match=r"module '5': torch.nn.functional.softmax is not known"):
        path_decisions(network, *random_ends(0))
    without = path_decisions(random_network(0), *random_ends(0), method="sampled")
    sampled = path_decisions(network, *random_ends(0), method="sampled")
    assert (sampled.t == without.t).all()


class Two(nn.Module):
    def forward(self, x):
        return torch.relu(x), x


class Nothing(nn.Module):
    def forward(self, x):
        return torch.relu(x)[:, :0]


class Far(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 1e300 * 1e300


@pytest.mark.parametrize(
    ("network", "options", "error", "message"),
    [
        (
            nn.Sequential(nn.Linear(5, 4), Sign(), nn.Linear(4, 2)),
            {},
            ValueError,
            "jumps.*use method=.sampled",
        ),
        (Two(), {}, TypeError, "the network returns tuple: a decision needs one tensor"),
        (Two(), {"method": "sampled"}, TypeError, "the network returns tuple"),
        (Far(), {"method": "sampled"}, ValueError, "an output of the network is not finite on the path"),
        (nn.ReLU(), {"method": "adaptive"}, ValueError, "method is 'adaptive'"),
        (nn.ReLU(), {"tolerance": 1.0}, ValueError, "tolerance is 1.0"),
        (Nothing(), {}, ValueError, r"the shape \(0,\): expected one number or more"),
    ],
)
def test_what_has_no_decision(network, options, error, message):
    with pytest.raises(error, match=message):
        path_decisions(network, *random_ends(0), **options)


def test_blocks_do_not_matter(monkeypatch):
    network, (a, b) = random_network(3, widths=(5, 30, 30, 20)), random_ends(3, 20)
    whole = [path_decisions(network, a, b, method=method) for method in ("exact", "sampled")]
    monkeypatch.setattr("spaceprobe.folding.decisions.MAX_NUMBERS", 400)
    monkeypatch.setattr(points_on_paths.layerwise, "paths_per_batch", lambda *_: 3)
    monkeypatch.setattr(points_on_paths, "MAX_NUMBERS", 300)
    for method, expected in zip(("exact", "sampled"), whole, strict=True):
        found = path_decisions(network, a, b, method=method)
        for name, values in vars(expected).items():
            np.testing.assert_allclose(getattr(found, name), values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_no_paths_and_paths_of_one_point():
    network, (a, b) = random_network(5), random_ends(5)
    none = path_decisions(network, a[:0], b[:0])
    assert (len(none.start), len(none.t), none.num_flips.shape, none.num_classes.shape) == (0, 0, (0,), (0,))
    still = path_decisions(network, a, a)
    assert not len(still.t)
    with torch.no_grad():
        assert still.start.tolist() == network(a).argmax(1).tolist()


def test_one_point_is_not_a_path():
    with pytest.raises(ValueError, match="points has 1 point: a path has at least its 2 ends"):
        polyline_decisions(nn.ReLU(), [[0.0, 1.0]])


def test_outputs_of_any_shape_are_numbered_flat():
    network, (a, b) = random_network(6, widths=(5, 20, 6)), random_ends(6, 20)
    flat = path_decisions(network, a, b)
    shaped = path_decisions(nn.Sequential(*network, nn.Unflatten(1, (2, 3))), a, b)
    assert len(flat.t) > 0
    assert (shaped.after == flat.after).all()
    assert (shaped.t == flat.t).all()


# traces


def test_a_trace_lists_flips_of_the_decision_among_those_of_units():
    network, corners = random_network(1, widths=(5, 30, 30, 20)), random_ends(1, 10)[0]
    plain = spaceprobe.trace(network, corners)
    found = spaceprobe.trace(network, corners, decisions=True)
    expected = polyline_decisions(network, corners)
    frame = found.to_frame()
    assert frame["t"].is_monotonic_increasing
    units, flips = (frame[frame["kind"] == kind].reset_index(drop=True) for kind in ("unit", "decision"))
    assert len(flips) == len(expected.t) > 2
    for name in plain.to_frame():
        assert units[name].tolist() == plain.to_frame()[name].tolist()
    assert units[["class_before", "class_after", "margin", "slope"]].isna().all(axis=None)
    named = {"class_before": "before", "class_after": "after", "margin": "margin", "slope": "slope", "t": "t"}
    for column, attribute in named.items():
        assert flips[column].tolist() == getattr(expected, attribute).tolist()
    assert flips[["module", "function", "call", "index", "kink", "is_on"]].isna().all(axis=None)
    steps = plain.steps()
    for row in flips.itertuples():
        last = steps[steps["t"] <= row.t].iloc[-1]
        assert (row.distance, row.flips, row.chi) == (last["distance"], last["flips"], last["chi"])
    assert (len(found), found.length, found.reach) == (len(plain), plain.length, plain.reach)
    classes = " → ".join(map(str, [expected.start[0], *expected.after]))
    assert f"decision {classes}: {len(flips)} flips, the first at t = {expected.t[0]:.4f}" in repr(found)


def test_a_trace_whose_decision_does_not_flip_says_the_margin():
    found = spaceprobe.trace(readout((1, 1, 1), (0, 0, 0)), [[-1.0], [2.0]], decisions=True)
    assert "decision 0 throughout, smallest margin 1" in repr(found)
    assert found.to_frame()["kind"].tolist() == ["unit", "unit"]


def test_a_trace_without_a_flip_of_a_unit_shows_its_decisions():
    found = spaceprobe.trace(readout((1, 0, -1), (0, 0, 0)), [[0.5], [2.0]], decisions=True)
    assert found.length == 0
    assert found.to_frame()["kind"].tolist() == ["decision"]
    assert "decision 1 → 0: 1 flip, the first at t = 0.3333" in repr(found)
    assert "decision" in repr(found).splitlines()[-1]


def test_many_classes_are_not_all_described():
    sampled = spaceprobe.trace(
        readout((1, -1, 0), (-1, 1, 0)), [[-1.0], [1.0]] * 6, decisions=True, method="sampled", num_points=4
    )
    assert "decision 1 → 0 → 1 → 0 → 1 → 0 → 1 → 0 → …: 11 flips" in sampled.describe()


def test_the_picture_marks_flips_of_the_decision():
    network, corners = random_network(1, widths=(5, 30, 30, 20)), random_ends(1, 4)[0]
    found = spaceprobe.trace(network, corners, decisions=True)
    above, below = found.plot().axes
    without = spaceprobe.trace(network, corners).plot().axes
    for axes, plain in zip((above, below), without, strict=True):
        places = {line.get_xdata()[0] for line in axes.lines} - {line.get_xdata()[0] for line in plain.lines}
        assert places == {*found.decisions.t.tolist()}
    named = [text.get_text() for text in below.texts]
    wide = np.diff([0, *found.decisions.t, 3]) >= 0.09
    classes = [int(found.decisions.start[0]), *found.decisions.after.tolist()]
    assert named == ["class", *(str(name) for name, is_wide in zip(classes, wide, strict=True) if is_wide)]
    assert not without[1].texts


# studies

STUDY = """\
data: {train_images: 500}
network: {architecture: 2x20}
training: {epochs: 1, learning_rate: 0.01}
folding: {per_class: 4, pairs: [3-8, 8-3], epoch: both, detail: 9, num_points: 7}
study: {stages: [train, fold]}
sweep: {folding.method: [exact, sampled]}
"""
COLUMNS = ["decision_flips", "first_decision_flip", "decision_classes", "smallest_margin"]


def test_a_study_has_them_where_it_asks_for_them(tmp_path):
    path = tmp_path / "flips.yaml"
    path.write_text(STUDY)
    call("run", path, "--results", tmp_path, "--jobs", 1)
    before = (tmp_path / "flips" / "paths.csv").read_bytes()
    assert not {*COLUMNS} & {*load_results(*find_started("flips", tmp_path)).frames["paths"]}
    plain = pd.read_csv(tmp_path / "flips" / "paths.csv")
    assert not {*COLUMNS} & {*plain}
    call("run", path, "--results", tmp_path, "--jobs", 1, "--set", "folding.decisions=true")
    rows = pd.read_csv(tmp_path / "flips" / "paths.csv")
    assert [*rows] == [*plain, *COLUMNS]
    pd.testing.assert_frame_equal(rows[[*plain]], plain)
    (run,) = (folder.name for folder in (tmp_path / "flips" / "runs").iterdir() if folder.is_dir())
    images = load_data("mnist").test.images.flatten(1).double()
    for (epoch, method), own in rows.groupby(["epoch", "method"]):
        network = spaceprobe.load_run(tmp_path / "flips", run, epoch=epoch)
        ends = (images[own[name].to_numpy(copy=True)] for name in ("source", "target"))
        seen = path_decisions(network, *ends, method=method, num_points=7)
        assert own["decision_flips"].tolist() == seen.num_flips.tolist()
        assert own["decision_classes"].tolist() == seen.num_classes.tolist()
        np.testing.assert_allclose(own["first_decision_flip"], seen.first_t, rtol=NEAR)
        np.testing.assert_allclose(own["smallest_margin"], seen.smallest_margin, rtol=NEAR, atol=NEAR)
    assert (rows["first_decision_flip"].isna() == (rows["decision_flips"] == 0)).all()
    assert rows["decision_flips"].sum() > 0
    call("run", path, "--results", tmp_path, "--jobs", 1, "--set", "folding.decisions=false")
    assert (tmp_path / "flips" / "paths.csv").read_bytes() == before


def test_they_are_in_the_key_only_where_asked_for():
    plain, asked = FoldingSettings(detail=3), FoldingSettings(detail=3, decisions=True)
    assert "decisions" not in plain.measurement(plain.key())
    assert asked.measurement(asked.key())["decisions"] is True
    before, after = (planned(pairs=("3-8",), detail=3, decisions=value)[0].key for value in (False, True))
    assert after["columns"] == [*before["columns"], *COLUMNS]


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        ({"decisions": True}, "folding.decisions: adds columns to paths.csv"),
        ({"decisions": True, "detail": 5, "method": "adaptive"}, "folding.method is adaptive"),
    ],
)
def test_settings_that_do_not_go_with_them(folding, message):
    with pytest.raises(SettingsError, match=message):
        fold.STAGE.check(sections(**folding))


def test_fold_of_a_model_writes_them_where_asked(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(5, 6)))
    line = [
        "fold", "--model", "6-12-12-4", "--from", tmp_path / "a.npy", "--to", tmp_path / "b.npy",
        "--out", tmp_path / "paths.csv",
    ]  # fmt: skip
    call(*line)
    plain = pd.read_csv(tmp_path / "paths.csv")
    call(*line, "--set", "folding.decisions=true")
    rows = pd.read_csv(tmp_path / "paths.csv")
    assert {*rows} - {*plain} == {*COLUMNS}
    assert (rows["decision_classes"] <= rows["decision_flips"] + 1).all()
    assert (rows["smallest_margin"] >= 0).all()
    result = call(*line, "--set", "folding.decisions=true", "--method", "adaptive")
    assert result.exit_code == 2
    assert "method is 'adaptive'" in result.stderr
