"""The settings that identify a run: its data, its network and its training."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spaceprobe.data.entry import ALL_TRAINING_POINTS, DataLayout
from spaceprobe.data.sets import DATASETS
from spaceprobe.model_sources import ModelSource
from spaceprobe.stages.stage import NOT_IN_KEY, AlsoCalled, ChoosesCode, Flag, Sections, Settings
from spaceprobe.stages.train.network_settings import NetworkSettings, as_text
from spaceprobe.tables.states import GIVEN_EPOCH
from spaceprobe.user_sources import parse_function

MAX_EPOCHS = 100_000

INITIAL = "model-epoch0.safetensors"
FINAL = "model.safetensors"


if TYPE_CHECKING:
    DatasetName = str
else:  # of a registry, so that a new entry is a choice without a word here
    DatasetName = Literal[tuple(DATASETS)]

_SOME_DATASETS = {name for entry in DATASETS.values() for name in entry.settings}
"""Settings that concern some datasets only."""


OWN = ("file", "folder", "function")
"""The settings that name data of a user's, each also the name of the dataset that it makes."""


def _check_function(text: str) -> str:
    parse_function(text)
    return text


class DataSettings(Settings):
    """What networks are trained on and probed with."""

    dataset: Annotated[DatasetName, ChoosesCode()] = Field(
        "mnist",
        description="mnist is in the package, digits and patches in scikit-learn; points are drawn",
    )
    file: Path | None = Field(
        None, strict=False, description="your own .npz file: x_train, y_train, x_test, y_test, class_names"
    )
    folder: Path | None = Field(
        None, strict=False, description="your own images: train/CLASS/*.png and test/CLASS/*.png below it"
    )
    function: Annotated[str, AfterValidator(_check_function)] | None = Field(
        None, description="your own code that returns such arrays, package.module:function; needs --trust"
    )
    root: Path | None = Field(
        None, strict=False, description="a folder in torchvision's layout to read instead"
    )
    download: Annotated[bool, NOT_IN_KEY] = Field(
        False, description="fetch missing files from the addresses that torchvision knows"
    )
    train_images: Annotated[int, AlsoCalled(("num_train", "n_train", "train_size", "num_images"))] = Field(
        ALL_TRAINING_POINTS,
        ge=1,
        le=1_000_000,
        description="the first N training images; the default takes all where there are not more",
    )
    random_labels: float = Field(
        0.0, ge=0, le=1, description="share of training labels that are drawn at random"
    )
    task: Literal["classification", "regression"] = Field(
        "classification", description="classes, or (drawn points) where they lie on the surface"
    )
    points: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="training points that are drawn: swiss-roll, sphere, torus, noise, cube",
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="of drawn points: standard deviation off the surface",
    )
    cube_dimension: int = Field(2, ge=1, le=16, description="of cube: the dimension of its points")
    points_seed: int = Field(0, ge=0, le=2**31 - 1, description="of the points that are drawn")
    target_frequency: float = Field(
        0.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="of a regression: above 0 its targets y become sin(k y), standardised, with this k",
    )
    augment_rotation: float = Field(
        0.0, ge=0, le=180, description="degrees: in each epoch a training image is turned by up to so many"
    )
    augment_shift: int = Field(
        0, ge=0, le=1_000, description="pixels: and moved by up to so many along each side"
    )
    augment_noise: float = Field(
        0.0, ge=0, le=1e6, allow_inf_nan=False, description="and each value gets noise of this deviation"
    )
    augment_share: float = Field(
        1.0, ge=0, le=1, description="the chance with which an image is so changed in an epoch"
    )

    @model_validator(mode="before")
    @classmethod
    def _name_own(cls, values: Any) -> Any:
        """Let ``file: my.npz`` alone choose the dataset that it is."""
        own = [name for name in OWN if isinstance(values, dict) and values.get(name) is not None]
        return {"dataset": own[0], **values} if own and isinstance(values, dict) else values

    @model_validator(mode="after")
    def _check_together(self) -> "DataSettings":
        entry = DATASETS[self.dataset]
        own = [name for name in OWN if getattr(self, name) is not None]
        if len(own) > 1:
            raise ValueError(
                f"{' and '.join(own)} do not go together: each says which data are used; keep one"
            )
        if self.dataset in OWN and not own:
            raise ValueError(f"dataset: {self.dataset} needs {self.dataset}: what it names")
        if self.task not in entry.tasks:
            others = " or ".join(other.name for other in DATASETS.values() if self.task in other.tasks)
            raise ValueError(f"{self.dataset} has classes only: {self.task} goes with dataset: {others}")
        if self.task == "regression" and self.random_labels:
            raise ValueError("a regression has no labels: random_labels goes with task: classification")
        if self.task == "classification" and self.target_frequency:
            raise ValueError(
                f"{TARGET_FREQUENCY} is of the targets of a regression: set task: regression, or leave it out"
            )
        for name, field in type(self).model_fields.items():
            is_idle = name in _SOME_DATASETS - {*entry.settings}
            if is_idle and getattr(self, name) != field.default:
                raise ValueError(f"{name} does nothing with dataset: {self.dataset}; leave it out")
        if self.augment_share < 1 and not any(getattr(self, name) for name in AUGMENTATION):
            raise ValueError(
                f"{AUGMENT_SHARE} does nothing without {', '.join(AUGMENTATION)}; set one of these, or leave "
                "it out"
            )
        return self


