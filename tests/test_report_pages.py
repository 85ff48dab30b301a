"""What a page gives beside its numbers: words, runs with logs, class pairs with paths, citations."""

import csv
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
import yaml

from spaceprobe.errors import SpaceprobeError
from spaceprobe.report.figures import class_pair_heat_maps, folding_against, path_figure, rank_evolution
from spaceprobe.report.page.citations import CITATIONS
from spaceprobe.report.page.run_names import RunNames
from tests.commands import call
from tests.report_studies import compared, opened_browser, reported
from tests.test_report_numbers import Page

expect = pytest.importorskip("playwright.sync_api").expect

WIDTHS = (1280, 390)
STUDIES = ("folded", "decomposed", "diverged")


def root(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8")).root


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as found:
        yield found


@pytest.fixture
def opened(browser):
    """Opens a page in a tab of its own, closed at the end."""
    contexts = []

    def opening(address, width):
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        )
        page = contexts[-1].new_page()
        page.goto(address)
        return page

    yield opening
    for context in contexts:
        context.close()


def test_the_words_are_defined_in_four_lines(tmp_path_factory):
    (block,) = [
        element
        for element in root(reported("folded", tmp_path_factory)).all("dl")
        if element.attributes.get("class") == "glossary"
    ]
    words = {line.all("dt")[0].words(): line.all("dd")[0].words() for line in block.all("div")}
    assert [*words] == ["χ, space folding", "reach", "row maxima of χ", "states"]
    assert "χ = 1 − reach / length" in words["χ, space folding"]
    for state in ("untrained", "trained", "difference"):
        assert f"{state}: " in words["states"]
    without = root(reported("decomposed", tmp_path_factory)).all("dl")
    assert "glossary" not in {element.attributes.get("class") for element in without}


@pytest.mark.parametrize("name", STUDIES)
def test_cards_have_titles_of_their_own(tmp_path_factory, name):
    (block,) = [
        element
        for element in root(reported(name, tmp_path_factory)).all("dl")
        if element.attributes.get("class") == "cards"
    ]
    titles = [title.words() for title in block.all("dt")]
    assert titles
    assert len({*titles}) == len(titles)
    for card in block.all("div"):
        assert card.words().count("pooled") <= 1


