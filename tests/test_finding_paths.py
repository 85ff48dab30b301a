"""What findings keep of single paths, and of single epochs: whether patterns settle before weights."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spaceprobe.findings.questions.beyond_bits import AGREEMENT, BITS, PATH, by_layer
from spaceprobe.findings.questions.where_it_folds import (
    SETTLED,
    by_class_pair,
    changes_of_epochs,
    with_shares,
)
from spaceprobe.findings.tables import rank_correlation

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


def test_a_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(2)
    x, y = (pd.Series(rng.integers(0, 5, 30).astype(float)) for _ in range(2))  # many ties
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert math.isnan(rank_correlation(x, y * 0))
    assert math.isnan(rank_correlation(x[:4], y[:4]))


def test_both_directions_are_one_pair_of_classes():
    paths = pd.DataFrame(
        {
            "run": ["a", "a", "b", "a"],
            "seed": 0,
            "source_class": [3, 8, 3, 3],
            "target_class": [8, 3, 8, 3],
            **{name: [1.0, 2.0, 5.5, 7.0] for name in ("distance", "length", "reach", "chi", "density")},
        }
    )
    found = by_class_pair(paths)
    assert found[["first_class", "second_class"]].to_numpy().tolist() == [[3, 3], [3, 8]]
    assert found["chi"].tolist() == [7.0, (1.5 + 5.5) / 2]  # of networks first


def test_layers_are_compared_with_the_bits_of_the_same_paths():
    rng = np.random.default_rng(5)
    one = pd.DataFrame({"run": "a", "source_class": 0, "target_class": 1, "source": range(9), "target": 7})
    paths = pd.concat([one.assign(epoch=epoch) for epoch in (0, 4)], ignore_index=True)
    bits = paths.assign(chi=rng.uniform(size=18)).set_index([*PATH])["chi"]
    about = {"seed": 3, "layer": 2, "quantity": "activation", "norm": "L1", "scaling": "raw"}
    rows = paths.assign(**about, chi=rng.uniform(size=18))
    both = [rows, rows.assign(layer=0)]  # of all layers, which is not one of them
    found = by_layer(pd.concat(both).sample(frac=1, random_state=1), bits).set_index("state")
    for state, epoch in (("untrained", 0), ("trained", 4)):
        own = rows[rows["epoch"] == epoch]
        expected = bits.rename(BITS).reset_index().query(f"epoch == {epoch}")[BITS]
        assert found.at[state, "chi"] == pytest.approx(own["chi"].mean(), rel=1e-12)
        spearman = stats.spearmanr(own["chi"], expected).statistic
        assert found.at[state, AGREEMENT] == pytest.approx(spearman, rel=1e-12)
    assert len(found) == 2
