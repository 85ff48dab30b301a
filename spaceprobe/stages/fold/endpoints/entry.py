"""What a source of endpoints declares, so that nothing else has to know it. Without torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spaceprobe.registry import Entry
from spaceprobe.stages.stage import Sections, Settings
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaceprobe.data.dataset import Dataset


class PathSet(NamedTuple):
    """The paths that are measured at once: a part of the results.

    Attributes:
        name: of its file, unique among those of the source.
        key: what tells it apart from the other sets of the source, as JSON values.
        amount: about how many paths, both directions counted, for the progress bar.
    """

    name: str
    key: Mapping[str, Any]
    amount: int


class Direction(NamedTuple):
    """One way along the paths of a set.

    Attributes:
        name: of its counts in the part's file.
        key: its cells of the key columns.
    """

    name: str
    key: Mapping[str, Any]


@dataclass(frozen=True)
class Points:
    """Points at which paths start or end.

    Attributes:
        name: of their numbers in the part's file.
        numbers: for each point the number of the image that it is or was made from; shape ``(points,)``.
        values: the points in float64; shape ``(points, *input shape)``.
        key: what tells them from all other points of the job, so that what belongs to them is computed once
            for all sets of paths that they are in; None for points of one set.
    """

    name: str
    numbers: "np.ndarray"
    values: "Tensor"
    key: str | None = None


@dataclass(frozen=True)
class Listing:
    """A further table of a source, with several rows of each set of paths.

    Attributes:
        name: of the table.
        key_columns: the columns that tell the rows of a set apart.
        columns: the other ones.
        meaning: what a row is.
    """

    name: str
    key_columns: tuple[Column, ...]
    columns: tuple[Column, ...]
    meaning: str


@dataclass(frozen=True)
class Ends:
    """The ends of a set of paths.

    Attributes:
        sources: where paths start.
        targets: where they end; of matched paths one for each source. None for the paths of a grid from each
            source to the other sources.
        facts: the cells of `EndpointsEntry.facts`, as JSON values; None for an empty one.
        are_kept: whether the part's file keeps the points themselves: they cannot be had from the data.
        via: of matched paths the corners between both ends, of shape ``(paths, corners, *input shape)``; None
            for straight paths.
        listing: the columns of `EndpointsEntry.listing`, a list of JSON values each.
    """

    sources: Points
    targets: Points | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    are_kept: bool = False
    via: "Tensor | None" = None
    listing: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def _check_nothing(sections: Sections, num_classes: int) -> None:
    del sections, num_classes


def _is_asked(direction: Direction, sections: Sections, num_classes: int) -> bool:
    del direction, sections, num_classes
    return True


@dataclass(frozen=True, kw_only=True)
class EndpointsEntry(Entry):
    """One source of endpoints. Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        summary: what its paths are, for the documentation of its tables, which say "paths" before it.
        layout: ``grid`` for the paths from every source to every target, ``matched`` for those from each
            source to its own target.
        key_columns: the columns of its tables that tell its paths apart.
        facts: further columns of its table of checks, which say what its ends are.
        listing: a further table with several rows of each set of paths, if there is one.
        sections: further sections of the study file and their models, with what it is asked for.
        check: given the sections and the number of classes, raises a `SpaceprobeError` where they do not go
            together.
        path_sets: returns the sets of paths that the sections ask for, from them and the number of classes.
        directions: returns, for the key of a set, the directions that are measured: from sources to targets
            and, if there is a second one, back.
        is_asked: whether the tables show a direction, given the sections and the number of classes too.
        ends: returns the ends of a set of paths from the network in float64, the dataset, the set's key and
            the sections. The same in every process: what it draws is seeded from the key or the sections.
    """

    summary: str
    layout: Literal["grid", "matched"]
    key_columns: tuple[Column, ...]
    facts: tuple[Column, ...] = ()
    listing: Listing | None = None
    sections: Mapping[str, type[Settings]] = field(default_factory=dict)
    check: Callable[[Sections, int], None] = _check_nothing
    path_sets: Callable[[Sections, int], Sequence[PathSet]]
    directions: Callable[[Mapping[str, Any]], tuple[Direction, ...]]
    is_asked: Callable[[Direction, Sections, int], bool] = _is_asked
    ends: "Callable[[nn.Module, Dataset, Mapping[str, Any], Sections], Ends]"
