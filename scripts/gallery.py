"""Draw the README's pictures with the tool itself, from the results of the shipped studies.

They are in ``scripts/figures``. A study that was not run is an error, so that no old picture stands beside
new numbers.
"""

import argparse
from pathlib import Path

from spaceprobe.cli.figure_files import write_figure
from spaceprobe.errors import SpaceprobeError
from spaceprobe.report.figures import figure_named
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started

PICTURES = (
    ("depth-sweep", "path"),
    ("depth-sweep", "plane"),
    ("depth-sweep", "depth"),
    ("depth-sweep", "class-pairs"),
    ("depth-sweep", "distribution"),
    ("width-sweep", "width"),
    ("lmd-activations", "evolution"),
    ("lmd-capacity", "memory"),
    ("lmd-evolution", "convergence"),
    ("lmd-ranks", "ranks"),
    ("lmd-semantics", "semantics"),
    ("lmd-swiss-roll", "dimension"),
)
"""Study and figure."""


def main() -> None:
    """Draw them and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="?", default=Path("results"), help="the folder of results"
    )
    results = parser.parse_args().results
    folder = Path(__file__).parent / "figures"
    for study, name in PICTURES:
        try:
            loaded = load_results(*find_started(study, results))
            entry = figure_named(name)
            reason = entry.lacks(loaded)
        except SpaceprobeError as error:
            reason = str(error)
        if reason is not None:
            raise SystemExit(f"{study}, {name}: {reason}")
        path = folder / f"{study}-{name}.png"
        write_figure(entry.draw(loaded), path)
        print(path)


if __name__ == "__main__":
    main()
