"""Weights stored in another form than they are used: joined, taken apart, or left out with the reason."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn.utils import prune

from spaceprobe.cli import main
from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.lmd.weight_file import open_weights
from spaceprobe.weights.layouts import LAYOUTS
from tests import stored_layouts
from tests.documents import recipes
from tests.stored_layouts import drawn

# Products of float32 numbers, relative to the largest singular value.
TOLERANCE = 2e-6

NO_OPTIONS = dict.fromkeys(("heads", "transposed", "groups", "leading"))


@pytest.fixture
def read(tmp_path):
    """Write tensors to a file, with JSON files beside it, and return what is read from it."""

    def read(tensors, suffix=".safetensors", configs=None, **options):
        path = tmp_path / f"net{suffix}"
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
        for name, values in (configs or {}).items():
            (tmp_path / name).write_text(values if isinstance(values, str) else json.dumps(values))
        return open_weights(path, {**NO_OPTIONS, **options})

    return read


def matrices(file):
    read = [file._matrices.read(number) for number in range(len(file.parts))]
    return {matrix.name: matrix for matrix in read}


def check(file, expected):
    """Compare names and their order, sides and spectra with matrices by numpy; return the notes."""
    found = matrices(file)
    assert [*found] == [*expected]
    for name, matrix in expected.items():
        array = np.asarray(matrix, dtype=np.float64)
        assert found[name].shape == array.shape, name
        values = np.linalg.svd(array, compute_uv=False)
        ours = np.linalg.svd(found[name].matrix.double().numpy(), compute_uv=False)
        np.testing.assert_allclose(ours, values, rtol=0, atol=TOLERANCE * values[0], err_msg=name)
        np.testing.assert_allclose(found[name].matrix.double(), array, rtol=0, atol=TOLERANCE * values[0])
    return {name: matrix.note for name, matrix in found.items()}


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_old_weight_norm(read, dim):
    tensors = stored_layouts.old_weight_norm(dim)
    g, v = (tensors[f"conv.weight_{leaf}"].numpy() for leaf in "gv")
    axes = tuple(axis for axis in range(3) if axis != dim)
    weight = g * v / np.sqrt((v**2).sum(axes, keepdims=True))
    file = read(tensors)
    notes = check(file, {"conv.weight": weight.reshape(4, 15)})
    assert notes["conv.weight"].startswith("weight norm: g V / ‖V‖, the norm over dimensions ")
    assert "joined: weight norm (2: 'conv.weight_g', 'conv.weight_v')" in file.skipped


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_new_weight_norm(read, suffix):
    model = stored_layouts.new_weight_norm()
    expected = model["conv"].weight.detach().numpy().reshape(4, 15)
    check(read(model.state_dict(), suffix), {"conv.weight": expected})


def test_weight_norm_by_one_length(read):
    v = drawn(4, 6)
    expected = 3 * v.numpy() / np.linalg.norm(v.numpy())
    check(read({"weight_v": v, "weight_g": torch.tensor(3.0)}), {"weight": expected})


def test_parts_that_cannot_be_joined_are_no_layers(read):
    g, v = drawn(4, 1).abs(), drawn(4, 6)
    tensors = {
        "a.weight": v, "a.weight_g": g, "a.weight_v": v + 1,
        "b.weight_v": v + 2, "c.weight_g": g + 1, "d.weight_g": drawn(3, 1), "d.weight_v": v + 3,
    }  # fmt: skip
    file = read(tensors)
    check(file, {"a.weight": v.numpy()})
    alone = "'b.weight_v', 'c.weight_g', 'd.weight_g', 'd.weight_v'"
    assert f"parts of a weight without the others (4: {alone})" in file.skipped
    assert "parts of weight norm beside the weight itself (2: 'a.weight_g', 'a.weight_v')" in file.skipped


def test_what_only_sounds_like_weight_norm_stays(read):
    tensors = {"cond_g": drawn(3, 4), "cond_v": drawn(3, 4, seed=1)}
    check(read(tensors), {name: tensor.numpy() for name, tensor in tensors.items()})


def test_pruning(read):
    model = stored_layouts.pruned()
    expected = {"out.weight": model["out"].weight, "conv.weight": model["conv"].weight.flatten(1)}
    arrays = {name: tensor.detach().numpy() for name, tensor in sorted(expected.items())}
    assert (arrays["out.weight"] == 0).sum() == 18  # half of 35, rounded to even
    notes = check(read(model.state_dict()), arrays)
    assert notes["out.weight"] == "weight_orig × mask: 18 of 35 entries are pruned"


def test_pruned_weight_norm_is_joined_in_turn(read):
    torch.manual_seed(5)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
    prune.l1_unstructured(layer.parametrizations.weight, "original1", amount=0.4)
    layer(torch.ones(6))
    check(read(layer.state_dict(), ".pt"), {"weight": layer.weight.detach().numpy()})


def test_a_mask_beside_a_weight_is_told_and_not_applied(read):
    weight, mask = torch.full((3, 4), 2.0), torch.ones(3, 4)
    mask[1, :2] = 0
    weight[0] = torch.arange(4) - 7.0
    notes = check(read({"weight": weight, "weight_mask": mask}), {"weight": weight.numpy()})
    assert (
        notes["weight"] == "a mask beside it has zeros at 2 of its entries that are not 0: not multiplied in"
    )
    file = read({"weight": weight * mask, "weight_mask": mask})
    check(file, {"weight": (weight * mask).numpy()})
    assert "left out: masks whose zeros are zeros of the weight already (1: 'weight_mask')" in file.skipped


@pytest.mark.parametrize("kind", ["old", "new"])
def test_spectral_norm(read, kind):
    model = stored_layouts.spectral(kind)
    with torch.no_grad():
        model["out"](torch.ones(1, 7)), model["up"](torch.ones(1, 3, 5, 5))
    up = model["up"].weight.detach().numpy()  # inputs × outputs × height × width
    expected = {
        "out.weight": model["out"].weight.detach().numpy(),
        "up.weight": up.transpose(1, 0, 2, 3).reshape(4, 12),
    }
    notes = check(read(model.state_dict(), ".pt"), expected)
    assert notes["out.weight"] == "spectral norm: V / uᵀVv, the rows of V along dimension 0"
    assert "stored inputs first (by its bias)" in notes["up.weight"]


def test_other_parametrizations_are_left_out_with_the_reason(read):
    torch.manual_seed(6)
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(5, 5))
    file = read({**layer.state_dict(), "last.weight": drawn(2, 3), "lost.weight_orig": drawn(3, 4)}, ".pt")
    check(file, {"last.weight": drawn(2, 3).numpy()})
    assert (
        "parametrized weights whose formula is not in the file (2: 'parametrizations.weight." in file.skipped
    )
    assert "(1: 'lost.weight_orig')" in file.skipped


@pytest.mark.parametrize(("rows", "columns"), [(130, 260), (128, 100), (60, 300)])
def test_fp8_with_a_scale_for_each_block(read, rows, columns):
    tensors = stored_layouts.fp8_blocks(rows, columns)
    (name, scale_name) = tensors
    stored, scales = tensors[name].float().numpy(), tensors[scale_name].numpy()
    expected = np.empty_like(stored)
    for row in range(rows):
        for column in range(columns):
            expected[row, column] = stored[row, column] * scales[row // 128, column // 128]
    notes = check(read(tensors), {name: expected})
    assert notes[name] in ("8 bits × its scale of each block of 128 × 128", "8 bits × its scale of the whole")


def test_fp8_with_blocks_by_the_config(read):
    weight, scale = drawn(5, 7).to(torch.float8_e4m3fn), drawn(3, 2, seed=1)
    configs = {"config.json": {"quantization_config": {"weight_block_size": [2, 4]}}}
    expected = weight.float().numpy() * scale.numpy().repeat(2, 0)[:5].repeat(4, 1)[:, :7]
    check(read({"a.weight": weight, "a.weight_scale_inv": scale}, configs=configs), {"a.weight": expected})


def test_8_bits_by_row_and_by_tensor(read):
    whole, rows = drawn(3, 4).to(torch.float8_e5m2), torch.arange(-6, 6, dtype=torch.int8).reshape(3, 4)
    scale = torch.tensor([0.5, 2.0, 4.0])
    tensors = {
        "a.weight": whole, "a.weight_scale": torch.tensor(0.25),
        "b.weight": rows, "b.weight_scale": scale[:, None],
        "c.weight": rows, "c.SCB": scale, "c.weight_format": torch.tensor(0, dtype=torch.uint8),
    }  # fmt: skip
    expected = {
        "a.weight": whole.float().numpy() / 4,
        "b.weight": rows.numpy() * [[0.5], [2.0], [4.0]],
        "c.weight": rows.numpy() * np.array([[0.5], [2.0], [4.0]]) / 127,
    }
    check(read(tensors), expected)


def test_scales_of_forms_that_are_not_joined_are_no_layers(read):
    tensors = {
        "a.weight": drawn(4, 64).to(torch.float8_e4m3fn),  # MXFP8: exponents of blocks of 32
        "a.weight_scale": torch.full((4, 2), 120, dtype=torch.uint8),
        "b.weight_packed": torch.ones(4, 3, dtype=torch.int32),  # compressed-tensors
        "b.weight_scale": drawn(4, 2),
        "c.weight._data": torch.ones(4, 3, dtype=torch.int8),  # quanto
        "c.weight._scale": drawn(4, 1),
        "d.W_q": torch.ones(4, 3, dtype=torch.uint8),  # HQQ
        "d.scale": drawn(4, 1),
        "d.zero": drawn(4, 1),
        "e.B": torch.ones(4, 3, dtype=torch.int32),  # Marlin
        "e.s": drawn(2, 3),
        "last.weight": drawn(2, 3),
    }
    file = read(tensors)
    check(file, {"last.weight": drawn(2, 3).numpy()})
    scales = "(5: 'b.weight_scale', 'c.weight._scale', 'd.scale', 'd.zero', 'e.s')"
    assert f"left out: scales and zeros of weights in a form that is not joined {scales}" in file.skipped
    assert "8-bit weights and their scales, whose blocks are not told (2: 'a.weight', " in file.skipped


def test_8_bits_whose_scales_do_not_fit_are_left_out(read):
    tensors = {
        "a.weight": drawn(5, 7).to(torch.float8_e4m3fn), "a.weight_scale_inv": drawn(3, 2),
        "b.weight": drawn(5, 6), "b.weight_scale": drawn(5, 1),
    }  # fmt: skip
    file = read(tensors)
    check(file, {"b.weight": drawn(5, 6).numpy()})
    assert (
        "8-bit weights and their scales, whose blocks are not told (2: 'a.weight', 'a.weight_scale_inv')"
        in file.skipped
    )
    assert "scales beside weights that are not of 8 bits (1: 'b.weight_scale')" in file.skipped


@pytest.mark.parametrize(
    ("bits", "format_", "stored"),
    [(4, "gptq", 6), (4, "gptq_v2", 7), (8, "gptq", 5), (2, None, 1), (4, None, 8)],
)
def test_gptq(read, bits, format_, stored):
    tensors, integers, scales = stored_layouts.gptq(bits, 32, 48, 8, stored)
    added = {"gptq": 1, "gptq_v2": 0, None: 2 ** (bits - 1) - stored}[format_]
    weight = np.empty((48, 32))
    for output in range(48):
        for i in range(32):
            weight[output, i] = (integers[i, output] - stored - added) * np.float64(scales[i // 8, output])
    configs = {"quantize_config.json": {"bits": bits, "checkpoint_format": format_}} if format_ else {}
    notes = check(read(tensors, configs=configs), {"q.weight": weight})
    assert notes["q.weight"] == f"GPTQ, {bits} bits, 4 groups of inputs"


def test_gptq_whose_zeros_are_not_told_is_left_out(read):
    tensors, _, _ = stored_layouts.gptq(4, 32, 48, 8, 3)
    file = read({**tensors, "last.weight": drawn(2, 3)})
    check(file, {"last.weight": drawn(2, 3).numpy()})
    assert re.search(
        r"integers in words of 32 bits \(GPTQ, AWQ\) .* \(4: 'q\.qweight', 'q\.qzeros', 'q\.scales', ",
        file.skipped,
    )


def test_awq(read):
    tensors, integers, zeros, scales = stored_layouts.awq(16, 24, 8)
    weight = np.empty((24, 16))
    for output in range(24):
        for i in range(16):
            weight[output, i] = (integers[i, output] - zeros[i // 8, output]) * np.float64(
                scales[i // 8, output]
            )
    notes = check(read(tensors), {"q.weight": weight})
    assert notes["q.weight"] == "AWQ, 4 bits, 2 groups of inputs"


@pytest.mark.parametrize("adapter", ["", "default"])
def test_lora_merged_by_its_config(read, adapter):
    tensors = stored_layouts.lora(adapter)
    base, a, b = (tensor.double().numpy() for tensor in tensors.values())
    configs = {"adapter_config.json": {"lora_alpha": 6, "r": 2}}
    middle = f".{adapter}" if adapter else ""
    expected = {
        "q_proj.weight": base + 3 * b @ a,
        f"q_proj.lora_A{middle}.weight": a,
        f"q_proj.lora_B{middle}.weight": b,
        f"q_proj.lora{middle}": 3 * b @ a,
    }
    file = read(tensors, configs=configs)
    found = {name: expected[name] for name in matrices(file)}
    assert {*found} == {*expected}
    notes = check(file, found)
    assert notes["q_proj.weight"] == "with its low-rank update times 3"
    assert notes[f"q_proj.lora{middle}"] == "B A, rank at most 2; times 3, alpha / rank"


def test_lora_without_a_scale_is_unscaled_and_not_merged(read):
    tensors = stored_layouts.lora()
    base, a, b = (tensor.double().numpy() for tensor in tensors.values())
    file = read(tensors)
    notes = check(
        file,
        {
            "q_proj.base_layer.weight": base,
            "q_proj.lora_A.weight": a,
            "q_proj.lora_B.weight": b,
            "q_proj.lora": b @ a,
        },
    )
    assert notes["q_proj.lora"] == "B A, rank at most 2; unscaled: no file tells alpha"
    assert (
        notes["q_proj.base_layer.weight"]
        == "without its low-rank update: the scale of its update is not told"
    )
    assert matrices(file)["q_proj.lora"].kind == "low-rank update"


def test_lora_of_a_convolution_with_its_alpha(read):
    """kohya's scripts keep alpha in the file."""
    down, up = drawn(2, 3, 5, 4), drawn(6, 2, 1, 1, seed=1)
    file = read({"c.alpha": torch.tensor(4.0), "c.lora_down.weight": down, "c.lora_up.weight": up})
    product = 2 * up.reshape(6, 2).double().numpy() @ down.reshape(2, 60).double().numpy()
    found = matrices(file)["c.lora"]
    np.testing.assert_allclose(found.matrix, product, atol=1e-12)


