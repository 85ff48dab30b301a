"""Where paths are walked: by device, network and amount, never by timing; and the CPU where a GPU fails."""

import csv
import importlib
import sys
import types
from pathlib import Path

import pytest
import torch

from spaceprobe.folding import block_walker, walk_paths
from spaceprobe.folding.cuda import capability, images, launching, toolchain
from spaceprobe.folding.cuda.capability import why_cpu
from spaceprobe.folding.layerwise import walk
from spaceprobe.machine.cuda_errors import CudaError, told_plainly
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages import fold, train
from spaceprobe.stages.fold import parts
from spaceprobe.stages.fold.model_paths import prepare_network
from spaceprobe.stages.fold.parts import asks_gpu, gpu_pays
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.stage import Job, Part
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from spaceprobe.study.cluster.workers import Workers
from spaceprobe.study.running.gpu_jobs import with_gpus
from tests.commands import call, small_mnist
from tests.warp_memory import Warps

LOST = torch.AcceleratorError("CUDA error: unspecified launch failure\nmore")


def device_with(monkeypatch, version, lowest=(5, 0)):
    """Let torch see a device of a compute capability, and numba-cuda be there and compile for the lowest."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA X")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: version)
    properties = types.SimpleNamespace(
        name="NVIDIA X",
        major=version[0],
        minor=version[1],
        total_memory=16 * 10**9,
        multi_processor_count=80,
        shared_memory_per_multiprocessor=96 * 1024,
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(capability, "numba_cuda", lambda: None)
    monkeypatch.setattr(toolchain, "numba_cuda", lambda: None)
    monkeypatch.setattr(toolchain, "lowest_capability", lambda: lowest)


@pytest.mark.parametrize("version", [(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)])
def test_a_device_fast_in_float64_walks(version, monkeypatch):
    device_with(monkeypatch, version)
    assert why_cpu() is None


@pytest.mark.parametrize("version", [(7, 5), (8, 6), (8, 9), (10, 3), (12, 0), (13, 0)])
def test_one_slow_in_float64_does_not(version, monkeypatch):
    device_with(monkeypatch, version)
    major, minor = version
    assert why_cpu() == (
        f"NVIDIA X (compute capability {major}.{minor}) does float64 at 1/32 of float32's rate or less"
    )


TOO_OLD = (
    "NVIDIA X has compute capability {}, and numba-cuda compiles here for 7.5 and higher: install torch and "
    "numba-cuda for an older CUDA (numba-cuda[cu12]), or use --device cpu"
)


@pytest.mark.parametrize("version", [(6, 0), (7, 0)])
def test_one_that_numba_cuda_does_not_compile_for_does_not(version, monkeypatch):
    """Fast in float64, but too old for CUDA 13; a device that is asked for by name gets the same sentence."""
    device_with(monkeypatch, version, lowest=(7, 5))
    sentence = TOO_OLD.format(".".join(map(str, version)))
    assert why_cpu() == sentence
    with pytest.raises(CudaError, match="numba-cuda compiles here for") as raised:
        toolchain.Gpu(torch.device("cuda", 0))
    assert str(raised.value) == sentence


@pytest.mark.parametrize("version", [(8, 0), (9, 0), (10, 0)])
def test_newer_ones_than_the_lowest_walk(version, monkeypatch):
    device_with(monkeypatch, version, lowest=(7, 5))
    assert why_cpu() is None
    assert toolchain.Gpu(torch.device("cuda", 0)).memory == 16 * 10**9


def test_the_lowest_that_numba_cuda_compiles_for_is_what_nvrtc_says(monkeypatch):
    nvrtc = types.SimpleNamespace(get_supported_ccs=lambda: [(9, 0), (7, 5), (12, 1)])
    monkeypatch.setattr(toolchain, "numba_cuda", lambda: None)
    monkeypatch.setitem(sys.modules, "numba.cuda.cudadrv.nvrtc", nvrtc)
    assert toolchain.lowest_capability() == (7, 5)

    def fail():
        raise RuntimeError("NVRTC_ERROR_INTERNAL_ERROR when calling nvrtcGetSupportedArchs()\nmore")

    monkeypatch.setattr(nvrtc, "get_supported_ccs", fail)
    told = (
        r"NVRTC does not say for which devices numba-cuda compiles \(NVRTC_ERROR_INTERNAL_ERROR when calling "
        r"nvrtcGetSupportedArchs\(\)\): install spaceprobe\[cuda\] again, or use --device cpu$"
    )
    with pytest.raises(CudaError, match=told):
        toolchain.lowest_capability()


def test_numba_cuda_refuses_what_is_below_its_lowest():
    """Its own words for the device that ours keep away from it."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    nvrtc = importlib.import_module("numba.cuda.cudadrv.nvrtc")
    lowest = toolchain.lowest_capability()
    assert nvrtc.find_closest_arch(lowest) == lowest
    below = (lowest[0], lowest[1] - 1) if lowest[1] else (lowest[0] - 1, 9)
    with pytest.raises(RuntimeError, match="is not supported"):
        nvrtc.find_closest_arch(below)
    toolchain.check_compiles_for("NVIDIA X", lowest)
    with pytest.raises(CudaError, match="numba-cuda compiles here for"):
        toolchain.check_compiles_for("NVIDIA X", below)


