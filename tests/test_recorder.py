"""A recorder in a training loop: it changes nothing, and its tables are those of the commands."""

import copy
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import spaceprobe
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import ResultsError
from spaceprobe.machine.torch_modules import cpu_copy_without_hooks
from spaceprobe.model_sources.source import ModelSourceError
from spaceprobe.recording import measuring
from spaceprobe.recording import recorder as recording_recorder
from spaceprobe.recording.folder import RecordingFolder
from spaceprobe.recording.recorder import Recorder
from spaceprobe.recording.tables import RECORDING
from spaceprobe.results.recordings import load_recording
from spaceprobe.stages.fold.model_paths import MODEL_PATHS
from spaceprobe.stages.lmd.tables import OF_STEPS
from tests.commands import call
from tests.documents import ROOT, blocks
from tests.test_report_numbers import faults

IMAGES = torch.rand(24, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(24) % 3


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def with_state(seed=0):
    """A network whose training draws random numbers and keeps statistics."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


def nothing(network, step):
    """Observe a training without a recorder."""


def train(network, num_steps, observe=nothing, first=0):
    """Train on batches that Python, numpy and torch draw, so that each of their random states counts."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(first, first + num_steps):
        rows = [random.randrange(24), *np.random.randint(0, 24, 3), *torch.randint(0, 24, (4,)).tolist()]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(IMAGES[rows]), LABELS[rows])
        loss.backward()
        optimizer.step()
        observe(network, step)


def seeded():
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)


def recorder(folder, **options):
    return Recorder(folder, IMAGES, LABELS, **{"paths": 6, "threads": 1, **options})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two trainings that were recorded with decompositions, at steps 0, 2, 4 and 0, 2."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed, num_steps in (("one", 0, 5), ("two", 1, 3)):
        seeded()
        train(mlp(seed), num_steps, recorder(root / name, every=2, lmd=True).step)
    return root / "one", root / "two"


# it changes nothing


def test_training_is_the_same_with_and_without(tmp_path):
    networks, states = [], []
    for observe in (nothing, recorder(tmp_path / "mine", every=2, lmd=True).step):
        network = with_state()
        seeded()
        train(network, 5, observe)
        networks.append(network)
        states.append((random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()))
    first, second = (network.state_dict() for network in networks)
    assert [*first] == [*second]
    assert "1.running_mean" in first
    for name, tensor in first.items():
        assert tensor.numpy().tobytes() == second[name].numpy().tobytes(), name
    assert states[0] == states[1]
    for one, two in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(one.grad, two.grad)
    assert all(part.training for part in networks[1].modules())


def test_modes_flags_hooks_and_settings_of_torch_are_as_before(tmp_path, caplog):
    network = with_state()
    network[1].eval()
    network[0].weight.requires_grad_(False)
    seen = []
    network[4].register_forward_hook(lambda *passed: seen.append(len(passed)))
    network[2].register_forward_pre_hook(lambda *passed: seen.append(len(passed)))
    before = [dict(part._forward_hooks) for part in network.modules()]
    modes = [part.training for part in network.modules()]
    torch.set_num_threads(1)
    mine = recorder(tmp_path / "mine")
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        torch.set_default_dtype(torch.float64)
        try:
            assert mine.step(network, 0)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert seen == []
    assert "forward hooks are left out of what is measured" in caplog.text
    assert "2, 4" in caplog.text
    assert [dict(part._forward_hooks) for part in network.modules()] == before
    assert [part.training for part in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()][:2] == [False, True]
    facts = json.loads((tmp_path / "mine" / "provenance.json").read_text())["recording"]
    assert facts["hooks_left_out"] == ["2", "4"]


def test_hooks_that_compute_weights_stay(tmp_path):
    """A pruned layer is measured as it is: with zeros."""
    network = mlp()
    nn.utils.prune.l1_unstructured(network[2], "weight", amount=60)
    network(IMAGES)
    recorder(tmp_path / "mine", lmd=True).step(network, 0)
    (row,) = [
        row
        for _, row in load_recording(tmp_path / "mine").frames["lmd_layers"].iterrows()
        if row["layer"] == 1
    ]
    assert row["frobenius_norm"] == pytest.approx(float(network[2].weight.detach().double().norm()), rel=1e-9)


