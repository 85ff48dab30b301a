"""The tables of the train stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from spaceprobe.networks.models import NETWORKS
from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.stages.train.settings import data_of, network_of, training_of
from spaceprobe.tables.table import Table

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
CONVERGENCE_KEY = ("epoch", "layer")
CONVERGENCE_COLUMNS = (
    *("gradient_ratio", "drift", "raw_drift", "subspace_sine", "log_loss_change", "learning_rate"),
    *("margin_q50", "margin_q90", "margin_q99", "margin_max", "stable", "converged", "reason"),
)

RUNS = Table(
    "runs",
    key=(),
    columns=(
        *("architecture", "depth", "width", "activation", "dataset", "seed"),
        *("num_parameters", *METRICS, "status", "error"),
    ),
    settings_after="seed",
)
TRAINING = Table("training", key=("epoch",), columns=("epoch", "learning_rate", *METRICS))
CONVERGENCE = Table("lmd_convergence", key=CONVERGENCE_KEY, columns=(*CONVERGENCE_KEY, *CONVERGENCE_COLUMNS))

TABLES = (RUNS, TRAINING, CONVERGENCE)


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    network = network_of(sections)
    widths = NETWORKS[network.model].hidden_widths(network)
    runs, curves, convergence = [], [], []
    for _, content in parts:
        curve: list[Mapping[str, Any]] = content.record["curve"]
        last = curve[-1] if content.error is None else {}
        runs.append(
            {
                "architecture": network.architecture,
                "depth": len(widths),
                "width": max(widths),
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
