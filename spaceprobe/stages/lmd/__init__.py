"""Lmd: the Layer Matrix Decomposition of every weight matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spaceprobe.stages.lmd.computation import compute
from spaceprobe.stages.lmd.parts import check, plan
from spaceprobe.stages.lmd.settings import LmdSettings
from spaceprobe.stages.lmd.summary import present, warn
from spaceprobe.stages.lmd.tables import TABLES, tabulate
from spaceprobe.stages.stage import FileInput, FileOption, FileOutcome, RunStage
from spaceprobe.stages.train.parts import sources


def _decompose_file(path: Path, results: Path, options: Mapping[str, Any]) -> FileOutcome:
    from spaceprobe.stages.lmd.weight_file import decompose_file

    return decompose_file(path, results, options)


STAGE = RunStage(
    name="lmd",
    summary="Decompose the weight matrices of trained networks.",
    example="spaceprobe lmd depth-sweep --metric identity,laplacian --epoch last",
    sections={"lmd": LmdSettings},
    tables=TABLES,
    needs=("train",),
    unit="epoch",
    check=check,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    present=present,
    warn=warn,
    sources=sources,
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
