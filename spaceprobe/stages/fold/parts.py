"""What the fold stage computes of a run: a part for each epoch and set of paths."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.settings import folding_of, num_classes_of
from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train.parts import sources as train_sources
from spaceprobe.stages.train.settings import checkpoints_of, data_key, data_of, network_of


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
    if not DATASETS[dataset].is_walkable:
        raise SettingsError(
            f"data.dataset: {dataset} has no classes of images to walk between; "
            "set another, or leave fold and summarize out (study.stages: [train, lmd])"
        )
    folding_of(sections).source.check(sections, num_classes_of(sections))


def asks_gpu(sections: Sections) -> Literal["cuda", "auto", "cpu"]:
    """Return which device the settings ask for; ``auto`` is the CPU where its compiled walk is fastest."""
    settings, network = folding_of(sections), network_of(sections)
    if settings.device == "auto" and settings.method in ("exact", "kernel"):
        is_compiled = "kernel" in network.entry.engines(network)
        return "cpu" if is_compiled else "auto"
    return settings.device


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return a part for each epoch and set of paths."""
    settings = folding_of(sections)
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
    return [
        Part(
            f"folding-{digest[:6]}/epoch{epoch}-{paths.name}.npz",
            {
                **key,
                "data_digest": data_digest,
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
