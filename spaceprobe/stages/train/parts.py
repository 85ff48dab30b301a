"""What the train stage computes of a run: one part, the finished training."""

from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train.settings import data_key, network_of, training_of

PART = "train.json"


def label(sections: Sections) -> str:
    """Return the readable start of a run's name."""
    return f"{network_of(sections).architecture}-s{training_of(sections).seed}"


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