CUT = """() => {
  const cut = [];
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) cut.push(`${box.ariaLabel}: is scrolled`);
    const {left, right} = box.getBoundingClientRect();
    for (const number of box.querySelectorAll("data")) {
      const places = [...number.getClientRects()];
      if (places.length > 1) cut.push(`${number.textContent}: is broken`);
      if (places.some((place) => place.left < left || place.right > right)) cut.push(number.textContent);
    }
  }
  return cut;
}"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*STUDIES, "compared"])
def test_tables_cut_no_number(opened, tmp_path_factory, name, width):
    if name == "compared":
        file = compared(tmp_path_factory) / "compare.html"
    else:
        file = reported(name, tmp_path_factory) / "report.html"
    page = opened(file.as_uri(), width)
    assert page.locator(".scroll data").count() > 5
    assert page.evaluate(CUT) == []
    if width == min(WIDTHS):  # a table that does not fit is a list, each cell with its head
        row = page.locator("div.table .stacked tbody tr").first
        heads = row.locator("td").evaluate_all("cells => cells.map(cell => cell.dataset.head)")
        assert len({*heads}) == len(heads) > 5
        page.set_viewport_size({"width": 1280, "height": 900})
        expect(page.locator("#table-runs .stacked, #table-unmatched .stacked")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_of_the_heat_map_leads_to_the_numbers_of_its_pair(opened, tmp_path_factory, width):
    folder = reported("folded", tmp_path_factory)
    page = opened((folder / "report.html").as_uri(), width)
    panel = page.locator("#class-pairs-pair-3-8")
    assert not panel.is_visible()
    cell = page.locator('#class-pairs svg a[href="#class-pairs-pair-3-8"]').first
    cell.scroll_into_view_if_needed()
    cell.click()
    assert panel.is_visible()
    assert page.locator(".pair:visible").count() == 1
    assert page.evaluate(CUT) == []
    architectures = {row["run"]: row["architecture"] for row in rows(folder / "runs.csv")}
    measured = [
        row
        for row in rows(folder / "folding.csv")
        if (row["source_class"], row["target_class"]) == ("3", "8")
        and (row["measure"], row["epoch"]) == ("chi", "1")
    ]
    shown = panel.locator("tbody tr").all()
    assert len(shown) == 3
    for line, architecture in zip(shown, ("2x8", "3x6", "4x5"), strict=True):
        of_group = [row for row in measured if architectures[row["run"]] == architecture]
        assert len(of_group) == 2
        numbers = line.locator("data").evaluate_all("all => all.map(e => Number(e.value))")
        largest = max(float(row["max"]) for row in of_group)
        expected = [len(of_group)]
        for column in ("folded", "q50", "max"):
            known = [float(row[column]) for row in of_group if row[column]]
            expected += [statistics.fmean(known)] if known else []
        assert numbers == pytest.approx([*expected, largest], rel=1e-12)
        run = line.locator("code").inner_text()
        assert run in [row["run"] for row in of_group if float(row["max"]) == largest]
    command = panel.locator("pre").first.inner_text().split()
    assert command[:4] == ["spaceprobe", "path", "folded", "--run"]


def test_the_command_of_a_pair_draws_its_most_folded_path(tmp_path_factory, tmp_path):
    folder = reported("folded", tmp_path_factory)
    (row,) = [
        row for row in rows(folder / "figures" / "class_pairs.csv") if row["group"] == "4x5"
        and (row["source_class"], row["target_class"]) == ("3", "8")
    ]  # fmt: skip
    out = tmp_path / "path.svg"
    outcome = call("path", folder, "--run", row["run"], "--pair", "3-8", "--out", out)
    assert outcome.exit_code == 0, outcome.output
    assert re.search(r"from \d+ \(a 3\) to \d+ \(an 8\), exact", outcome.stdout)
    assert f", χ {float(row['largest']):.4f}, " in outcome.stdout
    assert out.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pair", "3"], "--pair 3: expected the classes at the start and the end, such as 3-8"),
        (["--pair", "1-7"], "--pair 1-7: no path of it was walked exactly through"),
        (["--pair", "3-8", "--from", "1"], "expected two test images, --from N and --to N, or a class pair"),
        (["--from", "1"], "expected two test images"),
        ([], "expected two test images"),
    ],
)
def test_pairs_that_have_no_path(tmp_path_factory, words, message):
    folder = reported("folded", tmp_path_factory)
    run = rows(folder / "runs.csv")[0]["run"]
    outcome = call("path", folder, "--run", run, *words)
    assert outcome.exit_code in (1, 2)
    assert message in " ".join(outcome.stderr.split())


def test_runs_have_label_name_and_log(tmp_path_factory):
    folder = reported("diverged", tmp_path_factory)
    page = root(folder)
    (table,) = [block for block in page.all("div") if block.attributes.get("id") == "table-runs"]
    found = {row.all("td")[1].words(): row.all("td")[0].words() for row in table.all("tbody")[0].all("tr")}
    assert [*found.values()] == ["lr 0.001", "lr 1000.0"]  # by size
    assert {*found} == {row["run"] for row in rows(folder / "runs.csv")}
    for run in found:
        links = [link for link in page.all("a") if link.words() == run]
        assert {link.attributes["href"] for link in links} == {f"runs/{run}/run.log"}
        assert (folder / "runs" / run / "run.log").is_file()
    (failed,) = [
        row for row in page.all("tr") if row.all("td") and "train failed" in row.words()
    ]  # fmt: skip
    label, name, states, reason = (cell.words() for cell in failed.all("td"))
    assert (label, found[name]) == ("lr 1000.0", "lr 1000.0")
    assert states == "train failed, fold to do, lmd to do"
    assert reason.startswith("training diverged")


def test_rows_are_in_the_order_of_the_sweep():
    names = RunNames(
        labels={"b": "lr 0.1", "a": "lr 0.01", "c": "lr 0.003"},
        logs={},
        axes={"architecture": {"4x5": 0, "3x6": 1}, "learning_rate": {0.1: 0, 0.01: 1, 0.003: 2}},
    )
    runs = pd.DataFrame({"run": ["a", "b", "c", "a"], "layer": [0, 0, 0, 1]})
    assert names.in_sweep_order(runs).index.tolist() == [1, 0, 3, 2]
    groups = pd.DataFrame(
        {
            "state": ["trained", "trained", "trained", "untrained"],
            "architecture": ["3x6", "3x6", "4x5", "4x5"],
            "learning_rate": [0.003, 0.1, 0.01, 0.1],
        }
    )
    assert names.in_sweep_order(groups).index.tolist() == [2, 1, 0, 3]


def test_bibtex_is_of_what_the_citation_file_names():
    cited = yaml.safe_load((Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8"))
    texts = [re.sub(r"[{}]|\s+", " ", citation.bibtex) for citation in CITATIONS]
    texts = [" ".join(text.split()) for text in texts]
    for reference, text in zip(cited["references"], texts[:2], strict=True):
        assert " ".join(reference["title"].split()) in text
        assert reference["identifiers"][0]["value"] in text
        assert str(reference["year"]) in text
        for author in reference["authors"]:
            assert f"{author['family-names']}, {author['given-names']}" in text
    assert f"Version {cited['version']}" in texts[2]
    assert cited["authors"][0]["name"] in texts[2]
    for citation in CITATIONS:
        assert citation.bibtex.count("{") == citation.bibtex.count("}")
        assert re.match(rf"@\w+\{{{citation.key},\n", citation.bibtex)


@pytest.mark.parametrize(
    ("target", "words"), [("bibtex-ng2023layer", "Copy BibTeX"), ("class-pairs-caption", "Copy caption")]
)
def test_texts_can_be_copied(opened, tmp_path_factory, target, words):
    page = opened((reported("folded", tmp_path_factory) / "report.html").as_uri(), 1280)
    expected = page.locator(f"#{target}").text_content()
    if words == "Copy caption":
        expected = " ".join(expected.split())
    button = page.locator(f'button[data-copy="{target}"]')
    assert button.inner_text() == words
    button.click()
    expect(button).to_have_text("Copied")
    assert page.locator(".live").inner_text() == "Copied"
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    page.focus("#paste")
    page.keyboard.press("Control+V")
    assert page.locator("#paste").input_value() == expected


OLD = (
    (folding_against, ("runs", "aggregates", "correlations"), "correlations", "at"),
    (folding_against, ("runs", "aggregates"), "aggregates", "state"),
    (class_pair_heat_maps, ("runs", "folding"), "folding", "measure"),
    (rank_evolution, ("runs", "lmd_ranks"), "lmd_ranks", "rule"),
)


@pytest.mark.parametrize(("function", "names", "old", "column"), OLD)
def test_a_table_of_an_earlier_version_is_named_with_what_it_lacks(
    tmp_path_factory, function, names, old, column
):
    study = "decomposed" if old.startswith("lmd") else "folded"
    folder = reported(study, tmp_path_factory)
    frames = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
    function(*frames.values())
    frames[old] = frames[old].drop(columns=column)
    message = (
        f"^{old}: lacks the column {column}, which tables of this version have; `spaceprobe run` computes"
    )
    with pytest.raises(SpaceprobeError, match=message):
        function(*frames.values())


def test_an_error_that_no_table_explains_stays_what_it_is():
    with pytest.raises(KeyError, match="distance"):
        path_figure(pd.DataFrame({"t": [0.0]}))
