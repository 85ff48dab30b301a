"""What a notebook calls: fold, trace, decompose, load_run, load_data."""

from base64 import b64encode
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
import torchvision
from matplotlib.figure import Figure
from torch import Tensor, nn

import spaceprobe
from spaceprobe.folding import UncountedUnits, null_folding, space_folding, walk_with_flips
from spaceprobe.folding.events import trace_events
from spaceprobe.folding.layerwise import corners as layerwise_corners
from spaceprobe.folding.layerwise import walk as layerwise_walk
from spaceprobe.networks.mlp import mlp
from tests.degenerate_networks import KINDS, cases_of
from tests.rational_oracle import patterns_along


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


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_the_null_value_is_there_where_it_is_asked_for(network, method):
    a, b = points(6, 5), points(6, 5, seed=1)
    found = spaceprobe.fold(network, a, b, method=method, null=True)
    plain = spaceprobe.fold(network, a, b, method=method)
    assert found.chi.tolist() == plain.chi.tolist()
    _, flips = walk_with_flips(network, a, b, method=method)
    assert found.null_chi.tolist() == null_folding(flips).mean.tolist()
    assert [*found.to_frame()] == [*plain.to_frame(), "null_chi"]
    assert spaceprobe.fold(network, a[2], b[2], method=method, null=True).null_chi == found.null_chi[2]
    with pytest.raises(ValueError, match="call fold with null=True"):
        plain.null_chi  # noqa: B018


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


# trace


def test_hardtanh_by_hand():
    """Unit 0 passes -1 at t = 1/4 and 1 at t = 3/4; unit 1, from 1/2 to -1/2, stays between its kinks."""
    trace = spaceprobe.trace(nn.Sequential(nn.Hardtanh()), [[-2.0, 0.5], [2.0, -0.5]])
    unit = {"module": "0", "function": "hardtanh", "call": 0, "index": (0,), "is_on": True, "chi": 0.0}
    assert trace.to_frame().to_dict("records") == [
        unit | {"t": 0.25, "kink": -1.0, "distance": 1, "flips": 1},
        unit | {"t": 0.75, "kink": 1.0, "distance": 2, "flips": 2},
    ]
    assert (trace.length, trace.reach, trace.chi) == (2, 2, 0.0)


def steps_of(points, **options):
    """The events along points through the ReLUs of the identity: t, unit, on or off."""
    frame = spaceprobe.trace(nn.ReLU(), points, **options).to_frame()
    return [
        (t, *index, is_on) for t, index, is_on in zip(frame["t"], frame["index"], frame["is_on"], strict=True)
    ]


A, B, C = [-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]


