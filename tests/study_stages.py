"""Made-up stages for the tests of studies, with a setting of every kind."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spaceprobe.stages.stage import NOT_IN_KEY, RunStage, Settings, StudyStage


def _check_shape(value: str) -> str:
    depth, _, width = value.partition("x")
    if not (depth.isdigit() and width.isdigit()):
        raise ValueError("write layers x units, such as 2x30")
    return f"{int(depth)}x{int(width)}"


def _parse_pairs(value: object) -> object:
    if value == "all":
        return value
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError("write all, or pairs such as 3-8,8-3")  # noqa: TRY004 - pydantic takes ValueError only
    for item in items:
        if not isinstance(item, str) or len(item) != 3 or item[1] != "-":
            raise ValueError(f"{item!r} is no class pair: write source-target, such as 3-8")
    return tuple(items)


def _as_text(value: object) -> object:
    return str(value) if type(value) is int else value


class ModelSettings(Settings):
    """What is trained."""

    shape: Annotated[str, AfterValidator(_check_shape)] = Field("2x30", description="layers x units")
    root: Path | None = Field(None, description="a folder of images")


class FitSettings(Settings):
    """How it is trained."""

    epochs: int = Field(30, ge=1, le=100_000)
    rate: float = Field(1e-3, gt=0, le=10, allow_inf_nan=False)
    decay: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    shuffle: bool = True


class ProbeSettings(Settings):
    """How it is probed."""

    method: Literal["exact", "sampled"] = "exact"
    num_points: int = Field(100, ge=2, le=1_000_000)
    per_class: Literal["all"] | Annotated[int, Field(ge=1, le=10_000)] = 150
    epoch: Annotated[Literal["0", "last", "both"], BeforeValidator(_as_text), NOT_IN_KEY] = "both"
    pairs: Annotated[Literal["all"] | tuple[str, ...], BeforeValidator(_parse_pairs), NOT_IN_KEY] = "all"
    widths: tuple[Annotated[int, Field(ge=1, le=9)], ...] = (1, 2)

    @model_validator(mode="after")
    def _check_points(self) -> "ProbeSettings":
        if self.method == "exact" and self.num_points > 1000:
            raise ValueError("an exact probe takes at most 1000 points; lower num_points")
        return self


class ReportSettings(Settings):
    """What is reported."""

    digits: int = Field(3, ge=1, le=9)


def _unused(*_: object) -> object:
    raise AssertionError("no stage runs in these tests")


def make_stage(name, sections, needs=(), label=None):
    return RunStage(
        name=name, summary=name, example=name, sections=sections, tables=(), needs=needs,
        unit="step", label=label, present=_unused, plan=_unused, compute=_unused, tabulate=_unused,
    )  # fmt: skip


FIT = make_stage(
    "fit",
    {"model": ModelSettings, "fit": FitSettings},
    label=lambda sections: f"{sections['model'].shape}-s{sections['fit'].seed}",
)
PROBE = make_stage("probe", {"probe": ProbeSettings}, needs=("fit",))
OTHER = make_stage("other", {"other": ReportSettings}, needs=("fit",))
REPORT = StudyStage(
    name="report", summary="report", example="report", sections={"report": ReportSettings},
    tables=(), needs=("probe",), present=_unused, reduce=_unused,
)  # fmt: skip
STAGES = (FIT, PROBE, OTHER, REPORT)
