"""Annotated shapes are checked while the tests run; and the results of a module's own study."""

import os
import shutil

import jaxtyping
import pytest
import torch
from hypothesis import settings

from tests import shape_checks

collect_ignore = ["plugin"]  # a package of its own, which test_plugins installs

# One thread: 1 and 2 threads give different last bits, and the suite runs on all cores already.
torch.set_num_threads(1)

# The compiled walk stays outside: the hook's wrappers break numba's njit.
CHECKED = ["analysis", "data", "lmd", "networks", "weights"]
CHECKED += [
    f"folding.{name}"
    for name in ("counts", "events", "layers", "measure", "plane", "sampled", "tally", "units")
]
shape_checks.install([f"spaceprobe.{name}" for name in CHECKED])

# The machine's speed is not what these tests are about; the same examples everywhere are.
settings.register_profile("spaceprobe", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spaceprobe")


@pytest.fixture(autouse=True)
def _users_imports():
    """Forgets the modules in a test's working folder that it imported: the next test's have their names."""
    from spaceprobe import user_code  # after the hook

    yield
    user_code._forget_imports()


@pytest.fixture
def unchecked_shapes():
    """As for a user: jaxtyping checks shapes only while tests run."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    """A results folder in which the whole study of the module was run."""
    from tests.commands import call  # after the hook

    results = tmp_path_factory.mktemp("finished")
    outcome = call("run", study, "--results", results)
    assert outcome.exit_code == 0, outcome.output
    return results


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished results, to change."""
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def quick_rendering(monkeypatch):
    """Draws every figure and renders the first only: for what is not about drawings."""
    from spaceprobe.report import comparison, making  # after the hook

    rendered = []

    def render(figure, kind):
        rendered[:] = rendered or [real(figure, "svg")]
        return rendered[0] if kind == "svg" else b""

    real = making.render
    for module in (making, comparison):
        monkeypatch.setattr(module, "render", render)


@pytest.fixture
def quick_drawings(quick_rendering, monkeypatch):
    """Makes reports and comparisons of three figures, of which it renders the first only."""
    from spaceprobe.report import comparison, making  # after the hook

    few = {name: making.FIGURES[name] for name in ("training", "depth", "class-pairs")}
    for module in (making, comparison):
        monkeypatch.setattr(module, "FIGURES", few)
