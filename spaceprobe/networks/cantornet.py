"""CantorNet: a network whose decision boundary is a Cantor-like set, and whose folding is known."""

import torch
from torch import nn

FOLD = ([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0]], [-2.0, 1.0, 0.0])
MERGE = ([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [0.0, 0.0])
READOUT = ([[-0.5, 1.0]], [-0.5])


def cantornet(num_folds: int, relu_after_readout: bool = False) -> nn.Sequential:
    """Return CantorNet in its recursion-based form, in float64.

    It has num_folds times the two layers that map (x, y) to (max(3x - 2, 0) + max(1 - 3x, 0), y), then a
    readout of width 1. From (0, 3/4) to (1, 3/4) its χ is 1/2, 2/3, 11/14 for 1, 2, 3 folds, and 1/2,
    11/16, 29/36 where the readout's ReLU counts as well.

    Source: "CantorNet: A Sandbox for Testing Topological and Geometrical Measures", NeurIPS 2024
    workshop on Symmetry and Geometry in Neural Representations.

    Args:
        num_folds: how often the unit interval is folded; at least 1.
        relu_after_readout: whether the readout is followed by a ReLU.

    Raises:
        ValueError: if num_folds is below 1.
    """
    if num_folds < 1:
        raise ValueError(f"num_folds is {num_folds}: CantorNet has at least 1")
    steps: list[nn.Module] = []
    for _ in range(num_folds):
        steps += [linear(*FOLD), nn.ReLU(), linear(*MERGE), nn.ReLU()]
    steps.append(linear(*READOUT))
    if relu_after_readout:
        steps.append(nn.ReLU())
    return nn.Sequential(*steps)


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    """Return a linear layer with these weights, in float64."""
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    layer.load_state_dict(
        {
            "weight": torch.tensor(weight, dtype=torch.float64),
            "bias": torch.tensor(bias, dtype=torch.float64),
        }
    )
    return layer
