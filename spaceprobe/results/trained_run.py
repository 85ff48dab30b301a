"""The trained networks of a study, and the images that paths go between.

Imports that need torch are inside functions, since shell completion reads the runs of a study.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.stages import fold, train
from spaceprobe.stages.fold.stored_counts import StoredCounts
from spaceprobe.stages.stage import FinishedPart
from spaceprobe.stages.train.settings import checkpoints_of, data_layout, data_of, network_of, training_of
from spaceprobe.study.config import Study
from spaceprobe.study.grid import Run, expand
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.running.runner import UnknownRunError
from spaceprobe.study.storage.part_files import StalePart, StoredPart

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Split

MAX_NAMES = 10  # of runs in an error
EXACT = ("exact", "layerwise", "jvp", "kernel")
"""The methods that find every linear region."""


def choose_run(study: Study, name: str | None, flag: str = "--run") -> Run:
    """Return a run of a study by its name or its label, or the only run.

    Args:
        study: the study.
        name: of the run; None for the only one.
        flag: what asks for it, for the error.

    Raises:
        UnknownRunError: no run is called that, or the study has several runs and none is named.
    """
    runs = expand(study)
    if name is None and len(runs) == 1:
        return runs[0]
    named = [f"{run.name} ({run.label})" for run in runs[:MAX_NAMES]]
    names = ", ".join([*named, *(["..."] if len(runs) > MAX_NAMES else [])])
    if name is None:
        raise UnknownRunError(f"{flag}: {study.name} has {len(runs)} runs, name one of {names}")
    wanted = " ".join(name.split())
    chosen = next((run for run in runs if wanted in (run.name, run.label)), None)
    if chosen is None:
        raise UnknownRunError(f"{flag} {name}: no run of {study.name}; its runs are {names}")
    return chosen


@dataclass(frozen=True)
class PathEnd:
    """A test image of a dataset.

    Attributes:
        number: its place in the dataset, from 0.
        label: its class.
        name: for a reader, such as ``17 (a 7)``.
    """

    number: int
    label: int
    name: str


@dataclass(frozen=True)
class TrainedRun:
    """A run whose training is finished, with its weights and images.

    Attributes:
        study: the study's name.
        run: the run.
        folder: the run's folder.
        parts: the parts of the study.
        trained: its finished training.
    """

    study: str
    run: Run
    folder: Path
    parts: StudyParts
    trained: FinishedPart

    @property
    def checkpoints(self) -> dict[int, str]:
        """The file of each epoch whose weights were kept, in order; a failed training lacks some."""
        asked = checkpoints_of(self.run.sections, "all")
        return {epoch: name for epoch, name in asked.items() if name in self.trained.files}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the points that paths go between, as of `spaceprobe.data.entry.DataLayout`."""
        return data_layout(self.run.sections).input_shape

    def epoch(self, asked: str, flag: str = "--epoch", name_of_last: str = "last") -> int:
        """Return the epoch that a user asks for, if its weights were kept.

        Args:
            asked: a number, or the name of the last one.
            flag: what asks for it, for the error.
            name_of_last: what the last epoch is called.

        Raises:
            SpaceprobeError: its weights were not kept; lists the epochs whose weights were.
        """
        last = training_of(self.run.sections).epochs
        kept = self.checkpoints
        number = last if asked == name_of_last else int(asked) if asked.isascii() and asked.isdigit() else -1
        if number in kept:
            return number
        known = ", ".join(map(str, kept))
        if self.trained.error is not None:
            raise SpaceprobeError(
                f"{self.run.name}: {self.trained.error}, so there are no weights of epoch {asked}; choose "
                f"another run, or {flag} {known}"
            )
        raise SettingsError(
            f"{flag} {asked}: no weights of {self.run.name} were kept then; choose {name_of_last} or one of "
            f"{known} (training.snapshots keeps more)"
        )

    def network(self, epoch: int) -> "nn.Module":
        """Return the network as it was after an epoch, in float64, with verified weights.

        Raises:
            SpaceprobeError: the checkpoint is missing or damaged, or the data are.
        """
        return self.network_as_trained(epoch).double()

    def network_as_trained(self, epoch: int) -> "nn.Module":
        """Return the same network in the precision that it was trained in, in evaluation mode.

        Raises:
            SpaceprobeError: see `network`.
        """
        from spaceprobe.stages.train.networks import load_network

        return load_network(self.run.sections, self.folder, self.trained, self.checkpoints[epoch])

    def test_images(self) -> "Split":
        """Return the test images that paths go between.

        Raises:
            SpaceprobeError: the files are missing or unreadable.
        """
        from spaceprobe.stages.train.networks import load_data

        return load_data(data_of(self.run.sections)).test

    def image(self, number: int, flag: str = "image") -> PathEnd:
        """Return a test image by its number.

        Args:
            number: from 0.
            flag: what asks for it, for the error.

        Raises:
            SettingsError: there is no such image; says how many there are.
        """
        labels = self.test_images().targets
        data = data_of(self.run.sections)
        entry = DATASETS[data.dataset]
        if not 0 <= number < len(labels):
            raise SettingsError(
                f"{flag} {number}: the test images of {entry.place(data)} are numbered from 0 to "
                f"{len(labels) - 1}"
            )
        label = int(labels[number])
        return PathEnd(number, label, f"{number} ({entry.name_of_class(data, label)})")

    def stored_pairs(self, epoch: int, source: int, target: int) -> Iterator[StoredCounts]:
        """Yield the stored counts of the exact paths of a class pair, once for each way of measuring.

        Args:
            epoch: whose network was folded.
            source: the class where paths start.
            target: the class where they end.
        """
        for sections in self.run.variants(fold.STAGE):
            settings = sections["folding"]
            inputs = self.parts.inputs(fold.STAGE, self.run, sections)
            if isinstance(inputs, Obstacle) or getattr(settings, "method", None) not in EXACT:
                continue
            for part in fold.STAGE.plan(sections, inputs):
                if (part.key["epoch"], part.key.get("pair")) == (epoch, sorted((source, target))):
                    stored = self.parts.store.read(self.folder, part, None)
                    if isinstance(stored, StoredPart):
                        yield StoredCounts.from_arrays(stored.content.arrays)


