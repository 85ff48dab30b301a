"""The layerwise engine against rational arithmetic, and against the other engines where they apply."""

from dataclasses import asdict

import pytest
import torch

from spaceprobe.folding import PathFolding, walk_paths
from tests.degenerate_networks import KINDS, cases_of
from tests.piecewise_networks import BENDS, drawn_networks
from tests.rational_oracle import fold_exactly


def numbers(folding: PathFolding) -> dict[str, int]:
    return {name: int(column[0]) for name, column in asdict(folding).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_rational_arithmetic_on_degenerate_relu_networks(kind):
    for case in cases_of(kind):
        _, a, b = case.arrays()
        ends = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
        expected = fold_exactly(case.layers, case.relu_at_end, case.a, case.b)
        found = numbers(walk_paths(case.module(), *ends, method="layerwise"))
        assert found == asdict(expected) | {"num_violations": 0}, case.name


def test_equals_rational_arithmetic_on_networks_of_every_step():
    networks = drawn_networks(400)
    steps = {what if kind == "bend" else kind for network in networks for kind, what in network.steps}
    assert steps == {*BENDS, "affine", "max", "sum"}
    for network in networks:
        a, b = (
            torch.tensor([[float(x) for x in end]], dtype=torch.float64) for end in (network.a, network.b)
        )
        folding = walk_paths(network.module(), a, b, method="layerwise")
        found = (
            folding.length, folding.reach_from_a, folding.peak_length_from_a, folding.peak_reach_from_a,
            folding.reach_from_b, folding.peak_length_from_b, folding.peak_reach_from_b,
        )  # fmt: skip
        assert (*(int(column[0]) for column in found),) == network.fold(), network.name
        assert folding.num_violations[0] == 0
