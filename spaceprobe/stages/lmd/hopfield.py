"""Hopfield: how well the memories that weight matrices make recall images from noisy ones, by β and rank."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from torch import Tensor, nn

from spaceprobe.lmd.factors import Factors, cut, decompose
from spaceprobe.lmd.graph import ConstantPointsError
from spaceprobe.lmd.memory import Memory, Recall, attention_memory, latent_memory, plain_memory, recall
from spaceprobe.lmd.retrieval import noisy_queries
from spaceprobe.networks.layers import LayerPass, pass_through
from spaceprobe.networks.matrices import AttentionHead, attention_heads
from spaceprobe.stages.lmd.latent_metrics import IDENTITY, Metric, layer_metrics
from spaceprobe.stages.lmd.matrix import Row
from spaceprobe.stages.lmd.probes import SEED
from spaceprobe.stages.lmd.settings import LmdSettings

NUM_REPEATS = 5
"""Chosen: noisy copies of each stored image, an odd number, so that more than half are settled."""

BETAS = (1.0, 4.0, 16.0, 64.0)
"""Chosen: from where states rest at the mean of all patterns to where one pattern has nearly all weight."""

LIMIT, OWN = "limit", "own"
"""Separations that are not one of `BETAS`, as the table names them: β → ∞, and that of a head, 1/√size."""

NUMBERS_STORED = (10, 20, 50, 100, 200, 500)
"""Chosen: how many of the images are stored, beside all of them."""

MAX_LADDER = 64
"""Chosen: the largest rank that is measured beside all components."""


@dataclass(frozen=True)
class Images:
    """Images that are stored, the noisy copies, and for each copy the number of its image."""

    stored: Tensor
    queries: Tensor
    sources: Tensor


class Patterns(NamedTuple):
    """What stored images and their noisy copies are at some place of a network."""

    stored: Tensor
    queries: Tensor


class Both(NamedTuple):
    """The patterns of test images, which are reported, and those of training images, which choose β."""

    test: Patterns
    training: Patterns


class HopfieldProbe:
    """Asks the memories of networks for stored images: the same images and noise for all networks.

    Noise is added to the images. A pattern of a layer is what the image is where it enters the layer; where a
    layer works token by token, one token of the image, the same for both.
    """

    def __init__(self, test: Tensor, training: Tensor, settings: LmdSettings) -> None:
        """Take test and training images in float64, one a row, and the settings of retrieval.

        Principal axes of pixels are those of all these training images.
        """
        self._settings = settings
        self._sample = training
        self._test, self._training = (self._images(images) for images in (test, training))

    def rows(
        self,
        network: nn.Module,
        layers: Sequence[LayerPass],
        factors: Sequence[Factors],
        metrics: Sequence[Sequence[Metric]],
    ) -> list[list[Row]]:
        """Return the rows of lmd_hopfield of each weight matrix of a network.

        What belongs to a head stands at its W_Q, and what belongs to W_O W_V at its W_O. Pixels stand at
        the first matrix.

        Args:
            network: in float64.
            layers: each matrix with the sample that its metrics are made from.
            factors: all components of each matrix.
            metrics: the latent metrics of each matrix.
        """
        patterns = self._patterns(network)
        rows: list[list[Row]] = [[] for _ in layers]
        rows[0] += self._pixel_rows
        for number, layer in enumerate(layers):
            if layer.matrix.head is None:
                rows[number] += self._plain_rows("input", patterns[number])
                rows[number] += self._latent_rows(
                    "weight", patterns[number], factors[number], metrics[number]
                )
        for head in attention_heads(network):
            rows[head.query] += self._head_rows(head, layers, patterns[head.query])
            rows[head.output] += self._product_rows(head, layers, patterns[head.value])
        return rows

    def _images(self, images: Tensor) -> Images:
        stored = images[: self._settings.retrieval_images]
        return Images(stored, *noisy_queries(stored, self._settings.retrieval_noise, SEED, NUM_REPEATS))

    def _patterns(self, network: nn.Module) -> list[Both]:
        """Return the patterns of each weight matrix."""
        passes = [
            (pass_through(network, some.stored), pass_through(network, some.queries, images=some.sources))
            for some in (self._test, self._training)
        ]
        by_matrix = [
            [Patterns(stored.inputs, queries.inputs) for stored, queries in zip(*both, strict=True)]
            for both in passes
        ]
        return [Both(*both) for both in zip(*by_matrix, strict=True)]

    @cached_property
    def _pixel_rows(self) -> list[Row]:
        patterns = Both(*(Patterns(some.stored, some.queries) for some in (self._test, self._training)))
        axes = decompose(self._sample - self._sample.mean(dim=0)).Vh
        rows = [*self._plain_rows("pixels", patterns)]
        for rank in _ranks(patterns.test.stored.shape[1])[:-1]:
            if rank <= len(axes):
                build = _plain(axes[:rank])
                rows += self._measured({"matrix": "none", "space": "pixels", "rank": rank}, build, patterns)
        return rows

    def _plain_rows(self, space: str, patterns: Both) -> Iterator[Row]:
        about: Row = {"matrix": "none", "space": space, "rank": patterns.test.stored.shape[1]}
        return self._measured(about, plain_memory, patterns, is_full=True)

    def _latent_rows(
        self,
        matrix: str,
        patterns: Both,
        whole: Factors,
        metrics: Sequence[Metric],
        max_rank: int | None = None,
    ) -> list[Row]:
        """Return the rows of the latent spaces of a matrix: that of V, then those of the other metrics."""
        rows: list[Row] = []
        ranks = _ranks(max_rank or whole.rank)
        for metric in [IDENTITY, *(metric for metric in metrics if metric.name != IDENTITY.name)]:
            for rank in ranks:
                if metric.latent is None:
                    continue
                try:
                    factors = cut(whole, rank, metric.latent)
                except ConstantPointsError:  # lmd_layers says so
                    continue
                space = "V" if metric.name == IDENTITY.name else metric.name
                about: Row = {"matrix": matrix, "space": space, "rank": rank}
                rows += self._measured(about, _latent(factors), patterns, is_full=rank == ranks[-1])
        return rows

    def _head_rows(self, head: AttentionHead, layers: Sequence[LayerPass], patterns: Both) -> list[Row]:
        """Return the rows of a head's attention and of the latent spaces of its W_QᵀW_K."""
        query_key, output_value = head.products([layer.matrix for layer in layers])
        whole, size = decompose(query_key), len(layers[head.query].matrix.weight)
        rows: list[Row] = []
        ranks = _ranks(size)
        for rank in ranks:
            about: Row = {"matrix": "both", "space": "attention", "rank": rank}
            build = _attention(cut(whole, rank).product(), output_value)
            own = 1 / math.sqrt(size)
            rows += self._measured(about, build, patterns, own=own, is_full=rank == ranks[-1])
        metrics = self._metrics(layers[head.query], query_key)
        return rows + self._latent_rows("query-key", patterns, whole, metrics, size)

    def _product_rows(self, head: AttentionHead, layers: Sequence[LayerPass], patterns: Both) -> list[Row]:
        """Return the rows of the latent spaces of a head's W_O W_V."""
        _, output_value = head.products([layer.matrix for layer in layers])
        metrics = self._metrics(layers[head.value], output_value)
        size = len(layers[head.value].matrix.weight)
        return self._latent_rows("output-value", patterns, decompose(output_value), metrics, size)

    def _metrics(self, layer: LayerPass, product: Tensor) -> list[Metric]:
        return layer_metrics(replace(layer, outputs=layer.inputs @ product.T), self._settings)

    def _measured(
        self,
        about: Row,
        build: Callable[[Tensor], Memory],
        patterns: Both,
        *,
        own: float | None = None,
        is_full: bool = False,
    ) -> Iterator[Row]:
        """Yield a row for each separation, with all images stored; for all components also with fewer."""
        test, training = build(patterns.test.stored), build(patterns.training.stored)
        numbers = [number for number in NUMBERS_STORED if number < test.num_stored] if is_full else []
        chosen = _best_beta(training, patterns.training.queries, self._training.sources)
        for number in [*numbers, test.num_stored]:
            memory, asked = test.first(number), self._of_first(patterns.test, self._test, number)
            separations = [(_name(beta), beta) for beta in (*BETAS, math.inf)]
            if own is not None:
                separations.append((OWN, own * memory.spread()))
            for name, beta in separations:
                yield {
                    **about,
                    "num_stored": number,
                    "separation": name,
                    "beta": None if math.isinf(beta) else beta,
                    "best": name == _name(chosen),
                    "noise": self._settings.retrieval_noise,
                    "num_queries": len(asked[1]),
                    **_row(recall(memory, *asked, beta)),
                }

    @staticmethod
    def _of_first(patterns: Patterns, images: Images, number: int) -> tuple[Tensor, Tensor]:
        """Return the noisy copies of the first stored images, and their sources."""
        is_of = images.sources < number
        return patterns.queries[is_of], images.sources[is_of]


