"""Errors of a CUDA device as one sentence that says the way out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spaceprobe.errors import SpaceprobeError

PLAIN_ERRORS = (
    *("CUDA ", "cuDNN ", "cuFFT ", "No CUDA GPUs", "Found no NVIDIA driver", "The NVIDIA driver"),
    "Unexpected error from cuda",
)
"""How the errors of torch begin that are RuntimeErrors like any other: of its libraries, and of starting."""


class CudaError(SpaceprobeError):
    """A CUDA device, its driver or numba-cuda is missing or has failed; nothing of its work was kept."""


@contextmanager
def told_plainly(device: str | torch.device) -> Iterator[None]:
    """Turn the errors of torch and numba-cuda about a device into one sentence.

    Raises:
        CudaError: in place of any of them.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise CudaError(f"the memory of {device} is full: free some of it, or use --device cpu") from error
    except Exception as error:
        if not _is_of_cuda(error):
            raise
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CudaError(
            f"{device} failed ({first_line}): see whether nvidia-smi lists it and its driver is new enough "
            "for torch and numba-cuda, or use --device cpu"
        ) from error


def _is_of_cuda(error: Exception) -> bool:
    """Return whether an error comes from a device, its driver or the compiler for it."""
    if isinstance(error, torch.AcceleratorError):
        return True
    if isinstance(error, RuntimeError) and str(error).startswith(PLAIN_ERRORS):
        return True
    return type(error).__module__.startswith(("numba.cuda.", "numba_cuda.", "cuda."))
