"""Lmd: the Layer Matrix Decomposition of every weight matrix."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from spaceprobe.study.stage import (
    NOT_IN_KEY,
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
from spaceprobe.study.stages.train import INITIAL, checkpoints_of, load_network

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

PART = "lmd_factors.npz"


class LmdSettings(Settings):
    """How weight matrices are decomposed."""

    metric: Annotated[Literal["identity"], Flag("--metric")] = Field(
        "identity", description="the latent metrics; identity needs no data"
    )
    epoch: Annotated[Literal["0", "last", "both"], Flag("--epoch"), NOT_IN_KEY] = Field(
        "both", description="the untrained network, the trained one, or both"
    )


def _settings(sections: Sections) -> LmdSettings:
    return cast(LmdSettings, sections["lmd"])


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    (trained,) = inputs["train"]
    checkpoints = checkpoints_of(sections, _settings(sections).epoch)
    key = {
        "lmd": _settings(sections).key(),
        "checkpoints": {str(epoch): trained.files[name] for epoch, name in checkpoints.items()},
        "initial": trained.files[INITIAL],
    }
    return [Part(PART, key, amount=len(checkpoints))]


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    del write_file
    settings = _settings(job.sections)
    (trained,) = job.inputs["train"]
    initial = _singular_values(load_network(job.sections, job.folder, trained, INITIAL))
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in STAGE.tables}
    arrays: dict[str, np.ndarray] = {}
    for epoch, name in checkpoints_of(job.sections, settings.epoch).items():
        network = load_network(job.sections, job.folder, trained, name)
        for layer, weight in enumerate(_weights(network)):
            found, factors = _decompose(weight, settings.metric, initial[layer])
            for table, some in found.items():
                rows[table].extend({"epoch": epoch, "layer": layer, **row} for row in some)
            arrays |= {f"epoch{epoch}-layer{layer}-{factor}": values for factor, values in factors.items()}
        advance(1)
    yield job.parts[0], Content(rows, arrays)


def _weights(network: "torch.nn.Module") -> "list[torch.Tensor]":
    return [tensor.detach() for name, tensor in network.named_parameters() if name.endswith("weight")]


def _singular_values(network: "torch.nn.Module") -> "list[np.ndarray]":
    import torch

    return [torch.linalg.svdvals(weight.double()).numpy() for weight in _weights(network)]


def _decompose(
    weight: "torch.Tensor", metric: str, initial_values: "np.ndarray"
) -> "tuple[dict[str, list[dict[str, Any]]], dict[str, np.ndarray]]":
    """Returns the rows of each table and the factors of one matrix, cut at the default rank."""
    from spaceprobe.lmd.factors import certify, decompose
    from spaceprobe.lmd.noise import uniform_init_variance
    from spaceprobe.lmd.ranks import rank_table
    from spaceprobe.lmd.spectrum import spectrum_table

    num_outputs, num_inputs = weight.shape
    values = decompose(weight).singular_values.numpy()
    ranks = rank_table(values, (num_outputs, num_inputs), uniform_init_variance(num_inputs))
    default = ranks[ranks["default"]].iloc[0]
    factors = decompose(weight, int(default["rank"]), metric)
    layer = {**dataclasses.asdict(certify(weight, factors)), "metric": metric, "rule": default["rule"]}
    rows = {
        "lmd_layers": [{name: _plain(layer.get(name)) for name in LAYER_COLUMNS}],
        "lmd_ranks": _records(ranks),
        "lmd_spectrum": _records(spectrum_table(values, factors.rank, initial_values)),
    }
    names = ("U", "O_dist", "S_prime", "I_dist", "Vh")
    return rows, {name: getattr(factors, name).numpy() for name in names}


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    return [
        dict(zip(names, map(_plain, row), strict=True)) for row in frame.itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it; what is not a number becomes an empty cell."""
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    del sections
    ((_, content),) = parts
    return content.record


def _present(tables: Frames) -> str:
    layers, ranks = tables["lmd_layers"], tables["lmd_ranks"]
    if layers.empty:
        return "no weight matrix was decomposed"
    default = ranks.loc[ranks["default"], ["run", "epoch", "layer", "value"]]
    runs = tables["runs"][["run", "architecture"]]
    shown = layers.merge(default, on=["run", "epoch", "layer"]).merge(runs, on="run")
    shown = shown.rename(columns={"value": "participation"})
    columns = ["spectral_norm", "stable_rank", "participation"]
    means = shown.groupby(["architecture", "epoch", "layer"])[columns].mean().reset_index()
    worst = layers["reconstruction_error"].max()
    table = means.to_string(index=False, float_format=lambda number: f"{number:.2f}")
    return f"mean over seeds\n{table}\nlargest reconstruction error {worst:.1e}"


LAYER_COLUMNS = (
    *("num_outputs", "num_inputs", "metric", "rank", "rule", "frobenius_norm", "spectral_norm"),
    *("stable_rank", "truncation_error", "reconstruction_error", "isometry_error_u"),
    *("isometry_error_v", "condition_in", "condition_out", "num_components", "num_dead_inputs"),
)
SPECTRUM_COLUMNS = (*("basis", "index", "value", "energy", "cumulative_energy", "initial_value", "kept"),)
RANK_COLUMNS = ("rule", "rank", "value", "valid", "reason", "default")
KEY = ("epoch", "layer")

STAGE = RunStage(
    name="lmd",
    summary="Decompose the weight matrices of trained networks.",
    example="spaceprobe lmd depth-sweep --epoch last",
    sections={"lmd": LmdSettings},
    tables=(
        Table("lmd_spectrum", key=(*KEY, "basis", "index"), columns=(*KEY, *SPECTRUM_COLUMNS)),
        Table("lmd_ranks", key=(*KEY, "rule"), columns=(*KEY, *RANK_COLUMNS)),
        Table("lmd_layers", key=KEY, columns=(*KEY, *LAYER_COLUMNS)),
    ),
    needs=("train",),
    unit="epoch",
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
)
