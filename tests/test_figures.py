"""Figures of whole tables, of tables that lack something, and the numbers that they draw."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

import spaceprobe.report.figures as figures
from spaceprobe.analysis.aggregates import aggregate_runs
from spaceprobe.results.groups import MAX_GROUPS, choose, rows_by_group
from spaceprobe.stages import TABLES
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import TRAINED, UNTRAINED
from tests.figure_tables import FIGURES, as_read, make_tables, words_of

STRANGE = r"""<script>"'&$x^{$ \$ 数"""
TALLEST = 22.0
"""Inches: two pages."""

each_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


def titles_of(figure):
    root = ElementTree.fromstring(figures.render(figure, "svg"))
    return [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]


def seen(figure):
    """Return the words of a figure that has been rendered, with warnings as errors, and fits two pages."""
    ElementTree.fromstring(figures.render(figure, "svg"))
    assert figure.get_figheight() <= TALLEST
    return words_of(figure)


@pytest.fixture(scope="module")
def tables():
    return make_tables()


@pytest.fixture(scope="module")
def many():
    return make_tables([f"{depth}x{width}" for depth in (1, 2) for width in range(4, 104)], seeds=(0,))


def test_every_public_figure_is_tried_here():
    drawn = {*FIGURES, "path_figure", "plane_figure", "sampling_figure"}
    assert drawn | {"FORMATS", "render"} == {*figures.__all__}
    assert all(getattr(figures, name) is function for name, function in figures.FUNCTIONS.items())
    with pytest.raises(AttributeError, match="no attribute 'no_figure'"):
        figures.no_figure  # noqa: B018  # the access is what is tried


@each_figure
def test_whole_tables(draw, tables):
    assert "was measured" not in seen(draw(tables))


@each_figure
def test_empty_tables_say_what_is_missing(draw, tables):
    empty = {name: as_read(table.iloc[:0]) for name, table in tables.items()}
    words = seen(draw({**empty, "runs": tables["runs"]}))
    assert re.search(r"no .* (was measured|was noted|networks was measured)|no rank by", words)
    assert re.search(r"\bno\b|the same in all", seen(draw(empty)))


@each_figure
@pytest.mark.parametrize(
    "study",
    [{"seeds": (0,)}, {"architectures": ("2x6",)}, {"architectures": ("2x6",), "seeds": (0,)}],
    ids=["one seed", "one architecture", "one run"],
)
def test_small_studies(draw, study):
    seen(draw(make_tables(**study)))


@each_figure
def test_columns_without_any_number(draw, tables):
    keys = {
        "depth",
        "width",
        "seed",
        "num_pairs",
        "run",
        "epoch",
        "layer",
        "index",
        "axis",
        "source_class",
        "target_class",
        "low",
        "high",
        "noise",
    }
    emptied = {"runs": tables["runs"]}
    for name, table in tables.items():
        if name != "runs":
            values = [c for c in table.select_dtypes("number").columns if c not in keys]
            emptied[name] = as_read(table.assign(**dict.fromkeys(values, np.nan)))
    seen(draw(emptied))


@each_figure
def test_runs_that_failed_are_left_out_and_counted(draw, tables):
    is_first = tables["runs"].index == 0
    failed = {"status": "failed", "error": "diverged"}
    runs = tables["runs"].assign(
        **{name: np.where(is_first, value, tables["runs"][name]) for name, value in failed.items()},
        test_accuracy=tables["runs"]["test_accuracy"].mask(is_first),
    )
    words = seen(draw({**tables, "runs": runs}))
    assert "1 of 6 runs failed and are left out" in words.replace("\n", " ")
    first = runs["run"][0]
    rest = {name: table[table["run"] != first] if "run" in table else table for name, table in tables.items()}
    drawn, alone = (titles_of(draw(frames)) for frames in ({**tables, "runs": runs}, rest))
    assert drawn == alone


@each_figure
def test_no_run_is_done(draw, tables):
    words = seen(draw({**tables, "runs": tables["runs"].assign(status="failed", test_accuracy=np.nan)}))
    assert "6 of 6 runs failed" in words.replace("\n", " ")


@each_figure
def test_text_of_settings_is_shown_as_it_is(draw):
    tables = make_tables(architectures=("2x6", "3x4"), seeds=(0, 1), schedule=(STRANGE, "b"))
    figure = draw(tables)
    words = seen(figure)
    assert not re.search(r"(?<!\\)\$", words)  # none begins a formula
    assert b"<script" not in figures.render(figure, "svg")
    if "schedule" in words:
        assert "<scri" in words  # long names are cut


