"""The activations of studies: their names, what each computes, and that each learns."""

from typing import get_args

import pytest
import torch
from torch import nn

from spaceprobe.data.dataset import Split
from spaceprobe.data.idx_images import load_split
from spaceprobe.networks.activations import ACTIVATIONS, SHRINKAGE, RandomizedLeakyReLU
from spaceprobe.networks.mlp import mlp
from spaceprobe.networks.training import Recipe, train
from spaceprobe.networks.walkable import PIECEWISE_LINEAR, RISING, TURNING
from spaceprobe.stages.train.network_settings import ActivationName
from tests.test_function_table import ROWS

NOT_OF_ONE_NUMBER = {"GLU", "MultiheadAttention", "Softmax", "Softmax2d", "LogSoftmax", "Softmin"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
