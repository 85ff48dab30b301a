"""The CUDA kernel's own text, run in numpy: against rational arithmetic, the CPU's walk, and for races."""

import importlib
import sys
import warnings
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.errors import SpaceprobeError
from spaceprobe.folding import engine_for, fold_grid, kernel_walk, walk_paths
from spaceprobe.folding.cuda import images, kept, launching, layout, tally, toolchain
from spaceprobe.folding.cuda.images import forward_passes, resident_bytes, unpacked
from spaceprobe.folding.cuda.kept import MOST_BYTES, KeptPasses
from spaceprobe.folding.cuda.lanes import LANES, lane
from spaceprobe.folding.cuda.layout import shared_bytes
from spaceprobe.folding.kernel_walk import fold_mlp_grid, walk_mlp_paths
from spaceprobe.folding.kernels.network import pack
from spaceprobe.folding.layers import mlp_layers
from spaceprobe.machine.cuda_errors import CudaError
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.fold.place import Place
from spaceprobe.stages.stage import Job
from tests import warp_memory
from tests.compiled_warps import CompiledWarps
from tests.degenerate_networks import degenerate_cases
from tests.rational_oracle import fold_exactly
from tests.test_kernel_walk import assert_same, draw_network, draw_points
from tests.warp_memory import RaceError, Warps

CUDA = {"device": "cuda:0"}


@pytest.fixture
def warps(monkeypatch):
    """Let the launching run on numpy; returns what makes the device."""

    def use(num_warps: int = 1, *, is_watched: bool = False) -> Warps:
        device = Warps(num_warps, is_watched=is_watched)
        monkeypatch.setattr(launching.Gpu, "of", lambda _: device)
        return device

    return use


@pytest.fixture
def compiled_warps(monkeypatch):
    """Let the launching run on the kernels compiled for the CPU; returns what makes the device."""

    def use() -> None:
        monkeypatch.setattr(launching.Gpu, "of", lambda _: CompiledWarps())

    return use


def left_out(monkeypatch):
    """Return the list of numbers of paths that came back to the CPU."""
    numbers: list[int] = []
    run = launching._Walks._run

    def noted(self, name, first, count, own):
        left = run(self, name, first, count, own)
        numbers.append(len(left))
        return left

    monkeypatch.setattr(launching._Walks, "_run", noted)
    return numbers


def test_equals_rational_arithmetic_on_every_degenerate_case(compiled_warps, monkeypatch):
    compiled_warps()
    numbers = left_out(monkeypatch)
    for case in degenerate_cases():
        layers, a, b = case.arrays()
        found = launching.walk_mlp_paths(layers, case.relu_at_end, a[None], b[None], **CUDA)
        *values, num_violations = (int(column[0]) for column in astuple(found))
        assert tuple(values) == astuple(fold_exactly(case.layers, case.relu_at_end, case.a, case.b)), (
            case.name
        )
        assert num_violations == 0, case.name
    assert numbers.count(0) > 50  # of which the warp was sure