def test_no_device_no_numba_cuda_and_a_device_that_fails(monkeypatch):
    device_with(monkeypatch, (9, 0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_cpu() == "torch sees no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def missing():
        raise CudaError("the CUDA kernel needs numba-cuda: install spaceprobe[cuda]")

    monkeypatch.setattr(capability, "numba_cuda", missing)
    assert why_cpu() == "the CUDA kernel needs numba-cuda: install spaceprobe[cuda]"
    monkeypatch.setattr(capability, "numba_cuda", lambda: None)

    def fail(_):
        raise LOST

    monkeypatch.setattr(torch.cuda, "get_device_capability", fail)
    assert why_cpu().startswith("cuda failed (CUDA error: unspecified launch failure):")


def sections(network=None, **folding):
    return {
        "data": DataSettings(),
        "network": NetworkSettings(**(network or {})),
        "training": TrainingSettings(),
        "folding": FoldingSettings(**folding),
    }


WISHES = {
    "auto-float64": [{}, {"method": "kernel"}],
    "cpu": [{"precision": "float32"}, {"threshold": 0.5}, {"device": "cpu"}],
    "auto": [{"method": "sampled"}, {"method": "layerwise"}],
    "cuda": [{"device": "cuda"}],
}


@pytest.mark.parametrize("wish", WISHES)
def test_wish(wish):
    for folding in WISHES[wish]:
        assert asks_gpu(sections(**folding)) == wish
    assert asks_gpu(sections({"activation": "leaky-relu"}, **WISHES["auto"][0])) == "auto"


def job(amount, architecture="2x30", **folding):
    return Job(
        *("fold", "run", Path(), sections({"architecture": architecture}, **folding), {}),
        [Part("part", {}, amount=amount)],
        "",
    )


def test_a_gpu_pays_from_paths_times_units_on():
    paths = parts.GPU_PAYS_FROM // 60
    assert gpu_pays([job(2 * paths)])
    assert gpu_pays([job(paths), job(paths)])  # of the whole study
    assert not gpu_pays([job(2 * paths - 2)])
    assert gpu_pays([job(2 * paths // 10, "10x60")])
    assert not gpu_pays([])


class Machine:
    """An executor that has a GPU, and one fast in float64 or a reason why not."""

    def __init__(self, reason=None, *, has_gpu=True):
        self.reason, self.num_asked, self._has_gpu = reason, 0, has_gpu

    def check_gpu(self):
        pass

    def has_gpu(self):
        return self._has_gpu

    def why_no_float64_gpu(self):
        self.num_asked += 1
        return self.reason


def test_jobs_that_go_to_the_gpu(monkeypatch, caplog):
    caplog.set_level("INFO", logger="spaceprobe")
    jobs = [job(100), job(100, method="sampled"), job(100, device="cuda"), job(100, device="cpu")]
    small = Machine()
    assert [j.wants_gpu for j in with_gpus(fold.STAGE, jobs, small)] == [False, True, True, False]
    assert small.num_asked == 0  # so that a small study imports nothing for it
    monkeypatch.setattr(parts, "GPU_PAYS_FROM", 1)
    assert [j.wants_gpu for j in with_gpus(fold.STAGE, jobs, Machine())] == [True, True, True, False]
    slow = Machine("NVIDIA X is slow")
    assert [j.wants_gpu for j in with_gpus(fold.STAGE, jobs, slow)] == [False, True, True, False]
    told = "fold: exact walks of ReLU MLPs: NVIDIA X is slow; device is auto, so the CPU walks the paths"
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [told]
    caplog.clear()
    without = Machine("torch sees no CUDA device", has_gpu=False)
    assert [j.wants_gpu for j in with_gpus(fold.STAGE, jobs, without)] == [False, False, True, False]
    assert "fold: exact walks of ReLU MLPs: torch sees no CUDA device" in caplog.text
    assert {r.levelname for r in caplog.records} == {"INFO"}  # nothing to tell a user who has none
    assert [j.wants_gpu for j in with_gpus(train.STAGE, [job(100)], Machine())] == [False]


class Cluster:
    """A Dask client as `Workers` uses it; two of its workers have a GPU."""

    status = "running"

    def __init__(self, answers):
        self.answers = answers

    def scheduler_info(self, **_):
        resources = {"tcp://a": {"GPU": 1}, "tcp://b": {}, "tcp://c": {"GPU": 1}}
        return {"workers": {name: {"name": name, "resources": own} for name, own in resources.items()}}

    def run(self, function, workers, on_error):
        assert (function, workers, on_error) == (why_cpu, ["tcp://a", "tcp://c"], "return")
        return dict(zip(workers, self.answers, strict=True))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((None, None), None),
        ((None, "is slow"), "tcp://c: is slow"),
        ((ImportError("no spaceprobe"), None), "tcp://a: no spaceprobe"),
    ],
)
def test_all_workers_with_a_gpu_have_to_be_fast(answers, expected):
    assert Workers(Cluster(answers), "the cluster").why_no_float64_gpu() == expected


STUDY = """\
study: {{stages: [train, fold]}}
data: {{root: {root}, train_images: 200}}
network: {{architecture: 2x5}}
training: {{epochs: 1}}
folding: {{per_class: 3, pairs: [3-8], detail: 2}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "small.yaml"
    path.write_text(STUDY.format(root=small_mnist(folder / "images")))
    assert call("run", path, "--results", folder).exit_code == 0
    return path


def table(results, name):
    return (results / "small" / f"{name}.csv").read_text()


def engines(results):
    return {
        (row["engine"], row["device"])
        for row in csv.DictReader(table(results, "folding_checks").splitlines())
    }


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a fast GPU, which numpy stands for."""
    device_with(monkeypatch, (9, 0))
    monkeypatch.setattr(parts, "GPU_PAYS_FROM", 1)
    device = Warps()
    monkeypatch.setattr(launching.Gpu, "of", lambda _: device)
    return device


def test_a_large_study_goes_to_the_gpu_by_itself(study, gpu, tmp_path):
    assert engines(study.parent) == {("kernel", "cpu")}
    assert call("run", study, "--results", tmp_path, "--verbose").exit_code == 0
    assert engines(tmp_path) == {("cuda-kernel", "cuda")}
    # The single paths of paths.csv are the CPU's.
    assert {name for name, _ in gpu.launches} == {"walk_grid"}
    for name in ("folding", "paths", "folding_histogram"):
        assert table(tmp_path, name) == table(study.parent, name)
    (log,) = (tmp_path / "small/runs").glob("*/run.log")
    assert "the engine cuda-kernel walks paths, on cuda" in log.read_text()


def test_each_network_sees_the_images_of_a_class_once(study, gpu, tmp_path, monkeypatch):
    """However many pairs the class is in: two classes, before and after training."""
    groups = []
    see = images.forward_passes

    def noted(layers, group, network):
        groups.append((float(layers[0][0].sum()), group.numpy().tobytes()))
        return see(layers, group, network)

    monkeypatch.setattr(images, "forward_passes", noted)
    pairs = ("--set", "folding.pairs=[3-8, 3-3, 8-8]")
    assert call("run", study, "--results", tmp_path, *pairs).exit_code == 0
    assert table(tmp_path, "folding_checks").count("cuda-kernel") == 6
    assert len(groups) == len({*groups}) == 4


def test_a_small_one_does_not(study, gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "GPU_PAYS_FROM", 10**6)
    assert call("run", study, "--results", tmp_path, "--verbose").exit_code == 0
    assert engines(tmp_path) == {("kernel", "cpu")}
    assert gpu.launches == []


def test_a_gpu_that_numba_cuda_does_not_compile_for_leaves_a_study_to_the_cpu(study, monkeypatch, tmp_path):
    """With auto the CPU, and a notice; with the kernel asked for there, an error of one sentence."""
    device_with(monkeypatch, (7, 0), lowest=(7, 5))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(parts, "GPU_PAYS_FROM", 1)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0
    told = f"{TOO_OLD.format('7.0')}; device is auto, so the CPU walks the paths"
    assert " ".join(outcome.stderr.split()).count(told) == 1
    assert engines(tmp_path) == {("kernel", "cpu")}
    for name in ("folding", "paths", "folding_histogram"):
        assert table(tmp_path, name) == table(study.parent, name)
    by_name = call("fold", study, "--results", tmp_path, "--device", "cuda", "--method", "kernel")
    assert by_name.exit_code == 1
    assert TOO_OLD.format("7.0") in " ".join(by_name.stderr.split())
    assert "Traceback" not in by_name.stderr


def test_a_gpu_that_fails_in_the_middle_loses_nothing(study, gpu, tmp_path, monkeypatch):
    launch = gpu.launch

    def fail(*given):
        launch(*given)
        if len(gpu.launches) > 2:
            raise LOST

    monkeypatch.setattr(gpu, "launch", fail)
    assert call("run", study, "--results", tmp_path, "--verbose").exit_code == 0
    assert engines(tmp_path) == {("cuda-kernel", "cuda"), ("kernel", "cpu")}
    for name in ("folding", "paths", "folding_histogram"):
        assert table(tmp_path, name) == table(study.parent, name)
    (log,) = (tmp_path / "small/runs").glob("*/run.log")
    assert "device is auto, so the CPU walks the paths from here on" in log.read_text()


def test_a_worker_with_another_gpu_takes_its_cpu(study, gpu, tmp_path, monkeypatch):
    answers = iter([None, "NVIDIA Y is slow"])  # where the study is started, and where the job is
    monkeypatch.setattr(capability, "why_cpu", lambda *_: next(answers))
    assert call("run", study, "--results", tmp_path, "--verbose").exit_code == 0
    assert engines(tmp_path) == {("kernel", "cpu")}
    (log,) = (tmp_path / "small/runs").glob("*/run.log")
    assert "NVIDIA Y is slow; device is auto, so the CPU walks the paths" in log.read_text()


# --- memory, and failures of torch's own engines ------------------------------------------------

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")


@pytest.mark.parametrize(("num_gigabytes", "largest"), [(4, 5.2e6), (16, 20.8e6), (80, 2**25), (141, 2**25)])
def test_batches_of_the_layerwise_walk_have_the_size_of_the_device(num_gigabytes, largest, monkeypatch):
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda _: types.SimpleNamespace(total_memory=num_gigabytes * 10**9),
    )
    weight = torch.zeros(1000)
    body = types.SimpleNamespace(parameters=lambda: [weight])
    network = types.SimpleNamespace(body=body, device=torch.device("cuda"))
    number = walk.most_numbers(network)
    assert number == pytest.approx(largest, rel=0.02)
    assert number * 8 * walk.MAX_ROOM * walk.NUM_TENSORS <= num_gigabytes * 10**9
    weight = torch.zeros(2**26 + 1)  # many weights are worth larger batches, where there is memory
    assert walk.most_numbers(network) == (2**26 + 1 if num_gigabytes >= 80 else number)
    network.device = torch.device("cpu")
    assert walk.most_numbers(network) == 2**26 + 1


def small_network():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.nn.Linear(3, 6), torch.nn.LeakyReLU(), torch.nn.Linear(6, 4), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    points = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    return network, points[:10], points[10:]


def test_a_batch_too_large_for_the_memory_is_halved(monkeypatch):
    network, a, b = small_network()
    expected = walk_paths(network, a, b, method="layerwise")
    fold_history, sizes = block_walker.fold_history, []

    def limited(history):
        num_paths = history.length.shape[1]
        sizes.append(num_paths)
        if num_paths > 3:
            raise FULL
        return fold_history(history)

    monkeypatch.setattr(block_walker, "fold_history", limited)
    found = walk_paths(network, a, b, method="layerwise")
    assert sizes == [10, 5, 2, 3, 5, 2, 3]
    assert (found.length == expected.length).all()
    assert (found.reach_from_b == expected.reach_from_b).all()

    def full(_):
        raise FULL

    monkeypatch.setattr(block_walker, "fold_history", full)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        walk_paths(network, a, b, method="layerwise")


PLAIN = (
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
    "CUDA driver initialization failed, you might not have a CUDA gpu.",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "Found no NVIDIA driver on your system.",
    "The NVIDIA driver on your system is too old (found version 11040).",
    "No CUDA GPUs are available",
)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_errors_of_torch_about_a_device_are_one_sentence(text):
    with (
        pytest.raises(CudaError, match=r"cuda failed .*or use --device cpu") as raised,
        told_plainly("cuda"),
    ):
        raise RuntimeError(text + "\nmore")
    assert text in str(raised.value)
    assert "more" not in str(raised.value)
    with pytest.raises(RuntimeError, match="shapes differ"), told_plainly("cuda"):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("error", [FULL, LOST])
@pytest.mark.parametrize("stage", ["train", "fold"])
def test_a_device_that_fails_is_one_sentence_where_it_was_asked_for(
    stage, error, study, tmp_path, monkeypatch
):
    """Torch's own engine, or the training, on a GPU; it fails when it is to compute there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def fail(*_, **__):
        raise error

    if stage == "fold":
        monkeypatch.setattr("spaceprobe.folding.fold_grid", fail)
        monkeypatch.setattr("spaceprobe.folding.engine_for", lambda *_, **__: "layerwise")
        words = ("fold", study, "--method", "layerwise")
    else:
        monkeypatch.setattr("spaceprobe.stages.train.computation.device_of", lambda _: "cpu")
        monkeypatch.setattr("spaceprobe.networks.training.train", fail)
        words = ("train", study)
    if stage == "fold":
        assert call("train", study, "--results", tmp_path).exit_code == 0
    outcome = call(*words, "--results", tmp_path, "--device", "cuda")
    assert outcome.exit_code == 1
    text = " ".join(outcome.stderr.split())
    assert "or use --device cpu" in text
    assert "Traceback" not in text
    assert "Tried to allocate" not in text


def prepared_on_gpu(monkeypatch, device):
    """Return a network prepared for a GPU that is lost at the first walk there."""
    network, a, b = small_network()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    prepared = prepare_network(network, torch.cat([a, b]), FoldingSettings(device=device), "here")
    places = []

    def walk():
        places.append(prepared.way["device"])
        if places[-1] == "cuda":
            raise LOST
        return "walked"

    return prepared, walk, places


def test_paths_of_a_model_go_on_on_the_cpu(monkeypatch, caplog):
    prepared, walk, places = prepared_on_gpu(monkeypatch, "auto")
    assert [prepared.run(walk) for _ in range(2)] == ["walked"] * 2
    assert places == ["cuda", "cpu", "cpu"]
    assert "device is auto, so the CPU walks the paths from here on" in caplog.text
    prepared, walk, places = prepared_on_gpu(monkeypatch, "cuda")
    with pytest.raises(CudaError, match="or use --device cpu"):
        prepared.run(walk)
    assert places == ["cuda"]


def test_a_model_that_is_an_mlp_stays_on_the_cpu(monkeypatch):
    """A GPU pays for more paths than are listed one by one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = mlp([3, 6, 4, 2], torch.Generator().manual_seed(0))
    points = torch.zeros(2, 3, dtype=torch.float64)
    ways = [
        prepare_network(network, points, FoldingSettings(method=method), "here").way["device"]
        for method in ("exact", "kernel", "layerwise")
    ]
    assert ways == ["cpu", "cpu", "cuda"]
