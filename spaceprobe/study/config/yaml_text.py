"""The characters and plain words of a YAML file.

Plain words mean what YAML 1.2 says, not what PyYAML makes of them by 1.1: ``1e-3`` is a number, ``no``
and ``12:30`` are text, ``010`` is ten.
"""

import math
import re

from spaceprobe.study.config.problems import MAX_SHOWN, Place, Problem

MAX_BYTES = 256 * 1024
"""The longest file (chosen: it parses in half a second at most; a study has one or two kB)."""

MAX_DIGITS = 300
"""The most digits of an integer: about what a float can hold, and Python itself stops at 4,300."""

_FORBIDDEN = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LINE_BREAK = re.compile("\r\n|\r|\n")
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INF = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


def resolve_scalar(text: str) -> object:
    """Returns what a plain word means by the core schema of YAML 1.2.

    >>> [resolve_scalar(word) for word in ("1e-3", "no", "12:30", "010", "0o17", "~")]
    [0.001, 'no', '12:30', 10, 15, None]

    Raises:
        ValueError: if it is an integer of more than `MAX_DIGITS` digits.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text) or _BASED.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"found an integer of {len(text)} digits, allowed: at most {MAX_DIGITS}")
        return int(text, 10) if _INT.fullmatch(text) else int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INF.fullmatch(text):
        return -math.inf if infinite[1] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else text


def check_characters(text: str) -> None:
    """Refuses what nobody can see: control characters, tabs, half characters, byte order marks.

    Raises:
        ValueError: naming the first of them.
    """
    if bad := _FORBIDDEN.search(text):
        raise ValueError(_forbidden(bad[0]))


def decode(data: bytes, source: str) -> tuple[str, list[Problem]]:
    """Returns the text of a file, and what forbids to read on: its encoding or its characters."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        place = Place(source, 1, 1)
        return "", [Problem(place, "", "found UTF-16 text, allowed: UTF-8; save the file as UTF-8")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object, not data: it is what remains after a byte order mark
        before = _LINE_BREAK.split(error.object[: error.start].decode())
        place = Place(source, len(before), len(before[-1]) + 1)
        found = f"found the byte 0x{error.object[error.start]:02x}, which is not UTF-8"
        return "", [Problem(place, "", f"{found}, allowed: UTF-8; save the file as UTF-8")]
    problems: list[Problem] = []
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        if (bad := _FORBIDDEN.search(line)) and len(problems) < MAX_SHOWN:
            place = Place(source, number, bad.start() + 1)
            problems.append(Problem(place, "", _forbidden(bad[0])))
    return text, problems


def _forbidden(character: str) -> str:
    if character == "\t":
        return "found a tab, allowed: spaces"
    return f"found the character U+{ord(character):04X}, allowed: text that one can see"
