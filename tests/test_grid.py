"""Runs of a study: their names, their order, and what does not multiply them."""

import re
import time

import pytest

from spaceprobe.study import grid
from spaceprobe.study.config import load_study, loading
from spaceprobe.study.grid import expand, value_of, varying_probe_settings
from tests.study_stages import FIT, OTHER, PROBE, STAGES, FitSettings, ReportSettings, make_stage

# sha256 of {}, {"fit.seed":4}, {"model.shape":"3x20"} and {"fit.seed":4,"model.shape":"3x20"}
GOLDEN = ["2x30-s0-44136f", "2x30-s4-318df6", "3x20-s0-98c91d", "3x20-s4-4b309c"]
GOLDEN_SINGLE = "2x30-s0-938eb2"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Expand a study from its text."""

    def runs(text="{}", overrides=(), stages=STAGES):
        path = tmp_path / "s.yaml"
        path.write_text(text)
        for module in (grid, loading):
            monkeypatch.setattr(module, "STAGES", stages)
        return expand(load_study(path, overrides))

    return runs


def names(found):
    return [run.name for run in found]


def test_one_run_without_a_sweep(runs):
    (run,) = runs("fit: {seed: 3}")
    assert list(run.sections) == ["model", "fit"]
    assert run.identity == {"fit.seed": 3}
    assert run.axes == {}
    assert [list(sections) for sections in run.variants(PROBE)] == [["model", "fit", "probe"]]


def test_the_product_in_the_order_of_the_file(runs):
    """Numbers by size, texts as they are written."""
    found = runs("sweep:\n  fit.seed: [10, 9, 0]\n  model.shape: [3x4, 2x5]\n")
    expected = [f"{shape}-s{seed}" for seed in (0, 9, 10) for shape in ("3x4", "2x5")]
    assert [run.name.rsplit("-", 1)[0] for run in found] == expected
    assert found[3].axes == {"fit.seed": 9, "model.shape": "2x5"}
    assert found[3].sections["model"].shape == "2x5"
    assert found[3].sections["fit"].seed == 9


def test_golden_names(runs):
    """These names are those of results on disk: a change of code must not change them."""
    assert names(runs("sweep: {model.shape: [2x30, 3x20], fit.seed: [0, 4]}")) == GOLDEN
    assert names(runs("fit: {rate: 0.01, shuffle: false}\nmodel: {root: /data}")) == [GOLDEN_SINGLE]


def test_names_of_the_shipped_study():
    found = names(expand(load_study("depth-sweep")))
    assert len(found) == 25
    assert found[0] == "2x30-s0-44136f"
    assert found[4] == "2x30-s4-57b1c6"
    assert all(re.fullmatch(r"\d+x\d+-s\d-[0-9a-f]{6}", name) for name in found)


def test_names_know_settings_not_their_origin(runs):
    swept = runs("sweep: {fit.seed: [3], model.shape: [02x7]}")
    assert names(swept) == names(runs("model: {shape: 2x7}\nfit: {seed: 3, epochs: 30}"))
    assert names(swept) == names(runs("{}", ["model.shape=2x7", "fit.seed=3"]))
    assert names(swept) == names(runs("fit: {seed: 3}\nmodel: {shape: 2x7}\nprobe: {num_points: 7}"))


def test_a_new_defaulted_setting_keeps_names(runs):
    class Newer(FitSettings):
        momentum: float = 0.9

    newer = make_stage("fit", {"model": FIT.sections["model"], "fit": Newer}, label=FIT.label)
    text = "sweep: {model.shape: [2x30, 3x20], fit.seed: [0, 4]}"
    assert names(runs(text, stages=[newer, PROBE])) == GOLDEN
    section = make_stage("more", {"more": ReportSettings}, label=FIT.label)
    assert names(runs(text, stages=[FIT, section, PROBE])) == GOLDEN
    assert names(runs(text, ["fit.momentum=0.5"], stages=[newer, PROBE])) != GOLDEN


def test_a_probe_axis_multiplies_no_runs(runs):
    text = "sweep:\n  probe.num_points: [10, 20]\n  fit.seed: [0, 1]\n  probe.per_class: [all, 5]\n"
    found = runs(text)
    assert names(found) == names(runs("sweep: {fit.seed: [0, 1]}"))
    assert found[0].axes == {"fit.seed": 0}
    variants = found[1].variants(PROBE)
    points = [(v["probe"].num_points, v["probe"].per_class, v["fit"].seed) for v in variants]
    assert points == [(10, "all", 1), (10, 5, 1), (20, "all", 1), (20, 5, 1)]
    assert found[1].variants(FIT) == [found[1].sections]
    assert len(found[1].variants(OTHER)) == 1  # another stage's axis
    assert varying_probe_settings(found, PROBE) == ("probe.num_points", "probe.per_class")
    assert varying_probe_settings(found, FIT) == ()
    assert varying_probe_settings(found, OTHER) == ()
    assert value_of(variants[1], "probe.per_class") == 5


def test_a_stage_varies_with_what_it_needs(runs):
    reader = make_stage("reader", {"reader": ReportSettings}, needs=("probe",))
    stages = [FIT, PROBE, reader]
    found = runs("sweep: {probe.num_points: [10, 20], reader.digits: [1, 2, 3]}", stages=stages)
    assert len(found) == 1
    assert len(found[0].variants(reader)) == 6
    assert len(found[0].variants(PROBE)) == 2
    assert varying_probe_settings(found, reader) == ("probe.num_points", "reader.digits")
    assert set(found[0].variants(reader)[0]) == {"model", "fit", "probe", "reader"}


def test_names_that_meet_grow(runs, monkeypatch):
    digests = {3: "aaaaaa1", 4: "aaaaaa2", 5: "aaaaaaa", 6: "bbbbbbb"}
    monkeypatch.setattr(grid, "_digest", lambda identity: digests[identity["fit.seed"]] + "0" * 57)
    stage = make_stage("fit", dict(FIT.sections), label=lambda _: "x")
    found = runs("sweep: {fit.seed: [3, 4, 5, 6]}", stages=[stage])
    assert names(found) == ["x-aaaaaa1", "x-aaaaaa2", "x-aaaaaaa", "x-bbbbbb"]
    monkeypatch.setattr(grid, "_digest", lambda _: "a" * 64)
    with pytest.raises(ValueError, match="two runs have the same settings"):
        runs("sweep: {fit.seed: [3, 4]}", stages=[stage])


def test_a_label_names_a_folder(runs):
    stage = make_stage("fit", dict(FIT.sections), label=lambda _: "../x")
    with pytest.raises(ValueError, match=r"'\.\./x' cannot name a run: letters, digits"):
        runs(stages=[stage])


def test_ten_thousand_runs_expand_at_once(tmp_path, monkeypatch):
    path = tmp_path / "s.yaml"
    path.write_text(f"sweep:\n  fit.seed: {list(range(5000))}\n  model.shape: [2x3, 4x5]\n")
    start = time.process_time()
    monkeypatch.setattr(grid, "STAGES", STAGES)
    monkeypatch.setattr(loading, "STAGES", STAGES)
    found = expand(load_study(path))
    assert time.process_time() - start < 3  # 0.6 s on an idle core
    assert len(set(names(found))) == 10_000
