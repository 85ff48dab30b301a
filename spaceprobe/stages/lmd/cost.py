"""The probe cost: seconds of each step of the decomposition of a matrix, and errors of the large-matrix path.

Seconds are CPU time of this process, in which torch computes with one thread: other programs on the machine
slow it down less than they lengthen wall-clock time. They are of one machine and of one moment, so the table
that holds them is not the same twice.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.certificate import certify
from spaceprobe.lmd.factors import Factors, cut, decompose
from spaceprobe.lmd.graph import ConstantPointsError
from spaceprobe.lmd.large import leading_triplets
from spaceprobe.networks.layers import LayerPass
from spaceprobe.stages.lmd.latent_metrics import layer_metrics
from spaceprobe.stages.lmd.matrix import Row, Rows
from spaceprobe.stages.lmd.settings import LmdSettings

NUM_LEADING = 64
"""Chosen, as in scripts/bench_lmd.py: leading values that the large-matrix path is asked for, at most all."""

SAMPLE_SHARES = (8, 4, 2, 1)
"""Chosen: the sample is divided by these, for the first matrix alone: for all it would take twice as long."""

ENOUGH_S = 0.05
"""Chosen: a step is repeated until it has taken so many seconds together."""

MAX_ROUNDS = 20
"""Chosen: but not more often than this."""

OF_METRICS = ("data", "laplacian")
"""The steps that read a sample of points."""

Result = TypeVar("Result")


def cost_rows(number: int, layer: LayerPass, settings: LmdSettings) -> Rows:
    """Return the rows of lmd_times and lmd_leading for one matrix.

    The steps are ``svd`` (all values and vectors), ``leading`` (the leading ones, see
    `spaceprobe.lmd.large`), ``certificate`` (of all components), and the latent metrics ``data`` and
    ``laplacian`` with the factors that they lead to, all components kept. The sample of the first matrix is
    also taken in parts, see `SAMPLE_SHARES`.

    Args:
        number: of the matrix in the network, from 0.
        layer: the matrix with the sample.
        settings: ridges and neighbours.
    """
    weight = layer.matrix.weight.detach().double()
    times: list[Row] = []

    def timed(step: str, compute: Callable[[], Result], num_points: int = 0) -> Result:
        duration_s, num_rounds, result = fewest_seconds(compute)
        about = {**_shape(weight), "step": step, "num_points": num_points}
        times.append({**about, "num_rounds": num_rounds, "duration_s": duration_s})
        return result

    num_values = min(NUM_LEADING, *weight.shape)
    whole = timed("svd", lambda: decompose(weight))
    triplets = timed("leading", lambda: leading_triplets(weight, num_values))
    timed("certificate", lambda: certify(weight, whole))
    for points in _samples(number, layer, settings):
        for step in OF_METRICS:
            asked = settings.model_copy(update={"metrics": (step,)})
            with suppress(ConstantPointsError):  # as in lmd_layers: a constant layer has no such metric
                timed(step, partial(_factors, points, asked, whole), len(points.inputs))
    error = (triplets.singular_values - whole.singular_values[:num_values]).abs()
    largest = float(whole.singular_values[0])
    return {
        "lmd_times": times,
        "lmd_leading": [
            {
                **_shape(weight),
                "num_values": num_values,
                "krylov_dim": triplets.krylov_dim,
                "is_full": triplets.all_values is not None,
                **_spread("stated_error", triplets.residuals),
                **_spread("true_error", error / largest if largest > 0 else error),
            }
        ],
    }


def fewest_seconds(
    compute: Callable[[], Result], clock: Callable[[], float] = time.process_time
) -> tuple[float, int, Result]:
    """Return the fewest seconds of some rounds, the number of rounds, and the result of the last.

    Rounds end when they have taken `ENOUGH_S` together, or at `MAX_ROUNDS`; there is at least one.

    Args:
        compute: what is timed.
        clock: seconds; by default CPU time of all threads of this process.
    """
    times: list[float] = []
    while True:
        start = clock()
        result = compute()
        times.append(clock() - start)
        if sum(times) >= ENOUGH_S or len(times) >= MAX_ROUNDS:
            return min(times), len(times), result


def _samples(number: int, layer: LayerPass, settings: LmdSettings) -> Iterator[LayerPass]:
    """Yield the layer with the points that metrics are timed on: all, and parts of the first layer's."""
    for share in SAMPLE_SHARES if number == 0 else (1,):
        num_points = len(layer.inputs) // share
        if num_points > settings.neighbours:
            yield LayerPass(
                layer.matrix, layer.inputs[:num_points], layer.outputs[:num_points], None, layer.outputs_with
            )


def _factors(layer: LayerPass, settings: LmdSettings, whole: Factors) -> Factors:
    """Return the factors with the one metric that the settings name.

    Raises:
        ConstantPointsError: the layer is constant.
    """
    (metric,) = layer_metrics(layer, settings)
    if metric.latent is None:
        raise ConstantPointsError(metric.reason)
    return cut(whole, None, metric.latent)


def _shape(weight: Tensor) -> Row:
    return {"num_outputs": weight.shape[0], "num_inputs": weight.shape[1]}


def _spread(name: str, errors: Float64[Tensor, "kept"]) -> Row:
    """Return the largest and the median of some errors."""
    return {name: float(errors.max()), f"{name}_median": float(torch.median(errors))}
