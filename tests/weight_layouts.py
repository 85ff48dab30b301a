"""Small files of weights in the layouts of public projects, each with the matrices that are in it."""

import argparse
import json
from collections import OrderedDict

import numpy as np
import safetensors.torch
import torch
from torch import nn

VALUES = {
    "embed.weight": (5, 4),
    "layers.0.self_attn.k_proj.weight": (4, 4),
    "layers.0.self_attn.o_proj.weight": (4, 4),
    "layers.0.self_attn.q_proj.weight": (4, 4),
    "layers.0.self_attn.v_proj.weight": (4, 4),
    "layers.1.mlp.weight": (7, 4),
    "norm.weight": (4,),
}
MATRICES = [name for name, shape in VALUES.items() if len(shape) == 2]


def arrays(seed=0):
    """A state dict as numpy has it."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in VALUES.items()}


def state(seed=0):
    """The same as torch has it."""
    return OrderedDict((name, torch.from_numpy(value)) for name, value in arrays(seed).items())


def values_of(array):
    """The singular values by numpy alone."""
    return np.linalg.svd(array.astype(np.float64), compute_uv=False)


def head_values(weights, head, size):
    """The singular values of the products of a head of layers.0 by numpy alone: query-key, output-value."""
    query, key, value, output = (
        weights[f"layers.0.self_attn.{letter}_proj.weight"].astype(np.float64) for letter in "qkvo"
    )
    rows = slice(head * size, (head + 1) * size)
    products = query[rows].T @ key[rows], output[:, rows] @ value[rows]
    return [np.linalg.svd(product, compute_uv=False)[:size] for product in products]


def optimizer_state():
    """What torch's Adam keeps: matrices, under numbers."""
    network = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


LOSS = torch.tensor(2.5)
QUEUE = torch.arange(12.0).reshape(3, 4)

ONE = {
    # content, the key that is read (None for all of the file), and what is named as ignored
    "plain": (lambda: state(), None, []),
    "params": (lambda: {"params": state(), "epoch": 3}, "params", ["epoch"]),
    "net": (lambda: {"epoch": 3, "net": dict(state())}, "net", ["epoch"]),
    "nested": (lambda: {"model": {"state_dict": state()}, "step": 3}, "model.state_dict", ["step"]),
    "any key": (lambda: {"student": state(), "seed": 1}, "student", ["seed"]),
    # karpathy/nanoGPT: a tensor beside the state dict
    "nanoGPT": (
        lambda: {
            "model": state(),
            "optimizer": optimizer_state(),
            "model_args": {"n_layer": 2},
            "iter_num": 100,
            "best_val_loss": LOSS,
        },
        "model",
        ["optimizer", "model_args", "iter_num", "best_val_loss"],
    ),
    # facebookresearch/moco as it is pickled by some forks: the queue beside the state dict
    "MoCo": (lambda: {"state_dict": state(), "queue": QUEUE}, "state_dict", ["queue"]),
    # open-mmlab/mmengine
    "mmengine": (
        lambda: {
            "meta": {"epoch": 12, "dataset_meta": {"CLASSES": ("cat", "dog")}},
            "state_dict": state(),
            "message_hub": {"log": [1.0, 2.0]},
            "optimizer": optimizer_state(),
        },
        "state_dict",
        ["meta", "message_hub", "optimizer"],
    ),
    # deepspeedai/DeepSpeed, mp_rank_00_model_states.pt
    "DeepSpeed": (
        lambda: {"module": state(), "buffer_names": ["b"], "optimizer": None, "dp_world_size": 1},
        "module",
        ["buffer_names", "optimizer", "dp_world_size"],
    ),
    # Lightning-AI/pytorch-lightning
    "Lightning": (
        lambda: {
            "epoch": 1,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": state(),
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": LOSS}},
            "optimizer_states": [optimizer_state()],
            "hyper_parameters": {"lr": 0.1},
        },
        "state_dict",
        ["epoch", "pytorch-lightning_version", "loops", "callbacks", "optimizer_states", "hyper_parameters"],
    ),
}
"""Layouts of one state dict."""

SEVERAL = {
    # content, the state dicts in it, and the one that is taken (None for none)
    # NVlabs/stylegan2-ada-pytorch in rosinality's spelling
    "StyleGAN2": (
        lambda: {"g": state(1), "d": state(2), "g_ema": state(0), "args": 1},
        ["g", "d", "g_ema"],
        None,
    ),
    # XPixelGroup/BasicSR
    "BasicSR": (lambda: {"params": state(1), "params_ema": state(0)}, ["params", "params_ema"], None),
    # facebookresearch/deit
    "DeiT": (lambda: {"model": state(0), "model_ema": state(1)}, ["model", "model_ema"], "model"),
    "both": (lambda: {"model": state(0), "state_dict": state(1)}, ["model", "state_dict"], None),
}
"""Layouts of several."""


class Hyperparameters(argparse.Namespace):
    """What projects pickle beside their weights: an object of a class of their own."""


def save_shards(folder, suffix, groups):
    """Write a model in shards with the index.json that Hugging Face writes, and return its folder.

    Args:
        folder: where; it is made.
        suffix: ``.safetensors`` or ``.bin``.
        groups: the names in each shard.
    """
    folder.mkdir()
    weights = state()
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    homes = {}
    for number, names in enumerate(groups, start=1):
        name = f"{stem}-{number:05d}-of-{len(groups):05d}{suffix}"
        tensors = {tensor: weights[tensor] for tensor in names}
        if suffix == ".safetensors":
            safetensors.torch.save_file(tensors, folder / name)
        else:
            torch.save(tensors, folder / name)
        homes |= dict.fromkeys(names, name)
    index = {"metadata": {"total_size": 1}, "weight_map": homes}
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))
    return folder


SPLIT = [
    ["embed.weight", "layers.0.self_attn.q_proj.weight", "layers.0.self_attn.o_proj.weight"],
    ["layers.0.self_attn.k_proj.weight", "layers.0.self_attn.v_proj.weight"],
    ["layers.1.mlp.weight", "norm.weight"],
]
"""Query and output of a block in one shard, key and value in the next."""
