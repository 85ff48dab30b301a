"""What makes the layerwise walk fast gives what the plain way gives: products, threads, float32."""

from dataclasses import astuple
from itertools import pairwise, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import PathFolding, fold_grid, walk_paths
from spaceprobe.folding.layerwise import averages, convolution, crew, knots, walk
from spaceprobe.folding.layerwise.averages import average_pool
from spaceprobe.folding.layerwise.convolution import convolve
from spaceprobe.folding.layerwise.crew import Crew, Networks, twin
from spaceprobe.folding.layerwise.knots import Knots, close_items, insert
from spaceprobe.folding.layerwise.walk import Care, Walk
from spaceprobe.folding.measure import History, fold_history, join_histories
from spaceprobe.folding.prepared_module import PreparedModule, count_bits, prepare
from tests.degenerate_networks import KINDS, cases_of
from tests.piecewise_networks import drawn_networks
from tests.test_layerwise import Block

pytestmark = pytest.mark.filterwarnings("ignore::spaceprobe.folding.UncountedUnits")

ROUNDING = {"rtol": 1e-12, "atol": 1e-13}
"""The sums are those of torch in another order."""

SHAPES = ((1, 1), (2, 3), (4, 6), (7, 5))
KERNELS = ((1, 1), (3, 3), (2, 3))


def columns(folding: PathFolding) -> np.ndarray:
    return np.stack(astuple(folding))


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
def test_a_convolution_of_many_rows_is_that_of_torch(stride, padding, monkeypatch):
    monkeypatch.setattr(convolution, "MAX_PATCH_NUMBERS", 3000)  # several products
    torch.manual_seed(0)
    num_compared = 0
    for shape, kernel, has_bias in product(SHAPES, KERNELS, (True, False)):
        x = torch.randn(5, 8, *shape, dtype=torch.float64)
        weight = torch.randn(6, 8, *kernel, dtype=torch.float64)
        bias = torch.randn(6, dtype=torch.float64) if has_bias else None
        try:
            expected = F.conv2d(x, weight, bias, stride, padding)
        except RuntimeError as error:
            with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
                convolve(x, weight, bias, stride, padding)
            assert "Kernel size" in str(error)  # noqa: PT017 - torch and we refuse the same
            continue
        torch.testing.assert_close(convolve(x, weight, bias, stride, padding), expected, **ROUNDING)
        num_compared += 1
    assert num_compared >= 12


def test_average_pools_are_those_of_torch(monkeypatch):
    monkeypatch.setattr(averages, "CACHED_NUMBERS", 100)  # a row or two at a time
    torch.manual_seed(0)
    x = torch.randn(5, 3, 6, 12, dtype=torch.float64)
    num_tiled = 0
    for kernel, stride, padding, divisor in product(
        (1, 2, 3, (2, 3), (4, 5)), (None, 2, (2, 3)), (0, 1), (None, 7)
    ):
        if padding and kernel == 1:
            continue  # torch allows half a kernel
        expected = F.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor)
        found = average_pool(x, kernel, stride, padding, divisor_override=divisor)
        torch.testing.assert_close(found, expected, **ROUNDING)
        num_tiled += kernel in (2, (2, 3)) and stride in (None, kernel) and padding == 0
    assert num_tiled == 8


