"""Lmd: the Layer Matrix Decomposition of every weight matrix."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.study.lmd import tables as lmd_tables
from spaceprobe.study.lmd.settings import LmdSettings
from spaceprobe.study.runs.settings import INITIAL, checkpoints_of, data_key
from spaceprobe.study.stage import (
    Advance,
    Content,
    FileInput,
    FileOption,
    FileOutcome,
    Frames,
    Inputs,
    Job,
    Part,
    Rows,
    RunStage,
    Sections,
    WriteFile,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    from spaceprobe.data.datasets import Dataset
    from spaceprobe.study.lmd.matrix_rows import Decomposed

PART = "lmd_factors.npz"
VERSION = 2
"""Of what the part holds; 2 brought metrics from data, tails, dimension, convergence and retrieval."""


def _settings(sections: Sections) -> LmdSettings:
    return cast(LmdSettings, sections["lmd"])


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    (trained,) = inputs["train"]
    settings = _settings(sections)
    checkpoints = checkpoints_of(sections, settings.epoch)
    measured = settings.key()
    key = {
        "version": VERSION,
        "lmd": measured,
        "metrics": list(settings.metrics),
        "probes": list(settings.probes),
        "checkpoints": {str(epoch): trained.files[name] for epoch, name in checkpoints.items()},
        "initial": trained.files[INITIAL],
        **data_key(sections),
    }
    path = PART
    if measured:  # a file for each way of measuring: trying another one, or sweeping it, loses nothing
        digest = hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:6]
        path = f"lmd_factors-{digest}.npz"
    return [Part(path, key, amount=len(checkpoints))]


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    del write_file
    from spaceprobe.study.lmd.matrix_rows import factor_arrays
    from spaceprobe.study.runs.convergence_log import with_verdicts
    from spaceprobe.study.runs.networks import load_network, load_training_data

    settings = _settings(job.sections)
    (trained,) = job.inputs["train"]
    dataset = load_training_data(job.sections, job.folder, trained)
    initial = load_network(job.sections, job.folder, trained, INITIAL).double()
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in STAGE.tables}
    rows["lmd_convergence"] = with_verdicts(trained.record["convergence"])
    arrays: dict[str, np.ndarray] = {}
    for epoch, name in checkpoints_of(job.sections, settings.epoch).items():
        network = load_network(job.sections, job.folder, trained, name).double()
        for layer, (found, decomposition) in enumerate(_probe(network, initial, dataset, settings)):
            for table, some in found.items():
                rows[table].extend({"epoch": epoch, "layer": layer, **row} for row in some)
            arrays |= factor_arrays(f"epoch{epoch}-layer{layer}", decomposition)
        advance(1)
    yield job.parts[0], Content(rows, arrays)


def _probe(
    network: "torch.nn.Sequential",
    initial: "torch.nn.Sequential",
    dataset: "Dataset",
    settings: LmdSettings,
) -> "Iterator[tuple[dict[str, list[dict[str, Any]]], Decomposed]]":
    """Yields the rows of each table and the factors, layer by layer."""
    from spaceprobe.networks.layers import linear_weights, pass_through
    from spaceprobe.study.lmd import layer_probes
    from spaceprobe.study.lmd.matrix_rows import decomposed, records

    sample = dataset.train.first(settings.sample)
    layers = pass_through(network, sample.inputs.double())
    probes = set(settings.probes)
    if not dataset.is_classification:
        probes.discard("semantics")  # there are no classes to mean
    tested = pass_through(network, dataset.test.inputs.double()) if "functional-rank" in probes else []
    retrieved = []
    if "retrieval" in probes:
        stored = dataset.test.inputs[: settings.retrieval_images].double()
        retrieved = layer_probes.retrieval_rows(network, initial, layers, stored, settings)
    for number, (layer, before) in enumerate(zip(layers, linear_weights(initial), strict=True)):
        rows: dict[str, list[dict[str, Any]]] = {}
        functional = None
        if tested:
            measured = layer_probes.functional_of(tested[number], dataset.test.targets)
            functional = measured.estimate
            rows["lmd_functional"] = [
                {"rank": row["q"], "score": row["score"]} for row in records(measured.scores)
            ]
        if "dimension" in probes:
            rows["lmd_dimension"] = layer_probes.dimension_rows(layer, settings)
        if "semantics" in probes:
            rows["lmd_semantics"] = layer_probes.semantics_rows(layer, sample.targets, settings)
        if retrieved:
            rows["lmd_retrieval"] = retrieved[number]
        known = layer_probes.known_of(layer, before, functional)
        decomposition = decomposed(
            layer.linear.weight.detach(), layer_probes.make_metrics(layer, settings), known
        )
        yield rows | decomposition.rows, decomposition


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    del sections
    ((_, content),) = parts
    return content.record


def _present(tables: Frames) -> str:
    if tables["lmd_layers"].empty:
        return "no weight matrix was decomposed"
    from spaceprobe.study.lmd.summary import lines

    return "\n".join(lines(tables))


def _decompose_file(path: Path, results: Path, options: Mapping[str, Any]) -> FileOutcome:
    from spaceprobe.study.lmd.weight_file import decompose_file

    return decompose_file(path, results, options)


STAGE = RunStage(
    name="lmd",
    summary="Decompose the weight matrices of trained networks.",
    example="spaceprobe lmd depth-sweep --metric identity,laplacian --epoch last",
    sections={"lmd": LmdSettings},
    tables=lmd_tables.TABLES,
    needs=("train",),
    unit="epoch",
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
    file_input=FileInput(
        "--weights",
        "Decompose every matrix of a .safetensors, .pt, .pth or .bin file instead of a study.",
        (
            FileOption("--heads", "Attention heads, for the products of their matrices."),
            FileOption("--leading", "Only the N leading values of larger matrices, with their errors."),
        ),
        _decompose_file,
    ),
)
