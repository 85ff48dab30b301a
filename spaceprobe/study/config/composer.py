"""Compose the YAML nodes of a study: plain JSON-like values, and no more of them than a study needs.

PyYAML's nodes know their line and column. Its pure-Python composer reads one event at a time; the subclass
here counts depth and nodes before it builds them, so that a deep or endless file costs nothing. The C
composer is not used: it crashes at 100,000 nested levels.
"""

from typing import Any

import yaml
from yaml import events

from spaceprobe.study.config.problems import ConfigError, Problem, SourceLocation
from spaceprobe.study.config.wording import describe, dotted, printable, shorten
from spaceprobe.study.config.yaml_text import check_characters, resolve_scalar

MAX_DEPTH = 10
"""The deepest nesting (chosen; a study needs four levels)."""

MAX_NODES = 10_000
"""The most keys and values (chosen: checking them all takes half a second at most)."""

REFUSED = "refused"
"""The tag of a node whose value is not allowed; the problem has been noted."""

# Part of PyYAML's sentence, and what to write instead.
_SYNTAX = {
    "mapping values are not allowed": "found a ':' where a key is not possible, allowed: one `key: value` a "
    "line; indent alike what belongs together, and quote a text that holds ': '",
    "could not find expected ':'": "found a line without ':', allowed: key: value",
    "expected <block end>": "found what does not belong here, allowed: lines that belong together indented "
    "alike, and nothing after a closed quote or list",
    "expected '<document start>'": "found what does not belong here, allowed: one mapping of sections",
    "expected the node content": "found a bracket or comma where a value can be, allowed: key: value",
    "expected ',' or ']'": "found a list that is never closed, allowed: [a, b, c]",
    "expected ',' or '}'": "found a mapping that is never closed, allowed: {key: value}",
    "found unexpected end of stream": "found a quote that is never closed, allowed: 'text'",
    "unknown escape character": "found an unknown escape in double quotes, allowed: \\\\ for a backslash; or "
    "single quotes, where a backslash is only itself",
    "cannot start any token": "found a character that cannot start a value, allowed: such a text in quotes",
    "found another document": "found a second document, allowed: one in each file",
}


def compose(text: str, source: str, problems: list[Problem]) -> yaml.Node | None:
    """Return the root of the one document of a text, or None where the text is empty.

    Args:
        text: YAML of printable characters.
        source: the name of the file.
        problems: what is refused is added to it.

    Raises:
        ConfigError: with all problems; the text is not YAML, too deep or too long, so the rest was not read.
    """
    composer = _Composer(text, source, problems)
    try:
        return composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        composer.note_syntax(error)
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML lets through what Python itself refuses in a directive or an escape
        composer.note("found a number or an escape out of range, allowed: key: value")
    raise ConfigError(problems)


def plain(node: Any) -> Any:
    """Return the value of a node, without the refused ones in it.

    Raises:
        ValueError: it is an integer that is too long, or text that cannot be printed.
    """
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value if value.tag != REFUSED}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value if item.tag != REFUSED]
    if node.style is None:
        return resolve_scalar(node.value)
    check_characters(node.value)  # an escape can write what the file may not hold
    return node.value


def is_refused(node: yaml.Node) -> bool:
    """Return whether a node, or one inside it, was refused."""
    inner: Any = node.value if isinstance(node, yaml.SequenceNode) else ()
    if isinstance(node, yaml.MappingNode):
        inner = (value for _, value in node.value)
    return node.tag == REFUSED or any(map(is_refused, inner))


