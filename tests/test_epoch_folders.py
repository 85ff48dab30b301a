"""Folders of the steps of a training: which folders are taken for them, and their decomposition."""

import html
import re

import pandas as pd
import pytest
import safetensors.torch
import torch

from spaceprobe.weights.files import WeightFileError
from spaceprobe.weights.steps import is_folder_of_steps, weight_steps
from tests.commands import call

BOTH_WAYS = "with an index.json, .* is one model; one without holds the steps"


def put(folder, *names, tensors=None):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(tensors or {"w": torch.eye(2)}, path)
        else:
            path.write_bytes(b"not read here")


def run_command(*arguments, code=0):
    result = call(*arguments)
    assert result.exit_code == code, result.output
    return result.output


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


@pytest.fixture(scope="module")
def decomposed(tmp_path_factory):
    """A folder of two steps, decomposed by the command: w is 3 and then 5 times a matrix of rank 1."""
    place = tmp_path_factory.mktemp("steps")
    for step, size in ((200, 5.0), (90, 3.0)):
        tensors = {
            "w": size * torch.outer(torch.tensor([1.0, 0, 0]), torch.tensor([0.6, 0.8])),
            "b": torch.eye(4),
        }
        put(place / "checkpoints", f"checkpoint-{step}.safetensors", tensors=tensors)
    output = run_command("lmd", "--weights", place / "checkpoints", "--results", place / "results")
    (folder,) = (place / "results").iterdir()
    return folder, output


def test_tables_have_a_step(decomposed):
    folder, output = decomposed
    layers = pd.read_csv(folder / "lmd_layers.csv")
    assert [*layers.columns[:4]] == ["run", "step", "layer", "name"]
    assert [*zip(layers["step"], layers["name"], strict=True)] == [
        (90, "b"),
        (90, "w"),
        (200, "b"),
        (200, "w"),
    ]
    assert layers["spectral_norm"].tolist() == pytest.approx([1, 3, 1, 5], rel=1e-6)
    assert [path.parent.name for path in sorted(folder.rglob("*.npz"))] == ["step200"] * 2 + ["step90"] * 2
    assert "2 steps of 2 matrices" in " ".join(output.split())
    # medians of (1, 3) and of (1, 5)
    assert re.search(r"^ *90 +2 .* 2 ", output, re.MULTILINE)
    assert re.search(r"^ *200 +2 .* 3 ", output, re.MULTILINE)


def test_the_page_is_of_the_last_step_and_has_a_figure_over_steps(decomposed):
    folder, _ = decomposed
    page = (folder / "report.html").read_text()
    assert "each step of a folder of weights" in page
    assert (folder / "figures" / "steps.svg").is_file()
    assert '"step": 200' in html.unescape(page)
    assert '"step": 90' in html.unescape(page)  # the median at the first step, in the caption


def test_a_second_call_computes_nothing(decomposed):
    folder, _ = decomposed
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    run_command("lmd", "--weights", folder.parents[1] / "checkpoints", "--results", folder.parent)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")} == before


def test_compare_and_plot_take_the_folder(decomposed, tmp_path):
    folder, _ = decomposed
    output = run_command("compare", folder, folder, "--out", tmp_path / "compared")
    assert "step 200, the last" in output
    assert "agree" in run_command("compare", folder, folder, "--same")
    assert "steps" in run_command("plot", folder)
    run_command("plot", folder, "steps", "--out", tmp_path / "steps.pdf")
    assert (tmp_path / "steps.pdf").stat().st_size > 1000


def test_steps_of_different_models_are_refused(tmp_path):
    put(tmp_path / "s", "c-1.safetensors", tensors={"w": torch.eye(3)})
    put(tmp_path / "s", "c-2.safetensors", tensors={"v": torch.eye(3)})
    error = run_command("lmd", "--weights", tmp_path / "s", "--results", tmp_path / "r", code=1)
    assert "the steps 1 and 2 hold different matrices, such as v" in error
