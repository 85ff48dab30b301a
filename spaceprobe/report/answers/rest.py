"""When networks come to rest under each way of training, and what their ranks do until then and after."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.networks import has_swept
from spaceprobe.results.answers.rest import END, RULE, WHEN, coming_to_rest
from spaceprobe.results.questions import has_valid_rank
from spaceprobe.results.results import Results
from spaceprobe.stages.train.settings import TrainingSettings
from spaceprobe.tables.seeds import SEEDS

_WAYS = [name for name in TrainingSettings.model_fields if name not in (*SEEDS, "snapshots")]


def _one_way(results: Results) -> str | None:
    if results.has("aggregates"):
        return "the study asks how folding depends on what it sweeps"
    ranks = results.frames["lmd_ranks"]
    if not has_valid_rank(ranks, RULE) or ranks["epoch"].nunique() < 2:
        return "one epoch only is decomposed (lmd.epoch, training.snapshots)"
    return None if any(has_swept(results, name) for name in _WAYS) else "no setting of the training is swept"


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    once = frame[(frame["layer"] == frame["layer"].min()) & (frame[WHEN] == END)]
    where = {"layer": int(frame["layer"].min()), WHEN: END}
    text = sentence(
        "Of {} networks {} come to rest at some epoch (every layer stably converged), and {} are at rest at "
        "the last.",
        *(numbers.statistic("sum", table, name, where) for name in ("num_runs", "num_at_rest", "num_at_end")),
    )
    if once["num_at_rest"].sum() == 0:
        return text
    changes = (numbers.statistic(end, table, "difference", {WHEN: END}, "+z.2f") for end in ("min", "max"))
    return text + sentence(
        " From then to the end the participation ratio of a layer changes by {} to {}, as means over seeds.",
        *changes,
    )


ENTRY = AnswerEntry(
    question="When does each training come to rest, and what happens to the ranks until then?",
    needs=("lmd_convergence", "lmd_ranks"),
    unless=_one_way,
    function=coming_to_rest,
    lines=(SETTINGS, "layer"),
    across=WHEN,
    shown=(
        Shown("num_runs", "networks", "d", once=True),
        Shown("num_at_rest", "come to rest", "d", once=True),
        Shown("num_at_end", "at rest at the end", "d", once=True),
        Shown("first_at_rest", "first rests from epoch", ",.0f", once=True),
        Shown("last_at_rest", "last rests from epoch", ",.0f", once=True),
        Shown("mean", "participation ratio", ".1f"),
        Shown("difference", "change since", "+z.2f", ("difference_low", "difference_high")),
    ),
    says=_says,
    figures=("convergence", "evolution"),
)
