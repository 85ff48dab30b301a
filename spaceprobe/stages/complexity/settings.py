"""The settings of the complexity measures."""

from typing import Annotated, Any, cast

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
    paths: int = Field(
        0,
        ge=0,
        le=100_000,
        description="paths between test points whose linear regions complexity_regions.csv counts",
    )

    def key(self) -> dict[str, Any]:
        """Return the settings that a number depends on; paths only where there are some.

        So measurements from before them keep their keys.
        """
        values = super().key()
        return values if self.paths else {name: value for name, value in values.items() if name != "paths"}


def complexity_of(sections: Sections) -> ComplexitySettings:
    """Return the settings of the complexity measures."""
    return cast(ComplexitySettings, sections["complexity"])
