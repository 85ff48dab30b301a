"""Whether exact walks of ReLU MLPs belong on this machine's CUDA device: by what it is, never by timing."""

import torch

from spaceprobe.folding.cuda.toolchain import numba_cuda
from spaceprobe.machine.cuda_errors import CudaError, told_plainly

FULL_RATE = frozenset({(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)})
"""Compute capabilities with float64 at half of float32's rate: data-centre cards (CUDA C++ Programming Guide,
"Arithmetic Instructions"). The others have 1/32 or 1/64, and would be slower than a CPU."""


def why_cpu(device: str = "cuda") -> str | None:
    """Return why the CPU walks ReLU MLPs exactly here, as part of a sentence; None where the device does."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    try:
        numba_cuda()
        with told_plainly(device):
            name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    except CudaError as error:
        return str(error)
    if capability not in FULL_RATE:
        major, minor = capability
        return f"{name} (compute capability {major}.{minor}) does float64 at 1/32 of float32's rate or less"
    return None
