"""Whether exact walks of ReLU MLPs belong on this machine's CUDA device: by what it is, never by timing."""

import torch

from spaceprobe.folding.cuda.toolchain import check_compiles_for, numba_cuda
from spaceprobe.machine.cuda_errors import CudaError, told_plainly

FULL_RATE = frozenset({(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)})
"""Compute capabilities with float64 at half of float32's rate: data-centre cards (CUDA C++ Programming Guide,
"Arithmetic Instructions"). The others have 1/32 or 1/64, and would be slower than a CPU. Not for all
of these does numba-cuda compile: with CUDA 13 not for 6.0 and 7.0."""


def why_cpu(device: str = "cuda") -> str | None:
    """Return why the CPU walks ReLU MLPs exactly here, as part of a sentence; None where the device does."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    try:
        numba_cuda()
        with told_plainly(device):
            name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
        if capability in FULL_RATE:
            check_compiles_for(name, capability)
            return None
    except CudaError as error:
        return str(error)
    major, minor = capability
    return f"{name} (compute capability {major}.{minor}) does float64 at 1/32 of float32's rate or less"