@pytest.mark.parametrize("is_inputs_first", [True, False])
@pytest.mark.parametrize("model", ["gpt_oss", "mixtral", None])
def test_fused_experts(read, model, is_inputs_first):
    gate_up, down = drawn(2, 10, 7), drawn(2, 7, 5, seed=1)  # 2 experts, 7 in and out, 5 within
    stored = (gate_up.mT, down.mT) if is_inputs_first else (gate_up, down)
    names = [f"mlp.experts.{leaf}" for leaf in ("gate_up_proj", "down_proj")]
    configs = {"config.json": {"model_type": model}} if model else {}
    expected = {f"mlp.experts.down_proj.expert{e}": down[e].numpy() for e in range(2)}
    for e in range(2):
        whole = gate_up[e].numpy()
        parts = {
            "gpt_oss": {".gate": whole[::2], ".up": whole[1::2]},
            "mixtral": {".gate": whole[:5], ".up": whole[5:]},
            None: {"": whole},
        }[model]
        expected |= {f"mlp.experts.gate_up_proj.expert{e}{part}": array for part, array in parts.items()}
    file = read(dict(zip(names, stored, strict=True)), configs=configs)
    assert {matrix.kind for matrix in matrices(file).values()} == {"linear"}
    notes = check(file, expected)
    text = notes[f"mlp.experts.gate_up_proj.expert1{'' if model is None else '.up'}"]
    assert ("transposed here" in text) == is_inputs_first
    assert ("which outputs are which is not told by the file" in text) == (model is None)
    assert text.startswith("expert 1 of 2")


