"""A study before its values are checked: what the file says, setting by setting, and where."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from spaceprobe.stages.stage import Settings
from spaceprobe.study.config.problems import (
    MAX_SHOWN,
    Place,
    Problem,
    describe,
    did_you_mean,
    listed,
    nearest,
)
from spaceprobe.study.config.strict_yaml import Document, KeyPath, dotted

SWEEP = "sweep"
"""The section that lists the axes."""

Models = Mapping[str, type[Settings]]
"""The model of each section, in the order of the stages."""


@dataclass(frozen=True)
class Entry:
    """A value and where it comes from.

    Attributes:
        value: the plain value.
        key_place: where its key is.
        place: where it is.
        item_places: where the items of a list are; None for one that was refused.
    """

    value: object
    key_place: Place
    place: Place
    item_places: tuple[Place | None, ...] = ()

    def place_at(self, path: KeyPath) -> Place:
        """Returns the place of an item, or of the whole where the file has no such item."""
        number = path[0] if path else None
        if isinstance(number, int) and number < len(self.item_places):
            return self.item_places[number] or self.place
        return self.place

    def items(self) -> list[tuple[object, Place]]:
        """Returns the items of a list that were not refused, each with its place."""
        items = self.value if isinstance(self.value, list) else []
        pairs = zip(items, self.item_places, strict=True)
        return [(item, place) for item, place in pairs if place is not None]


@dataclass
class Draft:
    """What a file and the command line say, and what is wrong with it so far.

    Attributes:
        models: the section models.
        top: the start of the file.
        fixed: the sections that cannot be swept, since they belong to the study as a whole.
        section_places: where each section of the file begins.
        settings: the entries by section and setting.
        axes: the swept settings by dotted key, each a list.
        refused: sections and dotted keys whose value was refused, and so is not missing.
        problems: what is wrong.
    """

    models: Models
    top: Place
    fixed: Collection[str] = ()
    section_places: dict[str, Place] = field(default_factory=dict)
    settings: dict[str, dict[str, Entry]] = field(default_factory=dict)
    axes: dict[str, Entry] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def add(
        self, place: Place, key: str, message: str, word: object = None, choices: Iterable[str] = ()
    ) -> None:
        """Notes a problem, with the choice that a mistyped word may have meant."""
        if len(self.problems) < MAX_SHOWN:  # nobody sees more, and guessing takes time
            message += did_you_mean(word, choices)
        # on the command line the place says the key
        self.problems.append(Problem(place, key if place.line else "", message))

    def split(self, key: str) -> tuple[str, str] | None:
        """Returns section and setting of a dotted key, or None where there is no such setting."""
        section, _, name = key.partition(".")
        model = self.models.get(section)
        return (section, name) if model and name in model.model_fields else None

    def all_keys(self) -> list[str]:
        """Returns the dotted keys of all settings."""
        return [f"{s}.{name}" for s, model in self.models.items() for name in model.model_fields]

    def place_of(self, section: str) -> Place:
        """Returns where to report what a section lacks or what does not go together in it."""
        places = [entry.key_place for entry in self.settings.get(section, {}).values()]
        last = max(places, key=lambda place: place.rank, default=self.top)
        # what the command line says is the news, so it is what to look at
        return last if last.rank else self.section_places.get(section, self.top)


def draft_file(document: Document, models: Models, top: Place, fixed: Collection[str] = ()) -> Draft:
    """Returns what a document says, with every key that is none of a study's."""
    draft = Draft(models, top, fixed, problems=list(document.problems))
    draft.refused = {dotted(path) for path in document.refused}
    if not document.is_whole:
        return draft
    content = document.value
    if not isinstance(content, dict):
        if () not in document.refused:
            _add_shapeless(draft, content)
        return draft
    for name, value in content.items():
        place = document.keys[(name,)]
        if name != SWEEP and name not in models:
            _add_unknown_section(draft, name, place)
            continue
        draft.section_places[name] = place
        if value is not None and not isinstance(value, dict):
            wanted = "settings, indented below it"
            draft.add(place, name, f"found {describe(value)}, allowed: {wanted}")
            draft.refused.add(name)
        elif name == SWEEP:
            _draft_axes(draft, document, value or {})
        else:
            _draft_section(draft, document, name, value or {})
    _add_conflicts(draft)
    return draft


