"""Measures of counts: one line. Of single paths: one file and one line. And the sample of single paths."""

import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from spaceprobe.folding import space_folding, trace_path, walk_paths
from spaceprobe.networks.tent_map import tent_map
from spaceprobe.stages import fold
from spaceprobe.stages.fold.detail import PATHS_PER_BATCH, measure_paths, sample_detail, walk_ends
from spaceprobe.stages.fold.endpoints.class_pairs import ClassPair
from spaceprobe.stages.fold.endpoints.entry import Ends, Points
from spaceprobe.stages.fold.tables import PATHS
from tests.commands import call
from tests.degenerate_networks import DegenerateCase
from tests.degenerate_networks import tent_map as fractions_of_tents
from tests.documents import recipes
from tests.package_copies import add_entry, command_of, copy_package

STUDY = """\
data: {train_images: 2000}
network: {architecture: 6x10}
training: {epochs: 1, learning_rate: 0.01}
folding: {per_class: 4, pairs: [3-8, 8-3, 5-5, 0-1], method: jvp}
study: {stages: [train, fold]}
"""
KEY = ["epoch", "source_class", "target_class"]
MEAN_TOLERANCE = 4 * np.finfo(float).eps
"""Means are summed in another order."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def detailed(study, finished):
    """The folder of the study, first without and then with all of its single paths."""
    folder = finished / "small"
    assert not (folder / "paths.csv").exists()
    before = {path.name: path.read_bytes() for path in folder.glob("folding*.csv")}
    outcome = call("fold", study, "--results", finished, "--detail", 1_000)
    assert outcome.exit_code == 0, outcome.output
    return folder, before


# --- single paths ------------------------------------------------------------------------------


def test_single_paths_change_no_other_table(detailed):
    folder, before = detailed
    assert len(before) == 3
    assert {path.name: path.read_bytes() for path in folder.glob("folding*.csv")} == before


def test_all_single_paths_have_the_measures_of_the_counts(detailed):
    folder, _ = detailed
    paths = pd.read_csv(folder / "paths.csv")
    assert [*paths.columns] == ["run", *PATHS.plain_names]
    table = pd.read_csv(folder / "folding.csv")
    grouped = paths.groupby(KEY)
    assert not paths.duplicated([*KEY, "source", "target"]).any()
    for measure in ("chi", "peak"):
        rows = table[table["measure"] == measure].set_index(KEY)
        assert (grouped.size() == rows["num_paths"]).all()
        assert len(grouped) == len(rows) == 2 * 4  # epochs, directions; 1-0 was walked and not asked for
        assert (grouped[measure].max() == rows["max"]).all()
        folded = grouped[measure].agg(lambda values: (values > 0).mean())
        assert (folded == rows["folded"]).all()
        assert np.allclose(grouped[measure].mean(), rows["mean"], rtol=MEAN_TOLERANCE, atol=0)
    row_maxima = paths.groupby([*KEY, "source"])["chi"].max()
    medians = row_maxima[row_maxima > 0].groupby(KEY).median()
    rows = table[table["measure"] == "chi"].set_index(KEY)["row_max_median"].dropna()
    assert (medians == rows).all()
    assert len(rows) > 4


def test_single_paths_are_what_they_say(detailed):
    folder, _ = detailed
    paths = pd.read_csv(folder / "paths.csv")
    assert (paths["chi"] == space_folding(paths["length"].to_numpy(), paths["reach"].to_numpy())).all()
    assert (paths["peak"] >= paths["chi"]).all()
    assert (paths["source"] != paths["target"]).all()
    # seen from the other end, a path has the same length and distance
    there, back = (paths.query(f"source_class == {a} and target_class == {b}") for a, b in ((3, 8), (8, 3)))
    back = back.rename(columns={"source": "target", "target": "source"})
    both = there.merge(back, on=["epoch", "source", "target"])
    assert len(both) == 2 * 16
    for name in ("length", "distance"):
        assert (both[f"{name}_x"] == both[f"{name}_y"]).all()
    assert (both["reach_x"] != both["reach_y"]).any()


def measured(network, a, b, **way):
    return measure_paths(walk_ends(network, a, b, way))


def test_regions_and_points_of_a_path():
    """Against the patterns of a path that is read step by step, and at many points."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU()
    ).double()
    a, b = 3 * torch.randn(2, 12, 4, dtype=torch.float64)
    b[0] = a[0]
    ways = {
        "exact": {"method": "exact"},
        "jvp": {"method": "jvp"},
        "even": {"method": "sampled", "num_points": 20},
        "fine": {"method": "sampled", "num_points": 20_000},
        "bisecting": {"method": "adaptive", "num_points": 2},
    }
    found = {name: measured(network, a, b, **way) for name, way in ways.items()}
    exact = found["exact"]["num_regions"]
    steps = [trace_path(network, *ends).t for ends in zip(a, b, strict=True)]
    assert exact.tolist() == [len(times) for times in steps]
    assert (exact[0], found["bisecting"]["num_evaluated"][0]) == (1, 2)
    assert exact.max() > 12
    for name in ("exact", "jvp"):
        np.testing.assert_array_equal(found[name]["num_regions"], exact)
        np.testing.assert_array_equal(found[name]["num_evaluated"], exact)
    assert (found["even"]["num_evaluated"] == 20).all()
    assert (found["even"]["num_regions"] <= np.minimum(exact, 20)).all()
    np.testing.assert_array_equal(found["fine"]["num_regions"], exact)
    assert (found["bisecting"]["num_regions"] <= exact).all()
    assert (found["bisecting"]["num_evaluated"] >= found["bisecting"]["num_regions"]).all()