def test_a_loop_by_hand():
    """On the way from B to C unit 0 goes from 1 to 0, on; from C to A it is off: it flips at the corner."""
    events = [(0.5, 0, True), (1.5, 1, True), (2.0, 0, False), (2.5, 1, False)]
    assert steps_of([A, B, C, A]) == events
    trace = spaceprobe.trace(nn.ReLU(), [A, B, C, A])
    assert trace.to_frame()["distance"].tolist() == [1, 2, 1, 0]
    assert trace.to_frame()["flips"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(trace.to_frame()["chi"], [0, 0, 1 / 3, 1 / 2])
    assert (trace.length, trace.reach, trace.chi) == (4, 2, 0.5)
    assert trace.steps()["t"].tolist() == [0, 0.5, 1.5, 2.0, 2.5]


@pytest.mark.parametrize(
    ("points", "events"),
    [
        # both units change at one corner: one step of two flips
        ([[-1, -1], [0, 0], [1, 1]], [(1.0, 0, True), (1.0, 1, True)]),
        # a path that turns round at a boundary does not cross it
        ([[-1, -1], [0, 0], [-1, -1]], []),
        ([[1, 1], [0, 0], [1, 1]], []),
        # at 0 on a whole segment is off: on before, off on it, on after it
        ([[1, 1], [0, 1], [0, 2], [1, 2]], [(1.0, 0, False), (2.0, 0, True)]),
        # a segment of length 0 has no open interval in which a unit could be off
        ([[1, 1], [0, 1], [0, 1], [1, 1]], []),
        ([[1, 1], [0, 1], [0, 1], [-1, 1]], [(2.0, 0, False)]),
        ([[1, 1], [1, 1]], []),
        # the start is settled from inside: on from the first moment
        ([[0, 1], [1, 1], [-1, 1]], [(1.5, 0, False)]),
    ],
)
def test_corners_by_hand(points, events):
    assert steps_of(points) == events
    there_and_back = spaceprobe.trace(nn.ReLU(), [*points, *points[::-1]])
    assert there_and_back.length == 2 * len(events)


def exact_steps(case, corners):
    """Where a polyline enters another region and which units flip there, in rational arithmetic."""
    steps, pattern = [], None
    for segment, (a, b) in enumerate(pairwise(corners)):
        for t, after in patterns_along(case.layers, case.relu_at_end, a, b):
            flips = {unit for unit, (x, y) in enumerate(zip(pattern or after, after, strict=True)) if x != y}
            if flips:
                steps.append((segment + t, flips))
            pattern = after
    return steps


@pytest.mark.parametrize("kind", KINDS)
def test_polylines_equal_rational_arithmetic_on_degenerate_networks(kind):
    """A loop with corners at a, b, -b and the middle of a and b, on and off the boundaries of regions."""
    num_at_corners = 0
    for case in cases_of(kind)[:: 16 if kind == "mixed" else 8]:
        middle = [(x + y) / 2 for x, y in zip(case.a, case.b, strict=True)]
        corners = [case.a, case.b, [-x for x in case.b], middle, case.a]
        if any(a == b for a, b in pairwise(corners)):
            continue
        expected = exact_steps(case, corners)
        points = torch.tensor([[float(x) for x in corner] for corner in corners], dtype=torch.float64)
        events = trace_events(case.module(), points)
        found = [({*events.bit[events.t == t]}, t) for t in dict.fromkeys(events.t)]
        assert [flips for flips, _ in found] == [flips for _, flips in expected], case.name
        times = [float(t) for t, _ in expected]
        np.testing.assert_allclose([t for _, t in found], times, rtol=0, atol=1e-9, err_msg=case.name)
        num_at_corners += sum(t.denominator == 1 for t, _ in expected)
    assert num_at_corners > 0 or kind not in ("known", "tie", "end-on-boundary")


def test_two_flips_of_one_step_share_what_follows_it():
    frame = spaceprobe.trace(nn.ReLU(), [[-1, -1], [0, 0], [1, 1], [-1, 2]]).to_frame()
    assert frame["distance"].tolist() == [2, 2, 1]
    assert frame["flips"].tolist() == [2, 2, 3]


class Residual(nn.Module):
    """Named modules, one of them called twice, functions called beside them, and what each unit is given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.act = nn.Hardtanh()
        self.block = nn.ModuleDict({"first": nn.Conv2d(2, 2, 3, padding=1), "second": nn.Conv2d(2, 2, 1)})
        self.inner = Inner(self.act)
        self.head = nn.Linear(18, 4)
        self.bound = nn.Buffer(torch.tensor([0.8, 0.6, -1.0, 0.2]))

    def forward(self, x):
        x = self.act(self.stem(x))
        x = torch.relu(x + self.block["second"](F.relu(self.block["first"](x))))
        x = self.inner(x)
        return torch.clamp(self.head(8 * x.flatten(1)), min=self.bound)

    def bits(self, x):
        """What each kink of each unit is given, minus the kink, by name, in plain torch."""
        found = {}
        z = self.stem(x)
        found["act", "hardtanh", 0, -1.0], found["act", "hardtanh", 0, 1.0] = z + 1, z - 1
        x = z.clamp(-1, 1)
        found["", "relu", 0, 0.0] = z = self.block["first"](x)
        found["", "relu", 1, 0.0] = x = x + self.block["second"](z.clamp_min(0))
        z = 2 * x.clamp_min(0) - 1
        found["act", "hardtanh", 1, -1.0], found["act", "hardtanh", 1, 1.0] = z + 1, z - 1
        found["inner", "relu", 0, 0.0] = z = z.clamp(-1, 1) + 0.5
        z = self.head(8 * z.clamp_min(0).flatten(1))
        for unit, kink in enumerate(self.bound.tolist()):
            found["", "clamp", 0, kink] = z[:, unit : unit + 1] - kink
        return found


class Inner(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return F.relu(self.act(2 * x - 1) + 0.5)


def patterns(model, points):
    """The bits that are on at each point, by name and index."""
    found = [set() for _ in points]
    for name, z in model.bits(points).items():
        for point, *index in (z > 0).nonzero().tolist():
            is_clamp = name[1] == "clamp"
            unit = model.bound.tolist().index(name[3]) if is_clamp else None
            found[point].add((*name, (unit,) if is_clamp else tuple(index)))
    return found


@pytest.fixture(scope="module")
def residual():
    return Residual().double().eval()


@pytest.fixture(scope="module")
def corners():
    corners = 2 * points(3, 1, 3, 3, seed=5).double()
    return torch.cat([corners, corners[:1]])


def named(frame):
    columns = (frame[name] for name in ("module", "function", "call", "kink", "index"))
    return [*zip(*columns, strict=True)]


@torch.no_grad()
def test_every_event_is_what_plain_torch_sees_between_the_steps(residual, corners):
    """The pattern between two steps is the first one with all units toggled that flipped until then."""
    trace = spaceprobe.trace(residual, corners)
    frame = trace.to_frame()
    assert {name[:3] for name in named(frame)} == {name[:3] for name in residual.bits(corners)}
    edges = np.append(trace.steps()["t"], 3.0)
    middles = (edges[1:] + edges[:-1]) / 2
    segment = middles.astype(int)
    share = torch.tensor(middles - segment)[:, None, None, None]
    seen = patterns(residual, torch.lerp(corners[segment], corners[segment + 1], share))
    groups = [[*zip(named(rows), rows["is_on"], strict=True)] for _, rows in frame.groupby("t", sort=False)]
    assert len(groups) > 20
    pattern = seen[0]
    for events, now, distance in zip(groups, seen[1:], trace.steps()["distance"][1:], strict=True):
        assert all((bit in pattern) != is_on for bit, is_on in events)
        pattern = pattern ^ {bit for bit, _ in events}
        assert pattern == now
        assert len(pattern ^ seen[0]) == distance


@torch.no_grad()
def test_a_sampled_trace_has_what_differs_from_point_to_point(residual, corners):
    num_points = 9
    frame = spaceprobe.trace(residual, corners, method="sampled", num_points=num_points).to_frame()
    number = np.arange(3 * (num_points - 1) + 1)
    t = number / (num_points - 1)
    segment = np.minimum(t.astype(int), 2)
    share = torch.tensor(t - segment)[:, None, None, None]
    seen = patterns(residual, torch.lerp(corners[segment], corners[segment + 1], share))
    for place in number[1:]:
        rows = frame[frame["t"] == t[place]]
        assert {*named(rows)} == seen[place] ^ seen[place - 1]
        assert {*named(rows[rows["is_on"]])} == seen[place] - seen[place - 1]
        if len(rows):
            assert {*rows["distance"]} == {len(seen[place] ^ seen[0])}
    assert len(frame) == frame["flips"].iloc[-1]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (mlp([5, 9, 9, 3], torch.Generator().manual_seed(2)), (5,)),
        (Residual(), (1, 3, 3)),
        (small_cnn(), (1, 8, 8)),
    ],
)
@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_a_trace_ends_where_fold_does(model, shape, method):
    ends = 2 * points(2, *shape)
    trace = spaceprobe.trace(model, ends, method=method, num_points=40)
    folding = spaceprobe.fold(model, *ends[:, None], method=method, num_points=40)
    frame = trace.to_frame()
    assert frame["flips"].iloc[-1] == trace.length == folding.length[0] > 5
    assert frame["distance"].max() == trace.reach == folding.reach[0]
    assert frame["chi"].iloc[-1] == trace.chi == folding.chi[0]


def pooled():
    """A sign of which every maximum of two is taken, and a ReLU of that."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Unflatten(1, (1, 12)), nn.MaxPool1d(3), nn.ReLU())


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (pooled(), {"units": "all"}),
        (pooled(), {"units": "all", "method": "sampled", "num_points": 60}),
        (mlp([5, 9, 9, 3], torch.Generator().manual_seed(2)), {"threshold": 0.25}),
        (mlp([5, 9, 9, 3], torch.Generator().manual_seed(2)), {"threshold": [0.5, torch.linspace(0, 1, 9)]}),
        (
            nn.Sequential(nn.Linear(5, 30), nn.GELU(), nn.Linear(30, 9), nn.SiLU(), nn.Tanh()),
            {"bits": "monotone", "method": "sampled", "num_points": 60},
        ),
    ],
    ids=["windows", "sampled windows", "threshold", "thresholds", "monotone"],
)
def test_a_trace_counts_what_fold_counts(model, options):
    ends = 3 * points(2, 5)
    trace, folding = spaceprobe.trace(model, ends, **options), spaceprobe.fold(model, *ends, **options)
    assert (trace.length, trace.reach, trace.chi) == (folding.length, folding.reach, folding.chi)
    assert trace.length > 3
    there_and_back = spaceprobe.trace(model, [*ends, ends[0]], **options)
    assert there_and_back.events.distance[-1] == 0


