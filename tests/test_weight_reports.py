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
        "40.4 standard deviations from the mean of the others" in said
    )
    assert "signal: " not in said
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, folder)) == []
    words = " ".join(Page(text).root.words().split())
    assert "planted : large entries (1) make 1 of its values above the edge of noise (1)" in words.replace(
        "planted:", "planted :"
    )


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
