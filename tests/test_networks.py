"""The kinds of networks: initial weights, shapes, weight matrices and the sample that passes through them."""

import hashlib
import itertools
import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from pydantic import ValidationError
from torch import nn

from spaceprobe.errors import SettingsError
from spaceprobe.folding import walk_paths
from spaceprobe.folding.options import Engine
from spaceprobe.lmd.factors import decompose
from spaceprobe.networks import checkpoints
from spaceprobe.networks.initialization import INITIALIZATIONS, entry_variance, fans, initialize
from spaceprobe.networks.layers import is_sequence, pass_through
from spaceprobe.networks.matrices import weight_matrices
from spaceprobe.networks.mlp import binary_mlp, mlp
from spaceprobe.networks.models import NETWORKS
from spaceprobe.networks.positions import draw_positions
from spaceprobe.networks.product_layers import ProductLinear
from spaceprobe.networks.sign import Sign
from spaceprobe.networks.training import Recipe, train
from spaceprobe.networks.transformer import Attention
from spaceprobe.networks.walkable import PIECEWISE_LINEAR
from spaceprobe.stages.lmd.probes import functional_rank_of
from spaceprobe.stages.lmd.settings import LmdSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.parts import check, plan
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings

ROUNDING = 1e-10
"""Of float64: sums of a few hundred terms of size 1."""

MODELS = {
    "mlp": {"architecture": "5-3", "batch_norm": True},
    "binary-mlp": {"architecture": "5-3"},
    "residual-mlp": {"architecture": "5-3"},
    "factored-mlp": {"architecture": "5-3", "ranks": "4-2-3", "batch_norm": True},
    "low-rank-mlp": {"architecture": "5-3", "ranks": "4-2-3", "batch_norm": True},
    "cnn": {"architecture": "2-3-2-2", "batch_norm": True},
    "resnet": {"architecture": "2-3", "batch_norm": True},
    "transformer": {"architecture": "6-5", "patch": 3, "embedding": 8, "heads": 2},
}
SHAPE = (2, 9, 6)
NUM_OUTPUTS = 4

pytestmark = pytest.mark.filterwarnings("ignore::spaceprobe.folding.UncountedUnits")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def build(model, seed=0, shape=SHAPE, **changes):
    """Return the settings and a network of a kind, in evaluation mode."""
    options = NetworkSettings(model=model, **{**MODELS[model], **changes})
    return options, options.entry.build(options, shape, NUM_OUTPUTS, seeded(seed)).eval()


def points(num, shape=SHAPE):
    return torch.rand(num, math.prod(shape), generator=seeded(7))


def sections(data=None, training=None, **network):
    return {
        "data": DataSettings(**data or {}),
        "network": NetworkSettings(**network),
        "training": TrainingSettings(**training or {}),
    }


def test_every_kind_is_tried_here():
    assert set(MODELS) == set(NETWORKS)


# --- initial weights ---------------------------------------------------------------------------


def test_the_default_network_has_the_weights_of_earlier_versions():
    network = NETWORKS["mlp"].build(NetworkSettings(), (28, 28), 10, seeded())
    digest = hashlib.sha256(checkpoints.to_bytes(network)).hexdigest()  # recorded before there was a choice
    assert digest == "4193ab8a058cb8567b48197a3581debce5193625bfcaad458192b645fb7986c2"


def test_the_default_settings_have_the_key_of_earlier_versions():
    key = {"model": "mlp", "architecture": "2x30", "activation": "relu"}
    assert NetworkSettings().measurement() == key
    assert NetworkSettings().identity() == {}
    changed = NetworkSettings(initialization="he", batch_norm=True)
    assert changed.measurement() == {**key, "initialization": "he", "batch_norm": True}
    assert plan(sections(), {})[0].key["network"] == key