def test_a_window_tells_who_wins_from_there_on():
    pool = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2), nn.ReLU())
    # the first window changes at 1/2; the second one's entries are -1 and -2, where its ReLU stays off
    ends = [[3.0, 1.0, -1.0, -2.0], [1.0, 3.0, -1.0, -2.0]]
    frame = spaceprobe.trace(pool, ends, units="all").to_frame()
    (event,) = frame.drop(columns=["distance", "flips", "chi"]).to_dict("records")
    assert event | {"is_on": None, "kink": None} == {
        "t": 0.5, "module": "1", "function": "max_pool1d", "call": 0, "index": (0, 0), "kink": None,
        "is_on": None, "winner": 1,
    }  # fmt: skip
    assert frame[["kink", "is_on"]].isna().all(axis=None)
    mixed = spaceprobe.trace(pool, [ends[0], [1.0, 3.0, 1.0, -2.0]], units="all").to_frame()
    assert mixed["function"].tolist() == ["max_pool1d", "relu"]
    assert mixed["index"].tolist() == [(0, 0), (0, 1)]
    assert mixed["is_on"].tolist() == [pd.NA, True]
    assert mixed["winner"].tolist() == [1, pd.NA]
    assert "winner" not in spaceprobe.trace(nn.ReLU(), [A, B]).to_frame()


