"""The page of all findings, in Markdown: written from what is committed, with no number of its own."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE, LEVEL, UNTESTED
from spaceprobe.findings.entry import COMPARISONS
from spaceprobe.findings.kept import FORMS, KeptFinding
from spaceprobe.findings.wording import listed
from spaceprobe.report.entry import counted, joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.study.layout import PROVENANCE, table_path

HEAD = """\
# Findings

What shipped studies say about questions that the papers on folding and on the Layer Matrix Decomposition
leave open, a section each: a figure and three sentences. "Inconclusive" is an answer, too. What χ, row
maxima, S′ and the other quantities are, is said in [Definitions](definitions.md).

- This page is written by `scripts/findings.py` from the tables in the folder `findings` beside it. Each
  number names its cell in one of them (in the HTML); none is typed by hand. Intervals are 95 % t intervals
  over seeds where a section does not say otherwise.
- A section says whether it shows the **full form** of its study or the **form for CI**, which takes minutes:
  fewer seeds, networks and images, and hardly any training. That one checks the chain; it is not an answer.
- A section ends with the epochs at which its networks were measured, and their seeds. "Trained" means after
  the last of these where a sentence names no epoch. At epochs that are not listed nothing was measured, and
  what would have come out there is open. The two forms of a study differ in epochs, seeds and images; where
  both were run, the section ends with what the other one says.
- The comparisons of a section are corrected together (Holm's method), and each p value is the corrected one;
  where it is not below {level}, the comparison is inconclusive.
- `make studies` runs all forms for CI again and replaces their tables;
  [Studies](studies.md#questions-about-folding) says how the full ones are run.
"""

NAMES = {"full": "full form", "ci": "form for CI"}


def findings_page(findings: Sequence[KeptFinding], beside: Path) -> str:
    """Return the page.

    Args:
        findings: those that are kept, in any form; of one that is kept in several, the first of `FORMS` is
            shown, and the others are named.
        beside: the folder that the page lies in.
    """
    names = dict.fromkeys(each.entry.name for each in findings)
    ordered = sorted(findings, key=lambda each: FORMS.index(each.form))
    forms = [[each for each in ordered if each.entry.name == name] for name in names]
    contents = _contents([finding for finding, *_ in forms], beside)
    return "\n".join([HEAD.format(level=f"{LEVEL:g}"), contents, *(_section(each, beside) for each in forms)])


def _contents(shown: Sequence[KeptFinding], beside: Path) -> str:
    """Return a table of the sections: what each asks, in which form, and how many comparisons differ."""
    rows = []
    for finding in shown:
        title = finding.entry.title
        numbers = Numbers(None, finding.tables, elsewhere=finding.folder.relative_to(beside))
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        rows.append(
            f"| [{title}](#{anchor}) | {finding.entry.question} | {NAMES[finding.form]} | {_share(numbers)} |"
        )
    head = ["| section | asks | shown | comparisons with a difference |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


def _share(numbers: Numbers) -> Markup:
    """Return how many comparisons of a section have a difference, such as "7 of 16"."""
    if COMPARISONS not in numbers.frames:
        return Markup("none made")
    return sentence("{} of {}", _count(numbers, DIFFERS), _count(numbers))


def _count(numbers: Numbers, verdict: str | None = None) -> Markup:
    """Return the number of a section's comparisons, or of those with a verdict."""
    where = None if verdict is None else {"verdict": verdict}
    return numbers.statistic("count", COMPARISONS, None, where)


def _section(forms: Sequence[KeptFinding], beside: Path) -> str:
    finding, *others = forms
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
        f"**The {NAMES[finding.form]}**: {_origin(finding, beside)}. Tables: {links}.",
        *(str(_elsewhere(other, beside)) for other in others),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _elsewhere(other: KeptFinding, beside: Path) -> Markup:
    """Return where a form comes from that is not shown, and what it says: mostly it is of another epoch."""
    numbers = Numbers(None, other.tables, elsewhere=other.folder.relative_to(beside))
    return sentence(
        "Not shown, the {}: {}. It says: {}",
        *(NAMES[other.form], _origin(other, beside), joined([*other.entry.says(numbers)], " ")),
    )


def _compared(numbers: Numbers) -> Markup:
    """Return how many comparisons a section makes, and what came of them."""
    if COMPARISONS not in numbers.frames:
        return Markup()

    untested = _count(numbers, UNTESTED)
    rest = sentence(", {} could not be tested", untested) if untested.striptags() != "0" else Markup()
    return sentence(
        "{}, corrected together: {} with a difference, {} inconclusive{}.",
        counted(_count(numbers), "comparison"),
        _count(numbers, DIFFERS),
        _count(numbers, INCONCLUSIVE),
        rest,
    )


def _origin(finding: KeptFinding, beside: Path) -> Markup:
    """Return which study a form is, what it took, and where its numbers come from."""
    facts = finding.provenance
    code = facts.get("spaceprobe") or {}
    place = (finding.folder.parent / PROVENANCE).relative_to(beside).as_posix()

    def fact(key: str, text: str) -> Markup:
        element = Markup('<data value="{}" data-file="{}" data-key="{}">{}</data>')
        return element.format(facts[key], place, key, text)

    def item(key: str, index: int) -> Markup:
        element = Markup('<data value="{0}" data-file="{1}" data-key="{2}" data-index="{3}">{0}</data>')
        return element.format(facts[key][index], place, key, index)

    return sentence(
        "`spaceprobe run {}`, {} networks of {} seeds ({}), measured {}; {} minutes of steps; commit `{}`{}, "
        "`{}`",
        str(facts["study"]),
        fact("num_runs", f"{facts['num_runs']:d}"),
        fact("num_seeds", f"{facts['num_seeds']:d}"),
        _seeds(facts["seeds"], item),
        _epochs(facts["epochs"], item),
        fact("steps_s", f"{facts['steps_s'] / 60:.1f}"),
        str(code.get("commit") or "unknown")[:10],
        " with changes" if code.get("dirty") else "",
        str(facts.get("started"))[:10],
    )


def _seeds(seeds: Sequence[int], item: Callable[[str, int], Markup]) -> Markup:
    """Return seeds as a range where they are one."""
    if len(seeds) > 2 and [*seeds] == [*range(seeds[0], seeds[-1] + 1)]:
        return sentence("{} to {}", item("seeds", 0), item("seeds", len(seeds) - 1))
    return listed([item("seeds", index) for index in range(len(seeds))])


def _epochs(epochs: Sequence[int], item: Callable[[str, int], Markup]) -> Markup:
    """Return when networks were measured, such as "untrained and after epochs 2 and 6"."""
    trained = [item("epochs", index) for index, epoch in enumerate(epochs) if epoch > 0]
    parts = [Markup("untrained")] if 0 in epochs else []
    if trained:
        parts.append(sentence("after epoch{} {}", "s" * (len(trained) > 1), listed(trained)))
    return listed(parts)
