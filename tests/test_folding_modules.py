"""How a module is read: which ReLUs count, where it is cut, and what each function does to a ray."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import walk_paths
from spaceprobe.folding.layers import mlp_layers
from spaceprobe.folding.measure import hamming_distance
from spaceprobe.folding.prepared_module import PreparedModule, count_relu_units, prepare
from spaceprobe.folding.ray import Ray
from spaceprobe.folding.relus import empty_patterns

ATOL = 1e-12
"""Sums of some hundred terms of size 1 in float64."""

CPU = torch.device("cpu")


class Named(nn.Module):
    """Two layers with a given function for the ReLU between them."""

    def __init__(self, relu: object) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.first, self.second, self.relu = nn.Linear(3, 6), nn.Linear(6, 4), relu
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.relu(self.first(x))))


RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda x: F.relu(x, True),
    "F.relu by keyword": lambda x: F.relu(input=x),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "in place on a view": lambda x: (x.view(-1, 2, 3).relu_(), x)[1],
}


@pytest.mark.parametrize("name", RELUS)
@pytest.mark.parametrize("method", ["sampled", "jvp"])
def test_every_relu_counts_under_every_name(name, method):
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 9, 3, generator=generator)
    folding = walk_paths(Named(RELUS[name]), a, b, method=method)
    expected = walk_paths(Named(torch.relu), a, b, method=method)
    assert expected.length.max() > 4
    np.testing.assert_array_equal(folding.length, expected.length)
    np.testing.assert_array_equal(folding.reach_from_b, expected.reach_from_b)


def prepared(*steps: nn.Module, shape: tuple[int, ...] = (3,)) -> PreparedModule:
    return prepare(nn.Sequential(*steps), torch.zeros(1, *shape), CPU, count_relu_units)


def test_the_head_is_what_is_affine_before_the_first_relu():
    network = prepared(nn.Flatten(), nn.Sequential(nn.Linear(6, 4), nn.ReLU()), nn.Linear(4, 2), shape=(2, 3))
    assert [type(step) for step in network.head] == [nn.Flatten, nn.Linear]
    assert [type(step) for step in network.body] == [nn.ReLU, nn.Linear]
    assert network.num_units == (4,)


def test_a_head_does_not_blow_images_up():
    network = prepared(nn.Linear(3, 4), nn.Linear(4, 100), nn.ReLU())
    assert len(network.head) == 1


def test_a_module_with_a_hook_or_a_forward_of_its_own_is_not_taken_apart():
    hooked = nn.Linear(3, 4)
    hooked.register_forward_hook(lambda _module, _args, output: output + 1)
    assert len(prepared(hooked, nn.ReLU()).head) == 0

    class Twice(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(super().forward(x))

    network = Twice(nn.Linear(3, 3), nn.ReLU())
    assert prepare(network, torch.zeros(1, 3), CPU, count_relu_units).num_units == (3, 3)
    assert mlp_layers(network, 2) is None


def test_layers_of_an_mlp():
    first, second = nn.Linear(6, 4), nn.Linear(4, 2, bias=False)
    for last in ([], [nn.ReLU()]):
        found = mlp_layers(
            nn.Sequential(nn.Flatten(), nn.Identity(), first, nn.ReLU(), nn.Sequential(second, *last)), 3
        )
        assert found is not None
        layers, relu_at_end = found
        assert relu_at_end == bool(last)
        np.testing.assert_array_equal(layers[0][0], first.weight.detach().numpy())
        np.testing.assert_array_equal(layers[0][1], first.bias.detach().numpy())
        np.testing.assert_array_equal(layers[1][1], [0, 0])
        assert {array.dtype for layer in layers for array in layer} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("steps", "num_dims"),
    [
        ([nn.Linear(3, 4)], 2),
        ([nn.Linear(3, 4), nn.ReLU()], 3),
        ([nn.ReLU(), nn.Linear(3, 4), nn.ReLU()], 2),
        ([nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU()], 2),
        ([nn.Linear(3, 4), nn.ReLU(), nn.ReLU()], 2),
        ([nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()], 2),
        ([nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 4), nn.ReLU()], 2),
    ],
)
def test_what_is_no_mlp(steps, num_dims):
    assert mlp_layers(nn.Sequential(*steps), num_dims) is None


@pytest.mark.parametrize("num_units", [(1,), (3, 4), (8,), (300, 257, 2)])
def test_hamming_distance_counts_units(num_units):
    generator = torch.Generator().manual_seed(2)
    first, second = (empty_patterns(5, num_units, CPU) for _ in range(2))
    for pattern in (first, second):
        pattern[:, : sum(num_units)] = torch.rand(5, sum(num_units), generator=generator) < 0.5
    second[3] = ~first[3]
    second[3, sum(num_units) :] = False
    expected = (first != second).sum(1)
    assert torch.equal(hamming_distance(first, second), expected.int())
    assert hamming_distance(first, second)[3] == sum(num_units)


CONSTANT = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def frozen_norm() -> nn.Module:
    norm = nn.BatchNorm2d(4).double().eval()
    for parameter in (norm.weight.data, norm.bias.data, norm.running_mean):
        parameter.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


AFFINE = {
    "conv": nn.Conv2d(4, 5, 3, padding=1).double(),
    "conv circular": nn.Conv2d(4, 5, 3, padding=1, padding_mode="circular").double(),
    "conv transpose": nn.ConvTranspose2d(4, 3, 3).double(),
    "linear": nn.Linear(6, 2, bias=False).double(),
    "batch norm": frozen_norm(),
    "average": nn.AvgPool2d(2),
    "adaptive average": nn.AdaptiveAvgPool2d(1),
    "flatten": nn.Flatten(),
    "unflatten": nn.Unflatten(1, (2, 2)),
    "dropout": nn.Dropout().eval(),
    "dropout2d": nn.Dropout2d().eval(),
    "constant padding": nn.ConstantPad2d(1, -2.0),
    "reflection padding": nn.ReflectionPad2d(1),
    "add": lambda x: 1 + x + CONSTANT,
    "add to a larger shape": lambda x: x[:1] + CONSTANT,
    "add with alpha": lambda x: torch.add(x, CONSTANT, alpha=-2),
    "subtract": lambda x: 2 - x - CONSTANT,
    "two rays": lambda x: x + x - x * 3,
    "divide": lambda x: x / CONSTANT,
    "matrix product": lambda x: x @ CONSTANT,
    "matrix product from the left": lambda x: CONSTANT @ x,
    "negative": lambda x: -x,
    "cat with a constant": lambda x: torch.cat([x, CONSTANT], 1),
    "stack": lambda x: torch.stack([x, 2 * x]),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "index": lambda x: x[:, 1:, None],
    "transposed": lambda x: x.mT,
    "mean": lambda x: x.mean((2, 3)),
    "view": lambda x: x.view(x.size(0), -1).reshape(len(x), *x.shape[1:]),
    "in place": lambda x: x.clone().add_(CONSTANT).mul_(2).sub_(1).div_(3),
    "in place on a view": lambda x: (lambda y: (y[:, 1].add_(5), y)[1])(x.clone()),
    "addmm": lambda x: torch.addmm(
        CONSTANT[0, 0, 0, :2], x[:, 0, 0], CONSTANT[0, 0, :, :2], beta=3, alpha=-2
    ),
}


# torch.func.jvp compiles its rules with torch.jit.script, which torch itself has deprecated
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", AFFINE)
def test_a_ray_moves_as_torch_func_jvp_says(name):
    function = AFFINE[name]
    generator = torch.Generator().manual_seed(4)
    value, tangent = torch.randn(2, 3, 4, 6, 6, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        ray = function(Ray.of(value.clone(), tangent.clone(), value.abs() + tangent.abs()))
        expected, slope = torch.func.jvp(function, (value,), (tangent,))
    torch.testing.assert_close(ray.value, expected, rtol=0, atol=ATOL)
    torch.testing.assert_close(ray.tangent, slope, rtol=0, atol=ATOL)
    assert (ray.scale >= ray.value.abs() - ATOL).all()
    assert (ray.scale >= ray.tangent.abs() - ATOL).all()
    assert ray.shape == ray.scale.shape == expected.shape
