"""Handwritten digits of 8 × 8 pixels, in scikit-learn: nothing is downloaded."""

from typing import TYPE_CHECKING

from spaceprobe.data.arrays import arrays_entry
from spaceprobe.data.entry import describe_digit

if TYPE_CHECKING:
    import numpy as np


def _read() -> "tuple[np.ndarray, np.ndarray]":
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data / 16, digits.target


ENTRY = arrays_entry(
    _read,
    input_shape=(8, 8),
    num_classes=10,
    num_training_points=1_500,
    describe_class=describe_digit,
    origin="published, in scikit-learn",
)
