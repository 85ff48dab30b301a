"""The page of all findings, in Markdown: written from what is committed, with no number of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE, LEVEL, UNTESTED
from spaceprobe.findings.entry import COMPARISONS
from spaceprobe.findings.kept import FORMS, KeptFinding
from spaceprobe.report.entry import counted, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.study.layout import PROVENANCE, table_path

HEAD = """\
# Findings

What shipped studies say about questions that the papers on folding leave open, a section each: a figure and
three sentences. "Inconclusive" is an answer, too. What χ, row maxima and the other quantities are, is said in
[Definitions](definitions.md).

- This page is written by `scripts/findings.py` from the tables in the folder `findings` beside it. Each
  number names its cell in one of them (in the HTML); none is typed by hand. Intervals are 95 % t intervals
  over seeds.
- A section says whether it shows the **full form** of its study or the **form for CI**, which takes minutes:
  fewer seeds, networks and images, and hardly any training. That one checks the chain; it is not an answer.
- The comparisons of a section are corrected together (Holm's method), and each p value is the corrected one;
  where it is not below {level}, the comparison is inconclusive.
- `make studies` runs all forms for CI again and replaces their tables;
  [Studies](studies.md#questions-about-folding) says how the full ones are run.
"""

NAMES = {"full": "The full form", "ci": "The form for CI"}


def findings_page(findings: Sequence[KeptFinding], beside: Path) -> str:
    """Return the page.

    Args:
        findings: those that are kept, in any form; of one that is kept in several, the first of `FORMS` is
            shown.
        beside: the folder that the page lies in.
    """
    shown = {each.entry.name: each for form in reversed(FORMS) for each in findings if each.form == form}
    names = dict.fromkeys(each.entry.name for each in findings)
    sections = [_section(shown[name], beside) for name in names]
    return "\n".join([HEAD.format(level=f"{LEVEL:g}"), *sections])


def _section(finding: KeptFinding, beside: Path) -> str:
    entry, folder = finding.entry, finding.folder.relative_to(beside)
    numbers = Numbers(None, finding.tables, elsewhere=folder)
    links = ", ".join(f"[{name}]({table_path(folder, name).as_posix()})" for name in finding.tables)
    parts = [
        f"## {entry.title}",
        f"*{entry.question}*",
        f"![The figure of this section, described below]({(folder / finding.figure.name).as_posix()})",
        f"*{entry.caption}*.",
        *map(str, entry.says(numbers)),
        str(_compared(numbers)),
        f"{_origin(finding, folder)} Tables: {links}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _compared(numbers: Numbers) -> Markup:
    """Return how many comparisons a section makes, and what came of them."""
    if COMPARISONS not in numbers.frames:
        return Markup()

    def count(where: dict[str, Any] | None = None) -> Markup:
        return numbers.statistic("count", COMPARISONS, None, where)

    untested = count({"verdict": UNTESTED})
    rest = sentence(", {} could not be tested", untested) if untested.striptags() != "0" else Markup()
    return sentence(
        "{}, corrected together: {} with a difference, {} inconclusive{}.",
        counted(count(), "comparison"),
        count({"verdict": DIFFERS}),
        count({"verdict": INCONCLUSIVE}),
        rest,
    )


def _origin(finding: KeptFinding, folder: Path) -> Markup:
    """Return which study the numbers are of, in which form, and where they come from."""
    facts = finding.provenance
    place = f"{(folder.parent / PROVENANCE).as_posix()}"

    def fact(key: str, spec: str = "d") -> Markup:
        value = facts[key]
        return Markup('<data value="{}" data-file="{}" data-key="{}">{}</data>').format(
            value, place, key, format(value, spec)
        )

    code = facts.get("spaceprobe") or {}
    commit = str(code.get("commit") or "unknown")[:10]
    changed = " with changes" if code.get("dirty") else ""
    return sentence(
        "**{}**: `spaceprobe run {}`, {} networks of {} seeds, {} minutes of steps; commit `{}`{}, `{}`.",
        NAMES[finding.form],
        str(facts["study"]),
        fact("num_runs"),
        fact("num_seeds"),
        _minutes(facts, place),
        commit,
        changed,
        str(facts.get("started"))[:10],
    )


def _minutes(facts: Any, place: str) -> Markup:
    seconds = facts["steps_s"]
    return Markup('<data value="{}" data-file="{}" data-key="steps_s">{}</data>').format(
        seconds, place, f"{seconds / 60:.1f}"
    )
