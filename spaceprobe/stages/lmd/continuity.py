"""The probe of continuity: encoding margin ε, slopes and jumps of a whole network, and δ(ε)."""

from typing import Any

import torch
from torch import Tensor, nn

from spaceprobe.data.dataset import Split
from spaceprobe.folding.region_slopes import RegionSlopes, region_slopes
from spaceprobe.lmd.continuity import SOFTMAX_SLOPE, continuity_radius, nearest_other
from spaceprobe.lmd.margins import classification_errors, margins, regression_errors
from spaceprobe.networks.lipschitz import lipschitz_bound
from spaceprobe.networks.objective import is_classification
from spaceprobe.stages.lmd.matrix import Row
from spaceprobe.stages.lmd.settings import LmdSettings

POINTS_AT_ONCE = 1000
"""Chosen: training points that pass through the network at a time."""


def continuity_row(network: nn.Module, points: Split, settings: LmdSettings) -> Row:
    """Return the row of lmd_continuity of a network, but for its epoch.

    Args:
        network: in float64.
        points: the training points, with the labels that were trained on; at least two.
        settings: how many paths, and how many points distances are taken of.
    """
    network = network.eval()
    inputs, targets = points.inputs.double(), points.targets
    is_of_classes = is_classification(targets)
    with torch.no_grad():
        outputs = torch.cat([network(rows) for rows in inputs.split(POINTS_AT_ONCE)])
    errors = (
        classification_errors(outputs, targets)
        if is_of_classes
        else regression_errors(outputs, targets.double())
    )
    margin = margins(errors)
    output_slope = SOFTMAX_SLOPE if is_of_classes else 1.0
    row: dict[str, Any] = {
        "num_points": len(inputs),
        "margin_q50": margin["q50"],
        "margin_max": margin["max"],
        "output_slope": output_slope,
    }
    notes = []
    bound = lipschitz_bound(network)
    if isinstance(bound, str):
        notes.append(bound)
    else:
        row |= {
            "slope_bound": bound,
            "delta_bound": continuity_radius(margin["max"], output_slope * bound),
        }
    try:
        row |= _of_paths(network, inputs, margin["max"], settings.continuity_paths, is_of_classes)
    except TypeError as error:
        notes.append(str(error))
    sample = points.first(settings.sample)
    if is_of_classes:
        row["nearest_other"] = nearest_other(sample.inputs.double(), sample.targets)
    return row | {"note": "; ".join(notes)}


def _of_paths(network: nn.Module, inputs: Tensor, margin: float, num_paths: int, is_of_classes: bool) -> Row:
    """Return what the paths from each even training point to the next one cross.

    Raises:
        TypeError: the network is not an MLP of piecewise-linear activations.
    """
    num_paths = min(num_paths, len(inputs) // 2)
    a, b = inputs[: 2 * num_paths : 2], inputs[1 : 2 * num_paths : 2]
    seen = region_slopes(network, a, b, threads=1)
    steepest = float(seen.slope.max())
    along = torch.from_numpy(seen.path_slope)
    along = along[~along.isnan()]
    row: dict[str, Any] = {
        "num_paths": num_paths,
        "num_regions": len(seen.path),
        "num_violations": int(seen.num_violations.sum()),
        "largest_slope": steepest,
        "largest_path_slope": float(along.max()) if len(along) else None,
    }
    jumps = _jumps(seen, is_of_classes)
    largest = float(jumps.max()) if len(jumps) else 0.0
    by_path = torch.zeros(num_paths, dtype=torch.bool)
    by_path[torch.from_numpy(seen.jump_path)[jumps > margin]] = True
    row |= {"largest_jump": largest, "jumping": float(by_path.double().mean())}
    if seen.is_continuous:
        output_slope = SOFTMAX_SLOPE if is_of_classes else 1.0
        row["delta"] = continuity_radius(margin, output_slope * steepest)
    elif largest > margin:
        row["delta"] = 0.0
    return row


def _jumps(seen: RegionSlopes, is_of_classes: bool) -> Tensor:
    """Return the size of the jump at each breakpoint, in units of ε; 0 where nothing jumps."""
    if seen.is_continuous:
        return torch.zeros(len(seen.jump_path), dtype=torch.float64)
    sides = (seen.before, seen.after)
    before, after = (side.softmax(dim=1) for side in sides) if is_of_classes else sides
    jumps: Tensor = torch.linalg.vector_norm(after - before, dim=1)
    return jumps