@pytest.mark.parametrize("model", MODELS)
def test_a_network_leaves_global_random_numbers_alone_and_its_seed_decides(model):
    state = torch.get_rng_state()
    _, network = build(model, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    first, again, other = (checkpoints.to_bytes(build(model, seed)[1]) for seed in (3, 3, 4))
    assert first == again == checkpoints.to_bytes(network)
    assert first != other


LAYERS = {"linear": lambda: nn.Linear(400, 600), "convolution": lambda: nn.Conv2d(40, 60, (3, 5))}
FANS = {"linear": (400, 600), "convolution": (40 * 15, 60 * 15)}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("initialization", ["torch", "he", "xavier"])
def test_entries_have_the_variance_of_their_initialisation(name, initialization):
    layer = LAYERS[name]()
    initialize(layer, seeded(), initialization, scale=2.0)
    fan_in, fan_out = FANS[name]
    variance = {"torch": 1 / (3 * fan_in), "he": 2 / fan_in, "xavier": 2 / (fan_in + fan_out)}[initialization]
    assert fans(layer) == (fan_in, fan_out)
    assert entry_variance(layer, initialization, 2.0) == pytest.approx(4 * variance, rel=1e-12)
    # 36,000 entries or more: their variance is known to 1 % or so (2 standard errors of a normal's)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    assert float(weight.var()) == pytest.approx(4 * variance, rel=0.03)
    assert abs(float(weight.mean())) < 4 * (4 * variance / weight.numel()) ** 0.5
    bound = fan_in**-0.5
    if initialization == "torch":
        assert 1.99 * bound < float(weight.abs().max()) <= 2 * bound
        assert 0.9 * bound < float(bias.abs().max()) <= bound  # not scaled
    else:
        assert float(weight.abs().max()) > 3 * (4 * variance) ** 0.5  # normal: further than any uniform
        assert not bias.any()


@pytest.mark.parametrize("shape", [(7, 12), (12, 7)])
def test_an_orthogonal_matrix_is_one(shape):
    layer = nn.Linear(shape[1], shape[0])
    initialize(layer, seeded(), "orthogonal", scale=3.0)
    W = layer.weight.detach().double()
    gram = W @ W.T if shape[0] < shape[1] else W.T @ W
    torch.testing.assert_close(gram, 9 * torch.eye(7, dtype=torch.float64), atol=1e-5, rtol=0)  # float32
    assert not layer.bias.any()
    assert entry_variance(layer, "orthogonal", 3.0) is None


def test_an_orthogonal_convolution_is_one_of_its_unfolded_kernel():
    layer = nn.Conv2d(2, 5, 3)
    initialize(layer, seeded(), "orthogonal")
    K = layer.weight.detach().double().flatten(1)
    torch.testing.assert_close(K @ K.T, torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_torchs_own_layers_are_drawn_alike(name):
    """The name `torch` holds: bounds and biases of a fresh layer of torch's and of one drawn here agree."""
    torch.manual_seed(0)
    own, drawn = LAYERS[name](), LAYERS[name]()
    initialize(drawn, seeded(), "torch")
    for a, b in zip(own.parameters(), drawn.parameters(), strict=True):
        assert float(a.detach().abs().max()) == pytest.approx(float(b.detach().abs().max()), rel=0.05)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_every_kind_takes_every_initialisation(model, initialization):
    _, network = build(model, initialization=initialization, initialization_scale=0.5)
    _, plain = build(model, initialization=initialization)
    for matrix, other in zip(weight_matrices(network), weight_matrices(plain), strict=True):
        torch.testing.assert_close(matrix.weight, 0.5 * other.weight)


def test_initialize_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="initialization 'zero' is unknown, known are torch, he, xavier"):
        initialize(nn.Linear(2, 2), seeded(), "zero")


# --- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [SHAPE, (9, 6), (3, 3, 12), (1, 12, 3)])
@pytest.mark.parametrize("model", MODELS)
def test_a_network_takes_images_of_any_shape_and_counts_its_units(model, shape):
    options, network = build(model, shape=shape)
    options.entry.check(options, shape)
    seen = []
    for module in network.modules():
        if isinstance(module, nn.ReLU | Sign):
            module.register_forward_hook(lambda _, __, output: seen.append(output[0].numel()))
    assert network(points(5, shape)).shape == (5, NUM_OUTPUTS)
    assert [*options.entry.hidden_widths(options, shape)] == seen


def test_counted_units_are_those_on_paper():
    cnn = NetworkSettings(model="cnn", architecture="8-16")
    assert cnn.entry.hidden_widths(cnn, (28, 28)) == [8 * 28 * 28, 16 * 14 * 14]
    resnet = NetworkSettings(model="resnet", architecture="4-6")
    assert resnet.entry.hidden_widths(resnet, (28, 28)) == [4 * 196] * 3 + [6 * 49] * 2
    transformer = NetworkSettings(model="transformer", architecture="2x64")
    assert transformer.entry.hidden_widths(transformer, (28, 28)) == [16 * 64] * 2


@pytest.mark.parametrize("model", MODELS)
def test_labels_are_names_of_files(model):
    options, _ = build(model)
    start = {"mlp": ""}.get(model, f"{model}-")
    assert options.entry.label(options) == start + options.architecture


def test_a_transformers_patches_are_those_of_the_image():
    _, network = build("transformer")
    images = torch.arange(2 * 9 * 6.0).view(1, 2, 9, 6)
    patches = network.patches(images.flatten(1))
    assert patches.shape == (1, 6, 18)
    for number, (row, column) in enumerate(itertools.product(range(3), range(2))):
        expected = images[0, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        assert torch.equal(patches[0, number], expected.flatten())


def test_attention_is_torchs_own():
    """With the same weights nn.MultiheadAttention gives the same."""
    generator = seeded(1)
    own, reference = Attention(8, 2).double(), nn.MultiheadAttention(8, 2, batch_first=True).double()
    for parameter in own.parameters():
        parameter.data.normal_(generator=generator)
    projections = (own.query, own.key, own.value)
    reference.in_proj_weight.data = torch.cat([layer.weight.data for layer in projections])
    reference.in_proj_bias.data = torch.cat([layer.bias.data for layer in projections])
    reference.out_proj.load_state_dict(own.output.state_dict())
    tokens = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
    expected, _ = reference(tokens, tokens, tokens, need_weights=False)
    torch.testing.assert_close(own(tokens), expected, atol=ROUNDING, rtol=0)


def test_a_residual_block_adds_what_went_in():
    _, network = build("resnet", batch_norm=False)
    block = network.stages[0]
    for parameter in block.parameters():
        parameter.data.zero_()
    images = torch.randn(2, 2, 5, 3, generator=seeded())
    assert torch.equal(block(images), images.relu())


# --- sign --------------------------------------------------------------------------------------


def test_the_sign_passes_gradients_straight_through_while_it_trains():
    z = torch.tensor([-2.0, -1.0, -0.25, 0.0, 0.5, 1.5], requires_grad=True)
    sign = Sign()
    assert sign(z).tolist() == [-1, -1, -1, 0, 1, 1]
    sign(z).backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert z.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_the_sign_is_torchs_own_in_evaluation_mode():
    from torch.overrides import TorchFunctionMode

    class Seen(TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.functions = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.functions.append(func)
            return func(*args, **(kwargs or {}))

    with Seen() as seen:
        binary_mlp([3, 4, 2], seeded()).eval()(torch.ones(1, 3))
    assert torch.sign in seen.functions
    z = torch.ones(2, requires_grad=True)
    Sign().eval()(z).sum().backward()
    assert z.grad.tolist() == [0, 0]


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"model": "mlp", "pooling": "average"}, "pooling"),
        ({"model": "binary-mlp", "activation": "tanh"}, "activation"),
        ({"model": "transformer", "batch_norm": True}, "batch_norm"),
        ({"model": "cnn", "heads": 2}, "heads"),
    ],
)
def test_a_setting_that_does_nothing_is_an_error(settings, name):
    with pytest.raises(ValidationError, match=f"{name} does nothing with model: {settings['model']}"):
        NetworkSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "transformer", "patch": 5}, r"network\.patch: 5 does not divide the 28 × 28 pixels"),
        ({"model": "transformer", "heads": 3}, r"network\.heads: 3 does not divide network\.embedding: 32"),
        (
            {"model": "cnn", "data": {"dataset": "swiss-roll"}},
            r"network\.model: cnn takes images, and an input of this dataset has the shape \(3,\)",
        ),
        (
            {"batch_norm": True, "data": {"train_images": 257}},
            r"network\.batch_norm: a batch of 257 training points in batches of 128 has one point",
        ),
        ({"batch_norm": True, "training": {"batch_size": 1}}, r"change training\.batch_size"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        check(sections(**settings))


@pytest.mark.parametrize("model", MODELS)
def test_settings_that_go_together_are_taken(model):
    check(sections(model=model, **MODELS[model] | ({"patch": 4} if model == "transformer" else {})))


# --- weight matrices and the sample --------------------------------------------------------------


def passes_of(model, num_points=11, **options):
    _, network = build(model, seed=5)
    network = network.double()
    for module in network.modules():  # else a BatchNorm that does nothing hides a slip
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1, generator=seeded(1))
            module.running_var.uniform_(0.5, 2, generator=seeded(2))
    inputs = points(num_points).double()
    return network, inputs, pass_through(network, inputs, **options)


