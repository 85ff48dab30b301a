"""What `spaceprobe fold --model` prints: what paths will take, and a summary of those that were walked."""

from typing import TYPE_CHECKING

from spaceprobe.model_sources import ModelSource
from spaceprobe.tables.text import TextColumn, count, duration, fill, text_table

if TYPE_CHECKING:
    import pandas as pd

    from spaceprobe.stages.fold.model_ends import ChosenPaths
    from spaceprobe.stages.fold.model_paths import Cost, Prepared

MEASURES = {
    "length": "length",
    "reach": "reach",
    "reach_back": "reach back",
    "chi": "χ",
    "chi_back": "χ back",
    "null_chi": "null χ",
    "null_chi_back": "null χ back",
    "peak": "peak folding",
    "peak_back": "peak folding back",
}
"""The columns that a summary shows, and what it calls them."""


def cost_text(cost: "Cost") -> str:
    """Return what the paths that are left are expected to take, as a notice."""
    rest = f"the other {cost.num_left:,}" if cost.num_left > 1 else "the other one"
    return f"fold: a path takes {duration(cost.path_s)}; {rest} about {duration(cost.left_s)} (Ctrl-C stops)"


def summary_text(
    source: ModelSource,
    weights: str,
    prepared: "Prepared",
    paths: "ChosenPaths",
    frame: "pd.DataFrame",
    num_asked: int | None,
    seed: int,
) -> str:
    """Return a summary of the paths that were walked, which fits a terminal."""
    from spaceprobe.folding.options import SAMPLING
    from spaceprobe.results.paths import reading_of

    num_walked, num_possible = len(paths), paths.num_possible
    reading = "every linear region"
    if prepared.engine in SAMPLING:
        reading = f"{reading_of(prepared.engine, prepared.way['num_points'])}, so lengths are lower bounds"
    lines = [
        f"{source}: {count(num_walked, 'path')}, each read from both ends",
        f"{weights}",
        f"walked by the engine {prepared.engine} on {prepared.way['device']}: {reading}",
        prepared.check,
    ]
    if num_walked < num_possible:
        reason = "--paths N walks more" if num_asked is None else "as --paths asks"
        lines.append(f"{num_walked:,} of {num_possible:,} paths, drawn with seed {seed}; {reason}")
    if prepared.engine not in SAMPLING:
        num_violations = int(frame["num_violations"].sum())
        lines.append(f"region check: {num_violations or 'no'} violation{'s' * (num_violations != 1)}")
    if prepared.not_counted:
        lines.append(f"not counted, only passed through: {'; '.join(prepared.not_counted)}")
    head, *rest = lines
    return "\n".join(
        [*fill(head), *(line for text in rest for line in fill(f"  {text}", "    ")), *_table(frame)]
    )


def _table(frame: "pd.DataFrame") -> list[str]:
    heads = ("mean", "median", "min", "max") if len(frame) > 1 else ("max",)
    key = TextColumn("", [*MEASURES.values()], is_number=False)
    columns = [
        TextColumn(head if len(frame) > 1 else "", [_cell(frame[name], head) for name in MEASURES])
        for head in heads
    ]
    if len(frame) == 1:
        return [*text_table([key, *columns])][1:]  # without a head
    shares = (frame["chi"] > 0).mean(), (frame["chi_back"] > 0).mean()
    return [
        *text_table([key, *columns]),
        f"  folded (χ > 0): {shares[0]:.3f} of the paths, read back {shares[1]:.3f}",
    ]


def _cell(values: "pd.Series[float]", head: str) -> str:
    number = float(getattr(values, head)())
    if values.dtype.kind == "f":
        return f"{number:.4f}"
    return f"{number:,.1f}" if head in ("mean", "median") else f"{number:,.0f}"
