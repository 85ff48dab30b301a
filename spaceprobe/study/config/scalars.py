"""The characters and plain scalars of a YAML file.

A plain scalar means what YAML 1.2 says, not what PyYAML makes of it by YAML 1.1: ``1e-3`` is a number, ``no``
and ``12:30`` are text, ``010`` is ten.
"""

import math
import re

MAX_DIGITS = 300
"""The most digits of an integer: about what a float can hold, and Python itself stops at 4,300."""

LINE_BREAK = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_CONSTANTS = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


def resolve_scalar(text: str) -> object:
    """Return what a plain scalar means by the core schema of YAML 1.2; beyond `MAX_DIGITS`, a float.

    >>> [resolve_scalar(word) for word in ("1e-3", "no", "12:30", "010", "0o17", "~")]
    [0.001, 'no', '12:30', 10, 15, None]
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0) if len(text) < MAX_DIGITS else math.inf
    if _DECIMAL.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def hidden_character(text: str) -> tuple[int, str] | None:
    """Return the position of the first character that cannot be seen, and a message; None if all can be.

    Control characters, tabs, half characters and byte order marks cannot be seen.
    """
    if not (match := _FORBIDDEN.search(text)):
        return None
    if match[0] == "\t":
        return match.start(), "found a tab, allowed: spaces"
    return match.start(), f"found the character U+{ord(match[0]):04X}, allowed: printable text"
