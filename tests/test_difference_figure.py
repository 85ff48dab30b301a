"""The forest of two studies' differences, and the settings in which they differ."""

import math
import re

import pandas as pd
import pytest

from spaceprobe.report.drawing.style import render
from spaceprobe.report.figures import differences
from spaceprobe.report.figures.differences import MAX_ROWS
from spaceprobe.results.settings_differences import key_differences, settings_differences
from spaceprobe.results.side_by_side import with_group_names
from spaceprobe.study.config import load_study
from spaceprobe.tables.states import STATES, UNTRAINED

GROUPS = ("2x30", "3x20")
RANKS = ("rank_participation", "rank_data99", "rank_functional")
QUANTITIES = ("test_accuracy", "test_loss", "chi_folded_mean", "chi_max", "chi_row_max_median")


GROUP_COLUMNS = ("architecture", "activation", "dataset")


def differences_figure(rows, others=(), readings=()):
    return differences.differences_figure(rows, [*GROUP_COLUMNS, *others], readings)


def make_differences(groups=GROUPS, quantities=(*QUANTITIES, *RANKS, "spectral_norm"), **columns):
    rows = []
    for group in groups:
        for quantity in quantities:
            is_layered = quantity.startswith(("rank", "spectral"))
            states = ("trained",) if quantity.startswith("test") else STATES
            for layer in (0, 1) if is_layered else (None,):
                for state in states:
                    row = {"architecture": group, "activation": "relu", "dataset": "mnist", "state": state}
                    row |= {**columns, "quantity": quantity, "layer": layer}
                    rows.append({**row, "difference": 0.25, "low": -0.5, "high": 1.0})
    names = ["architecture", "activation", "dataset", "state", *columns, "quantity", "layer"]
    return pd.DataFrame(rows, columns=[*names, "difference", "low", "high"])


def titles(figure):
    return re.findall(r"<title>(.*?)</title>", render(figure, "svg").decode())


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def drawn_panels(figure):
    return {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}


def test_a_panel_for_every_quantity_and_one_for_ranks():
    figure = differences_figure(make_differences())
    panels = drawn_panels(figure)
    assert [*panels] == [
        *("test accuracy", "test loss (nats)", "share of paths that fold", "largest χ", "row maxima of χ"),
        "components of a trained layer",
    ]
    assert labels(panels["largest χ"]) == [*GROUPS]
    of_layers = [f"{group}, layer {layer}" for group in GROUPS for layer in (0, 1)]
    assert labels(panels["components of a trained layer"]) == of_layers
    drawn = titles(figure)
    assert len(drawn) == 2 * (2 * 1 + 3 * 2) + 2 * 2 * 3  # groups × panels × states, layers × rules
    assert "2x30, untrained: 0.25 [-0.5, 1]" in drawn
    assert "3x20, layer 1, functional rank: 0.25 [-0.5, 1]" in drawn


def test_markers_tell_states_apart_and_lie_where_the_difference_is():
    rows = make_differences(groups=("2x30",), quantities=("chi_max",))
    rows.loc[rows["state"] == UNTRAINED, "difference"] = -0.125
    (axes,) = drawn_panels(differences_figure(rows)).values()
    points = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    trained, untrained = points.values()
    assert (trained.get_xdata()[0], untrained.get_xdata()[0]) == (0.25, -0.125)
    assert trained.get_markerfacecolor() == trained.get_markeredgecolor()
    assert untrained.get_markerfacecolor() != untrained.get_markeredgecolor()
    assert trained.get_ydata()[0] != untrained.get_ydata()[0]
    assert any([*line.get_xdata()] == [0, 0] for line in axes.lines)


def test_a_row_without_an_interval_has_no_bar():
    rows = make_differences(groups=("2x30",), quantities=("test_accuracy",)).assign(low=None, high=None)
    rows = rows.astype({"low": float, "high": float})
    figure = differences_figure(rows)
    (axes,) = drawn_panels(figure).values()
    assert not any(len(bars.get_segments()) for bars in axes.collections)
    assert titles(figure) == ["2x30, trained: 0.25 no interval"]


def test_ranks_alone_fill_the_figure():
    figure = differences_figure(make_differences(quantities=RANKS))
    assert len(figure.axes) == 1
    assert len(titles(figure)) == 12


def test_one_way_of_reading_paths_is_drawn():
    ways = [make_differences(method=method, quantities=("chi_max",)) for method in ("sampled", "exact")]
    ways[0]["difference"] = 0.75
    figure = differences_figure(pd.concat(ways, ignore_index=True), readings=["method"])
    assert len(titles(figure)) == 4
    assert all(": 0.25" in title for title in titles(figure))


