"""The kernels' functions with other primitives than those of `lanes`: a GPU's, or ones that watch memory."""

import types
from collections.abc import Callable, Mapping
from typing import Any

from spaceprobe.folding.cuda import entry, flips, layout, reading, slopes, tally, walk

KERNELS = ("walk_matched", "walk_grid")

_FUNCTIONS = (
    *(layout.lay_out, layout.view_net, layout.mark),
    *(flips.are_apart, flips.merge_flips, flips.first_flips),
    *(slopes.first_slopes, slopes.start_slopes, slopes.new_jump, slopes.first_jumps),
    *(slopes.gates_of, slopes.stage_jump, slopes.sum_jumps),
    reading.read_walk,
    *(tally.open_tally, tally.count_in, tally.close_tally),
    *(walk.sweep, walk.walk_path),
)
"""What the kernels call, each after what it calls itself."""


def bind(
    kernel: str,
    primitives: Mapping[str, Any],
    finish: Callable[[str, Callable[..., Any]], Any] = lambda _, function: function,
) -> Callable[..., None]:
    """Return a copy of a kernel, and of all that it calls, over other primitives.

    Args:
        kernel: of `KERNELS`.
        primitives: the functions, by their names in `lanes`.
        finish: makes of a copied function that a kernel calls, given its name and itself, what is called.
    """
    names = dict(primitives)
    for function in _FUNCTIONS:
        names[function.__name__] = finish(function.__name__, _copy(function, names))
    copied: Callable[..., None] = _copy(getattr(entry, kernel), names)
    return copied


def _copy(function: Any, names: Mapping[str, Any]) -> Any:
    """Return a function that finds ``names`` in place of the globals of the same names."""
    return types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
