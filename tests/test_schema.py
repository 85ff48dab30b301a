"""The JSON Schema of a study file: takes every study, and refuses every malformed one that types can tell."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML, YAMLError

from spaceprobe.stages import STAGES
from spaceprobe.study.config import load_study, section_models
from spaceprobe.study.config.finding import shipped_configs
from spaceprobe.study.config.schema import study_schema
from spaceprobe.study.config.sections import fixed_sections
from tests.commands import call

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))  # which are not a package
import malformed_studies

SCHEMA = study_schema(section_models(STAGES), fixed_sections(STAGES))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

TEXT_ALONE = {
    *("tab in a comment", "directive", "tag directive", "UTF-16", "escaped NUL", "half an emoji"),
    *("merge of itself", "alias bomb below x-", "standard tag", "tagged file"),
}
"""Malformed only in the text of the file, of which a schema sees nothing."""

OF_SEVERAL = {
    *("endless range", "range downwards", "160,000 runs", "zip of unequal lists", "zipped and an axis"),
    *("zipped and set", "the same member", "endless zip", "set and swept", "late snapshot", "no milestones"),
    *("swept, and set in what it extends", "points without a roll", "a stage without what it needs"),
}
"""Wrong in how several values go together."""

OF_OTHER_FILES = {"extends no file", "extends no study", "extends a folder", "extends a device"}
"""Wrong in what is named."""

OF_WORDS = {"folding.threshold: text", "folding.threshold: quoted", "folding.threshold: yes"}
"""Wrong in a text that may be one of several."""

NOT_TYPES = re.compile(r".*: nan|b'.*' at \d+")
"""Not a number, which JSON cannot hold, and bytes that a file may not hold."""

MAX_CHARACTERS = 20_000
"""Files that are malformed by their size alone are larger."""


def is_taken(text):
    """Return whether the schema takes a YAML file; None where it is not YAML."""
    try:
        return VALIDATOR.is_valid(YAML(typ="safe").load(text))
    except (YAMLError, UnicodeError, RecursionError, OverflowError):
        return None
    except TypeError:  # a key that is not text
        return False
    except ValueError:  # an escape beyond Unicode; or jsonschema cannot print the number that it refuses
        return False


def test_it_is_a_schema_of_draft_7():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_study_is_taken(name):
    values = YAML(typ="safe").load(shipped_configs()[name].read_text(encoding="utf-8"))
    assert not [error.message for error in VALIDATOR.iter_errors(values)]
    resolved = json.loads(json.dumps(load_study(name).resolved()))
    assert not [error.message for error in VALIDATOR.iter_errors(resolved)]


@pytest.mark.parametrize("name", malformed_studies.VALID_STUDIES)
def test_what_only_looks_wrong_is_taken(name):
    assert is_taken(malformed_studies.VALID_STUDIES[name])


def test_malformed_studies_are_refused():
    texts = {name: text for name, (text, _) in malformed_studies.HAND_MADE.items()}
    texts |= {name: text for name, text, _ in malformed_studies.generated()}
    taken = {name for name, text in texts.items() if len(text) <= MAX_CHARACTERS and is_taken(text)}
    by_types = {name for name in taken if not NOT_TYPES.fullmatch(name)}
    assert by_types == TEXT_ALONE | OF_SEVERAL | OF_OTHER_FILES | OF_WORDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training: {seed: null}\n", False),
        ("extends: quickstart\ntraining: {epochs: null}\n", True),
        ("extends: quickstart\ntraining: {sed: null}\n", False),
        ("training: {order_seed: null}\n", True),
        ("training:\nsweep:\n", True),
        ("training: {seed: {from: 0, to: 3}}\n", False),
        ("training: {snapshots: {from: 0, to: 3, steps: 1}}\n", False),
        ("sweep: {training.seed: 3}\n", False),
        ("sweep: {study.stages: [[train]]}\n", False),
        ("sweep: {zip: {training.seed: [x]}}\n", False),
        ("sweep: {training.epochs: [1, null]}\n", False),
        ("sweep: {training.order_seed: [1, null]}\n", True),
    ],
)
def test_nulls_and_ranges(text, expected, tmp_path):
    """Each as `load_study` takes it, too."""
    assert is_taken(text) is expected
    (tmp_path / "own.yaml").write_text(text)
    assert (call("validate", tmp_path / "own.yaml").exit_code == 0) is expected


def test_every_setting_is_described():
    for model in section_models(STAGES).values():
        for name, setting in model.model_json_schema()["properties"].items():
            assert setting.get("description"), name
    section = SCHEMA["properties"]["training"]["anyOf"][0]["properties"]
    assert section["epochs"]["default"] == 30
    assert section["epochs"]["description"]


def test_the_command_prints_it():
    done = call("schema")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == SCHEMA
