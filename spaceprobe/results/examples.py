"""The paths that a study's report shows: the most folded one of its deepest network, and CantorNet's."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.folding import Method, space_folding, trace_path, walk_batch
from spaceprobe.folding.plane import see_plane
from spaceprobe.machine.torch_threads import one_thread
from spaceprobe.networks.cantornet import cantornet
from spaceprobe.results.cantor import END, START
from spaceprobe.results.paths import Images, images_between, path_frame
from spaceprobe.results.readings import matching, shown_reading
from spaceprobe.results.results import load_results
from spaceprobe.results.trained_run import EXACT, PathEnd, TrainedRun, open_run
from spaceprobe.stages.fold.endpoints.class_pairs import ClassPair
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand

NUM_POINTS = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Numbers of points at which a path is sampled, beside the exact walk."""

CANTOR_POINTS = (5, 11, 21, 51, 101, 201, 501, 1_001, 2_001, 5_001, 10_001)
"""The same for CantorNet, 11 as in the folding paper's figure."""

GRID_SIZE = 240
"""Chosen: points along each side of a plane; a figure has hardly more pixels."""

PLANE_RANGE = (-0.3, 1.3)
"""Chosen: what a plane shows of both directions, the points that span it at 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class PathExample:
    """A path through a network, and what figures show beside it.

    Attributes:
        name: what the names of its tables begin with.
        path: columns t, distance, flips and chi, a row for each linear region.
        samples: columns path (a name), num_points (empty for exact) and chi.
        plane: columns x, y, distance and pattern, a row for each point of a grid.
        corners: places on the plane to mark, by name, the path's two ends first.
        labels: of the plane's axes.
    """

    name: str
    path: pd.DataFrame
    samples: pd.DataFrame
    plane: pd.DataFrame
    corners: Mapping[str, tuple[float, float]]
    labels: tuple[str, str]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables that figures draw, by name."""
        drawn = {"path": self.path, "samples": self.samples, "plane": self.plane}
        return {f"{self.name}_{name}": frame for name, frame in drawn.items()}


