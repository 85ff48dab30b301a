"""Malformed studies: every error of a file in one pass, each with its place, in plain words."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spaceprobe.study.config import load_study, loading
from spaceprobe.study.config.finding import MAX_BYTES
from spaceprobe.study.config.problems import ConfigError
from tests.study_stages import STAGES

JARGON = re.compile(r"pydantic|https?:|Input should|Settings|<class|Error|yaml\.|\\u0")

# name: (text, [(line:column: key, words of the message, ...), ...]); nothing else may be reported.
MALFORMED: dict[str, tuple[str | bytes, list[tuple[str, ...]]]] = {
    # the shape of the file
    "empty": ("", [("1:1", "found an empty file", "allowed: sections such as model, fit")]),
    "comments only": ("# nothing\n", [("1:1", "found an empty file")]),
    "explicit nothing": ("---\n...\n", [("1:1", "found an empty file")]),
    "a list": ("- fit\n", [("1:1", "found a list of 1")]),
    "a word": ("fit\n", [("1:1", "found 'fit' (text)")]),
    "two documents": ("fit: {}\n---\nfit: {}\n", [("2:1", "second document", "one in each file")]),
    "section is a number": ("fit: 3\n", [("1:1: fit", "found 3", "settings, indented below")]),
    "section is a list": ("fit: [1]\n", [("1:1: fit", "found a list of 1")]),
    "sweep is a list": ("sweep:\n- 1\n", [("1:1: sweep", "found a list of 1")]),
    # syntax
    "tab": ("fit:\n\tseed: 1\n", [("2:1", "found a tab, allowed: spaces")]),
    "two tabs": ("fit:\n\tseed: 1\n  epochs:\t3\n", [("2:1", "tab"), ("3:10", "tab")]),
    "open list": ("sweep:\n  fit.seed: [1, 2\nfit: {}\n", [("2:13", "list that is never closed")]),
    "open mapping": ("fit: {seed: 1\n", [("1:6", "mapping that is never closed")]),
    "open quote": ("model:\n  shape: '2x30\n", [("2:10: model.shape", "never closed")]),
    "colon in text": ("model:\n  root: a: b\n", [("2:10: model", "a key is not possible", "quote a text")]),
    "indentation": ("fit:\n  seed: 1\n epochs: 2\n", [("3:2", "indented alike")]),
    "no colon": ("fit:\n  seed: 1\n  epochs\nmodel: {}\n", [("4:1", "without ':'")]),
    "at sign": ("model: {root: @home}\n", [("1:15: model.root", "in quotes")]),
    "escape": ('model:\n  root: "C:\\data"\n', [("2:13: model.root", "unknown escape")]),
    "escape too large": ('model: {root: "\\U00110000"}\n', [("1:", "out of range")]),
    "stray bracket": ("}\n", [("1:1", "a bracket or comma")]),
    "list and keys": ("- 1\nfit: {}\n", [("2:1", "does not belong here")]),
    "directive": ("%YAML 1.1\n---\nfit: {}\n", [("1:1", "% directive", "remove the line")]),
    "huge directive": ("%YAML " + "9" * 5000 + ".1\n---\nfit: {}\n", [("1:1", "out of range")]),
    # bytes
    "NUL": ("fit:\n  seed: 1\0\n", [("2:10", "U+0000")]),
    "control character": ("fit: {seed: \x1b}\n", [("1:13", "U+001B")]),
    "line separator": ("fit: {seed:\u2028 1}\n", [("1:12", "U+2028")]),
    "invalid UTF-8": (b"fit:\n  seed: \xff1\n", [("2:9", "byte 0xff", "UTF-8")]),
    "truncated UTF-8": (b"fit: {seed: 1} # \xe2\x82", [("1:18", "byte 0xe2")]),
    "UTF-16": ("fit: {}\n".encode("utf-16"), [("1:1", "byte 0xff", "allowed: UTF-8")]),
    "second byte order mark": ("\ufeff\ufefffit: {}\n", [("1:1", "U+FEFF")]),
    "invalid after byte order mark": (b"\xef\xbb\xbffit: \xff\n", [("1:6", "byte 0xff")]),
    "escaped NUL": ('model: {root: "a\\0b"}\n', [("1:15: model.root", "U+0000")]),
    "half an emoji": ('model: {root: "\\ud83d"}\n', [("1:15: model.root", "U+D83D")]),
    # what YAML has and a study does not
    "alias": ("fit: {seed: *a}\n", [("1:13: fit.seed", "alias *a", "an anchor before it, &a")]),
    "mistyped alias": ("x-a: &base 1\nfit: {seed: *bse}\n", [("2:13: fit.seed", ", did you mean base")]),
    "alias before its anchor": ("fit: {seed: *a, epochs: &a 1}\n", [("1:13: fit.seed", "alias *a")]),
    "alias to itself": ("fit: &a {seed: *a}\n", [("1:16: fit.seed", "within what it stands for")]),
    "merge of itself": ("fit: &a {<<: *a}\n", [("1:14: fit.<<", "within what it stands for")]),
    "deep by aliases": (
        "x-a: &a [[[[[1]]]]]\nfit: {seed: [[[[[*a]]]]]}\n",
        [("2:18: fit.seed[0][0][0][0][0]", "more than 10 levels")],
    ),
    "many by aliases": (
        "x-a: &a [" + "0," * 999 + "0]\nfit: {seed: [" + "*a," * 9 + "*a]}\n",
        # 1,007 nodes to the first alias, then 1,001 each: the ninth passes 10,000, in column 14 + 3 * 8
        [("2:38: fit.seed[8]", "more than 10000 keys and values, allowed: 10000")],
    ),
    "standard tag": ("fit: {seed: !!int '1'}\n", [("1:13: fit.seed", "tag !!int")]),
    "python tag": (
        "fit: !!python/object/apply:os.system [id]\n",
        [("1:6: fit", "tag !!python/object/apply:os.system")],
    ),
    "tagged file": ("!!map {fit: {}}\n", [("1:1", "tag !!map")]),
    "merge of a number": ("fit: {<<: 3}\n", [("1:11: fit.<<", "not a mapping", "such as *a, or a list")]),
    "merge of a list with a number": ("fit: {<<: [{seed: 1}, 3]}\n", [("1:23: fit.<<", "not a mapping")]),
    "merge twice": (
        "fit: {<<: {seed: 1}, <<: {epochs: 1}}\n",
        [("1:22: fit.<<", "found a second time, first in line 1")],
    ),
    "quoted merge key": ("fit: {'<<': {seed: 1}}\n", [("1:7: fit.<<", "no such setting")]),
    "wrong value in a template": (
        "x-t: &t\n  epochs: ten\n  epoch: 3\nfit:\n  <<: *t\nprobe: {method: &m fast}\n"
        "sweep: {probe.method: [exact, *m]}\n",
        [
            ("2:11: fit.epochs", "found 'ten' (text)"),
            ("3:3: fit.epoch", "no such setting"),
            ("6:17: probe.method", "found 'fast' (text)"),
            ("6:17: sweep.probe.method[1]", "found 'fast' (text)"),
            ("7:9: sweep.probe.method", "set to one value in line 6"),
        ],
    ),
    "duplicate in a template": (
        "x-t: &t\n  seed: 1\n  seed: 2\nfit: {<<: *t, seed: 3}\n",
        [("3:3: fit.seed", "found a second time, first in line 2")],
    ),
    "duplicate beside a merge": (
        "x-t: &t {seed: 1}\nfit:\n  seed: 2\n  <<: *t\n  seed: 3\n",
        [("5:3: fit.seed", "found a second time, first in line 3")],
    ),
    "duplicate template": ("x-t: 1\nx-t: 2\nfit: {}\n", [("2:1: x-t", "found a second time")]),
    "tag in a replaced value": (
        "x-t: &t {seed: !!int 1}\nfit: {<<: *t, seed: x}\n",
        [("1:16: x-t.seed", "tag !!int"), ("2:21: fit.seed", "found 'x' (text)")],
    ),
    "template in a section": ("fit: {x-a: 1}\n", [("1:7: fit.x-a", "no such setting")]),
    "alias in a list": ("probe: {widths: [1, *a]}\n", [("1:21: probe.widths[1]", "alias")]),
    # keys
    "duplicate setting": (
        "fit:\n  seed: 1\n  seed: 2\n",
        [("3:3: fit.seed", "found a second time, first in line 2", "once")],
    ),
    "duplicate section": ("fit: {seed: 1}\nfit: {seed: x}\n", [("2:1: fit", "first in line 1")]),
    "integer key": ("fit:\n  3: 1\n", [("2:3: fit", "found 3 as a key", "allowed: text")]),
    "null key": ("fit:\n  ~: 1\n", [("2:3: fit", "found nothing (null) as a key")]),
    "boolean key": ("true: {}\n", [("1:1", "found true as a key")]),
    "list key": ("? [a, b]\n: 1\n", [("1:3", "found a list of 2 as a key")]),
    "unknown section": (
        "trainig: {}\nfti: {}\n",
        [
            ("1:1: trainig", "no such section", "model, fit, probe, other, report, study, slurm or sweep"),
            ("2:1: fti", "no such section", ", did you mean fit"),
        ],
    ),
    "unknown setting": (
        "fit:\n  epoch: 3\n  sed: 1\n",
        [
            ("2:3: fit.epoch", "allowed: epochs, rate, decay, seed or shuffle", "mean epochs or probe.epoch"),
            ("3:3: fit.sed", "no such setting", ", did you mean seed"),
        ],
    ),
    "empty keys": (
        "'': 1\nfit: {'': 1}\nsweep: {'': [1]}\n",
        [
            ("1:1", "no such section"),
            ("2:7: fit.", "no such setting"),
            ("3:9: sweep.", "no such setting"),
        ],
    ),
    "setting outside": ("epochs: 3\n", [("1:1: epochs", "`epochs:` indented below `fit:`")]),
    "dotted outside": ("fit.epochs: 3\n", [("1:1: fit.epochs", "`epochs:` indented below")]),
    # values
    "text for an integer": ("fit: {epochs: ten}\n", [("1:15: fit.epochs",
        "found 'ten' (text), allowed: an integer from 1 to 100000")]),
    "number for an integer": ("fit: {epochs: 3.5}\n", [("1:15: fit.epochs", "found 3.5")]),
    "quoted integer": ("fit: {epochs: '3'}\n", [("1:15: fit.epochs", "found '3' (text)")]),
    "boolean for an integer": ("fit: {epochs: true}\n", [("1:15: fit.epochs", "found true,")]),
    "nothing for an integer": ("fit:\n  epochs:\n", [("2:10: fit.epochs", "found nothing (null)")]),
    "list for sweep": ("fit: {seed: [0, 1]}\n", [("1:13: fit.seed",
        "found a list of 2, allowed: an integer from 0 to 2147483647; "
        "write several values below `sweep:`, as `fit.seed: [0, 1]`")]),
    "words for sweep": ("probe: {method: [exact, sampled]}\n", [("1:17: probe.method",
        "exact or sampled; write several values below `sweep:`, as `probe.method: [exact, sampled]`")]),
    "span for sweep": ("fit: {seed: 0-4}\n", [("1:13: fit.seed",
        "below `sweep:`, as `fit.seed: {from: 0, to: 4}`")]),
    "range for sweep": ("fit: {seed: {from: 0, to: 4}}\n", [("1:13: fit.seed",
        "found a mapping", "below `sweep:`, as `fit.seed: {from: 0, to: 4}`")]),
    "span for a list": ("probe: {widths: 1-3}\n", [("1:17: probe.widths", "; write {from: 1, to: 3}")]),
    "list for an integer": ("fit: {epochs: [1]}\n", [("1:15: fit.epochs", "found a list of 1")]),
    "mapping for an integer": ("fit:\n  epochs: {a: 1}\n", [("2:11: fit.epochs", "a mapping")]),
    "time for an integer": ("fit: {epochs: 12:30}\n", [("1:15: fit.epochs", "'12:30' (text)")]),
    "below": ("fit: {epochs: 0}\n", [("1:15: fit.epochs", "found 0, allowed: an integer from 1")]),
    "above": ("fit: {epochs: 100_001}\n", [("1:15: fit.epochs", "found '100_001' (text)")]),
    "too large": ("fit: {seed: 0xFFFFFFFFFF}\n", [("1:13: fit.seed", "found 1099511627775")]),
    "6,000 digits": ("fit:\n  seed: " + "9" * 6000, [("2:9: fit.seed", "found .inf", "an integer from 0")]),
    "nan": ("fit: {rate: .nan}\n", [("1:13: fit.rate", "found .nan", "above 0 and up to 10")]),
    "infinity": ("fit: {rate: 1e999}\n", [("1:13: fit.rate", "found .inf", "number above 0")]),
    "zero rate": ("fit: {rate: 0.0}\n", [("1:13: fit.rate", "found 0.0")]),
    "no lower bound": ("fit: {decay: -1}\n", [("1:14: fit.decay", "a number of at least 0")]),
    "yes": ("fit: {shuffle: yes}\n", [("1:16: fit.shuffle", "'yes' (text)", "true or false")]),
    "choice": ("probe: {method: exat}\n", [("1:17: probe.method",
        "found 'exat' (text), allowed: exact or sampled, did you mean exact")]),
    "choice in capitals": ("probe: {method: EXACT}\n", [("1:17: probe.method", "mean exact")]),
    "numeric choice": ("probe: {epoch: 1}\n", [("1:16: probe.epoch", "allowed: 0, last or both")]),
    "false for 0": ("probe: {epoch: false}\n", [("1:16: probe.epoch", "found false")]),
    "integer or word": ("probe: {per_class: 0}\n", [("1:20: probe.per_class",
        "found 0, allowed: an integer from 1 to 10000, or all")]),
    "path": ("model: {root: 5}\n", [("1:15: model.root", "a path, or null (a folder of images)")]),
    "own words": ("model: {shape: 2y30}\n", [("1:16: model.shape",
        "found '2y30' (text): write layers x units, such as 2x30")]),
    "own words that name it": ("probe:\n  pairs: 3-8,8\n", [("2:10: probe.pairs",
        "'8' is no class pair: write source-target, such as 3-8")]),
    "items of a list": (
        "probe:\n  widths: [1, 20,\n    x]\n",
        [
            ("2:15: probe.widths[1]", "found 20", "allowed: an integer from 1 to 9"),
            ("3:5: probe.widths[2]", "found 'x' (text)"),
        ],
    ),
    "not together": (
        "fit: {}\nprobe:\n  num_points: 5000\n",
        [("2:1: probe", "an exact probe takes at most 1000 points; lower num_points")],
    ),
    # the sweep
    "zip of a list": ("sweep: {zip: [fit.seed]}\n", [("1:14: sweep.zip",
        "found a list of 1, allowed: settings with a list each, all of one length")]),
    "zip of nothing": ("sweep:\n  zip:\n", [("2:7: sweep.zip", "found nothing (null), allowed: settings")]),
    "empty zip": ("sweep: {zip: {}}\n", [("1:14: sweep.zip", "found an empty mapping")]),
    "zip of unequal lists": (
        "sweep:\n  zip:\n    model.shape: [2x3, 3x3]\n    fit.rate: [0.1, 0.2, 0.3]\n    fit.epochs: [1]\n",
        [
            ("4:15: sweep.zip.fit.rate", "found 3 values, but model.shape has 2", "lists of equal length"),
            ("5:17: sweep.zip.fit.epochs", "found 1 value, but model.shape has 2"),
        ],
    ),
    "zipped and an axis": (
        "sweep:\n  fit.seed: [1, 2]\n  zip: {fit.seed: [1, 2], fit.rate: [0.1, 0.2]}\n",
        [("3:9: sweep.zip.fit.seed", "found here and on an axis of its own, in line 2", "remove one")],
    ),
    "zipped and set": (
        "fit: {seed: 3}\nsweep:\n  zip: {fit.seed: [1, 2], fit.rate: [0.1, 0.2]}\n",
        [("3:9: sweep.zip.fit.seed", "set to one value in line 1", "one of the two; remove one")],
    ),
    "zipped twice": (
        "sweep: {zip: {fit.seed: [1, 2], fit.seed: [1, 2]}}\n",
        [("1:33: sweep.zip.fit.seed", "found a second time, first in line 1")],
    ),
    "the same member": (
        "sweep:\n  zip: {fit.seed: [1, 2, 1], fit.rate: [0.1, 0.2, 0.1]}\n",
        [("2:26: sweep.zip.fit.seed[2]", "found the values of item 0 a second time", "each once")],
    ),
    "unknown in a zip": (
        "sweep: {zip: {fit.sed: [1], fit.rate: [x]}}\n",
        [
            ("1:15: sweep.zip.fit.sed", "no such setting", "did you mean fit.seed"),
            ("1:40: sweep.zip.fit.rate[0]", "found 'x' (text), allowed: a number"),
        ],
    ),
    "one value in a zip": (
        "sweep: {zip: {fit.seed: 3, fit.rate: [0.1, 0.2]}}\n",
        [("1:25: sweep.zip.fit.seed", "found 3, allowed: a list")],
    ),
    "zipped values that do not go together": (
        "sweep:\n  zip:\n    probe.method: [sampled, exact]\n    probe.num_points: [10, 2000]\n",
        [("4:28: sweep", "probe.method = 'exact' (text) and probe.num_points = 2000", "at most")],
    ),
    "unknown axis": ("sweep: {fit.sed: [1]}\n", [("1:9: sweep.fit.sed", "did you mean fit.seed")]),
    "axis without section": ("sweep: {seed: [1]}\n", [("1:9: sweep.seed", "mean fit.seed")]),
    "nested axis": (
        "sweep:\n  fit:\n    seed: [1]\n",
        [("2:3: sweep.fit", "no such setting", "a dotted key such as fit.epochs")],
    ),
    "span axis": ("sweep: {fit.seed: 0-4}\n", [("1:19: sweep.fit.seed",
        "found '0-4' (text), allowed: a list", "; write {from: 0, to: 4}")]),
    "python's range": ("sweep: {fit.seed: 'range(2, 10, 3)'}\n", [("1:19: sweep.fit.seed",
        "; write {from: 2, to: 8, step: 3}")]),
    "span in a list": ("sweep: {fit.seed: [0-4]}\n", [("1:20: sweep.fit.seed[0]",
        "; write {from: 0, to: 4} in place of the list")]),
    "range without an end": ("sweep: {fit.seed: {from: 0}}\n", [("1:19: sweep.fit.seed",
        "found {from: 0}, allowed: whole numbers as in {from: 0, to: 8, step: 2}")]),
    "mistyped range": ("sweep: {fit.seed: {from: 0, to: 4, by: 2}}\n", [("1:19: sweep.fit.seed", "by: 2}")]),
    "range of fractions": ("sweep: {fit.seed: {from: 0, to: 4.5}}\n", [("1:19: sweep.fit.seed", "whole")]),
    "range of true": ("sweep: {fit.seed: {from: true, to: 4}}\n", [("1:19: sweep.fit.seed", "whole")]),
    "range downwards": ("sweep: {fit.seed: {from: 4, to: 0}}\n", [("1:19: sweep.fit.seed",
        "found {from: 4, to: 0}, allowed: a `to` of at least `from`")]),
    "step of 0": ("sweep: {fit.seed: {from: 0, to: 4, step: 0}}\n", [("1:19: sweep.fit.seed",
        "a `step` of at least 1")]),
    "step past the end": ("sweep: {fit.seed: {from: 0, to: 4, step: 3}}\n", [("1:19: sweep.fit.seed",
        "a `to` that the steps reach", "3 or 6")]),
    "endless range": ("sweep: {fit.seed: {from: 0, to: 999999999}}\n", [("1:19: sweep.fit.seed",
        "a range of 1000000000 numbers, allowed: at most 10000")]),
    "long ranges": (
        "sweep:\n  fit.seed: {from: 1, to: 6000}\n  fit.epochs: {from: 1, to: 4001}\n",
        [("3:15: sweep.fit.epochs", "a range of 4001 numbers, allowed: at most 4000 in all ranges")],
    ),
    "range beyond what is allowed": ("probe: {widths: {from: 8, to: 10}}\n", [("1:17: probe.widths[2]",
        "found 10, allowed: an integer from 1 to 9")]),
    "range of words": ("probe: {pairs: {from: 0, to: 1}}\n", [("1:16: probe.pairs", "found a mapping")]),
    "scalar axis": ("sweep: {fit.seed: 3}\n", [("1:19: sweep.fit.seed",
        "found 3, allowed: a list of at least 1, each item an integer from 0")]),
    "missing axis": ("sweep:\n  fit.seed:\n", [("2:12: sweep.fit.seed", "found nothing (null)")]),
    "empty axis": ("sweep: {fit.seed: []}\n", [("1:19: sweep.fit.seed", "an empty list")]),
    "repeated value": (
        "sweep: {fit.seed: [0, 1, 00]}\n",
        [("1:26: sweep.fit.seed[2]", "found 0 a second time", "each value once")],
    ),
    "same network twice": (
        "sweep: {model.shape: [2x30, 02x30]}\n",
        [("1:29: sweep.model.shape[1]", "found '02x30' (text) a second time")],
    ),
    "wrong items": (
        "sweep:\n  fit.seed: [0, x, -1]\n  probe.method:\n  - exact\n  - exat\n",
        [
            ("2:17: sweep.fit.seed[1]", "found 'x' (text), allowed: an integer from 0"),
            ("2:20: sweep.fit.seed[2]", "found -1"),
            ("5:5: sweep.probe.method[1]", "exact or sampled, did you mean exact"),
        ],
    ),
    "set and swept": (
        "fit: {seed: 3}\nsweep: {fit.seed: [1, 2]}\n",
        [("2:9: sweep.fit.seed", "in line 1", "one of the two; remove one")],
    ),
    "axis that changes nothing": (
        "sweep: {probe.epoch: [0, last]}\n",
        [("1:9: sweep.probe.epoch", "changes no number", "set under probe")],
    ),
    "axis of the study": (
        "sweep: {report.digits: [2, 3]}\n",
        [("1:9: sweep.report.digits", "belongs to the study as a whole")],
    ),
    "axes not together": (
        "sweep:\n  probe.method: [exact, sampled]\n  probe.num_points: [10, 2000]\n",
        [("3:26: sweep", "probe.method = 'exact' (text) and probe.num_points = 2000", "at most")],
    ),
    "too many runs": (
        "sweep:\n  fit.seed: [" + ",".join(map(str, range(400))) + "]\n  fit.epochs: ["
        + ",".join(map(str, range(1, 401))) + "]\n",
        [("1:1: sweep", "found 160000 combinations (400 x 400), allowed: 100000")],
    ),
    # everything at once
    "all in one pass": (
        "fit:\n  epochs: abc\n  seed: *x\n  rate: 0\n  epochs: 3\nprob: {}\n"
        "probe:\n  method: fast\nsweep:\n  fit.sed: [1]\n  fit.decay: [-1]\n",
        [
            ("2:11: fit.epochs", "found 'abc'"),
            ("3:9: fit.seed", "alias"),
            ("4:9: fit.rate", "found 0"),
            ("5:3: fit.epochs", "found a second time"),
            ("6:1: prob", "did you mean probe"),
            ("8:11: probe.method", "found 'fast'"),
            ("10:3: sweep.fit.sed", "did you mean fit.seed"),
            ("11:15: sweep.fit.decay[0]", "found -1"),
        ],
    ),
    # size
    "deep list": ("fit: " + "[" * 3000, [("1:", "more than 10 levels of nesting")]),
    "deep mapping": ("{a: " * 3000, [("1:", "more than 10 levels of nesting")]),
    "deep block": ("- " * 3000, [("1:", "more than 10 levels of nesting")]),
    "many values": ("fit: [" + "0," * 10_000 + "]\n", [("1:", "more than 10000 keys and values")]),
    "long file": ("#" * (MAX_BYTES + 1), [("1:1", f"file of {MAX_BYTES + 1} bytes, allowed: at")]),
}  # fmt: skip


def load(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "STAGES", STAGES)
        return load_study(path)


def errors_of(path):
    with pytest.raises(ConfigError, match=r"found|takes|is no") as caught:
        load(path)
    assert caught.value.exit_code == 2
    return str(caught.value).split("\n")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name, tmp_path):
    text, expected = MALFORMED[name]
    path = tmp_path / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    lines = errors_of(path)
    assert len(lines) == len(expected), "\n".join(lines)
    for line, (place, *words) in zip(lines, expected, strict=True):
        assert line.startswith(f"{path}:{place}" if place.endswith(":") else f"{path}:{place}: ")
        message = line.removeprefix(str(path))
        assert re.match(r":\d+:\d+: ", message)
        assert "found " in line or "takes" in line or "is no class pair" in line
        assert not JARGON.search(message), line
        assert len(message) < 500
        for word in words:
            assert word in line, line


def test_there_are_enough():
    assert len(MALFORMED) >= 40


def test_many_errors_are_cut_when_shown(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("sweep: {fit.seed: [" + "x," * 300 + "]}\n")
    with pytest.raises(ConfigError, match=r"and 250 more$") as caught:
        load(path)
    assert len(caught.value.errors) == 300


def test_a_byte_order_mark_and_line_ends_of_windows_are_fine(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbffit:\r\n  seed: 3\r\n")
    assert load(path).sections["fit"].seed == 3


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: path.mkdir(), "found a directory"),
        (os.mkfifo, "found a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "found a device"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
        (lambda _: None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_not_a_file(make, found, tmp_path):
    path = tmp_path / "s.yaml"
    make(path)
    (line,) = errors_of(path)
    assert line.startswith(f"{path}:1:1: ")
    assert found in line


def test_a_name_that_is_not_a_file_name(tmp_path):
    (line,) = errors_of(tmp_path / ("x" * 300 + ".yaml"))
    assert "cannot be read (File name too long)" in line
    (line,) = errors_of(tmp_path / "a\0b.yaml")
    assert "its name is not a file name" in line


@pytest.mark.parametrize(
    ("stem", "way_out"),
    [("my study", "my-study.yaml"), ("-x", "x.yaml"), ("ü", "my-study.yaml"), ("a\nb", "a-b.yaml")],
)
def test_a_name_that_cannot_be_a_folder(stem, way_out, tmp_path):
    path = tmp_path / f"{stem}.yaml"
    path.write_text("fit: {seed: x}\n")
    name, seed = errors_of(path)
    assert "as the study's name, allowed: letters, digits, . _ -" in name
    assert name.endswith(f"; rename the file to {way_out}")
    assert "fit.seed: found 'x'" in seed


def test_hints_only_where_they_fit(tmp_path):
    """No sweep for what cannot be swept, no range where no whole numbers belong."""
    path = tmp_path / "s.yaml"
    lines = {
        "probe: {epoch: [0, last]}": "found a list of 2, allowed: 0, last or both",
        "report: {digits: [1, 2]}": "found a list of 2, allowed: an integer from 1 to 9",
        "fit: {seed: []}": "found an empty list, allowed: an integer from 0 to 2147483647",
        "fit: {seed: 4-0}": "found '4-0' (text), allowed: an integer from 0 to 2147483647",
        "fit: {shuffle: 0-4}": "found '0-4' (text), allowed: true or false",
        "sweep: {fit.seed: [[0, 1]]}": "found a list of 2, allowed: an integer from 0 to 2147483647",
    }
    for text, message in lines.items():
        path.write_text(text)
        (line,) = errors_of(path)
        assert line.endswith(f": {message}")


HOSTILE = {
    "100,000 lists": "[" * 100_000,
    "100,000 mappings": "{" * 100_000,
    "100,000 keys": "? " * 100_000,
    "alias bomb": "a: &a [x, x]\n"
    + "".join(f"{q}: &{q} [*{p}, *{p}, *{p}]\n" for p, q in zip("abcdefgh", "bcdefghi", strict=True)),
    "6,000 digits": "fit: {seed: " + "9" * 6000 + "}",
    "5 MB": "fit: {seed: 1}\n" * 350_000,
    "blank lines": "\n" * (MAX_BYTES - 1),
    "9,900 wrong values": "sweep: {probe.method: [" + "exat," * 9_900 + "]}",
    "4,900 unknown keys": "fit: {" + "".join(f"epoch{i}: 1, " for i in range(4_900)) + "}",
    "long key": "? " + "a" * 200_000 + "\n: 1\n",
}

MEASURED = """
import sys, time
from spaceprobe.study.config import load_study, loading
from spaceprobe.study.config.problems import ConfigError
from tests.study_stages import STAGES
from pathlib import Path
start = time.process_time()
try:
    loading.STAGES = STAGES
    load_study(Path(sys.argv[1]))