TARGET_FREQUENCY = "target_frequency"
"""The setting of data that makes sines of the targets of a regression; 0 for targets as they are."""

AUGMENTATION = ("augment_rotation", "augment_shift", "augment_noise")
"""The settings of data that change training points in each epoch; they came after the first release."""

AUGMENT_SHARE = "augment_share"
"""How many of them are changed: of no account where nothing changes them."""

CUBE_DIMENSION = "cube_dimension"
"""A later setting of data, of no account where the dataset has a dimension of its own."""


Epochs = tuple[Annotated[int, Field(ge=1, le=MAX_EPOCHS)], ...]


def _read_epochs(value: object) -> object:
    """Return epochs from a list, from one number, or from a flag's text such as ``1,3,10``."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", value, re.ASCII):
        return tuple(int(word) for word in value.split(","))
    if isinstance(value, list):
        return tuple(value)
    return (value,) if type(value) is int else value


class TrainingSettings(Settings):
    """How the network is trained: on the cross-entropy, or on the squared error for a regression."""

    epochs: Annotated[int, Flag("--epochs"), AlsoCalled(("num_epochs", "n_epochs", "max_epochs"))] = Field(
        30, ge=1, le=MAX_EPOCHS, description="passes over the data"
    )
    learning_rate: Annotated[float, AlsoCalled(("lr", "rate", "learningrate"))] = Field(
        1e-3, gt=0, le=1000, allow_inf_nan=False, description="of the optimizer, in the first epoch"
    )
    batch_size: Annotated[int, AlsoCalled(("bs", "batch", "batchsize"))] = Field(
        128, ge=1, le=60_000, description="points a step"
    )
    seed: Annotated[int, AlsoCalled(("seeds", "random_seed", "rng_seed", "random_state"))] = Field(
        0, ge=0, le=2**31 - 1, description="of the initial weights, the batches and random labels"
    )
    initialization_seed: int | None = Field(
        None, ge=0, le=2**31 - 1, description="of the initial weights alone; the default is seed"
    )
    order_seed: int | None = Field(
        None, ge=0, le=2**31 - 1, description="of the order of the batches alone; the default is seed"
    )
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], AlsoCalled(("opt", "optim", "optimiser"))] = Field(
        "adam", description="torch's Adam, AdamW or SGD"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: Annotated[float, AlsoCalled(("wd", "l2"))] = Field(
        0.0, ge=0, le=1000, allow_inf_nan=False, description="decoupled for adamw, else in the gradient"
    )
    schedule: Annotated[
        Literal["constant", "cosine", "linear", "step"],
        AlsoCalled(("scheduler", "lr_schedule", "lr_scheduler")),
    ] = Field(
        "constant", description="of the learning rate, after each epoch; cosine and linear fall towards 0"
    )
    milestones: Annotated[Epochs, BeforeValidator(_read_epochs)] = Field(
        (), description="of the step schedule: epochs after which the rate falls"
    )
    decay: float = Field(0.1, gt=0, le=1, description="of the step schedule: by which factor")
    fold_reward: Annotated[
        float, AlsoCalled(("folding_reward", "fold_regularizer", "folding_regularizer"))
    ] = Field(
        0.0,
        ge=-1000,
        le=1000,
        allow_inf_nan=False,
        description="how much soft folding counts against the loss: above 0 rewarded, below penalised",
    )
    fold_reward_epochs: int | None = Field(
        None,
        ge=1,
        le=MAX_EPOCHS,
        description="of fold_reward: the last epoch that has it; the default is all",
    )
    rank_drop: float = Field(
        0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="of factored-mlp: directions with less than this share of the sum of squares of S′ are "
        "dropped after rank_drop_epochs",
    )
    rank_drop_epochs: Annotated[Epochs, BeforeValidator(_read_epochs)] = Field(
        (), description="of rank_drop: after which epochs"
    )
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(lambda value: "cpu" if value == "auto" else value),
        Flag("--device"),
    ] = Field("cpu", description="where it is trained; auto is the CPU, and cuda gives other last bits")
    snapshots: Annotated[
        Literal["all"] | Epochs, BeforeValidator(_read_epochs), Flag("--snapshots"), NOT_IN_KEY
    ] = Field((), description="epochs whose weights are kept beside the first and the last, or all")

    @model_validator(mode="after")
    def _check_together(self) -> "TrainingSettings":
        late = [epoch for epoch in self.snapshots if isinstance(epoch, int) and epoch > self.epochs]
        if late:
            raise ValueError(f"snapshots: there is no epoch {late[0]} in a training of {self.epochs} epochs")
        if self.schedule == "step" and not self.milestones:
            raise ValueError("schedule: step falls after milestones: name at least one epoch there")
        if self.rank_drop and not self.rank_drop_epochs:
            raise ValueError("rank_drop: name at least one epoch in rank_drop_epochs")
        return self

    def key(self) -> dict[str, Any]:
        """Return the settings that a number depends on; later ones only where they do something.

        So trainings from before a reward of folding, or ranks that are dropped, keep their keys.
        """
        return self._in_use(super().key())

    def identity(self) -> dict[str, Any]:
        """Return those of them that are not the default."""
        return self._in_use(super().identity())

    def _in_use(self, values: dict[str, Any]) -> dict[str, Any]:
        idle = (*(() if self.fold_reward else REWARD), *(() if self.rank_drop else RANK_DROP))
        return {name: value for name, value in values.items() if name not in idle}

    @property
    def seed_of_weights(self) -> int:
        """What the initial weights are drawn with."""
        return self.seed if self.initialization_seed is None else self.initialization_seed

    @property
    def seed_of_order(self) -> int:
        """What the order of the batches is drawn with."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def snapshot_epochs(self) -> list[int]:
        """The epochs whose weights are kept, in order, without the first and the last."""
        between = range(1, self.epochs)
        return [*between] if self.snapshots == "all" else sorted({*self.snapshots} & {*between})


