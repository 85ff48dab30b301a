"""Networks of other people's making: the patterns at sampled points are those of the exact regions there.

scripts/check_layerwise.py does the same for ten of them and more, at 50,001 points.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))  # which are not a package

from bench_layerwise import cnn
from check_layerwise import (
    Comparison,
    ExactRegions,
    compare_engines,
    compare_patterns,
    exact_regions,
    sampled_bits,
)

MODULES = {
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=3), 32),
    "DenseNet": (lambda: torchvision.models.DenseNet(4, (1, 1), 4, num_classes=3), 32),
    "ResNet": (lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3), 4),
}


@pytest.mark.parametrize("name", MODULES)
def test_every_sampled_pattern_is_that_of_the_exact_region(name):
    build, side = MODULES[name]
    torch.manual_seed(1)
    network = build().double().eval()
    found = compare_patterns(network, *torch.rand(2, 3, side, side, dtype=torch.float64), 501)
    assert (found.num_wrong, found.num_close) == (0, 0)
    assert found.num_flips_seen > 100  # else there is little to be wrong about
    assert found.num_regions > 100


def test_a_flip_that_is_missed_is_found(monkeypatch):
    """The comparison fails where a flip is dropped, far from every point."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    a, b = torch.randn(2, 2, dtype=torch.float64) * 5
    whole = exact_regions(network, a[None], b[None])
    assert len(whole.t) >= 2
    assert compare_patterns(network, a, b, 50) == Comparison(
        num_wrong=0, num_close=0, num_bits=8, num_regions=len(whole.t) + 1, num_flips_seen=len(whole.t)
    )
    lacking = ExactRegions(whole.start, whole.t[1:], whole.bit[1:], 0)
    monkeypatch.setattr("check_layerwise.exact_regions", lambda *_: lacking)
    after = ((np.arange(50) + 0.5) / 50 > whole.t[0]).sum()
    assert compare_patterns(network, a, b, 50).num_wrong == after > 0


def test_watched_bits_of_two_kinks():
    network = nn.Sequential(nn.Identity(), nn.ReLU6(), nn.LeakyReLU())
    bits = sampled_bits(network, torch.tensor([[-1.0], [3.0], [7.0]]))
    assert bits.tolist() == [[False, False, False], [True, False, True], [True, True, True]]


def test_the_layerwise_walk_agrees_with_the_jvp_walk_on_a_cnn(capsys):
    images = load_split(MNIST, train=False).inputs
    assert compare_engines("CNN", cnn(nn.AvgPool2d), images, "jvp", 4)
    assert "CNN: 4 paths" in capsys.readouterr().out
