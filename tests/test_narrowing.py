"""A call that asks for less than the tables hold leaves in them what they hold, and says so."""

import pandas as pd
import pytest

from spaceprobe.study.config import load_study
from tests.commands import call, small_mnist

STUDY = """\
study: {{stages: [train, fold, summarize]}}
data: {{root: {root}, train_images: 250}}
network: {{architecture: 2x5}}
training: {{epochs: 1}}
folding: {{per_class: 2, pairs: [3-8, 0-0, 8-3]}}
sweep: {{training.seed: [0, 1]}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "small.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    return path


def csvs(results):
    return {path.name: path.read_bytes() for path in sorted((results / "small").glob("*.csv"))}


def stored(results):
    return load_study(results / "small" / "study.yaml", name="small")


@pytest.mark.parametrize(
    ("command", "now", "before"),
    [
        (("fold", "--pairs", "3-8,8-3"), "folding.pairs 3-8,8-3", "folding.pairs 3-8,0-0,8-3"),
        (("fold", "--epoch", "last"), "folding.epoch last", "folding.epoch both"),
        (("run", "--set", "sweep.training.seed=[1]"), "training.seed 1", "training.seed 0,1"),
        (
            ("run", "--set", "study.stages=[train, fold]"),
            "study.stages train,fold",
            "study.stages train,fold,summarize",
        ),
    ],
)
def test_a_narrower_call_keeps_what_the_tables_hold_and_says_so(study, copied, command, now, before):
    expected, kept = csvs(copied), stored(copied)
    name, *flags = command
    outcome = call(name, study, "--results", copied, *flags)
    assert outcome.exit_code == 0, outcome.output
    assert csvs(copied) == expected
    assert stored(copied) == kept
    assert (
        f"this call was for {now}; the tables still hold {before}, as before, and `spaceprobe run small` "
        "without these settings brings all of it up to date\n"
    ) in outcome.stderr
    again = call("run", study, "--results", copied)
    assert "nothing was computed" in again.stderr
    assert "this call was for" not in again.stderr
    assert csvs(copied) == expected


def test_what_a_narrower_call_computes_again_is_in_the_tables(study, copied):
    expected = csvs(copied)
    outcome = call("fold", study, "--results", copied, "--pairs", "3-8", "--force")
    assert "fold       2 of 2 runs, 32 paths: --force" in outcome.stderr  # 2 x 4 paths, 2 epochs, 2 runs
    assert csvs(copied).keys() == expected.keys()
    assert csvs(copied)["folding.csv"] == expected["folding.csv"]


def test_calls_for_some_runs_or_stages_keep_the_rest(study, copied):
    expected = csvs(copied)
    name = pd.read_csv(copied / "small" / "runs.csv")["run"][0]
    assert call("run", study, "--results", copied, "--run", name).exit_code == 0
    assert call("run", study, "--results", copied, "--only", "train").exit_code == 0
    assert csvs(copied) == expected


def test_where_nothing_wider_was_computed_the_tables_are_what_is_asked_for(study, tmp_path):
    assert call("train", study, "--results", tmp_path).exit_code == 0
    outcome = call("fold", study, "--results", tmp_path, "--pairs", "3-8,8-3")
    assert stored(tmp_path).sections["folding"].pairs == ("3-8", "8-3")
    assert (
        "the tables now hold folding.pairs 3-8,8-3, where the study was last started with" in outcome.stderr
    )
    # and one pair more joins them
    outcome = call("fold", study, "--results", tmp_path, "--pairs", "0-0")
    folded = pd.read_csv(tmp_path / "small" / "folding.csv")
    assert {*zip(folded["source_class"], folded["target_class"], strict=True)} == {(3, 8), (8, 3), (0, 0)}
    assert "the tables still hold folding.pairs 3-8,8-3,0-0" in outcome.stderr


def test_a_study_whose_file_was_narrowed_has_the_tables_that_it_says(study, copied):
    text = study.read_text()
    study.write_text(text.replace("[3-8, 0-0, 8-3]", "[0-0]"))
    try:
        outcome = call("run", study, "--results", copied)
    finally:
        study.write_text(text)
    folded = pd.read_csv(copied / "small" / "folding.csv")
    assert {*folded["source_class"]} == {0}
    assert (
        "the tables now hold folding.pairs 0-0, where the study was last started with folding.pairs "
        "3-8,0-0,8-3; what was computed of the rest stays in the folder, and setting that again brings"
    ) in outcome.stderr
    back = call("run", study, "--results", copied)
    assert {*pd.read_csv(copied / "small" / "folding.csv")["source_class"]} == {0, 3, 8}
    assert "the tables now hold" not in back.stderr


@pytest.mark.parametrize("setting", ["training.epochs=2", "folding.per_class=3", "folding.method=sampled"])
def test_other_settings_are_another_measurement_and_no_narrower_call(study, copied, setting):
    outcome = call("plan", study, "--results", copied, "--set", setting)
    assert outcome.exit_code == 0
    from spaceprobe.study.running.narrowing import narrowing

    asked = load_study(study, [setting])
    assert narrowing(asked, copied / "small", is_by_call=True).kept == asked