@pytest.mark.parametrize("quantities", [QUANTITIES, RANKS, (*QUANTITIES, *RANKS)])
def test_many_groups_do_not_make_it_endless(quantities):
    groups = [f"2x{width}" for width in range(1, 101)]
    figure = differences_figure(make_differences(groups, quantities=quantities))
    assert figure.get_figheight() < 18.5
    for axes in figure.axes:
        if axes.get_xlabel():
            assert len(axes.get_yticks()) == MAX_ROWS
    words = [figure.get_supxlabel(), *(axes.get_xlabel() for axes in figure.axes)]
    assert ("the first 30 of 100 groups" in words[0]) == ("chi_max" in quantities)
    assert ("the first 30 of 200 layers" in words[-1]) == ("rank_data99" in quantities)


def test_other_settings_name_the_rows():
    rows = pd.concat([make_differences(), make_differences()], ignore_index=True)
    rows.insert(3, "learning_rate", [0.1] * (len(rows) // 2) + [1.0] * (len(rows) // 2))
    panels = drawn_panels(differences_figure(rows, others=["learning_rate"]))
    expected = [f"{group} · lr {rate}" for rate in (0.1, 1.0) for group in GROUPS]
    assert labels(panels["test accuracy"]) == expected


def test_a_setting_that_a_row_lacks_is_not_in_its_name():
    """Untrained networks have no learning rate."""
    rows = make_differences().assign(learning_rate=[0.1, *[math.nan] * (len(make_differences()) - 1)])
    names = with_group_names(rows, ["architecture", "learning_rate"])["group"]
    assert names.iloc[0] == f"{rows['architecture'].iloc[0]} · lr 0.1"
    assert not names.str.contains("nan").any()


@pytest.mark.filterwarnings("error")
def test_without_any_interval_the_figure_is_whole():
    figure = differences_figure(make_differences().assign(low=math.nan, high=math.nan))
    render(figure, "png")
    assert all(axes.get_position().width > 0.1 for axes in figure.axes if axes.get_xlabel())


def test_nothing_in_common_is_said():
    figure = differences_figure(make_differences().iloc[:0])
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "the two studies have no measured group in common"
    ]


def test_the_same_table_gives_the_same_bytes():
    assert render(differences_figure(make_differences()), "png") == render(
        differences_figure(make_differences()), "png"
    )


STUDY = """
data: {dataset: mnist}
training: {epochs: 5, learning_rate: 1.0e-09}
sweep:
  network.architecture: [2x30, 3x20]
  training.seed: [0, 1]
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path)

    return load


def test_all_settings_that_differ_are_listed(load):
    a = load(STUDY)
    b = load(
        """
data: {root: /data, train_images: 50}
training: {epochs: 7, learning_rate: 1.0e-09, snapshots: [1]}
network: {architecture: 2x30}
folding: {per_class: 3, endpoints: class-pairs, device: cpu}
lmd: {metrics: [identity, data]}
study: {stages: [train]}
sweep: {training.seed: [0, 1, 2]}
"""
    )
    assert [*map(tuple, settings_differences(a, b))] == [
        ("data.root", "null", "/data"),
        ("data.train_images", "60000", "50"),
        ("network.architecture", "sweep [2x30, 3x20]", "2x30"),
        ("training.epochs", "5", "7"),
        ("training.seed", "sweep [0, 1]", "sweep [0, 1, 2]"),
        ("training.snapshots", "[]", "[1]"),
        ("folding.per_class", "auto", "3"),
        ("folding.device", "auto", "cpu"),
        ("lmd.metrics", "[identity]", "[identity, data]"),
        ("study.stages", "[train, fold, lmd, summarize]", "[train]"),
    ]
    assert settings_differences(a, a) == []


def test_settings_on_which_no_number_depends_are_no_other_identity(load):
    a = load(STUDY)
    same = load(STUDY.replace("[0, 1]", "[1, 0]") + "folding: {threads: 1}\nslurm: {cores: 3}\n")
    assert key_differences(a, same) == []
    elsewhere = load(STUDY.replace("mnist", "mnist, root: /data"))
    assert key_differences(a, elsewhere) == []
    other = load(STUDY.replace("epochs: 5", "epochs: 6"))
    assert [*map(tuple, key_differences(a, other))] == [("training.epochs", "5", "6")]


def test_a_setting_that_a_file_does_not_name_has_its_default(load):
    assert settings_differences(load(STUDY), load(STUDY + "lmd: {probes: [functional-rank]}\n")) == []


def test_a_long_list_stays_on_one_line(load):
    seeds = list(range(200))
    texts = [f"sweep: {{training.seed: {values}}}" for values in ([0], seeds)]
    ((_, _, value),) = settings_differences(*map(load, texts))
    assert value == f"sweep {seeds}"
