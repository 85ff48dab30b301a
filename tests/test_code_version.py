"""The version of a stage's code is that of the files that it computes by, and of no others."""

import functools
import json
import os
import subprocess
import sys
import textwrap

import pytest

import spaceprobe.study.code_version as versions
from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages import STAGES, run_stage_named, stage_named
from spaceprobe.stages.stage import RunStage
from spaceprobe.study.code_version import PACKAGE, Sources, code_version, source_version
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand

# A small package: a stage computes by a.py, which imports from all others but those that are not reached.
FILES = {
    "__init__.py": "",
    "a.py": """
        from typing import TYPE_CHECKING
        import numpy as np
        import spaceprobe.plain
        from spaceprobe import alone
        from spaceprobe.errors import Error
        from spaceprobe.stages.fold.settings import Settings

        if TYPE_CHECKING:
            from spaceprobe.types_only import Name
        else:
            from spaceprobe.not_types import Name

        def compute():
            from spaceprobe.faces import walk
            from spaceprobe.faces import REGISTRY
    """,
    "plain.py": "",
    "alone.py": "from .relative import x\nfrom . import a",
    "relative.py": "x = 3",
    "types_only.py": "",
    "not_types.py": "Name = str",
    "errors.py": "from spaceprobe.unreached import x",
    "stages/__init__.py": "",
    "stages/fold/__init__.py": "from spaceprobe.unreached import y",
    "stages/fold/settings.py": "from spaceprobe.unreached import z",
    "faces/__init__.py": """
        from spaceprobe.faces.engine import run as walk
        from spaceprobe.faces import entry
        REGISTRY = {"entry": entry}
    """,
    "faces/engine.py": "",
    "faces/entry.py": "",
    "unreached.py": "",
    "whole.py": "from spaceprobe import faces",
    "star.py": "from spaceprobe.faces import *",
}


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "spaceprobe" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path / "spaceprobe"


def names(modules):
    return {module.removeprefix("spaceprobe.") for module in modules}


def test_what_is_imported_counts(package):
    reached = Sources(package).imported_by(["spaceprobe.a"])
    assert names(reached) == {"a", "plain", "alone", "relative", "not_types", "faces.engine"}


# Each of these is an import of its own, in another place where a statement can stand.
PLACES = """
import spaceprobe.a0
try:
    import spaceprobe.a1
except ImportError:
    import spaceprobe.a2
else:
    import spaceprobe.a3
finally:
    import spaceprobe.a4
for x in ():
    import spaceprobe.a5
else:
    import spaceprobe.a6
while False: import spaceprobe.a7
with open("x") as x:
    if x: import spaceprobe.a8
    elif TYPE_CHECKING:
        import spaceprobe.types
        def f(): import spaceprobe.types
    else: import spaceprobe.a9
match x:
    case 0: import spaceprobe.a10
    case _: import spaceprobe.a11
class A:
    @cache
    async def method(self):
        async with x: import spaceprobe.a12
        async for y in x: import spaceprobe.a13
try: x
except* OSError: import spaceprobe.a14
if typing.TYPE_CHECKING: import spaceprobe.types
if not TYPE_CHECKING: import spaceprobe.a15
"""


def test_an_import_counts_wherever_it_stands(tmp_path):
    (tmp_path / "spaceprobe").mkdir()
    for name in ("__init__", "types", *(f"a{number}" for number in range(16))):
        (tmp_path / f"spaceprobe/{name}.py").touch()
    (tmp_path / "spaceprobe/places.py").write_text(PLACES)
    reached = Sources(tmp_path / "spaceprobe").imported_by(["spaceprobe.places"])
    assert names(reached) == {"places", *(f"a{number}" for number in range(16))}


@pytest.mark.parametrize("module", ["whole", "star"])
def test_a_package_used_as_a_whole_counts_with_all_that_it_imports(package, module):
    assert names(Sources(package).imported_by([f"spaceprobe.{module}"])) == {
        module, "faces.engine", "faces.entry"
    }  # fmt: skip


def test_an_entry_of_a_registry_counts_where_it_is_named(package):
    reached = Sources(package).imported_by(["spaceprobe.a", "spaceprobe.faces.entry"])
    assert "spaceprobe.faces.entry" in reached


def test_the_version_is_that_of_the_text_of_the_files(package):
    modules = ["spaceprobe.a", "spaceprobe.plain"]
    before = Sources(package).version(modules)
    assert len(before) == 64
    assert Sources(package).version(modules) == before
    (package / "alone.py").write_text("x = 4")
    assert Sources(package).version(modules) == before
    (package / "plain.py").write_text("# a comment counts: it costs less than to tell it from code\n")
    assert Sources(package).version(modules) != before


