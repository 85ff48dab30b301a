"""A callback that records while Lightning trains: ``from spaceprobe.lightning import RecorderCallback``.

Needs Lightning, which the extra ``lightning`` installs; nothing else in the package imports this module.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from spaceprobe.errors import SettingsError
from spaceprobe.recording.recorder import Recorder

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "spaceprobe.lightning needs Lightning: install it with: pip install 'spaceprobe[lightning]'",
        name=error.name,
    ) from error


class RecorderCallback(Callback):
    """Records the network of a `LightningModule` by its optimizer steps, and logs what was measured.

    Measures before the first step and after the last one, and after each step that the recorder chooses;
    steps are counted by ``trainer.global_step``. Only the main process measures; the loggers of the trainer,
    if it has any, get the numbers.

    Args:
        recorder: where, what and how often.
        network: the network inside of the LightningModule: its name there, as ``"model"`` or
            ``"model.backbone"``, or a function that returns it; None for the LightningModule itself, whose
            forward method is then walked.
    """

    def __init__(
        self, recorder: Recorder, network: str | Callable[[LightningModule], nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.recorder = recorder
        self._network = network
        self._last_seen: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the network as it is before the first step."""
        self._measure(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure after an optimizer step that the recorder chooses; batches without a step do not count."""
        del outputs, batch, batch_idx
        if trainer.global_step != self._last_seen and self.recorder.is_due(trainer.global_step):
            self._measure(trainer, pl_module)
        self._last_seen = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the network as it is after the last step, unless that was done."""
        if self.recorder.last_step != trainer.global_step:
            self._measure(trainer, pl_module)

    def _measure(self, trainer: Trainer, module: LightningModule) -> None:
        self._last_seen = trainer.global_step
        if not trainer.is_global_zero:
            return
        values = self.recorder.measure(self._network_of(module), trainer.global_step)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def _network_of(self, module: LightningModule) -> nn.Module:
        """Return the network that is measured.

        Raises:
            SettingsError: the LightningModule has none of that name.
        """
        network: nn.Module = module
        if self._network is None:
            return network
        if not isinstance(self._network, str):
            return self._network(module)
        try:
            network = module.get_submodule(self._network)
        except AttributeError as error:
            names = ", ".join(name for name, _ in module.named_children()) or "none"
            raise SettingsError(
                f"RecorderCallback: {type(module).__name__} has no module {self._network!r}; it has {names}"
            ) from error
        return network
