"""The recorder: measures a network at chosen steps of any training loop, and leaves the training as it is."""

import logging
import operator
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from pydantic import ValidationError
from torch import nn

from spaceprobe.folding import Bits, Method, Precision, Units
from spaceprobe.folding.points import Points
from spaceprobe.model_sources.source import ModelSourceError
from spaceprobe.recording.ends import draw_paths
from spaceprobe.recording.folder import RecordingFolder
from spaceprobe.recording.isolation import isolated, network_copy
from spaceprobe.recording.measuring import (
    LONG_PATH_S,
    LONG_S,
    MeasurementCost,
    decompose_network,
    predicted_seconds,
    structure_of,
    timed,
    values_of_matrices,
    values_of_row,
    walk_recorded,
    warm_up,
    why_not_walked,
)
from spaceprobe.recording.tables import RECORDING
from spaceprobe.stages.fold.model_paths import MODEL_PATHS, Cost
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.tables.text import duration

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

DEFAULT_PATHS = 100
"""Chosen: the standard error of the mean χ is a tenth of its deviation over paths."""


class Recorder:
    """Measures χ and the Layer Matrix Decomposition of a network at chosen steps of a training loop.

    Writes into its folder, which `spaceprobe report`, `plot` and `compare` take: recording.csv, with a row
    for each step, model_paths.csv as `spaceprobe fold --model --out` writes it, and with ``lmd`` the tables
    of `spaceprobe lmd --weights`. A measurement is of a copy: weights, modes, gradients, random states and
    hooks of the training are left as they are.

    Attributes:
        last: what the latest call of `step` measured, as plain numbers that trackers take, such as
            ``{"spaceprobe/chi": 0.12}``; empty where it measured nothing.
        num_paths: paths that each measurement walks.

    Args:
        folder: where tables go; made with the first measurement.
        images: points between which paths are walked, of shape ``(points, *input shape)``, as the network
            takes them; the same paths at every step.
        labels: the class of each point, from 0, for the tables; None where there are no classes.
        paths: how many are drawn, at least 1; all, where there are fewer.
        every: measure at the steps that this divides, 0 included; every step that is called by default.
        at: measure at these steps instead.
        lmd: whether to decompose all weight matrices as well.
        leading: with ``lmd``: only so many leading values of larger matrices; None for all.
        seed: of the draw of paths.
        resume: go on with a recording that is in the folder; without it one that is there is refused.
        method: see `spaceprobe.fold`, as the arguments below.
        num_points: of a sampled path, or that an adaptive one starts with.
        units: activations, or all.
        bits: of smooth activations.
        threshold: of ReLUs.
        precision: of the walk.
        device: where paths are walked; ``auto`` is a CUDA device where it pays.
        threads: of the walk; None for all cores.
        prefix: what the names in `last` begin with.

    Raises:
        ValueError: an argument is not as it has to be.
        SettingsError: the folder is of something else, or of a recording that this one does not go on with.

    >>> import tempfile, torch
    >>> network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recorder = Recorder(f"{folder}/mine", torch.rand(9, 2), paths=5, every=2)
    ...     [len(recorder.step(network, step)) > 0 for step in range(4)]
    [True, False, True, False]
    """

    def __init__(
        self,
        folder: str | Path,
        images: Points,
        labels: Points | None = None,
        *,
        paths: int = DEFAULT_PATHS,
        every: int | None = None,
        at: Iterable[int] | None = None,
        lmd: bool = False,
        leading: int | None = None,
        seed: int = 0,
        resume: bool = False,
        method: Method = "exact",
        num_points: int = 100,
        units: Units = "activations",
        bits: Bits = "sign",
        threshold: float = 0.0,
        precision: Precision = "float64",
        device: str = "cpu",
        threads: int | None = None,
        prefix: str = "spaceprobe/",
    ) -> None:
        self.last: dict[str, float | int] = {}
        self._every, self._at = _schedule(every, at)
        if leading is not None and not lmd:
            raise ValueError("leading goes with lmd=True")
        if leading is not None:
            leading = _count("leading", leading)
        self._settings = _walk_settings(
            method=method,
            num_points=num_points,
            units=units,
            bits=bits,
            threshold=float(threshold),
            precision=precision,
            device=device,
            threads=threads,
        )
        self._paths = draw_paths(images, labels, _count("paths", paths), seed)
        self.num_paths = len(self._paths.chosen)
        self._has_lmd, self._leading, self._prefix = lmd, leading, prefix
        self._folder = RecordingFolder(Path(folder), has_lmd=lmd, resume=resume)
        self._facts = self._known_facts()
        self._folder.check_facts(self._facts)
        self._is_told = self._is_warm = False

    @property
    def folder(self) -> Path:
        """The folder of the tables."""
        return self._folder.path

    @property
    def last_step(self) -> int | None:
        """The last step that was measured, in this process or before; None where none was."""
        return self._folder.steps[-1] if self._folder.steps else None

    def is_due(self, step: SupportsIndex) -> bool:
        """Return whether `step` measures at this step."""
        number = _step(step)
        return number in self._at if self._at is not None else number % self._every == 0

    def step(self, model: nn.Module, step: SupportsIndex) -> dict[str, float | int]:
        """Measure the network, if the step is one of those chosen, and return `last`.

        Args:
            model: the network that is trained.
            step: the training step, from 0, over all epochs.

        Raises:
            SpaceprobeError: see `measure`.
            ValueError: the step is not a whole number from 0.
        """
        self.last = self.measure(model, step) if self.is_due(step) else {}
        return self.last

    def measure(self, model: nn.Module, step: SupportsIndex) -> dict[str, float | int]:
        """Measure the network at any step, write the rows, and return its numbers as `last` has them.

        Weights that are not finite have no paths: the row says so.

        Raises:
            SettingsError: the step does not come after those measured before, or the folder is of a network
                with other weights.
            ModelSourceError: the network cannot be walked in this way.
            ResultsError: the tables cannot be written.
            ValueError: the step is not a whole number from 0.
        """
        number = _step(step)
        with isolated():
            network, hooked = self._copy(model)
            facts = {**self._facts, "network_sha256": structure_of(network)}
            self._folder.check_facts(facts)
            notice = self._folder.make_place_for(number)
            if notice is not None:
                logger.warning("%s", notice)
            row, tables = self._measured(network, number)
            about = {"network": type(network).__name__, "hooks_left_out": hooked}
            self._folder.add(tables, {**facts, **about})
        self.last = {f"{self._prefix}{name}": value for name, value in row.items()}
        return self.last

    def predict(self, model: nn.Module) -> MeasurementCost:
        """Return the seconds that a measurement is expected to take, and write nothing.

        Some of the paths are walked, all where that takes a few seconds; matrices are decomposed once.

        Raises:
            SpaceprobeError: see `measure`.
        """
        with isolated():
            network, _ = self._copy(model)
            lmd_s = timed(lambda: self._decomposed(network, 0))[1] if self._has_lmd else 0.0
            with _as_arguments():
                fold_s = predicted_seconds(network, self._paths, self._settings, self._where)
        return MeasurementCost(fold_s, lmd_s)

    @property
    def _where(self) -> str:
        return f"Recorder({str(self.folder)!r})"

    def _copy(self, model: nn.Module) -> tuple[nn.Module, list[str]]:
        """Return a copy of the network, and the modules whose hooks it lacks, which is told once."""
        network, hooked = network_copy(model)
        if hooked and not self._is_told:
            self._is_told = True
            logger.warning(
                "%s: forward hooks are left out of what is measured, so that they see nothing of it: %s",
                self._where,
                ", ".join(hooked),
            )
        return network, hooked

    def _measured(
        self, network: nn.Module, step: int
    ) -> "tuple[dict[str, float | int], Mapping[str, pd.DataFrame]]":
        """Return the numbers of a measurement, and its rows by table."""
        import pandas as pd

        tables: dict[str, pd.DataFrame] = {}
        values: dict[str, float | int] = {}
        row: dict[str, Any] = {"step": step, "num_paths": 0}
        if self._has_lmd:  # first: the walk makes float64 of the weights
            (tables, num_matrices), lmd_s = timed(lambda: self._decomposed(network, step))
            row |= {"num_matrices": num_matrices, "lmd_s": lmd_s}
            values = values_of_matrices(tables["lmd_layers"])
        row["reason"] = why_not_walked(network)
        if row["reason"] is None:
            walk = (network, self._paths, self._settings, self._where)
            with _as_arguments():
                if not self._is_warm:
                    warm_up(*walk)
                    self._is_warm = True
                (of_paths, frame), fold_s = timed(lambda: walk_recorded(*walk, self._tell))
            row |= {**of_paths, "fold_s": fold_s}
        else:
            frame = pd.DataFrame(columns=[name for name in MODEL_PATHS.names if name != "step"])
            logger.warning("%s: step %d: no paths are walked: %s", self._where, step, row["reason"])
        frame.insert(0, "step", step)
        cells = {name: [row.get(name)] for name in RECORDING.names}
        tables = {RECORDING.name: pd.DataFrame(cells), MODEL_PATHS.name: frame, **tables}
        return {**values_of_row(row), **values}, tables

    def _decomposed(self, network: nn.Module, step: int) -> "tuple[dict[str, pd.DataFrame], int]":
        return decompose_network(network, self._where, self._folder.name, step, self._leading)

    def _tell(self, cost: Cost) -> None:
        """Tell what a long measurement costs, before the first one is through."""
        seconds = cost.path_s * self.num_paths
        if not self._folder.steps and cost.path_s > LONG_PATH_S and seconds > LONG_S:
            logger.warning(
                "%s: a path takes %s, the %d of a measurement up to %s; paths=N walks fewer",
                *(self._where, duration(cost.path_s), self.num_paths, duration(seconds)),
            )

    def _known_facts(self) -> dict[str, Any]:
        """Return what has to stay the same while a recording goes on, apart from the network."""
        names = ("method", "units", "bits", "threshold", "precision")
        way = {name: getattr(self._settings, name) for name in names}
        return {
            "spaceprobe": version("spaceprobe"),
            "paths": self.num_paths,
            "paths_sha256": self._paths.digest,
            **way,
            **({"num_points": self._settings.num_points} if self._settings.is_sampled else {}),
            "lmd": self._has_lmd,
            "leading": self._leading,
        }


