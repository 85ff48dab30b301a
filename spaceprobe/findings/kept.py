"""What is committed of a study's results: the tables of its findings, and where they come from."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import file_digest, write_whole
from spaceprobe.findings.entry import FindingEntry, Tables
from spaceprobe.findings.epochs import when_measured
from spaceprobe.report.drawing.style import render, styled
from spaceprobe.results.results import Results, load_results, read_csv
from spaceprobe.results.started import find_started
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import CI, shipped_configs
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import PROVENANCE, table_path
from spaceprobe.tables.frames import write_csv

FORMS = ("full", "ci")
"""The forms of a study, the one that is shown where both were run first. Each is a folder of its name."""

LAST_TABLES = {"summarize": ("aggregates", "correlations"), "gap": ("gap_ranks",)}
"""What the stages that come last have written when a study is at its end, by stage."""

SHOWN = ("study", "started", "num_runs", "num_seeds", "epochs", "seeds", "steps_s")
"""Of the provenance, what a page cannot do without."""

DRAWN_FROM = "<!-- drawn from tables with the SHA-256 {} -->\n"
"""A line of a figure's file, so that an old figure beside new tables is noticed."""


SAME_TO = 1e-9
"""Relative and absolute. Means of twenty numbers and p values of a t test differ by less between machines and
versions of scipy."""


@dataclass(frozen=True)
class KeptFinding:
    """A finding in one form, as it is committed.

    Attributes:
        entry: its declaration.
        form: one of `FORMS`.
        folder: its own, in that of the study in this form.
        tables: those that were kept and those derived from them, by name; each is a CSV of its name.
        provenance: the facts of `essentials`.
    """

    entry: FindingEntry
    form: str
    folder: Path
    tables: Tables
    provenance: Mapping[str, Any]

    @property
    def figure(self) -> Path:
        """The file of the figure."""
        return self.folder / f"{self.entry.name}.svg"


@dataclass(frozen=True)
class _StudyToKeep:
    """What findings need of a study's results, read and not yet written.

    Attributes:
        folder: where it goes: that of the study in this form.
        frames: tables by the file that each goes to.
        facts: where the results come from: the text of the file of the provenance.
    """

    folder: Path
    frames: Mapping[Path, pd.DataFrame]
    facts: str

    def write(self) -> None:
        """Write it, and remove what was kept of the study in this form before."""
        (self.folder / PROVENANCE).unlink(missing_ok=True)  # written last: without it, nothing counts as kept
        for path, frame in self.frames.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_csv(path, frame)
        for old in [path for path in self.folder.rglob("*") if path.suffix in (".csv", ".svg")]:
            if old not in self.frames:
                old.unlink()
        write_whole(self.folder / PROVENANCE, self.facts.encode())


def keep_studies(
    names: Sequence[str], results: Path, home: Path, findings: Sequence[FindingEntry]
) -> list[Path]:
    """Write what findings need of studies' results, and remove what was kept of these before.

    All are read before any is written.

    Args:
        names: the studies; one that ends in `CI` is the form for CI of another.
        results: the folder of results.
        home: the folder of what is committed.
        findings: all of them.

    Returns:
        The folders that were written.

    Raises:
        SpaceprobeError: no finding asks for a study, or one was not run to its end as it is shipped.
    """
    studies = [_study_to_keep(name, results, home, findings) for name in names]
    for study in studies:
        study.write()
    return [study.folder for study in studies]


def _study_to_keep(name: str, results: Path, home: Path, findings: Sequence[FindingEntry]) -> _StudyToKeep:
    study, form = (name.removesuffix(CI), "ci") if name.endswith(CI) else (name, "full")
    entries = [entry for entry in findings if entry.study == study]
    if not entries:
        known = ", ".join(entry.study_of(form) for entry in findings for form in FORMS)
        raise SpaceprobeError(f"{name}: no finding is of this study, expected one of {known}")
    loaded = load_results(*find_started(name, results))
    _check_whole(loaded, name)
    folder = home / study / form
    frames: dict[Path, pd.DataFrame] = {}
    for entry in entries:
        tables = entry.keep(loaded)
        if {*tables} != {*entry.kept}:
            raise ValueError(f"{entry.module}: keeps {[*tables]}, but declares {[*entry.kept]}")
        frames |= {table_path(folder / entry.name, table): frame for table, frame in tables.items()}
    facts = json.dumps(essentials(loaded), indent=1, ensure_ascii=False) + "\n"
    return _StudyToKeep(folder, frames, facts)


def _check_whole(results: Results, name: str) -> None:
    """Check that a study was run to its end, as it is shipped.

    Raises:
        SpaceprobeError: it was not.
    """
    if results.study.resolved() != load_study(shipped_configs()[name]).resolved():
        raise SpaceprobeError(
            f"{results.folder}: was run with other settings than the shipped {name} has; `spaceprobe run "
            f"{name}` runs that one"
        )
    runs = results.runs
    num_done = int((runs["status"] == "done").sum())
    if (num_runs := len(expand(results.study))) != num_done:
        raise SpaceprobeError(
            f"{results.folder}: {num_done} of {num_runs} runs are done; `spaceprobe run {name}` goes on"
        )
    for stage in LAST_TABLES.keys() & {*results.study.stages}:
        if not results.has(*LAST_TABLES[stage]):
            raise SpaceprobeError(
                f"{results.folder}: the stage {stage} is not done yet; `spaceprobe run {name}` goes on"
            )


