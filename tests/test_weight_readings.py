"""`spaceprobe lmd --weights`: which tensors of a file are read, whole models, any pickle protocol."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from spaceprobe.cli import main
from spaceprobe.stages.lmd.weight_file import open_weights
from spaceprobe.weights.files import WeightFileError, open_source, read_weights
from spaceprobe.weights.whole_models import blocks_of, open_model
from tests import weight_layouts as layouts
from tests.commands import call

# Values of matrices with a few rows by two ways in float64, relative to the largest.
TOLERANCE = 1e-12


def decompose(path, *arguments):
    """Run the command in this process, and return its outcome and the tables by their folder."""
    results = path.parent / "results"
    words = ["lmd", "--weights", path, "--results", results, "--no-report", *arguments]
    outcome = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    return outcome, sorted(results.glob("weights-*"))


def spectra(folder):
    table = pd.read_csv(folder / "lmd_spectrum.csv")
    return {name: rows["value"].to_numpy() for name, rows in table.groupby("name", sort=False)}


def check_spectra(found, expected):
    assert [*found] == [*expected]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=TOLERANCE * values[0], rtol=0)


def expected_of(seed=0, names=tuple(layouts.MATRICES)):
    weights = layouts.arrays(seed)
    return {name: layouts.values_of(weights[name]) for name in names}


def facts_of(folder):
    return json.loads((folder / "provenance.json").read_text())["weights"]


@pytest.mark.parametrize("name", layouts.ONE)
def test_one_state_dict_is_read_wherever_it_lies_and_the_rest_is_named(tmp_path, name):
    content, key, ignored = layouts.ONE[name]
    torch.save(content(), tmp_path / "c.ckpt")
    outcome, (folder,) = decompose(tmp_path / "c.ckpt")
    assert outcome.exit_code == 0
    check_spectra(spectra(folder), expected_of())
    origin = facts_of(folder).get("origin", "")
    assert f"read: {key}" in origin or key is None
    named = origin.partition("ignored: ")[2]
    assert named == ", ".join(ignored)
    assert origin in " ".join(outcome.stdout.split())


@pytest.mark.parametrize("name", layouts.SEVERAL)
def test_of_several_state_dicts_one_is_chosen(tmp_path, name):
    content, keys, taken = layouts.SEVERAL[name]
    path = tmp_path / "c.pt"
    torch.save(content(), path)
    outcome, folders = decompose(path)
    if taken is None:
        assert outcome.exit_code == 2
        message = f"holds {len(keys)} state dicts; choose one with --key NAME: {', '.join(keys)}"
        assert message in outcome.stderr
        assert folders == []
    else:
        assert outcome.exit_code == 0
        others = ", ".join(key for key in keys if key != taken)
        assert facts_of(folders[0])["origin"].startswith(
            f"read: {taken}; not read, --key NAME reads it: {others}"
        )
        check_spectra(spectra(folders[0]), expected_of())
    for key in keys:
        read = read_weights(path, key=key)
        for tensor, value in content()[key].items():
            assert torch.equal(read[tensor], value)


def test_a_key_chooses_and_another_key_gives_other_numbers_beside_the_first(tmp_path):
    path = tmp_path / "c.pt"
    torch.save({"g": layouts.state(1), "d": layouts.state(2)}, path)
    by_key = {}
    for key, seed in (("g", 1), ("d", 2), ("g", 1)):
        outcome, folders = decompose(path, "--key", key)
        assert outcome.exit_code == 0
        by_key |= {facts_of(folder)["key"]: folder for folder in folders}
        check_spectra(spectra(by_key[key]), expected_of(seed))
    assert len({*by_key.values()}) == 2
    compared = call("compare", by_key["g"], by_key["d"], "--out", tmp_path / "c")
    assert compared.exit_code == 0
    assert f"A  {by_key['g'].name} (--key g)" in compared.stdout
    assert "<code>--key d</code>" in (tmp_path / "c" / "compare.html").read_text()
    norms = pd.read_csv(tmp_path / "c" / "matrices.csv").set_index("name").loc["embed.weight"]
    for side, seed in (("a", 1), ("b", 2)):
        expected = expected_of(seed)["embed.weight"][0]
        assert norms[f"spectral_norm_{side}"] == pytest.approx(expected, rel=TOLERANCE)
    outcome, _ = decompose(path, "--key", "gg")
    assert outcome.exit_code == 2
    assert "--key gg: holds no tensors there; did you mean g? there are g, d" in outcome.stderr


def test_results_of_other_options_lie_beside_each_other(tmp_path):
    """Each option gives a folder of its own, which no other call writes to; the plain call keeps its name."""
    path = tmp_path / "w.pt"
    weights = layouts.state() | {"up.weight": torch.ones(2, 2, 1, 3)}
    torch.save({"state_dict": weights}, path)
    calls = [
        [],
        ["--key", "state_dict"],
        ["--heads", 2],
        ["--heads", 4],
        ["--leading", 2],
        ["--layer", "embed*"],
        ["--layer", "embed*", "--layer", "up*"],
        ["--exclude", "embed*"],
        ["--transposed", "up*"],
        ["--groups", "up*=2"],
        ["--groups", "up.*=2", "--groups", "up*=1"],
        ["--groups", "up*=1", "--groups", "up.*=2"],
    ]
    before = {}
    for words in calls:
        outcome, folders = decompose(path, *words)
        assert outcome.exit_code == 0, outcome.output
        assert len(folders) == len({*before, *folders}) == len(before) + 1, words
        assert {folder: facts_of(folder) for folder in before} == before
        before = {folder: facts_of(folder) for folder in folders}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    plain = tmp_path / "results" / f"weights-w-{digest[:6]}"
    assert before[plain]["heads"] is None
    same = ["--layer", "up*", "--layer", "embed*", "--layer", "up*"]
    assert decompose(path, *same)[1] == [*before]  # what chooses has no order


def test_the_tensors_beside_the_keys_have_a_key_of_their_own(tmp_path):
    torch.save({"state_dict": layouts.state(), "queue": layouts.QUEUE}, tmp_path / "c.pt")
    outcome, (folder,) = decompose(tmp_path / "c.pt", "--key", ".")
    assert outcome.exit_code == 0
    check_spectra(spectra(folder), {"queue": layouts.values_of(layouts.QUEUE.numpy())})


def test_a_key_for_safetensors_is_a_wrong_call(tmp_path):
    safetensors.torch.save_file(layouts.state(), tmp_path / "c.safetensors")
    outcome, _ = decompose(tmp_path / "c.safetensors", "--key", "model")
    assert outcome.exit_code == 2
    assert "safetensors has no keys; leave it out" in outcome.stderr
    folder = layouts.save_shards(tmp_path / "m", ".bin", layouts.SPLIT)
    outcome, _ = decompose(folder, "--key", "model")
    assert outcome.exit_code == 2
    assert "--key belongs to one file of torch.save; leave it out" in outcome.stderr


def test_an_object_beside_the_weights_is_not_imported_and_the_way_out_works(tmp_path):
    path = tmp_path / "c.ckpt"
    torch.save({"state_dict": layouts.state(), "hyper_parameters": layouts.Hyperparameters(lr=0.1)}, path)
    outcome, folders = decompose(path)
    assert (outcome.exit_code, folders) == (1, [])
    assert "holds code to run ('tests.weight_layouts.Hyperparameters')" in outcome.stderr
    follow_the_way_out(outcome.stderr, path)
    read = read_weights(tmp_path / "weights.pt")
    assert all(torch.equal(read[name], value) for name, value in layouts.state().items())


def follow_the_way_out(message, path):
    """Run the code that a message advises, in the folder of the file."""
    code = message.partition(": weights = ")[2].strip().replace("FILE", repr(str(path)), 1)
    subprocess.run([sys.executable, "-c", f"import torch; weights = {code}"], cwd=path.parent, check=True,
                   timeout=120, env={**os.environ, "PYTHONPATH": str(Path.cwd())})  # fmt: skip


class OwnNetwork(nn.Sequential):
    """A class of a project."""


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize(
    ("wrap", "taken"),
    [
        (lambda network: network, ".state_dict()"),
        (lambda network: OwnNetwork(*network), ".state_dict()"),
        (lambda network: {"net": network}, "['net'].state_dict()"),
        (lambda network: {"epoch": 3, "module": network, "args": {}}, "['module'].state_dict()"),
        (lambda network: {"module": network, "epoch": 3}, "['module'].state_dict()"),
    ],
)
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code:UserWarning")
def test_the_way_out_of_a_whole_model_works(tmp_path, wrap, taken, is_archive):
    path = tmp_path / "model.pt"
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4))
    torch.save(wrap(network), path, _use_new_zipfile_serialization=is_archive)
    outcome, folders = decompose(path)
    assert (outcome.exit_code, folders) == (1, [])
    assert "save the plain state dict by itself where the file was made" in outcome.stderr
    assert f"weights_only=False){taken};" in outcome.stderr
    follow_the_way_out(outcome.stderr, path)
    read = read_weights(tmp_path / "weights.pt")
    assert {name: value.tolist() for name, value in read.items()} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }


@pytest.mark.parametrize(
    "content",
    [
        {"a": {"net": nn.Linear(2, 3)}},
        {"a": 1, "b": {"net": nn.Linear(2, 3), "x": 2}},
        {"a": {"net": nn.Linear(2, 3)}, "b": 2},
        [nn.Linear(2, 3)],
        {3: nn.Linear(2, 3)},
        {"net": [nn.Linear(2, 3)]},
        {"net": layouts.Hyperparameters(lr=0.1)},
    ],
)
def test_no_wrong_place_of_the_weights_is_advised(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(WeightFileError, match=r"another key .*, with \.state_dict\(\) .*\['state_dict'\]"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_state_dict_holds_no_code_in_any_pickle_protocol(tmp_path, protocol, is_archive):
    path = tmp_path / "w.pt"
    content = {"state_dict": layouts.state(), "epoch": 2**70, "lr": 0.1, "note": "é", "flags": [True, None]}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_archive)
    if protocol == 0:  # torch itself asserts that it cannot read this
        with pytest.raises(
            WeightFileError, match="pickle protocol 0, from which torch itself reads no tensor"
        ):
            read_weights(path)
        with pytest.raises(AssertionError, match="saved_id must be a tuple"):
            torch.load(path, weights_only=False)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_weights(path)
    assert {*read} == {*layouts.VALUES}
    assert all(torch.equal(read[name], value) for name, value in layouts.state().items())


def test_conjugated_and_negated_views_are_what_they_were(tmp_path):
    z = torch.tensor([[1 + 2j, 3 - 4j]])
    torch.save({"a": z.conj(), "c": z}, tmp_path / "a.pt")
    read = read_weights(tmp_path / "a.pt")
    assert read["a"].tolist() == [[1 - 2j, 3 + 4j]]
    assert read["c"].tolist() == [[1 + 2j, 3 - 4j]]
    torch.save({"b": z.conj().imag}, tmp_path / "b.pt")
    assert read_weights(tmp_path / "b.pt")["b"].tolist() == [[-2, 4]]


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_whole_model_has_the_tables_of_one_file(tmp_path, suffix):
    folder = layouts.save_shards(tmp_path / "my-model", suffix, layouts.SPLIT)
    outcome, (results,) = decompose(folder, "--heads", 2)
    assert outcome.exit_code == 0
    assert results.name.startswith("weights-my-model-")
    heads = {
        f"layers.0.self_attn.head{head}.{kind}": values
        for head in range(2)
        for kind, values in zip(
            ("query-key", "output-value"), layouts.head_values(layouts.arrays(), head, 2), strict=True
        )
    }
    check_spectra(spectra(results), {**expected_of(), **heads})
    assert "one model in 3 files" in outcome.stdout
    assert "skipped: 1 vector" in outcome.stdout
    index = next(folder.glob("*.index.json"))
    again = CliRunner().invoke(
        main,
        ["lmd", "--weights", str(index), "--heads", "2", "--no-report", "--results", str(results.parent)],
    )
    assert again.exit_code == 0
    assert [*results.parent.iterdir()] == [results]  # the folder and its index are the same model


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_tied_tensors_and_the_order_of_shards_are_those_of_one_file(tmp_path, suffix):
    """Ties within a block, across blocks and shards; zeros, which are no evidence; products of heads."""
    rng = np.random.default_rng(5)
    table, pooler, norm = (
        torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in ((6, 4), (4, 4), (3, 4))
    )
    attention = {
        f"model.layers.{layer}.{letter}_proj.weight": torch.from_numpy(rng.standard_normal((4, 4)))
        for layer in range(2)
        for letter in "qkvo"
    }
    tensors = {
        "emb.weight": table,
        "head.weight": table,
        "head.weight_too": table,
        "model.embed.weight": table + 1,
        **attention,
        "model.layers.1.up.weight": table,
        "model.norm.weight_g": norm.norm(dim=1, keepdim=True),
        "model.norm.weight_v": norm,
        "model.pooler.weight": pooler,
        "other.same": pooler.T.contiguous(),
        "zero.a": torch.zeros(3, 2),
        "zeros.b": torch.zeros(3, 2),
    }
    tensors = {name: value.clone() for name, value in tensors.items()}
    one = tmp_path / f"one{suffix}"
    safetensors.torch.save_file(tensors, one) if suffix == ".safetensors" else torch.save(tensors, one)
    homes = {name: number % 3 + 1 for number, name in enumerate(tensors)}
    folder = tmp_path / "m"
    folder.mkdir()
    files = {number: f"part-{number}{suffix}" for number in (1, 2, 3)}
    for number, file in files.items():
        part = {name: value for name, value in tensors.items() if homes[name] == number}
        if suffix == ".safetensors":
            safetensors.torch.save_file(part, folder / file)
        else:
            torch.save(part, folder / file)
    index = {"weight_map": {name: files[number] for name, number in homes.items()}}
    (folder / "model.index.json").write_text(json.dumps(index))
    options = {"heads": 2, "transposed": None, "groups": None, "leading": None}
    read = []
    for path in (one, folder):
        file = open_weights(path, options)
        matrices = [file._matrices.read(number) for number in range(len(file.parts))]
        read.append([(matrix.name, matrix.kind, matrix.note, matrix.shape) for matrix in matrices])
    assert read[0] == read[1]
    notes = {name: note for name, _, note, _ in read[1]}
    assert notes["emb.weight"] == (
        "tied: stored as 'head.weight', 'head.weight_too', 'model.layers.1.up.weight' as well"
    )
    assert {"head.weight", "model.layers.1.up.weight"} & {*notes} == set()
    assert {"model.norm.weight", "other.same", "zero.a", "zeros.b"} <= {*notes}


def test_never_more_than_a_block_of_layers_is_read_at_once(tmp_path):
    folder = layouts.save_shards(tmp_path / "m", ".safetensors", layouts.SPLIT)
    model = open_model(folder)
    assert model.blocks == (
        ("embed.weight",),
        tuple(f"layers.0.self_attn.{letter}_proj.weight" for letter in "koqv"),
        ("layers.1.mlp.weight",),
        ("norm.weight",),
    )
    sizes = [path.stat().st_size for path in folder.glob("*.safetensors")]
    assert open_model(folder, max_bytes=max(sizes)).blocks == model.blocks  # the cap is of each shard
    with pytest.raises(WeightFileError, match=f"has {max(sizes)} bytes, at most {max(sizes) - 1} are read"):
        open_model(folder, max_bytes=max(sizes) - 1)


def test_a_block_in_two_shards_is_bounded_as_one(tmp_path):
    homes = {f"layers.0.{name}.weight": f"{name}.bin" for name in "ab"}
    for name, file in homes.items():
        torch.save({name: torch.ones(100, 30, dtype=torch.bfloat16)}, tmp_path / file)
    (tmp_path / "m.index.json").write_text(json.dumps({"weight_map": homes}))
    assert len(open_model(tmp_path, max_bytes=24_000).blocks) == 1
    with pytest.raises(WeightFileError, match=r"m\.index\.json: unfolds to more than 23999 bytes"):
        open_model(tmp_path, max_bytes=23_999)


MEMORY_CHILD = """
    import resource, sys
    from pathlib import Path
    import torch
    from spaceprobe.stages.lmd.model_matrices import ModelMatrices
    from spaceprobe.weights.layouts.layout import Hints
    from spaceprobe.weights.whole_models import open_model
    path = Path(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matrices = ModelMatrices(path, open_model(path), Hints())
    for number in range(len(matrices.planned)):
        assert float(matrices.read(number).matrix[0, 0]) == number
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_model_of_many_shards_takes_the_memory_of_one(tmp_path, suffix):
    num_shards, side = 8, 2048  # 16 MiB a shard
    folder = tmp_path / "m"
    folder.mkdir()
    homes = {}
    for number in range(num_shards):
        name = f"layers.{number}.weight"
        homes[name] = f"s{number}{suffix}"
        tensors = {name: torch.full((side, side), float(number))}
        if suffix == ".bin":
            torch.save(tensors, folder / homes[name])
        else:
            safetensors.torch.save_file(tensors, folder / homes[name])
    (folder / "m.index.json").write_text(json.dumps({"weight_map": homes}))
    child = [sys.executable, "-c", textwrap.dedent(MEMORY_CHILD), str(folder)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=120, check=True)
    shard = side * side * 4 / 2**10
    # Linux counts KiB; a mapped safetensors file and the copy of its tensors are there at once.
    assert int(done.stdout) < 4 * shard < num_shards * shard


def test_one_shard_is_said_to_be_one_of_several(tmp_path):
    folder = layouts.save_shards(tmp_path / "m", ".bin", layouts.SPLIT)
    outcome, (results,) = decompose(folder / "pytorch_model-00002-of-00003.bin")
    assert outcome.exit_code == 0
    check_spectra(spectra(results), expected_of(names=sorted(layouts.SPLIT[1])))
    assert "shard 2 of 3, the others are not read" in facts_of(results)["origin"]


def refused(path, match):
    with pytest.raises(WeightFileError, match=match) as caught:
        open_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_what_an_index_names_must_be_there(tmp_path):
    folder = layouts.save_shards(tmp_path / "m", ".safetensors", layouts.SPLIT)
    index = folder / "model.safetensors.index.json"
    homes = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": {**homes, "ghost": homes["norm.weight"]}}))
    refused(folder, "names the tensor 'ghost' in 'model-00003-of-00003.safetensors', which lacks it")
    index.write_text(json.dumps({"weight_map": {name: homes[name] for name in [*homes][1:]}}))
    assert "ignored, since the index does not name them: embed.weight" in open_model(folder).origin
    (folder / "model-00002-of-00003.safetensors").unlink()
    refused(folder, "names the file 'model-00002-of-00003.safetensors', which is missing beside it")


@pytest.mark.parametrize(
    "name",
    [
        "../w.pt",
        "/etc/passwd",
        "a/../../w.pt",
        "sub/w.pt",
        "..",
        ".",
        "",
        "..\\w.pt",
        "C:\\w.pt",
        "C:w.pt",
        "a\0.pt",
        3,
    ],
)
def test_an_index_names_files_in_its_own_folder_only(tmp_path, name):
    torch.save({"w": torch.ones(2, 3)}, tmp_path / "w.pt")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    refused(tmp_path / "m", "only names of files in its own folder are read")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", 'has no "weight_map"'),
        (b'{"weight_map": {}}', 'has no "weight_map"'),
        (b'{"weight_map": ["a"]}', 'has no "weight_map"'),
        (b'{"weight_map": {"w": "w.gguf"}}', "which is missing beside it"),
        (b" " * 50_000_001, "an index.json of at most 50000000 is read"),
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path, content, match):
    (tmp_path / "x.index.json").write_bytes(content)
    refused(tmp_path, match)
    refused(tmp_path / "x.index.json", match)


