"""Decompose every layer of one network: its rows of the tables and its factors."""

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module

import numpy as np
from torch import Tensor, nn

from spaceprobe.data.dataset import Dataset
from spaceprobe.lmd.factors import decompose
from spaceprobe.lmd.rank_rules import RankEstimate
from spaceprobe.lmd.spectrum import output_variances, singular_values
from spaceprobe.networks.entry import NetworkOptions
from spaceprobe.networks.initialization import entry_variance
from spaceprobe.networks.layers import LayerPass, is_sequence, pass_through
from spaceprobe.networks.matrices import WeightMatrix, weight_matrices
from spaceprobe.stages.lmd import probes
from spaceprobe.stages.lmd.cost import cost_rows
from spaceprobe.stages.lmd.hopfield import HopfieldProbe
from spaceprobe.stages.lmd.latent_metrics import IDENTITY, layer_metrics
from spaceprobe.stages.lmd.matrix import Background, Decomposition, Row, Rows, decompose_matrix
from spaceprobe.stages.lmd.retrieval import RetrievalProbe
from spaceprobe.stages.lmd.settings import CONTINUITY_CODE, LmdSettings
from spaceprobe.stages.lmd.tables import CONTINUITY, MATRICES
from spaceprobe.tables.states import UNTRAINED

UNTRAINED_SUFFIX = f" {UNTRAINED}"
"""Stands behind the names of the untrained network's spaces in lmd_retrieval."""


def _matrix_row(layer: LayerPass, prefix: str) -> Row:
    """Return the row of lmd_matrices of a weight matrix, under its name without a prefix."""
    matrix: WeightMatrix = layer.matrix
    name = matrix.name.removeprefix(prefix)
    return {"name": name, "kind": matrix.kind, "head": matrix.head, "num_rows": len(layer.inputs)}


class SampledNetwork:
    """A network with the sample passing through it; each matrix is decomposed once.

    Attributes:
        network: in float64.
        layers: each weight matrix with the sample.
        factors: all components of each matrix.
        metrics: the latent metrics of each matrix.
    """

    def __init__(self, network: nn.Module, sample: Tensor, settings: LmdSettings) -> None:
        self.network = network
        self.layers = pass_through(network, sample, num_positions=settings.positions)
        self.metrics = [layer_metrics(layer, settings) for layer in self.layers]
        self.factors = [decompose(layer.matrix.weight) for layer in self.layers]


