"""ONNX files that give no network: one sentence each, before anything large is made, and nothing runs."""

import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from spaceprobe.model_sources import ModelSourceError
from spaceprobe.model_sources.onnx_graphs import load_onnx, wire
from tests.onnx_files import changed, floats, model, node, small_mlp, tensor, write

BIG = 10**9


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(made, path="net.onnx"):
    """Return the sentence about a model, or about bytes."""
    data = made if isinstance(made, bytes) else made.SerializeToString()
    Path(path).write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelSourceError) as error:
        load_onnx(Path(path), "--model net.onnx")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"
    text = str(error.value)
    assert text.startswith("--model net.onnx: ")
    assert text.isprintable()
    assert len(text) < 500
    return text


def external(name, place, *sizes):
    made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=sizes, data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=place)
    return made


def empty(name, *sizes, kind=TensorProto.FLOAT):
    return TensorProto(name=name, data_type=kind, dims=sizes)


def doubled(times):
    """Return nodes that join a constant with itself again and again."""
    joins = [node("Concat", f"c{n} c{n}", f"c{n + 1}", axis=0) for n in range(times)]
    return model([*joins, node("Add", f"x c{times}", "y")], [floats("c0", 4)])


def typed(**changes):
    """Return the small MLP with its first constant changed."""

    def change(made):
        first = made.graph.initializer[0]
        first.dims.extend(changes.pop("more_dims", ()))
        for name, value in changes.items():
            setattr(first, name, value)

    return changed(small_mlp(), change)


def relu(**options):
    return model([node("Relu", "x", "y", name="the relu")], **options)


TWO = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 4)) for name in ("x", "other")]

