"""Lmd: the Layer Matrix Decomposition of every weight matrix."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.study.lmd import tables as lmd_tables
from spaceprobe.study.lmd.settings import LmdSettings
from spaceprobe.study.runs.settings import FINAL, INITIAL, checkpoints_of, data_key, data_of
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


def _settings(sections: Sections) -> LmdSettings:
    return cast(LmdSettings, sections["lmd"])


def _plan(sections: Sections, inputs: Inputs) -> list[Part]:
    (trained,) = inputs["train"]
    settings = _settings(sections)
    measured = settings.identity()
    name = "lmd_factors"
    if measured:  # files for each way of measuring: trying or sweeping another one loses nothing
        name += "-" + hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:6]
    return [
        Part(
            # As with the weights: the last epoch has the plain name.
            f"{name}.npz" if checkpoint == FINAL else f"{name}-epoch{epoch}.npz",
            {
                "lmd": {
                    **settings.key(),
                    "metrics": list(settings.metrics),
                    "probes": list(settings.probes),
                },
                "epoch": epoch,
                "checkpoint": trained.files[checkpoint],
                "initial": trained.files[INITIAL],
                **data_key(sections),
            },
            amount=1,
            kin="lmd_factors*.npz",
        )
        for epoch, checkpoint in checkpoints_of(sections, settings.epoch).items()
    ]


def _check(sections: Sections) -> None:
    settings, data = _settings(sections), data_of(sections)
    if "semantics" in settings.probes and data.task == "regression":
        raise SettingsError(
            "lmd.probes: semantics asks what classes explain, and a regression has none; leave it out"
        )
    num_points = data.points if data.dataset == "swiss-roll" else data.train_images
    num_points = min(settings.sample, num_points)
    if "laplacian" in settings.metrics and num_points <= settings.neighbours:
        raise SettingsError(
            f"lmd.neighbours: {settings.neighbours} of each point are more than {num_points} points have; "
            "lower it, or raise lmd.sample and the number of training points"
        )


def _compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, Content]]:
    del write_file
    from spaceprobe.study.lmd.matrix_rows import factor_arrays
    from spaceprobe.study.lmd.network_rows import Probe
    from spaceprobe.study.runs.networks import load_network, load_training_data

    settings = _settings(job.sections)
    (trained,) = job.inputs["train"]
    dataset = load_training_data(job.sections, job.folder, trained)
    initial = load_network(job.sections, job.folder, trained, INITIAL).double()
    probe = Probe(initial, dataset, settings, has_random_labels=data_of(job.sections).random_labels > 0)
    checkpoints = checkpoints_of(job.sections, settings.epoch)
    for part in job.parts:
        epoch = part.key["epoch"]
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in lmd_tables.TABLES}
        arrays: dict[str, np.ndarray] = {}
        try:
            for layer, (found, decomposition) in enumerate(probe.layers(network)):
                for table, some in found.items():
                    rows[table].extend({"epoch": epoch, "layer": layer, **row} for row in some)
                arrays |= factor_arrays(f"layer{layer}", decomposition)
        except ValueError as error:  # what no check foresaw of these data, such as a singular metric
            raise SpaceprobeError(f"epoch {epoch}: {error}") from error
        yield part, Content(rows, arrays)
        advance(1)


def _tabulate(sections: Sections, parts: Sequence[tuple[Part, Content]]) -> Rows:
    del sections
    rows: dict[str, list[dict[str, Any]]] = {}
    for _, content in parts:
        for table, some in content.record.items():
            rows.setdefault(table, []).extend(some)
    return rows


def _present(tables: Frames) -> str:
    if tables["lmd_layers"].empty:
        return "no weight matrix was decomposed"
    from spaceprobe.study.lmd.summary import lines

    return "\n".join(lines(tables))


def _warn(tables: Frames) -> Iterator[str]:
    from spaceprobe.study.lmd.summary import warnings

    if not tables["lmd_layers"].empty:
        yield from warnings(tables)


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
    check=_check,
    plan=_plan,
    compute=_compute,
    tabulate=_tabulate,
    present=_present,
    warn=_warn,
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
