"""What the fold stage computes of a run: a part for each epoch and set of paths."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.networks.entry import Engine
from spaceprobe.networks.walkable import RISING
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.settings import folding_of, num_classes_of, num_walks, with_images
from spaceprobe.stages.stage import GpuWish, Inputs, Job, Part, Sections
from spaceprobe.stages.train.parts import sources as train_sources
from spaceprobe.stages.train.settings import (
    checkpoints_of,
    data_key,
    data_layout,
    data_of,
    network_key,
    network_of,
)


def folded_checkpoints(sections: Sections) -> Mapping[int, str]:
    """Return the checkpoint of each epoch that is folded."""
    return checkpoints_of(sections, folding_of(sections).epoch)


def check(sections: Sections) -> None:
    """Check that the network has units to fold by, the method can walk it, and the data have the paths.

    Raises:
        SettingsError: one of them is not so.
    """
    network, dataset = network_of(sections), data_of(sections).dataset
    engines, method = network.entry.engines(network), folding_of(sections).method
    if not engines:
        activation = network.entry.activation(network)
        raise SettingsError(
            f"network.activation: {activation} bends nowhere and has no bits to fold by; "
            "set another, or leave fold and summarize out (study.stages: [train, lmd])"
        )
    if method not in engines:
        raise SettingsError(
            f"folding.method: {method} cannot walk this network (network.model: {network.model}, "
            f"network.activation: {network.entry.activation(network)}); set "
            f"{' or '.join(engines)}"
        )
    _check_bits(sections)
    _check_units(sections, engines)
    if not DATASETS[dataset].is_walkable:
        raise SettingsError(
            f"data.dataset: {dataset} has no classes of images to walk between; "
            "set another, or leave fold and summarize out (study.stages: [train, lmd])"
        )
    folding_of(sections).source.check(sections, num_classes_of(sections))


def _check_bits(sections: Sections) -> None:
    """Raise SettingsError unless the method and the activation have bits of the kind asked for."""
    settings, network = folding_of(sections), network_of(sections)
    if settings.bits == "sign":
        return
    if not settings.is_sampled:
        raise SettingsError(
            f"folding.bits: {settings.bits} concerns smooth activations only, and folding.method: "
            f"{settings.method} walks none; set folding.method: sampled or adaptive"
        )
    activation = network.entry.activation(network)
    if activation in RISING:
        raise SettingsError(
            f"folding.bits: {settings.bits} splits an activation where it turns, and network.activation: "
            f"{activation} only rises; set folding.bits: sign"
        )


def _check_units(sections: Sections, engines: Sequence[Engine]) -> None:
    """Check that what counts as a unit, and where its bit flips, go with network and method.

    Raises:
        SettingsError: they do not.
    """
    network, settings = network_of(sections), folding_of(sections)
    activation = network.entry.activation(network)
    if settings.units == "all" and settings.method == "jvp" and "kernel" not in engines:
        raise SettingsError(
            "folding.units: all counts what maxima choose, and folding.method: jvp counts ReLUs alone; set "
            "folding.method to exact"
        )
    if settings.threshold == 0:
        return
    if activation != "relu":
        raise SettingsError(
            f"folding.threshold: {settings.threshold} is for networks of ReLUs, and network.activation is "
            f"{activation}; set relu, or leave the threshold at 0"
        )
    if settings.method in ("kernel", "jvp") or settings.precision != "float64":
        raise SettingsError(
            f"folding.threshold: {settings.threshold} takes folding.method exact, layerwise, sampled or "
            "adaptive, and "
            "folding.precision float64; found "
            f"{settings.method} and {settings.precision}"
        )


GPU_PAYS_FROM = 3 * 10**10
"""Paths times counted units from which a study of ReLU MLPs goes to a GPU that is fast in float64. Chosen: 16
cores walk that in the ten seconds that a process takes to compile the CUDA kernel (2x30: 60 units, 3 million
paths a second and core), so that no smaller study gets slower by a GPU."""


def asks_gpu(sections: Sections) -> GpuWish:
    """Return which device the settings ask for.

    With ``auto``, exact walks of ReLU MLPs take a GPU only for the CUDA kernel, and so one that is fast in
    float64; at a threshold or in float32, which it does not have, they take the CPU.
    """
    settings, network = folding_of(sections), network_of(sections)
    if settings.device != "auto" or settings.method not in ("exact", "kernel"):
        return settings.device
    if "kernel" not in network.entry.engines(network):
        return "auto"
    return "auto-float64" if settings.precision == "float64" and settings.threshold == 0 else "cpu"


def gpu_pays(jobs: Sequence[Job]) -> bool:
    """Return whether jobs have so many paths, through so many units, that a GPU's start pays."""
    work = 0
    for job in jobs:
        network = network_of(job.sections)
        widths = network.entry.hidden_widths(network, data_layout(job.sections).input_shape)
        work += job.amount // 2 * sum(widths)  # a walk is two directed paths
    return work >= GPU_PAYS_FROM


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return a part for each epoch and set of paths."""
    settings = with_images(sections)
    source = settings.source
    (trained,) = inputs["train"]
    identity = settings.measurement(settings.identity())
    key: dict[str, Any] = {"folding": settings.measurement(settings.key())}
    for name in source.sections:
        identity |= {name: sections[name].identity()}
        key |= {name: sections[name].key()}
    if settings.detail:  # a new measure of a path concerns these parts only
        key |= {"columns": [column.name for measure in PATH_MEASURES.values() for column in measure.columns]}
    # A folder for each way of measuring: trying another one loses nothing.
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    data_digest = data_key(sections)["data_digest"]
    of_network = network_key(sections)
    return [
        Part(
            f"folding-{digest[:6]}/epoch{epoch}-{paths.name}.npz",
            {
                **key,
                "data_digest": data_digest,
                **of_network,
                "checkpoint": trained.files[name],
                "epoch": epoch,
                **paths.key,
            },
            siblings=f"folding-*/epoch{epoch}-{paths.name}.npz",
            amount=paths.amount + settings.detail,
        )
        for epoch, name in folded_checkpoints(sections).items()
        for paths in source.path_sets(sections, num_classes_of(sections))
    ]


def sources(sections: Sections) -> tuple[str, ...]:
    """Return the modules of the chosen data, network and endpoints, and of the measures of single paths."""
    settings = folding_of(sections)
    measures = [measure.module for measure in PATH_MEASURES.values()] if settings.detail else []
    return (*train_sources(sections), settings.source.module, *measures)


def remark(sections: Sections) -> str | None:
    """Return how many paths are walked where the study leaves that open and they may take long."""
    network = network_of(sections)
    if folding_of(sections).per_class != "auto" or "kernel" in network.entry.engines(network):
        return None
    settings = with_images(sections)
    number = num_walks(settings.source.path_sets(sections, num_classes_of(sections)))
    return (
        f"{number:,} paths at an epoch, those of the first {settings.per_class} test images of each class, "
        f"since the study gives no number and {network.entry.architecture(network)} is not an MLP of ReLUs; "
        "folding.per_class (--per-class) walks more"
    )
