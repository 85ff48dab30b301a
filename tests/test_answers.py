"""What answers say of small tables, against numbers computed by hand."""

import math
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from spaceprobe.analysis.by_seed import differences_by, means_by, spans_zero
from spaceprobe.report import figures
from spaceprobe.report.answers import ANSWERS, answer_tables
from spaceprobe.report.drawing.marks import STATE_LOOKS
from spaceprobe.report.headline import headline_numbers
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.page.answers import answer_blocks
from spaceprobe.results.answers.activations import activation_differences
from spaceprobe.results.answers.architectures import EXACTLY, SAMPLED, counted_units, folding_by_network
from spaceprobe.results.answers.manifold import dimension_beside_rank, separation_energies
from spaceprobe.results.answers.memory import fitted_labels, ranks_of_labels
from spaceprobe.results.answers.ranks import rules_beside_functional
from spaceprobe.results.answers.rest import END, REST, START, coming_to_rest
from spaceprobe.results.answers.semantics import leading_axes
from spaceprobe.results.answers.setting import setting_differences
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import Results
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.table import Bounds
from tests.figure_tables import as_read, words_of

T2 = 4.302652729911275
"""97.5 % quantile of the t distribution with two degrees of freedom."""

MARGIN = T2 / math.sqrt(3)
"""Half of the width of the interval of a mean over three seeds with a standard deviation of 1: 2.484."""


def study(axes, stages=("train", "lmd"), **frames):
    """Return results of a study with these axes and tables; runs are all combinations of the axes."""
    keys, runs = [*axes], [{}]
    for key, values in axes.items():
        runs = [{**run, key.rpartition(".")[2]: value} for run in runs for value in values]
    rows = [
        {
            "run": f"r{number}", "architecture": "2x4", "depth": 2, "width": 4, "activation": "relu",
            "dataset": "mnist", "seed": 0, "test_accuracy": 0.9, "status": "done", "error": None, **run,
        }
        for number, run in enumerate(runs)
    ]  # fmt: skip
    made = {"runs": as_read(pd.DataFrame(rows))}
    made |= {name: as_read(pd.DataFrame(list(of(rows)))) for name, of in frames.items()}
    return Results(
        study=SimpleNamespace(axes={key: axes[key] for key in keys}, zipped=(), stages=stages, sections={}),
        folder=Path(),
        frames=Frames(made, DECLARED.values()),
        study_text="",
        provenance={},
        states=(),
        warnings=(),
    )


def at(table, **values):
    """Return the one row of a table with these values."""
    for name, value in values.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


# --- means and differences over seeds ----------------------------------------------------------


def test_a_mean_counts_each_seed_once():
    rows = pd.DataFrame({"layer": 1, "seed": [0, 0, 1, 2], "value": [0.2, 0.4, 0.5, 0.7]})
    found = at(means_by(rows, ["layer"], "value", Bounds(0, 1)))
    # Seeds show .3, .5, .7: standard deviation .2, and logit(.5) = 0 ± .2 · 2.484 / .25 = ± 1.987.
    low = 1 / (1 + math.exp(0.2 * MARGIN / 0.25))
    assert found["mean"] == pytest.approx(0.5, rel=1e-12)
    assert (found["low"], found["high"]) == pytest.approx((low, 1 - low), rel=1e-9)
    assert (found["num_seeds"], found["num_values"], found["least"], found["largest"]) == (3, 4, 0.2, 0.7)


def test_a_mean_of_nothing_keeps_the_kinds_of_its_groups():
    rows = pd.DataFrame({"layer": [1], "seed": [0], "value": [math.nan]})
    found = means_by(rows, ["layer"], "value")
    assert len(found) == 0
    assert found["layer"].dtype == rows["layer"].dtype


def test_differences_are_taken_seed_by_seed():
    rows = pd.DataFrame(
        {"layer": 0, "seed": [0, 1, 2] * 2, "kind": ["a"] * 3 + ["b"] * 3, "value": [10, 12, 11, 7, 10, 7]}
    )
    table = differences_by(rows, ["layer"], "kind", "a", "value")
    first, second = at(table, kind="a"), at(table, kind="b")
    assert first["mean"] == 11
    assert math.isnan(first["difference"])
    # -3, -2, -4: mean -3, standard deviation 1.
    assert (second["mean"], second["first"], second["difference"], second["num_pairs"]) == (8, 11, -3, 3)
    ends = second["difference_low"], second["difference_high"]
    assert ends == pytest.approx((-3 - MARGIN, -3 + MARGIN), rel=1e-9)
    assert [*spans_zero(table)] == [False, False]
    reversed_seeds = rows.assign(value=[10, 12, 11, 7, 14, 12])  # differences -3, 2, 1
    assert spans_zero(differences_by(reversed_seeds, ["layer"], "kind", "a", "value"))[1]


