"""A few points of each class in place of all its images: k-means centres, medoids, or a random subset."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages.fold.endpoints.class_pairs import ENTRY as CLASS_PAIRS
from spaceprobe.stages.fold.endpoints.class_pairs import (
    class_members,
    directed_pairs,
    images_per_class,
    walked_pairs,
)
from spaceprobe.stages.fold.endpoints.entry import Direction, EndpointsEntry, Ends, PathSet, Points
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from spaceprobe.data.dataset import Dataset, Split
    from spaceprobe.stages.fold.settings import FoldingSettings

NUM_STARTS = 10
"""Of k-means, of which the tightest clusters count. Chosen: scikit-learn's default before it was one."""

Kind = Literal["centres", "medoids", "random"]


class ClustersSettings(Settings):
    """A few points of each class, between which paths are folded."""

    kind: Kind = Field(
        "centres",
        description="means of k-means clusters; medoids, the image nearest to each mean; or random images",
    )
    k: int = Field(5, ge=1, le=1_000, description="points of each class")
    cluster_seed: int = Field(
        0, ge=0, le=2**31 - 1, description="of the starts of k-means, or of the random images"
    )


def settings_of(sections: Sections) -> ClustersSettings:
    """Return the settings of clusters."""
    return cast(ClustersSettings, sections["clusters"])


def class_points(
    images: "Split",
    label: int,
    per_class: int | None,
    settings: ClustersSettings,
    images_seed: int | None = None,
) -> Points:
    """Return the points that stand for a class, in the order of the images that they are or lie nearest to.

    Random images of a larger k contain those of a smaller one.

    Args:
        images: the test images with their classes.
        label: the class.
        per_class: of how many of its first images; None for all.
        settings: what is asked for.
        images_seed: by which these images are drawn instead; see `class_members`.

    Raises:
        SpaceprobeError: the class has fewer images than points are asked for, or k-means fewer distinct ones.
    """
    return _class_points(images, label, per_class, settings, images_seed)


@lru_cache(maxsize=256)  # a class has the same points in all its pairs, epochs and networks
def _class_points(
    images: "Split", label: int, per_class: int | None, settings: ClustersSettings, images_seed: int | None
) -> Points:
    import numpy as np
    import torch

    members = class_members(images, label, per_class, images_seed=images_seed)
    values = members.values.flatten(1).numpy()
    is_random = settings.kind == "random"
    num_there = len(values) if is_random else len(np.unique(values, axis=0))
    if num_there < settings.k:
        raise SpaceprobeError(
            f"clusters.k: {settings.k} points are asked for, and class {label} has {num_there}"
            f"{' distinct' * (not is_random)} test images; set a smaller k, or more images in "
            "folding.per_class"
        )
    if is_random:
        from spaceprobe.stages.fold.endpoints.repeatable import generator

        drawn = generator(settings.cluster_seed, label).permutation(len(values))[: settings.k]
        nearest, points = np.sort(drawn), values[np.sort(drawn)]
    else:
        nearest, centres = _clusters(values, settings.k, settings.cluster_seed)
        points = centres if settings.kind == "centres" else values[nearest]
    shape = members.values.shape[1:]
    return Points(str(label), members.numbers[nearest], torch.from_numpy(points).view(-1, *shape))


def _clusters(values: "np.ndarray", k: int, seed: int) -> "tuple[np.ndarray, np.ndarray]":
    """Return for each cluster the row nearest to its mean, ascending, and the mean."""
    import numpy as np
    from sklearn.cluster import KMeans

    from spaceprobe.stages.fold.endpoints.repeatable import one_thread

    with one_thread():
        found = KMeans(k, n_init=NUM_STARTS, random_state=seed).fit(values)
    nearest = []
    for cluster, centre in enumerate(found.cluster_centers_):
        rows = np.flatnonzero(found.labels_ == cluster)
        nearest.append(rows[((values[rows] - centre) ** 2).sum(1).argmin()])
    order = np.argsort(nearest)
    # A mean of numbers in the data's range lies in it but for rounding.
    centres = np.clip(found.cluster_centers_, values.min(0), values.max(0))
    return np.array(nearest)[order], centres[order]


def _check(sections: Sections, num_classes: int) -> None:
    CLASS_PAIRS.check(sections, num_classes)
    k, per_class = settings_of(sections).k, images_per_class(sections)
    if per_class is not None and k > per_class:
        raise SettingsError(
            f"clusters.k: {k} points of each class are asked for, and folding.per_class takes {per_class} "
            f"images; set folding.per_class to {k} or more, or a smaller k"
        )


def _path_sets(sections: Sections, num_classes: int) -> list[PathSet]:
    settings = settings_of(sections)
    return [
        PathSet(
            pair.name,
            {"pair": list(pair), "clusters": settings.key()},
            amount=settings.k * (2 * settings.k if pair.source != pair.target else settings.k - 1),
        )
        for pair in walked_pairs(directed_pairs(sections, num_classes))
    ]


def _directions(key: Mapping[str, Any]) -> tuple[Direction, ...]:
    asked = {name: key["clusters"][name] for name in ("kind", "k")}
    return tuple(
        Direction(direction.name, {**direction.key, **asked}) for direction in CLASS_PAIRS.directions(key)
    )


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    del network
    per_class, settings = images_per_class(sections), settings_of(sections)
    images_seed = cast("FoldingSettings", sections["folding"]).images_seed
    sources, targets = (
        class_points(data.test, label, per_class, settings, images_seed) for label in key["pair"]
    )
    return Ends(sources, None if len({*key["pair"]}) == 1 else targets)


ENTRY = EndpointsEntry(
    summary="from the points that stand for one class to those of another",
    layout="grid",
    key_columns=(
        *CLASS_PAIRS.key_columns,
        Column("kind", "text", "the points of a class: centres, medoids or random", is_setting=True),
        Column("k", "integer", "how many points stand for a class", is_setting=True),
    ),
    sections={"clusters": ClustersSettings},
    check=_check,
    path_sets=_path_sets,
    directions=_directions,
    is_asked=CLASS_PAIRS.is_asked,
    ends=_ends,
)
