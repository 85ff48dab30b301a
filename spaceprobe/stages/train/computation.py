"""Trains a network: from data, network and training settings to checkpoints and a training curve."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from spaceprobe.stages.device import device_of
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import FINAL, INITIAL, data_of, snapshot_name, training_of


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the finished training; the weights of the first, the last and the kept epochs are files."""
    from spaceprobe.networks.checkpoints import to_bytes
    from spaceprobe.networks.matrices import weight_matrices
    from spaceprobe.networks.mlp import count_parameters
    from spaceprobe.networks.training import DivergenceError, Epoch, Recipe, train
    from spaceprobe.stages.train import networks
    from spaceprobe.stages.train.convergence_log import ConvergenceLog

    settings = training_of(job.sections)
    device = device_of(job)
    dataset = networks.load_data(data_of(job.sections))
    network, batches = networks.build_network(job.sections, dataset)
    digests = {INITIAL: write_file(INITIAL, to_bytes(network))}
    if data_of(job.sections).random_labels:
        labels = networks.draw_labels(job.sections, dataset)
        digests[networks.RANDOM_LABELS] = write_file(networks.RANDOM_LABELS, labels)
        dataset = dataset.with_labels(networks.read_labels(labels))
    curve: list[dict[str, Any]] = []
    network.to(device)  # drawn on the CPU: the untrained network is the same on every device
    matrices = weight_matrices(network)
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
        train(
            network,
            *(images.to(device) for images in (dataset.train.inputs, dataset.train.targets)),
            *(images.to(device) for images in (dataset.test.inputs, dataset.test.targets)),
            recipe=recipe,
            generator=batches,
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
