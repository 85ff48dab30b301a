"""The null model: a literal few lines beside the compiled one, all orders of short walks, and the flips."""

import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spaceprobe.folding import null_folding, space_folding, walk_paths, walk_with_flips
from spaceprobe.folding.null_model import NUM_SHUFFLES, FlipTable, shuffled_reach
from spaceprobe.folding.path_flips import PathFlips, UnequalLengthsError, check_lengths
from tests.degenerate_networks import cases_of
from tests.piecewise_networks import draw, draw_windows, drawn_networks

MANY = 20_000
FIVE_ERRORS = 5
"""A seeded mean is this many standard errors off once in 1.7 million."""
ROUNDING = 1e-12
"""Of a few sums and quotients of numbers up to 1."""
MASK = 2**64 - 1


def flips_of(*paths):
    """Return the flips of paths, each a list of steps, each a list of units whose bits toggle."""
    rows, state = [], {}
    for path, steps in enumerate(paths):
        for step, units in enumerate(steps):
            for unit in sorted(units):
                before = state.get((path, unit), 0)
                state[path, unit] = 1 - before
                rows.append((path, step, unit, before, 1 - before))
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 5).T
    return PathFlips(*(column.copy() for column in columns), num_paths=len(paths))


def literal_chi(order):
    """Return χ of steps in an order, from the definitions."""
    pattern, farthest = set(), 0
    for units in order:
        pattern ^= set(units)
        farthest = max(farthest, len(pattern))
    length = sum(map(len, order))
    return (length - farthest) / length if length else 0.0


def singles(units):
    return [[unit] for unit in units]


# --- the null value ----------------------------------------------------------------------------


def short_walks(most_flips):
    """Return one walk for each way in which up to so many flips fall on units."""
    for length in range(1, most_flips + 1):
        for counts in itertools.product(range(length + 1), repeat=length):
            if sum(counts) == length and list(counts) == sorted(counts, reverse=True):
                yield singles([unit for unit, count in enumerate(counts) for _ in range(count)])


def test_the_mean_is_that_of_all_orders_of_walks_of_up_to_seven_flips():
    walks = [*short_walks(7)]
    assert len(walks) == 1 + 2 + 3 + 5 + 7 + 11 + 15  # partitions of 1 to 7
    null = null_folding(flips_of(*walks), MANY)
    for walk, mean, deviation in zip(walks, null.mean, null.deviation, strict=True):
        chi = np.array([literal_chi(order) for order in itertools.permutations(walk)])
        assert abs(mean - chi.mean()) <= FIVE_ERRORS * chi.std() / math.sqrt(MANY) + ROUNDING
        # the deviation of a variance is at most half of the squared range over √n
        assert abs(deviation**2 - chi.var()) <= FIVE_ERRORS * 0.5 / math.sqrt(MANY)


@pytest.mark.parametrize(
    "walk",
    [
        [[0, 1], [0], [2], [1, 3]],
        [[0, 1], [0, 1], [0, 2]],
        [[0], [1, 2], [0], [2], [0], [3]],
        [[4, 5, 6], [4], [5], [4, 7]],
    ],
)
def test_steps_stay_together(walk):
    chi = np.array([literal_chi(order) for order in itertools.permutations(walk)])
    null = null_folding(flips_of(walk), MANY)
    assert abs(null.mean[0] - chi.mean()) <= FIVE_ERRORS * chi.std() / math.sqrt(MANY) + ROUNDING
    assert abs(null.deviation[0] - chi.std()) <= 0.01


def literal_orders(table, num_shuffles, seed):
    """Yield random orders of steps, as SplitMix64 and the shuffle of Fisher and Yates are written down."""
    order = list(range(int(table.step.max()) + 1))
    for _ in range(num_shuffles):
        for place in range(len(order) - 1, 0, -1):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            other = ((z ^ (z >> 31)) >> 32) * (place + 1) >> 32
            order[place], order[other] = order[other], order[place]
        yield list(order)


@pytest.mark.parametrize("seed", range(6))
def test_the_compiled_shuffle_is_the_literal_one(seed):
    rng = np.random.default_rng(seed)
    num_units, num_steps = 9, 13
    flips = rng.random((num_units, num_steps)) < 0.3
    flips[0] |= ~flips.any(0)  # no step is empty
    flips[~flips.any(1), 0] = True
    unit, step = flips.nonzero()
    # symbols that lead away from the first one, back, or from one other to another
    change = np.concatenate([_walk_of_symbols(rng, count) for count in flips.sum(1)])
    table = FlipTable(unit, step, change)
    digest = hashlib.sha256(b"".join(np.asarray(c, "<i8").tobytes() for c in table)).digest()
    expected = []
    for order in literal_orders(table, 50, int.from_bytes(digest[:8], "little")):
        num_flipped, distance, farthest = [0] * num_units, 0, 0
        for number in order:
            for one in unit[step == number]:
                distance += change[unit == one][num_flipped[one]]
                num_flipped[one] += 1
            farthest = max(farthest, distance)
        expected.append(farthest)
    assert shuffled_reach(table, 50).tolist() == expected


