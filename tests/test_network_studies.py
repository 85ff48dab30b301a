"""Every kind of network in whole small studies: trained, decomposed, folded; killed and started again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from spaceprobe.networks.models import NETWORKS
from tests.commands import call, plain, small_mnist

TEMPLATE = """\
data: {root: ROOT, train_images: 200}
network: NETWORK
training: {epochs: 1, batch_size: 50, learning_rate: 0.01}
folding: {pairs: "1-7", per_class: 2, method: METHOD, epoch: last}
lmd:
  metrics: [identity, data, laplacian]
  probes: [functional-rank, dimension, retrieval, semantics]
  sample: 60
  subsamples: 2
  retrieval_images: 10
  retrieval_rank: 5
  shuffles: 5
  positions: 2
study: {stages: [train, lmd, fold]}
"""
NETWORK = {
    "mlp": "{architecture: 9-6, batch_norm: true}",
    "binary-mlp": "{model: binary-mlp, architecture: 9-6}",
    "residual-mlp": "{model: residual-mlp, architecture: 9-6}",
    "factored-mlp": "{model: factored-mlp, architecture: 9-6}",
    "low-rank-mlp": "{model: low-rank-mlp, architecture: 9-6, ranks: 8-5-4}",
    "cnn": "{model: cnn, architecture: 2-3, initialization: he}",
    "resnet": "{model: resnet, architecture: 2-3, batch_norm: true}",
    "transformer": "{model: transformer, architecture: 2x6, embedding: 8, heads: 2, initialization: xavier}",
}
METHOD = {
    "mlp": "jvp",
    "binary-mlp": "exact",
    "residual-mlp": "exact",
    "factored-mlp": "exact",
    "low-rank-mlp": "exact",
    "cnn": "exact",
    "resnet": "exact",
    "transformer": "sampled",
}

NUMBERED = ("mlp", "binary-mlp", "factored-mlp", "low-rank-mlp")
"""Kinds whose weight matrices have no names beside their numbers."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_mnist(tmp_path_factory.mktemp("mnist"))


def write_study(folder, root, model, **changes):
    text = TEMPLATE.replace("ROOT", str(root)).replace("NETWORK", NETWORK[model])
    text = text.replace("METHOD", METHOD[model])
    for old, new in changes.items():
        text = text.replace(f"{old}: 1,", f"{old}: {new},")
    study = folder / "small.yaml"
    study.write_text(text)
    return study


@pytest.fixture(scope="module", params=NETWORK)
def finished(request, root, tmp_path_factory):
    """Return the kind of network, its folder of results, and its run's folder."""
    folder = tmp_path_factory.mktemp(request.param)
    outcome = call("run", write_study(folder, root, request.param), "--results", folder)
    assert outcome.exit_code == 0, outcome.output
    (run,) = (folder / "small" / "runs").iterdir()
    return request.param, folder / "small", run


def table(finished, name):
    return pd.read_csv(finished[1] / f"{name}.csv")


def matrices(model, weights):
    """Return the weight matrices of a checkpoint, cut by hand."""
    found = []
    if model == "factored-mlp":
        parts = ("U", "O_dist", "S_prime", "I_dist", "Vh")
        layers = [[weights[f"{n}.{part}"].double().numpy() for part in parts] for n in (0, 2, 4)]
        products = [U @ O_dist @ np.diag(S) @ I_dist @ Vh for U, O_dist, S, I_dist, Vh in layers]
        return [(n, None, W) for n, W in enumerate(products)]
    if model == "low-rank-mlp":
        layers = [[weights[f"{n}.{part}"].double().numpy() for part in ("left", "right")] for n in (0, 2, 4)]
        return [(n, None, left @ right) for n, (left, right) in enumerate(layers)]
    for name, tensor in weights.items():
        values = tensor.double().numpy()
        layer = name.removesuffix(".weight")
        if ".attention.output" in name and name.endswith("weight"):
            found += [(layer, 0, values[:, :4]), (layer, 1, values[:, 4:])]
        elif ".attention." in name and name.endswith("weight"):
            found += [(layer, 0, values[:4]), (layer, 1, values[4:])]
        elif values.ndim == 4 or (values.ndim == 2 and name.endswith(".weight")):
            found.append((layer, None, values.reshape(len(values), -1)))
    return found


