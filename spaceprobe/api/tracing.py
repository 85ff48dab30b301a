"""A path event by event: which unit flips where, as a result that draws itself."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from spaceprobe.api.attributions import Attributions, WalkedPaths
from spaceprobe.api.display import first_rows, html_page
from spaceprobe.folding import DEFAULT_TOLERANCE, Bits, Threshold, Units
from spaceprobe.folding.choice import warn_of_uncounted
from spaceprobe.folding.decisions import PathDecisions, polyline_decisions
from spaceprobe.folding.events import PathEvents, TraceMethod, trace_events
from spaceprobe.folding.points import Points, read_points
from spaceprobe.report.drawing.style import render
from spaceprobe.report.figures.path import path_figure
from spaceprobe.results.paths import path_frame


@dataclass(frozen=True, repr=False)
class Trace:
    """Every event along a path of straight segments.

    Attributes:
        events: the flips, as arrays.
        num_points: on each segment, where it was sampled; None for all linear regions.
        has_windows: whether windows count, as with ``units="all"``.
        walked: the network and the segments, for `integrated_gradients`.
        decisions: the flips of the decision, as arrays; None where they were not asked for.
    """

    events: PathEvents
    num_points: int | None
    has_windows: bool = False
    walked: WalkedPaths | None = None
    decisions: PathDecisions | None = None

    @property
    def length(self) -> int:
        """All flips of units, r2(Γ)."""
        return len(self.events.length)

    @property
    def reach(self) -> int:
        """The largest Hamming distance from the activation pattern at the first point, r1(Γ)."""
        return int(self.events.distance.max(initial=0))

    @property
    def chi(self) -> float:
        """The space folding χ = 1 - reach / length, in [0, 1); 0 for length 0."""
        return float(self.events.steps.chi[-1])

    def integrated_gradients(self, output: int) -> Attributions:
        """Return how much each input adds to the change of an output along all segments together.

        See `spaceprobe.Folding.integrated_gradients`.
        """
        if self.walked is None:
            raise ValueError("this trace does not know its path: call spaceprobe.trace")
        return self.walked.attributions(output)

    def __len__(self) -> int:
        """Return the number of flips of units."""
        return self.length

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each flip, in order; with ``decisions=True`` also for each flip of the decision.

        Columns, of which distance, flips and chi are those just after all flips at this t:

        - ``t``: segments passed and the share of the next one: from 0 to the number of segments.
        - ``module``: in whose forward method the activation is called, named as in ``named_modules()``:
          ``features.1`` of an `nn.ReLU`, or the module that calls ``torch.relu``; empty for the model's own.
        - ``function``: the function of torch, such as ``relu``.
        - ``call``: how many calls of this function in this module came before it, in one run of the model.
        - ``index``: which unit: a tuple, its place in the activation's output without the batch.
        - ``kink``: what its pre-activation passes: 0 of a ReLU, or the threshold; -1 or 1 of a Hardtanh;
          missing for a window.
        - ``is_on``: whether it is above that afterwards; missing for a window.
        - ``winner``: only with ``units="all"``: the number of the entry that a window chooses afterwards
          (docs/definitions.md, "Windows"); missing for an activation.
        - ``distance``: Hamming distance of the activation pattern from that at the first point.
        - ``flips``: flips so far.
        - ``chi``: χ of the path so far.

        Only with ``decisions=True``; all but ``kind`` are missing where a unit flips:

        - ``kind``: ``unit`` or ``decision``; of a decision all columns that tell of a unit are missing.
        - ``class_before``: the class that the network names before it: the number of the output.
        - ``class_after``: the class that it names behind it.
        - ``margin``: the largest margin, the largest output minus the second largest, from there to the next
            flip of the decision, or to the end.
        - ``slope``: how fast the margin grows just behind it, per unit of t; missing of sampled paths.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        events = self.events
        bits = events.units.bits(events.bit)
        symbols: dict[str, pd.Series[Any]] = {"is_on": pd.Series(events.symbol > 0)}
        if self.has_windows:
            is_window = pd.Series([bit.activation.is_window for bit in bits], dtype=bool)
            symbols = {
                "is_on": symbols["is_on"].astype("boolean").mask(is_window),
                "winner": pd.Series(events.symbol, dtype="Int64").where(is_window),
            }
        frame = pd.DataFrame(
            {
                "t": events.t,
                "module": pd.Series([bit.activation.module for bit in bits], dtype=object),
                "function": pd.Series([bit.activation.function for bit in bits], dtype=object),
                "call": pd.Series([bit.activation.call for bit in bits], dtype="int64"),
                "index": pd.Series([bit.index for bit in bits], dtype=object),
                "kink": pd.Series([bit.kink for bit in bits], dtype="float64"),
                **symbols,
                "distance": events.distance,
                "flips": events.length,
                "chi": events.chi,
            }
        )
        if self.decisions is not None:
            frame = _with_decisions(frame, self.decisions, self.steps())
        return frame.rename_axis(index="event")

    def steps(self) -> pd.DataFrame:
        """Return t, distance, flips and chi: a row for the start, and one for each t at which units flip."""
        return path_frame(self.events.steps)

    def plot(self) -> Figure:
        """Draw distance from the start, flips and χ so far, as `spaceprobe.api.path_figure` does.

        With ``decisions=True`` also where the decision flips, and what it is between.
        """
        named = None
        if self.decisions is not None:
            named = pd.DataFrame({"t": [0.0, *self.decisions.t], "class": _classes(self.decisions)})
        return path_figure(self.steps(), num_segments=self.events.num_segments, decisions=named)

    def describe(self) -> str:
        """Return what was seen, in one or a few lines."""
        events = self.events
        way = f"{self.num_points:,} points a segment" if self.num_points else "every linear region"
        segments = f"{events.num_segments:,} segment{'s' * (events.num_segments != 1)}"
        lines = [
            f"Trace of {segments} ({way})",
            f"length {self.length}, reach {self.reach}, χ {self.chi:.4f}",
        ]
        if self.decisions is not None:
            lines.append(_describe(self.decisions))
        if events.not_counted:
            lines.append(f"not counted: {', '.join(events.not_counted)}")
        if events.num_violations:
            lines.append(f"{events.num_violations:,} linear regions failed the region check")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"{self.describe()}\n{first_rows(self._frame)}" if len(self._frame) else self.describe()

    def _repr_html_(self) -> str:
        return html_page(self.describe(), self._frame, self._repr_png_())

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")


MAX_CLASSES = 8
"""Chosen: of more classes, one after the other, a description says the first ones."""


def _classes(decisions: PathDecisions) -> list[int]:
    """Return the classes that a network names on a path, one after the other."""
    return [int(decisions.start[0]), *decisions.after.tolist()]


def _describe(decisions: PathDecisions) -> str:
    """Return what the decision does on a path, in one line."""
    classes = _classes(decisions)
    if len(classes) == 1:
        return f"decision {classes[0]} throughout, smallest margin {decisions.smallest_margin[0]:.4g}"
    number = len(classes) - 1
    shown = " → ".join([*map(str, classes[:MAX_CLASSES]), *["…"] * (len(classes) > MAX_CLASSES)])
    return f"decision {shown}: {number:,} flip{'s' * (number != 1)}, the first at t = {decisions.t[0]:.4f}"


def _with_decisions(frame: pd.DataFrame, decisions: PathDecisions, steps: pd.DataFrame) -> pd.DataFrame:
    """Return the flips of units and of the decision in the order of t, those of units first at one t.

    Args:
        frame: of the flips of units.
        decisions: of one path.
        steps: of the path, from its start.
    """
    step = np.searchsorted(steps["t"], decisions.t, side="right") - 1
    flips = pd.DataFrame(
        {
            "t": decisions.t,
            "kind": "decision",
            **{name: steps[name].to_numpy()[step] for name in ("distance", "flips", "chi")},
            "class_before": pd.array(decisions.before, dtype="Int64"),
            "class_after": pd.array(decisions.after, dtype="Int64"),
            "margin": decisions.margin,
            "slope": decisions.slope,
        }
    )
    units = frame.assign(
        kind="unit", is_on=frame["is_on"].astype("boolean"), call=frame["call"].astype("Int64")
    )
    names = [*frame.columns[:1], "kind", *frame.columns[1:], *flips.columns[-4:]]
    dtypes = {**units.dtypes, **flips.dtypes}
    both = [
        part.reindex(columns=names).astype({name: dtypes[name] for name in names}) for part in (units, flips)
    ]
    return pd.concat(both).sort_values("t", kind="stable", ignore_index=True)


def trace(
    model: nn.Module,
    points: Points,
    *,
    method: TraceMethod = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
    decisions: bool = False,
) -> Trace:
    """Return every flip of a unit along the straight line between two points, or along a polyline.

    At a corner the open segments on both sides are compared: what differs flips once, there. A path that ends
    where it began is a loop; its ends are not compared. A segment of length 0 has no events.

    Args:
        model: see `spaceprobe.walk_paths`; it is copied, and walked in float64.
        points: at least 2, of shape ``(num_points, *input shape)``: a torch tensor, a numpy array or lists of
            real numbers, which are taken as they are.
        method: ``exact`` sees every linear region that the open segments cross, and is for piecewise-linear
            models, ``layerwise`` names the same engine; ``sampled`` sees which units differ from each of
            evenly spaced points to the next, at the later of the two.
        num_points: on each segment, both ends included, at least 2; for ``sampled``.
        device: see `spaceprobe.walk_paths`.
        tolerance: see `spaceprobe.walk_paths`.
        bits: see `spaceprobe.walk_paths`.
        units: see `spaceprobe.walk_paths`.
        threshold: see `spaceprobe.walk_paths`.
        decisions: whether to tell flips of the decision as well: of the number of the largest output, or of a
            single output whether it is above 0 (docs/definitions.md, "Decisions along a path"). On the CPU.
            An exact walk then needs a model that is piecewise linear to its outputs and does not jump.

    Raises:
        ValueError: the arguments do not fit together or to the model, or it has no unit that counts.
        TypeError: an exact walk comes to a function that is not piecewise linear; names its module.

    >>> trace(nn.Hardtanh(), [[-2.0, 0.5], [2.0, -0.5]]).to_frame()["t"].tolist()
    [0.25, 0.75]
    """
    events = trace_events(
        model,
        points,
        method=method,
        num_points=num_points,
        device=device,
        tolerance=tolerance,
        bits=bits,
        units=units,
        threshold=threshold,
    )
    warn_of_uncounted(events.not_counted, units, stacklevel=3)
    corners = read_points("points", points)
    way: dict[str, Any] = {"method": method, "num_points": num_points, "tolerance": tolerance}
    walked = WalkedPaths.of(model, corners[:-1], corners[1:], way, is_joined=True, is_single=True)
    named = None
    if decisions:
        named = polyline_decisions(model, corners, **way)
    return Trace(events, num_points if method == "sampled" else None, units == "all", walked, named)