def test_a_folder_without_an_index_or_with_two(tmp_path):
    safetensors.torch.save_file(layouts.state(), tmp_path / "w.safetensors")
    refused(tmp_path, "is a folder without an index.json, .* or one file of weights")
    for name in ("a.index.json", "b.index.json"):
        (tmp_path / name).write_text("{}")
    refused(tmp_path, "holds 2 models .'a.index.json', 'b.index.json'.; give one of them")
    os.mkfifo(tmp_path / "pipe.index.json")
    refused(tmp_path / "pipe.index.json", "is not a file")


def test_safetensors_are_read_where_the_same_model_is_there_for_torch(tmp_path):
    folder = layouts.save_shards(tmp_path / "m", ".safetensors", layouts.SPLIT)
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    assert [*open_model(folder).tensors] == [*layouts.VALUES]


def test_blocks_are_below_the_first_number():
    names = ["a.weight", "b.0.x", "b.0.c.1.y", "b.1.x", "b.10.x", "a.q.bias", "7.weight", "w"]
    assert blocks_of(names) == (
        ("a.weight", "a.q.bias"), ("b.0.x", "b.0.c.1.y"), ("b.1.x",), ("b.10.x",), ("7.weight",), ("w",),
    )  # fmt: skip


def test_patterns_choose_matrices(tmp_path):
    safetensors.torch.save_file(layouts.state(), tmp_path / "w.safetensors")
    outcome, (folder,) = decompose(
        tmp_path / "w.safetensors", "--layer", "layers.*", "--layer", "embed*", "--exclude", "*.[kv]_proj.*"
    )
    assert outcome.exit_code == 0
    names = [
        "embed.weight",
        "layers.0.self_attn.o_proj.weight",
        "layers.0.self_attn.q_proj.weight",
        "layers.1.mlp.weight",
    ]
    check_spectra(spectra(folder), expected_of(names=names))
    chosen = "chosen: 4 of 6 matrices (--layer layers.*, --layer embed*, --exclude *.[kv]_proj.*)"
    assert facts_of(folder)["origin"] == chosen
    assert chosen in " ".join(outcome.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--layer", "mlp"],
            "--layer mlp: matches the whole name of none of 6 matrices, such as layers.1.mlp",
        ),
        (["--exclude", "embd.weight"], "such as embed.weight"),
        (["--exclude", "*"], "--layer and --exclude leave no matrix"),
    ],
)
def test_patterns_that_choose_nothing_are_wrong_calls(tmp_path, arguments, message):
    safetensors.torch.save_file(layouts.state(), tmp_path / "w.safetensors")
    outcome, folders = decompose(tmp_path / "w.safetensors", *arguments)
    assert (outcome.exit_code, folders) == (2, [])
    assert message in outcome.stderr


