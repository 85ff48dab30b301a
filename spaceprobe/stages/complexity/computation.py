"""Measure norms, margins and sharpness of the networks of a run."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.complexity.regions import region_counts
from spaceprobe.stages.complexity.settings import ComplexitySettings, complexity_of
from spaceprobe.stages.complexity.tables import MEASURES, REGIONS
from spaceprobe.stages.stage import Advance, Job, Part, PartContent, WriteFile
from spaceprobe.stages.train.settings import INITIAL, checkpoints_of

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Split

MARGIN_QUANTILE = 0.1
"""Which quantile of the margins of training points is the margin: that of Jiang et al. (ICLR 2020)."""

NOISE_SEED = 0
"""Chosen: of the noise on the weights, the same for all networks and epochs."""


def compute(job: Job, advance: Advance, write_file: WriteFile) -> Iterator[tuple[Part, PartContent]]:
    """Yield the measures of each epoch."""
    del write_file
    from spaceprobe.stages.train.networks import load_network, load_training_data

    settings = complexity_of(job.sections)
    (trained,) = job.inputs["train"]
    data = load_training_data(job.sections, job.folder, trained)
    points = data.train.first(settings.sample)
    untrained = None  # of given weights
    if INITIAL in trained.files:
        untrained = load_network(job.sections, job.folder, trained, INITIAL).double()
    checkpoints = checkpoints_of(job.sections, settings.epoch)
    for part in job.parts:
        epoch = part.key["epoch"]
        network = load_network(job.sections, job.folder, trained, checkpoints[epoch]).double()
        record = {"epoch": epoch, **_measures(network, untrained, points, settings)}
        if settings.paths:
            record[REGIONS.name] = region_counts(job.sections, network, data.test, settings.paths)
        yield part, PartContent(record)
        advance(1)


def _measures(
    network: "nn.Module", untrained: "nn.Module | None", points: "Split", settings: ComplexitySettings
) -> dict[str, Any]:
    """Return the measures of one network, and a note on those that it has no number for."""
    from spaceprobe.networks.sharpness import sharpness

    inputs, targets = points.inputs.double(), points.targets
    targets = targets.double() if targets.dtype.is_floating_point else targets
    values = _norms(network, untrained)
    values |= _margins(network, inputs, targets, values)
    found = sharpness(
        network, inputs, targets, noise=settings.noise, num_draws=settings.draws, seed=NOISE_SEED
    )
    values |= {"sharpness": found.mean, "worst_sharpness": found.largest}
    notes = []
    if "path_norm" not in values:
        notes.append("path norm and products of norms are those of MLPs only")
    if infinite := [name for name, value in values.items() if not math.isfinite(value)]:
        notes.append(f"too large for a number: {', '.join(infinite)}")
    row: dict[str, Any] = {name: values.get(name) for name in MEASURES}
    row |= dict.fromkeys(infinite)
    return row | {"note": "; ".join(notes)}


def _norms(network: "nn.Module", untrained: "nn.Module | None") -> dict[str, float]:
    """Return the norms of the weights, as far as a network has them."""
    import torch

    from spaceprobe.networks.path_norm import affine_maps, frobenius_product, path_norm, spectral_product

    weights = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    values = {"weight_norm": float(weights.norm())}
    if untrained is not None:
        initial = torch.nn.utils.parameters_to_vector(untrained.parameters()).detach()
        values["distance"] = float((weights - initial).norm())
    maps = affine_maps(network)
    if maps is not None:
        values["path_norm"] = path_norm(maps)
        values["spectral_product"] = spectral_product(maps)
        values["frobenius_product"] = frobenius_product(maps)
    return values


def _margins(network: "nn.Module", inputs: Any, targets: Any, norms: dict[str, float]) -> dict[str, float]:
    """Return the margin of the outputs, as it is and over norms; nothing for a regression."""
    import torch

    from spaceprobe.networks.sharpness import output_margins, outputs_of

    if targets.dtype.is_floating_point:
        return {}
    margins = output_margins(outputs_of(network, inputs), targets)
    values = {"margin": float(torch.quantile(margins, MARGIN_QUANTILE))}
    for name, norm in (("path_margin", "path_norm"), ("spectral_margin", "spectral_product")):
        if norms.get(norm):  # a network of zeros has no normalised margin
            values[name] = values["margin"] / norms[norm]
    return values
