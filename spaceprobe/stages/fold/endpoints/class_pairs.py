"""Class pairs: the paths from the test images of one class to those of another."""

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.endpoints.entry import Direction, EndpointsEntry, Ends, PathSet, Points
from spaceprobe.stages.fold.endpoints.repeatable import generator
from spaceprobe.stages.stage import Sections
from spaceprobe.stages.train.settings import data_of
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Dataset, Split
    from spaceprobe.stages.fold.settings import FoldingSettings

IMAGES_PER_CLASS = 1_000
"""Of the test set of MNIST, about: only for the progress of ``all``."""


class ClassPair(NamedTuple):
    """An ordered pair of classes; its paths run from source to target."""

    source: int
    target: int

    @property
    def name(self) -> str:
        """The pair as a study names it, such as ``3-8``."""
        return f"{self.source}-{self.target}"

    @property
    def direction(self) -> Direction:
        """The direction from source to target."""
        return Direction(self.name, {"source_class": self.source, "target_class": self.target})


def directed_pairs(sections: Sections, num_classes: int) -> list[ClassPair]:
    """Return the class pairs that are asked for, sorted."""
    pairs = _folding(sections).pairs
    if pairs == "all":
        return [ClassPair(*pair) for pair in itertools.product(range(num_classes), repeat=2)]
    return sorted(ClassPair(*map(int, pair.split("-"))) for pair in pairs)


def walked_pairs(pairs: Iterable[ClassPair]) -> list[ClassPair]:
    """Return the pairs to walk, sorted: one walk serves both directions, so the smaller class first."""
    return sorted({ClassPair(min(pair), max(pair)) for pair in pairs})


def class_members(
    images: "Split",
    label: int,
    per_class: int | None,
    *,
    is_drawn: bool = False,
    images_seed: int | None = None,
) -> Points:
    """Return images of a class, in the dataset's order.

    Args:
        images: the images with their classes.
        label: the class.
        per_class: how many at most; None for all.
        is_drawn: whether they are drawn, seeded by the class, so that a larger number has those of a smaller
            one; the first ones otherwise.
        images_seed: by which they are drawn as well, so that other seeds have other images; None for what
            ``is_drawn`` says.
    """
    numbers = (images.targets == label).nonzero().squeeze(1)
    if is_drawn or images_seed is not None:
        import numpy as np
        import torch

        draw = np.random.default_rng(label) if images_seed is None else generator(images_seed, label)
        order = draw.permutation(len(numbers))[:per_class]
        numbers = numbers[torch.from_numpy(np.sort(order))]
    numbers = numbers[:per_class]
    return Points(str(label), numbers.numpy(), images.inputs[numbers].double(), key=str(label))


def images_per_class(sections: Sections) -> int | None:
    """Return how many images of a class are asked for; None for all."""
    from spaceprobe.stages.fold.settings import with_images  # which imports this

    per_class = with_images(sections).per_class
    return per_class if isinstance(per_class, int) else None


def chosen_members(images: "Split", label: int, sections: Sections) -> Points:
    """Return the images of a class that the settings ask for, or that are drawn where these leave it open."""
    from spaceprobe.stages.fold.settings import is_left_open  # which imports this

    return class_members(
        images,
        label,
        images_per_class(sections),
        is_drawn=is_left_open(sections),
        images_seed=_folding(sections).images_seed,
    )


def _folding(sections: Sections) -> "FoldingSettings":
    return cast("FoldingSettings", sections["folding"])


def _check(sections: Sections, num_classes: int) -> None:
    if _folding(sections).pairs == "all":
        check_present(sections, range(num_classes))
        return
    pairs = directed_pairs(sections, num_classes)
    for pair in pairs:
        if max(pair) >= num_classes:
            raise SettingsError(f"folding.pairs: {pair.name}: the dataset has classes 0 to {num_classes - 1}")
    check_present(sections, {label for pair in pairs for label in pair})


def check_present(sections: Sections, classes: Iterable[int]) -> None:
    """Check that there are test images of all classes of which some are asked for.

    Raises:
        SettingsError: there are none of one of them.
    """
    data = data_of(sections)
    present = DATASETS[data.dataset].test_classes(data)
    absent = [] if present is None else sorted({*classes} - present)
    if absent:
        raise SettingsError(
            f"folding: the test images in {data.root or data.dataset} have none of class "
            f"{', '.join(map(str, absent))}; name pairs of other classes in folding.pairs, or give data.root "
            "test images of all"
        )


def _path_sets(sections: Sections, num_classes: int) -> list[PathSet]:
    num_images = images_per_class(sections) or IMAGES_PER_CLASS
    return [
        PathSet(
            pair.name,
            {"pair": list(pair)},
            amount=num_images * (2 * num_images if pair.source != pair.target else num_images - 1),
        )
        for pair in walked_pairs(directed_pairs(sections, num_classes))
    ]


def _directions(key: Mapping[str, Any]) -> tuple[Direction, ...]:
    source, target = key["pair"]
    return tuple(pair.direction for pair in sorted({ClassPair(source, target), ClassPair(target, source)}))


def _is_asked(direction: Direction, sections: Sections, num_classes: int) -> bool:
    del num_classes
    pairs = _folding(sections).pairs
    return pairs == "all" or direction.name in pairs


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    del network
    source, target = key["pair"]
    return Ends(
        chosen_members(data.test, source, sections),
        None if source == target else chosen_members(data.test, target, sections),
    )


ENTRY = EndpointsEntry(
    summary="from the test images of one class to those of another",
    layout="grid",
    key_columns=(
        Column("source_class", "integer", "the class of the images where paths start"),
        Column("target_class", "integer", "the class of the images where they end"),
    ),
    check=_check,
    path_sets=_path_sets,
    directions=_directions,
    is_asked=_is_asked,
    ends=_ends,
)
