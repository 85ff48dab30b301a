"""Which dict in a checkpoint is its state dict: by the tensors in it, wherever it lies."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spaceprobe.errors import SpaceprobeError
from spaceprobe.weights.pickles import Call, RefusedError
from spaceprobe.weights.quoting import quote, quote_if_needed

PREFERRED = ("state_dict", "model")
"""Keys of which one is taken among several candidates, where exactly one of them is there."""

USUAL = ("state_dict", "model_state_dict", "model", "params", "net", "module")
"""Keys of state dicts that are looked into even if no tensor in them is a matrix."""

TOP = "."
"""What the tensors beside all keys are called where a key is asked for."""

MAX_DEPTH = 3
"""Chosen: keys that lead to a state dict, such as model.state_dict. Deeper dicts are not looked into."""

MAX_LISTED = 8
"""Chosen: names that a message lists."""


class ChoiceError(SpaceprobeError):
    """A file holds several state dicts, or none under the key that was given: a choice has to be made."""

    exit_code = 2


@dataclass(frozen=True)
class Candidate:
    """A dict of a checkpoint that may be its state dict.

    Attributes:
        path: the keys that lead to it; none for the file's own dict.
        state: the dict.
        others: the other candidates, as ``--key`` names them; only of the one that was chosen.
        ignored: what else lies beside it, as a reader may see it; only of the one that was chosen.
    """

    path: tuple[str, ...]
    state: Mapping[object, object]
    others: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What ``--key`` calls it."""
        return ".".join(self.path) or TOP


def choose(
    root: object, unread: Collection[int], shapes: Mapping[int, tuple[int, ...]], key: str | None = None
) -> Candidate:
    """Return the state dict of a file.

    A candidate is a dict that holds a matrix under a name: the file's own dict, or one in it, at most
    `MAX_DEPTH` keys deep. The state of an optimizer is none: it lies under numbers, or beside
    ``param_groups``. One candidate is taken. Of several, that under one of `PREFERRED` is taken if exactly
    one of these is there. Where nothing is a matrix, the first dict with any tensor is taken: the file's own,
    or that under one of `USUAL`.

    Args:
        root: what the file's pickle holds.
        unread: ids of the calls in it that make tensors that are not read.
        shapes: of the tensors, by the id of the call that makes them.
        key: of the candidate to take, as `Candidate.key` names it; None to find it.

    Raises:
        RefusedError: there is no state dict.
        ChoiceError: there are several, or none of that key.
    """
    if isinstance(root, Call):
        raise RefusedError('holds a tensor without a name; save a dict, as {"weight": tensor}')
    if not isinstance(root, dict):
        raise RefusedError(f"holds a {type(root).__name__}; a dict of names and tensors is needed")
    dicts = [*_dicts(root, (), set())]
    known = {*unread, *shapes}
    candidates = [found for found in dicts if _has_matrix(found.state, unread, shapes)]
    if key is not None:
        candidates_by_key = {found.key: found for found in dicts if _has_any(found.state, known)}
        if key not in candidates_by_key:
            raise ChoiceError(_unknown_key(key, [*candidates_by_key]))
        return _with_rest(candidates_by_key[key], candidates, root)
    if not candidates:
        candidates = [
            found
            for path in ((), *((name,) for name in USUAL))
            for found in dicts
            if found.path == path and _has_any(found.state, known)
        ][:1]
    if not candidates:
        keys = ", ".join(quote(str(name)) for name in [*root][:5]) or "nothing at all"
        raise RefusedError(
            f"holds no tensor under a name, but {keys}; a state dict is needed, "
            f"by itself or under {', '.join(USUAL)}"
        )
    taken = candidates if len(candidates) == 1 else _preferred(candidates)
    if len(taken) != 1:
        raise ChoiceError(
            f"holds {len(candidates)} state dicts; choose one with --key NAME: "
            f"{_listed([found.key for found in candidates])}"
        )
    return _with_rest(taken[0], candidates, root)


def _dicts(value: dict[object, object], path: tuple[str, ...], seen: set[int]) -> Iterator[Candidate]:
    """Yield a dict and those in it, each once, by the shortest way first where one is there twice."""
    level = [(path, value)]
    while level:
        following = []
        for way, state in level:
            if id(state) in seen:
                continue
            seen.add(id(state))
            yield Candidate(way, state)
            if len(way) < MAX_DEPTH and not _is_of_optimizer(state):
                following += [
                    ((*way, name), inner)
                    for name, inner in state.items()
                    if isinstance(name, str) and isinstance(inner, dict)
                ]
        level = following


def _is_of_optimizer(state: Mapping[object, object]) -> bool:
    return {"state", "param_groups"} <= state.keys()


def _has_matrix(
    state: Mapping[object, object], unread: Collection[int], shapes: Mapping[int, tuple[int, ...]]
) -> bool:
    """Return whether a dict holds a tensor of two sides or more, or one that is not read, under a name."""
    for name, value in state.items():
        if isinstance(name, str) and id(value) in unread:
            return True
        shape = shapes.get(id(value), ())
        if isinstance(name, str) and len(shape) > 1 and 0 not in shape:
            return True
    return False


def _has_any(state: Mapping[object, object], known: Collection[int]) -> bool:
    return any(id(value) in known for value in state.values())


def _preferred(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates under `PREFERRED`: those at the top, else those further down."""
    at_top = [found for found in candidates if found.path in {(name,) for name in PREFERRED}]
    return at_top or [found for found in candidates if found.path and found.path[-1] in PREFERRED]


def _with_rest(taken: Candidate, candidates: Sequence[Candidate], root: Mapping[object, object]) -> Candidate:
    """Return what was taken, with what was not: the other candidates, and what else is in the file."""
    others = [found.key for found in candidates if found.state is not taken.state]
    if not taken.path:
        ignored = [str(name) for name, value in root.items() if not isinstance(value, Call)]
    else:
        ignored = [str(name) for name in root if name != taken.path[0]]
    left = [name for name in ignored if name not in others]
    return Candidate(taken.path, taken.state, tuple(others), tuple(left))


def describe(taken: Candidate) -> str:
    """Return what was taken of a checkpoint and what was not, as a line; empty for all of a file."""
    parts = []
    if taken.path:
        parts.append(f"read: {quote_if_needed(taken.key)}")
    if taken.others:
        parts.append(f"not read, --key NAME reads it: {_listed(taken.others)}")
    if taken.ignored:
        parts.append(f"ignored: {_listed(taken.ignored)}")
    return "; ".join(parts)


def _unknown_key(key: str, keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1)
    hint = f"did you mean {quote_if_needed(near[0])}? " if near else ""
    return f"--key {quote_if_needed(key)}: holds no tensors there; {hint}there are {_listed(keys) or 'none'}"


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > MAX_LISTED else ""
    return ", ".join(map(quote_if_needed, names[:MAX_LISTED])) + more
