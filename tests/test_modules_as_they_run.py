"""Modules that run something else than their class says, and modules that cannot be copied as they are."""

import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import nn
from torch.nn.utils import prune

import spaceprobe
from spaceprobe.folding import engine_for
from spaceprobe.networks.differentiation import differentiator

METHODS = ("exact", "layerwise", "sampled", "adaptive")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3)).double()


def ends():
    return torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def dense_lengths(bits, points=20_001):
    """Flips between neighbouring points, given what computes the bits of a batch: of these few units all."""
    a, b = ends()
    found = []
    for start, end in zip(a, b, strict=True):
        t = torch.linspace(0, 1, points, dtype=torch.float64)[:, None]
        seen = bits(start + t * (end - start))
        found.append(int((seen[1:] != seen[:-1]).sum()))
    return found


def of_layers(model, first, between=lambda h: h):
    """The bits of both hidden layers, with another function in the place of the first layer."""

    def bits(x):
        z = between(first(x))
        return torch.cat([z > 0, model[2](z.relu()) > 0], dim=1)

    return bits


def patched_layer():
    model = network()
    layer = model[0]
    layer.forward = types.MethodType(lambda self, x: F.linear(x, self.weight) * 2, layer)
    return model, of_layers(model, lambda x: x @ layer.weight.T * 2)


def patched_relu():
    model = network()
    model[1].forward = lambda x: F.relu(x - 0.5)
    return model, of_layers(model, lambda x: x @ model[0].weight.T + model[0].bias, lambda h: h - 0.5)


def patched_root():
    model = network()
    model.forward = types.MethodType(
        lambda self, x: self[4](self[3](self[2](self[1](self[0](x + 1))))), model
    )
    return model, of_layers(model, lambda x: (x + 1) @ model[0].weight.T + model[0].bias)


@pytest.mark.parametrize("make", [patched_layer, patched_relu, patched_root])
@pytest.mark.parametrize("method", METHODS)
def test_a_forward_method_that_was_replaced_is_what_runs(make, method):
    model, bits = make()
    expected = dense_lengths(bits)
    found = spaceprobe.fold(model, *ends(), method=method, num_points=20_001)
    assert found.engine != "kernel"
    assert found.length.tolist() == expected
    assert expected != spaceprobe.fold(network(), *ends()).length.tolist()


def test_a_forward_method_of_the_class_that_was_replaced_is_what_runs(monkeypatch):
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: F.linear(x, self.weight) - 1)
    model = network()
    found = spaceprobe.fold(model, *ends())
    assert found.engine == "layerwise"
    assert (
        found.length.tolist()
        == spaceprobe.fold(model, *ends(), method="sampled", num_points=20_001).length.tolist()
    )


def test_a_hook_on_all_modules_is_what_runs():
    model = network()
    plain = spaceprobe.fold(model, *ends())
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, _inputs, outputs: outputs + 1 if isinstance(module, nn.Linear) else None
    )
    try:
        found = spaceprobe.fold(model, *ends())
        sampled = spaceprobe.fold(model, *ends(), method="sampled", num_points=20_001)
    finally:
        hook.remove()
    assert (plain.engine, found.engine) == ("kernel", "layerwise")
    assert found.length.tolist() == sampled.length.tolist() != plain.length.tolist()


def test_a_network_with_a_replaced_forward_method_is_trained_as_it_runs():
    model, _ = patched_layer()
    inputs, targets = ends()[0], torch.tensor([0, 1, 2, 0, 1, 2])
    found = differentiator(model)(inputs, targets, "mean")
    expected = F.cross_entropy(model(inputs), targets)
    assert torch.equal(found.loss, expected)
    gradients = torch.autograd.grad(expected, [*model.parameters()], allow_unused=True)
    assert gradients[1] is None  # the bias is not used
    for one, other in zip(found.gradients, gradients, strict=True):
        assert one is other is None or torch.equal(one, other)


class BySize(nn.Module):
    """A network that divides by the number of inputs of a batch."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        return self.layers(x / len(x) - 0.2)


@pytest.mark.parametrize("method", METHODS)
def test_what_depends_on_the_size_of_a_batch_is_refused(method):
    with pytest.raises(ValueError, match="depends on the other inputs of its batch, on their number"):
        spaceprobe.fold(BySize(), *ends(), method=method)


class Keeps(nn.Module):
    """Keeps what it computed last."""

    def __init__(self):
        super().__init__()
        self.layers = network()
        self.last = None

    def forward(self, x):
        self.last = self.layers(x)
        return self.last


def pruned():
    model = network()
    prune.random_unstructured(model[0], "weight", 0.5)
    return model


def after_a_run():
    model = Keeps()
    model(ends()[0])
    return model


@pytest.mark.parametrize("make", [pruned, after_a_run])
def test_modules_that_keep_results_of_gradients_can_be_folded(make):
    model = make()
    found = spaceprobe.fold(model, *ends())
    sampled = spaceprobe.fold(model, *ends(), method="sampled", num_points=20_001)
    assert found.length.tolist() == sampled.length.tolist()
    assert len(spaceprobe.trace(model, torch.stack([x[0] for x in ends()])).to_frame()) == found.length[0]


class InPlace(nn.Module):
    """Doubles its input where it lies."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        return self.layers(x.mul_(2))


@pytest.mark.parametrize("method", METHODS)
def test_an_input_that_is_changed_in_place(method):
    a, b = ends()
    found = spaceprobe.fold(InPlace(), a, b, method=method, num_points=20_001)
    assert found.length.tolist() == spaceprobe.fold(network(), 2 * a, 2 * b).length.tolist()
    assert torch.equal(a, ends()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision is 'float16': choose one of float64, float32"),
        ({"precision": None}, "precision is None: choose one of"),
        ({"threads": 2.5}, "threads is 2.5: expected a whole number"),
        ({"threads": True}, "threads is True: expected a whole number"),
        ({"threads": "2"}, "threads is '2': expected a whole number"),
        ({"num_points": 2.5}, "num_points is 2.5: expected a whole number"),
        ({"threshold": True}, "threshold is a bool: expected a number"),
    ],
)
def test_options_of_another_type_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        spaceprobe.fold(network(), *ends(), **options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.ReLU, r"the network is the class ReLU: expected an instance of it, such as ReLU\(\)"),
        (torch.relu, "the network is a builtin_function_or_method: expected a torch.nn.Module"),
        ([1], "the network is a list: expected a torch.nn.Module"),
    ],
)
def test_what_is_no_module_is_refused(model, message):
    with pytest.raises(TypeError, match=message):
        spaceprobe.fold(model, *ends())
    with pytest.raises(TypeError, match=message):
        spaceprobe.trace(model, ends()[0])
    with pytest.raises(TypeError, match=message):
        spaceprobe.walk_paths(model, *ends())


def test_plain_networks_still_go_to_the_kernel():
    assert engine_for(network(), ends()[0]) == "kernel"
    assert np.array_equal(
        spaceprobe.fold(network(), *ends()).length, spaceprobe.fold(network(), *ends(), method="jvp").length
    )