def test_every_kind_is_tried_here():
    assert set(NETWORK) == set(NETWORKS)


def test_spectra_are_those_of_numpy(finished):
    model, _, run = finished
    spectra = table(finished, "lmd_spectrum").query("basis == 'svd'")
    names = table(finished, "lmd_matrices") if model not in NUMBERED else None
    for epoch, file in ((0, "model-epoch0"), (1, "model")):
        own = matrices(model, load_file(run / f"{file}.safetensors"))
        here = spectra[spectra["epoch"] == epoch]
        assert here["layer"].nunique() == len(own)
        if names is None:
            numbered = dict(enumerate(own))
        else:  # safetensors sorts by name, the table is in the order of layers
            rows = names[names["epoch"] == epoch]
            by_name = {(layer, head): entry for entry in own for layer, head in [entry[:2]]}
            keys = [
                (row.name, None if pd.isna(row.head) else int(row.head))
                for row in rows.itertuples(index=False)
            ]
            numbered = {layer: by_name[key] for layer, key in enumerate(keys)}
            assert len({*keys}) == len(own)
        for layer, (_, _, W) in numbered.items():
            values = here.loc[here["layer"] == layer, "value"].to_numpy()
            np.testing.assert_allclose(values, np.linalg.svd(W, compute_uv=False), atol=1e-12)


def test_every_measure_has_its_rows(finished):
    layers = set(table(finished, "lmd_layers")["layer"])
    for name in ("functional", "dimension", "retrieval", "semantics", "ranks", "tails", "convergence"):
        assert set(table(finished, f"lmd_{name}")["layer"]) == layers, name
    data99 = table(finished, "lmd_ranks").query("rule == 'data99'")
    assert len(data99) == 2 * len(layers)
    assert data99["valid"].mean() > 0.5  # not of layers that no point of so few makes vary
    assert (table(finished, "lmd_layers")["reconstruction_error"].dropna() < 1e-8).all()
    functional = table(finished, "lmd_functional").groupby(["epoch", "layer"])["rank"].max()
    sizes = table(finished, "lmd_layers").groupby(["epoch", "layer"])[["num_outputs", "num_inputs"]].max()
    assert (functional == sizes.min(axis=1)).all()


def test_rows_of_the_sample_are_points_patches_or_tokens(finished):
    model, folder, _ = finished
    if model in NUMBERED:
        assert not (folder / "lmd_matrices.csv").exists()
        return
    rows = table(finished, "lmd_matrices").query("epoch == 1").set_index("name")["num_rows"]
    assert rows.pop("readout") == 60
    assert set(rows) == {60 if model == "residual-mlp" else 120}


def test_the_score_of_all_components_is_that_of_the_network(finished):
    """The scores are of the first 60 test points where a pass through the network is needed for each."""
    model, _, _ = finished
    scores = table(finished, "lmd_functional").query("epoch == 1")
    full = scores.loc[scores.groupby("layer")["rank"].idxmax(), "score"]
    assert full.nunique() == 1
    num_scored = 130 if model in NUMBERED else 60
    assert full.iloc[0] * num_scored == pytest.approx(round(full.iloc[0] * num_scored))
    if num_scored == 130:
        assert full.iloc[0] == pytest.approx(table(finished, "runs")["test_accuracy"].iloc[0])


def test_the_noise_edge_knows_the_initialisation(finished):
    model, _, _ = finished
    edges = table(finished, "lmd_tails").query("epoch == 0").set_index("layer")["noise_edge"]
    expected = {
        "mlp": {0: (1 / (3 * 784)) ** 0.5 * (9**0.5 + 784**0.5)},
        "cnn": {0: (2 / 9) ** 0.5 * (2**0.5 + 9**0.5), 1: (2 / 18) ** 0.5 * (3**0.5 + 18**0.5)},
        # a head's query: 4 × 8 of a layer of 8 inputs and 8 outputs
        "transformer": {1: (2 / 16) ** 0.5 * (4**0.5 + 8**0.5)},
    }
    for layer, edge in expected.get(model, {}).items():
        assert edges[layer] == pytest.approx(edge)