HOSTILE = {
    "empty": (b"", r"holds no graph of operators"),
    "text": (b"#!/bin/sh\ntouch bomb\n", r"is truncated, or is not an ONNX file"),
    "zeros": (bytes(1000), r"is truncated, or is not an ONNX file"),
    "a size bomb": (
        model([node("Add", "x w", "y")], [empty("w", 2**40)]),
        r"constant 'w' has 1,099,511,627,776 numbers, "
        r"at most 536,870,912",
    ),
    "a lying size": (
        model([node("Add", "x w", "y")], [empty("w", 2**20)]),
        r"so 1,048,576 numbers, and holds 0",
    ),
    "sizes below 0": (
        model([node("Add", "x w", "y")], [empty("w", -4)]),
        r"expected at most 16, none below 0",
    ),
    "many sides": (model([node("Add", "x w", "y")], [empty("w", *[1] * 17)]), r"expected at most 16"),
    "less than it says": (typed(more_dims=[5]), r"of sizes \[5, 4, 5\], so 400 bytes, and holds 80"),
    "external data": (
        model([node("Add", "x w", "y")], [external("w", "/etc/passwd", 4)]),
        r"keeps weights in another file, which is not read; .*external_data=False",
    ),
    "external data outside": (
        model([node("Add", "x w", "y")], [external("w", "../../secret", 4)]),
        r"keeps weights in another file",
    ),
    "external without a place": (typed(data_location=TensorProto.EXTERNAL), r"lies in another file"),
    "external in a node": (
        model([node("Constant", "", "c", value=external("", "secret", 4)), node("Add", "x c", "y")]),
        r"keeps weights in another file",
    ),
    "many nodes": (
        model([node("Relu", f"v{n}", f"v{n + 1}") for n in range(wire.MAX_NODES + 1)]),
        r"has more than 20,000 nodes",
    ),
    "many constants": (
        model([node("Relu", "x", "y")], [empty("c", 0)] * (wire.MAX_TENSORS + 1)),
        r"has more than 50,000 constant tensors",
    ),
    "a cycle": (
        model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]),
        r"node '[ab]' \((Add|Relu)\) depends on its own output",
    ),
    "itself": (
        model([node("Add", "x y", "y", name="ring")]),
        r"node 'ring' \(Add\) depends on its own output",
    ),
    "a missing input": (
        model([node("Add", "x lost", "y", name="sum")]),
        r"node 'sum' \(Add\) takes 'lost', which nothing makes",
    ),
    "no maker of the output": (relu(outputs=["z"]), r"no node makes its output 'z'"),
    "made twice": (
        model([node("Relu", "x", "y"), node("Neg", "x", "y")]),
        r"\(Neg\) makes 'y', which another",
    ),
    "made of the input": (
        model([node("Relu", "x", "x"), node("Relu", "x", "y")]),
        r"makes 'x', which another",
    ),
    "a name twice": (
        model([node("Add", "x w", "y")], [floats("w", 4), floats("w", 4)]),
        r"stands there twice",
    ),
    "two inputs": (
        model([node("Add", "x other", "y")], inputs=TWO),
        r"has 2 inputs \('x', 'other'\): expected one",
    ),
    "two outputs": (relu(outputs=["y", "z"]), r"has 2 outputs \('y', 'z'\): expected one"),
    "words as input": (relu(kind=TensorProto.INT64), r"input 'x' takes INT64 numbers: expected FLOAT"),
    "text as input": (relu(kind=TensorProto.STRING), r"takes STRING numbers"),
    "an unknown type": (typed(data_type=99), r"constant 'w' holds unknown numbers"),
    "text as weights": (
        model([node("Add", "x w", "y")], [helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])]),
        r"holds STRING numbers",
    ),
    "complex weights": (
        model([node("Add", "x w", "y")], [tensor("w", np.complex64([1]))]),
        r"holds COMPLEX64",
    ),
    "NaN": (
        model([node("Add", "x w", "y")], [floats("w", 4, value=np.nan)]),
        r"holds NaN or infinite numbers",
    ),
    "no batch": (relu(shape=(4,)), r"has no batch dimension"),
    "no sizes": (relu(shape=None), r"has no batch dimension"),
    "sizes of 0": (relu(shape=("n", 0)), r"expected sizes from 1"),
    "an old opset": (relu(opset=6), r"is of opset 6: expected one of 7 to \d+"),
    "a future opset": (relu(opset=10_000), r"is of opset 10000"),
    "an unknown operator": (
        model([node("Einsum", "x x", "y", equation="i,i", name="sum of all")]),
        r"node 'sum of all' \(Einsum\) is an operator that is not supported",
    ),
    "a GELU in pieces": (model([node("Erf", "x", "y")]), r"GELU is one operator from opset 20 on"),
    "control flow": (
        model(
            [
                helper.make_node(
                    "If", ["x"], ["y"], then_branch=small_mlp().graph, else_branch=small_mlp().graph
                )
            ]
        ),
        r"\(If\) is an operator that is not",
    ),
    "a domain of its own": (
        model([helper.make_node("Relu", ["x"], ["y"], domain="evil")]),
        r"is an operator of 'evil', which is not supported",
    ),
    "an unknown attribute": (
        model([node("Relu", "x", "y", alpha=1)]),
        r"attribute 'alpha', which .* not take",
    ),
    "an attribute of another type": (
        model([node("LeakyRelu", "x", "y", alpha="big")]),
        r"its attribute alpha is STRING, expected FLOAT",
    ),
    "a missing attribute": (
        model([node("MaxPool", "x", "y")], shape=("n", 1, 4, 4)),
        r"lacks its attribute kernel",
    ),
    "too many inputs": (model([node("Relu", "x x", "y")]), r"has 2 inputs: expected 1"),
    "a kernel of 0": (
        model([node("MaxPool", "x", "y", kernel_shape=[0, 1])], shape=("n", 1, 4, 4)),
        r"has kernel_shape \[0, 1\]: expected 2 numbers from 1",
    ),
    "a vast padding": (
        model([node("Conv", "x w", "y", pads=[BIG] * 4)], [floats("w", 1, 1, 1, 1)], shape=("n", 1, 4, 4)),
        r"\(Conv\) does not take values of shapes .* overflowed",
    ),
    "a large padding": (
        model([node("Conv", "x w", "y", pads=[10**5] * 4)], [floats("w", 1, 1, 1, 1)], shape=("n", 1, 4, 4)),
        r"\(Conv\) makes a value of shape 3 × 1 × 200004 × 200004: at most 402,653,184 numbers",
    ),
    "vast pads": (
        model([node("Pad", "x p", "y")], [tensor("p", [0, BIG, 0, BIG])]),
        r"makes a value of shape",
    ),
    "a vast expansion": (model([node("Expand", "x s", "y")], [tensor("s", [1, BIG, 4])]), r"\(Expand\)"),
    "a vast constant": (
        model([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], [tensor("s", [BIG, BIG])]),
        r"\(ConstantOfShape\)",
    ),
    "a vast sum": (
        model(
            [node("Add", "a b", "c"), node("Add", "x c", "y")], [floats("a", 20_000, 1), floats("b", 20_000)]
        ),
        r"makes a value of shape 20000 × 20000",
    ),
    "a vast product": (
        model(
            [node("Unsqueeze", "x a", "h"), node("MatMul", "b h", "y")],
            [tensor("a", [1]), floats("b", 10**6, 1)],
            shape=("n", 1_000),
        ),
        r"makes a value of shape",
    ),
    "constants that double": (doubled(40), r"\(Concat\) makes a value of shape"),
    "shapes that do not fit": (
        model([node("Gemm", "x w", "y", name="layer")], [floats("w", 5, 3)]),
        r"node 'layer' \(Gemm\) does not take values of shapes 3 × 4: ",
    ),
    "weights of the input": (
        model([node("Conv", "x x", "y")], shape=("n", 1, 1, 1)),
        r"has weights that depend on the input",
    ),
    "sizes of the input": (
        model([node("Reshape", "x x", "y")]),
        r"takes sizes or places that depend on the input",
    ),
    "a batch that is mixed": (
        model([node("Reshape", "x s", "y")], [tensor("s", [-1])]),
        r"the batch is not its first dimension",
    ),
    "a mean over the batch": (
        model([node("ReduceMean", "x", "y")]),
        r"is over all dimensions, so over the batch",
    ),
    "a batch of 2": (
        model([node("Reshape", "x s", "y")], [tensor("s", [4, 2])], shape=(2, 4)),
        r"\(Reshape\) does not",
    ),
    "training": (
        model(
            [node("BatchNormalization", "x a b c d", "y", training_mode=1)],
            [floats(name, 4) for name in "abcd"],
        ),
        r"export the network in evaluation mode",
    ),
    "a second output": (
        model([node("MaxPool", "x", "a i", kernel_shape=[1]), node("Identity", "i", "y")], shape=("n", 1, 4)),
        r"is asked for more than its first output",
    ),
    "whole numbers": (model([node("Cast", "x", "y", to=TensorProto.INT64)]), r"rounds to whole numbers"),
    "places that are not there": (
        model([node("Gather", "x i", "y", axis=1)], [tensor("i", [9])]),
        r"takes entries that a dimension of 4 does not have",
    ),
    "control characters": (
        model([node("Einsum", "x", "y", equation="i", name="\x1b[31mred")]),
        r"\\x1b\[31mred",
    ),
    "a constant output": (
        model([node("Identity", "c", "y")], [floats("c", 4)]),
        r"does not depend on its input",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_sentence(name, folder):
    made, reason = HOSTILE[name]
    assert re.search(reason, refused(made))
    assert [path.name for path in folder.iterdir()] == ["net.onnx"]


def test_a_file_that_ends_early_is_refused_wherever_it_ends():
    whole = small_mlp().SerializeToString()
    for end in range(len(whole)):
        text = refused(whole[:end])
        assert "truncated" in text or "no graph" in text or "is of opset none" in text, (end, text)


def test_one_changed_byte_never_breaks_out():
    """Every byte of a file changed: a network, or one sentence."""
    whole = bytearray(small_mlp().SerializeToString())
    for place in range(len(whole)):
        made = bytearray(whole)
        made[place] ^= 0x15
        Path("net.onnx").write_bytes(made)
        try:
            network = load_onnx(Path("net.onnx"))
            network(torch.zeros(2, 4))
        except (ModelSourceError, ValueError):
            continue  # one sentence
        except RuntimeError as error:  # of the size of a layer, which was changed
            if "shapes cannot be multiplied" not in str(error):
                raise


def test_names_become_modules_of_any_kind():
    """Names of the file are names in torch, whatever torch uses itself."""
    names = [
        "forward.weight",
        "training.weight",
        "a..b.weight",
        ".weight",
        "x" * 1000,
        "é.weight",
        "a.b",
        "a.b.c",
        "a",
    ]
    layers = [node("Gemm", f"v{number} {name}", f"v{number + 1}") for number, name in enumerate(names)]
    nodes = [node("Relu", "x", "v0"), *layers, node("Identity", f"v{len(names)}", "y")]
    made = model(nodes, [floats(name, 4, 4, value=0.1 * (number + 1)) for number, name in enumerate(names)])
    network = load_onnx(write(made))
    assert len(network.state_dict()) == len(names)
    assert network(torch.ones(2, 4)).shape == (2, 4)
    deep = ".".join(["a"] * 5000) + ".weight"
    network = load_onnx(write(model([node("Gemm", f"x {deep}", "y")], [floats(deep, 4, 4)])))
    assert len([*network.modules()]) < 5


def test_what_the_output_does_not_need_is_not_looked_at():
    made = model([node("Relu", "x", "y"), node("Einsum", "x", "unused", equation="i")])
    assert load_onnx(write(made))(torch.ones(1, 4)).tolist() == [[1] * 4]


def test_files_that_are_not_files():
    Path("folder.onnx").mkdir()
    os.mkfifo("pipe.onnx")
    Path("loop.onnx").symlink_to("loop.onnx")
    for name in ("folder.onnx", "pipe.onnx", "loop.onnx", "missing.onnx"):
        with pytest.raises(ModelSourceError, match=r"--model: cannot be read \("):
            load_onnx(Path(name))


def test_without_onnx_there_is_the_line_for_pip(monkeypatch):
    path = write(small_mlp())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelSourceError, match=r"onnx is not installed; .*pip install 'spaceprobe\[onnx\]'"):
        load_onnx(path)


def test_the_checks_of_sizes_read_no_numbers():
    """A file of 200 MB of weights is counted without a look into them."""
    made = model([node("Add", "x w", "y")], [floats("w", 4)])
    made.graph.initializer[0].raw_data = bytes(200_000_000)
    data = made.SerializeToString()
    start = time.process_time()
    wire.check_counts(data)
    assert time.process_time() - start < 0.1
    assert onnx.ModelProto.FromString(data).graph.initializer[0].dims == [4]