@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_the_matrix_times_the_inputs(model):
    _, _, passes = passes_of(model)
    assert passes
    for layer in passes:
        expected = layer.inputs @ layer.matrix.weight.T
        if layer.matrix.bias is not None:
            expected += layer.matrix.bias
        torch.testing.assert_close(layer.outputs, expected, atol=ROUNDING, rtol=0)
        assert len(layer.inputs) == 11
        assert not layer.outputs.requires_grad


@pytest.mark.parametrize("model", MODELS)
def test_outputs_with_a_matrix_are_those_of_the_network_with_it(model):
    network, inputs, passes = passes_of(model)
    before = checkpoints.to_bytes(network)
    own = network(inputs).detach()
    for layer in passes:
        torch.testing.assert_close(layer.outputs_with(layer.matrix.weight.clone()), own)
        zeroed = layer.outputs_with(torch.zeros_like(layer.matrix.weight))
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        if isinstance(layer.matrix.layer, ProductLinear):
            state[f"{layer.matrix.name}.{'S_prime' if model == 'factored-mlp' else 'left'}"].zero_()
        else:
            matrix = state[f"{layer.matrix.name}.weight"].flatten(1)
            matrix[layer.matrix.rows or slice(None), layer.matrix.columns or slice(None)] = 0
        _, other = build(model)
        other = other.double()
        other.load_state_dict(state)
        torch.testing.assert_close(zeroed, other(inputs).detach())
        assert (layer.finish is None) != is_sequence(network)
        if layer.finish is not None:
            torch.testing.assert_close(layer.finish(layer.outputs), own)
    assert checkpoints.to_bytes(network) == before


