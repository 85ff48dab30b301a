"""`spaceprobe lmd --weights`: any network's matrices, decomposed without a study."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from spaceprobe.cli import main
from spaceprobe.lmd.ranks import rank_table
from spaceprobe.stages.lmd import thin_product, weight_file
from spaceprobe.stages.lmd.latent_metrics import IDENTITY
from spaceprobe.stages.lmd.leading_values import decompose_leading, is_iterated, leading_ranks, max_iterated
from spaceprobe.stages.lmd.matrix import Background, decompose_matrix
from spaceprobe.stages.lmd.thin_product import decompose_product
from spaceprobe.weights.matrices import NamedMatrix

# Values of matrices with some hundred rows by two ways in float64, relative to the largest.
TOLERANCE = 1e-12


def call(*arguments):
    """Run a command in this process; an unexpected exception fails the test with its traceback.

    The page of a file of weights is left out: it takes longer than these small matrices.
    """
    words = [str(word) for word in arguments]
    words += ["--no-report"] * ("--weights" in words)
    return CliRunner().invoke(main, words, catch_exceptions=False)


def arrays_of(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture
def weights():
    torch.manual_seed(0)
    modules = {"conv": nn.Conv2d(2, 7, 3), "attention": nn.MultiheadAttention(12, 3), "out": nn.Linear(12, 5)}
    return nn.ModuleDict(modules).state_dict()


@pytest.fixture
def decompose(tmp_path):
    """Write weights, decomposes them, and return what came out and the tables."""

    def decompose(weights, *arguments, name="net.safetensors"):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(weights, path)
        else:
            torch.save(weights, path)
        outcome = call("lmd", "--weights", path, "--results", tmp_path / "results", *arguments)
        (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("tables ")]
        folder = Path(line.removeprefix("tables").strip()).parent
        assert folder.parent == tmp_path / "results"
        return outcome, folder, {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}

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
    arrays = arrays_of(folder / "factors" / f"{layers.loc['conv.weight', 'layer']:04d}.npz")
    product = (arrays["matrix-U"] * arrays["matrix-identity-S_prime"]) @ arrays["matrix-Vh"]
    error = np.linalg.norm(kernel.numpy() - product)
    assert error == pytest.approx(layers.loc["conv.weight", "truncation_error"], abs=1e-12)
    ranks = tables["lmd_ranks"]
    assert set(ranks.loc[ranks["default"], "rule"]) == {"participation"}  # there are no data
    assert "skipped: 4 vectors" in outcome.stdout
    assert "give heads" in outcome.stdout
    said = " ".join(outcome.stdout.split())
    assert "; rank: by participation, the default rule without data (others in lmd_ranks.csv)" in said
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
    assert outcome.exit_code == 2
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
    tails = tables["lmd_tails"]
    assert tails["log_norm"].item() == pytest.approx(2 * np.log10(np.linalg.norm(exact)), rel=1e-12)
    assert tails["log_spectral_norm"].item() == pytest.approx(2 * np.log10(exact[0]), abs=1e-12)
    assert tails["stable_rank"].item() == pytest.approx((exact**2).sum() / exact[0] ** 2, rel=1e-12)


def test_ranks_and_tails_are_kept_where_leading_values_cost_all_of_them():
    weight = drawn(300, 200)
    leading, whole = (
        frames(decomposition)
        for decomposition in (
            decompose_leading(weight, 10),
            decompose_matrix(weight, [IDENTITY], Background()),
        )
    )
    assert not is_iterated((300, 200), 10)
    assert len(leading["lmd_spectrum"]) == leading["lmd_layers"]["rank"].item() == 10
    pd.testing.assert_frame_equal(
        leading["lmd_ranks"].drop(columns="default"), whole["lmd_ranks"].drop(columns="default")
    )
    assert not leading["lmd_ranks"]["default"].any()  # the rank in lmd_layers is what was asked for
    shuffled = ["num_shuffled_spikes", "shuffled_distance", "num_entry_spikes"]
    pd.testing.assert_frame_equal(
        leading["lmd_tails"], whole["lmd_tails"].drop(columns=shuffled), check_dtype=False
    )
    assert leading["lmd_tails"]["num_tail"].item() > 0


def test_leading_values_settle_the_spikes_that_they_tell_apart_from_the_rest():
    weight = drawn(700, 650) + 9 * drawn(700, 3, seed=1) @ drawn(3, 650, seed=2)
    assert is_iterated((700, 650), 8)
    tails = frames(decompose_leading(weight, 8))["lmd_tails"]
    assert tails["num_spikes"].item() == 3
    tails = frames(decompose_leading(weight, 3))["lmd_tails"]  # a fourth may be above the edge, too
    assert tails["num_spikes"].isna().all()


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


THREADS = """
import sys
from spaceprobe.cli import main
main(["lmd", "--weights", sys.argv[1], "--results", sys.argv[2], "--heads", "2"])
"""


def test_the_number_of_threads_changes_no_byte(tmp_path):
    generator = torch.Generator().manual_seed(5)
    weights = {
        "in_proj_weight": torch.randn(360, 120, generator=generator),
        "w": torch.randn(310, 270, generator=generator),
    }
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(weights, path)
    found, children = [], {}
    for num_threads in ("1", "4"):
        environment = {**os.environ, "OMP_NUM_THREADS": num_threads, "MKL_NUM_THREADS": num_threads}
        arguments = [sys.executable, "-c", THREADS, str(path), str(tmp_path / num_threads)]
        children[num_threads] = subprocess.Popen(
            arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    for num_threads, child in children.items():
        assert child.wait(timeout=100) == 0
        (folder,) = (tmp_path / num_threads).iterdir()
        arrays = {
            (part.name, name): array.tobytes()
            for part in folder.rglob("*.npz")
            for name, array in arrays_of(part).items()
            if name != "part.json"  # it says how long it took
        }
        found.append(({table.name: table.read_bytes() for table in folder.glob("*.csv")}, arrays))
    assert found[0] == found[1]


def test_the_number_of_threads_is_what_it_was(decompose, weights):
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        decompose(weights)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(num_threads)


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def frames(found):
    return {name: pd.DataFrame(rows) for name, rows in found.rows.items()}


@pytest.mark.parametrize("shape", [(40, 30, 7), (30, 41, 7), (9, 30, 8), (13, 12, 1)])
def test_a_product_has_the_tables_of_the_matrix_that_it_is(shape):
    outputs, inputs, dimension = shape
    left, right = drawn(outputs, dimension), drawn(dimension, inputs, seed=1)
    right[:, 3] = 0  # an input that no head reads
    thin = frames(decompose_product(left, right))
    whole = frames(decompose_matrix(left @ right, [IDENTITY], Background()))
    scale = whole["lmd_spectrum"]["value"][0]
    spectrum = whole["lmd_spectrum"][:dimension]
    assert len(thin["lmd_spectrum"]) == dimension
    for column in spectrum:
        if spectrum[column].dtype == float:
            expected = spectrum[column].to_numpy()
            bound = TOLERANCE * max(scale, inputs)
            np.testing.assert_allclose(thin["lmd_spectrum"][column], expected, rtol=0, atol=bound)
    assert thin["lmd_spectrum"]["kept"].equals(spectrum["kept"])
    ranks = thin["lmd_ranks"].set_index("rule")
    dense = whole["lmd_ranks"].set_index("rule")
    # Gavish and Donoho's median is rounding in the one and 0 in the other: invalid in both.
    both = ranks["valid"] | (ranks.index != "gavish_donoho")
    pd.testing.assert_frame_equal(ranks[both], dense[both], rtol=1e-6)
    assert ranks["valid"].equals(dense["valid"])
    assert ranks.loc["numerical", "rank"] == dimension
    layer, expected = thin["lmd_layers"].iloc[0], whole["lmd_layers"].iloc[0]
    assert layer["num_ignored_inputs"] == expected["num_ignored_inputs"] == 1
    for column in ("num_outputs", "num_inputs", "metric", "rank", "rule", "condition_in", "valid"):
        assert layer[column] == expected[column]
    for column in ("frobenius_norm", "spectral_norm", "stable_rank", "truncation_error"):
        assert layer[column] == pytest.approx(expected[column], rel=1e-10, abs=TOLERANCE * scale)
    for column in ("reconstruction_error", "isometry_error_u", "isometry_error_v"):
        assert layer[column] < TOLERANCE
    assert thin["lmd_tails"]["num_values"].item() == min(outputs, inputs)


def test_factors_of_a_product_multiply_to_it():
    left, right = drawn(30, 4), drawn(4, 20, seed=1) * torch.tensor([[9.0], [5.0], [1e-9], [1e-10]])
    found = decompose_product(left, right).factors["identity"]
    assert found.rank < 4
    error = torch.linalg.matrix_norm(left @ right - found.product())
    assert error == pytest.approx(
        float(torch.linalg.svdvals(left @ right)[found.rank :].norm()), rel=1e-6, abs=1e-13
    )


def test_rounding_of_a_product_is_no_singular_value():
    generator = torch.Generator().manual_seed(2)
    left, right = drawn(200, 80), drawn(80, 190, seed=1)
    right[60:] = torch.randn(20, 60, dtype=torch.float64, generator=generator) @ right[:60]
    tables = frames(decompose_product(left, right))
    assert (tables["lmd_spectrum"]["value"] > 0).sum() == 60
    assert tables["lmd_ranks"].set_index("rule").loc["numerical", "rank"] == 60
    assert tables["lmd_tails"]["num_tail"].item() <= 60


def test_a_product_of_factors_that_cancel_is_zero():
    basis, _ = torch.linalg.qr(drawn(8, 8))
    orthogonal = drawn(30, 4) @ basis[:, :4].T, basis[:, 4:] @ drawn(4, 20)
    for left, right in (orthogonal, (torch.zeros(30, 8), drawn(8, 20))):
        tables = frames(decompose_product(left, right))
        assert (tables["lmd_spectrum"]["value"] == 0).all()
        assert tables["lmd_layers"]["rank"].item() == 0
        ranks = tables["lmd_ranks"].set_index("rule")
        assert ranks.index[ranks["valid"]].tolist() == ["numerical"]
    assert tables["lmd_layers"]["num_ignored_inputs"].item() == 20


def test_products_are_not_formed_above_a_bound(decompose, weights, monkeypatch):
    monkeypatch.setattr(thin_product, "MAX_SHUFFLED_ENTRIES", 143)
    stored = NamedMatrix.matrix.fget
    monkeypatch.setattr(
        NamedMatrix,
        "matrix",
        property(lambda self: pytest.fail("formed") if self.is_thin_product else stored(self)),
    )
    outcome, _, tables = decompose(weights, "--heads", 3, "--leading", 2)
    assert outcome.exit_code == 0
    products = tables["lmd_spectrum"].query("kind in ('query-key', 'output-value')")
    assert products.groupby("name").size().tolist() == [4] * 6  # all values, whatever --leading says
    assert products["shuffled_value"].isna().all()
    notes = " ".join(outcome.stdout.split())
    assert "rank at most 4, the head's dimension; more than 143 entries: not shuffled" in notes


def test_a_product_that_is_not_formed_has_the_edge_of_its_entries(monkeypatch):
    left, right = drawn(30, 4), drawn(4, 40, seed=1)
    formed = frames(decompose_product(left, right))["lmd_tails"].iloc[0]
    monkeypatch.setattr(thin_product, "MAX_SHUFFLED_ENTRIES", 100)
    found = frames(decompose_product(left, right))["lmd_tails"].iloc[0]
    edge = (left @ right).numpy().std() * (np.sqrt(30) + np.sqrt(40))
    assert found["entries_edge"] == pytest.approx(edge, rel=TOLERANCE)
    assert found["soft_rank"] == pytest.approx(formed["soft_rank"], rel=TOLERANCE)
    assert found["num_spikes"] == formed["num_spikes"] == 4  # all that it has
    assert "shuffled_distance" not in found
    assert formed["shuffled_distance"] > 0


def test_a_product_with_nan_fails_alone(decompose):
    weights = {"in_proj_weight": torch.ones(18, 6)}
    weights["in_proj_weight"][0, 0] = float("nan")
    outcome, _, tables = decompose(weights, "--heads", 2)
    assert outcome.exit_code == 1
    layers = tables["lmd_layers"].set_index("name")["valid"].to_dict()
    assert layers == {"in_proj_weight": False, "head0.query-key": False, "head1.query-key": True}


def test_a_matrix_that_takes_too_much_memory_fails_with_a_way_out(decompose, monkeypatch):
    monkeypatch.setattr(weight_file, "MAX_ENTRIES", 5000)
    generator = torch.Generator().manual_seed(3)
    weights = {
        "large": torch.randn(640, 700, generator=generator),
        "narrow": torch.ones(60, 100),
        "small": torch.eye(5, 6),
    }
    outcome, _, tables = decompose(weights)
    assert outcome.exit_code == 1
    assert (
        "large: 640 × 700: 448000 entries, at most 5000 are decomposed in full "
        "(it would take some 0.043 GB); give --leading N, N at most 64, for its leading values"
        in outcome.stderr
    )
    assert "narrow: 60 × 100: 6000 entries" in outcome.stderr
    assert "decompose a part of it, saved to a file of its own" in outcome.stderr
    layers = tables["lmd_layers"].set_index("name")
    assert layers["valid"].to_dict() == {"large": False, "narrow": False, "small": True}
    outcome, _, tables = decompose(weights, "--leading", 64)
    assert tables["lmd_layers"].set_index("name")["valid"].to_dict() == {
        "large": True, "narrow": False, "small": True,
    }  # fmt: skip
    outcome, _, tables = decompose(weights, "--leading", 65)
    assert "large: 640 × 700: 448000 entries, at most 5000 are decomposed in full" in outcome.stderr
    monkeypatch.setattr(weight_file, "MAX_LEADING_ENTRIES", 400000)
    outcome, _, tables = decompose(weights, "--leading", 10)
    assert (
        "large: 640 × 700: 448000 entries, at most 400000 are decomposed by iteration; dec" in outcome.stderr
    )


@pytest.mark.parametrize(("shorter", "most"), [(639, 0), (640, 64), (4096, 409)])
def test_how_many_leading_values_are_iterated(shorter, most):
    assert max_iterated((shorter, 5000)) == max_iterated((5000, shorter)) == most
    assert not is_iterated((shorter, 5000), most + 1)
    assert most == 0 or is_iterated((shorter, 5000), most)


PEAK = """
import torch
from spaceprobe.stages.lmd.leading_values import decompose_leading

