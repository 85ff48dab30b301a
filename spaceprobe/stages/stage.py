"""What a stage declares: its settings, its tables, the stages it needs, and the functions that do its work.

A stage is a package in `spaceprobe.stages`. Settings, results and the command line are made from what stages
declare and name none of them, so a new stage is a new package and one line in `spaceprobe.stages.STAGES`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from spaceprobe.tables.frames import Frames
from spaceprobe.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

GpuWish = Literal["cuda", "auto", "auto-float64", "cpu"]
"""Which device settings ask for: see `RunStage.asks_gpu`."""

NOT_IN_KEY = "not in key"
"""Annotates a setting that selects what is computed, or how fast, but changes no number."""


@dataclass(frozen=True)
class Flag:
    """Annotates a setting that is also a flag of its stage's command.

    Attributes:
        name: the flag, such as ``--per-class``.
        bare: the value if the flag is given without one; None if a value is required.
    """

    name: str
    bare: str | None = None


@dataclass(frozen=True)
class AlsoCalled:
    """Annotates a setting with what people call it elsewhere: an error at such a name points to the setting.

    Attributes:
        names: in lower case, words joined by ``_``.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class ChoosesCode:
    """Annotates a setting that chooses which modules compute a result: see `RunStage.sources`.

    Attributes:
        values: one for each choice; empty where they are those of the setting's type, such as the names of a
            registry.
    """

    values: tuple[object, ...] = ()


class HintedValueError(ValueError):
    """A wrong value of a setting, with a hint that fits only where it was given on the command line.

    Args:
        message: what is wrong, and what is allowed.
        hint: follows the message on the command line.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Settings(BaseModel):
    """One section of a study file. Unknown keys are errors, and types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def key(self) -> dict[str, Any]:
        """Return the settings that a number depends on."""
        return self._without_ignored(self.model_dump(mode="json"))

    def identity(self) -> dict[str, Any]:
        """Return those of them that are not the default: a new setting keeps the names of old runs."""
        return self._without_ignored(self.model_dump(mode="json", exclude_defaults=True))

    def _without_ignored(self, values: Mapping[str, Any]) -> dict[str, Any]:
        fields = type(self).model_fields
        return {name: value for name, value in values.items() if NOT_IN_KEY not in fields[name].metadata}


Sections = Mapping[str, Settings]
"""The sections of a study file by name, such as ``training``."""


@dataclass(frozen=True)
class Part:
    """A part of a stage's results: the smallest piece that is computed, stored and kept as a whole.

    Attributes:
        path: its file, relative to the run's folder: ``.json``, or ``.npz`` if it holds arrays.
        key: everything that its numbers depend on but the code: settings by section, and digests of inputs.
        amount: how much work it is, in the stage's unit, for the progress bar.
        siblings: a pattern of the files that hold the same under other settings; empty for its own path.
    """

    path: str
    key: Mapping[str, Any]
    amount: int
    siblings: str = ""


@dataclass(frozen=True)
class PartContent:
    """What was computed for a part.

    Attributes:
        record: small facts and rows of tables, as JSON values.
        arrays: numpy arrays by name.
        files: SHA-256 of the files written beside the part, by path relative to the run's folder; the part is
            out of date if one of them changes.
        error: why there is no result, where that is itself the result (training diverged); else None.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class FinishedPart:
    """A part that is stored and up to date, without its record and arrays.

    Attributes:
        part: what was asked for.
        files: see `PartContent`.
        error: see `PartContent`.
        duration_s: how long it took to compute, in seconds.
        stamp: of its file: equal for equal content.
    """

    part: Part
    files: Mapping[str, str]
    error: str | None
    duration_s: float
    stamp: Sequence[int]


Inputs = Mapping[str, Sequence[FinishedPart]]
"""The finished parts of the stages that a stage needs, by stage."""


@dataclass(frozen=True)
class Job:
    """The parts of one stage to compute for one run.

    Attributes:
        stage: the stage's name.
        run: the run's name.
        folder: the run's folder.
        sections: the settings of the run and of the stage.
        inputs: the finished parts of the stages that it needs.
        parts: the parts to compute, in order.
        code: the version of the code to compute them with.
        wants_gpu: whether to compute them where there is a GPU.
        is_forced: whether to compute parts that another runner has finished meanwhile.
        libraries: versions of the libraries on which last bits depend, where the study was started.
        label: of the run for a reader, such as ``2x30 · seed 0``; empty for its name.
        trusted: the modules of the user's that may run, as they were where the study was started.
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
    label: str = ""
    trusted: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What messages call it: its stage and its run."""
        return f"{self.stage} {self.label or self.run}"

    @property
    def amount(self) -> int:
        """The amount of work, in the stage's unit."""
        return sum(part.amount for part in self.parts)


Advance = Callable[[int], None]
"""Called with the amount of work just done, in the stage's unit."""

WriteFile = Callable[[str, bytes], str]
"""Writes a file beside the parts, whole or not at all, and returns its SHA-256; takes a relative path."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of tables, by the table's name."""


@dataclass(frozen=True)
class FileOption:
    """A flag that goes with a file: a whole number from 1, a text, or several texts.

    Attributes:
        name: the flag, such as ``--heads``.
        summary: one line for ``--help``.
        metavar: what its value is called there.
        is_text: whether its value is a text.
        is_repeatable: whether it may be given several times; its value is then a tuple.
    """

    name: str
    summary: str
    metavar: str = "N"
    is_text: bool = False
    is_repeatable: bool = False


@dataclass(frozen=True)
class FileOutcome:
    """The outcome of the work on a file.

    Attributes:
        folder: its folder of results.
        text: what the command prints.
        failures: why there is no result, by the name of what has none (a matrix).
    """

    folder: Path
    text: str
    failures: Mapping[str, str]


