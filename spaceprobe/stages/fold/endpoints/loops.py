"""Loops: from each test image to a transformed copy, to another one, and back to the image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.endpoints.augmented import SETTINGS, AugmentedSettings, copies_of
from spaceprobe.stages.fold.endpoints.augmented import check as check_copies
from spaceprobe.stages.fold.endpoints.entry import Ends, Points
from spaceprobe.stages.fold.endpoints.matched import class_entry, images_of
from spaceprobe.stages.stage import Sections

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Dataset
    from spaceprobe.stages.fold.settings import FoldingSettings

METHODS = ("exact", "layerwise", "sampled")
"""The methods that follow a polyline flip by flip."""


def _check(sections: Sections, num_classes: int) -> None:
    check_copies(sections, num_classes)
    folding = cast("FoldingSettings", sections["folding"])
    if folding.method not in METHODS:
        raise SettingsError(
            f"folding.method: {folding.method} walks straight paths; for folding.endpoints: loops set "
            f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"
        )
    for name in ("bits", "units", "threshold", "precision", "detail"):
        default = type(folding).model_fields[name].default
        if getattr(folding, name) != default:
            raise SettingsError(
                f"folding.{name}: {getattr(folding, name)} is for straight paths; with folding.endpoints: "
                f"loops leave it at {default}"
            )


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    import torch

    del network
    images = images_of(data, key, sections)
    copies = [
        copies_of(data, images.values, key["class"], sections, other_way=other_way)
        for other_way in (False, True)
    ]
    return Ends(images, Points("back", images.numbers, images.values), via=torch.stack(copies, 1))


ENTRY = class_entry(
    _ends,
    "from a test image to a transformed copy, to another copy, and back to the image",
    settings=SETTINGS,
    sections={"augmented": AugmentedSettings},
    check=_check,
)
