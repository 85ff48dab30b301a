"""The probe hopfield: its rows for layers and heads, which β is best, and who has such a table."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from spaceprobe.findings.questions.hopfield import with_places
from spaceprobe.lmd.factors import cut, decompose
from spaceprobe.lmd.memory import attention_memory, latent_memory, recall
from spaceprobe.lmd.retrieval import noisy_queries, retrieval_accuracy
from spaceprobe.networks.layers import pass_through
from spaceprobe.networks.transformer import PatchTransformer
from spaceprobe.stages.lmd.hopfield import BETAS, LIMIT, NUM_REPEATS, OWN, HopfieldProbe
from spaceprobe.stages.lmd.network import SampledNetwork
from spaceprobe.stages.lmd.settings import LmdSettings
from spaceprobe.stages.lmd.tables import HOPFIELD, asked_tables
from spaceprobe.study.config import load_study
from tests.documents import ROOT

NOISE = 0.3
SETTINGS = LmdSettings(retrieval_images=12, retrieval_noise=NOISE, sample=20, metrics=("identity", "data"))
KEY = [name for name in HOPFIELD.key if name != "epoch"]


def images(number, seed):
    return torch.rand(number, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rows_of(network, test, training):
    sampled = SampledNetwork(network, training, SETTINGS)
    rows = HopfieldProbe(test, training, SETTINGS).rows(
        network, sampled.layers, sampled.factors, sampled.metrics
    )
    return pd.DataFrame([{"layer": layer, **row} for layer, some in enumerate(rows) for row in some])


@pytest.fixture(scope="module")
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3)).double()


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = PatchTransformer((1, 8, 8), [6], 3, patch=4, embedding=6, num_heads=2, generator=generator)
    return network.double().eval()


def test_the_layers_of_an_mlp(mlp):
    test, training = images(12, 1), images(20, 2)
    rows = rows_of(mlp, test, training)
    assert [*rows.columns] == [
        *KEY[:1],
        *(c.name for c in HOPFIELD.columns if c.name not in ("epoch", "layer")),
    ]
    assert not rows.duplicated(KEY).any()
    assert {*rows["separation"]} == {*(f"softmax {beta:g}" for beta in BETAS), LIMIT}
    assert rows["beta"].isna().equals(rows["separation"] == LIMIT)
    memory = [name for name in KEY if name != "separation"]
    assert (rows.groupby(memory)["best"].sum() == 1).all()
    assert {*rows["space"]} == {"pixels", "input", "V", "data"}
    assert [*rows.query("layer == 0 and space == 'V'")["rank"].unique()] == [1, 2, 4, 5]
    assert [*rows.query("layer == 0 and space == 'V' and rank == 5")["num_stored"].unique()] == [10, 12]
    # Against what the parts give, one by one.
    queries, sources = noisy_queries(test, NOISE, 0, NUM_REPEATS)
    factors = cut(decompose(mlp[0].weight), 4)
    row = rows.query("layer == 0 and space == 'V' and rank == 4").set_index("separation")
    assert row.at[LIMIT, "accuracy"] == retrieval_accuracy(test, queries, sources, factors.Vh)
    expected = recall(latent_memory(test, factors), queries, sources, 4.0)
    assert row.at["softmax 4", "accuracy"] == expected.accuracy
    assert row.at["softmax 4", "error"] == expected.error
    plain = rows.query("space == 'pixels' and rank == 64 and num_stored == 12").set_index("separation")
    assert plain.at[LIMIT, "accuracy"] == retrieval_accuracy(test, queries, sources)
    fewer = rows.query("space == 'pixels' and rank == 64 and num_stored == 10")
    assert {*fewer["num_queries"]} == {10 * NUM_REPEATS}


def test_the_heads_of_a_transformer(transformer):
    test, training = images(12, 1), images(20, 2)
    rows = rows_of(transformer, test, training)
    assert not rows.duplicated(KEY).any()
    passes = pass_through(transformer, test)
    names = [layer.matrix.name for layer in passes]
    of_heads = rows[rows["matrix"].isin(["both", "query-key"])]
    assert {names[layer] for layer in of_heads["layer"]} == {"blocks.0.attention.query"}
    assert {names[layer] for layer in rows.query("matrix == 'output-value'")["layer"]} == {
        "blocks.0.attention.output"
    }
    assert of_heads["layer"].nunique() == 2  # heads
    assert of_heads["rank"].max() == 3  # of a product of 6 × 3 and 3 × 6
    # The last head, by hand: the third to last rows of its matrices.
    attention = transformer.blocks[0].attention
    part = slice(3, 6)
    with torch.no_grad():
        query_key = attention.query.weight[part].T @ attention.key.weight[part]
        output_value = attention.output.weight[:, part] @ attention.value.weight[part]
    query = max({*of_heads["layer"]})
    noisy, sources = noisy_queries(test, NOISE, 0, NUM_REPEATS)
    tokens = passes[query].inputs
    copies = pass_through(transformer, noisy, images=sources)[query].inputs
    memory = attention_memory(tokens, query_key, output_value)
    own = memory.spread() / math.sqrt(3)
    is_of = (rows["layer"] == query) & (rows["space"] == "attention") & (rows["separation"] == OWN)
    row = rows[is_of & (rows["rank"] == 3) & (rows["num_stored"] == 12)].squeeze()
    assert row["beta"] == pytest.approx(own)
    expected = recall(memory, copies, sources, own)
    assert row["accuracy"] == expected.accuracy
    assert row["num_moving"] == expected.num_moving
    assert row["mean_steps"] == pytest.approx(
        expected.mean_steps, abs=0.1
    )  # the product is cut, then made anew
    places = with_places(rows.assign(run="r", epoch=0))["place"]
    assert {*places} == {"pixels", "patches", "attention", "query-key", "output-value"}


def test_beta_is_chosen_on_training_images(mlp):
    """With the same images as both, the best β is the one reported best, the smallest of equal ones."""
    both = images(12, 1)
    rows = rows_of(mlp, both, both).query("num_stored == 12")
    for _, memory in rows.groupby(["layer", "matrix", "space", "rank"]):
        assert memory["best"].to_numpy().argmax() == memory["accuracy"].to_numpy().argmax()
    others = rows_of(mlp, images(12, 3), both).query("num_stored == 12")
    assert [*others["best"]] == [*rows["best"]]  # whatever the test images are
    assert [*others["accuracy"]] != [*rows["accuracy"]]


@pytest.mark.parametrize("probes", [(), ("retrieval",), ("hopfield",)])
def test_only_a_study_that_asks_has_the_table(probes):
    study = load_study(ROOT / "configs" / "lmd-hopfield-ci.yaml", [f"lmd.probes=[{','.join(probes)}]"])
    assert (HOPFIELD in asked_tables(study.sections)) == ("hopfield" in probes)


def test_the_plan_of_the_study():
    full, small = (load_study(ROOT / "configs" / f"lmd-hopfield{form}.yaml") for form in ("", "-ci"))
    for study in (full, small):
        assert study.stages == ("train", "lmd")
    assert [*full.axes["training.seed"]] == [*range(10)]
    assert [*small.axes["training.seed"]] == [0, 1, 2]
