"""Networks by what names them: parsing, construction, given weights, digests, shapes of inputs."""

import hashlib
import math
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spaceprobe.errors import SpaceprobeError
from spaceprobe.model_sources import ModelSource, ModelSourceError, parse_model
from spaceprobe.model_sources.construction import build
from spaceprobe.model_sources.digests import digests
from spaceprobe.model_sources.inputs import fit_inputs
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.user_code import trusting
from spaceprobe.user_sources import UserCodeError

NETS = """
from pathlib import Path
import torch
from torch import nn
import helpers_of_nets

Path("has-run").touch()

def build():
    return nn.Sequential(nn.Linear(4, helpers_of_nets.UNITS), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2))

def image():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4 * 3, 2))

def sequence():
    return nn.Sequential(nn.Linear(5, 3), nn.ReLU())

def nothing():
    return 7
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "helpers_of_nets.py").write_text("UNITS = 3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("784-30-30-10", "widths"),
        ("4-2", "widths"),
        ("mlp", "network"),
        ("cnn", "network"),
        ("binary-mlp", "network"),
        ("torchvision:resnet18", "torchvision"),
        ("timm:resnet18.a1_in1k", "timm"),
        ("nets:build", "function"),
        ("package.nets:build", "function"),
    ],
)
def test_parse_says_where_a_network_comes_from(text, kind):
    assert parse_model(text) == ModelSource(kind, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model.pt2", r"runs pickles and eval; save its state dict with safetensors .*--weights FILE"),
        ("model.torchscript", r"TorchScript .* holds code .*--weights FILE"),
        ("runs/model.pt", r"whole pickled module runs code .*--weights FILE"),
        ("model.pkl", r"whole pickled module runs code"),
        ("w.safetensors", r"name the architecture, and give the file with --weights FILE"),
        ("nets.py", r"write package.module:function, such as nets:build"),
        ("https://example.org/net.tar", r"not downloaded, and their code is not run"),
        ("hf-hub:timm/resnet18", r"not downloaded, and their code is not run"),
        ("timm:hf-hub:timm/resnet18", r"not downloaded, and their code is not run"),
        ("timm/resnet18", r"not downloaded, and their code is not run"),
        ("resnet19", r"is not a network; write widths such as 784-30-30-10, one of mlp, "),
        ("", r"is not a network"),
        ("torchvision:", r"write torchvision:NAME"),
        ("784", r"expected inputs, hidden units and outputs"),
        ("784-0-10", r"each a number from 1"),
        ("784-1000000000000-10", r"each a number from 1"),
        ("999999999-999999999", r"has 999,999,998,000,000,001 weights, at most 536,870,912"),
    ],
)
def test_parse_refuses_with_the_reason_and_the_way_out(text, reason):
    with pytest.raises(ModelSourceError, match=reason) as refused:
        parse_model(text)
    assert refused.value.exit_code == 2


def test_control_characters_do_not_reach_the_terminal():
    for text in ("\x1b[31mred", "timm:\x1b[31mred", "\x1b[31m.onnx"):
        with pytest.raises(ModelSourceError) as refused:
            parse_model(text)
        assert str(refused.value).isprintable()


def test_widths_give_the_mlp_of_a_run_with_that_seed():
    network = build(parse_model("4-3-2"), seed=5)
    kinds = [type(module) for module in network]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear]
    assert not network.training
    generator = torch.Generator().manual_seed(10)  # torch's own initialisation: uniform in ±1/√fan_in
    expected = torch.empty(3, 4).uniform_(-0.5, 0.5, generator=generator)
    torch.testing.assert_close(network[0].weight.detach(), expected, rtol=1e-6, atol=0)
    assert torch.equal(build(parse_model("4-3-2"), seed=5)[2].bias, network[2].bias)
    assert not torch.equal(build(parse_model("4-3-2"), seed=6)[2].bias, network[2].bias)


def test_random_numbers_are_as_before_afterwards(nets):
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    with trusting(["nets"]):
        built = build(parse_model("nets:build"), seed=1)
        again = build(parse_model("nets:build"), seed=1)
    assert torch.equal(built[0].weight, again[0].weight)
    assert (torch.rand(1), np.random.rand()) == expected


@pytest.mark.parametrize("name", ["mlp", "binary-mlp", "cnn", "resnet", "transformer"])
def test_each_of_our_networks_takes_rows_of_the_data(name):
    source = parse_model(name)
    options = NetworkSettings(
        model=name, architecture="1x4", **({"embedding": 8} if name == "transformer" else {})
    )
    network = build(source, input_shape=(14, 14), num_outputs=3, options=options)
    assert network(torch.rand(2, 196)).shape == (2, 3)
    assert fit_inputs(network, source, (14, 14)) is network


def test_a_network_of_images_needs_images():
    with pytest.raises(
        ModelSourceError, match=r"--model cnn: network.model: cnn takes images, .*shape \(7,\)"
    ):
        build(parse_model("cnn"), input_shape=(7,), options=NetworkSettings(model="cnn"))


def test_widths_that_do_not_fit_the_data():
    with pytest.raises(ModelSourceError, match=r"4-3-2: has 4 inputs, and one of the data has 6"):
        build(parse_model("4-3-2"), input_shape=(2, 3))


def test_torchvision_by_its_constructor(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("downloads")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    source = parse_model("torchvision:squeezenet1_1")
    network = build(source, num_outputs=5)
    assert not network.training
    fitted = fit_inputs(network, source, (32, 32))  # grey: its channel stands three times
    rows = torch.rand(2, 1024)
    torch.testing.assert_close(fitted(rows), network(rows.reshape(2, 1, 32, 32).repeat(1, 3, 1, 1)))
    assert fitted(rows).shape == (2, 5)


def test_a_name_that_torchvision_does_not_have():
    with pytest.raises(
        ModelSourceError, match=r"torchvision [0-9.+a-z]+ has no network .*did you mean resnet18"
    ):
        build(parse_model("torchvision:resnet81"))
    with pytest.raises(ModelSourceError, match="has no network of that name for classes"):
        build(parse_model("torchvision:fcos_resnet50_fpn"))  # a detector, which downloads by default


def test_timm_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelSourceError, match=r"timm is not installed; .*pip install 'spaceprobe\[timm\]'"):
        build(parse_model("timm:resnet18"))


def test_timm_builds_without_pretrained_weights(monkeypatch):
    """With a stand-in that has the three functions of timm that are called."""
    called = []

    def create_model(name, **given):
        called.append((name, given))
        return nn.Linear(3, given["num_classes"])

    stand_in = types.SimpleNamespace(
        is_model=lambda name: name == "resnet18",
        list_models=lambda: ["resnet18", "resnet34"],
        create_model=create_model,
    )
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1.2")
    assert build(parse_model("timm:resnet18.a1_in1k"), num_outputs=4).out_features == 4
    assert called == [("resnet18.a1_in1k", {"pretrained": False, "num_classes": 4})]
    with pytest.raises(ModelSourceError, match=r"timm 1\.2 has no network .*did you mean resnet18"):
        build(parse_model("timm:resnet19"))
    assert digests(parse_model("timm:resnet18")) == {"the version of timm": "timm 1.2"}


def test_code_of_the_users_needs_trust(nets):
    with pytest.raises(
        UserCodeError, match=r"--model nets:build runs code of yours, nets.py, .*--trust nets"
    ):
        build(parse_model("nets:build"))
    assert not (nets / "has-run").exists()
    with trusting(["nets"]):
        assert not build(parse_model("nets:build")).training
        with pytest.raises(ModelSourceError, match=r"nets:nothing returned int: expected a torch.nn.Module"):
            build(parse_model("nets:nothing"))


def test_code_that_failed_does_not_hide_that_of_another_folder(nets, tmp_path_factory, monkeypatch):
    broken = tmp_path_factory.mktemp("broken")
    (broken / "nets.py").write_text("import nothing_like_this\n")
    with trusting(["nets"]):
        monkeypatch.chdir(broken)
        with pytest.raises(UserCodeError, match="No module named 'nothing_like_this'"):
            build(parse_model("nets:build"))
        monkeypatch.chdir(nets)
        assert build(parse_model("nets:build")) is not None


def test_inputs_get_the_shape_that_a_users_network_takes(nets):
    rows = torch.rand(2, 30)
    with trusting(["nets"]):
        image, sequence = (build(parse_model(f"nets:{name}")) for name in ("image", "sequence"))
    fitted = fit_inputs(image, parse_model("nets:image"), (6, 5))
    torch.testing.assert_close(fitted(rows), image(rows.reshape(2, 1, 6, 5)))
    fitted = fit_inputs(sequence, parse_model("nets:sequence"), (6, 5))  # channels come before none
    torch.testing.assert_close(fitted(rows), sequence(rows.reshape(2, 1, 6, 5)))
    with pytest.raises(ModelSourceError, match=r"does not take inputs of the data as rows .*1 × 4 × 4 "):
        fit_inputs(image, parse_model("nets:image"), (4, 4))


def saved(network, path, **changes):
    save_file(
        {name: tensor.contiguous() for name, tensor in {**network.state_dict(), **changes}.items()}, path
    )
    return path


def test_given_weights_are_loaded_number_by_number(tmp_path):
    given = build(parse_model("4-3-2"), seed=9)
    for path in (saved(given, tmp_path / "w.safetensors"), tmp_path / "w.pt"):
        if path.suffix == ".pt":
            torch.save(given.state_dict(), path)
        network = build(parse_model("4-3-2"), path, seed=1)
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), given.parameters(), strict=True))
    precise = {name: tensor.double() + math.pi for name, tensor in given.state_dict().items()}
    save_file(precise, tmp_path / "d.safetensors")
    network = build(parse_model("4-3-2"), tmp_path / "d.safetensors")
    assert torch.equal(network[0].weight, precise["0.weight"])  # not rounded to float32


def test_weights_that_do_not_fit_are_listed_in_one_error(tmp_path):
    other = build(parse_model("4-5-5-2"))
    path = saved(other, tmp_path / "w.safetensors")
    with pytest.raises(ModelSourceError) as refused:
        build(parse_model("4-3-2"), path)
    assert str(refused.value) == (
        f"--weights {path} does not fit --model 4-3-2: it has, and the network does not, 4.bias, 4.weight; "
        "0.weight is 5×4, expected 3×4; 0.bias is 5, expected 3; 2.weight is 5×5, expected 2×3; "
        "2.bias is 5, expected 2; give the weights of this architecture, or name theirs"
    )
    with pytest.raises(ModelSourceError, match=r"it does not have 4.weight, 4.bias, 6.weight, 6.bias; "):
        build(parse_model("4-5-5-5-2"), saved(build(parse_model("4-5-5")), path))


def test_a_prefix_of_all_names_is_said(tmp_path):
    state = {f"module.{name}": tensor for name, tensor in build(parse_model("4-3-2")).state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelSourceError, match=r"remove the prefix module\. of the names in the file$"):
        build(parse_model("4-3-2"), tmp_path / "w.safetensors")


def test_weights_that_are_not_finite(tmp_path):
    given = build(parse_model("4-3-2"))
    path = saved(given, tmp_path / "w.safetensors", **{"0.bias": torch.tensor([1.0, math.nan, 2.0])})
    with pytest.raises(ModelSourceError, match=r"0.bias holds NaN or infinite numbers"):
        build(parse_model("4-3-2"), path)
    path = saved(given, tmp_path / "w.safetensors", **{"0.bias": torch.tensor([1, 2, 3])})
    with pytest.raises(ModelSourceError, match=r"0.bias holds torch.int64 numbers"):
        build(parse_model("4-3-2"), path)


class Bomb:
    def __reduce__(self):
        return (open, ("bomb-went-off", "w"))


def test_files_with_code_are_refused_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build(parse_model("4-3-2"))
    torch.save(network, "whole.pt")
    torch.save({"0.weight": Bomb()}, "bomb.pt")
    with zipfile.ZipFile("script.pt", "w") as archive:  # as torch.jit.save writes it
        for member in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"script/{member}", b"")
    (tmp_path / "program.pt2").write_bytes(b"PK")
    (tmp_path / "net.onnx").write_bytes(b"x")
    for name, reason in {
        "whole.pt": "holds code to run .*save the plain state dict by itself",
        "bomb.pt": "holds code to run",
        "script.pt": "is a TorchScript archive",
        "program.pt2": "runs pickles and eval",
        "net.onnx": "is truncated, or is not an ONNX file",
        "missing.safetensors": "cannot be read",
    }.items():
        with pytest.raises(SpaceprobeError, match=reason):
            build(parse_model("4-3-2"), tmp_path / name)
    assert not (tmp_path / "bomb-went-off").exists()


def test_digests_name_all_that_a_network_depends_on(nets):
    weights = nets / "w.safetensors"
    save_file({"a": torch.zeros(1)}, weights)
    found = digests(parse_model("nets:build"), weights)
    sha = {
        name: hashlib.sha256((nets / name).read_bytes()).hexdigest()
        for name in ("nets.py", "helpers_of_nets.py")
    }
    assert found == {
        "helpers_of_nets.py of --model nets:build": sha["helpers_of_nets.py"],
        "nets.py of --model nets:build": sha["nets.py"],
        "the weights w.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    assert digests(parse_model("784-30-10")) == {}
    import torchvision

    assert digests(parse_model("torchvision:resnet18")) == {
        "the version of torchvision": torchvision.__version__.partition("+")[0]
    }
