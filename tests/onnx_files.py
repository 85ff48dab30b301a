"""ONNX files for the tests: of torch's exporters, and hand-made ones; and what onnxruntime computes."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812


def export(network, example, path, *, opset=20, is_batch_open=True, dynamo=False):
    """Write a network with torch's exporter, by default its older one, which takes no ten seconds."""
    path = Path(path)
    options = {"opset_version": opset, "dynamo": dynamo}
    if dynamo:
        batch = ({0: torch.export.Dim.DYNAMIC},) if is_batch_open else None
        options |= {"dynamic_shapes": batch, "external_data": False, "verbose": False}
    else:
        options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}} if is_batch_open else None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own: of tracing, of deprecation
        torch.onnx.export(network.eval(), (example,), str(path), **options)
    return path


def computed_by_onnxruntime(path, inputs, *, one_by_one=False):
    """Return what onnxruntime computes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    batches = inputs.split(1) if one_by_one else [inputs]
    return np.concatenate([session.run(None, {name: batch.numpy()})[0] for batch in batches])


class Maxima(nn.Module):
    """Maxima and minima of two branches and of constants."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 5), nn.Linear(6, 5)
        self.register_buffer("bound", torch.tensor([0.1, 0.2, -0.3, 0.4, 0.0]))
        self.readout = nn.Linear(5, 3)

    def forward(self, x):
        largest = torch.maximum(self.left(x), self.right(x))
        held = torch.minimum(torch.maximum(largest, self.bound - 1), self.bound + 1)
        return self.readout(torch.abs(held))


