"""Read the ends of paths from a user's .npy file: no pickles, no more bytes than the file has."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.data.npz_files import parse_header
from spaceprobe.errors import SettingsError
from spaceprobe.reading import open_regular
from spaceprobe.weights.quoting import path_text

MAX_BYTES = 4 << 30
"""Chosen: of all points in float64, a quarter of the memory of a laptop, since each file holds one end."""

WRITE = "write it with numpy.save(FILE, array)"


class PointFileError(SettingsError):
    """A file of points is missing, damaged, too large, or holds something else."""


def read_points(path: Path, flag: str) -> Float64[Tensor, "..."]:
    """Return the numbers of a file in float64, in the shape that they have; grey levels (uint8) over 255.

    Args:
        path: of a .npy file.
        flag: what names it, to begin a message with.

    Raises:
        PointFileError: the file is not there, is not such an array of finite numbers, or its size is not what
            its header says.
    """
    where = f"{flag} {path_text(path)}"
    if path.suffix.lower() != ".npy":
        raise PointFileError(
            f"{where}: expected a .npy file of shape (points, *input shape), or of one input; {WRITE}"
        )
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            try:
                shape, is_fortran, dtype = parse_header(file)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError) as error:
                reason = str(error).partition("\n")[0][:200] or type(error).__name__
                raise PointFileError(f"{where}: its header cannot be read ({reason}); {WRITE}") from error
            _check(shape, dtype, size - file.tell(), where)
            flat = np.fromfile(file, dtype, math.prod(shape))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PointFileError(f"{where}: cannot be read ({reason}); give a .npy file") from error
    if len(flat) != math.prod(shape):
        raise PointFileError(f"{where}: became shorter while it was read; try again")
    array = flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
    points = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
    if dtype == np.uint8:
        points /= 255
    if not bool(torch.isfinite(points).all()):
        place = tuple((~torch.isfinite(points)).nonzero()[0].tolist())
        raise PointFileError(
            f"{where}: the number at {place} is not finite ({float(points[place])}); give finite numbers"
        )
    return points


def _check(shape: tuple[int, ...], dtype: np.dtype, num_bytes: int, where: str) -> None:
    """Check what a header says before anything is read.

    Raises:
        PointFileError: it does not fit.
    """
    if dtype.hasobject:
        raise PointFileError(
            f"{where}: holds objects, which are pickles; convert the array with astype(float)"
        )
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise PointFileError(f"{where}: holds {dtype}: expected real numbers; convert it with astype(float)")
    expected = math.prod(shape) * dtype.itemsize
    if expected != num_bytes:
        raise PointFileError(
            f"{where}: its header says {expected:,} bytes of numbers, and the file holds {num_bytes:,}; "
            f"{WRITE}"
        )
    if 8 * math.prod(shape) > MAX_BYTES:
        raise PointFileError(
            f"{where}: takes {8 * math.prod(shape):,} bytes in float64, at most {MAX_BYTES:,} are read; give "
            "fewer points"
        )
    if not shape or 0 in shape:
        raise PointFileError(f"{where}: has the shape {shape}, which holds no point; {WRITE}")
