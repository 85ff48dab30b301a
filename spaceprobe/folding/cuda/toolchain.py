"""The one module that knows numba-cuda: the primitives of a GPU, compiling and launching the kernels.

The kernels are plain functions over the names of `lanes`. Here each is copied with those names bound to the
functions of a GPU, and compiled. NVVM inlines them all into the kernel; numba's own inlining copies what it
has so far for each of hundreds of calls, and takes three times as long.
"""

import re
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import torch

from spaceprobe.folding.cuda import lanes, layout
from spaceprobe.folding.cuda.binding import bind
from spaceprobe.machine.cuda_errors import CudaError

FEW_REGISTERS, MANY_REGISTERS = 96, 168
"""Of a lane, at most. Chosen by what nvJitLink 13.5 says for sm_90: it takes some 220 without a limit, which
let 9 warps run at a time; 168 let 12, for some 90 bytes of spills, and 96 let 21, for some 440."""

REGISTERS = 1 << 16
"""Of a multiprocessor, on every device that numba-cuda knows."""


def numba_cuda() -> Any:
    """Return the module `numba.cuda` of the package numba-cuda.

    Raises:
        CudaError: it is not installed.
    """
    try:
        import numba_cuda  # noqa: F401 - without it, numba.cuda is numba's own, which is older
        from numba import cuda
    except ImportError as error:
        raise CudaError(
            f"the CUDA kernel needs numba-cuda ({error}): install spaceprobe[cuda], or use --device cpu"
        ) from error
    return cuda


def lowest_capability() -> tuple[int, int]:
    """Return the lowest compute capability that numba-cuda compiles for here; needs no device.

    NVRTC says so, by which numba-cuda itself decides: CUDA 13's begins with 7.5, CUDA 12's with 5.0.

    Raises:
        CudaError: numba-cuda or NVRTC is missing or does not answer.
    """
    numba_cuda()
    try:
        nvrtc: Any = import_module("numba.cuda.cudadrv.nvrtc")
        lowest: tuple[int, int] = min(nvrtc.get_supported_ccs())
    except (ImportError, RuntimeError, ValueError) as error:  # a missing library is a RuntimeError
        raise CudaError(
            f"NVRTC does not say for which devices numba-cuda compiles ({_first_line(error)}): install "
            "spaceprobe[cuda] again, or use --device cpu"
        ) from error
    return lowest


