"""Figures of single paths and of the planes that they lie in: of the study, and of CantorNet."""

from typing import TYPE_CHECKING

from markupsafe import Markup

from spaceprobe.errors import SettingsError
from spaceprobe.report import figures as draw
from spaceprobe.report.kinds.kind import Kind, needs, said
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.missing import why_missing
from spaceprobe.results.results import Results

if TYPE_CHECKING:
    from spaceprobe.results.examples import Example


def _no_example(results: Results) -> str | None:
    missing = why_missing(results, "folding")
    if missing is not None:
        return missing
    return results.example if isinstance(results.example, str) else None


def _example(results: Results) -> "Example":
    if isinstance(results.example, str):
        raise SettingsError(results.example)  # `lacks` says so before
    return results.example


def _example_path_words(numbers: Numbers) -> Markup:
    """Describe which path is shown, and what becomes of it."""
    ends = [
        said(
            "{} (a {})",
            numbers.cell("example", 0, end, "d"),
            numbers.cell("example", 0, f"{end}_class", "d"),
        )
        for end in ("source", "target")
    ]
    which = said(
        "From test image {} to {} through <code>{}</code>: the path with the largest χ of this network, the "
        "first of the deepest. ",
        *ends,
        str(numbers.frames["example"].at[0, "run"]),
    )
    return which + _path_words(numbers, "example_path")


def _path_words(numbers: Numbers, table: str) -> Markup:
    """Describe what becomes of one path, whose table is named."""
    return said(
        "The Hamming distance of the activation pattern from that at the start, beside the number of flips "
        "so far: were no flip undone, the two would be one line. Of {} flips the path keeps at most {} at "
        "once; at its end χ is {}.",
        numbers.reading("max", table, "flips"),
        numbers.reading("max", table, "distance"),
        numbers.cell(table, len(numbers.frames[table]) - 1, "chi"),
    )


def _plane_words(numbers: Numbers, table: str) -> Markup:
    """Describe how many patterns a plane shows, whose table is named."""
    return said(
        "Colour is the Hamming distance from the pattern at the start of the path, which is drawn in; thin "
        "lines are boundaries of linear regions. The grid meets {} patterns, up to {} flips from the start.",
        numbers.reading("distinct", table, "pattern"),
        numbers.reading("max", table, "distance"),
    )


def _sampling_words(numbers: Numbers, table: str, counts: tuple[int, int]) -> Markup:
    """Describe how far χ of few points is from the exact one, on the first path of a table of samples."""
    samples = numbers.frames[table]
    rows = samples[samples["path"] == samples["path"].iloc[0]]
    exact = rows.index[rows["num_points"].isna()].tolist()[0]
    fewest, papers = (rows.index[rows["num_points"] == count].tolist()[0] for count in counts)
    return said(
        "χ of paths read at evenly spaced points, as the paper does, beside the exact value (dashed). The "
        "path above has χ = {} at {} points, {} at {}, and {} exactly.",
        numbers.cell(table, fewest, "chi"),
        numbers.cell(table, fewest, "num_points", ".0f"),
        numbers.cell(table, papers, "chi"),
        numbers.cell(table, papers, "num_points", ".0f"),
        numbers.cell(table, exact, "chi"),
    )


PATHS = (
    Kind(
        name="path",
        title="One path between two digits",
        section="paths",
        tables=("example_path",),
        lacks=_no_example,
        draw=lambda r: draw.path_figure(_example(r).path, _example(r).images),
        caption=_example_path_words,
    ),
    Kind(
        name="plane",
        title="The plane through three test images",
        section="paths",
        tables=("example_plane",),
        lacks=_no_example,
        draw=lambda r: draw.plane_figure(_example(r).plane, _example(r).corners, labels=_example(r).labels),
        caption=lambda numbers: _plane_words(numbers, "example_plane"),
    ),
    Kind(
        name="sampling",
        title="How many points a path needs",
        section="paths",
        tables=("example_samples",),
        lacks=_no_example,
        draw=lambda r: draw.sampling_figure(_example(r).samples),
        caption=lambda numbers: _sampling_words(numbers, "example_samples", (10, 100)),
    ),
    Kind(
        name="cantor-path",
        title="CantorNet: a path whose folding is known",
        section="paths",
        tables=("cantor_path",),
        lacks=needs("folding"),
        draw=lambda r: draw.path_figure(r.cantor.path),
        caption=lambda numbers: _path_words(numbers, "cantor_path"),
    ),
    Kind(
        name="cantor-plane",
        title="CantorNet: its square",
        section="paths",
        tables=("cantor_plane",),
        lacks=needs("folding"),
        draw=lambda r: draw.plane_figure(r.cantor.plane, r.cantor.corners, labels=r.cantor.labels),
        caption=lambda numbers: _plane_words(numbers, "cantor_plane"),
    ),
    Kind(
        name="cantor-sampling",
        title="CantorNet: how many points its path needs",
        section="paths",
        tables=("cantor_samples",),
        lacks=needs("folding"),
        draw=lambda r: draw.sampling_figure(r.cantor.samples),
        caption=lambda numbers: _sampling_words(numbers, "cantor_samples", (5, 11)),
    ),
)