def test_a_syntax_error_is_told_with_its_place(package):
    (package / "plain.py").write_text("x = 3\nx = = 4\n")
    with pytest.raises(SpaceprobeError, match=r"plain\.py:2: syntax error \(invalid syntax\); fix it"):
        Sources(package).imported_by(["spaceprobe.a"])


def test_an_edit_is_seen(package):
    sources = Sources(package)
    assert not sources.is_edited()
    (package / "plain.py").write_text("X = 44\n")
    assert sources.is_edited()
    assert sources.is_edited(["spaceprobe.plain"])
    assert not sources.is_edited(["spaceprobe.a"])
    (package / "a.py").unlink()
    assert sources.is_edited(["spaceprobe.a"])


# The package itself.


def modules_of(name):
    stage = run_stage_named(name)
    return versions._SOURCES.imported_by([stage.compute.__module__])


def below(modules, *packages):
    return {module for module in modules for package in packages if f"{module}.".startswith(f"{package}.")}


def test_fold_depends_on_folding_and_the_network_but_not_on_its_training():
    reached = modules_of("fold")
    # Compiled code is not seen by the test below, which runs it.
    kernels = {
        f"spaceprobe.folding.kernels.{file.stem}" for file in (PACKAGE / "folding/kernels").glob("*.py")
    }
    # The null model is a measure of single paths, of which there are none by default.
    others = {f"spaceprobe.folding.kernels.{name}" for name in ("__init__", "shuffles")}
    assert below(reached, "spaceprobe.folding.kernels") == kernels - others
    assert {"spaceprobe.networks.checkpoints", "spaceprobe.stages.fold.computation"} <= {*reached}
    assert not below(reached, "spaceprobe.analysis", "spaceprobe.lmd", "spaceprobe.networks.training")


def test_train_depends_on_training_but_not_on_the_other_stages():
    reached = modules_of("train")
    assert {"spaceprobe.networks.training", "spaceprobe.stages.train.networks"} <= {*reached}
    assert not below(reached, "spaceprobe.folding", "spaceprobe.analysis", "spaceprobe.stages.lmd")


def test_lmd_depends_on_lmd_but_not_on_folding_or_training():
    reached = modules_of("lmd")
    assert {"spaceprobe.lmd.factors", "spaceprobe.stages.lmd.computation"} <= {*reached}
    assert not below(reached, "spaceprobe.folding", "spaceprobe.analysis", "spaceprobe.networks.training")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if isinstance(stage, RunStage)])
def test_no_declaration_counts(stage):
    declared = ("settings", "tables", "parts", "summary", "stages.stage", "spaceprobe.errors", "__init__")
    assert not [name for name in modules_of(stage.name) if name.endswith(declared)]
    assert code_version(stage) == source_version(stage.compute.__module__)


def test_what_the_settings_choose_counts():
    stage = run_stage_named("train")
    chosen = RunStage(**{**vars(stage), "sources": lambda sections: [sections["module"]]})
    assert code_version(chosen) == code_version(stage)  # without settings
    modules = [f"spaceprobe.data.sets.{name}" for name in ("mnist", "swiss_roll")]
    both = [code_version(chosen, {"module": module}) for module in modules]
    assert both == [source_version(stage.compute.__module__, module) for module in modules]
    assert len({*both, code_version(stage)}) == 3


@pytest.mark.parametrize("name", ["train", "fold", "lmd"])
def test_the_chosen_dataset_and_network_count(name):
    (run, *_) = expand(load_study("quickstart"))
    (sections, *_) = run.variants(stage_named(name))
    modules = versions._modules(run_stage_named(name), sections)
    assert {"spaceprobe.data.sets.mnist", "spaceprobe.networks.models.mlp"} <= {*modules}
    assert "spaceprobe.data.sets.swiss_roll" not in versions._SOURCES.imported_by(modules)


def test_a_stage_of_another_package_counts_with_its_own_file():
    def compute():
        from spaceprobe.networks.mlp import mlp  # noqa: F401

    stage = RunStage(**{**vars(run_stage_named("train")), "compute": functools.wraps(compute)(compute)})
    assert code_version(stage) == source_version(__name__)
    assert {__name__, "spaceprobe.networks.mlp"} <= {*versions._SOURCES.imported_by([__name__])}


def python(code, *arguments, timeout=240):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, cwd=PACKAGE.parent, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_versions_need_no_torch_and_little_time():
    out = python("""
        import sys, time
        from spaceprobe.stages import STAGES
        start = time.process_time()
        from spaceprobe.study.code_version import code_version, table_version
        for stage in STAGES:
            if hasattr(stage, "compute"):
                code_version(stage)
        table_version()
        print(time.process_time() - start, "torch" in sys.modules, "numba" in sys.modules)
    """)
    seconds, *heavy = out.split()
    assert heavy == ["False", "False"]
    assert float(seconds) < 1.5  # 0.25 where it was written; room for a slow machine


