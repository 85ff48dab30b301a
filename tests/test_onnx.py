"""Networks from ONNX files: they compute what onnxruntime does, and have the regions of the original."""

import copy
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from spaceprobe.folding import UncountedUnits, engine_for, walk_paths
from spaceprobe.model_sources.onnx_graphs import load_onnx
from spaceprobe.networks.models import NETWORKS
from spaceprobe.stages.train.settings import NetworkSettings
from tests.onnx_files import computed_by_onnxruntime, export, floats, model, modules, node, tensor, write

FLOAT32 = 5e-6
"""Relative to the largest output: float32 has 7 digits, and sums are in another order."""

FOLDED = 1e-6
"""Weights that an exporter has multiplied with those of a normalisation, in float32."""

CURVED = ("curved", "transformer")
NUM_PATHS = 6


@cache
def small_modules():
    return modules()


def registered(name):
    """Return a small network of the registry, with what normalisations have learned."""
    settings = {"batch_norm": True} if name in ("resnet", "mlp", "cnn") else {}
    options = NetworkSettings(model=name, architecture="2x6", **settings)
    generator = torch.Generator().manual_seed(4)
    network = NETWORKS[name].build(options, (14, 14), 10, generator).eval()
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    return network.requires_grad_(requires_grad=False), (196,)


def compare(network, shape, path, *, is_curved, one_by_one=False):
    """Check outputs against onnxruntime, and the regions of paths against the original's."""
    generator = torch.Generator().manual_seed(8)
    points = 2 * torch.randn(2 * NUM_PATHS, *shape, generator=generator)
    imported = load_onnx(path)
    assert not imported.training
    expected = computed_by_onnxruntime(path, points, one_by_one=one_by_one)
    with torch.no_grad():
        found = imported(points).numpy()
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32 * np.abs(expected).max())

    ends = points.double().split(NUM_PATHS)
    original, imported = copy.deepcopy(network).double(), imported.double()
    method = "sampled" if is_curved else "exact"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncountedUnits)
        walks = [walk_paths(each, *ends, method=method) for each in (original, imported)]
    assert walks[0].length.sum() > NUM_PATHS
    assert walks[0].length.tolist() == walks[1].length.tolist()
    assert walks[0].reach_from_a.tolist() == walks[1].reach_from_a.tolist()
    return imported