def essentials(results: Results) -> dict[str, Any]:
    """Return where results come from: as much of their provenance as a page of findings shows.

    ``steps_s`` is the time of all steps, one after the other, in seconds; ``epochs`` and ``seeds`` are those
    of `when_measured`.
    """
    facts = results.provenance
    machine = facts.get("machine", {})
    return {
        "study": results.study.name,
        "started": facts.get("started"),
        "spaceprobe": facts.get("spaceprobe"),
        "versions": facts.get("versions"),
        "cpu": machine.get("cpu"),
        "cores": machine.get("cores"),
        "num_runs": len(results.runs),
        "num_seeds": int(results.runs["seed"].nunique()),
        **when_measured(results.study),
        "steps_s": round(float(read_csv(table_path(results.folder, "timings"))["duration_s"].sum()), 1),
    }


def build_findings(home: Path, findings: Sequence[FindingEntry], *, anew: bool = False) -> list[KeptFinding]:
    """Derive the tables and draw the figures of all that is kept, and return it.

    What says the same up to rounding, which differs between machines, is left as it is; so is a figure that
    was drawn from these tables.

    Args:
        home: the folder of what is committed.
        findings: all of them.
        anew: whether all of it is written again.

    Raises:
        SpaceprobeError: nothing is kept of a finding, or a table of it cannot be read.
    """
    for entry, _, folder in _folders(home, findings):
        kept = {table: read_csv(table_path(folder, table)) for table in entry.kept}
        for table, frame in entry.derive(kept).items():
            path = table_path(folder, table)
            if anew or not (path.is_file() and _says_the_same(read_csv(path), frame)):
                write_csv(path, frame)
    built = read_findings(home, findings)
    for finding in built:
        if not anew and _is_drawn(finding):
            continue
        with styled():
            image = render(finding.entry.draw(finding.tables), "svg").decode()
        head, svg, rest = image.partition("<svg ")
        text = head + DRAWN_FROM.format(digest_of(finding.folder)) + svg + rest
        write_whole(finding.figure, text.encode())
    return built


def _says_the_same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Return whether two tables differ by no more than rounding; the old one is as its CSV is read."""
    new = pd.read_csv(io.StringIO(new.to_csv(index=False)), keep_default_na=False, na_values=[""])
    if [*old.columns] != [*new.columns] or len(old) != len(new):
        return False
    return all(_are_equal(old[name], new[name]) for name in old.columns)


def _are_equal(old: "pd.Series[Any]", new: "pd.Series[Any]") -> bool:
    if old.dtype.kind == new.dtype.kind == "f":
        return np.allclose(old, new, rtol=SAME_TO, atol=SAME_TO, equal_nan=True)
    return old.equals(new)


def _is_drawn(finding: KeptFinding) -> bool:
    """Return whether the figure was drawn from the tables as they are."""
    line = DRAWN_FROM.format(digest_of(finding.folder))
    return finding.figure.is_file() and line in finding.figure.read_text(encoding="utf-8")


def read_findings(home: Path, findings: Sequence[FindingEntry]) -> list[KeptFinding]:
    """Return all that is kept.

    Args:
        home: the folder of what is committed.
        findings: all of them.

    Raises:
        SpaceprobeError: nothing is kept of a finding, or a table of it cannot be read.
    """
    return [_read(entry, form, folder) for entry, form, folder in _folders(home, findings)]


def _folders(home: Path, findings: Sequence[FindingEntry]) -> Iterator[tuple[FindingEntry, str, Path]]:
    """Yield each finding in each form that is kept, and its folder.

    Raises:
        SpaceprobeError: nothing is kept of a finding.
    """
    for entry in findings:
        present = [form for form in FORMS if (home / entry.study / form / PROVENANCE).is_file()]
        if not present:
            small = entry.study_of("ci")
            raise SpaceprobeError(
                f"{home / entry.study}: nothing is kept of the finding {entry.name}; run `spaceprobe run "
                f"{small}`, then scripts/findings.py {small}"
            )
        for form in present:
            yield entry, form, home / entry.study / form / entry.name


def _read(entry: FindingEntry, form: str, folder: Path) -> KeptFinding:
    tables = {path.stem: read_csv(path) for path in sorted(folder.glob("*.csv"))}
    path = folder.parent / PROVENANCE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpaceprobeError(f"{path}: cannot be read ({error}); keep the study again") from None
    if lacking := [key for key in SHOWN if key not in facts]:
        raise SpaceprobeError(f"{path}: lacks {', '.join(lacking)}; keep the study again")
    return KeptFinding(entry, form, folder, tables, facts)


def digest_of(folder: Path) -> str:
    """Return a SHA-256 of all tables in a finding's folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        digest.update(f"{path.name} {file_digest(path)}\n".encode())
    return digest.hexdigest()
