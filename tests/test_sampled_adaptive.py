"""Adaptive sampling, and the two kinds of bits of smooth activations."""

from dataclasses import astuple
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import (
    AdaptiveFolding,
    UncountedUnits,
    adaptive,
    fold_grid,
    fold_matched,
    passed_over,
    sampled,
    trace_path,
    walk_paths,
)
from spaceprobe.folding.smooth import TURNS
from tests.commands import call, small_mnist
from tests.rational_oracle import read_patterns


def affine(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return layer


def crossings(*times: float) -> nn.Sequential:
    """Return a network of one input whose units cross zero at these inputs."""
    return nn.Sequential(affine([[1.0] for _ in times], [-t for t in times]), nn.GELU())


def walk(network: nn.Module, num_points: int = 2, **options: str) -> AdaptiveFolding:
    a, b = torch.zeros(1, 1), torch.ones(1, 1)
    return walk_paths(network, a, b, method="adaptive", num_points=num_points, **options)


def smooth_net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(3, 12), nn.GELU(), nn.Linear(12, 10), nn.SiLU(), nn.Linear(10, 8), nn.Tanh()
    ).double()
    with torch.no_grad():
        for layer in network[::2]:
            layer.weight.mul_(6)  # as initialised, it hardly folds
    return network


def test_an_interval_is_halved_until_it_has_one_flip():
    # On [0, 1] in halves: 1/2 parts the two below it from that above, 1/4 parts 0.1 and 0.3.
    trace = trace_path(
        crossings(0.1, 0.3, 0.8), torch.zeros(1), torch.ones(1), method="adaptive", num_points=2
    )
    assert trace.t.tolist() == [0, 0.25, 0.5, 1]
    assert trace.distance.tolist() == [0, 1, 2, 3]
    # With 3 points 1/2 is one of them; with 4 each third has one flip already.
    trace = trace_path(
        crossings(0.1, 0.4, 0.8), torch.zeros(1), torch.ones(1), method="adaptive", num_points=4
    )
    assert trace.t.tolist() == [0, 1 / 3, 2 / 3, 1]


@pytest.mark.parametrize(
    ("times", "num_points", "num_unresolved", "num_flips"),
    [
        ((0.3, 0.3 + 2**-18), 2, 0, 2),
        ((0.3, 0.3), 2, 1, 2),  # at one t: never parted
        ((0.3, 0.3, 0.3, 0.7, 0.7), 2, 2, 5),
        ((0.3, 0.3 + 2**-23, 0.9), 5, 1, 3),  # both between 314,572 and 314,573 steps of 2^-20
        ((0.3, 0.6), 3, 0, 2),
    ],
)
def test_what_stays_unresolved_is_counted(times, num_points, num_unresolved, num_flips):
    folding = walk(crossings(*times), num_points)
    assert (folding.num_unresolved.tolist(), folding.length.tolist()) == ([num_unresolved], [num_flips])


def test_no_interval_is_shorter_than_it_has_to_be():
    """Two flips that only an interval of 2^-20 parts: steps end at multiples of it."""
    trace = trace_path(
        crossings(1.5 * 2**-20, 2.5 * 2**-20), torch.zeros(1), torch.ones(1), method="adaptive", num_points=2
    )
    assert (trace.t * 2**20).tolist() == [0, 2, 4]  # [2, 4] has one flip, and is left as it is
    trace = trace_path(
        crossings(1.25 * 2**-20, 1.75 * 2**-20),
        torch.zeros(1),
        torch.ones(1),
        method="adaptive",
        num_points=2,
    )
    assert (trace.t * 2**20).tolist() == [0, 2]
    assert trace.length.tolist() == [0, 2]