PRODUCTS = ("factored-mlp", "low-rank-mlp")
"""Their weights are products in the file as well, whose factors come back, not the product."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_registry_comes_back(name, tmp_path):
    network, shape = registered(name)
    path = export(network, torch.rand(2, *shape), tmp_path / "net.onnx")
    imported = compare(network, shape, path, is_curved=name in CURVED)
    if name in PRODUCTS:
        return
    weights, own = imported.state_dict(), network.state_dict()
    matrices = [key for key, value in own.items() if value.ndim > 1]
    assert [key for key, value in weights.items() if value.ndim > 1] == matrices
    for key in matrices:
        assert weights[key].shape == own[key].shape, key
        if name not in ("resnet", "cnn"):  # where convolutions were multiplied with the normalisation
            assert torch.equal(weights[key].float(), own[key]), key


@pytest.mark.parametrize(("name", "is_batch_open"), [("mlp", True), ("cnn", False), ("transformer", True)])
def test_a_network_of_the_registry_comes_back_from_the_newer_exporter(name, is_batch_open, tmp_path):
    network, shape = registered(name)
    example = torch.rand(2 if is_batch_open else 1, *shape)
    path = export(network, example, tmp_path / "net.onnx", dynamo=True, is_batch_open=is_batch_open)
    imported = compare(network, shape, path, is_curved=name in CURVED, one_by_one=not is_batch_open)
    matrices = [key for key, value in network.state_dict().items() if value.ndim > 1]
    assert [key for key, value in imported.state_dict().items() if value.ndim > 1] == matrices


@pytest.mark.parametrize("name", small_modules())
def test_a_small_module_comes_back(name, tmp_path):
    network, shape = small_modules()[name]
    path = export(network, torch.rand(2, *shape), tmp_path / "net.onnx")
    compare(network, shape, path, is_curved=name in CURVED)


@pytest.mark.parametrize("name", ["convolutions", "pools", "branches", "rows", "curved"])
def test_a_file_that_was_made_for_one_input_takes_many(name, tmp_path):
    network, shape = small_modules()[name]
    path = export(network, torch.rand(1, *shape), tmp_path / "net.onnx", is_batch_open=False)
    compare(network, shape, path, is_curved=name in CURVED, one_by_one=True)


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("name", ["slopes", "convolutions", "pools", "branches", "rows", "scaled", "maxima"])
def test_older_forms_of_the_operators(name, opset, tmp_path):
    network, shape = small_modules()[name]
    path = export(network, torch.rand(2, *shape), tmp_path / "net.onnx", opset=opset)
    compare(network, shape, path, is_curved=False)


def test_an_mlp_is_a_sequence_for_the_fastest_walk(tmp_path):
    network, shape = small_modules()["mlp"]
    imported = load_onnx(export(network, torch.rand(2, *shape), tmp_path / "net.onnx"))
    assert isinstance(imported, nn.Sequential)
    assert [*imported.state_dict()] == [*network.state_dict()]
    assert engine_for(imported.double(), torch.rand(2, *shape).double()) == "kernel"


X = torch.linspace(-3, 3, 2 * 3 * 5 * 4).reshape(2, 3, 5, 4)

SINGLE = {
    "Clip below": ([node("Clip", "x low", "y")], [floats("low", value=-0.4)]),
    "Clip above": ([node("Clip", "x  high", "y")], [floats("high", value=0.4)]),
    "Clip nowhere": ([node("Clip", "x", "y")], []),
    "Max of three": ([node("Neg", "x", "h"), node("Max", "x h c", "y")], [floats("c")]),
    "Min with one": ([node("Min", "c x", "y")], [floats("c")]),
    "Sum": ([node("Sum", "x x c", "y")], [floats("c", 4)]),
    "Sub from a constant": ([node("Sub", "c x", "y")], [floats("c", 3, 1, 1)]),
    "Div": ([node("Div", "x c", "y")], [floats("c", 1, 1, 4, value=3)]),
    "HardSigmoid": ([node("HardSigmoid", "x", "y", alpha=0.3, beta=0.4)], []),
    "HardSwish": ([node("HardSwish", "x", "y")], []),
    "Elu": ([node("Elu", "x", "y", alpha=0.7)], []),
    "Celu": ([node("Celu", "x", "y", alpha=0.7)], []),
    "Selu": ([node("Selu", "x", "y")], []),
    "Softplus": ([node("Softplus", "x", "y")], []),
    "Softsign": ([node("Softsign", "x", "y")], []),
    "Mish": ([node("Mish", "x", "y")], []),
    "Gelu by tanh": ([node("Gelu", "x", "y", approximate="tanh")], []),
    "ThresholdedRelu": ([node("ThresholdedRelu", "x", "y", alpha=0.6)], []),
    "Shrink hard": ([node("Shrink", "x", "y", lambd=0.6)], []),
    "Shrink soft": ([node("Shrink", "x", "y", lambd=0.6, bias=0.6)], []),
    "Sign": ([node("Sign", "x", "y")], []),
    "Softmax": ([node("Softmax", "x", "y", axis=1)], []),
    "GlobalAveragePool": ([node("GlobalAveragePool", "x", "y")], []),
    "GlobalMaxPool": ([node("GlobalMaxPool", "x", "y")], []),
    "ReduceMax": ([node("ReduceMax", "x a", "y", keepdims=0)], [tensor("a", [-1, 1])]),
    "ReduceSum": ([node("ReduceSum", "x a", "y")], [tensor("a", [2])]),
    "Conv SAME_UPPER": (
        [node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
        [floats("w", 2, 3, 2, 3)],
    ),
    "Conv SAME_LOWER": ([node("Conv", "x w", "y", auto_pad="SAME_LOWER")], [floats("w", 2, 3, 2, 2)]),
    "Conv VALID": ([node("Conv", "x w", "y", auto_pad="VALID")], [floats("w", 2, 3, 2, 2)]),
    "Conv uneven": (
        [node("Conv", "x w b", "y", pads=[0, 1, 2, 0])],
        [floats("w", 2, 3, 2, 2), floats("b", 2)],
    ),
    "MaxPool SAME": ([node("MaxPool", "x", "y", kernel_shape=[3, 3], auto_pad="SAME_UPPER")], []),
    "MaxPool uneven": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 1, 0])],
        [],
    ),
    "AveragePool uneven": (
        [node("AveragePool", "x", "y", kernel_shape=[2, 3], pads=[0, 1, 1, 0], count_include_pad=1)],
        [],
    ),
    "MaxPool dilated": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 1], strides=[1, 2])],
        [],
    ),
    "AveragePool padded": ([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], []),
    "AveragePool with padding": (
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
        [],
    ),
    "AveragePool ceil": (
        [node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
        [],
    ),
    "MaxPool ceil": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)], []),
    "Pad axes": (
        [node("Pad", "x p v a", "y")],
        [tensor("p", [1, 2, 0, 3]), floats("v"), tensor("a", [3, 1])],
    ),
    "Pad edge": ([node("Pad", "x p", "y", mode="edge")], [tensor("p", [0, 0, 1, 0, 0, 0, 0, 2])]),
    "Pad less": ([node("Pad", "x p", "y")], [tensor("p", [0, 0, -1, 0, 0, 0, 0, -2])]),
    "Slice steps": (
        [node("Slice", "x s e a t", "y")],
        [tensor("s", [0, -4]), tensor("e", [2**63 - 1, 4]), tensor("a", [1, 3]), tensor("t", [2, 1])],
    ),
    "Slice backwards": (
        [node("Slice", "x s e a t", "y")],
        [tensor("s", [-1, 3]), tensor("e", [-(2**63), 0]), tensor("a", [1, 2]), tensor("t", [-1, -2])],
    ),
    "Gather one": ([node("Gather", "x i", "y", axis=2)], [tensor("i", np.int64(-1))]),
    "Gather several": ([node("Gather", "x i", "y", axis=1)], [tensor("i", [[2, 0], [-1, 1]])]),
    "Reshape zeros": ([node("Reshape", "x s", "y")], [tensor("s", [0, 0, -1])]),
    "Reshape by Shape": (
        [node("Shape", "x", "s", end=1), node("Concat", "s r", "t", axis=0), node("Reshape", "x t", "y")],
        [tensor("r", [6, -1])],
    ),
    "Expand": (
        [node("Gather", "x i", "h", axis=1), node("Expand", "h s", "y")],
        [tensor("i", [1]), tensor("s", [1, 7, 1, 4])],
    ),
    "Transpose": ([node("Transpose", "x", "y", perm=[0, 3, 1, 2])], []),
    "Squeeze": (
        [node("Unsqueeze", "x a", "h"), node("Squeeze", "h b", "y")],
        [tensor("a", [1, -1]), tensor("b", [1])],
    ),
    "Flatten": ([node("Flatten", "x", "y", axis=-3)], []),
    "Constant": ([node("Constant", "", "c", value_floats=[1.0, 2, 3, 4]), node("Mul", "x c", "y")], []),
    "ConstantOfShape": (
        [node("ConstantOfShape", "s", "c", value=tensor("", np.float32([2]))), node("Add", "x c", "y")],
        [tensor("s", [5, 1])],
    ),
    "Dropout": ([node("Dropout", "x", "h mask"), node("Identity", "h", "y")], []),
    "constants of constants": (
        [node("Transpose", "w", "v"), node("MatMul", "x v", "h"), node("Add", "b h", "y")],
        [floats("w", 7, 4), floats("b", 7)],
    ),
    "MatMul from the left": ([node("MatMul", "w x", "y")], [floats("w", 2, 5)]),
    "PRelu of one": ([node("PRelu", "x s", "y")], [floats("s", 1, 1, 1, value=0.3)]),
    "PRelu of channels": ([node("PRelu", "x s", "y")], [tensor("s", np.float32([[[0.1]], [[0.2]], [[-1]]]))]),
    "nodes in another order": ([node("Relu", "h", "y"), node("Neg", "x", "h")], []),
    "float16 constants": (
        [node("Cast", "c", "d", to=1), node("Add", "x d", "y")],
        [tensor("c", np.float16([1, 2, 3, 4]))],
    ),
    "Gemm scaled": (
        [node("Flatten", "x", "h"), node("Gemm", "h w b", "y", alpha=0.5, beta=2.0)],
        [floats("w", 60, 3, value=0.1), floats("b", 1)],
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_operator(name, tmp_path):
    nodes, constants = SINGLE[name]
    path = write(model(nodes, constants, shape=("n", 3, 5, 4)), tmp_path / "net.onnx")
    imported = load_onnx(path)
    with torch.no_grad():
        found = imported(X)
    is_told = name == "nodes in another order"  # which onnxruntime refuses
    expected = (-X).relu().numpy() if is_told else computed_by_onnxruntime(path, X)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_softmax_before_opset_13_is_of_all_dimensions_from_its_own_on(tmp_path):
    path = write(model([node("Softmax", "x", "y")], shape=("n", 3, 5, 4), opset=11), tmp_path / "net.onnx")
    np.testing.assert_allclose(load_onnx(path)(X), computed_by_onnxruntime(path, X), rtol=1e-5)


def test_doubles_stay_doubles(tmp_path):
    weight = np.random.default_rng(1).normal(size=(4, 3))
    made = model([node("MatMul", "x w", "h"), node("Relu", "h", "y")], [tensor("w", weight)], kind=11)
    imported = load_onnx(write(made, tmp_path / "net.onnx"))
    points = torch.rand(5, 4, dtype=torch.float64)
    np.testing.assert_allclose(imported(points).detach(), np.maximum(points.numpy() @ weight, 0), rtol=1e-14)


def test_a_layer_that_is_used_twice_is_one(tmp_path):
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r w", "y")]
    imported = load_onnx(write(model(nodes, [floats("w", 4, 4)]), tmp_path / "net.onnx"))
    assert [*imported.state_dict()] == ["w.weight"]


def test_sizes_that_a_file_leaves_open_are_tried_when_they_are_known(tmp_path):
    nodes = [node("Conv", "x w", "h"), node("Relu", "h", "r"), node("GlobalAveragePool", "r", "y")]
    path = write(model(nodes, [floats("w", 2, 3, 3, 3)], shape=("n", 3, "h", "w")), tmp_path / "net.onnx")
    imported = load_onnx(path)
    for side in (3, 7):
        points = torch.rand(2, 3, side, side)
        with torch.no_grad():
            np.testing.assert_allclose(imported(points), computed_by_onnxruntime(path, points), rtol=1e-5)
    with pytest.raises(ValueError, match=r"takes inputs of shape 3 × \? × \?, not 2 × 7 × 7"):
        imported(torch.rand(2, 2, 7, 7))
    with pytest.raises(Exception, match=r"node 'h' \(Conv\) does not take values of shapes 3 × 3 × 2 × 2: "):
        imported(torch.rand(2, 3, 2, 2))


def test_what_chooses_is_named_by_its_module(tmp_path):
    from spaceprobe.folding import passed_over

    network, shape = small_modules()["convolutions"]
    imported = load_onnx(export(network, torch.rand(2, *shape), tmp_path / "net.onnx")).double()
    assert passed_over(imported, torch.rand(2, *shape).double()) == ("max_pool2d in '3'",)
    curved, shape = small_modules()["curved"]
    imported = load_onnx(export(curved, torch.rand(2, *shape), tmp_path / "net.onnx")).double()
    ends = torch.rand(2, 6).double().split(1)
    with pytest.raises(TypeError, match=r"module '1': .*gelu is not known to be piecewise affine"):
        walk_paths(imported, *ends)
