"""The Layer Matrix Decomposition of every matrix at every step of a training, from a folder of weights."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.lmd.tables import OF_STEPS, STEP
from spaceprobe.stages.lmd.weight_file import WeightFile, folder_name, open_weights
from spaceprobe.stages.stage import Part, PartContent
from spaceprobe.tables.table import Table
from spaceprobe.weights.quoting import path_text, quote_if_needed


def open_file_or_steps(path: Path, options: Mapping[str, Any]) -> "WeightFile | WeightSteps":
    """Find the matrices of a file or a model; in a folder without an index.json, those of every step.

    Args:
        path: what the user gave.
        options: see `open_weights`.

    Raises:
        SpaceprobeError: see `open_weights`; or the folder holds no steps, or steps of several models.
    """
    from spaceprobe.weights.steps import is_folder_of_steps, weight_steps

    if not is_folder_of_steps(path):
        return open_weights(path, options)
    files: dict[int, WeightFile] = {}
    for step, weights in weight_steps(path):
        files[step] = open_weights(weights, options)
        files[step].release()  # the tensors of all steps may not fit into memory
    return WeightSteps(path, options, files)


class WeightSteps:
    """The matrices at each step of a training, each a part of its own.

    Attributes:
        path: of the folder.
        name: of its folder of results; see `WeightFile`.
        tables: the CSVs that it fills.
        parts: one for each step and matrix, step by step.
        part_pattern: a regular expression of the files of parts.
        factors_shown: these files as a terminal shows them.
        origin: what of the files is read and what is not, in words; empty for all of them.
        skipped: what is not a matrix, in words; empty for nothing.
        facts: what provenance.json says about the folder.

    Raises:
        SpaceprobeError: two steps hold different matrices.
    """

    part_pattern = r"factors/step[0-9]+/[0-9]{4,}\.npz"
    factors_shown = "factors/step*/*.npz"
    tables: Sequence[Table] = OF_STEPS

    def __init__(self, path: Path, options: Mapping[str, Any], files: Mapping[int, WeightFile]) -> None:
        _check_same_matrices(path, files)
        digests = {str(step): file.digest for step, file in files.items()}
        digest = hashlib.sha256("".join(f"{step} {one}\n" for step, one in digests.items()).encode())
        last = files[max(files)]
        self.path = path
        self.name = folder_name(path.absolute().name, digest.hexdigest(), options)
        self.origin, self.skipped = last.origin, last.skipped
        self.facts: Mapping[str, Any] = {
            **last.facts,
            "path": path_text(path),
            "sha256": digest.hexdigest(),
            "steps": digests,
        }
        self._files = files
        self._homes: dict[str, tuple[int, Part]] = {}
        self.parts: Sequence[Part] = [
            self._part(step, part) for step, file in files.items() for part in file.parts
        ]
        self._step: int | None = None

    def _part(self, step: int, part: Part) -> Part:
        """Return the part of a matrix at a step, given that of its file."""
        path = part.path.replace("factors/", f"factors/step{step}/")
        self._homes[path] = step, part
        return Part(path, {**part.key, STEP.name: step}, amount=part.amount)

    def title(self, part: Part) -> str:
        """Return the step and the name of a part's matrix, as a terminal may show it."""
        return f"step {part.key[STEP.name]}, {quote_if_needed(part.key['name'])}"

    def compute(self, part: Part) -> PartContent:
        """Decompose one matrix; see `WeightFile.compute`. The tensors of one step are in memory at a time."""
        step, of_file = self._homes[part.path]
        if self._step not in (None, step):
            self._files[self._step].release()
        self._step = step
        content = self._files[step].compute(of_file)
        record = {
            name: [{STEP.name: step, **row} for row in value] if isinstance(value, list) else value
            for name, value in content.record.items()
        }
        return PartContent(record, content.arrays, error=content.error)


def _check_same_matrices(path: Path, files: Mapping[int, WeightFile]) -> None:
    """Refuse steps of different models: a number of a matrix has to mean the same one at each."""
    first = next(iter(files))
    names = {step: [part.key["name"] for part in file.parts] for step, file in files.items()}
    for step, of_step in names.items():
        if of_step != names[first]:
            lone = sorted({*of_step} ^ {*names[first]}) or of_step
            raise SpaceprobeError(
                f"{path_text(path)}: the steps {first} and {step} hold different matrices, such as "
                f"{quote_if_needed(lone[0])}; give a folder of the steps of one model"
            )