def test_a_double_flip_between_two_points_is_missed():
    """The unit |x - 1/2| - 1/8 flips at 3/8 and 5/8: the middle of [0, 1] tells, its thirds do not."""

    class Valley(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.silu((x - 0.5).abs() - 0.125)

    # |x - 1/2| has a bit of its own, which flips at 1/2: only with it does an interval have two flips.
    for num_points, num_flips in ((2, 1), (3, 3), (4, 1), (5, 3), (256, 3)):
        assert walk(Valley(), num_points).length[0] == num_flips


def halved(
    network: nn.Sequential, a: Tensor, b: Tensor, num_points: int
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return the folding of a path, and its unresolved intervals and points, by recursion on fractions."""

    def pattern(t: Fraction) -> tuple[bool, ...]:
        x, bits = torch.lerp(a, b, float(t))[None], []
        for layer in network:
            if not isinstance(layer, nn.Linear):
                bits += (x[0] > 0).tolist()
            x = layer(x)
        return tuple(bits)

    def points(start: Fraction, end: Fraction) -> list[Fraction]:
        nonlocal num_unresolved, num_evaluated
        num_flips = sum(x != y for x, y in zip(pattern(start), pattern(end), strict=True))
        if num_flips < 2:
            return [end]
        if end - start <= Fraction(1, 2**20):
            num_unresolved += 1
            return [end]
        middle = (start + end) / 2
        num_evaluated += 1
        return points(start, middle) + points(middle, end)

    num_unresolved, num_evaluated = 0, num_points
    grid = [Fraction(number, num_points - 1) for number in range(num_points)]
    seen = grid[:1] + [t for start, end in pairwise(grid) for t in points(start, end)]
    patterns = [pattern(t) for t in seen]
    length, reach_a, *peak_a = read_patterns(patterns)
    _, reach_b, *peak_b = read_patterns(patterns[::-1])
    return (length, reach_a, reach_b, *peak_a, *peak_b, 0), (num_unresolved, num_evaluated)


@pytest.mark.parametrize("num_points", [2, 7, 33])
def test_equals_the_literal_way(num_points, monkeypatch):
    network = smooth_net()
    generator = torch.Generator().manual_seed(1)
    a, b = 2 * torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    monkeypatch.setitem(sampled.MAX_NUMBERS, "cpu", 12 * 20)  # 20 points a block
    folding = walk_paths(network, a, b, method="adaptive", num_points=num_points)
    *columns, num_unresolved, num_evaluated = (column.tolist() for column in astuple(folding))
    expected = [halved(network, *ends, num_points) for ends in zip(a, b, strict=True)]
    assert list(zip(*columns, strict=True)) == [numbers for numbers, _ in expected]
    assert [*zip(num_unresolved, num_evaluated, strict=True)] == [numbers for _, numbers in expected]
    assert folding.length.sum() > 60


def test_blocks_change_nothing_and_a_grid_counts_what_its_paths_have(monkeypatch):
    network, generator = smooth_net(), torch.Generator().manual_seed(1)
    a, b = 2 * torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    b[0] = a[0]
    whole = walk_paths(network, a, b, method="adaptive", num_points=9)
    grid = fold_grid(network, a, b, method="adaptive", num_points=9)
    monkeypatch.setitem(sampled.MAX_NUMBERS, "cpu", 12 * 4)  # 4 points a block: a path in parts
    cut = walk_paths(network, a, b, method="adaptive", num_points=9)
    np.testing.assert_array_equal(np.stack(astuple(whole)), np.stack(astuple(cut)))
    assert whole.length[0] == 0
    pairs = walk_paths(network, a.repeat_interleave(5, 0), b.repeat(5, 1), method="adaptive", num_points=9)
    assert grid.num_unresolved == pairs.num_unresolved.sum()
    cells = [(length, reach) for length, reach, n in grid.chi.cells.tolist() for _ in range(n)]
    assert cells == sorted(zip(pairs.length.tolist(), pairs.reach_from_a.tolist(), strict=True))
    assert fold_grid(network, a, b, method="sampled").num_unresolved is None
    assert fold_grid(network, a[:0], b, method="adaptive").num_unresolved == 0
    twins = nn.Sequential(affine([[1.0, 0, 0], [1.0, 0, 0]], [0.0, 0.0]), nn.SiLU())
    apart = torch.tensor([[-1.0, 0, 0], [-2.0, 0, 0]])
    assert fold_grid(twins, apart, -apart, method="adaptive").num_unresolved == 4


def test_agrees_with_the_exact_walk_where_no_unit_flips_twice():
    """On straight paths through one layer every unit flips at most once."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(4, 50), nn.ReLU()).double()
    a, b = 3 * torch.randn(2, 30, 4, dtype=torch.float64)
    exact = walk_paths(network, a, b, method="exact")
    found = walk_paths(network, a, b, method="adaptive", num_points=2)
    np.testing.assert_array_equal(np.stack(astuple(found)[:-2]), np.stack(astuple(exact)))
    assert found.num_unresolved.sum() == 0
    assert exact.length.sum() > 500


def test_forward_passes_are_few_and_bounded(monkeypatch):
    """Midpoints of all paths run together, in blocks of bounded size."""
    sizes = []

    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            return F.gelu(x @ torch.ones(1, 8, dtype=x.dtype) - torch.linspace(0.05, 0.95, 8))

    monkeypatch.setitem(sampled.MAX_NUMBERS, "cpu", 8 * 64)
    a, b = torch.zeros(20, 1), torch.ones(20, 1)
    folding = walk_paths(Counting(), a, b, method="adaptive", num_points=2)
    assert (folding.length == 8).all()
    assert max(sizes) <= 64
    assert len(sizes) < 40  # of 20 paths with 7 midpoints and 2 ends each


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", F.gelu),
        ("gelu by tanh", lambda z: F.gelu(z, approximate="tanh")),
        ("silu", F.silu),
        ("mish", F.mish),
        ("hardswish", F.hardswish),
    ],
)
def test_a_monotone_piece_ends_where_the_function_turns(name, function):
    z = torch.tensor([TURNS[name] - 1e-6, TURNS[name] + 1e-6], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(function(z).sum(), z)
    assert slopes[0] < 0 < slopes[1]
    grid = torch.linspace(-2.9, 8, 20_001, dtype=torch.float64)  # hardswish is constant below -3
    falls = function(grid).diff() < 0
    assert (grid[1:][falls] <= TURNS[name] + 1e-3).all()
    assert (grid[:-1][~falls] >= TURNS[name] - 1e-3).all()

    class Call(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    for bits, kink in (("sign", 0.0), ("monotone", TURNS[name])):
        for shift, length in ((-1e-3, 1), (1e-3, 0)):  # a path that ends on either side of the kink
            path = (
                torch.tensor([[-4.0]]),
                torch.tensor([[kink - shift]]) if length else torch.tensor([[kink - 1e-3]]),
            )
            folding = walk_paths(Call(), *path, method="sampled", bits=bits)
            assert folding.length[0] == length


def test_monotone_bits_leave_rising_functions_out_and_say_so():
    network = nn.Sequential(
        nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 2), nn.ReLU()
    )
    ends = torch.zeros(1, 3), torch.ones(1, 3)
    assert passed_over(network, ends[0]) == ()
    assert passed_over(network, ends[0], bits="monotone") == ("sigmoid in '1'",)
    with pytest.warns(UncountedUnits, match="sigmoid in '1'"):
        walk_paths(network, *ends, method="adaptive", bits="monotone")
    with pytest.raises(ValueError, match="with monotone bits, a smooth one that only rises has none"):
        walk_paths(network[:2], *ends, method="sampled", bits="monotone")
    with pytest.raises(
        ValueError, match=r"bits is 'monotone'.*method 'exact' walks none: use sampled or adaptive"
    ):
        walk_paths(network, *ends, bits="monotone")
    with pytest.raises(ValueError, match="bits is 'other': choose one of sign, monotone"):
        walk_paths(network, *ends, method="sampled", bits="other")


def test_every_entry_point_warns_of_what_is_not_counted():
    network = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.ReLU())
    a, b = torch.eye(3), 1 - torch.eye(3)
    for call_it in (
        lambda **warn: fold_grid(network, a, b, method="adaptive", **warn),
        lambda **warn: fold_matched(network, a, b, method="sampled", **warn),
        lambda **warn: trace_path(network, a[0], b[0], method="adaptive", **warn),
    ):
        with pytest.warns(UncountedUnits, match=r"not what these choose: layer_norm in '0'$") as caught:
            call_it()
        assert [warning.filename for warning in caught] == [__file__]
        call_it(warn=False)  # pytest makes an error of a warning