@pytest.mark.parametrize("model", MODELS)
def test_matrices_together_are_all_weights_once(model):
    _, network = build(model)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    sizes = [matrix.weight.numel() for matrix in weight_matrices(network)]
    assert sum(sizes) == sum(layer.weight.numel() for layer in layers)
    assert [*dict.fromkeys(id(m.layer) for m in weight_matrices(network))] == [id(layer) for layer in layers]


def test_names_and_shapes_of_matrices():
    _, network = build("transformer", architecture="6")
    shapes = [(m.name, m.head, tuple(m.weight.shape)) for m in weight_matrices(network)]
    block = "blocks.0"
    assert shapes == [
        ("embed", None, (8, 18)),
        *(
            (f"{block}.attention.{name}", head, (4, 8))
            for name in ("query", "key", "value")
            for head in (0, 1)
        ),
        *((f"{block}.attention.output", head, (8, 4)) for head in (0, 1)),
        (f"{block}.feed_forward.expand", None, (6, 8)),
        (f"{block}.feed_forward.contract", None, (8, 6)),
        ("readout", None, (4, 8)),
    ]
    _, network = build("cnn", architecture="3-5")
    shapes = [(m.name, m.kind, tuple(m.weight.shape)) for m in weight_matrices(network)]
    assert shapes == [
        ("blocks.0.convolution", "convolution", (3, 18)),
        ("blocks.1.convolution", "convolution", (5, 27)),
        ("readout", "linear", (4, 5 * 2 * 1)),
    ]


