"""Sources of endpoints: class pairs, and a matched source that is one file and one line."""

import json
import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from spaceprobe.data.dataset import Dataset, Split
from spaceprobe.errors import SettingsError
from spaceprobe.folding import CountedFolding, FoldingCounts
from spaceprobe.stages import fold
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.class_pairs import (
    IMAGES_PER_CLASS,
    ClassPair,
    class_members,
    walked_pairs,
)
from spaceprobe.stages.fold.endpoints.entry import Ends, Points
from spaceprobe.stages.fold.endpoints.matched import matched_entry
from spaceprobe.stages.fold.settings import FoldingSettings, with_images
from spaceprobe.stages.fold.stored_counts import StoredCounts
from spaceprobe.stages.fold.tables import CHECKS, FOLDING, PATHS
from spaceprobe.stages.stage import FinishedPart, Part
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand, varying_probe_settings
from tests.commands import call
from tests.documents import recipes
from tests.package_copies import add_entry, command_of, copy_package

CLASS_PAIRS = ENDPOINTS["class-pairs"]
DIGESTS = {name: digit * 64 for name, digit in (("model-epoch0", "0"), ("model", "1"))}


def sections(**folding):
    return {
        "data": DataSettings(),
        "network": NetworkSettings(),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**folding),
    }


def planned(**folding):
    files = {f"{name}.safetensors": digest for name, digest in DIGESTS.items()}
    trained = FinishedPart(Part("train.json", {}, amount=1), files, None, 0.0, [])
    return fold.STAGE.plan(sections(**folding), {"train": [trained]})


def images(labels):
    inputs = torch.arange(2 * len(labels), dtype=torch.float32).view(-1, 2)
    return Split(inputs, torch.tensor(labels))


# --- class pairs -------------------------------------------------------------------------------


def test_members_are_the_first_of_each_class():
    split = images([1, 0, 1, 1, 0])
    for label, per_class, numbers in ((0, 2, [1, 4]), (1, 2, [0, 2]), (1, None, [0, 2, 3]), (7, None, [])):
        points = class_members(split, label, per_class)
        assert (points.name, points.numbers.tolist()) == (str(label), numbers)
        assert points.values.dtype == torch.float64
        assert points.values[:, 0].tolist() == [2 * number for number in numbers]


