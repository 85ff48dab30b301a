"""The engines on a CUDA device give what they give on the CPU."""

from dataclasses import astuple

import numpy as np
import pytest
import torch

from spaceprobe.folding import fold_grid, walk_paths
from tests.piecewise_networks import drawn_networks
from tests.test_folding_engine import NETWORKS, points
from tests.test_layerwise import Block

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["sampled", "jvp", "layerwise"])
def test_cuda_equals_cpu(name, method):
    build, shape = NETWORKS[name]
    a, b = points(500, *shape), points(500, *shape, seed=2)
    cpu, cuda = (walk_paths(build(), a, b, method=method, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(np.stack(astuple(cpu)), np.stack(astuple(cuda)))


@pytest.mark.filterwarnings("ignore::spaceprobe.folding.UncountedUnits")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_layerwise_walk_on_cuda_equals_that_on_the_cpu(precision):
    network = Block().eval()
    a, b = points(40, 2, 8, 8), points(40, 2, 8, 8, seed=2)
    cpu = walk_paths(network, a, b, method="layerwise")
    cuda = walk_paths(network, a, b, method="layerwise", device="cuda", precision=precision)
    np.testing.assert_array_equal(np.stack(astuple(cpu)), np.stack(astuple(cuda)))


def test_networks_of_every_step_on_cuda_equal_those_on_the_cpu():
    for network in drawn_networks(60):
        a, b = (torch.tensor([[float(x) for x in x]], dtype=torch.float64) for x in (network.a, network.b))
        cpu, cuda = (
            walk_paths(network.module(), a, b, method="layerwise", device=device)
            for device in ("cpu", "cuda")
        )
        np.testing.assert_array_equal(np.stack(astuple(cpu)), np.stack(astuple(cuda)), err_msg=network.name)


def test_grid_on_cuda_equals_cpu():
    build, shape = NETWORKS["mlp"]
    sources, targets = points(30, *shape), points(20, *shape, seed=2)
    cpu, cuda = (fold_grid(build(), sources, targets, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(cpu.chi.cells, cuda.chi.cells)
    np.testing.assert_array_equal(cpu.peak_back.row_max, cuda.peak_back.row_max)


@pytest.mark.parametrize("is_among", [False, True])
def test_kernel_on_cuda_equals_cpu(is_among):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    build, shape = NETWORKS["mlp"]
    sources, targets = points(60, *shape), None if is_among else points(50, *shape, seed=2)
    by_kernel = {"method": "kernel", "device": "cuda"}
    cpu, cuda = fold_grid(build(), sources, targets), fold_grid(build(), sources, targets, **by_kernel)
    for name in ("chi", "peak", "chi_back", "peak_back"):
        np.testing.assert_array_equal(getattr(cpu, name).cells, getattr(cuda, name).cells)
        np.testing.assert_array_equal(getattr(cpu, name).row_max, getattr(cuda, name).row_max)
    a, b = points(500, *shape), points(500, *shape, seed=2)
    one, other = walk_paths(build(), a, b), walk_paths(build(), a, b, **by_kernel)
    np.testing.assert_array_equal(np.stack(astuple(one)), np.stack(astuple(other)))
