"""Compares the activation patterns of a network at one epoch with those at the folded epoch before it."""

from typing import TYPE_CHECKING

from spaceprobe.stages.fold.parts import folded_checkpoints
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.fold.thresholds import threshold_of
from spaceprobe.stages.stage import Job, Part, PartContent

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Dataset


def compare_epochs(job: Job, part: Part, network: "nn.Module", data: "Dataset") -> PartContent:
    """Return how far patterns changed since the epoch before, by layer.

    Args:
        job: what is computed.
        part: with both epochs.
        network: at the later one, in float64.
        data: whose first test images are looked at.
    """
    from spaceprobe.folding.pattern_changes import pattern_changes
    from spaceprobe.stages.train.networks import load_network

    settings = folding_of(job.sections)
    (trained,) = job.inputs["train"]
    name = folded_checkpoints(job.sections)[part.key["epoch_before"]]
    before = load_network(job.sections, job.folder, trained, name).double()
    images = data.test.inputs[: settings.patterns].double()
    changes = pattern_changes(
        before,
        network,
        images,
        bits=settings.bits,
        units=settings.units,
        thresholds=(
            threshold_of(settings, before, data.train.inputs),
            threshold_of(settings, network, data.train.inputs),
        ),
    )
    return PartContent(
        {
            "num_images": len(images),
            "num_bits": changes.num_bits.tolist(),
            "changed_bits": changes.bits.tolist(),
            "changed_images": changes.points.tolist(),
        }
    )
