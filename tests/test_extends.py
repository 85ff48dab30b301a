"""Studies built on other studies: how files are laid over one another, and where each error is said to be."""

import os
import re
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spaceprobe.study import grid
from spaceprobe.study.config import dump_study, load_study, loading, section_models
from spaceprobe.study.config.extending import MAX_BASES
from spaceprobe.study.config.finding import MAX_BYTES, shipped_configs
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.grid import expand
from tests.commands import call
from tests.study_stages import STAGES, make_stage

BASE = """\
fit: {epochs: 5, rate: 0.1}
probe: {per_class: 20, pairs: [3-8]}
sweep:
  model.shape: [2x3, 4x5]
  fit.seed: [0, 1]
"""


@pytest.fixture(autouse=True)
def _stages(monkeypatch):
    for module in (grid, loading):
        monkeypatch.setattr(module, "STAGES", STAGES)


@pytest.fixture
def load(tmp_path):
    """Loads the first of some files, which are written by their names."""

    def load(overrides=(), /, **texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load_study(tmp_path / f"{next(iter(texts))}.yaml", overrides)

    return load


def errors_of(load, **texts):
    """Return the lines of the error, without the folder."""
    with pytest.raises(ConfigError, match=r"found|takes") as caught:
        load(**texts)
    assert caught.value.exit_code == 2
    return re.sub(r"/\S*/(?=\w+\.ya?ml)", "", str(caught.value)).split("\n")


# how files are laid over one another


def test_sections_merge_setting_by_setting(load):
    study = load(child="extends: base.yaml\nfit: {epochs: 7}\nmodel: {root: here}\n", base=BASE)
    assert study.name == "child"
    fit, probe = study.sections["fit"], study.sections["probe"]
    assert (fit.epochs, fit.rate, probe.per_class, probe.pairs) == (7, 0.1, 20, ("3-8",))
    assert str(study.sections["model"].root) == "here"
    assert study.axes == {"model.shape": ("2x3", "4x5"), "fit.seed": (0, 1)}


def test_a_list_is_replaced_as_a_whole(load):
    assert load(a="extends: b.yaml\nprobe: {pairs: [1-2]}\n", b=BASE).sections["probe"].pairs == ("1-2",)


@pytest.mark.parametrize("sweep", ["sweep: {fit.seed: [4]}", "sweep:\n  zip: {fit.seed: [4]}"])
def test_a_sweep_replaces_the_whole_sweep(load, sweep):
    assert load(a=f"extends: b.yaml\n{sweep}\n", b=BASE).axes == {"fit.seed": (4,)}


@pytest.mark.parametrize("nothing", ["sweep:", "sweep: {}"])
def test_an_empty_sweep_is_none(load, nothing):
    assert not load(a=f"extends: b.yaml\n{nothing}\n", b=BASE).axes


def test_an_empty_section_changes_nothing(load):
    assert load(a="extends: b.yaml\nfit:\n", b=BASE) == load(a="extends: b.yaml\n", b=BASE)


def test_what_is_zipped_below_stays_zipped(load):
    zipped = "sweep:\n  zip:\n    model.shape: [2x3, 4x5]\n    fit.rate: [0.1, 0.2]\n"
    study = load(a="extends: b.yaml\nfit: {epochs: 2}\n", b=zipped)
    assert study.zipped == ("model.shape", "fit.rate")
    assert len(expand(study)) == 2


@pytest.mark.parametrize("middle", ["fit: {rate: 0.2}\n", "probe: {}\n"])
def test_null_takes_away_what_all_studies_below_set(load, middle):
    study = load(a="extends: b.yaml\nfit: {rate: null}\n", b=f"extends: c.yaml\n{middle}", c=BASE)
    assert (study.sections["fit"].rate, study.sections["fit"].epochs) == (1e-3, 5)


def test_what_is_taken_away_can_be_swept(load):
    study = load(a="extends: b.yaml\nfit: {rate: null}\nsweep: {fit.rate: [0.3, 0.4]}\n", b=BASE)
    assert study.axes == {"fit.rate": (0.3, 0.4)}


def test_a_chain_of_as_many_as_are_allowed(load):
    texts = {f"s{n}": f"extends: s{n + 1}.yaml\nfit: {{epochs: {n + 1}}}\n" for n in range(MAX_BASES)}
    texts[f"s{MAX_BASES}"] = BASE
    study = load(**texts)
    assert (study.sections["fit"].epochs, study.sections["fit"].rate) == (1, 0.1)


VALUES = {
    "epochs": st.integers(1, 100_000),
    "rate": st.floats(1e-6, 10),
    "decay": st.floats(0, 1),
    "shuffle": st.booleans(),
}
LAYER = st.fixed_dictionaries({}, optional=VALUES)


@settings(max_examples=20)
@given(st.lists(LAYER, min_size=1, max_size=4))
def test_a_chain_is_its_settings_one_after_the_other(tmp_path_factory, layers):
    """A literal oracle: dictionaries, the lowest first."""
    folder = tmp_path_factory.mktemp("chain")
    for number, layer in enumerate(layers):
        text = {"fit": layer} | ({"extends": f"{number + 1}.yaml"} if number + 1 < len(layers) else {})
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(text))
    merged = {}
    for layer in reversed(layers):
        merged |= layer
    (folder / "flat.yaml").write_text(yaml.safe_dump({"fit": merged}))
    assert load_study(folder / "0.yaml").sections == load_study(folder / "flat.yaml").sections


