"""Predict how long the paths of a network take, from a few of them that are timed on this machine."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.settings import folding_of, num_walks, path_sets_of
from spaceprobe.stages.stage import Cost, Sections
from spaceprobe.stages.train.settings import checkpoints_of, data_of, network_of
from spaceprobe.tables.text import count

if TYPE_CHECKING:
    from torch import Tensor

LIMIT_S = 10.0
"""Chosen: how long a path may take before its timing is given up."""

QUICK_S = 1.0
"""Chosen: where the first path takes less, a second one is timed."""

TOGETHER_S = 3.2
"""Chosen: so many paths are timed together, as most are walked, as take no longer one by one."""

NUM_TOGETHER = 32
"""Chosen: at most how many."""

NUM_TIMED = 400
"""Chosen: paths that the kernel walks while it is timed, some tenths of a second; for others see above."""


class _TooLongError(Exception):
    """A path takes longer than it may."""


def predict_cost(sections: Sections) -> Cost:
    """Return how long the paths of an untrained network take that is like the one to be folded.

    What a trained network takes differs: it has other regions. The number is of one core.

    Raises:
        SpaceprobeError: the data or the network cannot be had, or cannot be walked.
    """
    import torch

    from spaceprobe.errors import SpaceprobeError
    from spaceprobe.folding import engine_for, fold_matched
    from spaceprobe.stages.train.networks import build_network, load_data

    settings, options = folding_of(sections), network_of(sections)
    data = load_data(data_of(sections))
    network = build_network(sections, data)[0].double()
    name = options.entry.architecture(options)
    if not options.is_foreign:
        name += f" of {options.model} with {options.entry.activation(options)}"
    total = num_walks(path_sets_of(sections)) * len(checkpoints_of(sections, settings.epoch))
    sources, targets = _ends(data.test.inputs.double())
    choice: dict[str, Any] = {
        "method": settings.method,
        "device": "cpu",
        "precision": settings.precision,
        "units": settings.units,
        # Quantiles would be known after training; a walk takes as long at any number.
        "threshold": 1.0 if isinstance(settings.threshold, str) else settings.threshold,
    }
    engine = engine_for(network, sources, **choice)
    way = {**choice, "num_points": settings.num_points, "bits": settings.bits, "threads": 1}
    work = f"{name}, {total:,} paths by {engine}"

    def walk(first: int, last: int) -> None:
        fold_matched(network, sources[first:last], targets[first:last], warn=False, **way)

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if engine == "kernel":
            walk(0, 1)  # which compiles it
            number, seconds = len(sources), _timed(lambda: walk(0, len(sources)))
        else:
            with _limited(LIMIT_S):
                number, seconds = 1, _timed(lambda: walk(0, 1))
                if seconds < QUICK_S:  # the first one also sets up what the others find ready
                    seconds = _timed(lambda: walk(1, 2))
                together = min(NUM_TOGETHER, len(sources), int(TOGETHER_S / seconds))
                if together > 1:  # one alone measures mostly what they share, and what else runs here
                    number, seconds = together, _timed(lambda: walk(0, together))
    except _TooLongError:
        return Cost(work, f"one path takes more than {LIMIT_S:g} s", None, at_least_s=LIMIT_S * total)
    except ValueError as error:  # what cannot be walked says so
        raise SpaceprobeError(f"{name}: {error}") from error
    finally:
        torch.set_num_threads(num_threads)
    return Cost(work, f"{count(number, 'path')} timed in {seconds:.2g} s", seconds / number * total)


def _timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _ends(images: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return ends of paths that are timed: each of the first images and the one after it."""
    images = images[: NUM_TIMED + 1]
    return images[:-1], images[1:]


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise in the block after so many seconds, where the system has such a clock for the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