def make_entry(value: object, places: Mapping[KeyPath, Place], path: KeyPath, key: Place) -> Entry:
    """Returns an entry with the places of its items."""
    size = len(value) if isinstance(value, list) else 0
    items = tuple(places.get((*path, number)) for number in range(size))
    return Entry(value, key, places[path], items)


def _draft_section(draft: Draft, document: Document, section: str, values: Mapping[str, object]) -> None:
    names = list(draft.models[section].model_fields)
    entries = draft.settings.setdefault(section, {})
    for name, value in values.items():
        path = (section, name)
        place = document.keys[path]
        if name in names:
            entry = make_entry(value, document.values, path, place)
            if None in entry.item_places:  # a list is not itself without its refused items
                draft.refused.add(f"{section}.{name}")
            else:
                entries[name] = entry
            continue
        message = f"found no such setting, allowed: {listed(names)}"
        homes = [key for key in draft.all_keys() if key.endswith(f".{name}")]
        if homes:
            meant = listed([*nearest(name, names), *homes])
            draft.add(place, f"{section}.{name}", f"{message}, did you mean {meant}")
        else:
            draft.add(place, dotted(path), message, name, names)


def _draft_axes(draft: Draft, document: Document, values: Mapping[str, object]) -> None:
    for key, value in values.items():
        path = (SWEEP, key)
        entry = make_entry(value, document.values, path, document.keys[path])
        add_axis(draft, key, entry)


def add_axis(draft: Draft, key: str, entry: Entry) -> bool:
    """Takes an axis into a draft, or notes why it is none. Returns whether it was taken."""
    name = f"{SWEEP}.{key}"
    if draft.split(key) is None:
        keys = draft.all_keys()
        near = [known for known in keys if known.endswith(f".{key}")]
        example = next((known for known in keys if known.startswith(f"{key}.")), keys[0])
        message = f"found no such setting, allowed: a dotted one such as {example}"
        if near:
            draft.add(entry.key_place, name, f"{message}, did you mean {listed(near)}")
        else:
            draft.add(entry.key_place, name, message, key, keys)
    elif not isinstance(entry.value, list):
        example = "[a, b]" if entry.value is None or isinstance(entry.value, dict | str) else ""
        example = example or f"[{describe(entry.value)}]"
        message = f"found {describe(entry.value)}, allowed: a list such as {example}"
        draft.add(entry.place, name, message)
    elif not entry.value:
        message = "found an empty list, allowed: at least one value; or take the line out"
        draft.add(entry.place, name, message)
    else:
        draft.axes[key] = entry
        return True
    return False


def _add_unknown_section(draft: Draft, name: str, place: Place) -> None:
    """Says whether a stray key is a mistyped section or a setting outside its section."""
    homes = [key for key in draft.all_keys() if key == name or key.endswith(f".{name}")]
    if homes:
        section, setting = homes[0].split(".", 1)
        way_out = f"`{setting}:` indented below `{section}:`"
        draft.add(place, name, f"found a setting outside its section, allowed: {way_out}")
        return
    sections = [*draft.models, SWEEP]
    draft.add(place, name, f"found no such section, allowed: {listed(sections)}", name, sections)


def _add_shapeless(draft: Draft, content: object) -> None:
    found = "an empty file" if content is None else describe(content)
    sections = listed([*draft.models, SWEEP])
    draft.add(draft.top, "", f"found {found}, allowed: sections such as {sections}")


def _add_conflicts(draft: Draft) -> None:
    """Refuses what a file both sets and sweeps: which of the two is meant cannot be known."""
    for key, entry in draft.axes.items():
        section, name = key.split(".", 1)
        if twin := draft.settings.get(section, {}).get(name):
            line = twin.key_place.line
            message = f"found here and, set to one value, in line {line}, allowed: one of them"
            draft.add(entry.key_place, f"{SWEEP}.{key}", f"{message}; take one out")
