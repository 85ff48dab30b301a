"""Finds a study that was started before, by its name or its folder of results."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.results.recording_folders import find_recording
from spaceprobe.results.weight_folders import find_weights
from spaceprobe.study.config import Study, load_study
from spaceprobe.study.config.finding import check_name, find_config, study_name
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.config.study import HEADER
from spaceprobe.study.layout import EVENTS, NOTES, PROVENANCE, RUNS, STUDY_FILE


def find_started(config: str | None, results: Path) -> tuple[Study, Path]:
    """Return a study as it was last started, and its folder of results.

    Args:
        config: the study's name or file, as `spaceprobe run` takes it, or its folder of results. The file
            is not read, since it may have been edited or removed.
        results: the folder with one folder for each study.

    Raises:
        SpaceprobeError: the study was never started there.
    """
    own = _folder_of(config)
    if own is not None:
        return _load(own / STUDY_FILE, name_of_folder(own)), own
    refuse_weights(config, results)
    name = study_name(config)
    folder = results / name
    is_folder = config is not None and os.path.isdir(config)  # noqa: PTH112  # unlike Path's, it never raises
    is_other = is_folder and not _is_bare(str(config))  # another one than that of the results
    if not name or is_other or not _is_file(folder / STUDY_FILE):
        place = Path(str(config)) if is_other else folder
        beside = f" (nor is there one in {config})" if is_folder and not is_other else ""
        raise SpaceprobeError(
            f"{place / STUDY_FILE}: there is none{beside}, so no study was started there; start it with "
            "`spaceprobe run`, which keeps what is finished, or give its place with --results"
        )
    return _load(folder / STUDY_FILE, name), folder


def refuse_weights(config: str | None, results: Path) -> None:
    """Refuse a folder of `spaceprobe lmd --weights`, or of a recorder, where a study is needed.

    Raises:
        SettingsError: naming the commands that take it.
    """
    of_weights = find_weights(config, results)
    if of_weights is not None:
        raise SettingsError(
            f"{of_weights}: has the matrices of a file of weights, not a study; `spaceprobe report`, `plot` "
            "and `compare` take it"
        )
    recording = find_recording(config, results)
    if recording is not None:
        raise SettingsError(
            f"{recording}: has what a recorder measured, not a study; `spaceprobe report`, `plot` and "
            "`compare` take it"
        )


def kept_folder(config: str | None, results: Path | None = None) -> Path | None:
    """Return the folder of results that names a study to be taken through its stages, or None.

    It is the folder, or the ``study.yaml`` that spaceprobe keeps in it. A bare name of a study means the
    study, even if a folder of that name lies in the current one; without such a study, it may be the
    name of a folder in the folder of results.

    Args:
        config: the study, as `spaceprobe run` takes it.
        results: the folder with one folder for each study; None where names in it do not count.
    """
    if config and _is_bare(config) and _is_study(config):
        return None
    folder = _folder_of(config)
    if folder is None and results is not None and config and _is_bare(config):
        named = results / config
        return named if _is_file(named / STUDY_FILE) else None
    return folder


def refuse_folder(config: str | None, results: Path) -> None:
    """Refuse a folder in which no study was started where the settings of one are needed.

    Args:
        config: the study, as `spaceprobe run` takes it, which is not a folder of results.
        results: the folder with one folder for each study.

    Raises:
        SettingsError: naming what is allowed.
    """
    if config is None or (_is_bare(config) and _is_study(config)):
        return
    refuse_weights(config, results)
    if os.path.isdir(config):  # noqa: PTH112  # unlike Path's, it never raises
        raise SettingsError(
            f"{config}: a folder without {STUDY_FILE}, so no study was started in it; expected a YAML file, "
            "a shipped study (`spaceprobe studies`), or a study's folder of results or its name"
        )


def name_of_folder(folder: Path) -> str:
    """Return the name of a folder of results, which is the study's, also where it is given as ``.``."""
    return Path(os.path.abspath(folder)).name  # noqa: PTH100  # a link keeps its name


def load_kept(
    folder: Path, overrides: Sequence[str] = (), flags: Mapping[str, tuple[str, str]] | None = None
) -> Study:
    """Return the study that is kept in its folder of results, with settings of the command line.

    Raises:
        SpaceprobeError: it cannot be read, or the settings are wrong.
    """
    return _load(folder / STUDY_FILE, name_of_folder(folder), overrides, flags)


def _folder_of(config: str | None) -> Path | None:
    """Return the folder of results that a user names by itself or by the ``study.yaml`` in it, or None."""
    if not config:
        return None
    path = Path(config)
    if _is_file(path / STUDY_FILE):
        return path
    return path.parent if path.name == STUDY_FILE and _is_kept(path) else None


def _is_kept(path: Path) -> bool:
    """Return whether a file is a study that spaceprobe keeps: it says so, and stands among results."""
    if not _is_file(path):
        return False  # opening a pipe would wait
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            is_ours = file.readline(len(HEADER)) == HEADER
    except OSError:
        return False
    return is_ours and any(os.path.lexists(path.parent / name) for name in (RUNS, PROVENANCE, EVENTS, NOTES))


def _is_study(name: str) -> bool:
    """Return whether a bare name is that of a study in ``configs`` or of a shipped one, or a file."""
    try:
        path = find_config(name)
    except ConfigError:
        return False
    return _is_file(path) and path.name != STUDY_FILE


def _load(
    path: Path,
    name: str,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, str]] | None = None,
) -> Study:
    try:
        return load_study(path, overrides, flags, name=name)
    except ConfigError as error:
        if check_name(name, path) or any(place.rank > 0 for place, _ in error.errors):
            raise  # the folder's name or the command line is wrong, not the file
        raise SettingsError(
            f"{error}\nspaceprobe wrote this file, so it is an older version's or was edited: `spaceprobe "
            "run` of the study itself writes it again"
        ) from error


def _is_bare(config: str) -> bool:
    """Return whether a study is given by a name alone, not by a path."""
    return Path(config).name == config


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # of the path module: it raises nothing
