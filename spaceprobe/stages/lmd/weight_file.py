"""The Layer Matrix Decomposition of every matrix in a file of weights, without a study."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import file_digest
from spaceprobe.stages.stage import FileValue, Part, PartContent
from spaceprobe.weights.quoting import path_text, quote_if_needed

if TYPE_CHECKING:
    from spaceprobe.stages.lmd.matrix import Decomposition
    from spaceprobe.weights.matrices import NamedMatrix

MAX_ENTRIES = 2**26
"""Chosen: 8192 × 8192, some 6 GB while it is decomposed in full. A constant, so that a call gives the same
tables on every machine."""

BYTES_PER_ENTRY = 96
"""Measured: a square matrix at its peak; a tall one takes 70, a wide one 50. Most of it is LAPACK's."""

MAX_LEADING_ENTRIES = 2**29
"""Chosen: 128 thousand × 4096, some 7 GB for its leading values, at 12 bytes an entry beside the file."""


def open_weights(path: Path, options: Mapping[str, FileValue]) -> "WeightFile":
    """Read a file of weights and find its matrices.

    Args:
        path: of the weights, as `spaceprobe.weights.files.read_weights` takes it.
        options: ``heads`` of attention layers, the number of ``leading`` values, and patterns of names:
            ``transposed`` kernels and the ``groups`` of convolutions; each None without.

    Raises:
        WeightFileError: the file cannot be read.
        SpaceprobeError: the heads or patterns do not fit, the file holds no matrix, or a config beside it
            cannot be read.
    """
    from spaceprobe.weights.config import read_configs
    from spaceprobe.weights.files import read_weights
    from spaceprobe.weights.hints import check_patterns, read_hints
    from spaceprobe.weights.matrices import describe_left_out, find_matrices

    configs = read_configs(path.parent)
    try:
        texts = (_text(options["transposed"]), _text(options["groups"]))
        hints = read_hints(_number(options["heads"]), *texts, configs)
        found = find_matrices(read_weights(path), hints)
        check_patterns([one.name for one in found.matrices if one.kind == "convolution"], hints)
    except ValueError as error:
        raise SpaceprobeError(f"{path_text(path)}: {error}") from error
    skipped = describe_left_out(found.left_out, found.joined)
    if not found.matrices:
        raise SpaceprobeError(f"{path}: holds no matrix ({skipped}); give a file of weights that does")
    return WeightFile(path, options, found.matrices, skipped, configs.digests)


class WeightFile:
    """The matrices of a file of weights, each a part of its own.

    Attributes:
        path: of the file.
        name: of its folder of results: readable, and another one for other weights.
        parts: one for each matrix.
        part_pattern: a regular expression of the files of parts.
        skipped: what is not a matrix, in words; empty for nothing.
        facts: what provenance.json says about the file, and about the configs beside it.
    """

    part_pattern = r"factors/[0-9]{4,}\.npz"

    def __init__(
        self,
        path: Path,
        options: Mapping[str, FileValue],
        matrices: "Sequence[NamedMatrix]",
        skipped: str,
        configs: Mapping[str, str],
    ) -> None:
        digest = file_digest(path) or ""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip(".-") or "weights"
        asked: dict[str, Any] = {name: options[name] for name in ("heads", "leading")}
        asked |= {name: value for name, value in options.items() if value is not None}
        asked |= {"configs": dict(configs)} if configs else {}
        self.path = path
        self.name = f"weights-{stem[:80]}-{digest[:6]}"
        self.skipped = skipped
        self.facts: Mapping[str, Any] = {
            "path": path_text(path),
            "sha256": digest,
            **asked,
            "skipped": skipped,
        }
        self.parts: Sequence[Part] = [
            Part(f"factors/{number:04d}.npz", {"sha256": digest, "name": matrix.name, **asked}, amount=1)
            for number, matrix in enumerate(matrices)
        ]
        self._leading = _number(options["leading"])
        self._numbered = {
            part.path: (number, matrix)
            for number, (part, matrix) in enumerate(zip(self.parts, matrices, strict=True))
        }

    def title(self, part: Part) -> str:
        """Return the name of a part's matrix, as a terminal may show it."""
        return quote_if_needed(part.key["name"])

    def compute(self, part: Part) -> PartContent:
        """Decompose one matrix, with one torch thread, whatever the machine: more change last bits.

        The product of two factors over a dimension below both its sides is decomposed without being formed,
        all its values other than 0, with and without ``leading``. A matrix of more than `MAX_ENTRIES` entries
        (of more than `MAX_LEADING_ENTRIES` where only leading values are computed by iteration) is not
        decomposed: the content's error says so, with the way out.
        """
        from spaceprobe.networks.threads import one_thread
        from spaceprobe.stages.lmd.matrix import factor_arrays

        number, matrix = self._numbered[part.path]
        where = {"layer": number, "name": matrix.name, "kind": matrix.kind}
        try:
            with one_thread():
                decomposition = _decompose(matrix, self._leading)
        except ValueError as error:  # NaN, infinite, too large: the others are decomposed all the same
            num_outputs, num_inputs = matrix.shape
            sides = {"num_outputs": num_outputs, "num_inputs": num_inputs}
            layer = {**where, **sides, "valid": False, "reason": str(error)}
            return PartContent({"note": matrix.note, "lmd_layers": [layer]}, error=str(error))
        rows = {
            table: [{**where, **row} for row in table_rows]
            for table, table_rows in decomposition.rows.items()
        }
        note = "; ".join(filter(None, [matrix.note, decomposition.note]))
        return PartContent({"note": note, **rows}, factor_arrays("matrix", decomposition))


def _number(value: FileValue) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: FileValue) -> str | None:
    return value if isinstance(value, str) else None


def _decompose(matrix: "NamedMatrix", leading: int | None) -> "Decomposition":
    from spaceprobe.stages.lmd.latent_metrics import IDENTITY
    from spaceprobe.stages.lmd.leading_values import decompose_leading
    from spaceprobe.stages.lmd.matrix import Background, decompose_matrix
    from spaceprobe.stages.lmd.thin_product import decompose_product

    if matrix.is_thin_product:
        return decompose_product(matrix.factors[0], matrix.factors[-1])
    if leading is not None and leading >= min(matrix.shape):
        leading = None
    _check_size(matrix.shape, leading)
    if leading is not None:
        return decompose_leading(matrix.matrix, leading)
    return decompose_matrix(matrix.matrix, [IDENTITY], Background())


def _check_size(shape: tuple[int, int], leading: int | None) -> None:
    """Refuse a matrix whose decomposition takes too much memory.

    Raises:
        ValueError: it does; the message says how much, and the way out.
    """
    from spaceprobe.stages.lmd.leading_values import is_iterated, max_iterated

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
