"""Damaged checkpoints: found, never loaded, whatever is in the place of the file."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spaceprobe.networks.checkpoints import CheckpointError, load_into, read_verified, to_bytes
from spaceprobe.networks.mlp import mlp

WIDTHS = [12, 7, 5, 3]
SCRIPT = Path(__file__).parents[1] / "scripts" / "damaged_checkpoints.py"


@pytest.fixture
def network():
    return mlp(WIDTHS, torch.Generator().manual_seed(0))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_a_tenth_of_the_script():
    """The script's own checks, on fewer damages; its memory limit included."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "220 damaged checkpoints: 0 violations" in done.stdout


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")],
    ids=["directory", "pipe", "endless device"],
)
def test_what_is_no_file(make, network, tmp_path):
    path = tmp_path / "model.safetensors"
    make(path)
    before = to_bytes(network)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is not a regular file"):
        load_into(network, path, digest(before))
    assert to_bytes(network) == before


def test_a_file_may_have_as_many_bytes_as_allowed_and_no_more(tmp_path):
    path, data = tmp_path / "labels", b"0123456"
    path.write_bytes(data)
    assert read_verified(path, digest(data), max_bytes=7) == data
    with pytest.raises(CheckpointError, match="has 7 bytes, at most 6 are expected"):
        read_verified(path, digest(data), max_bytes=6)


def test_a_small_network_reads_no_large_file(network, tmp_path):
    """The limit follows the network: a header is a few lines, not a megabyte."""
    path, data = tmp_path / "model.safetensors", to_bytes(network)
    path.write_bytes(data + bytes(10_000))
    with pytest.raises(CheckpointError, match=f"has {len(data) + 10_000} bytes, at most"):
        load_into(network, path, digest(data))


def test_long_names_fit(tmp_path):
    """The limit follows the names, which JSON writes in up to six characters each."""
    network = torch.nn.ModuleDict({"ü" * 5_000: torch.nn.Linear(4, 3, bias=False)})
    path, data = tmp_path / "model.safetensors", to_bytes(network)
    path.write_bytes(data)
    with torch.no_grad():
        next(network.parameters()).zero_()
    load_into(network, path, digest(data))
    assert to_bytes(network) == data


@pytest.mark.parametrize("kind", ["a pickle", "ten gigabytes", "nothing"])
def test_a_digest_alone_is_not_believed(kind, network, tmp_path):
    """What was recorded with its own digest, but is not a checkpoint, is refused in the same way."""
    before = to_bytes(network)
    header = json.dumps({"0.weight": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}})
    lying = len(header).to_bytes(8, "little") + header.encode()
    data = {"a pickle": pickle.dumps({"0.weight": [1.0]}), "ten gigabytes": lying, "nothing": b""}[kind]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is not a checkpoint \("):
        load_into(network, path, digest(data))
    assert to_bytes(network) == before
