"""What data the runs of a study use, and whether they are those that were published."""

from collections.abc import Iterable
from contextlib import suppress

from spaceprobe.data.entry import DataError
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.stage import Sections
from spaceprobe.stages.train.settings import OWN, data_of


def data_origins(runs: Iterable[Sections]) -> dict[str, str]:
    """Return for each set of data, named with its folder or as the user's own, where they come from.

    Args:
        runs: the sections of each run.
    """
    origins = {}
    for data in {data_of(sections) for sections in runs}:
        with suppress(DataError):  # a run that cannot be started tells
            entry = DATASETS[data.dataset]
            origin = entry.origin(data)
            if data.dataset in OWN:
                origins[f"data.{data.dataset} {entry.place(data)}"] = str(origin)
            elif origin is not None:
                origins[data.dataset + (f" in {data.root}" if data.root else "")] = origin
    return dict(sorted(origins.items()))
