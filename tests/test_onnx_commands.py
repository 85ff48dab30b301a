"""Commands and studies on networks from ONNX files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spaceprobe.model_sources import ModelSource, ModelSourceError, parse_model
from spaceprobe.model_sources.construction import build
from spaceprobe.model_sources.digests import digests
from spaceprobe.networks.mlp import mlp
from tests.commands import call
from tests.onnx_files import Branches, export, model, modules, node, write

SIZES = {"train": 40, "test": 20}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    np.save("a.npy", 2 * rng.normal(size=(4, 2, 5, 4)))
    np.save("b.npy", 2 * rng.normal(size=(4, 2, 5, 4)))
    return tmp_path


@pytest.fixture(scope="module")
def branches(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "branches.onnx"
    return export(modules()["branches"][0], torch.rand(2, 2, 5, 4), path)


def test_a_file_is_a_source_by_its_ending():
    for text in ("net.onnx", "nets/net.onnx", "/a/b c.ONNX", "../net.onnx"):
        assert parse_model(text) == ModelSource("onnx", text)
    for text in ("https://example.org/net.onnx", "hf:nets/net.onnx"):
        with pytest.raises(ModelSourceError, match=r"not downloaded"):
            parse_model(text)


def test_fold_walks_the_paths_of_the_original(branches):
    shutil.copy(branches, "net.onnx")
    Path("own.py").write_text(
        "from tests.onnx_files import modules\n\n\ndef build():\n    return modules()['branches'][0]\n"
    )
    tables = []
    for number, words in enumerate((["net.onnx"], ["own:build", "--trust", "own"])):
        out = f"{number}.csv"
        done = call("fold", "--model", *words, "--from", "a.npy", "--to", "b.npy", "--out", out)
        assert done.exit_code == 0, done.output
        tables.append(pd.read_csv(out))
        if not number:
            assert "weights of net.onnx itself" in done.stdout
            assert "walked by the engine layerwise" in done.stdout
    columns = ["length", "reach", "chi", "reach_back", "num_violations", "engine"]
    assert tables[0]["length"].min() > 10
    assert tables[0][columns].equals(tables[1][columns])


def test_path_and_outputs(branches):
    shutil.copy(branches, "net.onnx")
    np.save("c.npy", np.load("a.npy")[0])
    np.save("d.npy", np.load("b.npy")[0])
    done = call("path", "--model", "net.onnx", "--from", "c.npy", "--to", "d.npy")
    assert done.exit_code == 0, done.output
    assert "weights of net.onnx itself" in done.stdout
    done = call("fold", "--model", "net.onnx", "--from", "a.npy", "--to", "b.npy", "--outputs", "3")
    assert done.exit_code == 2
    assert "--outputs: the ONNX file says how many outputs" in done.stderr


def test_lmd_names_layers_as_the_original(branches):
    shutil.copy(branches, "net.onnx")
    done = call("lmd", "--model", "net.onnx", "--results", "results", "--no-report")
    assert done.exit_code == 0, done.output
    for name in ("narrow.weight", "wide.weight", "readout.weight"):
        assert name in done.stdout


def test_a_broken_file_is_one_sentence():
    write(model([node("Einsum", "x", "y", equation="i", name="odd one")]))
    Path("torn.onnx").write_bytes(Path("net.onnx").read_bytes()[:-9])
    for words in (["fold", "--from", "a.npy", "--to", "b.npy"], ["lmd"]):
        for file, reason in (
            ("net.onnx", "node 'odd one' (Einsum) is an operator that is not supported"),
            ("torn.onnx", "is truncated"),
            ("missing.onnx", "cannot be read (No such file or directory)"),
        ):
            done = call(words[0], "--model", file, *words[1:])
            assert done.exit_code == 2
            assert done.stderr.startswith(f"Error: --model {file}: ")
            assert reason in done.stderr
            assert done.stderr.count("\n") == 1


def test_weights_of_a_file_go_into_the_network_that_they_are_of():
    network = mlp([6, 5, 3], torch.Generator().manual_seed(1))
    path = export(network, torch.rand(2, 6), "net.onnx")
    loaded = build(parse_model("6-5-3"), path)
    assert all(map(torch.equal, loaded.parameters(), network.parameters()))
    with pytest.raises(ModelSourceError, match=r"0.weight is 5×6, expected 4×6"):
        build(parse_model("6-4-3"), path)
    with pytest.raises(ModelSourceError, match=r"--key belongs to one file of torch.save"):
        build(parse_model("6-5-3"), path, key="ema")
    changed = {name: value + 1 for name, value in network.state_dict().items()}
    save_file(changed, "w.safetensors")
    assert torch.equal(build(parse_model("net.onnx"), Path("w.safetensors"))[0].bias, changed["0.bias"])


def test_the_digest_is_that_of_the_file():
    for name in ("one", "two"):
        Path(name).mkdir()
        write(model([node("Relu", "x", "y")]), f"{name}/net.onnx")
    first, second = (digests(parse_model(f"{name}/net.onnx")) for name in ("one", "two"))
    assert first == second
    assert [*first] == ["the network net.onnx"]
    with pytest.raises(ModelSourceError, match=r"^network.model missing.onnx: cannot be read"):
        digests(parse_model("missing.onnx"), setting="network.model")


STUDY = """
study: {stages: [train, fold, lmd]}
data: {file: data.npz}
network: {model: net.onnx, weights: net.onnx}
folding: {pairs: 0-1, per_class: 3}
lmd: {sample: 20, metrics: [identity], probes: []}
"""


def test_a_study_measures_a_file(folder):
    rng = np.random.default_rng(3)
    images = {part: rng.random((count, 5, 4, 3)).astype(np.float32) for part, count in SIZES.items()}
    classes = {part: np.arange(count) % 3 for part, count in SIZES.items()}
    np.savez(
        "data.npz",
        **{f"x_{part}": values for part, values in images.items()},
        **{f"y_{part}": values for part, values in classes.items()},
    )
    torch.manual_seed(2)
    network = Branches(3).eval()
    export(network, torch.rand(2, 3, 5, 4), "net.onnx")
    Path("study.yaml").write_text(STUDY)
    done = call("run", "study.yaml", "--results", "results", "--no-report")
    assert done.exit_code == 0, done.output
    results = folder / "results" / "study"
    runs = pd.read_csv(results / "runs.csv")
    assert runs["architecture"].tolist() == ["net.onnx"]
    with torch.no_grad():
        outputs = network(torch.from_numpy(images["test"]).permute(0, 3, 1, 2))
    accuracy = float((outputs.argmax(1).numpy() == classes["test"]).mean())
    assert runs["test_accuracy"].tolist() == pytest.approx([accuracy])
    folding = pd.read_csv(results / "folding.csv")
    assert folding.query("measure == 'chi'")["max"].max() > 0
    assert {*pd.read_csv(results / "lmd_matrices.csv")["name"]} == {"narrow", "wide", "readout"}

    done = call("plan", "study.yaml", "--results", "results")
    assert "1 of 1" not in done.output, done.output
    export(Branches(3), torch.rand(2, 3, 5, 4), "net.onnx")
    done = call("plan", "study.yaml", "--results", "results")
    assert "the network net.onnx" in done.output
    assert "changed" in done.output


def test_a_study_has_to_say_that_nothing_is_trained(folder):
    write(model([node("Relu", "x", "y")]))
    Path("study.yaml").write_text("network: {model: net.onnx}\nstudy: {name: a}\n")
    done = call("plan", "study.yaml")
    assert done.exit_code == 2
    assert "net.onnx is measured as it is, and not trained; say so with weights: net.onnx" in done.stderr


def test_layers_of_a_file_are_those_of_torch():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    imported = build(parse_model(str(export(network, torch.rand(2, 1, 4, 4), "net.onnx"))))
    kinds = {name: type(layer) for name, layer in imported.named_modules()}
    assert kinds["0"] is nn.Conv2d
    assert kinds["3"] is nn.Linear
    assert json.dumps(sorted(imported.state_dict())) == json.dumps(sorted(network.state_dict()))