@pytest.mark.parametrize(("keepdim", "index"), [(False, (1,)), (True, (1, 0))])
def test_a_maximum_over_a_dimension_is_named_by_its_output(keepdim, index):
    class Largest(nn.Module):
        def forward(self, x):
            return x.unflatten(1, (2, 3)).amax(dim=2, keepdim=keepdim).relu()

    frame = spaceprobe.trace(
        Largest(), [[1.0, 0, 0, 1.0, 0, 2.0], [1.0, 0, 0, 3.0, 0, 2.0]], units="all"
    ).to_frame()
    assert frame[["function", "index", "winner"]].to_numpy().tolist() == [["amax", index, 0]]


def test_a_threshold_is_what_the_pre_activation_passes():
    frame = spaceprobe.trace(nn.ReLU(), [[-1.0, 0.0], [1.0, 4.0]], threshold=[torch.tensor([0.5, 2.0])])
    assert frame.to_frame()[["t", "kink", "is_on"]].to_numpy().tolist() == [
        [0.5, 2.0, True],
        [0.75, 0.5, True],
    ]


def test_corners_on_a_straight_line_change_nothing(residual, corners):
    a, b = corners[:2]
    whole = spaceprobe.trace(residual, [a, b]).to_frame()
    middle = spaceprobe.trace(residual, [a, (a + b) / 2, b]).to_frame()
    at_event = a + float(whole["t"][4]) * (b - a)
    for cut, frame in (
        (0.5, middle),
        (whole["t"][4], spaceprobe.trace(residual, [a, at_event, b]).to_frame()),
    ):
        assert named(frame) == named(whole)
        t = frame["t"].to_numpy()
        along = np.where(t < 1, cut * t, cut + (1 - cut) * (t - 1))
        np.testing.assert_allclose(along, whole["t"], rtol=0, atol=1e-12)


