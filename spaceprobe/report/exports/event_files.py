"""What changes over training as event files of TensorBoard, one for each run; its steps are epochs."""

import io
from collections.abc import Iterator

import pandas as pd

from spaceprobe.analysis.aggregates import aggregate_epochs
from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.readings import one_reading, reading_columns
from spaceprobe.results.results import Results

OF_TRAINING = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "learning_rate": "learning rate",
}
OF_FOLDING = {
    "chi_folded_mean": "folding/share of paths that fold",
    "chi_max": "folding/largest χ",
    "chi_row_max_median": "folding/row maxima of χ",
}
OF_LAYERS = {"rank": "rank", "stable_rank": "stable rank", "spectral_norm": "spectral norm"}
"""Columns of training.csv, of the aggregates over class pairs and of lmd_layers.csv, and their tags."""

FILE_NAME = "events.out.tfevents.0.spaceprobe"
"""As TensorBoard looks for it: the number is a time, which the same results do not have twice."""

_WALL_TIME = 0.0

Scalar = tuple[str, int, float]
"""A tag, an epoch and a value."""


def event_files(results: Results) -> dict[str, bytes]:
    """Return an event file for each run that has something to show, by its path.

    Raises:
        SpaceprobeError: TensorBoard is not installed, or no run has been trained.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise SpaceprobeError(
            "event files need TensorBoard: install it with: pip install 'spaceprobe[tensorboard]'"
        ) from error
    files = {}
    for run, scalars in _scalars(results).items():
        file = io.BytesIO()
        writer = RecordWriter(file)
        writer.write(Event(wall_time=_WALL_TIME, file_version="brain.Event:2").SerializeToString())
        for tag, epoch, value in scalars:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=_WALL_TIME, step=epoch, summary=summary).SerializeToString())
        files[f"{run}/{FILE_NAME}"] = file.getvalue()
    if not files:
        raise SpaceprobeError(f"{results.study.name}: no run has been trained")
    return files


def _scalars(results: Results) -> dict[str, list[Scalar]]:
    """Return the values of each run, in the order of tags and epochs."""
    by_run: dict[str, list[Scalar]] = {}
    for frame, tags in _sources(results):
        for column, tag in tags.items():
            for row in frame[["run", "epoch", column]].dropna().itertuples(index=False):
                by_run.setdefault(str(row[0]), []).append((tag, int(row[1]), float(row[2])))
    return {run: sorted(scalars) for run, scalars in by_run.items()}


def _sources(results: Results) -> Iterator[tuple[pd.DataFrame, dict[str, str]]]:
    """Yield tables with columns ``run`` and ``epoch``, and the tags of further columns."""
    if results.has("training"):
        yield results.frames["training"], OF_TRAINING
    if results.has("folding"):
        folding, _ = one_reading(aggregate_epochs(results.frames), results.frames.readings("folding"))
        yield folding, {column: tag for column, tag in OF_FOLDING.items() if column in folding}
    if results.has("lmd_layers"):
        layers = results.frames["lmd_layers"]
        layers = layers[layers["metric"] == "identity"]
        layers, _ = one_reading(layers, reading_columns("lmd_layers", layers, results.runs))
        for layer, rows in layers.groupby("layer"):
            yield rows, {column: f"layer {layer}/{name}" for column, name in OF_LAYERS.items()}
