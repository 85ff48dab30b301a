"""What the complexity stage prints."""

from spaceprobe.stages.complexity.tables import COMPLEXITY, MEASURES
from spaceprobe.stages.summary_text import heading, key_columns, varying_settings, why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import last_epochs, name_of_last
from spaceprobe.tables.text import NOTHING, TextColumn, count, fill, text_table


def present(frames: Frames) -> str:
    """Return what the command prints: the medians over runs of each group of trained networks."""
    runs, measured = frames["runs"], frames["complexity"]
    if measured.empty:
        return "\n".join(["no network was measured", *why_failed(runs)])
    settings = varying_settings(runs)
    probed = COMPLEXITY.settings(measured)
    by = [*dict.fromkeys([*settings, *probed])]
    last = last_epochs(measured).drop(columns=[name for name in settings if name in measured])
    rows = last.merge(runs[["run", *settings]], on="run")
    groups = rows.groupby(by, dropna=False, sort=False)
    medians = groups[[*MEASURES]].median().astype(float)  # of a column without a value, missing integers
    values = [
        TextColumn(heading(name), [NOTHING if value != value else f"{value:.3g}" for value in medians[name]])
        for name in MEASURES
    ]
    sizes = groups.size()
    lines = [f"{name_of_last(measured)} networks, medians over {count(int(sizes.max()), 'run')} each"]
    lines += text_table(key_columns(sizes.index.to_frame(index=False), by), values)
    lines += [line for note in sorted({*rows["note"].dropna()} - {""}) for line in fill(note, "  ")]
    return "\n".join([*lines, *why_failed(runs)])
