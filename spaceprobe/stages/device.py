"""Where a job computes."""

from typing import Literal

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import Job


def device_of(job: Job) -> Literal["cpu", "cuda"]:
    """Return the device of a job.

    Raises:
        SpaceprobeError: it wants a GPU, and torch sees none here.
    """
    import torch

    if job.wants_gpu and not torch.cuda.is_available():
        raise SpaceprobeError(
            f"torch sees no CUDA device where {job.stage} computes; use --device cpu, or give the "
            "resource GPU to workers that have one"
        )
    return "cuda" if job.wants_gpu else "cpu"
