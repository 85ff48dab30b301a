"""The steps of a training: a folder whose files or subfolders of weights differ by a step number."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spaceprobe.weights.files import TORCH_SUFFIXES, WeightFileError, one_sentence
from spaceprobe.weights.quoting import path_text, quote
from spaceprobe.weights.whole_models import INDEX_SUFFIX, SHARD

WEIGHT_SUFFIXES = (".safetensors", *TORCH_SUFFIXES)

_NUMBER = re.compile("[0-9]+")

_MAIN_NAMES = ("model", "pytorch_model")
"""Stems of the file of weights beside others, such as those of an optimizer: Hugging Face's."""


def is_folder_of_steps(path: Path) -> bool:
    """Return whether a path is a folder without an index.json, which has to hold steps then.

    Raises:
        WeightFileError: the folder cannot be read.
    """
    with one_sentence(path):
        return path.is_dir() and not _indices(path)


def weight_steps(folder: Path) -> list[tuple[int, Path]]:
    """Return the steps of a training in ascending order, each with its weights as `open_model` takes them.

    The steps are the files of weights in the folder, or its subfolders with weights in them, whose names are
    the same but for one number: ``checkpoint-100.safetensors`` and ``checkpoint-200.safetensors``, or
    ``step_100/model.safetensors``. Where several numbers differ, the one behind the word "step" counts:
    ``epoch=1-step=400.ckpt``. Other files and folders are passed over.

    Args:
        folder: a folder without an index.json.

    Raises:
        WeightFileError: the folder cannot be read, or does not hold at least two such steps.
    """
    with one_sentence(folder):
        paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        files = [path for path in paths if _is_weights(path)]
        inside = {path: weights for path in paths if path.is_dir() and (weights := _weights_in(path))}
    if files and inside:
        raise _refusal(
            folder,
            f"holds files of weights ({quote(files[0].name)}) and subfolders of them "
            f"({quote(next(iter(inside)).name)})",
        )
    if not files and not inside:
        raise _refusal(folder, f"holds no weights ({', '.join(WEIGHT_SUFFIXES)})")
    if len(files or inside) == 1:
        raise _refusal(folder, f"holds one of them only ({quote((files or [*inside])[0].name)})")
    if files and all(SHARD.search(path.name) for path in files):
        raise _refusal(folder, f"holds shards of one model ({quote(files[0].name)}) without their index.json")
    numbers = _step_numbers(folder, files or [*inside])
    return [(step, inside[path][0] if inside else path) for step, path in sorted(numbers.items())]


def _step_numbers(folder: Path, paths: Sequence[Path]) -> Mapping[int, Path]:
    """Return paths by the number in which their names differ."""
    first = paths[0]
    for path in paths[1:]:
        if _NUMBER.split(path.name) != _NUMBER.split(first.name):
            raise _refusal(folder, f"{quote(first.name)} and {quote(path.name)} differ in more than a number")
    numbers = [list(map(int, _NUMBER.findall(path.name))) for path in paths]
    differing = [place for place, column in enumerate(zip(*numbers, strict=True)) if len({*column}) > 1]
    texts = _NUMBER.split(first.name)
    chosen = [place for place in differing if re.search(r"step[^a-zA-Z0-9]*$", texts[place], re.IGNORECASE)]
    places = differing if len(differing) == 1 else chosen
    if differing and len(places) != 1:
        example = next(path for path in paths if path.name != first.name)
        raise _refusal(
            folder, f"{quote(first.name)} and {quote(example.name)} differ in more than one number"
        )
    place = places[0] if places else 0  # without one, the same number is written in two ways
    steps: dict[int, Path] = {}
    for path, row in zip(paths, numbers, strict=True):
        step = row[place]
        if step in steps:
            raise _refusal(folder, f"{quote(steps[step].name)} and {quote(path.name)} are the same step")
        steps[step] = path
    return steps


def _weights_in(folder: Path) -> list[Path]:
    """Return the weights in the subfolder of a step as a list of one; empty where it has none.

    Raises:
        WeightFileError: several files may be meant.
    """
    if _indices(folder):
        return [folder]
    files = [path for path in sorted(folder.iterdir()) if _is_weights(path)]
    safe = [path for path in files if path.suffix.lower() == ".safetensors"]
    main = [path for path in files if path.stem in _MAIN_NAMES]
    for group in (files, safe, main):
        if len(group) == 1:
            return group
    if not files:
        return []
    raise WeightFileError(
        f"{path_text(folder)}: is one step of several and holds {len(files)} files of weights "
        f"({quote(files[0].name)}, {quote(files[1].name)}); keep one of them, or name it model.safetensors"
    )


def _is_weights(path: Path) -> bool:
    return path.suffix.lower() in WEIGHT_SUFFIXES and path.is_file()


def _indices(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(INDEX_SUFFIX)]


def _refusal(folder: Path, what: str) -> WeightFileError:
    return WeightFileError(
        f"{path_text(folder)}: {what}. A folder with an index.json, which names the file of each tensor, is "
        "one model; one without holds the steps of a training, files or subfolders of weights whose names "
        "differ by one number, such as checkpoint-100.safetensors and checkpoint-200.safetensors. Give "
        "either, or one file of weights"
    )
