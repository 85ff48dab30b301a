"""The characters and plain scalars of a YAML file.

A plain scalar means what YAML 1.2 says, not what PyYAML makes of it by YAML 1.1: ``1e-3`` is a number, ``no``
and ``12:30`` are text, ``010`` is ten.
"""

import math
import re

from spaceprobe.study.config.problems import ConfigError, Problem, SourceLocation

MAX_BYTES = 256 * 1024
"""The longest file (chosen: it parses in half a second at most; a study has one or two kB)."""

MAX_DIGITS = 300
"""The most digits of an integer: about what a float can hold, and Python itself stops at 4,300."""

_FORBIDDEN = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LINE_BREAK = re.compile("\r\n|\r|\n")
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
    """Return what a plain scalar means by the core schema of YAML 1.2.

    >>> [resolve_scalar(word) for word in ("1e-3", "no", "12:30", "010", "0o17", "~")]
    [0.001, 'no', '12:30', 10, 15, None]

    Raises:
        ValueError: it is an integer of more than `MAX_DIGITS` digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if (is_decimal := _DECIMAL.fullmatch(text)) or _OCTAL_OR_HEX.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"found an integer of {len(text)} digits, allowed: at most {MAX_DIGITS}")
        return int(text, 10 if is_decimal else 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def check_characters(text: str) -> None:
    """Refuse what cannot be seen: control characters, tabs, half characters, byte order marks.

    Raises:
        ValueError: naming the first of them.
    """
    if match := _FORBIDDEN.search(text):
        raise ValueError(_explain_character(match[0]))


def decode(data: bytes, source: str) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: it is not UTF-8, or has characters that cannot be seen.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        location = SourceLocation(source, 1, 1)
        raise ConfigError(
            [Problem(location, "", "found UTF-16 text, allowed: UTF-8; save the file as UTF-8")]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object, not data: it is what remains after a byte order mark
        before = _LINE_BREAK.split(error.object[: error.start].decode())
        location = SourceLocation(source, len(before), len(before[-1]) + 1)
        message = f"found the byte 0x{error.object[error.start]:02x}, which is not UTF-8"
        message += ", allowed: UTF-8; save the file as UTF-8"
        raise ConfigError([Problem(location, "", message)]) from None
    problems = [
        Problem(SourceLocation(source, number, match.start() + 1), "", _explain_character(match[0]))
        for number, line in enumerate(_LINE_BREAK.split(text), start=1)
        if (match := _FORBIDDEN.search(line))
    ]
    if problems:
        raise ConfigError(problems)
    return text


def _explain_character(character: str) -> str:
    if character == "\t":
        return "found a tab, allowed: spaces"
    return f"found the character U+{ord(character):04X}, allowed: printable text"
