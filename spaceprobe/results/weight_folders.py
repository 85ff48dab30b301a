"""Finds the results of `spaceprobe lmd --weights` by the name of their folder. Without pandas."""

import os
from pathlib import Path

from spaceprobe.results.recording_folders import is_recording
from spaceprobe.study.layout import STUDY_FILE, table_path

LAYERS = "lmd_layers"
"""The table by which such a folder is known."""

_ITS_OWN = {"name", "kind"}
"""Columns that only the tables of a file of weights have."""


def find_weights(config: str | None, results: Path) -> Path | None:
    """Return the folder of results of a file of weights that a user names, or None.

    Args:
        config: the folder, or its name in the folder of results.
        results: the folder with one folder for each study and each file of weights.
    """
    if not config:
        return None
    places = [Path(config)]
    if Path(config).name == config:
        places.append(results / config)
    return next((place for place in places if _is_of_weights(place)), None)


def _is_of_weights(folder: Path) -> bool:
    path = table_path(folder, LAYERS)
    if os.path.lexists(folder / STUDY_FILE) or is_recording(folder) or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            columns = file.readline().strip().split(",")
    except OSError:
        return False
    return {*columns} >= _ITS_OWN and "epoch" not in columns
