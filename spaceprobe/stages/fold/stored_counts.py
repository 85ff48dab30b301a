"""What is stored of a set of paths: the counts of each direction, as the arrays of a part's file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.folding import CountedFolding, FoldingCounts
    from spaceprobe.stages.fold.endpoints.entry import Direction, Ends

FOLDINGS = ("chi", "peak")
"""What is counted of each path: its folding, and that of its prefix that folds most."""

LISTING = "listing"
"""The entry of a part's record with the columns of `EndpointsEntry.listing`."""

_IMAGES, _CELLS, _ROW_MAX, _DETAIL, _POINTS = "images-", "-cells", "-row-max", "detail-", "points-"


@dataclass(frozen=True)
class StoredCounts:
    """The counts of a set of paths.

    Attributes:
        images: the numbers of the images at each end, by the name of the points, those of the sources first;
            one entry where the targets are the sources themselves.
        counts: the counts of each direction, by its name, then by `FOLDINGS`.
        detail: what is kept of a sample of single paths, a column an array, which has two axes where a table
            has several rows of a path (`sample_detail`); empty where none was asked for.
        points: the points at each end, by their name; empty where the data have them.
    """

    images: "Mapping[str, np.ndarray]"
    counts: "Mapping[str, Mapping[str, FoldingCounts]]"
    detail: "Mapping[str, np.ndarray]" = field(default_factory=dict)
    points: "Mapping[str, np.ndarray]" = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        ends: "Ends",
        directions: "Sequence[Direction]",
        folding: "CountedFolding",
        detail: "Mapping[str, np.ndarray]",
    ) -> "StoredCounts":
        """Return what is stored of paths: the first direction as they were walked, the second one back."""
        points = [ends.sources] if ends.targets is None else [ends.sources, ends.targets]
        there = {"chi": folding.chi, "peak": folding.peak}
        back = {"chi": folding.chi_back, "peak": folding.peak_back}
        return cls(
            images={each.name: each.numbers for each in points},
            counts={
                direction.name: counts
                for direction, counts in zip(
                    directions, (there, back), strict=False
                )  # back may not be asked for
            },
            detail=detail,
            points={each.name: each.values.numpy() for each in points} if ends.are_kept else {},
        )

    def images_of(self, number: int) -> "tuple[np.ndarray, np.ndarray]":
        """Return the numbers of the images at the start and the end of a direction: 0, or 1 for back."""
        sources, *targets = self.images.values()
        ends = sources, targets[0] if targets else sources
        return ends if number == 0 else ends[::-1]

    def to_arrays(self) -> "dict[str, np.ndarray]":
        """Return the arrays of a part's file, such as ``chi-3-8-cells``."""
        arrays = {f"{_IMAGES}{name}": numbers for name, numbers in self.images.items()}
        for direction, counts in self.counts.items():
            for name in FOLDINGS:
                arrays[f"{name}-{direction}{_CELLS}"] = counts[name].cells
                row_max = counts[name].row_max
                if row_max is not None:
                    arrays[f"{name}-{direction}{_ROW_MAX}"] = row_max
        arrays |= {f"{_POINTS}{name}": values for name, values in self.points.items()}
        return arrays | {f"{_DETAIL}{column}": values for column, values in self.detail.items()}

    @classmethod
    def from_arrays(cls, arrays: "Mapping[str, np.ndarray]") -> "StoredCounts":
        """Return what the arrays of a part's file hold."""
        from spaceprobe.folding.counts import FoldingCounts

        start = f"{FOLDINGS[0]}-"
        directions = [
            name.removeprefix(start).removesuffix(_CELLS)
            for name in arrays
            if name.startswith(start) and name.endswith(_CELLS)
        ]
        return cls(
            images=_named(arrays, _IMAGES),
            counts={
                direction: {
                    name: FoldingCounts(
                        arrays[f"{name}-{direction}{_CELLS}"], arrays.get(f"{name}-{direction}{_ROW_MAX}")
                    )
                    for name in FOLDINGS
                }
                for direction in directions
            },
            detail=_named(arrays, _DETAIL),
            points=_named(arrays, _POINTS),
        )


def _named(arrays: "Mapping[str, np.ndarray]", prefix: str) -> "dict[str, np.ndarray]":
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