def test_many_segments_are_walked_in_blocks(residual, corners, monkeypatch):
    expected = spaceprobe.trace(residual, corners).to_frame()
    monkeypatch.setattr(layerwise_corners, "paths_per_batch", lambda *_: 2)
    pd.testing.assert_frame_equal(spaceprobe.trace(residual, corners).to_frame(), expected)
    monkeypatch.setattr(layerwise_walk, "MAX_NUMBERS", {"cpu": 1})  # every path in parts
    pd.testing.assert_frame_equal(
        spaceprobe.trace(residual, corners).to_frame(), expected, check_exact=False, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": [[1.0, 2.0]]}, "points has 1 point: a path has at least its 2 ends"),
        ({"points": [1.0, 2.0]}, r"points has shape \(2,\)"),
        ({"points": [[1.0], [np.inf]]}, "points has entries that are not finite"),
        ({"method": "kernel"}, "method is 'kernel': events are told by one of exact, layerwise, sampled"),
        ({"num_points": 1}, "num_points is 1"),
        ({"units": "some"}, "units is 'some': choose one of activations, all"),
        ({"bits": "monotone"}, "bits is 'monotone', which concerns smooth activations only"),
        ({"threshold": np.nan}, "threshold is nan: expected finite numbers"),
        ({"threshold": [1.0, 2.0]}, "threshold has 2 entries: expected one for each of the 1 ReLUs"),
    ],
)
def test_what_cannot_be_traced(arguments, message):
    with pytest.raises(ValueError, match=message):
        spaceprobe.trace(nn.ReLU(), **({"points": [A, B]} | arguments))


def test_a_trace_shows_itself():
    trace = spaceprobe.trace(nn.ReLU(), [A, B, C, A])
    head, numbers, *rows = repr(trace).splitlines()
    assert (head, numbers) == ("Trace of 3 segments (every linear region)", "length 4, reach 2, χ 0.5000")
    assert len(rows) == 5
    assert repr(spaceprobe.trace(nn.ReLU(), [A, A])).endswith("length 0, reach 0, χ 0.0000")
    figure = trace.plot()
    assert isinstance(figure, Figure)
    above = figure.axes[0]
    assert above.get_title(loc="left") == "length 4, reach 2: χ = 1 − 2/4 = 0.500"
    assert above.get_xlim() == (0, 3)
    png = trace._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert b64encode(png).decode() in trace._repr_html_()
    assert figure._repr_png_() == png


# errors name the module


class Beside(nn.Module):
    """A function between two modules that have a name."""

    def __init__(self, function):
        super().__init__()
        self.pre = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.mid = Apply(function)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.mid(self.pre(x)))


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    "function", [spaceprobe.walk_paths, spaceprobe.fold, lambda f, a, b: spaceprobe.trace(f, [a[0], b[0]])]
)
def test_a_gelu_in_a_resnet_is_named(function):
    resnet = torchvision.models.resnet18(num_classes=3).eval()
    resnet.layer1[0].relu = nn.GELU()
    message = "^module 'layer1.0.relu': torch.nn.functional.gelu is not known to be piecewise affine"
    with pytest.raises(TypeError, match=message):
        function(resnet, points(1, 3, 32, 32), points(1, 3, 32, 32, seed=1))


@pytest.mark.parametrize("method", ["layerwise", "jvp"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.imag, "module 'mid': imag is not implemented"),
        (lambda x: x.data, "module 'mid': torch.Tensor.data is not known"),
        (lambda x: x.nope, "module 'mid': .* object has no attribute 'nope'"),
        (lambda x: x[:, 0, 99], "module 'mid': .*index"),
        (lambda x: x.numpy(), "module 'act': .*numpy.ndarray"),
        (lambda x: nn.MultiheadAttention(4, 1)(x), "module 'mid': .*missing 2 required positional arguments"),
        (F.relu, None),
    ],
)
def test_a_module_that_fails_is_named(function, message, method):
    a, b = points(1, 3, 4), points(1, 3, 4, seed=1)
    if message is None:
        assert spaceprobe.walk_paths(Beside(function), a, b, method=method).length.shape == (1,)
        return
    with pytest.raises((TypeError, ValueError), match=message):
        spaceprobe.walk_paths(Beside(function), a, b, method=method)
    with pytest.raises((TypeError, ValueError), match=r"module '|neither as a batch"):
        spaceprobe.fold(Beside(function), a, b, method=method)


