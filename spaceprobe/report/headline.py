"""The first screen of a report: what was asked, what came out, how it was run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from spaceprobe.analysis.predictors import main_predictor
from spaceprobe.analysis.samples import NOTHING_ELSE, POOLED
from spaceprobe.report.answers import ANSWERS
from spaceprobe.report.entry import counted, sample_of
from spaceprobe.report.numbers import LAST, Numbers
from spaceprobe.results.groups import group_order, with_groups
from spaceprobe.results.missing import why_missing
from spaceprobe.results.questions import (
    architecture_rows,
    correlation_rows,
    has_valid_rank,
    is_zipped,
    other_setting,
    reading_values,
    scored_points,
)
from spaceprobe.results.results import Results
from spaceprobe.stages.train.settings import OWN
from spaceprobe.study.config import Study
from spaceprobe.study.grid import label_of, members_of, value_of
from spaceprobe.tables.states import TRAINED, UNTRAINED

UNKNOWN = "unknown"
"""What stands for a fact that provenance.json does not have."""

DATASET = "data.dataset"
"""The setting that names the data, but those of a user's own."""

MAX_SHOWN = 4
"""Values of what else is swept that have a number each on the first screen; of more there is the pooled one.
Chosen."""


@dataclass(frozen=True)
class HeadlineNumber:
    """One of the numbers on the first screen.

    Attributes:
        name: what it is of.
        number: the number.
        interval: its interval, or nothing.
        explanation: what it shows, and what it does not.
    """

    name: Markup
    number: Markup
    interval: Markup
    explanation: Markup


def question_sentences(results: Results, numbers: Numbers) -> Iterator[Markup]:
    """Yield sentences on what the study asks."""
    study, stages = results.study, results.study.stages
    axes = [
        Markup("{} ({})").format(_plainly(key.partition(".")[2]), numbers.setting(key))
        for key in study.axes
        if key not in study.zipped
    ]
    if study.zipped:
        names = ", ".join(_plainly(key.partition(".")[2]) for key in study.zipped)
        labels = [label_of(member) for member in members_of(study, is_short=True)]
        groups = group_order(with_groups(results.runs))  # which call a binary network's activation a sign
        labels = groups if len(groups) == len(labels) else labels
        members = [Markup("<code>{}</code>").format(label) for label in labels]
        axes.append(Markup("{} together ({})").format(names, Markup(", ").join(members)))
    yield Markup("{}{}.").format(
        counted(numbers.statistic("count", "runs"), "network"),
        Markup(": every combination of ") + Markup(" and ").join(axes) if axes else "",
    )
    if "train" in stages:
        yield Markup("Trained on {} for {} by {} at learning rate {}.").format(
            numbers.setting(_data_key(study)),
            counted(numbers.setting("training.epochs"), "epoch"),
            numbers.setting("training.optimizer"),
            numbers.setting("training.learning_rate"),
        )
    if "fold" in stages:
        yield Markup(
            "How straight lines between images fold in the space of activation patterns: class pairs {}, "
            "test images of each class: {}, method {}, epochs {}."
        ).format(*(numbers.setting(f"folding.{key}") for key in ("pairs", "per_class", "method", "epoch")))
    if "lmd" in stages:
        yield Markup("What the weight matrices hold: metrics {}, probes {}, epochs {}.").format(
            *(numbers.setting(f"lmd.{key}") for key in ("metrics", "probes", "epoch"))
        )


def _data_key(study: Study) -> str:
    """Return the setting that names the data: the file, folder or function of one's own, or the data set."""
    dataset = value_of(study.sections, DATASET)
    is_own = DATASET not in study.axes and dataset in OWN
    return f"data.{dataset}" if is_own else DATASET


def headline_numbers(results: Results, numbers: Numbers) -> Iterator[HeadlineNumber]:
    """Yield the headline numbers that the study has."""
    yield from _correlations(results, numbers)
    yield from _folded(results, numbers)
    if results.has("lmd_ranks") and not any(entry.table in numbers.frames for entry in ANSWERS.values()):
        yield from _matrices(results, numbers)
    if results.frames["runs"]["test_accuracy"].notna().any():
        yield HeadlineNumber(
            Markup("test accuracy"),
            Markup("{} to {}").format(
                *(numbers.statistic(end, "runs", "test_accuracy", None, ".3f") for end in ("min", "max"))
            ),
            Markup(),
            Markup("least and largest of {}").format(
                counted(numbers.statistic("count", "runs", None, {"status": "done"}), "trained network")
            ),
        )


