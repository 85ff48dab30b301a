"""State dicts of each way to store weights: by torch's functions, else by the names that projects publish.

Each returns the tensors of a small file; sides differ, so that none can stand for another.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def old_weight_norm(dim=0):
    """weight_g and weight_v, in which torch stored it until 2.0; the functions are deprecated."""
    torch.manual_seed(1)
    layer = nn.Conv1d(3, 4, 5)
    v = layer.weight.detach() * 3
    dims = [other for other in range(3) if other != dim]
    g = torch.linalg.vector_norm(v, dim=dims, keepdim=True) * drawn(*v.shape[dim : dim + 1]).abs().reshape(
        [-1 if other == dim else 1 for other in range(3)]
    )
    return {"conv.weight_g": g, "conv.weight_v": v, "conv.bias": layer.bias.detach()}


def new_weight_norm():
    torch.manual_seed(2)
    model = nn.ModuleDict({"conv": parametrizations.weight_norm(nn.Conv1d(3, 4, 5))})
    with torch.no_grad():
        model["conv"].parametrizations.weight.original0.mul_(
            torch.tensor([1.0, 2.0, 3.0, 0.5])[:, None, None]
        )
    return model


def pruned():
    torch.manual_seed(3)
    model = nn.ModuleDict({"out": nn.Linear(7, 5), "conv": nn.Conv2d(2, 3, 4)})
    prune.l1_unstructured(model["out"], "weight", amount=0.5)
    prune.random_structured(model["conv"], "weight", amount=1, dim=0)
    return model


def spectral(kind):
    """Both spellings, of a linear layer and a transposed convolution, in evaluation."""
    torch.manual_seed(4)
    make = parametrizations.spectral_norm if kind == "new" else nn.utils.spectral_norm
    model = nn.ModuleDict({"out": make(nn.Linear(7, 5)), "up": make(nn.ConvTranspose2d(3, 4, 2))})
    model["out"](torch.ones(1, 7)), model["up"](torch.ones(1, 3, 5, 5))
    return model.eval()


def fp8_blocks(rows, columns, name="model.layers.0.mlp.down_proj.weight"):
    """DeepSeek-V3: numbers of e4m3 and a float32 for each block of 128 × 128."""
    sides = -(-rows // 128), -(-columns // 128)
    return {
        name: (drawn(rows, columns) * 40).to(torch.float8_e4m3fn),
        f"{name}_scale_inv": drawn(*sides, seed=1).abs() / 40,
    }


def gptq(bits, inputs, outputs, group, zero):
    """qweight, qzeros, scales and g_idx as AutoGPTQ packs them, and the integers that are in them."""
    generator = np.random.default_rng(bits)
    integers = generator.integers(0, 2**bits, (inputs, outputs))
    scales = generator.random((inputs // group, outputs)).astype(np.float16) / 8
    zeros = np.full((inputs // group, outputs), zero)
    tensors = {
        "q.qweight": packed(integers.T, bits).T,
        "q.qzeros": packed(zeros, bits),
        "q.scales": scales,
        "q.g_idx": (np.arange(inputs) // group).astype(np.int32),
    }
    return (
        {name: torch.tensor(np.ascontiguousarray(array)) for name, array in tensors.items()},
        integers,
        scales,
    )


def packed(integers, bits):
    """Integers along the rows in words of 32 bits, the first in the lowest."""
    words = np.zeros((len(integers), integers.shape[1] * bits // 32), np.uint32)
    for column in range(integers.shape[1]):
        word, place = divmod(column * bits, 32)
        words[:, word] |= integers[:, column].astype(np.uint32) << np.uint32(place)
    return words.view(np.int32)


def awq(inputs, outputs, group):
    """AutoAWQ: eight outputs a word, in the order 0, 2, 4, 6, 1, 3, 5, 7."""
    generator = np.random.default_rng(5)
    integers, zeros = (generator.integers(0, 16, (rows, outputs)) for rows in (inputs, inputs // group))
    scales = generator.random((inputs // group, outputs)).astype(np.float16) / 8
    order = np.concatenate([np.array([0, 2, 4, 6, 1, 3, 5, 7]) + 8 * word for word in range(outputs // 8)])
    tensors = {
        "q.qweight": packed(integers[:, order], 4),
        "q.qzeros": packed(zeros[:, order], 4),
        "q.scales": scales,
    }
    return {name: torch.tensor(array) for name, array in tensors.items()}, integers, zeros, scales


def lora(adapter="", base=True):
    """Peft: of a linear layer, rank 2."""
    middle = f".{adapter}" if adapter else ""
    tensors = {
        f"q_proj.lora_A{middle}.weight": drawn(2, 7, seed=1),
        f"q_proj.lora_B{middle}.weight": drawn(5, 2, seed=2),
    }
    return {"q_proj.base_layer.weight": drawn(5, 7), **tensors} if base else tensors


def grouped_rows(heads, key_heads, dimension, inputs):
    """Query, key and value rows, separately: of each head."""
    query = drawn(heads, dimension, inputs, seed=1)
    key, value = (drawn(key_heads, dimension, inputs, seed=seed) for seed in (2, 3))
    return query, key, value


def rows_in_parts(query, key, value):
    """All queries, all keys, all values: Phi-3, ChatGLM2."""
    return torch.cat([part.flatten(0, 1) for part in (query, key, value)])


def rows_in_groups(query, key, value):
    """Each key head with its queries before it and its value after it: Falcon, InternLM2, GPT-NeoX."""
    shares = len(query) // len(key)
    rows = []
    for head in range(len(key)):
        rows += [*query[head * shares : (head + 1) * shares], key[head], value[head]]
    return torch.cat(rows)
