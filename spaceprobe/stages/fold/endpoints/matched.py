"""The entries of matched sources: from each test image of a class to its twin, which is computed."""

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

CLASS = Column("class", "integer", "the class of the images")


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

    def ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
        images = images_of(data, key, sections)
        return Ends(images, Points("twins", images.numbers, twins(network, images.values, sections)))

    return class_entry(ends, summary, sections=sections)


def class_entry(
    ends: "Callable[[nn.Module, Dataset, Mapping[str, Any], Sections], Ends]",
    summary: str,
    *,
    settings: tuple[Column, ...] = (),
    facts: tuple[Column, ...] = (),
    sections: Mapping[str, type[Settings]],
    check: Callable[[Sections, int], None] = lambda sections, num_classes: None,  # noqa: ARG005
) -> EndpointsEntry:
    """Return the entry of matched paths that begin at test images, a set of them for each class.

    Args:
        ends: as of `EndpointsEntry`; the class is ``key["class"]``.
        summary: as of `EndpointsEntry`.
        settings: further key columns, each of the name of a setting of the one section.
        facts: as of `EndpointsEntry`.
        sections: as of `EndpointsEntry`.
        check: as of `EndpointsEntry`, beside the check that there are images of each class.
    """

    def path_sets(asked: Sections, num_classes: int) -> list[PathSet]:
        amount = 2 * (images_per_class(asked) or IMAGES_PER_CLASS)
        own = {name: asked[name].key() for name in sections if settings}
        return [PathSet(f"class{label}", {"class": label, **own}, amount) for label in range(num_classes)]

    def directions(key: Mapping[str, Any]) -> tuple[Direction, ...]:
        cells = {column.name: key[name][column.name] for name in sections for column in settings}
        return (Direction(f"class{key['class']}", {"class": key["class"], **cells}),)

    def check_all(asked: Sections, num_classes: int) -> None:
        check_present(asked, range(num_classes))
        check(asked, num_classes)

    return EndpointsEntry(
        summary=summary,
        layout="matched",
        key_columns=(CLASS, *settings),
        facts=facts,
        sections=sections,
        check=check_all,
        path_sets=path_sets,
        directions=directions,
        ends=ends,
    )


def images_of(data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Points:
    """Return the test images of the class of a set of paths, as many as are asked for."""
    return chosen_members(data.test, key["class"], sections)