def open_run(study: Study, folder: Path, run: Run) -> TrainedRun:
    """Return a run with its weights and images, whatever version of the code trained it.

    Args:
        study: the study.
        folder: its folder of results.
        run: one of its runs.

    Raises:
        SpaceprobeError: it has no images to walk between or no ReLU, or is not trained.
    """
    dataset, activation = data_of(run.sections).dataset, network_of(run.sections).activation
    if not DATASETS[dataset].is_walkable:
        raise SettingsError(
            f"{run.name}: data.dataset is {dataset}, which has no images to walk between; choose a study of "
            f"{', '.join(name for name, entry in DATASETS.items() if entry.is_walkable)}"
        )
    if activation != "relu":
        raise SettingsError(
            f"{run.name}: network.activation is {activation}, whose units are not on or off; choose a "
            "run with relu"
        )
    return open_trained(study, folder, run)


def open_trained(study: Study, folder: Path, run: Run) -> TrainedRun:
    """Return a run with its weights, walkable or not, whatever version of the code trained it.

    Args:
        study: the study.
        folder: its folder of results.
        run: one of its runs.

    Raises:
        SpaceprobeError: it is not trained.
    """
    # Which version of the code trained it matters when runs are compared, not here.
    parts = StudyParts(folder, [run], trusts_code=True)
    trained = parts.look(train.STAGE, run, run.sections)
    if isinstance(trained, Obstacle):
        raise SpaceprobeError(f"{run.name}: {trained.reason}")
    (part,) = trained
    if isinstance(part, StalePart):
        command = f"`spaceprobe train {study.name} --run {run.name}` trains it"
        reason = "is not trained yet" if part.is_missing else f"has to be trained again: {part.reason}"
        raise SpaceprobeError(f"{run.name}: {reason}; {command}")
    return TrainedRun(study.name, run, parts.run_folder(run), parts, part)
