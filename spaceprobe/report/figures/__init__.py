"""Figures: each a function from the study's tables, as pandas reads its CSVs, to a matplotlib Figure.

Folding: `folding_against` depth, width or another swept number; `class_pair_heat_maps`; `chi_distribution`.

Weight matrices: `layer_spectra` and `latent_spectra`; `ranks_against_functional` and `rank_evolution`.

Probes of layers: `activation_dimension`, `retrieval_accuracy` and `axis_semantics`.

Training: `training_curves` and `convergence_curves`.

Paths: `path_figure`, `plane_figure` and `sampling_figure`.

A table that lacks what a figure is about gives a figure that says so. `render` gives a figure as a file of
one of `FORMATS`.
"""

from spaceprobe.report.figures.class_pairs import class_pair_heat_maps
from spaceprobe.report.figures.folding import chi_distribution, folding_against
from spaceprobe.report.figures.matrices import latent_spectra, layer_spectra
from spaceprobe.report.figures.paths import path_figure, plane_figure, sampling_figure
from spaceprobe.report.figures.probes import activation_dimension, axis_semantics, retrieval_accuracy
from spaceprobe.report.figures.ranks import rank_evolution, ranks_against_functional
from spaceprobe.report.figures.style import FORMATS, render
from spaceprobe.report.figures.training import convergence_curves, training_curves

__all__ = [
    "FORMATS",
    "activation_dimension",
    "axis_semantics",
    "chi_distribution",
    "class_pair_heat_maps",
    "convergence_curves",
    "folding_against",
    "latent_spectra",
    "layer_spectra",
    "path_figure",
    "plane_figure",
    "rank_evolution",
    "ranks_against_functional",
    "render",
    "retrieval_accuracy",
    "sampling_figure",
    "training_curves",
]
