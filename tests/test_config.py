"""Studies that load: scalars, the command line, finding files, and the way back to YAML."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages import STAGES as ALL
from spaceprobe.study.config import dump_study, load_study, loading, section_models
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.explain import allowed
from spaceprobe.study.config.finding import find_config, shipped_configs, whole_studies
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.config.scalars import resolve_scalar
from tests.study_stages import FIT, PROBE, STAGES, ReportSettings, make_stage


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a study from its text and words of the command line."""

    def load(text="{}", overrides=(), flags=None, stages=STAGES):
        path = tmp_path / "s.yaml"
        path.write_text(text)
        monkeypatch.setattr(loading, "STAGES", stages)
        return load_study(path, overrides, flags)

    return load


# --- scalars -----------------------------------------------------------------------------------

SCALARS = {
    "1": 1, "-1": -1, "+1": 1, "010": 10, "0o17": 15, "0x1F": 31, "0b1": "0b1", "1_000": "1_000",
    "1e-3": 0.001, "1e5": 1e5, "1.": 1.0, ".5": 0.5, "-1.5E+2": -150.0, "1.5.2": "1.5.2", "e3": "e3",
    ".inf": math.inf, "-.INF": -math.inf, "+.Inf": math.inf, "inf": "inf", "nan": "nan",
    "true": True, "False": False, "TRUE": True, "tRUE": "tRUE",
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "N": "N",
    "null": None, "~": None, "": None, "nULL": "nULL", "None": "None",
    "12:30": "12:30", "1:30:00": "1:30:00", "2024-01-01": "2024-01-01", "3-8": "3-8", "2x30": "2x30",
    "=": "=", "<<": "<<", "0o8": "0o8", "0x": "0x", "-": "-", "١": "١", "Ⅷ": "Ⅷ",
}  # fmt: skip


@pytest.mark.parametrize(("word", "meaning"), SCALARS.items())
def test_plain_scalars_mean_what_yaml_1_2_says(word, meaning):
    found = resolve_scalar(word)
    assert (type(found), found) == (type(meaning), meaning)


def test_nan_and_quoted_scalars():
    assert math.isnan(resolve_scalar(".nan"))
    document = Document("s: {a: '1', b: \"no\", d: 1e-3}\nt:\n  c: |\n    1\n", "f", [], ["s", "t"])
    assert document.sections == {"s": {"a": "1", "b": "no", "d": 0.001}, "t": {"c": "1\n"}}


def test_integers_beyond_what_a_float_holds():
    found = [
        resolve_scalar(text) for text in ("1" + "0" * 299, "1" + "0" * 300, "9" * 6000, "0x" + "f" * 6000)
    ]
    assert found == [10**299, 1e300, math.inf, math.inf]
    assert [type(value) for value in found] == [int, float, float, float]


def test_every_key_and_value_has_its_location():
    document = Document("a:\n  b: [x, 'y']\nc:\n", "f", [], ["a", "c"])
    keys = {path: (location.line, location.column) for path, location in document.keys.items()}
    assert keys == {("a",): (1, 1), ("a", "b"): (2, 3), ("c",): (3, 1)}
    places = {path: (location.line, location.column) for path, location in document.places.items()}
    assert places == {
        (): (1, 1), ("a",): (2, 3), ("a", "b"): (2, 6), ("a", "b", 0): (2, 7), ("a", "b", 1): (2, 10),
        ("c",): (3, 3),
    }  # fmt: skip
    assert document.problems == []


# --- files -------------------------------------------------------------------------------------


def test_a_study_with_everything(load):
    study = load(
        "model: {shape: 3x20}\nfit:\n  rate: 1\nprobe: {epoch: 0, pairs: 3-8, widths: [9]}\nother:\n"
        "sweep:\n  probe.num_points: [10, 20]\n  fit.seed: [4, 2]\n"
    )
    assert study.name == "s"
    assert list(study.axes.items()) == [("probe.num_points", (10, 20)), ("fit.seed", (4, 2))]
    assert study.sections["model"].shape == "3x20"
    assert study.sections["fit"].rate == 1.0
    assert study.sections["fit"].seed == 4  # the first value of the axis
    assert study.sections["probe"].epoch == "0"  # a number in the file, a word in the model
    assert study.sections["probe"].pairs == ("3-8",)
    assert study.sections["probe"].widths == (9,)
    assert study.sections["report"].digits == 3


