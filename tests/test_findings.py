"""The page of findings: made from what is committed, every number from a cell; and what may be kept."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spaceprobe.analysis.comparisons import (
    DIFFERS,
    INCONCLUSIVE,
    LEVEL,
    UNTESTED,
    comparison,
    holm,
    with_holm,
)
from spaceprobe.errors import SpaceprobeError
from spaceprobe.findings import kept
from spaceprobe.findings.along import Compared
from spaceprobe.findings.entry import COMPARISONS
from spaceprobe.findings.epochs import when_measured
from spaceprobe.findings.kept import FORMS, build_findings, digest_of, keep_studies, read_findings
from spaceprobe.findings.page import findings_page
from spaceprobe.findings.questions import FINDINGS
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import with_interval
from spaceprobe.report.drawing.style import render, styled
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import read_csv
from spaceprobe.study.config import load_study
from spaceprobe.study.config.finding import CI, shipped_configs
from tests.documents import ROOT
from tests.test_report_numbers import ALLOWED, Page, Tables, is_rounded

DOCS = ROOT / "docs"
HOME = DOCS / "findings"
ENTRIES = [*FINDINGS.values()]
COMMITTED = read_findings(HOME, ENTRIES)
PAGE = DOCS / "findings.md"

STUDY = """\
data: {train_images: 200}
network: {architecture: 2x3}
training: {epochs: 1}
folding: {per_class: 2, pairs: [1-7]}
study: {stages: [train, fold, summarize]}
"""


def named(finding):
    return f"{finding.entry.name}-{finding.form}"


# what is committed


def test_the_page_is_what_its_tables_say():
    """A failure means that scripts/findings.py is to be run."""
    assert PAGE.read_text(encoding="utf-8") == findings_page(COMMITTED, DOCS)


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_tables_follow_from_what_was_kept(finding):
    tables = {name: finding.tables[name] for name in finding.entry.kept}
    derived = finding.entry.derive(tables)
    assert {*finding.tables} == {*tables, *derived}
    for name, frame in derived.items():
        pd.testing.assert_frame_equal(
            frame.replace("", np.nan),
            finding.tables[name],
            check_dtype=False,
            rtol=kept.SAME_TO,
            atol=kept.SAME_TO,
        )


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_a_figure_is_of_the_tables_beside_it(finding):
    (digest,) = re.findall(
        r"<!-- drawn from tables with the SHA-256 ([0-9a-f]{64}) -->", finding.figure.read_text()
    )
    assert digest == digest_of(finding.folder)


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_a_figure_has_the_same_bytes_each_time(finding):
    def drawn():
        with styled():
            return render(finding.entry.draw(finding.tables), "svg")

    assert drawn() == drawn()


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_what_is_committed_is_small_and_says_where_it_comes_from(finding):
    assert sum(path.stat().st_size for path in finding.folder.iterdir()) < 600_000
    assert finding.provenance["study"] == finding.entry.study_of(finding.form)
    assert re.fullmatch("[0-9a-f]{40}", finding.provenance["spaceprobe"]["commit"])
    assert finding.provenance["spaceprobe"]["dirty"] is False


def test_nothing_else_is_committed():
    folders = {finding.folder for finding in COMMITTED}
    expected = {f"{name}.csv" for finding in COMMITTED for name in finding.tables}
    for path in HOME.rglob("*"):
        if path.is_file():
            assert path.parent in folders or (path.name, path.parent.name in FORMS) == (
                "provenance.json",
                True,
            )
            assert path.name in expected or path.suffix in (".svg", ".json")


def test_every_question_has_both_forms_and_was_run_in_one():
    shipped = shipped_configs()
    for entry in ENTRIES:
        assert {entry.study, entry.study + CI} <= {*shipped}
    assert {finding.entry.name for finding in COMMITTED} == {*FINDINGS}
    assert {name.removesuffix(CI) for name in shipped if name.endswith(CI)} == {e.study for e in ENTRIES}


# numbers of the page


def without_markdown(text):
    """Return a page without what may have digits: links, code, headings of names."""
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"`[^`\n]*`", "", text)


def number_faults(text, folder):
    root, tables = Page(without_markdown(text)).root, Tables(folder)
    for data in root.all("data"):
        place, value = data.attributes, float(data.attributes["value"])
        if "data-file" in place:
            found = json.loads((folder / place["data-file"]).read_text())[place["data-key"]]
            if (found[int(place["data-index"])] if "data-index" in place else found) != value:
                yield f"is not in the provenance: {place}"
        elif not tables.holds(place, value):
            yield f"is not in the tables: {place}"
        # seconds are shown in minutes
        if not is_rounded(data.text, value / 60 if place.get("data-key") == "steps_s" else value):
            yield f"{value} is shown as {data.text}"
    own = " ".join(child for child in root.children if isinstance(child, str))
    own = ALLOWED.sub("", own).replace(f"not below {LEVEL:g},", "")
    yield from (f"a number from nowhere: {number}" for number in re.findall(r"\S*\d\S*", own))


def test_every_number_is_in_a_table():
    assert [*number_faults(PAGE.read_text(encoding="utf-8"), DOCS)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r">0\.\d+</data>", ">0.5555555</data>"),
        (r'value="0\.\d+"', 'value="0.125"'),
        (r'data-row="\d+"', 'data-row="0"'),
        (r"## Width", "## Width 3"),
    ],
)
def test_a_number_that_was_typed_is_noticed(old, new):
    text, count = re.subn(old, new, PAGE.read_text(encoding="utf-8"))
    assert count
    assert [*number_faults(text, DOCS)]


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_an_answer_is_three_sentences(finding):
    says = finding.entry.says(Numbers(None, finding.tables))
    assert len(says) == 3
    for part in says:
        text = part.striptags()
        assert text.endswith(".")
        assert not re.search(r"[.?!] [A-Z]", text)
        assert "nan" not in text


# whatever came out


def changed(finding, change):
    """Return the tables that follow where those that were kept are changed."""
    tables = {name: change(finding.tables[name].copy()) for name in finding.entry.kept}
    return {**tables, **finding.entry.derive(tables)}


def one_seed(table):
    return table[table["seed"] == 0].reset_index(drop=True)


def two_seeds(table):
    return table[table["seed"] < 2].reset_index(drop=True)


SETTINGS = ("min_accuracy", "radius", "amount", "augment_share", "laplacian_ridge", "target_frequency")
"""Columns of numbers that are not measured."""

KEYS = (
    *("architecture", "response", "state", "given", "measure", "epoch", "is_last", "axis", "network"),
    *("layer", "quantity", "norm", "scaling", "first_class", "second_class"),
    *("dataset", "degree", "num_points"),
    *("attack", "paths", "transform", "step", "size", *SETTINGS),
    *("place", "separation", "rank", "num_stored"),
    *("dataset", "layers", "metric", "neighbours", "sample"),
    *("set", "points", "activation"),
)
"""The columns that tell the rows of a seed apart."""


def all_seeds_equal(table):
    # a rank or a number of points may be what was measured
    measured = {*table.select_dtypes("float")} - {*SETTINGS}
    about = [name for name in KEYS if name in table and name not in measured]
    numbers = table.select_dtypes("float").columns.difference(about)
    first = table.groupby(about, sort=False)[[*numbers]].transform("first")
    return table.assign(**{name: first[name] for name in numbers})


def a_seed_without_numbers(table):
    numbers = table.select_dtypes("float").columns.difference([*SETTINGS])
    table.loc[table["seed"] == 0, [*numbers]] = np.nan
    return table


@pytest.mark.parametrize("change", [one_seed, two_seeds, all_seeds_equal, a_seed_without_numbers])
@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_an_answer_to_poor_results(finding, change):
    """Fewer seeds than an interval takes, or some without a number: sentences and figure go without."""
    tables = changed(finding, change)
    says = finding.entry.says(Numbers(None, tables))
    assert len(says) == 3
    assert all("nan" not in part.striptags() for part in says)
    if change is not a_seed_without_numbers:
        assert {*tables[COMPARISONS]["verdict"]} == {UNTESTED}
        assert all("p = " not in part for part in says)
    with styled():
        assert finding.entry.draw(tables).axes


def test_the_full_form_is_shown_where_there_is_one(tmp_path):
    home = tmp_path / "findings"
    shutil.copytree(HOME, home)
    entry = ENTRIES[0]
    shutil.rmtree(home / entry.study / "full", ignore_errors=True)
    shutil.copytree(home / entry.study / "ci", home / entry.study / "full")
    path = home / entry.study / "full" / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"study": entry.study}))
    page = findings_page(build_findings(home, [entry]), tmp_path)
    section = page.partition(f"## {entry.title}")[2].partition("\n## ")[0]
    assert f"**The full form**: `spaceprobe run {entry.study}`" in section
    assert f"Not shown, the form for CI: `spaceprobe run {entry.study}-ci`" in section
    assert [*number_faults(page, tmp_path)] == []
    assert f"(findings/{entry.study}/full/{entry.name}/{entry.name}.svg)" in section


def test_built_again_everything_has_the_same_bytes(tmp_path):
    shutil.copytree(HOME, tmp_path / "findings")
    built = build_findings(tmp_path / "findings", ENTRIES[:1], anew=True)
    before = {path: path.read_bytes() for path in (tmp_path / "findings").rglob("*.*")}
    again = build_findings(tmp_path / "findings", ENTRIES[:1], anew=True)
    assert findings_page(again, tmp_path) == findings_page(built, tmp_path)
    assert before == {path: path.read_bytes() for path in (tmp_path / "findings").rglob("*.*")}


@pytest.mark.parametrize(("factor", "is_written"), [(1 + 1e-12, False), (1 + 1e-6, True)])
def test_what_differs_by_rounding_alone_stays(tmp_path, factor, is_written):
    """A derived table, and the figure that was drawn from it."""
    shutil.copytree(HOME, tmp_path / "findings")
    (finding, *_) = build_findings(tmp_path / "findings", ENTRIES[:1], anew=True)
    table = finding.folder / "comparisons.csv"
    committed = table.read_bytes()
    frame = read_csv(table)
    frame["p"] *= factor
    frame.to_csv(table, index=False, lineterminator="\n")
    changed = table.read_bytes()
    build_findings(tmp_path / "findings", ENTRIES[:1])
    assert table.read_bytes() == (committed if is_written else changed)
    assert digest_of(finding.folder).encode() in finding.figure.read_bytes()


def test_a_finding_without_results_is_an_error(tmp_path):
    first = ENTRIES[0]
    message = f"kept of the finding {first.name}; run `spaceprobe run {first.study}-ci`"
    with pytest.raises(SpaceprobeError, match=message):
        build_findings(tmp_path, ENTRIES)


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_a_damaged_provenance(tmp_path, text):
    shutil.copytree(HOME, tmp_path / "findings")
    for path in (tmp_path / "findings").rglob("provenance.json"):
        path.write_text(text, encoding="latin-1")
    with pytest.raises(
        SpaceprobeError, match=r"provenance.json: cannot be read \(.*\); keep the study again"
    ):
        read_findings(tmp_path / "findings", ENTRIES)


def test_a_provenance_without_epochs(tmp_path):
    shutil.copytree(HOME, tmp_path / "findings")
    for path in (tmp_path / "findings").rglob("provenance.json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({key: facts[key] for key in facts if key not in ("epochs", "seeds")}))
    with pytest.raises(SpaceprobeError, match=r"provenance.json: lacks epochs, seeds; keep the study again"):
        read_findings(tmp_path / "findings", ENTRIES)


@pytest.mark.parametrize("finding", COMMITTED, ids=named)
def test_epochs_and_seeds_are_those_of_the_tables(finding):
    facts = finding.provenance
    assert len(facts["seeds"]) == facts["num_seeds"]
    for frame in finding.tables.values():
        if "epoch" in frame:
            assert {*frame["epoch"].dropna()} <= {*facts["epochs"]}
        if "seed" in frame:
            assert {*frame["seed"].dropna()} <= {*facts["seeds"]}


@pytest.mark.parametrize(
    ("name", "epochs", "seeds"),
    [
        ("lmd-folding", [0, 1, 5, 20], [*range(10)]),  # with snapshots
        ("depth-factors-ci", [0, 1, 20], [0, 1, 2]),  # trainings of different lengths
        ("sampling-points-ci", [3], [0, 1, 2]),  # the last one alone
    ],
)
def test_epochs_and_seeds_of_shipped_studies(name, epochs, seeds):
    assert when_measured(load_study(shipped_configs()[name])) == {"epochs": epochs, "seeds": seeds}


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"epochs": [0, 30], "seeds": [*range(10)]}, "(0 to 9), measured untrained and after epoch 30;"),
        ({"epochs": [0, 2, 6], "seeds": [3, 5]}, "(3 and 5), measured untrained and after epochs 2 and 6;"),
        ({"epochs": [3], "seeds": [0]}, "(0), measured after epoch 3;"),
        ({"epochs": [0], "seeds": [0, 1, 7]}, "(0, 1 and 7), measured untrained;"),
    ],
)
def test_a_section_says_when_it_was_measured(facts, text):
    finding = replace(COMMITTED[0], provenance={**COMMITTED[0].provenance, **facts})
    assert text in re.sub("<[^>]*>", "", findings_page([finding], DOCS))


# what is kept of a study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def tiny(study, monkeypatch):
    """A finding of a small study that is shipped in this test."""
    monkeypatch.setattr(kept, "shipped_configs", lambda: {"tiny": study})
    return replace(
        FINDINGS["width"],
        name="tiny",
        study="tiny",
        keep=lambda results: {"networks": results.frames["aggregates"][["run", "seed", "state", "chi_max"]]},
    )


def test_a_study_is_kept_whole(tiny, finished, tmp_path):
    (tmp_path / "tiny" / "full" / "old").mkdir(parents=True)
    (tmp_path / "tiny" / "full" / "old" / "old.csv").write_text("a\n")
    (tmp_path / "tiny" / "ci").mkdir()
    (tmp_path / "tiny" / "ci" / "other.csv").write_text("a\n")
    (folder,) = keep_studies(["tiny"], finished, tmp_path, [tiny])
    assert folder == tmp_path / "tiny" / "full"
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert files == {"tiny/full/provenance.json", "tiny/full/tiny/networks.csv", "tiny/ci/other.csv"}
    frame = read_csv(folder / "tiny" / "networks.csv")
    aggregates = read_csv(finished / "tiny" / "aggregates.csv")
    assert frame.equals(aggregates[["run", "seed", "state", "chi_max"]])
    facts = json.loads((folder / "provenance.json").read_text())
    assert (facts["study"], facts["num_runs"], facts["num_seeds"]) == ("tiny", 1, 1)
    assert (facts["epochs"], facts["seeds"]) == ([0, 1], [0])  # untrained, and its one epoch
    timings = read_csv(finished / "tiny" / "timings.csv")
    assert math.isclose(facts["steps_s"], timings["duration_s"].sum(), abs_tol=0.051)  # rounded to a tenth
    assert "hostname" not in json.dumps(facts)


def test_a_stop_in_the_middle_leaves_nothing_that_counts(tiny, finished, tmp_path, monkeypatch):
    keep_studies(["tiny"], finished, tmp_path, [tiny])

    def stop(path, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "write_csv", stop)
    with pytest.raises(KeyboardInterrupt):
        keep_studies(["tiny"], finished, tmp_path, [tiny])
    with pytest.raises(SpaceprobeError, match="nothing is kept of the finding tiny"):
        read_findings(tmp_path, [tiny])


def test_a_study_that_is_not_kept_leaves_those_before_it(tiny, finished, tmp_path):
    (folder,) = keep_studies(["tiny"], finished, tmp_path, [tiny])
    committed = {path: path.read_bytes() for path in folder.rglob("*.*")}
    drawn = folder / "tiny" / "means.csv"
    drawn.write_text("a\n")  # derived, which writing would remove
    with pytest.raises(SpaceprobeError, match="quickstart: no finding is of this study"):
        keep_studies(["tiny", "quickstart"], finished, tmp_path, [tiny])
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path != drawn} == committed
    assert drawn.exists()


def test_a_study_with_other_settings_is_not_kept(tiny, finished, tmp_path, study, monkeypatch):
    other = tmp_path / "tiny.yaml"
    other.write_text(study.read_text().replace("epochs: 1", "epochs: 2"))
    monkeypatch.setattr(kept, "shipped_configs", lambda: {"tiny": other})
    with pytest.raises(SpaceprobeError, match="was run with other settings than the shipped tiny has"):
        keep_studies(["tiny"], finished, tmp_path, [tiny])
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: edit(folder / "runs.csv", ",done,", ",failed,"),
            "0 of 1 runs are done; `spaceprobe run tiny`",
        ),
        (lambda folder: (folder / "correlations.csv").unlink(), "the stage summarize is not done yet"),
    ],
)
def test_a_study_that_did_not_end_is_not_kept(tiny, copied, tmp_path, change, message):
    change(copied / "tiny")
    with pytest.raises(SpaceprobeError, match=message):
        keep_studies(["tiny"], copied, tmp_path, [tiny])
    assert not (tmp_path / "tiny").exists()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", ["quickstart", "nope", "tiny-ci-ci", ""])
def test_a_study_without_a_finding(tiny, finished, tmp_path, name):
    with pytest.raises(SpaceprobeError, match=rf"^{re.escape(name)}: no finding is of this study"):
        keep_studies([name], finished, tmp_path, [tiny])


def test_a_study_that_was_not_started(tiny, tmp_path):
    with pytest.raises(SpaceprobeError, match="so no study was started there"):
        keep_studies(["tiny"], tmp_path, tmp_path, [tiny])


def test_a_declaration_that_keeps_something_else(tiny, finished, tmp_path):
    with pytest.raises(ValueError, match=r"keeps \['networks'\], but declares \['other'\]"):
        keep_studies(["tiny"], finished, tmp_path, [replace(tiny, kept=("other",))])


# comparisons


def test_a_comparison_is_students():
    values = [0.1, 0.3, 0.2, 0.6, math.nan]
    row = comparison(values)
    test = stats.ttest_1samp(values[:4], 0)
    assert (row["difference"], row["num_seeds"], row["note"]) == (
        pytest.approx(0.3),
        4,
        "1 of 5 seeds left out",
    )
    assert row["p"] == pytest.approx(test.pvalue, rel=kept.SAME_TO)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)), rel=kept.SAME_TO)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no seed has a value"),
        ([0.1, 0.2], "2 seeds: an interval needs 3"),
        ([0.5] * 4, "all 4 seeds are equal: no interval"),
        ([math.nan] * 3, "3 of 3 seeds left out; no seed has a value"),
        ([math.inf, 1.0, 2.0], "1 of 3 seeds left out; 2 seeds: an interval needs 3"),
    ],
)
def test_what_cannot_be_tested(values, note):
    row = comparison(values)
    assert row["note"] == note
    assert math.isnan(row["p"])


def literal_holm(p_values):
    """Return whether each is rejected at a level, for many levels: the method as Holm states it."""
    corrected = []
    for p in p_values:
        levels = np.linspace(0, 1, 1001)
        first = next((level for level in levels if rejected(p_values, p, level)), 1.0)
        corrected.append(first)
    return np.array(corrected)


def rejected(p_values, p, level):
    ordered = sorted(p_values)
    for number, each in enumerate(ordered):
        if each * (len(ordered) - number) > level:
            return False
        if each == p:
            return True
    return False


P_VALUES = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=6, unique=True)


@given(P_VALUES)
def test_holm_is_the_method_as_it_is_stated(p_values):
    step = 1 / 1000  # of the literal one
    assert np.abs(holm(np.array(p_values)) - literal_holm(p_values)).max() <= step + kept.SAME_TO


@given(P_VALUES, st.randoms())
def test_holm_does_not_depend_on_the_order(p_values, source):
    order = [*range(len(p_values))]
    source.shuffle(order)
    values = np.array(p_values)
    assert np.array_equal(holm(values)[order], holm(values[order]))
    assert (holm(values) >= values).all()
    assert (holm(values) <= np.minimum(1, values * len(values))).all()


def test_what_was_not_tested_counts_for_nothing():
    assert holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_a_verdict_is_that_of_the_corrected_p_value():
    rows = [{"of": name} | comparison(values) for name, values in SAMPLES.items()]
    table = with_holm(rows)
    assert [*table.columns[:2]] == ["of", "difference"]
    assert [*table["verdict"]] == [DIFFERS, INCONCLUSIVE, INCONCLUSIVE, UNTESTED]
    assert LEVEL / 2 < table["p"][1] < LEVEL < table["p_holm"][1]  # the only one that the correction changes


SAMPLES = {
    "sure": [1.0, 1.1, 0.9, 1.05],
    "just": [1.0, 2.6, 1.9, 0.6],
    "noise": [-1.0, 0.9, 0.2, 0.1],
    "one seed": [1.0],
}


def test_seeds_are_paired_by_their_number():
    first = pd.DataFrame({"seed": [2, 0, 1], "x": [0.2, 0.0, 0.1]})
    second = pd.DataFrame({"seed": [0, 1, 3], "x": [1.0, 2.0, 9.0]})
    assert seed_differences(first, second, "x") == pytest.approx([1.0, 1.9])
    with pytest.raises(ValueError, match="x: expected each seed once"):
        seed_differences(first.assign(seed=0), second, "x")


def test_the_script_says_what_is_wrong_in_one_sentence(tmp_path, monkeypatch):
    import findings  # of scripts

    monkeypatch.setattr("sys.argv", ["findings.py", "nope", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^Error: nope: no finding is of this study") as caught:
        findings.main()
    assert caught.value.code != 0


def test_the_script_writes_what_is_committed(tmp_path, monkeypatch, capsys):
    import findings

    shutil.copytree(HOME, tmp_path / "findings")
    monkeypatch.setattr(findings, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["findings.py"])
    findings.main()
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "findings.md"
    assert (tmp_path / "findings.md").read_bytes() == PAGE.read_bytes()


NETWORKS = pd.DataFrame(
    {
        "architecture": ["2x3", "2x3", "2x9", "2x9"] * 2,
        "seed": [0, 1, 1, 0] * 2,
        "state": ["trained"] * 4 + ["difference"] * 4,
        "chi_max": [0.1, 0.2, 0.5, 0.3, 0.01, 0.02, 0.04, 0.08],
    }
)


def test_architectures_are_compared_seed_by_seed():
    assert Compared("chi_max", "trained", "2x3", "2x9").differences(NETWORKS) == pytest.approx([0.2, 0.3])
    assert Compared("chi_max", "difference", "2x3", "2x9").differences(NETWORKS) == pytest.approx(
        [0.07, 0.02]
    )
    assert Compared("chi_max", "difference", "2x9", "2x9").differences(NETWORKS) == [0.04, 0.08]
    with pytest.raises(ValueError, match="2x3 is compared with itself, expected the state difference"):
        Compared("chi_max", "trained", "2x3", "2x3").differences(NETWORKS)


def test_an_interval_has_the_decimals_that_tell_its_ends_apart():
    frame = pd.DataFrame(
        {"mean": [-0.00058, 0.25, 0.1], "low": [-0.00077, 0.1, np.nan], "high": [-0.00039, 0.4, np.nan]}
    )
    numbers = Numbers(None, {"means": frame})

    shown = [re.sub("<[^>]*>", "", with_interval(numbers, "means", row, "mean", "+.3f")) for row in range(3)]

    assert shown == ["−0.00058 [−0.00077, −0.00039]", "+0.250 [+0.100, +0.400]", "+0.100"]
