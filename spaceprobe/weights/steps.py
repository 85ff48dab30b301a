"""Checkpoints of one training: files or folders of weights whose names differ by the number of a step."""

import re
from collections.abc import Mapping
from pathlib import Path

from spaceprobe.weights.files import TORCH_SUFFIXES
from spaceprobe.weights.whole_models import INDEX_SUFFIX, SHARD

SUFFIXES = (".safetensors", *TORCH_SUFFIXES)


def checkpoints_in(folder: Path) -> Mapping[int, Path]:
    """Return the checkpoints of a folder by their step, in its order; empty where it holds something else.

    They are at least two files of weights, or else folders with one each (a file of safetensors before one
    of torch, or an index.json), whose names differ in one number only. A folder with an index.json is one
    model, and shards are parts of one.

    Args:
        folder: what may be a folder.

    Raises:
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        return {}
    entries = sorted(folder.iterdir())
    if any(entry.name.endswith(INDEX_SUFFIX) for entry in entries):
        return {}
    files = {entry.stem: entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()}
    if any(SHARD.search(file.name) for file in files.values()):
        return {}
    models = {entry.name: model for entry in entries if entry.is_dir() and (model := _model_in(entry))}
    for found in (files, models):
        steps = _steps([*found])
        if steps:
            return {step: found[steps[step]] for step in sorted(steps)}
    return {}


def _model_in(folder: Path) -> Path | None:
    """Return the weights of a folder: the folder itself with an index.json, or the only file of a format."""
    entries = sorted(folder.iterdir())
    if any(entry.name.endswith(INDEX_SUFFIX) for entry in entries):
        return folder
    for suffixes in ((".safetensors",), TORCH_SUFFIXES):
        files = [entry for entry in entries if entry.suffix.lower() in suffixes and entry.is_file()]
        if len(files) == 1:
            return files[0]
    return None


def _steps(names: list[str]) -> dict[int, str]:
    """Return names by the one number that tells them apart; empty where none does.

    >>> _steps(["step2-seed1", "step10-seed1"])
    {2: 'step2-seed1', 10: 'step10-seed1'}
    >>> _steps(["step2-seed1", "step10-seed2"]), _steps(["a", "b1"]), _steps(["step2"])
    ({}, {}, {})
    """
    parts = [re.split("([0-9]+)", name) for name in names]
    if len(names) < 2 or len({len(words) for words in parts}) > 1:
        return {}
    differing = [place for place, words in enumerate(zip(*parts, strict=True)) if len({*words}) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return {}
    steps = {int(words[differing[0]]): name for words, name in zip(parts, names, strict=True)}
    return steps if len(steps) == len(names) else {}