def test_biases_of_experts_are_no_layers(read):
    file = read({"mlp.experts.gate_up_proj_bias": drawn(3, 8), "last.weight": drawn(2, 3)})
    check(file, {"last.weight": drawn(2, 3).numpy()})
    assert file.skipped == "left out: biases of experts (1: 'mlp.experts.gate_up_proj_bias')"


def test_parallel_experts_by_their_model(read):
    """JetMoE and Granite."""
    tensors = {"mlp.input_linear.weight": drawn(2, 6, 4), "mlp.output_linear.weight": drawn(2, 4, 3, seed=1)}
    expected = {}
    for e in range(2):
        expected[f"mlp.input_linear.weight.expert{e}.gate"] = drawn(2, 6, 4)[e, :3].numpy()
        expected[f"mlp.input_linear.weight.expert{e}.up"] = drawn(2, 6, 4)[e, 3:].numpy()
    expected |= {f"mlp.output_linear.weight.expert{e}": drawn(2, 4, 3, seed=1)[e].numpy() for e in range(2)}
    check(read(tensors, configs={"config.json": {"model_type": "jetmoe"}}), expected)


def test_experts_whose_sides_are_not_told_stay_as_they_are(read):
    tensors = {f"moe.experts.w{n}": drawn(3, 4, 6, seed=n) for n in (1, 2)}
    expected = {f"{name}.expert{e}": tensor[e].numpy() for name, tensor in tensors.items() for e in range(3)}
    notes = check(read(tensors), expected)
    assert notes["moe.experts.w1.expert2"].endswith("whether outputs or inputs come first is not told")


