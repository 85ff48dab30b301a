"""Matrices in a state dict: what is one, and attention's products against attention computed by torch."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from spaceprobe.weights.attention import find_attention
from spaceprobe.weights.matrices import REASONS, describe_left_out, left_out, matrices_of

# Sums of at most 40 products in float64, taken in another order.
TOLERANCE = 1e-12

TOKENS = 5
WIDTH = 12


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def by_name(matrices):
    found = {matrix.name: matrix for matrix in matrices}
    assert len(found) == len(matrices)
    return found


def attend(matrices, block, heads, dimension, x, y, outputs):
    """Attention from tokens x to tokens y by the products alone: softmax(xᵀ QK y / √d) and OV."""
    found = by_name(matrices)
    result = torch.zeros(len(x), outputs, dtype=torch.float64)
    for head in range(heads):
        name = ".".join(filter(None, [block, f"head{head}"]))
        qk, ov = found[f"{name}.query-key"], found[f"{name}.output-value"]
        assert (qk.kind, ov.kind) == ("query-key", "output-value")
        assert qk.matrix.dtype == ov.matrix.dtype == torch.float64
        assert qk.shape == (x.shape[1], y.shape[1]) == tuple(qk.matrix.shape)
        assert ov.shape == (outputs, y.shape[1]) == tuple(ov.matrix.shape)
        assert qk.note == f"rank at most {dimension}, the head's dimension"
        assert torch.linalg.matrix_rank(qk.matrix) <= dimension
        weights = (x @ qk.matrix @ y.T / math.sqrt(dimension)).softmax(1)
        result += weights @ y @ ov.matrix.T
    return result


def split_heads(rows, heads):
    """tokens × (heads · d) to heads × tokens × d."""
    return rows.unflatten(1, (heads, -1)).transpose(0, 1)


def literal_attention(q, k, v, output, heads, kv_heads, x):
    """Attention with weights outputs × inputs as torch computes it."""
    parts = [split_heads(x @ W.T, n)[None] for W, n in ((q, heads), (k, kv_heads), (v, kv_heads))]
    result = scaled_dot_product_attention(*parts, enable_gqa=True)[0]
    return result.transpose(0, 1).flatten(1) @ output.T


def close(left, right):
    return torch.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE)


def with_prefix(prefix, weights):
    return {prefix + name: tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(("heads", "prefix"), [(1, ""), (3, "layers.0.self_attn."), (4, "a.")])
def test_products_of_multihead_attention_are_its_scores_and_its_output(heads, prefix):
    torch.manual_seed(1)
    layer = nn.MultiheadAttention(WIDTH, heads, bias=False, dtype=torch.float64)
    x = drawn(TOKENS, WIDTH)
    expected, scores = layer(x, x, x, average_attn_weights=False)
    matrices = matrices_of(with_prefix(prefix, layer.state_dict()), heads)
    block = prefix.rstrip(".")
    assert close(attend(matrices, block, heads, WIDTH // heads, x, x, WIDTH), expected)
    for head in range(heads):
        name = ".".join(filter(None, [block, f"head{head}", "query-key"]))
        logits = x @ by_name(matrices)[name].matrix @ x.T / math.sqrt(WIDTH // heads)
        assert close(logits.softmax(1), scores[head])
    assert by_name(matrices)[f"{prefix}in_proj_weight"].shape == (3 * WIDTH, WIDTH)


def test_products_of_multihead_attention_with_other_keys_and_values():
    torch.manual_seed(2)
    layer = nn.MultiheadAttention(WIDTH, 2, bias=False, kdim=7, vdim=9, dtype=torch.float64)
    x, y, z = drawn(TOKENS, WIDTH), drawn(4, 7, seed=1), drawn(4, 9, seed=2)
    expected, _ = layer(x, y, z)
    found = by_name(matrices_of(layer.state_dict(), 2))
    result = torch.zeros(TOKENS, WIDTH, dtype=torch.float64)
    for head in range(2):
        qk, ov = found[f"head{head}.query-key"], found[f"head{head}.output-value"]
        assert (qk.shape, ov.shape) == ((WIDTH, 7), (WIDTH, 9))
        result += (x @ qk.matrix @ y.T / math.sqrt(6)).softmax(1) @ z @ ov.matrix.T
    assert close(result, expected)


@pytest.mark.parametrize("output_name", ["o_proj", "out_proj"])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (6, 2), (4, 1)])
def test_products_of_projections_with_shared_keys_and_values(heads, kv_heads, output_name):
    dimension, outputs = 3, 11
    weights = {
        "q_proj": drawn(heads * dimension, WIDTH, seed=1),
        "k_proj": drawn(kv_heads * dimension, WIDTH, seed=2),
        "v_proj": drawn(kv_heads * dimension, WIDTH, seed=3),
        output_name: drawn(outputs, heads * dimension, seed=4),
    }
    x = drawn(TOKENS, WIDTH)
    expected = literal_attention(*weights.values(), heads, kv_heads, x)
    named = {f"model.layers.10.self_attn.{name}.weight": tensor for name, tensor in weights.items()}
    matrices = matrices_of(named, heads)
    assert close(attend(matrices, "model.layers.10.self_attn", heads, dimension, x, x, outputs), expected)
    assert [matrix.name for matrix in matrices[:4]] == [*named]


def test_values_may_have_another_dimension_than_keys():
    weights = {
        "q_proj.weight": drawn(8, WIDTH, seed=1),
        "k_proj.weight": drawn(4, WIDTH, seed=2),
        "v_proj.weight": drawn(10, WIDTH, seed=3),
        "o_proj.weight": drawn(WIDTH, 20, seed=4),
    }
    found = by_name(matrices_of(weights, 4))
    assert found["head3.query-key"].note == "rank at most 2, the head's dimension"
    assert found["head3.output-value"].note == "rank at most 5, the head's dimension"
    expected = weights["o_proj.weight"][:, 15:] @ weights["v_proj.weight"][5:]
    assert close(found["head3.output-value"].matrix, expected)


@pytest.mark.parametrize("prefix", ["", "bert.encoder.layer.3."])
def test_products_of_berts_attention(prefix):
    heads, dimension = 3, 4
    weights = {
        "attention.self.query.weight": drawn(12, WIDTH, seed=1),
        "attention.self.key.weight": drawn(12, WIDTH, seed=2),
        "attention.self.value.weight": drawn(12, WIDTH, seed=3),
        "attention.output.dense.weight": drawn(WIDTH, 12, seed=4),
    }
    x = drawn(TOKENS, WIDTH)
    expected = literal_attention(*weights.values(), heads, heads, x)
    matrices = matrices_of(with_prefix(prefix, weights), heads)
    assert close(attend(matrices, f"{prefix}attention", heads, dimension, x, x, WIDTH), expected)


def gpt2_attention(weights, heads, x):
    """GPT-2 as published: Conv1D is x @ weight with the weight inputs × outputs."""
    q, k, v = (x @ weights["attn.c_attn.weight"]).split(x.shape[1], dim=1)
    parts = [split_heads(part, heads)[None] for part in (q, k, v)]
    result = scaled_dot_product_attention(*parts)[0].transpose(0, 1).flatten(1)
    return result @ weights["attn.c_proj.weight"]


@pytest.mark.parametrize("is_transposed", [True, False])
def test_products_of_gpt2s_attention_whichever_way_it_is_stored(is_transposed):
    heads, dimension = 3, 4
    weights = {
        "attn.c_attn.weight": drawn(WIDTH, 3 * WIDTH, seed=1),
        "attn.c_proj.weight": drawn(WIDTH, WIDTH, seed=2),
        "mlp.c_fc.weight": drawn(WIDTH, 20, seed=3),
        "mlp.c_proj.weight": drawn(20, WIDTH, seed=4),
    }
    x = drawn(TOKENS, WIDTH)
    expected = gpt2_attention(weights, heads, x)
    stored = weights if is_transposed else {name: tensor.T for name, tensor in weights.items()}
    matrices = matrices_of(with_prefix("h.0.", stored), heads)
    assert close(attend(matrices, "h.0.attn", heads, dimension, x, x, WIDTH), expected)
    for name, tensor in weights.items():
        found = by_name(matrices)[f"h.0.{name}"]
        assert torch.equal(found.matrix, tensor.T)
        assert ("transposed here" in found.note) == is_transposed
    assert by_name(matrices)["h.0.attn.c_attn.weight"].note.startswith("query, key and value of attention")


class TimmAttention(nn.Module):
    """As in timm's vision transformer."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x):
        qkv = self.qkv(x).reshape(len(x), 3, self.heads, -1).permute(1, 2, 0, 3)
        return self.proj(scaled_dot_product_attention(*qkv).transpose(0, 1).flatten(1))


