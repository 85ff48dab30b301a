"""What cannot be walked is refused in a sentence that says what was found and the way out."""

import pytest
import torch
from torch import Tensor, nn

from spaceprobe.folding import fold_grid, trace_path, walk_paths
from spaceprobe.networks.cantornet import cantornet

A = torch.zeros(2, 3)
NETWORK = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


class Apply(nn.Module):
    """A module that applies a function to its input."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": A[:1]}, r"a and b must have one shape: a has \(1, 3\), b has \(2, 3\)"),
        ({"a": A[0], "b": A[0]}, r"a has shape \(3,\).*pass a\[None\]"),
        ({"b": A / 0}, "b has entries that are not finite"),
        ({"a": A + 1j}, "a has dtype torch.complex64: expected real numbers"),
        (
            {"method": "exakt"},
            "method is 'exakt': choose one of exact, kernel, layerwise, jvp, sampled, adaptive",
        ),
        ({"num_points": 1, "method": "sampled"}, "num_points is 1: a path has at least its 2 ends"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"device": "meta"}, "device is 'meta': choose cpu or cuda"),
        ({"a": torch.zeros(2, 5), "b": torch.zeros(2, 5)}, r"does not take inputs of shape \(5,\)"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        walk_paths(NETWORK, **({"a": A, "b": A} | arguments))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(3, 2)), "ran no ReLU"),
        (nn.Sequential(nn.Dropout(), nn.ReLU()).train(), r"'0' \(Dropout\) is in training mode.*eval\(\)"),
        (nn.BatchNorm1d(3).train(), r"'BatchNorm1d' \(BatchNorm1d\) is in training mode"),
        (
            Apply(lambda x: torch.relu(x.T)),
            r"a(n activation| ReLU) got a tensor of shape \(3, 2\) for a batch of 2",
        ),
        (
            Apply(lambda x: torch.relu(x) if len(x) == 2 else x),
            "ran other (ReLUs|activations) than on its first input",
        ),
    ],
)
@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_networks(network, message, method):
    with pytest.raises(ValueError, match=message):
        walk_paths(network, torch.zeros(5, 3), torch.zeros(5, 3), method=method)


def test_a_network_whose_only_activation_is_smooth_is_sampled_not_walked():
    network = nn.Sequential(nn.Linear(3, 2), nn.GELU())
    with pytest.raises(ValueError, match="ran no ReLU"):
        walk_paths(network, A, A, method="jvp")
    with pytest.raises(TypeError, match=r"module '1': torch\.nn\.functional\.gelu is not known"):
        walk_paths(network, A, A)
    ends = torch.tensor([[-1.0, 1.0]]), torch.tensor([[1.0, 3.0]])
    folding = walk_paths(nn.Sequential(nn.GELU(), nn.Hardtanh()), *ends, method="sampled")
    # One unit changes its sign at the GELU, the other passes Hardtanh's upper kink: gelu(1) < 1 < gelu(3).
    assert folding.length[0] == 2


def test_weights_that_are_not_finite():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with torch.no_grad():
        network[0].bias[2] = torch.nan
    with pytest.raises(ValueError, match=r"0\.bias of the network has entries that are not finite"):
        walk_paths(network, A, A)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (nn.functional.gelu, "torch.nn.functional.gelu is not known to be piecewise affine"),
        (torch.sigmoid, "torch.sigmoid is not known"),
        (lambda x: x * x, "torch.Tensor.mul multiplies two quantities"),
        (lambda x: 1 / (x + 2), "torch.Tensor.(reciprocal|__rdiv__|__rtruediv__|div)"),
        (lambda x: nn.functional.softmax(x, 1), "torch.nn.functional.softmax is not known"),
        (lambda x: x if (x > 0).any() else -x, "torch.Tensor.gt is not known"),
        (lambda x: nn.functional.layer_norm(x, (3,)), "layer_norm is not known"),
        (
            lambda x: nn.functional.linear(torch.ones(len(x), 3).double(), x),
            "linear has weights that depend on the input",
        ),
        (lambda x: torch.zeros(x.shape).double().add_(x), "writes a quantity that depends on the input"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), "torch.div rounds"),
    ],
)
def test_an_exact_walk_through_anything_else_is_refused(function, message):
    network = Apply(lambda x: torch.relu(function(torch.relu(x))))
    ends = torch.zeros(5, 3), torch.ones(5, 3)
    with pytest.raises(TypeError, match=f'({message}).*: use method="sampled"'):
        walk_paths(network, *ends, method="jvp")


def test_any_module_can_be_sampled():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.GELU(), nn.Linear(4, 5), nn.ReLU())
    assert len(walk_paths(network, A, A + 1, method="sampled").length) == 2


def test_a_module_is_walked_in_evaluation_mode():
    """A fresh module is in training mode; its own calls of dropout must not make the walk random."""

    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(nn.functional.dropout(torch.relu(x), training=self.training))

    network = Own()
    for method in ("sampled", "jvp"):
        folding = walk_paths(network, -torch.ones(99, 3), torch.ones(99, 3), method=method)
        assert (folding.length == 6).all()
    assert network.training


def test_an_overflow_is_no_certified_walk():
    torch.manual_seed(0)  # some networks are off where they would overflow
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1e200)
    assert walk_paths(network, A - 1, A + 1, method="jvp").num_violations.all()


def test_cuda_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no CUDA device: use cpu"):
        walk_paths(NETWORK, A, A, device="cuda")


def test_grid_and_trace_check_as_well():
    with pytest.raises(ValueError, match=r"a source has \(3,\), a target has \(4,\)"):
        fold_grid(NETWORK, A, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="targets has entries that are not finite"):
        fold_grid(NETWORK, A, A + torch.inf)
    with pytest.raises(ValueError, match=r"a and b must have one shape: a has \(3,\), b has \(4,\)"):
        trace_path(NETWORK, torch.zeros(3), torch.zeros(4))


def test_cantornet_has_a_fold():
    with pytest.raises(ValueError, match="num_folds is 0: CantorNet has at least 1"):
        cantornet(0)