def test_experts_one_below_the_other(read):
    """Megablocks and DBRX."""
    tensors = {f"ffn.experts.mlp.{leaf}": drawn(6, 5, seed=n) for n, leaf in enumerate(["v1", "w1", "w2"])}
    configs = {"config.json": {"ffn_config": {"moe_num_experts": 3}}}
    expected = {
        f"{name}.expert{e}": (array.T if name.endswith("w2") else array)
        for name, tensor in tensors.items()
        for e, array in enumerate(tensor.numpy().reshape(3, 2, 5))
    }
    check(read(tensors, configs=configs), expected)


def test_a_file_that_does_not_tell_the_number_of_experts(read):
    tensors = {"ffn.experts.mlp.w1": drawn(6, 5)}
    notes = check(read(tensors), {"ffn.experts.mlp.w1": drawn(6, 5).numpy()})
    assert notes["ffn.experts.mlp.w1"] == "experts one below the other: the file does not tell how many"


@pytest.mark.parametrize(
    ("make", "gates", "kind"),
    [
        (lambda: nn.LSTM(3, 5, 2, bidirectional=True), "ifgo", "LSTM"),
        (lambda: nn.GRU(3, 5, bidirectional=True), "rzn", "GRU"),
        (lambda: nn.LSTM(3, 5, proj_size=2), "ifgo", "LSTM"),
        (lambda: nn.LSTMCell(3, 5), "ifgo", "LSTM"),
    ],
)
def test_recurrent_gates(read, make, gates, kind):
    state = {f"rnn.{name}": tensor for name, tensor in make().state_dict().items()}
    expected = {}
    for name, tensor in sorted(state.items()):
        if "weight_hr" in name:
            expected[name] = tensor.numpy()
        elif "weight" in name:
            for number, gate in enumerate(gates):
                expected[f"{name}.{gate}"] = tensor.numpy()[5 * number : 5 * number + 5]
    notes = check(read(state), expected)
    assert {note for name, note in notes.items() if "hr" not in name} == {
        f"gate {gate} of {kind}" for gate in gates
    }


