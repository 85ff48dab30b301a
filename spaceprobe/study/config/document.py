"""The values of a study before they are checked, and where each was written."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from spaceprobe.study.config.composer import REFUSED, compose
from spaceprobe.study.config.problems import MAX_SHOWN, ConfigError, Problem, SourceLocation
from spaceprobe.study.config.scalars import hidden_character, resolve_scalar
from spaceprobe.study.config.sections import EXTENDS, SWEEP, ZIP
from spaceprobe.study.config.wording import KeyPath, describe, did_you_mean, dotted, listed, shorten

_MAX_KEY = 120  # characters of a key that a message repeats (chosen)


TEMPLATE = "x-"
"""How keys at the top begin that hold templates for aliases and are otherwise ignored."""

MERGE = "<<"
"""The key whose mapping, or list of mappings, is merged into the one that holds it."""


class Document:
    """Plain values by section and name; those of the command line replace those of the file.

    Attributes:
        sections: the value of each section, null in place of what was refused.
        keys: the location of each key by its path: ``("training",)`` or ``("training", "seed")``.
        places: the location of each value by its path.
        problems: what is wrong so far.
        refused: the paths of values that are wrong, and all paths above them.
        zipped: the keys of swept settings that go together. They and their paths stand beside the other axes.
        extends: what the file says that it extends, if it does.

    Args:
        text: what the file holds.
        source: its name.
        problems: what is wrong with the study's name.
        known: the names of the sections of a study.
        rank: that of its places; see `SourceLocation`.

    Raises:
        ConfigError: the text is not a mapping.
    """

    def __init__(
        self, text: str, source: str, problems: list[Problem], known: Sequence[str], rank: int = 0
    ) -> None:
        self.keys: dict[KeyPath, SourceLocation] = {}
        self.places: dict[KeyPath, SourceLocation] = {(): SourceLocation(rank, 1, 1, source)}
        self.problems = [*problems]
        self.refused: set[KeyPath] = set()
        self.zipped: list[str] = []
        self._at: Callable[[int, int], SourceLocation] = lambda line, column: SourceLocation(
            rank, line + 1, column + 1, source
        )
        root = compose(text, self._note)
        values = None if root is None else self._read(root, ())
        if not isinstance(values, dict):
            if not self.problems:
                kind = "an empty file" if values is None else describe(values)
                message = f"found {kind}, allowed: sections such as {listed(known)}"
                self.note((), message, self._at(0, 0))
            raise ConfigError(self.problems)
        self.extends = values.pop(EXTENDS, None)
        self.sections: dict[str, Any] = {k: {} if v is None else v for k, v in values.items()}
        self._unzip()

    def note(
        self,
        path: KeyPath,
        message: str,
        location: SourceLocation | None = None,
        guess: Callable[[], list[str]] = list,
    ) -> None:
        """Note that the value of a path is wrong, with what a mistyped word may have meant."""
        self._refuse(path)
        location = location or self.places[path]
        if len(self.problems) < MAX_SHOWN:  # nobody sees more, and guessing takes time
            message += did_you_mean(guess())
        # on the command line the location names the key
        if path[:1] == (SWEEP,) and len(path) > 1 and path[1] in self.zipped:
            path = (SWEEP, ZIP, *path[1:])
        key = shorten(dotted(path), _MAX_KEY) if location.line else ""
        self.problems.append((location, f"{key}: {message}" if key else message))

    def put(self, section: str, name: str, text: str, location: SourceLocation) -> None:
        r"""Put a value of the command line in place of the file's, be that one value or an axis.

        A text that does not begin as a list or quoted text of YAML is one plain scalar, so that ``C:\data``
        and ``#1`` mean themselves.
        """
        self._at = lambda *_: location
        if not text.strip().startswith(("[", "{", '"', "'")) and not hidden_character(text):
            node: yaml.Node | None = yaml.ScalarNode("", text.strip())
        else:
            node = compose(text.strip(" "), self._note)
        if node is None or not isinstance(values := self.sections.setdefault(section, {}), dict):
            return
        is_zipped = section == SWEEP and name.startswith(f"{ZIP}.")
        name = name.removeprefix(f"{ZIP}.") if is_zipped else name
        if section == SWEEP and name == ZIP:
            for key in self.zipped:
                self._drop(SWEEP, key)
            self.zipped = []
        home, _, setting = name.partition(".") if section == SWEEP else (SWEEP, "", f"{section}.{name}")
        self._drop(home, setting)
        key = name if section == SWEEP else setting
        if key in self.zipped and not is_zipped:
            self.zipped.remove(key)
        elif is_zipped and key not in self.zipped:
            self.zipped.append(key)
        self.refused.discard((section, name))
        self.keys.setdefault((section,), location)
        self.keys[section, name] = location
        self.places.setdefault((section,), location)
        values[name] = self._read(node, (section, name))
        self._unzip()

    def _drop(self, section: str, name: str) -> None:
        """Forget a value that another one replaces."""
        if isinstance(replaced := self.sections.get(section), dict):
            replaced.pop(name, None)
        self.keys.pop((section, name), None)

    def _unzip(self) -> None:
        """Put the settings below ``zip`` beside the other axes, in its place."""
        sweep = self.sections.get(SWEEP)
        if not isinstance(sweep, dict) or ZIP not in sweep:
            return
        together, path = sweep[ZIP], (SWEEP, ZIP)
        if not isinstance(together, dict) or not together:
            if path not in self.refused:
                kind = "an empty mapping" if together == {} else describe(together)
                self.note(path, f"found {kind}, allowed: settings with a list each, all of one length")
            together = {}
        for key in [key for key in together if key in sweep]:
            line = self.keys[SWEEP, key].line
            where = f"in line {line}" if line else "on the command line"
            message = f"found here and on an axis of its own, {where}, allowed: one of them; remove one"
            self.note((*path, key), message, self.keys[*path, key])
            del together[key]
        axes = [({**together} if key == ZIP else {key: values}) for key, values in sweep.items()]
        self.sections[SWEEP] = {key: values for axis in axes for key, values in axis.items()}
        self.zipped += together
        for key in together:
            for paths in (self.keys, self.places):
                for old in [old for old in paths if old[:3] == (*path, key)]:
                    paths[SWEEP, *old[2:]] = paths.pop(old)
            self.refused |= {(SWEEP, *old[2:]) for old in self.refused if old[:3] == (*path, key)}

    def locate_section(self, section: str) -> SourceLocation:
        """Return where to report what a section lacks, or what does not go together in it."""
        in_file = self.keys.get((section,), self.places[()])
        # a setting of the command line is the newest, so it is the one to look at
        return max(
            (place for path, place in self.keys.items() if path[:1] == (section,) and place.rank > 0),
            default=in_file,
        )

    def _refuse(self, path: KeyPath) -> None:
        self.refused.update(path[:length] for length in range(len(path) + 1))

    def _note(self, line: int, column: int, path: KeyPath, message: str) -> None:
        self.note(path, message, self._at(line, column))

    def _read(self, node: Any, path: KeyPath) -> Any:
        """Return the value of a node, null where it is refused."""
        mark = node.start_mark  # None for what was not composed
        self.places[path] = self._at(mark.line, mark.column) if mark else self._at(0, 0)
        if node.tag == REFUSED:
            self._refuse(path)
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, number)) for number, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if node.style is None:
            return resolve_scalar(node.value)
        if bad := hidden_character(node.value):  # an escape can write what the file may not hold
            self.note(path, bad[1])
        return node.value

    def _read_mapping(self, node: Any, path: KeyPath) -> dict[str, Any]:
        """Return the values of a mapping by name, without those whose key is not a text of its own."""
        values: dict[str, Any] = {}
        # the first has precedence, and what the mapping says itself has more
        for source in reversed(self._merged(node, path)):
            values |= self._read_mapping(source, path)
        lines: dict[str, int] = {}
        for key, value in node.value:
            location = self._at(key.start_mark.line, key.start_mark.column)
            name = _key_of(key)
            if key.tag == REFUSED:
                continue
            if not isinstance(name, str):
                self.note(path, f"found {describe(name)} as a key, allowed: text", location)
            elif name in lines:  # the first one is checked all the same
                found = f"found a second time, first in line {lines[name]}"
                where = shorten(dotted((*path, name)), _MAX_KEY)
                self.problems.append((location, f"{where}: {found}, allowed: once; remove one of them"))
            else:
                lines[name] = location.line
                if not _is_merge(key) and (path or not name.startswith(TEMPLATE)):
                    self.keys[*path, name] = location
                    self.refused.discard((*path, name))  # of a merged value that is replaced
                    values[name] = self._read(value, (*path, name))
        return values

    def _merged(self, node: Any, path: KeyPath) -> list[Any]:
        """Return the mappings that the merge key of a mapping names, in the order of precedence."""
        value = next((value for key, value in node.value if _is_merge(key)), yaml.SequenceNode("", []))
        merged = []
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(source, yaml.MappingNode) and source.tag != REFUSED:
                merged.append(source)
            elif source.tag != REFUSED:
                message = (
                    "found what is not a mapping, allowed: the alias of one, such as *a, or a list of them"
                )
                self.note((*path, MERGE), message, self._at(source.start_mark.line, source.start_mark.column))
        return merged


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.style is None and key.value == MERGE


def _key_of(node: yaml.Node) -> object:
    """Return a key; an empty mapping or list for one that is not a scalar."""
    if isinstance(node, yaml.ScalarNode):
        return resolve_scalar(node.value) if node.style is None else node.value
    return {} if isinstance(node, yaml.MappingNode) else [*node.value]
