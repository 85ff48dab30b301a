"""The matrices of a model, planned first and then read a block at a time."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import file_digest
from spaceprobe.weights.hints import check_patterns
from spaceprobe.weights.layouts.layout import HintError, Hints
from spaceprobe.weights.matrices import Found, NamedMatrix, describe_left_out, find_matrices, no_attention
from spaceprobe.weights.whole_models import INDEX_SUFFIX, OpenedModel


class Planned(NamedTuple):
    """A matrix that has not been read yet.

    Attributes:
        name: see `NamedMatrix`.
        block: the number of the block of tensors that it comes from.
        place: its number among the matrices of the block.
        is_product: whether it is the product of two factors.
    """

    name: str
    block: int
    place: int
    is_product: bool


class ModelMatrices:
    """The matrices of a model: of one file, all are kept; of several, those of one block of layers.

    Attributes:
        planned: the matrices, as they stand in the tables: those stored, then the products of heads.
        skipped: what is not a matrix by itself, in words; empty for nothing.

    Args:
        path: what the user gave.
        model: its tensors.
        hints: what is known beside the tensors; see `find_matrices`.

    Raises:
        WeightFileError: a file cannot be read.
        SettingsError: the hints do not fit.
        SpaceprobeError: a config or the sizes do not fit.
    """

    def __init__(self, path: Path, model: OpenedModel, hints: Hints) -> None:
        self.path = path
        self._model = model
        self._hints = hints
        self._read: tuple[int, Sequence[NamedMatrix]] | None = None
        skipped: dict[str, list[str]] = {}
        joined: dict[str, list[str]] = {}
        kernels: list[str] = []
        has_attention = False
        planned: list[Planned] = []
        for number in range(len(model.blocks)):
            found = self._load(number)
            for all_of, of_block in ((skipped, found.left_out), (joined, found.joined)):
                for reason, names in of_block.items():
                    all_of.setdefault(reason, []).extend(names)
            kernels += [matrix.name for matrix in found.matrices if matrix.kind == "convolution"]
            has_attention = has_attention or found.has_attention
            planned += [
                Planned(matrix.name, number, place, len(matrix.factors) == 2)
                for place, matrix in enumerate(found.matrices)
            ]
            del found  # they would stay while the next block is read
        if hints.heads is not None and not has_attention:
            raise SettingsError(f"{path}: {no_attention(hints.heads, len(model.tensors))}")
        try:
            check_patterns(kernels, hints)
        except HintError as error:
            raise SettingsError(f"{path}: {error}") from error
        if len(model.blocks) > 1:
            planned.sort(key=lambda matrix: matrix.is_product)  # stable: blocks stay in their order
        self.planned: Sequence[Planned] = planned
        self.skipped = describe_left_out(skipped, joined)

    def keep(self, chosen: Sequence[bool]) -> None:
        """Leave out the planned matrices that were not chosen."""
        self.planned = [matrix for matrix, is_kept in zip(self.planned, chosen, strict=True) if is_kept]

    def read(self, number: int) -> NamedMatrix:
        """Return a planned matrix; its block is read, unless it was the last that was.

        Raises:
            WeightFileError: a file cannot be read any more.
            SpaceprobeError: a file was changed meanwhile.
        """
        planned = self.planned[number]
        if self._read is None or self._read[0] != planned.block:
            self._load(planned.block)
        matrices = self._read[1] if self._read else ()
        if planned.place >= len(matrices) or matrices[planned.place].name != planned.name:
            raise SpaceprobeError(f"{self.path}: was changed while it was read; try again")
        return matrices[planned.place]

    def _load(self, number: int) -> Found:
        """Read a block, keep its matrices instead of those of another, and return what was found."""
        self._read = None  # first: two blocks are never there at once
        try:
            found = find_matrices(self._model.read(self._model.blocks[number]), self._hints)
        except HintError as error:
            raise SettingsError(f"{self.path}: {error}") from error
        except ValueError as error:
            raise SpaceprobeError(f"{self.path}: {error}") from error
        self._read = number, found.matrices
        return found

    def digest(self) -> str:
        """Return the SHA-256 of the file; of several, of the digests of all."""
        digests = [file_digest(path) or "" for path in self._model.files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def stem(self) -> str:
        """Return what the results are called after: the file; for an index, the folder it lies in."""
        if self.path.is_dir() or self.path.name.endswith(INDEX_SUFFIX):
            folder = self.path if self.path.is_dir() else self.path.parent
            return folder.absolute().name or self.path.name
        return self.path.stem