def test_an_empty_mapping_is_a_study_of_defaults(load):
    study = load("{}")
    assert study.axes == {}
    assert study.sections["fit"].identity() == {}


def test_what_goes_together_only_in_the_sweep(load):
    """Settings are judged at the points of the sweep, not beside the default of a swept one."""
    study = load("probe: {num_points: 5000}\nsweep: {probe.method: [sampled]}\n")
    assert study.sections["probe"].method == "sampled"


def test_a_required_setting(load):
    class Needy(ReportSettings):
        wanted: int

    stages = [make_stage("needy", {"needy": Needy})]
    with pytest.raises(ConfigError, match=r"s\.yaml:2:1: needy\.wanted: found no value, allowed: an"):
        load("\nneedy: {}\n", stages=stages)
    with pytest.raises(ConfigError, match=r"s\.yaml:1:1: needy\.wanted: found no value"):
        load("{}", stages=stages)
    # a refused value is reported once, for what it is
    for text in ("needy: {wanted: *a}", "needy: 3", "sweep: {needy.wanted: [*a]}"):
        with pytest.raises(ConfigError, match="found") as caught:
            load(text, stages=stages)
        assert len(caught.value.errors) == 1
    study = load("sweep: {needy.wanted: [1, 2]}", stages=stages)
    assert study.axes == {"needy.wanted": (1, 2)}


def test_sections_that_stages_share():
    again = make_stage("again", {"fit": FIT.sections["fit"]})
    assert list(section_models([FIT, again])) == ["model", "fit", "study", "slurm"]
    with pytest.raises(ValueError, match="stage clash cannot declare the section fit"):
        section_models([FIT, make_stage("clash", {"fit": ReportSettings})])
    with pytest.raises(ValueError, match="cannot declare the section sweep"):
        section_models([make_stage("clash", {"sweep": ReportSettings})])
    with pytest.raises(ValueError, match="cannot declare the section study"):
        section_models([make_stage("clash", {"study": ReportSettings})])
    with pytest.raises(ValueError, match="cannot declare the section slurm"):
        section_models([make_stage("clash", {"slurm": ReportSettings})])


def test_stages_of_a_study(load):
    assert load("{}", stages=ALL).stages == ("train", "fold", "lmd", "summarize")
    listed = load("study: {stages: [train, fold, complexity, gap]}", stages=ALL)
    assert listed.stages == ("train", "fold", "complexity", "gap")
    study = load("study: {stages: [lmd, train, lmd]}", stages=ALL)
    assert study.stages == ("train", "lmd")
    assert load(dump_study(study), stages=ALL).stages == study.stages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: {stages: [lmd]}", "1:17: study.stages: .*lmd reads what train writes: list it as well"),
        ("study: {stages: [train, gap]}", "gap reads what fold, complexity writes: list it as well"),
        ("study: {stages: []}", "1:17: study.stages: .*a list of at least 1"),
        (
            "study: {stages: [train, trian]}",
            "1:25: study.stages.*train, fold, lmd, complexity, summarize or gap",
        ),
        ("sweep: {study.stages: [[train]]}", "belongs to the study as a whole"),
    ],
)
def test_stages_that_do_not_work(load, text, message):
    with pytest.raises(ConfigError, match=message):
        load(text, stages=ALL)


def test_what_a_setting_may_be():
    fields = {f"{s}.{k}": allowed(m, (k,)) for s, m in section_models(STAGES).items()
              for k in m.model_fields}  # fmt: skip
    assert fields["model.shape"] == "text (layers x units)"
    assert fields["model.root"] == "a path, or null (a folder of images)"
    assert fields["fit.epochs"] == "an integer from 1 to 100000"
    assert fields["fit.rate"] == "a number above 0 and up to 10"
    assert fields["fit.shuffle"] == "true or false"
    assert fields["probe.epoch"] == "0, last or both"
    assert fields["probe.per_class"] == "an integer from 1 to 10000, or all"


# --- ranges, anchors and merge keys ------------------------------------------------------------


