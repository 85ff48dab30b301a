"""The matrices of a model, planned first and then read a block at a time."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import file_digest
from spaceprobe.networks.product_layers import state_with_products
from spaceprobe.weights.files import WeightSource, natural_key, ordered
from spaceprobe.weights.hints import check_patterns
from spaceprobe.weights.layouts.layout import HintError, Hints
from spaceprobe.weights.matrices import Found, NamedMatrix, describe_left_out, find_matrices, no_attention
from spaceprobe.weights.tied import tie_digest
from spaceprobe.weights.torch_files import Declared
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
        self._twins: dict[str, list[str]] = {}
        skipped: dict[str, list[str]] = {}
        joined: dict[str, list[str]] = {}
        kernels: list[str] = []
        has_attention = False
        planned: list[Planned] = []
        firsts: dict[str, str] = {}  # names by the digest of what they hold, across blocks
        for number in range(len(model.blocks)):
            found = self._load(number)
            for all_of, of_block in ((skipped, found.left_out), (joined, found.joined)):
                for reason, names in of_block.items():
                    all_of.setdefault(reason, []).extend(names)
            kernels += [matrix.name for matrix in found.matrices if matrix.kind == "convolution"]
            has_attention = has_attention or found.has_attention
            tied = self._tie(found, firsts) if len(model.blocks) > 1 else ()
            planned += [
                Planned(matrix.name, number, place, len(matrix.factors) == 2)
                for place, matrix in enumerate(found.matrices)
                if matrix.name not in tied
            ]
            del found  # they would stay while the next block is read
        if hints.heads is not None and not has_attention:
            raise SettingsError(f"{path}: {no_attention(hints.heads, len(model.tensors))}")
        try:
            check_patterns(kernels, hints)
        except HintError as error:
            raise SettingsError(f"{path}: {error}") from error
        if len(model.blocks) > 1:
            planned = _as_in_one_file(planned, [*model.tensors])
        self.planned: Sequence[Planned] = planned
        self.skipped = describe_left_out(skipped, joined)

    def _tie(self, found: Found, firsts: dict[str, str]) -> set[str]:
        """Return the names of matrices of a block that an earlier block holds, and note them there."""
        tied = set()
        for matrix in found.matrices:
            digest = tie_digest(matrix.factors[0]) if len(matrix.factors) == 1 else None
            if digest is None:
                continue
            first = firsts.setdefault(digest, matrix.name)
            if first == matrix.name:
                continue
            tied.add(matrix.name)
            names = [matrix.name, *(name for name, twin in found.tied.items() if twin == matrix.name)]
            self._twins.setdefault(first, []).extend(names)
        return tied

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

    def release(self) -> None:
        """Free the block that was read last."""
        self._read = None

    def _load(self, number: int) -> Found:
        """Read a block, keep its matrices instead of those of another, and return what was found."""
        self.release()  # first: two blocks are never there at once
        try:
            # Nothing here holds the tensors: what is joined of them is freed on the way.
            found = find_matrices(self._model.read(self._model.blocks[number]), self._hints, self._twins)
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


class NetworkMatrices(ModelMatrices):
    """The matrices of a network in memory.

    Args:
        name: what names the network.
        network: the network.
        hints: see `ModelMatrices`.

    Raises:
        SettingsError: the hints do not fit.
    """

    def __init__(self, name: str, network: nn.Module, hints: Hints) -> None:
        self._name = name
        state = state_with_products(network)
        self._state = {name: tensor.detach().cpu() for name, tensor in state.items()}
        tensors = ordered({name: Declared(tuple(t.shape), t.dtype) for name, t in self._state.items()})
        source = WeightSource(tensors, "", lambda names: {name: self._state[name] for name in names})
        homes = dict.fromkeys(tensors, name)
        super().__init__(
            Path(name), OpenedModel((), tensors, "", (tuple(tensors),), {name: source}, homes), hints
        )

    def digest(self) -> str:
        """Return the SHA-256 of names, types, shapes and numbers of all tensors."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._state.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def stem(self) -> str:
        """Return what the results are called after."""
        return self._name


def _as_in_one_file(planned: Sequence[Planned], tensors: Sequence[str]) -> list[Planned]:
    """Return matrices of several blocks in the order of the same model in one file.

    That is the order of the tensors, products last. A block whose names have no number, such as that of
    ``model.embed.weight`` and ``model.pooler.weight``, may stand around others.

    Args:
        planned: the matrices, block by block, each block's in its order.
        tensors: the names of all tensors, in order.
    """
    keys = [natural_key(name) for name in tensors]
    places: list[tuple[bool, int]] = []
    last: Planned | None = None
    for matrix in planned:
        # A matrix that was joined of several tensors has their name but for its end.
        place = bisect_left(keys, natural_key(matrix.name))
        if last is not None and (last.block, last.is_product) == (matrix.block, matrix.is_product):
            place = max(place, places[-1][1])
        places.append((matrix.is_product, place))
        last = matrix
    return [planned[number] for number in sorted(range(len(planned)), key=places.__getitem__)]
