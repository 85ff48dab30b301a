"""Grey patches of 8 × 8 pixels of two photographs, in scikit-learn: nothing is downloaded."""

from typing import TYPE_CHECKING

from spaceprobe.data.arrays import arrays_entry

if TYPE_CHECKING:
    import numpy as np

SIDE = 8
"""Pixels of a side; chosen, as those of the digits."""

PHOTOGRAPHS = ("the temple", "the flower")
"""What load_sample_images returns, in its order."""


def _read() -> "tuple[np.ndarray, np.ndarray]":
    """Return all patches that do not overlap, as grey levels in [0, 1], and which photograph each is of."""
    import numpy as np
    from sklearn.datasets import load_sample_images

    patches = []
    for photograph in load_sample_images().images:
        grey = photograph.mean(axis=2) / 255
        rows, columns = (size // SIDE for size in grey.shape)
        cut = grey[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
        patches.append(cut.transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE))
    return np.concatenate(patches), np.repeat(range(len(patches)), [len(of_one) for of_one in patches])


ENTRY = arrays_entry(
    _read,
    input_shape=(SIDE, SIDE),
    num_classes=len(PHOTOGRAPHS),
    num_training_points=7_000,
    describe_class=lambda label: f"a patch of {PHOTOGRAPHS[label]}",
    origin="published, in scikit-learn",
)