class Branches(nn.Module):
    """Two branches side by side, one of them pooled, and a mean over the image."""

    def __init__(self, num_channels=2):
        super().__init__()
        self.narrow = nn.Conv2d(num_channels, 3, 1)
        self.wide = nn.Conv2d(num_channels, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(7)
        self.readout = nn.Linear(7, 3)

    def forward(self, x):
        wide = self.wide(F.max_pool2d(x, 3, 1, 1))
        both = torch.cat([F.relu(self.narrow(x)), F.relu(wide)], 1)
        return self.readout(F.relu(self.norm(both)).mean((2, 3)))


class Moved(nn.Module):
    """Rows cut, padded, turned and put together again."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, (2, 3)), nn.Linear(3, 4)

    def forward(self, x):
        x = F.pad(x.unsqueeze(1)[:, :, 1:, ::2], (1, 1, 0, 1), mode="reflect")
        x = F.pad(F.relu(self.first(x)), (0, 1, 2, 0), value=0.5)
        x = self.second(x.permute(0, 2, 3, 1)).relu()
        return x.flatten(1)[:, 3:30] - x[:, 0, 0, :1]


class Rows(nn.Module):
    """A convolution along rows, whose pools overlap."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv1d(3, 4, 3, stride=2, padding=2, dilation=2)
        self.mix = nn.Linear(4, 4)

    def forward(self, x):
        x = F.avg_pool1d(F.leaky_relu(self.embed(x), 0.2), 3, 2, 1)
        x = self.mix(x.transpose(1, 2)) + x.transpose(1, 2)
        return F.hardtanh(x, -0.1, 0.2).mean(1)


class Scaled(nn.Module):
    """Inputs that are normalised, a residual block, parameters of the network's own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.2, 0.4]).view(2, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.5, 0.3]).view(2, 1, 1))
        self.depthwise = nn.Conv2d(2, 2, 3, padding=1, groups=2)
        self.scale = nn.Parameter(torch.rand(2, 1, 1))
        self.weight = nn.Parameter(torch.randn(8, 4))

    def forward(self, x):
        x = (x - self.mean) / self.deviation
        x = x + self.scale * F.relu6(self.depthwise(x))
        return 2 * (F.adaptive_avg_pool2d(x, 2).flatten(1) @ self.weight) - 1


class Sign(nn.Module):
    """Signs."""

    def forward(self, x):
        return torch.sign(x - 0.05)


def deep(*layers):
    return nn.Sequential(*layers)


def modules():
    """Return the small modules, each with the shape of an input, by a name."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = {
            "mlp": (
                deep(nn.Linear(6, 7), nn.ReLU(), deep(nn.Linear(7, 5), nn.ReLU()), nn.Linear(5, 3)),
                (6,),
            ),
            "slopes": (
                deep(
                    nn.Linear(6, 7),
                    nn.BatchNorm1d(7),
                    nn.PReLU(7),
                    nn.Linear(7, 5),
                    nn.LeakyReLU(0.1),
                    nn.Linear(5, 5),
                    nn.PReLU(),
                    nn.Linear(5, 3),
                ),
                (6,),
            ),
            "convolutions": (
                deep(
                    nn.Conv2d(2, 4, 3, padding=1),
                    nn.BatchNorm2d(4),
                    nn.ReLU(),
                    nn.MaxPool2d(2),
                    nn.BatchNorm2d(4),
                    nn.Conv2d(4, 4, 2, groups=2),
                    nn.PReLU(4),
                    nn.Flatten(),
                    nn.Dropout(),
                    nn.Linear(16, 3),
                ),
                (2, 6, 6),
            ),
            "signs": (
                deep(
                    nn.Linear(6, 7, bias=False),
                    nn.Hardsigmoid(),
                    nn.Linear(7, 5),
                    nn.ReLU6(),
                    Sign(),
                    nn.Linear(5, 3),
                ),
                (6,),
            ),
            "pools": (
                deep(
                    nn.Conv2d(1, 4, 3, stride=2),
                    nn.ReLU(),
                    nn.AvgPool2d(2, 1, 1),
                    nn.ReLU(),
                    nn.MaxPool2d(2, ceil_mode=True),
                    nn.AdaptiveAvgPool2d(1),
                    nn.Flatten(),
                    nn.Linear(4, 3),
                ),
                (1, 11, 9),
            ),
            "maxima": (Maxima(), (6,)),
            "branches": (Branches(), (2, 5, 4)),
            "moved": (Moved(), (5, 9)),
            "rows": (Rows(), (3, 12)),
            "scaled": (Scaled(), (2, 4, 6)),
            "curved": (
                deep(
                    nn.Linear(6, 8),
                    nn.GELU(),
                    nn.LayerNorm(8),
                    nn.Linear(8, 8),
                    nn.Sigmoid(),
                    nn.Linear(8, 5),
                    nn.Tanh(),
                    nn.Linear(5, 5),
                    nn.SELU(),
                    nn.Softmax(-1),
                    nn.Linear(5, 3),
                ),
                (6,),
            ),
        }
        for network, _ in made.values():
            for layer in network.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.running_mean.uniform_(-0.3, 0.3)
                    layer.running_var.uniform_(0.5, 2)
                    nn.init.uniform_(layer.weight, -1, 1.5)
            network.eval().requires_grad_(requires_grad=False)
    return made


def tensor(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def floats(name, *shape, value=0.5):
    return numpy_helper.from_array(np.full(shape, value, dtype=np.float32), name)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def model(
    nodes, constants=(), *, shape=("n", 4), outputs=("y",), inputs=None, opset=20, kind=TensorProto.FLOAT
):
    """Return a model of nodes from x to y, unchecked."""
    values = inputs or [helper.make_tensor_value_info("x", kind, shape)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "graph", values, outputs, [*constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def write(made, path="net.onnx"):
    Path(path).write_bytes(made.SerializeToString())
    return Path(path)


def changed(made, change):
    """Return a copy of a model after a change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    change(copy)
    return copy


def small_mlp():
    """Return a model of one hidden layer."""
    return model(
        [
            node("Gemm", "x w b", "h", transB=1, name="first"),
            node("Relu", "h", "r"),
            node("Gemm", "r v", "y"),
        ],
        [floats("w", 5, 4), floats("b", 5), floats("v", 5, 3)],
    )
