"""What figures draw of a sweep: which networks, in which order, from which tables, within which limits."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from matplotlib.text import Text

import spaceprobe.report.figures as figures
from spaceprobe.cli.figure_files import width_of
from spaceprobe.errors import SettingsError
from spaceprobe.report.drawing.marks import RULE_NAMES
from spaceprobe.report.drawing.style import SMALLEST_FONT, drawn_for, figure_width, sequence_colors
from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.figures import FIGURES as ENTRIES
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import class_pair_rows, histogram_rows
from spaceprobe.results.groups import in_sweep_order, rows_by_group
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand
from spaceprobe.tables.states import TRAINED, UNTRAINED
from tests.figure_tables import FIGURES, make_tables, words_of

RATES = (0.001, 0.01)
DEPTHS = tuple(f"{depth}x5" for depth in range(1, 9))


@pytest.fixture(scope="module")
def by_rate():
    """Eight depths × two rates × two seeds: 32 networks, 16 of them different before training."""
    return make_tables(DEPTHS, seeds=(0, 1), learning_rate=RATES)


@pytest.fixture(scope="module")
def tables():
    return make_tables()


def test_more_groups_than_fit_are_drawn_at_one_rate_which_is_named(by_rate):
    grouped = rows_by_group(by_rate["runs"], by_rate["training"], "training")
    assert grouped.groups == [f"{depth} · lr 0.001" for depth in DEPTHS]
    assert grouped.fixed == ("lr 0.001",)
    assert grouped.notes == ["8 of 16 groups of runs, 16 of 32 networks; at lr 0.001"]
    runs = by_rate["runs"].set_index("run")
    assert {*runs.loc[[*grouped.rows["run"]], "learning_rate"]} == {0.001}


def test_settings_are_fixed_from_the_last_one_on_and_only_as_many_as_need_be():
    tables = make_tables(("2x6", "3x4"), seeds=(0,), learning_rate=(0.1, 0.2, 0.3))
    runs = tables["runs"].loc[lambda frame: frame.index.repeat(2)].reset_index(drop=True)
    runs["momentum"] = [0.0, 0.9] * 6
    runs["run"] = [f"run-{number:02}" for number in range(12)]
    frame = pd.DataFrame({"run": runs["run"], "epoch": 1})
    grouped = rows_by_group(runs, frame, "training")
    assert grouped.fixed == ("momentum 0.0",)
    assert len(grouped.groups) == 6


def test_captions_count_the_networks_that_are_drawn(by_rate):
    numbers = Numbers(None, by_rate)
    text = ENTRIES["training"].caption_of(numbers)
    assert "Drawn are at lr 0.001, 16 of 32 networks." in text.striptags()
    text = ENTRIES["distribution"].caption_of(numbers).striptags()
    assert "Drawn are at lr 0.001, 16 untrained networks and 16 of 32 trained networks." in text
    every = Numbers(None, make_tables())
    assert "Drawn are 6 networks." in ENTRIES["training"].caption_of(every).striptags()


def correlation(**cells):
    row = {
        "predictor": "depth", "response": "chi_row_max_median", "state": "trained", "at": "none",
        "given": "none", "min_accuracy": 0.0, "seed": "all", "pearson": 0.5, "pearson_low": 0.1,
        "pearson_high": 0.75, "interval": "t over seeds", "num_seeds": 3, "num_runs": 9,
    }  # fmt: skip
    return row | cells


def caption_of(name, tables, *rows):
    numbers = Numbers(None, tables | {"correlations": pd.DataFrame(rows)} if rows else tables)
    return ENTRIES[name].caption_of(numbers).striptags()


def test_a_caption_says_what_a_correlation_is_over(tables):
    none = {"pearson_low": np.nan, "pearson_high": np.nan, "num_seeds": 2}
    text = caption_of("depth", tables, correlation(), correlation(state="untrained", **none))
    assert "is 0.500 [0.100, 0.750] trained (mean over 3 seeds), " in text
    assert "0.500 without an interval untrained (mean over 2 seeds)." in text
    text = caption_of("depth", tables, correlation(interval="Fisher z"))
    assert "trained (9 runs, as if they were independent)" in text


def test_a_caption_names_the_states_that_are_drawn_and_what_their_means_are_over(tables):
    assert "the line joins means over seeds with their 95 % t intervals" in caption_of("depth", tables)
    assert "open and dashed is untrained" in caption_of("depth", tables)
    by_rate = make_tables(("2x6", "3x4"), learning_rate=RATES)
    assert "trained networks differ in more than their seed" in caption_of("depth", by_rate)
    text = caption_of("setting", by_rate)
    assert "dashed" not in text
    assert "Untrained networks do not depend on it, and are not drawn." in text
    assert "networks that differ in more than their seed, and therefore without an interval" in text
    two_seeds = make_tables(seeds=(0, 1))
    assert "over seeds, without intervals, which take three seeds" in caption_of("depth", two_seeds)


def test_an_axis_that_only_training_has_gets_no_untrained_series():
    tables = make_tables(("2x6", "3x4"), learning_rate=RATES)  # 12 networks, 6 before training
    runs, histogram = tables["runs"], tables["folding_histogram"]
    untrained = histogram_rows(runs, histogram)[UNTRAINED]
    assert untrained.groups == ["2x6", "3x4"]
    firsts = runs.drop_duplicates("initial_digest")["run"]
    is_first = histogram["run"].isin(firsts) & (histogram["epoch"] == 0)
    assert untrained.rows["num_paths"].sum() == histogram.loc[is_first, "num_paths"].sum()
    assert len(histogram_rows(runs, histogram)[TRAINED].groups) == 4
    pairs = class_pair_rows(runs, tables["folding"], ["max"], UNTRAINED, 12)
    assert pairs.groups == ["2x6", "3x4"]
    assert {*pairs.rows["run"]} == {*firsts}
    legends = [axes.get_legend().get_texts() for axes in figures.chi_distribution(runs, histogram).axes]
    assert [len(texts) for texts in legends] == [2, 4]


def test_runs_are_in_the_order_of_the_sweep(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "sweep: {network.architecture: [10x6, 2x30], training.learning_rate: [0.01, 0.001, 0.003]}\n"
    )
    study = load_study(file)
    runs = expand(study)
    names = sorted(run.name for run in runs)
    labels = {run.name: run.label for run in runs}
    ordered = in_sweep_order(pd.DataFrame({"run": names}), study)
    assert [labels[name] for name in ordered["run"]] == [
        f"{architecture} · lr {rate}" for architecture in ("10x6", "2x30") for rate in (0.001, 0.003, 0.01)
    ]
    assert runs[0].label in Numbers(study, {}).run(runs[0].name)


SHARES = {
    "folding_against": "y",
    "retrieval_accuracy": "x",
    "axis_semantics": "y",
    "latent_spectra": "y",
    "chi_distribution": "x",
}
"""The figures all of whose panels show a share, by the axis that does."""

OF_NAMES = ("retrieval_accuracy", "folding_by_kind")
"""The figures whose y axis has a name at each place."""

DIFFERENCES = ("χ minus its null value", "the same at matched lengths")
"""The names of y axes whose quantity may be below 0."""
SIGNED = ("gap_by_measure",)
"""The figures of a correlation, from -1 to 1."""


@pytest.mark.parametrize("name", FIGURES)
def test_no_axis_leaves_the_range_of_its_quantity(name, tables):
    """Nothing that is drawn can be below 0, and a share is at most 1."""
    ones = {
        key: table.assign(**{c: 1.0 for c in ("share", "accuracy", "chi_max", "test_accuracy") if c in table})
        for key, table in tables.items()
    }
    for frames in (tables, ones):
        figure = FIGURES[name](frames)
        for axes in figure.axes:
            if not axes.axison or name == "class_pair_heat_maps" or axes.get_ylabel() in DIFFERENCES:
                continue
            if name in SIGNED:
                assert max(map(abs, axes.get_xlim())) == 1 or max(map(abs, axes.get_ylim())) == 1
                continue
            assert min(*axes.get_xlim(), *(axes.get_ylim() if name not in OF_NAMES else (0,))) >= 0
            if name in SHARES:
                limits = axes.get_xlim() if SHARES[name] == "x" else axes.get_ylim()
                assert max(limits) <= 1
            if "accuracy" in axes.get_ylabel():
                assert max(axes.get_ylim()) <= 1


def test_paths_and_samples_stay_between_0_and_1():
    path = pd.DataFrame({"t": [0.0, 0.5], "distance": [0, 1], "flips": [0, 1], "chi": [0.0, 1.0]})
    for axes in figures.path_figure(path, np.zeros((9, 28, 28))).axes[:2]:
        assert axes.get_xlim() == (0, 1)
        assert axes.get_ylim()[0] == 0
    samples = pd.DataFrame({"path": "a path", "num_points": [5, None], "chi": [0.9, 1.0]})
    assert figures.sampling_figure(samples).axes[0].get_ylim() == (0, 1)


def test_markers_at_a_limit_are_not_cut(tables):
    figure = figures.retrieval_accuracy(tables["runs"], tables["lmd_retrieval"].assign(accuracy=1.0))
    lines = [line for axes in figure.axes for line in axes.lines]
    assert lines
    assert not any(line.get_clip_on() for line in lines)


def listed(entry: FigureEntry, frames):
    return entry.sources(Numbers(None, frames))


def test_tables_that_add_nothing_to_a_drawing_are_no_sources(tables):
    """A table is listed if and only if the drawing changes without it."""
    entry = ENTRIES["spectra"]
    without_edge = tables | {"lmd_tails": tables["lmd_tails"].assign(noise_edge=np.nan)}
    for frames in (tables, without_edge):
        passed = [frames[name] for name in entry.tables]
        drawn = figures.render(entry.function(*passed), "svg")
        without = figures.render(entry.function(*passed[:3], None), "svg")
        assert (drawn != without) == ("lmd_tails" in listed(entry, frames))
    assert listed(ENTRIES["ranks"], tables) == ["lmd_ranks", "runs"]
    row = {
        "predictor": "depth", "response": "chi_max", "state": "trained", "at": "none", "given": "none",
        "min_accuracy": 0.0, "seed": "all", "pearson": 0.9, "pearson_low": 0.8, "pearson_high": 0.95,
        "interval": "t over seeds", "num_seeds": 3,
    }  # fmt: skip
    entry = ENTRIES["depth"]
    for response, is_listed in (("chi_max", True), ("chi_q90", False)):
        frames = tables | {"correlations": pd.DataFrame([{**row, "response": response}])}
        passed = [frames[name] for name in entry.tables]
        drawn, without = (
            figures.render(entry.function(*given), "svg") for given in (passed, [*passed[:2], None])
        )
        assert (drawn != without) == ("correlations" in listed(entry, frames)) == is_listed


def test_rules_have_their_names(tables):
    words = words_of(figures.ranks_against_functional(tables["lmd_ranks"], tables["runs"]))
    assert "participation ratio" in words
    assert not any(name in words for name in RULE_NAMES if "_" in name or name.endswith(("95", "99")))
    assert "Participation ratio"[1:] in words_of(figures.rank_evolution(tables["runs"], tables["lmd_ranks"]))


@pytest.fixture(scope="module")
def with_zeros():
    """Networks of 3 and 4 layers, 3 seeds each, of which the first needs no layer and a rule gives 0 in 4."""
    tables = make_tables()
    ranks = tables["lmd_ranks"].assign(valid=True)
    ranks.loc[(ranks["rule"] == "functional") & (ranks["run"] == ranks["run"].iloc[0]), "rank"] = 0
    zeros = ranks[ranks["rule"] == "participation"].assign(rule="gavish_donoho", rank=2)
    zeros.loc[zeros["layer"] == 3, "rank"] = 0
    zeros.loc[zeros["run"] == zeros["run"].iloc[-1], "rank"] = 0
    ranks.loc[ranks["rule"].isin(["functional"]) & (ranks["rank"] > 0), "rank"] = 2
    no_rule = zeros.assign(rule="marchenko_pastur", valid=False)
    return tables | {"lmd_ranks": pd.concat([ranks, zeros, no_rule], ignore_index=True)}


def test_a_rank_of_0_is_drawn_on_the_axis_and_counted(with_zeros):
    figure = figures.ranks_against_functional(with_zeros["lmd_ranks"], with_zeros["runs"])
    (axes,) = (axes for axes in figure.axes if "Gavish" in axes.get_title(loc="left"))
    drawn = np.concatenate([line.get_ydata() for line in axes.lines if line.get_linestyle() == "None"])
    assert sorted(drawn) == [0] * 6 + [2] * 12  # 3 seeds x (3 + 4) layers, without the 3 of the first network
    assert axes.get_ylim()[0] == 0
    assert axes.get_title(loc="left").endswith("×1.00, 0.00\n0 in 6 of 18")
    words = words_of(figure).replace("\n", " ")
    assert "without a valid rank in these layers: Marchenko-Pastur edge" in words
    assert "root mean square of its logarithm, both of ranks above 0" in words


def test_ranks_say_which_networks_are_left_out(with_zeros):
    figure = figures.ranks_against_functional(with_zeros["lmd_ranks"], with_zeros["runs"])
    why = "without whose weights the network keeps its accuracy"
    assert (
        f"left out: 3 of 21 layers with functional rank 0, {why}; 1 of 6 networks have no other"
        in words_of(figure).replace("\n", " ")
    )
    caption = ENTRIES["ranks"].caption_of(Numbers(None, with_zeros)).striptags()
    assert f"Left out are 3 of 21 layers with functional rank 0, {why}" in caption
    assert caption.endswith("Drawn are 5 of 6 networks.")


def test_points_at_rank_1_are_whole_in_every_panel(tables):
    ranks = tables["lmd_ranks"].assign(rank=1)
    figure = figures.ranks_against_functional(ranks, tables["runs"])
    points = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == "None"]
    assert len(points) == 2 * 4  # two rules, four layers
    assert not any(line.get_clip_on() for line in points)


def test_convergence_after_one_epoch_is_not_drawn(tables):
    for last, is_lacking in ((1, True), (2, False)):
        convergence = tables["lmd_convergence"].assign(epoch=last)
        results = SimpleNamespace(frames={**tables, "lmd_convergence": convergence})
        reason = ENTRIES["convergence"].unless(results)
        assert (reason is not None) == is_lacking
    results.frames["lmd_convergence"]["epoch"] = 1
    assert "lmd_convergence.csv has the values" in ENTRIES["convergence"].unless(results)


def test_a_rank_over_several_seeds_is_called_a_median():
    for seeds, name in (((0, 1), "layer 0, median n′ = 2.5"), ((0,), "layer 0, n′ = 2")):
        tables = make_tables(("2x6",), seeds)
        ranks = tables["lmd_ranks"]
        ranks["rank"] = 2 + ranks["run"].map([*ranks["run"].unique()].index)
        words = words_of(figures.layer_spectra(tables["runs"], tables["lmd_spectrum"], ranks))
        assert name in words.splitlines()


def test_the_shares_of_the_distribution_are_of_all_paths(tables):
    assert "share of all paths that fold" in words_of(
        figures.chi_distribution(tables["runs"], tables["folding_histogram"])
    )
    caption = ENTRIES["distribution"].caption_of(Numbers(None, tables)).striptags()
    assert "the share of all paths that fold, those of all class pairs and seeds together" in caption


def test_the_caption_of_the_distribution_counts_the_paths_of_each_state(tables):
    histogram = tables["folding_histogram"]
    counts = {epoch: f"{rows['num_paths'].sum():,}" for epoch, rows in histogram.groupby("epoch")}
    assert [*counts] == [0, 3]
    caption = ENTRIES["distribution"].caption_of(Numbers(None, tables)).striptags()
    assert (
        f"that were counted: {counts[0]} of untrained networks and {counts[3]} of trained networks."
        in caption
    )


def test_the_caption_of_the_distribution_counts_only_what_is_drawn(by_rate):
    """Networks with the same weights before training, which two learning rates share, are drawn once."""
    runs, histogram = by_rate["runs"], by_rate["folding_histogram"]
    slow = {*runs.loc[runs["learning_rate"] == 0.001, "run"]}
    rows = histogram[histogram["run"].isin(slow)]
    counts = {epoch: f"{of_epoch['num_paths'].sum():,}" for epoch, of_epoch in rows.groupby("epoch")}
    caption = ENTRIES["distribution"].caption_of(Numbers(None, by_rate)).striptags()
    assert f"{counts[0]} of untrained networks and {counts[3]} of trained networks." in caption


def test_the_legend_of_the_distribution_has_shares_as_the_tables_do():
    tables = make_tables(("2x6",), seeds=(0,))
    histogram = tables["folding_histogram"]
    histogram["num_paths"] = np.where(histogram["high"] > 0, 0, 985)
    histogram.loc[histogram["high"] == 0.2, "num_paths"] = 15
    words = words_of(figures.chi_distribution(tables["runs"], histogram))
    assert "2x6: 0.015" in words


def test_the_caption_of_the_heat_maps_says_how_many_pairs_reach_the_largest_folding(tables):
    folding = tables["folding"].copy()
    after = (folding["measure"] == "chi") & (folding["epoch"] == 3)
    folding.loc[after, "max"] = 0.25
    rows = folding.index[after]
    folding.loc[rows[4], "max"] = 0.5
    once = ENTRIES["class-pairs"].caption_of(Numbers(None, {**tables, "folding": folding})).striptags()
    place = "from class {source_class} to class {target_class}".format(**folding.loc[rows[4]])
    assert f"The largest χ of any trained network is 0.500, on a path {place}." in once
    folding.loc[rows[[7, 9]], "max"] = 0.5
    folding.loc[folding.index[~after][0], "max"] = 0.5  # of another measure or epoch
    often = ENTRIES["class-pairs"].caption_of(Numbers(None, {**tables, "folding": folding})).striptags()
    assert (
        f"The largest χ of any trained network is 0.500. Of the {len(rows)} class pairs of all of them 3 "
        f"reach it, the first {place}."
    ) in often


def test_the_caption_of_folding_names_pairs_without_a_folded_path(tables):
    assert "no folded path" not in caption_of("depth", tables)
    folding = tables["folding"].copy()
    chi = folding.index[folding["measure"] == "chi"]
    folding.loc[chi[1], ["folded", "max"]] = 0.0
    folding.loc[chi[1], "row_max_median"] = np.nan
    text = caption_of("depth", {**tables, "folding": folding})
    assert (
        f" 1 of {len(chi)} class pairs, those of all networks, has no folded path: it counts as zero in the "
        "largest χ and drops out of row maxima, which may be the larger for that."
    ) in text
    assert "(computed on the scale of the logit and turned back)" in text


def test_heads_of_panels_break_between_settings():
    tables = make_tables(("2x10", "3x10"), learning_rate=RATES)
    with drawn_for(84 / 25.4):
        words = words_of(figures.class_pair_heat_maps(tables["runs"], tables["folding"]))
    assert "2x10 ·\nlr 0.001" in words


def test_five_shades_are_told_apart_in_grey():
    """CIE lightness, of 100, from the relative luminance of sRGB."""

    def lightness(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return 116 * luminance ** (1 / 3) - 16

    steps = np.diff([lightness(color) for color in sequence_colors(5)])
    assert steps.min() > 8


@pytest.mark.parametrize("name", FIGURES)
def test_narrow_figures_keep_the_size_of_text(name, tables):
    with drawn_for(84 / 25.4):
        figure = FIGURES[name](tables)
    figures.render(figure, "png")
    assert figure.get_figwidth() == pytest.approx(84 / 25.4)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(sizes) >= SMALLEST_FONT
    assert figure_width() == pytest.approx(7.2)


@pytest.mark.parametrize(
    ("style", "width", "millimetres"),
    [("page", None, 182.88), ("paper-1col", None, 84), ("paper-2col", None, 174), ("page", "84mm", 84),
     ("page", "8.4 cm", 84), ("paper-2col", "4in", 101.6)],
)  # fmt: skip
def test_widths(style, width, millimetres):
    assert width_of(style, width) == pytest.approx(millimetres / 25.4)


@pytest.mark.parametrize(
    ("width", "words"),
    [("84", "expected a number and its unit"), ("84 pt", "mm, cm, in"), ("5mm", "from 70mm to 400mm")],
)
def test_widths_that_cannot_be(width, words):
    with pytest.raises(SettingsError, match=words):
        width_of("page", width)


def test_a_caption_without_networks_counts_none():
    entry = SimpleNamespace(caption="a path", drawn=None)
    assert FigureEntry.caption_of(entry, Numbers(None, {})) == Markup("a path")
