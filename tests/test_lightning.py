"""The callback in a real training by Lightning, offline and on the CPU."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spaceprobe.errors import SettingsError
from spaceprobe.recording.recorder import Recorder
from tests.documents import ROOT, blocks

lightning = pytest.importorskip("lightning.pytorch", reason="needs the extra lightning")

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own, on workers and loggers

INPUTS = torch.rand(32, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(32) % 3
NUM_BATCHES = 4


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 8), nn.ReLU(),
            nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, inputs):
        return self.network(inputs)

    def training_step(self, batch, batch_idx):  # noqa: ARG002  # Lightning passes it by name
        inputs, labels = batch
        return nn.functional.cross_entropy(self(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Kept(lightning.loggers.logger.DummyLogger):
    """A logger that keeps what it gets."""

    def __init__(self):
        super().__init__()
        self.logged = {}

    def log_metrics(self, metrics, step=None):
        self.logged[step] = metrics


def fit(root, callbacks, *, epochs=2, ckpt=None, logger=False, **options):
    lightning.seed_everything(7)
    module = Classifier()
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, callbacks=callbacks, logger=logger,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=root, **options,
    )  # fmt: skip
    loader = DataLoader(TensorDataset(INPUTS, LABELS), batch_size=32 // NUM_BATCHES, shuffle=True)
    trainer.fit(module, loader, ckpt_path=ckpt)
    return module, trainer


def callback(folder, network="network", **options):
    from spaceprobe.lightning import RecorderCallback

    return RecorderCallback(
        Recorder(folder, INPUTS, LABELS, **{"paths": 4, "threads": 1, "every": 3, **options}), network
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two epochs that were recorded, with what their logger got."""
    root = tmp_path_factory.mktemp("lightning")
    logger = Kept()
    module, _ = fit(root, [callback(root / "mine", lmd=True)], logger=logger)
    return root, module, logger


def test_two_epochs_are_recorded_by_optimizer_steps(recorded):
    root, module, logger = recorded
    steps = [0, 3, 6, 8]  # 2 epochs of 4 batches, the end included
    rows = pd.read_csv(root / "mine" / "recording.csv")
    assert rows["step"].tolist() == steps
    assert [*logger.logged] == steps
    assert logger.logged[8]["spaceprobe/chi"] == rows["chi"].iloc[-1]
    layers = pd.read_csv(root / "mine" / "lmd_layers.csv")
    assert layers["name"].tolist()[:3] == ["0.weight", "4.weight", "6.weight"]
    last = layers[layers["step"] == 8].set_index("name")["spectral_norm"]
    weight = module.network[4].weight.detach().double()
    assert last["4.weight"] == pytest.approx(float(torch.linalg.matrix_norm(weight, 2)), rel=1e-9)
    assert logger.logged[8]["spaceprobe/lmd/4.weight/spectral_norm"] == last["4.weight"]


def test_no_folder_of_a_logger_is_left(recorded):
    assert [path.name for path in recorded[0].iterdir()] == ["mine"]


def test_training_is_the_same_without_the_callback(recorded, tmp_path):
    module, _ = fit(tmp_path, [])
    for name, tensor in module.state_dict().items():
        assert np.array_equal(tensor.numpy(), recorded[1].state_dict()[name].numpy()), name
    assert [*tmp_path.iterdir()] == []


def test_the_whole_module_or_what_a_function_returns(tmp_path):
    whole = callback(tmp_path / "whole", None, at=[0], every=None)
    part = callback(tmp_path / "part", lambda module: module.network, at=[0], every=None)
    fit(tmp_path, [whole, part], epochs=1)
    tables = [pd.read_csv(tmp_path / name / "model_paths.csv") for name in ("whole", "part")]
    assert tables[0]["length"].tolist() == tables[1]["length"].tolist()
    assert {*tables[0]["step"]} == {0, NUM_BATCHES}


def test_a_name_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="Classifier has no module 'backbone'; it has network"):
        fit(tmp_path, [callback(tmp_path / "mine", "backbone")])


def test_batches_without_an_optimizer_step_are_not_measured(tmp_path):
    mine = callback(tmp_path / "mine", every=1)
    fit(tmp_path, [mine], epochs=1, accumulate_grad_batches=2)
    assert pd.read_csv(tmp_path / "mine" / "recording.csv")["step"].tolist() == [0, 1, 2]


def test_a_checkpoint_goes_on_with_the_recording(tmp_path):
    _, trainer = fit(tmp_path, [callback(tmp_path / "mine")], epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fit(tmp_path, [callback(tmp_path / "mine", resume=True)], epochs=2, ckpt=tmp_path / "last.ckpt")
    assert pd.read_csv(tmp_path / "mine" / "recording.csv")["step"].tolist() == [0, 3, 4, 6, 8]


def test_without_lightning_one_sentence_says_how_to_get_it():
    code = "import sys; sys.modules['lightning'] = None; import spaceprobe.lightning"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: spaceprobe.lightning needs Lightning: install it with: "
        "pip install 'spaceprobe[lightning]'"
    )


def test_the_example_of_the_page_trains(tmp_path, monkeypatch):
    """The last block of docs/training.md, after the first: those between are run by test_recorder."""
    monkeypatch.chdir(tmp_path)
    first, *_, last = blocks(ROOT / "docs" / "training.md", "python")
    exec(compile(f"{first}\n{last}", "docs/training.md", "exec"), {})
    rows = pd.read_csv(tmp_path / "runs" / "lit" / "recording.csv")
    assert rows["step"].tolist() == [0, 10, 20, 30]
