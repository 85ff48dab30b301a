"""What a walk may be asked for, and what counts as zero on the way."""

from numbers import Integral
from typing import Literal, get_args

Engine = Literal["kernel", "layerwise", "jvp", "sampled", "adaptive"]
"""What walks a path; see `walk_paths`."""

SAMPLING: tuple[Engine, ...] = ("sampled", "adaptive")
"""Those that read single points of a path, of any module."""

LISTING: tuple[Engine, ...] = ("layerwise", *SAMPLING)
"""Those that know which unit flips where, beside how many do."""

PlacedEngine = Engine | Literal["cuda-kernel"]
"""What walks a path where it is walked: ``cuda-kernel`` is the kernel on a GPU."""

Method = Literal["exact"] | Engine
"""How a path is walked; see `walk_paths`."""

Precision = Literal["float64", "float32"]
"""Of the compiled walk and the layerwise one."""

Bits = Literal["sign", "monotone"]
"""Of smooth activations: the sign of the pre-activation, or the rising or falling piece that it lies in."""

DEFAULT_TOLERANCE = 1e-12
"""A unit is at its boundary where |z| ≤ tolerance·scale.

Far above rounding, which is some 1e-15 of the scale at most, and far below what tells two units apart: the
closest breakpoints seen are 5e-9 apart. Any value from 1e-15 to 1e-12 gives the same on all 621 degenerate
networks of the tests, and any from 1e-15 to 1e-11 on 44,000 paths between MNIST test images in trained 2x30,
6x10, 2x300 and 10x60.
"""

MAX_TOLERANCE = 1e-6
"""Chosen: beyond it, units that differ would be taken for tied."""


MAX_POINTS = 1_000_000
"""Chosen: points of a sampled path, as in a study: some hundred for each flip of a network of thousands."""


def check_options(method: Method, num_points: int, tolerance: float, bits: Bits = "sign") -> None:
    """Raise ValueError for an unknown method, bits that it does not read, and numbers out of range."""
    methods = ("exact", *get_args(Engine))
    if method not in methods:
        raise ValueError(f"method is {method!r}: choose one of {', '.join(methods)}")
    if bits not in get_args(Bits):
        raise ValueError(f"bits is {bits!r}: choose one of {', '.join(get_args(Bits))}")
    if bits != "sign" and method not in SAMPLING:
        raise ValueError(
            f"bits is {bits!r}, which concerns smooth activations only, and method {method!r} walks none: "
            f"use {' or '.join(SAMPLING)}"
        )
    if not is_whole(num_points):
        raise ValueError(f"num_points is {num_points!r}: expected a whole number")
    if num_points < 2:
        raise ValueError(f"num_points is {num_points}: a path has at least its 2 ends")
    if num_points > MAX_POINTS:
        raise ValueError(
            f"num_points is {num_points:,}: a path is sampled at up to {MAX_POINTS:,} points; method "
            '"exact" sees every linear region, "adaptive" more points where units flip'
        )
    check_tolerance(tolerance)


def check_walk(threads: int | None, precision: Precision) -> None:
    """Raise ValueError for an unknown precision, and for threads that are no number of some."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}: choose one of {', '.join(get_args(Precision))}")
    if threads is not None and not (is_whole(threads) and threads >= 1):
        raise ValueError(f"threads is {threads!r}: expected a whole number, at least 1, or None")


def is_whole(number: object) -> bool:
    """Return whether something is a whole number; True and False are none."""
    return isinstance(number, Integral) and not isinstance(number, bool)


def check_tolerance(tolerance: float) -> None:
    """Raise ValueError for a tolerance that is out of range."""
    if not 0 < tolerance <= MAX_TOLERANCE:
        raise ValueError(f"tolerance is {tolerance}: it must be above 0 and at most {MAX_TOLERANCE}")
