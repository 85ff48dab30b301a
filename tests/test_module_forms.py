"""Modules in other forms than they were written in: they work, or one sentence names the way out."""

import warnings

import pytest
import torch
from torch import nn

import spaceprobe
from spaceprobe.folding import fold_grid, walk_paths
from spaceprobe.folding.options import MAX_POINTS
from spaceprobe.stages.fold.settings import FoldingSettings

ENDS = torch.linspace(-2, 2, 8).view(2, 1, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.relu(self.first(x)))


def on_meta():
    with torch.device("meta"):
        return Net()


def partly_on_meta():
    network = Net()
    network.last = nn.Linear(6, 3, device="meta")
    return network


def scripted(*, is_frozen=False):
    with warnings.catch_warnings():  # torch 2.14 calls TorchScript deprecated
        warnings.simplefilter("ignore")
        script = torch.jit.script(Net().eval())
        return torch.jit.freeze(script) if is_frozen else script


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(Net(), torch.zeros(2, 4))


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Net(), {nn.Linear}, dtype=torch.qint8)


def observed():
    """As `prepare` leaves it, which puts observers behind modules."""
    return nn.Sequential(Net(), torch.ao.quantization.HistogramObserver())


def distributed():
    network = nn.DataParallel(Net())
    network.device_ids = [0]  # what it has where there is a GPU
    return network


def exported():
    return torch.export.export(Net().eval(), (torch.zeros(2, 4),)).module()


def imaginary():
    network = Net()
    network.first.weight = nn.Parameter(network.first.weight * 1j)
    return network


META = r"module '(first|last)' \(Linear\) is on the meta device.*network\.to_empty\(device='cpu'\)"
SCRIPT = r"\(\w+Module\) is TorchScript, which hides its functions: pass the module that it was made from$"
COMPILED = r"\(OptimizedModule\) is compiled by torch\.compile, .* pass the original, \._orig_mod$"
QUANTIZED = r"module 'first' \(Linear\) is quantized, .* pass the network in floating point"
LAZY = r"module '0' \(LazyLinear\) has no weights before its first pass: call network\(images\) once$"

REFUSED = {
    "compiled": (lambda: torch.compile(Net()), COMPILED),
    "compiled inside": (lambda: nn.Sequential(torch.compile(nn.Linear(4, 4)), nn.ReLU()), COMPILED),
    "on meta": (on_meta, META),
    "partly on meta": (partly_on_meta, META),
    "scripted": (scripted, SCRIPT),
    "frozen": (lambda: scripted(is_frozen=True), SCRIPT),
    "traced": (traced, SCRIPT),
    "scripted inside": (lambda: nn.Sequential(nn.ReLU(), scripted()), SCRIPT),
    "quantized": (quantized, QUANTIZED),
    "observed": (observed, r"'1' \(HistogramObserver\) prepares a quantization: pass the network as it was"),
    "distributed": (distributed, r"\(DataParallel\) distributes inputs over devices: .* inside, \.module$"),
    "exported": (exported, r"\(GraphModule\) is a program of torch\.export, .* that was exported$"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(5), nn.ReLU()), LAZY),
    "complex": (imaginary, r"'first' \(Linear\) has complex weights: expected real"),
}

NO_WEIGHTS = ("on meta", "partly on meta", "quantized", "lazy", "complex")
"""Of these there are no matrices either."""


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_cannot_be_walked_is_one_sentence(form):
    make, message = REFUSED[form]
    network = make()
    for walk in (spaceprobe.fold, walk_paths, fold_grid, lambda f, a, b: spaceprobe.trace(f, [a[0], b[0]])):
        with pytest.raises(ValueError, match=message):
            walk(network, *ENDS)
    for method in ("sampled", "layerwise", "jvp"):
        with pytest.raises(ValueError, match=message):
            walk_paths(network, *ENDS, method=method)


@pytest.mark.parametrize("form", NO_WEIGHTS)
def test_weights_that_are_no_numbers_are_not_decomposed(form):
    make, message = REFUSED[form]
    with pytest.raises(ValueError, match=message):
        spaceprobe.decompose(make())


@pytest.mark.parametrize("form", ["compiled", "scripted", "traced", "exported", "distributed"])
def test_weights_of_other_forms_are_decomposed(form):
    factors = spaceprobe.decompose(REFUSED[form][0]())
    prefix = "module." if form == "distributed" else ""
    assert [*factors] == [f"{prefix}first.weight", f"{prefix}last.weight"]
    compiled = torch.compile(layer := nn.Linear(4, 3))
    assert torch.equal(spaceprobe.decompose(compiled).product(), spaceprobe.decompose(layer).product())


def compiled_in_place(network):
    network.compile()
    return network


@pytest.mark.parametrize(
    "form", [compiled_in_place, torch.fx.symbolic_trace, nn.DataParallel, torch.optim.swa_utils.AveragedModel]
)
def test_forms_that_show_their_functions_are_walked(form):
    network = Net()
    expected = walk_paths(network, *ENDS).length
    network = form(network)
    if isinstance(network, nn.DataParallel):
        network.device_ids = []  # as where there is no GPU
    assert walk_paths(network, *ENDS).length.tolist() == expected.tolist()
    assert spaceprobe.fold(network, *ENDS).length.tolist() == expected.tolist()


@pytest.mark.parametrize("num_points", [MAX_POINTS + 1, 10**9, 10**30])
def test_too_many_points_are_refused_before_anything_is_made(num_points):
    message = r"num_points is 1,?[\d,]+: a path is sampled at up to 1,000,000 points; method \"exact\" sees"
    for walk in (
        spaceprobe.fold,
        walk_paths,
        lambda f, a, b, **way: spaceprobe.trace(f, [a[0], b[0]], **way),
    ):
        with pytest.raises(ValueError, match=message):
            walk(Net(), *ENDS, method="sampled", num_points=num_points)
    with pytest.raises(ValueError, match=str(MAX_POINTS)):
        FoldingSettings(num_points=num_points)
    assert FoldingSettings(num_points=MAX_POINTS).num_points == MAX_POINTS
