"""The encoding margin, against exact fractions."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.margins import classification_errors, margins, regression_errors

# Rounding of a few operations in float64.
TOLERANCE = 1e-13


def test_the_error_of_a_class_keeps_its_digits():
    # Integer powers of two as odds: p_y = 2^a / Σ 2^b, exact in fractions.
    exponents = [[0, 0, 0], [60, 0, 1], [0, 70, 0], [-3, 200, 4], [5, 2, 900]]
    labels = [1, 0, 1, 1, 2]
    logits = torch.tensor(exponents, dtype=torch.float64) * math.log(2)
    expected = []
    for row, label in zip(exponents, labels, strict=True):
        odds = [Fraction(2) ** a for a in row]
        expected.append(float(1 - odds[label] / sum(odds)))
    found = classification_errors(logits, torch.tensor(labels)).numpy()
    # A logit of 900·log 2 is off by up to half a unit of its last place, 6e-14.
    assert found == pytest.approx(expected, rel=1e-12, abs=0)
    assert 0 < found[4] < 1e-250
    naive = 1 - torch.softmax(logits, 1)[torch.arange(5), torch.tensor(labels)]
    assert naive[3] == 0


@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_errors_of_classes_add_up_and_do_not_see_a_common_shift(seed, shift):
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(6, 4, dtype=torch.float64, generator=generator)
    every = torch.stack([classification_errors(logits, torch.full((6,), label)) for label in range(4)], 1)
    assert every.sum(1).numpy() == pytest.approx(3, rel=TOLERANCE)
    assert every.numpy() == pytest.approx(1 - torch.softmax(logits, 1).numpy(), abs=TOLERANCE)
    labels = torch.tensor([0, 3, 1, 2, 2, 0])
    shifted = classification_errors(logits + shift, labels)
    assert shifted.numpy() == pytest.approx(classification_errors(logits, labels).numpy(), rel=1e-12)


def test_odd_logits():
    logits = torch.tensor([[1e308, -1e308], [-1e308, 1e308]], dtype=torch.float64)
    assert classification_errors(logits, torch.tensor([0, 0])).tolist() == [0.0, 1.0]
    assert classification_errors(torch.ones(3, 1), torch.tensor([0, 0, 0])).tolist() == [0.0] * 3
    parameter = torch.nn.Parameter(torch.zeros(2, 5))
    assert classification_errors(parameter, torch.tensor([4, 0])).tolist() == pytest.approx([0.8, 0.8])
    with pytest.raises(ValueError, match="labels: from -1 to 5, with 5 logits a label is one of 0 to 4"):
        classification_errors(torch.ones(3, 5), torch.tensor([5, -1, 0]))
    with pytest.raises(ValueError, match="logits: 1 of 2 entries are NaN or infinite"):
        classification_errors(torch.tensor([[1.0, math.nan]]), torch.tensor([0]))


def test_the_error_of_a_regression_is_a_distance():
    outputs, targets = (
        torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 1e30]]),
        torch.tensor([[0.0, 1, -2], [0, 0, 0]]),
    )
    assert regression_errors(outputs, targets).tolist() == pytest.approx([5.0, 1e30], rel=1e-7)
    with pytest.raises(ValueError, match="targets: 1 of 6 entries are NaN"):
        regression_errors(outputs, targets.where(targets != -2, math.inf))


def literal_quantile(values, share):
    """The least value with at least this share of all values at or below it."""
    return next(v for v in sorted(values) if sum(w <= v for w in values) >= share * len(values))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
def test_margins_are_errors_of_points(values):
    found = margins(torch.tensor(values, dtype=torch.float64))
    assert list(found) == ["q50", "q90", "q99", "max"]
    expected = {"q50": Fraction(1, 2), "q90": Fraction(9, 10), "q99": Fraction(99, 100), "max": Fraction(1)}
    assert found == {name: literal_quantile(values, share) for name, share in expected.items()}


def test_margins_of_a_hundred():
    values = torch.arange(1.0, 101, dtype=torch.float64).flip(0)
    assert margins(values) == {"q50": 50.0, "q90": 90.0, "q99": 99.0, "max": 100.0}


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([], "errors: none, at least one point is needed"),
        ([0.1, math.nan, math.inf], "errors: 2 of 3 entries are NaN or infinite"),
        ([0.1, -0.2], r"errors: down to -0\.2, numbers >= 0 are needed"),
    ],
)
def test_what_has_no_margin_is_refused(errors, message):
    with pytest.raises(ValueError, match=message):
        margins(torch.tensor(errors, dtype=torch.float64))


def test_points_that_do_not_match_are_refused(unchecked_shapes):
    with pytest.raises(ValueError, match="labels: of 1 points, the logits are of 3"):
        classification_errors(torch.ones(3, 5), torch.tensor([2]))
    with pytest.raises(ValueError, match=r"of shapes \(3, 2\) and \(3, 1\), one target for each output"):
        regression_errors(torch.ones(3, 2), torch.ones(3, 1))
