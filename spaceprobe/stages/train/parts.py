"""What the train stage computes of a run: one part, the finished training."""

from spaceprobe.data.sets import DATASETS
from spaceprobe.networks.models import NETWORKS
from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train.settings import data_key, data_of, network_of, training_of

PART = "train.json"


def label(sections: Sections) -> str:
    """Return the readable start of a run's name."""
    network = network_of(sections)
    return f"{NETWORKS[network.model].label(network)}-s{training_of(sections).seed}"


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return the one part of a run."""
    del inputs
    training = training_of(sections)
    key = {
        **data_key(sections),
        "network": network_of(sections).key(),
        "training": training.key(),
        # Not in the run's name, since they change no number; in the key, since their files must be there.
        "snapshots": training.snapshot_epochs,
    }
    return [Part(PART, key, amount=training.epochs)]


def sources(sections: Sections) -> tuple[str, ...]:
    """Return the modules of the chosen dataset and kind of network: their code counts as well."""
    return DATASETS[data_of(sections).dataset].module, NETWORKS[network_of(sections).model].module
