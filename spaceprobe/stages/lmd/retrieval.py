"""Retrieval: how often a noisy image leads back to the stored one, in several spaces."""

from torch import Tensor

from spaceprobe.lmd.factors import Factors, cut
from spaceprobe.lmd.graph import ConstantPointsError
from spaceprobe.lmd.retrieval import noisy_queries, retrieval_accuracy
from spaceprobe.networks.layers import LayerPass
from spaceprobe.stages.lmd.latent_metrics import Metric
from spaceprobe.stages.lmd.matrix import Row
from spaceprobe.stages.lmd.probes import SEED
from spaceprobe.stages.lmd.settings import LmdSettings

NUM_REPEATS = 10
"""Chosen: noisy queries of each stored pattern; their share is known to 0.01 or so."""


class RetrievalProbe:
    """Asks the layers of networks for stored images, given noisy ones: the same for all networks.

    Noise is added to the image. Its nearest neighbour is searched for among the pixels, and in the spaces of
    each layer, which is given the activations of both images: at the same patch or token of an image, where
    it works on these.
    """

    def __init__(self, stored: Tensor, settings: LmdSettings) -> None:
        """Take the images, one a row, and the settings: kept components and noise."""
        self.stored = stored
        self.queries, self.sources = noisy_queries(stored, settings.retrieval_noise, SEED, NUM_REPEATS)
        self._rank = settings.retrieval_rank
        self._asked = {
            "num_stored": len(stored),
            "noise": settings.retrieval_noise,
            "num_queries": len(self.queries),
        }

    def pixel_row(self) -> Row:
        """Return the row of the images themselves."""
        accuracy = retrieval_accuracy(self.stored, self.queries, self.sources)
        return {"space": "pixels", "rank": self.stored.shape[1], "accuracy": accuracy, **self._asked}

    def rows(
        self, stored: LayerPass, queries: LayerPass, whole: Factors, metrics: list[Metric], suffix: str = ""
    ) -> list[Row]:
        """Return a row for each space of a layer.

        Args:
            stored: the layer with the images that pass through it.
            queries: the same with the noisy ones.
            whole: all components of its weight.
            metrics: the latent metrics, of which the identity's space is named V.
            suffix: stands behind the names of the spaces.
        """
        rank = min(self._rank, *stored.matrix.weight.shape)
        return [
            {
                "space": ("V" if metric.name == "identity" else metric.name) + suffix,
                "rank": rank,
                "accuracy": self._accuracy(stored, queries, whole, rank, metric),
                **self._asked,
            }
            for metric in metrics
        ]

    def _accuracy(
        self, stored: LayerPass, queries: LayerPass, whole: Factors, rank: int, metric: Metric
    ) -> float | None:
        """Return the accuracy in a latent metric; None where the layer is constant and there is none."""
        if metric.latent is None:
            return None
        try:
            factors = cut(whole, rank, metric.latent)
        except ConstantPointsError:
            return None
        projection = factors.I_dist @ factors.Vh
        return retrieval_accuracy(stored.inputs, queries.inputs, self.sources, projection)
