"""What a user's function returned: arrays, and facts about them that planning needs without running it.

The facts lie in the user's cache by the digest of the function's sources. Where they are there, a study is
planned and shown without the function; where they are not, it runs, if it is trusted.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from spaceprobe.data.entry import DataError, DataLayout
from spaceprobe.data.labelled_arrays import NAMES, ArrayHeader, check_headers, layout_of
from spaceprobe.files import ResultsError, write_whole
from spaceprobe.machine.folders import cache_folder
from spaceprobe.reading import read_regular
from spaceprobe.user_code import call_function
from spaceprobe.user_sources import UserFunction, source_digests

FOLDER = "functions"
"""Of the facts, below the user's cache folder; it may be removed whenever nothing runs."""


@dataclass(frozen=True)
class FunctionFacts:
    """What is known of the arrays of a function.

    Attributes:
        layout: of the points.
        num_training_points: in all.
        digest: the SHA-256 of all arrays.
    """

    layout: DataLayout
    num_training_points: int
    digest: str


def setting_of(function: UserFunction) -> str:
    """Return the setting that names a function, to begin a message with."""
    return f"data.function: {function}"


def facts_of(function: UserFunction) -> FunctionFacts:
    """Return the facts of a function, which runs only where they are not known yet.

    Raises:
        UserCodeError: it is missing, has to run and is not trusted, or failed.
        DataError: what it returned are not such arrays.
    """
    sources = source_digests(function, setting_of(function))
    known = _read(_path(function, sources))
    return known or _computed(function, tuple(sources.items()), Path.cwd())[1]


def arrays_of(function: UserFunction) -> tuple[dict[str, np.ndarray], FunctionFacts]:
    """Return the arrays of a function and their facts.

    Raises:
        UserCodeError: see `facts_of`.
        DataError: see `facts_of`; or it returned other arrays before.
    """
    sources = source_digests(function, setting_of(function))
    arrays, facts = _computed(function, tuple(sources.items()), Path.cwd())
    _computed.cache_clear()  # which spared running it twice; a dataset made of them is kept elsewhere
    known = _read(_path(function, sources))
    if known is not None and known != facts:
        raise DataError(
            f"{setting_of(function)} returned other arrays than before, though its sources are the same: it "
            "has to return the same in every process; seed what it draws, and where it reads a file that "
            "changed, edit it (a comment will do)"
        )
    return arrays, facts


@lru_cache(maxsize=1)  # planning wants the facts, and computing the arrays
def _computed(
    function: UserFunction, sources: tuple[tuple[str, str], ...], folder: Path
) -> tuple[dict[str, np.ndarray], FunctionFacts]:
    """Run a function, check what it returns, and keep the facts."""
    del folder  # it tells one function of this name from another
    where = setting_of(function)
    arrays = _as_arrays(call_function(function, where), where)
    headers = {name: ArrayHeader(array.shape, array.dtype) for name, array in arrays.items()}
    check_headers(headers, where)
    layout = layout_of(headers, arrays, arrays.get(NAMES), where)
    facts = FunctionFacts(layout, len(arrays["x_train"]), _digest(arrays))
    path = _path(function, dict(sources))
    if path is not None and _read(path) is None:
        text = json.dumps(asdict(facts)).encode()
        with suppress(ResultsError):  # then it runs again where facts are needed
            write_whole(path, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    return arrays, facts


def _as_arrays(returned: Any, where: str) -> dict[str, np.ndarray]:
    if not isinstance(returned, Mapping):
        raise DataError(
            f"{where} returned {type(returned).__name__}: expected a dict of the arrays x_train, y_train, "
            "x_test and y_test; return one"
        )
    arrays = {}
    for name, value in returned.items():
        try:
            arrays[str(name)] = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors of a GPU
            reason = str(error).partition("\n")[0]
            raise DataError(f"{where}: {name} is not an array ({reason}); return numpy arrays") from error
    return arrays


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _path(function: UserFunction, sources: Mapping[str, str]) -> Path | None:
    """Return the file of the facts of a function; None without a cache."""
    text = json.dumps([str(function), sources], sort_keys=True)
    with suppress(OSError):
        return cache_folder() / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    return None


def _read(path: Path | None) -> FunctionFacts | None:
    """Return the facts of a file; None where it is missing or damaged."""
    if path is None:
        return None
    try:
        seal, _, text = read_regular(path).partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest().encode() != seal:
        return None
    facts = json.loads(text)
    layout = facts.pop("layout")
    shape, names = tuple(layout["input_shape"]), tuple(layout["class_names"])
    return FunctionFacts(DataLayout(shape, layout["num_classes"], names), **facts)
