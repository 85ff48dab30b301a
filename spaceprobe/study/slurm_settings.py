"""What SLURM is asked for: the section ``slurm:`` of a study file."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from spaceprobe.stages.stage import NOT_IN_KEY, Settings

# Every text ends up in a shell script, so it may hold only what its kind needs, and never a second line.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@,-]{0,199}")
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,14}")
_MEMORY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})? ?[MGT]i?B")
_WALLTIME = re.compile(r"(?:([0-9]{1,3})-)?([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])")
_FOLDER = re.compile(r"[\w./+@,=-]+")


def _check_name(value: str) -> str:
    """Return a partition's or an account's name; several partitions are joined by commas."""
    if not _NAME.fullmatch(value):
        raise ValueError("a name has letters, digits and . _ @ - (several partitions are joined by commas)")
    return value


def _check_interface(value: str) -> str:
    if not _INTERFACE.fullmatch(value):
        raise ValueError("a network interface is named like ib0 or eth0; `ip link` lists them")
    return value


def _check_memory(value: str) -> str:
    if not _MEMORY.fullmatch(value) or not re.search("[1-9]", value):
        raise ValueError('write a number and a unit, such as "4GB", "512MB" or "1.5TiB"')
    return value


def _as_clock(value: Any) -> Any:
    """Return the text of a time that was read as a number of seconds: ``12:00:00`` without quotes."""
    if type(value) is int and value >= 3600:
        return f"{value // 3600:02d}:{value % 3600 // 60:02d}:{value % 60:02d}"
    return value


def _check_walltime(value: str) -> str:
    match = _WALLTIME.fullmatch(value)
    if match is None or (match[1] is not None and int(match[2]) > 23):
        raise ValueError('write "HH:MM:SS" or "D-HH:MM:SS", such as "01:00:00" or "2-12:00:00"')
    days, hours, minutes, _ = (int(word or 0) for word in match.groups())
    if not (days or hours or minutes):  # SLURM counts in minutes, and 0 means no limit
        raise ValueError("a job has at least a minute")
    return value


def _check_line(value: str) -> str:
    """Return a line of a script; a character that is not printable could make it two."""
    if not value.strip() or not value.isprintable():
        raise ValueError("write one line of printable characters; each line is an item of the list")
    return value


def _check_directive(value: str) -> str:
    if not value.startswith("-"):
        raise ValueError('write it as behind #SBATCH, such as "--constraint=a100"')
    return _check_line(value)


def check_folder(value: Path) -> Path:
    """Return a folder that fits into a job script, in which SLURM, Dask and the shell do not quote it.

    Raises:
        ValueError: its path has a space or another character that has a meaning there.
    """
    if not _FOLDER.fullmatch(str(value)):
        raise ValueError(f"{str(value)!r} goes into a job script: letters, digits and . _ / + @ , = - only")
    return value


def _check_if_given(value: Path | None) -> Path | None:
    return None if value is None else check_folder(value)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Name = Annotated[str, AfterValidator(_check_name)]
Interface = Annotated[str, AfterValidator(_check_interface)]
Directive = Annotated[str, AfterValidator(_check_directive)]
Line = Annotated[str, AfterValidator(_check_line)]


class SlurmSettings(Settings):
    """A SLURM job: one worker process that computes one job of the study at a time.

    None of it changes a number, so none of it is in the key of a result.
    """

    queue: Annotated[Name | None, NOT_IN_KEY] = Field(
        None, description="the partition; by default the cluster's own default"
    )
    account: Annotated[Name | None, NOT_IN_KEY] = Field(None, description="who is charged")
    memory: Annotated[str, AfterValidator(_check_memory), NOT_IN_KEY] = Field(
        "4GB", description='of a job, such as "4GB"; SLURM ends a job that takes more'
    )
    cores: Annotated[int, NOT_IN_KEY] = Field(
        1, ge=1, le=1024, description="of a job; the folding kernel uses all of them, training one"
    )
    gpus: Annotated[int, NOT_IN_KEY] = Field(
        0, ge=0, le=1, description="of a job; it computes one thing at a time, so one at most"
    )
    walltime: Annotated[str, BeforeValidator(_as_clock), AfterValidator(_check_walltime), NOT_IN_KEY] = Field(
        "01:00:00", description='of a job, "HH:MM:SS" or "D-HH:MM:SS"; longer than the longest run'
    )
    interface: Annotated[Interface | None, NOT_IN_KEY] = Field(
        None, description="network interface of scheduler and workers, such as ib0; by default Dask chooses"
    )
    folder: Annotated[Path | None, AfterValidator(_check_if_given), NOT_IN_KEY] = Field(
        None, strict=False, description="of the jobs' logs and keys, on a disk that every node sees"
    )
    directives: Annotated[tuple[Directive, ...], BeforeValidator(_as_tuple), NOT_IN_KEY] = Field(
        (), description='further #SBATCH lines, such as ["--constraint=a100"]'
    )
    directives_skip: Annotated[tuple[Line, ...], BeforeValidator(_as_tuple), NOT_IN_KEY] = Field(
        (), description='texts; #SBATCH lines of our own that hold one are left out, such as ["--mem="]'
    )
    prologue: Annotated[tuple[Line, ...], BeforeValidator(_as_tuple), NOT_IN_KEY] = Field(
        (), description='shell lines before the worker starts, such as ["module load cuda"]'
    )
