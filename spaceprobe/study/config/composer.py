"""Compose the YAML nodes of a study, and no more of them than a study needs.

PyYAML's nodes know their line and column. Its pure-Python composer reads one event at a time; the subclass
here counts depth and nodes before it builds them, so that a deep or endless file costs nothing. The C
composer is not used: it crashes at 100,000 nested levels.
"""

import itertools
from collections.abc import Callable
from typing import Any

import yaml
from yaml import events

from spaceprobe.study.config.scalars import LINE_BREAK, hidden_character
from spaceprobe.study.config.wording import KeyPath, did_you_mean, nearest, shorten

MAX_DEPTH = 10
"""The deepest nesting (chosen; a study needs four levels)."""

MAX_NODES = 10_000
"""The most keys and values (chosen: checking them all takes half a second at most)."""

REFUSED = "refused"
"""The tag of a node whose value is not allowed; the problem has been noted."""

Note = Callable[[int, int, KeyPath, str], None]
"""Takes a problem: line and column from 0, the path of keys and positions that lead there, the message."""

# Part of PyYAML's sentence or of the composer's own, and what to write instead.
_SENTENCES = {
    "too many levels": f"found more than {MAX_DEPTH} levels of nesting, allowed: {MAX_DEPTH}",
    "too many nodes": f"found more than {MAX_NODES} keys and values, allowed: {MAX_NODES}",
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


def compose(text: str, note: Note) -> yaml.Node | None:
    """Return the root of the one document of a text, a null if it is empty.

    Args:
        text: the text.
        note: is called with each problem.

    Returns:
        The root; None if the text is not YAML, too deep or too long, so that the rest was not read.
    """
    hidden = [(n, *bad) for n, line in enumerate(LINE_BREAK.split(text)) if (bad := hidden_character(line))]
    for line, column, message in hidden:
        note(line, column, (), message)
    if hidden:
        return None
    composer = _Composer(text, note)
    try:
        return composer.get_single_node() or yaml.ScalarNode("", "")
    except yaml.MarkedYAMLError as error:
        problem = error.problem or error.context or "unreadable text"
        # what is never closed is reported where it begins
        is_open = problem.startswith(("found unexpected end", "expected ',' or"))
        mark = (is_open and error.context_mark) or error.problem_mark or error.context_mark
        unknown = f"found what is not YAML ({shorten(problem)}), allowed: key: value"
        message = next((sentence for part, sentence in _SENTENCES.items() if part in problem), unknown)
        composer.note(mark, message)
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML lets through what Python itself refuses in a directive or an escape
        composer.note(None, "found a number or an escape out of range, allowed: key: value")
    return None


class _Composer(yaml.SafeLoader):
    """PyYAML's composer with caps, and without tags; an alias counts as all that it stands for."""

    peek_event: Any  # PyYAML's stubs give these no types
    get_event: Any
    anchors: dict[str, yaml.Node]

    def __init__(self, text: str, note: Note) -> None:
        super().__init__(text)
        self._note = note
        self._path: list[Any] = []  # keys and positions that lead to the node; None for a key or the root
        self._open_anchors: list[Any] = []  # of the nodes that hold it
        self._num_nodes = 0
        self._mark: Any = self.get_mark()

    def note(self, mark: Any, message: str) -> None:
        """Note a problem at a mark, or at the last event."""
        mark = mark or self._mark
        path = tuple(step for step in self._path if isinstance(step, str | int))
        self._note(mark.line, mark.column, path, message)

    def compose_document(self) -> yaml.Node | None:
        """Compose the document, without its directives."""
        event = self.peek_event()
        if event.tags or event.version not in (None, (1, 2)):
            self.note(event.start_mark, "found a % directive, allowed: none; remove the line")
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
        self._count(len(self._path) - 1)
        if isinstance(event, events.AliasEvent):
            self.get_event()
            node: Any = self._dereference(event.anchor or "")
        else:
            self.anchors.pop(event.anchor, None)  # an anchor may be set again
            tag, event.tag = event.tag, None
            if tag:
                name = shorten(tag.replace("tag:yaml.org,2002:", "!!"))
                self.note(None, f"found the tag {name}, allowed: none; remove it")
            self._open_anchors.append(event.anchor)
            node = super().compose_node(parent, index)
            self._open_anchors.pop()
            node.tag = REFUSED if tag else ""
        self._path.pop()
        return node  # type: ignore[no-any-return]

    def _count(self, depth: int) -> None:
        """Count a node, and stop where there are too many or it lies too deep."""
        self._num_nodes += 1
        if depth > MAX_DEPTH or self._num_nodes > MAX_NODES:
            what = "nodes" if self._num_nodes > MAX_NODES else "levels"
            raise yaml.MarkedYAMLError(problem=f"too many {what}", problem_mark=self._mark)

    def _dereference(self, name: str) -> yaml.Node:
        """Return the node of an anchor, after a count of all nodes in it; a refused one if there is none."""
        found = f"found the alias *{shorten(name)}"
        if name in self._open_anchors:
            self.note(None, f"{found} within what it stands for, allowed: one of a value that ends before it")
        elif name not in self.anchors:
            guesses = did_you_mean(nearest(name, self.anchors))
            self.note(None, f"{found}, allowed: the name of an anchor before it, &{shorten(name)}{guesses}")
        else:
            self._count_inside(self.anchors[name], len(self._path))
            return self.anchors[name]
        return yaml.ScalarNode(REFUSED, "", self._mark)

    def _count_inside(self, node: yaml.Node, depth: int) -> None:
        children = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            children = itertools.chain.from_iterable(node.value)
        for child in children:
            self._count(depth)
            self._count_inside(child, depth + 1)