# what it measures


def test_its_paths_are_those_of_fold(recorded, tmp_path):
    network = mlp()
    mine = recorder(tmp_path / "mine")
    values = mine.step(network, 0)
    frame = load_recording(tmp_path / "mine").frames[MODEL_PATHS.name]
    folding = spaceprobe.fold(network, IMAGES[frame["source"]], IMAGES[frame["target"]], null=True)
    assert folding.length.sum() > 0
    assert frame["length"].tolist() == folding.length.tolist()
    assert frame["reach"].tolist() == folding.reach.tolist()
    assert frame["chi_back"].tolist() == folding.chi_back.tolist()
    assert (frame["source_class"] == LABELS[frame["source"]].numpy()).all()
    assert values["spaceprobe/chi"] == folding.chi.mean()
    assert values["spaceprobe/length"] == folding.length.mean()
    assert mine.last == values
    assert {type(value) for value in values.values()} == {float, int}


def test_the_paths_are_the_same_at_every_step_and_all_where_fewer_are_there(recorded, tmp_path):
    frame = load_recording(recorded[0]).frames[MODEL_PATHS.name]
    by_step = [rows[["path", "source", "target"]].to_numpy().tolist() for _, rows in frame.groupby("step")]
    assert len(by_step) == 3
    assert by_step[0] == by_step[1] == by_step[2]
    few = Recorder(tmp_path / "few", IMAGES[:3], paths=100)
    assert few.num_paths == 3
    few.step(mlp(), 0)
    assert "source_class" not in pd.read_csv(tmp_path / "few" / "model_paths.csv")


def test_its_tables_have_the_columns_of_the_commands(recorded, tmp_path):
    torch.save(mlp().state_dict(), tmp_path / "step0.pt")
    outcome = call("lmd", "--weights", tmp_path / "step0.pt", "--results", tmp_path, "--no-report")
    assert outcome.exit_code == 0, outcome.output
    (folder,) = tmp_path.glob("weights-*")
    for table in OF_STEPS:
        of_command = pd.read_csv(folder / f"{table.name}.csv")
        of_recorder = pd.read_csv(recorded[0] / f"{table.name}.csv")
        at_first = of_recorder[of_recorder["step"] == 0].drop(columns="step").reset_index(drop=True)
        assert [*at_first] == [*of_command]
        assert set(of_recorder["run"]) == {"one"}
    assert [*pd.read_csv(recorded[0] / "model_paths.csv", nrows=1)] == [*MODEL_PATHS.plain_names]
    assert [*pd.read_csv(recorded[0] / "recording.csv")] == [*RECORDING.names]


def test_decompositions_are_those_of_the_weights(recorded):
    layers = pd.read_csv(recorded[0] / "lmd_layers.csv")
    assert layers["step"].tolist() == [0] * 3 + [2] * 3 + [4] * 3
    seeded()
    network = mlp(0)
    train(network, 3)  # steps 0, 1, 2
    at_2 = layers[layers["step"] == 2].set_index("name")["spectral_norm"]
    for name in ("0.weight", "2.weight", "4.weight"):
        weight = network.state_dict()[name].double()
        assert at_2[name] == pytest.approx(float(torch.linalg.matrix_norm(weight, 2)), rel=1e-9)


def test_last_is_empty_where_nothing_is_measured_and_has_matrices(tmp_path):
    mine, network = recorder(tmp_path / "mine", every=2, lmd=True, prefix="fold/"), mlp()
    assert mine.last == {}
    mine.step(network, 0)
    assert mine.last["fold/num_paths"] == 6
    assert mine.last["fold/lmd/0.weight/rank"] >= 1
    assert mine.last["fold/fold_s"] > 0
    assert mine.last["fold/lmd_s"] > 0
    assert mine.step(network, 1) == mine.last == {}
    assert mine.last_step == 0


def test_steps_are_chosen_by_a_number_or_by_name(tmp_path):
    assert [s for s in range(9) if recorder(tmp_path / "a", every=4).is_due(s)] == [0, 4, 8]
    assert [s for s in range(9) if recorder(tmp_path / "a", at=[1, np.int64(5)]).is_due(torch.tensor(s))] == [
        1,
        5,
    ]
    assert all(recorder(tmp_path / "a").is_due(s) for s in range(3))
    assert not (tmp_path / "a").exists()


