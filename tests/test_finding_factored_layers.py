"""What is said of layers made of factors: of tables with a known answer, and of the networks of the study."""

import numpy as np
import pandas as pd
import pytest

from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE
from spaceprobe.findings.entry import COMPARISONS
from spaceprobe.findings.questions import FINDINGS
from spaceprobe.findings.questions import factored_layers as finding
from spaceprobe.networks.mlp import count_parameters
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.numbers import Numbers
from spaceprobe.stages.train.networks import build_network, load_data
from spaceprobe.study.config import load_study
from spaceprobe.study.grid import expand

SEEDS, EPOCHS = range(5), (0, 1, 4)
GAIN = {finding.FIVE: 0.1, finding.TWO: 0.1, finding.ADAPTING: 0.2, finding.TWICE: 0.2}
"""By how much more than plain networks these are right at the end, in tables that are made here."""


def tables(noise=0.01):
    random = np.random.default_rng(0)
    about = [
        {"dataset": dataset, "layers": layers, "seed": seed}
        for dataset in finding.DATASETS
        for layers in finding.LOOKS
        for seed in SEEDS
    ]
    networks, accuracies, directions = [], [], []
    for row in about:
        for epoch in EPOCHS:
            gain = GAIN.get(row["layers"], 0) * epoch / EPOCHS[-1]
            accuracy = 0.6 + gain + noise * random.normal()
            accuracies.append(row | {"epoch": epoch, "test_accuracy": accuracy})
            directions += [
                row
                | {"epoch": epoch, "layer": layer, "rank": 9 - layer, "s_participation": 4.5 + noise * layer}
                for layer in range(3)
            ]
        sizes = {"num_parameters": 1234, "test_accuracy": accuracy, "training_s": 2.5 + noise}
        networks.append(row | {"run": f"{row['layers']}-{row['seed']}"} | sizes)
    return {
        "networks": pd.DataFrame(networks),
        "accuracies": pd.DataFrame(accuracies),
        "directions": pd.DataFrame(directions),
    }


def derived(kept):
    return {**kept, **finding.ENTRY.derive(kept)}


def row_of(frame, **where):
    rows = frame[np.all([frame[name] == value for name, value in where.items()], axis=0)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_planted_differences_are_found():
    rows = derived(tables())[COMPARISONS]
    for dataset in finding.DATASETS:

        def at(first, second, epoch=4, dataset=dataset):
            return row_of(rows, dataset=dataset, epoch=epoch, first=first, second=second)

        assert at(finding.MATCHED, finding.FIVE)["difference"] == pytest.approx(0.1, abs=0.02)
        assert at(finding.MATCHED, finding.FIVE)["verdict"] == DIFFERS
        assert at(finding.TWO, finding.FIVE)["verdict"] == INCONCLUSIVE
        assert at(finding.FIVE, finding.ADAPTING)["difference"] == pytest.approx(0.1, abs=0.02)
        assert at(finding.TWICE, finding.ADAPTING)["verdict"] == INCONCLUSIVE
        assert at(finding.MATCHED, finding.FIVE, epoch=1)["difference"] == pytest.approx(0.025, abs=0.02)
    assert len(rows) == 2 * (len(finding.AT_END) + len(finding.EARLIER))


def test_a_difference_is_of_the_same_seed():
    kept = tables(noise=0.0)
    accuracies = kept["accuracies"]
    accuracies["test_accuracy"] += 0.05 * accuracies["seed"]  # of all networks of a seed alike
    is_five = (accuracies["layers"] == finding.FIVE) & (accuracies["epoch"] == 4)
    accuracies.loc[is_five & (accuracies["seed"] == 2), "test_accuracy"] += 0.001
    row = row_of(
        derived(kept)[COMPARISONS], dataset="mnist", epoch=4, first=finding.MATCHED, second=finding.FIVE
    )
    assert row["difference"] == pytest.approx(0.1002)
    assert row["high"] - row["low"] < 0.01


def test_the_sentences_say_what_was_planted():
    made = derived(tables())
    says = [part.striptags() for part in finding.ENTRY.says(Numbers(None, made))]
    assert len(says) == 3
    assert says[0].startswith("After epoch 4, over seeds 0 to 4, layers of five factors")
    assert "on MNIST with n′ = 9.0, 8.0, 7.0 by layer and 1,234" in says[0]
    assert "inconclusive) from two factors" in says[0]
    assert says[2].startswith("After epoch 1, on MNIST the differences")
    with styled():
        assert len(finding.ENTRY.draw(made).axes) == 6


def test_the_study_has_every_network_that_is_spoken_of():
    for name in (FINDINGS["factored-layers"].study_of(form) for form in ("ci", "full")):
        names = {}
        for run in expand(load_study(name)):
            network, training = run.sections["network"], run.sections["training"]
            row = {
                "run": run.name, "model": network.model, "architecture": network.architecture,
                "rank_factor": network.rank_factor, "rank_drop": training.rank_drop,
                "dataset": run.sections["data"].dataset,
            }  # fmt: skip
            names.setdefault((row["dataset"], finding._layers_of(row)), []).append(training.seed)
        spoken = {layers for pair in finding.AT_END for layers in pair}
        assert {(dataset, layers) for dataset in finding.DATASETS for layers in spoken} <= {*names}
        assert all(len(seeds) == len({*seeds}) for seeds in names.values())
    with pytest.raises(ValueError, match="is none of the networks that this finding is about"):
        finding._layers_of(row | {"architecture": "2x15", "model": "mlp"})


@pytest.mark.parametrize(
    ("products", "plain"), [(finding.FIVE, finding.MATCHED), (finding.TWICE, finding.MATCHED_TWICE)]
)
@pytest.mark.parametrize("dataset", finding.DATASETS)
def test_plain_networks_have_about_as_many_parameters(dataset, products, plain):
    """Within 5 %: n′ differs by one from seed to seed, and a width is a whole number."""
    counts = {}
    for run in expand(load_study("lmd-factored-layers")):
        network, training, data = (run.sections[name] for name in ("network", "training", "data"))
        if training.seed or data.dataset != dataset:
            continue
        row = {
            "run": run.name, "model": network.model, "architecture": network.architecture,
            "rank_factor": network.rank_factor, "rank_drop": training.rank_drop, "dataset": dataset,
        }  # fmt: skip
        layers = finding._layers_of(row)
        if layers in (products, plain):
            counts[layers] = count_parameters(build_network(run.sections, load_data(data))[0])
    assert counts[plain] == pytest.approx(counts[products], rel=0.05)
