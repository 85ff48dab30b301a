"""Which commands of stages work on a network that stands by itself, and how: ``--model``."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from spaceprobe.cli.file_outcomes import show_outcome
from spaceprobe.cli.fold_model import fold_model, fold_parameters
from spaceprobe.cli.model_options import ModelCall, model_parameters, refuse_others, weights_parameters
from spaceprobe.cli.options import message_parameters, show_chosen_messages
from spaceprobe.cli.stage_flags import Flags
from spaceprobe.machine.limits import check_threads
from spaceprobe.networks.models import NETWORKS
from spaceprobe.stages.stage import Stage

WITHOUT_STUDY = "--model works without one"

ALWAYS = ("overrides", "trusted_modules", *(str(option.name) for option in message_parameters()))
"""Parameters that go with --model in every command."""

MESSAGES = tuple(str(option.name) for option in message_parameters())


LMD_DATA = (
    "With --model cnn and the other kinds: the data whose inputs say the network's shape. What the data "
    "themselves tell about matrices a study measures (network.weights)."
)
"""What ``--data`` is of a decomposition, which reads weights alone."""

MODEL_NAMES = ("model", "data", "seed", "num_outputs", "weights", "key")
"""The parameters that name a network, its weights and its data."""


@dataclass(frozen=True)
class ModelWork:
    """How a stage works on a network that stands by itself.

    Attributes:
        parameters: returns the flags for it.
        run: does the work, given the stage, these flags, those of the stage that were given, and what else
            the command takes.
    """

    parameters: Callable[[], list[click.Option]]
    run: Callable[[Stage, dict[str, Any], Flags, dict[str, Any]], None]


def is_model_asked(of_model: Mapping[str, Any]) -> bool:
    """Return whether a command is to work on a network that stands by itself.

    Raises:
        click.UsageError: a flag was given that goes with one only.
    """
    if of_model["model"] is not None:
        return True
    for option in click.get_current_context().command.params:
        if of_model.get(str(option.name)) not in (None, ()):
            raise click.UsageError(f"{option.opts[0]} goes with --model MODEL")
    return False


def model_call(of_model: dict[str, Any], flags: Flags, values: Mapping[str, Any]) -> ModelCall:
    """Return what a command line says about a network, and remove it from the flags for it."""
    given = {name: value for name in MODEL_NAMES if (value := of_model.pop(name, None)) is not None}
    return ModelCall(**given, overrides=values["overrides"], flags=flags)


def _fold(stage: Stage, of_model: dict[str, Any], flags: Flags, values: dict[str, Any]) -> None:
    del stage
    begin_model_work([*of_model, *_stage_flags()], values)
    call = model_call(of_model, flags, values)
    fold_model(call, **of_model, is_quiet=values["is_quiet"])


def _lmd(stage: Stage, of_model: dict[str, Any], flags: Flags, values: dict[str, Any]) -> None:
    """Decompose the weight matrices of a network."""
    file_input = stage.file_input
    if file_input is None:
        raise TypeError(f"{stage.name} does not work on files")
    names = [str(option.name).removeprefix("--").replace("-", "_") for option in file_input.options]
    begin_model_work([*of_model, "files", *names, "no_report", "results"], values)
    options = {name: None if values[name] == () else values[name] for name in names}
    files = values["files"]
    if len(files) > 1:
        raise click.UsageError("--weights: a network has the weights of one file; give --weights once")
    call = model_call(
        {**of_model, "weights": files[0] if files else None, "key": options["key"]}, flags, values
    )
    model, sections = call.source, call.sections()
    from spaceprobe.stages.lmd.weight_file import open_network
    from spaceprobe.study.file_input import work_on_opened

    if call.data is not None and model.kind != "network":
        raise click.UsageError(
            f"--data goes with {', '.join(NETWORKS)}, for the shape of their inputs; the matrices of {model} "
            "need no data. What does (functional rank, dimension, semantics) a study measures, with "
            "network.model, network.weights and study.stages: [train, lmd]"
        )
    has_failed = False
    for chosen in call.checkpoints().values():
        network = chosen.build(sections, chosen.data_shape(sections))
        file = open_network(network, str(model), chosen.describe_weights(), {**options, "key": None})
        outcome = work_on_opened(stage.name, file_input, file, values["results"])
        show_outcome(outcome, is_report_wanted=not values["no_report"])
        has_failed = has_failed or bool(outcome.failures)
    if has_failed:
        sys.exit(1)


def begin_model_work(allowed: Iterable[str], values: Mapping[str, Any]) -> None:
    """Show the messages that are asked for, and refuse what belongs to a study."""
    if values:
        show_chosen_messages(**{name: values[name] for name in MESSAGES})
    refuse_others([*ALWAYS, *allowed], WITHOUT_STUDY)
    check_threads()  # before numpy is imported


def _stage_flags() -> list[str]:
    """Return the flags of the stage's settings, of which the work itself refuses some."""
    parameters = click.get_current_context().command.params
    return [str(option.name) for option in parameters if str(option.name).startswith("flag_")]


MODEL_WORK: Mapping[str, ModelWork] = {
    "fold": ModelWork(lambda: [*model_parameters(), *weights_parameters(), *fold_parameters()], _fold),
    "lmd": ModelWork(lambda: model_parameters(LMD_DATA), _lmd),
}
"""By the name of the stage."""