def test_paths_are_folded(finished):
    model, _, _ = finished
    folding, checks = table(finished, "folding"), table(finished, "folding_checks")
    assert {*folding["method"]} == {METHOD[model]}
    assert (folding["num_paths"] == 4).all()
    assert (checks["num_violations"] == 0).all()
    engine = METHOD[model] if METHOD[model] != "exact" else "layerwise"
    assert {*checks["engine"]} == {engine}


def test_runs_tell_what_the_network_is(finished):
    model, _, run = finished
    (row,) = table(finished, "runs").to_dict("records")
    assert (row["depth"], row["width"], row["activation"]) == {
        "mlp": (2, 9, "relu"),
        "binary-mlp": (2, 9, "sign"),
        "residual-mlp": (2, 9, "relu"),
        "factored-mlp": (2, 9, "relu"),
        "low-rank-mlp": (2, 9, "relu"),
        "cnn": (2, 2 * 784, "relu"),
        "resnet": (5, 2 * 196, "relu"),
        "transformer": (2, 16 * 6, "relu"),
    }[model]
    start = "9-6" if model == "mlp" else f"{model}-{row['architecture']}"
    assert plain(run.name) == f"{start}-s0"


@pytest.mark.parametrize("model", NETWORK)
def test_a_killed_training_starts_again_and_ends_alike(model, root, tmp_path):
    study = write_study(tmp_path, root, model, epochs=12)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert call("train", study, "--results", whole).exit_code == 0
    command = [sys.executable, "-m", "spaceprobe", "train", study, "--results", killed]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not [*killed.rglob("model-epoch0.safetensors")]:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not [*killed.rglob("model.safetensors")]  # else it was killed too late for this test
    assert call("train", study, "--results", killed).exit_code == 0
    for pattern in ("*.safetensors", "runs.csv", "training.csv", "lmd_convergence.csv"):
        assert contents(whole, pattern) == contents(killed, pattern) != {}


def contents(folder, pattern):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob(pattern)}


@pytest.mark.parametrize(
    ("model", "method", "message"),
    [
        (
            "transformer",
            "exact",
            "exact cannot walk this network (network.model: transformer, network.activation: relu)",
        ),
        ("mlp", "kernel", "kernel cannot walk this network (network.model: mlp, network.activation: relu)"),
        ("resnet", "kernel", "set exact or layerwise or jvp or sampled or adaptive"),
    ],
)
def test_a_method_that_cannot_walk_a_network_is_refused(model, method, message, root, tmp_path):
    study = write_study(tmp_path, root, model)
    outcome = call("validate", study, "--set", f"folding.method={method}")
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.split())


def test_initialisations_are_swept(root, tmp_path):
    study = tmp_path / "sweep.yaml"
    study.write_text(
        f"data: {{root: {root}, train_images: 100}}\nnetwork: {{architecture: 9-6}}\n"
        "training: {epochs: 1}\n"
        "sweep: {network.initialization: [torch, orthogonal], network.initialization_scale: [1, 2]}\n"
    )
    assert call("train", study, "--results", tmp_path).exit_code == 0
    runs = pd.read_csv(tmp_path / "sweep" / "runs.csv").set_index(["initialization", "initialization_scale"])
    assert runs["initial_digest"].nunique() == 4
    start = {
        key: load_file(tmp_path / "sweep" / "runs" / run / "model-epoch0.safetensors")
        for key, run in runs["run"].items()
    }
    for name in ("torch", "orthogonal"):
        one, two = start[name, 1.0], start[name, 2.0]
        for layer in ("0", "2", "4"):
            assert (two[f"{layer}.weight"] == 2 * one[f"{layer}.weight"]).all()
            assert (two[f"{layer}.bias"] == one[f"{layer}.bias"]).all()
    values = np.linalg.svd(start["orthogonal", 2.0]["0.weight"].double(), compute_uv=False)
    np.testing.assert_allclose(values, 2, rtol=1e-5)  # of float32
