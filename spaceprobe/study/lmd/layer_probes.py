"""What data say of one layer: latent metrics, ranks, dimension, retrieval, meaning of latent axes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spaceprobe.lmd import graph, metrics
from spaceprobe.lmd.dimension import dimension_table
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.functional import FunctionalRank, functional_rank
from spaceprobe.lmd.noise import uniform_init_variance
from spaceprobe.lmd.ranks import RankEstimate
from spaceprobe.lmd.retrieval import noisy_queries, retrieval_accuracy
from spaceprobe.lmd.semantics import class_variance_share, semantics_table
from spaceprobe.lmd.spectrum import output_variances
from spaceprobe.networks.layers import LayerPass, pass_through
from spaceprobe.study.lmd.matrix_rows import Known, Metric, records
from spaceprobe.study.lmd.settings import LmdSettings

SEED = 0
"""Chosen: of the subsamples, the noise and the shuffled labels of all probes."""

NUM_REPEATS = 10
"""Chosen: noisy queries of each stored pattern; their share is known to 0.01 or so."""

Row = dict[str, Any]


def make_metrics(layer: LayerPass, settings: LmdSettings) -> list[Metric]:
    """Returns the latent metrics that are asked for, from a layer's inputs and pre-activations."""
    made = []
    for name in settings.metrics:
        if name == "identity":
            made.append(Metric(name, metrics.identity))
        elif name == "data":
            made.append(Metric(name, metrics.data_metric(layer.inputs, settings.data_ridge)))
        else:
            made.append(_laplacian(layer, settings))
    return made


def _laplacian(layer: LayerPass, settings: LmdSettings) -> Metric:
    try:
        into, out_of = (
            graph.neighbour_graph(points, settings.neighbours) for points in (layer.inputs, layer.outputs)
        )
    except graph.ConstantPointsError as error:
        return Metric("laplacian", None, reason=str(error))
    latent = metrics.laplacian_metric(layer.inputs, layer.outputs, into, out_of, settings.laplacian_ridge)
    return Metric("laplacian", latent, (into.num_components, out_of.num_components))


def known_of(layer: LayerPass, initial: Tensor, functional: RankEstimate | None) -> Known:
    """Returns what a layer's data and its initial weight say of it."""
    weight = layer.linear.weight.detach()
    return Known(
        initial_values=torch.linalg.svdvals(initial.double()).numpy(),
        init_variance=uniform_init_variance(weight.shape[1]),
        output_variances=output_variances(weight, layer.inputs),
        functional=functional,
        num_dead_inputs=int((layer.inputs == layer.inputs[:1]).all(dim=0).sum()),
    )


def functional_of(layer: LayerPass, targets: Tensor) -> FunctionalRank:
    """Returns the functional rank of a layer on the points that were passed through it.

    Classes are scored by accuracy, values by the coefficient of determination R².
    """

    def score(pre_activations: Tensor) -> float:
        outputs = layer.finish(pre_activations)
        if targets.dtype.is_floating_point:
            residual = (outputs - targets).square().sum()
            return float(1 - residual / (targets - targets.mean(dim=0)).square().sum())
        return float((outputs.argmax(1) == targets).double().mean())

    factors = decompose(layer.linear.weight)
    parts = factors.singular_values, factors.U, factors.Vh
    return functional_rank(*parts, layer.inputs, layer.linear.bias.detach(), score)


def dimension_rows(layer: LayerPass, settings: LmdSettings) -> list[Row]:
    """Returns the dimension of a layer's inputs and of its pre-activations, by every estimator."""
    return [
        {"space": space, **row}
        for space, points in (("input", layer.inputs), ("output", layer.outputs))
        for row in records(dimension_table(points, num_subsamples=settings.subsamples, seed=SEED))
    ]


def retrieval_rows(
    network: torch.nn.Sequential,
    initial: torch.nn.Sequential,
    sampled: Sequence[LayerPass],
    stored: Tensor,
    settings: LmdSettings,
) -> list[list[Row]]:
    """Returns for each layer how often a noisy image leads back to the stored one, in several spaces.

    The noise is added to the image. Its nearest neighbour is sought among the pixels; along the leading
    axes of the layer, which is given both images' activations, at initialisation (``V initial``) and now
    (``V``); and in each latent metric.

    Args:
        network: as it is now.
        initial: as it was before training.
        sampled: the pass of the sample through the network, behind the metrics.
        stored: the images, one a row.
        settings: number of axes, noise and metrics.
    """
    queries, sources = noisy_queries(stored, settings.retrieval_noise, SEED, NUM_REPEATS)
    pixels = retrieval_accuracy(stored, queries, sources)
    now, before = (
        list(zip(pass_through(some, stored), pass_through(some, queries), strict=True))
        for some in (network, initial)
    )
    rows = []
    for layer, (known, asked), (known_before, asked_before) in zip(sampled, now, before, strict=True):
        weight = layer.linear.weight.detach()
        rank = min(settings.retrieval_rank, *weight.shape)
        found: list[tuple[str, int, float | None]] = [("pixels", stored.shape[1], pixels)]
        Vh = decompose(known_before.linear.weight, rank).Vh
        there = retrieval_accuracy(known_before.inputs, asked_before.inputs, sources, Vh)
        found.append(("V initial", rank, there))
        for metric in (Metric("V", metrics.identity), *make_metrics(layer, settings)):
            if metric.name != "identity":  # which is V
                found.append((metric.name, rank, _in_metric(weight, rank, metric, known, asked, sources)))
        asked_for = {"num_stored": len(stored), "noise": settings.retrieval_noise}
        rows.append(
            [
                {"space": space, "rank": rank, **asked_for, "num_queries": len(queries), "accuracy": accuracy}
                for space, rank, accuracy in found
            ]
        )
    return rows


def _in_metric(
    weight: Tensor, rank: int, metric: Metric, stored: LayerPass, queries: LayerPass, sources: Tensor
) -> float | None:
    """Returns the accuracy in a latent metric; None where the layer is constant and there is none."""
    if metric.latent is None:
        return None
    try:
        factors = decompose(weight, rank, metric.latent)
    except graph.ConstantPointsError:
        return None
    return retrieval_accuracy(stored.inputs, queries.inputs, sources, factors.I_dist @ factors.Vh)


def semantics_rows(layer: LayerPass, targets: Tensor, settings: LmdSettings) -> list[Row]:
    """Returns how much of each latent axis the classes explain, beside shuffled labels.

    ``class_variance`` is the axis' share of all variance between classes in the layer's inputs, ``variance``
    its share of all variance there.
    """
    centred = layer.inputs - layer.inputs.mean(dim=0)
    coordinates = centred @ decompose(layer.linear.weight).Vh.T
    between = _between(coordinates, targets)
    total_between, total = _between(centred, targets).sum(), centred.square().sum()
    return [
        {
            **row,
            "class_variance": float(axis_between / total_between) if total_between > 0 else 0.0,
            "variance": float(axis_total / total) if total > 0 else 0.0,
        }
        for row, axis_between, axis_total in zip(
            records(semantics_table(coordinates, targets, settings.shuffles, SEED)),
            between,
            coordinates.square().sum(dim=0),
            strict=True,
        )
    ]


def _between(coordinates: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum of squares between classes on each axis."""
    return class_variance_share(coordinates, targets) * coordinates.square().sum(dim=0)
