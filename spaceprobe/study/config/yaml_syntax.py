"""What PyYAML cannot parse, in words that say what to write instead."""

import yaml

from spaceprobe.study.config.problems import Place, shorten

_MISPLACED = (
    "found what does not belong here, allowed: lines that belong together indented alike, and "
    "nothing after a closed quote or list"
)

# PyYAML's words on the left; each message says what to write instead.
_SYNTAX = (
    (
        "mapping values are not allowed",
        "found a ':' where no key can be, allowed: one `key: value` a line; indent alike what "
        "belongs together and put a text that holds ': ' in quotes",
    ),
    ("could not find expected ':'", "found a line without ':', allowed: key: value"),
    ("expected <block end>", _MISPLACED),
    ("expected '<document start>'", _MISPLACED),
    (
        "expected the node content",
        "found a bracket or comma where a value can be, allowed: key: value",
    ),
    ("expected ',' or ']'", "found a list that is never closed, allowed: [a, b, c]"),
    ("expected ',' or '}'", "found a mapping that is never closed, allowed: {key: value}"),
    ("found unexpected end of stream", "found a quote that is never closed, allowed: 'text'"),
    (
        "unknown escape character",
        "found an unknown escape in double quotes, allowed: \\\\ for a backslash; or "
        "single quotes, where a backslash is only itself",
    ),
    (
        "cannot start any token",
        "found a character that cannot start a value, allowed: such a text in quotes",
    ),
)


def explain_syntax(error: yaml.MarkedYAMLError, source: str) -> tuple[str, Place]:
    """Returns what is wrong and where."""
    place = _mark_place(error, source)
    words = error.problem or error.context or "unreadable text"
    for part, message in _SYNTAX:
        if part in words:
            return message, place
    return f"found what is not YAML ({shorten(words)}), allowed: key: value", place


def _mark_place(error: yaml.MarkedYAMLError, source: str) -> Place:
    """Returns where a syntax error is: for an open quote or list where it begins."""
    mark = error.problem_mark
    begins = error.context_mark
    is_open = (error.problem or "").startswith(("found unexpected end", "expected ',' or"))
    if begins is not None and (mark is None or is_open):
        mark = begins
    return Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