def _walk_of_symbols(rng, count):
    symbols = [0]
    while len(symbols) <= count:
        symbols.append(rng.choice([one for one in range(3) if one != symbols[-1]]))
    away = np.array(symbols) != 0
    return np.diff(away.astype(np.int64))


walks = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True), max_size=12)


@given(walks)
def test_what_units_are_called_does_not_matter(walk):
    null = null_folding(flips_of(walk))
    renamed = null_folding(flips_of([[7 * unit + 3 for unit in units] for units in walk]))
    assert (null.mean, null.deviation) == (renamed.mean, renamed.deviation)
    assert 0 <= null.mean[0] < 1


@given(st.lists(st.integers(0, 5), max_size=20), st.permutations(range(6)))
def test_where_one_unit_flips_a_step_only_how_often_units_flip_matters(units, names):
    walk = flips_of(singles(units))
    others = [walk.reversed(), flips_of(singles(sorted(units))), flips_of(singles([names[u] for u in units]))]
    expected = null_folding(walk)
    for other in others:
        assert null_folding(other).mean == expected.mean
        assert null_folding(other).deviation == expected.deviation


@given(walks)
def test_a_reversed_path_is_read_from_its_end(walk):
    flips = flips_of(walk)
    back = flips.reversed()
    last = len(walk) - 1
    key = sorted(zip(last - flips.step, flips.unit, flips.after, flips.before, strict=True))
    assert [*zip(back.step, back.unit, back.before, back.after, strict=True)] == key
    again = back.reversed()
    for name in ("path", "step", "unit", "before", "after"):
        assert (getattr(again, name) == getattr(flips, name)).all()


def test_paths_without_a_unit_that_flips_twice_do_not_fold_in_any_order():
    null = null_folding(flips_of([], singles([3, 1, 2]), [[0, 1, 2, 3]], singles([4])))
    assert null.mean.tolist() == null.deviation.tolist() == [0, 0, 0, 0]


def test_known_values():
    # one unit back and forth: reach 1 in any order; two steps that share a unit: 2 of 4 in any order
    null = null_folding(flips_of(singles([0] * 7), [[0, 1], [0, 2]]))
    assert null.mean.tolist() == [6 / 7, 0.5]
    assert null.deviation.tolist() == [0, 0]


def test_a_path_has_its_values_whatever_else_is_in_the_batch():
    rng = np.random.default_rng(5)
    walks = [[rng.choice(6, rng.integers(1, 4), replace=False).tolist() for _ in range(9)] for _ in range(8)]
    every = null_folding(flips_of(*walks))
    for number, walk in enumerate(walks):
        alone = null_folding(flips_of(walk))
        assert (alone.mean[0], alone.deviation[0]) == (every.mean[number], every.deviation[number])


def test_no_paths_have_no_values():
    null = null_folding(flips_of())
    assert null.mean.shape == null.deviation.shape == (0,)


# --- the flips ---------------------------------------------------------------------------------


def assert_flips_are_the_walk(folding, flips):
    """Check that the flips, step by step, give the length and both reaches of every path."""
    assert (flips.length == folding.length).all()
    for one, reach in ((flips, folding.reach_from_a), (flips.reversed(), folding.reach_from_b)):
        for path in range(one.num_paths):
            symbol, start, farthest = {}, {}, 0
            here = one.path == path
            rows = zip(one.step[here], one.unit[here], one.before[here], one.after[here], strict=True)
            for number, (step, of_step) in enumerate(itertools.groupby(rows, key=lambda row: row[0])):
                assert step == number
                for _, unit, before, after in of_step:
                    assert before == symbol.get(unit, before) != after
                    start.setdefault(unit, before)
                    symbol[unit] = after
                farthest = max(farthest, sum(symbol[unit] != start[unit] for unit in symbol))
            assert farthest == reach[path]


