"""Every number of a page is in the CSVs: both are read here with nothing but the standard library."""

import csv
import json
import re
import statistics
from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from spaceprobe.report.numbers import Numbers
from tests.report_studies import compared, reported

ALLOWED = re.compile(r"\b95 %|arXiv \d{4}\.\d{5}|CantorNet, k = \d")
"""Digits that are no result: the level of all intervals, and names."""

QUOTED = {"code", "pre", "samp", "script", "style", "svg", "title"}
"""Elements whose digits are names, logs, settings or drawings."""

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, dict(attributes), parent, []

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def words(self):
        return " ".join(self.text.split())

    def walk(self):
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, *tags):
        return [element for element in self.walk() if element.tag in tags]


class Page(HTMLParser):
    """The elements of a page as a tree."""

    def __init__(self, text):
        super().__init__()
        self.root = self.current = Element("", {}, None)
        self.feed(text)
        self.close()
        assert self.current is self.root, f"{self.current.tag} is not closed"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs, self.current)
        self.current.children.append(element)
        if tag not in VOID:
            self.current = element

    def handle_startendtag(self, tag, attrs):
        self.current.children.append(Element(tag, attrs, self.current))

    def handle_endtag(self, tag):
        assert tag == self.current.tag, f"{tag} ends {self.current.tag}"
        self.current = self.current.parent

    def handle_data(self, data):
        self.current.children.append(data)


class Tables:
    """The CSVs beside a page."""

    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def rows(self, place):
        path = self.folder / f"{place['data-table']}.csv"
        if "data-folder" in place:
            path = self.folder / place["data-folder"] / f"{place['data-table']}.csv"
        elif not path.exists():
            path = self.folder / "figures" / path.name
        if path not in self.known:
            with path.open(newline="", encoding="utf-8") as file:
                self.known[path] = list(csv.DictReader(file))
        return self.known[path]

    def cell(self, place):
        return self.rows(place)[int(place["data-row"])][place["data-column"]]

    def chosen(self, place):
        rows = self.rows(place)
        where = json.loads(place.get("data-where", "{}"))
        # A run's last epoch is that of all its rows, so it comes first.
        for column, value in sorted(where.items(), key=lambda item: item != ("epoch", "last")):
            if (column, value) == ("epoch", "last"):
                last = {}
                for row in rows:
                    last[row["run"]] = max(last.get(row["run"], 0), int(row["epoch"]))
                rows = [row for row in rows if int(row["epoch"]) == last[row["run"]]]
            elif isinstance(value, list):
                rows = [row for row in rows if row[column] in value]
            elif isinstance(value, bool | str):
                rows = [row for row in rows if row[column] == str(value)]
            else:
                rows = [row for row in rows if row[column] and float(row[column]) == value]
        return rows

    def read(self, place):
        rows, of = self.chosen(place), place["data-of"]
        if of == "count":
            return len(rows)
        cells = [row[place["data-column"]] for row in rows if row[place["data-column"]]]
        if of == "distinct":
            return len(set(cells))
        values = [float(cell) for cell in cells]
        return {"sum": sum, "min": min, "max": max, "median": statistics.median}[of](values)

    def settings(self, place):
        assert place["data-file"] == "study.yaml"
        study = yaml.safe_load((self.folder / "study.yaml").read_text(encoding="utf-8"))
        key = place["data-key"]
        if key in study.get("sweep", {}):
            return study["sweep"][key]
        section, _, name = key.partition(".")
        return [study[section][name]]

    def label(self, run):
        """Return the values of a run's swept settings, as people read them."""
        study = yaml.safe_load((self.folder / "study.yaml").read_text(encoding="utf-8"))
        row = next(row for row in self.rows({"data-table": "runs"}) if row["run"] == run)
        parts = []
        for key in study.get("sweep", {}):
            section, _, name = key.partition(".")
            if section in ("data", "network", "training"):
                word = {"architecture": "", "learning_rate": "lr "}.get(name, f"{name} ")
                parts.append(word + row[name])
        return " · ".join(parts) or run.rpartition("-")[0]

    def holds(self, place, value):
        """Whether a number is where it says."""
        if "data-file" in place:
            return value in [found for found in self.settings(place) if not isinstance(found, str)]
        found = self.cell(place) if "data-row" in place else self.read(place)
        return found != "" and float(found) == value


