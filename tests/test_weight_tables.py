"""`spaceprobe lmd --weights`: any network's matrices, decomposed without a study."""

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from spaceprobe.cli import main


def call(*arguments):
    """Runs a command in this process; an unexpected exception fails the test with its traceback."""
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


@pytest.fixture
def weights():
    torch.manual_seed(0)
    modules = {"conv": nn.Conv2d(2, 7, 3), "attention": nn.MultiheadAttention(12, 3), "out": nn.Linear(12, 5)}
    return nn.ModuleDict(modules).state_dict()


@pytest.fixture
def decompose(tmp_path):
    """Writes weights, decomposes them, and returns what came out and the tables."""

    def decompose(weights, *arguments, name="net.safetensors"):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(weights, path)
        else:
            torch.save(weights, path)
        outcome = call("lmd", "--weights", path, "--results", tmp_path / "results", *arguments)
        folders = list((tmp_path / "results").glob("*"))
        assert len(folders) == 1, outcome.output
        return outcome, folders[0], {path.stem: pd.read_csv(path) for path in folders[0].glob("*.csv")}

    return decompose


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_every_matrix_is_decomposed(decompose, weights, name):
    outcome, folder, tables = decompose(weights, name=name)
    assert outcome.exit_code == 0
    assert folder.name.startswith("weights-net-")
    layers = tables["lmd_layers"].set_index("name")
    assert layers[["num_outputs", "num_inputs"]].to_dict("index") == {
        "attention.in_proj_weight": {"num_outputs": 36, "num_inputs": 12},
        "attention.out_proj.weight": {"num_outputs": 12, "num_inputs": 12},
        "conv.weight": {"num_outputs": 7, "num_inputs": 18},
        "out.weight": {"num_outputs": 5, "num_inputs": 12},
    }
    assert (layers["reconstruction_error"] < 5e-14).all()
    spectrum = tables["lmd_spectrum"].query("name == 'conv.weight'")
    kernel = weights["conv.weight"].double().reshape(7, 18)
    np.testing.assert_allclose(spectrum["value"], np.linalg.svd(kernel, compute_uv=False), atol=1e-13)
    arrays = np.load(folder / "factors" / f"{layers.loc['conv.weight', 'layer']:04d}.npz")
    product = (arrays["matrix-U"] * arrays["matrix-identity-S_prime"]) @ arrays["matrix-Vh"]
    error = np.linalg.norm(kernel.numpy() - product)
    assert error == pytest.approx(layers.loc["conv.weight", "truncation_error"], abs=1e-12)
    ranks = tables["lmd_ranks"]
    assert set(ranks.loc[ranks["default"], "rule"]) == {"participation"}  # there are no data
    assert "skipped: 4 vectors" in outcome.stdout
    assert "give heads" in outcome.stdout
    assert not tables["lmd_tails"]["valid"].any()  # a few values make no tail


def test_heads_add_their_products(decompose, weights):
    outcome, _, tables = decompose(weights, "--heads", 3)
    assert outcome.exit_code == 0
    layers = tables["lmd_layers"].set_index("name")
    query, key, _ = weights["attention.in_proj_weight"].double().split(12)
    expected = query[4:8].T @ key[4:8]
    row = layers.loc["attention.head1.query-key"]
    assert row["kind"] == "query-key"
    assert row["spectral_norm"] == pytest.approx(float(torch.linalg.svdvals(expected)[0]), rel=1e-12)
    numerical = tables["lmd_ranks"].query("rule == 'numerical' and kind == 'query-key'")
    assert (numerical["rank"] == 4).all()  # the head's dimension


@pytest.mark.parametrize(("heads", "message"), [(5, "heads: .*5"), (0, "0 is not in the range x>=1")])
def test_heads_that_do_not_fit(tmp_path, weights, heads, message):
    safetensors.torch.save_file(weights, tmp_path / "net.safetensors")
    outcome = call("lmd", "--weights", tmp_path / "net.safetensors", "--heads", heads, "--results", tmp_path)
    assert outcome.exit_code in (1, 2)
    assert pd.Series([outcome.stderr]).str.contains(message).all()
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_second_call_computes_nothing_and_gives_the_same_bytes(decompose, weights):
    _, folder, _ = decompose(weights)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*")}
    first, _, _ = decompose(weights)
    assert first.exit_code == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before