def test_regions_of_a_tent_map_outnumber_its_units():
    """The network is the one that rational arithmetic knows as well."""
    a, b = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for num_layers in range(1, 8):
        network = tent_map(num_layers)
        assert network.state_dict().keys() == tent_case(num_layers).state_dict().keys()
        for name, values in tent_case(num_layers).state_dict().items():
            assert torch.equal(network.state_dict()[name], values)
        assert measured(network, a, b, method="exact")["num_regions"].tolist() == [2**num_layers]
    with pytest.raises(ValueError, match="num_layers is 0: a tent map has at least 1"):
        tent_map(0)


def tent_case(num_layers):
    return DegenerateCase(
        "tent", fractions_of_tents(num_layers), False, [Fraction(0)], [Fraction(1)]
    ).module()


def test_a_sample_is_part_of_all_paths_and_the_same_at_every_epoch(study, detailed, tmp_path, finished):
    folder, _ = detailed
    every = pd.read_csv(folder / "paths.csv")
    call("fold", study, "--results", finished, "--detail", 10)
    first = (folder / "paths.csv").read_bytes()
    sample = pd.read_csv(folder / "paths.csv")
    assert len(sample.merge(every, on=[*every.columns])) == len(sample)
    ends = [sample.query(f"epoch == {epoch}")[[*KEY[1:], "source", "target"]] for epoch in (0, 1)]
    assert ends[0].to_numpy().tolist() == ends[1].to_numpy().tolist()
    # of a pair both directions together have the number that was asked for
    assert len(sample.query("epoch == 1 and source_class in (3, 8)")) == 10
    assert len(sample.query("epoch == 1 and source_class == 5")) == 10
    assert 0 < len(sample.query("epoch == 1 and source_class == 0")) < 10
    call("fold", study, "--results", finished, "--detail", 10, "--force")
    assert (folder / "paths.csv").read_bytes() == first
    call("fold", study, "--results", finished)
    assert not (folder / "paths.csv").exists()


def points(name, num_points, seed):
    generator = torch.Generator().manual_seed(seed)
    values = 2 * torch.randn(num_points, 3, generator=generator, dtype=torch.float64)
    return Points(name, 100 * seed + np.arange(num_points), values)


