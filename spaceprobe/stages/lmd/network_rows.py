"""What the tables say of every layer of one network."""

from collections.abc import Iterator, Sequence

from torch import nn

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.lmd.factors import decompose
from spaceprobe.networks.layers import LayerPass, linear_weights, pass_through
from spaceprobe.stages.lmd import layer_probes
from spaceprobe.stages.lmd.matrix_rows import Decomposed, Metric, Rows, decomposed, records
from spaceprobe.stages.lmd.settings import LmdSettings


class Probe:
    """Takes the networks of one run apart, at any epoch."""

    def __init__(
        self, initial: nn.Sequential, dataset: Dataset, settings: LmdSettings, *, has_random_labels: bool
    ) -> None:
        """Take the untrained network and the data, both of float64 where there are weights.

        Args:
            initial: the network before training.
            dataset: with the labels that were trained on.
            settings: what is measured.
            has_random_labels: whether these are random in part: then only training points tell what a
                layer is needed for.
        """
        self._initial = initial
        self._settings = settings
        self._sample = dataset.train.first(settings.sample).inputs.double()
        self._test = dataset.test
        self._scored = dataset.train.first(len(dataset.test.inputs)) if has_random_labels else dataset.test
        self._scored_on = "training" if has_random_labels else "test"
        self._probes = set(settings.probes)

    def layers(self, network: nn.Sequential) -> Iterator[tuple[Rows, Decomposed]]:
        """Yield the rows of each table and the factors, layer by layer.

        Args:
            network: in float64.

        Raises:
            ValueError: a number that is needed cannot be had; the message says why.
        """
        layers = pass_through(network, self._sample)
        metrics = [layer_probes.make_metrics(layer, self._settings) for layer in layers]
        scored = self._pass("functional-rank", network, self._scored)
        meant = self._pass("semantics", network, self._test.first(self._settings.sample))
        retrieved = self._retrieved(network, metrics) if "retrieval" in self._probes else []
        for number, (layer, before) in enumerate(zip(layers, linear_weights(self._initial), strict=True)):
            weight = layer.linear.weight.detach()
            whole = decompose(weight)
            rows: Rows = {}
            functional = None
            if scored:
                measured = layer_probes.functional_of(scored[number], whole, self._scored.targets)
                functional = measured.estimate
                rows["lmd_functional"] = [
                    {"rank": row["q"], "score": row["score"], "scored_on": self._scored_on}
                    for row in records(measured.scores)
                ]
            if "dimension" in self._probes:
                rows["lmd_dimension"] = layer_probes.dimension_rows(layer, self._settings)
            if meant:
                targets = self._test.targets[: self._settings.sample]
                rows["lmd_semantics"] = layer_probes.semantics_rows(
                    meant[number], whole, targets, self._settings
                )
            if retrieved:
                rows["lmd_retrieval"] = retrieved[number]
            known = layer_probes.known_of(layer, before, functional)
            decomposition = decomposed(weight, metrics[number], known)
            yield rows | decomposition.rows, decomposition

    def _pass(self, probe: str, network: nn.Sequential, split: Split) -> list[LayerPass]:
        """Return the points of a split on their way through the network; none for a probe not asked for."""
        return pass_through(network, split.inputs.double()) if probe in self._probes else []

    def _retrieved(
        self, network: nn.Sequential, metrics: Sequence[Sequence[Metric]]
    ) -> list[list[layer_probes.Row]]:
        untrained = pass_through(self._initial, self._sample)
        with_identity = [layer_probes.with_identity(some) for some in metrics]
        before = [layer_probes.with_identity(layer_probes.make_metrics(x, self._settings)) for x in untrained]
        return layer_probes.retrieval_rows(
            {"": network, layer_probes.INITIAL: self._initial},
            {"": with_identity, layer_probes.INITIAL: before},
            self._test.inputs[: self._settings.retrieval_images].double(),
            self._settings,
        )