def _correlations(results: Results, numbers: Numbers) -> Iterator[HeadlineNumber]:
    """Yield the correlations with the main predictor, and those with another setting that is swept."""
    runs = results.frames["runs"]
    main = main_predictor(runs, results.frames.settings("runs"))
    if main is None or not results.has("correlations") or is_zipped(results, main):
        return
    questions = (
        (TRAINED, "none", "trained"),
        (UNTRAINED, "none", "untrained"),
        (TRAINED, "test_accuracy", "trained, given test accuracy"),
    )
    for predictor in dict.fromkeys(filter(None, (main, other_setting(runs)))):
        for state, given, networks in questions:
            rows = correlation_rows(results.frames, predictor, state, given=given)
            for at, row in _shown(rows).items():
                yield HeadlineNumber(
                    Markup("r of {} and row maxima of χ, {}{}").format(
                        _plainly(predictor), networks, _at(numbers, row, at)
                    ),
                    numbers.cell("correlations", row, "pearson"),
                    numbers.interval("correlations", row, "pearson_low", "pearson_high"),
                    Markup("{}{}{}").format(
                        sample_of(numbers, row), _doubt(numbers, row), _note(numbers, "correlations", row)
                    ),
                )


def _shown(rows: Mapping[str, int]) -> dict[str, int]:
    """Return the rows for each value of what else is swept; the pooled one where these are many or none."""
    apart = {at: row for at, row in rows.items() if at != POOLED}
    return apart if 0 < len(apart) <= MAX_SHOWN or POOLED not in rows else {POOLED: rows[POOLED]}


def _at(numbers: Numbers, row: int, at: str) -> Markup:
    """Name the values of what else is swept, if something is."""
    return Markup() if at == NOTHING_ELSE else Markup(", {}").format(numbers.text("correlations", row, "at"))


def _note(numbers: Numbers, table: str, row: int) -> Markup:
    """Return what a row says of what was left out of it and of what it lacks, if it says something."""
    note = numbers.value_at(table, row, "note")
    return (
        Markup("; {}").format(numbers.text(table, row, "note"))
        if isinstance(note, str) and note
        else Markup()
    )


def _doubt(numbers: Numbers, row: int) -> str:
    """Describe what an interval does not show."""
    cells = numbers.frames["correlations"].loc[row]
    low, high = cells["pearson_low"], cells["pearson_high"]
    if low != low:
        return "; no interval"
    return "; the interval spans zero: this study cannot tell" if low <= 0 <= high else ""


def _folded(results: Results, numbers: Numbers) -> Iterator[HeadlineNumber]:
    if not results.has("architectures"):
        return
    rows = architecture_rows(results.frames, TRAINED)
    groups = [*rows][:1] + [*rows][1:][-1:]
    if len(rows) > results.frames["runs"]["architecture"].nunique():
        return  # the two would differ in more than their architecture
    for group in groups:
        yield HeadlineNumber(
            Markup("paths that fold, <code>{}</code>").format(group),
            numbers.cell("architectures", rows[group], "chi_folded_mean_mean"),
            numbers.interval("architectures", rows[group], "chi_folded_mean_low", "chi_folded_mean_high"),
            Markup("share of the paths of trained networks; mean over class pairs and {}{}").format(
                counted(numbers.cell("architectures", rows[group], "num_seeds", "d"), "seed"),
                _note(numbers, "architectures", rows[group]),
            ),
        )


def _matrices(results: Results, numbers: Numbers) -> Iterator[HeadlineNumber]:
    table = results.frames["lmd_ranks"]
    for rule, meaning in (
        (
            "functional",
            f"the least rank that keeps the score{scored_points(results.frames)} within one point",
        ),
        ("participation", "what the singular values alone say"),
    ):
        if has_valid_rank(table, rule):
            where = {"rule": rule, "valid": True, "epoch": LAST}
            yield HeadlineNumber(
                Markup("rank of a layer, {}").format(_plainly(rule)),
                numbers.statistic("median", "lmd_ranks", "rank", where, "g"),
                Markup(),
                Markup("median over trained weight matrices ({} in all); {}").format(
                    numbers.statistic("count", "lmd_ranks", None, where), meaning
                ),
            )