def test_two_seeds_have_a_difference_without_an_interval():
    rows = pd.DataFrame({"layer": 0, "seed": [0, 1, 0, 1], "kind": [*"aabb"], "value": [1, 3, 2, 6]})
    found = at(differences_by(rows, ["layer"], "kind", "a", "value"), kind="b")
    assert found["difference"] == 2
    assert math.isnan(found["difference_low"])
    assert found["why"] == "2 shared seeds: an interval needs 3"


def test_what_has_nothing_to_compare_with_says_so():
    rows = pd.DataFrame({"layer": [0, 1], "seed": 0, "kind": [*"ab"], "value": [1.0, 2.0]})
    found = at(differences_by(rows, ["layer"], "kind", "a", "value"), layer=1)
    assert (found["mean"], found["why"]) == (2, "nothing measured at kind a")


# --- memory ------------------------------------------------------------------------------------

CAPACITY = {
    "network.activation": ["relu", "polynomial-2"],
    "data.random_labels": [0, 1],
    "training.seed": [0, 1, 2],
}


def fits(rows):
    """Random labels: relu fits a tenth of its epoch and a hundredth a seed; quadratic a twentieth and two."""
    for run in rows:
        slope = (0.1 if run["activation"] == "relu" else 0.05) if run["random_labels"] else 0.125
        for epoch in range(9):
            part = 0.01 if run["activation"] == "relu" else 0.02
            share = slope * epoch + (part * run["seed"] if 0 < epoch < 8 else 0)
            yield {"run": run["run"], "epoch": epoch, "train_accuracy": share}


def rests(rows):
    """Networks of true labels rest from epoch 4 + seed on, the others nowhere; the later layer counts."""
    for run in rows:
        for epoch in range(9):
            for layer in (0, 1):
                is_resting = not run["random_labels"] and epoch >= 4 + run["seed"] * layer
                yield {"run": run["run"], "epoch": epoch, "layer": layer, "converged": is_resting}


def functional(rows):
    """Random labels take 3, 4 and 5 components more than true ones under relu, 2 under the quadratic."""
    for run in rows:
        more = (3 + run["seed"] if run["activation"] == "relu" else 2) if run["random_labels"] else 0
        for rule, rank in (("functional", 10 + run["seed"] + more), ("data99", 7)):
            facts = {"rank": rank, "value": float(rank), "valid": True}
            yield {"run": run["run"], "epoch": 8, "layer": 0, "rule": rule, **facts}


@pytest.fixture(scope="module")
def capacity():
    return study(CAPACITY, training=fits, lmd_convergence=rests, lmd_ranks=functional)


def test_the_share_of_labels_that_are_fitted_is_that_of_several_epochs(capacity):
    table = fitted_labels(capacity)
    assert [*table["epoch"].unique()] == [1, 2, 4, 8]  # an eighth, a quarter, half and all of the training
    assert [*dict.fromkeys(table["activation"])] == ["relu", "polynomial-2"]  # as swept, not by name
    found = at(table, activation="relu", random_labels=1, epoch=4)
    assert found["mean"] == pytest.approx(0.4 + 0.01, rel=1e-12)
    assert found["rise"] == pytest.approx(0.2, rel=1e-9)
    p, margin = 0.41, 0.01 * MARGIN
    logit = math.log(p / (1 - p))
    ends = [1 / (1 + math.exp(-(logit + sign * margin / (p * (1 - p))))) for sign in (-1, 1)]
    assert [found["low"], found["high"]] == pytest.approx(ends, rel=1e-9)
    last = at(table, activation="polynomial-2", random_labels=1, epoch=8)
    assert last["mean"] == pytest.approx(0.4, rel=1e-12)
    assert math.isnan(last["low"])  # all seeds are equal


def test_the_share_of_labels_is_compared_with_that_under_the_first_activation(capacity):
    found = at(fitted_labels(capacity), activation="polynomial-2", random_labels=1, epoch=4)
    # -.20, -.19, -.18 by seed: p = (1 - .19) / 2 of [-1, 1].
    p, logit = 0.405, math.log(0.405 / 0.595)
    half = 0.01 * MARGIN / 2 / (p * (1 - p))
    ends = [2 / (1 + math.exp(-(logit + sign * half))) - 1 for sign in (-1, 1)]
    assert found["difference"] == pytest.approx(-0.19, rel=1e-9)
    assert [found["difference_low"], found["difference_high"]] == pytest.approx(ends, rel=1e-6)
    quadratic = fitted_labels(capacity).query("activation == 'polynomial-2' and random_labels == 1")
    assert set(quadratic["difference_at_end"].round(9)) == {-0.4}
    assert quadratic["difference_low_at_end"].isna().all()  # all seeds are equal there, not at epoch 4
    alone = study({**CAPACITY, "network.activation": ["relu"]}, training=fits, lmd_convergence=rests)
    assert fitted_labels(alone)["difference"].isna().all()


