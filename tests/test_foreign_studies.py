"""Studies of networks that are not our kinds: a user's own module, a library's; given weights; trust."""

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from tests.commands import call

STUDY = """\
data: {dataset: digits, train_images: 200}
network: NETWORK
training: {epochs: 1}
folding: {pairs: [3-8, 8-3], per_class: 2, threads: 1, device: cpu}
lmd: {epoch: last, sample: 20, metrics: [identity], probes: [functional-rank]}
"""

MODULE = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.drop = nn.Dropout(0.2)
        self.mid = nn.Linear(2 * 6 * 6, 12)
        self.read = nn.Linear(12, 10)

    def forward(self, x):
        print("forward prints")
        x = torch.relu(self.conv(x)).flatten(1)
        return self.read(self.drop(torch.relu(self.mid(x))))

def build():
    print("build prints")
    return Net()

def seven():
    return nn.Sequential(nn.Linear(64, 7))
"""

POINTS = """\
from torch import nn

def small():
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))

def large():
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "nets.py").write_text(MODULE)
    return folder


def write_study(place, network, **changes):
    text = STUDY.replace("NETWORK", network)
    for old, new in changes.items():
        text = text.replace(old, new)
    (place / "own.yaml").write_text(text)


def run(*words, code=0, **options):
    outcome = call("run", "own.yaml", *words, **options)
    assert outcome.exit_code == code, outcome.output
    return outcome


def tables(place):
    folder = place / "results" / "own"
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}


def planned(*words):
    """Return the plan of each stage, on one line."""
    outcome = call("plan", "own.yaml", *words)
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.replace("\n           ", " ").splitlines()[1:]
    stages = [line for line in lines if "may take long" not in line]
    return {line.split()[0]: line.partition(" ")[2].strip() for line in stages}


def checkpoint(place, name="model.safetensors"):
    (path,) = (place / "results" / "own" / "runs").glob(f"*/{name}")
    return safetensors.torch.load_file(path)


def lengths(place):
    """Return the counts of lengths and reaches of each stored set of paths."""
    paths = (place / "results" / "own" / "runs").glob("*/folding-*/*.npz")
    return {path.name: np.load(path)["chi-3-8-cells"].tolist() for path in paths}


def test_a_module_of_the_users_is_trained_folded_and_decomposed(place):
    write_study(place, "{model: 'nets:build'}")
    outcome = run("--trust", "nets", with_report=True)
    assert "prints" not in outcome.stdout
    assert "network.model nets:build: running build() of nets.py, as --trust nets allows" in outcome.stderr
    written = tables(place)
    (row,) = written["runs"].to_dict("records")
    assert (row["architecture"], row["activation"], row["status"]) == ("nets:build", "own", "done")
    assert row["num_parameters"] == 2 * 9 + 2 + 72 * 12 + 12 + 12 * 10 + 10
    assert pd.isna(row["depth"])
    assert written["training"]["epoch"].tolist() == [0, 1]
    assert written["folding"]["num_paths"].tolist() == [4] * 8  # 2 pairs, 2 epochs, χ and peak
    assert {*written["folding_checks"]["engine"]} == {"layerwise"}
    assert not written["folding_checks"]["num_violations"].any()
    assert written["lmd_matrices"]["name"].tolist() == ["conv", "mid", "read"]
    assert written["lmd_layers"]["num_inputs"].tolist() == [9, 72, 12]
    assert {*checkpoint(place)} == {
        f"{layer}.{kind}" for layer in ("conv", "mid", "read") for kind in ("weight", "bias")
    }
    assert (place / "results" / "own" / "report.html").is_file()