class OpenedFile(Protocol):
    """A user's file that a stage has read.

    Attributes:
        facts: what provenance.json says about it: its path, its digest, options.
        name: of its folder of results, another one for other content.
        parts: its parts, in order.
        part_pattern: a regular expression of the paths of parts, those of calls with other options included.
        tables: the CSVs that it fills.
    """

    name: str
    tables: Sequence[Table]
    parts: Sequence[Part]
    part_pattern: str
    facts: Mapping[str, Any]

    def compute(self, part: Part) -> PartContent:
        """Return the content of a part; its record holds rows of tables by the table's name."""

    def title(self, part: Part) -> str:
        """Return a part's name for messages."""


@dataclass(frozen=True)
class FileInput:
    """How a stage works on a user's file instead of a study.

    Attributes:
        flag: the flag that names the file, such as ``--weights``.
        summary: one line for ``--help``.
        options: the flags that go with it.
        unit: what its progress counts, in the singular.
        open: reads a file, given its path and the options by name, None for those not given.
        tabulate: returns the rows of tables from the records of a file's parts.
        present: returns what the command prints, from the file, the records of its parts and its folder.
    """

    flag: str
    summary: str
    options: tuple[FileOption, ...]
    unit: str
    open: Callable[[Path, Mapping[str, Any]], OpenedFile]
    tabulate: Callable[[Sequence[Mapping[str, Any]], Sequence[Table]], Rows]
    present: Callable[[Any, Sequence[Mapping[str, Any]], Path], str]


@dataclass(frozen=True)
class Cost:
    """How long the work of a stage on one run takes, from a piece of it that was timed here.

    Attributes:
        work: what is measured, such as ``nets:build by layerwise``: equal for runs that cost the same.
        timed: what was timed, in words, such as ``1 path in 0.8 s``.
        seconds: of all the work on one core; None where the piece took too long.
        at_least_s: what it takes at least; only where ``seconds`` is None.
    """

    work: str
    timed: str
    seconds: float | None
    at_least_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What every stage declares.

    Attributes:
        name: its name and the command that runs it.
        summary: one line for ``--help``.
        example: a command line for ``--help``.
        sections: its sections of the study file and their models.
        tables: the CSVs that it writes.
        needs: the stages whose results it reads.
        present: returns what the command prints, from the study's tables.
        warn: yields what a reader of the tables should be warned of; None for nothing.
        file_input: how its command works on a file instead of a study; None if it does not.
        is_optional: whether a study has it only where it lists it (``study.stages``).
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
    is_optional: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether its settings are part of what identifies a run."""
        return False


@dataclass(frozen=True, kw_only=True)
class RunStage(Stage):
    """A stage that computes parts for each run.

    Attributes:
        unit: what its progress counts, in the singular.
        label: returns the readable start of a run's name; only for stages whose settings identify a run.
        check: raises a `SpaceprobeError` if the settings do not go together.
        check_trust: raises a `UserCodeError` if code of the user's that a job runs is not trusted; None if a
            stage runs none.
        asks_gpu: whether the settings ask for a GPU (``cuda``), use one if there is one (``auto``), or use
            one that is fast in float64 (``auto-float64``); None if they never do.
        gpu_pays: returns whether jobs that would use a GPU fast in float64 are together so much work that
            starting on it pays; None if no settings say ``auto-float64``.
        uses_all_cores: whether its computation runs on all cores that it gets, not on one.
        plan: lists the parts that the settings ask for; cheap, and without torch.
        compute: yields each part of a job with its content, in the job's order.
        tabulate: returns the rows of each table from the finished parts of one run; the caller adds the
            ``run`` column and those of swept settings.
        remark: returns what a reader of a plan should know of what the settings leave open; None for nothing.
        cost: measures how long a piece of a run's work takes on this machine; None where nothing is timed.
        is_costly: whether a run's work may take so long that a reader should ask for its cost; cheap, and
            without torch. None where it never does.
        sources: names the modules that the settings choose from registries, such as a dataset's, which are
            part of the version of the code; None if nothing is chosen. Such settings are annotated with
            `ChoosesCode`.
        asked_tables: returns those of its tables that the settings ask for, which are written even if they
            have no rows; the others are not. None for all.
        tabulate_failed: returns the rows of each table of a run that failed before it had a finished part,
            given why; None for no rows.
    """

    unit: str
    label: Callable[[Sections], str] | None = None
    check: Callable[[Sections], None] | None = None
    check_trust: Callable[[Sections], None] | None = None
    asks_gpu: Callable[[Sections], GpuWish] | None = None
    gpu_pays: "Callable[[Sequence[Job]], bool] | None" = None
    uses_all_cores: bool = False
    plan: Callable[[Sections, Inputs], list[Part]]
    compute: Callable[[Job, Advance, WriteFile], Iterator[tuple[Part, PartContent]]]
    tabulate: Callable[[Sections, Sequence[tuple[Part, PartContent]]], Rows]
    remark: Callable[[Sections], str | None] | None = None
    cost: Callable[[Sections], "Cost"] | None = None
    is_costly: Callable[[Sections], bool] | None = None
    sources: Callable[[Sections], Sequence[str]] | None = None
    asked_tables: Callable[[Sections], Sequence[Table]] | None = None
    tabulate_failed: Callable[[Sections, str], Rows] | None = None

    @property
    def is_identity(self) -> bool:
        """Whether its settings are part of what identifies a run."""
        return self.label is not None


@dataclass(frozen=True, kw_only=True)
class StudyStage(Stage):
    """A stage that computes tables of a study from the tables of other stages.

    Attributes:
        reduce: returns its tables; those that it leaves out are not written.
    """

    reduce: Callable[[Sections, Frames], Mapping[str, "pd.DataFrame"]]
