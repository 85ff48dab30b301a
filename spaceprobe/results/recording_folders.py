"""Finds the recordings of a training loop by the name of their folder. Without pandas."""

from pathlib import Path

from spaceprobe.study.layout import table_path

RECORDING = "recording"
"""The table by which such a folder is known."""


def find_recording(config: str | None, results: Path) -> Path | None:
    """Return the folder of a recording that a user names, or None.

    Args:
        config: the folder, or its name in the folder of results.
        results: the folder with one folder for each study.
    """
    if not config:
        return None
    places = [Path(config)]
    if Path(config).name == config:
        places.append(results / config)
    return next((place for place in places if is_recording(place)), None)


def is_recording(folder: Path) -> bool:
    """Return whether a folder is one that a recorder wrote."""
    return table_path(folder, RECORDING).is_file()
