"""Whole commands, called in this process, and small real data for them."""

import re

from click.testing import CliRunner

from spaceprobe.cli import main
from spaceprobe.data.idx_files import RAW_FOLDER, embedded_root

NUM_TRAIN, NUM_TEST = 300, 130


def call(*arguments, with_report=False):
    """Run a command; an unexpected exception fails the test with its traceback.

    A run makes its report only where that is asked for: it takes longer than the small studies of tests.
    """
    words = [str(word) for word in arguments]
    if words[:1] == ["run"] and not with_report:
        words.append("--no-report")
    return CliRunner().invoke(main, words, catch_exceptions=False)


def plain(name):
    """Return the name of a run or part without the hash of its settings: with it, names say too much."""
    return re.sub(r"-[0-9a-f]{6}(?=$|[.-])", "", name)


def small_mnist(root):
    """Write the first images of MNIST in torchvision's layout and return the folder."""
    folder = root / RAW_FOLDER
    folder.mkdir(parents=True)
    for name, count in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        for kind, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            data = bytearray((embedded_root() / RAW_FOLDER / f"{name}-{kind}-ubyte").read_bytes())
            data[4:8] = count.to_bytes(4, "big")
            (folder / f"{name}-{kind}-ubyte").write_bytes(data[: header + count * size])
    return root