def is_rounded(shown, value):
    """Whether a number is shown to half a unit in its last place."""
    written = Decimal(shown.replace(",", "").replace("−", "-"))
    unit = Decimal(1).scaleb(written.as_tuple().exponent)
    return abs(written - Decimal(repr(value))) <= unit / 2


def is_quoted(element):
    while element is not None:
        if element.tag in QUOTED | {"data"} or "data-row" in element.attributes:
            return True
        if element.attributes.get("class") == "facts" or element.tag == "td" or element.tag == "option":
            return True  # cells have a test of their own
        element = element.parent
    return False


def faults(text, folder):
    """Yield what is wrong with the numbers of a page."""
    root, tables = Page(text).root, Tables(folder)
    for data in root.all("data"):
        value = float(data.attributes["value"])
        if not tables.holds(data.attributes, value):
            yield f"is not in the tables: {data.attributes}"
        if not is_rounded(data.text, value):
            yield f"{value} is shown as {data.text}"
    for span in root.all("span"):
        if "data-row" in span.attributes and span.text != tables.cell(span.attributes).replace(
            "learning_rate", "learning rate"
        ):
            yield f"is not in the cell: {span.text}"
    for element in root.walk():
        if not is_quoted(element):
            own = " ".join(child for child in element.children if isinstance(child, str))
            if re.search("[0-9]", ALLOWED.sub("", own)):
                yield f"a number from nowhere in {element.tag}: {' '.join(own.split())}"
    for block in root.all("div"):
        if block.attributes.get("class") == "table":
            yield from _faults_of_cells(block, tables)
    for figure in root.all("figure"):
        yield from _faults_of_labels(figure)


def _faults_of_cells(block, tables):
    """Yield the columns of words that are in no column of the CSV."""
    place = {"data-table": block.attributes["id"].removeprefix("table-")}
    rows = [row.all("td") for row in block.all("tbody")[0].all("tr")]
    numbers = [
        {
            data.attributes["data-row"]
            for cell in row
            for data in cell.all("data")
            if "data-row" in data.attributes
        }
        for row in rows
    ]
    if any(len(found) != 1 for found in numbers):
        yield f"{place}: a row is not of one row of the CSV"
        return
    whole = [tables.rows(place)[int(*found)] for found in numbers]
    for number, head in enumerate(block.all("th")):
        cells = [row[number] for row in rows]
        if head.text == "network":
            labels = [tables.label(row["run"]) for row in whole]
            if [cell.text for cell in cells] != labels:
                yield f"{place}: not the labels {labels}"
            continue
        if any(cell.all("data") for cell in cells):
            bare = ["".join(part for part in cell.children if isinstance(part, str)) for cell in cells]
            if not all(re.fullmatch(r"[\s–\[\],]*", words) for words in bare):
                yield f"{place}: words between the numbers of {head.text}"
            continue
        texts = ["" if cell.text == "–" else cell.text for cell in cells]
        if not any(texts == [row[column] for row in whole] for column in whole[0]):
            yield f"{place}: {head.text} is no column of the CSV"


def _faults_of_labels(figure):
    """Yield the drawings whose text for those who do not see them is not what stands below them."""
    captions = figure.all("figcaption")
    if not captions:
        return
    (title,), (svg, *_) = figure.all("h3"), figure.all("svg")
    caption = captions[0].all("p")[0].words()
    if svg.attributes["aria-label"] != f"{title.words()}. {caption}":
        yield f"{title.words()}: its text is {svg.attributes['aria-label']}"


@pytest.fixture(scope="module", params=["folded", "decomposed", "diverged", "compared"])
def page(request, tmp_path_factory):
    if request.param == "compared":
        return compared(tmp_path_factory) / "compare.html"
    return reported(request.param, tmp_path_factory) / "report.html"


def test_every_number_is_in_the_tables(page):
    text = page.read_text(encoding="utf-8")
    assert list(faults(text, page.parent)) == []
    assert len(Page(text).root.all("data")) > 20