def test_heads_add_up_to_their_projection():
    network, inputs, passes = passes_of("transformer")
    attention = network.blocks[0].attention
    seen = []
    attention.output.register_forward_hook(lambda _, arguments, output: seen.append((arguments[0], output)))
    with torch.no_grad():
        network(inputs)
    heads = [layer for layer in passes if layer.matrix.name == "blocks.0.attention.output"]
    positions = draw_positions(torch.arange(11), 6, 1)[:, 0]
    ((gathered, output),) = seen
    rows = torch.arange(11), positions
    assert torch.equal(torch.cat([layer.inputs for layer in heads], 1), gathered[rows])
    total = sum(layer.outputs for layer in heads) + attention.output.bias.detach()
    torch.testing.assert_close(total, output[rows], atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, (2, 1)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_patches_are_those_that_torch_unfolds(stride, padding, dilation):
    convolution = nn.Conv2d(2, 3, (3, 2), stride, padding, dilation)
    network = nn.Sequential(nn.Unflatten(1, (2, 9, 6)), convolution, nn.Flatten(), nn.LazyLinear(2)).double()
    inputs = points(4).double()
    network(inputs)
    layer = pass_through(network, inputs, num_positions=1_000)[0]  # all
    shape = {"padding": padding, "stride": stride, "dilation": dilation}
    unfolded = F.unfold(inputs.view(4, 2, 9, 6), (3, 2), **shape).transpose(1, 2)
    assert torch.equal(layer.inputs, unfolded.flatten(0, 1))


def test_positions_are_drawn_once_for_each_image():
    images = torch.arange(500)
    one, three = draw_positions(images, 49, 1), draw_positions(images, 49, 3)
    assert one.shape == (500, 1)
    assert (three.diff(dim=1) > 0).all()  # ascending, none twice
    assert (three == one).any(dim=1).all()
    # every position is about as often: 500 / 49 is 10, with a standard deviation of 3
    assert 49 * [1] < torch.bincount(one[:, 0], minlength=49).tolist() < 49 * [30]
    assert torch.bincount(one[:, 0], minlength=49).min() > 0
    assert torch.equal(draw_positions(torch.tensor([3, 3, 499]), 49, 1), one[[3, 3, 499]])
    assert torch.equal(draw_positions(images[:17], 49, 1), one[:17])  # however many follow
    assert draw_positions(images[:2], 3, 5).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_several_rows_an_image_stand_together():
    _, _, passes = passes_of("cnn", num_positions=4)
    _, _, others = passes_of("cnn", num_positions=1_000)
    positions = draw_positions(torch.arange(11), 9 * 6, 4)
    expected = others[0].inputs.view(11, 54, -1)[torch.arange(11)[:, None], positions].flatten(0, 1)
    assert torch.equal(passes[0].inputs, expected)
    assert [len(layer.inputs) for layer in passes] == [
        44,
        44,
        22,
        22,
        11,
    ]  # 9 × 6, 4 × 3, 2 × 1, 2 × 1 pixels


def test_inputs_in_blocks_are_as_at_once(monkeypatch):
    from spaceprobe.networks import layers

    _, _, whole = passes_of("cnn")
    monkeypatch.setattr(layers, "INPUTS_AT_ONCE", 4)
    _, _, parts = passes_of("cnn")
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.inputs, other.inputs, atol=ROUNDING, rtol=0)


def test_a_layer_that_runs_twice_is_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = nn.Linear(3, 3)

        def forward(self, x):
            return self.shared(self.shared(x))

    with pytest.raises(ValueError, match="shared: was run 2 times on an input, expected once"):
        pass_through(Twice(), torch.ones(1, 3))


@pytest.mark.parametrize("options", [{"groups": 2}, {"padding_mode": "circular"}, {"padding": "same"}])
def test_convolutions_that_are_not_decomposed_are_named(options):
    with pytest.raises(ValueError, match=r"0: Conv2d.* cannot be decomposed: expected a convolution without"):
        weight_matrices(nn.Sequential(nn.Conv2d(2, 2, 3, **options)))


def test_the_default_decomposition_has_the_key_of_earlier_versions():
    assert "positions" not in LmdSettings().measurement()
    assert LmdSettings(positions=3).measurement()["positions"] == 3


