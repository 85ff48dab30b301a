"""The data and the networks that a run's settings describe. It imports torch, so stages import it late."""

import io
import json
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spaceprobe.data.augmentation import Augmentation
from spaceprobe.data.dataset import Dataset
from spaceprobe.data.random_labels import randomize_labels
from spaceprobe.data.sets import DATASETS
from spaceprobe.data.target_frequency import with_target_frequency
from spaceprobe.data.value_range import value_range
from spaceprobe.networks.checkpoints import load_into, read_verified
from spaceprobe.networks.matrices import WeightMatrix, weight_matrices
from spaceprobe.networks.product_layers import FactoredLinear
from spaceprobe.stages.stage import FinishedPart, Sections
from spaceprobe.stages.train.settings import (
    AUGMENTATION,
    DataSettings,
    data_layout,
    data_of,
    network_of,
    training_of,
)

logger = logging.getLogger(__name__)

RANDOM_LABELS = "random_labels.npy"
"""The training labels of a run in part drawn at random, as they were drawn."""


def load_data(settings: DataSettings) -> Dataset:
    """Return the dataset of a run, its training points cut to those asked for, with the true labels.

    With ``data.target_frequency`` the targets of a regression are the sines that it asks for.

    Raises:
        DataError: a file is missing or unreadable, or cannot be downloaded.
    """
    digest = DATASETS[settings.dataset].digest(settings)
    return _load_data(settings, json.dumps(digest), Path.cwd())


@lru_cache(maxsize=2)  # the runs of a study share their data
def _load_data(settings: DataSettings, digest: str, folder: Path) -> Dataset:
    del digest, folder  # they tell one state of the files, and one place that paths begin at, from another
    dataset = DATASETS[settings.dataset].load(settings)
    if settings.target_frequency:
        return with_target_frequency(dataset, settings.target_frequency)
    return dataset


def draw_labels(sections: Sections, dataset: Dataset) -> bytes:
    """Return the file of a run's training labels, of which a share is drawn at random, once per seed."""
    share = data_of(sections).random_labels
    labels = randomize_labels(dataset.train.targets, share, dataset.num_outputs, training_of(sections).seed)
    file = io.BytesIO()
    # One byte a label where that is enough, as always of ten classes.
    np.save(file, labels.numpy().astype(np.uint8 if dataset.num_outputs <= 256 else np.int64))
    return file.getvalue()


def read_labels(data: bytes) -> torch.Tensor:
    """Return the labels of such a file; shape ``(points,)``."""
    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False)).long()


def load_training_data(sections: Sections, folder: Path, trained: FinishedPart) -> Dataset:
    """Return the dataset as a finished run was trained on it, random labels included.

    Raises:
        CheckpointError: the labels that were drawn are missing or damaged.
    """
    dataset = load_data(data_of(sections))
    if RANDOM_LABELS not in trained.files:
        return dataset
    limit = 8 * len(dataset.train.targets) + 1_000
    return dataset.with_labels(
        read_labels(read_verified(folder / RANDOM_LABELS, trained.files[RANDOM_LABELS], limit))
    )


def augmentation_of(sections: Sections, dataset: Dataset) -> Augmentation | None:
    """Return how a run's training points are changed in each epoch; None where they are not."""
    data = data_of(sections)
    if not data.augment_share or not any(getattr(data, name) for name in AUGMENTATION):
        return None
    return Augmentation(
        rotation=data.augment_rotation,
        shift=data.augment_shift,
        noise=data.augment_noise,
        share=data.augment_share,
        seed=training_of(sections).seed,
        input_shape=data_layout(sections).input_shape,
        values=value_range(dataset),
    )


def build_network(sections: Sections, dataset: Dataset) -> tuple[nn.Module, torch.Generator]:
    """Return the untrained network of a run in evaluation mode, and the generator of its batches' order.

    Weights and batches draw from two streams, so that a wider network sees the same batches.
    """
    network = network_of(sections)
    training = training_of(sections)
    weights = torch.Generator().manual_seed(2 * training.seed_of_weights)
    batches = torch.Generator().manual_seed(2 * training.seed_of_order + 1)
    built = network.entry.build(network, data_layout(sections).input_shape, dataset.num_outputs, weights)
    return network.fit_ranks(built.eval(), dataset.train.inputs), batches


def rank_drop_of(sections: Sections, network: nn.Module) -> Callable[[int], bool] | None:
    """Return what drops directions of a run's network behind some epochs; None where nothing is to be."""
    training = training_of(sections)
    if not training.rank_drop:
        return None
    layers = [module for module in network.modules() if isinstance(module, FactoredLinear)]

    def drop(epoch: int) -> bool:
        if epoch not in training.rank_drop_epochs:
            return False
        has_dropped = [layer.keep_largest(training.rank_drop) for layer in layers]
        return any(has_dropped)

    return drop


def followed_matrices(network: nn.Module) -> list[WeightMatrix]:
    """Return the weight matrices whose convergence is followed; none where one cannot be decomposed."""
    try:
        return weight_matrices(network)
    except ValueError as error:  # of a network that is not one of our kinds
        logger.warning("convergence is not followed: %s", error)
        return []


def load_network(sections: Sections, folder: Path, trained: FinishedPart, name: str) -> nn.Module:
    """Return the network of a checkpoint that the train stage vouches for.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    network, _ = build_network(sections, load_data(data_of(sections)))
    if network_of(sections).weights is not None:
        network = network.double()  # as given weights are stored
    load_into(network, folder / name, trained.files[name])
    return network
