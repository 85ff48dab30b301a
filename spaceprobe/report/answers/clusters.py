"""From which number of points of each class on they tell what all pairs of images tell."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import AnswerEntry, Shown
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.clusters import (
    CLUSTERS,
    KIND,
    PAIRS,
    STATE,
    STATISTIC,
    K,
    cluster_errors,
)
from spaceprobe.tables.states import TRAINED, UNTRAINED

SPOKEN = {"folded": "the share of paths that fold", "row_max_median": "row maxima of χ"}
"""The statistics that the sentence names; the table has them all."""


def _says(numbers: Numbers, table: str) -> Markup:
    frame = numbers.frames[table]
    state = TRAINED if (frame[STATE] == TRAINED).any() else UNTRAINED
    parts = []
    for statistic, words in SPOKEN.items():
        rows = frame[(frame[STATE] == state) & (frame[STATISTIC] == statistic)]
        for kind, of_kind in rows.groupby(KIND, sort=False):
            last = int(of_kind.index[-1])
            parts.append(
                sentence(
                    "{} of {} networks, {}: with k = {} for each class the mean error at a class pair is {}, "
                    "of a spread over class pairs of {}, for {} of the paths; {}.",
                    words[0].upper() + words[1:],
                    state,
                    str(kind),
                    numbers.cell(table, last, K, "d"),
                    numbers.cell(table, last, "error"),
                    numbers.cell(table, last, "spread"),
                    numbers.cell(table, last, "cost", ".2%"),
                    _from_which_k(numbers, table, {STATE: state, STATISTIC: statistic, KIND: kind}),
                )
            )
    return joined(parts, " ")


def _from_which_k(numbers: Numbers, table: str, where: dict[str, object]) -> Markup:
    """Say from which k on, for it and all larger ones, the error lies below the spread."""
    frame = numbers.frames[table]
    rows = frame[(frame[[*where]] == [*where.values()]).all(axis=1)]
    above = rows.loc[~rows["is_below"].astype(bool), K]
    trusted = rows[rows[K] > above.max()] if len(above) else rows
    if trusted.empty:
        return sentence("the error is not below the spread at the largest k")
    return sentence(
        "it is below the spread from k = {} on", numbers.cell(table, int(trusted.index[0]), K, "d")
    )


ENTRY = AnswerEntry(
    question="Do a few points of each class tell what all pairs tell?",
    needs=(PAIRS, CLUSTERS),
    function=cluster_errors,
    lines=(STATE, STATISTIC, KIND),
    across=K,
    shown=(
        Shown("error", "mean error", ".3f", ("error_low", "error_high")),
        Shown("spread", "spread", once=True),
    ),
    says=_says,
    reading="Means over seeds of the mean absolute difference from all pairs, over class pairs; the spread "
    "is the standard deviation of the statistic over class pairs",
)
