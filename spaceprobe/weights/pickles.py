"""Pickles read without running them: every call in one is listed, and none is made.

`torch.load` with ``weights_only=True`` runs no foreign code, but it trusts a file's sizes, a few bytes can
ask it for terabytes, and it knows pickle protocols 2 and 3 only. So a file's pickles are read here, as data.
"""

import io
import pickletools
import warnings
from collections.abc import Callable, Collection
from typing import NamedTuple

from spaceprobe.weights.code_in_files import code_text, place_of
from spaceprobe.weights.quoting import quote_error

MAX_PICKLE_BYTES = 100_000_000  # chosen: as safetensors bounds its header; 100,000 tensors take 20 MB
MAX_OPCODES = 4_000_000  # chosen: 100,000 tensors take 3.2 million; an opcode makes at most some 100 bytes

PROTOCOLS = range(2, 6)
"""Protocols that a pickle may declare; 1 declares none. torch.save writes 2 unless it is told otherwise."""

_INTEGERS = {"INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"}
_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_VALUES = _INTEGERS | _TEXTS | _BYTES | {"FLOAT", "BINFLOAT"}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_CODE = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_KEYS = (str, int, float, bool, type(None))  # nested tuples could take forever to hash


def holds_code(code: str, place: str | None = None) -> "RefusedError":
    """Return the error for a file that holds code; the arguments are those of `code_text`."""
    return RefusedError(code_text(code, place))


class RefusedError(ValueError):
    """A file is refused: the reason and the way out, without the file's name."""


class Global(NamedTuple):
    """A class or function that a pickle names, as ``module.name``; never looked up."""

    name: str


class Call:
    """A call that a pickle asks for, not made.

    Attributes:
        function: ``module.name`` of what is to be called.
        args: its arguments.
    """

    __slots__ = ("args", "function")

    def __init__(self, function: str, args: tuple[object, ...]) -> None:
        self.function = function
        self.args = args


class Persistent(NamedTuple):
    """An object outside the pickle, which torch uses for the bytes of tensors."""

    id: object


class Pickle(NamedTuple):
    """What a pickle holds.

    Attributes:
        root: its object: plain Python values, `Global`, `Call` and `Persistent`.
        calls: all calls that it asks for, wherever they stand, in their order.
        persistents: all objects outside that it refers to.
    """

    root: object
    calls: list[Call]
    persistents: list[Persistent]


def read_pickle(file: io.BytesIO, allowed: Collection[str]) -> Pickle:
    """Return what a pickle holds, and all calls and outside objects that it asks for.

    Ordered dicts become dicts; state set on them is dropped. Afterwards the file stands behind the pickle.

    Args:
        file: stands at the pickle's first byte; in memory, so that a length in it cannot reserve more.
        allowed: the ``module.name`` that it may mention; any other is code.

    Raises:
        RefusedError: it mentions something else, is not a pickle of protocols 1 to 5, is damaged or too long.
    """
    with warnings.catch_warnings():
        # An opcode of Python 2, refused below, may hold text with an escape that Python deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        reader = _Reader(frozenset(allowed))
        try:
            for opcode, argument, _ in pickletools.genops(file):
                reader.step(opcode.name, argument)
        except _ForeignError as error:
            raise _foreign(file, str(error), reader.allowed) from None
        except RefusedError:
            raise
        # pickletools raises ValueError for damage; a stack or memo that lacks something raises the others.
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise RefusedError(
                f"is damaged or not a pickle of torch.save ({quote_error(error)}); get it again"
            ) from error
    return Pickle(reader.result, reader.calls, reader.persistents)


class _ForeignError(Exception):
    """An opcode that torch.save never writes for weights."""


