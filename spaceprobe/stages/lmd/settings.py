"""The settings of the Layer Matrix Decomposition."""

from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from spaceprobe.stages.stage import NOT_IN_KEY, Flag, Sections, Settings
from spaceprobe.stages.train.settings import EPOCH_CHOICE, EpochChoice

MetricName = Literal["identity", "data", "laplacian"]
ProbeName = Literal[
    "functional-rank", "dimension", "retrieval", "semantics", "hopfield", "span", "continuity", "cost"
]


CONTINUITY_CODE = "spaceprobe.stages.lmd.continuity"
"""The module of the probe that walks paths, whose code counts only where it is asked for."""


def _split_words(value: object) -> object:
    """Return the words of a list, or of a text such as ``identity,data``."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",")) if value.strip() else ()
    return tuple(value) if isinstance(value, list) else value


def _in_order(names: tuple[str, ...]) -> AfterValidator:
    """Return a check that a list has each name once; the list is then in the order of the names."""

    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"expected each name once, got {', '.join(map(str, values))}")
        return tuple(name for name in names if name in values)

    return AfterValidator(check)


class LmdSettings(Settings):
    """How weight matrices are decomposed, and which probes are run on their layers."""

    metrics: Annotated[
        tuple[MetricName, ...],
        BeforeValidator(_split_words),
        _in_order(get_args(MetricName)),
        Flag("--metric"),
        NOT_IN_KEY,
    ] = Field(
        ("identity",),
        min_length=1,
        description="latent metrics, some of identity (needs no data), data and laplacian",
    )
    probes: Annotated[
        tuple[ProbeName, ...],
        BeforeValidator(_split_words),
        _in_order(get_args(ProbeName)),
        Flag("--probes"),
        NOT_IN_KEY,
    ] = Field(
        ("functional-rank",),
        description="what else is measured: some of functional-rank, dimension, retrieval, semantics, "
        "hopfield, span, continuity and cost (how long it takes)",
    )
    epoch: Annotated[EpochChoice, Flag("--epoch"), NOT_IN_KEY] = Field("both", description=EPOCH_CHOICE)
    sample: int = Field(
        2000, ge=20, le=60_000, description="points behind metrics, data ranks, dimensions and meaning"
    )
    positions: int = Field(
        1,
        ge=1,
        le=1000,
        description="patches or tokens of each point, of convolutions and layers that work token by token",
    )
    neighbours: int = Field(10, ge=1, le=1000, description="of a point, in the graph of the laplacian metric")
    data_ridge: float = Field(1e-9, ge=0, le=1, description="ρ of the data metric")
    laplacian_ridge: float = Field(0.01, ge=0, le=1, description="ρ of the laplacian metric")
    subsamples: int = Field(10, ge=2, le=1000, description="behind the spread of a dimension")
    retrieval_images: int = Field(100, ge=2, le=1000, description="stored patterns: the first N test points")
    retrieval_noise: float = Field(
        0.6, ge=0, le=1000, allow_inf_nan=False, description="standard deviation of the queries' noise"
    )
    retrieval_rank: int = Field(20, ge=1, le=10_000, description="kept components, at most all")
    shuffles: int = Field(200, ge=2, le=100_000, description="of the labels, the control of semantics")
    continuity_paths: int = Field(
        100,
        ge=1,
        le=30_000,
        description="between training points, at most half as many, whose slopes are read",
    )

    def measurement(self) -> dict[str, Any]:
        """Return the settings that a number depends on.

        Those that came later count only where they are not the default: decompositions from before keep their
        keys.
        """
        fields = type(self).model_fields
        return {
            name: value
            for name, value in self.key().items()
            if name not in _LATER or value != fields[name].default
        }


_LATER = ("positions", "continuity_paths")
"""Settings that came after the first releases."""


def lmd_of(sections: Sections) -> LmdSettings:
    """Return the settings of the decomposition."""
    return cast(LmdSettings, sections["lmd"])