def test_who_has_come_to_rest_is_counted_at_each_epoch(capacity):
    table = fitted_labels(capacity)
    true = table[(table["random_labels"] == 0) & (table["activation"] == "relu")]
    assert [*true["num_at_rest"]] == [0, 0, 1, 3]  # seeds rest at 4, 5 and 6
    assert [*true["num_at_rest_at_end"]] == [3] * 4
    assert table.loc[table["random_labels"] == 1, "num_at_rest"].sum() == 0
    assert set(table["num_values"]) == {3}


def test_what_random_labels_cost_in_rank_is_paired(capacity):
    table = ranks_of_labels(capacity)
    found = at(table, activation="relu", random_labels=1)
    assert (found["mean"], found["first"], found["difference"]) == (15, 11, 4)
    assert found["difference_low"] == pytest.approx(4 - MARGIN, rel=1e-9)
    equal = at(table, activation="polynomial-2", random_labels=1)
    assert (equal["difference"], equal["why"]) == (2, "all differences are equal: no interval")


def test_without_true_labels_there_is_no_cost_in_rank():
    def of_random_labels(rows):
        return [{**row, "valid": run["random_labels"] == 1} for run in rows for row in functional([run])]

    results = study(CAPACITY, training=fits, lmd_convergence=rests, lmd_ranks=of_random_labels)
    numbers = Numbers(results.study, results.frames, answer_tables(results))
    says = answer_blocks(numbers, ())[1]["says"]
    assert says == "No layer of the same network was measured at another share of random labels."


@pytest.mark.parametrize(
    ("scored_on", "said"),
    [
        ({0: "test", 1: "training"}, "the accuracy on test or training points within one point"),
        ({0: "training", 1: "training"}, "the accuracy on training points within one point"),
    ],
)
def test_a_reader_is_told_on_which_points_ranks_are_scored(scored_on, said):
    def scores(rows):
        for run in rows:
            facts = {"rank": 3, "score": 0.9, "scored_on": scored_on[run["random_labels"]]}
            yield {"run": run["run"], "epoch": 8, "layer": 0, **facts}

    results = study(
        CAPACITY, training=fits, lmd_convergence=rests, lmd_ranks=functional, lmd_functional=scores
    )
    numbers = Numbers(results.study, results.frames, answer_tables(results))
    assert said in answer_blocks(numbers, ())[1]["says"].striptags()


@pytest.mark.parametrize("scored_on", ["test", "training"])
def test_the_headline_says_on_which_points_ranks_are_scored(scored_on):
    def scores(rows):
        return [{"run": run["run"], "epoch": 8, "layer": 0, "rank": 3, "score": 0.9,
                 "scored_on": scored_on} for run in rows]  # fmt: skip

    axes = {"network.width": [4, 5], "training.seed": [0], "training.random_labels": [1]}
    results = study(axes, lmd_ranks=lambda rows: [{**row, "activation": "relu"} for run in rows for row in
                    functional([{**run, "activation": "relu"}])], lmd_functional=scores)  # fmt: skip
    numbers = Numbers(results.study, results.frames, {})
    notes = [str(card.explanation) for card in headline_numbers(results, numbers)]
    assert f"keeps the score on {scored_on} points within one point" in " ".join(notes)


def test_the_answers_of_a_study_of_memory(capacity):
    assert [*answer_tables(capacity)] == ["answer_memory", "answer_memory_ranks"]


# --- coming to rest ----------------------------------------------------------------------------

EVOLUTION = {
    "training.optimizer": ["sgd", "adam"],
    "training.learning_rate": [0.1],
    "training.seed": [0, 1, 2],
}


def rests_by_optimizer(rows):
    """Adam rests from epochs 4, 5 and 6 on; seed 0 of sgd at epochs 3 and 4 only, the others nowhere."""
    for run in rows:
        for epoch in range(11):
            is_resting = epoch >= 4 + run["seed"]
            if run["optimizer"] == "sgd":
                is_resting = run["seed"] == 0 and epoch in (3, 4)
            facts = {"layer": 0, "converged": is_resting, "learning_rate": 0.5}  # of the epoch
            yield {"run": run["run"], "epoch": epoch, **facts}


def participation(rows):
    for run in rows:
        for epoch in (0, 3, 5, 10):
            value = {0: 30, 3: 9, 5: 10 + run["seed"], 10: 12 + 2 * run["seed"]}[epoch]
            facts = {"rule": "participation", "rank": round(value), "value": float(value), "valid": True}
            yield {"run": run["run"], "epoch": epoch, "layer": 0, **facts}


