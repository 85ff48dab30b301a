"""Digests of datasets: what a training depends on. Studies are planned with them: no torch here."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from spaceprobe.data import idx_files
from spaceprobe.data.idx_files import IMAGE_SETS, DataError

RECIPES: Mapping[str, int] = {"swiss-roll": 1}
"""The datasets that are drawn; a number goes up when equal settings no longer give equal points."""


def digest(
    dataset: str,
    *,
    root: Path | None = None,
    download: bool = False,
) -> str:
    """Return a digest of a dataset's content, 64 hexadecimal digits.

    Of an image set it is that of the files' content; of a drawn set, that of its name and of the recipe's
    number, so that it is the same on all machines: the settings that it is drawn with say the rest.

    Args:
        dataset: an image set, or ``swiss-roll``.
        root: of an image set: a folder in torchvision's layout; None as in `idx_files.digest`.
        download: of an image set: whether missing files are downloaded first.

    Raises:
        DataError: no dataset has this name; a file is missing or unreadable; the download failed.
    """
    if dataset in IMAGE_SETS:
        return idx_files.digest(root, dataset, download=download)
    if dataset not in RECIPES:
        names = ", ".join([*IMAGE_SETS, *RECIPES])
        raise DataError(f"data.dataset: no dataset is called {dataset!r}; choose one of {names}")
    recipe = {"dataset": dataset, "recipe": RECIPES[dataset]}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