class _as_arguments:  # noqa: N801  # a context manager, used as a function
    """Names arguments of the recorder in errors that name flags of a command."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ModelSourceError):
            text = str(error).replace("use --method sampled", 'use method="sampled"')
            raise ModelSourceError(text) from error


def _schedule(every: int | None, at: Iterable[int] | None) -> tuple[int, Collection[int] | None]:
    """Return the number that divides the steps to measure, and these steps if they are named.

    Raises:
        ValueError: both are given, or one is not as it has to be.
    """
    if every is not None and at is not None:
        raise ValueError("every and at both choose steps: give one of them")
    if at is not None:
        return 1, frozenset(map(_step, at))
    return _count("every", 1 if every is None else every), None


def _step(step: SupportsIndex) -> int:
    """Return a step as Python's own number.

    Raises:
        ValueError: it is not a whole number from 0.
    """
    number = None if isinstance(step, bool) else _index(step)
    if number is None or number < 0:
        raise ValueError(f"step {step!r}: expected a whole number from 0")
    return number


def _count(name: str, value: SupportsIndex) -> int:
    """Return a number of things.

    Raises:
        ValueError: it is not a whole number from 1.
    """
    number = None if isinstance(value, bool) else _index(value)
    if number is None or number < 1:
        raise ValueError(f"{name} is {value!r}: expected a whole number from 1")
    return number


def _index(value: SupportsIndex) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _walk_settings(**values: Any) -> FoldingSettings:
    """Return how paths are walked.

    Raises:
        ValueError: naming the first argument that is not as it has to be.
    """
    try:
        return FoldingSettings(**values)
    except ValidationError as error:
        detail = error.errors()[0]
        raise ValueError(
            f"{detail['loc'][0]} is {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
        ) from error