def test_ranges_of_whole_numbers(load):
    study = load(
        "probe: {widths: {from: 1, to: 3}}\n"
        "sweep:\n  fit.seed: {from: 0, to: 4}\n  fit.rate: {from: 1, to: 7, step: 3}\n"
        "  fit.epochs: {from: 9, to: 9}\n"
    )
    assert study.sections["probe"].widths == (1, 2, 3)
    assert study.axes == {"fit.seed": (0, 1, 2, 3, 4), "fit.rate": (1.0, 4.0, 7.0), "fit.epochs": (9,)}
    assert load(dump_study(study)) == study


def test_ranges_in_an_axis_of_lists_and_on_the_command_line(load):
    study = load(
        "sweep: {probe.widths: [{from: 1, to: 3}, [9]]}\n",
        ["sweep.fit.seed={from: -0, to: 4, step: 2}"],
    )
    assert study.axes == {"probe.widths": ([1, 2, 3], [9]), "fit.seed": (0, 2, 4)}
    assert load("{}", ["probe.widths={from: 2, to: 4}"]).sections["probe"].widths == (2, 3, 4)


def test_anchors_and_aliases(load):
    study = load(
        "fit: {seed: &s 3, epochs: *s, rate: &r 0.5, decay: *r}\n"
        "probe: {widths: &w [1, *s]}\n"
        "sweep: {probe.num_points: &n [10, 20], probe.per_class: *n, model.shape: [&small 2x3, 4x5]}\n"
    )
    fit = study.sections["fit"]
    assert (fit.seed, fit.epochs, fit.rate, fit.decay) == (3, 3, 0.5, 0.5)
    assert study.sections["probe"].widths == (1, 3)
    assert study.axes["probe.num_points"] == study.axes["probe.per_class"] == (10, 20)


def test_an_anchor_set_again_and_an_alias_as_a_key(load):
    study = load("x-a: &a 1\nx-b: &a 2\nx-k: &k epochs\nfit: {seed: *a, *k : 7}\n")
    assert (study.sections["fit"].seed, study.sections["fit"].epochs) == (2, 7)


def test_merge_keys_and_templates(load):
    study = load(
        "x-base: &base {seed: 1, epochs: 2, rate: 0.25}\n"
        "x-other: &other {seed: 5, decay: 0.5}\n"
        "x-unused: [anything, {goes: here}]\n"
        "x-seeds: &seeds {from: 0, to: 2}\n"
        "fit:\n  epochs: 9\n  <<: [*base, *other]\n"
        "sweep: {<<: {probe.per_class: *seeds, probe.widths: [[1], [2]]}, probe.per_class: [1, 2]}\n"
    )
    fit = study.sections["fit"]
    # an own key wins wherever it stands, then the first of the merged mappings
    assert (fit.epochs, fit.seed, fit.rate, fit.decay) == (9, 1, 0.25, 0.5)
    assert study.axes == {"probe.per_class": (1, 2), "probe.widths": ([1], [2])}


def test_merges_within_merges_and_of_whole_sections(load):
    study = load(
        "x-a: &a {seed: 1, epochs: 2}\nx-b: &b {<<: *a, seed: 3}\n"
        "x-all: &all {fit: {<<: *b, rate: 1}, probe: {num_points: 50}}\n"
        "<<: *all\nprobe: {per_class: 4}\n"
    )
    fit, probe = study.sections["fit"], study.sections["probe"]
    assert (fit.seed, fit.epochs, fit.rate) == (3, 2, 1.0)
    assert (probe.num_points, probe.per_class) == (100, 4)  # the own section replaces the merged one


def test_names_that_people_use(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "lr: 0.1\ntraining: {lr: 0.1, batch-size: 3, n_epochs: 2}\n"
        "network: {hidden_layers: 2}\nsweep: {lr: [1]}\n"
    )
    with pytest.raises(ConfigError, match="found") as caught:
        load_study(path, ["training.LR=3", "lr=3"])
    expected = [
        "1:1: lr: found a setting outside its section, allowed: `learning_rate:` indented below `training:`",
        "2:12: training.lr: .*, did you mean training.learning_rate",
        "2:21: training.batch-size: .*, did you mean batch_size",
        "2:36: training.n_epochs: .*, did you mean epochs",
        "3:11: network.hidden_layers: .*, did you mean network.architecture",
        "4:9: sweep.lr: .*, did you mean training.learning_rate",
        "--set training.LR=3: found no such setting, .*, did you mean training.learning_rate",
        "--set lr=3: found no such setting, allowed: a dotted key such as training.learning_rate",
    ]
    lines = str(caught.value).split("\n")
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(f"({re.escape(str(path))}:)?{pattern}", line), line


