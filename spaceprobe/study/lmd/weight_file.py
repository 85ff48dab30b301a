"""The Layer Matrix Decomposition of every matrix in a file of weights, without a study."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from spaceprobe.errors import SpaceprobeError
from spaceprobe.lmd.metrics import identity
from spaceprobe.study.lmd.matrix_rows import (
    Decomposed,
    Known,
    Metric,
    decomposed,
    factor_arrays,
    leading_decomposed,
)
from spaceprobe.study.lmd.tables import OF_A_FILE
from spaceprobe.study.results import StoredPart, file_digest, read_part, write_part
from spaceprobe.study.stage import Content, FileOutcome, Part
from spaceprobe.study.tables import build_frame, write_csv
from spaceprobe.weights.files import read_weights
from spaceprobe.weights.matrices import NamedMatrix, describe_left_out, left_out, matrices_of

VERSION = 1
"""Of what a part holds."""


@dataclass(frozen=True)
class _File:
    path: Path
    digest: str
    heads: int | None
    leading: int | None

    @property
    def name(self) -> str:
        """The name of its folder of results: readable, and another one for other weights."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).strip(".-") or "weights"
        return f"weights-{stem[:80]}-{self.digest[:6]}"


def decompose_file(path: Path, results: Path, options: Mapping[str, Any]) -> FileOutcome:
    """Decomposes every matrix of a file and writes tables and factors.

    Each matrix is a part of its own: what is finished is kept, and the same call goes on from there.

    Args:
        path: of the weights, as `spaceprobe.weights.files.read_weights` takes it.
        results: the folder that holds a folder a study; this file gets one as well.
        options: ``heads`` of attention layers and the number of ``leading`` values, each None without.

    Raises:
        WeightFileError: the file cannot be read.
        SpaceprobeError: the heads do not fit, or the file holds no matrix.
        ResultsError: results cannot be written.
    """
    weights = read_weights(path)
    file = _File(path, file_digest(path) or "", options["heads"], options["leading"])
    skipped = describe_left_out(left_out(weights))
    try:
        matrices = matrices_of(weights, file.heads)
    except ValueError as error:
        raise SpaceprobeError(f"{path}: {error}") from error
    if not matrices:
        raise SpaceprobeError(f"{path}: holds no matrix ({skipped}); give a file of weights that does")
    folder = results / file.name
    parts = list(_stored(file, folder, matrices))
    for table in OF_A_FILE:
        rows = [row for part in parts for row in part.content.record.get(table.name, [])]
        write_csv(folder / f"{table.name}.csv", build_frame(table, [{"run": file.name, **r} for r in rows]))
    failures = {p.part.key["name"]: p.content.error for p in parts if p.content.error}
    return FileOutcome("\n".join(_summary(file, parts, skipped, folder)), failures)


def _stored(file: _File, folder: Path, matrices: Sequence[NamedMatrix]) -> Iterator[StoredPart]:
    """Yields the finished part of each matrix, computed now where it is not there."""
    for number, matrix in enumerate(tqdm(matrices, desc="lmd", unit="matrix", disable=None)):
        key = {
            "version": VERSION,
            "sha256": file.digest,
            "name": matrix.name,
            "heads": file.heads,
            "leading": file.leading,
        }
        part = Part(f"factors/{number:04d}.npz", key, amount=1)
        stored = read_part(folder, part)
        if not isinstance(stored, StoredPart):
            start = time.perf_counter()
            content = _content(number, matrix, file.leading)
            write_part(folder, part, content, time.perf_counter() - start)
            stored = StoredPart(part, content, 0.0)
        # The tables need the rows only: the factors of a large model do not fit into memory at once.
        yield StoredPart(part, Content(stored.content.record, error=stored.content.error), stored.duration_s)


def _content(number: int, matrix: NamedMatrix, leading: int | None) -> Content:
    where = {"layer": number, "name": matrix.name, "kind": matrix.kind}
    try:
        found = _decomposed(matrix.matrix, leading)
    except ValueError as error:  # NaN or infinite: the others are decomposed all the same
        num_outputs, num_inputs = matrix.shape
        sides = {"num_outputs": num_outputs, "num_inputs": num_inputs}
        layer = {**where, **sides, "valid": False, "reason": str(error)}
        return Content({"note": matrix.note, "lmd_layers": [layer]}, error=str(error))
    rows = {table: [{**where, **row} for row in some] for table, some in found.rows.items()}
    return Content({"note": matrix.note, **rows}, factor_arrays("matrix", found))


def _decomposed(matrix: Tensor, leading: int | None) -> Decomposed:
    if leading is not None and leading < min(matrix.shape):
        return leading_decomposed(matrix, leading)
    return decomposed(matrix, [Metric("identity", identity)], Known())


def _summary(file: _File, parts: Sequence[StoredPart], skipped: str, folder: Path) -> Iterator[str]:
    layers = pd.DataFrame([row for part in parts for row in part.content.record["lmd_layers"]])
    tails = [row for part in parts for row in part.content.record.get("lmd_tails", [])]
    shown = layers[["name", "kind", "num_outputs", "num_inputs"]].copy()
    for column in ("rank", "spectral_norm", "stable_rank", "reconstruction_error"):
        shown[column] = layers.get(column)
    by_layer = {row["layer"]: row["exponent"] if row["valid"] else None for row in tails}
    shown["tail exponent"] = pd.Series([by_layer.get(n) for n in range(len(shown))], dtype=float)
    shown["note"] = [part.content.record["note"] for part in parts]
    yield f"{file.path}: {len(parts)} matrices"
    yield shown.to_string(index=False, na_rep="-", float_format=lambda number: f"{number:.3g}")
    if skipped:
        yield skipped
    yield f"tables   {folder}/*.csv"
    yield f"factors  {folder}/factors/*.npz"