def test_weights_that_are_not_finite_are_said_and_do_not_end_the_training(tmp_path, caplog):
    mine, network = recorder(tmp_path / "mine", lmd=True), mlp()
    mine.step(network, 0)
    with torch.no_grad():
        network[2].weight[0, 0] = float("nan")
    values = mine.step(network, 1)
    assert "spaceprobe/chi" not in values
    assert values["spaceprobe/num_paths"] == 0
    assert values["spaceprobe/num_matrices"] == 2
    assert "step 1: no paths are walked: 2.weight has values that are not finite" in caplog.text
    frame = load_recording(tmp_path / "mine").frames["recording"]
    assert frame["reason"].tolist()[1] == "2.weight has values that are not finite"
    assert frame["chi"].isna().tolist() == [False, True]
    assert call("report", tmp_path / "mine").exit_code == 0
    assert "no path was walked" in (tmp_path / "mine" / "report.html").read_text()


def test_other_networks(tmp_path):
    """Convolutions on images, and a smooth network that is sampled."""
    images = torch.rand(5, 1, 6, 6)
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))
    mine = Recorder(tmp_path / "conv", images, paths=3, lmd=True, threads=1)
    assert mine.step(conv, 0)["spaceprobe/num_matrices"] == 2
    smooth = nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2))
    with pytest.raises(ModelSourceError, match='method="sampled"'):
        recorder(tmp_path / "smooth").step(smooth, 0)
    sampled = recorder(tmp_path / "smooth", method="sampled", num_points=20)
    assert sampled.step(smooth, 0)["spaceprobe/num_paths"] == 6


def test_compiled_networks_are_measured_as_their_originals(tmp_path):
    network = mlp()
    compiled = torch.compile(network)
    assert recorder(tmp_path / "a").step(compiled, 0)["spaceprobe/length"] == pytest.approx(
        recorder(tmp_path / "b").step(network, 0)["spaceprobe/length"], abs=0
    )


def test_a_prediction_writes_nothing(tmp_path):
    mine, network = recorder(tmp_path / "mine", lmd=True), mlp()
    cost = mine.predict(network)
    assert cost.fold_s > 0
    assert cost.lmd_s > 0
    assert cost.seconds == cost.fold_s + cost.lmd_s
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("every_walk_s", "path_s", "expected_s", "num_walked"),
    [
        (0.001, 0.001, 0.101, [1, 1, 100]),  # short: all are walked
        (0.5, 0.01, 1.5, [1, 1, 8]),  # what every walk takes counts once
        (0.0, 2.0, 200.0, [1, 1]),  # long paths: one says enough
    ],
)
def test_a_prediction_is_of_all_paths(every_walk_s, path_s, expected_s, num_walked, tmp_path, monkeypatch):
    clock, walked = [0.0], []

    def walk(network, paths, *rest):
        walked.append(len(paths))
        clock[0] += every_walk_s + path_s * len(paths)

    monkeypatch.setattr(measuring, "_walked", walk)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    cost = recorder(tmp_path / "mine", paths=100).predict(mlp())
    assert cost.fold_s == pytest.approx(expected_s, rel=1e-9)
    assert cost.lmd_s == 0
    assert walked == num_walked


def test_a_long_measurement_is_told_once_beforehand(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(recording_recorder, "LONG_S", 0.0)
    monkeypatch.setattr(recording_recorder, "LONG_PATH_S", 0.0)
    mine, network = recorder(tmp_path / "mine"), mlp()
    for step in range(2):
        mine.step(network, step)
    assert (
        len(re.findall(r"a path takes .*, the 6 of a measurement up to .*; paths=N walks fewer", caplog.text))
        == 1
    )


def test_tied_weights_stay_tied_in_the_copy_which_shares_nothing():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4))
    network[3].weight = network[0].weight
    network[2].seen = network[0].weight * 2  # kept of a run with gradients
    copied, _ = cpu_copy_without_hooks(network)
    assert copied[3].weight is copied[0].weight
    assert copied[0].weight is copied._modules["0"]._parameters["weight"]
    assert not copied[2].seen.requires_grad
    for name, tensor in network.state_dict().items():
        of_copy = copied.state_dict()[name]
        assert torch.equal(of_copy, tensor)
        assert of_copy.data_ptr() != tensor.data_ptr()


