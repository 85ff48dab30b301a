"""Keep what findings need of studies that were run, and write docs/findings.md.

Each STUDY is one that `spaceprobe run` took to its end, such as width or width-ci: the rows of its tables
that findings are computed from are copied below ``docs/findings/<study>/full`` or ``…/ci``, with where they
come from. Then, also without any STUDY, tables of means and comparisons, figures and the page are made from
what is kept, where they do not say so already; after a change of how something is drawn, with --anew.

Run: python scripts/findings.py [STUDY...] [--results results] [--anew]
"""

import argparse
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import write_whole
from spaceprobe.findings.kept import build_findings, keep_studies
from spaceprobe.findings.page import findings_page
from spaceprobe.findings.questions import FINDINGS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Keep, build, and print what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of results")
    parser.add_argument("--anew", action="store_true", help="write every table and figure again")
    options = parser.parse_args()
    entries = [*FINDINGS.values()]
    try:
        for folder in keep_studies(options.studies, options.results, DOCS / "findings", entries):
            print(folder)
        built = build_findings(DOCS / "findings", entries, anew=options.anew)
    except SpaceprobeError as error:
        raise SystemExit(f"Error: {error}") from None
    page = DOCS / "findings.md"
    write_whole(page, findings_page(built, DOCS).encode())
    print(page)


if __name__ == "__main__":
    main()
