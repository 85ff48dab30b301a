"""The exact engine against rational arithmetic, where a careless walk goes wrong."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from spaceprobe.folding import PathFolding, walk_paths
from tests.degenerate_networks import KINDS, DegenerateCase, cases_of
from tests.rational_oracle import fold_exactly


def walk(case: DegenerateCase, tolerance: float = 1e-12) -> PathFolding:
    _, a, b = case.arrays()
    ends = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
    return walk_paths(case.module(), *ends, method="jvp", tolerance=tolerance)


def numbers(folding: PathFolding) -> dict[str, int]:
    return {name: int(column[0]) for name, column in asdict(folding).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_jvp_walk_equals_rational_arithmetic(kind):
    cases = cases_of(kind)
    assert len(cases) >= 30  # 12 kinds, more than 500 together
    for case in cases:
        expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
        assert numbers(walk(case)) == asdict(expected) | {"num_violations": 0}, case.name


@pytest.mark.parametrize("tolerance", [1e-15, 1e-13])
def test_tolerance_does_not_matter(tolerance):
    for case in cases_of("mixed")[::6] + cases_of("nearly-twin")[::6]:
        expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
        assert numbers(walk(case, tolerance)) == asdict(expected) | {"num_violations": 0}, case.name


def test_a_batch_of_paths_equals_paths_one_by_one():
    """Paths that finish early are moved out of a batch without disturbing the others."""
    case = next(case for case in cases_of("known") if case.name == "tent-6")
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand((2, 37, 1), generator=generator, dtype=torch.float64)
    batch = asdict(walk_paths(case.module(), a, b, method="jvp"))
    for path in range(len(a)):
        alone = walk_paths(case.module(), a[path : path + 1], b[path : path + 1], method="jvp")
        assert numbers(alone) == {name: int(column[path]) for name, column in batch.items()}


def test_far_more_flips_than_units():
    """A tent map of 10 layers has 1,023 flips of 20 units: nothing is cut off."""
    steps: list[nn.Module] = []
    for layer in range(10):
        weight = [[2.0], [4.0]] if layer == 0 else [[2.0, -2.0], [4.0, -4.0]]
        linear = nn.Linear(len(weight[0]), 2)
        linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor([0.0, -2.0])})
        steps += [linear, nn.ReLU()]
    folding = walk_paths(nn.Sequential(*steps), torch.zeros(1, 1), torch.ones(1, 1), method="jvp")
    expected = {"length": 1023, "reach_from_a": 10, "num_violations": 0}
    assert numbers(folding) | expected == numbers(folding)