def _best_beta(memory: Memory, queries: Tensor, sources: Tensor) -> float:
    """Return the β, of `BETAS` and the limit, that is right most often; the smallest of equal ones."""
    accuracies = {beta: recall(memory, queries, sources, beta).accuracy for beta in (*BETAS, math.inf)}
    return max(accuracies, key=lambda beta: accuracies[beta])


def _ranks(largest: int) -> list[int]:
    """Return the ranks that are measured: powers of two, then the largest.

    >>> _ranks(10), _ranks(784)
    ([1, 2, 4, 8, 10], [1, 2, 4, 8, 16, 32, 64, 784])
    """
    powers = [2**power for power in range(MAX_LADDER.bit_length())]
    return [*(rank for rank in powers if rank < largest), largest]


def _name(beta: float) -> str:
    """Return what the table calls a separation.

    >>> _name(8.0), _name(math.inf)
    ('softmax 8', 'limit')
    """
    return LIMIT if math.isinf(beta) else f"softmax {beta:g}"


def _row(found: Recall) -> Row:
    return {**vars(found), "error": None if math.isnan(found.error) else found.error}


def _latent(factors: Factors) -> Callable[[Tensor], Memory]:
    return lambda stored: latent_memory(stored, factors)


def _plain(axes: Tensor) -> Callable[[Tensor], Memory]:
    return lambda stored: plain_memory(stored, axes)


def _attention(query_key: Tensor, output_value: Tensor) -> Callable[[Tensor], Memory]:
    return lambda stored: attention_memory(stored, query_key, output_value)
