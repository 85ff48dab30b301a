"""The Layer Matrix Decomposition of every matrix in a file of weights, without a study."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import ResultsError, file_digest
from spaceprobe.lmd.metrics import identity
from spaceprobe.networks.threads import one_thread
from spaceprobe.stages.lmd.leading_rows import is_iterated, leading_decomposed, max_iterated
from spaceprobe.stages.lmd.matrix_rows import Decomposed, Known, Metric, decomposed, factor_arrays
from spaceprobe.stages.lmd.product_rows import product_decomposed
from spaceprobe.stages.lmd.tables import OF_A_FILE
from spaceprobe.stages.stage import FileOutcome, Part, PartContent
from spaceprobe.study.code_version import source_version
from spaceprobe.study.storage.part_files import StoredPart, read_part, write_part
from spaceprobe.tables.frames import build_frame, write_csv
from spaceprobe.weights.files import read_weights, shown_path
from spaceprobe.weights.matrices import NamedMatrix, describe_left_out, left_out, matrices_of
from spaceprobe.weights.pickles import shown as quoted

MAX_NAME = 80
"""Chosen: characters of a matrix's name in the summary; the tables have it whole."""

MAX_ENTRIES = 2**26
"""Chosen: 8192 × 8192, some 6 GB while it is decomposed in full. A constant, so that a call gives the same
tables on every machine."""

BYTES_PER_ENTRY = 96
"""Measured: a square matrix at its peak; a tall one takes 70, a wide one 50. Most of it is LAPACK's."""