def test_gates_act_as_the_layer_does(read):
    torch.manual_seed(8)
    layer = nn.LSTMCell(3, 4, bias=False).double()
    found = {name: m.matrix.double() for name, m in matrices(read(layer.state_dict())).items()}
    x, h, c = (drawn(side, dtype=torch.float64, seed=side) for side in (3, 4, 4))
    i, f, g, o = (found[f"weight_ih.{gate}"] @ x + found[f"weight_hh.{gate}"] @ h for gate in "ifgo")
    cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
    for ours, theirs in zip((o.sigmoid() * cell.tanh(), cell), layer(x, (h, c)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_plain_recurrent_layer_stays_whole(read):
    state = nn.RNN(3, 5).state_dict()
    expected = {name: tensor.numpy() for name, tensor in sorted(state.items()) if "weight" in name}
    assert {*check(read(state), expected).values()} == {""}


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [("up.weight", {"transposed": ["up.*"]}, "as given"), ("deconv1.weight", {}, "by its name")],
)
def test_transposed_convolutions(read, name, options, why):
    kernel = drawn(3, 4, 2, 5)
    file = read({name: kernel}, **options)
    notes = check(file, {name: kernel.numpy().transpose(1, 0, 2, 3).reshape(4, 30)})
    told = f"kernel 3 × 4 × 2 × 5, stored inputs first ({why})"
    assert notes[name] == f"{told}; groups cannot be seen in a file (--groups)"


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_by_its_bias(read, groups):
    layer = nn.ConvTranspose2d(6, 8, (2, 3), groups=groups)
    kernel = layer.weight.detach().numpy()  # 6 × 8/groups × 2 × 3
    parts = kernel.reshape(groups, 6 // groups, 8 // groups, 6).transpose(0, 2, 1, 3)
    arrays = parts.reshape(groups, 8 // groups, 36 // groups)
    names = ["weight"] if groups == 1 else ["weight.group0", "weight.group1"]
    notes = check(read(layer.state_dict()), dict(zip(names, arrays, strict=True)))
    assert "stored inputs first (by its bias)" in notes[names[0]]


def test_an_ordinary_convolution_is_not_turned_by_its_name(read):
    layer = nn.Conv2d(3, 4, 2)
    state = {f"deconv.{name}": tensor for name, tensor in layer.state_dict().items()}
    check(read(state), {"deconv.weight": layer.weight.detach().numpy().reshape(4, 12)})


def test_a_transposed_matrix_acts_as_the_layer_does(read):
    layer = nn.ConvTranspose2d(3, 4, 2, stride=2, bias=False)
    found = matrices(read(layer.state_dict(), transposed=["weight"]))["weight"].matrix
    x = drawn(1, 3, 1, 1)
    blocks = found.reshape(4, 3, 4) * x.reshape(1, 3, 1)
    torch.testing.assert_close(blocks.sum(1).reshape(1, 4, 2, 2), layer(x).detach())


def test_grouped_convolutions(read):
    layer = nn.Conv2d(6, 8, (2, 3), groups=2)
    kernel = layer.weight.detach().numpy().reshape(8, 18)
    state = {f"a.{name}": tensor for name, tensor in layer.state_dict().items()}
    notes = check(
        read(state, groups=["a.*=2"]), {"a.weight.group0": kernel[:4], "a.weight.group1": kernel[4:]}
    )
    assert notes["a.weight.group1"] == "kernel 8 × 3 × 2 × 3; group 1 of 2 (as given)"
    notes = check(read(state), {"a.weight": kernel})
    assert notes["a.weight"] == "kernel 8 × 3 × 2 × 3; groups cannot be seen in a file (--groups)"


@pytest.mark.parametrize(
    ("layer", "options", "unknown"),
    [
        (nn.ConvTranspose2d(5, 5, 2), {}, "whether it is transposed, and its groups,"),
        (nn.Conv2d(5, 5, 2), {}, "whether it is transposed, and its groups,"),  # the very same file
        (nn.Conv2d(5, 6, 2, bias=False), {}, "whether it is transposed, and its groups,"),
        (nn.ConvTranspose2d(6, 6, 2, groups=2), {}, "whether it is transposed, and its groups,"),
        (nn.Conv2d(3, 6, 2), {"groups": ["up.*=1"]}, ""),  # transposed it would have 3 outputs
        (nn.Conv2d(6, 6, 2), {"groups": ["up.*=1"]}, "whether it is transposed"),
        (nn.Conv2d(6, 6, 2), {"groups": ["up.*=1"], "transposed": ["up.*"]}, ""),
        (nn.Conv2d(6, 6, 2), {"transposed": ["up.*"]}, "groups"),
        (nn.Conv2d(4, 6, 2), {}, "groups"),  # a bias of 6: 4 · groups outputs would not be 6
    ],
)
def test_a_note_says_what_a_file_does_not_tell_of_a_kernel(read, layer, options, unknown):
    state = {f"up.{name}": tensor for name, tensor in layer.state_dict().items()}
    note = matrices(read(state, **options))["up.weight"].note
    assert note.partition(" cannot be seen")[0].rpartition("; ")[2] == (unknown or note)
    assert ("(--transposed" in note) == ("transposed" in unknown)
    assert ("--groups)" in note) == ("groups" in unknown)


def test_wav2vec_positions_are_normed_and_grouped(read):
    """A layout of a project: weight norm over the third side, and groups that only its config tells."""
    g, v = drawn(1, 1, 5).abs(), drawn(6, 3, 5, seed=1)
    name = "encoder.pos_conv_embed.conv.weight"
    weight = (g * v / v.square().sum((0, 1), keepdim=True).sqrt()).numpy().reshape(6, 15)
    configs = {"config.json": {"model_type": "wav2vec2", "num_conv_pos_embedding_groups": 2}}
    file = read({f"{name}_g": g, f"{name}_v": v}, configs=configs)
    check(file, {f"{name}.group0": weight[:3], f"{name}.group1": weight[3:]})


def test_tied_tensors_are_shown_once_and_named_twice(read):
    table = drawn(7, 4)
    tensors = {
        "embed_tokens.weight": table,
        "lm_head.weight": table,
        "other.weight": torch.zeros(7, 4),
        "z.weight": torch.zeros(7, 4),
    }
    zeros = np.zeros((7, 4))
    found = matrices(read(tensors))
    assert [*found] == ["embed_tokens.weight", "other.weight", "z.weight"]  # zeros are no evidence
    assert found["embed_tokens.weight"].note == "tied: stored as 'lm_head.weight' as well"
    assert np.array_equal(found["z.weight"].matrix, zeros)


def products(query, key):
    """W_Qᵀ W_K of each head by numpy, with fewer key heads than query heads."""
    shares = len(query) // len(key)
    query, key = query.double().numpy(), key.double().numpy()
    return [query[head].T @ key[head // shares] for head in range(len(query))]


@pytest.mark.parametrize(
    ("name", "output", "arrange", "config"),
    [
        ("query_key_value", "dense", "groups", {"model_type": "falcon", "new_decoder_architecture": True}),
        ("query_key_value", "dense", "parts", {"model_type": "chatglm", "multi_query_attention": True}),
        ("qkv_proj", "o_proj", "parts", {"model_type": "phi3"}),
        ("wqkv", "wo", "groups", {"model_type": "internlm2"}),
        ("Wqkv", "out_proj", "parts", {"model_type": "dbrx"}),
    ],
)
def test_packed_attention_with_fewer_key_heads(read, name, output, arrange, config):
    query, key, value = stored_layouts.grouped_rows(6, 2, 3, 11)
    rows = getattr(stored_layouts, f"rows_in_{arrange}")(query, key, value)
    tensors = {f"a.{name}.weight": rows, f"a.{output}.weight": drawn(13, 18)}
    configs = {"config.json": {**config, "num_attention_heads": 6, "num_key_value_heads": 2}}
    found = matrices(read(tensors, configs=configs))
    assert "6 heads by config.json" in found[f"a.{name}.weight"].note
    assert "assumed" not in found[f"a.{name}.weight"].note
    assert found[f"a.{name}.weight"].shape == (30, 11)
    output_weight = drawn(13, 18).double().numpy()
    for head, expected in enumerate(products(query, key)):
        np.testing.assert_allclose(found[f"a.head{head}.query-key"].matrix, expected, atol=1e-12)
        ov = output_weight[:, 3 * head : 3 * head + 3] @ value[head // 3].double().numpy()
        np.testing.assert_allclose(found[f"a.head{head}.output-value"].matrix, ov, atol=1e-12)


def test_one_key_head_is_the_same_in_both_orders(read):
    query, key, value = stored_layouts.grouped_rows(4, 1, 3, 12)
    tensors = {
        "a.query_key_value.weight": stored_layouts.rows_in_groups(query, key, value),
        "a.dense.weight": drawn(12, 12),
    }
    found = matrices(read(tensors, heads=4))
    for head, expected in enumerate(products(query, key)):
        np.testing.assert_allclose(found[f"a.head{head}.query-key"].matrix, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "output"), [("query_key_value", "dense"), ("wqkv", "wo")])
def test_packed_attention_in_an_order_that_nobody_tells_is_kept_whole(read, name, output):
    rows = stored_layouts.rows_in_groups(*stored_layouts.grouped_rows(6, 2, 3, 11))
    tensors = {f"a.{name}.weight": rows, f"a.{output}.weight": drawn(13, 18)}
    found = matrices(read(tensors, heads=6))
    assert sorted(found) == sorted(tensors)
    assert "the order of its rows is not told" in found[f"a.{name}.weight"].note


def test_metas_names_of_attention(read):
    query, key, value = stored_layouts.grouped_rows(4, 2, 3, 11)
    tensors = {
        f"layers.0.attention.w{leaf}.weight": part.flatten(0, 1)
        for leaf, part in zip("qkv", (query, key, value), strict=True)
    }
    found = matrices(read({**tensors, "layers.0.attention.wo.weight": drawn(11, 12)}, heads=4))
    for head, expected in enumerate(products(query, key)):
        np.testing.assert_allclose(
            found[f"layers.0.attention.head{head}.query-key"].matrix, expected, atol=1e-12
        )


def test_heads_of_the_command_line_win(read):
    tensors = {f"a.{leaf}_proj.weight": drawn(8, 6, seed=n) for n, leaf in enumerate("qkv")}
    configs = {"config.json": {"num_attention_heads": 4}}
    assert sum(name.endswith("query-key") for name in matrices(read(tensors, configs=configs))) == 4
    assert sum(name.endswith("query-key") for name in matrices(read(tensors, configs=configs, heads=2))) == 2


def test_heads_of_a_config_that_do_not_fit_are_told(read):
    tensors = {f"a.{leaf}_proj.weight": drawn(8, 6, seed=n) for n, leaf in enumerate("qkv")}
    found = matrices(read(tensors, configs={"config.json": {"n_head": 3}}))
    assert [*found] == sorted(tensors)
    assert "heads of config.json: 3 does not fit a.q_proj.weight" in found["a.q_proj.weight"].note


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: is not JSON (JSONDecodeError)"),
        ("[" * 100_000, "config.json: is not JSON (RecursionError)"),
        ("[1]", "config.json: expected a JSON object, got a list"),
        (" " * (2**20 + 1), "config.json: has more than 1048576 bytes"),
        (
            {"num_attention_heads": "many"},
            "config.json: expected num_attention_heads to be a whole number from 1 to",
        ),
        ({"num_attention_heads": True}, "got 'true'"),
        ({"num_attention_heads": 0}, "got '0'"),
        ({"text_config": 3}, "config.json: expected text_config to be an object, got '3'"),
        ({"model_type": ["x"]}, "config.json: expected model_type to be a text"),
    ],
)
def test_a_config_that_is_wrong_is_one_sentence(read, content, message):
    tensors = {f"a.{leaf}_proj.weight": drawn(8, 6) for leaf in "qkv"} | {
        "b.query_key_value.weight": drawn(6, 2)
    }
    with pytest.raises(SpaceprobeError, match=re.escape(message)) as error:
        read(tensors, configs={"config.json": content})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_the_sections_of_a_config_are_for_their_own_parts(read):
    names = ["language_model.self_attn", "vision_tower.self_attn"]
    tensors = {
        f"{name}.{leaf}_proj.weight": drawn(12, 6, seed=n) for name in names for n, leaf in enumerate("qkv")
    }
    configs = {"config.json": {"text_config": {"num_attention_heads": 3}, "vision_config": {"num_heads": 2}}}
    found = [name for name in matrices(read(tensors, configs=configs)) if name.endswith("query-key")]
    assert sum("language" in name for name in found) == 3
    assert sum("vision" in name for name in found) == 2


def test_three_heads_for_each_layer_are_not_one_number(read):
    tensors = {f"a.{leaf}_proj.weight": drawn(8, 6, seed=n) for n, leaf in enumerate("qkv")}
    found = matrices(read(tensors, configs={"config.json": {"num_heads": [2, 4]}}))
    assert "give heads" in found["a.q_proj.weight"].note


def call(*arguments):
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


def test_the_command_takes_transposed_and_groups(tmp_path):
    path = tmp_path / "net.safetensors"
    tensors = {"up.weight": drawn(3, 4, 2, 5), "wide.weight": drawn(6, 2, 3, 3, seed=1)}
    safetensors.torch.save_file(tensors, path)
    results = ("--results", tmp_path / "results", "--no-report")
    outcome = call("lmd", "--weights", path, "--transposed", "up.*", "--groups", "wide.*=3", *results)
    assert outcome.exit_code == 0, outcome.output
    (folder,) = (tmp_path / "results").iterdir()
    layers = pd.read_csv(folder / "lmd_layers.csv").set_index("name")
    assert layers[["num_outputs", "num_inputs"]].to_numpy().tolist() == [[4, 30], [2, 18], [2, 18], [2, 18]]
    values = pd.read_csv(folder / "lmd_spectrum.csv").query("name == 'wide.weight.group1'")["value"]
    expected = np.linalg.svd(tensors["wide.weight"][2:4].double().reshape(2, 18), compute_uv=False)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    facts = json.loads((folder / "provenance.json").read_text())["weights"]
    assert (facts["transposed"], facts["groups"]) == (["up.*"], ["wide.*=3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--groups", "wide"), "groups: expected PATTERN=G with G a whole number from 1, got 'wide'"),
        (("--groups", "*=0"), "expected PATTERN=G"),
        (("--groups", "*=4"), "groups: 4 does not divide wide.weight, whose first side is 6"),
        (("--groups", "no*=3"), "groups: none of 1 kernels of convolutions fits 'no*'"),
        (("--transposed", "no*"), "transposed: none of 1 kernels of convolutions fits 'no*'"),
        (("--heads", "3"), "heads: 3 is given, but no name of 1 tensors tells of attention"),
    ],
)
def test_patterns_that_do_not_fit_are_one_sentence(tmp_path, arguments, message):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"wide.weight": drawn(6, 2, 3, 3)}, path)
    outcome = call("lmd", "--weights", path, *arguments, "--results", tmp_path / "results")
    assert outcome.exit_code == 2
    assert f"{path}: " in outcome.stderr
    assert message in outcome.stderr
    assert not (tmp_path / "results").exists()


