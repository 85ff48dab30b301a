"""What the fold stage computes of a run: a part for each epoch and set of paths."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.networks.entry import Engine
from spaceprobe.networks.walkable import JUMPING, RISING
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.settings import (
    folding_of,
    is_left_open,
    num_classes_of,
    num_walks,
    path_sets_of,
    with_images,
)
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
    _check_tables(sections)
    _check_measures(sections)
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


def _check_tables(sections: Sections) -> None:
    """Check that there is what the tables of single paths and of epochs are about.

    Raises:
        SettingsError: it is not so.
    """
    settings, network = folding_of(sections), network_of(sections)
    for table in settings.path_tables:
        if settings.detail == 0:
            raise SettingsError(
                f"folding.{table.setting}: {table.table_name}.csv lists the single paths of folding.detail, "
                "which is 0; set a number of them, such as folding.detail: 20"
            )
        if settings.method == "adaptive" and not table.is_of_flips:
            raise SettingsError(
                f"folding.{table.setting}: {table.table_name}.csv is measured where paths bend, or at evenly "
                "spaced points, and folding.method is adaptive; set folding.method to exact or sampled"
            )
    if settings.patterns and len(folded_checkpoints(sections)) < 2:
        raise SettingsError(
            f"folding.patterns: pattern_changes.csv compares two epochs, and folding.epoch: {settings.epoch} "
            "has one of this network; set folding.epoch to both, or to all with training.snapshots"
        )
    activation = network.entry.activation(network)
    for name in ("distances", "images"):
        if getattr(settings, name) and activation in JUMPING and not settings.is_sampled:
            raise SettingsError(
                f"folding.{name}: {activation} jumps (network.activation, network.model), so values at "
                f"breakpoints do not tell lengths; set folding.method: sampled, or leave folding.{name} out"
            )


def _check_measures(sections: Sections) -> None:
    """Check that the measures of single paths that are asked for go with the paths and the network.

    Raises:
        SettingsError: they do not.
    """
    settings, network = folding_of(sections), network_of(sections)
    for measure in settings.path_measures:
        if measure.setting is not None and settings.detail == 0:
            raise SettingsError(
                f"folding.{measure.setting}: adds columns to paths.csv, which lists the single paths of "
                "folding.detail, which is 0; set a number of them, such as folding.detail: 20"
            )
    if not settings.decisions:
        return
    if settings.method == "adaptive":
        raise SettingsError(
            "folding.decisions: the decision is read in every linear region, or at evenly spaced points, and "
            "folding.method is adaptive; set folding.method to exact or sampled"
        )
    activation = network.entry.activation(network)
    if activation in JUMPING and not settings.is_sampled:
        raise SettingsError(
            f"folding.decisions: {activation} jumps (network.activation, network.model), so outputs at "
            "breakpoints do not tell where the decision flips; set folding.method: sampled, or leave "
            "folding.decisions out"
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
        key |= {"columns": [column.name for measure in settings.path_measures for column in measure.columns]}
        key |= {table.table_name: [*table.names] for table in settings.path_tables}
    # A folder for each way of measuring: trying another one loses nothing.
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    data_digest = data_key(sections)["data_digest"]
    of_network = network_key(sections)
    checkpoints = folded_checkpoints(sections)
    every = {"data_digest": data_digest, **of_network}
    parts = []
    for epoch, before in zip(checkpoints, [None, *checkpoints], strict=False):
        state = {"checkpoint": trained.files[checkpoints[epoch]], "epoch": epoch}
        if settings.patterns and before is not None:
            states = {
                **state,
                "checkpoint_before": trained.files[checkpoints[before]],
                "epoch_before": before,
            }
            parts.append(
                Part(
                    f"folding-{digest[:6]}/patterns-epoch{before}-{epoch}.json",
                    {"folding": settings.pattern_key(), **every, **states},
                    amount=0,  # no path
                )
            )
        parts += [
            Part(
                f"folding-{digest[:6]}/epoch{epoch}-{paths.name}.npz",
                {**key, **every, **state, **paths.key},
                siblings=f"folding-*/epoch{epoch}-{paths.name}.npz",
                amount=paths.amount + settings.detail,
            )
            for paths in path_sets_of(sections)
        ]
    return parts


def is_comparison(part: Part) -> bool:
    """Return whether a part compares the patterns of two epochs, where the others are sets of paths."""
    return "epoch_before" in part.key


def sources(sections: Sections) -> tuple[str, ...]:
    """Return the modules of the chosen data, network, endpoints, and measures and tables of single paths."""
    settings = folding_of(sections)
    measures = [measure.module for measure in PATH_MEASURES.values()] if settings.detail else []
    measures += [table.module for table in settings.path_tables]
    return (*train_sources(sections), settings.source.module, *measures)


def remark(sections: Sections) -> str | None:
    """Return how many paths are walked where the study leaves that open and they may take long."""
    if not is_left_open(sections):
        return None
    network, settings = network_of(sections), with_images(sections)
    path_sets = path_sets_of(sections)
    num_sets = len(settings.source.path_sets(sections, num_classes_of(sections)))
    fewer = "" if len(path_sets) == num_sets else f" in {len(path_sets):,} of {num_sets:,} sets of paths"
    return (
        f"{num_walks(path_sets):,} paths at an epoch, between {settings.per_class} test images of each class"
        f"{fewer}, drawn with a fixed seed, since the study gives no number and "
        f"{network.entry.architecture(network)} is not an MLP of ReLUs; "
        "folding.per_class (--per-class) takes more"
    )


def is_costly(sections: Sections) -> bool:
    """Return whether another engine than the kernel walks the paths, of which one may take seconds."""
    network, settings = network_of(sections), folding_of(sections)
    is_compiled = "kernel" in network.entry.engines(network) and settings.method in ("exact", "kernel")
    return not is_compiled or settings.threshold != 0
