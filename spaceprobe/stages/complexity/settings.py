"""The settings of the complexity measures."""

from typing import Annotated, cast

from pydantic import Field

from spaceprobe.stages.stage import NOT_IN_KEY, Sections, Settings
from spaceprobe.stages.train.settings import EPOCH_CHOICE, EpochChoice


class ComplexitySettings(Settings):
    """On which networks and points complexity measures are taken, and under which noise."""

    epoch: Annotated[EpochChoice, NOT_IN_KEY] = Field("all", description=EPOCH_CHOICE)
    sample: int = Field(
        2000, ge=1, le=60_000, description="the first N training points, behind margins and sharpness"
    )
    noise: float = Field(
        0.1,
        gt=0,
        le=10,
        description="of the sharpness: standard deviation of the change relative to each weight",
    )
    draws: int = Field(20, ge=1, le=1000, description="of this noise")


def complexity_of(sections: Sections) -> ComplexitySettings:
    """Return the settings of the complexity measures."""
    return cast(ComplexitySettings, sections["complexity"])
