"""Paths to adversarial twins: ball, range, control, robust accuracy, seeds, and what has no gradient."""

import re

import pandas as pd
import pytest
import torch

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.networks.attacks import norms
from spaceprobe.results.answers.robustness import robust_accuracies
from spaceprobe.results.results import load_results
from spaceprobe.results.started import find_started
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.adversarial import AdversarialSettings
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.networks import build_network, load_data
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from tests.commands import call

ADVERSARIAL = ENDPOINTS["adversarial"]

ROUNDING = 1e-13
"""Of a norm of 784 numbers below 1."""

ATTACKS = ("fgsm", "pgd", "random-fgsm", "random-pgd")


def sections(network=None, **settings):
    return {
        "data": DataSettings(train_images=300),
        "network": NetworkSettings(**(network or {"architecture": "3x9"})),
        "training": TrainingSettings(),
        "folding": FoldingSettings(per_class=6),
        "adversarial": AdversarialSettings(steps=3, **settings),
    }


def ends(label=3, net=None, **settings):
    asked = sections(**settings)
    data = load_data(asked["data"])
    net = net or build_network(asked, data)[0].double()
    return ADVERSARIAL.ends(net, data, {"class": label}, asked), net


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_twins_stay_in_the_ball_and_in_the_range(attack, norm):
    found, net = ends(attack=attack, norm=norm, radius=0.3)
    images, twins = found.sources.values, found.targets.values
    assert twins.dtype == torch.float64
    assert (twins >= 0).all()
    assert (twins <= 1).all()
    change = norms(twins - images, norm)
    assert (change <= 0.3 + ROUNDING).all()
    assert found.facts["mean_norm"] == pytest.approx(float(change.mean()), rel=ROUNDING)
    assert found.facts["num_unmoved"] == 0
    assert found.sources.numbers.tolist() == found.targets.numbers.tolist()
    for name, points in (("accuracy", images), ("robust_accuracy", twins)):
        assert found.facts[name] == sum(int(net(point[None]).argmax()) == 3 for point in points) / 6
    again, _ = ends(attack=attack, norm=norm, radius=0.3)
    assert again.targets.values.numpy().tobytes() == twins.numpy().tobytes()
    assert again.facts == found.facts


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_a_control_is_as_far_from_its_image_and_elsewhere(attack, norm):
    twins, controls = (ends(attack=name, norm=norm, radius=0.5)[0] for name in (attack, f"random-{attack}"))
    images = twins.sources.values
    first, second = (norms(each.targets.values - images, norm) for each in (twins, controls))
    assert (first - second).abs().max() < ROUNDING
    assert (twins.targets.values != controls.targets.values).any(1).all()
    other, _ = ends(attack=f"random-{attack}", norm=norm, radius=0.5, attack_seed=1)
    assert not torch.equal(other.targets.values, controls.targets.values)


def test_threads_change_no_byte():
    before = torch.get_num_threads()
    one, _ = ends(attack="pgd", norm="l2")
    torch.set_num_threads(2)
    try:
        two, _ = ends(attack="pgd", norm="l2")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert one.targets.values.numpy().tobytes() == two.targets.values.numpy().tobytes()


def test_a_class_without_images_has_no_shares():
    asked = sections()
    data = load_data(asked["data"])
    found = ADVERSARIAL.ends(build_network(asked, data)[0].double(), data, {"class": 77}, asked)
    assert len(found.targets.numbers) == 0
    facts = {"accuracy": None, "robust_accuracy": None, "mean_norm": None, "num_unmoved": 0}
    assert found.facts == facts


@pytest.mark.parametrize("attack", ["fgsm", "random-fgsm"])
def test_a_network_that_ignores_its_input_leaves_images_where_they_are(attack):
    net = torch.nn.Sequential(torch.nn.Linear(784, 10)).double()
    with torch.no_grad():
        net[0].weight.zero_()
    found, _ = ends(attack=attack, net=net)
    assert torch.equal(found.targets.values, found.sources.values)
    assert found.facts["num_unmoved"] == 6


def test_networks_of_signs_are_refused_before_anything_runs():
    with pytest.raises(
        SettingsError, match=r"gradient of the loss by the input, which is 0 below the signs of"
    ):
        ADVERSARIAL.check(sections(network={"model": "binary-mlp", "architecture": "9-6"}), 10)
    ADVERSARIAL.check(sections(), 10)


def test_a_network_without_a_gradient_is_an_error():
    class Detached(torch.nn.Module):
        def forward(self, x):
            return x.detach()[:, :10]

    with pytest.raises(SpaceprobeError, match="an attack needs the gradient of the loss by the input"):
        ends(net=Detached())


@pytest.mark.parametrize(
    "settings", [{"radius": 0.0}, {"radius": float("nan")}, {"norm": "l1"}, {"attack": "cw"}]
)
def test_settings_that_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        AdversarialSettings(**settings)


STUDY = """\
data: {train_images: 500}
network: {architecture: 3x9}
training: {epochs: 2}
folding: {per_class: 3, epoch: last, endpoints: adversarial, detail: 3}
adversarial: {norm: l2, radius: 1.0, steps: 4}
study: {stages: [train, fold, summarize]}
sweep:
  adversarial.attack: [pgd, random-pgd]
"""


def test_tables_of_a_study(tmp_path):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    outcome = call("run", study, "--results", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "small").glob("*.csv")}
    checks = tables["folding_checks_adversarial"]
    assert len(checks) == 2 * 10
    assert {"attack", "norm", "radius", "accuracy", "robust_accuracy", "mean_norm"} < {*checks.columns}
    by_attack = checks.groupby("attack")[["accuracy", "robust_accuracy", "mean_norm"]].mean()
    assert by_attack.loc["pgd", "accuracy"] == by_attack.loc["random-pgd", "accuracy"]
    assert by_attack.loc["pgd", "robust_accuracy"] <= by_attack.loc["random-pgd", "robust_accuracy"]
    paths = tables["paths_adversarial"]
    assert paths.groupby("attack").size().to_dict() == {"pgd": 30, "random-pgd": 30}
    assert paths["distance"].max() <= 1 + ROUNDING
    # the distance of the ends is the norm of the change: of an attack as of its control
    first, second = (paths[paths["attack"] == name].reset_index() for name in ("pgd", "random-pgd"))
    assert (first["distance"] - second["distance"]).abs().max() < ROUNDING
    assert tables["folding_adversarial"]["num_paths"].eq(3).all()
    answer = robust_accuracies(load_results(*find_started("small", tmp_path)))
    shares = answer.set_index("attack")
    for attack, part in checks.groupby("attack"):
        chi = tables["folding_adversarial"].query("measure == 'chi' and attack == @attack")
        assert shares.loc[attack, "robust_accuracy"] == pytest.approx(
            part["robust_accuracy"].mean(), rel=ROUNDING
        )
        assert shares.loc[attack, "folded"] == pytest.approx(chi["folded"].mean(), rel=ROUNDING)
    assert call("report", "small", "--results", tmp_path).exit_code == 0
    page = (tmp_path / "small" / "report.html").read_text()
    assert "How robust are the networks, and do paths to adversarial twins fold?" in page
    assert "twins of trained networks: a share of" in re.sub("<[^>]*>", "", page)
