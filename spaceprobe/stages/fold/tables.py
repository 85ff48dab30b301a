"""The tables of the fold stage, from the counts of its parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.tables.table import Column, Table

if TYPE_CHECKING:
    import numpy as np

MEASURES = ("chi", "peak")
STATISTICS = (
    *("num_paths", "num_sources", "num_targets", "zero_length", "folded", "mean", "max"),
    *("q05", "q25", "q50", "q75", "q95", "row_max_median"),
)
KEY = ("epoch", "source_class", "target_class", "measure", "method", "num_points")

READING = (
    Column("method", "text", "how paths were walked: exact, jvp, kernel or sampled", is_setting=True),
    Column("num_points", "integer", "points of a sampled path; empty for other methods", is_setting=True),
)

FOLDING = Table("folding", key=KEY, columns=(*KEY[:4], *READING, *STATISTICS))
CHECKS = Table(
    "folding_checks",
    key=(*KEY[:3], "method"),
    columns=(*KEY[:3], "method", "device", "num_walks", "num_violations"),
)
HISTOGRAM = Table(
    "folding_histogram",
    key=("epoch", *KEY[3:], "low", "high"),
    columns=("epoch", "measure", *READING, "low", "high", "num_paths"),
)

TABLES = (FOLDING, CHECKS, HISTOGRAM)


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    settings = folding_of(sections)
    asked = set(settings.directed_pairs())
    way = {
        "method": settings.method,
        "num_points": settings.num_points if settings.method == "sampled" else None,
    }
    rows: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    cells: dict[tuple[int, str], list[Any]] = {}
    for part, content in parts:
        source, target = part.key["pair"]
        walked = {"epoch": part.key["epoch"], "source_class": source, "target_class": target}
        checks.append({**walked, **content.record})
        for pair in sorted({(source, target), (target, source)} & asked):
            for measure in MEASURES:
                some = content.arrays[f"{measure}-{pair[0]}-{pair[1]}-cells"]
                cells.setdefault((part.key["epoch"], measure), []).append(some)
            for row in _rows(content.arrays, *pair):
                rows.append(
                    {
                        "epoch": part.key["epoch"],
                        "source_class": pair[0],
                        "target_class": pair[1],
                        **way,
                        **row,
                    }
                )
    histogram = [
        {"epoch": epoch, "measure": measure, **way, **row}
        for (epoch, measure), some in cells.items()
        for row in _histogram(some)
    ]
    return {"folding": rows, "folding_checks": checks, "folding_histogram": histogram}


def _histogram(cells: Sequence["np.ndarray"]) -> Iterator[dict[str, Any]]:
    """Yield how many paths of several class pairs fold how far."""
    import numpy as np

    from spaceprobe.analysis.statistics import HISTOGRAM_BINS, folding_histogram

    for number, num_paths in enumerate(folding_histogram(np.concatenate(cells)).tolist()):
        low = max(0, number - 1) / HISTOGRAM_BINS
        yield {"low": low, "high": number / HISTOGRAM_BINS, "num_paths": num_paths}


def _rows(arrays: Mapping[str, Any], source: int, target: int) -> Iterator[dict[str, Any]]:
    from spaceprobe.analysis.statistics import count_zero_length, folding_statistics

    num_zero_length = count_zero_length(arrays[f"chi-{source}-{target}-cells"])
    for measure in MEASURES:
        yield {
            "measure": measure,
            **folding_statistics(
                arrays[f"{measure}-{source}-{target}-cells"],
                arrays[f"{measure}-{source}-{target}-row-max"],
                num_sources=len(arrays[f"images-{source}"]),
                num_targets=len(arrays[f"images-{target}"]),
                num_zero_length=num_zero_length,
            ),
        }