def test_when_networks_come_to_rest_and_their_ranks_then():
    results = study(EVOLUTION, lmd_convergence=rests_by_optimizer, lmd_ranks=participation)
    table = coming_to_rest(results)
    adam = {when: at(table, optimizer="adam", when=when) for when in (START, REST, END)}
    # Decomposed once at rest: epoch 5 for seeds 0 and 1, epoch 10 for seed 2: 10, 11 and 16.
    assert adam[REST]["mean"] == pytest.approx(37 / 3, rel=1e-12)
    assert (adam[REST]["first_epoch"], adam[REST]["last_epoch"]) == (5, 10)
    assert adam[START]["mean"] == 30
    assert adam[END]["difference"] == pytest.approx((2 + 3 + 0) / 3, rel=1e-12)
    counts = ("num_runs", "num_at_rest", "num_at_end", "first_at_rest", "last_at_rest")
    assert [adam[END][name] for name in counts] == [3, 3, 3, 4, 6]
    sgd = at(table, optimizer="sgd", when=END)
    assert [sgd[name] for name in counts] == [3, 1, 0, 3, 3]
    assert (sgd["mean"], sgd["difference"]) == (12, 12 - 9)  # of the one seed that rested, at epoch 3
    assert [*answer_tables(results)] == ["answer_rest"]


def test_a_swept_setting_is_that_of_the_run_where_the_table_has_such_a_column():
    axes = EVOLUTION | {"training.optimizer": ["adam"], "training.learning_rate": [0.1, 0.2]}
    table = coming_to_rest(study(axes, lmd_convergence=rests_by_optimizer, lmd_ranks=participation))
    assert [*table["learning_rate"].unique()] == [0.1, 0.2]


def test_networks_that_never_rest_have_ranks_all_the_same():
    def never(rows):
        return [{"run": run["run"], "epoch": 1, "layer": 0, "converged": False} for run in rows]

    table = coming_to_rest(study(EVOLUTION, lmd_convergence=never, lmd_ranks=participation))
    found = at(table, optimizer="adam", when=END)
    assert (found["mean"], found["num_at_rest"], found["why"]) == (14, 0, "nothing measured at when at rest")
    assert REST not in set(table["when"])


# --- class meaning -----------------------------------------------------------------------------


def shares(rows):
    """Seven axes: of the five leading ones classes explain .1 before and .3, .5, .7 after, as mean."""
    for run in rows:
        for epoch in (0, 10):
            for axis in range(1, 8):
                share = 0.1 if epoch == 0 else 0.3 + 0.2 * run["seed"] + 0.02 * (axis - 3)
                share = share if axis <= 5 else 0.99
                facts = {"share": share, "shuffled_mean": 0.004, "class_variance": 0.05}
                yield {"run": run["run"], "epoch": epoch, "layer": 0, "axis": axis, **facts}


def test_what_classes_explain_of_the_leading_axes():
    results = study({"training.seed": [0, 1, 2]}, lmd_semantics=shares, lmd_convergence=rests_late)
    table = leading_axes(results)
    trained = at(table, state="trained")
    assert trained["mean"] == pytest.approx(0.5, rel=1e-12)
    # Differences .2, .4, .6: mean .4 of [-1, 1], p = .7, logit ± .2 · 2.484 / 2 / (.7 · .3).
    p, logit = 0.7, math.log(0.7 / 0.3)
    half = 0.2 * MARGIN / 2 / (p * (1 - p))
    ends = [2 / (1 + math.exp(-(logit + sign * half))) - 1 for sign in (-1, 1)]
    assert trained["difference"] == pytest.approx(0.4, rel=1e-12)
    assert [trained["difference_low"], trained["difference_high"]] == pytest.approx(ends, rel=1e-9)
    assert trained["held"] == pytest.approx(0.25, rel=1e-12)
    assert (trained["shuffled"], trained["num_axes"]) == (0.004, 5)
    assert at(table, state="untrained")["mean"] == pytest.approx(0.1, rel=1e-12)
    assert [*answer_tables(results)] == ["answer_semantics"]


# --- a manifold --------------------------------------------------------------------------------

ROLL = {"data.points_seed": [0, 1], "training.seed": [0, 1, 2]}


def dimensions(rows):
    for run in rows:
        for epoch in (0, 9):
            for layer in (0, 1):
                for space in ("input", "output"):
                    value = 1.9 + 0.1 * run["points_seed"] + (0.3 if space == "output" else 0)
                    for estimator, estimate in (("mle", value), ("twonn", 7.0)):
                        facts = {"space": space, "estimator": estimator, "dimension": estimate}
                        yield {"run": run["run"], "epoch": epoch, "layer": layer, **facts}


def roll_ranks(rows):
    for run in rows:
        for epoch in (0, 9):
            for rule, rank in (("functional", 3), ("data99", 2 + run["seed"]), ("participation", 5)):
                facts = {"rule": rule, "rank": rank, "value": rank - 0.25, "valid": True}
                yield {"run": run["run"], "epoch": epoch, "layer": 1, **facts}


def energies(rows):
    """S' of the hidden layer: .7, .3 and in one seed .28, .02; untrained four equal values."""
    for run in rows:
        trained = [0.7, 0.28, 0.02] if run["seed"] == 0 else [0.7, 0.3]
        for epoch, values in ((0, [0.25] * 4), (9, trained)):
            for index, energy in enumerate(values, 1):
                yield {
                    "run": run["run"], "epoch": epoch, "layer": 1, "basis": "data", "index": index,
                    "energy": energy,
                }  # fmt: skip
            for index in range(1, 11):
                yield {
                    "run": run["run"], "epoch": epoch, "layer": 1, "basis": "svd", "index": index,
                    "energy": 0.1,
                }  # fmt: skip


