"""Settings of a sweep that go together: below `zip`, the first value of one with the first of the others."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest

from spaceprobe.results.groups import LABEL, with_groups
from spaceprobe.results.questions import is_zipped
from spaceprobe.stages import STAGES as REAL_STAGES
from spaceprobe.study import grid
from spaceprobe.study.config import load_study, loading
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.config.study import dump_study
from spaceprobe.study.grid import expand, members_of, swept_probe_values
from spaceprobe.study.running.narrowing import narrowing
from tests.study_stages import FIT, OTHER, PROBE, STAGES

PLAIN = {"fit.seed": (0, 1), "model.shape": ("2x3", "4x5", "6x7")}
ZIPPED = """\
sweep:
  fit.seed: [0, 1]
  zip:
    model.shape: [2x3, 4x5, 6x7]
    fit.rate: [0.1, 0.1, 0.3]
"""
PROBED = """\
sweep:
  zip:
    model.shape: [2x3, 4x5, 4x5]
    probe.method: [exact, sampled, sampled]
    probe.num_points: [100, 10, 20]
  probe.per_class: [1, 2]
"""


@pytest.fixture(autouse=True)
def _stages(monkeypatch):
    for module in (grid, loading):
        monkeypatch.setattr(module, "STAGES", STAGES)


@pytest.fixture
def load(tmp_path):
    def load(text, overrides=()):
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return load_study(path, overrides)

    return load


def values(runs, *keys):
    return [tuple(run.axes[key] for key in keys) for run in runs]


def test_members_are_combined_with_the_other_axes(load):
    runs = expand(load(ZIPPED))
    assert values(runs, "fit.seed", "model.shape", "fit.rate") == [
        (seed, *member) for seed in (0, 1) for member in (("2x3", 0.1), ("4x5", 0.1), ("6x7", 0.3))
    ]
    assert [run.sections["fit"].rate for run in runs] == [0.1, 0.1, 0.3] * 2
    assert [run.sections["model"].shape for run in runs] == ["2x3", "4x5", "6x7"] * 2


def test_the_place_of_zip_says_how_fast_it_varies(load):
    first = "sweep:\n  zip: {fit.rate: [0.3, 0.1], model.shape: [6x7, 2x3]}\n  fit.seed: [1, 0]\n"
    runs = expand(load(first))
    # members in the order of the file, the numbers of a plain axis by size
    assert values(runs, "fit.rate", "fit.seed") == [(0.3, 0), (0.3, 1), (0.1, 0), (0.1, 1)]


def test_a_run_has_the_name_of_the_same_run_of_a_plain_sweep(load):
    zipped = {run.name for run in expand(load(ZIPPED))}
    plain = {
        run.name
        for shape, rate in (("2x3", 0.1), ("4x5", 0.1), ("6x7", 0.3))
        for run in expand(
            load(f"model: {{shape: {shape}}}\nfit: {{rate: {rate}}}\nsweep: {{fit.seed: [0, 1]}}")
        )
    }
    assert zipped == plain
    assert len(zipped) == 6


def test_what_is_printed_loads_as_the_same_study(load):
    study = load(ZIPPED)
    text = dump_study(study)
    assert "  zip:\n    model.shape: [2x3, 4x5, 6x7]\n    fit.rate: [0.1, 0.1, 0.3]\n" in text
    assert load(text) == study
    assert study.zipped == ("model.shape", "fit.rate")
    assert study.sections["fit"].rate == 0.1


def test_a_label_leaves_out_what_follows_from_the_rest(load):
    study = load(ZIPPED)
    assert [run.label for run in expand(study)[:3]] == [
        "seed 0 · shape 2x3",
        "seed 0 · shape 4x5",
        "seed 0 · shape 6x7",
    ]
    assert members_of(study, is_short=True) == [{"model.shape": shape} for shape in ("2x3", "4x5", "6x7")]
    both = load("sweep: {zip: {model.shape: [2x3, 2x3, 4x5], fit.rate: [0.1, 0.2, 0.1]}}")
    assert [run.label for run in expand(both)] == [
        "shape 2x3 · rate 0.1",
        "shape 2x3 · rate 0.2",
        "shape 4x5 · rate 0.1",
    ]


def test_settings_of_a_probe_follow_the_run(load):
    """The second and third members are one network, probed in two ways."""
    runs = expand(load(PROBED))
    assert [run.axes for run in runs] == [{"model.shape": "2x3"}, {"model.shape": "4x5"}]
    points = [
        [(v["probe"].method, v["probe"].num_points, v["probe"].per_class) for v in run.variants(PROBE)]
        for run in runs
    ]
    assert points == [
        [("exact", 100, 1), ("exact", 100, 2)],
        [("sampled", 10, 1), ("sampled", 10, 2), ("sampled", 20, 1), ("sampled", 20, 2)],
    ]
    assert [len(run.variants(FIT)) for run in runs] == [1, 1]
    assert [len(run.variants(OTHER)) for run in runs] == [1, 1]
    assert swept_probe_values(runs, PROBE) == {
        "probe.method": ("exact", "sampled"),
        "probe.num_points": (100, 10, 20),
        "probe.per_class": (1, 2),
    }


def test_combinations_that_a_zip_leaves_out_are_not_checked(load):
    """2,000 points are too many for the exact method only: the product has that combination, the zip not."""
    axes = "probe.method: [exact, sampled], probe.num_points: [10, 2000]"
    with pytest.raises(
        ConfigError, match=r"with probe.method = 'exact' \(text\) and probe.num_points = 2000"
    ):
        load(f"sweep: {{{axes}}}\n")
    (run,) = expand(load(f"sweep: {{zip: {{{axes}}}}}\n"))
    points = [(v["probe"].method, v["probe"].num_points) for v in run.variants(PROBE)]
    assert points == [("exact", 10), ("sampled", 2000)]


def test_zipped_lists_count_once_towards_the_most_combinations(load):
    numbers = "{from: 0, to: 399}"
    assert (
        len(expand(load(f"sweep: {{zip: {{fit.seed: {numbers}, fit.epochs: {{from: 1, to: 400}}}}}}"))) == 400
    )


@pytest.mark.parametrize(
    ("overrides", "zipped", "axes"),
    [
        (["fit.rate=0.5"], (), PLAIN),
        (["sweep.fit.rate=[0.5, 0.6]"], (), {**PLAIN, "fit.rate": (0.5, 0.6)}),
        (
            ["sweep.zip.fit.rate=[0.5, 0.6, 0.7]"],
            ("model.shape", "fit.rate"),
            {**PLAIN, "fit.rate": (0.5, 0.6, 0.7)},
        ),
        (
            ["sweep.zip.fit.epochs=[3, 4, 5]"],
            ("model.shape", "fit.rate", "fit.epochs"),
            {**PLAIN, "fit.rate": (0.1, 0.1, 0.3), "fit.epochs": (3, 4, 5)},
        ),
        (
            ["sweep.zip={model.shape: [9x9, 8x8], fit.decay: [0.0, 0.5]}"],
            ("model.shape", "fit.decay"),
            {"fit.seed": (0, 1), "model.shape": ("9x9", "8x8"), "fit.decay": (0.0, 0.5)},
        ),
    ],
)  # fmt: skip
def test_the_command_line_replaces_zipped_settings(load, overrides, zipped, axes):
    study = load(ZIPPED, overrides)
    assert study.zipped == zipped
    assert dict(study.axes) == axes


def test_the_command_line_is_held_to_the_same_rules(load):
    with pytest.raises(ConfigError, match=re.escape("found 2 values, but model.shape has 3")) as caught:
        load(ZIPPED, ["sweep.zip.fit.rate=[0.5, 0.6]"])
    assert "--set sweep.zip.fit.rate=[0.5, 0.6]" in str(caught.value)


def test_a_call_for_other_members_is_another_study(load, tmp_path):
    (tmp_path / "study.yaml").write_text(dump_study(load(ZIPPED)))
    asked = load(ZIPPED, ["sweep.zip.fit.rate=[0.5, 0.6, 0.7]"])
    assert narrowing(asked, tmp_path, is_by_call=True).kept == asked


def test_labels_of_groups_in_figures():
    """The rate follows from the rest and is left out; the kind of network says what an architecture means."""
    runs = pd.DataFrame({
        "architecture": ["1x8", "1x8", "4x2", "1x8"],
        "activation": ["relu", "abs", "relu", "relu"],
        "dataset": "mnist",
        "model": ["mlp", "mlp", "mlp", "cnn"],
        "learning_rate": [0.1, 0.1, 0.1, 0.2],
        "seed": 0,
    })  # fmt: skip
    order = ["architecture", "activation", "dataset", "seed", "model", "learning_rate"]
    labels = with_groups(runs[order])[LABEL].tolist()
    assert labels == ["mlp · 1x8 · relu", "mlp · 1x8 · abs", "mlp · 4x2 · relu", "cnn · 1x8 · relu"]


def test_a_network_of_ones_own_has_its_name_once():
    runs = pd.DataFrame({
        "architecture": ["nets:small", "nets:large", "2x3"], "activation": ["own", "own", "relu"],
        "dataset": "file", "seed": 0, "model": ["nets:small", "nets:large", "mlp"],
    })  # fmt: skip
    assert with_groups(runs)[LABEL].tolist() == ["nets:small", "nets:large", "mlp · 2x3"]


def test_labels_of_a_product_name_every_setting():
    runs = pd.DataFrame({
        "architecture": ["2x3", "2x3", "4x5", "4x5"], "activation": "relu", "dataset": "mnist", "seed": 0,
        "learning_rate": [0.1, 0.2, 0.1, 0.2],
    })  # fmt: skip
    assert with_groups(runs)[LABEL].tolist() == [
        "2x3 · lr 0.1",
        "2x3 · lr 0.2",
        "4x5 · lr 0.1",
        "4x5 · lr 0.2",
    ]


def test_the_shipped_study_has_as_many_counted_units_in_every_network(monkeypatch):
    for module in (grid, loading):
        monkeypatch.setattr(module, "STAGES", REAL_STAGES)
    runs = expand(load_study("any-architecture"))
    units = {
        run.name: sum(network.entry.hidden_widths(network, (28, 28)))
        for run in runs
        for network in [run.sections["network"]]
    }
    assert len(units) == 45
    assert {*units.values()} == {1568}


def test_what_changes_together_is_not_set_against_folding():
    """A rate that each architecture has of its own says nothing alone; depth does, but not across kinds."""

    def results(*zipped):
        return SimpleNamespace(study=SimpleNamespace(zipped=zipped))

    own_rates = results("network.architecture", "training.learning_rate")
    assert is_zipped(own_rates, "learning_rate")
    assert not is_zipped(own_rates, "depth")
    assert not is_zipped(own_rates, "train_images")
    kinds = results("network.model", "network.architecture")
    assert is_zipped(kinds, "depth")
    assert is_zipped(kinds, "width")
    assert not is_zipped(kinds, "learning_rate")
