"""Whole commands on a small study of real MNIST."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch

from spaceprobe.cli import main
from spaceprobe.stages.stage import Part
from spaceprobe.study.storage.part_files import StalePart, read_part
from tests.commands import call

STUDY = """\
data: {train_images: 600}
training: {epochs: 2}
folding: {per_class: 3}
sweep:
  network.architecture: [2x8, 3x6]
  training.seed: [0, 1]
"""
TABLES = {
    "runs": "run,architecture,depth,width,activation,dataset,seed,num_parameters,initial_digest,train_loss,"
    "train_accuracy,test_loss,test_accuracy,status,error",
    "training": "run,epoch,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy",
    "folding": "run,epoch,source_class,target_class,measure,method,num_points,num_paths,num_sources,"
    "num_targets,zero_length,folded,mean,max,q05,q25,q50,q75,q95,row_max_median",
    "folding_checks": "run,epoch,source_class,target_class,method,device,engine,not_counted,num_walks,"
    "num_violations,unresolved",
    "lmd_spectrum": "run,epoch,layer,basis,index,value,energy,cumulative_energy,untrained_value,"
    "shuffled_value,participation_u,participation_v,error,kept",
    "lmd_ranks": "run,epoch,layer,rule,rank,value,valid,reason,default",
    "lmd_layers": "run,epoch,layer,num_outputs,num_inputs,metric,rank,rule,frobenius_norm,spectral_norm,"
    "stable_rank,truncation_error,reconstruction_error,isometry_error_u,isometry_error_v,condition_in,"
    "condition_out,num_components,num_components_out,num_dead_inputs,num_ignored_inputs,valid,reason",
    "lmd_functional": "run,epoch,layer,rank,score,scored_on",
    "lmd_tails": "run,epoch,layer,num_values,exponent,standard_error,ks_distance,xmin,num_tail,"
    "num_left_out,goodness_p,num_replicas,lognormal_ratio,lognormal_p,preferred,valid,reason,"
    "log_norm,log_spectral_norm,weighted_alpha,log_alpha_norm,stable_rank,numerical_rank,noise_edge,"
    "entries_edge,num_spikes,soft_rank,num_shuffled_spikes,shuffled_distance,num_large_entries,"
    "largest_entry,largest_row,largest_column,num_entry_spikes",
    "lmd_convergence": "run,epoch,layer,gradient_ratio,drift,raw_drift,subspace_sine,log_loss_change,"
    "learning_rate,margin_q50,margin_q90,margin_q99,margin_max,stable,converged,reason",
    "lmd_dimension": "run,epoch,layer,space,estimator,num_neighbours,dimension,spread,num_points,"
    "num_duplicates,num_subsamples,reason",
    "lmd_retrieval": "run,epoch,layer,space,rank,num_stored,noise,num_queries,accuracy",
    "lmd_semantics": "run,epoch,layer,axis,share,shuffled_mean,shuffled_sd,shuffled_q95,shuffled_max,p_value,"
    "class_variance,variance",
    "folding_histogram": "run,epoch,measure,method,num_points,low,high,num_paths",
    "aggregates": "run,architecture,depth,width,activation,dataset,seed,num_parameters,state,test_accuracy,"
    "accuracy_of,method,num_points,num_pairs,num_sources,num_targets,chi_zero_length,chi_folded,"
    "chi_folded_mean,chi_mean,"
    "chi_max,chi_q05,chi_q25,chi_q50,chi_q75,chi_q95,chi_row_max_median,peak_zero_length,peak_folded,"
    "peak_folded_mean,peak_mean,peak_max,peak_q05,peak_q25,peak_q50,peak_q75,peak_q95,peak_row_max_median,note",
    "architectures": "state,architecture,depth,width,activation,dataset,method,num_points,num_seeds,"
    "accuracy_of,test_accuracy_mean,test_accuracy_sd,test_accuracy_low,test_accuracy_high,"
    "chi_folded_mean_mean,chi_folded_mean_sd,chi_folded_mean_low,chi_folded_mean_high,"
    "chi_max_mean,chi_max_sd,chi_max_low,chi_max_high,"
    "chi_row_max_median_mean,chi_row_max_median_sd,chi_row_max_median_low,chi_row_max_median_high,"
    "note",
    "correlations": "predictor,response,state,at,given,min_accuracy,accuracy_of,seed,num_runs,num_seeds,"
    "pearson,pearson_low,pearson_high,spearman,slope,slope_low,slope_high,interval,note",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


def tables(results):
    """Return the bytes of every CSV but the wall-clock times."""
    found = {path.name: path.read_bytes() for path in (results / "tiny").glob("*.csv")}
    found.pop("timings.csv", None)
    return found


def parts(results):
    """Return when each part was written."""
    files = [path for path in (results / "tiny" / "runs").rglob("*") if path.suffix in {".npz", ".json"}]
    return {path.relative_to(results): path.stat().st_mtime_ns for path in files}


def test_tables_have_the_columns_that_are_promised(finished):
    folder = finished / "tiny"
    for name, columns in TABLES.items():
        assert (folder / f"{name}.csv").read_text().splitlines()[0] == columns
    folding = pd.read_csv(folder / "folding.csv")
    assert len(folding) == 4 * 2 * 100 * 2  # runs, epochs, class pairs, measures
    is_same_class = folding["source_class"] == folding["target_class"]
    assert set(folding[is_same_class]["num_paths"]) == {6}
    assert set(folding[~is_same_class]["num_paths"]) == {9}
    checks = pd.read_csv(folder / "folding_checks.csv")
    assert len(checks) == 4 * 2 * 55  # each unordered pair is walked once
    assert checks["num_walks"].sum() == 4 * 2 * (45 * 9 + 10 * 3)
    assert checks["num_violations"].sum() == 0
    key = ["run", "epoch", "source_class", "target_class", "measure"]
    assert folding[key].equals(folding[key].sort_values(key, ignore_index=True))
    assert not folding.duplicated(key).any()


def test_run_prints_what_came_out(study, finished):
    outcome = call("run", study, "--results", finished)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("tiny: 4 runs")
    assert "2x8" in outcome.stdout
    assert "row maxima" in outcome.stdout
    assert f"{finished}/tiny/*.csv" in outcome.stdout
    assert "nothing was computed" in outcome.stderr


def test_second_run_computes_nothing(study, copied):
    before, written = tables(copied), parts(copied)
    assert call("run", study, "--results", copied).exit_code == 0
    assert parts(copied) == written
    assert tables(copied) == before


def test_two_processes_give_the_same_bytes(study, finished, tmp_path):
    outcome = call("run", study, "--results", tmp_path, "--jobs", 2)
    assert outcome.exit_code == 0, outcome.output
    assert tables(tmp_path) == tables(finished)


def test_killed_and_started_again(study, finished, tmp_path):
    """kill -9 while folding: what was finished is not done again, and the bytes are the same."""
    command = [sys.executable, "-m", "spaceprobe", "run", study, "--results", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("epoch*.npz"))) < 60:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    written = parts(tmp_path)
    assert len(written) >= 60
    assert call("run", study, "--results", tmp_path).exit_code == 0
    now = parts(tmp_path)
    assert {path: now[path] for path in written} == written
    assert tables(tmp_path) == tables(finished)


def test_flags_select_pairs_and_epoch(study, copied, tmp_path):
    assert call("train", study, "--results", tmp_path / "new").exit_code == 0
    outcome = call("fold", study, "--results", tmp_path / "new", "--pairs", "3-8,8-3", "--epoch", "last")
    assert outcome.exit_code == 0
    folding = pd.read_csv(tmp_path / "new" / "tiny" / "folding.csv")
    assert set(zip(folding["source_class"], folding["target_class"], strict=True)) == {(3, 8), (8, 3)}
    assert set(folding["epoch"]) == {2}
    # where all pairs are there, they stay
    written, before = parts(copied), tables(copied)
    assert call("fold", study, "--results", copied, "--pairs", "3-8,8-3").exit_code == 0
    assert parts(copied) == written
    assert tables(copied) == before
    assert len(pd.read_csv(copied / "tiny" / "folding.csv")) == 4 * 2 * 100 * 2


def test_sampled_is_another_measurement(study, copied):
    before = parts(copied)
    flags = ("--method", "sampled", "--points", 7, "--pairs", "3-8")
    assert call("fold", study, "--results", copied, *flags).exit_code == 0
    folding = pd.read_csv(copied / "tiny" / "folding.csv")
    assert set(folding["num_points"]) == {7}
    assert set(folding["method"]) == {"sampled"}
    assert {path: time for path, time in parts(copied).items() if path in before} == before


def test_one_run_only(study, tmp_path):
    name = "2x8-s1-"
    listed = call("train", study, "--results", tmp_path, "--run", "nobody")
    assert listed.exit_code == 2
    assert "--run nobody: no run of tiny; its runs are 2x8-s0-" in listed.stderr
    name = next(word.strip(",\n") for word in listed.stderr.split() if word.startswith(name))
    assert call("train", study, "--results", tmp_path, "--run", name).exit_code == 0
    assert list(pd.read_csv(tmp_path / "tiny" / "runs.csv")["run"]) == [name]


def test_a_probe_axis_retrains_nothing(study, copied):
    trained = {path: when for path, when in parts(copied).items() if path.name == "train.json"}
    sweep = 'sweep.folding.method=["exact", "sampled"]'
    outcome = call("fold", study, "--results", copied, "--set", sweep, "--pairs", "1-7")
    assert outcome.exit_code == 0, outcome.output
    folding = pd.read_csv(copied / "tiny" / "folding.csv")
    assert set(folding["method"]) == {"exact", "sampled"}
    assert {path: when for path, when in parts(copied).items() if path in trained} == trained


def test_a_diverging_run_does_not_stop_the_others(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "data: {train_images: 600}\ntraining: {epochs: 1}\nfolding: {per_class: 2, pairs: [1-7]}\n"
        "network: {architecture: 20x10}\nsweep: {training.learning_rate: [1000.0, 0.001]}\n"
    )
    outcome = call("run", path, "--results", tmp_path)
    assert outcome.exit_code == 1
    assert "training diverged" in outcome.stderr
    runs = pd.read_csv(tmp_path / "tiny" / "runs.csv").set_index("learning_rate")
    assert runs["status"].to_dict() == {1000.0: "failed", 0.001: "done"}
    assert "not finite after epoch 1" in runs.loc[1000.0, "error"]
    folding = pd.read_csv(tmp_path / "tiny" / "folding.csv")
    assert set(folding["run"]) == {runs.loc[0.001, "run"]}
    # a second start knows it and says it again
    assert call("run", path, "--results", tmp_path).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--pairs", "3-11"), 2, "folding.pairs: 3-11: the dataset has classes 0 to 9"),
        (("--pairs", "x"), 2, "--pairs x: 'x' is not a class pair"),
        (("--set", "folding.endpoints=cluster"), 2, "class-pairs"),
        (("--per-class", "0"), 2, "--per-class 0"),
        (("--points", "1"), 2, "--points 1"),
        (("--epoch", "3"), 2, "--epoch 3"),
        (("--set", "folding.pear=3"), 2, "per_class"),
    ],
)
def test_wrong_flags_get_one_clear_sentence(study, tmp_path, arguments, code, words):
    outcome = call("fold", study, "--results", tmp_path, *arguments)
    assert outcome.exit_code == code
    assert words in outcome.stderr
    assert "Traceback" not in outcome.output
    assert not list(tmp_path.iterdir())


def test_a_study_after_bare_pairs_gets_the_right_order(tmp_path):
    outcome = call("fold", "--pairs", "depth-sweep", "--results", tmp_path)
    assert outcome.exit_code == 2
    assert "spaceprobe fold STUDY --pairs 3-8" in outcome.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(study, copied):
    outcome = call("fold", study, "--results", copied, "--device", "cuda", "--per-class", 2)
    assert outcome.exit_code == 1
    assert "no CUDA device" in outcome.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_training_asks_for_a_gpu_where_one_is_asked_for(study, copied):
    before = (copied / "tiny" / "training.csv").read_bytes()
    outcome = call("train", study, "--results", copied, "--device", "cuda")
    assert outcome.exit_code == 1
    assert outcome.stderr.endswith(
        "Error: --device cuda: torch sees no CUDA device here; use --device cpu or auto\n"
    )
    assert (copied / "tiny" / "training.csv").read_bytes() == before
    outcome = call("train", study, "--results", copied, "--device", "auto")  # auto is the CPU, for training
    assert outcome.exit_code == 0
    assert "nothing was computed" in outcome.stderr


def test_folding_before_training(study, tmp_path):
    outcome = call("fold", study, "--results", tmp_path)
    assert outcome.exit_code == 2
    assert outcome.stderr == (
        "Error: tiny: none of its 4 runs can be done, so nothing is computed or written: train.json is "
        "not there yet: `spaceprobe train` comes first\n"
    )
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_checkpoint_is_refused_then_redone(study, copied, damage):
    path = next(path for path in copied.rglob("model.safetensors"))
    good = path.read_bytes()
    if damage == "flip":
        path.write_bytes(good[:-5] + bytes([good[-5] ^ 4]) + good[-4:])
    elif damage == "truncate":
        path.write_bytes(good[:1000])
    else:
        path.unlink()
    outcome = call("fold", study, "--results", copied, "--pairs", "0-0")
    assert outcome.exit_code == 1
    expected = "is missing" if damage == "remove" else "is damaged"
    assert f"model.safetensors {expected}" in outcome.stderr
    assert "`spaceprobe train" in outcome.stderr
    assert call("train", study, "--results", copied).exit_code == 0
    assert path.read_bytes() == good


def test_a_damaged_part_is_redone(study, copied, finished):
    path = next(copied.rglob("epoch0-2-7.npz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    assert call("fold", study, "--results", copied).exit_code == 0
    assert tables(copied) == tables(finished)


def parsed(data):
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_every_flipped_bit_of_a_part_is_found(finished):
    """A digest over the whole part is checked before anything of it is parsed."""
    for name in ("epoch0-3-8.npz", "train.json"):
        path = next(Path(finished).rglob(name))
        part = Part(path.name, {}, 0)
        data = path.read_bytes()
        found = read_part(path.parent, part, None)
        assert isinstance(found, StalePart)
        assert " → " in found.reason  # whole, but not what was asked for
        with tempfile.TemporaryDirectory() as folder:
            for position in range(0, len(data), 11):
                bad = data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :]
                (Path(folder) / name).write_bytes(bad)
                found = read_part(Path(folder), part, None)
                assert isinstance(found, StalePart)
                # the 17th digit of a number may say the same number
                is_harmless = name.endswith(".json") and parsed(bad) == json.loads(data)
                assert ("is damaged" in found.reason) is not is_harmless, position


def test_a_full_disk_stops_the_study(study, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "runs").write_text("in the way")
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 1
    assert "cannot be written" in outcome.stderr
    assert "comes first" not in outcome.stderr


def test_results_that_cannot_be_written(study, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = call("train", study, "--results", tmp_path / "file")
    assert outcome.exit_code == 1
    assert "cannot be written" in outcome.stderr
    assert "--results" in outcome.stderr


@pytest.mark.parametrize("name", ["run.log", "train.json", "model.safetensors"])
def test_what_is_in_the_way_of_one_run_stops_no_other(study, copied, name):
    """Nothing is computed in vain, and once it is away the same command goes on."""
    place = next(copied.rglob(name))
    run = place.parent.name
    with suppress(FileNotFoundError):
        (place.parent / "train.json").unlink()
    place.unlink(missing_ok=True)
    place.mkdir()
    outcome = call("run", study, "--results", copied)
    assert outcome.exit_code == 1
    label = re.sub(r"^(.*)-s(\d)-.*", r"\1 · seed \2", run)
    assert f"Error: {label}: " in outcome.stderr
    assert f"{name}: cannot be written (Is a directory); move what is there away" in outcome.stderr
    assert "1 of 4 runs have no result" in outcome.stderr
    runs = pd.read_csv(copied / "tiny" / "runs.csv").set_index("run")
    assert runs.index[runs["status"] == "failed"].tolist() == [run]
    assert "cannot be written (Is a directory)" in runs["error"][run]
    place.rmdir()
    assert call("run", study, "--results", copied).exit_code == 0


def test_plan_and_results_that_are_a_file(study, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = call("plan", study, "--results", tmp_path / "file")
    assert outcome.exit_code == 1
    assert f"{tmp_path}/file: cannot be written (Not a directory)" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--results", ""), "it is empty; give a folder"),
        (("--force", "--trust-code"), "--force and --trust-code do not go together"),
        (("--scheduler-file", "nowhere"), "'nowhere' does not exist"),
        (("--log-file", "/proc/x/log"), "--log-file /proc/x/log: cannot be written"),
    ],
)
def test_wrong_calls_end_with_2(study, tmp_path, arguments, words):
    outcome = call("run", study, "--results", tmp_path, *arguments)
    assert outcome.exit_code == 2
    assert words in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_results_on_a_read_only_mount(study, tmp_path):
    """Root may write into any folder, but not onto a read-only mount."""
    script = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path} && "
    script += f"{sys.executable} -m spaceprobe train {study} --results {tmp_path}/results"
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], capture_output=True).returncode:
        pytest.skip("no private mount namespace can be made here")
    done = subprocess.run([unshare, "-m", "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be written (Read-only file system)" in done.stderr
    assert "Traceback" not in done.stderr


def test_torch_is_imported_only_where_it_is_used(study, finished):
    code = (
        "import sys; from click.testing import CliRunner; from spaceprobe.cli import main; "
        "CliRunner().invoke(main, sys.argv[1:]); sys.exit('torch' in sys.modules)"
    )
    for words in (["--help"], ["fold", "--help"], ["validate", study], ["summarize", study]):
        done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=finished)
        assert done.returncode == 0, words


def test_a_run_starts_without_what_takes_long_to_import(tmp_path):
    """Each of these takes half a second to three, in every process; few studies need any."""
    path = tmp_path / "one.yaml"
    path.write_text(
        "data: {train_images: 600}\ntraining: {epochs: 1}\nfolding: {per_class: 2, pairs: [3-8]}\n"
    )
    heavy = {"torchvision", "torch._dynamo", "sympy"}  # the second is torch's compiler
    heavy |= {"sklearn", "scipy.stats", "matplotlib", "distributed"}
    code = (
        "import sys; from click.testing import CliRunner; from spaceprobe.cli import main; "
        "outcome = CliRunner().invoke(main, ['run', sys.argv[1], '--no-report', '--results', sys.argv[2]]); "
        f"sys.exit(outcome.output if outcome.exit_code else ', '.join({heavy} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, path, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_has_help_with_an_example():
    for name, command in main.commands.items():
        outcome = call(name, "--help")
        assert outcome.exit_code == 0
        assert re.search(rf'Example: (eval "\$\()?spaceprobe {name}', " ".join(outcome.output.split()))
        assert command.get_short_help_str()


def test_nothing_is_drawn_without_a_terminal(study, tmp_path):
    command = [sys.executable, "-m", "spaceprobe", "train", study, "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0
    plan = [f"tiny: 4 runs in {tmp_path}/tiny", "train      4 of 4 runs, 8 epochs: not there yet"]
    assert done.stderr.splitlines() == plan
    quiet = subprocess.run([*command, "--force", "--quiet"], capture_output=True, text=True)
    assert quiet.returncode == 0
    assert quiet.stderr == ""
    assert quiet.stdout == done.stdout


def test_parts_say_what_they_hold(finished):
    path = next(Path(finished).rglob("train.json"))
    fields = json.loads(path.read_text())
    assert set(fields["files"]) == {"model.safetensors", "model-epoch0.safetensors"}
    assert fields["key"]["training"]["epochs"] == 2