@pytest.fixture(scope="module")
def roll():
    return study(
        ROLL,
        lmd_dimension=dimensions,
        lmd_ranks=roll_ranks,
        lmd_spectrum=energies,
        lmd_convergence=rests_late,
    )


def test_the_dimension_stands_beside_the_rank(roll):
    table = dimension_beside_rank(roll)
    found = at(table, layer=1, state="trained")
    assert [found[f"input{end}"] for end in ("", "_least", "_largest")] == pytest.approx([1.95, 1.9, 2.0])
    assert found["output"] == pytest.approx(2.25)
    assert [found[f"data99{end}"] for end in ("", "_least", "_largest")] == [3, 2, 4]
    assert (found["functional"], found["participation"], found["num_networks"]) == (3, 5, 6)
    assert math.isnan(at(table, layer=1, state="untrained")["functional"])
    assert math.isnan(at(table, layer=0, state="trained")["data99"])


def test_the_energies_of_the_separation(roll):
    table = separation_energies(roll)
    found = at(table, state="trained")
    assert found["num_leading"] == 2
    assert found["num_values"] == pytest.approx(7 / 3)
    assert [found[f"energy_{number}"] for number in (1, 2, 3)] == pytest.approx([0.7, 0.88 / 3, 0.02 / 3])
    ends = [found[f"leading{end}"] for end in ("", "_least", "_largest")]
    assert ends == pytest.approx([2.98 / 3, 0.98, 1.0])
    assert found["weights"] == pytest.approx(0.2)
    untrained = at(table, state="untrained")
    assert (untrained["num_values"], untrained["leading"]) == (4, 0.5)
    assert [*answer_tables(roll)] == ["answer_dimension", "answer_separation"]


def test_a_reader_of_the_roll_is_told_of_the_two_values(roll):
    tables = answer_tables(roll)
    numbers = Numbers(roll.study, roll.frames, tables)
    says = answer_blocks(numbers, {"metrics"})[1]["says"].striptags()
    assert says == (
        "The data have 2 dimensions. In layer 1 of trained networks the 2 largest of 2.33 values of S′ hold "
        "0.993 (0.980 to 1.000) of its energy; untrained, the 2 largest of 4 values of S′ hold 0.500 (0.500 "
        "to 0.500)."
    )


def test_without_an_estimate_of_the_dimension_one_value_leads():
    def nothing(rows):
        return [{**row, "dimension": None} for row in dimensions(rows)]

    results = study(ROLL, lmd_dimension=nothing, lmd_ranks=roll_ranks, lmd_spectrum=energies)
    assert at(separation_energies(results), state="trained")["leading"] == pytest.approx(0.7)


# --- rank rules and activations ----------------------------------------------------------------


def rules(rows):
    """A rule that keeps 2, 3 and 4.5 times what is needed by seed, and one that keeps just that."""
    for run in rows:
        for rule, rank in (("functional", 2), ("twice", 4 * 1.5 ** run["seed"]), ("just", 2)):
            facts = {"rule": rule, "rank": rank, "value": rank, "valid": True}
            yield {"run": run["run"], "epoch": 3, "layer": 0, **facts}


def sizes(rows):
    for run in rows:
        shape = {"num_outputs": 30, "num_inputs": 99}
        yield {"run": run["run"], "epoch": 3, "layer": 0, "metric": "identity", **shape}


def test_rank_rules_are_judged_by_the_functional_rank():
    results = study({"training.seed": [0, 1, 2]}, lmd_ranks=rules, lmd_layers=sizes)
    table = rules_beside_functional(results)
    assert [*table["rule"]] == ["just", "just", "twice", "twice"]  # the best first, each in two sizes
    found = at(table, rule="twice", size="25 to 50")
    assert found["ratio"] == pytest.approx(3, rel=1e-12)
    ends = 3 * math.exp(-MARGIN * math.log(1.5)), 3 * math.exp(MARGIN * math.log(1.5))
    assert (found["ratio_low"], found["ratio_high"]) == pytest.approx(ends, rel=1e-9)
    logs = [math.log(ratio) for ratio in (2, 3, 4.5)]
    assert found["error"] == pytest.approx(math.sqrt(sum(log**2 for log in logs) / 3), rel=1e-12)
    assert at(table, rule="just", size="all layers")["error"] == 0
    assert [*answer_tables(results)] == ["answer_rules"]


ACTIVATIONS = {"network.activation": ["sigmoid", "relu"], "training.seed": [0, 1, 2]}


def activation_ranks(rows):
    """Functional rank 6 + seed under sigmoid; under relu 4, 5 and 6 more at the end, equally many before."""
    for run in rows:
        for epoch in (0, 1, 5):
            more = 4 + run["seed"] if (run["activation"], epoch) == ("relu", 5) else 0
            for rule, rank in (("functional", 6 + run["seed"] + more), ("participation", 3)):
                facts = {"rule": rule, "rank": rank, "value": float(rank), "valid": True}
                yield {"run": run["run"], "epoch": epoch, "layer": 0, **facts}


