"""Symmetric pairs of the patterns of a path: a literal count, known answers, invariants, and a study."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.folding import PathFlips, walk_with_flips
from spaceprobe.folding.symmetries import symmetric_pairs
from spaceprobe.networks.cantornet import cantornet
from spaceprobe.networks.mlp import mlp
from tests.commands import call


def literal_pairs(patterns):
    """Return pairs with a pattern between, and those that are symmetric, word by word as defined."""

    def distance(one, other):
        return sum(x != y for x, y in zip(one, other, strict=True))

    pairs = [(i, k) for i, k in itertools.combinations(range(len(patterns)), 2) if k - i >= 2]
    symmetric = [
        any(
            distance(patterns[i], patterns[k])
            < min(distance(patterns[i], patterns[j]), distance(patterns[j], patterns[k]))
            for j in range(i + 1, k)
        )
        for i, k in pairs
    ]
    return len(pairs), sum(symmetric)


def flips_of(paths):
    """Return the flips of paths, each a list of steps that are sets of the bits that flip there."""
    rows = []
    for number, steps in enumerate(paths):
        state = {}
        for step, units in enumerate(steps):
            for unit in sorted(units):
                before = state.get(unit, 0)
                state[unit] = 1 - before
                rows.append((number, step, unit, before, 1 - before))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return PathFlips(*(column.copy() for column in columns), num_paths=len(paths))


def patterns_of(steps):
    pattern = [0] * 6
    patterns = [tuple(pattern)]
    for units in steps:
        for unit in units:
            pattern[unit] = 1 - pattern[unit]
        patterns.append(tuple(pattern))
    return patterns


PATH = st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=3), max_size=9)


@given(st.lists(PATH, min_size=1, max_size=3))
def test_pairs_are_those_of_the_definition(paths):
    found = symmetric_pairs(flips_of(paths))
    assert found.num_patterns.tolist() == [len(steps) + 1 for steps in paths]
    expected = [literal_pairs(patterns_of(steps)) for steps in paths]
    assert [*zip(found.num_pairs.tolist(), found.num_symmetric.tolist(), strict=True)] == expected
    back = symmetric_pairs(flips_of(paths).reversed())
    assert back.num_symmetric.tolist() == found.num_symmetric.tolist()


def test_each_unit_once_has_no_symmetric_pair():
    network = mlp([4, 20, 3], torch.Generator().manual_seed(0)).double()
    a, b = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = symmetric_pairs(walk_with_flips(network, a, b)[1])
    assert found.num_pairs.min() > 0
    assert found.num_symmetric.tolist() == [0] * 30


def test_units_may_change_their_numbers():
    steps = [[{0}, {1}, {2}, {1}, {0}]]
    other = [[{5}, {4}, {0}, {4}, {5}]]
    one, two = (int(symmetric_pairs(flips_of(paths)).num_symmetric[0]) for paths in (steps, other))
    assert one == two > 0


def test_cantornet_is_a_mirror():
    """From (0, 3/4) to (1, 3/4), k = 2, hidden units: the patterns read from either end are mirror images."""
    flips = walk_with_flips(cantornet(2, False), [[0.0, 0.75]], [[1.0, 0.75]])[1]
    found = symmetric_pairs(flips)
    steps = [{*flips.unit[flips.step == step].tolist()} for step in range(int(flips.step.max()) + 1)]
    numbers = {unit: n for n, unit in enumerate(sorted({*flips.unit.tolist()}))}
    start = [0] * len(numbers)
    for step in range(len(steps)):
        for unit, before in zip(
            flips.unit[flips.step == step], flips.before[flips.step == step], strict=True
        ):
            if not any(int(unit) in earlier for earlier in steps[:step]):
                start[numbers[int(unit)]] = int(before)
    patterns = [tuple(start)]
    for units in steps:
        start = [bit ^ (unit in units) for unit, bit in zip(numbers, start, strict=True)]
        patterns.append(tuple(start))
    assert (int(found.num_pairs[0]), int(found.num_symmetric[0])) == literal_pairs(patterns)
    assert found.num_symmetric[0] > 0


STUDY = """\
data: {train_images: 300}
network: {architecture: 3x8}
training: {epochs: 1, learning_rate: 0.01}
folding: {per_class: 3, pairs: [3-8, 8-3], epoch: both, detail: 5, symmetries: true, num_points: 30}
study: {stages: [train, fold]}
sweep: {folding.method: [exact, sampled, adaptive]}
"""


def test_a_study_lists_them(tmp_path):
    import pandas as pd

    study = tmp_path / "pairs.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path, "--no-report")
    assert outcome.exit_code == 0, outcome.output
    paths, pairs = (pd.read_csv(tmp_path / "pairs" / name) for name in ("paths.csv", "path_symmetries.csv"))
    key = ["run", "method", "epoch", "source_class", "target_class", "source", "target"]
    both = paths.merge(pairs, on=key, validate="one_to_one")
    assert len(both) == len(paths) == len(pairs) == 3 * 2 * 5
    assert (both["num_patterns"] <= both["length"] + 1).all()
    assert (both["symmetric"] == (both["num_symmetric"] / both["num_pairs"]).fillna(0)).all()
    assert (both.loc[both["chi"] > 0, "num_pairs"] > 0).all()
    assert both["num_pairs"].max() > 0  # symmetric ones are rare: the test above has some
