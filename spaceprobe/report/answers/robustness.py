"""How robust networks are, and whether paths to adversarial twins fold otherwise than random ones."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.robustness import ATTACK, CHECKS, FOLDING, STATE, robust_accuracies
from spaceprobe.tables.states import TRAINED, UNTRAINED


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    state = TRAINED if (frame[STATE] == TRAINED).any() else UNTRAINED
    rows = frame[frame[STATE] == state]
    parts = []
    for attack in rows[ATTACK].unique():
        where = {STATE: state, ATTACK: attack}
        ends = [
            numbers.statistic(of, table, column, where, ".3f")
            for column in ("robust_accuracy", "folded")
            for of in ("min", "max")
        ]
        parts.append(
            sentence(
                "{} twins of {} networks: a share of {} to {} is still classified rightly, and a share of {} "
                "to {} of the paths to them folds.",
                *(str(attack), state, *ends),
            )
        )
    return joined(parts, " ")


ENTRY = AnswerEntry(
    question="How robust are the networks, and do paths to adversarial twins fold?",
    needs=(CHECKS, FOLDING),
    function=robust_accuracies,
    lines=(STATE, SETTINGS, "norm", "radius"),
    across=ATTACK,
    shown=(
        Shown("robust_accuracy", "robust accuracy", ".3f", ("robust_accuracy_low", "robust_accuracy_high")),
        Shown("folded", "paths that fold", ".3f", ("folded_low", "folded_high")),
        Shown("mean", "mean χ", ".3f", ("mean_low", "mean_high")),
    ),
    says=_says,
    reading="Means over seeds, of means over classes; random twins are as far from their images as those of "
    "the attack",
)
