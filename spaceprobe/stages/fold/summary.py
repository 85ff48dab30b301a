"""What the fold stage prints."""

from collections.abc import Iterator

from spaceprobe.stages.fold.tables import FOLDING, SOURCE_TABLES
from spaceprobe.stages.summarize.summary import architecture_lines
from spaceprobe.stages.summary_text import why_failed
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.text import fill


def present(tables: Frames) -> str:
    """Return what the command prints."""
    import pandas as pd

    lines = [] if tables[FOLDING.name].empty else architecture_lines(tables)
    lines += _other_lines(tables)
    if not lines:
        return "\n".join(["no paths were measured", *why_failed(tables["runs"])])
    checks = pd.concat([tables[each.checks.name] for each in SOURCE_TABLES.values()])
    walks = f"{checks['num_walks'].sum():,} walks, each read from both ends"
    is_adaptive = checks["method"] == "adaptive"
    if is_adaptive.any():
        num_unresolved = int(checks.loc[is_adaptive, "unresolved"].sum())
        walks += (
            f"; adaptive: {num_unresolved:,} interval{'s' * (num_unresolved != 1)} unresolved, "
            "lengths are lower bounds"
        )
    if (is_adaptive | (checks["method"] == "sampled")).all():
        check = "sampled paths have no regions to check"
    else:
        num_violations = int(checks["num_violations"].sum())
        check = f"region check: {num_violations or 'no'} violation{'s' * (num_violations != 1)}"
    return "\n".join([*lines, *fill(f"{walks}; {check}", "  ")])


def _other_lines(tables: Frames) -> Iterator[str]:
    """Yield lines for each source of endpoints but class pairs that was measured."""
    for source, declared in SOURCE_TABLES.items():
        table = tables[declared.folding.name]
        chi = table[table["measure"] == "chi"]
        if declared.folding is not FOLDING and not chi.empty:
            yield from fill(
                f"{source}: {chi['num_paths'].sum():,} paths; medians over the rows of "
                f"{declared.folding.name}.csv: folded {chi['folded'].median():.2f}, "
                f"max {chi['max'].median():.3f}",
                "  ",
            )
