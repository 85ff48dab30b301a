"""Settings from the command line: ``--set key=value`` and the flags of commands."""

from collections.abc import Mapping, Sequence

from spaceprobe.study.config.draft import SWEEP, Draft, Entry, add_axis
from spaceprobe.study.config.problems import Place, listed, shorten
from spaceprobe.study.config.strict_yaml import parse
from spaceprobe.study.config.yaml_text import check_characters, resolve_scalar

_MAX_WORD = 80  # characters of the command line that a message repeats (chosen)


def apply_overrides(draft: Draft, overrides: Sequence[str], flags: Mapping[str, tuple[str, str]]) -> None:
    """Puts settings from the command line into a draft, in place of what the file says.

    The last word wins: a value replaces an axis of the file, an axis such as
    ``--set sweep.training.seed=[0,1]`` replaces a value, and flags come after ``--set``.

    Args:
        draft: what the file says; changed.
        overrides: words such as ``training.epochs=5``.
        flags: by dotted key, the flag as the user wrote it and its value.
    """
    for rank, word in enumerate(overrides, start=1):
        place = Place(f"--set {shorten(word, _MAX_WORD)}", rank=rank)
        key, equals, text = word.partition("=")
        if equals and key.strip():
            _put(draft, key.strip(), text, place)
        else:
            example = f"{draft.all_keys()[0]}=value"
            draft.add(place, "", f"found no `key=value`, allowed: one such as {example}")
    for rank, (key, (flag, text)) in enumerate(flags.items(), start=len(overrides) + 1):
        _put(draft, key, text, Place(f"{flag} {shorten(text, _MAX_WORD)}", rank=rank))


def parse_word(text: str) -> object:
    r"""Returns the value of a word, which may also be a list or quoted text of YAML.

    Anything else is one plain word, so that ``C:\data`` and ``#1`` are what they look like.

    Raises:
        ValueError: naming what is wrong.
    """
    check_characters(text)
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return resolve_scalar(text)
    document = parse(text, "")
    if document.problems:
        raise ValueError(document.problems[0].message)
    return document.value


def _put(draft: Draft, key: str, text: str, place: Place) -> None:
    try:
        value = parse_word(text)
    except ValueError as error:
        draft.add(place, "", str(error))
        return
    size = len(value) if isinstance(value, list) else 0
    entry = Entry(value, place, place, (place,) * size)
    axis = key.removeprefix(f"{SWEEP}.")
    if axis != key:
        if add_axis(draft, axis, entry):
            section, name = axis.split(".", 1)
            draft.settings.get(section, {}).pop(name, None)
        return
    target = draft.split(key)
    if target is None:
        _add_unknown(draft, key, place)
        return
    section, name = target
    draft.settings.setdefault(section, {})[name] = entry
    draft.axes.pop(key, None)


def _add_unknown(draft: Draft, key: str, place: Place) -> None:
    keys = draft.all_keys()
    inside = [known for known in keys if known.startswith(f"{key}.")]
    near = [known for known in keys if known.endswith(f".{key}")]
    if key == SWEEP:
        draft.add(place, "", f"found no setting, allowed: one such as {SWEEP}.{keys[0]}=[a, b]")
    elif inside:
        draft.add(place, "", f"found a section, allowed: one of its settings: {listed(inside)}")
    elif near:
        draft.add(place, "", f"found no such setting, did you mean {listed(near)}")
    else:
        draft.add(place, "", f"found no such setting, allowed: {listed(keys)}", key, keys)