class _Composer(yaml.SafeLoader):
    """PyYAML's composer with caps, without anchors, aliases, tags and keys that are not unique text."""

    peek_event: Any  # PyYAML's stubs give these no types
    get_event: Any

    def __init__(self, text: str, source: str, problems: list[Problem]) -> None:
        super().__init__(text)
        self.name = source  # what marks call their file
        self._problems = problems
        self._path: list[object] = []  # keys and positions that lead to the node; None for a key
        self._num_nodes = 0
        self._mark: Any = self.get_mark()

    def note(self, message: str, mark: yaml.Mark | None = None, key: str | None = None) -> None:
        """Note a problem at a mark, or at the last event, of the current path or of a key in it."""
        path = tuple(step for step in (*self._path, key) if isinstance(step, str | int))
        self._problems.append(
            Problem(SourceLocation.at(mark or self._mark), dotted(path), printable(message))
        )

    def note_syntax(self, error: yaml.MarkedYAMLError) -> None:
        """Note a syntax error; what is never closed is reported where it begins."""
        problem = error.problem or error.context or "unreadable text"
        is_open = problem.startswith(("found unexpected end", "expected ',' or"))
        mark: Any = (is_open and error.context_mark) or error.problem_mark or error.context_mark
        unknown = f"found what is not YAML ({shorten(problem)}), allowed: key: value"
        self.note(next((message for part, message in _SYNTAX.items() if part in problem), unknown), mark)

    def compose_document(self) -> yaml.Node | None:
        """Compose the document, without its directives."""
        event = self.peek_event()
        if event.tags or event.version not in (None, (1, 2)):
            self.note("found a % directive, allowed: none; remove the line", event.start_mark)
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; its tag is `REFUSED` where its value is not allowed.

        Args:
            parent: the mapping or list that holds it.
            index: the position in a list, the key's node of a mapping's value, None for a key or the root.
        """
        self._path.append(index.value if isinstance(index, yaml.ScalarNode) else index)
        event = self.peek_event()
        self._mark = event.start_mark
        self._count()
        is_allowed = self._check_markup(event)
        if isinstance(event, events.AliasEvent):
            node: Any = yaml.ScalarNode(REFUSED, "", self._mark)
            self.get_event()
        else:
            event.anchor = event.tag = None
            node = super().compose_node(parent, index)
        if not is_allowed:
            node.tag = REFUSED
        self._path.pop()
        return node  # type: ignore[no-any-return]

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ARG002 - refused before
        """Compose a mapping of the keys that are allowed; the values of others are only read over."""
        node = yaml.MappingNode("tag:yaml.org,2002:map", [], self.get_event().start_mark)
        lines: dict[str, int] = {}
        while not self.check_event(events.MappingEndEvent):
            key: Any = self.compose_node(node, None)
            is_allowed = key.tag != REFUSED and self._check_key(key, lines)
            value = self.compose_node(node, key)
            if is_allowed:
                node.value.append((key, value))
        self.get_event()
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Compose a scalar; refuse integers that are too long and text that cannot be printed."""
        node = super().compose_scalar_node(anchor)
        try:
            plain(node)
        except ValueError as error:
            self.note(str(error), node.start_mark)
            node.tag = REFUSED
        return node

    def _count(self) -> None:
        """Stop where the document gets too long or too deep."""
        self._num_nodes += 1
        is_deep = len(self._path) - 1 > MAX_DEPTH
        if is_deep or self._num_nodes > MAX_NODES:
            limit, what = (MAX_DEPTH, "levels of nesting") if is_deep else (MAX_NODES, "keys and values")
            self._path.clear()
            self.note(f"found more than {limit} {what}, allowed: {limit}")
            raise ConfigError(self._problems)

    def _check_markup(self, event: Any) -> bool:
        """Refuse aliases, anchors and tags. Return whether there are none."""
        if isinstance(event, events.AliasEvent):
            self.note(f"found the alias *{shorten(event.anchor or '')}, allowed: the value itself")
            return False
        if event.anchor:
            self.note(f"found the anchor &{shorten(event.anchor)}, allowed: none; remove it")
        if event.tag:
            tag = shorten(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self.note(f"found the tag {tag}, allowed: none; remove it")
        return not (event.anchor or event.tag)

    def _check_key(self, key: yaml.Node, lines: dict[str, int]) -> bool:
        """Refuse a key that is not text, or was in an earlier line. Return whether it is allowed."""
        name = plain(key)
        if not isinstance(name, str):
            self.note(f"found {describe(name)} as a key, allowed: text", key.start_mark)
        elif name in lines:
            message = f"found a second time, first in line {lines[name]}, allowed: once; remove one of them"
            self.note(message, key.start_mark, name)
        else:
            lines[name] = key.start_mark.line + 1
            return True
        return False