def small_network():
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(
        *(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU()),
        torch.nn.Linear(8, 2),
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network


def drawn(sources, targets, num_asked, pairs, *, is_grid=True):
    network = small_network()
    return sample_detail(
        network,
        Ends(sources, targets),
        [pair.direction for pair in pairs],
        num_asked,
        is_grid=is_grid,
        way={},
    )


TWO_WAYS = (ClassPair(3, 8), ClassPair(8, 3))
ONE_WAY = (ClassPair(3, 3),)


@pytest.mark.parametrize(
    ("num_sources", "num_targets", "pairs", "is_grid", "num_paths"),
    [
        (5, 3, TWO_WAYS, True, 30),
        (5, None, ONE_WAY, True, 20),
        (4, 4, ONE_WAY, False, 4),
        (4, 4, TWO_WAYS, False, 8),
        (1, None, ONE_WAY, True, 0),
        (0, 3, TWO_WAYS, True, 0),
    ],
)
def test_every_path_can_be_drawn_once(num_sources, num_targets, pairs, is_grid, num_paths):
    sources = points("a", num_sources, 1)
    targets = None if num_targets is None else points("b", num_targets, 2)
    detail = drawn(sources, targets, 1_000, pairs, is_grid=is_grid)
    ends = [*zip(detail["source"].tolist(), detail["target"].tolist(), strict=True)]
    assert len(ends) == len(set(ends)) == num_paths
    at = {
        number: value
        for group in (sources, targets or sources)
        for number, value in zip(group.numbers.tolist(), group.values, strict=True)
    }
    for (source, target), direction, distance in zip(
        ends, detail["direction"].tolist(), detail["distance"].tolist(), strict=True
    ):
        assert source // 100 == (2 if direction else 1)
        assert distance == pytest.approx(float((at[source] - at[target]).norm()), rel=1e-15)
    if num_paths:
        a, b = (torch.stack([at[end] for end in side]) for side in zip(*ends, strict=True))
        walked = walk_paths(small_network(), a, b)
        assert detail["length"].tolist() == walked.length.tolist()
        assert detail["reach"].tolist() == walked.reach_from_a.tolist()


def test_a_draw_depends_on_its_directions_only(monkeypatch):
    sources, targets = points("a", 9, 1), points("b", 7, 2)
    first = drawn(sources, targets, 12, TWO_WAYS)
    assert len(first["source"]) == 12
    assert set(first["direction"]) == {0, 1}
    torch.manual_seed(3)
    np.random.seed(3)
    monkeypatch.setattr("spaceprobe.stages.fold.detail.PATHS_PER_BATCH", 5)
    again = drawn(sources, targets, 12, TWO_WAYS)
    assert all((first[name] == again[name]).all() for name in first)
    other = drawn(sources, targets, 12, (ClassPair(3, 9), ClassPair(9, 3)))
    assert other["source"].tolist() != first["source"].tolist()
    assert PATHS_PER_BATCH > 12


# --- new measures ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extended(study, finished, tmp_path_factory):
    """A copy of the package with a measure of counts and one of single paths."""
    call("fold", study, "--results", finished, "--detail", 5)
    package = copy_package(tmp_path_factory.mktemp("copy"))
    path = package / "analysis" / "measures.py"
    text = path.read_text()
    assert "\n    *map(_quantile" in text
    path.write_text(
        text.replace("\n    *map(_quantile", f"\n{recipes()['A measure'].strip()},\n    *map(_quantile")
    )
    add_entry(package, "stages/fold/path_measures", "middle", recipes()["A measure of a path"])
    return package


def test_a_measure_of_counts_is_one_line_and_walks_nothing(study, finished, extended):
    call("fold", study, "--results", finished)
    before = pd.read_csv(finished / "small" / "folding.csv")
    out = command_of(extended, "plan", study, "--results", finished).stdout
    assert re.search(r"^fold +up to date", out, re.MULTILINE)
    command_of(extended, "fold", study, "--results", finished)
    table = pd.read_csv(finished / "small" / "folding.csv")
    assert [*table.columns] == [
        *before.columns[: before.columns.get_loc("q05")],
        "mean_length",
        *before.columns[before.columns.get_loc("q05") :],
    ]
    pd.testing.assert_frame_equal(table.drop(columns="mean_length"), before)
    every = pd.read_csv(finished / "small" / "folding.csv").query("measure == 'chi'").set_index(KEY)
    call("fold", study, "--results", finished, "--detail", 1_000)
    means = pd.read_csv(finished / "small" / "paths.csv").groupby(KEY)["length"].mean()
    assert np.allclose(every["mean_length"], means, rtol=MEAN_TOLERANCE, atol=0)


def test_a_measure_of_a_path_is_one_file_and_redoes_single_paths_only(study, finished, extended):
    out = command_of(extended, "plan", study, "--results", finished, "--set", "folding.detail=5").stdout
    columns = "length,reach,chi,peak,null_chi,null_chi_sd,num_regions,num_evaluated"
    reason = f"columns {columns} → on_in_the_middle,{columns}, code changed"
    assert f"fold 1 of 1 runs, 182 paths: {reason}" in " ".join(out.split())
    command_of(extended, "fold", study, "--results", finished, "--detail", 5)
    paths = pd.read_csv(finished / "small" / "paths.csv")
    names, at = PATHS.plain_names, PATHS.plain_names.index("length")
    assert [*paths.columns] == ["run", *names[:at], "on_in_the_middle", *names[at:]]
    assert paths["on_in_the_middle"].between(0, 10).all()
    assert paths["on_in_the_middle"].nunique() > 1


def test_single_paths_are_a_flag():
    field = fold.STAGE.sections["folding"].model_fields["detail"]
    assert field.default == 0
    assert "--detail" in {getattr(item, "name", None) for item in field.metadata}
