"""The settings of the fold stage: which paths are measured, and how."""

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from spaceprobe.stages.stage import NOT_IN_KEY, Flag, Sections, Settings
from spaceprobe.stages.train.settings import EPOCH_CHOICE, EpochChoice

if TYPE_CHECKING:
    from spaceprobe.data.endpoints import ClassPair

NUM_IMAGE_CLASSES = 10
"""Of every image set so far."""


def parse_pairs(value: object) -> object:
    """Return the class pairs of a list such as ``3-8,8-3``, or ``all``.

    Raises:
        ValueError: naming the item that is no pair of classes.
    """
    if value == "all":
        return value
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("write all, or source-target pairs such as 3-8,8-3")
    pairs = []
    for item in items:
        match = re.fullmatch(r"\s*(\d)-(\d)\s*", item, re.ASCII) if isinstance(item, str) else None
        if match is None:
            raise ValueError(
                f"{item!r} is no class pair: write source-target with classes 0 to "
                f"{NUM_IMAGE_CLASSES - 1}, such as 3-8, several as 3-8,8-3, or all; a study stands before "
                "it: spaceprobe fold STUDY --pairs 3-8"
            )
        pairs.append(f"{match[1]}-{match[2]}")
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"a pair is named twice in {','.join(pairs)}")
    return tuple(pairs)


class FoldingSettings(Settings):
    """Which paths are measured, and how."""

    pairs: Annotated[
        Literal["all"] | tuple[str, ...],
        BeforeValidator(parse_pairs),
        Flag("--pairs", bare="all"),
        NOT_IN_KEY,
    ] = Field("all", description="class pairs source-target such as 3-8,8-3, or all")
    per_class: Annotated[Literal["all"] | Annotated[int, Field(ge=1, le=10_000)], Flag("--per-class")] = (
        Field(150, description="the first N test images of each class, or all")
    )
    method: Annotated[Literal["exact", "sampled", "jvp", "kernel"], Flag("--method")] = Field(
        "exact", description="every linear region, or evenly spaced points; jvp and kernel force an engine"
    )
    num_points: Annotated[int, Flag("--points")] = Field(
        100, ge=2, le=1_000_000, description="points of a sampled path, both ends included"
    )
    epoch: Annotated[EpochChoice, Flag("--epoch"), NOT_IN_KEY] = Field("both", description=EPOCH_CHOICE)
    threads: Annotated[int | None, Flag("--threads"), NOT_IN_KEY] = Field(
        None, ge=1, le=4096, description="of the kernel; by default OMP_NUM_THREADS, else all cores"
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="of the kernel; float32 leaves close calls to float64, slowly in wide networks"
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], Flag("--device"), NOT_IN_KEY] = Field(
        "auto", description="where paths are walked; auto takes a CUDA device where there is one"
    )

    def directed_pairs(self) -> "list[ClassPair]":
        """Return the class pairs asked for, sorted."""
        from spaceprobe.data.endpoints import ClassPair

        if self.pairs == "all":
            return [ClassPair(*pair) for pair in itertools.product(range(NUM_IMAGE_CLASSES), repeat=2)]
        return sorted(ClassPair(int(pair[0]), int(pair[2])) for pair in self.pairs)

    def measurement(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of some settings that a measured number depends on."""
        idle = set() if self.method == "sampled" else {"num_points"}
        return {name: value for name, value in values.items() if name not in idle}


def folding_of(sections: Sections) -> FoldingSettings:
    """Return the folding settings."""
    return cast(FoldingSettings, sections["folding"])
