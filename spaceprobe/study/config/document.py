"""The values of a study before they are checked, and where each was written."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from spaceprobe.study.config.composer import REFUSED, is_refused, plain
from spaceprobe.study.config.problems import MAX_SHOWN, Problem, SourceLocation
from spaceprobe.study.config.sections import SWEEP
from spaceprobe.study.config.wording import KeyPath, describe, did_you_mean, dotted, listed


class Document:
    """Plain values by section and name; those of the command line replace those of the file.

    Attributes:
        sections: the values of each section by name, without what was refused.
        keys: the location of each key by its path: ``("training",)`` or ``("training", "seed")``.
        values: by path the location of a section's value, followed by those of the items if it is a list.
        refused: the paths of what is missing from `sections` because it was refused.
        problems: what is wrong so far.

    Args:
        root: what the file holds.
        source: its name.
        problems: what was refused in it.
        known: the names of the sections of a study.
    """

    def __init__(
        self, root: yaml.Node | None, source: str, problems: list[Problem], known: Sequence[str]
    ) -> None:
        self.sections: dict[str, Any] = {}
        self.keys: dict[KeyPath, SourceLocation] = {(): SourceLocation(source, 1, 1)}
        self.values: dict[KeyPath, list[SourceLocation]] = {}
        self.refused: set[KeyPath] = set()
        self.problems = problems
        if isinstance(root, yaml.MappingNode) and root.tag != REFUSED:
            for key, node in root.value:
                self.keys[key.value,] = SourceLocation.at(key.start_mark)
                if key.value in known:
                    self._take_section(key.value, node)
        elif root is None or root.tag != REFUSED:
            value = None if root is None else plain(root)
            kind = "an empty file" if value is None else describe(value)
            self.note(self.keys[()], (), f"found {kind}, allowed: sections such as {listed(known)}")

    def note(
        self, location: SourceLocation, path: KeyPath, message: str, guess: Callable[[], list[str]] = list
    ) -> None:
        """Note a problem, with what a mistyped word may have meant."""
        if len(self.problems) < MAX_SHOWN:  # nobody sees more, and guessing takes time
            message += did_you_mean(guess())
        # on the command line the location names the key
        self.problems.append(Problem(location, dotted(path) if location.line else "", message))

    def put(self, section: str, name: str, value: object, location: SourceLocation) -> None:
        """Put a value of the command line in place of the file's, be that one value or an axis."""
        home, _, setting = name.partition(".") if section == SWEEP else (SWEEP, "", f"{section}.{name}")
        self.sections.get(home, {}).pop(setting, None)
        self.keys.pop((home, setting), None)
        self.sections.setdefault(section, {})[name] = value
        self.keys.setdefault((section,), location)
        self.keys[section, name] = location
        self.values[section, name] = [location] * (1 + len(value) if isinstance(value, list) else 1)

    def locate(self, path: KeyPath) -> SourceLocation:
        """Return the location of a value, or of an item where the file has such an item."""
        locations = self.values[path[:2]]
        number = path[2] + 1 if len(path) > 2 and isinstance(path[2], int) else 0
        return locations[number if number < len(locations) else 0]

    def locate_section(self, section: str) -> SourceLocation:
        """Return where to report what a section lacks, or what does not go together in it."""
        keys = [location for path, location in self.keys.items() if path[:1] == (section,)]
        last = max(keys, key=lambda location: location.rank, default=self.keys[()])
        # a setting of the command line is the newest, so it is the one to look at
        return last if last.rank else self.keys.get((section,), last)

    def _take_section(self, section: str, node: yaml.Node) -> None:
        self.sections[section] = {}
        if node.tag == REFUSED:
            self.refused.add((section,))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self.keys[section, key.value] = SourceLocation.at(key.start_mark)
                self._take_value(section, key.value, value)
        elif (content := plain(node)) is not None:
            self.refused.add((section,))
            message = f"found {describe(content)}, allowed: settings, indented below it"
            self.note(self.keys[section,], (section,), message)

    def _take_value(self, section: str, name: str, node: yaml.Node) -> None:
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        if section == SWEEP and items:  # the other values of an axis are checked all the same
            items = node.value = [item for item in items if not is_refused(item)] or items
        if is_refused(node):
            self.refused.add((section, name))
        else:
            self.sections[section][name] = plain(node)
            self.values[section, name] = [SourceLocation.at(part.start_mark) for part in (node, *items)]
