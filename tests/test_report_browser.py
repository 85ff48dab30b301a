"""Pages in a real browser: nothing is fetched, tables work without a mouse, all can be read by all."""

import csv
import re
import shutil

import pytest

from tests.report_studies import PAPER_WIDTH, compared, opened_browser, reported

playwright = pytest.importorskip("playwright.sync_api")

NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1200, "height": 900}
PAGES = ("folded", "decomposed", "diverged", "compared")

LINE_CONTRAST = 3.0
"""WCAG 2.2, 1.4.11: of what is needed to understand a graphic."""

TEXT_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3."""

DARKER_THAN = 0.2
"""Of white's luminance: chosen; what is darker is a dark page."""

PATIENCE_MS = 10_000
"""Chosen: a busy machine takes long to draw a page."""

ROUNDING = 1
"""CSS pixels: browsers round the places of boxes."""


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as found:
        yield found


@pytest.fixture(params=PAGES)
def file(request, tmp_path_factory):
    return _file(request.param, tmp_path_factory)


def _file(name, factory):
    if name == "compared":
        return compared(factory) / "compare.html"
    return reported(name, factory) / "report.html"


class Opened:
    """A page in a tab of its own, and all that it says and asks for."""

    def __init__(self, browser, file, scheme="light", viewport=WIDE):
        self.context = browser.new_context(
            color_scheme=scheme, viewport=viewport, reduced_motion="reduce", offline=True
        )
        self.messages, self.requests, self.dialogs = [], [], []
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.failures = {}
        self.page.on("requestfailed", lambda request: self.failures.update({request.url: request.failure}))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._dismiss)
        self.uri = file.absolute().as_uri()
        self.page.goto(self.uri)

    def _dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def opened(browser):
    """Opens pages that are closed at the end."""
    contexts = []

    def opening(file, **options):
        found = Opened(browser, file, **options)
        contexts.append(found.context)
        return found

    yield opening
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shared(browser):
    """Opens pages that tests only look at, each once."""
    known = {}

    def opening(file, scheme="light", viewport=WIDE):
        key = (file, scheme, viewport["width"])
        if key not in known:
            known[key] = Opened(browser, file, scheme, viewport)
        return known[key]

    yield opening
    for found in known.values():
        found.context.close()


def test_nothing_is_said_and_nothing_is_fetched(shared, file):
    found = shared(file)
    assert found.messages == []
    assert found.requests == [found.uri]
    links = found.page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    assert links
    for link in links:
        if link.startswith("#"):
            assert found.page.locator(link).count() == 1
        else:
            assert (file.parent / link).is_file()


def test_every_drawing_has_a_size_and_a_text(shared, file):
    page = shared(file).page
    drawings = page.eval_on_selector_all(
        "svg[role=img], img",
        "all => all.map(e => { const {width, height} = e.getBoundingClientRect();"
        " return {width, height, words: e.getAttribute('aria-label') ?? e.alt}; })",
    )
    assert len(drawings) == page.locator("figure .drawing").count() > 2
    for drawing in drawings:
        assert min(drawing["width"], drawing["height"]) > 50
        assert len(drawing["words"]) > 10
    names = page.get_by_role("img").count()
    assert names == len(drawings)  # what is inside of a drawing is no drawing of its own


AXE_VIEWS = {
    "light": ("folded", "light", WIDE),
    "dark": ("folded", "dark", WIDE),
    "narrow": ("folded", "light", NARROW),
    "matrices": ("decomposed", "dark", NARROW),
    "failures": ("diverged", "dark", WIDE),
    "comparison": ("compared", "light", WIDE),
}


@pytest.mark.parametrize("view", AXE_VIEWS)
def test_axe_finds_nothing(opened, tmp_path_factory, view):
    from axe_playwright_python.sync_playwright import Axe

    name, scheme, viewport = AXE_VIEWS[view]
    page = opened(_file(name, tmp_path_factory), scheme=scheme, viewport=viewport).page
    # What is inside of a drawing is not read out, and takes axe minutes.
    page.evaluate("for (const e of document.querySelectorAll('svg[role=img]')) e.replaceChildren()")
    found = Axe().run(page).response["violations"]
    faults = [f"{fault['id']}: {node['html'][:200]}" for fault in found for node in fault["nodes"]]
    assert faults == []