def test_a_choice_has_results_of_its_own(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(layouts.state(), path)
    _, (plain,) = decompose(path)
    _, folders = decompose(path, "--layer", "embed*")
    (folder,) = {*folders} - {plain}
    check_spectra(spectra(plain), expected_of())
    check_spectra(spectra(folder), expected_of(names=["embed.weight"]))
    assert facts_of(folder)["origin"] == "chosen: 1 of 6 matrices (--layer embed*)"
    before = (folder / "provenance.json").read_bytes()
    decompose(path, "--layer", "embed*")
    assert (folder / "provenance.json").read_bytes() == before


def test_two_files_are_both_decomposed_and_their_comparison_is_named(tmp_path):
    for seed in (0, 1):
        safetensors.torch.save_file(layouts.state(seed), tmp_path / f"w{seed}.safetensors")
    outcome, folders = decompose(tmp_path / "w0.safetensors", "--weights", tmp_path / "w1.safetensors")
    assert outcome.exit_code == 0
    for seed, folder in enumerate(folders):
        check_spectra(spectra(folder), expected_of(seed))
    command = outcome.stdout.splitlines()[-1]
    assert command == f"compare  spaceprobe compare {folders[0]} {folders[1]}"
    compared = CliRunner().invoke(main, [*command.split()[2:], "--out", str(tmp_path / "c")])
    assert compared.exit_code == 0
    assert len(pd.read_csv(tmp_path / "c" / "matrices.csv")) == 6


def test_what_does_not_fit_the_last_file_is_told_before_the_first_is_computed(tmp_path):
    safetensors.torch.save_file(layouts.state(), tmp_path / "a.safetensors")
    safetensors.torch.save_file({"w": torch.eye(2), "v": torch.ones(2, 3)}, tmp_path / "b.safetensors")
    b = tmp_path / "b.safetensors"
    outcome, folders = decompose(tmp_path / "a.safetensors", "--weights", b, "--layer", "*q_proj*")
    assert (outcome.exit_code, folders) == (2, [])
    assert f"{b}: --layer *q_proj*: matches the whole name of none of 2 matrices" in outcome.stderr
    outcome, folders = decompose(tmp_path / "a.safetensors", "--weights", tmp_path / "none.pt")
    assert (outcome.exit_code, folders) == (1, [])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_beside_the_weights_are_ignored_by_name(tmp_path, protocol):
    """Of a schedule, of settings and of a score; torch's loader for weights only takes most of them."""
    beside = {
        "schedule": Counter([2, 4]),
        "names": {"a", "b"},
        "frozen": frozenset([1]),
        "blob": b"abc",
        "bytes": bytearray(b"abc"),
        "pole": 1 + 2j,
        "score": np.float64(0.5),
        "count": np.int64(3),
    }
    path = tmp_path / "last.ckpt"
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"state_dict": {"weight": weight}, **beside}, path, pickle_protocol=protocol)
    source = open_source(path)
    assert torch.equal(source.read(["weight"])["weight"], weight)
    assert source.origin == f"read: state_dict; ignored: {', '.join(beside)}"
