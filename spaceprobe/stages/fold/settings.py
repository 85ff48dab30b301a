"""The settings of the fold stage: which paths are measured, and how."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, model_validator

from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.path_tables import PATH_TABLES
from spaceprobe.stages.stage import (
    NOT_IN_KEY,
    AlsoCalled,
    ChoosesCode,
    Flag,
    HintedValueError,
    Sections,
    Settings,
)
from spaceprobe.stages.train.settings import EPOCH_CHOICE, EpochChoice, data_layout, network_of

if TYPE_CHECKING:
    from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry, PathSet
    from spaceprobe.stages.fold.path_measures.entry import PathMeasure
    from spaceprobe.stages.fold.path_tables.entry import PathTable

    EndpointsName = str
else:  # of the registry, so that a new entry is a choice without a word here
    EndpointsName = Literal[tuple(ENDPOINTS)]


DEFAULT_PER_CLASS = 150
"""Chosen: of networks that the kernel walks, at thousands of paths a second."""

MAX_UNASKED_WALKS = 1_000
"""Chosen: paths of a network at one epoch that are walked without a number from the user, where a path may
take a second."""

FEWEST_IMAGES = 2
"""Of each class, so that there is a path between two of its images."""


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


LATER = (
    "endpoints",
    "detail",
    "by_layer",
    "distances",
    "images",
    "symmetries",
    "decisions",
    "bits",
    "units",
    "threshold",
    "images_seed",
)
"""Settings that came after the first release."""

_QUANTILE = re.compile(r"quantile-(0?\.\d{1,9})", re.ASCII)

MEDIAN = "median"


def parse_threshold(value: object) -> object:
    """Return a threshold as it is written in one way only: ``quantile-0.50`` is ``median``.

    Raises:
        ValueError: naming a text that is not a threshold.
    """
    if not isinstance(value, str) or value == MEDIAN:
        return value
    match = _QUANTILE.fullmatch(value)
    if match is None or float(match[1]) == 0:
        raise ValueError(
            f"{value!r} is not a threshold: write a number, median, or quantile-Q with Q between 0 and 1, "
            "such as quantile-0.9"
        )
    return MEDIAN if float(match[1]) == 0.5 else f"quantile-{float(match[1])!r}"


def quantile_share(threshold: float | str) -> float | None:
    """Return the share of images below a threshold that is a quantile; None of a number.

    >>> quantile_share("median"), quantile_share("quantile-0.9"), quantile_share(0.5)
    (0.5, 0.9, None)
    """
    if not isinstance(threshold, str):
        return None
    return 0.5 if threshold == MEDIAN else float(threshold.removeprefix("quantile-"))


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
    per_class: Annotated[
        Literal["all", "auto"] | Annotated[int, Field(ge=1, le=10_000)], Flag("--per-class")
    ] = Field(
        "auto",
        description="the first N test images of each class, or all; auto is the first 150 for MLPs of ReLUs, "
        "and for other networks a drawn sample that makes at most 1,000 paths",
    )
    images_seed: int | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="by which the N test images of each class are drawn; by default they are those that "
        "per_class says",
    )
    method: Annotated[
        Literal["exact", "sampled", "adaptive", "layerwise", "jvp", "kernel"], Flag("--method")
    ] = Field(
        "exact",
        description="every linear region; evenly spaced points, or adaptive ones where several units flip; "
        "layerwise, jvp and kernel force an engine",
    )
    num_points: Annotated[int, Flag("--points"), AlsoCalled(("points", "samples", "num_samples"))] = Field(
        100,
        ge=2,
        le=1_000_000,
        description="points of a sampled path, both ends included; an adaptive one starts with them",
    )
    bits: Literal["sign", "monotone"] = Field(
        "sign",
        description="of smooth activations, which are sampled: the sign of the pre-activation, or whether it "
        "lies where they rise or fall",
    )
    units: Literal["activations", "all"] = Field(
        "activations",
        description="what counts: activations, or with all also the winners of max-pooling and of maxima",
    )
    threshold: Annotated[
        Annotated[float, Field(allow_inf_nan=False)] | str, BeforeValidator(parse_threshold)
    ] = Field(
        0.0,
        description="what z of a ReLU exceeds where its bit is on: a number, median or quantile-0.9 (over "
        "training images, for each unit)",
    )
    detail: Annotated[int, Flag("--detail"), ChoosesCode((0, 1))] = Field(
        0, ge=0, le=1_000_000, description="single paths of each class pair that paths.csv lists"
    )
    by_layer: Annotated[bool, ChoosesCode((False, True))] = Field(
        False, description="whether path_layers.csv lists the layers of these single paths"
    )
    distances: Annotated[bool, ChoosesCode((False, True))] = Field(
        False, description="whether path_distances.csv lists their lengths in L1 and L2, by layer"
    )
    images: Annotated[bool, ChoosesCode((False, True))] = Field(
        False,
        description="whether path_images.csv lists how long their images are and how many regions they cross",
    )
    symmetries: Annotated[bool, ChoosesCode((False, True))] = Field(
        False, description="whether path_symmetries.csv lists how many pairs of their patterns are symmetric"
    )
    decisions: bool = Field(
        False, description="whether paths.csv says where along these paths the largest output changes"
    )
    patterns: Annotated[int, NOT_IN_KEY] = Field(
        0,
        ge=0,
        le=1_000_000,
        description="test images, the first of all, whose activation patterns pattern_changes.csv compares "
        "from one epoch to the next",
    )
    epoch: Annotated[EpochChoice, Flag("--epoch"), NOT_IN_KEY] = Field("both", description=EPOCH_CHOICE)
    threads: Annotated[
        int | None, Flag("--threads"), NOT_IN_KEY, AlsoCalled(("num_threads", "n_threads"))
    ] = Field(
        None,
        ge=1,
        le=4096,
        description="of the kernel and the layerwise walk; by default OMP_NUM_THREADS, else all cores",
    )
    precision: Literal["float64", "float32"] = Field(
        "float64",
        description="of the kernel and the layerwise walk; float32 leaves close calls to float64, slowly in "
        "wide networks",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], Flag("--device"), NOT_IN_KEY] = Field(
        "auto",
        description="where paths are walked; auto is a CUDA device where there is one, for exact walks of "
        "ReLU MLPs only in a large study and on one fast in float64, else the CPU",
    )

    @model_validator(mode="after")
    def _check_together(self) -> "FoldingSettings":
        if self.images_seed is not None and self.per_class == "all":
            raise ValueError(
                "images_seed: draws some test images of each class, and per_class takes all; set "
                "per_class to a number, or leave images_seed out"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings that are not the default; 150 images a class were that once and still are."""
        values = super().identity()
        if self.per_class == DEFAULT_PER_CLASS:
            values.pop("per_class", None)
        return values

    @property
    def is_sampled(self) -> bool:
        """Whether paths are read at points."""
        return self.method in ("sampled", "adaptive")

    @property
    def path_tables(self) -> "tuple[PathTable, ...]":
        """The tables with several rows of a single path that are asked for."""
        return tuple(table for table in PATH_TABLES.values() if getattr(self, table.setting))

    @property
    def path_measures(self) -> "tuple[PathMeasure, ...]":
        """The measures of a single path: those of every path, and those that are asked for."""
        return tuple(
            measure
            for measure in PATH_MEASURES.values()
            if measure.setting is None or getattr(self, measure.setting)
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
        idle = set() if self.is_sampled else {"num_points"}
        later = {name for name in LATER if getattr(self, name) == self._default(name)}
        return {name: value for name, value in values.items() if name not in idle | later}

    def pattern_key(self) -> dict[str, Any]:
        """Return those of the settings that the patterns of images depend on."""
        names = ("patterns", "bits", "units", "threshold")
        return {name: value for name, value in self.model_dump(mode="json").items() if name in names}

    def _default(self, name: str) -> Any:
        return type(self).model_fields[name].default


def folding_of(sections: Sections) -> FoldingSettings:
    """Return the folding settings."""
    return cast(FoldingSettings, sections["folding"])


class DrawnFoldingSettings(FoldingSettings):
    """The same with a number of images that nobody gave: they are drawn from those of each class."""

    drawn: Literal[True] = Field(description="that the images are drawn, with a fixed seed")


def is_left_open(sections: Sections) -> bool:
    """Return whether the settings leave open which paths are walked, and a path may take long."""
    network = network_of(sections)
    return folding_of(sections).per_class == "auto" and "kernel" not in network.entry.engines(network)


def with_images(sections: Sections) -> FoldingSettings:
    """Return the folding settings, with a number of images of each class where they leave that open.

    Raises:
        DataError: see `data_layout`.
        UserCodeError: see `data_layout`.
    """
    settings = folding_of(sections)
    if settings.per_class != "auto":
        return settings
    if not is_left_open(sections):
        return settings.model_copy(update={"per_class": DEFAULT_PER_CLASS})
    number, num_classes = FEWEST_IMAGES, num_classes_of(sections)
    while number < DEFAULT_PER_CLASS:
        more = {**sections, "folding": _drawn(settings, number + 1)}
        if num_walks(settings.source.path_sets(more, num_classes)) > MAX_UNASKED_WALKS:
            break
        number += 1
    return _drawn(settings, number)


def _drawn(settings: FoldingSettings, number: int) -> DrawnFoldingSettings:
    return DrawnFoldingSettings(**{**dict(settings), "per_class": number}, drawn=True)


def path_sets_of(sections: Sections) -> "list[PathSet]":
    """Return the sets of paths that are measured: some where all are too many and nobody gave a number.

    Those are drawn: sorted by the digests of their names, the first whose paths are few enough together.

    Raises:
        DataError: see `data_layout`.
        UserCodeError: see `data_layout`.
    """
    path_sets = [*folding_of(sections).source.path_sets(sections, num_classes_of(sections))]
    if not is_left_open(sections) or num_walks(path_sets) <= MAX_UNASKED_WALKS:
        return path_sets
    amounts, kept = 0, set[str]()
    for paths in sorted(path_sets, key=lambda paths: hashlib.sha256(paths.name.encode()).digest()):
        amounts += paths.amount
        if kept and amounts // 2 > MAX_UNASKED_WALKS:
            break
        kept.add(paths.name)
    return [paths for paths in path_sets if paths.name in kept]


def num_walks(path_sets: "Sequence[PathSet]") -> int:
    """Return how many paths are walked for sets of them: each counts in both directions."""
    return sum(paths.amount for paths in path_sets) // 2


def num_classes_of(sections: Sections) -> int:
    """Return the number of classes of the dataset.

    Raises:
        DataError: see `data_layout`.
        UserCodeError: see `data_layout`.
    """
    return data_layout(sections).num_classes