def test_the_runs_seed_makes_the_weights_and_the_dropout(place):
    """Seed 3 before the construction; two runs of one seed have the same bits."""
    write_study(place, "{model: 'nets:build'}", **{"epochs: 1": "epochs: 1, seed: 3"})
    found = []
    for results in ("a", "b"):
        torch.manual_seed(hash(results) % 1000)
        assert call("train", "own.yaml", "--trust", "nets", "--results", results).exit_code == 0
        (path,) = (place / results / "own" / "runs").glob("*/model-epoch0.safetensors")
        found.append([path.read_bytes(), (path.parent / "model.safetensors").read_bytes()])
    assert found[0] == found[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = torch.nn.Conv2d(1, 2, 3).weight
    assert torch.equal(safetensors.torch.load(found[0][0])["conv.weight"], expected)


def test_without_trust_nothing_runs_and_with_results_nothing_has_to(place):
    write_study(place, "{model: 'nets:build'}")
    outcome = run(code=2)
    assert (
        "Error: network.model nets:build runs code of yours, nets.py, which needs --trust nets on the "
        "command line" in " ".join(outcome.stderr.split())
    )
    assert not (place / "results").exists()
    assert "1 of 1 runs" in planned()["train"]  # a plan imports nothing
    run("--trust", "nets")
    assert planned()["train"] == "up to date"
    run()


def test_an_edit_of_the_sources_is_named_and_redone(place):
    write_study(place, "{model: 'nets:build'}")
    run("--trust", "nets")
    before, flips = tables(place), lengths(place)
    (place / "nets.py").write_text(
        MODULE.replace("torch.relu(self.mid(x))", "(20 * self.mid(x)).clamp(-1, 1)")
    )
    plan = planned()
    assert "nets.py of network.model nets:build changed" in plan["train"]
    assert "after train" in plan["fold"]
    run("--trust", "nets", "--jobs", 2)
    after = tables(place)
    # The initial weights are the same, and fold otherwise.
    assert before["runs"]["initial_digest"].equals(after["runs"]["initial_digest"])
    assert {*lengths(place)} == {*flips}
    assert lengths(place) != flips
    assert planned()["fold"] == "up to date"


def test_the_page_of_own_networks_and_own_data_names_both(place):
    rng = np.random.default_rng(0)
    points, classes = rng.normal(size=(60, 2)), np.arange(60) % 2
    arrays = {"x_train": points, "y_train": classes, "x_test": points[:20], "y_test": classes[:20]}
    np.savez(place / "mine.npz", **arrays)
    (place / "nets.py").write_text(POINTS)
    (place / "own.yaml").write_text(
        "data: {file: mine.npz}\ntraining: {epochs: 1}\nfolding: {per_class: 2, threads: 1, device: cpu}\n"
        "study: {stages: [train, fold, summarize]}\n"
        "sweep: {network.model: ['nets:small', 'nets:large'], training.seed: [0, 1]}\n"
    )
    run("--trust", "nets", with_report=True)
    folder = place / "results" / "own"
    page = (folder / "report.html").read_text()
    assert "Trained on <code>mine.npz</code> for" in page
    assert "nets:large" in page
    assert "nets:large · nets:large" not in page
    assert "0 units" not in page
    answer = pd.read_csv(folder / "figures" / "answer_architectures.csv")
    assert {*answer["network"]} == {"nets:small", "nets:large"}
    assert answer["units"].isna().all()
    outcome = call("export", "own.yaml", "--to", "latex")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.splitlines() == ["results/own/latex/architectures.tex"]
    assert "correlations: none could be computed" in outcome.stderr
    heads = (folder / "latex" / "architectures.tex").read_text().splitlines()[4]
    assert heads.startswith("state & architecture & test accuracy &")


def test_given_weights_are_one_state(place):
    write_study(place, "{model: 'nets:build'}")
    run("--trust", "nets")
    trained, first = checkpoint(place), tables(place)
    safetensors.torch.save_file(trained, "mine.safetensors")
    write_study(place, "{model: 'nets:build', weights: mine.safetensors}")
    outcome = run("--trust", "nets", with_report=True)
    written = tables(place)
    assert "\ngiven, 1 seed\n" in outcome.stdout
    assert "trained" not in outcome.stdout
    assert "the weights of 1 of 1 run were given (network.weights)" in " ".join(outcome.stderr.split())
    assert {*written["folding"]["epoch"]} == {-1}
    assert {*written["lmd_layers"]["epoch"]} == {-1}
    assert written["training"].empty
    assert written["lmd_spectrum"]["untrained_value"].isna().all()
    last = (
        first["folding"][first["folding"]["epoch"] == 1].drop(columns=["run", "epoch"]).reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(written["folding"].drop(columns=["run", "epoch"]), last)
    assert written["runs"]["test_accuracy"].tolist() == first["runs"]["test_accuracy"].tolist()
    assert "given" in (place / "results" / "own" / "report.html").read_text()
    trained["read.bias"] += 1
    safetensors.torch.save_file(trained, "mine.safetensors")
    assert "the weights mine.safetensors changed" in planned()["train"]


def test_given_weights_of_an_mlp_of_ours(place):
    state = {
        "0.weight": torch.ones(3, 64),
        "0.bias": torch.zeros(3),
        "2.weight": torch.eye(10)[:, :3].clone(),
    }
    safetensors.torch.save_file({**state, "2.bias": torch.zeros(10)}, "mine.safetensors")
    write_study(place, "{architecture: 1x3, weights: mine.safetensors}")
    run()
    assert {*tables(place)["folding_checks"]["engine"]} == {"kernel"}
    safetensors.torch.save_file(state, "mine.safetensors")
    outcome = run(code=1)
    assert "network.weights mine.safetensors does not fit" in " ".join(outcome.output.split())


@pytest.mark.parametrize(
    ("module", "network", "message"),
    [
        (MODULE, "nets:seven", "gives outputs of shape (2, 7) for 2 inputs, expected (2, 10)"),
        (
            "import nothing_like_this\n",
            "nets:build",
            "ModuleNotFoundError: No module named 'nothing_like_this'",
        ),
        ("build = lambda: 3\n", "nets:build", "returned int: expected a torch.nn.Module"),
        (
            "import sys\ndef build():\n    sys.exit(3)\n",
            "nets:build",
            "network.model nets:build failed: SystemExit",
        ),
    ],
)
def test_a_module_that_fails_is_one_sentence(place, module, network, message):
    (place / "nets.py").write_text(module)
    write_study(place, f"{{model: '{network}'}}")
    outcome = run("--trust", "nets", code=1)
    assert message in " ".join(outcome.output.split())
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("{model: 'nets:build', activation: abs}", "activation does nothing with model: nets:build"),
        ("{model: 'nets:build', batch_norm: true}", "batch_norm does nothing with model: nets:build"),
        ("{model: 'nets:build', architecture: 2x5}", "architecture does nothing with model: nets:build"),
        ("{model: 'nets:build', initialization: he}", "initialization does nothing with model: nets:build"),
        ("{weights: x.safetensors, initialization: he}", "initialization does nothing with weights:"),
        ("{model: 64-30-20-10}", "write model: mlp and architecture: 30-20"),
        ("{model: cnm}", "did you mean cnn"),
        ("{model: net.pt2}", "a program of torch.export"),
        ("{model: 'nets2:build'}", "has no nets2.py"),
        ("{model: 'timm:resnet18'}", "timm is not installed"),
    ],
)
def test_settings_that_do_not_go_together(place, network, message):
    write_study(place, network)
    assert message in " ".join(run("--trust", "nets", code=2).output.split())


def test_a_network_of_a_library(place):
    write_study(place, "{model: 'torchvision:squeezenet1_1'}", **{"train_images: 200": "train_images: 8"})
    assert "1 of 1 runs" in planned()["train"]
