"""Folders of the steps of a training: which folders are taken for them, and their decomposition."""

import pytest
import safetensors.torch
import torch

from spaceprobe.weights.files import WeightFileError
from spaceprobe.weights.steps import is_folder_of_steps, weight_steps

BOTH_WAYS = "with an index.json, .* is one model; one without holds the steps"


def put(folder, *names, tensors=None):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(tensors or {"w": torch.eye(2)}, path)
        else:
            path.write_bytes(b"not read here")


def refused(folder, why):
    with pytest.raises(WeightFileError, match=BOTH_WAYS) as error:
        weight_steps(folder)
    assert why in str(error.value)


def test_files_are_steps_in_order_of_their_number(tmp_path):
    put(tmp_path, *(f"checkpoint-{step}.safetensors" for step in (1000, 200, 90)), "config.json", ".x.pt")
    assert is_folder_of_steps(tmp_path)
    assert weight_steps(tmp_path) == [
        (step, tmp_path / f"checkpoint-{step}.safetensors") for step in (90, 200, 1000)
    ]


def test_subfolders_are_steps(tmp_path):
    put(
        tmp_path,
        "step_100/model.safetensors",
        "step_100/optimizer.bin",  # beside a main file
        "step_020/model.safetensors",
        "step_300/model.safetensors.index.json",  # a model in several files
        "logs/events.txt",
    )
    assert weight_steps(tmp_path) == [
        (20, tmp_path / "step_020/model.safetensors"),
        (100, tmp_path / "step_100/model.safetensors"),
        (300, tmp_path / "step_300"),
    ]


def test_the_number_behind_the_word_step_counts(tmp_path):
    put(tmp_path, "epoch=1-step=400.ckpt", "epoch=0-step=200.ckpt")
    assert [step for step, _ in weight_steps(tmp_path)] == [200, 400]


def test_a_folder_with_an_index_is_one_model(tmp_path):
    put(tmp_path, "model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json")
    assert not is_folder_of_steps(tmp_path)
    assert not is_folder_of_steps(tmp_path / "model-1.safetensors")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (
            ["a.safetensors", "b.safetensors"],
            "'a.safetensors' and 'b.safetensors' differ in more than a number",
        ),
        (["c-1.safetensors", "c-2.pt"], "'c-1.safetensors' and 'c-2.pt' differ in more than a number"),
        (["a1b1.pt", "a2b2.pt"], "'a1b1.pt' and 'a2b2.pt' differ in more than one number"),
        (["s-1.pt", "s-01.pt"], "'s-01.pt' and 's-1.pt' are the same step"),
        (["s-1.pt"], "holds one of them only ('s-1.pt')"),
        (["readme.txt"], "holds no weights"),
        (["s-1.pt", "s-2/model.pt"], "files of weights ('s-1.pt') and subfolders of them ('s-2')"),
        (["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"], "shards of one model"),
    ],
)
def test_other_folders_are_refused(tmp_path, names, why):
    put(tmp_path, *names)
    refused(tmp_path, why)


def test_a_step_of_several_files_is_refused(tmp_path):
    put(tmp_path, "s1/a.pt", "s1/b.pt", "s2/a.pt")
    with pytest.raises(WeightFileError, match="s1: is one step of several and holds 2 files of weights"):
        weight_steps(tmp_path)
