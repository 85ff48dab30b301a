"""What the JSON files beside a file of weights say about the network: untrusted, small, often missing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.weights.quoting import path_text, quote

MAX_BYTES = 2**20  # chosen: the largest that was seen has some 60 thousand
MAX_COUNT = 2**20  # chosen: of heads, their dimension, experts, groups

MODEL, ADAPTER, QUANTISATION = "config.json", "adapter_config.json", "quantize_config.json"


class ConfigError(SpaceprobeError, ValueError):
    """A JSON file beside the weights cannot be read, or holds something else than it should."""


@dataclass(frozen=True)
class Section:
    """An object of such a file.

    Attributes:
        where: the file, and the keys that lead to the object.
        values: what it holds, unchecked.
    """

    where: str = MODEL
    values: Mapping[str, Any] = field(default_factory=dict)

    def section(self, key: str) -> "Section":
        """Return an object within this one; an empty one if there is none.

        Raises:
            ConfigError: there is something else.
        """
        value = self._value(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return Section(f"{self.where}: {key}", value)

    def count(self, *keys: str) -> int | None:
        """Return the whole number under the first of the keys that is there; None for none, or for a list.

        A list has a number for each layer.

        Raises:
            ConfigError: it is not a whole number from 1 to `MAX_COUNT`.
        """
        for key in keys:
            value = self._value(key)
            if isinstance(value, list):
                return None
            if value is not None:
                if type(value) is not int or not 1 <= value <= MAX_COUNT:
                    raise self._wrong(key, f"a whole number from 1 to {MAX_COUNT}")
                return value
        return None

    def number(self, key: str) -> float | None:
        """Return a number; None for none.

        Raises:
            ConfigError: it is not a finite number.
        """
        value = self._value(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not abs(value) < float(MAX_COUNT):
            raise self._wrong(key, f"a number below {MAX_COUNT}")
        return float(value)

    def text(self, key: str) -> str:
        """Return a text; an empty one for none.

        Raises:
            ConfigError: it is not a text.
        """
        value = self._value(key)
        if value is not None and type(value) is not str:
            raise self._wrong(key, "a text")
        return value or ""

    def truth(self, key: str) -> bool | None:
        """Return whether something is so; None if nothing is said.

        Raises:
            ConfigError: it is neither true nor false.
        """
        value = self._value(key)
        if value is not None and type(value) is not bool:
            raise self._wrong(key, "true or false")
        return value

    def _value(self, key: str) -> Any:
        return self.values.get(key)

    def _wrong(self, key: str, expected: str) -> ConfigError:
        value = quote(json.dumps(self.values[key], default=str))
        return ConfigError(
            f"{self.where}: expected {key} to be {expected}, got {value}; correct it, or move the file away"
        )


@dataclass(frozen=True)
class Configs:
    """The JSON files beside a file of weights; those that are not there are empty.

    Attributes:
        model: config.json.
        adapter: adapter_config.json, of peft.
        quantisation: ``quantization_config`` in config.json, else quantize_config.json.
        digests: the SHA-256 of each file that is there, by its name.
    """

    model: Section = Section()
    adapter: Section = Section(ADAPTER)
    quantisation: Section = Section(QUANTISATION)
    digests: Mapping[str, str] = field(default_factory=dict)


def read_configs(folder: Path) -> Configs:
    """Return the JSON files of a folder that say how its weights are stored.

    Raises:
        ConfigError: one cannot be read, is larger than `MAX_BYTES`, or is not a JSON object.
    """
    digests: dict[str, str] = {}
    sections = {}
    for name in (MODEL, ADAPTER, QUANTISATION):
        sections[name] = Section(name, _read(folder / name, digests))
    own = sections[MODEL].section("quantization_config")
    return Configs(sections[MODEL], sections[ADAPTER], own if own.values else sections[QUANTISATION], digests)


def _read(path: Path, digests: dict[str, str]) -> dict[str, Any]:
    """Return the object in a file, empty for none, and note the digest of the file under its name."""
    way_out = "correct it, or move it away"
    try:
        if not path.is_file():  # a FIFO would wait
            return {}
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path_text(path)}: cannot be read ({reason}); {way_out}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path_text(path)}: has more than {MAX_BYTES} bytes; {way_out}")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path_text(path)}: is not JSON ({type(error).__name__}); {way_out}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path_text(path)}: expected a JSON object, got a {type(values).__name__}; {way_out}"
        )
    digests[path.name] = hashlib.sha256(content).hexdigest()
    return values
