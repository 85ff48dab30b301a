"""What the gap stage prints: how each measure of the trained networks goes with the gap."""

from typing import TYPE_CHECKING

from spaceprobe.stages.summary_text import heading, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.text import NOTHING, TextColumn, count, fill, text_table

if TYPE_CHECKING:
    import pandas as pd

LEGEND = (
    "τ: Kendall's, of a measure and the gap, in [-1, 1], between networks that differ in one setting alone; "
    "mean over settings with its 95 % t interval over seeds, each setting, and all networks of a seed"
)

_HEADS = {"mean": "mean", "all": "all"}


def present(frames: Frames) -> str:
    """Return what the command prints."""
    ranks = frames["gap_ranks"]
    response = "accuracy_gap" if (ranks["response"] == "accuracy_gap").any() else "loss_gap"
    rows = ranks[ranks["is_last"] & (ranks["response"] == response) & (ranks["min_train_accuracy"] == 0)]
    if not rows["tau"].notna().any():
        why = "no two networks with the same seed differ" if len(rows) else "nothing was measured"
        return "\n".join([f"no measure goes with the gap: {why}", *why_failed(frames["runs"])])
    names = rows[["measure", "reading"]].drop_duplicates()
    key = [TextColumn("measure", [*map(heading, names["measure"])], is_number=False)]
    if names["reading"].ne("").any():
        key.append(TextColumn("reading", [*names["reading"]], is_number=False))
    values = []
    for axis in _axes(rows):
        of_axis = names.merge(rows[rows["axis"] == axis], on=["measure", "reading"], how="left")
        values.append(TextColumn(f"τ {_HEADS.get(axis, heading(axis))}", _cells(of_axis["tau"])))
        if axis == "mean":
            ends = zip(of_axis["tau_low"], of_axis["tau_high"], strict=True)
            intervals = [f"[{low:.2f}, {high:.2f}]" if low == low else NOTHING for low, high in ends]
            values.append(TextColumn("95 % interval", intervals))
    what = heading(response)
    largest = int(rows["num_runs"].max())
    legend = f"{LEGEND}. {count(len(names), 'measure')}: intervals are not corrected for their number"
    lines = [f"{what} of {count(largest, 'network')}, measured after the last epoch"]
    return "\n".join([*lines, *text_table(key, values), *fill(legend), *why_failed(frames["runs"])])


def _axes(rows: "pd.DataFrame") -> list[str]:
    """Return what networks are compared along: the mean over settings first, all networks last."""
    axes = [*rows["axis"].unique()]
    return sorted(axes, key=lambda axis: (axis == "all") - (axis == "mean"))


def _cells(values: "pd.Series[float]") -> list[str]:
    return [NOTHING if value != value else f"{value:.2f}".replace("-0.00", "0.00") for value in values]
