"""Whole models in several files: an index.json that names the file of each tensor, read a block at a time."""

import json
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from torch import Tensor

from spaceprobe.weights.candidates import ChoiceError
from spaceprobe.weights.files import (
    MAX_BYTES,
    TORCH_SUFFIXES,
    WeightFileError,
    WeightSource,
    check_declared,
    one_sentence,
    open_source,
    ordered,
)
from spaceprobe.weights.pickles import RefusedError
from spaceprobe.weights.quoting import path_text, quote, quote_error
from spaceprobe.weights.torch_files import Declared

INDEX_SUFFIX = ".index.json"
MAX_INDEX_BYTES = 50_000_000
"""Chosen: the index of a model of 100,000 tensors has some 10 MB."""

MAX_NAMED = 5
"""Chosen: names of tensors that a message lists."""

SHARD = re.compile(r"-0*([0-9]+)-of-0*([0-9]+)\.[^.]+$")
"""Ends the name of a file that is one of several of a model."""


@dataclass(frozen=True)
class OpenedModel:
    """The tensors of a model, in one file or several, declared but not read.

    Attributes:
        files: that its numbers depend on: the file, or the index and its shards.
        tensors: of all files by name, in their order.
        origin: what is read and what is not, as a line; empty where it is all of one file.
        blocks: names of tensors that belong together and are read at once: all of one file, or those of a
            block of layers, which may lie in two shards.
        sources: the files' tensors, by the names of the files.
        homes: the file of each tensor.
    """

    files: tuple[Path, ...]
    tensors: Mapping[str, Declared]
    origin: str
    blocks: tuple[tuple[str, ...], ...]
    sources: Mapping[str, WeightSource]
    homes: Mapping[str, str]

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return tensors in the order of the names.

        Raises:
            WeightFileError: a file cannot be read any more.
        """
        names = [*names]
        read: dict[str, Tensor] = {}
        for file in dict.fromkeys(self.homes[name] for name in names):
            read |= self.sources[file].read(name for name in names if self.homes[name] == file)
        return {name: read[name] for name in names}


def open_model(path: Path, max_bytes: int = MAX_BYTES, key: str | None = None) -> OpenedModel:
    """Return the tensors of a model without reading their numbers.

    Args:
        path: a file that `read_weights` takes; the ``*.index.json`` of several, as Hugging Face writes it; or
            a folder with one. Links are followed, since Hugging Face's cache is made of them.
        max_bytes: cap on each file, and on the tensors of a block as they are returned.
        key: see `read_weights`; only for one file.

    Raises:
        WeightFileError: a file is missing or cannot be read, or the index does not fit the files.
        ChoiceError: see `read_weights`, or a key is given for several files.
    """
    if path.name.endswith(INDEX_SUFFIX) and not path.is_dir():
        return _open_index(path, max_bytes, key)
    if path.is_dir():
        return _open_index(_index_in(path), max_bytes, key)
    source = open_source(path, max_bytes, key)
    origin = "; ".join(filter(None, [source.origin, _describe_shard(path)]))
    homes = dict.fromkeys(source.tensors, path.name)
    blocks = (tuple(source.tensors),)
    return OpenedModel((path,), source.tensors, origin, blocks, {path.name: source}, homes)


def _describe_shard(path: Path) -> str:
    """Return which shard of how many a file is by its name; empty for a file of its own."""
    match = SHARD.search(path.name)
    if match is None or int(match[2]) < 2:
        return ""
    return (
        f"shard {int(match[1])} of {int(match[2])}, the others are not read: "
        f"give the folder or its {INDEX_SUFFIX.removeprefix('.')} for the whole model"
    )


def _index_in(folder: Path) -> Path:
    """Return the index of a folder: that for safetensors where there is one for torch's files beside it."""
    with one_sentence(folder):
        found = sorted(path for path in folder.iterdir() if path.name.endswith(INDEX_SUFFIX))
    of_safetensors = [path for path in found if path.name.endswith(f".safetensors{INDEX_SUFFIX}")]
    for indices in (found, of_safetensors):
        if len(indices) == 1:
            return indices[0]
    if found:
        names = ", ".join(quote(path.name) for path in found[:MAX_NAMED])
        raise WeightFileError(f"{path_text(folder)}: holds {len(found)} models ({names}); give one of them")
    suffixes = ", ".join((".safetensors", *TORCH_SUFFIXES))
    raise WeightFileError(
        f"{path_text(folder)}: is a folder without an index.json, which names the file of each tensor of a "
        f"model; give a folder with one, the index.json itself, or one file of weights ({suffixes})"
    )


