"""The entry of a matched source: from each test image of a class to its twin, which is computed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.endpoints.class_pairs import (
    IMAGES_PER_CLASS,
    check_present,
    chosen_members,
    images_per_class,
)
from spaceprobe.stages.fold.endpoints.entry import Direction, EndpointsEntry, Ends, PathSet, Points
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.data.dataset import Dataset


def matched_entry(
    twins: "Callable[[nn.Module, Tensor, Sections], Tensor]", summary: str, **sections: type[Settings]
) -> EndpointsEntry:
    """Return the entry of paths from test images to their twins, ``folding.per_class`` of each class.

    Args:
        twins: returns the twin of each image, given the network and the images in float64, shape
            ``(points, features)``, and the sections of the study file. The same in every process.
        summary: as of `EndpointsEntry`.
        sections: as of `EndpointsEntry`.
    """

    def path_sets(sections: Sections, num_classes: int) -> list[PathSet]:
        amount = 2 * (images_per_class(sections) or IMAGES_PER_CLASS)
        return [PathSet(f"class{label}", {"class": label}, amount) for label in range(num_classes)]

    def ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
        images = chosen_members(data.test, key["class"], sections)
        return Ends(images, Points("twins", images.numbers, twins(network, images.values, sections)))

    return EndpointsEntry(
        summary=summary,
        layout="matched",
        key_columns=(Column("class", "integer", "the class of the images"),),
        sections=sections,
        check=lambda sections, num_classes: check_present(sections, range(num_classes)),
        path_sets=path_sets,
        directions=lambda key: (Direction(f"class{key['class']}", {"class": key["class"]}),),
        ends=ends,
    )
