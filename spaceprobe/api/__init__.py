"""The public Python functions, each imported when it is first used, since torch takes seconds to import.

Paths: `fold` measures a straight path through a torch module, or a batch of them, and `trace` says which unit
flips where on the way along one:

>>> from torch import nn
>>> from spaceprobe.api import fold, trace
>>> fold(nn.Hardtanh(), [-2.0, 0.5], [2.0, -0.5]).length
2
>>> trace(nn.Hardtanh(), [[-2.0, 0.5], [2.0, -0.5]]).to_frame()["kink"].tolist()
[-1.0, 1.0]

`walk_paths` has the counts behind them, and `space_folding` gives their χ:

>>> import torch
>>> from spaceprobe.api import space_folding, walk_paths
>>> network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).double()
>>> starts, ends = torch.rand(3, 2), torch.rand(3, 2)
>>> folding = walk_paths(network, starts, ends)
>>> space_folding(folding.length, folding.reach_from_a)  # one hidden layer never folds
array([0., 0., 0.])

Weight matrices: `decompose` gives the five factors of a matrix, of a layer, or of all matrices of a module:

>>> from spaceprobe.api import decompose
>>> weight = torch.eye(3, dtype=torch.float64)
>>> torch.allclose(decompose(weight, rank=3).product(), weight)
True

Data sets and studies: `load_data` reads a data set, `load_run` the network of a run:

>>> from spaceprobe.api import load_data
>>> load_data("digits").test.images.shape
torch.Size([297, 8, 8])

`read_tables` reads the tables of a finished study as DataFrames. `TABLES` has what each of them
declares, and the types of its columns for pandas and for polars, which is not imported:

>>> from spaceprobe.api import TABLES
>>> TABLES["folding"].pandas_dtypes()["num_points"], TABLES["folding"].polars_schema()["num_points"]
('Int64', <class 'int'>)

`Recorder` measures folding and decomposition at chosen steps of a training loop (docs/training.md).

Figures: functions from such tables to a matplotlib Figure, which `render` gives as a file: the same bytes for
the same table. A table that lacks what a figure is about gives a figure that says so:

>>> import pandas as pd
>>> from spaceprobe.api import path_figure, render
>>> path = pd.DataFrame({"t": [0.0, 0.5], "distance": [0, 1], "flips": [0, 1], "chi": [0.0, 0.0]})
>>> render(path_figure(path), "svg")[:5]
b'<?xml'
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

import spaceprobe.report  # noqa: F401 - before matplotlib, whose list of fonts it looks at
from spaceprobe.plugins import untold_problems

if TYPE_CHECKING:
    from spaceprobe.api.attributions import Attributions
    from spaceprobe.api.data import load_data
    from spaceprobe.api.folding import Folding, fold
    from spaceprobe.api.matrices import decompose
    from spaceprobe.api.runs import load_run
    from spaceprobe.api.tracing import Trace, trace
    from spaceprobe.folding import space_folding, walk_paths
    from spaceprobe.recording.recorder import Recorder
    from spaceprobe.report.drawing.style import FORMATS, render
    from spaceprobe.report.figures.architectures import folding_by_kind
    from spaceprobe.report.figures.class_pairs import class_pair_heat_maps
    from spaceprobe.report.figures.convergence import convergence_curves
    from spaceprobe.report.figures.depth import folding_against
    from spaceprobe.report.figures.dimension import activation_dimension
    from spaceprobe.report.figures.distribution import chi_distribution
    from spaceprobe.report.figures.evolution import rank_evolution
    from spaceprobe.report.figures.gap import gap_by_measure
    from spaceprobe.report.figures.memory import labels_fitted
    from spaceprobe.report.figures.metrics import latent_spectra
    from spaceprobe.report.figures.null_model import folding_beside_null
    from spaceprobe.report.figures.path import path_figure
    from spaceprobe.report.figures.plane import plane_figure
    from spaceprobe.report.figures.ranks import ranks_against_functional
    from spaceprobe.report.figures.retrieval import retrieval_accuracy
    from spaceprobe.report.figures.sampling import sampling_figure
    from spaceprobe.report.figures.semantics import axis_semantics
    from spaceprobe.report.figures.spectra import layer_spectra
    from spaceprobe.report.figures.training import training_curves
    from spaceprobe.results.declared import TABLES
    from spaceprobe.tables.frames import read_tables

logger = logging.getLogger(__name__)

_HOMES = {
    "Attributions": "spaceprobe.api.attributions",
    "Folding": "spaceprobe.api.folding",
    "Recorder": "spaceprobe.recording.recorder",
    "TABLES": "spaceprobe.results.declared",
    "Trace": "spaceprobe.api.tracing",
    "decompose": "spaceprobe.api.matrices",
    "fold": "spaceprobe.api.folding",
    "load_data": "spaceprobe.api.data",
    "load_run": "spaceprobe.api.runs",
    "read_tables": "spaceprobe.tables.frames",
    "space_folding": "spaceprobe.folding",
    "trace": "spaceprobe.api.tracing",
    "walk_paths": "spaceprobe.folding",
}

__all__ = [
    "FORMATS",
    "TABLES",
    "Attributions",
    "Folding",
    "Recorder",
    "Trace",
    "activation_dimension",
    "axis_semantics",
    "chi_distribution",
    "class_pair_heat_maps",
    "convergence_curves",
    "decompose",
    "fold",
    "folding_against",
    "folding_beside_null",
    "folding_by_kind",
    "gap_by_measure",
    "labels_fitted",
    "latent_spectra",
    "layer_spectra",
    "load_data",
    "load_run",
    "path_figure",
    "plane_figure",
    "rank_evolution",
    "ranks_against_functional",
    "read_tables",
    "render",
    "retrieval_accuracy",
    "sampling_figure",
    "space_folding",
    "trace",
    "training_curves",
    "walk_paths",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "spaceprobe.report.figures")), name)
    for problem in untold_problems():
        logger.warning("%s", problem)
    return value


def __dir__() -> list[str]:
    return __all__