def peak():  # not ru_maxrss: that is inherited from the process that started this one
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

torch.set_num_threads(1)
decompose_leading(torch.randn(650, 660), 1)  # whatever is loaded at the first call
weight = torch.empty(4000, 3000).normal_()
before = peak()
decompose_leading(weight, 1)
print((peak() - before) * 1024 / weight.numel())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_leading_values_take_two_copies_of_a_matrix():
    """8 bytes in float64 and 4 in float32; 3 are the basis and a block of rows, which do not grow with it."""
    found = subprocess.run(
        [sys.executable, "-c", PEAK], check=True, capture_output=True, text=True, timeout=100,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert 8 < float(found.stdout) < 20


@pytest.mark.parametrize("power", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("num_values", [3, 20])
def test_what_leading_values_settle_is_what_all_values_say(power, num_values):
    Q, _ = torch.linalg.qr(drawn(700, 650))
    P, _ = torch.linalg.qr(drawn(650, 650, seed=1))
    weight = (Q * torch.arange(1, 651).double() ** -power) @ P.T
    exact = np.linalg.svd(weight, compute_uv=False)
    expected = rank_table(exact, (700, 650)).set_index("rule")
    tables = frames(decompose_leading(weight, num_values))
    found = tables["lmd_ranks"].set_index("rule")
    assert [*found.index] == [*expected.index]
    settled = found[found["valid"]]
    assert "stable_rank" in settled.index
    for rule in ("energy90", "energy95", "energy99"):
        assert (rule in settled.index) == (expected.loc[rule, "rank"] <= num_values)
    assert settled["rank"].equals(expected.loc[settled.index, "rank"])
    np.testing.assert_allclose(settled["value"], expected.loc[settled.index, "value"], rtol=1e-6)
    assert not found["default"].any()
    assert (found.loc[~found["valid"], "reason"] != "").all()


def test_the_numerical_rank_is_settled_where_values_of_rounding_are_among_the_leading():
    weight = drawn(700, 4) @ drawn(4, 650, seed=1)
    tables = frames(decompose_leading(weight, 6))
    assert tables["lmd_ranks"].set_index("rule").loc["numerical", ["rank", "valid"]].tolist() == [4, True]
    assert tables["lmd_tails"]["numerical_rank"].item() == 4
    tables = frames(decompose_leading(weight, 4))
    assert not tables["lmd_ranks"].set_index("rule").loc["numerical", "valid"]
    assert tables["lmd_tails"]["numerical_rank"].isna().all()


def test_what_the_errors_leave_open_is_not_settled():
    values, errors = np.array([2.0, 1.3, 0.9]), np.array([0.5, 0.3, 0.2])
    found = pd.DataFrame(leading_ranks(values, errors, 2.6, (9, 8))).set_index("rule")
    assert not found["valid"].any()
    assert found.loc["stable_rank", "reason"] == "within the stated errors it is 1 to 2"
    assert found.loc["energy90", "reason"] == "within the stated errors it is 1 to 3"
    assert found.loc["energy99", "reason"] == "only the 3 leading of 8 singular values were computed"
    sharp = pd.DataFrame(leading_ranks(values, errors * 0, 2.6, (9, 8))).set_index("rule")
    assert sharp.loc[sharp["valid"], "rank"].to_dict() == {"stable_rank": 2, "energy90": 3, "energy95": 3}


def test_leading_values_of_a_zero_matrix():
    tables = frames(decompose_leading(torch.zeros(7, 5), 2))
    ranks = tables["lmd_ranks"].set_index("rule")
    assert ranks.index[ranks["valid"]].tolist() == ["numerical"]
    assert (ranks["rank"] == 0).all()
    expected = rank_table(np.zeros(5), (7, 5)).set_index("rule")
    assert ranks["reason"].equals(expected["reason"])
    assert tables["lmd_layers"]["num_ignored_inputs"].item() == 5
    assert tables["lmd_tails"]["log_norm"].isna().all()


def test_parts_of_a_call_with_more_heads_are_removed(decompose, weights, tmp_path):
    """The config beside the weights is of the weights: another one takes the same folder."""
    (tmp_path / "config.json").write_text('{"num_attention_heads": 3}')
    _, folder, _ = decompose(weights)
    others = [folder / "factors" / name for name in ("notes.npz", "001.npz", "0001.txt")]
    for path in others:
        path.touch()
    assert len([*folder.glob("factors/[0-9][0-9][0-9][0-9].npz")]) == 10
    (tmp_path / "config.json").unlink()
    assert decompose(weights)[1] == folder
    names = [f"{number:04d}.npz" for number in range(4)]
    assert sorted(path.name for path in folder.glob("factors/*")) == sorted(
        names + [path.name for path in others]
    )


def test_names_cannot_write_to_the_terminal(decompose):
    outcome, _, tables = decompose({"\x1b[31mevil\nError: fake": torch.eye(3, 4), "x" * 300: torch.eye(2, 5)})
    assert outcome.exit_code == 0
    assert "\x1b" not in outcome.output
    assert not any(line.startswith("Error") for line in outcome.stdout.splitlines())
    # A path, which no line breaks, may be longer.
    lines = [line for line in outcome.stdout.splitlines() if "/" not in line]
    assert max(map(len, lines)) <= 80
    assert "\x1b[31mevil\nError: fake" in set(tables["lmd_layers"]["name"])  # whole in the tables


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_huge_numbers_are_no_crash(decompose):
    weights = {
        "good": torch.eye(40, 50, dtype=torch.float64),
        "huge": torch.full((60, 70), 1e306, dtype=torch.float64),
    }
    for arguments in ([], ["--leading", 5]):
        outcome, _, tables = decompose(weights, *arguments)
        assert outcome.exit_code in (0, 1)
        assert set(tables["lmd_layers"]["name"]) == {"good", "huge"}
