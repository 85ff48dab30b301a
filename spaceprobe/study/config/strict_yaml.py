"""YAML for settings: the JSON-like core of YAML 1.2, with the place of every key and value.

PyYAML's pure Python parser delivers events one at a time and each is counted before anything is
built from it, so that a deep, endless or hostile file costs nothing. Its C parser is not used: it
crashed at a nesting of 100,000. What a study has no use for (anchors, tags, several documents) is
refused.
"""

from dataclasses import dataclass, field

import yaml
from yaml import events as ev

from spaceprobe.study.config.problems import Place, Problem, describe, printable, shorten
from spaceprobe.study.config.yaml_syntax import explain_syntax
from spaceprobe.study.config.yaml_text import check_characters, resolve_scalar

MAX_DEPTH = 10
"""The deepest nesting (chosen; a study needs four levels)."""

MAX_NODES = 10_000
"""The most keys and values (chosen: checking them all takes half a second at most)."""

KeyPath = tuple[str | int, ...]
"""Where in a document: keys and list positions from the top."""


@dataclass
class Document:
    """A YAML document as plain values.

    Attributes:
        value: mappings, lists, text, numbers, booleans and None; without what was refused.
        keys: the place of each key.
        values: the place of each value.
        problems: what was refused.
        refused: the paths that are missing from `value` for that reason.
        is_whole: whether the text was read to its end.
    """

    value: object = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: set[KeyPath] = field(default_factory=set)
    is_whole: bool = False


def parse(text: str, source: str) -> Document:
    """Returns the one document of a text, with everything that is refused in it.

    What is not YAML at all, too deep or too long ends the reading: the value is then None, and
    `Document.is_whole` false.
    """
    reader = _Reader(text, source)
    try:
        reader.read()
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        message, place = explain_syntax(error, source)
        reader.problem(message, place)
    except (yaml.YAMLError, ValueError, OverflowError):
        # what Python itself refuses in a directive or an escape: PyYAML lets these errors through
        reader.problem("found a number or an escape out of range, allowed: key: value")
    else:
        reader.document.is_whole = True
    return reader.document


class _Stop(Exception):  # noqa: N818 - not an error: the problem has been noted and reading ends
    """Ends the reading."""


class _Reader:
    """Reads one document by recursive descent over the events, counting before it builds."""

    def __init__(self, text: str, source: str) -> None:
        self.document = Document()
        self._source = source
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._place = Place(source, 1, 1)
        self._path: KeyPath = ()
        self._num_nodes = 0

    def read(self) -> None:
        """Fills the document."""
        self._next()  # the start of the stream
        while not isinstance(event := self._next(), ev.StreamEndEvent):
            if not isinstance(event, ev.DocumentStartEvent):
                continue
            if self._num_nodes:
                self.problem("found a second document, allowed: one a file; put each into its own")
                raise _Stop
            if event.tags or event.version not in (None, (1, 2)):
                self.problem("found a % directive, allowed: none; take the line out")
            self.document.value = self._node(self._next(), (), kept=True)

    def problem(self, message: str, place: Place | None = None) -> None:
        """Notes what is refused at the path that is being read."""
        key = dotted(self._path)
        self.document.problems.append(Problem(place or self._place, key, printable(message)))

    def _next(self) -> ev.Event:
        event: ev.Event = next(self._events)
        if mark := event.start_mark:
            self._place = Place(self._source, mark.line + 1, mark.column + 1)
        return event

    def _node(self, event: ev.Event, path: KeyPath, *, kept: bool) -> object:
        """Returns what an event starts, or `_REFUSED`; unless it is kept, it is only read over."""
        self._count(path)
        self._path = path
        place, is_plain = self._place, self._is_plain(event)
        kept = kept and is_plain
        if isinstance(event, ev.MappingStartEvent):
            value: object = self._mapping(path, kept=kept)
        elif isinstance(event, ev.SequenceStartEvent):
            value = self._sequence(path, kept=kept)
        elif isinstance(event, ev.ScalarEvent):
            value = self._scalar(event)
        else:
            value = _REFUSED
        if kept and value is not _REFUSED:
            self.document.values[path] = place
            return value
        self.document.refused.add(path)
        return _REFUSED

    def _count(self, path: KeyPath) -> None:
        """Stops the reading where the document gets too long or too deep."""
        self._num_nodes += 1
        for found, allowed, what in (
            (self._num_nodes, MAX_NODES, "keys and values"),
            (len(path), MAX_DEPTH, "levels of nesting"),
        ):
            if found > allowed:
                self._path = ()
                self.problem(f"found more than {allowed} {what}, allowed: {allowed}")
                raise _Stop

    def _is_plain(self, event: ev.Event) -> bool:
        """Refuses aliases, anchors and tags."""
        if isinstance(event, ev.AliasEvent):
            self.problem(f"found the alias *{shorten(event.anchor or '')}, allowed: the value itself")
            return False
        if anchor := getattr(event, "anchor", None):
            self.problem(f"found the anchor &{shorten(anchor)}, allowed: none; take it out")
        if tag := getattr(event, "tag", None):
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self.problem(f"found the tag {shorten(tag)}, allowed: none; take it out")
        return not (anchor or tag)

    def _scalar(self, event: ev.ScalarEvent) -> object:
        try:
            if event.style is None:
                return resolve_scalar(event.value)
            check_characters(event.value)  # an escape can write what the file may not hold
        except ValueError as error:
            self.problem(str(error))
            return _REFUSED
        return event.value

    def _sequence(self, path: KeyPath, *, kept: bool) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), ev.SequenceEndEvent):
            item = self._node(event, (*path, len(items)), kept=kept)
            # a refused item leaves a gap, so that those after it keep their numbers
            items.append(None if item is _REFUSED else item)
        return items

    def _mapping(self, path: KeyPath, *, kept: bool) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := self._next(), ev.MappingEndEvent):
            place = self._place
            key = self._key(event, path)
            child = (*path, key or "?")
            if key is not None and kept:
                self.document.keys[child] = place
            value = self._node(self._next(), child, kept=kept and key is not None)
            if key is not None and value is not _REFUSED:
                mapping[key] = value
        return mapping

    def _key(self, event: ev.Event, path: KeyPath) -> str | None:
        """Returns a mapping's key, or None where it is refused and its value only read over."""
        place = self._place
        if not isinstance(event, ev.ScalarEvent):
            self._node(event, (*path, "?"), kept=False)
            self._path = path
            self.problem("found a list, mapping or alias as a key, allowed: text", place)
            return None
        self._count(path)
        self._path = path
        key = self._scalar(event) if self._is_plain(event) else _REFUSED
        if not isinstance(key, str):
            if key is not _REFUSED:
                self.problem(f"found {describe(key)} as a key, allowed: text")
            return None
        self._path = (*path, key)
        if first := self.document.keys.get(self._path):
            self.problem(f"found again, first in line {first.line}, allowed: once; take one out")
            return None
        return key


_REFUSED = object()
"""Stands for a value that was refused."""


def dotted(path: KeyPath) -> str:
    """Returns a path as a message names it.

    >>> dotted(("sweep", "training.seed", 2))
    'sweep.training.seed[2]'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shorten(step)}" if text else shorten(step)
    return text
