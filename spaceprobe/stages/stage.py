"""What a stage declares: its settings, its tables, what it reads, and the functions that do its work.

A stage is one file in `spaceprobe.stages`. Configuration, results and the command line compose what
stages declare and know none of them by name, so a new stage is a new file and one line in
`spaceprobe.stages.STAGES`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from spaceprobe.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

NOT_IN_KEY = "not in key"
"""Annotates a field that selects what is computed, or how fast, but changes no number."""


@dataclass(frozen=True)
class Flag:
    """Annotates a field that is also a flag of its stage's command.

    Attributes:
        name: the flag, such as ``--per-class``.
        bare: the value of the flag given without one; None where a value is required.
    """

    name: str
    bare: str | None = None


class Settings(BaseModel):
    """One section of a study file. Strict: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def key(self) -> dict[str, Any]:
        """Return the settings that a number depends on."""
        return self._counting(self.model_dump(mode="json"))

    def identity(self) -> dict[str, Any]:
        """Return those that differ from their defaults: a new field with one keeps the names of old runs."""
        return self._counting(self.model_dump(mode="json", exclude_defaults=True))

    def _counting(self, values: Mapping[str, Any]) -> dict[str, Any]:
        fields = type(self).model_fields
        return {name: value for name, value in values.items() if NOT_IN_KEY not in fields[name].metadata}


Sections = Mapping[str, Settings]
"""The sections of a study file by name, such as ``training``."""


@dataclass(frozen=True)
class Part:
    """The smallest piece of a stage's results that is written at once and skipped when up to date.

    Attributes:
        path: its file, relative to the run's folder; ``.json``, or ``.npz`` where it holds arrays.
        key: everything its numbers depend on but the code, which is the runner's to add: settings by the
            section's name, and the digests of its inputs.
        amount: how much work it is, in the stage's unit, for the progress bar.
        kin: a pattern of the files that hold the same under other settings; its own path if empty.
    """

    path: str
    key: Mapping[str, Any]
    amount: int
    kin: str = ""


@dataclass(frozen=True)
class Vouched:
    """What a finished part stands for, without what it holds.

    Attributes:
        files: SHA-256 of the files beside the part that it vouches for, by path relative to the run's
            folder; the part is out of date when one of them differs.
        error: why there is no result, where that is itself the result (training diverged); else None.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Content:
    """What a part holds.

    Attributes:
        record: small facts and rows of tables, as JSON values.
        arrays: numpy arrays by name.
        files: as of `Vouched`.
        error: as of `Vouched`.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


Inputs = Mapping[str, Sequence[Vouched]]
"""The finished parts of the stages that a stage needs, by stage name."""


@dataclass(frozen=True)
class Job:
    """One stage on one run: what `RunStage.compute` is given.

    Attributes:
        stage: the stage's name.
        run: the run's name.
        folder: the run's folder.
        sections: the settings of the run and of the stage.
        inputs: the finished parts of the stages that it needs.
        parts: the parts to compute, in order.
        code: the version of the code that is to compute them.
        wants_gpu: whether it is to be computed where there is a GPU.
        is_forced: whether parts that are there are computed all the same.
        libraries: the versions that decide on last bits, where the study was started.
    """

    stage: str
    run: str
    folder: Path
    sections: Sections
    inputs: Inputs
    parts: Sequence[Part]
    code: str
    wants_gpu: bool = False
    is_forced: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def amount(self) -> int:
        """How much work it is, in the stage's unit."""
        return sum(part.amount for part in self.parts)


Advance = Callable[[int], None]
"""Called with the amount of work just done, in the stage's unit."""

WriteFile = Callable[[str, bytes], str]
"""Writes a file beside the parts, whole or not at all, and returns its SHA-256; the path is relative."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of tables, by the table's name."""

Frames = Mapping[str, "pd.DataFrame"]
"""Tables by name."""


@dataclass(frozen=True)
class FileOption:
    """A number that goes with a file.

    Attributes:
        name: the flag, such as ``--heads``.
        summary: one line for ``--help``.
    """

    name: str
    summary: str


@dataclass(frozen=True)
class FileOutcome:
    """What came of a file.

    Attributes:
        text: what the command prints.
        failures: why there is no result, by the name of what has none.
    """

    text: str
    failures: Mapping[str, str]


@dataclass(frozen=True)
class FileInput:
    """How a stage works on a file of the user's own instead of a study.

    Attributes:
        flag: the flag that names the file, such as ``--weights``.
        summary: one line for ``--help``.
        options: whole numbers from 1 that go with it.
        work: given the file, the folder of results and the options by name, None for those left out.
    """

    flag: str
    summary: str
    options: tuple[FileOption, ...]
    work: Callable[[Path, Path, Mapping[str, Any]], FileOutcome]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What every stage declares.

    Attributes:
        name: its name and the command that runs it.
        summary: one line for ``--help``.
        example: a command line for ``--help``.
        sections: its sections of the study file and their models.
        tables: the CSVs that it fills.
        needs: the stages whose results it reads.
        present: returns what the command prints, from the study's tables.
        warn: yields what a reader of the tables should be warned of; None where nothing ever is.
        file_input: how its command works on a file instead of a study; None where it does not.
    """

    name: str
    summary: str
    example: str
    sections: Mapping[str, type[Settings]]
    tables: tuple[Table, ...]
    needs: tuple[str, ...]
    present: Callable[[Frames], str]
    warn: Callable[[Frames], Iterable[str]] | None = None
    file_input: FileInput | None = None

    @property
    def is_identity(self) -> bool:
        """Whether its settings, and only such stages' settings, tell runs apart."""
        return False


@dataclass(frozen=True, kw_only=True)
class RunStage(Stage):
    """A stage that computes parts for each run.

    Attributes:
        unit: what its progress counts, in the singular.
        label: the readable start of a run's name; given by the stages whose settings tell runs apart.
        check: raises a `SpaceprobeError` where the settings do not go together.
        asks_gpu: whether the settings ask for a GPU (``cuda``) or take one where there is one (``auto``);
            None where they never do.
        plan: lists the parts that the settings ask for; cheap, and without torch.
        compute: yields each part of a job with its content, in the job's order.
        tabulate: returns the rows of each table from the finished parts of one run; the ``run`` column
            and those of swept settings are added by the caller.
        sources: names the modules that the settings choose from registries, such as a dataset's, which are
            part of the version of the code; None where nothing is chosen.
    """

    unit: str
    label: Callable[[Sections], str] | None = None
    check: Callable[[Sections], None] | None = None
    asks_gpu: Callable[[Sections], Literal["cuda", "auto", "cpu"]] | None = None
    plan: Callable[[Sections, Inputs], list[Part]]
    compute: Callable[[Job, Advance, WriteFile], Iterator[tuple[Part, Content]]]
    tabulate: Callable[[Sections, Sequence[tuple[Part, Content]]], Rows]
    sources: Callable[[Sections], Sequence[str]] | None = None

    @property
    def is_identity(self) -> bool:
        """Whether its settings, and only such stages' settings, tell runs apart."""
        return self.label is not None

    @property
    def subject(self) -> str:
        """What it does, as a noun such as ``folding``: the last of its sections."""
        return [*self.sections][-1]


@dataclass(frozen=True, kw_only=True)
class StudyStage(Stage):
    """A stage that computes tables of a study from the tables of other stages.

    Attributes:
        reduce: returns its tables.
    """

    reduce: Callable[[Sections, Frames], Frames]
