"""Train: from data, network and training settings to checkpoints and a training curve."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field

from spaceprobe.study.stage import (
    Advance,
    Content,
    Flag,
    Frames,
    Inputs,
    Job,
    Part,
    Rows,
    RunStage,
    Sections,
    Settings,
    Table,
    WriteFile,
)

if TYPE_CHECKING:
    import torch

PART = "train.json"
INITIAL = "model-epoch0.safetensors"
FINAL = "model.safetensors"
NUM_PIXELS = 784
NUM_CLASSES = 10


def _check_architecture(value: str) -> str:
    depth, _, width = value.partition("x")
    if not all(re.fullmatch("[0-9]{1,9}", number) for number in (depth, width)):
        raise ValueError("write hidden layers x units, such as 2x30")
    if not (1 <= int(depth) <= 100 and 1 <= int(width) <= 10_000):
        raise ValueError("hidden layers go from 1 to 100 and units from 1 to 10000")
    return f"{int(depth)}x{int(width)}"


class DataSettings(Settings):
    """The images that networks are trained on and probed with."""

    dataset: Literal["mnist"] = Field("mnist", description="the dataset; mnist is in the package")
    root: Path | None = Field(
        None, strict=False, description="a folder in torchvision's layout to read instead"
    )
    train_images: int = Field(60_000, ge=1, le=60_000, description="the first N training images")


class NetworkSettings(Settings):
    """The network: an MLP with ReLU after each hidden layer and a linear readout."""

    architecture: Annotated[str, AfterValidator(_check_architecture)] = Field(
        "2x30", description="hidden layers x units"
    )

    @property
    def hidden_widths(self) -> list[int]:
        """The units of each hidden layer."""
        depth, _, width = self.architecture.partition("x")
        return [int(width)] * int(depth)


class TrainingSettings(Settings):
    """How the network is trained: Adam on the cross-entropy."""

    epochs: Annotated[int, Flag("--epochs")] = Field(30, ge=1, le=100_000, description="passes over the data")
    learning_rate: float = Field(1e-3, gt=0, le=1000, allow_inf_nan=False, description="of Adam")
    batch_size: int = Field(128, ge=1, le=60_000, description="images a step")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the initial weights and of the batches")


def build_network(sections: Sections) -> "tuple[torch.nn.Sequential, torch.Generator]":
    """Returns the untrained network of a run, and the generator for the order of its batches.

    Weights and batches draw from two streams, so that a wider network sees the same batches.
    """
    import torch

    from spaceprobe.networks.mlp import mlp

    network = cast(NetworkSettings, sections["network"])
    seed = cast(TrainingSettings, sections["training"]).seed
    weights, batches = (torch.Generator().manual_seed(2 * seed + stream) for stream in range(2))
    return mlp([NUM_PIXELS, *network.hidden_widths, NUM_CLASSES], weights), batches


def checkpoints_of(sections: Sections, epoch: str) -> dict[int, str]:
    """Returns the checkpoint of each epoch that ``0``, ``last`` or ``both`` means."""
    last = cast(TrainingSettings, sections["training"]).epochs
    return {"0": {0: INITIAL}, "last": {last: FINAL}, "both": {0: INITIAL, last: FINAL}}[epoch]


def load_network(sections: Sections, folder: Path, trained: Content, name: str) -> "torch.nn.Sequential":
    """Returns the network of a checkpoint that the train stage vouches for.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    from spaceprobe.networks.checkpoints import load_into

    network, _ = build_network(sections)
    load_into(network, folder / name, trained.files[name])
    return network


def _label(sections: Sections) -> str:
    network = cast(NetworkSettings, sections["network"])
    return f"{network.architecture}-s{cast(TrainingSettings, sections['training']).seed}"


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    del inputs
    from spaceprobe.data.idx_files import digest

    data = cast(DataSettings, sections["data"])
    key = {name: sections[name].key() for name in ("data", "network", "training")}
    key["data"].pop("root", None)  # where the files lie changes nothing; their digest says what they are
    epochs = cast(TrainingSettings, sections["training"]).epochs
    return [Part(PART, {**key, "data_digest": digest(data.root)}, amount=epochs)]


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    from spaceprobe.data.datasets import load_mnist
    from spaceprobe.networks.checkpoints import to_bytes
    from spaceprobe.networks.mlp import count_parameters
    from spaceprobe.networks.training import DivergenceError, EpochMetrics, train

    data = cast(DataSettings, job.sections["data"])
    settings = cast(TrainingSettings, job.sections["training"])
    images, test = load_mnist(data.root, train=True), load_mnist(data.root, train=False)
    network, batches = build_network(job.sections)
    curve: list[dict[str, Any]] = []

    def on_epoch(metrics: EpochMetrics) -> None:
        curve.append({**dataclasses.asdict(metrics), "learning_rate": settings.learning_rate})
        if metrics.epoch:
            advance(1)

    digests = {INITIAL: write_file(INITIAL, to_bytes(network))}
    error = None
    try:
        train(
            network,
            images.images[: data.train_images],
            images.labels[: data.train_images],
            test.images,
            test.labels,
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            generator=batches,
            on_epoch=on_epoch,
        )
        digests[FINAL] = write_file(FINAL, to_bytes(network))
    except DivergenceError as diverged:
        error = f"training diverged: {diverged}"
    record = {"num_parameters": count_parameters(network), "curve": curve}
    yield job.parts[0], Content(record, files=digests, error=error)


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    network = cast(NetworkSettings, sections["network"])
    runs, curves = [], []
    for _, content in parts:
        curve: list[Mapping[str, Any]] = content.record["curve"]
        last = curve[-1] if content.error is None else {}
        runs.append(
            {
                "architecture": network.architecture,
                "depth": len(network.hidden_widths),
                "width": network.hidden_widths[0],
                "activation": "relu",
                "dataset": cast(DataSettings, sections["data"]).dataset,
                "seed": cast(TrainingSettings, sections["training"]).seed,
                "num_parameters": content.record["num_parameters"],
                **{name: last.get(name) for name in METRICS},
                "status": "done" if content.error is None else "failed",
                "error": content.error,
            }
        )
        curves.extend(curve)
    return {"runs": runs, "training": curves}


def _present(tables: Frames) -> str:
    runs = tables["runs"]
    columns = ["run", "status", "train_accuracy", "test_accuracy"]
    return runs[columns].to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4f}")


METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

STAGE = RunStage(
    name="train",
    summary="Train the networks of a study.",
    example="spaceprobe train depth-sweep --epochs 5",
    sections={"data": DataSettings, "network": NetworkSettings, "training": TrainingSettings},
    tables=(
        Table(
            "runs",
            key=(),
            columns=(
                *("architecture", "depth", "width", "activation", "dataset", "seed"),
                *("num_parameters", *METRICS, "status", "error"),
            ),
            settings_after="seed",
        ),
        Table("training", key=("epoch",), columns=("epoch", "learning_rate", *METRICS)),
    ),
    needs=(),
    unit="epoch",
    label=_label,
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
)