def test_leading_values_come_with_their_error(decompose):
    generator = torch.Generator().manual_seed(1)
    Q, _ = torch.linalg.qr(torch.randn(300, 300, dtype=torch.float64, generator=generator))
    values = torch.arange(1, 301).double() ** -1.0
    weight = {"wide": ((Q * values) @ Q[:200].T).float()}
    outcome, _, tables = decompose(weight, "--leading", 10)
    assert outcome.exit_code == 0
    exact = np.linalg.svd(weight["wide"].double(), compute_uv=False)
    spectrum = tables["lmd_spectrum"]
    assert len(spectrum) == 10
    assert (np.abs(spectrum["value"] - exact[:10]) <= spectrum["error"] + 1e-14).all()
    np.testing.assert_allclose(spectrum["energy"], exact[:10] ** 2 / (exact**2).sum(), rtol=1e-3)
    layers = tables["lmd_layers"]
    assert layers["rule"].item() == "leading"
    assert layers["frobenius_norm"].item() == pytest.approx(np.linalg.norm(exact), rel=1e-12)
    assert not tables["lmd_ranks"]["valid"].any()
    assert tables["lmd_ranks"]["reason"].str.contains("only the 10 leading of 200").all()


def test_odd_matrices_have_documented_values(decompose):
    weights = {
        "broken": torch.full((4, 3), float("nan")),
        "good": torch.eye(5, 6),
        "infinite": torch.tensor([[1.0, float("inf")]]),
        "row": torch.ones(1, 9),
        "zero": torch.zeros(4, 7),
    }
    outcome, _, tables = decompose(weights)
    assert outcome.exit_code == 1
    assert "broken: weight: 12 of 12 entries are NaN or infinite" in outcome.stderr
    assert "infinite: weight: 1 of 2 entries" in outcome.stderr
    layers = tables["lmd_layers"].set_index("name")
    assert layers["valid"].to_dict() == {
        "broken": False, "good": True, "infinite": False, "row": True, "zero": True,
    }  # fmt: skip
    assert layers.loc["row", ["rank", "spectral_norm", "stable_rank"]].tolist() == [1, 3, 1]
    assert layers.loc["zero", ["rank", "spectral_norm", "stable_rank"]].tolist() == [0, 0, 0]
    assert layers.loc["zero", "num_ignored_inputs"] == 7
    # the same again: a failure is a result, not a reason to compute it anew
    again, _, _ = decompose(weights)
    assert again.exit_code == 1
    assert again.stderr == outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quickstart", "--weights", "net.pt"], "CONFIG belongs to a study"),
        (["--weights", "net.pt", "--epoch", "0"], "--epoch belongs to a study"),
        (["--weights", "net.pt", "--metric", "data"], "--metric belongs to a study"),
        (["--leading", "3"], "--leading goes with --weights FILE"),
    ],
)
def test_flags_that_do_not_go_together(arguments, message):
    outcome = call("lmd", *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\x80\x02cposix\nsystem\n(X\x04\0\0\0truetR.", "spaceprobe runs none")],
)
def test_files_that_are_not_read(tmp_path, content, message):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    outcome = call("lmd", "--weights", path, "--results", tmp_path / "results")
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert not (tmp_path / "results").exists()


def test_file_without_matrices(tmp_path):
    path = tmp_path / "biases.safetensors"
    safetensors.torch.save_file({"bias": torch.ones(3)}, path)
    outcome = call("lmd", "--weights", path, "--results", tmp_path / "results")
    assert outcome.exit_code == 1
    assert "holds no matrix (skipped: 1 vector)" in outcome.stderr
