"""The engines on a CUDA device give what they give on the CPU."""

from dataclasses import astuple

import numpy as np
import pytest
import torch

from spaceprobe.folding import fold_grid, walk_paths
from tests.test_folding_engine import NETWORKS, points

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_cuda_equals_cpu(name, method):
    build, shape = NETWORKS[name]
    a, b = points(500, *shape), points(500, *shape, seed=2)
    cpu, cuda = (walk_paths(build(), a, b, method=method, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(np.stack(astuple(cpu)), np.stack(astuple(cuda)))


def test_grid_on_cuda_equals_cpu():
    build, shape = NETWORKS["mlp"]
    sources, targets = points(30, *shape), points(20, *shape, seed=2)
    cpu, cuda = (fold_grid(build(), sources, targets, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(cpu.chi.cells, cuda.chi.cells)
    np.testing.assert_array_equal(cpu.peak_back.row_max, cuda.peak_back.row_max)