def test_activations_are_compared_with_the_first_that_is_swept():
    results = study(ACTIVATIONS, lmd_ranks=activation_ranks, lmd_convergence=rests_late)
    table = activation_differences(results)
    assert [*table["epoch"].unique()] == [1, 5]
    found = at(table, quantity="functional rank", activation="relu", epoch=5)
    assert (found["mean"], found["first"], found["difference"]) == (12, 7, 5)
    assert found["difference_low"] == pytest.approx(5 - MARGIN, rel=1e-9)
    assert found["verdict"] == "differs"
    equal = at(table, quantity="functional rank", activation="relu", epoch=1)
    assert (equal["difference"], equal["verdict"]) == (0, "no interval")
    assert set(table.loc[table["activation"] == "sigmoid", "verdict"]) == {"first"}
    assert [*answer_tables(results)] == ["answer_activations"]


def rests_late(rows):
    return [{"run": run["run"], "epoch": 5, "layer": 0, "converged": False} for run in rows]


def test_the_page_says_when_it_looked_at_the_activations():
    results = study(ACTIVATIONS, lmd_ranks=activation_ranks, lmd_convergence=rests_late)
    numbers = Numbers(results.study, results.frames, answer_tables(results))
    (block,) = answer_blocks(numbers, set())
    assert block["says"].striptags() == (
        "Differences from the first activation at epoch 5: 1 with an interval that excludes zero, 0 with one "
        "that spans zero, 1 without an interval. Largest in size for the functional rank: relu "
        "in layer 0, +5.0 [+2.5, +7.5]. At the last "
        "epoch 0 of 6 layers had stably converged: what still moves may read otherwise later."
    )
    heads = [getattr(head["text"], "striptags", lambda text=head["text"]: text)() for head in block["heads"]]
    assert heads == [
        "quantity", "activation", "epoch 1: mean", "epoch 1: from the first", "epoch 5: mean",
        "epoch 5: from the first",
    ]  # fmt: skip


# --- folding by a swept setting ------------------------------------------------------------------

RATES = {
    "network.architecture": ["2x4", "3x4"],
    "training.learning_rate": [0.1, 0.2],
    "training.seed": [0, 1, 2],
}


def folding_by_rate(rows):
    """At the second rate row maxima are 0.1, 0.2, 0.3 more, the largest 0.25, the share 0.20, 0.21, 0.22."""
    for run in rows:
        more, seed = run["learning_rate"] == 0.2, run["seed"]
        chi = {
            "chi_row_max_median": 0.2 + more * (0.1 + 0.1 * seed),
            "chi_max": 0.25 + more * 0.25,
            "chi_folded_mean": 0.4 + more * (0.2 + 0.01 * seed),
        }
        for state in ("untrained", "trained"):
            yield {**run, "state": state, **(chi if state == "trained" else dict.fromkeys(chi, 0.9))}


def correlations_by_rate(_):
    row = {
        "response": "chi_row_max_median", "given": "none", "min_accuracy": 0.0, "seed": "all",
        "interval": "t over seeds", "num_seeds": 3, "num_runs": 12, "note": "",
        "pearson_low": None, "pearson_high": None,
    }  # fmt: skip
    yield {**row, "predictor": "depth", "state": "trained", "at": "learning_rate 0.1", "pearson": 0.25}
    yield {**row, "predictor": "learning_rate", "state": "trained", "at": "architecture 2x4", "pearson": 0.75}


@pytest.fixture(scope="module")
def by_rate():
    some = {"lmd_ranks": participation, "lmd_convergence": rests_late, "folding": rests_late}
    stages = ("train", "fold", "lmd", "summarize")
    made = study(RATES, stages, aggregates=folding_by_rate, correlations=correlations_by_rate, **some)
    runs = made.frames["runs"]
    runs["depth"] = runs["architecture"].str[0].astype(int)
    return made


def test_folding_is_compared_with_that_at_the_first_value_of_a_setting(by_rate):
    table = setting_differences(by_rate)
    assert len(table) == 3 * 2 * 2
    found = {
        quantity: at(table, quantity=quantity, architecture="3x4", learning_rate=0.2)
        for quantity in table["quantity"].unique()
    }
    shown = {quantity: (row["difference"], row["verdict"]) for quantity, row in found.items()}
    assert shown == {
        "row maxima of χ": (pytest.approx(0.2), "spans zero"),
        "largest χ": (pytest.approx(0.25), "no interval"),
        "paths that fold": (pytest.approx(0.21), "differs"),
    }
    assert found["row maxima of χ"]["mean"] == pytest.approx(0.4)
    assert found["row maxima of χ"]["first"] == pytest.approx(0.2)
    assert set(table.loc[table["learning_rate"] == 0.1, "verdict"]) == {"first"}