@pytest.mark.parametrize("seed", range(5))
def test_the_functional_rank_by_weights_is_that_by_pre_activations(seed):
    """One definition, two ways: the pre-activations of a layer, or the network with W_q in its place."""
    network = mlp([18, 9, 7, 4], seeded(seed), "tanh").double()
    inputs = torch.randn(300, 18, generator=seeded(7), dtype=torch.float64)
    targets = network(inputs).argmax(1)
    for layer in pass_through(network, inputs):
        whole = decompose(layer.matrix.weight)
        fast = functional_rank_of(layer, whole, targets)
        slow = functional_rank_of(replace(layer, finish=None), whole, targets)
        assert fast.estimate == slow.estimate
        assert dict(fast.scores) == dict(slow.scores)
        assert fast.estimate.rank > 1


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_training_measures_in_evaluation_mode(model):
    """BatchNorm by running statistics, plain signs; and steps are trained in training mode."""
    _, network = build(model)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs, targets = points(90), torch.arange(90) % NUM_OUTPUTS
    modes, curve = [], []
    first = next(module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    first.register_forward_pre_hook(
        lambda module, arguments: modes.append((module.training, len(arguments[0])))
    )
    train(
        network, inputs, targets, inputs[:50], targets[:50],
        recipe=Recipe(2, 1e-2, 32), generator=seeded(), on_epoch=lambda epoch: curve.append(epoch.metrics),
    )  # fmt: skip
    assert [size for is_training, size in modes if is_training] == [32, 32, 26] * 2
    assert {size for is_training, size in modes if not is_training} == {90, 50}
    assert not any(module.training for module in network.modules())
    expected = F.cross_entropy(network(inputs[:50]), targets[:50])
    assert curve[-1].test_loss == pytest.approx(float(expected.detach()), rel=1e-5)
    assert curve[-1].train_loss < curve[0].train_loss
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert set(moved) == set(before)  # every weight is trained, and the statistics of BatchNorm follow


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_holds_all_of_a_network(model, tmp_path):
    _, network = build(model, seed=1)
    _, other = build(model, seed=2)
    for name, buffer in network.named_buffers():  # running statistics
        buffer.add_(len(name))
    data = checkpoints.to_bytes(network)
    (tmp_path / "w").write_bytes(data)
    checkpoints.load_into(other, tmp_path / "w", hashlib.sha256(data).hexdigest())
    assert torch.equal(other(points(5)), network(points(5)))


@pytest.mark.parametrize("model", MODELS)
def test_the_methods_of_a_kind_walk_it_and_no_others(model):
    shape = (6, 3)
    options, network = build(model, shape=shape)
    network = network.double()
    a, b = points(6, shape).double().split(3)
    found = []
    for method in ("exact", *get_args(Engine)):
        try:
            found.append(
                (method, walk_paths(network, a, b, method=method, num_points=20_001).length.tolist())
            )
        except (TypeError, ValueError):
            continue
    assert {method for method, _ in found} == {*options.entry.engines(options)}
    assert all(lengths == found[0][1] for _, lengths in found)
    assert sum(found[0][1]) > 0
    smooth, curved = (options.model_copy(update={"activation": name}) for name in ("tanh", "polynomial-2"))
    if model != "binary-mlp":
        assert options.entry.engines(smooth) == ("sampled", "adaptive")
        assert options.entry.engines(curved) == ()
        bent = options.model_copy(update={"activation": "hardtanh"})
        assert set(options.entry.engines(bent)) == set(options.entry.engines(options)) - {"kernel", "jvp"}


@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_a_piecewise_linear_activation_is_walked_as_it_is_sampled(name):
    network = mlp([6, 8, 8, 3], seeded(), name).double().eval()
    a, b = points(6, (6,)).double().split(3)
    exact, sampled = (
        walk_paths(network, a, b, method=method, num_points=20_001).length.tolist()
        for method in ("exact", "sampled")
    )
    assert exact == sampled


def test_average_pooling_is_walked_by_one_more():
    plain, pooled = (NetworkSettings(model="cnn", pooling=pooling) for pooling in ("max", "average"))
    assert {*pooled.entry.engines(pooled)} - {*plain.entry.engines(plain)} == {"jvp"}
    _, network = build("cnn", pooling="average")
    a, b = points(6).double().split(3)
    walks = [
        walk_paths(network.double(), a, b, method=method).length.tolist() for method in ("jvp", "layerwise")
    ]
    assert walks[0] == walks[1]


def test_an_mlp_with_batch_norm_is_walked_exactly():
    network = mlp([6, 8, 8, 3], seeded(), batch_norm=True).eval()
    for module in network:
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.uniform_(-1, 1, generator=seeded(1))
    a, b = (torch.randn(20, 6, generator=seeded(seed)) for seed in (2, 3))
    exact, sampled = (walk_paths(network, a, b, method=m, num_points=20_001) for m in ("exact", "sampled"))
    assert (exact.length == sampled.length).all()
    assert exact.length.sum() > 0
