"""From each test image to a transformed copy: rotated, shifted or noisy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, model_validator

from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.endpoints.entry import Ends, Points
from spaceprobe.stages.fold.endpoints.matched import class_entry, images_of
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.stages.train.settings import data_layout
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.data.dataset import Dataset


class AugmentedSettings(Settings):
    """Transformed copies of test images."""

    transform: Literal["rotation", "shift", "noise"] = Field(
        "rotation", description="how copies are made: rotated, moved by whole pixels, or with normal noise"
    )
    amount: float = Field(
        15.0,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="degrees of rotation, pixels of shift, or the standard deviation of noise",
    )
    noise_seed: int = Field(0, ge=0, le=2**31 - 1, description="of the noise")

    @model_validator(mode="after")
    def _check_together(self) -> "AugmentedSettings":
        if self.transform == "rotation" and self.amount > 180:
            raise ValueError(f"amount: a rotation by {self.amount:g} degrees: expected at most 180")
        if self.transform == "shift" and self.amount != int(self.amount):
            raise ValueError(f"amount: a shift by {self.amount:g} pixels: expected a whole number")
        return self


SETTINGS = (
    Column("transform", "text", "how the copy was made: rotation, shift or noise", is_setting=True),
    Column("amount", "number", "in degrees, in pixels, or the standard deviation of noise", is_setting=True),
)
"""The key columns of copies."""


def copies_of(
    data: "Dataset", images: "Tensor", label: int, sections: Sections, *, other_way: bool = False
) -> "Tensor":
    """Return the copy of each image of a class, clipped to the range of the data.

    Args:
        data: the dataset.
        images: in float64.
        label: the class, which noise depends on.
        sections: with the settings of copies.
        other_way: whether images are rotated clockwise instead of counter-clockwise, moved down instead of to
            the right, or get other noise.
    """
    import torch

    from spaceprobe.data.transforms import rotated, shifted
    from spaceprobe.data.value_range import value_range
    from spaceprobe.stages.fold.endpoints.repeatable import generator, one_thread

    settings = cast(AugmentedSettings, sections["augmented"])
    shape, amount = data_layout(sections).input_shape, settings.amount
    with one_thread():
        if settings.transform == "rotation":
            copies = rotated(images, -amount if other_way else amount, shape)
        elif settings.transform == "shift":
            pixels = int(amount)
            copies = shifted(images, *((0, pixels) if other_way else (pixels, 0)), shape)
        else:
            draw = generator(settings.noise_seed, label, int(other_way))
            copies = images + amount * torch.from_numpy(draw.standard_normal(tuple(images.shape)))
        return value_range(data).clip(copies)


def check(sections: Sections, num_classes: int) -> None:
    """Check that the data can be transformed so.

    Raises:
        SettingsError: they are not images, or these are too small for the shift.
    """
    del num_classes
    settings, layout = cast(AugmentedSettings, sections["augmented"]), data_layout(sections)
    if settings.transform == "noise":
        return
    if not layout.has_images:
        raise SettingsError(
            f"augmented.transform: {settings.transform} is for images, and the data are rows of "
            f"{layout.input_shape[0]} numbers; set noise"
        )
    side = min(layout.input_shape[-2:])
    if settings.transform == "shift" and settings.amount >= side:
        raise SettingsError(
            f"augmented.amount: a shift by {settings.amount:g} pixels leaves nothing of an image "
            f"whose side has {side}; set less than {side}"
        )


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    del network
    images = images_of(data, key, sections)
    copies = copies_of(data, images.values, key["class"], sections)
    return Ends(images, Points("copies", images.numbers, copies))


ENTRY = class_entry(
    _ends,
    "from a test image to a transformed copy of it",
    settings=SETTINGS,
    sections={"augmented": AugmentedSettings},
    check=check,
)