except ConfigError as error:
    print(str(error)[:100])
else:
    sys.exit("accepted")
print(time.process_time() - start)  # not the wall clock: other tests run beside this one
# not ru_maxrss: that is inherited from the process that started this one
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_nothing(name, tmp_path):
    """Some tenths of a second for the caps' 10,000 nodes, 200 MB, and without torch."""
    path = tmp_path / "s.yaml"
    path.write_text(HOSTILE[name])
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)],
        cwd=Path(__file__).parents[1],  # where the made-up stages are found
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, seconds, kilobytes = done.stdout.split()
    assert float(seconds) < 2  # a slow machine takes 0.8; what is not linear would take minutes
    assert int(kilobytes) < 200_000


VALID = """\
model: {shape: 2x30, root: "a # b"}
fit:
  epochs: 30
  rate: 1e-3   # of Adam
  shuffle: true
probe:
  pairs: [3-8, 8-3]
  widths:
  - 1
  - 2
sweep:
  fit.seed: [0, 1, 2]
  probe.method: [exact, sampled]
"""
SPICE = [
    *"[]{}:,-?'\"#%|>@~\t\n\0é",
    "&a ",
    "*a",
    "!t ",
    "<<: ",
    "---\n",
    "\\x",
    "- ",
    "  ",
    "9" * 400,
]


@pytest.mark.parametrize("seed", range(400))
def test_a_damaged_study_is_read_or_refused(seed, tmp_path):
    """Whatever the damage, it is a study or a `ConfigError` whose every line has a place."""
    rng = random.Random(seed)
    data = bytearray(VALID.encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randint(1, 20)]
        else:
            data[at:at] = rng.choice(SPICE).encode()
    path = tmp_path / "s.yaml"
    path.write_bytes(data)
    try:
        load(path)
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert re.match(r":\d+:\d+: ", line.removeprefix(str(path))), line
            assert not JARGON.search(line.removeprefix(str(path))), line
