"""How ranks and dimensions under each activation differ from those under the first, seed by seed."""

from markupsafe import Markup

from spaceprobe.report.answers.convergence import converged_by_the_end
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown, verdict_counts
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.activations import activation_differences
from spaceprobe.results.answers.memory import LABELS
from spaceprobe.results.answers.networks import ACTIVATION, has_swept
from spaceprobe.results.answers.verdicts import DIFFERS, QUANTITY, VERDICT
from spaceprobe.results.results import Results


def _one_activation(results: Results) -> str | None:
    if has_swept(results, LABELS):
        return "the study asks what networks remember"
    if (results.frames["lmd_ranks"]["epoch"] == 0).all():
        return "untrained networks only are decomposed (lmd.epoch)"
    return None if has_swept(results, ACTIVATION) else "network.activation is not swept"


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    last = int(frame["epoch"].max())
    at_end = frame[frame["epoch"] == last]
    text = sentence(
        "Differences from the first activation at epoch {}: {}.",
        numbers.cell(table, int(at_end.index[0]), "epoch", "d"),
        verdict_counts(numbers, table, {"epoch": last}),
    )
    differing = at_end[at_end[VERDICT] == DIFFERS]
    for quantity, rows in differing.groupby(QUANTITY, sort=False):
        row = int(str(rows["difference"].abs().idxmax()))
        text += sentence(
            " Largest in size for the {}: {} in layer {}, {} {}.",
            str(quantity),
            numbers.text(table, row, ACTIVATION),
            numbers.cell(table, row, "layer", "d"),
            numbers.cell(table, row, "difference", "+z.1f"),
            numbers.interval(table, row, "difference_low", "difference_high", "+z.1f"),
        )
    return text + converged_by_the_end(numbers)


ENTRY = AnswerEntry(
    question="How do ranks and dimensions differ between activations?",
    needs=("lmd_ranks", "lmd_convergence"),
    unless=_one_activation,
    function=activation_differences,
    lines=(QUANTITY, SETTINGS, "layer", ACTIVATION),
    across="epoch",
    shown=(
        Shown("mean", "mean", ".1f"),
        Shown("difference", "from the first", "+z.1f", ("difference_low", "difference_high")),
    ),
    says=_says,
    figures=("evolution", "dimension"),
)
