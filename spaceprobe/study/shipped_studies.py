"""The studies that come with spaceprobe, each with its runs and a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.grid import expand


@dataclass(frozen=True)
class ShippedStudy:
    """A study that comes with spaceprobe.

    Attributes:
        name: the name that commands take.
        num_runs: how many networks it trains.
        description: the first line of its file, a comment.
    """

    name: str
    num_runs: int
    description: str


def shipped_studies() -> list[ShippedStudy]:
    """Return all of them, by name."""
    return [
        ShippedStudy(name, len(expand(load_study(path))), _first_comment(path))
        for name, path in shipped_configs().items()
    ]


def study_lines() -> Iterator[str]:
    """Yield a line for each of them."""
    studies = shipped_studies()
    width = max((len(study.name) for study in studies), default=0)
    for study in studies:
        yield f"{study.name:<{width}}  {study.num_runs:>3} runs  {study.description}"


def _first_comment(path: Path) -> str:
    line, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return line.removeprefix("#").strip() if line.startswith("#") else ""