SHAPES = {
    "one hidden layer": [4, 6],
    "several groups": [5, 40, 70, 33],
    "deep": [6, 10, 10, 10, 10, 10, 10],
    "2x30": [20, 30, 30],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_walk_of_the_cpu(shape, warps, monkeypatch):
    widths = SHAPES[shape]
    layers = draw_network(widths, 1)
    a, b = draw_points(25, widths[0], 1), draw_points(25, widths[0], 2)
    warps()
    numbers = left_out(monkeypatch)
    assert_same(launching.walk_mlp_paths(layers, True, a, b, **CUDA), walk_mlp_paths(layers, True, a, b))
    assert numbers == [0]


@pytest.mark.parametrize("is_among", [False, True])
def test_grid_equals_that_of_the_cpu(is_among, warps, monkeypatch):
    """In stretches that end within a row, by more warps than one; of three layers, watched for races."""
    layers = draw_network([5, 12, 40, 7], 3)
    sources = draw_points(6, 5, 1)
    sources[3] = sources[2]  # a path of no flips
    targets = None if is_among else draw_points(5, 5, 2)
    device = warps(3, is_watched=True)
    monkeypatch.setattr(launching, "PAIRS_PER_LAUNCH", 8)
    monkeypatch.setattr(launching, "NUM_COMPARED", 1)
    told: list[int] = []
    found = launching.fold_mlp_grid(layers, True, sources, targets, progress=told.append, **CUDA)
    assert_same(found, fold_mlp_grid(layers, True, sources, targets))
    assert sum(told) == found.num_paths * (1 if is_among else 2)
    assert ("walk_grid", 3) in device.launches


def test_a_kernel_without_syncs_is_noticed(warps, monkeypatch):
    """Otherwise the tests that watch for races would not test them."""
    warps(is_watched=True)
    bind = warp_memory.bind
    without = {"sync": lambda: None}
    monkeypatch.setattr(warp_memory, "bind", lambda kernel, known: bind(kernel, known | without))
    layers = draw_network([5, 12, 40, 7], 3)
    with pytest.raises(RaceError, match="another lane"):
        launching.walk_mlp_paths(layers, True, draw_points(4, 5, 1), draw_points(4, 5, 2), **CUDA)


@pytest.mark.parametrize("name", ["sum_jumps", "start_slopes"])
def test_a_wrong_walk_is_left_to_the_cpu(name, warps, monkeypatch):
    """It does not arrive at the pre-activations of the target's own forward pass."""
    warps()
    numbers = left_out(monkeypatch)
    bind = warp_memory.bind

    def without(kernel, primitives):
        return bind(kernel, primitives, lambda known, f: (lambda *_: 0.0 * lane()) if known == name else f)

    monkeypatch.setattr(warp_memory, "bind", without)
    layers = draw_network([5, 12, 40, 7], 3)
    a, b = draw_points(9, 5, 1), draw_points(9, 5, 2)
    assert_same(launching.walk_mlp_paths(layers, True, a, b, **CUDA), walk_mlp_paths(layers, True, a, b))
    assert numbers[0] > 5


@pytest.mark.parametrize("is_grid", [False, True])
def test_the_longest_path_that_the_cpu_walks_tells_the_memory(is_grid, warps, monkeypatch):
    warps()
    layers, a, b = draw_network([5, 12, 40, 7], 3), draw_points(3, 5, 1), draw_points(3, 5, 2)
    longest = int(walk_mlp_paths(layers, True, np.repeat(a, 3, 0), np.tile(b, (3, 1))).length.max())
    monkeypatch.setattr(launching, "CAPACITIES", (4, longest - 1, longest + 1, 128))
    capacities = []
    run = launching._Walks._run

    def noted(self, *given):
        capacities.append(self.capacities[0])
        return run(self, *given)

    monkeypatch.setattr(launching._Walks, "_run", noted)
    if is_grid:
        launching.fold_mlp_grid(layers, True, a, b, **CUDA)
        assert capacities == [128, longest + 1]  # that of the comparison has as much as there may be
    else:
        launching.walk_mlp_paths(layers, True, np.repeat(a, 3, 0), np.tile(b, (3, 1)), **CUDA)
        assert capacities == [longest + 1]


@pytest.mark.parametrize(("capacities", "left"), [((4, 128), [3, 0, 0]), ((4, 8), [3, 3, 3])])
def test_long_paths_get_more_memory_and_longer_ones_the_cpu(capacities, left, warps, monkeypatch):
    warps()
    numbers = left_out(monkeypatch)
    monkeypatch.setattr(launching, "PAIRS_PER_LAUNCH", 3)
    monkeypatch.setattr(launching, "CAPACITIES", capacities)
    monkeypatch.setattr(launching, "NUM_COMPARED", 0)  # so that no length is known
    layers = draw_network([5, 12, 40, 7], 3)
    a, b = draw_points(9, 5, 1), draw_points(9, 5, 2)
    expected = walk_mlp_paths(layers, True, a, b)
    assert expected.length.min() > 8
    assert_same(launching.walk_mlp_paths(layers, True, a, b, **CUDA), expected)
    assert numbers == left


def test_launches_are_large_once_the_memory_is_found(warps, monkeypatch):
    warps()
    monkeypatch.setattr(launching, "PAIRS_PER_LAUNCH", 5)
    monkeypatch.setattr(launching, "PAIRS_OF_A_TRIAL", 2)
    stretches = []
    run = launching._Walks._run

    def noted(self, name, first, count, own):
        stretches.append((first, count))
        return run(self, name, first, count, own)

    monkeypatch.setattr(launching._Walks, "_run", noted)
    layers, a, b = draw_network([3, 9], 0), draw_points(9, 3, 0), draw_points(9, 3, 1)
    assert_same(launching.walk_mlp_paths(layers, True, a, b, **CUDA), walk_mlp_paths(layers, True, a, b))
    assert stretches == [(0, 2), (2, 5), (7, 2)]


@pytest.mark.parametrize("num_slots", [16, 64])
@pytest.mark.parametrize("is_among", [False, True])
def test_counts_do_not_depend_on_what_a_warp_holds(num_slots, is_among, warps, monkeypatch):
    """With few slots cells push each other out; each way the table has every path once."""
    for module in (tally, layout):
        monkeypatch.setattr(module, "SLOTS", num_slots)
    warps(2)
    added, add = [], warp_memory.lanes.add_atomically

    def noted(array, index, value, condition):
        added.append(int(np.sum(np.broadcast_to(value, LANES)[np.broadcast_to(condition, LANES)])))
        add(array, index, value, condition)

    monkeypatch.setattr(warp_memory.lanes, "add_atomically", noted)
    layers, points = draw_network([3, 9, 9, 8], 0), draw_points(12, 3, 0)
    targets = None if is_among else draw_points(11, 3, 1)
    found = launching.fold_mlp_grid(layers, True, points, targets, **CUDA)
    assert_same(found, fold_mlp_grid(layers, True, points, targets))
    assert max(added) > 4  # a cell's number at once


SIZES = {
    "10x60, all training images of two classes": ([784, *[60] * 10], 2 * 6_742),
    "2x4096, of few inputs": ([20, 4096, 30], 2 * 6_742),
    "images of 224 x 224": ([3 * 224 * 224, 30, 30], 2_600),
}


@pytest.mark.parametrize("name", SIZES)
def test_four_gigabytes_are_enough(name):
    widths, num_images = SIZES[name]
    network = pack([(np.zeros((n, m)), np.zeros(n)) for m, n in pairwise(widths)], LANES, np.float64)
    needed = launching.memory_bytes(network, num_images, max(launching.CAPACITIES))
    assert 10**9 < needed < needed + MOST_BYTES < 4 * 10**9
    padded = sum(-(-width // LANES) * LANES for width in widths[1:])
    assert resident_bytes(network, num_images) > 8 * num_images * padded


def test_more_images_than_fit_are_one_sentence(warps):
    device = warps()
    device.memory = 1_960_000_000  # what is always there takes 1.95 GB
    layers = draw_network([3, 2000], 0)
    with pytest.raises(
        CudaError, match=r"^2000 and 2000 images .* need 2\.0 GB on cpu, which has 2\.0: .*per_class"
    ):
        launching.fold_mlp_grid(layers, True, draw_points(2000, 3, 0), **CUDA)


def groups_seen(monkeypatch):
    """Return the list of the numbers of images of each forward pass."""
    numbers: list[int] = []
    see = images.forward_passes

    def noted(layers, group, network):
        numbers.append(len(group))
        return see(layers, group, network)

    monkeypatch.setattr(images, "forward_passes", noted)
    return numbers


def test_images_are_seen_once_for_all_pairs_of_groups(warps, monkeypatch):
    warps()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    numbers = groups_seen(monkeypatch)
    network = mlp([3, 9, 9, 2], torch.Generator().manual_seed(0))
    classes = [torch.from_numpy(draw_points(size, 3, size)) for size in (4, 5, 6)]
    passes = KeptPasses()
    for i, sources in enumerate(classes):
        for targets in (None, *classes[i + 1 :]):
            found = fold_grid(network, sources, targets, method="kernel", device="cuda:0", kept=passes)
            assert_same(found, fold_grid(network, sources, targets))
    assert numbers == [4, 5, 6]
    assert passes.num_passes == 3


def test_another_network_sees_them_again(warps, monkeypatch):
    """Also the same module with other weights."""
    warps()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    numbers = groups_seen(monkeypatch)
    network = mlp([3, 9, 9, 2], torch.Generator().manual_seed(0))
    points = torch.from_numpy(draw_points(5, 3, 0))
    passes = KeptPasses()
    for _ in range(2):
        for _ in range(2):
            found = fold_grid(network, points, method="kernel", device="cuda:0", kept=passes)
            assert_same(found, fold_grid(network, points))
        with torch.no_grad():
            network[0].weight.mul_(-1)
    assert numbers == [5, 5]


def test_what_is_kept_is_bounded(warps, monkeypatch):
    """What was used longest ago goes first, and what is in use stays."""
    warps()
    numbers = groups_seen(monkeypatch)
    layers = draw_network([3, 9, 9], 0)
    groups = [draw_points(size, 3, size) for size in (4, 5, 6)]
    of_point = 8 * (2 * LANES + 2 + 2 + 2)
    monkeypatch.setattr(kept, "MOST_BYTES", 5 * of_point)
    passes = KeptPasses()
    for which in (0, 1, 2, 1, 2, 0):
        launching.fold_mlp_grid(layers, True, groups[which], kept=passes, **CUDA)
    assert numbers == [4, 5, 6, 6, 4]


def test_nothing_is_kept_where_the_memory_is_full(warps, monkeypatch):
    device = warps()
    numbers = groups_seen(monkeypatch)
    layers = draw_network([3, 9, 9], 0)
    groups = [draw_points(size, 3, size) for size in (4, 5)]
    passes = KeptPasses()
    network = pack(layers, LANES, np.float64)
    device.memory = launching.memory_bytes(network, 5, max(launching.CAPACITIES))
    for which in (0, 1, 0):
        launching.fold_mlp_grid(layers, True, groups[which], kept=passes, **CUDA)
    assert numbers == [4, 5, 4]


def test_no_paths_and_no_hidden_units(warps):
    warps()
    layers = draw_network([3, 2], 0)
    assert len(launching.walk_mlp_paths(layers, True, np.zeros((0, 3)), np.zeros((0, 3)), **CUDA).length) == 0
    for sources, targets in ((np.zeros((1, 3)), None), (np.zeros((0, 3)), np.zeros((4, 3)))):
        found = launching.fold_mlp_grid(layers, True, sources, targets, **CUDA)
        assert (found.num_paths, found.chi.cells.shape) == (0, (0, 3))
    found = launching.fold_mlp_grid(layers, False, draw_points(3, 3, 0), draw_points(5, 3, 1), **CUDA)
    assert found.chi.cells.tolist() == [[0, 0, 15]]


@pytest.mark.parametrize("widths", [[30] * 2, [10] * 6, [64] * 2, [60] * 10])
def test_equals_the_cpu_on_paths_between_mnist_images(widths, compiled_warps):
    """On 5,000 paths through each network: all test images, the first half to the second."""
    compiled_warps()
    images = load_split(MNIST, train=False).inputs.flatten(1).double().numpy()
    network = mlp([784, *widths, 10], torch.Generator().manual_seed(1))
    layers, _ = mlp_layers(network, 2)
    a, b = images[:5_000], images[5_000:]
    assert_same(launching.walk_mlp_paths(layers, False, a, b, **CUDA), walk_mlp_paths(layers, False, a, b))


@pytest.mark.parametrize("block_bytes", [1 << 28, 1])  # all at once, and one by one
def test_forward_passes_are_those_of_the_cpu(block_bytes, monkeypatch):
    monkeypatch.setattr("spaceprobe.folding.cuda.images.BLOCK_BYTES", block_bytes)
    hidden = draw_network([5, 40, 70], 2)
    points = draw_points(9, 5, 1)
    network = pack(hidden, LANES, np.float64)
    seen = forward_passes(unpacked(network, torch.device("cpu")), torch.from_numpy(points), network)
    plan = kernel_walk._plan(hidden, True, "float64", 1e-12)
    assert len(plan.tag) == LANES  # the same groups
    expected = kernel_walk._forward_passes(plan, points)
    np.testing.assert_array_equal(seen.states, expected.states.astype(np.int64))
    for name in ("z", "scale", "margin"):
        # the order of summation differs
        np.testing.assert_allclose(getattr(seen, name), getattr(expected, name), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("kernel", "capability"), [("walk_grid", (7, 5)), ("walk_grid", (8, 0)), ("walk_matched", (9, 0))]
)
def test_compiles_without_a_device(kernel, capability, capsys):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    with warnings.catch_warnings():  # numba-cuda's own
        warnings.simplefilter("ignore")
        try:
            text = toolchain.ptx(kernel, capability)
        except importlib.import_module("numba.cuda.cudadrv.error").NvvmSupportError as error:
            pytest.skip(f"numba-cuda finds no NVVM ({error}): install numba-cuda[cu13]")
    assert f".target sm_{capability[0]}{capability[1]}" in text
    assert ".entry" in text
    assert "fma.rn.f64" in text
    # As many as in the text, which calls `merge_flips` twice: a compiler that makes a loop of its own for one
    # lane takes the warp apart.
    assert text.count("vote.sync.ballot") == 8
    for limit, most_spilled in ((toolchain.FEW_REGISTERS, 800), (toolchain.MANY_REGISTERS, 500)):
        taken = toolchain.resources(text, capability, limit)
        with capsys.disabled():
            print(f"\n{kernel} sm_{capability[0]}{capability[1]}: {taken}", end="")
            print(*(f", {shared_bytes(flips)} B shared for {flips} flips" for flips in (64, 1024)), end="")
        assert 32 < taken.registers <= limit
        assert taken.spilled <= most_spilled  # as seen, and some more


def test_warps_that_run_at_a_time():
    """As many as registers and shared memory allow, with more registers where shared memory allows few."""
    shared = [shared_bytes(capacity) for capacity in launching.CAPACITIES]
    hopper, turing = 228 * 1024, 64 * 1024
    few, many = toolchain.FEW_REGISTERS, toolchain.MANY_REGISTERS
    assert [toolchain.occupancy(size, hopper) for size in shared] == [(few, 21)] * 4 + [(few, 13)]
    assert [toolchain.occupancy(size, turing) for size in shared] == [(many, n) for n in (12, 11, 8, 6, 3)]
    for size in shared:
        registers, warps = toolchain.occupancy(size, hopper)
        assert warps * registers * LANES <= toolchain.REGISTERS
        assert warps * (size + 1024) <= hopper
    assert toolchain.occupancy(shared[0], hopper, most_blocks=16) == (96, 16)


class Failing(Warps):
    """A device on which every launch fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def launch(self, *_):
        raise self.error


class CudaAPIError(Exception):
    """As numba-cuda's, whose module has a driver loaded."""

    __module__ = "numba.cuda.cudadrv.driver"


FAILURES = {
    "memory": (torch.OutOfMemoryError("CUDA out of memory"), "the memory of cuda:0 is full: free some of it"),
    "lost": (
        torch.AcceleratorError("CUDA error: unknown error\nmore"),
        r"cuda:0 failed \(CUDA error: unknown error\):",
    ),
    "driver": (
        CudaAPIError("[35] driver version is insufficient"),
        r"its driver is new enough for torch and numba-cuda",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_of_the_device_is_one_sentence(failure, monkeypatch):
    error, sentence = FAILURES[failure]
    monkeypatch.setattr(launching.Gpu, "of", lambda _: Failing(error))
    layers, points = draw_network([3, 4], 0), draw_points(4, 3, 0)
    with pytest.raises(CudaError, match=sentence) as raised:
        launching.fold_mlp_grid(layers, True, points, **CUDA)
    assert "or use --device cpu" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_errors_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(launching.Gpu, "of", lambda _: Failing(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError, match="ours"):
        launching.fold_mlp_grid(draw_network([3, 4], 0), True, draw_points(4, 3, 0), **CUDA)


def test_numba_cuda_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    with pytest.raises(
        CudaError, match=r"needs numba-cuda \(.*\): install spaceprobe\[cuda\], or use --device"
    ):
        toolchain.numba_cuda()


def test_layer_too_wide(warps):
    warps()
    layers = [(np.ones((20_000, 2)), np.zeros(20_000))]
    with pytest.raises(
        CudaError, match=r"a hidden layer of 20000 units is too wide .* which takes 16384; use"
    ):
        launching.fold_mlp_grid(layers, True, draw_points(2, 2, 0), **CUDA)


def test_kernel_that_loses_a_path_is_an_error(warps, monkeypatch):
    """Only beyond the paths that the CPU walks too."""
    device = warps()
    launch = device.launch

    def wrong(name, num_warps, shared, arguments):
        launch(name, num_warps, shared, arguments)
        cells = arguments[-4]
        if cells.sum() > 100:
            cells[cells.nonzero()[0]] -= 1

    monkeypatch.setattr(device, "launch", wrong)
    monkeypatch.setattr(launching, "NUM_COMPARED", 2)
    layers, points = draw_network([3, 9, 9], 0), draw_points(9, 3, 0)
    with pytest.raises(CudaError, match="the CUDA kernel counted 80 and 81 of 81 paths"):
        launching.fold_mlp_grid(layers, True, points, points[::-1], **CUDA)


@pytest.mark.parametrize("is_grid", [False, True])
def test_kernel_that_differs_from_the_cpu_is_an_error(is_grid, warps, monkeypatch):
    device = warps()
    launch = device.launch

    def wrong(name, num_warps, shared, arguments):
        launch(name, num_warps, shared, arguments)
        if is_grid:  # a path is counted with one flip more
            cells, side = arguments[-4], arguments[-5]
            place = int(cells[: side * side].nonzero()[0])
            cells[place] -= 1
            cells[place + side] += 1
        else:
            arguments[-3][0] += 1

    monkeypatch.setattr(device, "launch", wrong)
    layers, points = draw_network([3, 9, 9], 0), draw_points(4, 3, 0)
    walk = launching.fold_mlp_grid if is_grid else launching.walk_mlp_paths
    with pytest.raises(CudaError, match="the CUDA kernel and the CPU differ"):
        walk(layers, True, points, points[::-1], **CUDA)


def test_engine_by_name_on_a_gpu(warps, monkeypatch):
    device = warps()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = mlp([3, 9, 9, 2], torch.Generator().manual_seed(0))
    points = torch.from_numpy(draw_points(4, 3, 0))
    by_name = {"method": "kernel", "device": "cuda"}
    assert engine_for(network, points, **by_name) == "cuda-kernel"
    assert engine_for(network, points, device="cuda") == "jvp"
    assert_same(fold_grid(network, points, **by_name), fold_grid(network, points))
    assert_same(
        walk_paths(network, points, points.flip(0), **by_name), walk_paths(network, points, points.flip(0))
    )
    assert {name for name, _ in device.launches} == {"walk_grid", "walk_matched"}
    with pytest.raises(
        ValueError, match="precision is 'float32': only the layerwise walk has it, and the kernel"
    ):
        fold_grid(network, points, precision="float32", **by_name)


def wanting_gpu():
    return Job("fold", "2x30-s0", Path(), {}, {}, [], code="", wants_gpu=True)


def test_auto_goes_on_with_the_cpu_where_the_gpu_fails(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    done: list[int] = []

    def walk(device, advance):
        advance(3)
        if device == "cuda":
            raise FAILURES["lost"][0]
        advance(4)
        return device

    place = Place(wanting_gpu(), is_auto=True)
    assert place.run(walk, done.append) == "cpu"
    assert done == [3, 4]  # nothing is reported twice
    assert place.device == "cpu"
    assert "device is auto, so the CPU walks the paths from here on" in caplog.text
    with pytest.raises(CudaError, match="or use --device cpu"):
        Place(wanting_gpu(), is_auto=False).run(walk, done.append)


def test_no_gpu_where_one_is_wanted(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Place(wanting_gpu(), is_auto=True).device == "cpu"
    assert "torch sees no CUDA device where fold computes" in caplog.text
    with pytest.raises(SpaceprobeError, match="torch sees no CUDA device where fold computes"):
        Place(wanting_gpu(), is_auto=False)