class NetworkDecomposer:
    """Decomposes the networks of one run, at any epoch; the untrained one is decomposed once."""

    def __init__(
        self,
        untrained: nn.Module | None,
        options: NetworkOptions,
        dataset: Dataset,
        settings: LmdSettings,
        *,
        has_random_labels: bool,
    ) -> None:
        """Take the untrained network and the data.

        Args:
            untrained: the network before training, in float64; None for given weights.
            options: the section ``network``, which tells how its weights were drawn.
            dataset: with the labels that were trained on.
            settings: what is measured.
            has_random_labels: whether these are random in part: then only training points tell what a
                layer is needed for.
        """
        self._untrained_network = untrained
        self._options = options
        self._settings = settings
        self._train = dataset.train
        self._sample = dataset.train.first(settings.sample).inputs.double()
        self._meant = dataset.test.first(settings.sample)
        self._scored = dataset.train.first(len(dataset.test.inputs)) if has_random_labels else dataset.test
        self._scored_on = "training" if has_random_labels else "test"
        self._stored = dataset.test.inputs[: settings.retrieval_images]

    def layers(self, network: nn.Module) -> Iterator[tuple[Rows, Decomposition]]:
        """Yield the rows of each table and the factors, layer by layer.

        Args:
            network: in float64.

        Raises:
            ValueError: a number that is needed cannot be computed; the message says why.
        """
        known = self._untrained if network is self._untrained_network else None
        sampled = known or self._sampled(network)
        wanted = self._settings.probes
        scored_on = self._scored
        if not is_sequence(network):  # each score is then a pass through the whole network
            scored_on = scored_on.first(self._settings.sample)
        scored = self._pass("functional-rank", sampled, scored_on.inputs)
        meant = self._pass("semantics", sampled, self._meant.inputs)
        retrieved = self._retrieved(sampled) if "retrieval" in wanted else []
        recalled = self._recalled(sampled) if "hopfield" in wanted else []
        for number, layer in enumerate(sampled.layers):
            whole = sampled.factors[number]
            prefix = getattr(network, "own_prefix", "")  # of a network that only reshapes its inputs
            rows: Rows = {MATRICES.name: [_matrix_row(layer, prefix)]}
            functional = None
            if scored:
                measured = probes.functional_rank_of(scored[number], whole, scored_on.targets)
                functional = measured.estimate
                rows["lmd_functional"] = [
                    {"rank": rank, "score": score, "scored_on": self._scored_on}
                    for rank, score in measured.scores.items()
                ]
            if "dimension" in wanted:
                rows["lmd_dimension"] = probes.dimension_rows(layer, self._settings)
            if "span" in wanted:
                rows["lmd_span"] = probes.span_rows(layer)
            if meant:
                rows["lmd_semantics"] = probes.semantics_rows(
                    meant[number], whole, self._meant.targets, self._settings
                )
            if retrieved:
                untrained_rows = self._untrained_rows[number] if self._untrained else []
                rows["lmd_retrieval"] = [self._pixel_row, *retrieved[number], *untrained_rows]
            if recalled:
                rows["lmd_hopfield"] = recalled[number]
            if "cost" in wanted:
                rows |= cost_rows(number, layer, self._settings)
            decomposition = decompose_matrix(
                layer.matrix.weight,
                sampled.metrics[number],
                self._background(number, layer, functional),
                whole,
            )
            yield rows | decomposition.rows, decomposition

    def whole_network(self, network: nn.Module) -> Rows:
        """Return the rows of each table that are of no single layer.

        Args:
            network: in float64.

        Raises:
            ValueError: a number that is needed cannot be computed; the message says why.
        """
        if "continuity" not in self._settings.probes:
            return {}
        probe = import_module(
            CONTINUITY_CODE
        )  # by name: only what asks for it depends on the code of folding
        return {CONTINUITY.name: [probe.continuity_row(network, self._train, self._settings)]}

    def _background(self, number: int, layer: LayerPass, functional: RankEstimate | None) -> Background:
        """Return what a layer's data and its initial weight tell of it."""
        matrix = layer.matrix
        return Background(
            untrained_values=self._untrained_values[number] if self._untrained else None,
            init_variance=self._init_variance(matrix),
            output_variances=output_variances(matrix.weight, layer.inputs),
            functional=functional,
            num_dead_inputs=int((layer.inputs == layer.inputs[:1]).all(dim=0).sum()),
        )

    def _init_variance(self, matrix: WeightMatrix) -> float | None:
        """Return the variance of the initial entries of a matrix; None where it is not known."""
        if self._untrained_network is None or self._options.is_foreign:
            return None
        return entry_variance(matrix.layer, self._options.initialization, self._options.initialization_scale)

    def _sampled(self, network: nn.Module) -> SampledNetwork:
        return SampledNetwork(network, self._sample, self._settings)

    @cached_property
    def _untrained(self) -> SampledNetwork | None:
        return None if self._untrained_network is None else self._sampled(self._untrained_network)

    @cached_property
    def _untrained_values(self) -> list[np.ndarray]:
        # Not those of `_untrained`: without vectors LAPACK gives other last bits.
        matrices = [] if self._untrained_network is None else weight_matrices(self._untrained_network)
        return [singular_values(matrix.weight) for matrix in matrices]

    def _pass(self, probe: str, sampled: SampledNetwork, inputs: Tensor) -> list[LayerPass]:
        """Return points on their way through the network; none for a probe that is not asked for."""
        if probe not in self._settings.probes:
            return []
        return pass_through(sampled.network, inputs.double(), num_positions=self._settings.positions)

    @cached_property
    def _retrieval(self) -> RetrievalProbe:
        return RetrievalProbe(self._stored.double(), self._settings)

    @cached_property
    def _pixel_row(self) -> Row:
        return self._retrieval.pixel_row()

    @cached_property
    def _untrained_rows(self) -> list[list[Row]]:
        return [] if self._untrained is None else self._retrieved(self._untrained, UNTRAINED_SUFFIX)

    @cached_property
    def _hopfield(self) -> HopfieldProbe:
        return HopfieldProbe(self._stored.double(), self._sample, self._settings)

    def _recalled(self, sampled: SampledNetwork) -> list[list[Row]]:
        """Return the rows of lmd_hopfield of each layer."""
        return self._hopfield.rows(sampled.network, sampled.layers, sampled.factors, sampled.metrics)

    def _retrieved(self, sampled: SampledNetwork, suffix: str = "") -> list[list[Row]]:
        """Return the rows of lmd_retrieval of each layer, for the spaces of a network."""
        probe = self._retrieval
        stored = pass_through(sampled.network, probe.stored)
        queries = pass_through(sampled.network, probe.queries, images=probe.sources)
        with_identity = [
            [IDENTITY, *(metric for metric in metrics if metric.name != IDENTITY.name)]
            for metrics in sampled.metrics
        ]
        layers = zip(stored, queries, sampled.factors, with_identity, strict=True)
        return [probe.rows(*layer, suffix) for layer in layers]
