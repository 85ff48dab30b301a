"""FGSM, PGD and random perturbations of their norms: known answers, the ball, the range, and seeds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.data.value_range import ValueRange, value_range
from spaceprobe.networks.attacks import (
    NoGradientError,
    fgsm,
    losses_and_gradients,
    norms,
    pgd,
    random_perturbations,
)
from spaceprobe.networks.mlp import mlp

ROUNDING = 1e-14
"""A sum of some tens of numbers of order 1, and its root."""

NORMS = ("linf", "l2")
NUM_FEATURES = 12
UNIT = ValueRange(torch.zeros(NUM_FEATURES).double(), torch.ones(NUM_FEATURES).double())
WIDE = ValueRange(*(torch.full((NUM_FEATURES,), bound).double() for bound in (-1e3, 1e3)))


def network(seed=0):
    built = mlp([NUM_FEATURES, 9, 7, 3], torch.Generator().manual_seed(seed))
    return built.double().eval()


def points(num=20, seed=0):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.uniform(size=(num, NUM_FEATURES)))
    images[: num // 2, ::3] = 0.0  # on the border of the range, as the background of digits is
    return images, torch.from_numpy(rng.integers(3, size=num))


def linear(seed=0):
    """A network of two classes whose loss rises in one direction everywhere, and that direction."""
    layer = nn.Linear(NUM_FEATURES, 2).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.normal(size=(2, NUM_FEATURES))))
    return layer, (layer.weight[1] - layer.weight[0]).detach()


def attacked(attack, images, classes, *, norm, radius, values=UNIT, seed=0, net=None):
    ball = {"norm": norm, "radius": radius, "values": values}
    net = net or network()
    if attack == "fgsm":
        return fgsm(net, images, classes, **ball)
    return pgd(net, images, classes, **ball, steps=7, generator=np.random.default_rng(seed))


# --- known answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_the_best_point_of_a_ball_under_a_linear_network(attack, norm):
    net, direction = linear()
    images = points()[0]
    classes = torch.zeros(len(images), dtype=torch.int64)
    step = direction.sign() if norm == "linf" else direction / direction.norm()
    found = attacked(attack, images, classes, norm=norm, radius=0.3, values=WIDE, net=net)
    change = found - images
    if (attack, norm) == ("pgd", "l2"):  # whose steps along the sphere become shorter towards its pole
        assert (change @ step > 0.9 * 0.3).all()
    else:
        assert (change - 0.3 * step).abs().max() < ROUNDING


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_those_of_finite_differences(norm):
    net, (images, classes) = network(), points(4)
    losses, gradients = losses_and_gradients(net, images, classes)
    assert torch.equal(losses, cross_entropy(net(images), classes, reduction="none").detach())
    step = 1e-6
    for feature in range(NUM_FEATURES):
        moved = torch.zeros(NUM_FEATURES).double()
        moved[feature] = step
        ahead, behind = (losses_and_gradients(net, images + sign * moved, classes)[0] for sign in (1, -1))
        # central differences: an error of step², and of rounding / step
        assert torch.allclose((ahead - behind) / (2 * step), gradients[:, feature], atol=1e-8, rtol=0)


def test_losses_do_not_depend_on_the_batches(monkeypatch):
    net, (images, classes) = network(), points(20)
    whole = losses_and_gradients(net, images, classes)
    monkeypatch.setattr("spaceprobe.networks.attacks.BATCH", 7)
    for first, second in zip(whole, losses_and_gradients(net, images, classes), strict=True):
        assert torch.allclose(first, second, atol=ROUNDING, rtol=0)


# --- invariants --------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1e-3, 0.1, 0.7, 5.0])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_attacks_stay_in_the_ball_and_in_the_range(attack, norm, radius):
    images, classes = points()
    twins = attacked(attack, images, classes, norm=norm, radius=radius)
    assert (twins >= 0).all()
    assert (twins <= 1).all()
    assert norms(twins - images, norm).max() <= radius * (1 + ROUNDING) + ROUNDING
    assert twins.dtype == torch.float64
    before, after = (cross_entropy(network()(x), classes, reduction="none") for x in (images, twins))
    if attack == "pgd" and radius <= 0.1:
        assert (after > before).all()


@pytest.mark.parametrize("norm", NORMS)
def test_pgd_is_repeatable_and_changes_with_the_seed(norm):
    images, classes = points()
    first, again, other = (
        attacked("pgd", images, classes, norm=norm, radius=0.2, seed=seed) for seed in (1, 1, 2)
    )
    assert first.numpy().tobytes() == again.numpy().tobytes()
    assert not torch.equal(first, other)


@pytest.mark.parametrize("norm", NORMS)
def test_more_images_change_no_twin(norm):
    images, classes = points()
    every = attacked("pgd", images, classes, norm=norm, radius=0.2)
    few = attacked("pgd", images[:6], classes[:6], norm=norm, radius=0.2)
    assert torch.allclose(every[:6], few, atol=1e-9, rtol=0)  # BLAS sums batches of another size otherwise


def test_pgd_does_more_harm_than_fgsm_on_the_whole():
    images, classes = points(200)
    losses = [
        cross_entropy(network()(attacked(name, images, classes, norm="l2", radius=0.5)), classes)
        for name in ("fgsm", "pgd")
    ]
    assert losses[1] > losses[0]


@pytest.mark.parametrize("norm", NORMS)
@given(seed=st.integers(0, 1000), share=st.floats(0, 0.5))
def test_random_perturbations_have_the_norms_asked_for(norm, seed, share):
    images = points(8, seed)[0]
    asked = share * torch.from_numpy(np.random.default_rng(seed).uniform(size=8))
    twins = random_perturbations(images, asked, norm=norm, values=UNIT, generator=np.random.default_rng(seed))
    assert (twins >= 0).all()
    assert (twins <= 1).all()
    reached = norms(twins - images, norm)
    room = norms(torch.maximum(images, 1 - images), norm)
    assert (reached <= asked + ROUNDING).all()
    # with 12 features some direction has room for half of what the range allows at most
    is_reached = (reached - asked).abs() < ROUNDING
    assert (is_reached | (asked > 0.1 * room)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_random_perturbations_where_the_range_has_no_room(norm):
    images = points(6)[0]
    twins = random_perturbations(
        images, torch.full((6,), 50.0).double(), norm=norm, values=UNIT, generator=np.random.default_rng(0)
    )
    assert ((twins == 0) | (twins == 1)).all()
    still = random_perturbations(
        images, torch.zeros(6).double(), norm=norm, values=UNIT, generator=np.random.default_rng(0)
    )
    assert torch.equal(still, images)


# --- gradients that are not there ---------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_without_a_gradient_stays(norm):
    net = nn.Sequential(nn.Linear(NUM_FEATURES, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        net[0].weight.zero_()
    images, classes = points()
    assert torch.equal(attacked("fgsm", images, classes, norm=norm, radius=0.2, net=net), images)


@pytest.mark.parametrize("scale", [1e-200, 1e-310, 1e200])
def test_tiny_and_huge_gradients_have_a_direction(scale):
    net, direction = linear()
    with torch.no_grad():
        net.weight *= 1e-3
    images = points()[0]
    classes = torch.zeros(len(images), dtype=torch.int64)

    class Scaled(nn.Module):
        def forward(self, x):
            return net(x) * scale if scale < 1 else net(x)

    found = fgsm(Scaled(), images, classes, norm="l2", radius=0.3, values=WIDE)
    # of subnormal gradients some digits only are left
    assert (found - images - 0.3 * direction / direction.norm()).abs().max() < (
        0.1 if scale < 1e-300 else 1e-12
    )


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()[:, :3]


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3).double())

    def forward(self, x):
        return self.bias.expand(len(x), 3)


class Infinite(nn.Module):
    def forward(self, x):
        return (x[:, :3] * 1e308 * 1e308).sqrt()


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Detached(), "autograd follows nothing"),
        (Constant(), "does not depend on its input"),
        (Infinite(), "not a finite number"),
    ],
)
def test_networks_without_a_gradient(net, words):
    images, classes = points()
    with pytest.raises(NoGradientError, match=words):
        fgsm(net, images, classes, norm="l2", radius=0.1, values=UNIT)


# --- the range of the data ----------------------------------------------------------------------


def test_the_range_of_images_is_from_0_to_1_and_of_others_what_they_have():
    classes = torch.zeros(2, dtype=torch.int64)
    image = Split(torch.tensor([[0.2, 0.0], [0.9, 0.5]]), classes)
    assert [bound.tolist() for bound in value_range(Dataset(image, image, 1))] == [[0, 0], [1, 1]]
    other = Split(torch.tensor([[-3.0, 0.25], [2.0, 0.5]]), classes)
    assert [bound.tolist() for bound in value_range(Dataset(image, other, 1))] == [[-3, 0], [2, 0.5]]