def test_pages_hold_numbers_of_every_sort(tmp_path_factory):
    folders = [reported(name, tmp_path_factory) for name in ("folded", "decomposed")]
    found = [
        data for folder in folders for data in Page((folder / "report.html").read_text()).root.all("data")
    ]
    assert {data.attributes.get("data-of") for data in found} >= {
        "count",
        "sum",
        "min",
        "max",
        "median",
        "distinct",
    }
    assert {data.attributes.get("data-key") for data in found} >= {"training.epochs", "training.seed"}
    assert {data.attributes["data-table"] for data in found if "data-table" in data.attributes} >= {
        *("runs", "folding", "architectures", "correlations", "folding_checks", "folding_histogram"),
        *("lmd_layers", "lmd_ranks", "lmd_dimension", "lmd_retrieval", "lmd_semantics", "example_samples"),
    }


def test_a_study_of_matrices_answers_its_question_in_place_of_medians(tmp_path_factory):
    text = (reported("decomposed", tmp_path_factory) / "report.html").read_text(encoding="utf-8")
    root = Page(text).root
    answers = [block for block in root.all("div") if block.attributes.get("class") == "answer"]
    names = ["answer-semantics", "answer-dimension", "answer-separation"]
    assert [block.attributes["id"] for block in answers] == names
    assert all(len(block.all("data")) > 10 for block in answers)
    assert not any("rank of a layer" in card.text for card in root.all("dt"))
    folded = (reported("folded", tmp_path_factory) / "report.html").read_text(encoding="utf-8")
    assert 'class="answer"' not in folded


def test_the_last_epoch_is_that_of_the_run_whatever_else_is_asked():
    """Of two layers at epochs 1 and 2 one was stable before the end, and none at the end."""
    stable = {"run": ["a"] * 4, "epoch": [1, 1, 2, 2], "layer": [0, 1, 0, 1], "stable": [True] + [False] * 3}
    numbers = Numbers(None, {"lmd_convergence": pd.DataFrame(stable)})
    conditions = {"stable": True, "epoch": "last"}, {"epoch": "last", "stable": True}
    assert [numbers.value("count", "lmd_convergence", None, where) for where in conditions] == [0, 0]


def _other_digit(found):
    return found[1] + str((int(found[2]) + 5) % 10)


NUMBER = r'(<data value=")([^"]+)("[^>]*data-of="count"[^>]*>)([^<]+)'


@pytest.mark.parametrize(
    ("pattern", "change", "words"),
    [
        (NUMBER, r"\g<1>1\g<2>\g<3>1\g<4>", "is not in the tables"),
        (NUMBER, r"\1\2\g<3>1\4", "is shown as"),
        (r'(data-row=")\d+(" data-column="pearson")', r"\g<1>0\2", "is not in the tables"),
        (r'(data-column="pearson">−?0\.\d\d)(\d)', _other_digit, "is shown as"),
        (r"<h2>What came out</h2>", "<h2>What came out</h2><p>3 of them</p>", "a number from nowhere in p"),
        (r"(<td>)trained(</td>)", r"\1initial\2", "state is no column of the CSV"),
        (r'(<svg role="img" aria-label="[^"]*)\d\.\d\d\d', r"\g<1>9.999", "its text is"),
    ],
)
def test_a_changed_number_is_found(tmp_path_factory, pattern, change, words):
    folder = reported("folded", tmp_path_factory)
    text = (folder / "report.html").read_text(encoding="utf-8")
    changed, count = re.subn(pattern, change, text, count=1)
    assert count == 1
    found = list(faults(changed, folder))
    assert any(words in fault for fault in found)


@pytest.mark.parametrize(
    ("shown", "value", "expected"),
    [
        ("0.887", 0.8874, True),
        ("0.887", 0.8876, False),
        ("−0.12", -0.1249, True),
        ("0.12", -0.12, False),
        ("238,800", 238800.0, True),
        ("6.9e-15", 6.94e-15, True),
        ("6.9e-15", 6.8e-15, False),
        ("9", 9.0, True),
        ("+0.25", 0.25, True),
    ],
)
def test_rounding(shown, value, expected):
    assert is_rounded(shown, value) == expected