def _open_index(path: Path, max_bytes: int, key: str | None) -> OpenedModel:
    with one_sentence(path):
        if key is not None:
            raise ChoiceError("--key belongs to one file of torch.save; leave it out")
        homes = _read_index(path)
        sources = {name: _open_shard(path, name, max_bytes) for name in sorted({*homes.values()})}
        declared = {}
        for name, file in homes.items():
            if name not in sources[file].tensors:
                raise RefusedError(
                    f"names the tensor {quote(name)} in {quote(file)}, which lacks it; get both again"
                )
            declared[name] = sources[file].tensors[name]
        tensors = ordered(declared)
        blocks = blocks_of(tensors)
        for block in blocks:
            check_declared({name: tensors[name] for name in block}, max_bytes)
    unnamed = [name for source in sources.values() for name in source.tensors if name not in homes]
    more = ", …" if len(unnamed) > MAX_NAMED else ""
    ignored = f"; ignored, since the index does not name them: {', '.join(unnamed[:MAX_NAMED])}{more}"
    origin = f"one model in {len(sources)} file{'s' * (len(sources) > 1)}" + (ignored if unnamed else "")
    files = (path, *(path.parent / name for name in sources))
    return OpenedModel(files, tensors, origin, blocks, sources, homes)


def _open_shard(index: Path, name: str, max_bytes: int) -> WeightSource:
    path = index.parent / name
    if not path.exists():
        raise RefusedError(f"names the file {quote(name)}, which is missing beside it; get that file too")
    return open_source(path, max_bytes)


def _read_index(path: Path) -> dict[str, str]:
    """Return the name of the file of each tensor, as an index.json says; all of them lie in its folder."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("is not a file; give the index.json of a model")
    if status.st_size > MAX_INDEX_BYTES:
        raise RefusedError(
            f"has {status.st_size} bytes, an index.json of at most {MAX_INDEX_BYTES} is read; get it again"
        )
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"is not JSON ({quote_error(error)}); get it again") from error
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not files:
        raise RefusedError('has no "weight_map" of tensors and their files; give the index.json of a model')
    for name, file in files.items():
        if not isinstance(file, str) or not _is_name_in_folder(file):
            raise RefusedError(
                f"names the file {quote(str(file))} for the tensor {quote(name)}; only names of files in its "
                "own folder are read"
            )
    return files


def _is_name_in_folder(text: str) -> bool:
    """Return whether a text is the bare name of a file, for every system's way of writing paths."""
    kinds = (PurePosixPath(text), PureWindowsPath(text))
    return text not in ("", ".", "..") and "\0" not in text and all(kind.name == text for kind in kinds)


def blocks_of(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return names of tensors by the block that they belong to, in the order of their first.

    A block is all below the first number of a name: ``model.layers.3``, with its attention, its experts and
    their scales. Names without a number are together where their first word is the same.
    """
    blocks: dict[str, list[str]] = {}
    for name in names:
        match = re.match(r"(?:.*?\.)?[0-9]+(?=\.)", name)
        blocks.setdefault(match[0] if match else name.partition(".")[0], []).append(name)
    return tuple(map(tuple, blocks.values()))
