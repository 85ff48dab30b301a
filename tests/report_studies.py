"""Small studies of real images whose reports the tests look at, and a browser to look with."""

import os
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tests.commands import call

SMALL = "data: {train_images: 600}\n"
FOLDED = """\
study: {stages: [train, fold, summarize]}
training: {epochs: 1, learning_rate: 0.02}
folding: {per_class: 3, pairs: [3-8, 8-3, 5-5]}
sweep:
  network.architecture: [2x8, 3x6, 4x5]
  training.seed: [0, 1]
"""
DECOMPOSED = """\
study: {stages: [train, lmd]}
training: {epochs: 2, learning_rate: 0.02}
network: {architecture: 3x6}
lmd:
  metrics: [identity, data, laplacian]
  probes: [functional-rank, dimension, retrieval, semantics]
"""
DIVERGED = """\
training: {epochs: 1, batch_size: 10}
network: {architecture: 20x6}
folding: {per_class: 3, pairs: [3-8]}
lmd: {probes: []}
sweep: {training.learning_rate: [1000.0, 0.001]}
"""
STUDIES = {"folded": FOLDED, "decomposed": DECOMPOSED, "diverged": DIVERGED}

PAPER_WIDTH = 718
"""CSS pixels of A4 between browsers' usual margins: 210 mm at 96 dots an inch, less 2 x 10 mm."""


def start(name, text, results, exit_code=0):
    """Take a study through all stages and its report; return its folder."""
    file = results / f"{name}.yaml"
    results.mkdir(exist_ok=True)
    file.write_text(SMALL * ("data:" not in text) + text)
    outcome = call("run", file, "--results", results, with_report=True)
    assert outcome.exit_code == exit_code, outcome.output
    assert "Traceback" not in outcome.output
    assert f"report   {results / name / 'report.html'}" in outcome.stdout
    return results / name


def reported(name, factory):
    """Return the folder of one of `STUDIES`, computed once in a session by whichever process asks first.

    It is not to be changed.
    """
    base = shared_folder(factory) / "reported"
    return _once(base / name, lambda: start(name, STUDIES[name], base, exit_code=int(name == "diverged")))


def compared(factory):
    """Return the folder of a comparison of one of `STUDIES` with the same, trained for longer."""
    folded = reported("folded", factory)
    out = shared_folder(factory) / "compared"

    def compare():
        longer = folded.parent / "longer.yaml"
        longer.write_text((folded.parent / "folded.yaml").read_text().replace("epochs: 1", "epochs: 2"))
        outcome = call("run", longer, "--results", folded.parent)
        assert outcome.exit_code == 0, outcome.output
        outcome = call("compare", folded, folded.parent / "longer", "--out", out)
        assert outcome.exit_code == 0, outcome.output

    return _once(out, compare)


def shared_folder(factory):
    """Return the folder for what all processes of the session share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _once(folder, make):
    done = folder.with_name(f"{folder.name}.done")
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            make()
            done.touch()
    return folder


def bytes_of(folder: Path) -> Mapping[str, bytes]:
    """Return what a report consists of, by path."""
    files = [folder / "report.html", *sorted((folder / "figures").iterdir())]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def chromium() -> str:
    """Return where the system's Chromium is; without one a test is skipped, or fails where CI is set."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"none of {', '.join(names)} is installed")
    return found


@contextmanager
def opened_browser():
    """Opens a headless browser without playwright's own downloads."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers and root do not have; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
