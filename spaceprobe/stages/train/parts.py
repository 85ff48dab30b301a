"""What the train stage computes of a run: one part, the finished training."""

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.networks.walkable import BENT_AT_ZERO
from spaceprobe.stages.stage import GpuWish, Inputs, Part, Sections
from spaceprobe.stages.train.foreign_entry import FOREIGN_NETWORKS
from spaceprobe.stages.train.network_settings import DATA_RANKS
from spaceprobe.stages.train.settings import (
    data_key,
    data_layout,
    data_of,
    network_key,
    network_of,
    training_of,
)
from spaceprobe.user_code import check_trusted

PART = "train.json"


def label(sections: Sections) -> str:
    """Return the readable start of a run's name."""
    network = network_of(sections)
    given = "" if network.weights is None else "-given"
    return f"{network.entry.label(network)}{given}-s{training_of(sections).seed}"


def check(sections: Sections) -> None:
    """Check that network, data and augmentation go together, and that no batch is too small for a BatchNorm.

    Raises:
        SettingsError: one of them is not so.
    """
    network, data = network_of(sections), data_of(sections)
    try:
        network.entry.check(network, data_layout(sections).input_shape)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    _check_augmentation(sections)
    _check_reward(sections)
    _check_rank_drop(sections)
    num_points = DATASETS[data.dataset].num_training_points(data)
    batch_size = training_of(sections).batch_size
    if network.batch_norm and 1 in (num_points, batch_size, num_points % batch_size):
        raise SettingsError(
            f"network.batch_norm: a batch of {num_points} training points in batches of {batch_size} has one "
            "point, of which BatchNorm has no variance; change training.batch_size"
        )


def _check_augmentation(sections: Sections) -> None:
    """Raise SettingsError where points are to be turned or moved that are not images, or too small."""
    data, layout = data_of(sections), data_layout(sections)
    for name in ("augment_rotation", "augment_shift"):
        if getattr(data, name) and not layout.has_images:
            raise SettingsError(
                f"data.{name} is for images, and the data are rows of {layout.input_shape[0]} numbers; "
                "leave it out, or set data.augment_noise"
            )
    side = min(layout.input_shape[-2:])
    if layout.has_images and data.augment_shift >= side:
        raise SettingsError(
            f"data.augment_shift: {data.augment_shift} pixels may leave nothing of an image whose side has "
            f"{side}; set less than {side}"
        )


def _check_reward(sections: Sections) -> None:
    """Raise SettingsError where folding is to be rewarded in a network that has no soft folding."""
    network = network_of(sections)
    if not training_of(sections).fold_reward:
        return
    found = ""
    if network.model != "mlp":
        found = f"network.model: {network.model}"
    elif network.batch_norm:
        found = "network.batch_norm: true"
    elif network.activation not in BENT_AT_ZERO:
        found = f"network.activation: {network.activation}"
    elif network.weights is not None:
        found = "network.weights, which are not trained"
    if found:
        raise SettingsError(
            "training.fold_reward is for an mlp that is trained without BatchNorm, with one of the "
            f"activations {', '.join(BENT_AT_ZERO)}; got {found}; leave it out"
        )


def _check_rank_drop(sections: Sections) -> None:
    """Raise SettingsError where directions are to be dropped that there are not, or never."""
    network, training = network_of(sections), training_of(sections)
    if not training.rank_drop:
        return
    if network.model != "factored-mlp" or network.weights is not None:
        found = f"network.model: {network.model}"
        if network.weights is not None:
            found = "network.weights, which are not trained"
        raise SettingsError(
            f"training.rank_drop is for a factored-mlp that is trained here; got {found}; leave it out"
        )
    late = [epoch for epoch in training.rank_drop_epochs if epoch > training.epochs]
    if late:
        raise SettingsError(
            f"training.rank_drop_epochs: there is no epoch {late[0]} in a training of {training.epochs} "
            "epochs; name earlier ones"
        )


def asks_gpu(sections: Sections) -> GpuWish:
    """Return which device the settings ask for."""
    return training_of(sections).device


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return the one part of a run."""
    del inputs
    training = training_of(sections)
    key = {
        **data_key(sections),
        "network": network_of(sections).measurement(),
        "training": training.key(),
        # Not in the run's name, since they change no number; in the key, since their files must be there.
        "snapshots": training.snapshot_epochs,
        **network_key(sections),
    }
    return [Part(PART, key, amount=training.epochs)]


def sources(sections: Sections) -> tuple[str, ...]:
    """Return the modules of the chosen dataset and kind of network: their code counts as well."""
    network = network_of(sections)
    loading = [] if network.weights is None else [FOREIGN_NETWORKS]
    fitting = [DATA_RANKS] if network.has_data_ranks else []
    return DATASETS[data_of(sections).dataset].module, network.entry.module, *loading, *fitting


def check_trust(sections: Sections) -> None:
    """Check that the network's code may run, where it is the user's.

    Raises:
        UserCodeError: it may not, or it is missing.
    """
    source = network_of(sections).source
    if source is not None and source.kind == "function":
        check_trusted(source.function, f"network.model {source}")
