"""The version of a stage's code changes with all that it computes by, and with nothing else."""

import functools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spaceprobe.stages import STAGES, stage_named
from spaceprobe.stages.train.settings import snapshot_name
from spaceprobe.study.source import code_version as versions
from spaceprobe.study.source.code_version import STATEMENTS, WHOLE, Sources, code_version

ROOT = Path(versions.__file__).parents[2]

# a small package: f stands in a.py, all else is around it
PACKAGE = {
    "__init__.py": '"""Its docstring."""\n',
    "a.py": """
        from spaceprobe.b import LIMIT, Base, scale as rescale
        from spaceprobe import c
        import spaceprobe.deep.d as deep_d
        import numpy as np

        STEP: int = 2
        UNREAD = 5

        def decorate(function):
            return function

        def f(x, y=STEP):
            from spaceprobe.deep import walk
            return rescale(helper(x)) + c.offset(y) + deep_d.DEPTH + walk(np.sum(x)) + Child().value

        @decorate
        def helper(x: int) -> int:
            def inner(z):
                return z * LIMIT
            return inner(x)

        class Child(Base):
            def read(self):
                return 1

        def unread(x):
            return UNREAD + x
    """,
    "b.py": """
        LIMIT = 3

        def scale(x):
            return x * FACTOR

        FACTOR = 7

        class Base:
            value = 11

        def unread_too():
            return 13
    """,
    "c.py": """
        from spaceprobe import a

        def offset(y):
            return 17 if y else a.f(y)

        def unread():
            return 19
    """,
    "deep/__init__.py": """
        from spaceprobe.deep.engine import walk
        from spaceprobe.deep import engine

        SPARE = 23
    """,
    "deep/engine.py": """
        from .d import DEPTH
        from . import d

        def walk(x):
            return x + DEPTH + d.HEIGHT
    """,
    "deep/d.py": "DEPTH = 29\nHEIGHT = 31\nWIDTH = 37\n",
}


def sources(folder, files):
    root = folder / "spaceprobe"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    return Sources(root)


def version(folder, files, module="spaceprobe.a", name="f"):
    return sources(folder, files).version(module, name)


def names_of(folder, files, module="spaceprobe.a", name="f"):
    found: dict[str, set[str]] = {}
    for home, some in sources(folder, files).reach(module, name):
        found.setdefault(home, set()).add(some)
    return found


def edited(name, old, new):
    text = textwrap.dedent(PACKAGE[name])
    assert text.count(old) == 1, (name, old)
    return {**PACKAGE, name: text.replace(old, new)}


def test_the_names_that_count_are_those_that_are_read(tmp_path):
    assert names_of(tmp_path, PACKAGE) == {
        "spaceprobe.a": {
            *("f", "STEP", "rescale", "helper", "decorate", "LIMIT", "c", "deep_d", "np", "Child", "Base"),
        },
        "spaceprobe.b": {"scale", "FACTOR", "LIMIT", "Base"},
        "spaceprobe.c": {"offset", "a"},
        "spaceprobe.deep": {"walk"},
        "spaceprobe.deep.engine": {"walk", "DEPTH", "d"},
        "spaceprobe.deep.d": {"DEPTH", "HEIGHT"},
    }


COUNTS = {
    "its own code": ("a.py", "helper(x)) +", "helper(x)) -"),
    "the value of a default": ("a.py", "STEP: int = 2", "STEP: int = 4"),
    "which default": ("a.py", "y=STEP", "y=3"),
    "a decorator": ("a.py", "    return function", "    return 41"),
    "which decorator": ("a.py", "@decorate\n", ""),
    "the annotation of a decorated function": ("a.py", "helper(x: int)", "helper(x: str)"),
    "a function in a function": ("a.py", "return z * LIMIT", "return z + LIMIT"),
    "a method of a class": ("a.py", "return 1", "return 43"),
    "a base class": ("b.py", "value = 11", "value = 43"),
    "a constant elsewhere": ("b.py", "LIMIT = 3", "LIMIT = 43"),
    "a number's type": ("b.py", "LIMIT = 3", "LIMIT = 3.0"),
    "what a constant elsewhere is used by": ("b.py", "FACTOR = 7", "FACTOR = 43"),
    "by an alias": ("b.py", "return x * FACTOR", "return x + FACTOR"),
    "a module's attribute, in a circle": ("c.py", "return 17", "return 43"),
    "by a re-export of a package": ("deep/engine.py", "return x + DEPTH", "return x - DEPTH"),
    "by a module's alias and a relative import": ("deep/d.py", "DEPTH = 29", "DEPTH = 43"),
    "by a relative import of a module": ("deep/d.py", "HEIGHT = 31", "HEIGHT = 43"),
    "another import of a foreign name": ("a.py", "import numpy as np", "import torch as np"),
    "a second definition of a name": ("b.py", "FACTOR = 7", "FACTOR = 7\nFACTOR = 43"),
    "an augmented assignment": ("b.py", "FACTOR = 7", "FACTOR = 7\nFACTOR += 43"),
    "an assignment to an item": ("b.py", "FACTOR = 7", "FACTOR = 7\nvars()['LIMIT'] = 43"),
    "a call": ("b.py", "FACTOR = 7", "FACTOR = 7\nprint(unread_too())"),
    "a loop": ("b.py", "FACTOR = 7", "FACTOR = 7\nfor FACTOR in range(3):\n    pass"),
    "an if": ("b.py", "FACTOR = 7", "if LIMIT:\n    FACTOR = 7\nelse:\n    FACTOR = 43"),
    "a statement of the package": ("__init__.py", '."""\n', '."""\nprint(43)\n'),
}

