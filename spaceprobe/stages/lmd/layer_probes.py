"""What data say of one layer: latent metrics, ranks, dimension, retrieval, meaning of latent axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spaceprobe.lmd import graph, metrics
from spaceprobe.lmd.dimension import dimension_table
from spaceprobe.lmd.factors import Factors, cut, decompose
from spaceprobe.lmd.functional import FunctionalRank, functional_rank
from spaceprobe.lmd.noise import uniform_init_variance
from spaceprobe.lmd.rank_rules import RankEstimate
from spaceprobe.lmd.retrieval import noisy_queries, retrieval_accuracy
from spaceprobe.lmd.semantics import class_variance_share, semantics_table
from spaceprobe.lmd.spectrum import output_variances
from spaceprobe.networks.layers import LayerPass, pass_through
from spaceprobe.stages.lmd.matrix_rows import Known, Metric, records
from spaceprobe.stages.lmd.settings import LmdSettings

SEED = 0
"""Chosen: of the subsamples, the noise and the shuffled labels of all probes."""

NUM_REPEATS = 10
"""Chosen: noisy queries of each stored pattern; their share is known to 0.01 or so."""

INITIAL = "initial"
"""The name of the untrained network, and what stands behind the names of its spaces."""

Row = dict[str, Any]


def make_metrics(layer: LayerPass, settings: LmdSettings) -> list[Metric]:
    """Return the latent metrics that are asked for, from a layer's inputs and pre-activations."""
    made = []
    for name in settings.metrics:
        if name == "identity":
            made.append(Metric(name, metrics.identity))
        elif name == "data":
            made.append(Metric(name, metrics.data_metric(layer.inputs, settings.data_ridge)))
        else:
            made.append(_laplacian(layer, settings))
    return made


def with_identity(made: Sequence[Metric]) -> list[Metric]:
    """Return the metrics with the identity first, whose space is that of V."""
    return [Metric("identity", metrics.identity), *(metric for metric in made if metric.name != "identity")]


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
    """Return what a layer's data and its initial weight say of it."""
    weight = layer.linear.weight.detach()
    return Known(
        initial_values=torch.linalg.svdvals(initial.double()).numpy(),
        init_variance=uniform_init_variance(weight.shape[1]),
        output_variances=output_variances(weight, layer.inputs),
        functional=functional,
        num_dead_inputs=int((layer.inputs == layer.inputs[:1]).all(dim=0).sum()),
    )


def functional_of(layer: LayerPass, whole: Factors, targets: Tensor) -> FunctionalRank:
    """Return the functional rank of a layer on the points that were passed through it.

    Classes are scored by accuracy, values by the coefficient of determination R².

    Args:
        layer: the layer with these points.
        whole: all components of its weight.
        targets: of the points.
    """

    def score(pre_activations: Tensor) -> float:
        outputs = layer.finish(pre_activations)
        if targets.dtype.is_floating_point:
            residual = (outputs - targets).square().sum()
            return float(1 - residual / (targets - targets.mean(dim=0)).square().sum())
        return float((outputs.argmax(1) == targets).double().mean())

    parts = whole.singular_values, whole.U, whole.Vh
    return functional_rank(*parts, layer.inputs, layer.linear.bias.detach(), score)


def dimension_rows(layer: LayerPass, settings: LmdSettings) -> list[Row]:
    """Return the dimension of a layer's inputs and of its pre-activations, by every estimator."""
    return [
        {"space": space, **row}
        for space, points in (("input", layer.inputs), ("output", layer.outputs))
        for row in records(dimension_table(points, num_subsamples=settings.subsamples, seed=SEED))
    ]


def retrieval_rows(
    networks: Mapping[str, torch.nn.Sequential],
    metrics_of: Mapping[str, Sequence[Sequence[Metric]]],
    stored: Tensor,
    settings: LmdSettings,
) -> list[list[Row]]:
    """Return for each layer how often a noisy image leads back to the stored one, in several spaces.

    The noise is added to the image. Its nearest neighbour is sought among the pixels; along the leading
    axes of the layer (``V``), which is given both images' activations; and in each latent metric.

    Args:
        networks: the trained one under the name ``""``, and the untrained one under `INITIAL`, whose
            spaces have that word behind theirs.
        metrics_of: under the same names the metrics of each layer.
        stored: the images, one a row.
        settings: number of axes and noise.
    """
    queries, sources = noisy_queries(stored, settings.retrieval_noise, SEED, NUM_REPEATS)
    asked = {"num_stored": len(stored), "noise": settings.retrieval_noise, "num_queries": len(queries)}
    pixels = {"rank": stored.shape[1], "accuracy": retrieval_accuracy(stored, queries, sources)}
    rows: list[list[Row]] = []
    for suffix, network in networks.items():
        passes = zip(pass_through(network, stored), pass_through(network, queries), strict=True)
        for number, (known, noisy) in enumerate(passes):
            if number == len(rows):
                rows.append([{"space": "pixels", **pixels, **asked}])
            weight = known.linear.weight.detach()
            rank = min(settings.retrieval_rank, *weight.shape)
            whole = decompose(weight)
            for metric in metrics_of[suffix][number]:
                space = "V" if metric.name == "identity" else metric.name
                accuracy = _in_metric(whole, rank, metric, known, noisy, sources)
                row = {"space": f"{space} {suffix}".rstrip(), "rank": rank, "accuracy": accuracy}
                rows[number].append({**row, **asked})
    return rows


def _in_metric(
    whole: Factors, rank: int, metric: Metric, stored: LayerPass, queries: LayerPass, sources: Tensor
) -> float | None:
    """Return the accuracy in a latent metric; None where the layer is constant and there is none."""
    if metric.latent is None:
        return None
    try:
        factors = cut(whole, rank, metric.latent)
    except graph.ConstantPointsError:
        return None
    return retrieval_accuracy(stored.inputs, queries.inputs, sources, factors.I_dist @ factors.Vh)


def semantics_rows(layer: LayerPass, whole: Factors, targets: Tensor, settings: LmdSettings) -> list[Row]:
    """Return how much of each latent axis the classes explain, beside shuffled labels.

    ``class_variance`` is the axis' share of all variance between classes in the layer's inputs, ``variance``
    its share of all variance there.

    Args:
        layer: the layer with the points that were passed through it.
        whole: all components of its weight.
        targets: the classes of the points.
        settings: number of shufflings.
    """
    centred = layer.inputs - layer.inputs.mean(dim=0)
    coordinates = centred @ whole.Vh.T
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
    """Return the sum of squares between classes on each axis."""
    return class_variance_share(coordinates, targets) * coordinates.square().sum(dim=0)
