"""Train: from data, network and training settings to checkpoints and a training curve."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaceprobe.study.runs.settings import (
    FINAL,
    INITIAL,
    DataSettings,
    NetworkSettings,
    TrainingSettings,
    data_key,
    data_of,
    network_of,
    snapshot_name,
    training_of,
)
from spaceprobe.study.stage import (
    Advance,
    Content,
    Frames,
    Inputs,
    Job,
    Part,
    Rows,
    RunStage,
    Sections,
    Table,
    WriteFile,
)

PART = "train.json"


def _label(sections: Sections) -> str:
    return f"{network_of(sections).architecture}-s{training_of(sections).seed}"


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    del inputs
    training = training_of(sections)
    key = {
        **data_key(sections),
        "network": network_of(sections).key(),
        "training": training.key(),
        # Not in the run's name, since they change no number; in the key, since their files must be there.
        "snapshots": training.snapshot_epochs,
    }
    return [Part(PART, key, amount=training.epochs)]


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    from spaceprobe.networks.checkpoints import to_bytes
    from spaceprobe.networks.mlp import count_parameters
    from spaceprobe.networks.training import DivergenceError, Epoch, Recipe, train
    from spaceprobe.study.runs import networks
    from spaceprobe.study.runs.convergence_log import ConvergenceLog

    settings = training_of(job.sections)
    dataset = networks.load_data(data_of(job.sections))
    network, batches = networks.build_network(job.sections, dataset)
    digests = {INITIAL: write_file(INITIAL, to_bytes(network))}
    if data_of(job.sections).random_labels:
        labels = networks.draw_labels(job.sections, dataset)
        digests[networks.RANDOM_LABELS] = write_file(networks.RANDOM_LABELS, labels)
        dataset = dataset.with_labels(networks.read_labels(labels))
    curve: list[dict[str, Any]] = []
    convergence = ConvergenceLog(network, dataset.train.targets, settings.learning_rate)

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
            *(dataset.train.inputs, dataset.train.targets),
            *(dataset.test.inputs, dataset.test.targets),
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
    yield job.parts[0], Content(record, files=digests, error=error)


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    network = network_of(sections)
    runs, curves, convergence = [], [], []
    for _, content in parts:
        curve: list[Mapping[str, Any]] = content.record["curve"]
        last = curve[-1] if content.error is None else {}
        runs.append(
            {
                "architecture": network.architecture,
                "depth": len(network.hidden_widths),
                "width": max(network.hidden_widths),
                "activation": network.activation,
                "dataset": data_of(sections).dataset,
                "seed": training_of(sections).seed,
                "num_parameters": content.record["num_parameters"],
                **{name: last.get(name) for name in METRICS},
                "status": "done" if content.error is None else "failed",
                "error": content.error,
            }
        )
        curves.extend(curve)
        convergence.extend(content.record["convergence"])
    return {"runs": runs, "training": curves, "lmd_convergence": convergence}


def _present(tables: Frames) -> str:
    runs = tables["runs"]
    columns = ["run", "status", "train_accuracy", "test_accuracy"]
    if runs["test_accuracy"].isna().all():
        columns = ["run", "status", "train_loss", "test_loss"]
    return runs[columns].to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4f}")


METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
CONVERGENCE_KEY = ("epoch", "layer")
CONVERGENCE_COLUMNS = (
    *("gradient_ratio", "drift", "raw_drift", "subspace_sine", "log_loss_change", "learning_rate"),
    *("margin_q50", "margin_q90", "margin_q99", "margin_max", "stable", "converged", "reason"),
)

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
        Table("lmd_convergence", key=CONVERGENCE_KEY, columns=(*CONVERGENCE_KEY, *CONVERGENCE_COLUMNS)),
    ),
    needs=(),
    unit="epoch",
    label=_label,
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
)
