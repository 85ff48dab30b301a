"""The figures of a study: what each shows, which tables it is drawn from, and why a study may lack it.

A figure is a `Kind` in the file of its section, with its caption; `spaceprobe report`, `plot` and `compare`
take them from here.
"""

from spaceprobe.errors import SettingsError
from spaceprobe.report.kinds.folding import FOLDING
from spaceprobe.report.kinds.kind import SECTIONS, Kind
from spaceprobe.report.kinds.matrices import MATRICES
from spaceprobe.report.kinds.paths import PATHS
from spaceprobe.report.kinds.training import TRAINING

__all__ = ["KINDS", "SECTIONS", "Kind", "kind_named"]

KINDS = (*FOLDING, *PATHS, *MATRICES, *TRAINING)
"""All figures, in the order of the page."""


def kind_named(name: str) -> Kind:
    """Return the figure of a name.

    Raises:
        SettingsError: there is none.
    """
    found = next((kind for kind in KINDS if kind.name == name), None)
    if found is None:
        raise SettingsError(f"KIND {name!r}: is no figure, allowed: {', '.join(kind.name for kind in KINDS)}")
    return found