def test_the_command_line_comes_last(load):
    study = load(["fit.epochs=9", "fit.seed=3"], a="extends: b.yaml\n", b=BASE)
    assert study.sections["fit"].epochs == 9
    assert study.axes == {"model.shape": ("2x3", "4x5")}


def test_a_file_lies_beside_the_one_that_extends_it(load, tmp_path, monkeypatch):
    """Wherever the user stands, and also where a file of that name lies there."""
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "b.yaml").write_text("extends: ../c.yaml\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "c.yaml").write_text("fit: {epochs: 99}\n")
    assert load(a="extends: low/b.yaml\n", c=BASE).sections["fit"].epochs == 5
    absolute = tmp_path / "c.yaml"
    assert load(a=f"extends: {absolute}\n").sections["fit"].epochs == 5


def test_a_name_is_that_of_a_shipped_study_whatever_lies_beside(load, monkeypatch):
    monkeypatch.undo()
    study = load(quickstart="extends: quickstart\ntraining: {epochs: 2}\n")
    shipped = load_study("quickstart")
    assert study.sections["training"].epochs == 2
    assert (study.axes, study.sections["folding"]) == (shipped.axes, shipped.sections["folding"])


def test_what_is_kept_stands_by_itself(load, tmp_path):
    study = load(a="extends: b.yaml\nfit: {decay: 0.5}\n", b=BASE)
    text = dump_study(study)
    assert "extends" not in text
    for path in tmp_path.iterdir():
        path.unlink()
    assert load(a=text) == study


def test_ranges_and_templates_below(load):
    base = "x-t: &t {epochs: 3}\nfit: {<<: *t}\nsweep: {fit.seed: {from: 2, to: 4}}\n"
    study = load(a="extends: b.yaml\nx-t: &t {rate: 0.5}\nfit: {<<: *t}\n", b=base)
    assert (study.sections["fit"].epochs, study.sections["fit"].rate) == (3, 0.5)
    assert study.axes == {"fit.seed": (2, 3, 4)}


# errors, each with the file and line where the value was written

WRONG = {
    "a wrong value below": (
        {"a": "extends: b.yaml\nfit: {epochs: 3}\n", "b": "fit:\n  epochs: 2\n  rate: fast\n"},
        ["b.yaml:3:9: fit.rate: found 'fast' (text)"],
    ),
    "wrong values in both, the lower first": (
        {"a": "fit: {rate: 0}\nextends: b.yaml\n", "b": "fit: {epochs: no}\n"},
        ["b.yaml:1:15: fit.epochs: found 'no'", "a.yaml:1:13: fit.rate: found 0"],
    ),
    "an unknown setting below": (
        {"a": "extends: b.yaml\n", "b": "fit: {epoch: 3}\n"},
        ["b.yaml:1:7: fit.epoch: found no such setting"],
    ),
    "an unknown section below": ({"a": "extends: b.yaml\n", "b": "fitt: {}\n"}, ["b.yaml:1:1: fitt: fo"]),
    "a wrong item of a sweep below": (
        {"a": "extends: b.yaml\n", "b": "sweep:\n  fit.seed: [0, x]\n"},
        ["b.yaml:2:17: sweep.fit.seed[1]: found 'x'"],
    ),
    "a wrong zip below": (
        {"a": "extends: b.yaml\n", "b": "sweep:\n  zip: {fit.seed: [0, 1], fit.rate: [0.1]}\n"},
        ["b.yaml:2:37: sweep.zip.fit.rate: found 1 value"],
    ),
    "swept, and set below": (
        {"a": "extends: b.yaml\nsweep:\n  fit.epochs: [1, 2]\n", "b": BASE},
        [
            "a.yaml:3:3: sweep.fit.epochs: found swept here and set to one value "
            "in b.yaml:1:7, allowed: one of the two; write `epochs: null` below `fit:` in a.yaml to take"
        ],
    ),
    "set, and swept below": (
        {"a": "extends: b.yaml\nfit:\n  seed: 3\n", "b": BASE},
        [
            "b.yaml:5:3: sweep.fit.seed: found swept here and set to one value"
            " in a.yaml:3:3, allowed: one of the two; remove that, or write in a.yaml a `sweep:` of its own"
        ],
    ),
    "set and swept below": (
        {"a": "extends: b.yaml\n", "b": "fit: {seed: 3}\nsweep: {fit.seed: [1, 2]}\n"},
        ["b.yaml:2:9: sweep.fit.seed: found swept here and set to one value in line 1, allowed"],
    ),
    "values that do not go together": (
        {"a": "extends: b.yaml\nprobe: {num_points: 2000}\n", "b": "probe: {method: exact}\n"},
        ["a.yaml:2:1: probe: an exact probe takes at most 1000 points"],
    ),
    "a null that takes nothing away": (
        {"a": "extends: b.yaml\nfit: {seed: null}\n", "b": "fit: {epochs: 3}\n"},
        ["a.yaml:2:13: fit.seed: found nothing (null)"],
    ),
    "a section that is a number below": (
        {"a": "extends: b.yaml\nfit: {seed: 1}\n", "b": "fit: 3\n"},
        ["b.yaml:1:1: fit: found 3"],
    ),
    "a section that is a number": ({"a": "extends: b.yaml\nfit: 3\n", "b": BASE}, ["a.yaml:2:1: fit: found"]),
    "a list over a sweep": ({"a": "extends: b.yaml\nsweep: [1]\n", "b": BASE}, ["a.yaml:2:1: sweep:"]),
    "a tag below what is replaced": (
        {"a": "extends: b.yaml\nfit: {seed: 1}\n", "b": "fit: {seed: !!int 3}\n"},
        ["b.yaml:1:13: fit.seed: found the tag !!int"],
    ),
    "no YAML below": (
        {"a": "extends: b.yaml\nfit: {seed: x}\n", "b": "fit: [1\n"},
        ["b.yaml:1:6: fit: found a list that is never closed, allowed: [a, b, c]; a.yaml:1:1 extends it"],
    ),
    "an empty file below": ({"a": "extends: b.yaml\n", "b": ""}, ["b.yaml:1:1: found an empty file"]),
    "a tag above a file that is not there": (
        {"a": "extends: b.yaml\nfit: {seed: !!int 3}\n"},
        ["a.yaml:1:10: extends: found 'b.yaml' (text), allowed: a file",
         "a.yaml:2:13: fit.seed: found the t"],
    ),
    "extends twice": (
        {"a": "extends: b.yaml\nextends: b.yaml\n", "b": BASE},
        ["a.yaml:2:1: extends: found a second time, first in line 1"],
    ),
    "itself": ({"a": "extends: a.yaml\n"}, ["a.yaml:1:10: extends: found a circle, a.yaml → a.yaml, al"]),
    "a circle of three": (
        {"a": "extends: b.yaml\n", "b": "extends: ./c.yaml\n", "c": "fit: {}\nextends: b.yaml\n"},
        ["c.yaml:2:10: extends: found a circle, b.yaml → c.yaml → b.yaml, allowed: studies that end"],
    ),
    "too many": (
        {f"s{n}": f"extends: s{n + 1}.yaml\n" for n in range(MAX_BASES + 1)} | {f"s{MAX_BASES + 1}": BASE},
        [f"s{MAX_BASES}.yaml:1:10: extends: found more than {MAX_BASES} studies one below the other"],
    ),
    "a name that is none": (
        {"a": "extends: quikstart\n"},
        ["a.yaml:1:10: extends: found 'quikstart' (text), allowed: a YAML file or one of activations, "],
    ),
    "the name of the file beside": ({"a": "extends: b\n", "b": BASE}, [", did you mean b.yaml"]),
    "nothing": ({"a": "extends:\nfit: {}\n"}, ["a.yaml:1:9: extends: found nothing (null), allowed"]),
    "an empty text": ({"a": "extends: ''\n"}, ["a.yaml:1:10: extends: found '' (text)"]),
    "a number": ({"a": "extends: 3\n"}, ["a.yaml:1:10: extends: found 3"]),
    "a list": ({"a": "extends: [b.yaml]\n", "b": BASE}, ["a.yaml:1:10: extends: found a list of 1"]),
    "a NUL": ({"a": 'extends: "b\\0.yaml"\n'}, ["a.yaml:1:10: extends: found the character U+0000"]),
    "a long name": ({"a": f"extends: {'x' * 5000}\n"}, ["a.yaml:1:10: extends: found 'xxx"]),
    "a long path": ({"a": f"extends: {'x' * 5000}.yaml\n"}, ["a.yaml:1:10: extends: found 'xxx"]),
    "a mistyped key": ({"a": "extend: b.yaml\n"}, [", did you mean extends"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_error_says_where_it_was_written(load, name):
    texts, expected = WRONG[name]
    lines = errors_of(load, **texts)
    assert len(lines) == len(expected), lines
    for line, words in zip(lines, expected, strict=True):
        assert words in line, line
        assert len(line) < 1_000  # the names of all shipped studies among it
        assert re.match(r"\w+\.yaml:\d+:\d+: ", line)


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "dangling", "device", "large", "Latin-1"])
def test_a_base_that_cannot_be_read(load, tmp_path, kind):
    base = tmp_path / "base.yaml"
    match kind:
        case "folder":
            base.mkdir()
        case "pipe":
            os.mkfifo(base)
        case "loop" | "dangling" | "device":
            base.symlink_to({"loop": "base.yaml", "dangling": "nothing", "device": "/dev/zero"}[kind])
        case "large":
            base.write_text("#" * (MAX_BYTES + 1))
        case "Latin-1":
            base.write_bytes(b"fit: {}  # caf\xe9\n")
    (line,) = errors_of(load, child="fit: {}\nextends: base.yaml\n")
    assert re.match(r"child\.yaml:2:10: extends: base\.yaml:1:\d+: found (a|the) .* allowed: ", line)


def test_a_wrong_word_of_the_command_line_is_told_from_files(load):
    with pytest.raises(ConfigError, match="found 'x'") as caught:
        load(["fit.seed=x"], a="extends: b.yaml\n", b="fit: {rate: 0}\n")
    places = [place for place, _ in caught.value.errors]
    assert [place.rank for place in places] == [-1, 1]


def test_only_a_file_extends(load):
    for word in ("extends=b.yaml", "extends.b=1"):
        with pytest.raises(ConfigError, match=f"^--set {re.escape(word)}: found no such se") as caught:
            load([word], a="extends: b.yaml\n", b=BASE)
        assert "did you mean" not in str(caught.value)


def test_no_section_can_be_called_so():
    with pytest.raises(ValueError, match="cannot declare the section extends"):
        section_models([make_stage("fit", {"extends": SimpleNamespace})])


# whole commands


def test_a_change_below_is_seen(tmp_path, monkeypatch):
    """`plan` says what it changes, and what is kept is resolved."""
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    base = "data: {dataset: digits}\ntraining: {epochs: 1}\nlmd: {metrics: [identity], probes: []}\n"
    (tmp_path / "base.yaml").write_text(base)
    text = "extends: base.yaml\nnetwork: {architecture: 2x3}\nstudy: {stages: [train, lmd]}\n"
    (tmp_path / "child.yaml").write_text(text)
    assert call("run", "child.yaml").exit_code == 0
    kept = yaml.safe_load((tmp_path / "results" / "child" / "study.yaml").read_text())
    assert "extends" not in kept
    assert (kept["training"]["epochs"], kept["network"]["architecture"]) == (1, "2x3")
    assert "up to date" in call("plan", "child.yaml").stdout
    (tmp_path / "base.yaml").write_text(base.replace("[identity]", "[identity, data]"))
    assert "lmd.metrics identity → identity,data" in call("plan", "child.yaml").stdout


@pytest.mark.parametrize("name", [name for name in shipped_configs() if name.endswith("-ci")])
def test_a_form_for_ci_extends_its_study(name, monkeypatch):
    """It asks the same of fewer or smaller networks: every axis is the study's, with some of its values."""
    monkeypatch.undo()
    small, full = load_study(name), load_study(name.removesuffix("-ci"))
    assert yaml.safe_load(shipped_configs()[name].read_text())["extends"] == full.name
    assert [*small.axes] == [*full.axes]
    assert all({*values} <= {*full.axes[key]} for key, values in small.axes.items())
    assert len(expand(small)) < len(expand(full))
