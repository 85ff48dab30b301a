"""Where a job's paths are walked: on the device asked for, and on the CPU where ``auto`` meets a failure."""

import logging
from collections.abc import Callable
from typing import TypeVar

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.device import device_of
from spaceprobe.stages.stage import Advance, Job

logger = logging.getLogger(__name__)

Walked = TypeVar("Walked")


class Place:
    """Runs walks on a device.

    Attributes:
        device: ``cpu`` or ``cuda``; with ``auto`` the CPU from the first failure of the GPU on.
    """

    def __init__(self, job: Job, *, is_auto: bool, is_for_kernel: bool = False) -> None:
        """Choose the device.

        Args:
            job: which may want a GPU.
            is_auto: whether nobody asked for the GPU by name, so that the CPU will do.
            is_for_kernel: whether ``auto`` takes a GPU only where the CUDA kernel is fast.

        Raises:
            SpaceprobeError: torch sees no GPU, and it was asked for by name.
        """
        self._is_auto = is_auto
        try:
            self.device: str = device_of(job)
        except SpaceprobeError as error:
            self._leave_gpu(error)
        if self.device == "cuda" and is_for_kernel:
            from spaceprobe.folding.cuda.capability import why_cpu

            reason = why_cpu(self.device)
            if reason is not None:  # another device than where the study was started
                logger.warning("%s; device is auto, so the CPU walks the paths", reason)
                self.device = "cpu"

    def run(self, walk: Callable[[str, Advance], Walked], advance: Advance) -> Walked:
        """Return what a walk returns, given the device and what to report progress to.

        Raises:
            CudaError: the GPU failed, and it was asked for by name.
        """
        from spaceprobe.machine.cuda_errors import CudaError, told_plainly

        if self.device == "cpu":
            return walk(self.device, advance)
        reported = 0

        def count(amount: int) -> None:
            nonlocal reported
            reported += amount
            advance(amount)

        try:
            with told_plainly(self.device):
                return walk(self.device, count)
        except CudaError as error:
            self._leave_gpu(error)

        def beyond(amount: int) -> None:
            nonlocal reported
            known = min(reported, amount)
            reported -= known
            if amount > known:
                advance(amount - known)

        return walk(self.device, beyond)

    def _leave_gpu(self, error: SpaceprobeError) -> None:
        if not self._is_auto:
            raise error
        logger.warning("%s; device is auto, so the CPU walks the paths from here on", error)
        self.device = "cpu"