def test_wrappers_for_several_devices_are_taken_off(tmp_path):
    network = mlp()
    wrapped = recorder(tmp_path / "a").step(nn.DataParallel(network), 0)
    assert wrapped["spaceprobe/length"] == recorder(tmp_path / "b").step(network, 0)["spaceprobe/length"]


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": 0}, "paths is 0: expected a whole number from 1"),
        ({"every": 0}, "every is 0: expected a whole number from 1"),
        ({"every": 2, "at": [3]}, "every and at both choose steps"),
        ({"at": [-1]}, "step -1: expected a whole number from 0"),
        ({"leading": 3}, "leading goes with lmd=True"),
        ({"method": "quick"}, "method is 'quick'"),
        ({"num_points": 1, "method": "sampled"}, "num_points is 1"),
    ],
)
def test_arguments_are_checked_at_once(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        recorder(tmp_path, **options)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:1], None, r"images has shape \(1, 6\): expected two points or more"),
        (IMAGES, LABELS[:3], r"labels has shape \(3,\): expected \(24,\)"),
        (IMAGES, LABELS - 1, "labels: expected whole numbers from 0"),
        (IMAGES * float("inf"), None, "images: expected finite numbers"),
        ("images", None, "images is str"),
    ],
)
def test_points_are_checked_at_once(images, labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Recorder(tmp_path, images, labels)


def test_a_network_that_does_not_take_the_images(tmp_path):
    with pytest.raises(
        ModelSourceError, match=r"Recorder\('.*mine'\): the network does not take inputs of shape"
    ):
        recorder(tmp_path / "mine").step(nn.Sequential(nn.Linear(5, 2), nn.ReLU()), 0)
    assert not (tmp_path / "mine").exists()


# its folder


def test_steps_rise(tmp_path):
    mine, network = recorder(tmp_path / "mine"), mlp()
    mine.step(network, 3)
    for step in (3, 0):
        with pytest.raises(SettingsError, match=f"step {step} comes after step 3: expected steps that rise"):
            mine.step(network, step)


def test_a_folder_that_has_something_is_refused(recorded, tmp_path):
    with pytest.raises(SettingsError, match="has a recording up to step 4; go on with it by resume=True"):
        recorder(recorded[0])
    (tmp_path / "study.yaml").write_text("study: {}")
    with pytest.raises(SettingsError, match=r"has study\.yaml, which no recorder wrote"):
        recorder(tmp_path, resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="Not a directory"):
        recorder(tmp_path / "file")


def test_files_of_other_programs_may_lie_beside(tmp_path):
    (tmp_path / "events.out.tfevents").write_text("x")
    recorder(tmp_path).step(mlp(), 0)
    assert load_recording(tmp_path).frames["recording"]["step"].tolist() == [0]


def test_going_on_gives_the_same_tables_as_one_training(tmp_path):
    tables = []
    for parts in ([4], [2, 2]):
        folder = tmp_path / f"in{len(parts)}"
        seeded()
        network, first = mlp(), 0
        for num_steps in parts:
            mine = recorder(folder, lmd=True, resume=first > 0)
            for step in range(first, first + num_steps):
                with torch.no_grad():
                    network[0].weight.mul_(1.1)
                mine.step(network, step)
            first += num_steps
        loaded = load_recording(folder)
        tables.append(
            {
                name: frame.drop(columns=["fold_s", "lmd_s", "run"], errors="ignore")
                for name, frame in loaded.frames.items()
            }
        )
    for name, frame in tables[0].items():
        pd.testing.assert_frame_equal(frame, tables[1][name])
    assert len(tables[0]["recording"]) == 4


def test_going_on_from_an_earlier_checkpoint_keeps_what_was_recorded(tmp_path, caplog):
    mine, network = recorder(tmp_path / "mine", lmd=True), mlp()
    for step in range(3):
        mine.step(network, step)
    other = mlp(5)
    later = recorder(tmp_path / "mine", lmd=True, resume=True)
    assert later.last_step == 2
    later.step(other, 1)
    assert "training goes on from step 1, and was recorded up to step 2 before" in caplog.text
    kept = load_recording(tmp_path / "mine" / "interrupted-1")
    now = load_recording(tmp_path / "mine")
    assert kept.frames["recording"]["step"].tolist() == [0, 1, 2]
    for name, frame in now.frames.items():
        assert sorted({*frame["step"]}) == [0, 1], name
    of_old = kept.frames["lmd_layers"].query("step == 1")["spectral_norm"].tolist()
    of_new = now.frames["lmd_layers"].query("step == 1")["spectral_norm"].tolist()
    assert of_new != of_old
    assert of_new[0] == pytest.approx(
        float(torch.linalg.matrix_norm(other[0].weight.detach().double(), 2)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": 5}, "with paths 6, and now it is 5"),
        ({"seed": 1}, "with other images, labels, paths or seed"),
        ({"lmd": False}, "with lmd True, and now it is False"),
        ({"method": "sampled"}, "with method exact, and now it is sampled"),
    ],
)
def test_what_was_recorded_otherwise_is_not_gone_on_with(recorded, options, message):
    with pytest.raises(SettingsError, match=f"was recorded up to step 4 {message}"):
        recorder(recorded[0], **{"lmd": True, "resume": True, **options})


def test_another_network_is_not_recorded_into_the_same_folder(tmp_path):
    mine = recorder(tmp_path / "mine")
    mine.step(mlp(), 0)
    before = (tmp_path / "mine" / "recording.csv").read_bytes()
    wider = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    with pytest.raises(SettingsError, match="with a network whose weights have other names or shapes"):
        mine.step(wider, 1)
    assert (tmp_path / "mine" / "recording.csv").read_bytes() == before


def test_two_recorders_do_not_write_into_one_folder(tmp_path):
    first, second, network = recorder(tmp_path / "mine"), recorder(tmp_path / "mine"), mlp()
    first.step(network, 0)
    with pytest.raises(SettingsError, match="another recorder has begun to write there"):
        second.step(network, 0)
    third = recorder(tmp_path / "mine", resume=True)
    third.step(network, 1)
    with pytest.raises(SettingsError, match="was written by another program meanwhile"):
        first.step(network, 1)
    assert load_recording(tmp_path / "mine").frames["recording"]["step"].tolist() == [0, 1]


def test_a_measurement_that_cannot_be_written_leaves_the_others(tmp_path, monkeypatch):
    mine, network = recorder(tmp_path / "mine", lmd=True), mlp()
    mine.step(network, 0)
    append = RecordingFolder._append

    def fail(self, name, rows):
        size = append(self, name, rows)
        if name == "lmd_ranks":
            raise ResultsError("no room")
        return size

    monkeypatch.setattr(RecordingFolder, "_append", fail)
    with pytest.raises(ResultsError, match="no room"):
        mine.step(network, 1)
    loaded = load_recording(tmp_path / "mine")
    assert all(set(frame["step"]) == {0} for frame in loaded.frames.values())
    monkeypatch.undo()
    mine.step(network, 2)
    loaded = load_recording(tmp_path / "mine")
    assert all(sorted({*frame["step"]}) == [0, 2] for frame in loaded.frames.values())
    assert 1 not in set(pd.read_csv(tmp_path / "mine" / "model_paths.csv")["step"])


KILLED = """
    import os, signal, sys
    import torch
    from torch import nn
    from spaceprobe.recording import folder
    from spaceprobe.recording.recorder import Recorder

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    images = torch.rand(9, 6)
    mine = Recorder(sys.argv[1], images, paths=4, lmd=True, threads=1)
    mine.step(network, 0)
    mine.step(network, 1)
    if sys.argv[2] == "within":  # after a part of a table's bytes
        def cut(self, name, rows):
            path = self.path / f"{name}.csv"
            with path.open("ab") as file:
                file.write(rows.to_csv(index=False, header=False).encode()[:100])
            os.kill(os.getpid(), signal.SIGKILL)
        folder.RecordingFolder._append = cut
        mine.step(network, 2)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["between", "within"])
def test_a_kill_loses_nothing_that_was_measured(when, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run([sys.executable, script, tmp_path / "mine", when], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    loaded = load_recording(tmp_path / "mine")
    assert all(sorted({*frame["step"]}) == [0, 1] for frame in loaded.frames.values())
    assert call("report", tmp_path / "mine").exit_code == 0
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    images = torch.rand(9, 6)
    mine = Recorder(tmp_path / "mine", images, paths=4, lmd=True, threads=1, resume=True)
    mine.step(network, 2)
    for path in sorted((tmp_path / "mine").glob("*.csv")):
        assert sorted({*pd.read_csv(path)["step"]}) == [0, 1, 2], path


# report, plot, compare


def test_the_report_shows_both_and_every_number_is_a_cell(recorded):
    outcome = call("report", recorded[0])
    assert outcome.exit_code == 0, outcome.output
    text = (recorded[0] / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, recorded[0])) == []
    rows = pd.read_csv(recorded[0] / "recording.csv")
    assert f"{rows['length'].iloc[-1]:.1f}</data>" in text
    for name in ("folding", "lengths", "spectra", "ranks", "steps"):
        assert (recorded[0] / "figures" / f"{name}.svg").is_file()
        assert f'id="{name}"' in text
    for name in ("recording", "model_paths", "lmd_layers"):
        assert f'href="{name}.csv"' in text


def test_a_recording_without_decompositions_has_a_report(tmp_path):
    mine, network = recorder(tmp_path / "mine"), mlp()
    mine.step(network, 0)
    outcome = call("report", tmp_path / "mine")
    assert outcome.exit_code == 0, outcome.output
    assert "matrices were not decomposed" in outcome.stderr
    text = (tmp_path / "mine" / "report.html").read_text(encoding="utf-8")
    assert list(faults(text, tmp_path / "mine")) == []
    assert not (tmp_path / "mine" / "figures" / "steps.svg").exists()


def test_figures_are_listed_and_drawn(recorded, tmp_path):
    outcome = call("plot", recorded[0])
    assert [line.split()[0] for line in outcome.stdout.splitlines() if line[0] != " "] == [
        *("folding", "lengths", "spectra", "ranks", "tails", "steps")
    ]
    for kind in ("folding", "steps"):
        out = tmp_path / f"{kind}.pdf"
        assert (
            call("plot", recorded[0].name, kind, "--results", recorded[0].parent, "--out", out).exit_code == 0
        )
        assert out.read_bytes().startswith(b"%PDF")
    for words, message in (
        (["depth", "--out", tmp_path / "x.svg"], "choose one of folding, lengths, spectra"),
        (["tails", "--out", tmp_path / "x.svg"], "there is no figure tails"),
        (["folding"], "--out is missing"),
    ):
        refused = call("plot", recorded[0], *words)
        assert refused.exit_code in (1, 2)
        assert message in " ".join(refused.stderr.split())


def test_the_figure_draws_the_means(recorded):
    from spaceprobe.report.recordings.figures import draw_figure

    loaded = load_recording(recorded[0])
    axes = draw_figure(loaded, "folding").axes[0]
    drawn = [line.get_ydata().tolist() for line in axes.lines]
    assert drawn == [loaded.frames["recording"][name].tolist() for name in ("chi", "null_chi")]
    band = axes.collections[0].get_paths()[0].vertices
    paths = loaded.frames[MODEL_PATHS.name]
    assert band[:, 1].max() == pytest.approx(paths.groupby("step")["chi"].quantile(0.75).max(), abs=1e-12)


def test_two_recordings_are_compared_step_by_step(recorded, tmp_path):
    outcome = call("compare", *recorded, "--out", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    table = pd.read_csv(tmp_path / "recorded_differences.csv")
    a, b = (pd.read_csv(folder / "recording.csv").set_index("step") for folder in recorded)
    assert table["step"].tolist() == [0, 2, 4]
    assert table["note"].tolist()[2] == "in A only"
    for row in table.to_dict("records")[:2]:
        expected = b["length"][row["step"]] - a["length"][row["step"]]
        assert row["length_difference"] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(table["chi_difference"][2])
    matrices = pd.read_csv(tmp_path / "matrices.csv")
    assert matrices["name"].tolist() == ["0.weight", "2.weight", "4.weight"]
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert list(faults(text, tmp_path)) == []
    assert "other paths" not in text
    assert str(tmp_path / "compare.html") in outcome.stdout


def test_other_paths_are_said(recorded, tmp_path):
    recorder(tmp_path / "other", seed=4).step(mlp(), 0)
    outcome = call("compare", recorded[0], tmp_path / "other", "--out", tmp_path / "out")
    assert outcome.exit_code == 0, outcome.output
    assert "the two walk other paths" in " ".join(outcome.stdout.split())


def test_the_same_training_agrees_and_another_does_not(recorded, tmp_path):
    seeded()
    train(mlp(0), 5, recorder(tmp_path / "again", every=2, lmd=True).step)
    agreed = call("compare", recorded[0], tmp_path / "again", "--same")
    assert agreed.exit_code == 0, agreed.output
    assert "A and B agree: 6 tables" in agreed.stdout
    other = call("compare", *recorded, "--same")
    assert other.exit_code == 1
    assert "recording.csv: 1 row only in A: step=4" in other.stdout


def test_commands_of_studies_say_what_takes_it(recorded):
    for command in ("status", "run", "export"):
        words = ["--to", "markdown"] if command == "export" else []
        outcome = call(command, recorded[0], *words)
        assert outcome.exit_code == 2
        assert "has what a recorder measured, not a study" in " ".join(outcome.stderr.split())
    outcome = call("compare", recorded[0], "quickstart")
    assert outcome.exit_code == 2
    assert "is a recording, and quickstart is not" in " ".join(outcome.stderr.split())


def test_a_recording_that_has_only_begun(tmp_path):
    (tmp_path / "recording.csv").write_bytes(b"\n")
    with pytest.raises(SpaceprobeError, match="has measured nothing yet"):
        load_recording(tmp_path)
    assert call("report", tmp_path).exit_code == 1
    recorder(tmp_path, resume=True).step(mlp(), 0)
    assert load_recording(tmp_path).frames["recording"]["step"].tolist() == [0]


def test_read_tables_reads_it(recorded):
    tables = spaceprobe.read_tables(recorded[0])
    assert {*tables} == {"recording", "model_paths", *(table.name for table in OF_STEPS)}


def test_the_module_itself_is_not_in_the_copy(tmp_path):
    network = mlp()
    twin = copy.deepcopy(network)
    recorder(tmp_path / "mine").step(network, 0)
    for one, two in zip(network.parameters(), twin.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, two)


# docs/training.md


def test_the_examples_of_the_page_run_and_trackers_get_numbers(tmp_path, monkeypatch):
    """TensorBoard is real; the others are stand-ins with the signatures of wandb 0.31 and mlflow 3.18."""
    logged = {}

    class Run:
        def log(self, data, step=None, commit=None):  # noqa: ARG002  # a signature
            logged["wandb"] = (data, step)

    @contextmanager
    def init(project=None):
        yield Run()

    @contextmanager
    def start_run(run_id=None):
        yield

    def log_metrics(metrics, step=None, synchronous=None, run_id=None, timestamp=None):
        logged["mlflow"] = (metrics, step)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(start_run=start_run, log_metrics=log_metrics))
    monkeypatch.chdir(tmp_path)
    *examples, of_lightning = blocks(ROOT / "docs" / "training.md", "python")
    assert "import lightning" in of_lightning
    namespace = {}
    exec(compile("\n".join(examples), "docs/training.md", "exec"), namespace)
    frame = load_recording(tmp_path / "runs" / "mine").frames["recording"]
    assert frame["step"].tolist() == [0, 10, 15, 20, 30]
    for tracker, step in (("wandb", 20), ("mlflow", 30)):
        values, at = logged[tracker]
        assert at == step
        assert values["spaceprobe/chi"] == frame.set_index("step")["chi"][step]
        assert {type(value) for value in values.values()} == {float, int}
    assert in_tensorboard(tmp_path / "runs" / "tensorboard")["spaceprobe/length"] == (
        15,
        pytest.approx(frame["length"][2], rel=1e-6),  # which stores float32
    )


def in_tensorboard(folder):
    """Return step and value of each scalar, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    return {name: (points[0].step, points[0].value) for name, points in scalars.items()}


def test_the_page_has_every_column():
    text = (ROOT / "docs" / "training.md").read_text()
    for column in RECORDING.columns:
        assert f"| `{column.name}` | {column.meaning} |" in text
