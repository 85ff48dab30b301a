"""The table of docs/functions.md: complete, and what it says of each module and function is so."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.folding import passed_over, trace_path, walk_paths
from spaceprobe.folding.activations import read_activation
from spaceprobe.folding.prepared_module import count_bits, prepare
from tests.documents import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::spaceprobe.folding.UncountedUnits")

LISTS = ("activation", "pooling", "batchnorm", "instancenorm", "normalization")

OTHERS = """
    alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout
    bilinear conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d embedding
    embedding_bag fold grouped_mm linear one_hot pad scaled_grouped_mm scaled_mm unfold
    affine_grid channel_shuffle grid_sample interpolate native_channel_shuffle pixel_shuffle pixel_unshuffle
    upsample upsample_bilinear upsample_nearest
    cosine_similarity pairwise_distance pdist
    binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy ctc_loss
    gaussian_nll_loss hinge_embedding_loss huber_loss kl_div l1_loss linear_cross_entropy margin_ranking_loss
    mse_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss nll_loss poisson_nll_loss
    smooth_l1_loss soft_margin_loss triplet_margin_loss triplet_margin_with_distance_loss
    assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function has_torch_function_unary
    has_torch_function_variadic
"""
"""Functions of torch.nn.functional of other kinds: dropout, maps with weights, images, losses, its own."""


class Row(NamedTuple):
    """A row of the table."""

    modules: list[str]
    functions: list[str]
    walked: str
    bits: str


def table() -> list[Row]:
    """Return the rows of the page."""
    rows = []
    for line in (ROOT / "docs" / "functions.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[2] in ("exact", "sampled", "refused"):
            modules, functions = (re.findall(r"`(\w+)`", cell.partition(" with ")[0]) for cell in cells[:2])
            rows.append(Row(modules, functions, cells[2], cells[3]))
    return rows


ROWS = table()

SHAPES = {0: (8,), 1: (3, 8), 2: (4, 6, 6), 3: (2, 4, 4, 4)}
"""Of an input, by its number of dimensions behind the channels."""


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Attention(nn.Module):
    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(x, x, x)[0]


class Unpooling(nn.Module):
    def __init__(self, num_dims: int) -> None:
        super().__init__()
        self.pool = getattr(nn, f"MaxPool{num_dims}d")(2, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{num_dims}d")(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.unpool(*self.pool(x))


def dimensions(name: str) -> int:
    """Return the number of dimensions in a name such as `max_pool2d`; 0 without one."""
    match = re.search("([123])d", name)
    return int(match[1]) if match else 0


ARGUMENTS: dict[str, dict[str, Any]] = {
    "Softmax": {"dim": 1},
    "LogSoftmax": {"dim": 1},
    "Softmin": {"dim": 1},
    "Threshold": {"threshold": 0.5, "value": -0.25},
    "Hardtanh": {"min_val": -0.5, "max_val": 0.25},
    "LocalResponseNorm": {"size": 2},
    "CrossMapLRN2d": {"size": 2},
    "GroupNorm": {"num_groups": 2, "num_channels": 4},
    "LayerNorm": {"normalized_shape": 8},
    "RMSNorm": {"normalized_shape": 8},
    "SyncBatchNorm": {"num_features": 4},
    **{f"LPPool{n}d": {"norm_type": 2, "kernel_size": 2} for n in (1, 2, 3)},
    **{f"FractionalMaxPool{n}d": {"kernel_size": 2, "output_size": 2} for n in (2, 3)},
}
"""Of modules that have no defaults, or whose defaults the units of a small network seldom reach."""

ON_IMAGES = ("Softmax2d", "GroupNorm", "SyncBatchNorm", "LocalResponseNorm", "CrossMapLRN2d")


def build_module(name: str, walked: str) -> tuple[nn.Module, int]:
    """Return a module as its row says that it is walked, and the dimensions of its input."""
    num_dims = 2 if name in ON_IMAGES else dimensions(name)
    channels = SHAPES[num_dims][0]
    arguments = ARGUMENTS.get(name, {})
    if name == "MultiheadAttention":
        return Attention(), 1
    if name.startswith("MaxUnpool"):
        return Unpooling(num_dims), num_dims
    if re.match("(Adaptive|Max|Avg).*Pool", name):
        arguments = {"output_size" if name.startswith("Adaptive") else "kernel_size": 2}
    if re.match("(Batch|Instance)Norm", name):
        arguments = {"num_features": channels}
    if "BatchNorm" in name and walked == "refused":
        arguments = arguments | {"track_running_stats": False}
    if name.startswith("InstanceNorm") and walked == "exact":
        arguments = arguments | {"track_running_stats": True}
    if name.startswith("Fractional") and walked == "sampled":
        arguments = arguments | {"_random_samples": torch.full((1, channels, num_dims), 0.3)}
        return Call(partial(fractional, getattr(nn, name), arguments)), num_dims
    return getattr(nn, name)(**arguments), num_dims


def fractional(pool: Callable[..., Any], arguments: dict[str, Any], x: Tensor) -> Tensor:
    """Return a fractional pool of given windows for a batch of any size."""
    samples = arguments["_random_samples"].to(x.dtype).expand(x.shape[0], -1, -1)
    if isinstance(pool, type):
        return pool(**(arguments | {"_random_samples": samples}))(x)
    output = pool(x, **(arguments | {"_random_samples": samples}))
    return output[0] if isinstance(output, tuple) else output


def build_function(name: str, walked: str) -> tuple[nn.Module, int]:
    """Return a function as its row says that it is walked, as a module, and the dimensions of its input."""
    function, num_dims = getattr(F, name), dimensions(name)
    calls: dict[str, tuple[Callable[[Tensor], Any], int]] = {
        "prelu": (lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)), 0),
        "threshold": (lambda x: F.threshold(x, 0.5, -0.25), 0),
        "threshold_": (lambda x: F.threshold_(x, 0.5, -0.25), 0),
        "hardtanh": (lambda x: F.hardtanh(x, -0.5, 0.25), 0),
        "hardtanh_": (lambda x: F.hardtanh_(x, -0.5, 0.25), 0),
        "scaled_dot_product_attention": (lambda x: function(x, x, x), 1),
        "multi_head_attention_forward": (attend, 1),
        "layer_norm": (lambda x: F.layer_norm(x, (8,)), 0),
        "rms_norm": (lambda x: F.rms_norm(x, (8,)), 0),
        "group_norm": (lambda x: F.group_norm(x, 2), 2),
        "local_response_norm": (lambda x: F.local_response_norm(x, 2), 2),
        "batch_norm": (lambda x: F.batch_norm(x, *statistics(x), training=walked == "refused"), 2),
        "instance_norm": (
            lambda x: F.instance_norm(x, *statistics(x), use_input_stats=walked == "sampled"),
            2,
        ),
    }
    if name in calls:
        call, num_dims = calls[name]
        return Call(call), num_dims
    if "softm" in name:
        return Call(lambda x: function(x, dim=1)), 0
    if name.startswith("fractional"):
        arguments = {"kernel_size": 2, "output_size": 2}
        if walked == "refused":
            return Call(lambda x: first(function(x, **arguments))), num_dims
        samples = torch.full((1, SHAPES[num_dims][0], num_dims), 0.3)
        return Call(partial(fractional, function, arguments | {"_random_samples": samples})), num_dims
    if name.startswith("lp_pool"):
        return Call(lambda x: function(x, 2, 2)), num_dims
    if name.startswith("max_unpool"):
        pool = getattr(F, name.replace("unpool", "pool"))
        return Call(lambda x: function(*pool(x, 2, return_indices=True), 2)), num_dims
    if "pool" in name:
        return Call(lambda x: first(function(x, 2))), num_dims
    return Call(function), num_dims


def first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    channels = torch.arange(4, dtype=torch.float64, device=x.device)
    return channels / 8, 0.5 + channels


def attend(x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 8, generator=generator, dtype=torch.float64) / 2
    x = x.transpose(0, 1)
    output, _ = F.multi_head_attention_forward(
        x, x, x, 8, 2, weight[:24], None, None, None, False, 0.0, weight[24:], None, False
    )
    return output.transpose(0, 1)


def network_with(module: nn.Module, num_dims: int) -> nn.Sequential:
    """Return a network in which a module stands between a linear layer and a ReLU behind another one."""
    torch.manual_seed(5)
    shape = SHAPES[num_dims]
    size = torch.Size(shape).numel()
    network = nn.Sequential(
        *(nn.Flatten(), nn.Linear(size, size), nn.Unflatten(1, shape), module, nn.Flatten()),
        *(nn.LazyLinear(6), nn.ReLU()),
    ).double()
    with torch.no_grad():
        network[1].weight.mul_(2)
        network.train()(points(4, shape))  # running statistics, and what is lazy gets its weights
        network[5].weight.mul_(8)
        network[5].bias.mul_(2)
    return network.eval()


def points(count: int, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.randn(count, *shape, generator=generator, dtype=torch.float64)


CASES = [
    pytest.param(build, name, row.walked, row.bits, id=f"{name}-{row.walked}")
    for row in ROWS
    for build, home, names in ((build_module, nn, row.modules), (build_function, F, row.functions))
    for name in names
    if hasattr(home, name)  # a torch that is older lacks some
]


def test_every_module_of_torchs_lists_is_in_the_table():
    listed = {name for kind in LISTS for name in getattr(nn.modules, kind).__all__}
    named = {name for row in ROWS for name in row.modules}
    assert listed <= named
    assert {name for name in named - listed if hasattr(nn, name)} == set()


def test_every_function_is_in_the_table_or_of_another_kind():
    public = {
        name
        for name, value in vars(F).items()
        if callable(value)
        and not name.startswith("_")
        and not isinstance(value, type)
        # names of types that F imports
        and name[0].islower()
    }
    named = {name for row in ROWS for name in row.functions}
    assert named.isdisjoint(OTHERS.split())
    assert public - named == public & {*OTHERS.split()}
    assert len(public & named) > 70


@pytest.mark.parametrize(("build", "name", "walked", "bits"), CASES)
def test_it_is_walked_as_the_table_says(build, name, walked, bits):
    module, num_dims = build(name, walked)
    network = network_with(module, num_dims)
    a, b = points(8, SHAPES[num_dims]).split(4)
    if walked == "refused":
        for method in ("exact", "sampled", "adaptive"):
            with pytest.raises(ValueError, match=r"module '3'.*(random|mixes)"):
                walk_paths(network, a, b, method=method)
        return
    units = prepare(network, a, torch.device("cpu"), count_bits).num_units
    assert len(units) == (1 if bits == "none" else 2)
    seen = passed_over(network, a)
    is_affine = walked == "exact" and "max" not in name.lower()
    assert [function for function in seen if "in '3" not in function] == []
    assert (seen == ()) == (bits != "none" or is_affine)
    sampled = walk_paths(network, a, b, method="sampled", num_points=300)
    assert sampled.length.sum() > 0
    if walked == "sampled":
        with pytest.raises(
            TypeError, match=r"module '3[.\w]*': torch\S* (is|divides|mixes) .*: use method=\"sampled\""
        ):
            walk_paths(network, a, b, method="exact")
        assert (walk_paths(network, a, b, method="adaptive").length >= 0).all()
        return
    assert walk_paths(network, a, b, method="layerwise").num_violations.sum() == 0
    for start, end in zip(a, b, strict=True):
        exact, grid = (
            trace_path(network, start, end, method=method, num_points=300)
            for method in ("layerwise", "sampled")
        )
        place = np.searchsorted(exact.t, grid.t, side="right") - 1
        np.testing.assert_array_equal(exact.distance[place], grid.distance)


KINKS = {"0": [0.0], "0, 6": [0.0, 6.0], "-3, 3": [-3.0, 3.0], "-λ, λ": [-0.5, 0.5]}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.walked == "exact" and row.bits != "none"], ids=str
)
def test_a_piecewise_affine_activation_bends_where_it_has_bits_and_nowhere_else(row):
    name = row.functions[0]
    arguments: dict[str, tuple[Any, ...]] = {
        "threshold": (0.5, -0.25),
        "hardtanh": (-0.5, 0.25),
        "prelu": (torch.tensor([0.25], dtype=torch.float64),),
    }
    step = 2.0**-6
    z = torch.arange(-10, 10, step, dtype=torch.float64)
    values = getattr(F, name)(z, *arguments.get(name, ()))
    is_bent = (values[2:] - 2 * values[1:-1] + values[:-2]).abs() > 1e-12
    bends = z[1:-1][is_bent]
    activation = read_activation(getattr(F, name), (z, *arguments.get(name, ())), {})
    assert activation is not None
    kinks = KINKS.get(row.bits, {"threshold": [0.5], "hardtanh": [-0.5, 0.25]}.get(name))
    assert [float(kink) for kink in activation.kinks] == kinks
    for kink in kinks:
        assert ((bends - kink).abs() <= step).any()
    assert all(any(abs(float(bend) - kink) <= step for kink in kinks) for bend in bends)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "hardswish"])
def test_the_table_has_the_pieces_of_those_that_turn(name):
    (bits,) = (row.bits for row in ROWS if row.functions == [name])
    turn = float(bits.removeprefix("sign (").removesuffix(")"))
    z = torch.tensor([turn - 0.01, turn, turn + 0.01], dtype=torch.float64)
    values = getattr(F, name)(z)
    assert values[0] > values[1] < values[2]


def test_modules_in_training_mode_and_without_weights_are_refused_by_name():
    ends = points(1, SHAPES[2]), points(1, SHAPES[2])
    for module, message in (
        (nn.RReLU(), r"module '1' \(RReLU\) is in training mode, where its output is random"),
        (nn.LazyBatchNorm2d().eval(), r"module '1' \(LazyBatchNorm2d\) has no weights before its first pass"),
        (
            nn.InstanceNorm2d(4, track_running_stats=True),
            r"module '1' \(InstanceNorm2d\).* ignores its running",
        ),
        (Call(F.dropout), r"module '1': torch.nn.functional.dropout draws at random \(training=True\)"),
        (Call(lambda x: x + torch.randn_like(x)), "module '1': torch.randn_like draws at random"),
        (Call(lambda x: F.rrelu(x, training=True)), r"module '1': torch.nn.functional.rrelu draws at random"),
    ):
        for method in ("layerwise", "sampled"):
            with pytest.raises(ValueError, match=message):
                walk_paths(nn.Sequential(nn.ReLU(), module, nn.ReLU()), *ends, method=method)


@pytest.mark.parametrize(
    "module",
    [Call(lambda x: x - x.mean(0)), Call(lambda x: x.flip(0)), Call(lambda x: x + torch.rand(x.shape))],
    ids=["mean", "flip", "random"],
)
@pytest.mark.parametrize("method", ["sampled", "adaptive", "jvp"])
def test_an_input_without_a_pattern_of_its_own_is_refused(module, method):
    network = nn.Sequential(nn.ReLU(), nn.Sequential(module, nn.ReLU()))
    message = (
        r"what the activation in module '1\.1' gets for an input depends on the other inputs of its batch"
    )
    with pytest.raises(ValueError, match=message):
        walk_paths(network, torch.arange(6.0).view(2, 3), torch.ones(2, 3), method=method)


def test_attention_that_takes_the_batch_for_a_sequence_is_refused():
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.MultiheadAttention(8, 2)  # batch_first is not the default

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.heads(x, x, x)[0])

    torch.manual_seed(0)
    with pytest.raises(ValueError, match="depends on the other inputs of its batch"):
        walk_paths(Wrong(), *points(2, (3, 8)).split(1), method="sampled")


def test_a_refusal_names_the_property_not_torchs_getter():
    network = nn.Sequential(nn.ReLU(), Call(lambda x: x.real), nn.ReLU())
    with pytest.raises(TypeError, match=r"module '1': torch\.Tensor\.real is not known"):
        walk_paths(network, *points(2, (3,)).split(1))
