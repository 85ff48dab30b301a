"""Whether the data of a study's runs are those that were published."""

from collections.abc import Iterable
from contextlib import suppress

from spaceprobe.data.entry import DataError
from spaceprobe.data.sets import DATASETS
from spaceprobe.stages.stage import Sections
from spaceprobe.stages.train.settings import data_of


def data_origins(runs: Iterable[Sections]) -> dict[str, str]:
    """Return for each set of data files, named with its folder, where they come from.

    Args:
        runs: the sections of each run.
    """
    origins = {}
    for data in {data_of(sections) for sections in runs}:
        with suppress(DataError):  # a run that cannot be started tells
            origin = DATASETS[data.dataset].origin(data)
            if origin is not None:
                origins[data.dataset + (f" in {data.root}" if data.root else "")] = origin
    return dict(sorted(origins.items()))