CLASS_PAIRS = "stages.fold.endpoints.class_pairs"

RUN_AND_TRACE = """
    # Before anything is watched: each call that an import makes would be looked at.
    import numba, pandas, scipy.stats, sklearn.neighbors, torch

    import json, sys, threading
    from pathlib import Path
    import spaceprobe
    from spaceprobe.stages.stage import PartContent, Job
    from spaceprobe.stages import stage_named

    root, folder = Path(spaceprobe.__file__).parent, Path(sys.argv[1])
    seen, ran = set(), {}

    def importing(frame):
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        return frame is not None and frame.f_globals.get("__name__") != "__main__"

    def profile(frame, event, _):
        if event == "call" and frame.f_code not in seen and not importing(frame):
            seen.add(frame.f_code)
            file = Path(frame.f_code.co_filename)
            name = frame.f_code.co_qualname.partition(".")[0]
            if file.is_relative_to(root) and name[0] != "<":  # that of a compiled function has no globals
                words = [root.name, *file.relative_to(root).with_suffix("").parts]
                ran[stage].add((".".join(words).removesuffix(".__init__"), name))

    def write_file(name, data):
        import hashlib
        (folder / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def compute(traced=True, **settings):
        declared = stage_named(stage)
        models = {**stage_named("train").sections, **declared.sections}
        sections = {name: model(**settings.get(name, {})) for name, model in models.items()}
        parts = declared.plan(sections, inputs)
        arguments = {"stage": stage, "run": "r", "folder": folder, "sections": sections, "inputs": inputs}
        job = Job(**arguments, parts=parts, **CODE)
        if traced:
            seen.clear()
            threading.setprofile(profile)
            sys.setprofile(profile)
        contents = [content for _, content in declared.compute(job, lambda _: None, write_file)]
        sys.setprofile(None)
        threading.setprofile(None)
        return contents

    CODE = {"code": "0"} if "code" in Job.__dataclass_fields__ else {}
    run = {"data": {"train_images": 200}, "network": {"architecture": "2x4"}, "training": {"epochs": 1}}
    few = {"pairs": ("1-7",), "per_class": 2, "epoch": "last", "threads": 1}
    stage, inputs, ran["train"] = "train", {}, set()
    inputs = {"train": compute(**run)}
    stage, ran["fold"] = "fold", set()
    for method in ("jvp", "sampled"):
        compute(**run, folding={**few, "method": method})
    # Once to compile, which takes long enough without being watched.
    for traced in (False, True):
        compute(traced, **run, folding={**few, "method": "exact"})
    stage, ran["lmd"] = "lmd", set()
    metrics = ("identity", "data", "laplacian")
    probes = ("functional-rank", "dimension", "retrieval", "semantics", "span", "continuity")
    compute(**run, lmd={"epoch": "last", "sample": 60, "metrics": metrics, "probes": probes})
    # A part of the runs' settings and data that the run above has no use for.
    stage, inputs, run["data"] = "train", {}, {"dataset": "swiss-roll", "points": 40, "random_labels": 0.5}
    run["training"] |= {"optimizer": "sgd", "schedule": "cosine"}
    inputs = {"train": compute(**run)}
    stage = "lmd"
    compute(**run, lmd={"epoch": "last", "sample": 30, "neighbours": 3})
    print(json.dumps({stage: sorted(places) for stage, places in ran.items()}))
"""


def test_all_functions_that_really_run_are_reached(tmp_path):
    """The static reading against the truth: which functions of the package the stages call."""
    out = python(RUN_AND_TRACE, tmp_path)
    ran = json.loads(out.splitlines()[-1])
    for stage, places in ran.items():
        modules = {module for module, _ in places}
        chosen = ("data.sets.mnist", "data.sets.swiss_roll", "networks.models.mlp", CLASS_PAIRS)
        chosen += ("stages.lmd.continuity",) if stage == "lmd" else ()
        start = [f"spaceprobe.stages.{stage}.computation", *(f"spaceprobe.{name}" for name in chosen)]
        missed = modules - {*versions._SOURCES.imported_by(start)}
        assert not [name for name in missed if not versions.DECLARATIONS.fullmatch(name)], stage
        assert len(places) > 20, stage  # else nothing was watched
    assert ["spaceprobe.folding.kernel_walk", "fold_mlp_grid"] in ran["fold"]