def deep_network(widths=(4, 9, 9, 9, 3), seed=0, activation=nn.ReLU):
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    network = nn.Sequential(*layers[:-1]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network


def some_ends(num_paths=7, num_inputs=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(2, num_paths, num_inputs, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("method", ["exact", "kernel", "jvp", "layerwise", "sampled", "adaptive"])
def test_the_flips_of_every_method_are_what_it_walks(method):
    network, (a, b) = deep_network(), some_ends()
    folding, flips = walk_with_flips(network, a, b, method=method, num_points=17)
    walked = walk_paths(network, a, b, method=method, num_points=17)
    for name in walked.__dataclass_fields__:
        assert (getattr(folding, name) == getattr(walked, name)).all()
    assert_flips_are_the_walk(folding, flips)
    assert flips.length.max() > 10
    assert null_folding(flips).mean.max() > 0


@pytest.mark.parametrize(
    ("activation", "options"),
    [
        (nn.Hardtanh, {}),
        (nn.SiLU, {"method": "sampled", "bits": "monotone", "num_points": 50}),
        (nn.Tanh, {"method": "adaptive", "num_points": 5}),
        (nn.ReLU, {"threshold": 0.5}),
        (nn.ReLU, {"threshold": -0.5, "method": "sampled"}),
        (nn.ReLU, {"precision": "float32"}),
        (nn.LeakyReLU, {"precision": "float32"}),
    ],
)
def test_the_flips_of_other_units_are_what_is_walked(activation, options):
    folding, flips = walk_with_flips(deep_network(activation=activation), *some_ends(), **options)
    assert_flips_are_the_walk(folding, flips)
    assert flips.length.max() > 5


@pytest.mark.parametrize("method", ["layerwise", "sampled", "adaptive"])
@pytest.mark.parametrize("drawing", [draw, draw_windows])
def test_the_flips_of_windows_and_of_what_jumps_are_what_is_walked(drawing, method):
    for network in drawn_networks(12, drawing):
        a, b = (
            torch.tensor([[float(x) for x in end]], dtype=torch.float64) for end in (network.a, network.b)
        )
        found = walk_with_flips(network.module(), a, b, method=method, num_points=9, units="all")
        assert_flips_are_the_walk(*found)


@pytest.mark.parametrize("method", ["exact", "sampled", "adaptive"])
def test_the_flips_of_degenerate_networks_are_what_is_walked(method):
    for kind in ("known", "tie"):
        for case in cases_of(kind)[:10]:
            _, *ends = case.arrays()
            a, b = (torch.from_numpy(end)[None] for end in ends)
            assert_flips_are_the_walk(*walk_with_flips(case.module(), a, b, method=method, num_points=9))


@pytest.mark.parametrize("method", ["layerwise", "sampled", "adaptive"])
def test_blocks_and_threads_change_no_flip(method, monkeypatch):
    network, ends = deep_network(), some_ends()
    _, expected = walk_with_flips(network, *ends, method=method, num_points=17, threads=1)
    monkeypatch.setattr("spaceprobe.folding.block_walker.points_per_block", lambda *_: 3 * 17)
    monkeypatch.setattr("spaceprobe.folding.layerwise.paths_per_batch", lambda *_: 3)
    _, flips = walk_with_flips(network, *ends, method=method, num_points=17, threads=2)
    for name in ("path", "step", "unit", "before", "after"):
        assert (getattr(flips, name) == getattr(expected, name)).all()


def test_one_hidden_layer_has_nothing_to_shuffle():
    folding, flips = walk_with_flips(deep_network((4, 20, 3)), *some_ends())
    assert folding.length.min() > 2
    assert (
        null_folding(flips).mean.tolist()
        == [0] * 7
        == space_folding(folding.length, folding.reach_from_a).tolist()
    )


def test_permuted_units_have_the_same_null_value():
    network, ends = deep_network(), some_ends()
    _, flips = walk_with_flips(network, *ends)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    permuted = deep_network()
    with torch.no_grad():
        permuted[2].weight.copy_(network[2].weight[order])
        permuted[2].bias.copy_(network[2].bias[order])
        permuted[4].weight.copy_(network[4].weight[:, order])
    _, others = walk_with_flips(permuted, *ends)
    assert (others.unit != flips.unit).any()
    assert null_folding(others).mean.tolist() == null_folding(flips).mean.tolist()


def test_paths_without_flips_and_no_paths_have_none():
    network, (a, _) = deep_network(), some_ends()
    for method in ("exact", "layerwise", "sampled", "adaptive"):
        folding, flips = walk_with_flips(network, a, a, method=method)
        assert len(flips.path) == 0
        assert null_folding(flips).mean.tolist() == [0] * 7
        folding, flips = walk_with_flips(network, a[:0], a[:0], method=method)
        assert len(folding.length) == flips.num_paths == len(null_folding(flips).mean) == 0


def test_a_walk_of_another_length_than_its_flips_is_an_error():
    folding, flips = walk_with_flips(deep_network(), *some_ends())
    folding.length[2] += 1
    message = (
        f"path 2 of 7: the kernel walk counts {folding.length[2]} flips and the layerwise walk lists "
        f"{folding.length[2] - 1}, so one of them is wrong"
    )
    with pytest.raises(UnequalLengthsError, match=message):
        check_lengths(folding, flips, "kernel", "layerwise")


def test_few_shuffles_are_close_enough():
    """The reason for `NUM_SHUFFLES`: on the paths here a mean is within 0.012 of that of many orders."""
    _, flips = walk_with_flips(deep_network((4, 12, 12, 12, 12, 3)), *some_ends(40))
    few, many = null_folding(flips), null_folding(flips, MANY)
    assert few.mean.max() > 0.2
    assert np.abs(few.mean - many.mean).max() < 4 * many.deviation.max() / math.sqrt(NUM_SHUFFLES)