MAX_LEADING_ENTRIES = 2**29
"""Chosen: 128 thousand × 4096, some 7 GB for its leading values, at 12 bytes an entry beside the file."""


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
    """Decompose every matrix of a file and writes tables and factors.

    Each matrix is a part of its own: what is finished is kept, and the same call goes on from there. Parts
    of an earlier call that are none of this one, as of heads, are removed once all of this one are there.

    The product of two factors over a dimension below both its sides is decomposed without being formed, all
    its values other than 0, with and without ``leading``. A matrix of more than `MAX_ENTRIES` entries (of
    more than `MAX_LEADING_ENTRIES` where only leading values are computed by iteration) is not decomposed:
    it is a failure with the way out, the others are decomposed all the same.

    One torch thread, whatever the machine, so that the same bytes come out.

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
    with one_thread():
        parts = list(_stored(file, folder, matrices))
    for table in OF_A_FILE:
        rows = [row for part in parts for row in part.content.record.get(table.name, [])]
        write_csv(folder / f"{table.name}.csv", build_frame(table, [{"run": file.name, **r} for r in rows]))
    _remove_others(folder, parts)
    failures = {printable(p.part.key["name"]): p.content.error for p in parts if p.content.error}
    return FileOutcome("\n".join(_summary(file, parts, skipped, folder)), failures)


def _remove_others(folder: Path, parts: Sequence[StoredPart]) -> None:
    """Remove what an earlier call with more heads left behind: numbered parts that are none of these."""
    kept = {folder / part.part.path for part in parts}
    for path in folder.glob("factors/*.npz"):
        if re.fullmatch(r"[0-9]{4,}", path.stem) and path not in kept:
            try:
                path.unlink()
            except OSError as error:
                raise ResultsError(
                    f"{path}: belongs to an earlier call and cannot be removed ({error.strerror}); remove it "
                    "or give another folder with --results"
                ) from error


def _stored(file: _File, folder: Path, matrices: Sequence[NamedMatrix]) -> Iterator[StoredPart]:
    """Yield the finished part of each matrix, computed now where it is not there."""
    code = source_version(_content.__module__)
    for number, matrix in enumerate(tqdm(matrices, desc="lmd", unit="matrix", disable=None)):
        key = {
            "sha256": file.digest,
            "name": matrix.name,
            "heads": file.heads,
            "leading": file.leading,
        }
        part = Part(f"factors/{number:04d}.npz", key, amount=1)
        # The tables need the rows only: the factors of a large model do not fit into memory at once.
        record, error = _finished(folder, part, code, partial(_content, number, matrix, file.leading))
        yield StoredPart(part, PartContent(record, error=error), 0.0, code)


def _finished(
    folder: Path, part: Part, code: str, compute: Callable[[], PartContent]
) -> tuple[Mapping[str, Any], str | None]:
    """Return the rows and the error of a part that is there when this returns."""
    stored = read_part(folder, part, code)
    if isinstance(stored, StoredPart):
        return stored.content.record, stored.content.error
    start = time.perf_counter()
    content = compute()
    write_part(folder, part, content, time.perf_counter() - start, code)
    return content.record, content.error


def _content(number: int, matrix: NamedMatrix, leading: int | None) -> PartContent:
    where = {"layer": number, "name": matrix.name, "kind": matrix.kind}
    try:
        found = _decomposed(matrix, leading)
    except ValueError as error:  # NaN, infinite, too large: the others are decomposed all the same
        num_outputs, num_inputs = matrix.shape
        sides = {"num_outputs": num_outputs, "num_inputs": num_inputs}
        layer = {**where, **sides, "valid": False, "reason": str(error)}
        return PartContent({"note": matrix.note, "lmd_layers": [layer]}, error=str(error))
    rows = {table: [{**where, **row} for row in some] for table, some in found.rows.items()}
    note = "; ".join(filter(None, [matrix.note, found.note]))
    return PartContent({"note": note, **rows}, factor_arrays("matrix", found))


def _decomposed(matrix: NamedMatrix, leading: int | None) -> Decomposed:
    if matrix.is_thin_product:
        return product_decomposed(matrix.factors[0], matrix.factors[-1])
    is_leading = leading is not None and leading < min(matrix.shape)
    _check_size(matrix.shape, leading if is_leading else None)
    if leading is not None and is_leading:
        return leading_decomposed(matrix.matrix, leading)
    return decomposed(matrix.matrix, [Metric("identity", identity)], Known())


def _check_size(shape: tuple[int, int], leading: int | None) -> None:
    """Refuse a matrix whose decomposition takes too much memory.

    Raises:
        ValueError: it does; the message says how much, and the way out.
    """
    num_entries = shape[0] * shape[1]
    is_frugal = leading is not None and is_iterated(shape, leading)
    most = MAX_LEADING_ENTRIES if is_frugal else MAX_ENTRIES
    if num_entries <= most:
        return
    way_out = "decompose a part of it, saved to a file of its own"
    if not is_frugal and max_iterated(shape) and num_entries <= MAX_LEADING_ENTRIES:
        way_out = f"give --leading N, N at most {max_iterated(shape)}, for its leading values"
    needed = "" if is_frugal else f" (it would take some {num_entries * BYTES_PER_ENTRY / 1e9:.2g} GB)"
    raise ValueError(
        f"{shape[0]} × {shape[1]}: {num_entries} entries, at most {most} are decomposed "
        f"{'by iteration' if is_frugal else 'in full'}{needed}; {way_out}"
    )


def printable(name: str) -> str:
    """Return a name from a file as a terminal may show it: without control characters, not too long."""
    return name if name.isprintable() and len(name) <= MAX_NAME else quoted(name)


def _summary(file: _File, parts: Sequence[StoredPart], skipped: str, folder: Path) -> Iterator[str]:
    layers = pd.DataFrame([row for part in parts for row in part.content.record["lmd_layers"]])
    tails = [row for part in parts for row in part.content.record.get("lmd_tails", [])]
    shown = layers[["name", "kind", "num_outputs", "num_inputs"]].copy()
    for column in ("rank", "spectral_norm", "stable_rank", "reconstruction_error"):
        shown[column] = layers.get(column)
    by_layer = {row["layer"]: row["exponent"] if row["valid"] else None for row in tails}
    shown["tail exponent"] = pd.Series([by_layer.get(n) for n in range(len(shown))], dtype=float)
    shown["note"] = [part.content.record["note"] for part in parts]
    shown["name"] = shown["name"].map(printable)
    yield f"{shown_path(file.path)}: {len(parts)} matri{'ces' if len(parts) != 1 else 'x'}"
    yield shown.to_string(index=False, na_rep="-", float_format=lambda number: f"{number:.3g}")
    if skipped:
        yield skipped
    yield f"tables   {folder}/*.csv"
    yield f"factors  {folder}/factors/*.npz"
