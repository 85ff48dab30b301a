"""Checks every value of a draft against the models, and every combination of swept values."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence

from spaceprobe.stages.stage import NOT_IN_KEY, Settings
from spaceprobe.study.config.draft import SWEEP, Draft
from spaceprobe.study.config.explain import adapt, choices, validate
from spaceprobe.study.config.problems import MAX_SHOWN, Place, describe
from spaceprobe.study.config.strict_yaml import KeyPath, dotted

MAX_POINTS = 100_000
"""The most combinations of swept values (chosen; ten times what plans and tables are made for)."""

MAX_WRONG = 500
"""Wrong values of one axis after which the others are not looked at (chosen; ten times what is shown)."""

Axes = Mapping[str, tuple[object, ...]]
"""The plain values of each swept setting by dotted key, in the order of the file."""


def check(draft: Draft) -> tuple[dict[str, Settings], Axes]:
    """Returns the sections at the first value of every axis, and the axes; notes what is wrong.

    What is returned means something only if no problem was noted.
    """
    _check_size(draft)
    sections: dict[str, Settings] = {}
    axes: dict[str, tuple[object, ...]] = dict.fromkeys(draft.axes, ())
    for section in draft.models:
        checked = _Section(draft, section)
        checked.check_values()
        checked.check_axes()
        if checked.check_combinations():
            sections[section], swept = checked.settled()
            axes.update(swept)
    return sections, axes


def _check_size(draft: Draft) -> None:
    """Refuses a sweep of too many points before any of them is made."""
    lengths = [len(entry.item_places) for entry in draft.axes.values()]
    if math.prod(lengths) > MAX_POINTS:
        product = " x ".join(map(str, lengths))
        message = f"found {math.prod(lengths)} combinations ({product}), allowed: {MAX_POINTS}"
        last = max((e.key_place for e in draft.axes.values()), key=lambda p: (p.rank, p.line))
        draft.add(draft.section_places.get(SWEEP, last), SWEEP, message)


class _Section:
    """One section of a draft."""

    def __init__(self, draft: Draft, section: str) -> None:
        self._draft = draft
        self._name = section
        self._model = draft.models[section]
        self._values = {
            name: self._adapted(name, entry.value) for name, entry in draft.settings.get(section, {}).items()
        }
        self._axes: dict[str, list[tuple[object, Place]]] = {}
        self._is_good = True
        for key, entry in draft.axes.items():
            if key.startswith(f"{section}."):
                name = key.removeprefix(f"{section}.")
                self._values.pop(name, None)  # a conflict, reported with the file
                self._axes[name] = [(self._adapted(name, v), p) for v, p in entry.items()]
                # an axis whose items were all refused has nothing to combine
                self._is_good &= bool(self._axes[name])

    def check_values(self) -> None:
        """Checks what is set; of what does not go together, only if nothing is swept."""
        entries = self._draft.settings.get(self._name, {})
        _, messages = validate(self._model, self._values)
        for path, message in messages.items():
            if not path:
                if not self._axes:
                    self._add(self._draft.place_of(self._name), (), message)
                continue
            name = str(path[0])
            if name in entries:
                self._add(entries[name].place_at(path[1:]), path, message, self._values.pop(name, None))
            elif self._is_refused(name):
                self._is_good = False
            elif name not in self._axes:
                self._add(self._draft.place_of(self._name), path, message)

    def check_axes(self) -> None:
        """Checks every swept value by itself."""
        for name, items in self._axes.items():
            field = self._model.model_fields[name]
            key = f"{SWEEP}.{self._name}.{name}"
            is_idle = NOT_IN_KEY in field.metadata
            if is_idle or self._name in self._draft.fixed:
                place = self._draft.axes[f"{self._name}.{name}"].key_place
                why = "changes no number" if is_idle else "belongs to the study as a whole"
                message = f"found in a sweep, but it {why}, allowed: one value"
                self._draft.add(place, key, f"{message}, set under {self._name}")
                self._is_good = False
            seen: set[str] = set()
            num_wrong = 0
            for value, place in items:
                if num_wrong >= MAX_WRONG:
                    break
                settings, messages = validate(self._model, self._point({name: value}))
                own = [message for path, message in messages.items() if path[:1] == (name,)]
                if own:
                    self._add(place, (name,), own[0], value, key)
                    num_wrong += 1
                    continue
                plain = settings.model_dump(mode="json")[name] if settings else value
                text = json.dumps(plain, sort_keys=True)
                if text in seen:
                    message = f"found {describe(value)} a second time, allowed: each value once"
                    self._draft.add(place, key, f"{message}; take one out")
                    self._is_good = False
                seen.add(text)

    def check_combinations(self) -> bool:
        """Checks whether swept values go together. Returns whether the section is in order."""
        size = math.prod(len(items) for items in self._axes.values())
        if not self._axes or not self._is_good or size > MAX_POINTS:
            return self._is_good
        num_wrong = 0
        for point in self._points():
            _, messages = validate(self._model, self._point({n: v for n, (v, _) in point.items()}))
            for message in messages.values():
                where = " and ".join(
                    f"{self._name}.{name} = {describe(value)}" for name, (value, _) in point.items()
                )
                place = max((p for _, p in point.values()), key=lambda p: (p.rank, p.line, p.column))
                self._add(place, (), f"with {where}: {message}", key=SWEEP)
                num_wrong += 1
            if num_wrong >= MAX_SHOWN:
                break
        return self._is_good

    def settled(self) -> tuple[Settings, dict[str, tuple[object, ...]]]:
        """Returns the settings at the first value of every axis, and the axes in plain values."""
        first, messages = validate(self._model, self._point({}))
        if first is None:
            raise RuntimeError(f"{self._name} passed its checks but not the last one: {messages}")
        axes: dict[str, tuple[object, ...]] = {}
        for name, items in self._axes.items():
            values = [validate(self._model, self._point({name: v}))[0] for v, _ in items]
            plain = tuple(v.model_dump(mode="json")[name] for v in values if v is not None)
            axes[f"{self._name}.{name}"] = plain
        return first, axes

    def _points(self) -> Iterator[dict[str, tuple[object, Place]]]:
        for point in itertools.product(*self._axes.values()):
            yield dict(zip(self._axes, point, strict=True))

    def _point(self, swept: Mapping[str, object]) -> dict[str, object]:
        """Returns the values with some swept ones, and the first one of every other axis."""
        firsts = {name: items[0][0] for name, items in self._axes.items() if items}
        return {**self._values, **firsts, **swept}

    def _is_refused(self, name: str) -> bool:
        key = f"{self._name}.{name}"
        return not self._draft.refused.isdisjoint((self._name, key, f"{SWEEP}.{key}"))

    def _adapted(self, name: str, value: object) -> object:
        return adapt(self._model.model_fields[name], value)

    def _add(
        self,
        place: Place,
        path: KeyPath | Sequence[str],
        message: str,
        found: object = None,
        key: str = "",
    ) -> None:
        """Notes a problem, with the choice that a mistyped word may have meant."""
        self._is_good = False
        words = list(choices(self._model.model_fields[str(path[0])].annotation)) if path else []
        self._draft.add(place, key or dotted((self._name, *path)), message, found, words)
