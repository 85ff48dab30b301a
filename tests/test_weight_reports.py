"""Pages, figures and comparisons of `spaceprobe lmd --weights`: what they show is recomputed here."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from spaceprobe import TABLES
from spaceprobe.report.weights.spectra import weight_spectra
from spaceprobe.results.weight_results import WeightResults, put_weights_side_by_side
from tests.commands import call
from tests.test_report_numbers import Page, faults

# Norms of matrices with some ten rows by two ways in float64.
TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def matrices():
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    first = {
        "a.weight": normal(6, 4),
        "b.weight": normal(5, 9),
        "c.weight": normal(3, 3),
        "c.bias": normal(3),
    }
    second = {"a.weight": 2 * first["a.weight"], "b.weight": normal(7, 9), "d.weight": normal(2, 8)}
    return first, second


@pytest.fixture(scope="module")
def folders(matrices, tmp_path_factory):
    """The folders of results of two files, with their pages."""
    results = tmp_path_factory.mktemp("weights")
    found = []
    for name, weights in zip(("one", "two"), matrices, strict=True):
        safetensors.torch.save_file(weights, results / f"{name}.safetensors")
        outcome = call("lmd", "--weights", results / f"{name}.safetensors", "--results", results)
        assert outcome.exit_code == 0, outcome.output
        (folder,) = results.glob(f"weights-{name}-*")
        assert f"report   {folder / 'report.html'}" in outcome.stdout
        found.append(folder)
    return found


def values(matrix):
    return np.linalg.svd(matrix.double().numpy(), compute_uv=False)


def participation(matrix):
    squares = values(matrix) ** 2
    return max(1, round(float(squares.sum() ** 2 / (squares**2).sum())))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cards(folder):
    """Return the big numbers of a page by their titles."""
    root = Page((folder / "report.html").read_text(encoding="utf-8")).root
    (block,) = [element for element in root.all("dl") if element.attributes.get("class") == "cards"]
    return {card.all("dt")[0].words(): card.all("dd")[0].words() for card in block.all("div")}


def test_the_headline_is_of_the_file(folders, matrices):
    ranks = [participation(matrix) for matrix in matrices[0].values() if matrix.ndim == 2]
    errors = [float(row["reconstruction_error"]) for row in rows(folders[0] / "lmd_layers.csv")]
    found = cards(folders[0])
    assert found["matrices"] == "3"
    assert found["rank of a matrix, participation, the default rule without data"] == (
        f"{np.median(ranks):g} {min(ranks)} to {max(ranks)}"
    )
    assert found["largest reconstruction error"] == f"{max(errors):.1e}"


def test_the_page_says_which_file_and_every_number_is_a_cell(folders):
    folder = folders[0]
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, folder)) == []
    facts = json.loads((folder / "provenance.json").read_text())["weights"]
    assert facts["sha256"][:6] == folder.name[-6:]
    assert facts["path"].endswith("one.safetensors")
    assert facts["path"] in text
    assert "Skipped: 1 vector" in " ".join(Page(text).root.text.split())
    for name in ("lmd_layers", "lmd_ranks", "lmd_spectrum", "lmd_tails"):
        assert f'href="{name}.csv"' in text
    for name in ("spectra", "ranks"):
        assert (folder / "figures" / f"{name}.svg").is_file()
    assert "Exponents of power-law tails: no power law is a valid fit" in text
    assert not (folder / "figures" / "tails.svg").exists()


def test_figures_are_listed_and_drawn(folders, tmp_path):
    outcome = call("plot", folders[0])
    lines = outcome.stdout.replace("\n ", " ").splitlines()
    assert [line.split()[0] for line in lines] == ["spectra", "ranks", "tails"]
    assert re.search(r"not there: +no +power +law", lines[2])
    out = tmp_path / "ranks.pdf"
    assert call("plot", folders[0].name, "ranks", "--results", folders[0].parent, "--out", out).exit_code == 0
    assert out.read_bytes().startswith(b"%PDF")
    for words, message in (
        (["depth", "--out", tmp_path / "x.svg"], "choose one of spectra, ranks, tails"),
        (["tails", "--out", tmp_path / "x.svg"], "there is no figure tails: no power law is a valid fit"),
        (["ranks"], "--out is missing"),
    ):
        outcome = call("plot", folders[0], *words)
        assert outcome.exit_code in (1, 2)
        assert message in " ".join(outcome.stderr.split())


def test_a_tail_that_can_be_fitted_is_drawn(tmp_path):
    power_law = torch.diag(torch.arange(1, 301) ** -0.5)
    safetensors.torch.save_file({"w": power_law}, tmp_path / "big.safetensors")
    outcome = call("lmd", "--weights", tmp_path / "big.safetensors", "--results", tmp_path, "--no-report")
    assert outcome.exit_code == 0
    (folder,) = tmp_path.glob("weights-big-*")
    assert not (folder / "report.html").exists()
    (row,) = rows(folder / "lmd_tails.csv")
    made = call("report", folder)
    assert made.exit_code == 0
    assert (folder / "figures" / "tails.svg").is_file() == (row["valid"] == "True")
    assert row["valid"] == "True"  # else this test is about nothing
    caption = caption_of(folder, "tails")
    assert "the largest eigenvalues of WᵀW of 1 of 1 matrices" in caption


def test_two_files_are_compared_matrix_by_matrix(folders, matrices, tmp_path):
    outcome = call("compare", *folders, "--out", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    table = {row["name"]: row for row in rows(tmp_path / "matrices.csv")}
    assert [*table] == ["a.weight", "b.weight", "c.weight", "d.weight"]
    for name, row in table.items():
        for side, weights in zip("ab", matrices, strict=True):
            if name in weights:
                assert float(row[f"spectral_norm_{side}"]) == pytest.approx(
                    values(weights[name])[0], rel=TOLERANCE
                )
                assert int(row[f"rank_{side}"]) == participation(weights[name])
            else:
                assert (row[f"spectral_norm_{side}"], row["spectral_norm_difference"]) == ("", "")
    norm = values(matrices[0]["a.weight"])[0]
    assert float(table["a.weight"]["spectral_norm_difference"]) == pytest.approx(norm, rel=TOLERANCE)
    assert table["a.weight"]["rank_difference"] == "0"
    assert [row["note"] for row in table.values()] == [
        "",
        "other sides",
        "in A only",
        "in B only",
    ]
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert list(faults(text, tmp_path)) == []
    assert "no interval, since each file is one network" in " ".join(text.split())
    assert f"compare  {tmp_path / 'compare.html'}" in outcome.stdout
    shown = next(line for line in outcome.stdout.splitlines() if "a.weight" in line)
    assert f"{norm:.4g}" in shown
    assert max(map(len, outcome.stdout.replace(str(tmp_path), "").splitlines())) <= 80


def test_a_matrix_that_was_not_decomposed_has_no_difference(tmp_path):
    layer = {
        "kind": "linear", "num_outputs": 2, "num_inputs": 3, "rule": "participation", "rank": 2,
        "spectral_norm": 1.5, "stable_rank": 1.25, "reason": None,
    }  # fmt: skip
    broken = {
        **layer,
        "rule": None,
        "rank": None,
        "spectral_norm": None,
        "stable_rank": None,
        "reason": "NaN",
    }
    sides = [
        WeightResults(tmp_path, {"lmd_layers": pd.DataFrame(rows)}, {}, [])
        for rows in ([{"name": "a", **layer}], [{"name": "a", **broken}, {"name": "b", **broken}])
    ]
    table = put_weights_side_by_side(*sides)
    assert table["note"].tolist() == [
        "not decomposed in B: NaN",
        "in B only; not decomposed in B: NaN",
    ]
    assert table["rank_a"].tolist()[0] == 2
    assert table[["rank_difference", "spectral_norm_difference"]].isna().all(axis=None)


def test_whether_results_agree(folders):
    same = call("compare", folders[0], folders[0], "--same")
    assert same.exit_code == 0
    assert "A and B agree: 4 tables" in same.stdout
    other = call("compare", *folders, "--same")
    assert other.exit_code == 1
    assert "A and B do not agree" in other.stdout


def test_a_file_is_not_compared_with_a_study(folders, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "study.yaml").write_text("training: {epochs: 1}\n")
    for pair in ((folders[0], tmp_path / "tiny"), (tmp_path / "tiny", folders[0])):
        outcome = call("compare", *pair)
        assert outcome.exit_code == 2
        assert outcome.stderr == (
            f"Error: {folders[0]} has the matrices of a file of weights, and {tmp_path / 'tiny'} is a study: "
            "compare takes two studies, or two folders of `spaceprobe lmd --weights`\n"
        )
    assert "there is none, so no study was started" in call("compare", folders[0], tmp_path / "no").stderr


def test_a_figure_is_as_wide_as_it_is_asked_for(folders, tmp_path):
    out = tmp_path / "ranks.svg"
    assert call("plot", folders[0], "ranks", "--out", out, "--width", "84mm").exit_code == 0
    (width,) = re.findall(r'<svg[^>]* width="([\d.]+)pt"', out.read_text(encoding="utf-8"))
    assert float(width) == pytest.approx(84 / 25.4 * 72, rel=1e-3)


@pytest.mark.parametrize("command", ["status", "plan", "run"])
def test_commands_of_studies_say_what_takes_such_a_folder(folders, command):
    outcome = call(command, folders[0])
    assert outcome.exit_code == 2
    assert outcome.stderr == (
        f"Error: {folders[0]}: has the matrices of a file of weights, not a study; `spaceprobe report`, "
        "`plot` and `compare` take it\n"
    )


def test_a_folder_of_an_earlier_version_has_a_page(folders, tmp_path):
    old = tmp_path / folders[0].name
    old.mkdir()
    for path in folders[0].glob("lmd_*.csv"):
        (old / path.name).write_bytes(path.read_bytes())
    outcome = call("report", old)
    assert outcome.exit_code == 0, outcome.output
    assert cards(old) == cards(folders[0])
    assert "There is no provenance.json" in (old / "report.html").read_text()
    path = old / "lmd_ranks.csv"
    path.write_text(re.sub("^run,layer,name,kind,rule", "run,layer,name,kind,rules", path.read_text()))
    outcome = call("report", old)
    assert outcome.exit_code == 1
    assert (
        f"{path}: lacks the column rule; `spaceprobe lmd --weights` with the same file writes it again"
        in (" ".join(outcome.stderr.split()))
    )


def test_tables_of_a_version_that_did_not_judge_tails_are_read(folders, tmp_path):
    old = tmp_path / folders[0].name
    old.mkdir()
    for path in folders[0].glob("lmd_*.csv"):
        (old / path.name).write_bytes(path.read_bytes())
    later = [column.name for column in TABLES["lmd_tails"].columns if column.is_later]
    assert {"goodness_p", "num_spikes", "num_entry_spikes"} <= {*later}
    tails = pd.read_csv(old / "lmd_tails.csv").drop(columns=later)
    tails.to_csv(old / "lmd_tails.csv", index=False)
    outcome = call("report", old)
    assert outcome.exit_code == 0, outcome.output
    title = "values above the edge of noise"
    assert title in cards(folders[0])
    assert cards(old) == {name: number for name, number in cards(folders[0]).items() if name != title}
    assert list(faults((old / "report.html").read_text(encoding="utf-8"), old)) == []


def test_an_entry_that_makes_a_singular_value_is_named(tmp_path):
    generator = torch.Generator().manual_seed(2)
    noise, signal = torch.randn(2, 60, 90, generator=generator)
    planted = noise.clone()
    planted[7, 31] = 40.0
    direction = torch.randn(90, generator=generator)
    weights = {"noise": noise, "planted": planted, "signal": signal + 0.5 * torch.ones(60, 1) * direction}
    safetensors.torch.save_file(weights, tmp_path / "net.safetensors")
    outcome = call("lmd", "--weights", tmp_path / "net.safetensors", "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    (folder,) = tmp_path.glob("weights-net-*")
    found = {row["name"]: row for row in rows(folder / "lmd_tails.csv")}
    spikes = {name: (row["num_spikes"], row["num_entry_spikes"]) for name, row in found.items()}
    assert spikes == {"noise": ("0", "0"), "planted": ("1", "1"), "signal": ("1", "0")}
    said = " ".join(outcome.stdout.split())
    assert "variance of their entries: 2 of 3 (num_spikes in lmd_tails.csv)" in said
    assert (
        "planted: 1 of 1 value above the edge is made by 1 large entry, the largest in row 7, column 31, "
        "40.4 standard deviations from the mean, both without the large entries" in said
    )
    assert "signal: " not in said
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, folder)) == []
    words = " ".join(Page(text).root.words().split())
    assert "planted : large entries (1) make 1 of its values above the edge of noise (1)" in words.replace(
        "planted:", "planted :"
    )


def test_the_distance_of_an_entry_is_from_those_that_are_not_large(tmp_path):
    """Of two large entries, the smaller is not among the others: they would be 0.7 deviations away."""
    weight = torch.randn(60, 90, generator=torch.Generator().manual_seed(2))
    weight[7, 31], weight[3, 5] = 40.0, -30.0
    safetensors.torch.save_file({"w": weight}, tmp_path / "net.safetensors")
    outcome = call("lmd", "--weights", tmp_path / "net.safetensors", "--results", tmp_path)
    (folder,) = tmp_path.glob("weights-net-*")
    rest = weight.double().flatten().numpy()
    rest = rest[np.abs(rest) < 20]
    distance = f"{(40 - rest.mean()) / rest.std():.3g}"
    sentence = f"{distance} standard deviations from the mean, both without the large entries"
    assert sentence in " ".join(outcome.stdout.split())
    assert sentence in " ".join(Page((folder / "report.html").read_text()).root.words().split())


def test_products_of_noise_are_not_counted_among_stored_matrices(tmp_path):
    """The product of two matrices of noise over 4 dimensions has 4 values, all above the edge."""
    generator = torch.Generator().manual_seed(4)
    weights = {
        f"attn.{letter}_proj.weight": torch.randn(64, 64, generator=generator) / 8 for letter in "qkvo"
    }
    safetensors.torch.save_file(weights, tmp_path / "net.safetensors")
    results = tmp_path / "results"
    words = ("lmd", "--weights", tmp_path / "net.safetensors", "--heads", 16, "--results", results)
    outcome = call(*words)
    assert outcome.exit_code == 0, outcome.output
    (folder,) = results.iterdir()
    spikes = {row["name"]: int(row["num_spikes"]) for row in rows(folder / "lmd_tails.csv")}
    stored = [spikes[name] for name in weights]
    products = [spikes[name] for name in spikes if name not in weights]
    assert (max(stored), min(products), len(products)) == (0, 4, 32)
    said = " ".join(outcome.stdout.split())
    assert "variance of their entries: 0 of 4 stored; 32 of 32 products, whose entries" in said
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, folder)) == []
    found = {name: number for name, number in cards(folder).items() if "edge of noise" in name}
    assert found == {
        "values above the edge of noise, a stored matrix": "0 0 to 0",
        "values above the edge of noise, a product": "4 4 to 4",
    }
    outcome = call(*words, "--layer", "*.query-key", "--no-report")
    assert "of their entries: 16 of 16 products, whose" in " ".join(outcome.stdout.split())


def caption_of(folder, figure):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, folder)) == []
    (found,) = [one for one in Page(text).root.all("figure") if one.attributes.get("id") == figure]
    return " ".join(found.all("figcaption")[0].all("p")[0].words().split())


def test_a_caption_says_which_matrices_are_drawn_and_where_the_largest_value_is(tmp_path):
    """Of 12, the places 0, 1.57, 3.14, …, 11 are drawn, rounded: not the second matrix, which is largest."""
    weights = {f"m{number:02d}": torch.eye(2, 3) for number in range(12)} | {"m01": 9 * torch.eye(2, 3)}
    for number in range(12):
        weights[f"m{number:02d}"][0, 1] = number  # else they were tied
    weights["m01"] *= 4
    safetensors.torch.save_file(weights, tmp_path / "net.safetensors")
    outcome = call("lmd", "--weights", tmp_path / "net.safetensors", "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    (folder,) = tmp_path.glob("weights-net-*")
    largest = values(weights["m01"])[0]
    caption = caption_of(folder, "spectra")
    assert "Of the kind linear, 8 of 12 matrices are drawn, evenly from the first to the last." in caption
    assert caption.endswith(f"The largest is {largest:.3g}, of m01, which is not drawn.")
    svg = (folder / "figures" / "spectra.svg").read_text(encoding="utf-8")
    assert [name for name in weights if f"<!-- {name} -->" in svg] == [
        "m00", "m02", "m03", "m05", "m06", "m08", "m09", "m11",
    ]  # fmt: skip


def test_values_of_rounding_do_not_stretch_the_axis(tmp_path):
    """A matrix of rank 2 with 5 singular values, 3 of them rounding, beside a zero and a sound matrix."""
    generator = torch.Generator().manual_seed(1)
    thin = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    weights = {
        "sound": torch.diag(torch.tensor([1.0, 0.5, 0.25])),
        "thin": thin @ torch.randn(2, 7, generator=generator, dtype=torch.float64),
        "zero": torch.zeros(3, 3),
    }
    safetensors.torch.save_file(weights, tmp_path / "net.safetensors")
    assert call("lmd", "--weights", tmp_path / "net.safetensors", "--results", tmp_path).exit_code == 0
    (folder,) = tmp_path.glob("weights-net-*")
    layers, spectrum = (pd.read_csv(folder / f"lmd_{name}.csv") for name in ("layers", "spectrum"))
    assert 0 < spectrum.query("name == 'thin'")["value"].min() < 1e-12  # else this test is about nothing
    figure = weight_spectra(layers, spectrum)
    (axes,) = figure.axes
    drawn = [line.get_ydata() for line in axes.lines]
    assert [len(line) for line in drawn] == [3, 2]
    np.testing.assert_allclose(drawn[1], values(weights["thin"])[:2], rtol=TOLERANCE)
    assert axes.get_ylim()[0] > 0.1
    assert "linear: 3 values within rounding of zero not drawn" in " ".join(figure.get_supxlabel().split())
    caption = caption_of(folder, "spectra")
    assert "Drawn are 5 of the 8 values of these matrices; the others are within rounding of zero." in caption
    assert caption.endswith(", of thin.")


def test_every_kind_of_matrix_has_a_panel():
    """A table may hold all five kinds; the last of them used to be left out."""
    kinds = ["linear", "convolution", "query-key", "output-value", "low-rank update"]
    places = {"layer": range(5), "name": [*"abcde"], "kind": kinds}
    layers = pd.DataFrame({**places, "num_outputs": 2, "num_inputs": 3})
    spectrum = pd.DataFrame({**places, "basis": "svd", "index": 1, "value": 1.0})
    assert [axes.get_title(loc="left") for axes in weight_spectra(layers, spectrum).axes] == kinds


def test_a_page_that_is_up_to_date_is_left_alone(folders):
    file = folders[0].parent / "one.safetensors"
    before = {path: path.stat().st_mtime_ns for path in folders[0].rglob("*")}
    outcome = call("lmd", "--weights", file, "--results", folders[0].parent)
    assert outcome.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in folders[0].rglob("*")} == before


def test_no_report_goes_with_weights():
    outcome = call("lmd", "--no-report")
    assert outcome.exit_code == 2
    assert "--no-report goes with --weights FILE" in outcome.stderr
