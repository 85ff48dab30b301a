"""Decompose the weight matrices of the networks of a run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.lmd.settings import lmd_of
from spaceprobe.stages.lmd.tables import MATRICES, TABLES, asked_tables
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import INITIAL, checkpoints_of, data_of, network_of

if TYPE_CHECKING:
    import numpy as np


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the tables and factors of each epoch."""
    del write_file
    from spaceprobe.stages.lmd.matrix import factor_arrays
    from spaceprobe.stages.lmd.network import NetworkDecomposer
    from spaceprobe.stages.train.networks import load_network, load_training_data

    settings = lmd_of(job.sections)
    (trained,) = job.inputs["train"]
    untrained = None  # of given weights
    if INITIAL in trained.files:
        untrained = load_network(job.sections, job.folder, trained, INITIAL).double()
    decomposer = NetworkDecomposer(
        untrained,
        network_of(job.sections),
        load_training_data(job.sections, job.folder, trained),
        settings,
        has_random_labels=data_of(job.sections).random_labels > 0,
    )
    # The names of matrices have a place in every stored part, as from the start: its bytes stay the same.
    tables = [table.name for table in TABLES if table is MATRICES or table in asked_tables(job.sections)]
    checkpoints = checkpoints_of(job.sections, settings.epoch)
    for part in job.parts:
        epoch = part.key["epoch"]
        network = untrained
        if network is None or checkpoints[epoch] != INITIAL:
            network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
        arrays: dict[str, np.ndarray] = {}
        try:
            for layer, (layer_rows, decomposition) in enumerate(decomposer.layers(network)):
                for table, table_rows in layer_rows.items():
                    rows[table].extend({"epoch": epoch, "layer": layer, **row} for row in table_rows)
                arrays |= factor_arrays(f"layer{layer}", decomposition)
            for table, table_rows in decomposer.whole_network(network).items():
                rows[table].extend({"epoch": epoch, **row} for row in table_rows)
        except ValueError as error:  # what no check foresaw of these data, such as a singular metric
            raise SpaceprobeError(f"epoch {epoch}: {error}") from error
        yield part, PartContent(rows, arrays)
        advance(1)
