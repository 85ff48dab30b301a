"""How folding changes with a swept setting other than depth and width."""

from markupsafe import Markup

from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown, verdict_counts
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.setting import ROW_MAXIMA, setting_differences
from spaceprobe.results.answers.verdicts import QUANTITY
from spaceprobe.results.questions import is_zipped, other_setting
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED


def _no_setting(results: Results) -> str | None:
    if not (results.frames["aggregates"]["state"] == TRAINED).any():
        return "untrained networks only are walked (folding.epoch)"
    axis = other_setting(results.frames["runs"])
    if axis is None:
        return "no number other than depth and width is swept"
    if is_zipped(results, axis):
        return f"other settings change with {axis} (sweep.zip)"
    return None


def _says(numbers: Numbers, table: str) -> Markup:
    frame, where = numbers.frames[table], {QUANTITY: ROW_MAXIMA}
    axis = str(other_setting(numbers.frames["runs"]))
    text = sentence(
        "Differences of row maxima of χ of trained networks from those at the first {}: {}.",
        axis.replace("_", " "),
        verdict_counts(numbers, table, where),
    )
    differences = frame.loc[frame[QUANTITY] == ROW_MAXIMA, "difference"].dropna()
    if differences.empty:
        return text
    row = int(str(differences.abs().idxmax()))
    interval = numbers.interval(table, row, "difference_low", "difference_high", "+z.3f")
    return text + sentence(
        " Largest in size at {} {} of <code>{}</code>: {} {}.",
        axis.replace("_", " "),
        numbers.cell(table, row, axis, "g"),
        str(frame.at[row, "architecture"]) if "architecture" in frame else "all",
        numbers.cell(table, row, "difference", "+z.3f"),
        interval or "without an interval",
    )


ENTRY = AnswerEntry(
    question="How does folding change with the setting that is swept?",
    needs=("aggregates",),
    unless=_no_setting,
    function=setting_differences,
    lines=(QUANTITY, SETTINGS),
    shown=(
        Shown("mean", "mean"),
        Shown("difference", "from the first value", "+z.3f", ("difference_low", "difference_high")),
    ),
    says=_says,
    reading="Of trained networks: means over seeds of medians over class pairs (paths that fold: of means)",
    figures=("setting",),
)
