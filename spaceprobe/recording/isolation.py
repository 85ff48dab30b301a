"""Measure while training as if nothing had happened: what torch, numpy and Python keep is as before."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

from spaceprobe.machine.module_forms import original_of
from spaceprobe.machine.torch_modules import cpu_copy_without_hooks


@contextmanager
def isolated() -> Iterator[None]:
    """While it lasts, torch is set as at its start; afterwards all is as before.

    Random states of Python, numpy, torch and its CUDA devices, numbers of threads, default type and device,
    and the modes of gradients, inference and autocast: a measurement neither sees nor moves them.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    default_dtype, num_threads = torch.get_default_dtype(), torch.get_num_threads()
    has_cuda = torch.cuda.is_initialized()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count()) if has_cuda else ()))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", *(["cuda"] if has_cuda else [])):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default_dtype)
            torch.set_num_threads(num_threads)
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def network_copy(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return a copy of a network on the CPU in evaluation mode, and the modules whose hooks it lacks.

    `torch.compile` and wrappers for several devices are taken off.
    """
    network = original_of(model)
    if isinstance(network, nn.parallel.DistributedDataParallel | nn.DataParallel):
        network = original_of(network.module)
    copied, names = cpu_copy_without_hooks(network)
    return copied.cpu().eval().requires_grad_(requires_grad=False), names


def not_finite(network: nn.Module) -> str | None:
    """Return the name of the first weight or buffer with a value that is not finite; None where all are."""
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