def test_drawn_members_are_a_seeded_sample_of_the_class():
    split = images([0, 1] * 40)
    few, more, other = (
        class_members(split, label, number, is_drawn=True) for label, number in ((1, 3), (1, 12), (0, 12))
    )
    assert (len(few.numbers), len(more.numbers)) == (3, 12)
    assert set(few.numbers) < set(more.numbers) < set(range(1, 80, 2))
    assert more.numbers.tolist() == sorted(more.numbers) != list(range(1, 24, 2))
    assert more.values[:, 0].tolist() == (2 * more.numbers).tolist()
    assert more.numbers.tolist() == class_members(split, 1, 12, is_drawn=True).numbers.tolist()
    assert (other.numbers // 2).tolist() != (more.numbers // 2).tolist()  # not the same places of each class
    assert class_members(split, 1, 99, is_drawn=True).numbers.tolist() == list(range(1, 80, 2))


def test_ends_are_drawn_where_nobody_gave_a_number_and_a_path_may_take_long():
    data = Dataset(images([0]), images([0, 1] * 40), 2)
    asked = {**sections(pairs=("0-1",)), "network": NetworkSettings(activation="abs")}
    ends = CLASS_PAIRS.ends(torch.nn.Identity(), data, {"pair": [0, 1]}, asked)
    number = with_images(asked).per_class
    assert number == 31  # 31 * 31 paths
    drawn = [class_members(data.test, label, number, is_drawn=True).numbers.tolist() for label in (0, 1)]
    assert [ends.sources.numbers.tolist(), ends.targets.numbers.tolist()] == drawn
    of_mlp = CLASS_PAIRS.ends(torch.nn.Identity(), data, {"pair": [0, 1]}, sections(pairs=("0-1",)))
    assert of_mlp.sources.numbers.tolist() == list(range(0, 80, 2))  # of 150 images, the first


def test_each_pair_is_walked_once():
    assert walked_pairs([ClassPair(8, 3), ClassPair(3, 8), ClassPair(2, 2)]) == [(2, 2), (3, 8)]


def test_ends_are_those_of_the_key():
    data = Dataset(images([0]), images([1, 0, 1, 1, 0]), 2)
    ends = CLASS_PAIRS.ends(torch.nn.Identity(), data, {"pair": [0, 1]}, sections(per_class=2))
    assert ends.sources.numbers.tolist() == [1, 4]
    assert ends.targets.numbers.tolist() == [0, 2]
    alone = CLASS_PAIRS.ends(torch.nn.Identity(), data, {"pair": [1, 1]}, sections(per_class="all"))
    assert (alone.sources.numbers.tolist(), alone.targets) == ([0, 2, 3], None)


def test_pairs_of_any_classes():
    asked = sections(pairs=("12-7", "7-12", "3-12"))
    assert [paths.name for paths in CLASS_PAIRS.path_sets(asked, 13)] == ["3-12", "7-12"]
    with pytest.raises(SettingsError, match="the test images in mnist have none of class 12"):
        CLASS_PAIRS.check(asked, 13)
    shown = [
        direction.name
        for paths in CLASS_PAIRS.path_sets(asked, 13)
        for direction in CLASS_PAIRS.directions(paths.key)
        if CLASS_PAIRS.is_asked(direction, asked, 13)
    ]
    assert shown == ["3-12", "7-12", "12-7"]
    assert len(CLASS_PAIRS.path_sets(sections(), 13)) == 13 * 14 // 2
    with pytest.raises(SettingsError, match=r"^folding\.pairs: 3-12: the dataset has classes 0 to 9$"):
        fold.STAGE.check(asked)


@pytest.mark.parametrize("pairs", ["x", "3", "3-", "3-8-9", "-3-8", "3-³", ["3", "8"], [3], ""])
def test_what_is_not_a_class_pair(pairs):
    with pytest.raises(ValueError, match=r"is not a class pair|write all, or source-target pairs"):
        FoldingSettings(pairs=pairs)


def test_pairs_are_named_in_one_way():
    assert FoldingSettings(pairs=" 3-8, 012-0").pairs == ("3-8", "12-0")
    with pytest.raises(ValueError, match="a pair is named twice in 3-8,3-8"):
        FoldingSettings(pairs="3-8,03-8")


# --- parts -------------------------------------------------------------------------------------


def test_names_and_keys_of_class_pairs_are_those_of_the_first_release():
    # literal values: results on disk are found by them
    first, *others = planned(per_class=20)
    assert first.path == "folding-4c9f68/epoch0-0-0.npz"
    assert first.siblings == "folding-*/epoch0-0-0.npz"
    assert {name: value for name, value in first.key.items() if name != "data_digest"} == {
        "folding": {"per_class": 20, "method": "exact", "precision": "float64"},
        "checkpoint": "0" * 64,
        "epoch": 0,
        "pair": [0, 0],
    }
    assert (first.amount, others[0].amount) == (20 * 19, 2 * 20 * 20)
    assert len(others) == 2 * 55 - 1


def test_detail_has_files_of_its_own_and_its_columns_in_the_key():
    plain, detailed = planned(pairs=("3-8",))[0], planned(pairs=("3-8",), detail=7)[0]
    assert plain.path != detailed.path
    assert detailed.key["folding"] == {**plain.key["folding"], "detail": 7}
    folding = ["length", "reach", "chi", "peak"]
    others = ["null_chi", "null_chi_sd", "num_regions", "num_evaluated"]
    assert detailed.key["columns"] == [*folding, *others]
    assert detailed.amount == plain.amount + 7


def test_the_code_of_a_choice_counts():
    modules = fold.STAGE.sources(sections())
    assert "spaceprobe.stages.fold.endpoints.class_pairs" in modules
    assert not any("path_measures" in module for module in modules)
    detailed = fold.STAGE.sources(sections(detail=3))
    names = ("space_folding", "null_model", "regions", "decisions")
    measures = {f"spaceprobe.stages.fold.path_measures.{name}" for name in names}
    assert {*detailed} - {*modules} == measures


def test_tables_that_nobody_asked_for_are_not_written():
    assert [table.name for table in fold.STAGE.asked_tables(sections())] == [
        "folding",
        "folding_checks",
        "folding_histogram",
    ]
    assert PATHS in fold.STAGE.asked_tables(sections(detail=1))


def test_every_column_of_every_source_has_a_meaning():
    for table in fold.STAGE.tables:
        assert table.meaning
        assert all(column.meaning for column in table.columns)
    assert [column.name for column in FOLDING.columns if column.is_setting] == ["method", "num_points"]
    assert CHECKS.key == ("epoch", "source_class", "target_class", "method")


# --- stored counts -----------------------------------------------------------------------------


def counted(*, has_rows=True):
    def counts(number):
        return FoldingCounts(np.array([[number, 1, 5]]), np.array([number / 10]) if has_rows else None)

    return CountedFolding(*(counts(number) for number in (4, 3, 6, 5)), num_paths=5, num_violations=0)


def points(name, *numbers):
    return Points(name, np.array(numbers), torch.zeros(len(numbers), 2, dtype=torch.float64))


def test_stored_counts_have_the_arrays_of_the_first_release():
    ends = Ends(points("3", 17, 4), points("8", 2))
    directions = CLASS_PAIRS.directions({"pair": [3, 8]})
    arrays = StoredCounts.of(ends, directions, counted(), {}).to_arrays()
    assert [*arrays] == [
        *("images-3", "images-8"),
        *("chi-3-8-cells", "chi-3-8-row-max", "peak-3-8-cells", "peak-3-8-row-max"),
        *("chi-8-3-cells", "chi-8-3-row-max", "peak-8-3-cells", "peak-8-3-row-max"),
    ]
    assert arrays["chi-8-3-cells"].tolist() == [[6, 1, 5]]
    stored = StoredCounts.from_arrays(arrays)
    assert [numbers.tolist() for numbers in stored.images_of(0)] == [[17, 4], [2]]
    assert [numbers.tolist() for numbers in stored.images_of(1)] == [[2], [17, 4]]
    assert stored.counts["3-8"]["peak"].row_max.tolist() == [0.3]


@pytest.mark.parametrize("has_rows", [True, False])
def test_stored_counts_come_back_as_they_were(has_rows):
    detail = {"direction": np.array([0]), "chi": np.array([0.5])}
    ends = Ends(points("12", 3), None)
    before = StoredCounts.of(
        ends, CLASS_PAIRS.directions({"pair": [12, 12]}), counted(has_rows=has_rows), detail
    )
    arrays = before.to_arrays()
    after = StoredCounts.from_arrays(arrays)
    assert [*after.counts] == ["12-12"]
    assert [numbers.tolist() for numbers in after.images_of(1)] == [[3], [3]]
    again = after.to_arrays()
    assert [*again] == [*arrays]
    assert all((again[name] == arrays[name]).all() for name in arrays)
    assert ("chi-12-12-row-max" in arrays) == has_rows


# --- a source of one file ----------------------------------------------------------------------


def test_each_image_of_a_class_has_its_twin():
    def negatives(network, images, sections):
        del network, sections
        return -images

    source = matched_entry(negatives, "from an image to its negative")
    data = Dataset(images([0]), images([1, 0, 1, 1, 0]), 2)
    for per_class, numbers, num_paths in ((2, [0, 2], 4), ("all", [0, 2, 3], 2 * IMAGES_PER_CLASS)):
        asked = sections(per_class=per_class)
        ends = source.ends(torch.nn.Identity(), data, {"class": 1}, asked)
        assert ends.sources.numbers.tolist() == ends.targets.numbers.tolist() == numbers
        assert ends.targets.values.tolist() == [[-2.0 * number, -2.0 * number - 1] for number in numbers]
        assert source.path_sets(asked, 2) == [
            ("class0", {"class": 0}, num_paths),
            ("class1", {"class": 1}, num_paths),
        ]


STUDY = """\
data: {train_images: 300}
network: {architecture: 3x9}
training: {epochs: 1}
folding: {per_class: 5, pairs: [3-8, 8-3, 5-5], method: jvp}
study: {stages: [train, fold]}
"""


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """Results of the package, and of a copy of it with a matched source; the copy's plan of the first."""
    folder = tmp_path_factory.mktemp("mirrored")
    study = folder / "small.yaml"
    study.write_text(STUDY)
    assert call("run", study, "--results", folder).exit_code == 0
    before = {path.name: path.read_bytes() for path in (folder / "small").glob("*.csv")}
    package = copy_package(folder)
    add_entry(package, "stages/fold/endpoints", "mirror_images", recipes()["A source of endpoints"])
    plan = command_of(package, "plan", study, "--results", folder).stdout
    flags = ("--set", "folding.endpoints=mirror-images", "--set", "sweep.mirror.upside_down=[false, true]")
    out = command_of(package, "fold", study, "--results", folder, "--detail", 100, *flags).stdout
    return folder / "small", before, plan, out


OF_SOURCES = [
    (source, section, name)
    for source, entry in ENDPOINTS.items()
    for section, settings in entry.sections.items()
    for name in settings.model_fields
]


@pytest.mark.parametrize(("source", "section", "name"), OF_SOURCES)
def test_a_swept_setting_of_a_source_tells_its_rows_apart(source, section, name, tmp_path):
    field = ENDPOINTS[source].sections[section].model_fields[name]
    values = get_args(field.annotation) or (1, 2)
    study = tmp_path / "s.yaml"
    axis = f"{section}.{name}: [{', '.join(map(str, values))}]"
    study.write_text(f"folding: {{endpoints: {source}}}\nsweep: {{{axis}}}\n")
    runs = expand(load_study(study))
    assert varying_probe_settings(runs, fold.STAGE) == (f"{section}.{name}",)
    keys = {part_key(variant) for variant in runs[0].variants(fold.STAGE)}
    assert len(keys) == len(values)


def part_key(sections):
    """Return what tells the parts of a set of paths of these settings apart from those of others."""
    paths, *_ = sections["folding"].source.path_sets(sections, 10)
    return json.dumps(paths.key, sort_keys=True)


def test_a_source_redoes_nothing_of_the_others(mirrored):
    _, before, plan, _ = mirrored
    assert [line.split(maxsplit=1)[1] for line in plan.splitlines()[1:3]] == ["up to date"] * 2
    assert {"folding.csv", "folding_checks.csv", "folding_histogram.csv"} <= {*before}
    assert not any("mirror" in name or name == "paths.csv" for name in before)


def test_a_matched_source_has_tables_of_its_own(mirrored):
    folder, _, _, out = mirrored
    table = pd.read_csv(folder / "folding_mirror_images.csv")
    assert [*table.columns[:7]] == ["run", "upside_down", "epoch", "class", "measure", "method", "num_points"]
    assert not {"row_max_median", "num_sources", "num_targets", "source_class"} & {*table.columns}
    assert (table["num_paths"] == 5).all()
    assert len(table) == 2 * 2 * 10 * 2  # ways, epochs, classes, measures
    assert (folder / "folding_histogram_mirror_images.csv").is_file()
    checks = pd.read_csv(folder / "folding_checks_mirror_images.csv")
    assert (checks["num_walks"] == 5).all()
    assert checks["num_violations"].sum() == 0
    assert "mirror-images: 200 paths; medians" in out
    # the tables of class pairs are not what the settings ask for now
    assert not (folder / "folding.csv").exists()


def test_a_matched_path_leads_to_the_twin(mirrored):
    folder = mirrored[0]
    paths = pd.read_csv(folder / "paths_mirror_images.csv")
    assert len(paths) == 2 * 2 * 50
    assert (paths["source"] == paths["target"]).all()
    from spaceprobe.stages.train.networks import load_data

    inputs = load_data(DataSettings()).test.inputs.double().view(-1, 28, 28)
    for _, path in paths.iterrows():
        image = inputs[int(path["source"])]
        twin = image.flip(0 if path["upside_down"] else 1)
        assert path["distance"] == pytest.approx(float((image - twin).norm()), rel=1e-14)


def test_matched_counts_are_those_of_the_paths(mirrored):
    folder = mirrored[0]
    key = ["upside_down", "epoch", "class"]
    paths = pd.read_csv(folder / "paths_mirror_images.csv").groupby(key)
    table = pd.read_csv(folder / "folding_mirror_images.csv").query("measure == 'chi'").set_index(key)
    assert (paths["chi"].max() == table["max"]).all()
    assert np.allclose(paths["chi"].mean(), table["mean"], rtol=1e-14, atol=0)
    assert (table["folded"] > 0).any()
    assert not math.isnan(table["mean"].sum())