COUNTS_NOT = {
    "a comment": ("a.py", "STEP: int = 2", "STEP: int = 2  # chosen"),
    "a docstring": ("b.py", "    return x * FACTOR", '    """Scales."""\n    return x * FACTOR'),
    "a module's docstring": ("__init__.py", "Its docstring", "Another"),
    "a class's docstring": ("b.py", "    value = 11", '    """Base."""\n    value = 11'),
    "a text below a constant": ("b.py", "FACTOR = 7", 'FACTOR = 7\n"""Chosen."""'),
    "blank lines and brackets": ("b.py", "return x * FACTOR", "return (\n        x\n\n        * FACTOR)"),
    "the annotation of a constant": ("a.py", "STEP: int = 2", "STEP: float = 2"),
    "no annotation of a constant": ("a.py", "STEP: int = 2", "STEP = 2"),
    "the annotation of an undecorated function": ("b.py", "def scale(x)", "def scale(x: unread_too) -> int"),
    "a local annotation": ("b.py", "    return x * FACTOR", "    y: unread_too\n    return x * FACTOR"),
    "a constant that is not read": ("a.py", "UNREAD = 5", "UNREAD = 43"),
    "a function that is not called": ("a.py", "return UNREAD + x", "return UNREAD - x"),
    "another one elsewhere": ("b.py", "return 13", "return 43"),
    "one of a module used by attribute": ("c.py", "return 19", "return 43"),
    "a constant beside one that counts": ("deep/d.py", "WIDTH = 37", "WIDTH = 43"),
    "a constant of a re-exporting package": ("deep/__init__.py", "SPARE = 23", "SPARE = 43"),
    "an import that is not read": ("b.py", "LIMIT = 3", "import json\nLIMIT = 3"),
    "the order of definitions": ("deep/d.py", "DEPTH = 29\nHEIGHT = 31", "HEIGHT = 31\nDEPTH = 29"),
    "an import for types only": (
        *("b.py", "LIMIT = 3"),
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from spaceprobe.c import unread\nLIMIT = 3",
    ),
}


@pytest.mark.parametrize("edit", COUNTS.values(), ids=COUNTS.keys())
def test_a_change_that_counts(tmp_path, edit):
    assert version(tmp_path / "old", PACKAGE) != version(tmp_path / "new", edited(*edit))


@pytest.mark.parametrize("edit", COUNTS_NOT.values(), ids=COUNTS_NOT.keys())
def test_a_change_that_does_not_count(tmp_path, edit):
    assert version(tmp_path / "old", PACKAGE) == version(tmp_path / "new", edited(*edit))