REWARD = ("fold_reward", "fold_reward_epochs")
"""The settings of training that reward folding."""

RANK_DROP = ("rank_drop", "rank_drop_epochs")
"""The settings of training that drop directions of layers made of the five factors."""


TRAINING_ONLY = (
    *(name for name in TrainingSettings.model_fields if name not in ("seed", "initialization_seed")),
    *("train_images", "random_labels", *AUGMENTATION, AUGMENT_SHARE),
)
"""The settings that an untrained network, and what is measured of it on test images, does not depend on."""


def data_of(sections: Sections) -> DataSettings:
    """Return the data settings of a run."""
    return cast(DataSettings, sections["data"])


def network_of(sections: Sections) -> NetworkSettings:
    """Return the network settings of a run."""
    return cast(NetworkSettings, sections["network"])


def training_of(sections: Sections) -> TrainingSettings:
    """Return the training settings of a run."""
    return cast(TrainingSettings, sections["training"])


EpochChoice = Annotated[Literal["0", "last", "both", "all"], BeforeValidator(as_text)]
"""Which checkpoints a probe reads."""

EPOCH_CHOICE = "the untrained network, the trained one, both, or all with the snapshots"


def checkpoints_of(sections: Sections, epoch: EpochChoice) -> Mapping[int, str]:
    """Return the checkpoint of each epoch that is asked for, in order; given weights are one."""
    if network_of(sections).weights is not None:
        return {GIVEN_EPOCH: FINAL}
    training = training_of(sections)
    snapshots = {number: snapshot_name(number) for number in training.snapshot_epochs}
    every = {0: INITIAL, **snapshots, training.epochs: FINAL}
    chosen = {"0": [0], "last": [training.epochs], "both": [0, training.epochs], "all": [*every]}[epoch]
    return {number: every[number] for number in chosen}


def snapshot_name(epoch: int) -> str:
    """Return the file of the weights after an epoch."""
    return f"model-epoch{epoch}.safetensors"


def data_key(sections: Sections) -> dict[str, Any]:
    """Return everything that says what the data are: settings, and a digest of the files.

    Raises:
        DataError: a file is missing, cannot be downloaded, or has fewer points than are asked for.
    """
    data = data_of(sections)
    key = data.key()
    for name in ("root", *OWN):  # where the data lie changes nothing; their digest says what they are
        key.pop(name)
    for name in AUGMENTATION:  # trainings from before keep their keys
        if not key[name]:
            key.pop(name)
    if key[AUGMENT_SHARE] == 1:
        key.pop(AUGMENT_SHARE)
    if not key[TARGET_FREQUENCY]:
        key.pop(TARGET_FREQUENCY)
    entry = DATASETS[data.dataset]
    if CUBE_DIMENSION not in entry.settings:  # likewise
        key.pop(CUBE_DIMENSION)
    digest = entry.digest(data)
    entry.check(data)
    return {"data": key, "data_digest": digest}


def network_key(sections: Sections) -> dict[str, Any]:
    """Return what says which network a run has beside our own kinds: empty for one of these.

    Its weights alone do not say so: the same weights may stand in networks that compute otherwise.

    Raises:
        ModelSourceError: a library is missing.
        UserCodeError: the user's code is missing or cannot be read.
        SpaceprobeError: given weights cannot be read.
    """
    from spaceprobe.model_sources.digests import digests

    network = network_of(sections)
    source = network.source
    if source is None and network.weights is None:
        return {}
    source = source or ModelSource("network", network.model)
    return {
        "network": network.measurement(),
        "network_digest": digests(source, network.weights, setting="network.model"),
    }


def data_layout(sections: Sections) -> DataLayout:
    """Return what the points of a run's data look like.

    Raises:
        DataError: only its files tell, and they are missing or unreadable.
        UserCodeError: only code of the user's tells, and it may not run.
    """
    data = data_of(sections)
    return DATASETS[data.dataset].layout(data)
