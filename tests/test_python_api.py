"""What a notebook calls: fold, trace, decompose, load_run, load_data."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spaceprobe
from spaceprobe.folding import UncountedUnits, space_folding
from spaceprobe.networks.mlp import mlp


@pytest.fixture(scope="module")
def network():
    return mlp([5, 8, 7, 3], torch.Generator().manual_seed(1)).eval()


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 6), nn.ReLU()
    )


# points in every form


@pytest.mark.parametrize(
    "form",
    [
        Tensor.numpy,
        Tensor.tolist,
        list,
        Tensor.double,
        lambda x: x.clone().requires_grad_(),
        lambda x: x.numpy()[::-1].copy()[::-1],
    ],
    ids=["numpy", "lists", "list of tensors", "float64", "gradients", "negative strides"],
)
def test_points_of_every_form_have_one_folding(network, form):
    a, b = points(4, 5), points(4, 5, seed=1)
    expected, found = spaceprobe.walk_paths(network, a, b), spaceprobe.walk_paths(network, form(a), form(b))
    np.testing.assert_array_equal(found.length, expected.length)
    np.testing.assert_array_equal(spaceprobe.fold(network, form(a), form(b)).reach, expected.reach_from_a)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.longdouble, np.bool_])
def test_whole_numbers_are_not_scaled(network, dtype):
    a, b = np.eye(5)[:2], np.ones((2, 5)) - np.eye(5)[:2]
    found = spaceprobe.fold(network, a.astype(dtype), b.astype(dtype))
    np.testing.assert_array_equal(found.length, spaceprobe.fold(network, a, b).length)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2], [3]], "a is not an array: its rows differ in shape"),
        ([torch.ones(2), torch.ones(3)], "a is not an array: its points have shapes"),
        ("ends.npy", "a is str of <U8: expected numbers, as a torch tensor, a numpy array or lists"),
        (None, "a is NoneType of object: expected numbers"),
        (np.ones((2, 5)) * 1j, "a has dtype complex128: expected real numbers"),
    ],
)
def test_points_that_are_not_numbers(network, given, message):
    for function in (spaceprobe.walk_paths, spaceprobe.fold):
        with pytest.raises(ValueError, match=message):
            function(network, given, given)


# fold


@pytest.mark.parametrize("method", ["exact", "layerwise", "jvp", "sampled"])
def test_fold_is_walk_paths(network, method):
    a, b = 3 * points(6, 5), 3 * points(6, 5, seed=1)
    expected = spaceprobe.walk_paths(network, a, b, method=method, num_points=30)
    found = spaceprobe.fold(network, a, b, method=method, num_points=30)
    assert found.length.max() > 3
    np.testing.assert_array_equal(found.length, expected.length)
    np.testing.assert_array_equal(found.reach, expected.reach_from_a)
    np.testing.assert_array_equal(found.reach_back, expected.reach_from_b)
    np.testing.assert_array_equal(found.chi, space_folding(expected.length, expected.reach_from_a))
    np.testing.assert_array_equal(
        found.peak_back, space_folding(expected.peak_length_from_b, expected.peak_reach_from_b)
    )
    assert found.engine == {"exact": "kernel"}.get(method, method)
    frame = found.to_frame()
    assert [*frame] == ["length", "reach", "chi", "peak", "reach_back", "chi_back", "peak_back"]
    assert frame["chi"].tolist() == found.chi.tolist()
    back = spaceprobe.fold(network, b, a, method=method, num_points=30)
    np.testing.assert_array_equal(found.peak_back, back.peak)


def test_a_single_input_has_plain_numbers(network):
    a, b = points(2, 5), points(2, 5, seed=1)
    batch, single = spaceprobe.fold(network, a, b), spaceprobe.fold(network, a[1], b[1])
    assert (single.length, single.reach, single.chi) == (batch.length[1], batch.reach[1], batch.chi[1])
    assert type(single.length) is int
    assert type(single.chi) is float
    assert len(single) == 1


@pytest.mark.parametrize(
    ("model", "shape", "is_single"),
    [
        (small_cnn(), (1, 8, 8), True),
        (small_cnn(), (3, 1, 8, 8), False),
        (nn.Sequential(nn.Conv2d(2, 1, 3), nn.ReLU()), (2, 8, 8), True),  # which torch runs unbatched
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU()), (8, 8), True),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU()), (2, 8, 8), False),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.GELU(), nn.ReLU()), (8, 8), True),
        (nn.ReLU(), (3,), True),
        (nn.ReLU(), (2, 3), False),
    ],
)
def test_the_model_tells_an_input_from_a_batch(model, shape, is_single):
    a = points(*shape)
    found = spaceprobe.fold(model, a, -a, method="sampled")
    assert (found.is_single, len(found)) == (is_single, 1 if is_single else shape[0])


def test_shapes_that_the_model_does_not_take():
    a = points(8, 8)
    with pytest.raises(
        ValueError, match=r"a has shape \(8, 8\), which the network takes neither as a batch of"
    ):
        spaceprobe.fold(small_cnn(), a, a)
    with pytest.raises(ValueError, match=r"a and b must have one shape: a has \(8, 8\), b has \(8,\)"):
        spaceprobe.fold(small_cnn(), a, a[0])


def test_a_folding_shows_itself(network):
    a, b = points(12, 5), points(12, 5, seed=1)
    found = spaceprobe.fold(network, a, b)
    head, chi, *rows = repr(found).splitlines()
    assert head == "Folding of 12 paths (every linear region; engine: kernel)"
    assert chi == f"χ from {found.chi.min():.4f} to {found.chi.max():.4f}, mean {found.chi.mean():.4f}"
    assert rows[1].split()[:2] == ["0", str(found.length[0])]
    assert rows[-1] == "... and 2 more"
    html = found._repr_html_()
    assert "12 paths" in html
    assert html.count("<tr") == 1 + 1 + 10  # the columns' names, the index' name
    assert "30 points a path" in repr(spaceprobe.fold(network, a, b, method="sampled", num_points=30))


def test_what_is_not_counted_is_said():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU())
    with pytest.warns(UncountedUnits, match="max_pool2d in '1'") as caught:
        found = spaceprobe.fold(model, points(1, 8, 8), points(1, 8, 8, seed=1))
    assert caught[0].filename == __file__
    assert "not counted: max_pool2d in '1'" in repr(found)