def missing_sentences(results: Results, numbers: Numbers) -> Iterator[Markup]:
    """Yield sentences on the headline numbers that the study cannot have."""
    if "fold" not in results.study.stages:
        return
    runs = results.frames["runs"]
    predictor = main_predictor(runs, results.frames.settings("runs"))
    missing = why_missing(results, "folding", "correlations")
    if missing is not None:
        yield Markup("No number of folding: {}.").format(missing)
    elif predictor is None:
        yield Markup(
            "No correlation: depth, width and every number that is swept are the same in all networks."
        )
    elif not correlation_rows(results.frames, predictor, TRAINED):
        yield Markup("No correlation of {} and row maxima of χ: {}.").format(
            _plainly(predictor), _why_no_correlation(results, numbers, predictor)
        )
    few = {1: "is one seed", 2: "are two seeds"}.get(runs["seed"].nunique())
    if missing is None and few is not None:
        yield Markup("No interval: there {} only, and it takes three.").format(few)


def _why_no_correlation(results: Results, numbers: Numbers, predictor: str) -> Markup:
    """Return the note in correlations.csv on the trained networks of all seeds."""
    table = results.frames["correlations"]
    rows = table[(table["predictor"] == predictor) & (table["state"] == TRAINED) & table["note"].notna()]
    rows = rows[rows["seed"].astype(str) == "all"]
    if rows.empty:
        return Markup("the study has no trained networks to compare")
    return numbers.text("correlations", int(rows.index[0]), "note")


def run_sentences(results: Results, numbers: Numbers) -> Iterator[Markup]:
    """Yield sentences on how the study was run."""
    yield from program_sentences(results.provenance)
    if results.has("folding_checks"):
        columns = results.frames["folding_checks"].columns
        where = {name: value for name, value in reading_values(results.frames).items() if name in columns}
        lines = numbers.statistic("sum", "folding_checks", "num_walks", where)
        if where.get("method") in ("sampled", "adaptive"):
            yield Markup(
                "{} straight lines were sampled, each read from both ends; lengths are lower bounds."
            ).format(lines)
        else:
            yield Markup(
                "{} straight lines were walked, each read from both ends; {} linear regions could not be "
                "certified."
            ).format(lines, numbers.statistic("sum", "folding_checks", "num_violations", where))
        if where.get("method") == "adaptive":
            yield Markup("{} intervals of adaptive paths were left with several flips.").format(
                numbers.statistic("sum", "folding_checks", "unresolved", where)
            )
    yield Markup(
        "Every number on this page is a cell of a CSV beside it, or a count, sum, extreme or median of some."
    )


def program_sentences(facts: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield sentences on program and machine, given the facts of provenance.json; none where it is empty."""
    if facts:
        yield Markup("spaceprobe <code>{}</code>{}, torch <code>{}</code>.").format(
            _fact(facts, "spaceprobe", "version"), _commit(facts), _fact(facts, "versions", "torch")
        )
        yield Markup("Last started <code>{}</code> on <code>{}</code> with <code>{}</code> cores.").format(
            _fact(facts, "started"), _fact(facts, "machine", "cpu"), _fact(facts, "machine", "cores")
        )


def _commit(facts: Mapping[str, Any]) -> Markup:
    """Return the commit of the program with a space before it; nothing where none is known, as of a wheel."""
    commit = _fact(facts, "spaceprobe", "commit")
    if commit == UNKNOWN:
        return Markup()
    edited = ", edited since" if _fact(facts, "spaceprobe", "dirty") is True else ""
    return Markup(" at commit <code>{}</code>{}").format(str(commit)[:10], edited)


def _plainly(name: str) -> str:
    """Return what a column or a rule is called in a sentence."""
    return name.replace("_", " ")


def _fact(facts: Mapping[str, Any], *names: str) -> Any:
    """Return a fact of provenance.json by its keys; "unknown" where it is not there."""
    fact: Any = facts
    for name in names:
        fact = fact.get(name) if isinstance(fact, Mapping) else None
    return UNKNOWN if fact is None else fact


def failures(results: Results) -> list[dict[str, str]]:
    """Return the runs that are not done in some stage: label, name, states, and why, where it is known."""
    errors = dict(zip(results.frames["runs"]["run"], results.frames["runs"]["error"], strict=True))
    return [
        {
            "label": status.label,
            "run": status.run,
            "states": ", ".join(
                f"{stage} {state}" for stage, state in status.states.items() if state != "done"
            ),
            "reason": error if isinstance(error := errors.get(status.run), str) else status.last_line,
        }
        for status in results.states
        if any(state != "done" for state in status.states.values())
    ]
