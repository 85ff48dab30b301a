"""The tables with several rows of a single path, and that of patterns between epochs, of whole studies."""

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.data.idx_files import MNIST
from spaceprobe.data.idx_images import load_split
from spaceprobe.folding import unit_quantiles
from spaceprobe.folding.by_layer import fold_by_layer
from spaceprobe.folding.continuous import NORMS, QUANTITIES, SCALINGS, continuous_distances
from spaceprobe.folding.pattern_changes import pattern_changes
from spaceprobe.folding.spread import unit_spread
from spaceprobe.stages import fold
from spaceprobe.stages.fold.path_tables import PATH_TABLES
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.fold.tables import PATTERN_CHANGES, SOURCE_PATH_TABLES
from tests.commands import call

STUDY = """\
data: {train_images: 500}
network: {architecture: 3x8}
training: {epochs: 2, learning_rate: 0.01, snapshots: [1]}
folding: {per_class: 3, pairs: [3-8, 8-3, 5-5], epoch: all, detail: 7, by_layer: true,
  distances: true, patterns: 50}
study: {stages: [train, fold]}
sweep: {folding.threshold: [0, median]}
"""
ENDS = ["threshold", "epoch", "source_class", "target_class", "source", "target"]
RERUN = 1e-12
"""Relative: the same numbers, of another batch."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "layers.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def folder(finished):
    return finished / "layers"


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv", dtype={"threshold": str})


def networks(folder):
    import spaceprobe

    (run,) = (path.name for path in (folder / "runs").iterdir() if path.is_dir())
    return {epoch: spaceprobe.load_run(folder, run, epoch=epoch).double() for epoch in (0, 1, 2)}


def images():
    return load_split(MNIST, train=False).inputs.double()


def test_each_path_has_its_layers(folder):
    paths, layers = read(folder, "paths"), read(folder, "path_layers")
    assert [*layers.columns[:9]] == ["run", *ENDS[:4], "source", "target", "method", "num_points"]
    assert [*layers.columns[9:]] == [*PATH_TABLES["path-layers"].names]
    assert len(paths) == 2 * 3 * 13  # thresholds, epochs, 7 of 3-8 and 8-3, 6 of 5-5
    assert len(layers) == 4 * len(paths)
    both = layers[layers["layer"] == 0].merge(paths, on=ENDS, validate="one_to_one")
    assert len(both) == len(paths)
    for name in ("length", "reach", "chi"):
        assert (both[f"{name}_x"] == both[f"{name}_y"]).all()
    sums = layers[layers["layer"] > 0].groupby(ENDS)["length"].sum()
    assert (sums == paths.set_index(ENDS)["length"].sort_index()).all()
    assert (layers.loc[layers["layer"] == 1, "chi"] == 0).all()
    assert layers["num_bits"].isin([8, 24]).all()
    assert (layers["first_boundary"].isna() == (layers["length"] == 0)).all()
    assert layers["density"].notna().all()


def test_layers_are_what_the_function_gives(folder):
    layers, pixels = read(folder, "path_layers"), images()
    training = load_split(MNIST, train=True).inputs[:500]
    for (threshold, epoch), rows in layers.groupby(["threshold", "epoch"]):
        network = networks(folder)[epoch]
        rows = rows.pivot(
            index=["source", "target"], columns="layer", values=["length", "reach", "density_middle"]
        )
        source, target = (
            rows.index.get_level_values(name).to_numpy(copy=True) for name in ("source", "target")
        )
        level = 0.0 if threshold == "0.0" else list(unit_quantiles(network, training, 0.5))
        seen = fold_by_layer(network, pixels[source], pixels[target], threshold=level)
        assert (rows["length"].to_numpy() == seen.length).all()
        assert (rows["reach"].to_numpy() == seen.reach).all()
        np.testing.assert_allclose(rows["density_middle"], seen.density_in_middle, rtol=RERUN)


def test_distances_are_what_the_function_gives(folder):
    rows, pixels = read(folder, "path_distances").query("threshold == '0.0'"), images()
    assert [*rows.columns[9:]] == [*PATH_TABLES["path-distances"].names]
    training = load_split(MNIST, train=True).inputs[:500]
    for epoch, network in networks(folder).items():
        spread = unit_spread(network, training)
        for (source, target), own in [*rows.query(f"epoch == {epoch}").groupby(["source", "target"])][:3]:
            seen = continuous_distances(network, pixels[[source]], pixels[[target]], spread=spread)
            assert len(own) == 4 * 8
            for row in own.itertuples():
                quantity, scaling = QUANTITIES.index(row.quantity), SCALINGS.index(row.scaling)
                place = (0, row.layer, quantity, NORMS.index(row.norm), scaling)
                assert row.num_units == seen.num_units[row.layer, quantity, scaling]
                for name in ("length", "reach", "chi"):
                    # near 0 what counts is the size of the numbers
                    expected = pytest.approx(getattr(seen, name)[place], rel=RERUN, abs=RERUN)
                    assert getattr(row, name) == expected


def test_distances_do_not_know_of_thresholds(folder):
    rows = read(folder, "path_distances")
    first, second = (
        rows[rows["threshold"] == value].drop(columns="threshold") for value in ("0.0", "median")
    )
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))


def test_patterns_are_compared_with_those_of_the_epoch_before(folder):
    table = read(folder, "pattern_changes")
    assert [*table.columns] == ["run", "threshold", *PATTERN_CHANGES.names]
    pairs = table[["epoch", "epoch_before"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [[1, 0], [2, 1]]
    assert len(table) == 2 * 2 * 4
    states, pixels = networks(folder), images()[:50]
    for (epoch, before), rows in table.query("threshold == '0.0'").groupby(["epoch", "epoch_before"]):
        h = dict.fromkeys((epoch, before), pixels)
        differs = []
        for layer in range(3):
            z = {number: states[number][2 * layer](values) for number, values in h.items()}
            h = {number: torch.relu(values) for number, values in z.items()}
            differs.append(((z[epoch] > 0) != (z[before] > 0)).detach().numpy())
        every = [np.concatenate(differs, axis=1), *differs]
        assert rows["changed_bits"].tolist() == [layer.mean() for layer in every]
        assert rows["changed_images"].tolist() == [layer.any(axis=1).mean() for layer in every]
        assert rows["num_bits"].tolist() == [24, 8, 8, 8]
        assert (rows["num_images"] == 50).all()
    assert table["changed_bits"].between(0, 1).all()
    assert table["changed_bits"].max() > 0


def test_a_second_run_has_the_same_bytes_and_nothing_is_done_twice(study, folder):
    names = ("path_layers.csv", "path_distances.csv", "pattern_changes.csv")
    before = {name: (folder / name).read_bytes() for name in names}
    assert "up to date" in call("plan", study, "--results", folder.parent).stdout
    call("fold", study, "--results", folder.parent, "--force")
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_more_images_walk_no_path(study, folder):
    out = " ".join(
        call("plan", study, "--results", folder.parent, "--set", "folding.patterns=60").stdout.split()
    )
    assert "0 paths" in out
    assert "folding.patterns 50 → 60" in out


def test_what_nobody_asks_for_is_removed(study, copied):
    call(
        *("fold", study, "--results", copied, "--set", "folding.distances=false"),
        *("--set", "folding.by_layer=false", "--set", "folding.patterns=0"),
    )
    left = {path.name for path in (copied / "layers").glob("pat*.csv")}
    assert left == {"paths.csv"}


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "folding.distances=true",
            "folding.distances: path_distances.csv lists the single paths of folding.detail",
        ),
        (
            "folding.by_layer=true",
            "folding.by_layer: path_layers.csv lists the single paths of folding.detail",
        ),
        (
            "folding.detail=2 folding.by_layer=true folding.method=adaptive",
            "set folding.method to exact or sampled",
        ),
        ("folding.detail=2 folding.distances=true network.activation=hardshrink", "hardshrink jumps"),
        ("folding.detail=2 folding.distances=true network.activation=threshold", "threshold jumps"),
        ("folding.patterns=5 folding.epoch=last", "compares two epochs, and folding.epoch: last has one"),
        ("folding.patterns=-1", "folding.patterns"),
        ("folding.by_layer=1", "folding.by_layer"),
    ],
)
def test_settings_that_do_not_go_together(settings, message, tmp_path):
    sets = [part for setting in settings.split() for part in ("--set", setting)]
    outcome = call("plan", "quickstart", "--results", tmp_path, *sets)
    assert outcome.exit_code == 2, outcome.output
    assert message in " ".join(outcome.output.split())


def test_a_binary_network_jumps_and_may_be_sampled(tmp_path):
    sets = (
        "network.model=binary-mlp",
        "network.batch_norm=true",
        "folding.detail=1",
        "folding.distances=true",
    )
    flags = [part for setting in sets for part in ("--set", setting)]
    outcome = call("plan", "quickstart", "--results", tmp_path, *flags)
    assert outcome.exit_code == 2
    assert "sign jumps" in " ".join(outcome.output.split())
    outcome = call("plan", "quickstart", "--results", tmp_path, *flags, "--set", "folding.method=sampled")
    assert outcome.exit_code == 0, outcome.output


def test_old_keys_stay():
    settings = FoldingSettings()
    assert not {"by_layer", "distances", "patterns"} & {*settings.measurement(settings.key())}
    assert settings.measurement(settings.identity()) == {}
    asked = FoldingSettings(detail=1, by_layer=True, distances=True, patterns=3)
    assert asked.measurement(asked.key()) | {"by_layer": True, "distances": True} == asked.measurement(
        asked.key()
    )
    assert "patterns" not in asked.key()  # a part of its own


def test_a_row_of_every_table_has_a_key_that_tells_it_apart():
    for tables in SOURCE_PATH_TABLES.values():
        for name, table in tables.items():
            names = tuple(column.name for column in PATH_TABLES[name].key_columns)
            assert table.key[len(table.key) - len(names) :] == names
            assert {*table.key} < {*table.names}
            assert table in fold.STAGE.tables


# --- patterns ----------------------------------------------------------------------------------


def test_changes_of_patterns_by_hand():
    """Of two units at three points one flips at the second point, both at the third."""
    before, after = (
        torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.ReLU()).double() for _ in range(2)
    )
    for network, weight in ((before, [[1.0, 0.0], [0.0, 1.0]]), (after, [[1.0, 0.0], [0.0, -1.0]])):
        network.load_state_dict({"0.weight": torch.tensor(weight)})
    changes = pattern_changes(before, after, [[1.0, 0.0], [1.0, 2.0], [-1.0, -3.0], [2.0, 1.0]])
    assert changes.num_bits.tolist() == [2, 2]
    assert changes.bits.tolist() == [3 / 8] * 2
    assert changes.points.tolist() == [3 / 4] * 2


def test_changes_need_points_and_one_network():
    with pytest.raises(ValueError, match="points is empty"):
        pattern_changes(torch.nn.ReLU(), torch.nn.ReLU(), torch.zeros(0, 2))
    with pytest.raises(ValueError, match="layers of 2 and 4 bits: expected two states of one network"):
        pattern_changes(torch.nn.ReLU(), torch.nn.Hardtanh(), torch.zeros(1, 2))
