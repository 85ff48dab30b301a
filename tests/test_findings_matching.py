"""Networks beside controls that are matched in a quantity, in the findings that compare so."""

import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.matching import nearest
from spaceprobe.findings.questions import activations, regularizer
from spaceprobe.findings.tables import MEAN_CHI, mean_chi

LAST = {"architecture": "3x30", "seed": 0, "is_last": True}


def test_the_nearest_is_the_first_of_several():
    table = pd.DataFrame({"x": [3.0, math.nan, 1.0, 1.0, 5.0], "name": [*"abcde"]})
    assert [nearest(table, "x", value)["name"] for value in (0.0, 2.0, 4.1, 9.0)] == ["c", "a", "e", "e"]
    assert nearest(table, "x", math.nan) is None
    assert nearest(table[:0], "x", 1.0) is None
    assert nearest(table[1:2], "x", 1.0) is None


def test_mean_chi_is_that_of_all_paths():
    folding = pd.DataFrame({
        "run": ["a", "a", "a", "b"],
        "measure": ["chi", "chi", "peak", "chi"],
        "mean": [0.5, 0.1, 0.9, 0.2],
        "num_paths": [10, 30, 40, 5],
    })  # fmt: skip
    table = mean_chi(folding, ["run"])
    assert table["run"].tolist() == ["a", "b"]
    assert table[MEAN_CHI].tolist() == pytest.approx([8 / 40, 0.2], rel=1e-15)


def row(treatment, epoch, chi, test, train, norm, **others):
    return {
        **LAST, "treatment": treatment, "epoch": epoch, "mean_chi": chi, "test_accuracy": test,
        "train_accuracy": train, "gap": train - test, "weight_norm": norm, **others,
    }  # fmt: skip


def test_controls_of_a_regulariser():
    networks = pd.DataFrame([
        row("+0.3", 20, 0.5, 0.80, 0.95, 9.0),
        row("none", 2, 0.1, 0.79, 0.85, 5.0, is_last=False),
        row("none", 20, 0.2, 0.90, 0.96, 12.0),
        row("weight decay 0.001", 20, 0.3, 0.85, 0.90, 8.5),
        row("none", 20, 0.9, 0.80, 0.95, 9.0, seed=1),  # not a control: another seed
        row("none", 20, 0.9, 0.80, 0.95, 9.0, architecture="4x15"),
    ])  # fmt: skip
    table = regularizer.matched_table(networks).set_index("matched")
    assert table["control"].to_dict() == {
        "nothing": "none",
        "test_accuracy": "none",
        "train_accuracy": "none",
        "weight_norm": "weight decay 0.001",
    }
    assert table["epoch"].to_dict() == {
        "nothing": 20, "test_accuracy": 2, "train_accuracy": 20, "weight_norm": 20
    }  # fmt: skip
    assert table["mean_chi"].tolist() == pytest.approx([0.3, 0.4, 0.3, 0.2])
    assert table["mismatch"].tolist() == pytest.approx([0.0, 0.01, -0.01, 0.5])
    assert table.loc["train_accuracy", "gap"] == pytest.approx(0.15 - 0.06)


def test_a_network_without_a_number_has_no_match():
    networks = pd.DataFrame([row("+0.3", 20, *[np.nan] * 4), row("none", 20, 0.2, 0.9, 0.96, 12.0)])
    assert regularizer.matched_table(networks)["matched"].tolist() == ["nothing"]
    assert len(regularizer.matched_table(networks[:1])) == 0


def test_relus_beside_other_activations():
    def of(activation, method, epoch, state, accuracy, chi):
        return {
            "run": "r", "architecture": "2x30", "activation": activation, "method": method, "seed": 0,
            "epoch": epoch, "state": state, "test_accuracy": accuracy, "mean_chi": chi, "symmetric": chi / 2,
        }  # fmt: skip

    networks = pd.DataFrame([
        of("relu", "exact", 0, "untrained", 0.825, 0.9),
        of("relu", "exact", 1, "between", 0.80, 0.1),
        of("relu", "exact", 5, "trained", 0.90, 0.2),
        of("relu", "adaptive", 5, "trained", 0.81, 0.7),
        of("hardtanh", "exact", 0, "untrained", 0.9, 0.9),
        of("hardtanh", "exact", 5, "trained", 0.82, 0.5),
        of("silu", "adaptive", 0, "untrained", 0.81, 0.9),
        of("silu", "adaptive", 1, "between", 0.80, 0.8),
        of("silu", "adaptive", 5, "trained", 0.95, 0.3),
        of("elu", "jvp", 5, "trained", 0.95, 0.3),  # no ReLU to compare it with
    ])  # fmt: skip
    table = activations.matched_table(networks).set_index(["activation", "matched"])
    assert table["epoch"].to_dict() == {
        ("hardtanh", "epoch"): 5, ("hardtanh", "test_accuracy"): 5,
        ("silu", "epoch"): 5, ("silu", "test_accuracy"): 1,
    }  # fmt: skip
    assert table["epoch_relu"].tolist() == [5, 1, 5, 5]
    assert table["mean_chi"].tolist() == pytest.approx([0.3, 0.4, -0.4, 0.1])
    assert table["symmetric"].tolist() == pytest.approx([0.15, 0.2, -0.2, 0.05])
    assert table["mismatch"].tolist() == pytest.approx([-0.08, 0.02, 0.14, -0.01])
    without = networks.assign(test_accuracy=np.nan)
    assert {*activations.matched_table(without)["matched"]} == {"epoch"}
