"""Compiled code on disk that runs only if it is what was written.

A machine that loses power may leave empty or torn files, which numba's own cache unpickles: a traceback at
every start, or other machine code than was compiled. Here each file starts with a digest of the rest.
"""

import hashlib
import logging
import pickle
from pathlib import Path
from typing import Any

import numba
from numba.core.serialize import dumps

from spaceprobe.files import ResultsError, write_whole
from spaceprobe.reading import read_regular

logger = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


class KeptCode:
    """The compiled forms of a function, one file each; takes the place of numba's ``IndexDataCacheFile``.

    Attributes:
        folder: where they lie.
        function: name of the function, which its files start with.
    """

    def __init__(self, folder: Path, function: str) -> None:
        self.folder = folder
        self.function = function

    def load(self, key: Any) -> Any | None:
        """Return what was saved under a key; None if nothing was, or if its file is damaged.

        Args:
            key: numba's: the types of the arguments, the processor and the function's bytecode.
        """
        path = self._path(key)
        try:
            kept = read_regular(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s is not used, compiling again: %s", path, error.strerror)
            return None
        digest, data = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            logger.warning("%s is damaged; compiling again, and replacing it", path)
            return None
        return pickle.loads(data)  # noqa: S301  # as written by save: nobody else's file has the digest by chance

    def save(self, key: Any, data: Any) -> None:
        """Keep compiled code; a folder that cannot be written costs a compilation at the next start.

        Args:
            key: see `load`.
            data: what numba needs to build the code again.
        """
        packed = dumps(data)
        try:
            write_whole(self._path(key), hashlib.sha256(packed).digest() + packed)
        except ResultsError as error:
            logger.warning("compiled code is not kept, so the next start compiles again (seconds): %s", error)

    def _path(self, key: Any) -> Path:
        name = hashlib.sha256(repr((numba.__version__, key)).encode()).hexdigest()[:16]
        return self.folder / f"{self.function}-{name}.code"