def _cells(page, table, column):
    """Return a column as it stands, None for what is empty."""
    heads = page.locator(f"#{table} th").all_inner_texts()
    number = next(number for number, head in enumerate(heads) if head.strip() == column)
    return page.eval_on_selector_all(
        f"#{table} tbody tr:not([hidden])",
        "(rows, number) => rows.map(row => {"
        " const cell = row.cells[number], data = cell.querySelector('data');"
        " return data ? Number(data.value) : cell.textContent === '–' ? null : cell.textContent; })",
        number,
    )


def _sorted(values, *, down):
    there = sorted((value for value in values if value is not None), reverse=down)
    return there + [None] * (len(values) - len(there))


def _sorts(page, table):
    heads = page.locator(f"#{table} th")
    return {head.inner_text().strip(): head.get_attribute("aria-sort") for head in heads.all()}


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("folded", "table-architectures", "largest χ"),
        ("folded", "table-architectures", "architecture"),
        ("diverged", "table-runs", "test accuracy"),
        ("diverged", "table-runs", "error"),
        ("diverged", "table-architectures", "row maxima of χ"),
    ],
)
@pytest.mark.parametrize("hand", ["pointer", "keyboard"])
def test_tables_sort_both_ways(opened, tmp_path_factory, name, table, column, hand):
    page = opened(_file(name, tmp_path_factory)).page
    button = page.locator(f"#{table}").get_by_role("button", name=column, exact=True)
    before = _cells(page, table, column)
    assert len(before) > 1
    assert set(_sorts(page, table).values()) == {None}
    for number, way in enumerate(["ascending", "descending", "ascending"]):
        if hand == "pointer":
            button.click()
        else:
            if number == 0:
                _tab_to(page, f"#{table} input", button)
            page.keyboard.press("Enter" if number else "Space")
        assert _cells(page, table, column) == _sorted(before, down=way == "descending")
        assert {head: sort for head, sort in _sorts(page, table).items() if sort} == {column: way}


def _tab_to(page, start, target):
    """Go from a field to a button with nothing but the key that does so."""
    page.focus(start)
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("button => button === document.activeElement"):
            return
    pytest.fail(f"{target} is not reached")


def test_rows_stay_whole(opened, tmp_path_factory):
    file = _file("folded", tmp_path_factory)
    page = opened(file).page
    page.locator("#table-runs").get_by_role("button", name="test accuracy", exact=True).click()
    with (file.parent / "runs.csv").open(newline="") as rows:
        expected = {row["run"]: float(row["test_accuracy"]) for row in csv.DictReader(rows)}
    columns = [_cells(page, "table-runs", column) for column in ("run", "test accuracy")]
    assert dict(zip(*columns, strict=True)) == expected


def test_a_table_filters_by_what_is_typed(opened, tmp_path_factory):
    page = opened(_file("folded", tmp_path_factory)).page
    block = page.locator("#table-architectures")
    field, status, rows = block.get_by_label("Filter"), block.get_by_role("status"), block.locator("tbody tr")
    assert (rows.count(), status.inner_text()) == (9, "")
    field.focus()
    page.keyboard.type("TRAINED 3x6")
    shown = [row.inner_text() for row in rows.all() if row.is_visible()]
    assert len(shown) == 2  # the difference has the accuracy of the trained network, and says so
    assert re.match(r"trained\s+3x6\s", shown[0])
    assert re.match(r"difference\s+3x6\s", shown[1])
    assert status.inner_text() == "2 of 9 rows"
    for text, num_rows in (("x6", 3), ("rained", 0), ("UNTRAINED", 3)):
        field.fill(text)  # a word matches where it begins
        assert status.inner_text() == f"{num_rows} of 9 rows"
    field.fill("trained 3x6")
    page.locator("#table-architectures th button").first.click()  # sorting keeps what is hidden
    assert sum(row.is_visible() for row in rows.all()) == 2
    field.focus()
    page.keyboard.type(" nowhere")
    assert status.inner_text() == "0 of 9 rows"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    assert sum(row.is_visible() for row in rows.all()) == 9
    assert status.inner_text() == ""
    assert status.get_attribute("role") == "status"