@each_figure
def test_two_hundred_groups_are_thinned_out(draw, many):
    words = seen(draw(many))
    along_an_axis = FIGURES["folding_against"], FIGURES["folding_beside_null"]
    is_all_drawn = draw in (
        *(*along_an_axis, FIGURES["ranks_against_functional"], FIGURES["gap_by_measure"]),
    )
    assert ("of 200 groups" in words) != is_all_drawn


def test_groups_are_the_first_the_last_and_some_between():
    tables = make_tables([f"{depth}x5" for depth in range(1, 31)], seeds=(0,))
    grouped = rows_by_group(tables["runs"], tables["training"], "training")
    assert grouped.groups == ["1x5", "5x5", "9x5", "13x5", "18x5", "22x5", "26x5", "30x5"]
    assert {*grouped.rows["group"]} == {*grouped.groups}
    assert len(choose(range(100), MAX_GROUPS)) == MAX_GROUPS


def test_points_have_the_aggregates_as_titles(tables):
    aggregates = tables["aggregates"].assign(chi_row_max_median=0.1)
    first = (aggregates["run"] == tables["runs"]["run"][0]) & (aggregates["state"] == TRAINED)
    aggregates.loc[first, "chi_row_max_median"] = 0.2284
    titles = titles_of(figures.folding_against(tables["runs"], aggregates))
    assert titles.count("2x6 · seed 0, trained: 0.228") == 1
    assert titles.count("2x6 · seed 0, untrained: 0.1") == 1
    assert len(titles) == 3 * 2 * 6  # responses, states, runs


def test_lines_join_means_and_bars_are_t_intervals_over_seeds(tables):
    values = dict(zip(tables["runs"]["run"], (0.2, 0.3, 0.4, 0.5, 0.5, 0.5), strict=True))
    aggregates = tables["aggregates"].assign(chi_row_max_median=tables["aggregates"]["run"].map(values))
    axes = figures.folding_against(tables["runs"], aggregates).axes[0]
    _, trained = axes.containers
    assert trained.lines[0].get_ydata().tolist() == pytest.approx([0.3, 0.5])
    low, high = trained.lines[2][0].get_segments()[0][:, 1]
    # Of a share, so around the logit of 0.3; a margin of the mean divided by 0.3 × 0.7.
    center, margin = np.log(0.3 / 0.7), 4.302653 * 0.1 / 3**0.5 / 0.21
    expected = [1 / (1 + np.exp(-center - sign * margin)) for sign in (-1, 1)]
    assert (low, high) == pytest.approx(expected, abs=1e-6)
    low, high = trained.lines[2][0].get_segments()[1][:, 1]
    assert low == high == 0.5  # three equal seeds have no interval


def test_untrained_networks_are_drawn_once_and_not_along_what_only_training_has():
    """Two architectures × two rates × three seeds: twelve trained networks, six untrained ones."""
    tables = make_tables(("2x6", "3x4"), learning_rate=(0.001, 0.01))
    first = tables["aggregates"].groupby(["architecture", "seed", "state"])["chi_max"].transform("first")
    tables["aggregates"]["chi_max"] = first
    titles = titles_of(figures.folding_against(tables["runs"], tables["aggregates"]))
    assert sum("untrained" in title for title in titles) == 3 * 6
    assert len(titles) == 3 * (6 + 12)
    figure = figures.folding_against(tables["runs"], tables["aggregates"], axis="learning_rate")
    assert not any("untrained" in title for title in titles_of(figure))


def test_no_axis_leaves_the_range_of_a_share(tables):
    aggregates = tables["aggregates"].assign(chi_folded_mean=0.99)
    figure = figures.folding_against(tables["runs"], aggregates)
    for axes in figure.axes:
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] <= 1


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("momentum", "this study sweeps no momentum"),
        ("width", "width is the same in all runs that are done"),
        ("name", "name is not a number"),
    ],
)
def test_an_axis_that_cannot_be(axis, words):
    tables = make_tables(("2x6", "3x6"), name=("a", "b"))
    figure = figures.folding_against(tables["runs"], tables["aggregates"], axis=axis)
    assert words in seen(figure)
    assert len(figure.axes) == 1


def test_any_swept_number_is_an_axis():
    tables = make_tables(("2x6",), seeds=(0, 1), learning_rate=(1e-4, 1e-3, 1e-2))
    figure = figures.folding_against(tables["runs"], tables["aggregates"], axis="learning_rate")
    seen(figure)
    for axes in figure.axes:
        assert axes.get_xlabel() == "learning rate"
        assert axes.get_xscale() == "log"
        assert [label.get_text() for label in axes.get_xticklabels()] == ["10⁻⁴", "0.001", "0.01"]
    assert "2x6 · lr 0.01 · seed 1, trained: " in "\n".join(titles_of(figure))


