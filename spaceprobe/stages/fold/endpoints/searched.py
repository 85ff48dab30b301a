"""Global folding: the path that folds most, searched among images and then by moving its ends.

The global folding of a network, Φ_N of arXiv 2502.09954, is the largest χ of any path in the range of the
data. What a search finds is a lower bound of it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.fold.endpoints.class_pairs import (
    IMAGES_PER_CLASS,
    check_present,
    chosen_members,
    images_per_class,
)
from spaceprobe.stages.fold.endpoints.entry import (
    Direction,
    EndpointsEntry,
    Ends,
    Listing,
    PathSet,
    Points,
)
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaceprobe.data.dataset import Dataset
    from spaceprobe.folding import PathFolding

    Walk = Callable[[Tensor, Tensor], np.ndarray]

FIRST_STEP = 0.05
"""Chosen: standard deviation of the first proposals, of the range of each feature."""

LONGEST = 1.5
"""Chosen: a path is cut to a share of it, or made longer, up to so many times its length."""

SHRINK, GROW = 0.9, 1.5
"""Chosen: by which a climber's step changes where its proposal folds less, and where it folds more."""

LEAST_STEP = 1e-3
"""Chosen: the step does not become shorter, so that a climber is never at rest on a plateau of χ."""


class SearchedSettings(Settings):
    """The search for the path that folds most."""

    climbers: int = Field(
        20, ge=1, le=10_000, description="paths that climb: the best ones of as many images as starts"
    )
    climbs: int = Field(2_000, ge=0, le=1_000_000, description="proposals of each, one walk a proposal")
    search_seed: int = Field(0, ge=0, le=2**31 - 1, description="of the proposals")


def settings_of(sections: Sections) -> SearchedSettings:
    """Return the settings of the search."""
    return cast(SearchedSettings, sections["searched"])


def climb(
    walk: "Walk",
    ends: "tuple[Tensor, Tensor]",
    *,
    num_climbs: int,
    values: "tuple[Tensor, Tensor]",
    draw: "np.random.Generator",
) -> "tuple[Tensor, Tensor, np.ndarray]":
    """Return paths after local proposals, each accepted if χ does not fall, and their χ.

    A proposal moves the start, the end or both by normal steps, or one of them along the straight line, which
    cuts a piece off the path or goes beyond it; then it is clipped to the range. Normal steps of a path grow
    where χ rises and shrink where it falls.

    Args:
        walk: returns χ of the paths from each start to the end beside it.
        ends: the starts and the ends, each of shape ``(paths, features)``.
        num_climbs: how many proposals for each path.
        values: the least and the largest value of each feature.
        draw: of the proposals.
    """
    import numpy as np
    import torch

    low, high = values
    starts, stops = ends
    chi = walk(starts, stops)
    step = np.full(len(chi), FIRST_STEP)
    for _ in range(num_climbs):
        moves = torch.from_numpy(draw.standard_normal((2, *starts.shape)))
        share = torch.from_numpy(draw.uniform(0, LONGEST, len(chi)))[:, None]
        kind = torch.from_numpy(draw.integers(5, size=len(chi)))[:, None]
        scale = torch.from_numpy(step)[:, None] * (high - low)
        new_starts = starts + torch.where((kind == 0) | (kind == 2), scale * moves[0], 0.0)
        new_stops = stops + torch.where((kind == 1) | (kind == 2), scale * moves[1], 0.0)
        new_starts = torch.where(kind == 3, stops + share * (starts - stops), new_starts).clamp(low, high)
        new_stops = torch.where(kind == 4, starts + share * (stops - starts), new_stops).clamp(low, high)
        found = walk(new_starts, new_stops)
        is_taken = torch.from_numpy(found >= chi)[:, None]
        starts, stops = torch.where(is_taken, new_starts, starts), torch.where(is_taken, new_stops, stops)
        change = np.where(found > chi, GROW, np.where(found < chi, SHRINK, 1.0))
        is_normal = (kind < 3).squeeze(1).numpy()
        step = np.where(is_normal, np.clip(step * change, LEAST_STEP, 1), step)
        chi = np.maximum(found, chi)
    return starts, stops, chi


