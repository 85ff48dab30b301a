"""The six sets of EMNIST, which lie in one folder under names of their own."""

import string

from spaceprobe.data.entry import DatasetEntry
from spaceprobe.data.torchvision_sets import TorchvisionSet, torchvision_entry

_ALIKE_IN_BOTH_CASES = "cijklmopsuvwxyz"
_ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MERGED = "".join(sign for sign in _ALL if sign not in _ALIKE_IN_BOTH_CASES)

CLASSES = {
    "balanced": _MERGED,
    "byclass": _ALL,
    "bymerge": _MERGED,
    "digits": string.digits,
    "letters": string.ascii_lowercase,
    "mnist": string.digits,
}
"""What the classes of each set are, in the order of their numbers."""

NUM_TRAINING_POINTS = {
    "balanced": 112_800,
    "byclass": 697_932,
    "bymerge": 697_932,
    "digits": 240_000,
    "letters": 124_800,
    "mnist": 60_000,
}
"""Of the files that torchvision downloads (Cohen et al., arXiv 1702.05373, table II)."""


def emnist_entry(split: str) -> DatasetEntry:
    """Return the entry of a set of EMNIST, its images upright.

    Args:
        split: as torchvision names it, such as ``letters``, whose labels begin with 1 in the files.
    """
    return torchvision_entry(
        TorchvisionSet(
            class_name="EMNIST",
            train={"split": split, "train": True},
            test={"split": split, "train": False},
            files={
                f"EMNIST/raw/emnist-{split}-{part}-{kind}-ubyte": None
                for part in ("train", "test")
                for kind in ("images-idx3", "labels-idx1")
            },
            input_shape=(28, 28),
            class_names=[*CLASSES[split]],
            num_classes=len(CLASSES[split]),
            num_training_points=NUM_TRAINING_POINTS[split],
            first_label=int(split == "letters"),
            is_transposed=True,
            bars=[f"EMNIST/processed/{part}_{split}.pt" for part in ("training", "test")],
        )
    )