def test_no_interval_over_runs_that_differ_in_more_than_their_seed():
    tables = make_tables(("2x6", "3x6"), seeds=(0, 1), momentum=(0.0, 0.9))
    figure = figures.folding_against(tables["runs"], tables["aggregates"])
    assert "no bars" in seen(figure)
    for container in figure.axes[0].containers:
        for segment in container.lines[2][0].get_segments():
            assert segment[0, 1] == segment[1, 1]


def test_correlations_stand_in_the_corner_of_their_response(tables):
    row = {
        "predictor": "depth", "response": "chi_max", "state": "trained", "at": "none", "given": "none",
        "min_accuracy": 0.0, "seed": "all", "pearson": 0.9461, "pearson_low": None, "pearson_high": None,
        "interval": "t over seeds", "num_seeds": 3,
    }  # fmt: skip
    others = [
        {**row, "given": "test_accuracy", "pearson": 0.1},
        {**row, "interval": "Fisher z", "pearson": 0.2},
    ]
    others += [{**row, "predictor": "width", "pearson": -0.5}, {**row, "seed": "0", "pearson": 0.3}]
    correlations = as_read(pd.DataFrame([*others, row, {**row, "state": UNTRAINED, "pearson": np.nan}]))
    for high, words in ((np.nan, "trained r = 0.95, no interval"), (0.971, "trained r = 0.95 [0.90, 0.97]")):
        low = np.nan if np.isnan(high) else 0.898
        with_ends = correlations.assign(pearson_low=low, pearson_high=high)
        figure = figures.folding_against(tables["runs"], tables["aggregates"], with_ends)
        assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], [words], []]
        assert "r: mean over 3 seeds" in words_of(figure)


def test_correlations_of_a_study_without_a_finished_run(tables):
    failed = tables["runs"].assign(status="failed")
    figure = figures.folding_against(failed, tables["aggregates"], pd.DataFrame({"method": ["exact"]}))
    assert "6 of 6 runs failed" in words_of(figure).replace("\n", " ")
    none = figures.folding_against(tables["runs"], tables["aggregates"].iloc[:0], pd.DataFrame())
    assert "no class pair was measured" in words_of(none)


def test_cells_are_means_over_seeds_from_source_to_target(tables):
    folding = tables["folding"].assign(max=0.0, q50=np.nan)
    first = folding["run"].isin(tables["runs"]["run"][:2]) & (folding["source_class"] == 1)
    folding.loc[first & (folding["target_class"] == 0), "max"] = 0.3  # in two of three seeds
    titles = titles_of(figures.class_pair_heat_maps(tables["runs"], folding))
    assert titles.count("largest χ, 1 → 0: 0.2") == 1
    assert titles.count("largest χ, 0 → 1: 0") == 2
    assert titles.count("median χ of folded paths, 0 → 1: no folded path") == 2
    assert len(titles) == 3 * 2 * 3  # statistics, architectures, pairs


def test_densities_are_over_folded_paths_and_integrate_to_one(tables):
    figure = figures.chi_distribution(tables["runs"], tables["folding_histogram"])
    for axes in figure.axes:
        for patch in axes.patches:
            values, edges, _ = patch.get_data()
            assert np.sum(values * np.diff(edges)) == pytest.approx(1)
            assert edges[0] == 0


def test_share_that_folds_is_in_the_legend():
    tables = make_tables(("2x6",), seeds=(0,))
    histogram = tables["folding_histogram"].assign(num_paths=5)
    axes = figures.chi_distribution(tables["runs"], histogram).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["2x6: 0.833"]  # 25 of 30


def test_ways_of_reading_paths_are_not_mixed(tables):
    exact = tables["aggregates"]
    sampled = [exact.assign(method="sampled", num_points=n, chi_row_max_median=0.99) for n in (10, 100)]
    aggregates = as_read(pd.concat([*sampled, exact]))
    titles = titles_of(figures.folding_against(tables["runs"], exact))
    figure = figures.folding_against(tables["runs"], aggregates)
    assert titles_of(figure) == titles
    assert "of 3 ways of reading them: method exact" in words_of(figure)
    swept = exact.copy()
    swept.insert(1, "per_class", 40)
    fewer = swept.assign(per_class=20, chi_row_max_median=0.99)
    both = pd.concat([fewer, swept])  # the most images count
    assert titles_of(figures.folding_against(tables["runs"], both)) == titles


