"""How the kernel walk is compiled: without the interpreter lock, and kept on disk where possible.

Three things that numba leaves to its user. A cached function is compiled again only when its own file
changes, not when a file that it calls does, and the cache of an earlier version fails to load if a type
was renamed since: so the digest of all files here is part of the name under which code is kept. A damaged
file of its cache is unpickled: ours are checked (`KeptCode`). And where no folder can be written, numba
refuses to decorate: then we compile in memory, at every start, and say so once.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

from spaceprobe.folding.kernels.kept_code import KeptCode

logger = logging.getLogger(__name__)

# No fastmath: an infinity means "never" here, and a NaN has to fail every check.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# Neither Python nor C calls them: their wrappers took a tenth of the compilation.
_INNER_OPTIONS: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

inner: Any = njit(**_INNER_OPTIONS)
"""For functions that only compiled code calls; they are cached as part of their caller."""


def cached(function: Callable[..., Any]) -> Any:
    """Compile ``function``, which Python calls, and keep the machine code on disk if possible."""
    try:
        dispatcher = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:  # numba: "cannot cache function ...: no locator available"
        if "no locator" not in str(error):
            raise
        _say_uncached()
        return njit(**_OPTIONS)(function)
    kept = KeptCode(Path(dispatcher.stats.cache_path), f"{function.__name__}-{_sources_digest()}")
    dispatcher._cache._cache_file = kept  # numba has no public place for it
    return dispatcher


_has_warned: list[bool] = []


def _say_uncached() -> None:
    if not _has_warned:
        _has_warned.append(True)
        logger.warning(
            "the compiled kernel walk cannot be kept: no writable cache folder, so every start "
            "compiles again (seconds); set NUMBA_CACHE_DIR to a writable folder"
        )


@cache
def _sources_digest() -> str:
    """Return a digest of every source file of the kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
