"""The tables of the train stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.stages.train.settings import (
    INITIAL,
    TRAINING_ONLY,
    data_layout,
    data_of,
    network_of,
    training_of,
)
from spaceprobe.tables.table import Column, Table


def _metrics(when: str) -> tuple[Column, ...]:
    """Return the columns of loss and accuracy."""
    loss = "mean cross-entropy in nats, or mean squared error of a regression, on all"
    accuracy = "share, in [0, 1], that is classified correctly of all"
    return (
        Column("train_loss", "number", f"{loss} training points {when}", low=0),
        Column(
            "train_accuracy",
            "number",
            f"{accuracy} training points {when}; empty for a regression",
            low=0,
            high=1,
        ),
        Column("test_loss", "number", f"{loss} test points {when}", low=0),
        Column(
            "test_accuracy", "number", f"{accuracy} test points {when}; empty for a regression", low=0, high=1
        ),
    )


def _margin(name: str, which: str) -> Column:
    """Return a column of the encoding margin."""
    return Column(
        f"margin_{name}",
        "number",
        f"{which} over training points of 1 - probability of the right class, or distance to the target",
    )


METRICS = _metrics("after the last epoch, or with given weights (empty where training failed)")
EPOCH = Column(
    "epoch",
    "integer",
    "passes over the training points so far; 0 is the untrained network, -1 stands for given weights",
)
RATE = Column("learning_rate", "number", "of the optimizer in this epoch; at epoch 0, that of the first")

RUNS = Table(
    "runs",
    key=(),
    columns=(
        Column(
            "architecture",
            "text",
            "units of the hidden layers: 2x30 is two of 30, 100-50 one of each; network.model where it is "
            "not our own kind, such as torchvision:resnet18",
        ),
        Column("depth", "integer", "number of hidden layers; empty where network.model is not our own kind"),
        Column("width", "integer", "units of the widest hidden layer; empty where depth is"),
        Column("activation", "text", "activation function of the hidden layers; own where depth is empty"),
        Column("dataset", "text", "data that the network is trained on"),
        Column("seed", "integer", "of the initial weights, the order of the batches, and random labels"),
        Column(
            "num_parameters",
            "integer",
            "number of weights and biases; empty where training did not start or broke off",
        ),
        Column(
            "initial_digest",
            "text",
            "SHA-256 of the checkpoint at epoch 0: equal for networks with the same initial weights; empty "
            "where training did not start or broke off, and for given weights",
        ),
        *METRICS,
        Column("status", "text", "done, or failed where training diverged, did not start or broke off"),
        Column(
            "error", "text", "why training failed, or a later stage, whose name stands before it; else empty"
        ),
    ),
    settings_after="seed",
    training_only=TRAINING_ONLY,
    meaning="one network: its settings, and how well it was trained",
)
TRAINING = Table(
    "training",
    key=("epoch",),
    columns=(
        EPOCH,
        RATE,
        *_metrics("after the epoch"),
    ),
    meaning="one epoch of the training of one network",
)


CONVERGENCE = Table(
    "lmd_convergence",
    key=("epoch", "layer"),
    columns=(
        EPOCH,
        Column("layer", "integer", "number of the weight matrix, from 0"),
        Column(
            "gradient_ratio",
            "number",
            "norm of the gradient of loss and L2 penalty over all training points, relative to epoch 0; "
            "empty where it was 0 there",
            low=0,
        ),
        Column(
            "drift",
            "number",
            "raw_drift at the largest learning rate; empty at epoch 0 and where the rate is almost 0",
            low=0,
        ),
        Column(
            "raw_drift", "number", "change of the weights in this epoch, relative to their norm before it"
        ),
        Column(
            "subspace_sine",
            "number",
            "sine, in [0, 1], of the largest angle between the leading right singular subspaces before and "
            "after this epoch; empty at epoch 0",
            low=0,
            high=1,
            rerun_rtol=1e-2,  # 2e-4 measured: rounding over a gap of singular values turns a subspace
        ),
        Column(
            "log_loss_change",
            "number",
            "size of the change of log(training loss) in this epoch; empty at epoch 0",
            low=0,
        ),
        RATE,
        _margin("q50", "median"),
        _margin("q90", "90 % quantile"),
        _margin("q99", "99 % quantile"),
        _margin("max", "maximum"),
        Column(
            "stable",
            "boolean",
            "whether gradient_ratio, drift, subspace_sine and log_loss_change are at most 0.05",
        ),
        Column("converged", "boolean", "whether this epoch and the two before it are stable"),
        Column("reason", "text", "which quantities are missing or above 0.05; empty where stable"),
    ),
    meaning="one weight matrix after one epoch: whether training has stably converged",
)

TABLES = (RUNS, TRAINING, CONVERGENCE)


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    runs, curves, convergence = [], [], []
    for _, content in parts:
        curve: list[Mapping[str, Any]] = content.record["curve"]
        last = curve[-1] if content.error is None else {}
        is_given = network_of(sections).weights is not None
        runs.append(
            {
                **_run_settings(sections),
                "num_parameters": content.record["num_parameters"],
                "initial_digest": content.files.get(INITIAL),
                **{metric.name: last.get(metric.name) for metric in METRICS},
                "status": "done" if content.error is None else "failed",
                "error": content.error,
            }
        )
        curves.extend([] if is_given else curve)
        convergence.extend(content.record["convergence"])
    return {"runs": runs, "training": curves, "lmd_convergence": convergence}


def tabulate_failed(sections: Sections, reason: str) -> Rows:
    """Return the row of a run whose training could not start, or broke off."""
    return {"runs": [{**_run_settings(sections), "status": "failed", "error": reason}]}


def _run_settings(sections: Sections) -> dict[str, Any]:
    """Return the cells of a run that its settings tell."""
    network = network_of(sections)
    widths = network.entry.hidden_widths(network, data_layout(sections).input_shape)
    return {
        "architecture": network.entry.architecture(network),
        "depth": len(widths) or None,
        "width": max(widths, default=None),
        "activation": network.entry.activation(network),
        "dataset": data_of(sections).dataset,
        "seed": training_of(sections).seed,
    }