def test_a_gated_unit_has_the_sign_of_its_gate():
    """A GLU is a · sigmoid(g), a SwiGLU a · silu(g): the bit is that of g."""
    network = nn.Sequential(affine([[1.0], [1.0], [2.0], [2.0]], [-0.1, -0.2, -0.6, -1.8]), nn.GLU(1))
    trace = trace_path(network, torch.zeros(1), torch.ones(1), method="adaptive", num_points=3)
    assert trace.t.tolist() == [0, 0.5, 1]  # g crosses 0 at 0.3 and 0.9, a at 0.1 and 0.2

    class SwiGLU(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            value, gate = x.chunk(2, -1)
            return F.silu(gate) * value

    network[1] = SwiGLU()
    trace = trace_path(network, torch.zeros(1), torch.ones(1), method="adaptive", num_points=3)
    assert trace.t.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(("num_points", "num_unresolved"), [(2, 1), (9, 1), (17, 0)])
def test_a_grid_may_be_finer_than_the_shortest_interval(num_points, num_unresolved, monkeypatch):
    assert adaptive.SHORTEST == 2**-20
    monkeypatch.setattr(adaptive, "SHORTEST", 2**-3)
    # Both crossings lie in [2/8, 3/8], on either side of 5/16.
    folding = walk(crossings(0.3, 0.32), num_points)
    assert (folding.num_unresolved.tolist(), folding.length.tolist()) == ([num_unresolved], [2])


STUDY = """\
data: {root: ROOT, train_images: 200}
network: {architecture: 2x8}
training: {epochs: 1, batch_size: 50, learning_rate: 0.01}
folding: {pairs: "1-7", per_class: 3, epoch: last, method: adaptive, num_points: 9, detail: 6}
study: {stages: [train, fold]}
sweep:
  network.activation: [gelu, relu]
"""


def test_a_study_samples_adaptively_and_counts_what_it_left(tmp_path):
    root = small_mnist(tmp_path / "mnist")
    study = tmp_path / "smooth.yaml"
    study.write_text(STUDY.replace("ROOT", str(root)))

    def run(*words: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        outcome = call("run", study, "--results", tmp_path, *words)
        assert outcome.exit_code == 0, outcome.output
        tables = (pd.read_csv(tmp_path / "smooth" / f"{name}.csv") for name in ("folding", "folding_checks"))
        return *tables, outcome.output

    folding, checks, printed = run()
    assert set(folding["method"]) == set(checks["engine"]) == {"adaptive"}
    assert set(folding["num_points"]) == {9}
    assert checks["unresolved"].notna().all()
    num_unresolved = int(checks["unresolved"].sum())
    end = "" if num_unresolved == 1 else "s"
    assert f"adaptive: {num_unresolved} interval{end} unresolved" in " ".join(printed.split())
    _, checks, _ = run("--set", "folding.method=sampled")
    assert checks["unresolved"].isna().all()
    monotone, _, _ = run("--set", "sweep.folding.bits=[sign, monotone]")
    assert set(monotone["bits"]) == {"sign", "monotone"}
    runs, paths = (pd.read_csv(tmp_path / "smooth" / f"{name}.csv") for name in ("runs", "paths"))
    groups = paths.merge(runs, on="run").groupby(["activation", "bits"])
    lengths = {key: rows["length"].tolist() for key, rows in groups}
    assert lengths["gelu", "sign"] != lengths["gelu", "monotone"]
    assert lengths["relu", "sign"] == lengths["relu", "monotone"]  # a ReLU has its kink
    assert sum(map(sum, lengths.values())) > 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("folding.bits=monotone",),
            "folding.bits: monotone concerns smooth activations only, and folding.method: exact walks none",
        ),
        (
            ("folding.bits=monotone", "folding.method=adaptive", "network.activation=tanh"),
            "network.activation: tanh only rises; set folding.bits: sign",
        ),
    ],
)
def test_bits_that_nothing_has_are_refused_before_anything_runs(settings, message):
    outcome = call("validate", "quickstart", *(word for setting in settings for word in ("--set", setting)))
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.split())
