"""The settings of the fold stage: which paths are measured, and how."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.stage import (
    NOT_IN_KEY,
    AlsoCalled,
    ChoosesCode,
    Flag,
    HintedValueError,
    Sections,
    Settings,
)
from spaceprobe.stages.train.settings import EPOCH_CHOICE, EpochChoice, data_layout

if TYPE_CHECKING:
    from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry

    EndpointsName = str
else:  # of the registry, so that a new entry is a choice without a word here
    EndpointsName = Literal[tuple(ENDPOINTS)]


def parse_pairs(value: object) -> object:
    """Return the class pairs of a list such as ``3-8,8-3``, or ``all``.

    Raises:
        ValueError: naming the item that is not a pair of classes.
    """
    if value == "all":
        return value
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("write all, or source-target pairs such as 3-8,8-3")
    pairs = []
    for item in items:
        is_text = isinstance(item, str)
        match = re.fullmatch(r"\s*(\d{1,9})-(\d{1,9})\s*", item, re.ASCII) if is_text else None
        if match is None:
            raise HintedValueError(
                f"{item!r} is not a class pair: write source-target with the numbers of classes, such as "
                "3-8, several as 3-8,8-3, or all",
                "a study stands before it: spaceprobe fold STUDY --pairs 3-8",
            )
        pairs.append(f"{int(match[1])}-{int(match[2])}")
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"a pair is named twice in {','.join(pairs)}")
    return tuple(pairs)


class FoldingSettings(Settings):
    """Which paths are measured, and how."""

    endpoints: Annotated[EndpointsName, ChoosesCode()] = Field(
        "class-pairs", description="which points are the ends of paths"
    )
    pairs: Annotated[
        Literal["all"] | tuple[str, ...],
        BeforeValidator(parse_pairs),
        Flag("--pairs", bare="all"),
        NOT_IN_KEY,
    ] = Field("all", description="class pairs source-target such as 3-8,8-3, or all")
    per_class: Annotated[Literal["all"] | Annotated[int, Field(ge=1, le=10_000)], Flag("--per-class")] = (
        Field(150, description="the first N test images of each class, or all")
    )
    method: Annotated[Literal["exact", "sampled", "layerwise", "jvp", "kernel"], Flag("--method")] = Field(
        "exact",
        description="every linear region, or evenly spaced points; layerwise, jvp and kernel force an engine",
    )
    num_points: Annotated[int, Flag("--points"), AlsoCalled(("points", "samples", "num_samples"))] = Field(
        100, ge=2, le=1_000_000, description="points of a sampled path, both ends included"
    )
    detail: Annotated[int, Flag("--detail"), ChoosesCode((0, 1))] = Field(
        0, ge=0, le=1_000_000, description="single paths of each class pair that paths.csv lists"
    )
    epoch: Annotated[EpochChoice, Flag("--epoch"), NOT_IN_KEY] = Field("both", description=EPOCH_CHOICE)
    threads: Annotated[
        int | None, Flag("--threads"), NOT_IN_KEY, AlsoCalled(("num_threads", "n_threads"))
    ] = Field(None, ge=1, le=4096, description="of the kernel; by default OMP_NUM_THREADS, else all cores")
    precision: Literal["float64", "float32"] = Field(
        "float64", description="of the kernel; float32 leaves close calls to float64, slowly in wide networks"
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], Flag("--device"), NOT_IN_KEY] = Field(
        "auto",
        description="where paths are walked; auto is the CPU for exact walks of ReLU MLPs, else a CUDA "
        "device where there is one",
    )

    @property
    def source(self) -> "EndpointsEntry":
        """The source of endpoints."""
        return ENDPOINTS[self.endpoints]

    def measurement(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of some settings that a measured number depends on.

        The settings that came after the first release count only where they are not the default: parts from
        before keep their files.
        """
        idle = set() if self.method == "sampled" else {"num_points"}
        later = {name for name in ("endpoints", "detail") if getattr(self, name) == self._default(name)}
        return {name: value for name, value in values.items() if name not in idle | later}

    def _default(self, name: str) -> Any:
        return type(self).model_fields[name].default


def folding_of(sections: Sections) -> FoldingSettings:
    """Return the folding settings."""
    return cast(FoldingSettings, sections["folding"])


def num_classes_of(sections: Sections) -> int:
    """Return the number of classes of the dataset.

    Raises:
        DataError: see `data_layout`.
        UserCodeError: see `data_layout`.
    """
    return data_layout(sections).num_classes