CUT = """() => {
  const cut = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.data.trim() || node.parentElement.closest("script, .skip, svg, [hidden]")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const inner = node.parentElement.closest(".scroll, pre");
    const limit = inner ? Infinity : innerWidth;
    for (const box of range.getClientRects())
      if (box.left < -1 || box.right > limit + 1) cut.push(node.data.trim().slice(0, 80));
    for (let e = node.parentElement; e && e !== inner; e = e.parentElement)
      if (getComputedStyle(e).overflowX === "hidden") cut.push("hidden: " + node.data.trim().slice(0, 80));
  }
  return cut;
}"""


def test_a_narrow_screen_scrolls_one_way_and_cuts_no_word(shared, file):
    page = shared(file, viewport=NARROW).page
    assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"] + ROUNDING
    assert page.evaluate(CUT) == []
    for block in page.locator(".scroll, .drawing").all():  # what is wider can be scrolled, and by keyboard
        assert block.evaluate("e => getComputedStyle(e).overflowX") == "auto"
        assert block.get_attribute("tabindex") == "0"


def _luminance(color):
    """Return the relative luminance of `rgb(...)`; WCAG 2.2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one, other):
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


COLORS = """() => {
  const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
  return {page: of("body", "backgroundColor"), paper: of("figure", "backgroundColor"),
          ink: of("body", "color"), muted: of(".brand", "color"), link: of("nav a", "color")};
}"""

LINES = """() => {
  const grid = document.createElement("i");
  grid.style.color = "var(--grid)";
  document.body.append(grid);
  const isGrid = getComputedStyle(grid).color, found = new Set();
  grid.remove();
  for (const figure of document.querySelectorAll("figure")) {
    if (/plane|class-pairs/.test(figure.id)) continue;  // lines there lie on colours, not on paper
    for (const e of figure.querySelectorAll("svg path, svg use")) {
      const stroke = getComputedStyle(e).stroke;
      if (stroke !== "none" && stroke !== isGrid) found.add(figure.id + " " + stroke);
    }
  }
  return [...found];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(shared, file, scheme):
    page = shared(file, scheme=scheme).page
    colors = page.evaluate(COLORS)
    assert (_luminance(colors["page"]) < DARKER_THAN) == (scheme == "dark")
    assert (_luminance(colors["ink"]) < DARKER_THAN) == (scheme == "light")
    for ground in ("page", "paper"):
        for words in ("ink", "muted", "link"):
            assert _contrast(colors[words], colors[ground]) >= TEXT_CONTRAST
    lines = page.evaluate(LINES)
    assert len(lines) > 1
    faint = [line for line in lines if _contrast(line.partition(" ")[2], colors["paper"]) < LINE_CONTRAST]
    assert faint == []


def test_focus_is_seen_and_the_menu_can_be_left_out(opened, file):
    page = opened(file).page
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    box = skip.bounding_box()
    assert skip.evaluate("link => link === document.activeElement")
    assert box["x"] >= 0
    assert box["y"] >= 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('nav') !== null")
    outline = page.evaluate(
        "(({outlineStyle, outlineWidth, outlineColor}) => ({outlineStyle, outlineWidth, outlineColor}))"
        "(getComputedStyle(document.activeElement))"
    )
    assert outline["outlineStyle"] == "solid"
    assert outline["outlineWidth"] == "3px"
    assert _contrast(outline["outlineColor"], page.evaluate(COLORS)["page"]) >= LINE_CONTRAST
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_on_paper_nothing_is_cut(opened, file):
    page = opened(file, scheme="dark", viewport={"width": PAPER_WIDTH, "height": 1000}).page
    page.emulate_media(media="print")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PAPER_WIDTH + ROUNDING
    assert _luminance(page.evaluate(COLORS)["ink"]) < DARKER_THAN
    for block in page.locator(".scroll").all():
        sizes = block.evaluate("e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]")
        assert max(sizes) <= ROUNDING
        assert block.evaluate("e => getComputedStyle(e).maxHeight") == "none"
    drawings = page.eval_on_selector_all(
        "svg[role=img]", "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert max(drawings) <= PAPER_WIDTH
    assert not page.locator("nav").is_visible()
    if page.locator("details").count():
        assert page.locator("details pre").bounding_box()["height"] > 100


def test_without_scripts_tables_are_plain(browser, tmp_path_factory):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(_file("folded", tmp_path_factory).as_uri())
    assert page.locator("#table-runs tbody tr").count() == 6
    assert page.locator(".tools").first.is_hidden()
    assert page.locator("th button").count() == 0
    context.close()


def test_a_script_that_got_into_a_page_does_not_run(opened, tmp_path_factory, tmp_path):
    file = tmp_path / "report.html"
    text = _file("folded", tmp_path_factory).read_text(encoding="utf-8")
    harm = '<script>document.title = "harmed"</script><img src="x" onerror="document.title = \'harmed\'">'
    harm += '<img src="https://example.org/x.png"><iframe src="https://example.org"></iframe>'
    file.write_text(text.replace("</main>", harm + "</main>"), encoding="utf-8")
    found = opened(file)
    assert found.page.title() == "folded · spaceprobe"
    assert sum("Content Security Policy" in message for message in found.messages) >= 3
    assert found.page.locator("th button").count() > 0  # our own does run
    assert {found.failures[url] for url in found.requests[1:]} <= {"csp"}


NAME = "x\"><img src=q onerror=alert(1)>&'b"
PARENT = 'a"><script>alert(1)<'
ERROR = "</td></table><script>alert(2)</script><b onclick='alert(3)'>{{ 7 * 7 }} &lt; \"$x$\""


@pytest.fixture(scope="module")
def harmful(tmp_path_factory):
    """A study whose path, settings, errors and command line hold markup; a name cannot."""
    from tests.commands import call

    folder = tmp_path_factory.mktemp("harm") / PARENT / "script>" / NAME / "harmful"
    shutil.copytree(reported("diverged", tmp_path_factory), folder)
    (folder / "report.html").unlink()
    for name, old, new in (
        (
            "runs.csv",
            "training diverged: the loss, its gradient or a weight is not finite",
            ERROR.replace('"', '""'),
        ),
        ("provenance.json", '"command": [', '"command": ["' + ERROR.replace('"', '\\"') + '", '),
        ("study.yaml", "prologue: []", "prologue: ['" + ERROR.replace("'", "''") + "']"),
    ):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        if name == "runs.csv":
            text = re.sub('"' + re.escape(old) + r"[^\n]*", lambda _, new=new: f'"{new}"', text)
        path.write_text(text.replace(old, new), encoding="utf-8")
    outcome = call("report", folder)
    assert outcome.exit_code == 0, outcome.output
    other = call("compare", folder, reported("folded", tmp_path_factory), "--out", folder / "compare")
    assert other.exit_code == 0, other.output
    return folder


@pytest.mark.parametrize("name", ["report.html", "compare/compare.html"])
def test_markup_in_names_and_errors_does_no_harm(opened, harmful, name):
    found = opened(harmful / name)
    found.page.locator("h1").click()
    assert found.dialogs == []
    assert found.messages == []
    assert found.requests == [found.uri]
    assert found.page.locator("script").count() == 1
    assert found.page.locator("img, iframe, b").count() == 0
    if name == "compare/compare.html":
        assert str(harmful) in found.page.locator("#numbers > p").text_content()
        assert "alert(2)" in found.page.locator("#asked").text_content()
    if name == "report.html":
        assert ERROR in found.page.locator("#table-runs").inner_text()
        assert ERROR in found.page.locator("dl.facts").text_content()
        assert ERROR.replace("'", "''") in found.page.locator("details pre").text_content()
        assert found.page.locator("#table-runs th button").count() > 5


def test_a_name_that_holds_markup_is_refused(harmful, tmp_path):
    from tests.commands import call

    shutil.copytree(harmful, tmp_path / NAME)
    outcome = call("report", tmp_path / NAME)
    assert outcome.exit_code == 2
    assert "as the study's name, allowed: letters, digits" in outcome.stderr
