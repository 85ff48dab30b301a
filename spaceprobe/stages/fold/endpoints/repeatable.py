"""What sources of endpoints draw by: seeds that do not depend on each other, and one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread in the block: sums over several have other last bits, by their number."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def generator(*seeds: int) -> "np.random.Generator":
    """Return a generator of numpy's that depends on all of some seeds, each 0 or more.

    Drawn row by row, the first rows are the same however many are drawn.
    """
    import numpy as np

    return np.random.default_rng(seeds)
