"""Random labels: what a network can only fit by remembering it."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor


def randomize_labels(
    labels: Int64[Tensor, "points"], share: float, num_classes: int, seed: int
) -> Int64[Tensor, "points"]:
    """Return the labels with round(share · n) of them, chosen at random, drawn anew over all classes.

    A drawn label may be the true one: of a share s, about s / num_classes are drawn and still right.
    A larger share with the same seed keeps every label that a smaller one has drawn: the points chosen for
    0.3 are among those for 0.6. A half is rounded to the even number. The argument is not changed.

    Source: Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017,
    section 2.1 ("partially corrupted labels": with probability p, a uniform random class); here their number
    is exact and not itself random.

    Args:
        labels: classes 0 to num_classes - 1.
        share: of the points, in [0, 1]; 0 gives equal labels.
        num_classes: at least 2.
        seed: of the choice and of the labels; 0 or more. No other random numbers are touched.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: expected a number from 0 to 1")
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}: expected at least 2")
    if seed < 0:
        raise ValueError(f"seed is {seed}: expected 0 or more")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}: expected 0 to {num_classes - 1}"
        )
    rng = np.random.default_rng(seed)
    # Both for all points, whatever the share: so a larger share goes on where a smaller one stopped.
    order = torch.from_numpy(rng.permutation(len(labels)))
    drawn = torch.from_numpy(rng.integers(num_classes, size=len(labels)))
    chosen = order[: round(share * len(labels))]
    randomized = labels.clone()
    randomized[chosen] = drawn[chosen]
    return randomized