class NeoXAttention(nn.Module):
    """As in GPT-NeoX and BLOOM, without rotation, bias by distance and mask."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.dense = nn.Linear(width, width, bias=False)

    def forward(self, x):
        by_head = self.query_key_value(x).view(len(x), self.heads, -1).transpose(0, 1)
        return self.dense(scaled_dot_product_attention(*by_head.chunk(3, -1)).transpose(0, 1).flatten(1))


class SeparateAttention(nn.Module):
    """As in DistilBERT and T5, by the names of query, key, value and output; T5 has wider heads."""

    def __init__(self, names, width, heads, inner):
        super().__init__()
        self.heads, self.names = heads, names
        for name in names[:3]:
            self.add_module(name, nn.Linear(width, inner, bias=False))
        self.add_module(names[3], nn.Linear(inner, width, bias=False))

    def forward(self, x):
        parts = [split_heads(getattr(self, name)(x), self.heads) for name in self.names[:3]]
        joined = scaled_dot_product_attention(*parts).transpose(0, 1).flatten(1)
        return getattr(self, self.names[3])(joined)


@pytest.mark.parametrize("heads", [1, 3, 4])
@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        (TimmAttention, "blocks.7.attn."),
        (NeoXAttention, "gpt_neox.layers.2.attention."),
        (NeoXAttention, "transformer.h.0.self_attention."),
        (
            lambda width, heads: SeparateAttention(
                ["q_lin", "k_lin", "v_lin", "out_lin"], width, heads, width
            ),
            "distilbert.transformer.layer.1.attention.",
        ),
        (
            lambda width, heads: SeparateAttention([*"qkvo"], width, heads, 5 * heads),
            "decoder.block.0.layer.1.EncDecAttention.",
        ),
    ],
    ids=["timm", "neox", "bloom", "distilbert", "t5"],
)
def test_products_of_other_networks_attention(make, prefix, heads):
    torch.manual_seed(3)
    layer = make(WIDTH, heads).double()
    x = drawn(TOKENS, WIDTH)
    weights = with_prefix(prefix, layer.state_dict())
    (block,) = find_attention(weights)
    dimension = len(block.query) // heads
    matrices = matrices_of(weights, heads)
    assert close(attend(matrices, prefix.rstrip("."), heads, dimension, x, x, WIDTH), layer(x))
    assert [matrix.name for matrix in matrices[: len(weights)]] == [*weights]
    kind = "query, key and value of attention" if block.is_packed else "query of attention"
    if "query_key_value" in block.query_name:
        kind += "; rows head by head assumed, as in GPT-NeoX and BLOOM"
    assert by_name(matrices)[block.query_name].note == kind


def test_heads_that_lie_one_after_the_other_are_views():
    weights = {"query_key_value.weight": drawn(18, 6)}
    (block,) = find_attention(weights)
    for head in block.split(3):
        assert head.query.untyped_storage().data_ptr() == block.packed.weight.untyped_storage().data_ptr()
    assert torch.equal(block.split(3)[1].value, weights["query_key_value.weight"][10:12])


def test_a_product_is_thin_below_both_its_sides():
    found = by_name(matrices_of(attention_of(q=(8, 6), k=(4, 6), v=(4, 6)), 4))
    assert not found["x.q_proj.weight"].is_thin_product
    assert found["x.head0.query-key"].is_thin_product
    one = by_name(matrices_of(attention_of(q=(6, 6), k=(6, 6), v=(6, 6), o=(6, 6)), 1))
    assert not one["x.head0.query-key"].is_thin_product


def test_without_heads_there_are_no_products_and_a_note_says_why():
    layer = nn.TransformerEncoderLayer(WIDTH, 3, 20)
    matrices = matrices_of(layer.state_dict())
    assert {matrix.kind for matrix in matrices} == {"linear"}
    notes = {matrix.name: matrix.note for matrix in matrices if matrix.note}
    hint = "query, key and value of attention; give heads for W_QᵀW_K and W_OW_V of each"
    assert notes == {"self_attn.in_proj_weight": hint}


def test_a_block_without_an_output_has_scores_only():
    weights = {f"a.{name}_proj.weight": drawn(4, 6, seed=seed) for seed, name in enumerate("qkv")}
    kinds = [matrix.kind for matrix in matrices_of(weights, 2)]
    assert kinds == ["linear"] * 3 + ["query-key"] * 2


@pytest.mark.parametrize(
    "weights",
    [
        {"q_proj.weight": (4, 6), "k_proj.weight": (4, 6)},  # no value
        {"in_proj_weight": (17, 6)},
        {"in_proj_weight": (6, 18)},  # MultiheadAttention never stores it so
        {"attn.c_attn.weight": (6, 17)},
        {"attn.qkv.weight": (6, 18)},
        {"q.weight": (4, 6), "k.weight": (4, 6)},
        {"xq_proj.weight": (4, 6), "xk_proj.weight": (4, 6), "xv_proj.weight": (4, 6)},
        {"a.q_proj.weight": (4, 6), "b.k_proj.weight": (4, 6), "a.v_proj.weight": (4, 6)},
        {"q_proj.weight": (4, 6, 1), "k_proj.weight": (4, 6), "v_proj.weight": (4, 6)},
    ],
)
def test_what_is_no_attention_block(weights):
    tensors = {name: torch.ones(shape) for name, shape in weights.items()}
    assert find_attention(tensors) == []
    with pytest.raises(ValueError, match=r"heads: 2 is given, but no name of \d tensors tells of attention"):
        matrices_of(tensors, 2)


def attention_of(q=(8, 6), k=(4, 6), v=(4, 6), o=(6, 8)):
    shapes = zip(
        ["q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"], (q, k, v, o), strict=True
    )
    return {f"x.{name}": torch.ones(shape) for name, shape in shapes}


@pytest.mark.parametrize(
    ("weights", "heads", "message"),
    [
        (attention_of(), 0, "^heads: 0, at least 1 is needed"),
        (attention_of(), -2, "^heads: -2, at least 1 is needed"),
        (attention_of(), 3, r"heads: 3 does not fit x\.q_proj\.weight: its query \(8 × 6\) has 8 rows; give"),
        (attention_of(), 1, r"1 heads of dimension 8 cannot share key \(4 × 6\) and value \(4 × 6\); give"),
        (attention_of(k=(3, 6)), 4, r"4 heads of dimension 2 cannot share key \(3 × 6\)"),
        (attention_of(k=(6, 6), v=(6, 6)), 4, r"4 heads of dimension 2 cannot share key \(6 × 6\)"),
        (attention_of(v=(5, 6)), 4, r"cannot share key \(4 × 6\) and value \(5 × 6\)"),
        (attention_of(o=(6, 7)), 4, r"output \(6 × 7\) has 7 columns, 4 heads of dimension 2 need 8"),
        ({"query_key_value.weight": torch.ones(18, 6)}, 4, r"its query \(6 × 6\) has 6 rows"),
        ({"in_proj_weight": torch.ones(18, 6)}, 4, r"in_proj_weight: its query \(6 × 6\) has 6 rows"),
    ],
)
def test_heads_that_do_not_fit_are_refused_before_anything_is_computed(weights, heads, message):
    with pytest.raises(ValueError, match=message):
        matrices_of(weights, heads)


GROUPS = "groups cannot be seen in a file (--groups)"
OPEN = "whether it is transposed, and its groups, cannot be seen in a file (--transposed, --groups)"


@pytest.mark.parametrize(
    ("layer", "shape", "note"),
    [
        (nn.Conv1d(3, 4, 5), (4, 15), f"kernel 4 × 3 × 5; {GROUPS}"),
        (nn.Conv2d(3, 4, (5, 6)), (4, 90), f"kernel 4 × 3 × 5 × 6; {GROUPS}"),
        (nn.Conv2d(4, 6, (5, 3), groups=2), (6, 30), f"kernel 6 × 2 × 5 × 3; {OPEN}"),
        (nn.Conv3d(2, 4, (5, 6, 3)), (4, 180), f"kernel 4 × 2 × 5 × 6 × 3; {OPEN}"),
        (nn.Conv2d(3, 1, (5, 6)), (1, 90), f"kernel 1 × 3 × 5 × 6; {GROUPS}"),
    ],
)
def test_kernels_are_unfolded(layer, shape, note):
    (found,) = matrices_of(layer.state_dict())
    assert (found.name, found.kind, found.shape, found.note) == ("weight", "convolution", shape, note)
    assert torch.equal(found.matrix, layer.weight.reshape(shape))
    assert not found.matrix.requires_grad


def test_an_unfolded_kernel_acts_on_windows_as_the_convolution_does():
    layer = nn.Conv2d(3, 4, (5, 2), bias=False, dtype=torch.float64)
    images = drawn(2, 3, 7, 6)
    (found,) = matrices_of(layer.state_dict())
    windows = nn.functional.unfold(images, (5, 2))
    assert close((found.matrix @ windows).unflatten(2, (3, 5)), layer(images))


def test_tables_keep_name_order_type_and_orientation():
    weights = {
        "z.weight": drawn(3, 4),
        "embedding": drawn(7, 2).float(),
        "a.weight": nn.Parameter(drawn(2, 5)),
        "row": drawn(1, 6),
    }
    matrices = matrices_of(weights)
    assert [(m.name, m.kind, m.note) for m in matrices] == [(name, "linear", "") for name in weights]
    for found, tensor in zip(matrices, weights.values(), strict=True):
        assert found.matrix.dtype == tensor.dtype
        assert torch.equal(found.matrix, tensor)
        assert found.shape == tuple(tensor.shape)
        assert not found.matrix.requires_grad


ODD = {
    "bias": torch.ones(3),
    "norm": torch.ones(1),
    "step": torch.tensor(2.0),
    "none": torch.ones(0, 3),
    "ids": torch.ones(2, 3, dtype=torch.int64),
    "mask": torch.ones(2, 3, dtype=torch.bool),
    "wave": torch.ones(2, 3, dtype=torch.complex64),
    "six": torch.ones(2, 1, 1, 1, 1, 3),
    "attn.bias": torch.ones(1, 1, 4, 4),
    "bias_k": torch.ones(1, 1, 6),
    "weight.pos": torch.ones(1, 5, 6),
}


def test_what_is_no_matrix_is_counted_and_named():
    found = left_out(ODD)
    assert [*found.values()] == [
        ["bias", "norm"],
        ["step"],
        ["none"],
        ["ids", "mask", "wave"],
        ["six"],
        ["attn.bias", "bias_k", "weight.pos"],
    ]
    assert [*found] == [*REASONS]
    assert describe_left_out(found) == (
        "skipped: 2 vectors, 1 scalar, 1 tensor with a side of length 0 ('none'), "
        "3 tensors without floating numbers ('ids', 'mask', 'wave'), 1 tensor of more than 5 sides ('six'), "
        "3 tensors that are not kernels ('attn.bias', 'bias_k', 'weight.pos')"
    )
    assert matrices_of(ODD) == []


def test_the_line_of_what_is_left_out_stays_short_and_printable():
    assert describe_left_out(left_out({"w": torch.ones(2, 3)})) == ""
    assert describe_left_out(left_out({str(n): torch.ones(2) for n in range(12)})) == "skipped: 12 vectors"
    names = [f"{'x' * 5000}\n\x1b[31m{n}" for n in range(300)]
    line = describe_left_out(left_out({name: torch.ones(2, 0) for name in names}))
    assert line.isprintable()
    assert line.startswith("skipped: 300 tensors with a side of length 0 ('xxx")
    assert line.endswith(", …)")
    assert len(line) < 600


SHAPES = st.lists(st.integers(0, 3), max_size=7).map(tuple)


@given(
    st.dictionaries(st.text(max_size=8), st.tuples(SHAPES, st.sampled_from([torch.float32, torch.int8]))),
    st.randoms(use_true_random=False),
)
def test_every_tensor_is_a_matrix_or_left_out_whatever_the_order(tensors, random):
    weights = {name: torch.ones(shape, dtype=dtype) for name, (shape, dtype) in tensors.items()}
    named = [matrix.name for matrix in matrices_of(weights)]
    skipped = [*itertools.chain.from_iterable(left_out(weights).values())]
    assert sorted(named + skipped) == sorted(weights)
    names = [*weights]
    random.shuffle(names)
    again = matrices_of({name: weights[name] for name in names})
    assert sorted(matrix.name for matrix in again) == sorted(named)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 10**6))
def test_a_change_of_basis_within_a_head_changes_no_product(groups, shares, dimension, seed):
    heads = groups * shares
    weights = {
        "q_proj.weight": drawn(heads * dimension, 5, seed=seed),
        "k_proj.weight": drawn(groups * dimension, 6, seed=seed + 1),
        "v_proj.weight": drawn(groups * dimension, 7, seed=seed + 2),
        "o_proj.weight": drawn(8, heads * dimension, seed=seed + 3),
    }
    Q, _ = torch.linalg.qr(drawn(dimension, dimension, seed=seed + 4))
    turned = {
        "q_proj.weight": torch.block_diag(*[Q] * heads) @ weights["q_proj.weight"],
        "k_proj.weight": torch.block_diag(*[Q] * groups) @ weights["k_proj.weight"],
        "v_proj.weight": torch.block_diag(*[Q] * groups) @ weights["v_proj.weight"],
        "o_proj.weight": weights["o_proj.weight"] @ torch.block_diag(*[Q.T] * heads),
    }
    plain, after = matrices_of(weights, heads)[4:], matrices_of(turned, heads)[4:]
    assert len(plain) == len(after) == 2 * heads
    for one, other in zip(plain, after, strict=True):
        assert one.name == other.name
        assert close(one.matrix, other.matrix)
