"""Whether patterns settle before weights: what is compared of single epochs."""

import math

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.questions.where_it_folds import SETTLED, changes_of_epochs, with_shares

CHANGES = pd.DataFrame(
    {
        "run": ["a", "a", "a", "b", "b", "c", "c"],
        "epoch": [1, 5, 9, 1, 5, 1, 5],
        "changed_bits": [0.4, 0.1, 0.0, 0.2, 0.1, 0.0, 0.0],
        "changed_weights": [0.8, 0.4, 0.2, 0.5, 0.1, 0.5, 0.25],
    }
)


def test_shares_are_of_the_first_epoch():
    shares = with_shares(CHANGES)
    assert shares["epoch"].tolist() == [5, 9, 5, 5]
    assert shares["share_of_bits"].tolist() == pytest.approx([0.25, 0, 0.5, math.nan], nan_ok=True)
    assert shares["share_of_weights"].tolist() == pytest.approx([0.5, 0.25, 0.2, 0.5])
    # below 0 where bits have settled further; no bit that changes has no logarithm
    expected = [math.log(0.5), math.nan, math.log(2.5), math.nan]
    assert shares[SETTLED].tolist() == pytest.approx(expected, nan_ok=True)


def test_only_single_epochs_are_compared():
    patterns = pd.DataFrame(
        {
            "run": "a",
            "epoch": [1, 1, 4, 5, 10],
            "epoch_before": [0, 0, 1, 4, 5],
            "layer": [0, 1, 0, 0, 0],
            "changed_bits": [0.5, 0.9, 0.4, 0.1, 0.3],
        }
    )
    weights = pd.DataFrame(
        {"run": "a", "epoch": np.repeat(range(11), 2), "layer": [0, 1] * 11, "raw_drift": range(22)}
    )
    found = changes_of_epochs(patterns, weights)
    assert found["epoch"].tolist() == [1, 5]
    assert found["changed_bits"].tolist() == [0.5, 0.1]
    assert found["changed_weights"].tolist() == [2.5, 10.5]