def test_the_sign_of_the_paper(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("sweep: {network.architecture: [2×30, 3 × 20, 30-30-30-30]}\n", encoding="utf-8")
    assert load_study(path).axes == {"network.architecture": ("2x30", "3x20", "4x30")}
    assert load_study(path, ["network.architecture=2×30"]).sections["network"].architecture == "2x30"


def test_a_hint_for_the_command_line_stays_there(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("folding: {pairs: 3-8x}\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:1:18: folding\.pairs: '3-8x' is not a class") as caught:
        load_study(path)
    assert str(caught.value).endswith("or all")
    flags = {"folding.pairs": ("--pairs", "quickstart")}
    with pytest.raises(ConfigError, match=r"or all; a study stands before it: spaceprobe fold STUDY --pairs"):
        load_study("quickstart", (), flags)


# --- the command line --------------------------------------------------------------------------


def test_set_goes_through_the_same_door(load):
    study = load(
        "fit: {epochs: 3}\nsweep: {fit.seed: [1, 2]}\n",
        [
            "fit.epochs=5",
            " fit.rate = 1e-2 ",
            "fit.epochs=6",
            "fit.seed=7",
            "model.root=C:\\x: #y",
            "probe.pairs=3-8,8-3",
            "probe.epoch=0",
            "probe.widths=[3, 4]",
            "model.shape='4x15'",
        ],
    )
    assert study.sections["fit"].epochs == 6  # the last word wins
    assert study.sections["fit"].rate == 0.01
    assert study.sections["fit"].seed == 7
    assert study.axes == {}  # a value replaces an axis
    assert study.sections["model"].root == Path("C:\\x: #y")
    assert study.sections["probe"].pairs == ("3-8", "8-3")
    assert study.sections["probe"].epoch == "0"
    assert study.sections["probe"].widths == (3, 4)
    assert study.sections["model"].shape == "4x15"


def test_set_makes_axes(load):
    study = load(
        "fit: {epochs: 3, seed: 5}\nsweep: {fit.decay: [0, 1], model.shape: [2x3]}\n",
        ["sweep.fit.epochs=[1, 2]", "sweep.fit.decay=[0.5]", "fit.seed=1", "sweep.fit.seed=[8,9]"],
    )
    assert list(study.axes.items()) == [
        ("fit.decay", (0.5,)),  # in its old place
        ("model.shape", ("2x3",)),
        ("fit.epochs", (1, 2)),
        ("fit.seed", (8, 9)),
    ]


WRONG_WORDS = {
    "fit.epochs=x": "found 'x' (text), allowed: an integer from 1 to 100000",
    "fit.epochs=": "found nothing (null), allowed: an integer from 1 to 100000",
    "fit.epochs=[1": "found a list that is never closed, allowed: [a, b, c]",
    "fit.epochs=*a": "found '*a' (text), allowed: an integer from 1 to 100000",
    "fit.epochs=[*a]": "found the alias *a, allowed: the name of an anchor before it, &a",
    "fit.seed=[0, 1]": "found a list of 2, allowed: an integer from 0 to 2147483647; write several values as "
    "--set 'sweep.fit.seed=[0, 1]'",
    "fit.seed=0-4": "found '0-4' (text), allowed: an integer from 0 to 2147483647; write several values as "
    "--set 'sweep.fit.seed={from: 0, to: 4}'",
    "sweep.fit.seed=range(5)": "found 'range(5)' (text), allowed: a list of at least 1, each item an integer "
    "from 0 to 2147483647; write {from: 0, to: 4}",
    "sweep.fit.seed={from: 0, to: x}": "found {from: 0, to: x}, allowed: whole numbers as in",
    "fit.rate={a: 1}": "found a mapping, allowed: a number above 0 and up to 10",
    "fit.seed=\t1": "found a tab, allowed: spaces",
    "fit.seed=[\udcff]": "found the character U+DCFF, allowed: printable text",
    "fit.epoch=3": "found no such setting, allowed: epochs, rate, decay, seed or shuffle, did you mean",
    "epochs=3": "found no such setting, allowed: a dotted key such as fit.epochs",
    "fit=3": "found no such setting, allowed: a dotted key such as fit.epochs, fit.rate",
    "sweep=3": "found no such setting, allowed: a dotted key such as model.shape",
    "sweep.fit.seed=3": "found 3, allowed: a list of at least 1, each item an integer from 0",
    "sweep.fit.seed=0,1": "found '0,1' (text), allowed: a list of at least 1, each item an integer",
    "sweep.fit.seed=[]": "found an empty list",
    "sweep.fit.seed=[0, x]": "found 'x' (text), allowed: an integer from 0 to 2147483647",
    "sweep.fit.sed=[0]": "found no such setting, allowed: a dotted key such as model.shape, did you",
    "sweep.probe.epoch=[0]": "found in a sweep, but it changes no number",
    "probe.num_points=5000": "an exact probe takes at most 1000 points; lower num_points",
    "epochs": "found no `key=value`, allowed: one such as model.shape=value",
    "=3": "found no `key=value`",
}


@pytest.mark.parametrize("word", WRONG_WORDS)
def test_a_wrong_word(word, load):
    with pytest.raises(ConfigError, match=r"found|takes") as caught:
        load("fit: {}\nprobe: {}\n", [word])
    (error,) = str(caught.value).split("\n")
    shown = word.replace("\t", "\\t").replace("\udcff", "\\udcff")
    assert error.startswith(f"--set {shown}: {WRONG_WORDS[word]}")


def test_long_words_are_cut(load):
    with pytest.raises(ConfigError, match=r"found \.inf, allowed: an integer from 0") as caught:
        load("{}", ["fit.seed=" + "9" * 5000])
    assert len(str(caught.value)) < 200


def test_errors_of_file_and_command_line_come_together(load):
    with pytest.raises(ConfigError, match="found") as caught:
        load(
            "fit: {seed: x, epochs: y}\n",
            ["fit.epochs=5", "fit.decay=x"],
            {"probe.per_class": ("--per-class", "0")},
        )
    file, word, flag = str(caught.value).split("\n")
    assert "s.yaml:1:13: fit.seed: found 'x'" in file
    assert word.startswith("--set fit.decay=x: found 'x'")
    assert flag == "--per-class 0: found 0, allowed: an integer from 1 to 10000, or all"


def test_flags(load):
    flags = {"probe.epoch": ("--epoch", "0"), "fit.seed": ("--seed", "3")}
    study = load("sweep: {fit.seed: [1, 2]}\n", ["fit.seed=9"], flags)
    assert study.sections["probe"].epoch == "0"
    assert study.sections["fit"].seed == 3  # flags come after --set
    assert study.axes == {}
    with pytest.raises(ConfigError, match=r"^--pairs 3-111: '3-111' is no class pair: write source-"):
        load(flags={"probe.pairs": ("--pairs", "3-111")})
    with pytest.raises(ConfigError, match=r"^--pairs : found nothing \(null\)"):
        load(flags={"fit.seed": ("--pairs", "")})


# --- finding a study ---------------------------------------------------------------------------


def test_find_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = shipped_configs()
    assert {"depth-sweep", "quickstart"} <= set(shipped)
    assert find_config() == shipped["depth-sweep"]
    assert find_config("quickstart") == shipped["quickstart"]
    assert find_config("quickstart.yaml") == shipped["quickstart"]

    (tmp_path / "quickstart").mkdir()  # such as a folder of results
    assert find_config("quickstart") == shipped["quickstart"]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.yaml").write_text("{}")
    (tmp_path / "configs" / "own.yaml").write_text("{}")
    assert find_config("quickstart") == Path("configs/quickstart.yaml")
    assert find_config("own") == Path("configs/own.yaml")
    assert find_config("configs/own.yaml") == Path("configs/own.yaml")
    (tmp_path / "spaceprobe.yaml").write_text("{}")
    assert find_config() == Path("spaceprobe.yaml")


@pytest.mark.parametrize("name", ["quikstart", "", "no/such.yaml", "x" * 5000, "a\0b", "../quickstart"])
def test_a_config_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="found no such file and no shipped study of") as caught:
        find_config(name)
    first = ", ".join(whole_studies(shipped_configs())[:3])
    assert f"a path to a YAML file, a folder of results or one of {first}, " in str(caught.value)
    assert ("did you mean quickstart" in str(caught.value)) == ("uickstart" in name or name[0:1] == "q")


def test_a_folder_is_named_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"^folder:1:1: found a directory, allowed: a YAML file$"):
        load_study("folder")


