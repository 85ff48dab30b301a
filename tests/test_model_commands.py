"""`fold`, `path` and `lmd` with --model: a network without a study."""

import math
import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spaceprobe.cli.fold_text import cost_text
from spaceprobe.folding import space_folding, trace_path, walk_paths
from spaceprobe.folding.engine_check import EngineCheck, check_engine
from spaceprobe.model_sources import ModelSourceError, construction, parse_model
from spaceprobe.model_sources.construction import build
from spaceprobe.stages.fold import model_paths
from spaceprobe.stages.fold.model_ends import draw, images_asked, of_class_pairs
from spaceprobe.stages.fold.model_paths import MODEL_PATHS, Cost
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.settings import DataSettings
from spaceprobe.weights.modules import hints_of
from tests.commands import call
from tests.documents import ROOT

CLASSES = ("source_class", "target_class")
NETS = """
from pathlib import Path
import torch
from torch import nn

Path("has-run").touch()

class Curved(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.curve, self.second = nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3)

    def forward(self, x):
        return torch.relu(self.second(self.curve(self.first(x))))

def curved():
    return Curved()

def choosing():
    return nn.Sequential(nn.Linear(6, 4), nn.Softmax(1), nn.Linear(4, 3), nn.ReLU())

def image():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))

def batch_loses_itself():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Flatten(0))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    random = np.random.default_rng(5)
    np.save("a.npy", random.normal(size=(7, 6)))
    np.save("b.npy", random.normal(size=(7, 6)).astype("f4"))
    np.save("one.npy", random.normal(size=6))
    return tmp_path


def fold(*arguments):
    return call("fold", *arguments)


def test_paths_between_files_are_those_of_walk_paths(folder):
    done = fold("--model", "6-5-4-3", "--from", "a.npy", "--to", "b.npy", "--seed", "3", "--out", "p.csv")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert [*frame.columns] == [name for name in MODEL_PATHS.plain_names if name not in (*CLASSES, "step")]
    network = build(parse_model("6-5-4-3"), seed=3).double()
    a, b = (torch.from_numpy(np.load(name)).double() for name in ("a.npy", "b.npy"))
    expected = walk_paths(network, a, b, method="jvp")
    assert frame["length"].tolist() == expected.length.tolist()
    assert frame["reach"].tolist() == expected.reach_from_a.tolist()
    assert frame["reach_back"].tolist() == expected.reach_from_b.tolist()
    assert frame["chi"].tolist() == space_folding(expected.length, expected.reach_from_a).tolist()
    assert frame["chi_back"].tolist() == space_folding(expected.length, expected.reach_from_b).tolist()
    assert frame["source"].tolist() == frame["target"].tolist() == [*range(7)]
    assert {*frame["engine"]} == {"kernel"}
    assert {*frame["num_violations"]} == {0}
    assert frame["not_counted"].isna().all()
    np.testing.assert_allclose(frame["distance"], np.linalg.norm((b - a).numpy(), axis=1), rtol=1e-12)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["6-5-4-3: 7 paths, each read from both ends", "  random weights, seed 3"]
    assert lines[-1] == "table  p.csv"
    assert max(map(len, lines)) <= 80


def test_a_single_path_is_a_list_of_its_measures(folder):
    np.save("two.npy", np.zeros(6))
    done = fold("--model", "6-5-4-3", "--from", "one.npy", "--to", "two.npy")
    assert done.exit_code == 0, done.output
    assert "fold: a path takes" not in done.stderr  # no other is left
    expected = walk_paths(
        build(parse_model("6-5-4-3")).double(),
        torch.from_numpy(np.load("one.npy"))[None],
        torch.zeros(1, 6, dtype=torch.float64),
        method="layerwise",
    )
    assert re.search(rf"^length +{expected.length[0]}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^reach back +{expected.reach_from_b[0]}$", done.stdout, re.MULTILINE)
    assert "1 path, each read from both ends" in done.stdout
    assert "\n\n" not in done.stdout


def test_one_point_goes_to_all(folder):
    done = fold("--model", "6-5-4-3", "--from", "one.npy", "--to", "b.npy", "--out", "p.csv")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert frame["source"].tolist() == [0] * 7
    assert frame["target"].tolist() == [*range(7)]


def test_given_weights_are_walked(folder):
    network = build(parse_model("6-5-4-3"), seed=8)
    save_file(network.state_dict(), "w.safetensors")
    for arguments in (["--seed", "8"], ["--weights", "w.safetensors", "--seed", "1"]):
        done = fold(
            "--model",
            "6-5-4-3",
            "--from",
            "a.npy",
            "--to",
            "b.npy",
            *arguments,
            "--out",
            f"{len(arguments)}.csv",
        )
        assert done.exit_code == 0, done.output
    assert (folder / "2.csv").read_bytes() == (folder / "4.csv").read_bytes()
    assert "weights of w.safetensors: no forward pass is stored with them" in done.stdout
    done = fold("--model", "6-5-3", "--from", "a.npy", "--to", "b.npy", "--weights", "w.safetensors")
    assert done.exit_code == 2
    assert "does not fit --model 6-5-3: it has, and the network does not, 4.bias, 4.weight" in done.stderr


def test_paths_between_classes(folder):
    words = ["--model", "64-6-5-10", "--data", "digits", "--pairs", "3-8,8-3,5-5", "--per-class", "4"]
    done = fold(*words, "--out", "p.csv")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert [*frame.columns] == [name for name in MODEL_PATHS.plain_names if name != "step"]
    pairs = frame.groupby(["source_class", "target_class"]).size()
    assert pairs.to_dict() == {(3, 8): 4 * 4, (5, 5): 4 * 3 // 2}  # 8-3 is 3-8 read back
    from spaceprobe.data.sets import DATASETS
    from spaceprobe.stages.train.settings import DataSettings

    test = DATASETS["digits"].load(DataSettings(dataset="digits")).test
    assert test.targets[frame["source"].tolist()].tolist() == frame["source_class"].tolist()
    assert test.targets[frame["target"].tolist()].tolist() == frame["target_class"].tolist()
    fives = frame[frame["source_class"] == 5]
    assert (fives["source"] < fives["target"]).all()
    row = frame.iloc[9]
    a, b = (test.inputs[int(row[end])][None].double() for end in ("source", "target"))
    expected = walk_paths(build(parse_model("64-6-5-10")).double(), a, b, method="jvp")
    assert (row["length"], row["reach"]) == (expected.length[0], expected.reach_from_a[0])

    done = fold(*words, "--paths", "5", "--seed", "2", "--out", "few.csv")
    few = pd.read_csv("few.csv")
    assert "5 of 22 paths, drawn with seed 2; as --paths asks" in done.stdout
    assert len(few) == 5
    same = frame.set_index("path").loc[few["path"], ["source", "target"]]
    assert same.to_numpy().tolist() == few[["source", "target"]].to_numpy().tolist()


def test_without_a_number_at_most_a_thousand_paths_are_drawn(folder):
    words = ["--data", "digits", "--pairs", "0-1,2-3", "--per-class", "all"]
    done = fold("--model", "64-2-2-10", *words, "--out", "p.csv")
    assert done.exit_code == 0, done.output
    assert re.search(r"1,000 of 1,\d\d\d paths, drawn with seed 0; --paths N walks more", done.stdout)
    assert len(pd.read_csv("p.csv")) == 1000
    assert "fold: a path takes" in done.stderr
    assert draw(1000, None, 0).tolist() == [*range(1000)]
    assert draw(10**9, None, 1).tolist() == draw(10**9, None, 1).tolist() != draw(10**9, None, 2).tolist()
    assert len({*draw(1001, None, 0).tolist()}) == 1000


def class_sections(**folding):
    return {
        "data": DataSettings(dataset="digits"),
        "folding": FoldingSettings(**folding),
        "network": NetworkSettings(),
    }


@pytest.mark.parametrize("per_class", [None, 1, 5])
def test_paths_between_all_classes_are_those_of_a_list_of_all_pairs(per_class):
    pairs = tuple(f"{source}-{target}" for source in range(10) for target in range(source, 10))
    listed = of_class_pairs(class_sections(pairs=pairs), per_class, 10**6, 0)
    everything = of_class_pairs(class_sections(), per_class, 10**6, 0)
    assert len(listed) == listed.num_possible == everything.num_possible
    assert len(listed) == 297 * 296 // 2 or per_class is not None
    some, same = (of_class_pairs(s, per_class, 7, 3) for s in (class_sections(pairs=pairs), class_sections()))
    for one, other in ((listed, everything), (some, same)):
        for name in ("source", "target", "number"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name in ("source_class", "target_class"):
            np.testing.assert_array_equal(one.columns[name], other.columns[name])


@pytest.mark.parametrize(
    ("model", "per_class", "number"),
    [
        ("64-5-3", "auto", 150),
        ("mlp", "auto", 150),
        ("cnn", "auto", None),
        ("nets:image", "auto", None),
        ("cnn", 7, 7),
        ("nets:image", "all", None),
    ],
)
def test_without_a_number_only_an_mlp_of_relus_has_the_first_images(model, per_class, number):
    sections = {
        **class_sections(per_class=per_class),
        "network": NetworkSettings(model="cnn", architecture="2") if model == "cnn" else NetworkSettings(),
    }
    assert images_asked(parse_model(model), sections) == number


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "do not fit into the memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "do not fit into the memory"),
    ],
)
def test_a_network_that_memory_does_not_hold_is_one_sentence(monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(construction, "mlp", fail)
    with pytest.raises(ModelSourceError, match=f"--model 6-3: its weights {message}"):
        build(parse_model("6-3"))


@pytest.mark.parametrize(
    ("form", "reason"), [("lazy", "before its first pass"), ("meta", "on the meta device")]
)
def test_a_function_that_returns_no_weights_is_one_sentence(folder, form, reason):
    network = {"lazy": "nn.LazyLinear(3)", "meta": "nn.Linear(6, 3, device='meta')"}[form]
    Path("forms.py").write_text(
        f"from torch import nn\n\n\ndef build():\n    return nn.Sequential({network})\n"
    )
    refused = fold("--model", "forms:build", "--trust", "forms", "--from", "a.npy", "--to", "b.npy")
    assert refused.exit_code == 2
    assert "--model forms:build returned a network whose module '0' (" in refused.stderr
    assert reason in refused.stderr


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(0.012, 999), "fold: a path takes 12 ms; the other 999 about 12 s (Ctrl-C stops)"),
        (Cost(30.0, 1), "fold: a path takes 30 s; the other one about 30 s (Ctrl-C stops)"),
        (Cost(30.0, 100), "fold: a path takes 30 s; the other 100 about 50 min (Ctrl-C stops)"),
    ],
)
def test_the_prediction(cost, text):
    assert cost_text(cost) == text


def test_the_users_own_network_takes_images(folder):
    np.save("images.npy", np.random.default_rng(1).random((3, 1, 8, 8)))
    np.save("image.npy", np.random.default_rng(2).random((1, 8, 8)))
    words = ["--model", "nets:image", "--from", "images.npy", "--to", "image.npy", "--out", "p.csv"]
    refused = fold(*words)
    assert refused.exit_code == 2
    assert "needs --trust nets on the command line" in refused.stderr
    assert not (folder / "has-run").exists()
    done = fold(*words, "--trust", "nets")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert {*frame["engine"]} == {"layerwise"}
    assert {*frame["not_counted"]} == {"max_pool2d in '1'"}
    assert "not counted, only passed through: max_pool2d in '1'" in done.stdout
    done = fold("--model", "nets:image", "--from", "a.npy", "--to", "b.npy", "--trust", "nets")
    assert done.exit_code == 2
    assert "--from a.npy: nets:image does not take inputs of shape (6,) (" in done.stderr


def test_uint8_is_grey_levels(folder):
    levels = np.array([[0, 51, 102, 153, 204, 255]], dtype=np.uint8)
    np.save("levels.npy", levels)
    np.save("shares.npy", levels / 255)
    for name in ("levels", "shares"):
        assert (
            fold(
                "--model", "6-5-4-3", "--from", f"{name}.npy", "--to", "b.npy", "--out", f"{name}.csv"
            ).exit_code
            == 0
        )
    assert (folder / "levels.csv").read_bytes() == (folder / "shares.csv").read_bytes()


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("curved", "module 'curve': torch.nn.functional.gelu is not known to be piecewise affine"),
        ("choosing", "softmax is not known to be piecewise affine"),
    ],
)
def test_an_exact_walk_names_the_module_that_it_cannot_walk_through(folder, name, refusal):
    words = ["--model", f"nets:{name}", "--trust", "nets", "--from", "a.npy", "--to", "b.npy"]
    refused = fold(*words, "--out", "p.csv")
    assert refused.exit_code == 2
    assert refusal in refused.stderr
    assert f"--model nets:{name}: module '{'curve' if name == 'curved' else 1}': " in refused.stderr
    assert refused.stderr.rstrip().endswith("use --method sampled")
    assert not (folder / "p.csv").exists()
    done = fold(*words, "--method", "sampled", "--points", "20", "--out", "p.csv")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert {*frame["engine"]} == {"sampled"}
    assert {*frame["num_points"]} == {20}
    assert "20 points, so lengths are lower" in done.stdout


def test_an_engine_that_computes_something_else_stops_the_walk(folder, monkeypatch):
    monkeypatch.setattr(model_paths, "check_engine", lambda *_: EngineCheck(0.25, 4, has_outputs=True))
    done = fold("--model", "6-5-4-3", "--from", "a.npy", "--to", "b.npy", "--out", "p.csv")
    assert done.exit_code == 2
    assert (
        "--model 6-5-4-3: the engine kernel computes other numbers than the network itself at random inputs "
        "(relative difference 2.5e-01)"
    ) in done.stderr
    assert not (folder / "p.csv").exists()


def test_engines_are_compared_with_the_network_itself():
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 6)))
    network = build(parse_model("6-5-4-3"), seed=1)
    for engine in ("kernel", "layerwise", "jvp"):
        check = check_engine(network, points, engine)
        assert check.agrees
        assert (check.num_points, check.has_outputs) == (4, engine != "jvp")
    assert check_engine(network, points, "sampled") is None

    class Lying(nn.Module):
        """Computes something else for tensors that are more than numbers."""

        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x if type(x) is torch.Tensor else x * 1.001)

    lying = Lying(network)
    assert not check_engine(lying, points, "layerwise").agrees
    assert check_engine(lying, points, "layerwise").difference == pytest.approx(1e-3, rel=1)


def header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


class Bomb:
    def __reduce__(self):
        return (open, ("bomb-went-off", "w"))


def with_nan(points):
    points[2, 4] = math.nan
    return points


def write_bad(name):
    """Write bad.npy, and return what is said of it."""
    if name == "pickled":
        np.save("bad.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
        return "holds objects, which are pickles"
    if name == "nan":
        np.save("bad.npy", with_nan(np.zeros((7, 6))))
        return r"the number at (2, 4) is not finite (nan)"
    if name == "wrong shape":
        np.save("bad.npy", np.zeros((7, 5)))
        return "6-5-4-3 does not take inputs of shape (5,) ("
    if name == "other number":
        np.save("bad.npy", np.zeros((3, 6)))
        return "--from has 3 points, --to 7: expected as many, or one on a side"
    if name == "empty":
        np.save("bad.npy", np.zeros((0, 6)))
        return "has the shape (0, 6), which holds no point"
    if name == "complex":
        np.save("bad.npy", np.zeros((7, 6), dtype=complex))
        return "holds complex128: expected real numbers"
    if name == "records":
        np.save("bad.npy", np.zeros(7, dtype=[("x", "f8")]))
        return "expected real numbers"
    if name == "folder":
        Path("bad.npy").mkdir()
        return "cannot be read (it is a directory, not a file)"
    contents = {
        "size bomb": (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
            "its header says 8,000,000,000,000 bytes of numbers, and the file holds 0",
        ),
        "lying header": (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (7, 6), }") + bytes(100),
            "its header says 336 bytes of numbers, and the file holds 100",
        ),
        "code in the header": (
            header("{'descr': __import__('os').system('touch bomb-went-off'), 'fortran_order': False}"),
            "its header cannot be read (it holds more than a type, an order and a shape)",
        ),
        "brackets": (
            header("{'descr': " + "(" * 5000 + "}"),
            "its header cannot be read (it is not a dictionary of Python)",
        ),
        "many sides": (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "0, " * 100 + "), }"),
            "its header cannot be read (100 dimensions, at most 32)",
        ),
        "negative": (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 6), }"),
            "cannot be read",
        ),
        "text": (b"hello", "its header cannot be read"),
        "nothing": (b"", "its header cannot be read"),
        "pickle": (b"\x80\x04.", "its header cannot be read"),
    }
    content, reason = contents[name]
    Path("bad.npy").write_bytes(content)
    return reason


BAD = [
    "pickled", "nan", "wrong shape", "other number", "empty", "complex", "records", "folder", "size bomb",
    "lying header", "code in the header", "brackets", "many sides", "negative", "text", "nothing", "pickle",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_of_points_is_one_sentence_and_nothing_runs(folder, name):
    reason = write_bad(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = fold("--model", "6-5-4-3", "--from", "bad.npy", "--to", "b.npy", "--out", "p.csv")
    assert done.exit_code == 2
    assert reason in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not {"bomb-went-off", "p.csv"} & {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--model", "net.pt2"], "runs pickles and eval"),
        (["--model", "net.onnx"], "cannot be read (No such file or directory)"),
        (["--model", "hf-hub:a/b"], "networks from elsewhere are not downloaded"),
        (["--model", "6-5-4-3", "--weights", "net.pt2"], "runs pickles and eval"),
        (["--model", "6-5-4-3", "--from", "missing.npy"], "--from missing.npy: cannot be read (No such file"),
        (["--model", "6-5-4-3", "--from", "nets.py"], "expected a .npy file"),
        (["--model", "6-5-4-3", "--out", "p.txt"], "the rows of paths are written as .csv"),
        (["--model", "6-5-4-3", "--out", "missing/../.csv"], "the rows of paths are written as .csv"),
        (["--model", "6-5-4-3", "--data", "digits"], "expected the ends of paths"),
        (["--model", "6-5-4-3", "--pairs", "3-8"], "--pairs goes with --data NAME"),
        (["--model", "6-5-4-3", "--epoch", "0"], "--epoch belongs to a study; --model works without one"),
        (["--model", "6-5-4-3", "--jobs", "2"], "--jobs belongs to a study; --model works without one"),
        (["--model", "6-5-4-3", "quickstart"], "CONFIG belongs to a study; --model works without one"),
        (["--model", "6-5-4-3", "--set", "training.epochs=2"], "only settings of data, folding count"),
        (["--model", "6-5-4-3", "--set", "network.architecture=2x3"], "only settings of data, folding count"),
        (["--model", "6-5-4-3", "--set", "folding.detail=5"], "precision, device of folding count"),
        (["--model", "6-5-4-3", "--detail", "5"], "--detail belongs to a study; --model works without one"),
        (["--model", "6-5-4-3", "--key", "ema"], "--key goes with --weights FILE"),
        (["--model", "6-5-4-3", "--outputs", "2"], "--outputs: the last width says"),
        (["--model", "6-5-4-3", "--method", "fast"], "--method fast"),
        (["--model", "nets:batch_loses_itself", "--trust", "nets"], "gives (8,) for a batch of 2"),
        (["--paths", "2"], "--from goes with --model MODEL"),
    ],
)
def test_a_wrong_call_ends_with_2(folder, words, reason):
    ends = [] if "--from" in words else ["--from", "a.npy"]
    done = fold(*words, *ends, "--to", "b.npy")
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_data_without_classes_or_without_their_images(folder):
    done = fold("--model", "3-4-2", "--data", "swiss-roll")
    assert done.exit_code == 2
    assert "--data swiss-roll: has no classes of points to walk between" in done.stderr
    done = fold("--model", "64-4-2", "--data", "digits", "--pairs", "3-12")
    assert done.exit_code == 2
    assert "folding.pairs: 3-12: the dataset has classes 0 to 9" in done.stderr
    done = fold("--model", "64-4-2", "--data", "digit")
    assert done.exit_code == 2
    assert "--data digit" in done.stderr


def test_kinds_of_ours_take_settings_and_the_shape_of_the_data(folder):
    words = ["--model", "cnn", "--set", "network.architecture=2x2", "--set", "network.pooling=average"]
    done = fold(*words, "--data", "digits", "--pairs", "1-2", "--per-class", "2", "--out", "p.csv")
    assert done.exit_code == 0, done.output
    frame = pd.read_csv("p.csv")
    assert len(frame) == 4
    assert frame["not_counted"].isna().all()  # average pools choose nothing
    np.save("images.npy", np.zeros((2, 8, 8)))
    np.save("image.npy", np.ones((8, 8)))
    done = fold(*words, "--from", "images.npy", "--to", "image.npy", "--out", "q.csv")
    assert done.exit_code == 0, done.output
    assert pd.read_csv("q.csv")["distance"].tolist() == [8.0, 8.0]


def test_a_network_of_torchvision(folder):
    np.save("x.npy", np.zeros((3, 32, 32)))
    np.save("y.npy", np.ones((1, 3, 32, 32)))
    words = ["--model", "torchvision:squeezenet1_1", "--outputs", "2", "--method", "sampled", "--points", "2"]
    done = fold(*words, "--from", "x.npy", "--to", "y.npy", "--out", "p.csv")
    assert done.exit_code == 0, done.output
    (row,) = pd.read_csv("p.csv").to_dict("records")
    assert row["length"] == row["reach"] > 0  # two points: one step
    assert "max_pool2d in 'features.2'" in row["not_counted"]


def test_path_prints_the_steps_of_a_trace(folder):
    np.save("other.npy", np.random.default_rng(9).normal(size=(1, 6)))
    done = call("path", "--model", "6-5-4-3", "--from", "one.npy", "--to", "other.npy", "--out", "steps.csv")
    assert done.exit_code == 0, done.output
    network = build(parse_model("6-5-4-3")).double()
    a, b = torch.from_numpy(np.load("one.npy")), torch.from_numpy(np.load("other.npy"))[0]
    expected = trace_path(network, a, b)
    frame = pd.read_csv("steps.csv")
    assert [*frame.columns] == ["t", "distance", "flips", "chi"]
    assert frame["flips"].tolist() == expected.length.tolist()
    np.testing.assert_allclose(frame["t"], expected.t, rtol=1e-15)
    assert done.stdout.splitlines()[0] == "6-5-4-3: from one.npy to other.npy, exact"
    assert f"length {expected.length[-1]}, reach {expected.distance.max()}" in done.stdout


def test_path_between_images_is_drawn(folder):
    done = call(
        "path", "--model", "64-5-4-10", "--data", "digits", "--from", "1", "--to", "3", "--out", "p.svg"
    )
    assert done.exit_code == 0, done.output
    assert (folder / "p.svg").read_bytes().startswith(b"<?xml")
    assert done.stdout.splitlines()[0].startswith("64-5-4-10: from 1 (")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--model", "6-5-3", "--from", "a.npy", "--to", "one.npy"], "--from a.npy: holds 7 points"),
        (["--model", "6-5-3", "--data", "digits", "--from", "a.npy", "--to", "3"], "numbers of test images"),
        (
            ["--model", "64-5-3", "--data", "digits", "--from", "1", "--to", "99999"],
            "--to 99999: digits has test",
        ),
        (
            ["--model", "6-5-3", "--from", "one.npy", "--to", "one.npy", "--out", "p.txt"],
            "expected .csv for the",
        ),
        (
            ["--model", "6-5-3", "--from", "one.npy", "--to", "one.npy", "--run", "x"],
            "--run belongs to a study",
        ),
        (["--model", "6-5-3", "--pair", "3-8"], "--pair belongs to a study"),
        (["--from", "one.npy", "--to", "one.npy"], "a file goes with --model MODEL"),
        (["--from", "1", "--to", "2", "--set", "data.dataset=digits"], "--set goes with --model MODEL"),
    ],
)
def test_a_wrong_call_of_path_ends_with_2(folder, words, reason):
    done = call("path", *words)
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.stderr.split())


def test_lmd_of_a_network_is_that_of_its_weights(folder):
    network = build(parse_model("6-5-4-3"), seed=2)
    save_file(network.state_dict(), "w.safetensors")
    for words in (["--weights", "w.safetensors"], ["--model", "6-5-4-3", "--seed", "2"]):
        done = call("lmd", *words, "--no-report", "--results", words[0].strip("-"))
        assert done.exit_code == 0, done.output
    assert "6-5-4-3: 3 matrices" in done.stdout
    tables = [
        [pd.read_csv(path).drop(columns="run") for path in sorted((folder / name).glob("*/*.csv"))]
        for name in ("weights", "model")
    ]
    assert len(tables[0]) == len(tables[1]) > 2
    for of_file, of_model in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(of_file, of_model)
    again = call("lmd", "--model", "6-5-4-3", "--seed", "2", "--no-report", "--results", "model")
    assert again.stdout == done.stdout
    assert len([*(folder / "model").iterdir()]) == 1
    other = call("lmd", "--model", "6-5-4-3", "--seed", "3", "--results", "model")
    assert "report   model/weights-6-5-4-3-" in other.stdout
    assert len([*(folder / "model").iterdir()]) == 2


def checkpoint(path, seed, widths="6-5-4-3"):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(build(parse_model(widths), seed=seed).state_dict(), path)


def test_a_folder_of_checkpoints_is_steps(folder):
    for step in (100, 20):
        checkpoint(folder / "run" / f"checkpoint-{step}" / "model.safetensors", seed=step)
        (folder / "run" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"not read")
        checkpoint(folder / "files" / f"step{step}.safetensors", seed=step)
    words = ["--model", "6-5-4-3", "--from", "a.npy", "--to", "b.npy"]
    for name in ("run", "files"):
        done = fold(*words, "--weights", name, "--out", f"{name}.csv")
        assert done.exit_code == 0, done.output
    assert (folder / "run.csv").read_bytes() == (folder / "files.csv").read_bytes()
    frame = pd.read_csv("run.csv")
    assert [*frame.columns] == [name for name in MODEL_PATHS.plain_names if name not in CLASSES]
    for step in (20, 100):
        done = fold(*words, "--seed", step, "--out", "one.csv")
        alone = frame[frame["step"] == step].drop(columns="step").reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, pd.read_csv("one.csv"))
    checkpoint(folder / "files" / "step300.safetensors", seed=0, widths="6-5-3")
    done = fold(*words, "--weights", "files", "--out", "late.csv")
    assert done.exit_code == 2
    assert "--weights files/step300.safetensors does not fit --model 6-5-4-3" in done.stderr
    assert done.stdout == ""
    (folder / "files" / "step300.safetensors").unlink()
    done = call("lmd", "--model", "6-5-4-3", "--weights", "run", "--no-report", "--results", "model")
    assert done.exit_code == 0, done.output
    assert len([*(folder / "model").iterdir()]) == 2


def test_lmd_knows_the_convolutions_of_a_network(folder):
    network = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(6, 3, 2), nn.Conv2d(3, 3, 1, bias=False)
    )
    known = hints_of(network)
    assert known.transposed == ["1.weight"]
    assert known.groups == {"0.weight": 2, "1.weight": 1, "2.weight": 1}
    (folder / "nets.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), "
        "nn.ConvTranspose2d(6, 3, 2), nn.Conv2d(3, 3, 1, bias=False))\n"
    )
    done = call("lmd", "--model", "nets:build", "--trust", "nets", "--no-report")
    assert done.exit_code == 0, done.output
    layers = pd.read_csv(next((folder / "results").glob("*/lmd_layers.csv")))
    shapes = layers[["num_outputs", "num_inputs"]].to_numpy().tolist()
    assert shapes == [[3, 18], [3, 18], [3, 24], [3, 3]]
    assert "cannot be seen in a file" not in done.stdout


def test_a_wrong_call_of_lmd_ends_with_2(folder):
    for words, reason in {
        ("--model", "cnn"): "needs the shape of an input; name its data, with --data DATA",
        ("--model", "6-5-3", "--data", "digits"): "the matrices of 6-5-3 need no data",
        ("--model", "6-5-3", "--weights", "a", "--weights", "b"): "give --weights once",
        ("--model", "6-5-3", "--metric", "identity"): "--metric belongs to a study",
        ("--seed", "3"): "--seed goes with --model MODEL",
    }.items():
        done = call("lmd", *words)
        assert done.exit_code == 2, done.output
        assert reason in " ".join(done.stderr.split())


def test_the_page_of_models_names_every_column(folder):
    page = (ROOT / "docs" / "models.md").read_text()
    for column in MODEL_PATHS.columns:
        assert f"| `{column.name}` | {column.meaning}" in page
