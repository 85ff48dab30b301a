"""Layer Matrix Decomposition of weight matrices: tensors in, factors and tables out.

`decompose`, `certify` and their results are imported where they are first used, since torch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaceprobe.lmd.certificate import Certificate, certify
    from spaceprobe.lmd.factors import Factors, decompose

__all__ = ["Certificate", "Factors", "certify", "decompose"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'spaceprobe.lmd' has no attribute {name!r}")
    home = "factors" if name in ("Factors", "decompose") else "certificate"
    return getattr(import_module(f"spaceprobe.lmd.{home}"), name)