def test_ways_of_reading_class_pairs_are_not_mixed(tables):
    sampled = tables["folding"].assign(method="sampled", num_points=10, max=0.99)
    figure = figures.class_pair_heat_maps(tables["runs"], as_read(pd.concat([sampled, tables["folding"]])))
    assert titles_of(figure) == titles_of(figures.class_pair_heat_maps(tables["runs"], tables["folding"]))
    assert "of 2 ways of reading them: method exact" in words_of(figure)


def test_a_count_of_points_in_a_layer_is_not_a_way_of_reading(tables):
    """Layers may have other numbers of duplicates, which the estimators leave out."""
    counted = tables["lmd_dimension"].assign(num_points=range(len(tables["lmd_dimension"])))
    drawn = figures.activation_dimension(tables["runs"], counted)
    assert titles_of(drawn) == titles_of(
        figures.activation_dimension(tables["runs"], tables["lmd_dimension"])
    )
    assert "ways of reading" not in words_of(drawn)


def test_a_table_of_class_pairs_is_aggregated(tables):
    drawn = figures.folding_against(tables["runs"], tables["folding"])
    frames = Frames({name: tables[name] for name in ("runs", "folding")}, TABLES)
    assert titles_of(drawn) == titles_of(figures.folding_against(tables["runs"], aggregate_runs(frames)))
    assert titles_of(drawn)


def test_ranks_on_the_diagonal_are_off_by_nothing(tables):
    ranks = tables["lmd_ranks"].assign(rank=4)
    ranks.loc[ranks["rule"] == "data99", "rank"] = 8
    words = words_of(figures.ranks_against_functional(ranks))
    assert "×1.00, 0.00" in words
    assert "×2.00, 0.69" in words


def test_evolution_looks_a_layer_up_by_its_number_in_every_panel(tables):
    figure = figures.rank_evolution(tables["runs"], tables["lmd_ranks"])
    shallow, deep = ({line.get_color() for line in axes.lines} for axes in figure.axes)
    assert len(shallow) == 3
    assert shallow < deep


def with_pairs(tables, num_classes):
    """Return folding.csv with all pairs of classes: the largest χ is source / 100 + target / 10000."""
    chi = tables["folding"].query("measure == 'chi'").drop_duplicates(["run", "epoch"])
    source, target = (grid.ravel() for grid in np.mgrid[:num_classes, :num_classes])
    pairs = pd.DataFrame({"source_class": source, "target_class": target})
    folding = chi.drop(columns=[*pairs]).merge(pairs, how="cross")
    folding["max"] = folding["source_class"] / 100 + folding["target_class"] / 10_000
    return folding[tables["folding"].columns]


@pytest.mark.parametrize(
    ("num_classes", "labels"),
    [
        (2, ["0", "1"]),
        (10, [*map(str, range(10))]),
        (12, ["0", "2", "4", "6", "8", "10"]),
        (26, ["0", "5", "10", "15", "20", "25"]),
        (47, [*map(str, range(0, 47, 5))]),
    ],
)
def test_heat_maps_of_any_size(num_classes, labels):
    tables = make_tables(("2x6",), seeds=(0,))
    figure = figures.class_pair_heat_maps(tables["runs"], with_pairs(tables, num_classes), ["max"])
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == labels
    assert [tick.get_text() for tick in axes.get_yticklabels()] == labels
    seen(figure)  # places the ticks
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    is_image = num_classes > 20
    assert len(titles_of(figure)) == (0 if is_image else num_classes**2)
    if is_image:
        (image,) = axes.images
        source, target = np.mgrid[:num_classes, :num_classes]
        assert np.allclose(image.get_array(), source / 100 + target / 10_000, atol=1e-12)  # a mean of one


def test_a_large_heat_map_marks_what_has_no_value_and_leaves_out_what_was_not_measured():
    tables = make_tables(("2x6",), seeds=(0,))
    folding = with_pairs(tables, 30).query("source_class != 4 or target_class != 9")
    folding.loc[(folding["source_class"] == 2) & (folding["target_class"] == 7), "max"] = np.nan
    axes = figures.class_pair_heat_maps(tables["runs"], folding, ["max"]).axes[0]
    (image,), (crosses,) = axes.images, axes.lines
    assert np.argwhere(np.isnan(image.get_array().filled(np.nan))).tolist() == [[2, 7], [4, 9]]
    assert crosses.get_xydata().tolist() == [[7, 2]]