def test_other_heads_in_a_config_are_computed_again(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(
        {f"{leaf}_proj.weight": drawn(4, 6, seed=n) for n, leaf in enumerate("qkv")}, path
    )
    norms = []
    for heads in (1, 2):
        (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": heads}))
        outcome = call("lmd", "--weights", path, "--results", tmp_path / "results", "--no-report")
        assert outcome.exit_code == 0
        (folder,) = (tmp_path / "results").iterdir()
        layers = pd.read_csv(folder / "lmd_layers.csv").set_index("name")
        norms.append(layers.loc["head0.query-key", "frobenius_norm"])
    query, key = drawn(4, 6).double().numpy(), drawn(4, 6, seed=1).double().numpy()
    expected = [np.linalg.norm(query[:rows].T @ key[:rows]) for rows in (4, 2)]
    np.testing.assert_allclose(norms, expected, rtol=1e-12)


def test_the_recipe_of_a_layout(read, monkeypatch):
    namespace = {}
    exec(recipes()["A layout of weights"], namespace)
    monkeypatch.setattr("spaceprobe.weights.in_use.LAYOUTS", (*LAYOUTS, namespace["LAYOUT"]))
    file = read({"a": drawn(3, 4), "a_gain": torch.tensor([1.0, 2.0, 3.0])})
    notes = check(file, {"a": drawn(3, 4).numpy() * [[1], [2], [3]]})
    assert notes["a"] == "× gain"
    assert file.skipped == "joined: gains (1: 'a_gain')"


def test_weights_that_unfold_to_too_much_are_refused(read, monkeypatch):
    monkeypatch.setattr("spaceprobe.weights.layouts.layout.MAX_BYTES", 4 * 32 * 48 - 1)
    tensors, _, _ = stored_layouts.gptq(4, 32, 48, 8, 8)
    with pytest.raises(SpaceprobeError, match="a matrix of 32 × 48 unfolds to more than 6143 bytes"):
        read(tensors)
    monkeypatch.undo()
    monkeypatch.setattr("spaceprobe.weights.in_use.MAX_BYTES", 100)
    with pytest.raises(SpaceprobeError, match="its weights unfold by more than 100 bytes"):
        read(tensors)


def test_two_matrices_of_one_name_are_refused(read):
    tensors = {"experts.w": drawn(2, 3, 4), "experts.w.expert0": drawn(3, 4)}
    with pytest.raises(SpaceprobeError, match=r"two matrices would be called 'experts\.w\.expert0'"):
        read(tensors)