def test_every_changed_number_of_a_definition_is_seen_exactly_where_it_is_reached(tmp_path):
    """Each number of the package is a witness of one definition: changing it shows whether that counts."""
    counting = set()
    for name, text in PACKAGE.items():
        for number in (2, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
            if f" {number}\n" in textwrap.dedent(text):
                new = version(tmp_path / f"{number}", edited(name, f" {number}\n", f" {number + 100}\n"))
                if new != version(tmp_path / "old", PACKAGE):
                    counting.add(number)
    assert counting == {2, 7, 11, 29, 31}  # 17 stands before an «if»


def one_file(text, **others):
    files = {"__init__.py": "", "study/__init__.py": "", "a.py": text}
    return files | {name.replace("__", "/") + ".py": other for name, other in others.items()}


def test_a_module_used_as_a_value_counts_whole(tmp_path):
    files = one_file("from spaceprobe import b\ndef f(): return getattr(b, 'x')", b="x = 3\ny = 5\n")
    assert names_of(tmp_path, files)["spaceprobe.b"] == {WHOLE, "x", "y"}


def test_a_module_imported_by_its_full_name_is_followed_attribute_by_attribute(tmp_path):
    files = one_file("import spaceprobe.b\ndef f(): return spaceprobe.b.x", b="x = 3\ny = 5\n")
    assert names_of(tmp_path, files) == {"spaceprobe.a": {"f", "spaceprobe"}, "spaceprobe.b": {"x"}}


def test_a_function_of_a_function_is_versioned_by_the_outer_one(tmp_path):
    files = one_file("def make():\n    def f(): return b()\n    return f\ndef b(): return 3\nf = make()\n")
    assert names_of(tmp_path, files) == {"spaceprobe.a": {"f", "make", "b"}}


def test_imports_in_a_try_and_definitions_in_an_if_are_followed(tmp_path):
    text = """
        try:
            from spaceprobe.b import x
        except ImportError:
            x = None
        if x:
            from spaceprobe import c as chosen
            def g(): return 3
        else:
            def g(): return 5
        def f(): return g() + x + chosen.y
    """
    files = one_file(text, b="x = 3\nz = 5\n", c="y = 3\nz = 5\n", d="from spaceprobe.a import g as f")
    found = names_of(tmp_path, files)
    assert found == {
        "spaceprobe.a": {"f", "g", "x", "chosen", STATEMENTS},
        "spaceprobe.b": {"x"},
        "spaceprobe.c": {"y"},
    }
    changed = {**files, "a.py": text.replace("return 5", "return 7")}
    assert version(tmp_path / "new", changed) != version(tmp_path, files)
    assert names_of(tmp_path, files, "spaceprobe.d")["spaceprobe.a"] >= {"g", STATEMENTS}


def test_the_else_of_type_checking_is_what_runs(tmp_path):
    text = """
        import typing
        if typing.TYPE_CHECKING:
            from spaceprobe.b import x
        else:
            x = 3
        def f():
            if typing.TYPE_CHECKING:
                return y
            return x
        y = 5
    """
    assert names_of(tmp_path, one_file(text, b="x = 3")) == {"spaceprobe.a": {"f", "x"}}
    assert version(tmp_path, one_file(text)) != version(tmp_path, one_file(text.replace("x = 3", "x = 5")))


def test_several_names_of_one_assignment(tmp_path):
    files = one_file("first, (second, *third) = g()\ndef g(): return 3\ndef f(): return third\nspare = 5")
    assert names_of(tmp_path, files) == {"spaceprobe.a": {"f", "first", "second", "third", "g"}}


def test_two_modules_that_import_each_other(tmp_path):
    circle = one_file(
        "from spaceprobe.b import g\ndef f(n): return g(n - 1) if n else 3\n",
        b="from spaceprobe.a import f\ndef g(n): return f(n - 1) if n else 5\n",
    )
    assert names_of(tmp_path, circle) == {"spaceprobe.a": {"f", "g"}, "spaceprobe.b": {"g", "f"}}


def test_the_text_of_a_field_counts_where_classes_are_made_from_fields(tmp_path):
    text = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    x: int\n    y: Name = 3\n"
    text += "Name = int\ndef f(): return Pair(1)\n"
    before = version(tmp_path, one_file(text))
    assert before != version(tmp_path, one_file(text.replace("x: int", "z: int")))
    assert before != version(tmp_path, one_file(text.replace("Name = int", "Name = float")))
    as_text = one_file(text.replace("y: Name", "y: 'Name'"))
    assert "Name" not in names_of(tmp_path, as_text)["spaceprobe.a"]


SETTINGS = """
    from typing import Annotated, ClassVar
    from spaceprobe.stages.stage import Settings
    from spaceprobe.base import Common

    def check(value): return value

    class Chosen(Common):
        rate: Annotated[float, check] = 3
        limit: ClassVar[int] = 5
        _cache: int = 7
        model_config = {"extra": 11}

        @field_validator("rate")
        def _positive(cls, value):
            return value + 13

        @property
        def half(self):
            return self.rate / 2

    def f(settings: Chosen): return Chosen.half
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("rate: Annotated[float, check] = 3", "rate: Annotated[float, check] = 43", False),
        ("rate: Annotated[float, check] = 3", "rate: int = 3\n        more: str = ''", False),
        ("return value\n", "return -value\n", False),
        ("limit: ClassVar[int] = 5", "limit: ClassVar[int] = 43", True),
        ("_cache: int = 7", "_cache: int = 43", True),
        ('"extra": 11', '"extra": 43', True),
        ("value + 13", "value + 43", True),
        ("self.rate / 2", "self.rate / 43", True),
    ],
)
def test_of_a_section_all_but_the_fields_counts(tmp_path, old, new, counts):
    base = "from spaceprobe.stages import stage\nclass Common(stage.Settings):\n    common: int = 3\n"
    assert SETTINGS.count(old) == 1
    before = version(tmp_path / "old", one_file(SETTINGS, base=base, study__stage=""))
    after = version(tmp_path / "new", one_file(SETTINGS.replace(old, new), base=base, study__stage=""))
    assert (before != after) is counts


def test_fields_of_another_class_count(tmp_path):
    other = "class Common:\n    common: int = 3\n"
    before = version(tmp_path / "old", one_file(SETTINGS, base=other))
    after = version(tmp_path / "new", one_file(SETTINGS.replace("] = 3", "] = 43"), base=other))
    assert before != after


def test_declarations_do_not_count(tmp_path):
    text = "from spaceprobe.stages.stage import Content\nfrom spaceprobe import errors\n"
    text += "def f(): raise errors.SettingsError(Content)\n"
    declared = {"study__stage": "from spaceprobe.b import x\nclass Content: y = x\n", "errors": "z = 3\n"}
    found = names_of(tmp_path, one_file(text, b="x = 3\n", **declared))
    assert found == {"spaceprobe.a": {"f", "Content", "errors"}}


def test_a_star_import_is_refused(tmp_path):
    files = one_file("X = 3\nfrom spaceprobe.b import *\ndef f(): return x\n", b="x = 3\n")
    with pytest.raises(
        ValueError, match=r"a\.py:2: a star import from spaceprobe\.b hides .* import by name"
    ):
        version(tmp_path, files)


def test_a_name_that_is_not_written_where_it_is_read_from_is_refused(tmp_path):
    files = one_file("from spaceprobe import lazy\ndef f(): return lazy\n")
    files["__init__.py"] = "def __getattr__(name): return 3\n"
    with pytest.raises(ValueError, match=r"spaceprobe\.a reads spaceprobe\.lazy, which .* does not define"):
        version(tmp_path, files)
    hidden = one_file("from spaceprobe import b\ndef f(x):\n    b = x\n    return b.y\n", b="")
    with pytest.raises(ValueError, match="rename the variable that has the name of a module there"):
        version(tmp_path, hidden)
    assert version(tmp_path, one_file("from spaceprobe import b\ndef f(): return b.__name__", b=""))


def test_a_name_that_no_file_defines_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.py defines no g at its top level"):
        version(tmp_path, one_file("def f(): return 3"), name="g")
    with pytest.raises(ValueError, match=r"no module spaceprobe\.z below"):
        version(tmp_path, one_file("def f(): return 3"), module="spaceprobe.z")


def made_up(x, scale=3):
    return snapshot_name(helps(x) * scale)


def helps(x):
    return x


@functools.lru_cache
def cached(x):
    return helps(x)


class Callable:
    def __call__(self):
        return 3


def reached(function):
    """Returns what counts for the version of a function: by module, the names."""
    names = {}
    for module, name in versions._sources().reach(*versions._checked(function)):
        names.setdefault(module, set()).add(name)
    return names


def test_a_function_of_ones_own_counts_with_its_module_and_what_it_takes_from_the_package():
    found = reached(made_up)
    assert found == {
        __name__: {"made_up", "helps", "snapshot_name"},
        "spaceprobe.stages.train.settings": {"snapshot_name"},
    }
    assert reached(cached) == {__name__: {"cached", "helps", "functools"}}
    assert code_version(cached) == code_version(cached) != code_version(helps)
    assert len(code_version(cached)) == 64


def test_two_files_of_one_module_name_are_told_apart(tmp_path):
    everything = sources(tmp_path, PACKAGE)
    digests = []
    for value in (3, 5, 3):
        file = tmp_path / f"{len(digests)}.py"
        file.write_text(f"from spaceprobe.b import scale\ndef f(): return scale({value})\n")
        digests.append(everything.version("own", "f", file))
    assert digests[0] == digests[2] != digests[1]
    assert ("spaceprobe.b", "FACTOR") in everything.reach("own", "f", file)


def test_what_has_no_code_to_read_is_refused():
    scope: dict = {"__name__": "nowhere"}
    exec("def g(): return 3", scope)
    with pytest.raises(ValueError, match=r"<lambda> in .*test_code_version is a lambda: the code that"):
        code_version(lambda: 3)
    with pytest.raises(ValueError, match=r"functools\.partial\(.* is no plain function"):
        code_version(functools.partial(made_up, 3))
    for other in (Callable(), Callable, len):
        with pytest.raises(ValueError, match="is no plain function, so its code has no version"):
            code_version(other)
    with pytest.raises(ValueError, match="g in nowhere has no source file"):
        code_version(scope["g"])


# The package itself.


def modules_of(name):
    return reached(stage_named(name).compute)


def below(found, *packages):
    return {module for module in found for package in packages if f"{module}.".startswith(f"{package}.")}


def test_fold_depends_on_folding_and_the_network_but_not_on_its_training():
    found = modules_of("fold")
    kernels = {f"spaceprobe.folding.kernels.{file.stem}" for file in (ROOT / "folding/kernels").glob("*.py")}
    # compiled code is not seen by the test that runs it, hence by name; the package has no code of its own
    assert kernels - {"spaceprobe.folding.kernels.__init__"} == below(found, "spaceprobe.folding.kernels")
    assert {"walk", "_sweep"} <= found["spaceprobe.folding.kernels.sweep"]
    assert {"walk_rows", "_build"} <= found["spaceprobe.folding.kernels.entry"]
    assert "walk_regions" in found["spaceprobe.folding.jvp_walk"]
    assert "class_members" in found["spaceprobe.data.endpoints"]
    assert "mlp" in found["spaceprobe.networks.mlp"]
    assert not below(found, "spaceprobe.analysis", "spaceprobe.lmd", "spaceprobe.networks.training")


def test_train_depends_on_training_but_not_on_the_probes():
    found = modules_of("train")
    assert {"train", "Recipe"} <= found["spaceprobe.networks.training"]
    assert {"load_data", "build_network"} <= found["spaceprobe.stages.train.networks"]
    assert not below(found, "spaceprobe.folding", "spaceprobe.analysis", "spaceprobe.lmd.metrics")


def test_lmd_depends_on_lmd_but_not_on_folding_or_training():
    found = modules_of("lmd")
    assert {"decompose", "Factors"} <= found["spaceprobe.lmd.factors"]
    assert not below(found, "spaceprobe.folding", "spaceprobe.analysis", "spaceprobe.networks.training")


def test_no_stage_counts_whole_or_reads_its_own_declaration():
    """Else a text for ``--help`` would redo its results."""
    for stage in STAGES:
        function = getattr(stage, "compute", None) or stage.reduce
        found = reached(function)
        assert not [module for module, names in found.items() if WHOLE in names], stage.name
        assert not [module for module, names in found.items() if "STAGE" in names], stage.name


def python(code, *arguments, timeout=240):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, cwd=ROOT.parent, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_versions_need_no_torch_and_little_time():
    out = python("""
        import sys, time
        from spaceprobe.study.source.code_version import code_version
        from spaceprobe.stages import STAGES
        start = time.process_time()
        for stage in STAGES:
            code_version(getattr(stage, "compute", None) or stage.reduce)
        print(time.process_time() - start, "torch" in sys.modules, "numba" in sys.modules)
    """)
    seconds, *heavy = out.split()
    assert heavy == ["False", "False"]
    assert float(seconds) < 1.5  # 0.25 where it was written; room for a slow machine


RUN_AND_TRACE = """
    import json, sys, threading
    from pathlib import Path
    import spaceprobe
    from spaceprobe.stages.stage import Content, Job
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
    probes = ("functional-rank", "dimension", "retrieval", "semantics")
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
    for stage, places in json.loads(out.splitlines()[-1]).items():
        found = modules_of(stage)
        missed = [
            f"{module}.{name}"
            for module, name in places
            if name not in found.get(module, ()) and module not in versions.DECLARATIONS
        ]
        assert not missed, stage
        assert len(places) > 20, stage  # else nothing was watched
    assert ["spaceprobe.folding.kernel_walk", "fold_grid"] in json.loads(out.splitlines()[-1])["fold"]
