"""Trains a network: from data, network and training settings to checkpoints and a training curve."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.device import device_of
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import (
    FINAL,
    INITIAL,
    data_of,
    network_of,
    snapshot_name,
    training_of,
)
from spaceprobe.tables.states import GIVEN_EPOCH

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Dataset


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the finished training; the weights of the first, the last and the kept epochs are files.

    Given weights are measured as they are, in place of a training, and are one file.
    """
    from spaceprobe.machine.cuda_errors import told_plainly
    from spaceprobe.networks.checkpoints import to_bytes
    from spaceprobe.networks.mlp import count_parameters
    from spaceprobe.networks.training import DivergenceError, Epoch, Recipe, train
    from spaceprobe.stages.train import networks
    from spaceprobe.stages.train.convergence_log import ConvergenceLog

    settings = training_of(job.sections)
    device = device_of(job)
    dataset = networks.load_data(data_of(job.sections))
    network, batches = networks.build_network(job.sections, dataset)
    digests: dict[str, str] = {}
    curve: list[dict[str, Any]]
    if data_of(job.sections).random_labels:
        labels = networks.draw_labels(job.sections, dataset)
        digests[networks.RANDOM_LABELS] = write_file(networks.RANDOM_LABELS, labels)
        dataset = dataset.with_labels(networks.read_labels(labels))
    if network_of(job.sections).weights is not None:
        network = network_of(job.sections).load_weights(network)
        digests[FINAL] = write_file(FINAL, to_bytes(network))
        curve = [_metrics_of_given(network.float(), dataset)]
        advance(settings.epochs)
        record = {"num_parameters": count_parameters(network), "curve": curve, "convergence": []}
        yield job.parts[0], PartContent(record, files=digests)
        return
    digests[INITIAL] = write_file(INITIAL, to_bytes(network))
    curve = []
    with told_plainly(device):
        network.to(device)  # drawn on the CPU: the untrained network is the same on every device
    matrices = networks.followed_matrices(network)
    convergence = ConvergenceLog(
        lambda: [matrix.weight.cpu() for matrix in matrices], dataset.train.targets, settings.learning_rate
    )

    def on_epoch(epoch: Epoch) -> None:
        number = epoch.metrics.epoch
        curve.append(dataclasses.asdict(epoch.metrics))
        convergence.add(epoch)
        if number in settings.snapshot_epochs:
            digests[snapshot_name(number)] = write_file(snapshot_name(number), to_bytes(network))
        if number:
            advance(1)

    error = None
    try:
        recipe = Recipe(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(Recipe)})
        with network_of(job.sections).seeded(settings.seed_of_order), told_plainly(device):
            train(
                network,
                *(images.to(device) for images in (dataset.train.inputs, dataset.train.targets)),
                *(images.to(device) for images in (dataset.test.inputs, dataset.test.targets)),
                recipe=recipe,
                generator=batches,
                augment=networks.augmentation_of(job.sections, dataset),
                adapt=networks.rank_drop_of(job.sections, network),
                on_epoch=on_epoch,
            )
        digests[FINAL] = write_file(FINAL, to_bytes(network))
    except DivergenceError as diverged:
        error = f"training diverged: {diverged}"
    record = {
        "num_parameters": count_parameters(network),
        "curve": curve,
        "convergence": convergence.rows(),
    }
    yield job.parts[0], PartContent(record, files=digests, error=error)


def _metrics_of_given(network: "nn.Module", dataset: "Dataset") -> dict[str, Any]:
    """Return losses and accuracies of given weights, in float32 as those of trained ones are."""
    from spaceprobe.networks.objective import evaluate

    row: dict[str, Any] = {"epoch": GIVEN_EPOCH, "learning_rate": None}
    for name, points in (("train", dataset.train), ("test", dataset.test)):
        loss, accuracy = evaluate(network, points.inputs, points.targets)
        row |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
    return row