@pytest.mark.parametrize("cached_numbers", [1, 5, 1000])
def test_rows_between_knots_are_interpolated(cached_numbers, monkeypatch):
    monkeypatch.setattr(knots, "CACHED_NUMBERS", cached_numbers)
    ends = Knots.of_ends(2, torch.device("cpu"))
    refinement = insert(ends, torch.tensor([0, 0, 2]), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    values = torch.tensor([[0.0, 8.0], [4.0, 0.0], [1.0, 1.0], [5.0, -3.0]], dtype=torch.float64)
    expected = [[0, 8], [1, 6], [2, 4], [4, 0], [1, 1], [4, -2], [5, -3]]
    assert refinement.rows(values).tolist() == expected
    assert refinement.rows(values.float()).tolist() == expected


class Keeps(nn.Module):
    """A network that keeps what it computed on itself and reads it later, as some of other people do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.third = nn.Linear(6, 20), nn.Linear(20, 20), nn.Linear(20, 20)

    def forward(self, x: Tensor) -> Tensor:
        self.kept = F.leaky_relu(self.first(x), 0.2)
        y = F.hardtanh(self.second(self.kept))
        return F.relu(self.third(y) + self.kept)


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    torch.manual_seed(0)
    for network, shape, largest in ((Keeps(), (6,), 2**10), (Block().eval(), (2, 8, 8), 2**15)):
        a, b = torch.randn(2, 5, *shape)
        whole = walk_paths(network, a, b, method="layerwise", threads=1)
        monkeypatch.setattr(walk, "most_numbers", lambda _, n=largest: n)  # several runs, or parts of paths
        for threads in (1, 3):
            found = walk_paths(network, a, b, method="layerwise", threads=threads)
            np.testing.assert_array_equal(columns(found), columns(whole))
        grids = [fold_grid(network, a[:3], method="layerwise", threads=threads) for threads in (1, 3)]
        np.testing.assert_array_equal(grids[0].chi.cells, grids[1].chi.cells)
        monkeypatch.undo()


def prepared(network: nn.Module, example: Tensor) -> PreparedModule:
    return prepare(network, example, torch.device("cpu"), count_bits)


def test_copies_for_threads_share_parameters_and_nothing_else():
    networks = Crew(prepared(Keeps(), torch.zeros(1, 6)), 2, "float32").networks
    copied = twin(networks)
    for one, other in zip(networks, copied, strict=True):
        assert one.body is not other.body
        for parameter, same in zip(one.body.parameters(), other.body.parameters(), strict=True):
            assert parameter is same
        assert one.place is not other.place
    assert next(networks.rough.body.parameters()).dtype == torch.float32
    assert next(networks.exact.body.parameters()).dtype == torch.float64


def test_a_crew_keeps_the_order_and_the_settings_of_torch():
    group = Crew(prepared(Keeps(), torch.zeros(1, 6)), 3)
    num_threads = torch.get_num_threads()
    seen = group.map(lambda own, item: (isinstance(own, Networks), item, torch.is_grad_enabled()), range(50))
    assert seen == [(True, item, False) for item in range(50)]
    assert torch.get_num_threads() == num_threads
    with pytest.raises(ZeroDivisionError, match="by zero"):
        group.map(lambda _, item: 1 // item, [1, 2, 0, 3])
    assert torch.get_num_threads() == num_threads


def test_a_refusal_on_a_thread_names_the_module(monkeypatch):
    network = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(), nn.GLU(), nn.ReLU())
    monkeypatch.setattr(walk, "most_numbers", lambda _: 64)
    with pytest.raises(TypeError, match=r"module '2': .*glu is not known"):
        walk_paths(network, torch.zeros(9, 4), torch.ones(9, 4), method="layerwise", threads=2)
    with pytest.raises(ValueError, match="threads is 0: expected a whole number, at least 1"):
        walk_paths(network[:2], torch.zeros(9, 4), torch.ones(9, 4), method="layerwise", threads=0)


def test_histories_of_different_lengths_are_joined():
    def one(*length: int) -> History:
        steps = torch.tensor(length, dtype=torch.int32)[:, None]
        return History(steps.double(), steps, steps, steps.flip(0), torch.tensor([len(length)]))

    both = fold_history(join_histories([one(0, 1, 2), one(0, 1), one(0)]))
    assert both.length.tolist() == [2, 1, 0]
    assert both.reach_from_a.tolist() == both.reach_from_b.tolist() == [2, 1, 0]
    assert both.num_violations.tolist() == [3, 2, 1]


class Walked:
    """How many parts of paths were walked with which care, and in how many float32 was sure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = dict.fromkeys(Care, 0)
        self.num_sure = 0
        together = Walk.together

        def count(own, parts, probed, care):
            seen = together(own, parts, probed, care)
            self.number[care] += len(parts.path)
            if care is Care.ROUGH:
                self.num_sure += int((~(seen.is_doubtful | seen.is_wrong)).sum())
            return seen

        monkeypatch.setattr(Walk, "together", count)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_gives_what_float64_gives_on_degenerate_networks(kind):
    for case in cases_of(kind)[::8]:
        _, a, b = case.arrays()
        ends = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
        exact, rough = (
            walk_paths(case.module(), *ends, method="layerwise", precision=precision)
            for precision in ("float64", "float32")
        )
        np.testing.assert_array_equal(columns(exact), columns(rough), err_msg=case.name)


def test_float32_gives_what_float64_gives_on_networks_of_every_step():
    for network in drawn_networks(60):
        a, b = (torch.tensor([[float(x) for x in x]], dtype=torch.float64) for x in (network.a, network.b))
        exact, rough = (
            walk_paths(network.module(), a, b, method="layerwise", precision=precision)
            for precision in ("float64", "float32")
        )
        np.testing.assert_array_equal(columns(exact), columns(rough), err_msg=network.name)


def test_float32_is_sure_of_most_paths_of_a_small_network(monkeypatch):
    torch.manual_seed(0)
    layers = [layer for m, n in pairwise((10, 30, 30, 5)) for layer in (nn.Linear(m, n), nn.LeakyReLU())]
    network = nn.Sequential(*layers)
    a, b = torch.randn(2, 300, 10)
    walked = Walked(monkeypatch)
    rough = walk_paths(network, a, b, precision="float32")
    assert walked.number[Care.ROUGH] == 300
    assert 200 < walked.num_sure < 300
    assert walked.number[Care.USUAL] == 300 - walked.num_sure
    np.testing.assert_array_equal(columns(rough), columns(walk_paths(network, a, b)))


def test_what_float32_cannot_tell_apart_is_walked_in_float64(monkeypatch):
    """Units that flip at 1/2 and 1/2 + 2^-30; the third flips at 2^-30."""
    network = nn.Sequential(nn.Linear(1, 3), nn.LeakyReLU()).double()
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([[1.0], [-1.0], [1.0]])
        network[0].bias[:] = torch.tensor([-0.5, 0.5 + 2.0**-30, -(2.0**-30)])
    a, b = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    walked = Walked(monkeypatch)
    folding = walk_paths(network, a, b, precision="float32")
    assert (walked.num_sure, walked.number[Care.USUAL]) == (0, 1)
    assert folding.length.tolist() == folding.reach_from_a.tolist() == [3]


def test_items_at_one_place_are_close_where_that_may_be_rounding():
    group, t = torch.tensor([0, 0, 1, 1]), torch.tensor([0.5, 0.5, 0.25, 0.75], dtype=torch.float64)
    slack = torch.full((4,), 1e-6, dtype=torch.float64)
    assert close_items(group, t, slack).tolist() == []
    assert close_items(group, t, slack, is_rough=True).tolist() == [0]


def test_float32_is_not_rounded_further():
    torch.set_float32_matmul_precision("medium")
    try:
        with crew.whole_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("method", ["jvp", "sampled"])
def test_other_engines_refuse_float32(method):
    network, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.zeros(2, 3)
    with pytest.raises(
        ValueError, match="'float32': only the layerwise walk has it, and the kernel for MLPs"
    ):
        walk_paths(network, x, x, method=method, precision="float32")


def test_a_copy_for_a_thread_has_a_place_of_its_own():
    """Which module a run is in is noted by hooks, and threads are in different ones."""
    example = torch.randn(2, 4)
    module = nn.Sequential(nn.Hardtanh(), nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    network = prepare(module, example, torch.device("cpu"), count_bits)
    copied = twin(Networks(network, None)).exact
    network.place.inside[:] = ["elsewhere"]
    copied.patterns(example.double())
    assert network.place.inside == ["elsewhere"]
    assert copied.place is not network.place