def test_shipped_configs_of_an_installed_package(tmp_path):
    package = tmp_path / "site-packages" / "spaceprobe"
    (package / "configs").mkdir(parents=True)
    (package / "configs" / "a.yaml").write_text("{}")
    (package.parent / "configs").mkdir()  # somebody else's
    (package.parent / "configs" / "b.yaml").write_text("{}")
    assert list(shipped_configs(package)) == ["a"]
    (package / "configs" / "a.yaml").unlink()
    (package / "configs").rmdir()
    assert shipped_configs(package) == {}


@pytest.mark.parametrize("name", ["depth-sweep", "quickstart"])
def test_shipped_studies_load(name):
    assert load_study(name).name == name


# --- the way back ------------------------------------------------------------------------------


def test_dump_and_load(load, tmp_path):
    study = load(
        "fit: {rate: 1e-5, epochs: 5}\nmodel: {root: '1e5'}\nprobe: {pairs: [3-8], epoch: 0}\n"
        "sweep:\n  model.shape: [02x3, 3x4]\n  fit.seed: [0, 1]\n  probe.widths: [[1], [2, 3]]\n"
    )
    text = dump_study(study)
    assert 'root: "1e5"\n' in text
    assert "model.shape: [2x3, 3x4]\n" in text
    assert "decay: 0.0\n" in text  # defaults are written out
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert load_study(path, name="s") == study
    assert dump_study(load_study(path)) == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    root=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])),
    rate=st.floats(min_value=1e-300, max_value=10),
    decay=st.floats(min_value=0, allow_infinity=True) | st.integers(0, 10**300 - 1),
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=1, unique=True),
)
def test_dump_and_load_anything(load, tmp_path, root, rate, decay, seeds):
    def quoted(value):
        return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else "null"

    written = str(decay).replace("inf", ".inf")
    study = load(
        f"model: {{root: {quoted(root)}}}\nfit: {{rate: {rate!r}, decay: {written}}}\n"
        f"sweep: {{fit.seed: {seeds}}}\n"
    )
    assert study.sections["model"].root == (None if root is None else Path(root))
    assert study.sections["fit"].rate == rate
    path = tmp_path / "again.yaml"
    path.write_text(dump_study(study))
    assert load_study(path, name="s") == study


@pytest.mark.parametrize("word", [*SCALARS, "a: b", "# a", "[a", "- a", "'", '"', "a'b\"", "!a", "%"])
def test_dumped_text_stays_text(word, load, tmp_path):
    if word == "":
        return  # a path cannot be empty: it reads back as "."
    study = load("{}", ["model.root='{}'".format(word.replace("'", "''"))])
    assert study.sections["model"].root == Path(word)
    path = tmp_path / "again.yaml"
    path.write_text(dump_study(study))
    assert load_study(path, name="s") == study


# --- manners -----------------------------------------------------------------------------------


def test_config_errors_are_shown_to_users():
    assert issubclass(ConfigError, SpaceprobeError)
    assert SpaceprobeError.exit_code == 1
    assert ConfigError.exit_code == 2


def test_loading_needs_no_torch():
    code = (
        "import sys; from spaceprobe.study.config import load_study; "
        "from spaceprobe.study.grid import expand; assert len(expand(load_study('quickstart'))) == 9; "
        "sys.exit(bool({'torch', 'pandas', 'scipy', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_probe_is_known_by_no_name(load):
    study = load("probe: {method: sampled}\n", stages=[PROBE])
    assert list(study.sections) == ["probe", "study", "slurm"]