class _Reader:
    """The stack machine of a pickle of protocols 1 to 5, as far as torch.save uses it."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.stack: list[object] = []
        self.outer: list[list[object]] = []
        self.memo: dict[object, object] = {}
        self.calls: list[Call] = []
        self.persistents: list[Persistent] = []
        self.result: object = None
        self.num_steps = 0

    def step(self, name: str, argument: object) -> None:
        self.num_steps += 1
        if self.num_steps > MAX_OPCODES:
            raise RefusedError(
                f"its pickle has more than {MAX_OPCODES} steps, far more than weights need; "
                "save the plain state dict as safetensors"
            )
        if name in _PUTS:
            self.memo[argument] = self.stack[-1]
        elif name in _VALUES:
            self.stack.append(argument)
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name == "GLOBAL":
            self._mention(str(argument).replace(" ", ".", 1))
        elif name == "PERSID":
            raise RefusedError(
                "was saved with pickle protocol 0, from which torch itself reads no tensor back; "
                "save it again with torch.save as it is by default"
            )
        elif name == "PROTO" and argument not in PROTOCOLS:
            raise _ForeignError(f"protocol {argument}")
        elif name in _CODE:
            raise holds_code(f"pickle opcode {name}")
        elif name not in ("PROTO", "FRAME"):
            raise _ForeignError(f"opcode {name}")

    def _mention(self, name: str) -> None:
        if name not in self.allowed:
            raise holds_code(name, place_of([*self.outer, self.stack]))
        self.stack.append(Global(name))

    def _mention_texts(self) -> None:
        module, name = self._take(2)
        if type(module) is not str or type(name) is not str:
            raise TypeError("name of what is not a text")
        self._mention(f"{module}.{name}")

    def _mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[object]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _tuple(self) -> None:
        items = tuple(self._since_mark())  # first: it brings the outer stack back
        self.stack.append(items)

    def _take(self, count: int) -> tuple[object, ...]:
        if len(self.stack) < count:
            raise IndexError("too few values")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def _reduce(self) -> None:
        function, arguments = self._take(2)
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise TypeError("call of what is not a function")
        if function.name == "collections.OrderedDict":
            self.stack.append({})
            self._update(_entries(arguments))
            return
        call = Call(function.name, arguments)
        self.calls.append(call)
        self.stack.append(call)

    def _refer(self) -> None:
        persistent = Persistent(*self._take(1))
        self.persistents.append(persistent)
        self.stack.append(persistent)

    def _build(self) -> None:
        target, state = self._take(2)
        is_dtype = isinstance(target, Call) and target.function == "numpy.dtype"
        if not is_dtype and not (type(target) is dict and type(state) is dict):
            raise TypeError("state of what is not a dict")
        self.stack.append(target)

    def _dict(self) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._update(items)

    def _list(self) -> None:
        items = self._since_mark()
        self.stack.append(items)

    def _extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("items of what is not a list")
        target.extend(items)

    def _update(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError("entries of what is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in _KEYS:
                raise TypeError("a key that is neither text nor number")
            target[key] = value

    def _stop(self) -> None:
        (self.result,) = self._take(1)


def _entries(arguments: tuple[object, ...]) -> list[object]:
    """Return keys and values in turn: none of no argument, those of a list of pairs, as Python 2 wrote it."""
    if not arguments:
        return []
    (pairs,) = arguments
    if type(pairs) is not list or not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise TypeError("a dict of what are not pairs")
    return [item for pair in pairs for item in pair]


_STEPS: dict[str, Callable[[_Reader], None]] = {
    "NONE": lambda self: self.stack.append(None),
    "NEWTRUE": lambda self: self.stack.append(True),
    "NEWFALSE": lambda self: self.stack.append(False),
    "MARK": _Reader._mark,
    "EMPTY_TUPLE": lambda self: self.stack.append(()),
    "EMPTY_LIST": lambda self: self.stack.append([]),
    "EMPTY_SET": lambda self: self.stack.append(
        []
    ),  # sets stand beside weights; their items in a list will do
    "ADDITEMS": lambda self: self._extend(self._since_mark()),
    "FROZENSET": _Reader._list,
    "EMPTY_DICT": lambda self: self.stack.append({}),
    "TUPLE": _Reader._tuple,
    "DICT": _Reader._dict,
    "LIST": _Reader._list,
    "TUPLE1": lambda self: self.stack.append(self._take(1)),
    "TUPLE2": lambda self: self.stack.append(self._take(2)),
    "TUPLE3": lambda self: self.stack.append(self._take(3)),
    "APPEND": lambda self: self._extend([*self._take(1)]),
    "APPENDS": lambda self: self._extend(self._since_mark()),
    "SETITEM": lambda self: self._update([*self._take(2)]),
    "SETITEMS": lambda self: self._update(self._since_mark()),
    "BINPERSID": _Reader._refer,
    "STACK_GLOBAL": _Reader._mention_texts,
    "REDUCE": _Reader._reduce,
    "BUILD": _Reader._build,
    "STOP": _Reader._stop,
}


def _foreign(file: io.BytesIO, reason: str, allowed: Collection[str]) -> RefusedError:
    """Return the error for a pickle that is not read further: whether code is in it can still be told."""
    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = str(argument).replace(" ", ".", 1)
            if opcode.name in _CODE or (opcode.name == "GLOBAL" and name not in allowed):
                return holds_code(name if opcode.name == "GLOBAL" else f"pickle opcode {opcode.name}")
    except ValueError:
        pass  # damaged further on: then the first reason stands
    return RefusedError(
        f"is not a pickle as torch.save writes them for weights ({reason}, which is not read); "
        "save the plain state dict as safetensors"
    )
