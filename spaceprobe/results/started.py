"""Finds a study that was started before, by its name or its folder of results."""

import os
from pathlib import Path

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.study.config import Study, load_study
from spaceprobe.study.config.finding import check_name, study_name
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.layout import STUDY_FILE


def find_started(config: str | None, results: Path) -> tuple[Study, Path]:
    """Return a study as it was last started, and its folder of results.

    Args:
        config: the study's name or file, as `spaceprobe run` takes it, or its folder of results. The file
            is not read, since it may have been edited or removed.
        results: the folder with one folder for each study.

    Raises:
        SpaceprobeError: the study was never started there.
    """
    own = Path(config) if config else None
    if own is not None and _is_file(own / STUDY_FILE):
        folder = Path(os.path.abspath(own))  # noqa: PTH100  # with a name, where it is given as `.`
        return _load(own / STUDY_FILE, folder.name), own
    name = study_name(config)
    folder = results / name
    if not name or not _is_file(folder / STUDY_FILE):
        raise SpaceprobeError(
            f"{folder / STUDY_FILE}: there is none, so no study was started there; start it with "
            "`spaceprobe run`, which keeps what is finished, or give its place with --results"
        )
    return _load(folder / STUDY_FILE, name), folder


def _load(path: Path, name: str) -> Study:
    try:
        return load_study(path, name=name)
    except ConfigError as error:
        if check_name(name, path):
            raise  # the folder's name is wrong, not the file
        raise SettingsError(
            f"{error}\nspaceprobe wrote this file, so it is an older version's or was edited: `spaceprobe "
            "run` of the study itself writes it again"
        ) from error


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # of the path module: it raises nothing
