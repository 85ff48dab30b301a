"""folding.units and folding.threshold: settings, keys, and a whole study against numbers by another way."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spaceprobe.errors import SettingsError
from spaceprobe.folding import walk_batch
from spaceprobe.stages import fold
from spaceprobe.stages.fold import thresholds
from spaceprobe.stages.fold.settings import FoldingSettings
from tests.commands import call, small_mnist
from tests.test_endpoints import planned, sections

STUDY = """\
data: {root: ROOT, train_images: 200}
network: {architecture: 9-6}
training: {epochs: 1, batch_size: 50, learning_rate: 0.01}
folding: {pairs: "1-7", per_class: 3, epoch: last, threshold: median}
sweep: {folding.units: [activations, all]}
study: {stages: [train, fold]}
"""
CNN = STUDY.replace("{architecture: 9-6}", "{model: cnn, architecture: 2-2}")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *((0, 0.0), (0.0, 0.0), (-1, -1.0), ("median", "median"), ("quantile-0.9", "quantile-0.9")),
        *(("quantile-0.90", "quantile-0.9"), ("quantile-.25", "quantile-0.25"), ("quantile-0.50", "median")),
    ],
)
def test_a_threshold_is_named_in_one_way(given, kept):
    assert FoldingSettings(threshold=given).threshold == kept


@pytest.mark.parametrize(
    "given", ["mean", "quantile-1.5", "quantile-0", "quantile-0.0", "quantile", "0.5", ""]
)
def test_what_is_not_a_threshold(given):
    message = f"{re.escape(repr(given))} is not a threshold: write a number, median, or quantile-Q"
    with pytest.raises(ValueError, match=message):
        FoldingSettings(threshold=given)


@pytest.mark.parametrize("given", [float("nan"), float("inf"), True, None, [0.5]])
def test_neither_is_another_value(given):
    with pytest.raises(ValueError, match="threshold"):
        FoldingSettings(threshold=given)


def test_defaults_leave_names_and_keys_as_they_were():
    first = planned(per_class=20)[0]
    assert planned(per_class=20, units="activations", threshold=0)[0] == first
    assert not {"units", "threshold"} & {*first.key["folding"]}
    other = planned(per_class=20, threshold="median")[0]
    assert other.path != first.path
    assert other.key["folding"] == {**first.key["folding"], "threshold": "median"}
    assert planned(per_class=20, units="all")[0].key["folding"] == {**first.key["folding"], "units": "all"}


@pytest.mark.parametrize(
    ("network", "folding", "message"),
    [
        (
            {"activation": "leaky-relu"},
            {"threshold": 0.5},
            r"^folding\.threshold: 0\.5 is for networks of ReLUs, and network\.activation is leaky-relu; set",
        ),
        (
            {},
            {"threshold": "median", "method": "kernel"},
            "median takes folding.method exact, layerwise, sampled or adaptive",
        ),
        ({}, {"threshold": 1, "precision": "float32"}, "found exact and float32$"),
        (
            {"model": "cnn", "architecture": "2-2", "pooling": "average"},
            {"units": "all", "method": "jvp"},
            r"^folding\.units: all counts what maxima choose, and folding\.method: jvp counts ReLUs alone",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(network, folding, message):
    asked = sections(**folding)
    asked["network"] = type(asked["network"])(**network)
    with pytest.raises(SettingsError, match=message):
        fold.STAGE.check(asked)


def run_study(folder, text):
    root = small_mnist(folder / "mnist")
    study = folder / "small.yaml"
    study.write_text(text.replace("ROOT", str(root)))
    outcome = call("run", study, "--results", folder)
    assert outcome.exit_code == 0, outcome.output
    return folder / "small"


def images(folder, kind, count):
    """Return images and labels of the small MNIST, read byte by byte."""
    (raw,) = {path.parent for path in (folder / "mnist").rglob(f"{kind}-images*")}
    pixels = np.frombuffer((raw / f"{kind}-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    labels = np.frombuffer((raw / f"{kind}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    # pixels are rounded to float32 first, as in the package
    grey = torch.from_numpy(pixels.reshape(-1, 784) / np.float32(255)).double()
    return grey[:count], labels[:count]


def test_a_study_with_the_median_of_each_unit(tmp_path):
    folder = run_study(tmp_path, STUDY)
    folding = pd.read_csv(folder / "folding.csv").query("measure == 'chi'")
    assert folding["units"].tolist() == ["activations", "all"]
    checks = pd.read_csv(folder / "folding_checks.csv")
    assert (checks["engine"] == "layerwise").all()
    assert (checks["num_violations"] == 0).all()
    (weights,) = folder.rglob("model.safetensors")
    layers = [tensor.double() for tensor in load_file(weights).values()]
    matrices = sorted((t for t in layers if t.ndim == 2), key=lambda t: -t.shape[1])
    biases = [next(t for t in layers if t.ndim == 1 and len(t) == len(W)) for W in matrices]
    train, _ = images(tmp_path, "train", 200)
    first = train @ matrices[0].T + biases[0]
    second = first.relu() @ matrices[1].T + biases[1]
    medians = [torch.from_numpy(np.median(z.numpy(), axis=0)) for z in (first, second)]
    network = nn.Sequential(nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 6), nn.ReLU()).double()
    for layer, W, b in zip(network[::2], matrices, biases, strict=False):
        layer.load_state_dict({"weight": W, "bias": b})
    test, labels = images(tmp_path, "t10k", None)
    ones, sevens = (test[labels == label][:3] for label in (1, 7))
    pairs = [(a, b) for a in ones for b in sevens]
    a, b = (torch.stack(points) for points in zip(*pairs, strict=True))
    walked = walk_batch(network, a, b, threshold=medians)
    chi = 1 - walked.reach_from_a / walked.length
    for row in folding.to_dict("records"):
        assert row["num_paths"] == 9
        assert row["folded"] == pytest.approx((chi > 0).mean())
        assert row["max"] == pytest.approx(chi.max())
    at_zero = walk_batch(network, a, b)
    assert (walked.length != at_zero.length).any()


def test_a_study_that_counts_windows_says_nothing_of_them(tmp_path):
    folder = run_study(tmp_path, CNN)
    checks = pd.read_csv(folder / "folding_checks.csv").set_index("units")
    assert checks.loc["activations", "not_counted"] == "max_pool2d in 'blocks.0.pool'"
    assert pd.isna(checks.loc["all", "not_counted"])
    chi = pd.read_csv(folder / "folding.csv").query("measure == 'chi'").set_index("units")
    assert chi.loc["all", "max"] != chi.loc["activations", "max"]


def test_of_many_training_images_the_same_are_drawn(monkeypatch):
    monkeypatch.setattr(thresholds, "MAX_IMAGES", 3)
    points = torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0]])
    settings = FoldingSettings(threshold="median")
    first, second = (thresholds.threshold_of(settings, nn.ReLU(), points)[0] for _ in range(2))
    assert torch.equal(first, second)
    drawn = np.sort(np.random.default_rng(0).choice(5, 3, replace=False))
    assert first == points[drawn].median()
    monkeypatch.setattr(thresholds, "MAX_IMAGES", 5)
    assert thresholds.threshold_of(settings, nn.ReLU(), points)[0] == 4
    assert thresholds.threshold_of(FoldingSettings(threshold=0.5), nn.ReLU(), points) == 0.5