def test_a_property_asked_on_the_way_hides_nothing():
    """A transformer's layer asks whether its input is nested before it comes to its attention."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    with pytest.raises(TypeError, match=r"module '1\.self_attn': torch\."):
        spaceprobe.trace(nn.Sequential(nn.ReLU(), layer, nn.ReLU()), points(2, 3, 4))


# decompose


def test_decompose_takes_matrices_in_every_form():
    """A = [[1, 1], [0, 1]]: σ² = (3 ± √5) / 2, so σ are the golden ratio and one over it."""
    for weight in (
        [[1, 1], [0, 1]],
        np.array([[1.0, 1], [0, 1]], np.float32),
        torch.tensor([[1, 1], [0, 1]]),
    ):
        factors = spaceprobe.decompose(weight)
        np.testing.assert_allclose(factors.S_prime, [(5**0.5 + 1) / 2, (5**0.5 - 1) / 2], rtol=1e-12)
        assert repr(factors) == "Factors of a 2 × 2 matrix: rank 2 of 2, S' from 1.618 to 0.618"
    assert repr(spaceprobe.decompose([[1, 1]], rank=0)) == "Factors of a 1 × 2 matrix: rank 0 of 1"


def test_decompose_takes_layers():
    linear, convolution = nn.Linear(5, 4), nn.Conv2d(2, 3, (3, 2))
    torch.testing.assert_close(spaceprobe.decompose(linear).product().float(), linear.weight.detach())
    factors = spaceprobe.decompose(convolution, rank=2)
    assert (factors.rank, factors.product().shape) == (2, (3, 12))
    whole = spaceprobe.decompose(convolution).product().reshape(3, 2, 3, 2)
    torch.testing.assert_close(whole.float(), convolution.weight.detach())


def test_decompose_takes_a_module_matrix_by_matrix():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2),
        nn.BatchNorm2d(6),
        nn.ConvTranspose2d(6, 2, 3),
        nn.Linear(3, 1, bias=False),
    )
    model.attention = nn.MultiheadAttention(4, 2)
    found = spaceprobe.decompose(model, rank=2)
    heads = [f"attention.head{head}.{kind}" for head in (0, 1) for kind in ("query-key", "output-value")]
    assert [*found] == [
        "0.weight.group0", "0.weight.group1", "2.weight", "3.weight",
        "attention.in_proj_weight", "attention.out_proj.weight", *heads,
    ]  # fmt: skip
    expected = {
        "0.weight.group1": model[0].weight[3:].flatten(1),
        "2.weight": model[2].weight.transpose(0, 1).flatten(1),
        "attention.head1.query-key": model.attention.in_proj_weight[2:4].T
        @ model.attention.in_proj_weight[6:8],
    }
    for name, matrix in expected.items():
        values = torch.linalg.svdvals(matrix.detach().double())
        torch.testing.assert_close(found[name].S_prime, values[:2], msg=name)
    assert found["3.weight"].rank == 1


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (nn.ReLU(), "the module ReLU has no weight matrix"),
        (torch.ones(2, 3, 3, 3), r"give the convolution itself, or its kernel unfolded"),
        (torch.ones(3), r"weight: of shape \(3,\), a matrix with entries is needed"),
        ([[1, 2], [3]], "weight is not an array: its rows differ in shape"),
        ("model.pt", "weight is str of <U8: expected numbers"),
        (
            nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)),
            r"0\.weight: weight: 1 of 4 entries are NaN or infinite",
        ),
    ],
)
def test_what_cannot_be_decomposed(weight, message):
    if isinstance(weight, nn.Sequential):
        weight[0].weight.data[1, 0] = torch.nan
    with pytest.raises(ValueError, match=message):
        spaceprobe.decompose(weight)