@dataclass(frozen=True, kw_only=True)
class StudyExample(PathExample):
    """The most folded path of a network of a study.

    Attributes:
        run: the network's run.
        epoch: after which it was folded.
        source: number of the test image where the path starts.
        source_class: its class.
        target: number of the test image where it ends.
        target_class: its class.
        images: along the path, evenly spaced, both ends included; None of points that are not images.
    """

    run: str
    epoch: int
    source: int
    source_class: int
    target: int
    target_class: int
    images: Images | None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables that figures draw, and the one that says which path it is, by name."""
        names = ("run", "epoch", "source", "source_class", "target", "target_class")
        return {self.name: pd.DataFrame([{name: getattr(self, name) for name in names}]), **super().tables()}


@one_thread()
def example_path(study: Study, folder: Path, frames: Mapping[str, pd.DataFrame]) -> StudyExample | str:
    """Return the path that folds most in the deepest network of a study, or why there is none to show.

    The network is that of the greatest depth, of several the first by seed and name, after the last epoch
    that was folded. The path is of its first class pair with the largest χ, from the first source image that
    reaches it to the first target that does. It is walked again and must give exactly the χ of the table.

    Args:
        study: the study.
        folder: its folder of results.
        frames: its tables by name, of which ``runs`` and ``folding`` are read.
    """
    row = _most_folded(frames)
    if isinstance(row, str):
        return row
    try:
        known = {run.name: run for run in expand(study)}
        if row["run"] not in known:
            return f"{row['run']} is not a run of the study as it was last started"
        run = open_run(study, folder, known[row["run"]])
        epoch = int(row["epoch"])
        network = run.network(epoch)
        ends = _find_path(run, network, row)
        if isinstance(ends, str):
            return ends
        return _show(run, network, epoch, *ends)
    except SpaceprobeError as error:  # weights or images may be gone; the tables do not tell
        return str(error)


@one_thread()
def cantor_example(num_folds: int = 2) -> PathExample:
    """Return the path across CantorNet, every ReLU counted, and the unit square that it lies in.

    Args:
        num_folds: recursions of CantorNet, at least 1.
    """
    network = cantornet(num_folds, relu_after_readout=True)
    start, end = (torch.tensor(point, dtype=torch.float64) for point in (START, END))
    above = start + torch.tensor([0.0, 1.0], dtype=torch.float64)
    x = y = _cells(0.0, 1.0)
    plane = _plane_frame(network, (start, end, above), x, y - START[1]).assign(y=np.repeat(y, len(x)))
    return PathExample(
        name="cantor",
        path=path_frame(trace_path(network, start, end, warn=False)),
        samples=_sample(network, {f"CantorNet, k = {num_folds}": (start, end)}, CANTOR_POINTS),
        plane=plane,
        corners={"(0, 3/4)": START, "(1, 3/4)": END},
        labels=("x", "y"),
    )


def _most_folded(frames: Mapping[str, pd.DataFrame]) -> "pd.Series | str":
    """Return the row of folding.csv with the largest χ of the network to show, or why there is none."""
    folding, runs = frames.get("folding"), frames.get("runs")
    if folding is None or runs is None or folding.empty:
        return "no folding was measured"
    rows = _exact_rows(frames)
    if rows.empty:
        return "no path was walked exactly (folding.method), so there is none to show region by region"
    done = runs[(runs["status"] == "done") & runs["run"].isin(rows["run"])]
    if done.empty:
        return "no run whose folding was measured is done"
    deepest = done.sort_values(["depth", "seed", "run"], ascending=[False, True, True]).iloc[0]
    rows = rows[rows["run"] == deepest["run"]]
    rows = rows[rows["epoch"] == rows["epoch"].max()]
    largest: pd.Series = rows.iloc[int(rows["max"].to_numpy(float).argmax())]
    return largest


@one_thread()
def most_folded_path(study: Study, run: TrainedRun, asked_epoch: str, pair: str) -> tuple[int, int]:
    """Return the numbers of the test images between which a network folds most, of those of a class pair.

    Args:
        study: the study.
        run: the network's run.
        asked_epoch: see `TrainedRun.epoch`.
        pair: the classes, such as ``3-8``.

    Raises:
        SettingsError: it is not a pair of classes.
        SpaceprobeError: its paths were not walked exactly at that epoch, or the results do not match.
    """
    found = re.fullmatch(r"([0-9]{1,6})-([0-9]{1,6})", pair, re.ASCII)
    if found is None:
        raise SettingsError(f"--pair {pair}: expected the classes at the start and the end, such as 3-8")
    classes, epoch = (int(found[1]), int(found[2])), run.epoch(asked_epoch)
    frames = load_results(study, run.parts.folder).frames
    rows = _exact_rows(frames) if "folding" in frames else None
    if rows is not None:
        rows = rows[(rows["run"] == run.run.name) & (rows["epoch"] == epoch)]
        rows = rows[(rows["source_class"] == classes[0]) & (rows["target_class"] == classes[1])]
    if rows is None or rows.empty:
        raise SpaceprobeError(
            f"--pair {pair}: no path of it was walked exactly through {run.run.name} at epoch {epoch} "
            "(folding.pairs, folding.method, folding.epoch); choose a pair of folding.csv, or name two "
            "images with --from and --to"
        )
    ends = _find_path(run, run.network(epoch), rows.iloc[0])
    if isinstance(ends, str):
        raise SpaceprobeError(ends)
    return ends[0].number, ends[1].number


def _exact_rows(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of folding.csv with the largest χ of paths that were walked exactly, of one reading."""
    folding = matching(frames["folding"], shown_reading(frames))
    return folding[(folding["measure"] == "chi") & folding["method"].isin(EXACT)].dropna(subset="max")


def _find_path(run: TrainedRun, network: nn.Module, row: "pd.Series") -> tuple[PathEnd, PathEnd, int] | str:
    """Return the ends of the first path with the χ of a row and a target of median χ, or why not."""
    epoch, source, target = (int(row[name]) for name in ("epoch", "source_class", "target_class"))
    where = f"{run.run.name}, epoch {epoch}, classes {source}-{target}"
    pair = ClassPair(source, target)
    for stored in run.stored_pairs(epoch, source, target):
        row_max = stored.counts[pair.name]["chi"].row_max
        sources, targets = (stored.images[str(label)] for label in pair)
        is_this = (len(sources), len(targets)) == (row["num_sources"], row["num_targets"])
        if row_max is not None and is_this and row_max.max() == row["max"]:
            break
    else:
        return f"{where}: the folding on disk does not match folding.csv; `spaceprobe fold` repairs that"
    first = sources[row_max.argmax()]
    targets = targets[targets != first]
    inputs = run.test_images().inputs
    b = inputs[torch.from_numpy(targets)].double()
    walked = walk_batch(network, inputs[int(first)].double().expand_as(b), b)
    chi = space_folding(walked.length, walked.reach_from_a)
    if not (chi == row["max"]).any() or chi.max() > row["max"]:
        return f"{where}: walked again, the largest χ is {chi.max()}, but {row['max']} in folding.csv"
    second = targets[(chi == row["max"]).argmax()]
    return run.image(int(first)), run.image(int(second)), int(targets[_median_folded(chi)])


