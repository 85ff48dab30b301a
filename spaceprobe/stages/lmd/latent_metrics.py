"""The latent metrics of one layer, made from its inputs and pre-activations."""

from dataclasses import dataclass

from spaceprobe.lmd import graph, metrics
from spaceprobe.networks.layers import LayerPass
from spaceprobe.stages.lmd.settings import LmdSettings


@dataclass(frozen=True)
class Metric:
    """A latent metric to decompose a matrix with.

    Attributes:
        name: of the metric, as in the tables.
        latent: the metric; None where there is none.
        num_components: connected components of the neighbour graphs of inputs and outputs; None without one.
        reason: why there is no metric; empty otherwise.
    """

    name: str
    latent: metrics.LatentMetric | None
    num_components: tuple[int | None, int | None] = (None, None)
    reason: str = ""


IDENTITY = Metric("identity", metrics.identity)
"""The metric that needs no data: its latent space is that of the right singular vectors V."""


def layer_metrics(layer: LayerPass, settings: LmdSettings) -> list[Metric]:
    """Return the latent metrics that the settings name."""
    made = {
        "identity": lambda: IDENTITY,
        "data": lambda: Metric("data", metrics.data_metric(layer.inputs, settings.data_ridge)),
        "laplacian": lambda: _laplacian(layer, settings),
    }
    return [made[name]() for name in settings.metrics]


def _laplacian(layer: LayerPass, settings: LmdSettings) -> Metric:
    try:
        graph_in, graph_out = (
            graph.neighbour_graph(points, settings.neighbours) for points in (layer.inputs, layer.outputs)
        )
    except graph.ConstantPointsError as error:
        return Metric("laplacian", None, reason=str(error))
    latent = metrics.laplacian_metric(
        layer.inputs, layer.outputs, graph_in, graph_out, settings.laplacian_ridge
    )
    return Metric("laplacian", latent, (graph_in.num_components, graph_out.num_components))
