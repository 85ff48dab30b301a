"""The flags that name a network without a study, and what a command line says with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.stage_flags import Flags
from spaceprobe.cli.user_paths import UserPath
from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.model_sources import ModelSource, parse_model
from spaceprobe.stages.train.settings import OWN, data_layout, data_of, network_of

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.stages.stage import Sections


FOLDING_SETTINGS = (
    *("pairs", "per_class", "method", "num_points", "bits", "units", "threshold", "decisions"),
    *("threads", "precision", "device"),
)
"""The settings of the section ``folding`` that say how a network without a study is folded."""


MAX_OUTPUTS = 1_000_000
"""Chosen: of a network, more than any set of classes or vocabulary has."""

DATA = "With --model: a data set, such as mnist, your .npz file, folder of images or function."


def model_parameters(data_help: str = DATA) -> list[click.Option]:
    """Return the flags that name a network and its data, given what the data are for."""
    return [
        click.Option(
            ["--model"],
            metavar="MODEL",
            help="Take this network instead of a study: widths such as 784-30-30-10, mlp, cnn and the other "
            "kinds, torchvision:NAME, timm:NAME, an .onnx file, or package.module:function of yours "
            "(with --trust).",
        ),
        click.Option(
            ["--data"],
            metavar="DATA",
            help=data_help,
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0, 2**31 - 1),
            metavar="N",
            help="With --model: of random weights, and of paths that are drawn; 0 by default.",
        ),
        click.Option(
            ["--outputs", "num_outputs"],
            type=click.IntRange(1, MAX_OUTPUTS),
            metavar="N",
            help="With --model: outputs of the network, where its constructor takes their number.",
        ),
    ]


def weights_parameters() -> list[click.Option]:
    """Return the flags for given weights, for commands that have none."""
    return [
        click.Option(
            ["--weights"],
            type=UserPath(),
            metavar="FILE",
            help="With --model: its weights (.safetensors, or a state dict of torch.save); random otherwise.",
        ),
        click.Option(
            ["--key"], metavar="NAME", help="With --weights: which state dict of several, as model.ema."
        ),
    ]


def refuse_others(allowed: Iterable[str], reason: str) -> None:
    """Refuse what belongs to a study where a command works without one.

    Args:
        allowed: the names of the parameters that go with what takes the study's place.
        reason: what takes it, such as ``--model works without one``.

    Raises:
        click.UsageError: another parameter was given.
    """
    context = click.get_current_context()
    names = {*allowed}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in names and source is not click.core.ParameterSource.DEFAULT:
            given = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.opts[0].upper()
            raise click.UsageError(f"{given} belongs to a study; {reason}")


@dataclass(frozen=True)
class ModelCall:
    """What a command line says about a network that stands by itself.

    Attributes:
        model: what names it.
        data: what names its data; None for none.
        seed: of random weights, and of what is drawn.
        num_outputs: of the network; None for its own number.
        weights: the file of its weights; None for random ones.
        key: of the state dict in that file.
        overrides: settings of ``data``, ``folding`` and ``network``, as ``KEY=VALUE``.
        flags: flags of stages that were given.
    """

    model: str
    data: str | None = None
    seed: int = 0
    num_outputs: int | None = None
    weights: Path | None = None
    key: str | None = None
    overrides: Sequence[str] = ()
    flags: Flags = field(default_factory=dict)

    @property
    def where(self) -> str:
        """What messages about the network begin with."""
        return f"--model {self.model}"

    @property
    def source(self) -> ModelSource:
        """What names the network.

        Raises:
            ModelSourceError: it does not.
        """
        return parse_model(self.model)

    def sections(self) -> "Sections":
        """Return the settings.

        Raises:
            SettingsError: one belongs to a study, or to another network.
            ConfigError: one is wrong.
        """
        from spaceprobe.study.config.loading import load_sections

        is_ours = self.source.kind == "network"
        sections = ("data", "folding", *(["network"] if is_ours else []))
        for override in self.overrides:
            section, _, name = override.partition("=")[0].strip().partition(".")
            if section == "folding" and name not in FOLDING_SETTINGS:
                raise SettingsError(
                    f"--set {override}: with {self.where} only {', '.join(FOLDING_SETTINGS)} of folding count"
                )
            if section not in sections:
                raise SettingsError(
                    f"--set {override}: with {self.where} only settings of {', '.join(sections)} count"
                )
        if self.key is not None and self.weights is None:
            raise click.UsageError("--key goes with --weights FILE")
        flags = dict(self.flags)
        if self.data is not None:
            if not self.data.strip():
                raise click.UsageError("--data: names nothing; give a data set, such as mnist")
            flags[_data_setting(self.data)] = ("--data", self.data)
        if is_ours:
            flags["network.model"] = ("--model", self.model)
        return load_sections(self.overrides, flags)

    def checkpoints(self) -> "dict[int | None, ModelCall]":
        """Return this call for each checkpoint of a folder of weights, by its step; itself for other weights.

        Raises:
            WeightFileError: the folder cannot be read.
        """
        return {step: replace(self, weights=path) for step, path in weights_by_step(self.weights).items()}

    def build(self, sections: "Sections", input_shape: Sequence[int] | None) -> "nn.Module":
        """Return the network in evaluation mode.

        Args:
            sections: the settings.
            input_shape: of one input; None where that is not known.

        Raises:
            SpaceprobeError: see `spaceprobe.model_sources.construction.build`.
        """
        from spaceprobe.model_sources.construction import build

        source, num_outputs = self.source, self.num_outputs
        if source.kind == "widths" and num_outputs is not None:
            raise click.UsageError("--outputs: the last width says how many outputs the network has")
        if source.kind == "function" and num_outputs is not None:
            raise click.UsageError("--outputs: your function says how many outputs the network has")
        if source.kind == "onnx" and num_outputs is not None:
            raise click.UsageError("--outputs: the ONNX file says how many outputs the network has")
        if source.kind == "network" and input_shape is None:
            raise SettingsError(f"{self.where}: needs the shape of an input; name its data, with --data DATA")
        if source.kind == "network" and num_outputs is None and self.data is not None:
            num_outputs = data_layout(sections).num_classes
        return build(
            source,
            self.weights,
            seed=self.seed,
            input_shape=input_shape,
            num_outputs=num_outputs,
            options=network_of(sections) if source.kind == "network" else None,
            key=self.key,
        )

    def data_shape(self, sections: "Sections") -> tuple[int, ...] | None:
        """Return the shape of an input of the data; None where none are named.

        Raises:
            DataError: see `spaceprobe.stages.train.settings.data_layout`.
        """
        return None if self.data is None else data_layout(sections).input_shape

    def describe_weights(self) -> str:
        """Return where the weights come from, in words."""
        if self.weights is None and self.source.kind == "onnx":
            return f"weights of {self.model} itself"
        if self.weights is None:
            return f"random weights, seed {self.seed}"
        return f"weights of {self.weights}: no forward pass is stored with them, so there is none to compare"

    def place_of_data(self, sections: "Sections") -> str:
        """Return what a reader calls the data."""
        data = data_of(sections)
        return DATASETS[data.dataset].place(data)


def weights_by_step(path: Path | None) -> "dict[int | None, Path | None]":
    """Return the steps of a folder of weights by their number; other weights as they are, by None.

    Raises:
        WeightFileError: the folder cannot be read, or is neither a model nor steps of one.
    """
    if path is None or not path.is_dir():
        return {None: path}
    from spaceprobe.weights.steps import is_folder_of_steps, weight_steps

    return {**dict(weight_steps(path))} if is_folder_of_steps(path) else {None: path}


def _data_setting(text: str) -> str:
    """Return the setting that names data written in this way."""
    if text not in DATASETS or text in OWN:
        if text.lower().endswith(".npz"):
            return "data.file"
        if ":" in text:
            return "data.function"
        if Path(text).is_dir():
            return "data.folder"
    return "data.dataset"