def test_a_study_of_folding_and_a_rate_asks_for_folding(by_rate):
    tables = answer_tables(by_rate)
    assert [*tables] == ["answer_setting"]  # not when each training comes to rest
    numbers = Numbers(by_rate.study, by_rate.frames, tables)
    (block,) = answer_blocks(numbers, {"setting"})
    says = block["says"].striptags()
    assert says.startswith(
        "Differences of row maxima of χ of trained networks from those at the first learning rate: 0 with an "
        "interval that excludes zero, 2 with one that spans zero, 0 without an interval. "
    )
    assert "Largest in size at learning rate 0.2 of 2x4: +0.200 [" in says
    assert block["figures"] == ["setting"]


def test_the_headline_has_the_correlation_with_each_setting_that_is_swept(by_rate):
    numbers = Numbers(None, by_rate.frames)
    lines = [
        (found.name.striptags(), found.number.striptags()) for found in headline_numbers(by_rate, numbers)
    ]
    assert lines[:2] == [
        ("r of depth and row maxima of χ, trained, learning rate 0.1", "0.250"),
        ("r of learning rate and row maxima of χ, trained, architecture 2x4", "0.750"),
    ]


# --- which study asks what ---------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["training.seed", "network.architecture"])
def test_a_study_that_folds_has_its_answer_in_the_headline(axis):
    def folding(rows):
        return [{"run": run["run"], "epoch": 3} for run in rows]

    axes = {axis: [0, 1], "training.seed": [0, 1, 2]}
    results = study(axes, ("train", "fold", "lmd"), lmd_ranks=rules, lmd_layers=sizes, folding=folding)
    assert answer_tables(results) == {}


def test_failed_runs_are_left_out_and_said():
    results = study({"training.seed": [0, 1, 2]}, lmd_semantics=shares, lmd_convergence=rests_late)
    runs = results.frames["runs"]
    runs.loc[2, "status"] = "failed"
    table = leading_axes(results)
    assert at(table, state="trained")["mean"] == pytest.approx(0.4)
    assert set(table["note"]) == {"1 of 3 runs failed and are left out"}


def test_every_answer_names_what_its_table_has(capacity, roll):
    for results in (capacity, roll):
        tables = answer_tables(results)
        for entry in ANSWERS.values():
            if entry.table in tables:
                names = {shown.column for shown in entry.shown} | {*entry.lines} - {"*"}
                assert names <= {*tables[entry.table].columns}


def test_a_share_of_all_values_is_not_told_as_a_finding():
    """The data have three dimensions, and S' has two values after training: all of its energy."""

    def three(rows):
        facts = {"layer": 0, "space": "input", "estimator": "mle", "dimension": 3.0}
        return [{"run": run["run"], "epoch": epoch, **facts} for run in rows for epoch in (0, 5)]

    def by_rate(rows):
        for run in rows:
            for epoch, values in (
                (0, (0.25,) * 4),
                (5, (0.9, 0.1) if run["learning_rate"] == 0.1 else (0.5,) * 2),
            ):
                for index, energy in enumerate(values, 1):
                    yield {
                        "run": run["run"], "epoch": epoch, "layer": 0, "basis": "data", "index": index,
                        "energy": energy,
                    }  # fmt: skip

    axes = {"training.learning_rate": [0.1, 0.2], "training.seed": [0, 1, 2]}
    some = {"lmd_ranks": participation, "lmd_convergence": rests_late}
    made = study(axes, lmd_dimension=three, lmd_spectrum=by_rate, **some)
    tables = answer_tables(made)
    numbers = Numbers(made.study, made.frames, tables)
    blocks = {block["id"]: block for block in answer_blocks(numbers, {"metrics"})}
    assert blocks["answer-separation"]["says"].striptags() == (
        "The data have 3 dimensions. In layer 0 of trained networks lr 0.1 S′ has 2 values in the mean, not "
        "more than that, so that they hold all of its energy in any case; untrained, the 3 largest of 4 "
        "values of S′ hold 0.750 (0.750 to 0.750)."
    )


# --- kinds of networks -------------------------------------------------------------------------