def check_compiles_for(name: str, capability: tuple[int, int]) -> None:
    """Raise a CudaError where numba-cuda compiles nothing for a device.

    Args:
        name: of the device.
        capability: of the device. numba-cuda takes one higher than it knows for the highest that it knows.

    Raises:
        CudaError: it does not, or see `lowest_capability`.
    """
    lowest = lowest_capability()
    if capability < lowest:
        of_device, of_numba = (".".join(map(str, version)) for version in (capability, lowest))
        raise CudaError(
            f"{name} has compute capability {of_device}, and numba-cuda compiles here for {of_numba} and "
            "higher: install torch and numba-cuda for an older CUDA (numba-cuda[cu12]), or use --device cpu"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _primitives() -> dict[str, Any]:
    """Return the functions of `lanes` for a GPU, where a value of a lane is a scalar."""
    import numpy as np

    cuda = numba_cuda()
    inlined = cuda.jit(device=True, forceinline=True)
    returning_arrays = cuda.jit(device=True, inline="always")  # which a function of its own may not
    every = lanes.EVERY

    @inlined
    def lane() -> Any:
        return np.int64(cuda.laneid & 31)  # so the compiler knows that it is not negative

    @inlined
    def sync() -> None:
        cuda.syncwarp(every)

    @inlined
    def ballot(is_true: Any) -> Any:
        return np.int64(cuda.ballot_sync(every, is_true)) & every

    @inlined
    def popcount(bits: Any) -> Any:
        return np.int64(cuda.popc(np.uint32(bits)))

    @inlined
    def lowest(bits: Any) -> Any:
        return np.int64(cuda.clz(cuda.brev(np.uint32(bits))) & 31)

    @inlined
    def without_lowest(bits: Any) -> Any:
        low = np.uint32(bits)  # 64 bits take twice as many instructions
        return np.int64(low & np.uint32(low - np.uint32(1)))

    @inlined
    def is_set(bits: Any) -> Any:
        return np.uint32(bits) & np.uint32(np.uint32(1) << np.uint32(cuda.laneid & 31)) != 0

    @inlined
    def ones_below(bits: Any) -> Any:
        below = np.uint32((np.uint32(1) << np.uint32(cuda.laneid & 31)) - np.uint32(1))
        return np.int64(cuda.popc(np.uint32(bits) & below))

    @inlined
    def pick(condition: Any, first: Any, second: Any) -> Any:
        return first if condition else second

    # An unsigned index: numba counts a signed one from the end if it is negative, at every access.
    @inlined
    def read(array: Any, index: Any) -> Any:
        return array[np.uint64(index)]

    @inlined
    def get(array: Any, index: Any, condition: Any, other: Any) -> Any:
        value = other
        if condition:
            value = array[np.uint64(index)]
        return value

    @inlined
    def put(array: Any, index: Any, value: Any, condition: Any) -> None:
        if condition:
            array[np.uint64(index)] = value

    @inlined
    def add_atomically(array: Any, index: Any, value: Any, condition: Any) -> None:
        if condition:
            cuda.atomic.add(array, np.uint64(index), value)

    @inlined
    def raise_atomically(array: Any, index: Any, value: Any, condition: Any) -> None:
        # most paths fold less far than the farthest so far
        if condition and value > array[np.uint64(index)]:
            cuda.atomic.max(array, np.uint64(index), value)

    @inlined
    def append(array: Any, num_entries: Any, value: Any) -> None:
        if cuda.laneid == 0:
            array[cuda.atomic.add(num_entries, 0, 1)] = value

    @inlined
    def warp_number() -> Any:
        return np.int64(cuda.blockIdx.x)

    @inlined
    def num_warps() -> Any:
        return np.int64(cuda.gridDim.x)

    @returning_arrays
    def shared_floats(count: Any) -> Any:
        return cuda.shared.array(0, np.float64)[:count]

    @returning_arrays
    def shared_integers(count: Any, before: Any) -> Any:
        return cuda.shared.array(0, np.int32)[before // 4 : before // 4 + count]

    @returning_arrays
    def shared_shorts(count: Any, before: Any) -> Any:
        return cuda.shared.array(0, np.uint16)[before // 2 : before // 2 + count]

    made = locals()
    return {name: made[name] for name in lanes.PRIMITIVES}


@cache
def kernel(name: str, capability: tuple[int, int]) -> Callable[..., None]:
    """Return a kernel's function with a GPU's primitives, not yet compiled.

    Args:
        name: of `KERNELS`.
        capability: of the device; numba keeps what it compiles of the primitives for the first one.
    """
    del capability
    cuda = numba_cuda()

    def finish(name: str, function: Callable[..., Any]) -> Any:
        way = {"inline": "always"} if name == layout.lay_out.__name__ else {"forceinline": True}
        return cuda.jit(device=True, **way)(function)

    return bind(name, _primitives(), finish)


def signature(name: str) -> Any:
    """Return the types of a kernel's arguments."""
    numba_cuda()
    from numba import types as kinds

    def flat(kind: Any) -> Any:
        return kinds.Array(kind, 1, "C")

    integer, real = kinds.int64, kinds.float64
    net = [flat(real), *[flat(kinds.int32)] * 5]  # products of 32 bits are one instruction, of 64 several
    points = [flat(real), flat(integer), flat(real), flat(real)]
    memory = [kinds.uint32, kinds.uint32, flat(real), flat(integer), real, integer, integer]
    left = [flat(kinds.int32), flat(kinds.int32)]
    own = {
        "walk_matched": [flat(kinds.int32)],
        "walk_grid": [integer, integer, integer, integer, flat(integer), flat(real)],
    }
    return kinds.void(*net, *points, *points, *memory, *own[name], *left)


def ptx(name: str, capability: tuple[int, int]) -> str:
    """Return a kernel compiled for a compute capability; needs no device.

    Raises:
        CudaError: see `numba_cuda`.
    """
    with _device_of(capability):
        text, _ = numba_cuda().compile_ptx(kernel(name, capability), signature(name), cc=capability)
    return str(text)


class Resources(NamedTuple):
    """What a compiled kernel takes.

    Attributes:
        registers: of a lane.
        spilled: bytes that a lane stores for want of registers.
    """

    registers: int
    spilled: int


def resources(text: str, capability: tuple[int, int], registers: int) -> Resources:
    """Return what a kernel's PTX takes when it is assembled with at most so many registers; needs no device.

    nvJitLink assembles it, which numba-cuda uses as well.
    """
    linker: Any = import_module("cuda.bindings.nvjitlink")
    major, minor = capability
    options = [f"-arch=sm_{major}{minor}", "-verbose", f"-maxrregcount={registers}"]
    handle = linker.create(len(options), options)
    try:
        source = text.encode()
        linker.add_data(handle, linker.InputType.PTX, source, len(source), "kernel.ptx")
        linker.complete(handle)
        log = bytearray(linker.get_info_log_size(handle))
        linker.get_info_log(handle, log)
    finally:
        linker.destroy(handle)
    told = log.decode(errors="replace")
    number, spilled = re.search(r"Used (\d+) registers", told), re.search(r"(\d+) bytes spill stores", told)
    if number is None:
        raise CudaError(f"nvJitLink {linker.version()} does not tell what a kernel takes: {told[:200]!r}")
    return Resources(int(number[1]), int(spilled[1]) if spilled else 0)


def occupancy(shared: int, shared_of_processor: int, most_blocks: int = 32) -> tuple[int, int]:
    """Return the limit of a lane's registers, and how many warps run at a time on a multiprocessor.

    A warp is a block. Where shared memory lets few of them run, each lane may have more registers.

    Args:
        shared: bytes of a warp.
        shared_of_processor: bytes of a multiprocessor.
        most_blocks: that a multiprocessor takes.
    """
    by_shared = min(most_blocks, shared_of_processor // (shared + 1024))  # CUDA keeps 1 KB of each block's
    few = REGISTERS // (FEW_REGISTERS * lanes.LANES)
    many = REGISTERS // (MANY_REGISTERS * lanes.LANES)
    if by_shared <= many:
        return MANY_REGISTERS, max(1, by_shared)
    return FEW_REGISTERS, min(by_shared, few)


class Gpu:
    """A CUDA device that runs the kernels.

    Attributes:
        place: where torch puts its tensors.
        memory: its size in bytes.
    """

    def __init__(self, place: torch.device) -> None:
        """Take a device that torch has checked.

        Raises:
            CudaError: see `numba_cuda` and `check_compiles_for`.
        """
        self.place = place
        self._cuda = numba_cuda()
        properties = torch.cuda.get_device_properties(place)
        self.memory = int(properties.total_memory)
        self._capability = (properties.major, properties.minor)
        check_compiles_for(properties.name, self._capability)
        self._num_processors = int(properties.multi_processor_count)
        self._shared_of_processor = int(properties.shared_memory_per_multiprocessor)

    @classmethod
    def of(cls, device: str | torch.device) -> "Gpu":
        """Return the device of a name such as ``cuda:1``.

        Raises:
            CudaError: see `numba_cuda` and `check_compiles_for`.
        """
        place = torch.device(device)
        return cls(torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index))

    def num_warps(self, shared: int) -> int:
        """Return how many warps with so many bytes of shared memory run at a time."""
        _, of_processor = occupancy(shared, self._shared_of_processor)
        return self._num_processors * of_processor

    def launch(self, name: str, warps: int, shared: int, arguments: Sequence[Any]) -> None:
        """Run a kernel on tensors and numbers, behind what torch has queued."""
        with self._cuda.gpus[self.place.index], warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Grid size")  # few paths take few warps
            registers, _ = occupancy(shared, self._shared_of_processor)
            run = _compiled(name, self._capability, registers)
            pointer = torch.cuda.current_stream(self.place).cuda_stream
            stream = self._cuda.external_stream(pointer) if pointer else self._cuda.default_stream()
            run[warps, lanes.LANES, stream, shared](
                *(self._cuda.as_cuda_array(x) if isinstance(x, torch.Tensor) else x for x in arguments)
            )
            stream.synchronize()  # an error belongs to this launch


@cache
def _compiled(name: str, capability: tuple[int, int], registers: int) -> Any:
    """Return a kernel that compiles when it is first launched, once a process."""
    cuda = numba_cuda()
    return cuda.jit(signature(name), max_registers=registers)(kernel(name, capability))


@contextmanager
def _device_of(capability: tuple[int, int]) -> Iterator[None]:
    """Let numba compile device functions for a capability: it would ask the driver for the device's."""
    dispatcher: Any = import_module("numba.cuda.dispatcher")
    ask = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = ask