def _ends(network: "nn.Module", data: "Dataset", key: Mapping[str, Any], sections: Sections) -> Ends:
    """Return the ends of the paths that were found, those that fold most first."""
    import numpy as np
    import torch

    from spaceprobe.data.value_range import value_range
    from spaceprobe.folding import fold_grid
    from spaceprobe.stages.fold.endpoints.repeatable import generator
    from spaceprobe.stages.fold.walking import way_of

    del key
    settings = settings_of(sections)
    classes = range(data.num_classes or 0)
    members = [chosen_members(data.test, label, sections) for label in classes]
    numbers = np.concatenate([each.numbers for each in members])
    images = torch.cat([each.values for each in members])
    if len(images) < 2:
        raise SpaceprobeError("folding.endpoints: searched needs at least two test images to walk between")
    way = way_of(sections, network, data)
    row_max = cast("np.ndarray", fold_grid(network, images, warn=False, **way).chi.row_max)
    walk = partial(_chi, network, way)
    # The best targets of the best sources; of equal ones the first in the order of the images.
    sources = np.argsort(-row_max, kind="stable")[: settings.climbers]
    targets = np.array([_best_target(walk, images, source) for source in sources])
    found = climb(
        walk,
        (images[sources], images[targets]),
        num_climbs=settings.climbs,
        values=value_range(data),
        draw=generator(settings.search_seed),
    )
    starts, stops, chi = found
    order = np.argsort(-chi, kind="stable")
    facts = {
        "num_data_paths": len(images) * (len(images) - 1),
        "data_max": float(row_max.max()),
        "searched_max": float(chi[order[0]]),
    }
    starts, stops = starts[order], stops[order]
    return Ends(
        Points("starts", numbers[sources[order]], starts),
        Points("ends", numbers[targets[order]], stops),
        facts,
        are_kept=True,
        listing=_steps(network, way, starts[0], stops[0]),
    )


def _steps(
    network: "nn.Module", way: Mapping[str, Any], start: "Tensor", stop: "Tensor"
) -> dict[str, list[Any]]:
    """Return the columns of the listing: the steps of the path that folds most."""
    from spaceprobe.folding import trace_path

    names = ("method", "num_points", "units", "threshold", "bits")
    trace = trace_path(network, start, stop, warn=False, **{name: way[name] for name in names})
    columns = {"t": trace.t, "distance": trace.distance, "flips": trace.length}
    return {"step": [*range(len(trace.t))], **{name: values.tolist() for name, values in columns.items()}}


def _best_target(walk: "Walk", images: "Tensor", source: int) -> int:
    """Return the number of the image to which the path from a source folds most; the first of equal ones."""
    chi = walk(images[source].expand_as(images).clone(), images)
    chi[source] = -1  # itself
    return int(chi.argmax())


def _chi(network: "nn.Module", way: Mapping[str, Any], starts: "Tensor", stops: "Tensor") -> "np.ndarray":
    from spaceprobe.folding import space_folding, walk_batch

    folding: PathFolding = walk_batch(network, starts, stops, **way)
    return space_folding(folding.length, folding.reach_from_a)


def _path_sets(sections: Sections, num_classes: int) -> list[PathSet]:
    settings = settings_of(sections)
    num_images = num_classes * (images_per_class(sections) or IMAGES_PER_CLASS)
    # What is walked: all pairs, the rows of the best sources, the proposals, and the paths that were found.
    walks = settings.climbers * (num_images + settings.climbs + 2)
    return [
        PathSet(
            "searched",
            {"searched": settings.key()},
            amount=num_images * (num_images - 1) + 2 * walks,
        )
    ]


def _directions(key: Mapping[str, Any]) -> tuple[Direction, ...]:
    return (Direction("searched", {name: key["searched"][name] for name in ("climbers", "climbs")}),)


ENTRY = EndpointsEntry(
    summary="that a search for the largest folding found",
    layout="matched",
    key_columns=(
        Column("climbers", "integer", "how many paths climbed", is_setting=True),
        Column("climbs", "integer", "how many proposals each of them had", is_setting=True),
    ),
    facts=(
        Column("num_data_paths", "integer", "number of directed paths between test images"),
        Column("data_max", "number", "the largest chi of these", low=0, high=1),
        Column(
            "searched_max",
            "number",
            "the largest chi that was found: a lower bound of the global folding, at least data_max",
            low=0,
            high=1,
        ),
    ),
    listing=Listing(
        "searched_path",
        key_columns=(Column("step", "integer", "0 for the start, then each place at which units flip"),),
        columns=(
            Column("t", "number", "where on the path it is, from 0 to 1"),
            Column("distance", "integer", "Hamming distance from the activation pattern at the start"),
            Column("flips", "integer", "flips of units so far"),
        ),
        meaning="a step of the path that folds most, of those that a search found: chi is 1 - the largest "
        "distance / the last flips",
    ),
    sections={"searched": SearchedSettings},
    check=lambda sections, num_classes: check_present(sections, range(num_classes)),
    path_sets=_path_sets,
    directions=_directions,
    ends=_ends,
)