def _median_folded(chi: Float64[np.ndarray, " targets"]) -> int:
    """Return the index of the lower median of the values above 0, or of the largest where there are none."""
    folded = np.sort(chi[chi > 0])
    return int((chi == folded[(len(folded) - 1) // 2]).argmax() if folded.size else chi.argmax())


def _show(
    run: TrainedRun, network: nn.Module, epoch: int, source: PathEnd, target: PathEnd, ordinary: int
) -> StudyExample:
    """Return a path with what figures show of it, and of the one from its start to an ordinary target."""
    test = run.test_images()
    labels = test.targets.numpy()

    def point(number: int) -> Tensor:
        return test.inputs[number].double()

    third = run.image(_third_image(labels, source, target))
    ends = point(source.number), point(target.number)
    paths = {f"largest χ: {source.number} → {target.number}": ends}
    if ordinary != target.number:
        paths[f"median χ: {source.number} → {ordinary}"] = ends[0], point(ordinary)
    cells = _cells(*PLANE_RANGE)
    return StudyExample(
        name="example",
        run=run.run.name,
        epoch=epoch,
        source=source.number,
        source_class=source.label,
        target=target.number,
        target_class=target.label,
        path=path_frame(trace_path(network, *ends, warn=False)),
        samples=_sample(network, paths, NUM_POINTS),
        plane=_plane_frame(network, (*ends, point(third.number)), cells, cells),
        corners={source.name: (0.0, 0.0), target.name: (1.0, 0.0), third.name: (0.0, 1.0)},
        labels=(f"towards {target.name}", f"towards {third.name}"),
        images=images_between(*ends, run.input_shape),
    )


def _third_image(labels: Int64[np.ndarray, " images"], source: PathEnd, target: PathEnd) -> int:
    """Return the first image of the next class after the target's that is neither end's.

    Where there is no such class, return the first image that is neither end.

    Raises:
        SpaceprobeError: there is no third image.
    """
    others = np.flatnonzero(~np.isin(labels, (source.label, target.label)))
    if not others.size:
        others = np.setdiff1d(np.arange(len(labels)), (source.number, target.number))
    if not others.size:
        raise SpaceprobeError("a plane needs three test images, and there are only two")
    steps = (labels[others] - target.label) % (labels.max() + 1)
    return int(others[steps.argmin()])


def _cells(low: float, high: float) -> Float64[np.ndarray, " cells"]:
    """Return the middles of `GRID_SIZE` cells that fill an interval."""
    return low + (high - low) * (np.arange(GRID_SIZE) + 0.5) / GRID_SIZE


def _plane_frame(
    network: nn.Module,
    corners: tuple[Tensor, Tensor, Tensor],
    x: Float64[np.ndarray, " columns"],
    y: Float64[np.ndarray, " rows"],
) -> pd.DataFrame:
    """Return the linear regions on a grid of the plane through three points, the first at (0, 0)."""
    regions = see_plane(network, *corners, horizontal=x, vertical=y)
    return pd.DataFrame(
        {
            "x": np.tile(x, len(y)),
            "y": np.repeat(y, len(x)),
            "distance": regions.distance.ravel(),
            "pattern": regions.pattern.ravel(),
        }
    )


def _sample(
    network: nn.Module, paths: Mapping[str, tuple[Tensor, Tensor]], num_points: Sequence[int]
) -> pd.DataFrame:
    """Return χ of paths, by name, at several numbers of points and exactly."""
    a, b = (torch.stack([path[end] for path in paths.values()]) for end in (0, 1))
    rows = []
    for number in (*num_points, None):
        method: Method = "exact" if number is None else "sampled"
        walked = walk_batch(network, a, b, method=method, num_points=number or 2)
        chi = space_folding(walked.length, walked.reach_from_a)
        rows += [
            {"path": name, "num_points": number, "chi": value}
            for name, value in zip(paths, chi.tolist(), strict=True)
        ]
    frame = pd.DataFrame(rows).astype({"num_points": "Int64"})
    order = {name: place for place, name in enumerate(paths)}
    return frame.sort_values("path", key=lambda names: names.map(order), kind="stable", ignore_index=True)
