"""What lies where matplotlib keeps its list of fonts: it opens that when it is imported, whatever it is."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from spaceprobe.machine.folders import temporary_folder
from spaceprobe.reading import kind_of

logger = logging.getLogger(__name__)

_ENDLESS = ("a pipe", "a device")
"""Kinds of files that block or never end when read; matplotlib copes with the others."""


def pass_over_odd_font_list() -> None:
    """Keep matplotlib from opening a pipe or a device in place of its list of fonts; say so in one line.

    Opening a pipe waits for its other end, so that every figure would. matplotlib then works in a temporary
    folder until the process ends, and looks for fonts again, which takes a second or two; a matplotlibrc
    beside the odd file is not read. To be called before matplotlib is imported. A folder that cannot be read
    is left to matplotlib, which takes a temporary one itself.
    """
    for path in _font_lists():
        kind = _kind(path)
        if kind in _ENDLESS:
            os.environ["MPLCONFIGDIR"] = str(temporary_folder("fonts"))
            logger.warning(
                "%s is %s, not a file: matplotlib makes its list of fonts again at every start (seconds); "
                "remove it",
                *(path, kind),
            )
            return


def _font_lists() -> list[Path]:
    """Return what lies in matplotlib's folder under the name of a list of fonts, of any version.

    The folder is that of MPLCONFIGDIR, else ``matplotlib`` in the user's cache, or ``~/.matplotlib`` outside
    Linux: matplotlib's ``get_cachedir`` says so, but asking it would import matplotlib at every command.
    """
    folders = []
    if own := os.environ.get("MPLCONFIGDIR"):
        folders = [Path(own)]
    else:
        if caches := os.environ.get("XDG_CACHE_HOME"):
            folders = [Path(caches, "matplotlib")]
        with suppress(RuntimeError):  # no home, as in some containers: matplotlib takes a temporary folder
            folders += [Path.home() / ".cache" / "matplotlib", Path.home() / ".matplotlib"]
    return [path for folder in folders for path in sorted(folder.glob("fontlist-*.json"))]


def _kind(path: Path) -> str | None:
    try:
        return kind_of(path.stat().st_mode)
    except OSError:  # a dangling link: matplotlib writes where it leads, or says that it cannot
        return None
