"""The path across CantorNet as text: its folding is known, so that the measure can be seen and checked."""

import torch

from spaceprobe.folding import Method, PathTrace, trace_path
from spaceprobe.networks.cantornet import cantornet
from spaceprobe.results.paths import path_table

START, END = (0.0, 0.75), (1.0, 0.75)
NUM_POINTS = 11  # of the folding paper's figure


def describe_cantornet(num_folds: int) -> str:
    """Return the walk from (0, 3/4) to (1, 3/4), step by step, exactly and with 11 points.

    χ is given for both ways of counting units: with every ReLU, the one after the readout included, and
    with hidden units only.

    Args:
        num_folds: recursions of CantorNet, at least 1.
    """
    methods: dict[str, Method] = {"exact": "exact", f"{NUM_POINTS} points": "sampled"}
    units = {"every ReLU": True, "hidden units only": False}
    traces = {
        (name, counted): walk_cantornet(num_folds, method, relu_after_readout=relu_after_readout)
        for name, method in methods.items()
        for counted, relu_after_readout in units.items()
    }
    lines = [f"CantorNet, k = {num_folds}, from {START} to {END}"]
    for (name, counted), trace in traces.items():
        if counted == "every ReLU":
            lines += ["", f"{name}, {counted}", path_table(trace)]
    lines += ["", f"{'χ of the path':20s}{'every ReLU':>14s}{'hidden units only':>20s}"]
    for name in methods:
        every, hidden = (float(traces[name, counted].chi[-1]) for counted in units)
        lines.append(f"{name:20s}{every:14.4f}{hidden:20.4f}")
    return "\n".join(lines)


def walk_cantornet(
    num_folds: int,
    method: Method = "exact",
    *,
    num_points: int = NUM_POINTS,
    relu_after_readout: bool = True,
) -> PathTrace:
    """Return the walk from (0, 3/4) to (1, 3/4).

    Args:
        num_folds: recursions of CantorNet, at least 1.
        method: see `spaceprobe.folding.walk_paths`.
        num_points: of a sampled path.
        relu_after_readout: whether the readout's ReLU counts as well.
    """
    start, end = (torch.tensor(point, dtype=torch.float64) for point in (START, END))
    network = cantornet(num_folds, relu_after_readout)
    return trace_path(network, start, end, method=method, num_points=num_points)
