"""The studies that come with spaceprobe, each with its runs and a line."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import CI, shipped_configs
from spaceprobe.study.grid import expand

LINE = 80
"""Characters of a line of the list: what a terminal shows at least."""


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
    """Yield a line for each of them, then the names of the small forms, at most `LINE` wide."""
    studies = shipped_studies()
    small = [study for study in studies if study.name.endswith(CI)]
    width = max((len(study.name) for study in studies if study not in small), default=0)
    for study in studies:
        if study not in small:
            yield f"{study.name:<{width}}  {study.num_runs:>3} runs  {study.description}"
    if small:
        names = ", ".join(f"{study.name} ({study.num_runs})" for study in small)
        text = f"The same with few networks and images, in minutes: {names} runs"
        yield ""
        yield from textwrap.wrap(text, LINE, break_long_words=False, break_on_hyphens=False)


def _first_comment(path: Path) -> str:
    line, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return line.removeprefix("#").strip() if line.startswith("#") else ""