def kinds(tmp_path):
    """Return results of a study of an MLP and a transformer, two seeds, as they would be read."""
    path = tmp_path / "kinds.yaml"
    path.write_text(
        "folding: {num_points: 20}\n"
        "sweep:\n  training.seed: [0, 1]\n"
        "  zip:\n"
        "    network.model: [transformer, mlp]\n"
        "    network.architecture: [2x3, 1x7]\n"
        "    folding.method: [sampled, exact]\n"
    )
    study = load_study(path)
    runs, bins = [], []
    # of 100 paths of a transformer 40 have χ in (0, 0.1], 10 in (0.3, 0.4], by seed 0; 20 and 30 by seed 1
    counts = {
        "transformer": [{0: 50, 0.1: 40, 0.4: 10}, {0: 50, 0.1: 20, 0.4: 30}],
        "mlp": [{0: 100, 0.1: 0}] * 2,
    }
    for run in expand(study):
        network = run.sections["network"]
        is_mlp, seed = network.model == "mlp", run.axes["training.seed"]
        runs.append({
            "run": run.name, "architecture": network.architecture, "depth": 1 if is_mlp else 2, "width": 7,
            "activation": "relu", "dataset": "mnist", "seed": seed, "model": network.model,
            "test_accuracy": 0.8 + 0.1 * seed, "status": "done", "error": None,
        })  # fmt: skip
        for epoch in (0, 3):
            for high, num_paths in counts[network.model][seed].items():
                bins.append({
                    "run": run.name, "epoch": epoch, "measure": "chi",
                    "method": "exact" if is_mlp else "sampled",
                    "num_points": None if is_mlp else 20, "low": max(0, high - 0.1), "high": high,
                    "num_paths": num_paths,
                })  # fmt: skip
    frames = {"runs": as_read(pd.DataFrame(runs)), "folding_histogram": as_read(pd.DataFrame(bins))}
    return Results(
        study=study, folder=Path(), frames=Frames(frames, DECLARED.values()), study_text="", provenance={},
        states=(), warnings=(),
    )  # fmt: skip


def test_folding_of_each_network(tmp_path):
    results = kinds(tmp_path)
    table = folding_by_network(results.runs, results.frames["folding_histogram"])
    assert [*table["walked"].drop_duplicates()] == [EXACTLY, SAMPLED]  # which goes second in the sweep
    mlp = at(table, group="mlp · 1x7", seed=0, state="trained")
    assert (mlp["num_paths"], mlp["folded"]) == (100, 0)
    assert math.isnan(mlp["median"])
    assert math.isnan(mlp["largest"])
    first = at(table, group="transformer · 2x3", seed=0, state="trained")
    # of the 50 that fold 40 are in the first bin: 10 %, 25 %, 50 % and 75 % of them as well
    assert [first[name] for name in ("folded", "q10", "q25", "median", "q75", "q90", "largest")] == [
        0.5, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4
    ]  # fmt: skip
    second = at(table, group="transformer · 2x3", seed=1, state="untrained")
    assert [second[name] for name in ("q10", "q25", "median", "q75")] == [0.1, 0.1, 0.4, 0.4]


def test_which_kinds_of_networks_fold(tmp_path):
    results = kinds(tmp_path)
    entry = ANSWERS["architectures"]
    assert entry.lacks(results) is None
    table = entry.function(results)
    mlp, transformer = (at(table, network=n, state="trained") for n in ("mlp · 1x7", "transformer · 2x3"))
    # 28 × 28 in patches of 7 are 16 tokens of 3 units, in two blocks
    assert (mlp["units"], transformer["units"]) == (7, 96)
    assert (mlp["walked"], transformer["walked"]) == (EXACTLY, SAMPLED)
    assert (transformer["folded"], transformer["num_paths"], transformer["num_seeds"]) == (0.5, 200, 2)
    assert transformer["median"] == pytest.approx((0.1 + 0.4) / 2)
    assert transformer["test_accuracy"] == pytest.approx(0.85)
    assert (mlp["folds"], transformer["folds"]) == (False, True)
    says = entry.says(Numbers(None, {**results.frames, entry.table: table}), entry.table).striptags()
    assert "Walked exactly: 0.000 of the paths of trained networks fold (mlp · 1x7)." in says
    sampled = "Sampled, so that numbers are lower bounds: 0.500 of the paths of trained networks fold"
    assert f"{sampled} (transformer · 2x3, median χ of those paths 0.25)." in says
    assert "They have 7 to 96 counted units." in says
    assert "With one hidden layer (mlp · 1x7), 0 of 1 networks have a path that folds" in says


def test_the_figure_sets_sampled_networks_apart(tmp_path):
    results = kinds(tmp_path)
    histogram, units = results.frames["folding_histogram"], counted_units(results)
    figure = figures.folding_by_kind(results.runs, histogram, units=units)
    first = figure.axes[0]
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["mlp · 1x7\n7 units", "transformer · 2x3\n96 units"]
    exact, sampled = first.get_yticks()
    (line,) = [line for line in first.lines if line.get_linestyle() == ":"]
    assert exact < line.get_ydata()[0] < sampled
    words = words_of(figure).split("\n")
    assert words.count("no path folds") == words.count("sampled: lower bounds") == 1
    # of seeds 0 and 1, trained: medians .1 and .4, as in the test above
    (medians,) = [
        sorted(line.get_xdata())
        for line in first.lines
        if line.get_marker() == STATE_LOOKS["trained"].marker and len(line.get_xdata()) == 2
    ]
    assert medians == [0.1, 0.4]


def test_a_study_of_one_kind_does_not_ask_which_fold():
    results = study({"training.seed": [0, 1]}, folding_histogram=lambda runs: [{"run": runs[0]["run"]}])
    assert "one kind of network only" in ANSWERS["architectures"].lacks(results)
