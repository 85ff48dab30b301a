"""Probes of one layer with data: functional rank, dimensions, and class meaning of its latent axes."""

from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from spaceprobe.lmd.dimension import dimension_table
from spaceprobe.lmd.factors import Factors
from spaceprobe.lmd.functional import FunctionalRank, functional_rank, functional_rank_of_weight
from spaceprobe.lmd.semantics import class_variance_share, semantics_table
from spaceprobe.lmd.span import span
from spaceprobe.networks.layers import LayerPass
from spaceprobe.stages.lmd.matrix import Row, json_rows
from spaceprobe.stages.lmd.settings import LmdSettings

SEED = 0
"""Chosen: of the subsamples, the noise and the shuffled labels of all probes."""


def functional_rank_of(layer: LayerPass, whole: Factors, targets: Tensor) -> FunctionalRank:
    """Return the functional rank of a layer on the points that were passed through it.

    Classes are scored by accuracy, values by the coefficient of determination R².

    Args:
        layer: the layer with these points.
        whole: all components of its weight.
        targets: of the points.
    """

    def score(outputs: Tensor) -> float:
        if targets.dtype.is_floating_point:
            return determination(outputs, targets)
        return float((outputs.argmax(1) == targets).double().mean())

    parts = whole.singular_values, whole.U, whole.Vh
    finish = layer.finish
    if finish is None:
        return functional_rank_of_weight(*parts, lambda weight: score(layer.outputs_with(weight)))
    return functional_rank(*parts, layer.inputs, layer.matrix.bias, lambda values: score(finish(values)))


def determination(outputs: Tensor, targets: Tensor) -> float:
    """Return the coefficient of determination R² over all points and values, in float64; at most 1.

    1 - Σ(f - y)² / Σ(y - mean y)², the mean of each value taken over the points.
    """
    values = targets.double()
    residual = (outputs.double() - values).square().sum()
    return float(1 - residual / (values - values.mean(dim=0)).square().sum())


def dimension_rows(layer: LayerPass, settings: LmdSettings) -> list[Row]:
    """Return the dimension of a layer's inputs and of its pre-activations, by every estimator."""
    return [
        {"space": space, **row}
        for space, points in (("input", layer.inputs), ("output", layer.outputs))
        for row in json_rows(dimension_table(points, num_subsamples=settings.subsamples, seed=SEED))
    ]


def span_rows(layer: LayerPass) -> list[Row]:
    """Return the linear dimension of a layer's inputs and of its pre-activations."""
    spaces = {"input": layer.inputs, "output": layer.outputs}
    return [{"space": space, **asdict(span(points))} for space, points in spaces.items()]


def semantics_rows(layer: LayerPass, whole: Factors, targets: Tensor, settings: LmdSettings) -> list[Row]:
    """Return how much of each latent axis the classes explain, beside shuffled labels.

    Args:
        layer: the layer with the points that were passed through it, each as one row or several.
        whole: all components of its weight.
        targets: the classes of the points.
        settings: number of shufflings.
    """
    if len(targets):
        targets = targets.repeat_interleave(len(layer.inputs) // len(targets))
    centred = layer.inputs - layer.inputs.mean(dim=0)
    coordinates = centred @ whole.Vh.T
    between, total = _between_classes(centred, targets).sum(), centred.square().sum()
    table = semantics_table(coordinates, targets, settings.shuffles, SEED)
    table["class_variance"] = _shares(_between_classes(coordinates, targets), between)
    table["variance"] = _shares(coordinates.square().sum(dim=0), total)
    return json_rows(table)


def _between_classes(coordinates: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of squares between classes on each axis."""
    return class_variance_share(coordinates, targets) * coordinates.square().sum(dim=0)


def _shares(parts: Tensor, whole: Tensor) -> np.ndarray:
    """Return the parts over the whole; zeros where that is 0."""
    return (parts / whole if whole > 0 else torch.zeros_like(parts)).numpy()
